//! What happens, told to clients: each event once, with a cursor to come back to.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId, UnixTime};
use serde::{Deserialize, Serialize};

use crate::command::Refusal;
use crate::link_device::{LinkError, LinkState};

/// The local name of an account: 16 hex digits, without meaning outside of the machine
/// (docs/protocol/02-account.md section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct LocalId(u64);

/// Text that is no local account id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a local account id: expected 16 hexadecimal digits")]
pub struct LocalIdError;

impl LocalId {
    /// From its number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for LocalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for LocalId {
    type Err = LocalIdError;

    fn from_str(text: &str) -> Result<Self, LocalIdError> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u64::from_str_radix(text, 16) {
            Ok(number) if digits => Ok(Self(number)),
            _ => Err(LocalIdError),
        }
    }
}

impl From<LocalId> for String {
    fn from(id: LocalId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for LocalId {
    type Error = LocalIdError;

    fn try_from(text: String) -> Result<Self, LocalIdError> {
        text.parse()
    }
}

/// One event. Serialises flat: `{"cursor": 7, "account": "…", "time": …, "event": "…", …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its position in the log of the data directory: unique, rising, not without gaps.
    pub cursor: u64,
    /// Whose it is.
    pub account: LocalId,
    /// When it happened, by the wall clock.
    pub time: UnixTime,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventBody {
    /// An account was created, imported or found at the start.
    AccountAdded {
        /// Its Jami ID.
        jami_id: AccountId,
    },
    /// An account was removed from this machine.
    AccountRemoved,
    /// The connection to the network changed.
    RegistrationStateChanged {
        /// The new state.
        state: RegistrationState,
        /// Why, if it is an error; else empty.
        detail: String,
    },
    /// The device is announced: others can find it.
    DeviceAnnounced,
    /// Somebody asks to become a contact; once per conversation.
    RequestReceived {
        /// Who.
        from: AccountId,
        /// The conversation offered.
        conversation: ConversationId,
        /// The mode of the conversation; 0 is one-to-one.
        mode: u8,
        /// The name the asker gives, or the title of the group; proves nothing, and may be
        /// empty.
        name: String,
        /// When it came.
        received: UnixTime,
    },
    /// A request is not pending any more (accepted, declined, or its sender blocked).
    RequestRemoved {
        /// The conversation that was offered.
        conversation: ConversationId,
    },
    /// A contact was added, or is confirmed now.
    ContactAdded {
        /// Who.
        contact: AccountId,
        /// Whether the contact is known to have us, too.
        confirmed: bool,
    },
    /// A contact was removed or blocked.
    ContactRemoved {
        /// Who.
        contact: AccountId,
        /// Whether it was blocked.
        banned: bool,
    },
    /// A conversation was made, or cloned and joined: it can be used.
    ConversationReady {
        /// Which.
        conversation: ConversationId,
    },
    /// A conversation was removed from this device.
    ConversationRemoved {
        /// Which.
        conversation: ConversationId,
    },
    /// The devices of the own account, their names or presence changed.
    DevicesChanged,
    /// A device was revoked by its account: it is refused from now on. If it is this device,
    /// the account does not work here any more.
    DeviceRevoked {
        /// The account.
        account: AccountId,
        /// The device.
        device: DeviceId,
    },
    /// How a conversation is shown was changed, here or on another device of the account.
    PreferencesChanged {
        /// Which.
        conversation: ConversationId,
    },
    /// Somebody's membership changed, by a commit that came after the clone.
    MemberEvent {
        /// Where.
        conversation: ConversationId,
        /// Whose.
        member: AccountId,
        /// How.
        change: MemberChange,
    },
    /// A new commit in a conversation, one's own or another's: once each, durable before.
    MessageReceived {
        /// Where.
        conversation: ConversationId,
        /// The commit.
        message: Message,
    },
    /// A device of another member is now known to have a message (and all before it).
    MessageDelivered {
        /// Where.
        conversation: ConversationId,
        /// The newest such message.
        message: CommitId,
        /// The member.
        account: AccountId,
        /// The member's device.
        device: DeviceId,
    },
    /// Somebody has read up to a message: another member, or oneself.
    MessageRead {
        /// Where.
        conversation: ConversationId,
        /// The last message read.
        message: CommitId,
        /// Who.
        account: AccountId,
    },
    /// Somebody types, or does not any more.
    ComposingChanged {
        /// Where.
        conversation: ConversationId,
        /// Who.
        account: AccountId,
        /// Whether it types.
        active: bool,
    },
    /// What an account shows of itself changed, one's own or another's.
    ProfileChanged {
        /// Whose.
        account: AccountId,
        /// The name.
        name: String,
        /// Whether there is a picture.
        picture: bool,
    },
    /// The registered name of an account is known now, one's own or another's, or changed.
    NameChanged {
        /// Whose.
        id: AccountId,
        /// The name; empty if the account has none any more.
        name: String,
        /// The name server that says so.
        server: String,
    },
    /// A file's whereabouts changed, or some more of it is here.
    FileChanged {
        /// In which conversation.
        conversation: ConversationId,
        /// The message that offers it.
        message: CommitId,
        /// Its id among peers.
        file_id: String,
        /// Where it is now.
        status: FileStatus,
        /// How much of it is here.
        received: u64,
        /// Its length.
        size: u64,
        /// Why, if something went wrong; else empty.
        detail: String,
    },
    /// A contact's connection changed.
    PresenceChanged {
        /// Whose.
        contact: AccountId,
        /// How near it is.
        presence: Presence,
    },
    /// A commit breaks the rules, and somebody with laxer ones built on it: what they write
    /// from now on cannot be taken, the others' can. Once for each such commit.
    ConversationDiverged {
        /// Where.
        conversation: ConversationId,
        /// What.
        #[serde(flatten)]
        refusal: Refusal,
    },
    /// The linking of a new device to this account went on, or is over.
    DeviceLinkChanged {
        /// How far it is.
        state: LinkState,
        /// If it is over: why no device was linked, if none was.
        error: Option<LinkError>,
    },
    /// What a peer offered was refused, or could not be fetched.
    SyncError {
        /// Where.
        conversation: ConversationId,
        /// From which device.
        device: Option<DeviceId>,
        /// The rule that was broken (docs/protocol/05-swarm.md section 5), or the reason.
        rule: String,
        /// More, for people.
        detail: String,
    },
}

impl EventBody {
    /// The conversation that it is about, if it is about one.
    pub fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::RequestReceived { conversation, .. }
            | Self::RequestRemoved { conversation }
            | Self::ConversationReady { conversation }
            | Self::ConversationRemoved { conversation }
            | Self::PreferencesChanged { conversation }
            | Self::MemberEvent { conversation, .. }
            | Self::MessageReceived { conversation, .. }
            | Self::MessageDelivered { conversation, .. }
            | Self::MessageRead { conversation, .. }
            | Self::ComposingChanged { conversation, .. }
            | Self::FileChanged { conversation, .. }
            | Self::ConversationDiverged { conversation, .. }
            | Self::SyncError { conversation, .. } => Some(*conversation),
            Self::AccountAdded { .. }
            | Self::AccountRemoved
            | Self::RegistrationStateChanged { .. }
            | Self::DeviceAnnounced
            | Self::ContactAdded { .. }
            | Self::ContactRemoved { .. }
            | Self::DevicesChanged
            | Self::DeviceRevoked { .. }
            | Self::ProfileChanged { .. }
            | Self::NameChanged { .. }
            | Self::PresenceChanged { .. }
            | Self::DeviceLinkChanged { .. } => None,
        }
    }
}

