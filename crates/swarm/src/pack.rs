//! Packs: what is sent to a peer and what comes from one (docs/protocol/05-swarm.md
//! sections 8.6 and 12.3).
//!
//! Sending: [`select()`] finds what the peer lacks, [`PackWriter`] turns it into a pack piece
//! by piece, so that a slow reader costs one object of memory. Objects are never written
//! as deltas.
//!
//! Receiving: bytes go to a [`Spool`]; [`UnpackedPack::read`] checks every byte of it
//! against [`PackLimits`] before anything else looks inside; [`check_connected`] refuses
//! packs with holes or with objects nobody asked for. `crate::ingest` decides then.

mod connected;
mod delta;
mod index;
mod inflate;
mod scan;
mod select;
mod spool;
mod unpack;
mod write;

use gix::ObjectId;
use gix::objs::{Data, Find, Kind};

pub use connected::check_connected;
pub(crate) use index::write_index;
pub use select::{Selecting, Selection, select};
pub use spool::Spool;
pub(crate) use unpack::InMemory;
pub use unpack::UnpackedPack;
pub(crate) use write::Deflate;
pub use write::{PackWriter, ZLIB_LEVEL};

/// Bounds for packs from a peer. Everything above is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackLimits {
    /// Bytes of the pack as received. Existing peers stop at 256 MiB (section 4.9).
    pub bytes: u64,
    /// Objects in a pack.
    pub objects: u32,
    /// Bytes of one unpacked object: an attachment of a document has up to 16 MiB
    /// (section 4.9), certificates, profiles and messages far less.
    pub object_size: u64,
    /// Bytes of all objects together, unpacked, a delta counted with its result.
    pub decoded: u64,
    /// Links from a delta to an undeltified object. Existing peers write at most 50.
    pub delta_depth: u32,
    /// Directories inside directories. Legal trees have at most 5 levels (rule G8).
    pub tree_depth: u32,
    /// Entries of one tree: there is one per member or device.
    pub tree_entries: u32,
}

impl Default for PackLimits {
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            objects: 1_000_000,
            object_size: 17 << 20,
            decoded: 1 << 30,
            delta_depth: 64,
            tree_depth: 8,
            tree_entries: 20_000,
        }
    }
}

/// Why a pack was refused or could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The pack has more bytes than allowed.
    #[error("the pack is larger than {0} bytes")]
    TooManyBytes(u64),
    /// The pack announces or has too many objects.
    #[error("the pack has {count} objects, {limit} are allowed")]
    TooManyObjects {
        /// What the header says.
        count: u64,
        /// The limit.
        limit: u64,
    },
    /// An object is too large.
    #[error("an object of {size} bytes in the pack, {limit} are allowed")]
    ObjectTooLarge {
        /// What its header says.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// All objects together are too large.
    #[error("the objects of the pack have more than {0} bytes when unpacked")]
    TooMuchDecoded(u64),
    /// A chain of deltas is too long, or holds too much memory at once.
    #[error("a chain of deltas in the pack is too long")]
    DeltaTooDeep,
    /// The bytes are not a pack.
    #[error("damaged pack at byte {offset}: {what}")]
    Damaged {
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The hash at the end does not fit the bytes before it.
    #[error("the pack's checksum is wrong")]
    Checksum,
    /// Deltas whose base is neither in the pack nor reachable: thin packs and cycles.
    #[error("{0} deltas in the pack have no base")]
    Unresolved(usize),
    /// The same object twice.
    #[error("object {0} is twice in the pack")]
    Duplicate(ObjectId),
    /// Two different objects with one SHA-1 are being attempted.
    #[error("the pack holds a SHA-1 collision")]
    Collision,
    /// Tags do not exist in conversations.
    #[error("the pack holds a tag")]
    Tag,
    /// An object that is referred to is nowhere.
    #[error("object {0} is missing")]
    Missing(ObjectId),
    /// An object is not of the kind its referrer says.
    #[error("object {0} is of the wrong kind")]
    WrongKind(ObjectId),
    /// A commit or tree cannot be read.
    #[error("object {0} is malformed")]
    Malformed(ObjectId),
    /// Nested or crowded beyond the limits.
    #[error("tree {0} is too large or too deep")]
    TreeTooLarge(ObjectId),
    /// An object that no commit of the pack leads to.
    #[error("object {0} belongs to no commit of the pack")]
    Stray(ObjectId),
    /// The object database failed.
    #[error("cannot read object {id}: {message}")]
    Database {
        /// Which object.
        id: ObjectId,
        /// The database's words.
        message: String,
    },
    /// The disk failed.
    #[error("cannot read or write the pack: {0}")]
    Io(#[from] std::io::Error),
}

/// Looks `id` up; `Ok(None)` if it is not there.
pub(crate) fn lookup<'a>(
    objects: &dyn Find,
    id: &ObjectId,
    buffer: &'a mut Vec<u8>,
) -> Result<Option<Data<'a>>, PackError> {
    objects
        .try_find(id, buffer)
        .map_err(|error| PackError::Database {
            id: *id,
            message: error.to_string(),
        })
}

/// Looks `id` up, which must be there and of `kind`.
pub(crate) fn expect<'a>(
    objects: &dyn Find,
    id: &ObjectId,
    kind: Kind,
    buffer: &'a mut Vec<u8>,
) -> Result<Data<'a>, PackError> {
    let data = lookup(objects, id, buffer)?.ok_or(PackError::Missing(*id))?;
    if data.kind == kind {
        Ok(data)
    } else {
        Err(PackError::WrongKind(*id))
    }
}

/// What a walk needs of a commit.
pub(crate) struct CommitFacts {
    pub(crate) tree: ObjectId,
    pub(crate) parents: Vec<ObjectId>,
    /// Seconds since 1970, as the commit claims.
    pub(crate) time: i64,
}

impl CommitFacts {
    pub(crate) fn parse(id: &ObjectId, data: &[u8]) -> Result<Self, PackError> {
        let malformed = |_| PackError::Malformed(*id);
        let commit = || gix::objs::CommitRefIter::from_bytes(data, gix::hash::Kind::Sha1);
        Ok(Self {
            tree: commit().tree_id().map_err(malformed)?,
            parents: commit().parent_ids().collect(),
            time: commit().committer().map_err(malformed)?.seconds(),
        })
    }

    pub(crate) fn read(
        objects: &dyn Find,
        id: &ObjectId,
        buffer: &mut Vec<u8>,
    ) -> Result<Self, PackError> {
        let data = expect(objects, id, Kind::Commit, buffer)?;
        Self::parse(id, data.data)
    }
}
