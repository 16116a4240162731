//! The history as people see it: entries, pages of them, and what was found.

use std::collections::BTreeMap;

use baraza_wire::{AccountId, CommitId, ConversationId};
use serde::{Deserialize, Serialize};

/// Most entries on a page.
pub const MAX_ENTRIES: usize = 1000;
/// Most results of a search on a page.
pub const MAX_FOUND: usize = 200;
/// Longest text shown in a page, in bytes: the rest is in the message itself.
pub const MAX_BODY_SHOWN: usize = 16 * 1024;

/// Which page of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PageAt {
    /// The newest entries.
    #[default]
    Newest,
    /// Entries right before a message.
    Before(CommitId),
    /// Entries right after a message.
    After(CommitId),
    /// A message in the middle; for an edit or a reaction, what it is of.
    Around(CommitId),
    /// The first unread message in the middle; the newest entries if all is read.
    FirstUnread,
}

/// A page of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Entries, newest first.
    pub entries: Vec<Entry>,
    /// For the page before this one; `None` if there is none.
    pub older: Option<CommitId>,
    /// For the page after this one; `None` if this one has the newest.
    pub newer: Option<CommitId>,
    /// How many messages of others are unread in the conversation.
    pub unread: u64,
    /// The first of them.
    pub first_unread: Option<CommitId>,
}

/// Something in the history that is shown by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its commit: what it is named by, whatever its wording.
    pub id: CommitId,
    /// Whose.
    pub author: AccountId,
    /// What.
    pub kind: EntryKind,
    /// The type of the commit.
    pub commit_type: String,
    /// The author's date, in seconds.
    pub time: u64,
    /// What it is, in words, if it is no text.
    pub text: String,
    /// Of a text: the newest wording, at most [`MAX_BODY_SHOWN`] bytes of it.
    pub body: String,
    /// Whether the text is longer.
    pub cut: bool,
    /// Whether its author changed it.
    pub edited: bool,
    /// Whether its author took it back.
    pub deleted: bool,
    /// The message it answers.
    pub reply_to: Option<CommitId>,
    /// Older wordings, the latest first.
    pub editions: Vec<Edition>,
    /// Reactions, the oldest first; not all if there are very many.
    pub reactions: Vec<Reaction>,
    /// How often each emoji stands there, the most frequent first.
    pub reaction_counts: Vec<(String, u64)>,
    /// What else the commit says: of a call `duration` in milliseconds and `reason`, of a
    /// file `displayName`, `totalSize`, `sha3sum` and `tid`, of a member `action` and `uri`.
    pub details: BTreeMap<String, String>,
    /// How far it has got to each other member; empty if they are too many.
    pub status: Vec<(AccountId, Status)>,
    /// How many members it has got how far to.
    pub status_counts: StatusCounts,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A text.
    Text,
    /// A file.
    File,
    /// A call, its beginning or its end.
    Call,
    /// Somebody was invited, came, left, was banned or taken back.
    Member,
    /// A vote on that.
    Vote,
    /// The profile changed.
    Profile,
    /// The conversation begins.
    Begin,
    /// Something that this version does not know: `commit_type` names it.
    Other,
}

/// An older wording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edition {
    /// Its commit.
    pub id: CommitId,
    /// When it was written, in seconds.
    pub time: u64,
    /// The text.
    pub body: String,
}

/// An emoji at a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// Its commit, which is edited to take it back.
    pub id: CommitId,
    /// Whose.
    pub author: AccountId,
    /// What.
    pub emoji: String,
}

/// How far a message has got to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// On none of its devices yet.
    Sending,
    /// On one of its devices.
    Sent,
    /// It has read it.
    Displayed,
}

/// How many members a message has got how far to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StatusCounts {
    /// On none of their devices yet.
    pub sending: u64,
    /// On one of their devices, not read.
    pub sent: u64,
    /// Read.
    pub displayed: u64,
}

/// What is sought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// Words, all of which must be there; `"…"` holds words in a row, `word*` a beginning.
    /// Everything of the other conditions if empty.
    pub text: String,
    /// Only there.
    pub conversation: Option<ConversationId>,
    /// Only of this author.
    pub author: Option<AccountId>,
    /// Only these; all if empty.
    pub kinds: Vec<SearchKind>,
    /// Only from this second on.
    pub after: Option<u64>,
    /// Only before this second.
    pub before: Option<u64>,
    /// The next page: what the page before gave.
    pub below: Option<i64>,
    /// How many at most.
    pub count: usize,
}

/// What can be sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchKind {
    /// Texts.
    Text,
    /// Files, by their names.
    File,
    /// Of the files, pictures, sounds and films.
    Media,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchPage {
    /// Newest first, as they came here.
    pub found: Vec<Found>,
    /// For the next page; `None` if there is none.
    pub next: Option<i64>,
    /// Whether all messages were searched: not yet, soon after an update of the program.
    pub complete: bool,
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Where.
    pub conversation: ConversationId,
    /// Which.
    pub id: CommitId,
    /// Whose.
    pub author: AccountId,
    /// What.
    pub kind: EntryKind,
    /// The author's date, in seconds.
    pub time: u64,
    /// Whether its author changed it.
    pub edited: bool,
    /// The text before what was found, cut.
    pub before: String,
    /// What was found; empty if it cannot be told.
    pub found: String,
    /// The text after that, cut.
    pub after: String,
    /// What else the commit says.
    pub details: BTreeMap<String, String>,
}
