use std::fmt;
use std::sync::Arc;

use baraza_wire::{AccountId, DeviceId, UnixTime};
use thiserror::Error;

use super::{Certificate, CertificateError, MAX_CERTIFICATE_LEN, PEM_LABEL, SignedByError};
use crate::der::{self, Reader};
use crate::pem;

/// Most certificates of a chain. Chains of existing accounts have 3, those of managed
/// accounts a few more.
pub const MAX_CHAIN_LEN: usize = 8;

/// Certificates, leaf first, each issued by the next (docs/protocol/02-account.md
/// section 2). Parsing does not verify that: [`Self::verify_device`] does. Clones share.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateChain(Arc<[Certificate]>);

/// Why bytes are not a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChainParseError {
    /// One of the certificates is bad.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// No certificate at all.
    #[error("no certificate found")]
    Empty,
    /// A PEM block is damaged.
    #[error("a certificate of the chain is damaged")]
    Pem,
    /// More than [`MAX_CHAIN_LEN`].
    #[error("more than {MAX_CHAIN_LEN} certificates in a chain")]
    TooMany,
}

/// Why a chain does not prove that a device belongs to an account.
///
/// Positions count from the leaf: 0 is the device, 1 its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChainError {
    /// A critical extension that this program does not know.
    #[error("certificate {0} of the chain has an unknown critical extension")]
    CriticalExtension(usize),
    /// Not valid any more.
    #[error("certificate {0} of the chain has expired")]
    Expired(usize),
    /// The user id of the device or the account is not the id of its key.
    #[error("certificate {0} of the chain names another key id than its key has")]
    KeyId(usize),
    /// Issued a certificate without being allowed to.
    #[error("certificate {0} of the chain is not a certificate authority")]
    NotCa(usize),
    /// Not valid yet.
    #[error("certificate {0} of the chain is not valid yet")]
    NotYetValid(usize),
    /// More certificates below than the authority's path length allows.
    #[error("certificate {0} of the chain may not have that many certificates below it")]
    PathLength(usize),
    /// The last certificate is not signed by itself.
    #[error("the chain does not end with a self-signed certificate")]
    RootNotSelfSigned,
    /// The device certificate is signed by itself.
    #[error("the device certificate is self-signed")]
    SelfSignedDevice,
    /// Not issued by the next one.
    #[error("certificate {0} of the chain: {1}")]
    Signature(usize, SignedByError),
    /// There is no issuer.
    #[error("the device certificate comes without its issuer")]
    TooShort,
    /// The key is not RSA, so that it cannot sign or decrypt anything.
    #[error("the key of certificate {0} of the chain is not RSA")]
    NotRsa(usize),
}

impl CertificateChain {
    /// From certificates, leaf first.
    ///
    /// # Errors
    /// If there are none or more than [`MAX_CHAIN_LEN`].
    pub fn new(certificates: Vec<Certificate>) -> Result<Self, ChainParseError> {
        if certificates.is_empty() {
            return Err(ChainParseError::Empty);
        }
        if certificates.len() > MAX_CHAIN_LEN {
            return Err(ChainParseError::TooMany);
        }
        Ok(Self(certificates.into()))
    }

    /// Parses PEM blocks with anything before, between and after them (values of the DHT
    /// have a msgpack header in front), or, without any PEM, DER certificates one after
    /// the other.
    ///
    /// # Errors
    /// If there is none, one is bad, or there are too many.
    pub fn from_pem(text: impl AsRef<[u8]>) -> Result<Self, ChainParseError> {
        let mut rest = text.as_ref();
        let mut certificates = Vec::new();
        loop {
            match pem::next(PEM_LABEL, rest) {
                pem::Block::None if certificates.is_empty() => return Self::from_der(rest),
                pem::Block::None => return Self::new(certificates),
                pem::Block::Bad => return Err(ChainParseError::Pem),
                pem::Block::Found(..) if certificates.len() >= MAX_CHAIN_LEN => {
                    return Err(ChainParseError::TooMany);
                }
                pem::Block::Found(der, after) => {
                    certificates.push(Certificate::from_der(&der)?);
                    rest = after;
                }
            }
        }
    }

    /// Parses DER certificates one after the other.
    ///
    /// # Errors
    /// If there is none, one is bad, or there are too many.
    pub fn from_der(bytes: &[u8]) -> Result<Self, ChainParseError> {
        if bytes.len() > MAX_CERTIFICATE_LEN.saturating_mul(MAX_CHAIN_LEN) {
            return Err(ChainParseError::TooMany);
        }
        if bytes.first() != Some(&der::SEQUENCE) {
            return Err(ChainParseError::Empty);
        }
        let mut reader = Reader::new(bytes);
        let mut certificates = Vec::new();
        while !reader.is_empty() {
            if certificates.len() >= MAX_CHAIN_LEN {
                return Err(ChainParseError::TooMany);
            }
            let item = reader
                .expect(der::SEQUENCE, "not a sequence")
                .map_err(CertificateError::from)?;
            certificates.push(Certificate::from_der(item.whole)?);
        }
        Self::new(certificates)
    }

    /// PEM of all certificates, leaf first.
    pub fn to_pem(&self) -> String {
        self.0.iter().map(Certificate::to_pem).collect()
    }

