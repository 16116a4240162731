//! Contacts, conversations and requests as an archive holds them
//! (docs/protocol/02-account.md sections 4.2 and 7.1).
//!
//! Times are written in seconds and, for newer peers, in milliseconds; on reading the
//! milliseconds count if they are there. Members of an object that mean nothing here are
//! kept.

use std::collections::{BTreeMap, BTreeSet};

use baraza_wire::{AccountId, ConversationId, UnixTime};
use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// A contact. Active if `added > removed`, else banned or removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contact {
    /// When it was last added; zero if never.
    pub added: UnixTime,
    /// When it was last removed; zero if never.
    pub removed: UnixTime,
    /// Whether the peer is known to have us as a contact too.
    pub confirmed: bool,
    /// Whether the removal was a ban.
    pub banned: bool,
    /// The conversation with this contact alone.
    pub conversation: Option<ConversationId>,
    /// Further members, kept.
    pub unknown: BTreeMap<String, Value>,
}

impl Contact {
    /// Whether it is a contact now.
    pub fn is_active(&self) -> bool {
        self.added > self.removed
    }

    pub(super) fn from_json(mut object: Object) -> Option<Self> {
        Some(Self {
            added: take_time(&mut object, "added"),
            removed: take_time(&mut object, "removed"),
            confirmed: take_bool(&mut object, "confirmed"),
            banned: take_bool(&mut object, "banned"),
            conversation: take_text(&mut object, "conversationId").and_then(|id| id.parse().ok()),
            unknown: object.into_iter().collect(),
        })
    }

    pub(super) fn to_json(&self, _id: &AccountId) -> Object {
        let mut object: Object = self.unknown.clone().into_iter().collect();
        put_time(&mut object, "added", self.added);
        // Unlike the others this one is always there.
        object.insert("added".into(), self.added.secs().into());
        put_time(&mut object, "removed", self.removed);
        put_bool(&mut object, "confirmed", self.confirmed);
        put_bool(&mut object, "banned", self.banned);
        let id = self.conversation.map(|id| id.to_hex()).unwrap_or_default();
        object.insert("conversationId".into(), id.into());
        object
    }
}

/// A conversation of the account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conversation {
    /// When it began.
    pub created: UnixTime,
    /// When it was left; zero if it was not.
    pub removed: UnixTime,
    /// When its data was deleted; zero if it was not.
    pub erased: UnixTime,
    /// Its members.
    pub members: BTreeSet<AccountId>,
    /// The last message shown; may be empty.
    pub last_displayed: String,
    /// Kind of conversation, if the archive says so (newer peers).
    pub mode: Option<i64>,
    /// Further members, kept.
    pub unknown: BTreeMap<String, Value>,
}

impl Conversation {
    pub(super) fn from_json(mut object: Object) -> Option<Self> {
        object.remove("id");
        let members = match object.remove("members") {
            Some(Value::Array(members)) => members
                .iter()
                .filter_map(|member| member.get("uri")?.as_str()?.parse().ok())
                .collect(),
            _ => BTreeSet::new(),
        };
        Some(Self {
            created: take_time(&mut object, "created"),
            removed: take_time(&mut object, "removed"),
            erased: take_time(&mut object, "erased"),
            members,
            last_displayed: take_text(&mut object, "lastDisplayed").unwrap_or_default(),
            mode: object.remove("mode").and_then(|mode| mode.as_i64()),
            unknown: object.into_iter().collect(),
        })
    }

    pub(super) fn to_json(&self, id: &ConversationId) -> Object {
        let mut object: Object = self.unknown.clone().into_iter().collect();
        object.insert("id".into(), id.to_hex().into());
        put_time(&mut object, "created", self.created);
        object.insert("created".into(), self.created.secs().into());
        put_time(&mut object, "removed", self.removed);
        put_time(&mut object, "erased", self.erased);
        let members: Vec<Value> = self
            .members
            .iter()
            .map(|member| {
                let uri = ("uri".to_owned(), member.to_hex().into());
                Value::Object([uri].into_iter().collect())
            })
            .collect();
        object.insert("members".into(), members.into());
        object.insert("lastDisplayed".into(), self.last_displayed.as_str().into());
        if let Some(mode) = self.mode {
            object.insert("mode".into(), mode.into());
        }
        object
    }
}

/// A request to join a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who asked.
    pub from: AccountId,
    /// When it came.
    pub received: UnixTime,
    /// When it was declined; zero if it was not.
    pub declined: UnixTime,
    /// Title, mode and so on of the conversation.
    pub metadata: BTreeMap<String, String>,
    /// Further members, kept.
    pub unknown: BTreeMap<String, Value>,
}

impl Request {
    pub(super) fn from_json(mut object: Object) -> Option<Self> {
        object.remove("conversationId");
        let metadata = match object.remove("metadatas") {
            Some(Value::Object(entries)) => entries
                .into_iter()
                .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
                .collect(),
            _ => BTreeMap::new(),
        };
        Some(Self {
            from: take_text(&mut object, "from")?.parse().ok()?,
            received: take_time(&mut object, "received"),
            declined: take_time(&mut object, "declined"),
            metadata,
            unknown: object.into_iter().collect(),
        })
    }

    pub(super) fn to_json(&self, id: &ConversationId) -> Object {
        let mut object: Object = self.unknown.clone().into_iter().collect();
        object.insert("conversationId".into(), id.to_hex().into());
        object.insert("from".into(), self.from.to_hex().into());
        put_time(&mut object, "received", self.received);
        object.insert("received".into(), self.received.secs().into());
        put_time(&mut object, "declined", self.declined);
        let metadata: Object = self
            .metadata
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        object.insert("metadatas".into(), metadata.into());
        object
    }
}

/// Milliseconds under `nameMs` if there, else seconds under `name`.
fn take_time(object: &mut Object, name: &str) -> UnixTime {
    let seconds = object.remove(name).and_then(|value| value.as_u64());
    let millis = object
        .remove(&format!("{name}Ms"))
        .and_then(|value| value.as_u64());
    match (millis, seconds) {
        (Some(millis), _) => UnixTime::from_millis(millis),
        (None, Some(seconds)) => UnixTime::from_secs(seconds),
        (None, None) => UnixTime::default(),
    }
}

fn take_bool(object: &mut Object, name: &str) -> bool {
    object.remove(name).and_then(|value| value.as_bool()) == Some(true)
}

fn take_text(object: &mut Object, name: &str) -> Option<String> {
    match object.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Both forms of a time, neither if it is zero.
fn put_time(object: &mut Object, name: &str, time: UnixTime) {
    if time > UnixTime::default() {
        object.insert(name.to_owned(), time.secs().into());
        object.insert(format!("{name}Ms"), time.millis().into());
    }
}

fn put_bool(object: &mut Object, name: &str, value: bool) {
    if value {
        object.insert(name.to_owned(), true.into());
    }
}
