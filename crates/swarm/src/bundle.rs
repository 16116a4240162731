//! A conversation, or what is new in it, in a file: for devices that never meet.
//!
//! ```text
//! magic (8) | version (1) | length of the header (4) | header, JSON
//! | length of the signature (2) | signature | pack
//! ```
//!
//! Numbers are big-endian. The header says which conversation this is, what its head is, what
//! a receiver must have already, and what the pack's SHA-256 is; the device whose chain is in
//! it signed it. That tells whom it comes from, as a link would; the commits in the pack are
//! checked as if they had been fetched from that device.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, Write};
use std::path::Path;

use aws_lc_rs::digest;
use baraza_identity::{CertificateChain, DeviceIdentity};
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId, UnixTime, hex};
use serde::{Deserialize, Serialize};

use crate::ingest::Fetched;
use crate::pack::{PackError, PackLimits, PackWriter, Spool, select};
use crate::repository::{Repository, RepositoryError};
use crate::upload_pack::{Served as _, object_id};

const MAGIC: [u8; 8] = *b"\x89BUNDLE\n";
const VERSION: u8 = 1;
/// Longest header: a chain has some 6 KiB.
const MAX_HEADER: u32 = 64 * 1024;
/// Longest signature.
const MAX_SIGNATURE: u16 = 2048;
/// What is signed begins with this, so that it is nothing else that a device signs.
const CONTEXT: &[u8] = b"baraza bundle\0";
const CHUNK: usize = 64 * 1024;

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The conversation.
    pub conversation: ConversationId,
    /// Its head: all that it leads to is in the bundle or below `since`.
    pub head: CommitId,
    /// What the receiver must have already, with all that it leads to.
    pub since: Option<CommitId>,
    /// When it was made, in milliseconds since 1970.
    pub created: UnixTime,
    /// Bytes of the pack.
    pub length: u64,
    /// The SHA-256 of the pack, in hex.
    pub sha256: String,
    /// The chain of the device that made it, as PEM.
    pub chain: String,
}

