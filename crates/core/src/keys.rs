//! An account's keys on disk: files only the owner may read, in the account's directory.

use std::io;
use std::path::{Path, PathBuf};

use baraza_identity::device::DeviceError;
use baraza_identity::key::KeyError;
use baraza_identity::receipt::ReceiptError;
use baraza_identity::{Archive, CertificateChain, DeviceIdentity, PrivateKey, Receipt};
use baraza_store::files;

use crate::protocol::announcement::{self, Announcement};

/// Longest key, chain or receipt file that is read.
const MAX_FILE: u64 = 256 * 1024;
/// Longest archive file that is read.
pub const MAX_ARCHIVE: u64 = 64 << 20;

const DEVICE_KEY: &str = "device.key";
const DEVICE_CHAIN: &str = "device.crt";
const RECEIPT: &str = "receipt.json";
const RECEIPT_SIGNATURE: &str = "receipt.sig";
const ARCHIVE: &str = "archive.gz";

/// What a device needs to be this device of this account.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Key and chain.
    pub identity: DeviceIdentity,
    /// The account's word for it, with the announcement.
    pub receipt: Receipt,
}

/// Why there are no usable keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is damaged.
    #[error("{}: {reason}", .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Key and chain are for different devices.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The receipt is not for this device.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// The announcement in the receipt is not for this device.
    #[error("the receipt holds no announcement of this device")]
    Announcement,
    /// Signing failed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Keys {
    /// For a device just certified by the account of `archive`.
    ///
    /// # Errors
    /// If signing fails.
    pub fn issue(archive: &Archive, identity: DeviceIdentity) -> Result<Self, KeysError> {
        let announcement = announcement::issue(&archive.account_key, identity.public_key())
            .map_err(|_| KeysError::Announcement)?;
        let eth = archive.eth_key.as_ref();
        let receipt = Receipt::issue(
            &archive.account_key,
            identity.short_id(),
            eth.map_or("", |key| key.address()),
            &announcement.to_packed(),
        )?;
        Ok(Self { identity, receipt })
    }

    /// Writes the files; the device key last, whose presence says that all is there.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn save(&self, directory: &Path, archive: &[u8]) -> Result<(), KeysError> {
        let write = |name: &str, bytes: &[u8]| {
            let path = directory.join(name);
            files::write_private(&path, bytes).map_err(|source| KeysError::Io { path, source })
        };
        files::private_directory(directory).map_err(|source| KeysError::Io {
            path: directory.to_owned(),
            source,
        })?;
        write(ARCHIVE, archive)?;
        write(DEVICE_CHAIN, self.identity.chain().to_pem().as_bytes())?;
        write(RECEIPT, self.receipt.text().as_bytes())?;
        write(RECEIPT_SIGNATURE, self.receipt.signature())?;
        write(DEVICE_KEY, self.identity.key().to_pkcs8_pem().as_bytes())
    }

    /// Reads the files and checks that they belong together (section 5.2).
    ///
    /// # Errors
    /// If one is missing, damaged or for another device.
    pub fn load(directory: &Path) -> Result<Self, KeysError> {
        let read = |name: &str| {
            let path = directory.join(name);
            match files::read_limited(&path, MAX_FILE) {
                Ok(bytes) => Ok((path, bytes)),
                Err(source) => Err(KeysError::Io { path, source }),
            }
        };
        let (path, key) = read(DEVICE_KEY)?;
        let key = zeroize::Zeroizing::new(key);
        let key = std::str::from_utf8(&key)
            .map_err(|error| error.to_string())
            .and_then(|pem| PrivateKey::from_pem(pem).map_err(|error| error.to_string()))
            .map_err(|reason| KeysError::Damaged { path, reason })?;
        let (path, chain) = read(DEVICE_CHAIN)?;
        let chain = CertificateChain::from_pem(chain).map_err(|error| KeysError::Damaged {
            path,
            reason: error.to_string(),
        })?;
        let (path, text) = read(RECEIPT)?;
        let text = String::from_utf8(text).map_err(|error| KeysError::Damaged {
            path,
            reason: error.to_string(),
        })?;
        let (_, signature) = read(RECEIPT_SIGNATURE)?;
        let receipt = Receipt::parse(&text, &signature)?;
        let identity = DeviceIdentity::new(key, chain)?;
        receipt.verify(&identity)?;
        match Announcement::from_receipt(&receipt) {
            Ok(announcement) if announcement.device == identity.short_id() => {
                Ok(Self { identity, receipt })
            }
            _ => Err(KeysError::Announcement),
        }
    }

    /// The archive file as it is on disk.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_archive(directory: &Path) -> Result<Vec<u8>, KeysError> {
        let path = directory.join(ARCHIVE);
        files::read_limited(&path, MAX_ARCHIVE).map_err(|source| KeysError::Io { path, source })
    }

    /// Replaces the archive file, at once or not at all.
    ///
    /// # Errors
    /// If the disk fails; the old file is there still.
    pub fn write_archive(directory: &Path, archive: &[u8]) -> Result<(), KeysError> {
        let path = directory.join(ARCHIVE);
        files::write_private(&path, archive).map_err(|source| KeysError::Io { path, source })
    }
}
