//! `baraza-wire`.

use baraza_wire::msgpack::{Reader, Writer};

/// One value is skipped exactly: what was skipped is again one whole value.
pub(crate) fn msgpack(data: &[u8]) -> bool {
    let mut reader = Reader::new(data);
    let Ok(value) = reader.skip() else {
        return false;
    };
    assert_eq!(
        value.len() + reader.rest().len(),
        data.len(),
        "nothing is lost or counted twice"
    );
    let mut writer = Writer::new();
    writer.raw(value);
    let again = writer.into_bytes();
    let mut second = Reader::new(&again);
    assert_eq!(second.skip(), Ok(value), "a skipped value is a whole value");
    assert!(second.is_empty(), "and nothing more");
    true
}
