//! A conversation on disk: everything the account engine does with it.
//!
//! One [`Repository`] belongs to one thread. It holds the head and its tree in memory, so
//! that a commit costs the same on top of ten messages and of a million. Whatever a method
//! that writes reports as done is on stable storage.

mod cloning;
mod open;
mod read;
mod receive;
mod write;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use baraza_identity::DeviceIdentity;
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId, UnixTime};
use gix::ObjectId;

use crate::commit::Broken;
use crate::history::Order;
use crate::ingest::IngestError;
use crate::journal::Journal;
use crate::members::Membership;
use crate::message::{Fields, Message};
use crate::pack::PackError;
use crate::refusal::{Refused, Rule};
use crate::tree::TreeError;
use crate::validate::{Caches, CheckError, Founding, ValidateError};

pub use cloning::{Cloned, Cloning};
pub use receive::{Intake, Listing, Received};

/// Who writes a commit.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    /// The own device.
    pub identity: &'a DeviceIdentity,
    /// The name to show; may be empty.
    pub name: &'a str,
}

/// What is known of one commit.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitInfo {
    /// Its id, which is the id of the message.
    pub id: CommitId,
    /// The account that wrote it.
    pub author: AccountId,
    /// The device it wrote it on.
    pub device: DeviceId,
    /// The name the author went by; for display only.
    pub name: String,
    /// None for the first commit, two for merges.
    pub parents: Vec<CommitId>,
    /// When it was written, by its author's clock.
    pub time: UnixTime,
    /// What it says.
    pub message: Message,
    /// The fields of the message as they were written; none for merges.
    pub fields: Fields,
}

/// An entry of the history.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The commit.
    pub commit: CommitInfo,
    /// The next older entry of the linear history.
    pub linearized_parent: Option<CommitId>,
}

/// What a merge came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeOutcome {
    /// Everything is here already.
    UpToDate,
    /// The own branch moved to the other head.
    FastForward,
    /// The own branch moved to the other head, which has all of it but merges: these say
    /// nothing, and stay behind.
    Adopted,
    /// A merge commit was written.
    Merged(CommitId),
    /// Both heads stay: no valid merge can be written now.
    Diverged(Divergence),
}

/// Why two heads stay apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Divergence {
    /// This device never wrote a commit, and a merge must not introduce it (section 5.11).
    /// Write another commit first.
    #[error("this device has not written to the conversation yet")]
    UnknownDevice,
    /// The own account is no member in the merged tree.
    #[error("the own account is no member")]
    NotMember,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// The disk failed.
    #[error("cannot read or write the conversation: {0}")]
    Io(#[from] io::Error),
    /// There is no conversation, or not a whole one.
    #[error("no conversation in {}: {why}", .path.display())]
    Unusable {
        /// Where.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// There is something already where a conversation was to be made.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// A pack or object is bad.
    #[error(transparent)]
    Pack(PackError),
    /// What was fetched, or what was to be written, breaks a rule. For a fetch: signal
    /// "invalid fetch" (section 5.1).
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A commit that is not here.
    #[error("commit {0} is not here")]
    UnknownCommit(CommitId),
    /// The own account may not do that.
    #[error("not allowed: {0}")]
    NotAllowed(&'static str),
    /// What was asked for is there already or makes no sense.
    #[error("nothing to do: {0}")]
    Pointless(&'static str),
    /// Work on another thread was ended early.
    #[error("the work was ended early")]
    Stopped,
    /// The own key failed.
    #[error("cannot sign: {0}")]
    Key(#[from] baraza_identity::key::KeyError),
}

/// A conversation on disk.
pub struct Repository {
    directory: PathBuf,
    /// Where git's files are.
    git: PathBuf,
    id: ConversationId,
    founding: Founding,
    head: CommitId,
    /// The tree of the head.
    tree: ObjectId,
    remotes: BTreeMap<DeviceId, CommitId>,
    objects: gix::odb::Handle,
    /// Packs added since the objects were opened.
    packs: usize,
    /// `None` until the first write, and for reading only.
    journal: Option<Journal>,
    caches: Caches,
    /// The history as far as it was asked for.
    order: RefCell<Order>,
    /// What is known of a fetch that is being taken in on another thread.
    intake: Option<OnTheWay>,
    /// The members according to a tree.
    membership: RefCell<Option<(ObjectId, Arc<Membership>)>>,
}

/// A fetch that another thread checks.
#[derive(Debug, Clone, Copy)]
struct OnTheWay {
    /// The own head when it began. The fetch cannot have what this device wrote later.
    own: CommitId,
    /// Whether nothing but commits of this device came on top of it.
    linear: bool,
    /// What was fetched, if it has been taken and descends from `own`.
    descendant: Option<CommitId>,
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository")
            .field("id", &self.id)
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

type Result<T, E = RepositoryError> = std::result::Result<T, E>;

impl From<PackError> for RepositoryError {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Io(error) => Self::Io(error),
            error => Self::Pack(error),
        }
    }
}

impl From<TreeError> for RepositoryError {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Pack(error) => error.into(),
            TreeError::Illegal(id, _) => Self::Pack(PackError::Malformed(id)),
        }
    }
}

impl From<ValidateError> for RepositoryError {
    fn from(error: ValidateError) -> Self {
        match error {
            ValidateError::Refused(refused) => refused.into(),
            ValidateError::Pack(error) => error.into(),
            ValidateError::Stopped => Self::Stopped,
        }
    }
}

impl From<IngestError<ValidateError>> for RepositoryError {
    fn from(error: IngestError<ValidateError>) -> Self {
        match error {
            IngestError::Pack(error) => error.into(),
            IngestError::Refused(error) => error.into(),
            IngestError::Exists(path) => Self::Exists(path),
            IngestError::Io(error) => error.into(),
        }
    }
}

/// A check of one's own new commit that failed.
fn own(commit: CommitId, error: CheckError) -> RepositoryError {
    match error {
        CheckError::Pack(error) => error.into(),
        CheckError::Broken((Rule::Member, _)) => {
            RepositoryError::NotAllowed("the own account is no member")
        }
        CheckError::Broken((Rule::Device, _)) => {
            RepositoryError::NotAllowed("this device has not written to the conversation yet")
        }
        CheckError::Broken((rule, text)) => Refused {
            commit,
            rule,
            text,
            author: None,
        }
        .into(),
    }
}

/// A conversation that was validated but breaks a rule now: it was damaged.
fn damaged(path: &Path, (rule, text): Broken) -> RepositoryError {
    RepositoryError::Unusable {
        path: path.to_owned(),
        why: format!("{rule}: {text}"),
    }
}
