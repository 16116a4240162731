use std::time::Duration;

use baraza_wire::{Rng, UnixTime};
use thiserror::Error;

use super::{CRITICAL_TRUE, Certificate, CertificateError};
use crate::der;
use crate::key::{KeyError, PrivateKey, PublicKey, SignatureScheme};
use crate::{name, time};

/// How long certificates are valid: ten years without leap days
/// (docs/protocol/02-account.md section 2).
pub const DEFAULT_VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Bytes of a serial number.
const SERIAL_LEN: usize = 8;

/// Common names of the three certificates of a chain.
#[derive(Debug, Clone, Copy)]
struct Names {
    ca: &'static str,
    account: &'static str,
    device: &'static str,
}

const NAMES: Names = Names {
    ca: "Jami CA",
    account: "Jami",
    device: "Jami device",
};

/// For the identity a device has while it is being linked (docs/protocol/02-account.md
/// section 10.2).
const TEMPORARY_NAMES: Names = Names {
    ca: "Jami Temporary CA",
    account: "Jami Temporary User",
    device: "Jami Temporary device",
};

/// From when until when a certificate is to be valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before: UnixTime,
    /// Last second.
    pub not_after: UnixTime,
}

impl Validity {
    /// The usual [`DEFAULT_VALIDITY`], beginning at `now`.
    pub fn from_now(now: UnixTime) -> Self {
        Self {
            not_before: now,
            not_after: now.saturating_add(DEFAULT_VALIDITY),
        }
    }
}

/// Why no certificate was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The result does not read back.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The issuer's key is not the one of the issuer's certificate.
    #[error("the signing key does not belong to the issuer's certificate")]
    ForeignKey,
    /// Signing failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The issuer may not issue.
    #[error("the issuer is not a certificate authority")]
    NotCa,
}

/// Makes the self-signed certificate of an authority.
///
/// # Errors
/// If signing fails.
pub fn issue_ca(
    key: &PrivateKey,
    validity: Validity,
    rng: &mut Rng,
) -> Result<Certificate, IssueError> {
    let subject = name::write(NAMES.ca, key.public_key().short_id());
    issue(
        key,
        &subject,
        &subject,
        key.public_key(),
        true,
        validity,
        rng,
    )
}

/// Makes the certificate of an account, signed by its authority.
///
/// # Errors
/// If `ca_key` is not the key of `ca`, `ca` is no authority, or signing fails.
pub fn issue_account(
    ca_key: &PrivateKey,
    ca: &Certificate,
    account: &PublicKey,
    validity: Validity,
    rng: &mut Rng,
) -> Result<Certificate, IssueError> {
    let subject = name::write(NAMES.account, account.short_id());
    check_issuer(ca_key, ca)?;
    issue(
        ca_key,
        ca.subject_der(),
        &subject,
        account,
        true,
        validity,
        rng,
    )
}

/// Makes the certificate of a device, signed by its account. It has no extensions, like
/// those of existing devices.
///
/// # Errors
/// If `account_key` is not the key of `account`, `account` is no authority, or signing
/// fails.
pub fn issue_device(
    account_key: &PrivateKey,
    account: &Certificate,
    device: &PublicKey,
    validity: Validity,
    rng: &mut Rng,
) -> Result<Certificate, IssueError> {
    let subject = name::write(NAMES.device, device.short_id());
    check_issuer(account_key, account)?;
    issue(
        account_key,
        account.subject_der(),
        &subject,
        device,
        false,
        validity,
        rng,
    )
}

/// Makes the chain of a temporary identity: authority, user and device.
pub(crate) fn issue_temporary(
    ca: &PrivateKey,
    user: &PrivateKey,
    device: &PublicKey,
    validity: Validity,
    rng: &mut Rng,
) -> Result<Vec<Certificate>, IssueError> {
    let (ca_key, user_key) = (ca.public_key(), user.public_key());
    let ca_name = name::write(TEMPORARY_NAMES.ca, ca_key.short_id());
    let user_name = name::write(TEMPORARY_NAMES.account, user_key.short_id());
    let device_name = name::write(TEMPORARY_NAMES.device, device.short_id());
    Ok(vec![
        issue(user, &user_name, &device_name, device, false, validity, rng)?,
        issue(ca, &ca_name, &user_name, user_key, true, validity, rng)?,
        issue(ca, &ca_name, &ca_name, ca_key, true, validity, rng)?,
    ])
}

