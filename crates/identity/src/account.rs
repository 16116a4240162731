//! Making a new account.

use baraza_wire::{AccountId, Rng, UnixTime};
use thiserror::Error;

use crate::archive::{Archive, ArchiveError, ArchiveIssueError, RSA_BITS};
use crate::certificate::{
    CertificateChain, ChainParseError, IssueError, Validity, issue_account, issue_ca,
    issue_temporary,
};
use crate::device::{DeviceError, DeviceIdentity};
use crate::eth::{EthKey, EthKeyError};
use crate::key::{KeyError, PrivateKey};

/// A new account with its first device (docs/protocol/02-account.md section 3).
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Keys and certificates, to be written as the account archive.
    pub archive: Archive,
    /// The first device, to be written as key and certificate file.
    pub device: DeviceIdentity,
}

/// What [`NewAccount::generate`] is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Key of the certificate authority, one of the three slow steps.
    AuthorityKey,
    /// Key of the account, slow.
    AccountKey,
    /// Key of the first device, slow.
    DeviceKey,
    /// Certificates, then done.
    Certificates,
}

/// Why no account was made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NewAccountError {
    /// The parts do not fit, which they always do.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The parts do not fit, which they always do.
    #[error(transparent)]
    Chain(#[from] ChainParseError),
    /// The device certificate cannot be made.
    #[error(transparent)]
    Device(#[from] ArchiveIssueError),
    /// Key and chain do not fit, which they always do.
    #[error(transparent)]
    Identity(#[from] DeviceError),
    /// No Ethereum key could be made.
    #[error(transparent)]
    Eth(#[from] EthKeyError),
    /// A certificate cannot be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl NewAccount {
    /// Makes all keys and certificates of a new account, calling `progress` before each
    /// step. Takes several seconds: call it off the async threads. Like every generation
    /// of keys it takes its randomness from the operating system.
    ///
    /// # Errors
    /// If the cryptographic library fails.
    pub fn generate(
        now: UnixTime,
        progress: &mut dyn FnMut(Step),
    ) -> Result<Self, NewAccountError> {
        let mut key = |step| {
            progress(step);
            PrivateKey::generate_rsa(RSA_BITS)
        };
        let ca_key = key(Step::AuthorityKey)?;
        let account_key = key(Step::AccountKey)?;
        let device_key = key(Step::DeviceKey)?;
        progress(Step::Certificates);
        Self::from_keys(ca_key, account_key, device_key, now, &mut Rng::from_os())
    }

    /// Makes the certificates of a new account from keys that exist.
    ///
    /// # Errors
    /// If the cryptographic library fails.
    pub fn from_keys(
        ca_key: PrivateKey,
        account_key: PrivateKey,
        device_key: PrivateKey,
        now: UnixTime,
        rng: &mut Rng,
    ) -> Result<Self, NewAccountError> {
        let validity = Validity::from_now(now);
        let ca = issue_ca(&ca_key, validity, rng)?;
        let account = issue_account(&ca_key, &ca, account_key.public_key(), validity, rng)?;
        let chain = CertificateChain::new(vec![account, ca])?;
        let eth_key = EthKey::generate()?;
        let archive = Archive::new(account_key, chain, Some(ca_key), Some(eth_key))?;
        let device = archive.certify_device(device_key, now, rng)?;
        Ok(Self { archive, device })
    }

    /// The Jami ID.
    pub fn account_id(&self) -> AccountId {
        self.archive.account_id()
    }
}

/// Makes the identity a device without account has while it is being linked, to be thrown
/// away afterwards (docs/protocol/02-account.md section 10.2). `progress` is called before
/// each slow step, as for a new account. Takes seconds: call it off the async threads.
///
/// # Errors
/// If the cryptographic library fails.
pub fn temporary_identity(
    now: UnixTime,
    progress: &mut dyn FnMut(Step),
) -> Result<DeviceIdentity, NewAccountError> {
    // Nobody ever trusts this authority, so that its key can be a quick one.
    progress(Step::AuthorityKey);
    let ca = PrivateKey::generate_rsa(2048)?;
    progress(Step::AccountKey);
    let user = PrivateKey::generate_rsa(RSA_BITS)?;
    progress(Step::DeviceKey);
    let device = PrivateKey::generate_rsa(RSA_BITS)?;
    progress(Step::Certificates);
    let (validity, rng) = (Validity::from_now(now), &mut Rng::from_os());
    let chain = issue_temporary(&ca, &user, device.public_key(), validity, rng)?;
    Ok(DeviceIdentity::new(device, CertificateChain::new(chain)?)?)
}
