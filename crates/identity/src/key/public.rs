use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use aws_lc_rs::rsa::{Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::{self, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm};
use aws_lc_rs::{aead, rand};
use baraza_wire::{DeviceId, InfoHash};
use zeroize::Zeroizing;

use super::{BadSignature, KeyError, MAX_RSA_BITS, MIN_RSA_BITS};
use crate::der::{self, DerError, Reader};
use crate::{encrypt, pem};

const PEM_LABEL: &str = "PUBLIC KEY";
/// AlgorithmIdentifier of rsaEncryption with its NULL parameter, DER.
const RSA_ALGORITHM: [u8; 15] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
/// 1.2.840.10045.2.1
const EC_PUBLIC_KEY: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7
const P256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.132.0.34
const P384: [u8; 5] = [0x2b, 0x81, 0x04, 0x00, 0x22];
/// 1.3.132.0.35
const P521: [u8; 5] = [0x2b, 0x81, 0x04, 0x00, 0x23];

/// Bytes of RSA PKCS#1 v1.5 padding that are not message.
const PADDING: usize = 11;
/// Largest public exponent: an RFC 8017 key allows any, real ones are 65537, and a long one
/// makes verification slow.
const MAX_EXPONENT_LEN: usize = 5;

/// A public key with its identifiers, shared by all clones.
///
/// The context for verifying is built at the first use and kept.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    spki: Box<[u8]>,
    short_id: InfoHash,
    long_id: DeviceId,
    kind: Kind,
    verifier: OnceLock<Option<ParsedPublicKey>>,
    encrypter: OnceLock<Option<Pkcs1PublicEncryptingKey>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    P256,
    P384,
    P521,
    Rsa { bits: u32 },
}

/// What certificates and revocation lists are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureScheme {
    EcdsaSha256,
    EcdsaSha384,
    EcdsaSha512,
    RsaSha256,
    RsaSha384,
    RsaSha512,
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// Only the one canonical encoding of a key is accepted, because the identifiers are
    /// hashes of these bytes: a key has one id.
    ///
    /// # Errors
    /// If it is not a key, or of a kind or size not used here.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyError> {
        let kind = kind(spki)?;
        let sha1 = digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, spki);
        let sha256 = digest::digest(&SHA256, spki);
        Ok(Self(Arc::new(Inner {
            spki: spki.into(),
            short_id: InfoHash::from_slice(sha1.as_ref()).unwrap_or_default(),
            long_id: DeviceId::from_slice(sha256.as_ref()).unwrap_or_default(),
            kind,
            verifier: OnceLock::new(),
            encrypter: OnceLock::new(),
        })))
    }

    /// Reads a PEM `PUBLIC KEY`, the form of keys in the JSON of DHT proxies.
    ///
    /// # Errors
    /// As [`Self::from_spki_der`], and if there is none.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        match pem::next(PEM_LABEL, text.as_bytes()) {
            pem::Block::Found(spki, _) => Self::from_spki_der(&spki),
            pem::Block::Bad => Err(KeyError::Malformed("damaged PEM")),
            pem::Block::None => Err(KeyError::Malformed("no public key in the text")),
        }
    }

    /// PEM `PUBLIC KEY` with 64 columns and LF.
    pub fn to_pem(&self) -> String {
        pem::encode(PEM_LABEL, &self.0.spki).to_string()
    }

    /// The DER SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.0.spki
    }

    /// SHA-1 of [`Self::spki_der`] (docs/protocol/02-account.md section 1).
    pub fn short_id(&self) -> InfoHash {
        self.0.short_id
    }

    /// SHA-256 of [`Self::spki_der`].
    pub fn long_id(&self) -> DeviceId {
        self.0.long_id
    }

    /// Length of the RSA modulus in bits; `None` for other kinds of key.
    pub fn rsa_bits(&self) -> Option<u32> {
        match self.0.kind {
            Kind::Rsa { bits } => Some(bits),
            Kind::P256 | Kind::P384 | Kind::P521 => None,
        }
    }

    /// Checks an RSA PKCS#1 v1.5 SHA-512 signature, the only one values and commits carry.
    ///
    /// # Errors
    /// If it does not fit, also for keys that are not RSA.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let verifier = self.0.verifier.get_or_init(|| {
            self.rsa_bits()?;
            ParsedPublicKey::new(&signature::RSA_PKCS1_2048_8192_SHA512, &self.0.spki).ok()
        });
        verifier
            .as_ref()
            .ok_or(BadSignature)?
            .verify_sig(message, signature)
            .map_err(|_| BadSignature)
    }

    /// Checks a signature on a certificate or revocation list.
    pub(crate) fn verify_with(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        use SignatureScheme as S;
        if scheme == S::RsaSha512 {
            return self.verify(message, signature);
        }
        let algorithm: &'static dyn VerificationAlgorithm = match (self.0.kind, scheme) {
            (Kind::Rsa { .. }, S::RsaSha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (Kind::Rsa { .. }, S::RsaSha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (Kind::P256, S::EcdsaSha256) => &signature::ECDSA_P256_SHA256_ASN1,
            (Kind::P256, S::EcdsaSha384) => &signature::ECDSA_P256_SHA384_ASN1,
            (Kind::P256, S::EcdsaSha512) => &signature::ECDSA_P256_SHA512_ASN1,
            (Kind::P384, S::EcdsaSha256) => &signature::ECDSA_P384_SHA256_ASN1,
            (Kind::P384, S::EcdsaSha384) => &signature::ECDSA_P384_SHA384_ASN1,
            (Kind::P384, S::EcdsaSha512) => &signature::ECDSA_P384_SHA512_ASN1,
            (Kind::P521, S::EcdsaSha256) => &signature::ECDSA_P521_SHA256_ASN1,
            (Kind::P521, S::EcdsaSha384) => &signature::ECDSA_P521_SHA384_ASN1,
            (Kind::P521, S::EcdsaSha512) => &signature::ECDSA_P521_SHA512_ASN1,
            _ => return Err(BadSignature),
        };
        UnparsedPublicKey::new(algorithm, &self.0.spki)
            .verify(message, signature)
            .map_err(|_| BadSignature)
    }

    /// Encrypts for the holder of the private key: one RSA block if `plain` fits into it,
    /// else an RSA block with a fresh AES-256 key in front of AES-GCM
    /// (docs/protocol/01-dht.md section 8.3).
    ///
    /// Padding and keys come from the operating system, not from a seeded generator: the
    /// length of the result is repeatable, its bytes are not.
    ///
    /// # Errors
    /// If the key is not RSA or the library fails.
    pub fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        let key = self.encrypter().ok_or(KeyError::Unsupported)?;
        let block_len = key.ciphertext_size();
        if plain.len() <= block_len.saturating_sub(PADDING) {
            return encrypt_block(key, plain);
        }
        let mut aes = Zeroizing::new([0; 32]);
        let mut iv = [0; aead::NONCE_LEN];
        rand::fill(aes.as_mut_slice()).map_err(|_| KeyError::Encrypt)?;
        rand::fill(&mut iv).map_err(|_| KeyError::Encrypt)?;
        let mut out = encrypt_block(key, aes.as_slice())?;
        let sealed = encrypt::seal(aes.as_slice(), iv, plain).map_err(|_| KeyError::Encrypt)?;
        out.extend(sealed);
        Ok(out)
    }

    fn encrypter(&self) -> Option<&Pkcs1PublicEncryptingKey> {
        self.0
            .encrypter
            .get_or_init(|| {
                self.rsa_bits()?;
                let key = PublicEncryptingKey::from_der(&self.0.spki).ok()?;
                Pkcs1PublicEncryptingKey::new(key).ok()
            })
            .as_ref()
    }
}

