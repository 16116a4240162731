//! The password for signing in: what is kept of it, and whether one is right.

use baraza_identity::Password;
use baraza_identity::password::stretch;
use baraza_store::PasswordRow;
use baraza_wire::Rng;
use subtle::ConstantTimeEq as _;

use crate::error::ApiError;

/// Shortest password that may be set, in characters.
pub const MIN_PASSWORD: usize = 10;
/// Longest one, in bytes.
const MAX_PASSWORD: usize = 1024;
const HASH_LEN: usize = 32;

/// What is kept of a password. Takes a second of processor time.
pub(super) fn hashed(password: &str) -> Result<PasswordRow, ApiError> {
    if password.chars().count() < MIN_PASSWORD || password.len() > MAX_PASSWORD {
        let message = format!("a password has {MIN_PASSWORD} characters or more");
        return Err(ApiError::unprocessable("weak_password", message));
    }
    let salt = Rng::from_os().bytes::<16>();
    let hash = stretch(&Password::new(password), &salt, HASH_LEN)
        .map_err(|error| ApiError::internal(&error))?;
    Ok(PasswordRow {
        salt: salt.to_vec(),
        hash: hash.to_vec(),
    })
}

/// Whether it is the one that is known. Takes a second of processor time.
pub(super) fn is_right(password: &str, known: Option<PasswordRow>) -> Result<bool, ApiError> {
    let Some(known) = known.filter(|_| password.len() <= MAX_PASSWORD) else {
        return Ok(false);
    };
    let hash = stretch(&Password::new(password), &known.salt, HASH_LEN)
        .map_err(|error| ApiError::internal(&error))?;
    Ok(hash.ct_eq(&known.hash).into())
}
