//! The JSON of the API: what the bodies of requests and answers hold.
//!
//! Ids are lower-case hex texts, times milliseconds since 1970 unless the name says otherwise.

pub mod doctor;
pub(crate) mod ids;
pub mod keep;
pub mod names;
pub mod network;
mod views;

use std::collections::BTreeMap;

use baraza_core::command as core;
use baraza_core::event::{FileStatus, LocalId, Message, Presence, RegistrationState};
use baraza_core::view::Status as Reached;
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId, InfoHash, UnixTime};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! secret_debug {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}
use secret_debug;

mod linking;
mod session;
mod tokens;
mod webhooks;

pub use linking::{
    ChangePassword, ConfirmLink, LinkByPin, LinkDevice, LinkPin, LinkStatus, NewLink, NewLinkPin,
};
pub use session::{Caller, Login, LoginCode, NewLoginPassword, Session};
pub use tokens::{MadeToken, NewToken, TokenInfo, TokenScope};
pub use views::{
    Edition, Entry, EntryPage, Found, MemberStatus, Reaction, ReactionCount, SearchPage,
    StatusCounts,
};
pub use webhooks::{MadeWebhook, NewWebhook, Webhook, WebhookTest};

/// An account on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Its name on this machine only: 16 hex digits.
    #[schema(value_type = ids::LocalName)]
    pub account: LocalId,
    /// Its Jami ID: what others add you by.
    #[schema(value_type = ids::JamiId)]
    pub jami_id: AccountId,
    /// This device; none if the account could not be started.
    #[schema(value_type = Option<ids::DeviceId>)]
    pub device_id: Option<DeviceId>,
    /// The name it shows.
    pub display_name: String,
    /// The name registered for it; empty if there is none.
    pub registered_name: String,
    /// `INITIALIZING`, `UNREGISTERED`, `TRYING`, `REGISTERED` or `ERROR_GENERIC`.
    #[schema(value_type = ids::RegistrationState)]
    pub state: RegistrationState,
    /// Whether others can find this device now.
    pub announced: bool,
    /// Whether the account uses the network. If not, everything can be read, and what is
    /// written waits.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whether the account's archive on this device has a password, which exporting the
    /// account and linking devices then need.
    #[serde(default)]
    pub has_password: bool,
    /// When it was last in a backup, or exported; none if never: it is lost with this
    /// machine then.
    #[schema(value_type = Option<ids::Time>)]
    #[serde(default)]
    pub backed_up: Option<UnixTime>,
}

impl From<core::Identity> for Account {
    fn from(identity: core::Identity) -> Self {
        Self {
            account: identity.account,
            jami_id: identity.jami_id,
            device_id: Some(identity.device_id),
            display_name: identity.display_name,
            registered_name: identity.registered_name,
            state: identity.state,
            announced: identity.announced,
            enabled: true,
            has_password: false,
            backed_up: identity.backed_up,
        }
    }
}

/// Makes a new account.
#[derive(Clone, Deserialize, Serialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// The name it shows.
    #[serde(default)]
    pub display_name: String,
    /// Encrypts the account's archive; none if empty.
    #[serde(default)]
    pub password: String,
}

/// Brings an account here from an archive.
#[derive(Clone, Deserialize, Serialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct ImportAccount {
    /// The archive, in base64.
    pub archive: String,
    /// The archive's password; none if empty.
    #[serde(default)]
    pub password: String,
    /// The name it shows; the archive's if empty.
    #[serde(default)]
    pub display_name: String,
}

/// Asks for the archive of an account.
#[derive(Clone, Deserialize, Serialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct ExportAccount {
    /// The account's password; none if empty.
    #[serde(default)]
    pub password: String,
    /// Encrypts the exported archive; not encrypted if empty.
    #[serde(default)]
    pub new_password: String,
}

/// An exported archive.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct Exported {
    /// The archive, in base64. Who has it (and its password) is the account: keep it safe.
    pub archive: String,
}

