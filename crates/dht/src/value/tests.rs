use super::*;

#[test]
fn a_plain_value_packs_as_the_reference_does() {
    let packed = "82a26964cf1122334455667788a364617481a4626f647983a47479706500a464617461c405\
                  68656c6c6fa57574797065aa746578742f706c61696e";
    let value = Value::new(0, b"hello")
        .with_user_type("text/plain")
        .with_id(0x1122_3344_5566_7788);
    assert_eq!(baraza_wire::hex::encode(&value.to_packed()), packed);
    assert_eq!(Value::from_packed(&value.to_packed()), Ok(value));
}
