use super::{CertificateError, Extensions, Inner, MAX_CERTIFICATE_LEN};
use crate::der::{self, DerError, Item, Reader};
use crate::key::{PublicKey, SignatureScheme};
use crate::{name, time};

/// Content of a true BOOLEAN.
pub(crate) const CRITICAL_TRUE: u8 = 0xff;
/// id-ce, 2.5.29: the extensions of RFC 5280 are directly below.
const ID_CE: [u8; 2] = [0x55, 0x1d];
const KEY_USAGE: u8 = 15;
const BASIC_CONSTRAINTS: u8 = 19;
/// Extensions that say nothing this program relies on; peers may mark them critical.
const HARMLESS: [u8; 5] = [
    14, // subjectKeyIdentifier
    17, // subjectAltName
    32, // certificatePolicies
    35, // authorityKeyIdentifier
    37, // extKeyUsage
];
/// keyCertSign in the first byte of KeyUsage.
const KEY_CERT_SIGN: u8 = 0x04;

/// 1.2.840.113549.1.1, RSA signatures: 11, 12, 13 are SHA-256, 384, 512.
const PKCS1: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// 1.2.840.10045.4.3, ECDSA signatures: 2, 3, 4 are SHA-256, 384, 512.
const ECDSA_SHA2: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];

/// The three parts of a signed structure: what is signed, the AlgorithmIdentifier, the
/// signature. Certificates and revocation lists have them.
pub(crate) fn signed_parts(der: &[u8]) -> Result<(Item<'_>, Item<'_>, &[u8]), DerError> {
    let mut outer = Reader::new(der);
    let mut parts = outer.expect(der::SEQUENCE, "not a sequence")?.open();
    outer.finish()?;
    let signed = parts.expect(der::SEQUENCE, "nothing signed")?;
    let algorithm = parts.expect(der::SEQUENCE, "no signature algorithm")?;
    let signature = parts.expect(der::BIT_STRING, "no signature")?;
    parts.finish()?;
    match signature.content.split_first() {
        Some((0, signature)) => Ok((signed, algorithm, signature)),
        _ => Err(DerError("signature is not whole bytes")),
    }
}

/// The scheme named by an AlgorithmIdentifier; `None` if it is not supported.
pub(crate) fn signature_scheme(algorithm: Item<'_>) -> Option<SignatureScheme> {
    let mut algorithm = algorithm.open();
    let id = algorithm.expect(der::OID, "").ok()?.content;
    let parameters = algorithm.optional(der::NULL).ok()?;
    if !algorithm.is_empty() || parameters.is_some_and(|null| !null.content.is_empty()) {
        return None;
    }
    let (last, arc) = id.split_last()?;
    match last {
        11 if arc == PKCS1 => Some(SignatureScheme::RsaSha256),
        12 if arc == PKCS1 => Some(SignatureScheme::RsaSha384),
        13 if arc == PKCS1 => Some(SignatureScheme::RsaSha512),
        2 if arc == ECDSA_SHA2 => Some(SignatureScheme::EcdsaSha256),
        3 if arc == ECDSA_SHA2 => Some(SignatureScheme::EcdsaSha384),
        4 if arc == ECDSA_SHA2 => Some(SignatureScheme::EcdsaSha512),
        _ => None,
    }
}

pub(super) fn certificate(der: &[u8]) -> Result<Inner, CertificateError> {
    if der.len() > MAX_CERTIFICATE_LEN {
        return Err(CertificateError::TooLong(der.len()));
    }
    let (signed, algorithm, signature) = signed_parts(der)?;
    let mut fields = signed.open();
    if let Some(version) = fields.optional(der::context(0))? {
        let mut version = version.open();
        let number = version.expect(der::INTEGER, "version is not a number")?;
        version.finish()?;
        if !matches!(number.content, [0..=2]) {
            return Err(CertificateError::Malformed("unknown version"));
        }
    }
    let serial = fields.expect(der::INTEGER, "no serial number")?.content;
    if serial.is_empty() {
        return Err(CertificateError::Malformed("empty serial number"));
    }
    let inner_algorithm = fields.expect(der::SEQUENCE, "no inner signature algorithm")?;
    if inner_algorithm.whole != algorithm.whole {
        return Err(CertificateError::Malformed("signature algorithms differ"));
    }
    let issuer = name::read(fields.expect(der::SEQUENCE, "no issuer")?)?;
    let mut validity = fields.expect(der::SEQUENCE, "no validity")?.open();
    let not_before = time::read(validity.any()?)?;
    let not_after = time::read(validity.any()?)?;
    validity.finish()?;
    let subject = name::read(fields.expect(der::SEQUENCE, "no subject")?)?;
    let key = fields.expect(der::SEQUENCE, "no public key")?;
    let public_key = PublicKey::from_spki_der(key.whole)?;
    // Unique identifiers of version 2, which nobody writes.
    fields.optional(0x81)?;
    fields.optional(0x82)?;
    let extensions = match fields.optional(der::context(3))? {
        Some(wrapped) => extensions(wrapped)?,
        None => Extensions::default(),
    };
    fields.finish()?;
    Ok(Inner {
        der: der.to_vec(),
        signed: signed.whole.to_vec(),
        scheme: signature_scheme(algorithm),
        signature: signature.to_vec(),
        serial: serial.to_vec(),
        issuer,
        subject,
        not_before,
        not_after,
        public_key,
        extensions,
    })
}

fn extensions(wrapped: Item<'_>) -> Result<Extensions, DerError> {
    let mut out = Extensions::default();
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
        match id.strip_prefix(&ID_CE) {
            Some([BASIC_CONSTRAINTS]) => basic_constraints(value, &mut out)?,
            Some([KEY_USAGE]) => {
                let bits = value.open().expect(der::BIT_STRING, "bad key usage")?;
                let allowed = bits.content.get(1).is_some_and(|b| b & KEY_CERT_SIGN != 0);
                out.may_sign_certificates = Some(allowed);
            }
            Some([id]) if HARMLESS.contains(id) => {}
            _ => out.unknown_critical |= critical,
        }
    }
    Ok(out)
}

fn basic_constraints(value: Item<'_>, out: &mut Extensions) -> Result<(), DerError> {
    let mut value = value.open();
    let mut fields = value
        .expect(der::SEQUENCE, "basic constraints are not a sequence")?
        .open();
    value.finish()?;
    out.is_ca = fields
        .optional(der::BOOLEAN)?
        .is_some_and(|flag| flag.content != [0]);
    if let Some(length) = fields.optional(der::INTEGER)? {
        let mut number = 0u64;
        if length.content.first().is_none_or(|first| *first >= 0x80) {
            return Err(DerError("bad path length"));
        }
        for digit in length.content {
            number = number.saturating_mul(256).saturating_add(u64::from(*digit));
        }
        out.path_length = Some(number);
    }
    fields.finish()
}