secret_debug!(
    NewAccount,
    ImportAccount,
    ExportAccount,
    Exported,
    RevokeDevice
);

/// Revokes a device.
#[derive(Clone, Deserialize, Serialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct RevokeDevice {
    /// The account's password; none if empty.
    #[serde(default)]
    pub password: String,
}

/// Changes a device.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeDevice {
    /// Its name.
    pub name: String,
}

/// A device of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// Its id.
    #[schema(value_type = ids::DeviceId)]
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// Whether it is this one.
    pub current: bool,
    /// Whether it was revoked: nothing of it counts any more.
    pub revoked: bool,
    /// `offline`, `available` (announced on the DHT) or `connected`.
    #[schema(value_type = ids::Presence)]
    pub presence: Presence,
    /// When it was last seen.
    #[schema(value_type = ids::Time)]
    pub seen: UnixTime,
}

impl From<core::OwnDevice> for Device {
    fn from(device: core::OwnDevice) -> Self {
        Self {
            id: device.id,
            name: device.name,
            current: device.current,
            revoked: device.revoked,
            presence: device.presence,
            seen: device.seen,
        }
    }
}

/// The devices of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerDevices {
    /// When a person compared their Jami ID with what they showed; none if nobody did.
    #[schema(value_type = Option<u64>)]
    pub verified: Option<UnixTime>,
    /// Their devices, as far as they are known, revoked ones last.
    pub devices: Vec<PeerDevice>,
}

/// A device of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerDevice {
    /// Its id.
    #[schema(value_type = ids::DeviceId)]
    pub id: DeviceId,
    /// Whether its account has revoked it.
    pub revoked: bool,
    /// `offline`, `available` (announced on the DHT) or `connected`.
    #[schema(value_type = ids::Presence)]
    pub presence: Presence,
    /// When it was last seen.
    #[schema(value_type = u64)]
    pub seen: UnixTime,
}

impl From<core::PeerDevices> for PeerDevices {
    fn from(peer: core::PeerDevices) -> Self {
        let devices = peer.devices.into_iter().map(|device| PeerDevice {
            id: device.id,
            revoked: device.revoked,
            presence: device.presence,
            seen: device.seen,
        });
        Self {
            verified: peer.verified,
            devices: devices.collect(),
        }
    }
}

/// Changes an account.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct ChangeAccount {
    /// The name it shows.
    pub display_name: String,
}

/// How far the making of an account has come: lines of `application/x-ndjson`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// What is being done: `authority_key`, `account_key`, `device_key` (the three slow
    /// ones) or `certificates`.
    Step(String),
    /// The account is made: the last line.
    Account(Account),
    /// It failed: the last line.
    Error(crate::error::Problem),
}

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Contact {
    /// Its Jami ID.
    #[schema(value_type = ids::JamiId)]
    pub id: AccountId,
    /// The name it shows, which anybody may show; empty if that is not known.
    pub name: String,
    /// The name registered for it, which nobody else has; with `@` and the name server if
    /// that is not the account's own. Empty if none is known.
    #[serde(default)]
    pub registered_name: String,
    /// When it was added.
    #[schema(value_type = ids::Time)]
    pub added: UnixTime,
    /// Whether it has accepted (or asked) us.
    pub confirmed: bool,
    /// Whether it is blocked: nothing of it arrives.
    pub blocked: bool,
    /// The one-to-one conversation.
    #[schema(value_type = Option<ids::ConversationId>)]
    pub conversation: Option<ConversationId>,
    /// `offline`, `available` (announced on the DHT) or `connected`.
    #[schema(value_type = ids::Presence)]
    pub presence: Presence,
    /// Why the last attempt to connect failed, if it is available but not connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
}

impl From<core::Contact> for Contact {
    fn from(contact: core::Contact) -> Self {
        Self {
            id: contact.id,
            name: contact.name,
            registered_name: contact.registered_name,
            added: contact.added,
            confirmed: contact.confirmed,
            blocked: contact.banned,
            conversation: contact.conversation,
            presence: contact.presence,
            unreachable: contact.unreachable,
        }
    }
}

