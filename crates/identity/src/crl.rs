//! Revocation lists: which devices of an account are no longer trusted.
//!
//! Read and written here byte by byte, because existing lists have negative numbers and
//! name devices with negative serial numbers (docs/protocol/02-account.md section 11.1,
//! docs/protocol/01-dht.md section 8.2).

mod revocations;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use baraza_wire::{Rng, UnixTime};
use thiserror::Error;

use crate::certificate::{
    Certificate, serial, signature_algorithm, signature_scheme, signed_parts,
};
use crate::der::{self, DerError, Item, Reader};
use crate::key::{BadSignature, KeyError, PrivateKey, SignatureScheme};
use crate::name::{self, Name};
use crate::time;

pub use revocations::{MAX_REVOKED, Revocations};

/// Longest list that is read, in bytes of DER: what a value of the DHT can hold. Room for
/// some 1900 devices.
pub const MAX_CRL_LEN: usize = 64 * 1024;

/// 2.5.29.20
const CRL_NUMBER: [u8; 3] = [0x55, 0x1d, 20];
/// 2.5.29.35
const AUTHORITY_KEY_ID: [u8; 3] = [0x55, 0x1d, 35];

/// A list that was parsed but not necessarily verified. Clones share it.
#[derive(Clone)]
pub struct RevocationList(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    signed: Vec<u8>,
    scheme: Option<SignatureScheme>,
    signature: Vec<u8>,
    issuer: Name,
    number: Option<Vec<u8>>,
    this_update: UnixTime,
    next_update: Option<UnixTime>,
    revoked: BTreeMap<Vec<u8>, UnixTime>,
    unknown_critical: bool,
}

/// Why a list is refused or was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CrlError {
    /// A critical extension that this program does not know.
    #[error("the revocation list has an unknown critical extension")]
    CriticalExtension,
    /// The issuer's key is not the one of the issuer's certificate.
    #[error("the signing key does not belong to the issuer's certificate")]
    ForeignKey,
    /// Signing failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Not a revocation list.
    #[error("not a revocation list: {0}")]
    Malformed(&'static str),
    /// The issuer may not issue.
    #[error("the issuer of the revocation list is not a certificate authority")]
    NotCa,
    /// A certificate that the issuer did not issue cannot be revoked by it.
    #[error("the certificate to revoke was issued by somebody else")]
    OtherCertificate,
    /// The list names another issuer.
    #[error("the revocation list is of another issuer")]
    OtherIssuer,
    /// The signature does not verify with the issuer's key.
    #[error("bad signature on the revocation list")]
    Signature,
    /// Longer than [`MAX_CRL_LEN`].
    #[error("revocation list of {0} bytes, at most {MAX_CRL_LEN} are read")]
    TooLong(usize),
}

impl RevocationList {
    /// Parses a DER list, without bytes after it.
    ///
    /// # Errors
    /// If it is not one, or too long.
    pub fn from_der(der: &[u8]) -> Result<Self, CrlError> {
        if der.len() > MAX_CRL_LEN {
            return Err(CrlError::TooLong(der.len()));
        }
        parse(der).map(|inner| Self(Arc::new(inner)))
    }

    /// The DER it was parsed from.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The content bytes of the CRL number, which may be negative: existing peers write a
    /// random number first and count up in one byte order or the other. Good for file
    /// names, not for comparing lists.
    pub fn number(&self) -> Option<&[u8]> {
        self.0.number.as_deref()
    }

    /// User id of the issuer: the Jami ID, as text.
    pub fn issuer_uid(&self) -> Option<&str> {
        self.0.issuer.uid.as_deref()
    }

    /// When it was made.
    pub fn this_update(&self) -> UnixTime {
        self.0.this_update
    }

    /// When a newer one was due. A list is used after that time too.
    pub fn next_update(&self) -> Option<UnixTime> {
        self.0.next_update
    }

    /// Revoked serial numbers (raw bytes) and when they were revoked.
    pub fn revoked(&self) -> impl ExactSizeIterator<Item = (&[u8], UnixTime)> {
        self.0
            .revoked
            .iter()
            .map(|(serial, date)| (serial.as_slice(), *date))
    }