fn encrypt_block(key: &Pkcs1PublicEncryptingKey, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut out = vec![0; key.ciphertext_size()];
    let len = key
        .encrypt(plain, &mut out)
        .map_err(|_| KeyError::Encrypt)?
        .len();
    out.truncate(len);
    Ok(out)
}

fn kind(spki: &[u8]) -> Result<Kind, KeyError> {
    let mut outer = Reader::new(spki);
    let mut key = outer
        .expect(der::SEQUENCE, "public key is not a sequence")?
        .open();
    outer.finish()?;
    let algorithm = key.expect(der::SEQUENCE, "public key has no algorithm")?;
    let bits = key.expect(der::BIT_STRING, "public key has no key bits")?;
    key.finish()?;
    let (0, bits) = bits
        .content
        .split_first()
        .map(|(unused, bits)| (*unused, bits))
        .ok_or(KeyError::Malformed("empty key bits"))?
    else {
        return Err(KeyError::Malformed("key bits are not whole bytes"));
    };
    if algorithm.whole == RSA_ALGORITHM {
        return rsa_kind(bits);
    }
    let mut algorithm = algorithm.open();
    let id = algorithm.expect(der::OID, "public key algorithm has no id")?;
    if id.content != EC_PUBLIC_KEY {
        return Err(KeyError::Unsupported);
    }
    let curve = algorithm.any()?;
    algorithm.finish()?;
    let (kind, coordinate) = match curve.content {
        _ if curve.tag != der::OID => return Err(KeyError::Unsupported),
        id if id == P256 => (Kind::P256, 32usize),
        id if id == P384 => (Kind::P384, 48),
        id if id == P521 => (Kind::P521, 66),
        _ => return Err(KeyError::Unsupported),
    };
    let uncompressed = bits.first() == Some(&4);
    if !uncompressed || bits.len() != coordinate.saturating_mul(2).saturating_add(1) {
        return Err(KeyError::Malformed("not an uncompressed curve point"));
    }
    Ok(kind)
}

fn rsa_kind(bits: &[u8]) -> Result<Kind, KeyError> {
    let mut outer = Reader::new(bits);
    let mut numbers = outer
        .expect(der::SEQUENCE, "RSA key is not a sequence")?
        .open();
    outer.finish()?;
    let modulus = positive(
        numbers
            .expect(der::INTEGER, "RSA key has no modulus")?
            .content,
    )?;
    let exponent = positive(
        numbers
            .expect(der::INTEGER, "RSA key has no exponent")?
            .content,
    )?;
    numbers.finish()?;
    let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    if !odd(modulus) || !odd(exponent) || exponent == [1] || exponent.len() > MAX_EXPONENT_LEN {
        return Err(KeyError::Malformed("impossible RSA numbers"));
    }
    let zeros = modulus.first().map_or(0, |first| first.leading_zeros());
    let bits = u32::try_from(modulus.len())
        .unwrap_or(u32::MAX)
        .saturating_mul(8)
        .saturating_sub(zeros);
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
        return Err(KeyError::Size { bits });
    }
    Ok(Kind::Rsa { bits })
}

/// The digits of a positive minimal INTEGER without its sign byte.
fn positive(content: &[u8]) -> Result<&[u8], KeyError> {
    match content {
        [0, rest @ ..] if rest.first().is_some_and(|next| *next >= 0x80) => Ok(rest),
        [first, ..] if (1..0x80).contains(first) => Ok(content),
        _ => Err(KeyError::Malformed(
            "RSA number is not positive and minimal",
        )),
    }
}

impl From<DerError> for KeyError {
    fn from(error: DerError) -> Self {
        Self::Malformed(error.0)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.spki == other.0.spki
    }
}

impl Eq for PublicKey {}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.long_id.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.0.long_id.short())
    }
}
