//! AES-GCM with a key or a password (docs/protocol/01-dht.md section 8.4).

use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use baraza_wire::Rng;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::password::{self, Password, StretchError};

/// Bytes of the initialisation vector in front of the cipher text.
pub const IV_LEN: usize = NONCE_LEN;
/// Bytes of the authentication tag behind the cipher text.
pub const TAG_LEN: usize = 16;
/// Bytes of salt in front of data encrypted with a password.
pub const SALT_LEN: usize = 16;

/// Why data was not encrypted or decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// AES keys are 16, 24 or 32 bytes.
    #[error("AES keys have 16, 24 or 32 bytes, not {0}")]
    KeyLength(usize),
    /// The data cannot even hold salt, IV and tag.
    #[error("encrypted data is cut short")]
    Short,
    /// The key could not be derived from the password.
    #[error(transparent)]
    Stretch(#[from] StretchError),
    /// The tag does not match: another key was used, or the data was changed.
    #[error("wrong key or damaged data")]
    Tag,
}

/// Encrypts: `IV (12) | cipher text | tag (16)`. The key has 16, 24 or 32 bytes.
///
/// # Errors
/// For a key of another length.
pub fn aes_encrypt(plain: &[u8], key: &[u8], rng: &mut Rng) -> Result<Vec<u8>, EncryptError> {
    seal(key, rng.bytes(), plain)
}

/// Decrypts what [`aes_encrypt`] made.
///
/// # Errors
/// For a key of another length, data too short, or a wrong tag.
pub fn aes_decrypt(data: &[u8], key: &[u8]) -> Result<Vec<u8>, EncryptError> {
    open(key, data)
}

/// Encrypts with a key made from `password` and a fresh salt:
/// `salt (16) | IV (12) | cipher text | tag (16)`.
///
/// Takes most of a second and 64 MiB (see [`password::stretch`]).
///
/// # Errors
/// If there is not enough memory for the key derivation.
pub fn aes_encrypt_with_password(
    plain: &[u8],
    password: &Password,
    rng: &mut Rng,
) -> Result<Vec<u8>, EncryptError> {
    let salt: [u8; SALT_LEN] = rng.bytes();
    let key = password::stretch(password, &salt, 32)?;
    let mut out = salt.to_vec();
    out.extend(seal(&key, rng.bytes(), plain)?);
    Ok(out)
}

/// Decrypts what [`aes_encrypt_with_password`] made. As slow as that.
///
/// # Errors
/// For data too short, a wrong password or changed data.
pub fn aes_decrypt_with_password(
    data: &[u8],
    password: &Password,
) -> Result<Vec<u8>, EncryptError> {
    let (salt, sealed) = data.split_at_checked(SALT_LEN).ok_or(EncryptError::Short)?;
    if sealed.len() <= IV_LEN.saturating_add(TAG_LEN) {
        return Err(EncryptError::Short);
    }
    open(&password::stretch(password, salt, 32)?, sealed)
}

pub(crate) fn seal(key: &[u8], iv: [u8; IV_LEN], plain: &[u8]) -> Result<Vec<u8>, EncryptError> {
    let key = aes_key(key)?;
    let len = plain.len();
    let mut out = Vec::with_capacity(len.saturating_add(IV_LEN).saturating_add(TAG_LEN));
    out.extend(iv);
    out.extend_from_slice(plain);
    let body = out.get_mut(IV_LEN..).ok_or(EncryptError::Short)?;
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(iv), Aad::empty(), body)
        .map_err(|_| EncryptError::Tag)?;
    out.extend_from_slice(tag.as_ref());
    Ok(out)
}

pub(crate) fn open(key: &[u8], data: &[u8]) -> Result<Vec<u8>, EncryptError> {
    let key = aes_key(key)?;
    let (iv, sealed) = data
        .split_first_chunk::<IV_LEN>()
        .ok_or(EncryptError::Short)?;
    if sealed.len() <= TAG_LEN {
        return Err(EncryptError::Short);
    }
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let plain = key
        .open_in_place(
            Nonce::assume_unique_for_key(*iv),
            Aad::empty(),
            buffer.as_mut_slice(),
        )
        .map_err(|_| EncryptError::Tag)?;
    Ok(plain.to_vec())
}

fn aes_key(key: &[u8]) -> Result<LessSafeKey, EncryptError> {
    let algorithm = match key.len() {
        16 => &AES_128_GCM,
        24 => &AES_192_GCM,
        32 => &AES_256_GCM,
        len => return Err(EncryptError::KeyLength(len)),
    };
    UnboundKey::new(algorithm, key)
        .map(LessSafeKey::new)
        .map_err(|_| EncryptError::KeyLength(key.len()))
}