    /// All certificates, leaf first; never empty.
    pub fn certificates(&self) -> &[Certificate] {
        &self.0
    }

    /// The first certificate.
    #[expect(
        clippy::indexing_slicing,
        reason = "every constructor refuses an empty chain"
    )]
    pub fn leaf(&self) -> &Certificate {
        &self.0[0]
    }

    /// The long id of the leaf's key. Proves nothing before [`Self::verify_device`].
    pub fn device_id(&self) -> DeviceId {
        self.leaf().public_key().long_id()
    }

    /// The account the chain claims: the short id of the direct issuer's key; `None` if
    /// there is only a leaf. Proves nothing before [`Self::verify_device`].
    pub fn account_id(&self) -> Option<AccountId> {
        let issuer = self.0.get(1)?;
        Some(issuer.public_key().short_id().into())
    }

    /// The chain without its leaf: what an account archive holds. `None` if there is only
    /// a leaf.
    pub fn account_chain(&self) -> Option<Self> {
        let (_, above) = self.0.split_first()?;
        Self::new(above.to_vec()).ok()
    }

    /// This chain with `leaf`, which it issued, in front.
    ///
    /// # Errors
    /// If that makes it too long.
    pub fn with_leaf(&self, leaf: Certificate) -> Result<Self, ChainParseError> {
        let mut certificates = vec![leaf];
        certificates.extend(self.0.iter().cloned());
        Self::new(certificates)
    }

    /// Verifies the whole chain at the time `now` and returns the account the device
    /// belongs to (docs/protocol/02-account.md sections 6 and 18).
    ///
    /// Who the top certificate is does not matter: any device may present any authority.
    /// What counts is the account id. Revocation is a separate question, see
    /// [`crate::crl::RevocationList::revokes`].
    ///
    /// # Errors
    /// The first reason found against it.
    pub fn verify_device(&self, now: UnixTime) -> Result<AccountId, ChainError> {
        let account = self.account_id().ok_or(ChainError::TooShort)?;
        if self.leaf().is_self_signed() {
            return Err(ChainError::SelfSignedDevice);
        }
        self.verify(Some(now), 0)?;
        Ok(account)
    }

    /// As [`Self::verify_device`], but whatever the dates say: for live connections, whose
    /// peers may have wrong clocks (docs/protocol/04-connection.md section 10.2).
    ///
    /// # Errors
    /// The first reason found against it.
    pub fn verify_device_ignoring_dates(&self) -> Result<AccountId, ChainError> {
        let account = self.account_id().ok_or(ChainError::TooShort)?;
        if self.leaf().is_self_signed() {
            return Err(ChainError::SelfSignedDevice);
        }
        self.verify(None, 0)?;
        Ok(account)
    }

    /// Verifies a chain that begins with an account certificate.
    ///
    /// # Errors
    /// The first reason found against it; positions begin with 1.
    pub fn verify_account(&self, now: UnixTime) -> Result<AccountId, ChainError> {
        self.verify(Some(now), 1)?;
        Ok(self.leaf().public_key().short_id().into())
    }

    /// `first` is the position of the first certificate: 0 for a device, 1 for an account.
    /// Dates count only with a `now`.
    fn verify(&self, now: Option<UnixTime>, first: usize) -> Result<(), ChainError> {
        for (index, certificate) in self.0.iter().enumerate() {
            let position = index.saturating_add(first);
            check_alone(certificate, position, now)?;
            match self.0.get(index.saturating_add(1)) {
                Some(issuer) => certificate
                    .verify_signed_by(issuer)
                    .map_err(|reason| ChainError::Signature(position, reason))?,
                None if certificate.is_self_signed() => {}
                None => return Err(ChainError::RootNotSelfSigned),
            }
        }
        Ok(())
    }
}

/// Everything that can be said about one certificate of a chain without its issuer.
fn check_alone(
    certificate: &Certificate,
    position: usize,
    now: Option<UnixTime>,
) -> Result<(), ChainError> {
    let extensions = certificate.extensions();
    if extensions.unknown_critical {
        return Err(ChainError::CriticalExtension(position));
    }
    // Authorities may have names of their own making: nothing depends on their ids.
    let own_id = certificate.public_key().short_id().to_hex();
    let named = certificate.uid().filter(|_| position <= 1);
    if named.is_some_and(|uid| !uid.eq_ignore_ascii_case(&own_id)) {
        return Err(ChainError::KeyId(position));
    }
    if position <= 1 && certificate.public_key().rsa_bits().is_none() {
        return Err(ChainError::NotRsa(position));
    }
    if position > 0 {
        if !extensions.is_ca || extensions.may_sign_certificates == Some(false) {
            return Err(ChainError::NotCa(position));
        }
        // Authorities between this one and the leaf.
        let below = u64::try_from(position.saturating_sub(1)).unwrap_or(u64::MAX);
        if extensions.path_length.is_some_and(|most| below > most) {
            return Err(ChainError::PathLength(position));
        }
    }
    let Some(now) = now else {
        return Ok(());
    };
    if now.secs() < certificate.not_before().secs() {
        return Err(ChainError::NotYetValid(position));
    }
    if now.secs() > certificate.not_after().secs() {
        return Err(ChainError::Expired(position));
    }
    Ok(())
}

impl fmt::Debug for CertificateChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter()).finish()
    }
}