/// Adds a contact.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddContact {
    /// Its Jami ID, or its name at the account's name server, or `name@server`; with or
    /// without `jami:` before it, as scanned from a code.
    pub id: String,
    /// A note that goes with the request.
    #[serde(default)]
    pub message: String,
    /// Whether it is asked, which a conversation needs. `true` if left out.
    #[serde(default = "yes")]
    pub ask: bool,
}

fn yes() -> bool {
    true
}

/// A request of somebody to become a contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactRequest {
    /// The conversation offered; names the request.
    #[schema(value_type = ids::ConversationId)]
    pub conversation: ConversationId,
    /// Who asks.
    #[schema(value_type = ids::JamiId)]
    pub from: AccountId,
    /// 0: to become a contact; else to join a group.
    #[serde(default)]
    pub mode: u8,
    /// The name the asker gives, or the title of the group: it proves nothing.
    pub name: String,
    /// When it came.
    #[schema(value_type = ids::Time)]
    pub received: UnixTime,
}

impl From<core::Request> for ContactRequest {
    fn from(request: core::Request) -> Self {
        Self {
            conversation: request.conversation,
            from: request.from,
            mode: request.mode,
            name: request.name,
            received: request.received,
        }
    }
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conversation {
    /// Its id.
    #[schema(value_type = ids::ConversationId)]
    pub id: ConversationId,
    /// 0: one-to-one.
    pub mode: u8,
    /// Everybody in it, oneself included.
    #[schema(value_type = Vec<ids::JamiId>)]
    pub members: Vec<AccountId>,
    /// How many commits it has, messages and others.
    pub length: u64,
    /// The newest commit.
    #[schema(value_type = Option<ids::MessageId>)]
    pub last: Option<CommitId>,
    /// The last message marked as read here.
    #[schema(value_type = Option<ids::MessageId>)]
    pub read: Option<CommitId>,
    /// Commits of it that break the rules: whoever has them cannot be followed any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diverged: Vec<Refusal>,
    /// How many messages of others come after that.
    #[serde(default)]
    pub unread: u64,
    /// The first of them.
    #[serde(default)]
    #[schema(value_type = Option<ids::MessageId>)]
    pub first_unread: Option<CommitId>,
    /// The newest entry of its history.
    #[serde(default)]
    pub newest: Option<Entry>,
}

impl From<core::Conversation> for Conversation {
    fn from(conversation: core::Conversation) -> Self {
        Self {
            id: conversation.id,
            mode: conversation.mode,
            members: conversation.members,
            length: conversation.length,
            last: conversation.last,
            read: conversation.read,
            diverged: conversation.refusals.into_iter().map(Into::into).collect(),
            unread: conversation.unread,
            first_unread: conversation.first_unread,
            newest: conversation.newest.map(|entry| (*entry).into()),
        }
    }
}

/// A commit that breaks the rules of its conversation, and that somebody built on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// The commit.
    #[schema(value_type = ids::MessageId)]
    pub message: CommitId,
    /// The device that wrote it, as it says, which proves nothing.
    #[schema(value_type = Option<ids::DeviceId>)]
    pub device: Option<DeviceId>,
    /// The account of that device, if it is known.
    #[schema(value_type = Option<ids::JamiId>)]
    pub author: Option<AccountId>,
    /// The device that first brought it.
    #[schema(value_type = ids::DeviceId)]
    pub source: DeviceId,
    /// The account of that device.
    #[schema(value_type = Option<ids::JamiId>)]
    pub source_account: Option<AccountId>,
    /// The rule it breaks.
    pub rule: String,
    /// More, for people.
    pub detail: String,
    /// When it came.
    #[schema(value_type = ids::Time)]
    pub time: UnixTime,
}

