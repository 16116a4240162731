//! The account archive: everything needed to make further devices of an account
//! (docs/protocol/02-account.md section 4).
//!
//! [`Archive`] is the content, [`Archive::read`] and [`Archive::write`] are the file. The
//! private key of a *device* is never in it: daemons of 2023 leak the exporting device's
//! key into their exports, and that is neither read nor written here.

mod container;
mod entries;
mod json;

use std::collections::BTreeMap;
use std::fmt;

use baraza_wire::{AccountId, ConversationId, Rng, UnixTime};
use serde_json::Value;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::certificate::{
    Certificate, CertificateChain, ChainParseError, IssueError, Validity, issue_account, issue_ca,
    issue_device,
};
use crate::crl::{CrlError, RevocationList, Revocations};
use crate::device::{DeviceError, DeviceIdentity};
use crate::encrypt::{self, EncryptError};
use crate::eth::EthKey;
use crate::key::{KeyError, PrivateKey};
use crate::password::{Password, StretchError};

pub use container::{ArchiveKey, MAX_ARCHIVE_LEN};
pub(crate) use container::{compress, decompress};
pub use entries::{Contact, Conversation, Request};

/// Bits of the RSA keys made here.
pub(crate) const RSA_BITS: u32 = 4096;

/// The content of an account archive.
#[derive(Clone, PartialEq, Eq)]
pub struct Archive {
    /// Key of the account: its short id is the Jami ID.
    pub account_key: PrivateKey,
    /// Account and CA certificate.
    pub account_chain: CertificateChain,
    /// Key of the CA; absent for some imported accounts, whose certificates can then not
    /// be renewed.
    pub ca_key: Option<PrivateKey>,
    /// Ethereum key; always written by existing peers, missing in damaged archives.
    pub eth_key: Option<EthKey>,
    /// The newest list of revoked devices.
    pub crl: Option<RevocationList>,
    /// Contacts, with those removed and banned.
    pub contacts: BTreeMap<AccountId, Contact>,
    /// Conversations of the account.
    pub conversations: BTreeMap<ConversationId, Conversation>,
    /// Requests to join conversations.
    pub requests: BTreeMap<ConversationId, Request>,
    /// Settings by their names in account details (section 15), for new devices. Settings
    /// of one device or one machine and the leaked device key are never in here.
    pub settings: BTreeMap<String, String>,
    /// Entries of the file that mean nothing to this program, kept as they came.
    pub unknown: BTreeMap<String, Value>,
}

