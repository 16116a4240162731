//! Revocation lists under a Jami ID (docs/protocol/02-account.md section 7 and 9.4): a
//! plain value whose data is a msgpack byte string with the DER list.

use baraza_dht::{Value, value_type};
use baraza_identity::RevocationList;
use baraza_wire::Rng;
use baraza_wire::msgpack::{Reader, Writer};

/// The value to put permanently under the Jami ID.
pub fn value(list: &RevocationList, rng: &mut Rng) -> Value {
    let mut writer = Writer::new();
    writer.bin(list.der());
    Value::new(value_type::USER_DATA, writer.as_bytes()).with_random_id(rng)
}

/// The list in a value, which anybody may have put there: its signature is to be verified
/// with the certificate of the account.
pub fn parse(value: &Value) -> Option<RevocationList> {
    if value.value_type() != value_type::USER_DATA || value.is_encrypted() {
        return None;
    }
    let mut reader = Reader::new(value.data());
    let der = reader.bin().ok()?;
    if !reader.is_empty() {
        return None;
    }
    RevocationList::from_der(der).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::tests_support::vector;

    #[test]
    fn a_real_list_is_read_and_written() {
        let packed = vector("account-crl/crl.value.msgpack");
        let real = Value::from_packed(&packed).unwrap();
        let list = parse(&real).unwrap();
        assert_eq!(list.der(), vector("account-crl/crl.der"));
        let ours = value(&list, &mut Rng::from_seed(1)).with_id(real.id);
        assert_eq!(ours.to_packed(), packed);
    }

    #[test]
    fn other_values_are_no_lists() {
        let announcement = vector("account-crl/announcement.value.msgpack");
        assert_eq!(parse(&Value::from_packed(&announcement).unwrap()), None);
        assert_eq!(parse(&Value::new(0, [])), None);
        let der = vector("account-crl/crl.der");
        assert_eq!(parse(&Value::new(0, der)), None, "not wrapped");
    }
}