impl From<core::Refusal> for Refusal {
    fn from(refusal: core::Refusal) -> Self {
        Self {
            message: refusal.message,
            device: refusal.device,
            author: refusal.author,
            source: refusal.source,
            source_account: refusal.source_account,
            rule: refusal.rule,
            detail: refusal.detail,
            time: refusal.time,
        }
    }
}

/// Clones a conversation anew.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rejoin {
    /// The Jami ID of the member to clone from; an admin if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// A member of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Its Jami ID.
    #[schema(value_type = ids::JamiId)]
    pub id: AccountId,
    /// `admin`, `member`, `invited`, `banned` or `left`.
    #[schema(value_type = ids::Role)]
    pub role: core::Role,
    /// The last message it is known to have read.
    #[serde(default)]
    #[schema(value_type = Option<ids::MessageId>)]
    pub read: Option<CommitId>,
}

impl From<core::Member> for Member {
    fn from(member: core::Member) -> Self {
        Self {
            id: member.uri,
            role: member.role,
            read: member.read,
        }
    }
}

/// A commit of a conversation: a text or something else that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageView {
    /// The commit.
    #[schema(value_type = ids::MessageId)]
    pub id: CommitId,
    /// Whose it is.
    #[schema(value_type = ids::JamiId)]
    pub author: AccountId,
    /// `text/plain`, `member`, `initial`, `merge` and others.
    #[serde(rename = "type")]
    pub kind: String,
    /// The author's date, in seconds since 1970.
    pub timestamp: u64,
    /// The text; empty where there is none.
    pub body: String,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The commit's parents.
    #[schema(value_type = Vec<ids::MessageId>)]
    pub parents: Vec<CommitId>,
    /// The commit before it in the order of the conversation.
    #[schema(value_type = Option<ids::MessageId>)]
    pub linearized_parent: Option<CommitId>,
    /// All else that the commit says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        let mut fields = message.fields;
        Self {
            id: message.id,
            author: message.author,
            kind: message.kind,
            timestamp: message.timestamp,
            body: fields.remove("body").unwrap_or_default(),
            reply_to: fields.remove("reply-to").filter(|id| !id.is_empty()),
            parents: message.parents,
            linearized_parent: message.linearized_parent,
            fields,
        }
    }
}

/// A part of a conversation, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessagePage {
    /// The messages, newest first.
    pub messages: Vec<MessageView>,
    /// For the page of older ones: give it as `before`. None if there are no older ones.
    #[schema(value_type = Option<ids::MessageId>)]
    pub older: Option<CommitId>,
    /// For the page of newer ones: give it as `after`. None if this page has the newest.
    #[schema(value_type = Option<ids::MessageId>)]
    pub newer: Option<CommitId>,
}

/// Writes a text.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// The text.
    #[schema(min_length = 1)]
    pub body: String,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
}

impl std::fmt::Debug for NewMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewMessage({} bytes)", self.body.len())
    }
}

/// A message that was written: it is durable, and will be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Written {
    /// Its id.
    #[schema(value_type = ids::MessageId)]
    pub id: CommitId,
}

/// What an account shows of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProfileView {
    /// Whose it is.
    #[schema(value_type = ids::JamiId)]
    pub id: AccountId,
    /// The name; empty if none is known.
    pub name: String,
    /// The picture, base64.
    pub picture: Option<String>,
    /// `image/jpeg` or `image/png`, as its owner says.
    pub picture_type: Option<String>,
}

/// Changes of the own profile; what is left out stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct NewProfile {
    /// The name, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The picture, base64 of a JPEG or PNG; empty: none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