    /// Checks that `issuer`, an account certificate, signed this list. A list that was not
    /// checked must not be stored, used or passed on.
    ///
    /// # Errors
    /// The reason why not.
    pub fn verify(&self, issuer: &Certificate) -> Result<(), CrlError> {
        if self.0.issuer.der != issuer.subject_der() {
            return Err(CrlError::OtherIssuer);
        }
        if !issuer.is_ca() {
            return Err(CrlError::NotCa);
        }
        if self.0.unknown_critical {
            return Err(CrlError::CriticalExtension);
        }
        let scheme = self.0.scheme.ok_or(CrlError::Signature)?;
        issuer
            .public_key()
            .verify_with(scheme, &self.0.signed, &self.0.signature)
            .map_err(|BadSignature| CrlError::Signature)
    }

    /// Whether this list revokes `certificate`: same issuer name, same serial bytes. Only
    /// meaningful for a list that was verified.
    pub fn revokes(&self, certificate: &Certificate) -> bool {
        self.0.issuer.der == certificate.issuer_der()
            && self.0.revoked.contains_key(certificate.serial())
    }

    /// Makes a list that revokes everything in `previous` and `revoke`, valid as long as
    /// `account`, numbered one above `previous`.
    ///
    /// # Errors
    /// If the key is not the account's, the account did not issue a certificate to revoke,
    /// or signing fails.
    pub fn issue(
        account_key: &PrivateKey,
        account: &Certificate,
        previous: Option<&Revocations>,
        revoke: &[&Certificate],
        now: UnixTime,
        rng: &mut Rng,
    ) -> Result<Self, CrlError> {
        if account_key.public_key() != account.public_key() {
            return Err(CrlError::ForeignKey);
        }
        if !account.is_ca() {
            return Err(CrlError::NotCa);
        }
        let mut revoked: BTreeMap<&[u8], UnixTime> = previous
            .map(|previous| previous.revoked().collect())
            .unwrap_or_default();
        for certificate in revoke {
            if certificate.issuer_der() != account.subject_der() {
                return Err(CrlError::OtherCertificate);
            }
            revoked.entry(certificate.serial()).or_insert(now);
        }
        let number = previous
            .and_then(|previous| previous.latest()?.number())
            .map_or_else(|| serial(rng).to_vec(), increment);
        let der = write(account_key, account, &revoked, &number, now)?;
        Self::from_der(&der)
    }
}

/// One more, as a positive DER number whatever the old bytes meant.
fn increment(number: &[u8]) -> Vec<u8> {
    let mut digits = number.to_vec();
    let mut carry = true;
    for digit in digits.iter_mut().rev() {
        if !carry {
            break;
        }
        *digit = digit.wrapping_add(1);
        carry = *digit == 0;
    }
    if carry {
        digits.insert(0, 1);
    }
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    digits.drain(..zeros);
    if digits.first().is_none_or(|first| *first >= 0x80) {
        digits.insert(0, 0);
    }
    digits
}

fn write(
    key: &PrivateKey,
    account: &Certificate,
    revoked: &BTreeMap<&[u8], UnixTime>,
    number: &[u8],
    now: UnixTime,
) -> Result<Vec<u8>, KeyError> {
    let scheme = SignatureScheme::RsaSha512;
    let algorithm = signature_algorithm(scheme);
    let entries: Vec<u8> = revoked
        .iter()
        .flat_map(|(serial, date)| {
            let serial = der::write(der::INTEGER, &[serial]);
            der::write(der::SEQUENCE, &[&serial, &time::write(*date)])
        })
        .collect();
    let entries = if entries.is_empty() {
        Vec::new()
    } else {
        der::write(der::SEQUENCE, &[&entries])
    };
    let number = der::write(der::INTEGER, &[number]);
    let extension = der::write(
        der::SEQUENCE,
        &[
            &der::write(der::OID, &[&CRL_NUMBER]),
            &der::write(der::OCTET_STRING, &[&number]),
        ],
    );
    let extensions = der::write(der::SEQUENCE, &[&extension]);
    let signed = der::write(
        der::SEQUENCE,
        &[
            &der::write(der::INTEGER, &[&[1]]),
            &algorithm,
            account.subject_der(),
            &time::write(now),
            &time::write(account.not_after()),
            &entries,
            &der::write(der::context(0), &[&extensions]),
        ],
    );
    let signature = key.sign_with(scheme, &signed)?;
    let signature = der::write(der::BIT_STRING, &[&[0], &signature]);
    Ok(der::write(
        der::SEQUENCE,
        &[&signed, &algorithm, &signature],
    ))
}

