//! A conversation on disk: everything the account engine does with it.
//!
//! One [`Repository`] belongs to one thread. It holds the head and its tree in memory, so
//! that a commit costs the same on top of ten messages and of a million. Whatever a method
//! that writes reports as done is on stable storage.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use baraza_identity::DeviceIdentity;
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId, UnixTime};

use crate::ingest::Fetched;
use crate::members::{Member, Role};
use crate::message::{Fields, Message, Mode};
use crate::pack::{PackError, PackLimits};
use crate::refusal::Refused;
use crate::view::View;

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
    /// The own key failed.
    #[error("cannot sign: {0}")]
    Key(#[from] baraza_identity::key::KeyError),
}

/// A conversation on disk.
#[derive(Debug)]
pub struct Repository {
    directory: PathBuf,
    id: ConversationId,
    mode: Mode,
    head: CommitId,
    remotes: BTreeMap<DeviceId, CommitId>,
}

type Result<T, E = RepositoryError> = std::result::Result<T, E>;

fn later<T>() -> Result<T> {
    Err(io::Error::from(io::ErrorKind::Unsupported).into())
}

impl Repository {
    /// Opens the conversation in `directory` (whose repository is `.git` below it) and
    /// clears what an interrupted program left there. Does not read the history.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn open(directory: &Path) -> Result<Self> {
        let _ = directory;
        later()
    }

    /// Creates a one-to-one conversation as `parent/<id>`: complete on disk, or not at all.
    ///
    /// # Errors
    /// If the disk or the key fails.
    pub fn create_one_to_one(
        parent: &Path,
        author: Author<'_>,
        peer: AccountId,
        now: UnixTime,
    ) -> Result<Self> {
        let _ = (parent, author, peer, now);
        later()
    }

    /// Creates a group ([`Mode::InvitesOnly`] is what clients create) as `parent/<id>`.
    ///
    /// # Errors
    /// If the disk or the key fails.
    pub fn create_group(
        parent: &Path,
        author: Author<'_>,
        mode: Mode,
        now: UnixTime,
    ) -> Result<Self> {
        let _ = (parent, author, mode, now);
        later()
    }

    /// Makes the conversation `parent/<conversation>` out of a first fetch, if its history
    /// is valid from the first commit to the last. Returns all commits too, oldest first.
    ///
    /// # Errors
    /// If there is one already, or the fetch is refused; nothing is left behind then.
    pub fn clone_into(
        parent: &Path,
        conversation: ConversationId,
        fetched: Fetched,
        limits: &PackLimits,
    ) -> Result<(Self, Vec<CommitId>)> {
        let _ = (parent, conversation, fetched, limits);
        later()
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Which conversation this is: the id of its first commit.
    pub fn id(&self) -> ConversationId {
        self.id
    }

    /// What the conversation is for.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The newest commit of the own branch.
    pub fn head(&self) -> CommitId {
        self.head
    }

    /// The last head fetched from a device.
    pub fn remote_head(&self, device: &DeviceId) -> Option<CommitId> {
        self.remotes.get(device).copied()
    }

    /// The last heads fetched, by device.
    pub fn remote_heads(&self) -> impl Iterator<Item = (DeviceId, CommitId)> + '_ {
        self.remotes.iter().map(|(device, head)| (*device, *head))
    }

    /// Whether this commit is here, and so valid.
    pub fn contains(&self, id: &CommitId) -> bool {
        let _ = id;
        false
    }

    /// Calls `with` with what the git wire needs: heads and objects.
    pub fn with_view<T>(&self, with: impl FnOnce(&View<'_>) -> T) -> Option<T> {
        let _ = with;
        None
    }

    /// Writes one commit on top of the head.
    ///
    /// # Errors
    /// If the own account may not write it, or the disk or key fails.
    pub fn commit(
        &mut self,
        author: Author<'_>,
        message: &Message,
        now: UnixTime,
    ) -> Result<CommitId> {
        let _ = (author, message, now);
        later()
    }

    /// Writes many commits on top of the head, durable together: all of them, or none.
    ///
    /// # Errors
    /// As [`Self::commit`], for the first that cannot be written; none is then.
    pub fn commit_batch(
        &mut self,
        author: Author<'_>,
        messages: &[Message],
        now: UnixTime,
    ) -> Result<Vec<CommitId>> {
        let _ = (author, messages, now);
        later()
    }

    /// Joins after a clone (section 4.4); `None` if the own account is a member already.
    ///
    /// # Errors
    /// If the own account is not invited, or the disk or key fails.
    pub fn join(&mut self, author: Author<'_>, now: UnixTime) -> Result<Option<CommitId>> {
        let _ = (author, now);
        later()
    }

    /// Adds a member (section 4.3); `None` if `uri` is a member or invited already and only
    /// needs another invitation.
    ///
    /// # Errors
    /// If it is banned or, in a one-to-one conversation, somebody else.
    pub fn add_member(
        &mut self,
        author: Author<'_>,
        uri: AccountId,
        now: UnixTime,
    ) -> Result<Option<CommitId>> {
        let _ = (author, uri, now);
        later()
    }

    /// Leaves (section 4.5).
    ///
    /// # Errors
    /// If the own account is no member, or the disk or key fails.
    pub fn leave(&mut self, author: Author<'_>, now: UnixTime) -> Result<CommitId> {
        let _ = (author, now);
        later()
    }

    /// Votes for banning an account, and bans it if that makes a majority (section 4.6).
    ///
    /// # Errors
    /// If the own account is no admin, or there is nobody to ban.
    pub fn ban(
        &mut self,
        author: Author<'_>,
        uri: AccountId,
        now: UnixTime,
    ) -> Result<Vec<CommitId>> {
        let _ = (author, uri, now);
        later()
    }

    /// Votes for taking an account back, and does if that makes a majority (section 4.6).
    ///
    /// # Errors
    /// If the own account is no admin, or the account is not banned.
    pub fn unban(
        &mut self,
        author: Author<'_>,
        uri: AccountId,
        now: UnixTime,
    ) -> Result<Vec<CommitId>> {
        let _ = (author, uri, now);
        later()
    }

    /// The file `profile.vcf`, if there is one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn profile(&self) -> Result<Option<Vec<u8>>> {
        later()
    }

    /// Replaces `profile.vcf` (section 4.7).
    ///
    /// # Errors
    /// If the own account is no admin, or the disk or key fails.
    pub fn update_profile(
        &mut self,
        author: Author<'_>,
        vcard: &[u8],
        now: UnixTime,
    ) -> Result<CommitId> {
        let _ = (author, vcard, now);
        later()
    }

    /// Takes a fetch in: everything it brought is validated, stored, and remembered as the
    /// head of that device. Returns the new commits, oldest first. The own branch does not
    /// move: [`Self::merge`] does that.
    ///
    /// # Errors
    /// If anything in it is refused; nothing of it is taken then.
    pub fn ingest_fetch(&mut self, fetched: Fetched, limits: &PackLimits) -> Result<Vec<CommitId>> {
        let _ = (fetched, limits);
        later()
    }

    /// Joins another head that is here into the own branch (section 5.11).
    ///
    /// # Errors
    /// If it is not here, or the disk or key fails.
    pub fn merge(
        &mut self,
        author: Author<'_>,
        remote: CommitId,
        now: UnixTime,
    ) -> Result<MergeOutcome> {
        let _ = (author, remote, now);
        later()
    }

    /// Heads of other devices that are not part of the own branch, by reading the newest
    /// commits: what an interrupted program fetched but did not merge.
    ///
    /// # Errors
    /// If a commit cannot be read.
    pub fn unmerged_heads(&self) -> Result<Vec<CommitId>> {
        later()
    }

    /// At most `count` entries of the history, newest first, beginning with `from`, or with
    /// the head (docs/protocol/06-messages-files.md section 10.2). Pages that follow each
    /// other cost the same each.
    ///
    /// # Errors
    /// If `from` is not here, or a commit cannot be read.
    pub fn history(&self, from: Option<&CommitId>, count: usize) -> Result<Vec<Entry>> {
        let _ = (from, count);
        later()
    }

    /// One commit.
    ///
    /// # Errors
    /// If it is not here or cannot be read.
    pub fn commit_info(&self, id: &CommitId) -> Result<CommitInfo> {
        let _ = id;
        later()
    }

    /// All accounts that are or were part of it, by role.
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn members(&self) -> Result<Vec<Member>> {
        later()
    }

    /// What an account is in this conversation; `None` for strangers.
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn role(&self, account: &AccountId) -> Result<Option<Role>> {
        let _ = account;
        later()
    }

    /// Whether an account may fetch from here: admins, members, invited, and the two of a
    /// one-to-one conversation unless banned (section 6).
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn is_authorised(&self, account: &AccountId) -> Result<bool> {
        let _ = account;
        later()
    }

    /// Whether a device is banned by itself (section 6).
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn is_banned_device(&self, device: &DeviceId) -> Result<bool> {
        let _ = device;
        later()
    }

    /// The devices that wrote here, with the accounts that certified them.
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn devices(&self) -> Result<Vec<(DeviceId, AccountId)>> {
        later()
    }

    /// Collects loose objects and small packs when there are many.
    ///
    /// # Errors
    /// If an object cannot be read or the disk fails; nothing is lost.
    pub fn maintain(&mut self) -> Result<()> {
        later()
    }
}