/// A file in a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileView {
    /// The message that offers it.
    #[schema(value_type = ids::MessageId)]
    pub message: CommitId,
    /// Who sent it.
    #[schema(value_type = ids::JamiId)]
    pub author: AccountId,
    /// When, in seconds, as the author says.
    pub time: u64,
    /// Its name, as the author says: not to be used as a path.
    pub name: String,
    /// Its length.
    pub size: u64,
    /// The SHA3-512 of its content, in hex.
    pub sha3sum: String,
    /// Its id among peers; empty if it was taken back.
    pub file_id: String,
    /// `offered`, `waiting`, `ongoing`, `here` or `deleted`.
    #[schema(value_type = ids::FileStatus)]
    pub status: FileStatus,
    /// How much of it is here.
    pub received: u64,
    /// Where it is on the node's disk, if it is here; must not be changed.
    #[schema(value_type = Option<String>)]
    pub path: Option<std::path::PathBuf>,
}

impl From<core::SharedFile> for FileView {
    fn from(file: core::SharedFile) -> Self {
        Self {
            message: file.message,
            author: file.author,
            time: file.time,
            name: file.name,
            size: file.size,
            sha3sum: file.sha3sum,
            file_id: file.file_id,
            status: file.status,
            received: file.received,
            path: file.path,
        }
    }
}

/// How large files are that are fetched without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AutoAccept {
    /// Bytes; 0: none is.
    #[serde(deserialize_with = "crate::body::whole")]
    pub limit: u64,
}

/// A conversation that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Asked {
    /// Who is asked: a Jami ID.
    #[serde(default)]
    #[schema(value_type = Option<ids::JamiId>)]
    pub id: Option<AccountId>,
    /// The conversation; the other comes into it by accepting.
    #[schema(value_type = Option<ids::ConversationId>)]
    pub conversation: Option<ConversationId>,
}

/// Makes a group.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    /// 1: by name only admins invite, 2: the usual kind, 3: by name public. That does not
    /// change, and nobody enforces it.
    #[serde(default = "usual_mode")]
    #[schema(minimum = 1, maximum = 3)]
    pub mode: u8,
    /// What it is called and looks like.
    #[serde(default)]
    pub profile: GroupProfile,
    /// Jami IDs of those invited.
    #[serde(default)]
    pub members: Vec<String>,
}

fn usual_mode() -> u8 {
    2
}

/// What a group is called and looks like. In a change, what is left out stays, and what is
/// empty is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupProfile {
    /// The title, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The description, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The picture, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// The Jami ID of the account whose device hosts conferences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_account: Option<String>,
    /// That device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_device: Option<String>,
}

/// A conversation that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewConversation {
    /// Its id.
    #[schema(value_type = ids::ConversationId)]
    pub conversation: ConversationId,
}

/// Invites somebody.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// Whom: a Jami ID.
    pub id: String,
}

/// Puts an emoji to a message.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReaction {
    /// The emoji.
    #[schema(min_length = 1)]
    pub emoji: String,
}

/// Gives a message another wording.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditText {
    /// The new text; empty to delete the message.
    pub body: String,
}

impl std::fmt::Debug for EditText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EditText({} bytes)", self.body.len())
    }
}

/// Notes what was read.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkRead {
    /// The last message read.
    pub message: String,
}

/// What the others are told of what one does; what is off is not heard of them, either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    /// Whether one types.
    pub typing: bool,
    /// What one has read.
    pub receipts: bool,
}

impl From<core::Settings> for Settings {
    fn from(settings: core::Settings) -> Self {
        Self {
            typing: settings.typing,
            receipts: settings.receipts,
        }
    }
}

/// Changes the settings; what is left out stays.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSettings {
    /// Whether the others are told that one types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typing: Option<bool>,
    /// Whether they are told what one has read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipts: Option<bool>,
}

/// Whether one types.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Typing {
    /// `true` again and again as long as one does, then `false`.
    pub active: bool,
}

