//! Passwords and the keys made from them.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
use thiserror::Error;
use zeroize::Zeroizing;

/// Memory of the key derivation in KiB (docs/protocol/01-dht.md section 8.5).
const MEMORY_KIB: u32 = 65536;
/// Passes over that memory.
const PASSES: u32 = 16;
/// Argon2 refuses shorter salts.
pub const MIN_SALT_LEN: usize = 8;
/// Longest key [`stretch`] makes.
pub const MAX_KEY_LEN: usize = 64;

/// A password in UTF-8, wiped when dropped and never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes over `text`; the empty password is allowed here.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the password has no characters, which stands for "no password".
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// Why no key could be derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StretchError {
    /// More bytes asked than the scheme can give.
    #[error("keys from passwords have at most {MAX_KEY_LEN} bytes, not {0}")]
    KeyLength(usize),
    /// The derivation itself failed, in practice for lack of memory.
    #[error("cannot derive a key from the password (64 MiB of memory are needed)")]
    Memory,
    /// The salt is too short.
    #[error("salts have at least {MIN_SALT_LEN} bytes")]
    Salt,
}

/// Makes a key of `len` bytes from `password`: Argon2i (16 passes over 64 MiB) and a hash
/// (docs/protocol/01-dht.md section 8.5).
///
/// Takes most of a second of processor time: call it off the async threads, and not many
/// at once.
///
/// # Errors
/// For a short salt, a long key, or without memory.
pub fn stretch(
    password: &Password,
    salt: &[u8],
    len: usize,
) -> Result<Zeroizing<Vec<u8>>, StretchError> {
    if salt.len() < MIN_SALT_LEN {
        return Err(StretchError::Salt);
    }
    if len > MAX_KEY_LEN {
        return Err(StretchError::KeyLength(len));
    }
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(32)).map_err(|_| StretchError::Memory)?;
    let mut stretched = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2i, Version::V0x13, params)
        .hash_password_into(password.as_str().as_bytes(), salt, stretched.as_mut_slice())
        .map_err(|_| StretchError::Memory)?;
    let algorithm = match len {
        0..=20 => &SHA1_FOR_LEGACY_USE_ONLY,
        21..=32 => &SHA256,
        _ => &SHA512,
    };
    let hash = digest::digest(algorithm, stretched.as_slice());
    Ok(Zeroizing::new(
        hash.as_ref().iter().copied().take(len).collect(),
    ))
}
