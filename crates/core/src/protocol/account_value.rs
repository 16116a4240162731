//! Looking an account's devices up: what values under a Jami ID are
//! (docs/protocol/02-account.md section 9.4).

use baraza_dht::Value;
use baraza_identity::RevocationList;
use baraza_wire::AccountId;

use super::announcement::{Announcement, AnnouncementError};
use super::crl;

/// A value found under a Jami ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountValue {
    /// One of the account's devices. The caller fetches its certificate, and keeps one
    /// answer per device: there may be several announcements of each.
    Device(Announcement),
    /// A revocation list, not verified yet.
    Revocations(RevocationList),
}

impl AccountValue {
    /// Reads and verifies a value. Does RSA.
    ///
    /// # Errors
    /// If it is nothing that belongs under the id.
    pub fn parse(account: AccountId, value: &Value) -> Result<Self, AnnouncementError> {
        match crl::parse(value) {
            Some(list) => Ok(Self::Revocations(list)),
            None => Announcement::parse(account, value).map(Self::Device),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::tests_support::vector;

    #[test]
    fn devices_and_revocations_are_told_apart() {
        let value = |name: &str| Value::from_packed(&vector(name)).unwrap();
        let announcement = value("account-crl/announcement.value.msgpack");
        let account = announcement.owner_id().unwrap().into();
        let device = AccountValue::parse(account, &announcement).unwrap();
        assert!(matches!(device, AccountValue::Device(_)));
        let list = value("account-crl/crl.value.msgpack");
        let list = AccountValue::parse(account, &list).unwrap();
        assert!(matches!(list, AccountValue::Revocations(_)));
        let certificate = value("account-crl/certificate.value.msgpack");
        assert!(AccountValue::parse(account, &certificate).is_err());
    }
}