fn check_issuer(key: &PrivateKey, certificate: &Certificate) -> Result<(), IssueError> {
    if key.public_key() != certificate.public_key() {
        return Err(IssueError::ForeignKey);
    }
    if certificate.is_ca() {
        Ok(())
    } else {
        Err(IssueError::NotCa)
    }
}

fn issue(
    signer: &PrivateKey,
    issuer: &[u8],
    subject: &[u8],
    key: &PublicKey,
    is_ca: bool,
    validity: Validity,
    rng: &mut Rng,
) -> Result<Certificate, IssueError> {
    // GnuTLS chooses the digest by the size of the subject's key.
    let scheme = match key.rsa_bits() {
        Some(..4096) => SignatureScheme::RsaSha256,
        _ => SignatureScheme::RsaSha384,
    };
    let algorithm = signature_algorithm(scheme);
    let validity = der::write(
        der::SEQUENCE,
        &[
            &time::write(validity.not_before),
            &time::write(validity.not_after),
        ],
    );
    let extensions = if is_ca {
        ca_extensions(key)
    } else {
        Vec::new()
    };
    let version3 = der::write(der::INTEGER, &[&[2]]);
    let signed = der::write(
        der::SEQUENCE,
        &[
            &der::write(der::context(0), &[&version3]),
            &der::write(der::INTEGER, &[&serial(rng)]),
            &algorithm,
            issuer,
            &validity,
            subject,
            key.spki_der(),
            &extensions,
        ],
    );
    let signature = signer.sign_with(scheme, &signed)?;
    let certificate = der::write(
        der::SEQUENCE,
        &[
            &signed,
            &algorithm,
            &der::write(der::BIT_STRING, &[&[0], &signature]),
        ],
    );
    Ok(Certificate::from_der(&certificate)?)
}

/// Subject key identifier, basic constraints, key usage, in the order of GnuTLS. The
/// identifier is the short id, which is not the method RFC 5280 proposes.
fn ca_extensions(key: &PublicKey) -> Vec<u8> {
    let key_id = der::write(der::OCTET_STRING, &[key.short_id().as_bytes()]);
    let ca_true = der::write(der::BOOLEAN, &[&[CRITICAL_TRUE]]);
    let constraints = der::write(der::SEQUENCE, &[&ca_true]);
    // keyCertSign and cRLSign; the lowest bit is unused.
    let usage = der::write(der::BIT_STRING, &[&[1, 0x06]]);
    let list = der::write(
        der::SEQUENCE,
        &[
            &extension(14, false, &key_id),
            &extension(19, true, &constraints),
            &extension(15, true, &usage),
        ],
    );
    der::write(der::context(3), &[&list])
}

fn extension(id: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let id = der::write(der::OID, &[&[0x55, 0x1d, id]]);
    let flag = if critical {
        der::write(der::BOOLEAN, &[&[CRITICAL_TRUE]])
    } else {
        Vec::new()
    };
    let value = der::write(der::OCTET_STRING, &[value]);
    der::write(der::SEQUENCE, &[&id, &flag, &value])
}

/// AlgorithmIdentifier of an RSA signature.
pub(crate) fn signature_algorithm(scheme: SignatureScheme) -> Vec<u8> {
    let last = match scheme {
        SignatureScheme::RsaSha256 => 11,
        SignatureScheme::RsaSha384 => 12,
        _ => 13,
    };
    let id = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last];
    let id = der::write(der::OID, &[&id]);
    der::write(der::SEQUENCE, &[&id, &der::write(der::NULL, &[])])
}

/// A fresh serial number: eight bytes, positive and minimal.
pub(crate) fn serial(rng: &mut Rng) -> [u8; SERIAL_LEN] {
    loop {
        let bytes: [u8; SERIAL_LEN] = rng.bytes();
        if bytes.first().is_some_and(|first| (1..0x80).contains(first)) {
            return bytes;
        }
    }
}
