//! What is registered with a name, and what it proves.

use std::fmt;

use baraza_identity::PublicKey;
use baraza_identity::key::KeyError;
use baraza_wire::{AccountId, hex};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::name::{LookupText, Name};

/// Longest public key in base64: PEM of the largest RSA key, and room for odd line ends.
pub const MAX_KEY_TEXT: usize = 4096;
/// Longest signature in base64: one of an RSA key of 8192 bits.
pub const MAX_SIGNATURE_TEXT: usize = 1368;

/// Why a key and a signature prove nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProofError {
    /// A field that is too long, or is not base64.
    #[error("the {0} is not base64, or too long")]
    Base64(&'static str),
    /// The key is none that is used here.
    #[error("the public key is refused: {0}")]
    Key(#[from] KeyError),
    /// Only RSA keys sign names.
    #[error("the public key is not an RSA key")]
    NotRsa,
    /// The public key belongs to another Jami ID.
    #[error("the public key is that of another Jami ID")]
    OtherId,
    /// The signature is not one of that key over that name.
    #[error("the signature over the name is wrong")]
    Signature,
}

/// The address of the key that owns a name at servers with a chain: 20 bytes, which nothing
/// here depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner([u8; 20]);

impl Owner {
    /// From raw bytes.
    pub const fn new(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// Reads 40 hexadecimal digits, with or without `0x`.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        hex::decode_array(digits).map(Self)
    }

    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// 40 lower-case hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.0)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owner")
    }
}

/// The Jami ID in a text as servers and clients write it: `ring:` or `0x` may be in front,
/// digits are of either case. All zeros mean "none".
pub fn parse_addr(text: &str) -> Option<AccountId> {
    let text = text.strip_prefix("ring:").unwrap_or(text);
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let id: AccountId = digits.parse().ok()?;
    (!id.is_zero()).then_some(id)
}

/// A public key and a signature, each as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    key_bytes: Vec<u8>,
    key: PublicKey,
    signature: Vec<u8>,
}

impl Proof {
    /// Reads both from base64. The key is PEM or DER, perhaps with NULs behind it: daemons of
    /// 2023 send one.
    ///
    /// # Errors
    /// If one is damaged, or the key is not RSA of 2048 to 8192 bits.
    pub fn from_base64(public_key: &str, signature: &str) -> Result<Self, ProofError> {
        let key_bytes = decode(public_key, MAX_KEY_TEXT, "public key")?;
        let signature = decode(signature, MAX_SIGNATURE_TEXT, "signature")?;
        Self::from_bytes(key_bytes, signature)
    }

    /// The same from what the base64 held.
    ///
    /// # Errors
    /// If the key is not RSA of 2048 to 8192 bits.
    pub fn from_bytes(key_bytes: Vec<u8>, signature: Vec<u8>) -> Result<Self, ProofError> {
        let key = read_key(&key_bytes)?;
        if key.rsa_bits().is_none() {
            return Err(ProofError::NotRsa);
        }
        Ok(Self {
            key_bytes,
            key,
            signature,
        })
    }

    /// The public key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The public key's bytes exactly as they were received, NULs included.
    pub fn key_bytes(&self) -> &[u8] {
        &self.key_bytes
    }

    /// The signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The public key in base64, as it was received.
    pub fn key_base64(&self) -> String {
        STANDARD.encode(&self.key_bytes)
    }

    /// The signature in base64, as it was received.
    pub fn signature_base64(&self) -> String {
        STANDARD.encode(&self.signature)
    }

    /// Checks that the key is that of `addr`, and that it signed `name`.
    ///
    /// # Errors
    /// Which of the two is wrong.
    pub fn verify(&self, name: &LookupText, addr: AccountId) -> Result<(), ProofError> {
        self.check(name.as_str(), addr)
    }

    fn check(&self, name: &str, addr: AccountId) -> Result<(), ProofError> {
        if AccountId::from(self.key.short_id()) != addr {
            return Err(ProofError::OtherId);
        }
        self.key
            .verify(name.as_bytes(), &self.signature)
            .map_err(|_| ProofError::Signature)
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof").field("key", &self.key).finish()
    }
}

/// Strict base64: one text for each content, so that what is written again is what was read.
fn decode(text: &str, most: usize, what: &'static str) -> Result<Vec<u8>, ProofError> {
    if text.len() > most {
        return Err(ProofError::Base64(what));
    }
    STANDARD.decode(text).map_err(|_| ProofError::Base64(what))
}

fn read_key(bytes: &[u8]) -> Result<PublicKey, KeyError> {
    let mut bytes = bytes;
    while let Some((0, rest)) = bytes.split_last() {
        bytes = rest;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if text.trim_ascii_start().starts_with("-----BEGIN ") => PublicKey::from_pem(text),
        _ => PublicKey::from_spki_der(bytes),
    }
}

/// What an account sends to have a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The Jami ID.
    pub addr: AccountId,
    /// The address of the archive's Ethereum key.
    pub owner: Option<Owner>,
    /// The account's key, and its signature over the name.
    pub proof: Proof,
}

impl Registration {
    /// Checks that the key is that of the Jami ID, and that it signed `name`.
    ///
    /// # Errors
    /// Which of the two is wrong.
    pub fn verify(&self, name: &Name) -> Result<(), ProofError> {
        self.proof.check(name.as_str(), self.addr)
    }
}
