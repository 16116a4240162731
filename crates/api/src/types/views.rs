//! The history as people see it.

use std::collections::BTreeMap;

use baraza_core::view as core;
use baraza_core::view::{EntryKind, Status};
use baraza_wire::{AccountId, CommitId, ConversationId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A page of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntryPage {
    /// Entries, newest first. There may be fewer than asked for where texts are long.
    pub entries: Vec<Entry>,
    /// For the page of older ones: give it as `before`. None if there are no older ones.
    #[schema(value_type = Option<super::ids::MessageId>)]
    pub older: Option<CommitId>,
    /// For the page of newer ones: give it as `after`. None if this page has the newest.
    #[schema(value_type = Option<super::ids::MessageId>)]
    pub newer: Option<CommitId>,
    /// How many messages of others are unread in the conversation.
    pub unread: u64,
    /// The first of them.
    #[schema(value_type = Option<super::ids::MessageId>)]
    pub first_unread: Option<CommitId>,
}

/// Something in a history, with all edits of it and reactions to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// Its commit: what it is named by, whatever its wording.
    #[schema(value_type = super::ids::MessageId)]
    pub id: CommitId,
    /// Whose.
    #[schema(value_type = super::ids::JamiId)]
    pub author: AccountId,
    /// `text`, `file`, `call`, `member`, `vote`, `profile`, `begin`, or `other` for what
    /// this version does not know.
    #[schema(value_type = super::ids::EntryKind)]
    pub kind: EntryKind,
    /// The type of the commit.
    #[serde(rename = "type")]
    pub commit_type: String,
    /// The author's date, in seconds since 1970.
    pub timestamp: u64,
    /// What it is, in words, if it is no text.
    pub text: String,
    /// Of a text: the newest wording, 16 KiB of it at most.
    pub body: String,
    /// Whether the text is longer: the whole is in the message itself.
    pub cut: bool,
    /// Whether its author changed it.
    pub edited: bool,
    /// Whether its author took it back.
    pub deleted: bool,
    /// The message it answers.
    #[schema(value_type = Option<super::ids::MessageId>)]
    pub reply_to: Option<CommitId>,
    /// Older wordings, the latest first.
    pub editions: Vec<Edition>,
    /// The first 100 reactions.
    pub reactions: Vec<Reaction>,
    /// How often each emoji stands there, the most frequent first.
    pub reaction_counts: Vec<ReactionCount>,
    /// What else the commit says: of a call `duration` in milliseconds and `reason`, of a
    /// file `displayName`, `totalSize`, `sha3sum` and `tid`, of a member `action` and `uri`.
    pub details: BTreeMap<String, String>,
    /// How far it has got to each other member; empty if there are more than 64.
    pub status: Vec<MemberStatus>,
    /// How many members it has got how far to.
    pub status_counts: StatusCounts,
}

/// An older wording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Edition {
    /// Its commit.
    #[schema(value_type = super::ids::MessageId)]
    pub id: CommitId,
    /// When it was written, in seconds since 1970.
    pub timestamp: u64,
    /// The text, 16 KiB of it at most.
    pub body: String,
}

/// An emoji at a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reaction {
    /// Its commit, which is edited to take it back.
    #[schema(value_type = super::ids::MessageId)]
    pub id: CommitId,
    /// Whose.
    #[schema(value_type = super::ids::JamiId)]
    pub author: AccountId,
    /// What.
    pub emoji: String,
}

/// How often an emoji stands at a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReactionCount {
    /// What.
    pub emoji: String,
    /// How often.
    pub count: u64,
}

/// How far a message has got to a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberStatus {
    /// Who.
    #[schema(value_type = super::ids::JamiId)]
    pub id: AccountId,
    /// `sending`: on none of its devices; `sent`: on one; `displayed`: it has read it.
    #[schema(value_type = super::ids::Reached)]
    pub status: Status,
}

/// How many members a message has got how far to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct StatusCounts {
    /// On none of their devices yet.
    pub sending: u64,
    /// On one of their devices, not read.
    pub sent: u64,
    /// Read.
    pub displayed: u64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SearchPage {
    /// Newest first, as they came here.
    pub found: Vec<Found>,
    /// For the next page: give it as `next`. None if there is none.
    pub next: Option<i64>,
    /// Whether all messages were searched: not yet, soon after an update of the program.
    pub complete: bool,
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Found {
    /// Where.
    #[schema(value_type = super::ids::ConversationId)]
    pub conversation: ConversationId,
    /// Which.
    #[schema(value_type = super::ids::MessageId)]
    pub id: CommitId,
    /// Whose.
    #[schema(value_type = super::ids::JamiId)]
    pub author: AccountId,
    /// `text` or `file`.
    #[schema(value_type = super::ids::EntryKind)]
    pub kind: EntryKind,
    /// The author's date, in seconds since 1970.
    pub timestamp: u64,
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

impl From<core::Page> for EntryPage {
    fn from(page: core::Page) -> Self {
        Self {
            entries: page.entries.into_iter().map(Into::into).collect(),
            older: page.older,
            newer: page.newer,
            unread: page.unread,
            first_unread: page.first_unread,
        }
    }
}

impl From<core::Entry> for Entry {
    fn from(entry: core::Entry) -> Self {
        let editions = entry.editions.into_iter().map(|edition| Edition {
            id: edition.id,
            timestamp: edition.time,
            body: edition.body,
        });
        let reactions = entry.reactions.into_iter().map(|reaction| Reaction {
            id: reaction.id,
            author: reaction.author,
            emoji: reaction.emoji,
        });
        let counts = entry.reaction_counts.into_iter();
        let status = entry.status.into_iter();
        Self {
            id: entry.id,
            author: entry.author,
            kind: entry.kind,
            commit_type: entry.commit_type,
            timestamp: entry.time,
            text: entry.text,
            body: entry.body,
            cut: entry.cut,
            edited: entry.edited,
            deleted: entry.deleted,
            reply_to: entry.reply_to,
            editions: editions.collect(),
            reactions: reactions.collect(),
            reaction_counts: counts
                .map(|(emoji, count)| ReactionCount { emoji, count })
                .collect(),
            details: entry.details,
            status: status
                .map(|(id, status)| MemberStatus { id, status })
                .collect(),
            status_counts: StatusCounts {
                sending: entry.status_counts.sending,
                sent: entry.status_counts.sent,
                displayed: entry.status_counts.displayed,
            },
        }
    }
}

impl From<core::SearchPage> for SearchPage {
    fn from(page: core::SearchPage) -> Self {
        let found = page.found.into_iter().map(|found| Found {
            conversation: found.conversation,
            id: found.id,
            author: found.author,
            kind: found.kind,
            timestamp: found.time,
            edited: found.edited,
            before: found.before,
            found: found.found,
            after: found.after,
            details: found.details,
        });
        Self {
            found: found.collect(),
            next: page.next,
            complete: page.complete,
        }
    }
}