/// The state of an account's connection, named as existing clients know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RegistrationState {
    /// Keys are being made.
    Initializing,
    /// Not connected, and not trying.
    Unregistered,
    /// Connecting.
    Trying,
    /// Connected to the DHT.
    Registered,
    /// Failed; the detail says why.
    ErrorGeneric,
}

impl RegistrationState {
    /// The name existing clients know.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initializing => "INITIALIZING",
            Self::Unregistered => "UNREGISTERED",
            Self::Trying => "TRYING",
            Self::Registered => "REGISTERED",
            Self::ErrorGeneric => "ERROR_GENERIC",
        }
    }
}

/// How a membership changed, numbered as existing clients know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberChange {
    /// Invited.
    Added,
    /// Joined.
    Joined,
    /// Left.
    Left,
    /// Banned.
    Banned,
    /// Unbanned.
    Unbanned,
}

impl MemberChange {
    /// 0 to 4 (docs/protocol/06-messages-files.md section 10.3).
    pub const fn code(self) -> u8 {
        match self {
            Self::Added => 0,
            Self::Joined => 1,
            Self::Left => 2,
            Self::Banned => 3,
            Self::Unbanned => 4,
        }
    }

    /// The name the test harness uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Joined => "joined",
            Self::Left => "left",
            Self::Banned => "banned",
            Self::Unbanned => "unbanned",
        }
    }
}

