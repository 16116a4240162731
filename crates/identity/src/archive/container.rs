use std::fmt;
use std::io::{self, Read, Write};

use baraza_wire::Rng;
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use zeroize::Zeroizing;

use super::{ArchiveError, OVERHEAD};
use crate::encrypt::{self, SALT_LEN};
use crate::password::{self, Password};

/// Largest archive, as a file and unpacked, in bytes. Some 150 000 contacts fit.
pub const MAX_ARCHIVE_LEN: usize = 32 * 1024 * 1024;

/// First bytes of gzip with its only compression method.
const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 0x08];
const KEY_LEN: usize = 32;

type Secret = Zeroizing<Vec<u8>>;

/// The key of an encrypted archive with the salt it was derived with. Clients may keep it
/// instead of the password; wiped when dropped.
#[derive(Clone)]
pub struct ArchiveKey {
    key: Zeroizing<Vec<u8>>,
    salt: [u8; SALT_LEN],
}

impl ArchiveKey {
    /// Derives a key with a fresh salt. Takes most of a second.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(password: &Password, rng: &mut Rng) -> Result<Self, ArchiveError> {
        Self::with_salt(password, rng.bytes())
    }

    /// Derives the key of the encrypted archive file `bytes` from its salt. Whether it is
    /// the right one shows when reading.
    ///
    /// # Errors
    /// If the file is too short or there is not enough memory.
    pub fn derive(bytes: &[u8], password: &Password) -> Result<Self, ArchiveError> {
        let salt = bytes.first_chunk().ok_or(ArchiveError::Cut)?;
        Self::with_salt(password, *salt)
    }

    /// From a key kept earlier, for the encrypted archive file `bytes`.
    ///
    /// # Errors
    /// If the file is too short or the key has not 32 bytes.
    pub fn from_bytes(key: &[u8], bytes: &[u8]) -> Result<Self, ArchiveError> {
        if key.len() != KEY_LEN {
            return Err(ArchiveError::WrongPassword);
        }
        Ok(Self {
            key: Zeroizing::new(key.to_vec()),
            salt: *bytes.first_chunk().ok_or(ArchiveError::Cut)?,
        })
    }

    fn with_salt(password: &Password, salt: [u8; SALT_LEN]) -> Result<Self, ArchiveError> {
        let key = password::stretch(password, &salt, KEY_LEN)?;
        Ok(Self { key, salt })
    }

    /// The 32 bytes of the key, for keeping.
    pub fn as_bytes(&self) -> &[u8] {
        &self.key
    }
}

impl fmt::Debug for ArchiveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArchiveKey")
    }
}

/// What is inside the optional outer layer of gzip.
pub(super) fn unwrap(bytes: &[u8]) -> Result<Secret, ArchiveError> {
    if bytes.len() > MAX_ARCHIVE_LEN {
        return Err(ArchiveError::TooLarge);
    }
    if bytes.starts_with(&GZIP_MAGIC) {
        decompress(bytes)
    } else {
        Ok(Zeroizing::new(bytes.to_vec()))
    }
}

/// The content of an archive without password whose outer layer is gone.
pub(super) fn open_plain(file: &[u8]) -> Result<Secret, ArchiveError> {
    let content = if file.starts_with(&GZIP_MAGIC) {
        decompress(file)?
    } else {
        Zeroizing::new(file.to_vec())
    };
    if content.starts_with(&GZIP_MAGIC) {
        Err(ArchiveError::TooManyLayers)
    } else if looks_like_json(&content) {
        Ok(content)
    } else if content.len() > OVERHEAD {
        // Encrypted content is as good as random, so nothing else can be said of it.
        Err(ArchiveError::PasswordNeeded)
    } else {
        Err(ArchiveError::Cut)
    }
}

/// Refuses, before the slow derivation, what cannot be encrypted.
pub(super) fn check_encrypted(file: &[u8]) -> Result<(), ArchiveError> {
    if looks_like_json(file) {
        return Err(ArchiveError::NotEncrypted);
    }
    if file.starts_with(&GZIP_MAGIC) {
        // Two layers without encryption, or a salt that happens to look like gzip.
        match decompress(file) {
            Ok(content) if looks_like_json(&content) => return Err(ArchiveError::NotEncrypted),
            Ok(_) => return Err(ArchiveError::TooManyLayers),
            Err(_) => {}
        }
    }
    if file.len() <= OVERHEAD {
        return Err(ArchiveError::Cut);
    }
    Ok(())
}

pub(super) fn open_encrypted(file: &[u8], key: &ArchiveKey) -> Result<Secret, ArchiveError> {
    let (salt, sealed) = file
        .split_first_chunk::<SALT_LEN>()
        .ok_or(ArchiveError::Cut)?;
    if *salt != key.salt {
        return Err(ArchiveError::WrongPassword);
    }
    let packed = Zeroizing::new(encrypt::open(&key.key, sealed)?);
    decompress(&packed)
}

pub(super) fn seal_plain(json: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(json)
        .map_err(|_| ArchiveError::TooLarge)?;
    encoder.finish().map_err(|_| ArchiveError::TooLarge)
}

pub(super) fn seal_encrypted(
    json: &[u8],
    key: &ArchiveKey,
    rng: &mut Rng,
) -> Result<Vec<u8>, ArchiveError> {
    let packed = compress(json)?;
    let mut out = key.salt.to_vec();
    out.extend(encrypt::seal(&key.key, rng.bytes(), &packed)?);
    Ok(out)
}

/// zlib, which is what goes inside the encryption.
pub(crate) fn compress(content: &[u8]) -> Result<Secret, ArchiveError> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(content)
        .and_then(|()| encoder.finish())
        .map(Zeroizing::new)
        .map_err(|_| ArchiveError::TooLarge)
}

/// Unpacks zlib or gzip, whichever it is, up to [`MAX_ARCHIVE_LEN`] bytes.
pub(crate) fn decompress(packed: &[u8]) -> Result<Secret, ArchiveError> {
    if packed.starts_with(&GZIP_MAGIC) {
        read_all(GzDecoder::new(packed))
    } else {
        read_all(ZlibDecoder::new(packed))
    }
}

fn read_all(decoder: impl Read) -> Result<Secret, ArchiveError> {
    let mut content = Zeroizing::new(Vec::new());
    let limit = u64::try_from(MAX_ARCHIVE_LEN)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    match decoder.take(limit).read_to_end(&mut content) {
        Ok(_) if content.len() > MAX_ARCHIVE_LEN => Err(ArchiveError::TooLarge),
        Ok(_) => Ok(content),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ArchiveError::Cut),
        Err(_) => Err(ArchiveError::Damaged("the compressed data is corrupt")),
    }
}

/// One encrypted archive in 256 begins with a brace, too, but none of them is text all through.
fn looks_like_json(content: &[u8]) -> bool {
    str::from_utf8(content).is_ok_and(|text| text.trim_start().starts_with('{'))
}
