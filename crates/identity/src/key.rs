//! Key pairs and their identifiers.
//!
//! Identities are RSA (docs/protocol/01-dht.md section 8.1): a [`PrivateKey`] is always
//! RSA. Certificate authorities may use elliptic curves, so a [`PublicKey`] can be one,
//! but then it only verifies certificates.

mod private;
mod public;

use thiserror::Error;

pub use private::PrivateKey;
pub use public::PublicKey;
pub(crate) use public::SignatureScheme;

/// Smallest accepted RSA modulus in bits; smaller ones are refused everywhere.
pub const MIN_RSA_BITS: u32 = 2048;
/// Largest accepted RSA modulus in bits.
pub const MAX_RSA_BITS: u32 = 8192;

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The private key is protected by a password, which identity files never are.
    #[error("the private key is encrypted with a password, which is not supported")]
    Encrypted,
    /// The cryptographic library could not encrypt.
    #[error("cannot encrypt for this key")]
    Encrypt,
    /// The cryptographic library could not make a key.
    #[error("cannot generate a key")]
    Generate,
    /// Not a key at all.
    #[error("not a valid key: {0}")]
    Malformed(&'static str),
    /// The cryptographic library could not sign.
    #[error("cannot sign with this key")]
    Sign,
    /// An RSA key that is too short or too long.
    #[error("RSA keys of {bits} bits are refused, only {MIN_RSA_BITS} to {MAX_RSA_BITS} are used")]
    Size {
        /// Length of the modulus.
        bits: u32,
    },
    /// A kind of key this program does not use.
    #[error("unsupported kind of key (only RSA, P-256, P-384 and P-521)")]
    Unsupported,
}

/// A signature that does not fit message and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("bad signature")]
pub struct BadSignature;

/// Data that this key cannot decrypt.
///
/// Deliberately says nothing more: an attacker who could tell a wrong padding from a wrong
/// tag could decrypt messages by asking often enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("cannot decrypt")]
pub struct DecryptError;

#[cfg(test)]
mod tests;
