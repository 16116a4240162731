//! What need not be kept of a packed value: its id, which the record has, and the keys of
//! its maps (docs/protocol/01-dht.md section 6.1). Of a small value they are a third.

use baraza_wire::msgpack::Writer;

/// Before the id.
const HEAD: &[u8] = b"\x82\xa2id";
/// Between the id and the data of a plain value of type 0 without a user type.
const PLAIN: &[u8] = b"\xa3dat\x81\xa4body\x82\xa4type\x00\xa4data";

/// How bytes were stripped: their first byte.
const WHOLE: u8 = 0;
const NO_ID: u8 = 1;
const DATA_ONLY: u8 = 2;

fn head(id: u64) -> Writer {
    let mut writer = Writer::with_capacity(64);
    writer.raw(HEAD).uint(id);
    writer
}

/// The packed value without what [`restore`] can add again.
pub(super) fn strip(id: u64, packed: &[u8]) -> Vec<u8> {
    let (form, rest) = match packed.strip_prefix(head(id).as_bytes()) {
        None => (WHOLE, packed),
        Some(rest) => match rest.strip_prefix(PLAIN) {
            Some(data) => (DATA_ONLY, data),
            None => (NO_ID, rest),
        },
    };
    let mut out = Vec::with_capacity(rest.len().saturating_add(1));
    out.push(form);
    out.extend_from_slice(rest);
    out
}

/// The packed value.
pub(super) fn restore(id: u64, stripped: &[u8]) -> Vec<u8> {
    let Some((form, rest)) = stripped.split_first() else {
        return Vec::new();
    };
    match *form {
        NO_ID => {
            let mut writer = head(id);
            writer.raw(rest);
            writer.into_bytes()
        }
        DATA_ONLY => {
            let mut writer = head(id);
            writer.raw(PLAIN).raw(rest);
            writer.into_bytes()
        }
        _ => rest.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::Value;

    proptest! {
        #[test]
        fn what_was_stripped_comes_back(
            id: u64,
            value_type in 0u16..3,
            data: Vec<u8>,
            user_type in "[a-z]{0,3}",
            priority in 0u32..2,
        ) {
            let packed = Value::new(value_type, &data)
                .with_id(id)
                .with_user_type(&user_type)
                .with_priority(priority)
                .to_packed();
            prop_assert_eq!(restore(id, &strip(id, &packed)), packed);
        }

        #[test]
        fn any_bytes_come_back(id: u64, bytes: Vec<u8>) {
            prop_assert_eq!(restore(id, &strip(id, &bytes)), bytes);
        }
    }

    #[test]
    fn a_small_value_is_kept_in_little_more_than_its_data() {
        let packed = Value::new(0, [7; 64]).with_id(u64::MAX).to_packed();
        assert!(packed.len() > 100);
        assert_eq!(strip(u64::MAX, &packed).len(), 67);
    }
}
