//! Linking a device with a PIN over the DHT, as daemons of 2023 do
//! (docs/protocol/02-account.md section 10.1): where the archive is put, and how it is
//! sealed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY};
use baraza_wire::{InfoHash, Rng, UnixTime};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::archive::{Archive, ArchiveError, compress, decompress};
use crate::encrypt;
use crate::password::{self, Password, StretchError};

/// Characters of a PIN.
pub const PIN_LEN: usize = 8;
/// A PIN gives another place in each window of this length.
pub const PIN_WINDOW: Duration = Duration::from_secs(1200);

const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Eight digits and letters that a person carries from one device to the other.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(Zeroizing<String>);

/// Text that is not a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a PIN has {PIN_LEN} letters and digits")]
pub struct PinError;

/// Place and key that a PIN and a password give in one window of time.
#[derive(Clone)]
pub struct PinExchange {
    location: InfoHash,
    key: Zeroizing<Vec<u8>>,
    has_password: bool,
}

impl Pin {
    /// A random PIN.
    pub fn generate(rng: &mut Rng) -> Self {
        let text = (0..PIN_LEN)
            .filter_map(|_| ALPHABET.get(rng.index(ALPHABET.len())?))
            .map(|byte| char::from(*byte))
            .collect();
        Self(Zeroizing::new(text))
    }

    /// The PIN as people are shown it, in lower case.
    pub fn to_lower_case(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// The exchange at the time `now`. A receiver also tries the window before (pass an
    /// earlier `now`). Takes most of a second.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn exchange(
        &self,
        password: &Password,
        now: UnixTime,
    ) -> Result<PinExchange, StretchError> {
        let window = now.secs() / PIN_WINDOW.as_secs().max(1);
        let salt = Zeroizing::new(format!("{}{window:x}", *self.0));
        let key = password::stretch(password, salt.as_bytes(), 32)?;
        let location = digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &key);
        Ok(PinExchange {
            location: InfoHash::from_slice(location.as_ref()).unwrap_or_default(),
            key,
            has_password: !password.is_empty(),
        })
    }
}

impl PinExchange {
    /// Where on the DHT the archive is put.
    pub fn location(&self) -> InfoHash {
        self.location
    }

    /// Whether there is a password beside the PIN.
    pub fn has_password(&self) -> bool {
        self.has_password
    }

    /// The bytes to put.
    ///
    /// # Errors
    /// If the archive is too large.
    pub fn seal(&self, archive: &Archive, rng: &mut Rng) -> Result<Vec<u8>, ArchiveError> {
        let packed = compress(&archive.to_json(self.has_password)?)?;
        Ok(encrypt::seal(&self.key, rng.bytes(), &packed)?)
    }

    /// Reads the bytes found.
    ///
    /// # Errors
    /// As for reading an archive.
    pub fn open(&self, data: &[u8]) -> Result<Archive, ArchiveError> {
        let packed = Zeroizing::new(encrypt::open(&self.key, data)?);
        Archive::from_json(&decompress(&packed)?)
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let text = text.trim().to_ascii_uppercase();
        let valid = text.len() == PIN_LEN && text.bytes().all(|byte| ALPHABET.contains(&byte));
        if valid {
            Ok(Self(Zeroizing::new(text)))
        } else {
            Err(PinError)
        }
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin")
    }
}

impl fmt::Debug for PinExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PinExchange(at {})", self.location.short())
    }
}
