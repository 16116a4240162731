use std::collections::BTreeMap;

use baraza_wire::UnixTime;

use super::{CrlError, RevocationList};
use crate::certificate::Certificate;

/// Most revoked devices remembered per account.
pub const MAX_REVOKED: usize = 4096;

/// Everything an account has ever revoked: what verified lists say, put together.
///
/// It only grows. An older or a shorter list, replayed by whoever has it, does not bring a
/// device back (docs/protocol/02-account.md section 18).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocations {
    issuer: Certificate,
    latest: Option<RevocationList>,
    revoked: BTreeMap<Vec<u8>, UnixTime>,
}

impl Revocations {
    /// Nothing revoked yet by the account with this certificate.
    pub fn new(account: Certificate) -> Self {
        Self {
            issuer: account,
            latest: None,
            revoked: BTreeMap::new(),
        }
    }

    /// Verifies `list` and adds it. Returns whether anything changed.
    ///
    /// # Errors
    /// If the account did not sign the list, or it would grow beyond [`MAX_REVOKED`].
    pub fn merge(&mut self, list: &RevocationList) -> Result<bool, CrlError> {
        list.verify(&self.issuer)?;
        let new = list
            .revoked()
            .filter(|(serial, _)| !self.revoked.contains_key(*serial))
            .count();
        if self.revoked.len().saturating_add(new) > MAX_REVOKED {
            return Err(CrlError::Malformed("too many revoked devices"));
        }
        for (serial, date) in list.revoked() {
            self.revoked.entry(serial.to_vec()).or_insert(date);
        }
        // The numbers of 2023 lists do not grow, so that the date decides which is latest.
        let rank = |list: &RevocationList| (list.this_update(), list.revoked().len());
        let newer = self
            .latest
            .as_ref()
            .is_none_or(|latest| rank(list) > rank(latest));
        if newer {
            self.latest = Some(list.clone());
        }
        Ok(new > 0 || newer)
    }

    /// Whether `certificate` was issued by this account and is revoked.
    pub fn revokes(&self, certificate: &Certificate) -> bool {
        certificate.issuer_der() == self.issuer.subject_der()
            && self.revoked.contains_key(certificate.serial())
    }

    /// The newest list, for storing and publishing.
    pub fn latest(&self) -> Option<&RevocationList> {
        self.latest.as_ref()
    }

    /// Revoked serial numbers (raw bytes) and when they were revoked.
    pub fn revoked(&self) -> impl ExactSizeIterator<Item = (&[u8], UnixTime)> {
        self.revoked
            .iter()
            .map(|(serial, date)| (serial.as_slice(), *date))
    }
}
