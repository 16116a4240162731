//! The bearer token: who can read it may use the API.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use baraza_wire::{Rng, hex};
use subtle::ConstantTimeEq;

/// Name of the token's file in the data directory.
pub const TOKEN_FILE: &str = "api-token";

/// 32 random bytes, written as 64 hex digits into a file which only the owner may read.
#[derive(Clone)]
pub struct Token(String);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Its file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its file holds something else.
    #[error("{0} is no API token: remove it, and the node makes a new one at its next start")]
    Malformed(PathBuf),
    /// Others could have read it.
    #[error("{0} can be read by others: remove it, and the node makes a new one at its next start")]
    Exposed(PathBuf),
}

impl Token {
    /// The token in `dir`, made if there is none.
    ///
    /// # Errors
    /// If its file cannot be read or written, holds no token or can be read by others.
    pub fn load_or_create(dir: &Path, rng: &mut Rng) -> Result<Self, TokenError> {
        let path = dir.join(TOKEN_FILE);
        match Self::load(dir) {
            Err(TokenError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let token = Self(hex::encode(&rng.bytes::<32>()));
        let file = |source| TokenError::File {
            path: path.clone(),
            source,
        };
        let new = dir.join("api-token.new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file(error)),
            _ => {}
        }
        let mut out = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .map_err(file)?;
        out.write_all(token.0.as_bytes())
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.sync_all())
            .and_then(|()| fs::rename(&new, &path))
            .map_err(file)?;
        Ok(token)
    }

    /// The token in `dir`.
    ///
    /// # Errors
    /// If its file cannot be read, holds no token or can be read by others.
    pub fn load(dir: &Path) -> Result<Self, TokenError> {
        let path = dir.join(TOKEN_FILE);
        let file = |source| TokenError::File {
            path: path.clone(),
            source,
        };
        let mode = fs::metadata(&path).map_err(file)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(TokenError::Exposed(path));
        }
        let text = fs::read_to_string(&path).map_err(file)?;
        let text = text.trim();
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TokenError::Malformed(path))
        }
    }

    /// Whether `given` is it; takes the same time for every wrong text of the right length.
    pub fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }

    /// The text for an `Authorization: Bearer` header.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_made_once_and_only_the_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let made = Token::load_or_create(dir.path(), &mut Rng::from_seed(1)).unwrap();
        let mode = fs::metadata(dir.path().join(TOKEN_FILE)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        let again = Token::load_or_create(dir.path(), &mut Rng::from_seed(2)).unwrap();
        assert_eq!(made.secret(), again.secret());
        assert_eq!(made.secret().len(), 64);
    }

    #[test]
    fn only_the_whole_token_matches() {
        let dir = tempfile::tempdir().unwrap();
        let token = Token::load_or_create(dir.path(), &mut Rng::from_seed(1)).unwrap();
        let mut other = token.secret().to_owned();
        assert!(token.matches(&other));
        other.pop();
        assert!(!token.matches(&other));
        other.push('x');
        assert!(!token.matches(&other));
        assert!(!token.matches(""));
    }

    #[test]
    fn token_that_others_could_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Token::load_or_create(dir.path(), &mut Rng::from_seed(1)).unwrap();
        let path = dir.path().join(TOKEN_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = Token::load(dir.path());
        assert!(
            matches!(refused, Err(TokenError::Exposed(_))),
            "{refused:?}"
        );
    }

    #[test]
    fn file_with_something_else_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(TOKEN_FILE);
        fs::write(&path, "hello").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let refused = Token::load_or_create(dir.path(), &mut Rng::from_seed(1));
        assert!(
            matches!(refused, Err(TokenError::Malformed(_))),
            "{refused:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"hello");
    }

    #[test]
    fn debug_text_shows_no_token() {
        let dir = tempfile::tempdir().unwrap();
        let token = Token::load_or_create(dir.path(), &mut Rng::from_seed(1)).unwrap();
        assert!(!format!("{token:?}").contains(token.secret()));
    }
}