/// Why an archive cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The CA certificate is for another key than the archive's CA key.
    #[error("the archive's CA key does not belong to its CA certificate")]
    CaKeyMismatch,
    /// The account certificate is for another key than the archive's account key.
    #[error("the archive's account key does not belong to its account certificate")]
    AccountKeyMismatch,
    /// The certificates are missing or unusable.
    #[error("the archive's account certificate is unusable: {0}")]
    Chain(#[from] ChainParseError),
    /// The file ends too early.
    #[error("the archive file is cut short")]
    Cut,
    /// The file is no archive or was changed.
    #[error("the archive file is damaged: {0}")]
    Damaged(&'static str),
    /// The content is not what it should be.
    #[error("the archive's content is not valid JSON (line {line}, column {column})")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// The account key cannot be used.
    #[error("the archive's account key is unusable: {0}")]
    Key(#[from] KeyError),
    /// No account key inside.
    #[error("the archive holds no account key")]
    NoAccountKey,
    /// A password was given for an archive without one.
    #[error("the archive has no password")]
    NotEncrypted,
    /// The archive is encrypted and no password was given.
    #[error("the archive needs a password")]
    PasswordNeeded,
    /// The key could not be derived from the password.
    #[error(transparent)]
    Stretch(#[from] StretchError),
    /// More than [`MAX_ARCHIVE_LEN`] bytes, packed or unpacked.
    #[error("the archive is larger than {MAX_ARCHIVE_LEN} bytes")]
    TooLarge,
    /// More than two gzip layers.
    #[error("the archive is compressed more than twice")]
    TooManyLayers,
    /// The password is wrong, or the encrypted part was changed: the encryption cannot
    /// tell which.
    #[error("wrong password or damaged file")]
    WrongPassword,
}

/// Why the archive made no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ArchiveIssueError {
    /// The chain would get too long.
    #[error(transparent)]
    Chain(#[from] ChainParseError),
    /// The revocation list cannot be made.
    #[error(transparent)]
    Crl(#[from] CrlError),
    /// Key and certificate do not fit.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The certificate cannot be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The archive has no CA key, or the account was certified by somebody else.
    #[error(
        "the account's certificate authority is not in the archive, so that its certificates cannot be renewed"
    )]
    NoAuthority,
}

impl Archive {
    /// An archive of keys only.
    ///
    /// # Errors
    /// If the account key is not the one certified.
    pub fn new(
        account_key: PrivateKey,
        account_chain: CertificateChain,
        ca_key: Option<PrivateKey>,
        eth_key: Option<EthKey>,
    ) -> Result<Self, ArchiveError> {
        let archive = Self {
            account_key,
            account_chain,
            ca_key,
            eth_key,
            crl: None,
            contacts: BTreeMap::new(),
            conversations: BTreeMap::new(),
            requests: BTreeMap::new(),
            settings: BTreeMap::new(),
            unknown: BTreeMap::new(),
        };
        archive.check_keys()?;
        Ok(archive)
    }

    /// The Jami ID.
    pub fn account_id(&self) -> AccountId {
        self.account_key.public_key().short_id().into()
    }

    /// Certificate of the account.
    pub fn account_certificate(&self) -> &Certificate {
        self.account_chain.leaf()
    }

    /// Reads an archive file, with at most one extra layer of gzip around it. An empty
    /// password counts as none.
    ///
    /// With a password this takes most of a second (see [`crate::password::stretch`]).
    ///
    /// # Errors
    /// See [`ArchiveError`]; nothing of a file that is not whole is used.
    pub fn read(bytes: &[u8], password: Option<&Password>) -> Result<Self, ArchiveError> {
        let file = container::unwrap(bytes)?;
        match password.filter(|password| !password.is_empty()) {
            None => Self::from_json(&container::open_plain(&file)?),
            Some(password) => {
                container::check_encrypted(&file)?;
                let key = ArchiveKey::derive(&file, password)?;
                Self::from_json(&container::open_encrypted(&file, &key)?)
            }
        }
    }

    /// Whether an archive file has a password. Says nothing of whether it is whole.
    pub fn is_encrypted(bytes: &[u8]) -> bool {
        match container::unwrap(bytes) {
            Ok(file) => matches!(
                container::open_plain(&file),
                Err(ArchiveError::PasswordNeeded)
            ),
            // A salt that happens to look like gzip.
            Err(_) => true,
        }
    }

    /// Reads an encrypted archive file with a key that was kept, which skips the slow
    /// derivation. It fits as long as the file keeps its salt.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub fn read_with_key(bytes: &[u8], key: &ArchiveKey) -> Result<Self, ArchiveError> {
        let file = container::unwrap(bytes)?;
        container::check_encrypted(&file)?;
        Self::from_json(&container::open_encrypted(&file, key)?)
    }

    /// Writes the archive file: gzip without a password, encrypted with one. With a
    /// password a fresh salt is drawn and this takes most of a second.
    ///
    /// # Errors
    /// If the key derivation fails or the content is too large.
    pub fn write(
        &self,
        password: Option<&Password>,
        rng: &mut Rng,
    ) -> Result<Vec<u8>, ArchiveError> {
        match password.filter(|password| !password.is_empty()) {
            None => container::seal_plain(&self.to_json(false)?),
            Some(password) => {
                let key = ArchiveKey::new(password, rng)?;
                self.write_with_key(&key, rng)
            }
        }
    }

    /// Writes the archive file encrypted with a key that was kept, under the same salt.
    ///
    /// # Errors
    /// If the content is too large.
    pub fn write_with_key(&self, key: &ArchiveKey, rng: &mut Rng) -> Result<Vec<u8>, ArchiveError> {
        container::seal_encrypted(&self.to_json(true)?, key, rng)
    }

    /// Reads the JSON text inside, which is also what a device being linked is sent.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    pub fn from_json(json: &[u8]) -> Result<Self, ArchiveError> {
        if json.len() > MAX_ARCHIVE_LEN {
            return Err(ArchiveError::TooLarge);
        }
        let archive = json::read(json)?;
        archive.check_keys()?;
        Ok(archive)
    }

    /// The JSON text: one object, keys sorted, no blanks. `has_password` corrects the
    /// setting `Account.archiveHasPassword` if it is among the settings.
    ///
    /// # Errors
    /// If it would be too large to be read again.
    pub fn to_json(&self, has_password: bool) -> Result<Zeroizing<Vec<u8>>, ArchiveError> {
        let json = json::write(self, has_password);
        if json.len() > MAX_ARCHIVE_LEN {
            return Err(ArchiveError::TooLarge);
        }
        Ok(json)
    }

    fn check_keys(&self) -> Result<(), ArchiveError> {
        if self.account_key.public_key() != self.account_certificate().public_key() {
            return Err(ArchiveError::AccountKeyMismatch);
        }
        let ca = self.account_chain.certificates().get(1);
        match (&self.ca_key, ca) {
            (Some(key), Some(ca)) if key.public_key() != ca.public_key() => {
                Err(ArchiveError::CaKeyMismatch)
            }
            _ => Ok(()),
        }
    }

    /// Makes a further device of the account: a fresh RSA-4096 key and its certificate.
    /// Takes a second or more: call it off the async threads.
    ///
    /// # Errors
    /// If the library fails.
    pub fn new_device(
        &self,
        now: UnixTime,
        rng: &mut Rng,
    ) -> Result<DeviceIdentity, ArchiveIssueError> {
        self.certify_device(PrivateKey::generate_rsa(RSA_BITS)?, now, rng)
    }

    /// Certifies a device key that exists already.
    ///
    /// # Errors
    /// If the library fails.
    pub fn certify_device(
        &self,
        key: PrivateKey,
        now: UnixTime,
        rng: &mut Rng,
    ) -> Result<DeviceIdentity, ArchiveIssueError> {
        let leaf = issue_device(
            &self.account_key,
            self.account_certificate(),
            key.public_key(),
            Validity::from_now(now),
            rng,
        )?;
        let chain = self.account_chain.with_leaf(leaf)?;
        Ok(DeviceIdentity::new(key, chain)?)
    }

    /// Everything the archive's list revokes. A list the account did not sign counts for
    /// nothing.
    pub fn revocations(&self) -> Revocations {
        let mut revocations = Revocations::new(self.account_certificate().clone());
        if let Some(list) = &self.crl {
            // An error leaves the set as it was, which is the wish.
            let _ = revocations.merge(list);
        }
        revocations
    }

    /// Revokes a device of this account: makes a new list, keeps it in the archive and
    /// returns it for publishing.
    ///
    /// # Errors
    /// If the certificate was issued by somebody else or signing fails.
    pub fn revoke(
        &mut self,
        device: &Certificate,
        now: UnixTime,
        rng: &mut Rng,
    ) -> Result<RevocationList, ArchiveIssueError> {
        let list = RevocationList::issue(
            &self.account_key,
            self.account_certificate(),
            Some(&self.revocations()),
            &[device],
            now,
            rng,
        )?;
        self.crl = Some(list.clone());
        Ok(list)
    }

    /// Whether a certificate above the devices has expired or is not marked as authority
    /// (section 11.2).
    pub fn needs_renewal(&self, now: UnixTime) -> bool {
        let mut above = self.account_chain.certificates().iter();
        above.any(|certificate| !certificate.is_ca() || certificate.not_after().secs() < now.secs())
    }

    /// Makes CA and account certificate anew from the same keys, so that no id changes.
    /// Devices need new certificates afterwards ([`Self::certify_device`]).
    ///
    /// # Errors
    /// If the archive has no CA key, or the CA is not a self-signed one.
    pub fn renew(&mut self, now: UnixTime, rng: &mut Rng) -> Result<(), ArchiveIssueError> {
        let ca_key = self
            .ca_key
            .as_ref()
            .filter(|_| self.account_chain.certificates().len() == 2)
            .ok_or(ArchiveIssueError::NoAuthority)?;
        let validity = Validity::from_now(now);
        let ca = issue_ca(ca_key, validity, rng)?;
        let account = issue_account(ca_key, &ca, self.account_key.public_key(), validity, rng)?;
        self.account_chain = CertificateChain::new(vec![account, ca])?;
        Ok(())
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive")
            .field("account_id", &self.account_id())
            .field("contacts", &self.contacts.len())
            .field("conversations", &self.conversations.len())
            .finish_non_exhaustive()
    }
}

impl From<EncryptError> for ArchiveError {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::Short => Self::Cut,
            EncryptError::Stretch(error) => Self::Stretch(error),
            EncryptError::KeyLength(_) | EncryptError::Tag => Self::WrongPassword,
        }
    }
}

/// Bytes in front of and behind the encrypted content.
const OVERHEAD: usize = encrypt::SALT_LEN + encrypt::IV_LEN + encrypt::TAG_LEN;

#[cfg(test)]
mod tests;