/// Why there is no bundle, or it is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It is something else.
    #[error("this is no bundle of a conversation")]
    Foreign,
    /// Made by a newer version.
    #[error("it is of version {0}, which this program does not know yet")]
    Newer(u8),
    /// It ends too early.
    #[error("it is cut short")]
    Cut,
    /// Its header makes no sense.
    #[error("its header makes no sense: {0}")]
    Header(&'static str),
    /// It was changed after it was signed, or who signed it is nobody.
    #[error("its signature is wrong: it was changed, or is not of whom it says")]
    Signature,
    /// The pack was changed.
    #[error("its content was changed")]
    Content,
    /// Its pack is too large, or an object cannot be read.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The conversation cannot be read.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The key failed.
    #[error("it cannot be signed: {0}")]
    Key(#[from] baraza_identity::key::KeyError),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A bundle that was read and whose signature is right.
#[derive(Debug)]
pub struct Bundle {
    /// What it says of itself.
    pub header: Header,
    /// The account whose device made it.
    pub account: AccountId,
    /// What is in it, not checked yet.
    pub fetched: Fetched,
}

fn signed(header: &[u8]) -> Vec<u8> {
    [CONTEXT, header].concat()
}

fn sha256(context: digest::Context) -> String {
    hex::encode(context.finish().as_ref())
}

impl Header {
    /// Reads a header with its signature, and checks that a device signed it. Returns the
    /// device and its account, too.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn read(
        input: &mut impl Read,
        now: UnixTime,
    ) -> Result<(Self, DeviceId, AccountId), BundleError> {
        let magic: [u8; 8] = array(input).map_err(|error| match error {
            BundleError::Cut => BundleError::Foreign,
            other => other,
        })?;
        if magic != MAGIC {
            return Err(BundleError::Foreign);
        }
        let [version] = array(input)?;
        if version != VERSION {
            return Err(BundleError::Newer(version));
        }
        let length = u32::from_be_bytes(array(input)?);
        if length > MAX_HEADER {
            return Err(BundleError::Header("it is too long"));
        }
        let text = bytes(input, u64::from(length))?;
        let length = u16::from_be_bytes(array(input)?);
        if length > MAX_SIGNATURE {
            return Err(BundleError::Header("its signature is too long"));
        }
        let signature = bytes(input, u64::from(length))?;
        let header: Self = serde_json::from_slice(&text)
            .map_err(|_| BundleError::Header("it is no JSON of ours"))?;
        let chain = CertificateChain::from_pem(&header.chain)
            .map_err(|_| BundleError::Header("it has no chain of certificates"))?;
        let account = chain
            .verify_device(now)
            .map_err(|_| BundleError::Signature)?;
        let key = chain.leaf().public_key();
        key.verify(&signed(&text), &signature)
            .map_err(|_| BundleError::Signature)?;
        Ok((header, chain.device_id(), account))
    }
}

impl Bundle {
    /// Reads a bundle. The pack is kept in memory or in a nameless file in `spool`.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn read(
        input: impl Read,
        spool: &Path,
        limits: &PackLimits,
        now: UnixTime,
    ) -> Result<Self, BundleError> {
        let mut input = BufReader::with_capacity(CHUNK, input);
        let (header, device, account) = Header::read(&mut input, now)?;
        if header.length > limits.bytes {
            return Err(PackError::TooManyBytes(limits.bytes).into());
        }
        let mut pack = Spool::new(spool);
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut buffer = vec![0; CHUNK];
        // One byte more shows that there is something behind it.
        let mut rest = input.take(header.length.saturating_add(1));
        loop {
            let read = rest.read(&mut buffer)?;
            let part = buffer.get(..read).unwrap_or_default();
            if part.is_empty() {
                break;
            }
            hash.update(part);
            pack.append(part)?;
        }
        if pack.len() < header.length {
            return Err(BundleError::Cut);
        }
        if pack.len() > header.length || sha256(hash) != header.sha256 {
            return Err(BundleError::Content);
        }
        Ok(Self {
            fetched: Fetched {
                pack,
                head: header.head,
                from: device,
            },
            header,
            account,
        })
    }

    /// Writes what the conversation in `directory` has, or what it has beyond `since`, to a
    /// new file, which is complete and on stable storage, or not there. Nothing else may
    /// write to the conversation meanwhile: see [`crate::snapshot()`].
    ///
    /// # Errors
    /// If there is nothing new, something in the way, or something fails.
    pub fn write(
        directory: &Path,
        since: Option<CommitId>,
        identity: &DeviceIdentity,
        now: UnixTime,
        target: &Path,
    ) -> Result<Header, BundleError> {
        let repository = Repository::load(directory)?;
        let limits = PackLimits::default();
        let head = repository.head();
        if let Some(since) = since.filter(|since| !repository.contains(since)) {
            return Err(RepositoryError::UnknownCommit(since).into());
        }
        if since == Some(head) {
            return Err(RepositoryError::Pointless("there is nothing new").into());
        }
        let haves: Vec<_> = since.iter().map(object_id).collect();
        let objects = repository.objects();
        let selection = select(objects, &[object_id(&head)], &haves, &limits)?;
        let parent = target.parent().filter(|path| !path.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let mut pack = tempfile::tempfile_in(parent)?;
        let mut writer = PackWriter::new(selection.objects)?;
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut length = 0_u64;
        while let Some(chunk) = writer.next_chunk(objects, CHUNK)? {
            length = length.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            if length > limits.bytes {
                return Err(PackError::TooManyBytes(limits.bytes).into());
            }
            hash.update(&chunk);
            pack.write_all(&chunk)?;
        }
        let header = Header {
            conversation: repository.id(),
            head,
            since,
            created: now,
            length,
            sha256: sha256(hash),
            chain: identity.chain().to_pem(),
        };
        let text = serde_json::to_vec(&header).map_err(io::Error::other)?;
        let signature = identity.key().sign(&signed(&text))?;
        let text_length = u32::try_from(text.len()).map_err(io::Error::other)?;
        let signature_length = u16::try_from(signature.len()).map_err(io::Error::other)?;
        // Mode 0600, as temporary files have.
        let mut out = tempfile::NamedTempFile::new_in(parent)?;
        out.write_all(&MAGIC)?;
        out.write_all(&[VERSION])?;
        out.write_all(&text_length.to_be_bytes())?;
        out.write_all(&text)?;
        out.write_all(&signature_length.to_be_bytes())?;
        out.write_all(&signature)?;
        pack.rewind()?;
        io::copy(&mut pack, &mut out)?;
        out.as_file().sync_all()?;
        out.persist_noclobber(target).map_err(|error| error.error)?;
        File::open(parent)?.sync_all()?;
        Ok(header)
    }
}

fn array<const N: usize>(input: &mut impl Read) -> Result<[u8; N], BundleError> {
    let mut array = [0; N];
    input.read_exact(&mut array).map_err(ended)?;
    Ok(array)
}

fn bytes(input: &mut impl Read, length: u64) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::new();
    let read = input.take(length).read_to_end(&mut bytes)?;
    match u64::try_from(read) == Ok(length) {
        true => Ok(bytes),
        false => Err(BundleError::Cut),
    }
}

