//! `baraza-dht`.

use baraza_dht::query::decode_rows;
use baraza_dht::{Query, Value, certificate_value, infohash, secure, value_type};
use baraza_wire::msgpack::{Reader, Writer};

/// A packed value, and the rules for storing it.
pub(crate) fn value(data: &[u8]) -> bool {
    let Ok(value) = Value::from_packed(data) else {
        return false;
    };
    let packed = value.to_packed();
    assert_eq!(packed.len(), value.packed_len(), "the length is known");
    let again = Value::from_packed(&packed);
    assert_eq!(again.as_ref(), Ok(&value), "what was written reads");
    assert_eq!(
        again.map(|value| value.to_packed()),
        Ok(packed),
        "the same is written again"
    );
    let _signer = secure::verify(&value);
    let key = infohash(data);
    let _chain = certificate_value::parse(&key, &value);
    let from = ([192, 0, 2, 1], 4222).into();
    let stored = value_type::check_store(&key, &value, from);
    if let Ok(stored) = stored {
        let packed = Value::from_packed(&stored.to_packed());
        assert_eq!(packed.as_ref(), Ok(&*stored), "what is stored can be sent");
    }
    let _edit = value_type::check_edit(&value, &value);
    true
}

/// A query in either form, and a reply to one with a selection.
pub(crate) fn query(data: &[u8]) -> bool {
    let mut understood = decode_rows(&mut Reader::new(data)).is_ok();
    let text = String::from_utf8_lossy(data);
    let decoded = Query::decode(&mut Reader::new(data)).ok();
    for query in [decoded, text.parse().ok()].into_iter().flatten() {
        understood = true;
        let mut writer = Writer::new();
        query.encode(&mut writer);
        let again = Query::decode(&mut Reader::new(writer.as_bytes()));
        assert_eq!(again.as_ref(), Ok(&query), "what was written reads");
        assert!(query.is_satisfied_by(&query), "a query satisfies itself");
    }
    understood
}