/// How far a message has got to one device of another member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// Whose device.
    #[schema(value_type = ids::JamiId)]
    pub account: AccountId,
    /// The device; none if none of the member's devices is known yet.
    #[schema(value_type = Option<ids::DeviceId>)]
    pub device: Option<DeviceId>,
    /// Whether it is known to have the message.
    pub delivered: bool,
    /// If not: what is being waited for: `not_joined`, `no_device`, `not_found`,
    /// `no_certificate`, `unanswered`, `failed`, `refused`, `declined`, `connecting`,
    /// `told_by_dht` or `not_fetched`.
    #[schema(value_type = Option<ids::Pending>)]
    pub pending: Option<core::Pending>,
    /// The same for people.
    pub reason: String,
    /// If not: when it is tried again.
    #[schema(value_type = Option<ids::Time>)]
    pub next_try: Option<UnixTime>,
    /// If not: how often it was tried.
    pub tries: u32,
}

impl From<core::Delivery> for Delivery {
    fn from(delivery: core::Delivery) -> Self {
        Self {
            account: delivery.account,
            device: delivery.device,
            delivered: delivery.delivered,
            pending: delivery.pending,
            reason: delivery.reason,
            next_try: delivery.next_try,
            tries: delivery.tries,
        }
    }
}

/// How far a message has got to a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberDelivery {
    /// Who.
    #[schema(value_type = ids::JamiId)]
    pub id: AccountId,
    /// `sending`: on none of its devices; `sent`: on one; `displayed`: it has read it.
    #[schema(value_type = ids::Reached)]
    pub status: Reached,
    /// If it is on none: what its device that is nearest to it waits for.
    #[schema(value_type = Option<ids::Pending>)]
    pub pending: Option<core::Pending>,
}

/// Why a message has not arrived everywhere, or that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryReport {
    /// Whether every other member has it on one device at least.
    pub arrived: bool,
    /// How many members it has got how far to.
    pub counts: StatusCounts,
    /// One entry for each other member.
    pub members: Vec<MemberDelivery>,
    /// One entry for each device of each other member.
    pub devices: Vec<Delivery>,
}

impl From<Vec<core::Delivery>> for DeliveryReport {
    fn from(devices: Vec<core::Delivery>) -> Self {
        let mut members: BTreeMap<AccountId, (Reached, Option<core::Pending>)> = BTreeMap::new();
        for delivery in &devices {
            let status = match (delivery.read, delivery.delivered) {
                (true, _) => Reached::Displayed,
                (false, true) => Reached::Sent,
                (false, false) => Reached::Sending,
            };
            let member = (status, delivery.pending);
            // What is further comes later in the order of both.
            let known = members.entry(delivery.account).or_insert(member);
            *known = (known.0.max(status), known.1.max(delivery.pending));
        }
        let mut counts = StatusCounts::default();
        let mut list = Vec::new();
        for (id, (status, pending)) in members {
            let count = match status {
                Reached::Sending => &mut counts.sending,
                Reached::Sent => &mut counts.sent,
                Reached::Displayed => &mut counts.displayed,
            };
            *count = count.saturating_add(1);
            list.push(MemberDelivery {
                id,
                status,
                pending: pending.filter(|_| status == Reached::Sending),
            });
        }
        Self {
            arrived: !list.is_empty() && counts.sending == 0,
            counts,
            members: list,
            devices: devices.into_iter().map(Into::into).collect(),
        }
    }
}

/// What an account is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, Default)]
pub struct Diagnostics {
    /// Devices connected now.
    pub links: Vec<Link>,
    /// Open channels by name.
    pub channels: Vec<String>,
    /// Fetches under way.
    pub fetches: usize,
    /// Conversations being cloned, or waiting for a device to clone from.
    pub clones: usize,
    /// Devices that are owed messages.
    pub owed: usize,
}

/// A device that is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// Whose.
    #[schema(value_type = ids::JamiId)]
    pub account: AccountId,
    /// Which.
    #[schema(value_type = ids::DeviceId)]
    pub device: DeviceId,
}

impl From<core::Diagnostics> for Diagnostics {
    fn from(diagnostics: core::Diagnostics) -> Self {
        let links = diagnostics.links.into_iter();
        Self {
            links: links
                .map(|(account, device)| Link { account, device })
                .collect(),
            channels: diagnostics.channels,
            fetches: diagnostics.fetches,
            clones: diagnostics.clones,
            owed: diagnostics.owed,
        }
    }
}