fn parse(bytes: &[u8]) -> Result<Inner, CrlError> {
    let (signed, algorithm, signature) = signed_parts(bytes)?;
    let mut fields = signed.open();
    let version = fields.optional(der::INTEGER)?;
    if version.is_some_and(|version| version.content != [1]) {
        return Err(CrlError::Malformed("unknown version"));
    }
    let inner_algorithm = fields.expect(der::SEQUENCE, "no inner signature algorithm")?;
    if inner_algorithm.whole != algorithm.whole {
        return Err(CrlError::Malformed("signature algorithms differ"));
    }
    let issuer = name::read(fields.expect(der::SEQUENCE, "no issuer")?)?;
    let this_update = time::read(fields.any()?)?;
    let next_update = match fields.peek_tag() {
        Some(der::UTC_TIME | der::GENERALIZED_TIME) => Some(time::read(fields.any()?)?),
        _ => None,
    };
    let revoked = match fields.optional(der::SEQUENCE)? {
        Some(entries) => read_entries(entries)?,
        None => BTreeMap::new(),
    };
    let mut inner = Inner {
        der: bytes.to_vec(),
        signed: signed.whole.to_vec(),
        scheme: signature_scheme(algorithm),
        signature: signature.to_vec(),
        issuer,
        number: None,
        this_update,
        next_update,
        revoked,
        unknown_critical: false,
    };
    if let Some(extensions) = fields.optional(der::context(0))? {
        read_extensions(extensions, &mut inner)?;
    }
    fields.finish()?;
    Ok(inner)
}

fn read_entries(entries: Item<'_>) -> Result<BTreeMap<Vec<u8>, UnixTime>, DerError> {
    let mut revoked = BTreeMap::new();
    let mut entries = entries.open();
    while !entries.is_empty() {
        let mut entry = entries
            .expect(der::SEQUENCE, "entry is not a sequence")?
            .open();
        let serial = entry.expect(der::INTEGER, "entry has no serial number")?;
        if serial.content.is_empty() {
            return Err(DerError("empty serial number"));
        }
        let date = time::read(entry.any()?)?;
        // Reasons and the like: whatever they are, the device is revoked.
        entry.optional(der::SEQUENCE)?;
        entry.finish()?;
        revoked.insert(serial.content.to_vec(), date);
    }
    Ok(revoked)
}

fn read_extensions(wrapped: Item<'_>, inner: &mut Inner) -> Result<(), DerError> {
    let mut wrapped = wrapped.open();
    let mut list = wrapped
        .expect(der::SEQUENCE, "extensions are not a sequence")?
        .open();
    wrapped.finish()?;
    while !list.is_empty() {
        let mut extension = list
            .expect(der::SEQUENCE, "extension is not a sequence")?
            .open();
        let id = extension.expect(der::OID, "extension has no id")?.content;
        let critical = extension
            .optional(der::BOOLEAN)?
            .is_some_and(|flag| flag.content != [0]);
        let value = extension.expect(der::OCTET_STRING, "extension has no value")?;
        extension.finish()?;
        if id == CRL_NUMBER {
            let mut value: Reader<'_> = value.open();
            let number = value.expect(der::INTEGER, "CRL number is not a number")?;
            value.finish()?;
            inner.number = Some(number.content.to_vec());
        } else if id != AUTHORITY_KEY_ID {
            inner.unknown_critical |= critical;
        }
    }
    Ok(())
}

impl PartialEq for RevocationList {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.der == other.0.der
    }
}

impl Eq for RevocationList {}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RevocationList({} of {})",
            self.0.revoked.len(),
            self.issuer_uid().unwrap_or("?")
        )
    }
}

impl From<DerError> for CrlError {
    fn from(error: DerError) -> Self {
        Self::Malformed(error.0)
    }
}

#[cfg(test)]
mod tests;