fn ended(error: io::Error) -> BundleError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => BundleError::Cut,
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use baraza_identity::testing;

    use super::*;
    use crate::{Author, Mode};

    struct Made {
        dir: tempfile::TempDir,
        repository: Repository,
    }

    impl Made {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let identity = testing::identity("alice");
            let author = Author {
                identity: &identity,
                name: "alice",
            };
            let mode = Mode::InvitesOnly;
            let repository =
                Repository::create_group(dir.path(), author, mode, testing::NOW).unwrap();
            Self { dir, repository }
        }

        fn write(&self, since: Option<CommitId>, name: &str) -> Result<Vec<u8>, BundleError> {
            let target = self.dir.path().join(name);
            let identity = testing::identity("alice");
            let directory = self.repository.directory();
            Bundle::write(directory, since, &identity, testing::NOW, &target)?;
            Ok(std::fs::read(target).unwrap())
        }
    }

    fn read(bytes: &[u8]) -> Result<Bundle, BundleError> {
        let limits = PackLimits::default();
        Bundle::read(bytes, &std::env::temp_dir(), &limits, testing::NOW)
    }

    #[test]
    fn bundle_is_cloned_as_if_it_had_been_fetched() {
        let made = Made::new();
        let bundle = read(&made.write(None, "all").unwrap()).unwrap();
        assert_eq!(bundle.account, testing::identity("alice").account_id());
        assert_eq!(bundle.header.conversation, made.repository.id());
        let elsewhere = tempfile::tempdir().unwrap();
        let id = bundle.header.conversation;
        let limits = PackLimits::default();
        let (clone, commits) =
            Repository::clone_into(elsewhere.path(), id, bundle.fetched, &limits).unwrap();
        assert_eq!((clone.head(), commits.len()), (made.repository.head(), 1));
    }

    #[test]
    fn nothing_new_and_unknown_marks_are_said() {
        let made = Made::new();
        let nothing = made.write(Some(made.repository.head()), "nothing");
        assert!(matches!(
            nothing,
            Err(BundleError::Repository(RepositoryError::Pointless(_)))
        ));
        let unknown = made.write(Some(CommitId::new([7; 20])), "unknown");
        assert!(matches!(
            unknown,
            Err(BundleError::Repository(RepositoryError::UnknownCommit(_)))
        ));
        made.write(None, "there").unwrap();
        let again = made.write(None, "there");
        assert!(matches!(again, Err(BundleError::Io(_))), "{again:?}");
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_refused() {
        let made = Made::new();
        let whole = made.write(None, "all").unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            assert!(read(&changed).is_err(), "changed at {at}");
            assert!(read(&whole[..at]).is_err(), "cut at {at}");
        }
        assert!(read(&[whole.as_slice(), b"."].concat()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