/// How the node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The version of Baraza.
    pub version: String,
    /// The node's process.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime: u64,
    /// Where the DHT listens.
    pub dht_addresses: Vec<String>,
    /// How connected the DHT node is; none if it has ended.
    pub dht: Option<Dht>,
    /// DHT nodes to begin with.
    pub bootstrap: Vec<String>,
    /// Cursor of the newest event.
    pub cursor: u64,
    /// Memory in use, in bytes.
    pub memory: u64,
    /// Requests to this API since the start.
    pub api_requests: u64,
    /// Of those, refused ones.
    pub api_refused: u64,
    /// Event streams open now.
    pub api_streams: u64,
    /// The accounts.
    pub accounts: Vec<AccountStatus>,
}

/// How connected a DHT node is, and what it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dht {
    /// Its id.
    #[schema(value_type = ids::NodeId)]
    pub id: InfoHash,
    /// Nodes that answer, by IPv4.
    pub good_ipv4: usize,
    /// Nodes that answer, by IPv6.
    pub good_ipv6: usize,
    /// Nodes known at all.
    pub known: usize,
    /// Values stored.
    pub values: usize,
    /// Bytes of values stored for others.
    pub bytes: usize,
    /// Subscriptions of others.
    pub listeners: usize,
    /// Own operations under way.
    pub operations: usize,
    /// Packets received.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// Packets dropped that were malformed, from nowhere, or too many.
    pub dropped: u64,
}

impl From<baraza_dht::Stats> for Dht {
    fn from(stats: baraza_dht::Stats) -> Self {
        let counters = stats.counters;
        let dropped = [
            counters.martian,
            counters.blacklisted,
            counters.malformed,
            counters.other_network,
            counters.no_id,
            counters.rate_limited,
            counters.unsolicited,
        ];
        Self {
            id: stats.id,
            good_ipv4: stats.ipv4.good,
            good_ipv6: stats.ipv6.good,
            known: stats.ipv4.known.saturating_add(stats.ipv6.known),
            values: stats.storage.values,
            bytes: stats.storage.bytes,
            listeners: stats.listeners,
            operations: stats.operations,
            received: counters.received,
            sent: counters.sent,
            dropped: dropped.into_iter().fold(0, u64::saturating_add),
        }
    }
}

/// How an account is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountStatus {
    /// Which.
    #[serde(flatten)]
    pub account: Account,
    /// What it is doing.
    pub diagnostics: Diagnostics,
    /// Whether it runs: if not, the log says why.
    pub running: bool,
    /// Requests that await an answer.
    pub requests: usize,
    /// Conversations.
    pub conversations: usize,
}

/// Events after a cursor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventBatch {
    /// Oldest first. Each has `cursor`, `time`, `event` (its type), `account` and what
    /// belongs to the type. One of type `gap` says that events before its cursor are gone:
    /// read the state anew.
    #[schema(value_type = Vec<Object>, example = json!([{
        "cursor": 1284, "time": 1_796_040_000_000_u64, "event": "message_received",
        "account": "d78438f0fb854c5a", "local_account": "d78438f0fb854c5a",
        "conversation": "9b1de7c60f0a4c41b8d2a3e5f60718293a4b5c6d",
        "message": {
            "id": "4f2a8b1c3d5e6f708192a3b4c5d6e7f809112233",
            "author": "867e21b1ff56e0ba0f31d8c1d7a6b1ab97d3f0a5",
            "type": "text/plain", "timestamp": 1_796_040_000, "body": "Shall we meet at noon?",
            "parents": [], "linearized_parent": null,
        },
    }]))]
    pub events: Vec<serde_json::Value>,
    /// Give it as `since` the next time.
    pub next: u64,
    /// Whether there are more already.
    pub more: bool,
}
