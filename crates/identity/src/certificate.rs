//! X.509 certificates as existing peers write them.
//!
//! The chain of a device is device certificate, account certificate, CA certificate
//! (docs/protocol/02-account.md sections 1 and 2). Nothing here asks for extensions that
//! real device certificates lack, and serial numbers are bytes, because half of the
//! existing ones are negative.

mod chain;
mod issue;
mod parse;

use std::fmt;
use std::sync::Arc;

use baraza_wire::UnixTime;
use thiserror::Error;

use crate::der::DerError;
use crate::key::{BadSignature, KeyError, PublicKey, SignatureScheme};
use crate::name::Name;
use crate::pem;

pub use chain::{CertificateChain, ChainError, ChainParseError, MAX_CHAIN_LEN};
pub use issue::{DEFAULT_VALIDITY, IssueError, Validity, issue_account, issue_ca, issue_device};
pub(crate) use issue::{issue_temporary, serial, signature_algorithm};
pub(crate) use parse::{CRITICAL_TRUE, signature_scheme, signed_parts};

/// Longest certificate that is read, in bytes of DER; real ones have 1.4 kB.
pub const MAX_CERTIFICATE_LEN: usize = 16 * 1024;

/// A certificate that was parsed but not necessarily verified. Clones share it.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    /// Where the signed part ends up when cut out of `der`.
    signed: Vec<u8>,
    scheme: Option<SignatureScheme>,
    signature: Vec<u8>,
    serial: Vec<u8>,
    issuer: Name,
    subject: Name,
    not_before: UnixTime,
    not_after: UnixTime,
    public_key: PublicKey,
    extensions: Extensions,
}

/// What is used of the extensions.
#[derive(Debug, Clone, Default)]
struct Extensions {
    is_ca: bool,
    path_length: Option<u64>,
    /// `None` without the extension, else whether it allows to sign certificates.
    may_sign_certificates: Option<bool>,
    unknown_critical: bool,
}

/// Why bytes are not a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The key inside is not usable.
    #[error("certificate: {0}")]
    Key(#[from] KeyError),
    /// Not a certificate.
    #[error("not a certificate: {0}")]
    Malformed(&'static str),
    /// Longer than [`MAX_CERTIFICATE_LEN`].
    #[error("certificate of {0} bytes, at most {MAX_CERTIFICATE_LEN} are read")]
    TooLong(usize),
}

/// Why a certificate is not signed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignedByError {
    /// The issuer named is not the subject of the other certificate.
    #[error("the certificate names another issuer")]
    OtherIssuer,
    /// The signature does not verify with the issuer's key.
    #[error("bad signature on the certificate")]
    Signature,
    /// A signature algorithm that is not trusted (any more).
    #[error("the certificate is signed with an unsupported algorithm")]
    UnsupportedAlgorithm,
}

impl Certificate {
    /// Parses one DER certificate, without bytes after it.
    ///
    /// # Errors
    /// If it is not one, too long, or holds a key of a kind or size not used here.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        parse::certificate(der).map(|inner| Self(Arc::new(inner)))
    }

    /// Parses the first certificate of a PEM text.
    ///
    /// # Errors
    /// As [`Self::from_der`], and if there is none.
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        match pem::next(PEM_LABEL, text.as_bytes()) {
            pem::Block::Found(der, _) => Self::from_der(&der),
            pem::Block::Bad => Err(CertificateError::Malformed("damaged PEM")),
            pem::Block::None => Err(CertificateError::Malformed("no certificate in the text")),
        }
    }

    /// The DER it was parsed from.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// PEM with 64 columns and LF, as existing peers write it.
    pub fn to_pem(&self) -> String {
        pem::encode(PEM_LABEL, &self.0.der).to_string()
    }

    /// The key it certifies.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// Common name of the subject.
    pub fn common_name(&self) -> Option<&str> {
        self.0.subject.common_name.as_deref()
    }

    /// User id of the subject: the short id of the key, as text.
    pub fn uid(&self) -> Option<&str> {
        self.0.subject.uid.as_deref()
    }

    /// User id of the issuer.
    pub fn issuer_uid(&self) -> Option<&str> {
        self.0.issuer.uid.as_deref()
    }

    /// Begin of its validity.
    pub fn not_before(&self) -> UnixTime {
        self.0.not_before
    }

    /// End of its validity (inclusive, in seconds).
    pub fn not_after(&self) -> UnixTime {
        self.0.not_after
    }

    /// Whether it is marked as allowed to issue certificates.
    pub fn is_ca(&self) -> bool {
        self.0.extensions.is_ca
    }

    /// The content bytes of the serial number. As a number they may be negative and not
    /// minimal, so serials are compared as bytes only.
    pub fn serial(&self) -> &[u8] {
        &self.0.serial
    }

    /// Whether issuer and subject are the same name and its own key signed it.
    pub fn is_self_signed(&self) -> bool {
        self.0.issuer.der == self.0.subject.der && self.verify_signed_by(self).is_ok()
    }

    /// Checks that `issuer` is the one named and that its key signed this certificate.
    /// Says nothing about dates and CA flags: see [`CertificateChain::verify_device`].
    ///
    /// # Errors
    /// The reason why not.
    pub fn verify_signed_by(&self, issuer: &Self) -> Result<(), SignedByError> {
        if self.0.issuer.der != issuer.0.subject.der {
            return Err(SignedByError::OtherIssuer);
        }
        let scheme = self.0.scheme.ok_or(SignedByError::UnsupportedAlgorithm)?;
        issuer
            .public_key()
            .verify_with(scheme, &self.0.signed, &self.0.signature)
            .map_err(|BadSignature| SignedByError::Signature)
    }

    /// The subject as DER, for comparing with issuers.
    pub(crate) fn subject_der(&self) -> &[u8] {
        &self.0.subject.der
    }

    /// The issuer as DER, for comparing with subjects.
    pub(crate) fn issuer_der(&self) -> &[u8] {
        &self.0.issuer.der
    }

    fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Certificate({:?}, {})",
            self.common_name().unwrap_or_default(),
            self.public_key().long_id().short()
        )
    }
}

impl From<DerError> for CertificateError {
    fn from(error: DerError) -> Self {
        Self::Malformed(error.0)
    }
}

const PEM_LABEL: &str = "CERTIFICATE";

#[cfg(test)]
mod tests;
