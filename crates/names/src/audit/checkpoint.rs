//! Signatures over the newest hash.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V2Der};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use baraza_wire::{UnixTime, hex};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{ChainHash, Head};

/// Longest key file.
const MAX_KEY_FILE: u64 = 4096;

/// The Ed25519 key that checkpoints are verified with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignerKey([u8; 32]);

impl SignerKey {
    /// From raw bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode_array(text).map(Self)
    }

    /// 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(&self.0)
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({})", self.to_hex())
    }
}

/// A checkpoint that proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the signature of the checkpoint is wrong")]
pub struct BadCheckpoint;

/// The end of a log at some time, signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The number of the last entry.
    pub seq: u64,
    /// Its hash.
    pub hash: ChainHash,
    /// When it was signed, in whole seconds.
    pub time: UnixTime,
    /// By which key.
    pub key: SignerKey,
    /// The signature.
    pub signature: Vec<u8>,
}

impl Checkpoint {
    /// The text that is signed.
    fn text(seq: u64, hash: &ChainHash, time: UnixTime) -> String {
        format!(
            "baraza names checkpoint 1\n{seq}\n{}\n{}\n",
            hex::encode(hash),
            time.secs()
        )
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// If it is wrong.
    pub fn verify(&self) -> Result<(), BadCheckpoint> {
        UnparsedPublicKey::new(&ED25519, self.key.as_bytes())
            .verify(
                Self::text(self.seq, &self.hash, self.time).as_bytes(),
                &self.signature,
            )
            .map_err(|_| BadCheckpoint)
    }
}

/// The private key that signs checkpoints.
pub struct Signer {
    pair: Ed25519KeyPair,
    key: SignerKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("key", &self.key).finish()
    }
}

impl Signer {
    /// Makes a new one.
    ///
    /// # Errors
    /// If the library cannot.
    pub fn generate() -> io::Result<Self> {
        let pair = Ed25519KeyPair::generate().map_err(io::Error::other)?;
        Self::from_pair(pair)
    }

    /// Reads it from a file that only its owner may read, or makes one there.
    ///
    /// # Errors
    /// If it cannot be read or written, others may read it, or it holds something else.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        match Self::load(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let signer = Self::generate()?;
        let der: Pkcs8V2Der<'_> = signer.pair.as_der().map_err(io::Error::other)?;
        let der: Zeroizing<Vec<u8>> = Zeroizing::new(der.as_ref().to_vec());
        // Written beside and linked: of several processes that start at once, one wins.
        let new = path.with_extension(format!("{}.new", std::process::id()));
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| {
                file.write_all(&der)?;
                file.sync_all()
            })
            .and_then(|()| match fs::hard_link(&new, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                other => other,
            });
        let removed = fs::remove_file(&new);
        written.and(removed)?;
        if let Some(parent) = path.parent() {
            fs::File::open(parent)?.sync_all()?;
        }
        Self::load(path)
    }

    fn load(path: &Path) -> io::Result<Self> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let about = fs::metadata(path)?;
        if about.permissions().mode() & 0o077 != 0 {
            return Err(invalid(format!(
                "others may read {}: chmod 600 it, or make a new one",
                path.display()
            )));
        }
        if about.len() > MAX_KEY_FILE {
            return Err(invalid(format!("{} is no key", path.display())));
        }
        let der = Zeroizing::new(fs::read(path)?);
        let pair = Ed25519KeyPair::from_pkcs8(&der)
            .map_err(|_| invalid(format!("{} is no Ed25519 key", path.display())))?;
        Self::from_pair(pair)
    }

    fn from_pair(pair: Ed25519KeyPair) -> io::Result<Self> {
        let key = pair.public_key().as_ref().try_into();
        let key = SignerKey(key.map_err(io::Error::other)?);
        Ok(Self { pair, key })
    }

    /// The public half.
    pub fn key(&self) -> SignerKey {
        self.key
    }

    /// Signs the end of a log.
    pub fn sign(&self, head: &Head, now: UnixTime) -> Checkpoint {
        let time = UnixTime::from_secs(now.secs());
        let text = Checkpoint::text(head.seq, &head.hash, time);
        Checkpoint {
            seq: head.seq,
            hash: head.hash,
            time,
            key: self.key,
            signature: self.pair.sign(text.as_bytes()).as_ref().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_is_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint.key");
        let first = Signer::load_or_create(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let second = Signer::load_or_create(&path).unwrap();
        assert_eq!(first.key(), second.key());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Signer::load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("others may read"), "{error}");
    }

    #[test]
    fn a_checkpoint_stands_for_one_end_of_one_log() {
        let signer = Signer::generate().unwrap();
        let head = Head {
            seq: 5,
            hash: [7; 32],
            ..Head::EMPTY
        };
        let good = signer.sign(&head, UnixTime::from_millis(1_767_225_600_500));
        good.verify().unwrap();
        let mut changed = vec![good.clone(), good.clone(), good.clone(), good.clone(), good];
        changed[0].seq = 6;
        changed[1].hash[0] ^= 1;
        changed[2].time = UnixTime::from_secs(1);
        changed[3].signature[0] ^= 1;
        changed[4].key = Signer::generate().unwrap().key();
        for bad in changed {
            assert_eq!(bad.verify(), Err(BadCheckpoint));
        }
    }
}