/// Where a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// With others; it is fetched when somebody wants it.
    Offered,
    /// Waits to be fetched: for somebody who has it, or for its turn.
    Waiting,
    /// Comes.
    Ongoing,
    /// Here, and what its sender sent.
    Here,
    /// Taken back by its sender.
    Deleted,
}

/// How near a contact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Not seen.
    Offline,
    /// Announced on the DHT.
    Available,
    /// A device of it is connected.
    Connected,
}

/// One commit as clients see it: serialises as a flat map of strings
/// (docs/protocol/06-messages-files.md section 10.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The commit.
    pub id: CommitId,
    /// The account of its author.
    pub author: AccountId,
    /// The type; `merge` for a merge.
    pub kind: String,
    /// The author's date, in seconds.
    pub timestamp: u64,
    /// Its parents.
    pub parents: Vec<CommitId>,
    /// The commit before it in the order of the conversation.
    pub linearized_parent: Option<CommitId>,
    /// The other keys of the commit's JSON, as text.
    pub fields: BTreeMap<String, String>,
}

impl Message {
    /// The text; empty where there is none.
    pub fn body(&self) -> &str {
        self.fields.get("body").map_or("", String::as_str)
    }

    /// All as a flat map of strings.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let parents: Vec<String> = self.parents.iter().map(CommitId::to_hex).collect();
        let mut map = self.fields.clone();
        map.insert("id".into(), self.id.to_hex());
        map.insert("author".into(), self.author.to_hex());
        map.insert("type".into(), self.kind.clone());
        map.insert("timestamp".into(), self.timestamp.to_string());
        map.insert("parents".into(), parents.join(","));
        let before = self.linearized_parent.as_ref().map(CommitId::to_hex);
        map.insert("linearizedParent".into(), before.unwrap_or_default());
        map
    }

    /// The reverse of [`Self::to_map`]; `None` if something is missing.
    pub fn from_map(mut map: BTreeMap<String, String>) -> Option<Self> {
        let parents = map.remove("parents")?;
        let before = map.remove("linearizedParent")?;
        Some(Self {
            id: map.remove("id")?.parse().ok()?,
            author: map.remove("author")?.parse().ok()?,
            kind: map.remove("type")?,
            timestamp: map.remove("timestamp")?.parse().ok()?,
            parents: parents
                .split(',')
                .filter(|parent| !parent.is_empty())
                .map(|parent| parent.parse().ok())
                .collect::<Option<_>>()?,
            linearized_parent: match before.as_str() {
                "" => None,
                id => Some(id.parse().ok()?),
            },
            fields: map,
        })
    }
}

impl Serialize for Message {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_map().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::deserialize(deserializer)?;
        Self::from_map(map).ok_or_else(|| serde::de::Error::custom("not a message"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_flat_json_and_come_back() {
        let event = Event {
            cursor: 7,
            account: LocalId::new(0xd784_38f0_fb85_4c5a),
            time: UnixTime::from_secs(5),
            body: EventBody::MessageReceived {
                conversation: ConversationId::new([1; 20]),
                message: Message {
                    id: CommitId::new([2; 20]),
                    author: AccountId::new([3; 20]),
                    kind: "text/plain".into(),
                    timestamp: 5,
                    parents: vec![CommitId::new([1; 20]), CommitId::new([4; 20])],
                    linearized_parent: Some(CommitId::new([1; 20])),
                    fields: BTreeMap::from([("body".into(), "hello".into())]),
                },
            },
        };
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["event"], "message_received");
        assert_eq!(json["account"], "d78438f0fb854c5a");
        assert_eq!(json["message"]["body"], "hello");
        assert_eq!(json["message"]["timestamp"], "5");
        assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
        let state = serde_json::to_value(RegistrationState::ErrorGeneric).unwrap();
        assert_eq!(state, RegistrationState::ErrorGeneric.as_str());
    }

    #[test]
    fn local_ids_are_sixteen_digits() {
        let id: LocalId = "00000000000000ff".parse().unwrap();
        assert_eq!(id.number(), 255);
        assert_eq!(id.to_string(), "00000000000000ff");
        assert!("ff".parse::<LocalId>().is_err());
        assert!("+0000000000000ff".parse::<LocalId>().is_err());
    }
}
