use baraza_identity::testing;
use baraza_wire::hex;

use super::*;
use crate::value::tests_support::vectors;
use crate::{certificate_value, infohash, secure};

fn from(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn store(value: &Value) -> Result<Value, Refused> {
    check_store(&infohash("key"), value, from("192.0.2.7:4000")).map(Cow::into_owned)
}

#[test]
fn lifetimes_by_type() {
    let minutes = |value_type| lifetime(value_type).as_secs() / 60;
    let expected = [
        (USER_DATA, 10),
        (DHT_MESSAGE, 5),
        (SERVICE, 15),
        (IM_MESSAGE, 5),
        (TRUST_REQUEST, 7 * 24 * 60),
        (ICE_CANDIDATES, 1),
        (CERTIFICATE, 7 * 24 * 60),
        (9, 10),
        (u16::MAX, 10),
    ];
    for (value_type, expected) in expected {
        assert_eq!(minutes(value_type), expected, "type {value_type}");
    }
}

#[test]
fn values_up_to_the_limit_are_stored() {
    assert!(store(&Value::new(0, vec![1; MAX_VALUE_SIZE - 1])).is_ok());
    assert!(store(&Value::new(0, vec![1; MAX_VALUE_SIZE])).is_ok());
    let beyond = Value::new(0, vec![1; MAX_VALUE_SIZE + 1]);
    assert_eq!(store(&beyond), Err(Refused::Size));
}

#[test]
fn a_service_is_stored_at_the_address_it_was_put_from() {
    let crypto = vectors("dht-crypto.json")["opendht_2412"].clone();
    let packed = crypto["ipservice_v4_port4321_packed"].as_str().unwrap();
    let value = Value::from_packed(&hex::decode(packed).unwrap()).unwrap();
    let stored = store(&value).unwrap();
    assert_eq!(
        hex::encode(stored.data()),
        "c410020010e1c00002070000000000000000"
    );
    assert_eq!(stored.id, value.id);
    let six = check_store(&infohash("k"), &value, from("[2001:db8::1]:9")).unwrap();
    assert_eq!(
        hex::encode(six.data()),
        "c41c0a0010e10000000020010db800000000000000000000000100000000"
    );
    for data in ["c400", "c41002000000c00002070000000000000000", "c410", "01"] {
        let refused = store(&Value::new(SERVICE, hex::decode(data).unwrap()));
        assert_eq!(refused, Err(Refused::Content), "{data}");
    }
}

#[test]
fn a_message_needs_a_service() {
    let message = |hexes: &str| store(&Value::new(DHT_MESSAGE, hex::decode(hexes).unwrap()));
    assert!(message("92a3737663c4016d").is_ok());
    assert_eq!(message("92a0c4016d"), Err(Refused::Content));
    assert_eq!(message("c4016d"), Err(Refused::Content));
}

#[test]
fn a_certificate_is_stored_at_its_keys_only() {
    let alice = testing::identity("alice");
    let value = certificate_value::build(alice.chain());
    for key in certificate_value::keys(alice.public_key()) {
        assert!(check_store(&key, &value, from("192.0.2.7:1")).is_ok());
    }
    assert_eq!(store(&value), Err(Refused::Content));
    let junk = Value::new(CERTIFICATE, b"-----BEGIN CERTIFICATE-----");
    assert_eq!(store(&junk), Err(Refused::Content));
}

#[test]
fn signed_values_change_only_by_their_owner_and_forwards() {
    let (alice, bob) = (testing::identity("alice"), testing::identity("bob"));
    let make = |data: &[u8], seq, who: &baraza_identity::DeviceIdentity| {
        secure::sign(&Value::new(0, data).with_seq(seq), who.key(), None).unwrap()
    };
    let old = make(b"old", 5, &alice);
    assert_eq!(check_edit(&old, &make(b"new", 6, &alice)), Ok(()));
    assert_eq!(check_edit(&old, &make(b"old", 5, &alice)), Ok(()));
    let refused = Err(Refused::Edit);
    assert_eq!(check_edit(&old, &make(b"new", 5, &alice)), refused);
    assert_eq!(check_edit(&old, &make(b"new", 4, &alice)), refused);
    assert_eq!(check_edit(&old, &make(b"new", 6, &bob)), refused);
    assert_eq!(check_edit(&old, &Value::new(0, b"new")), refused);
    let sealed = secure::encrypt(&Value::new(0, b"x"), alice.key(), bob.public_key()).unwrap();
    assert_eq!(check_edit(&old, &sealed), refused);
    assert_eq!(check_edit(&sealed, &old), refused);
    assert_eq!(check_edit(&Value::new(0, b"a"), &old), refused);
    assert_eq!(
        check_edit(&Value::new(77, b"a"), &Value::new(77, b"b")),
        refused
    );
}

#[test]
fn a_certificate_changes_only_for_the_same_key() {
    let (alice, bob) = (testing::identity("alice"), testing::identity("bob"));
    let whole = certificate_value::build(alice.chain());
    let leaf = Value::new(CERTIFICATE, alice.chain().leaf().der());
    assert_eq!(check_edit(&whole, &leaf), Ok(()));
    let other = certificate_value::build(bob.chain());
    assert_eq!(check_edit(&whole, &other), Err(Refused::Edit));
    let untyped = Value::new(0, alice.chain().leaf().der());
    assert_eq!(check_edit(&whole, &untyped), Err(Refused::Edit));
}
