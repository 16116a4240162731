//! What clients may ask of an account, and what they get.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use baraza_names::client::Query;
use baraza_names::{Name, Registration};
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId, UnixTime};
use serde::{Deserialize, Serialize};

use crate::event::{FileStatus, LocalId, Message, Presence, RegistrationState};
use crate::files::Staged;
use crate::link_device::LinkToken;
use crate::names::{NameFound, NameProblem, NameServerChoice, NameSettings};
use crate::view::{Entry, Page, PageAt, Search, SearchPage};

/// Longest text of a message, in bytes. Existing peers know no limit, but their channels and
/// clients do; this is above anything typed or pasted by people.
pub const MAX_BODY: usize = 256 * 1024;
/// Longest display name, in bytes; and longest title of a group.
pub const MAX_NAME: usize = 256;
/// Longest description of a group, in bytes.
pub const MAX_DESCRIPTION: usize = 4096;
/// Longest picture of a group, in bytes of base64. It goes with invitations, in which peers
/// take less than 64,000 bytes.
pub const MAX_PICTURE: usize = 60_000;
/// Longest picture of an account, in bytes: with it a profile stays below what peers take.
pub const MAX_PROFILE_PICTURE: usize = 5 << 20;
/// Most messages one [`Command::History`] gives.
pub const MAX_PAGE: usize = 1_000_000;

/// A request to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Who the account is and how it is connected: [`Reply::Identity`].
    Identity,
    /// Sets the name that goes with requests and commits: [`Reply::Done`].
    SetDisplayName {
        /// The name.
        name: String,
    },
    /// What an account shows of itself: [`Reply::Profile`].
    Profile {
        /// Whose; one's own if `None`.
        of: Option<AccountId>,
    },
    /// Changes what one shows of oneself: [`Reply::Done`].
    SetProfile {
        /// A new name.
        name: Option<String>,
        /// A new picture, JPEG or PNG, of at most [`MAX_PROFILE_PICTURE`] bytes; an empty
        /// one removes it.
        picture: Option<Vec<u8>>,
    },
    /// Asks somebody to become a contact; makes the one-to-one conversation. To a contact
    /// that there is already, sends the request again; to oneself nothing is sent:
    /// [`Reply::Conversation`].
    SendRequest {
        /// Who.
        to: AccountId,
        /// A note for the asked; existing peers show it nowhere.
        text: String,
    },
    /// The registered name of somebody, or whose a name is: [`Reply::Name`].
    LookUpName {
        /// Who is meant.
        query: Query,
        /// Whether the server is asked though the answer is known.
        fresh: bool,
    },
    /// Registers a name: [`Reply::Name`]. See `Node::register_name`, which signs it.
    RegisterName {
        /// The name.
        name: Name,
        /// What the account signed.
        registration: Box<Registration>,
    },
    /// Which name server is asked: [`Reply::NameSettings`].
    NameSettings,
    /// Changes that; what is `None` stays: [`Reply::NameSettings`].
    ChangeNameSettings {
        /// The server.
        server: Option<NameServerChoice>,
        /// Whether answers without the owner's signature are refused.
        only_signed: Option<bool>,
    },
    /// Requests that await an answer: [`Reply::Requests`].
    Requests,
    /// Accepts a request. [`Reply::Done`] at once; `ConversationReady` follows when it has
    /// been cloned and joined.
    AcceptRequest {
        /// The conversation offered.
        conversation: ConversationId,
    },
    /// Declines a request: [`Reply::Done`].
    DeclineRequest {
        /// The conversation offered.
        conversation: ConversationId,
    },
    /// The contact list: [`Reply::Contacts`].
    Contacts,
    /// Adds a contact without asking it: [`Reply::Done`].
    AddContact {
        /// Who.
        contact: AccountId,
    },
    /// Removes a contact and its conversation, or blocks an account: [`Reply::Done`].
    RemoveContact {
        /// Who.
        contact: AccountId,
        /// Whether nothing from it may arrive any more.
        ban: bool,
    },
    /// Makes a group, and invites people to it: [`Reply::Conversation`].
    CreateGroup {
        /// Its mode.
        mode: GroupMode,
        /// Its profile.
        profile: ProfileChange,
        /// Who is invited.
        members: Vec<AccountId>,
    },
    /// Invites somebody to a group, once more if need be; takes a banned one back:
    /// [`Reply::Done`].
    AddMember {
        /// Which group.
        conversation: ConversationId,
        /// Who.
        member: AccountId,
    },
    /// Throws somebody out of a group; where there are several admins, votes for it:
    /// [`Reply::Done`].
    BanMember {
        /// Which group.
        conversation: ConversationId,
        /// Who.
        member: AccountId,
    },
    /// Leaves a conversation, and removes it here: [`Reply::Done`]. For a conversation of
    /// two this removes the contact.
    Leave {
        /// Which.
        conversation: ConversationId,
    },
    /// Changes the profile of a group: [`Reply::Done`].
    UpdateProfile {
        /// Which group.
        conversation: ConversationId,
        /// What.
        profile: ProfileChange,
    },
    /// Conversations that can be used: [`Reply::Conversations`].
    Conversations,
    /// Mode and profile of a conversation: [`Reply::Info`].
    ConversationInfo {
        /// Which.
        conversation: ConversationId,
    },
    /// Who is in a conversation: [`Reply::Members`].
    Members {
        /// Which.
        conversation: ConversationId,
    },
    /// Writes a text. [`Reply::Message`] when it is durable.
    SendMessage {
        /// Where.
        conversation: ConversationId,
        /// The text, at most [`MAX_BODY`] bytes.
        body: String,
        /// The message it answers.
        reply_to: Option<CommitId>,
    },
    /// Puts an emoji to a message. [`Reply::Message`] when it is durable; that message is
    /// edited to take it back.
    React {
        /// Where.
        conversation: ConversationId,
        /// The message.
        message: CommitId,
        /// The emoji, at most [`MAX_NAME`] bytes.
        emoji: String,
    },
    /// Gives one's own text another wording, or with an empty one deletes it or a reaction.
    /// [`Reply::Message`] when it is durable.
    EditMessage {
        /// Where.
        conversation: ConversationId,
        /// The message, as it was first written.
        message: CommitId,
        /// The new text, at most [`MAX_BODY`] bytes.
        body: String,
    },
    /// Sends a file: [`Reply::Message`] when it and its content are durable.
    SendFile {
        /// Where.
        conversation: ConversationId,
        /// Its content.
        source: FileSource,
        /// Its name; of a path the last component.
        name: String,
        /// The message it answers.
        reply_to: Option<CommitId>,
    },
    /// Takes a file of ours back, from everybody: [`Reply::Message`] when it is durable.
    DeleteFile {
        /// Where.
        conversation: ConversationId,
        /// The message that offers it.
        message: CommitId,
    },
    /// Files of a conversation, the newest first: [`Reply::Files`].
    Files {
        /// Which.
        conversation: ConversationId,
    },
    /// A file: [`Reply::File`].
    File {
        /// Where.
        conversation: ConversationId,
        /// The message that offers it.
        message: CommitId,
    },
    /// Fetches a file, from whoever has it: [`Reply::Done`] at once; `FileChanged` says how
    /// it goes.
    AcceptFile {
        /// Where.
        conversation: ConversationId,
        /// The message that offers it.
        message: CommitId,
    },
    /// Does not fetch a file any further: [`Reply::Done`].
    CancelFile {
        /// Where.
        conversation: ConversationId,
        /// The message that offers it.
        message: CommitId,
    },
    /// The largest file that is fetched without being asked for, in bytes: [`Reply::Count`].
    AutoAccept,
    /// Sets that; 0 is none at all: [`Reply::Done`].
    SetAutoAccept {
        /// Bytes.
        limit: u64,
    },
    /// Messages, newest first: [`Reply::History`].
    History {
        /// Where.
        conversation: ConversationId,
        /// The first one to give; the newest if `None`.
        from: Option<CommitId>,
        /// How many at most; 0 is all.
        count: usize,
    },
    /// Sets the own copy of a conversation aside and clones it anew from a member; own texts
    /// that are not in that are written again. [`Reply::Done`] at once; `ConversationReady`
    /// follows.
    Rejoin {
        /// Which.
        conversation: ConversationId,
        /// From whom; an admin if `None`.
        from: Option<AccountId>,
    },
    /// A page of the history as people see it, edits and reactions folded in:
    /// [`Reply::View`].
    View {
        /// Where.
        conversation: ConversationId,
        /// Which page.
        at: PageAt,
        /// How many entries at most, [`crate::view::MAX_ENTRIES`].
        count: usize,
    },
    /// Seeks messages: [`Reply::Found`].
    Search(Search),
    /// How many commits there are: [`Reply::Count`].
    CountMessages {
        /// Where.
        conversation: ConversationId,
    },
    /// Where the git directory is: [`Reply::Path`].
    Repository {
        /// Which conversation.
        conversation: ConversationId,
    },
    /// The devices of the own account: [`Reply::Devices`].
    Devices,
    /// The devices of somebody else, and whether a person compared their Jami ID:
    /// [`Reply::PeerDevices`].
    PeerDevices {
        /// Whose.
        of: AccountId,
    },
    /// Notes that a person compared somebody's Jami ID with what they showed, or that this does
    /// not count any more: [`Reply::PeerDevices`].
    SetVerified {
        /// Whose.
        of: AccountId,
        /// Whether it was compared.
        verified: bool,
    },
    /// Gives this device a name, which the other devices of the account show:
    /// [`Reply::Done`].
    RenameDevice {
        /// The name, one line of at most [`MAX_NAME`] bytes.
        name: String,
    },
    /// Takes in a list of revoked devices, signed by the own account: [`Reply::Done`].
    TakeRevocations {
        /// The list, as DER.
        list: Vec<u8>,
    },
    /// How a conversation is shown: [`Reply::Preferences`].
    Preferences {
        /// Which.
        conversation: ConversationId,
    },
    /// Changes how a conversation is shown, on all devices of the account: [`Reply::Done`].
    SetPreferences {
        /// Which.
        conversation: ConversationId,
        /// New values; an empty one removes a preference.
        changes: BTreeMap<String, String>,
    },
    /// Fetches nothing more of a conversation, or goes on: [`Reply::Done`]. Not remembered
    /// over a restart.
    PauseFetching {
        /// Which conversation.
        conversation: ConversationId,
        /// Whether to pause.
        paused: bool,
    },
    /// Makes a copy of a conversation's repository as it is between two changes, for a
    /// backup: [`Reply::Done`]. It may be read and removed, not written.
    Snapshot {
        /// Which conversation.
        conversation: ConversationId,
        /// A directory that is not there yet, on the same file system.
        into: PathBuf,
    },
    /// Takes in a conversation, or what is new in it, that came in a file:
    /// [`Reply::Count`] of the messages that were not here yet.
    ImportBundle {
        /// What was read from the file.
        bundle: BundleInput,
    },
    /// Notes that everything up to a message was read here, and tells the others if they
    /// may know: [`Reply::Done`].
    MarkRead {
        /// Where.
        conversation: ConversationId,
        /// The last message read.
        message: CommitId,
    },
    /// Tells the others that one types, again and again as long as one does, or that one
    /// stopped: [`Reply::Done`].
    SetComposing {
        /// Where.
        conversation: ConversationId,
        /// Whether one types.
        active: bool,
    },
    /// What the others are told: [`Reply::Settings`].
    Settings,
    /// Changes what the others are told; what is `None` stays: [`Reply::Settings`].
    ChangeSettings {
        /// Whether one types.
        typing: Option<bool>,
        /// What one has read.
        receipts: Option<bool>,
    },
    /// Who has a message, and why the others do not yet: [`Reply::Delivery`].
    DeliveryStatus {
        /// Where.
        conversation: ConversationId,
        /// The message; the newest if `None`.
        message: Option<CommitId>,
    },
    /// Brings the account to the new device that shows this token: [`Reply::Done`], when it
    /// is being connected to.
    LinkDevice {
        /// The token.
        token: LinkToken,
    },
    /// Lets the new device that is connected have the account: [`Reply::Done`].
    ConfirmLink,
    /// Does not let it: [`Reply::Done`].
    CancelLink,
    /// What the account is doing: [`Reply::Diagnostics`].
    Diagnostics,
}

/// The content of a file to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSource {
    /// A file of this machine; a copy is taken.
    Path(PathBuf),
    /// What was given to the node bit by bit (`Node::stage_file`).
    Staged(Staged),
}

/// What a group is by name; that does not change, and nobody enforces it
/// (docs/protocol/05-swarm.md section 3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupMode {
    /// Only admins invite.
    AdminInvitesOnly,
    /// The kind that existing peers make.
    #[default]
    InvitesOnly,
    /// Public; an invitation is needed all the same.
    Public,
}

/// What changes in the profile of a group: what is `None` stays, what is empty is removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileChange {
    /// The title, one line.
    pub title: Option<String>,
    /// The description, one line.
    pub description: Option<String>,
    /// The picture, base64.
    pub avatar: Option<String>,
    /// The account whose device hosts conferences.
    pub host_account: Option<String>,
    /// That device.
    pub host_device: Option<String>,
}

/// A bundle that was read from a file, for [`Command::ImportBundle`]. It can be used once.
#[derive(Debug, Clone)]
pub struct BundleInput(Arc<Mutex<Option<baraza_swarm::bundle::Bundle>>>);

impl BundleInput {
    /// Of a bundle that was read.
    pub fn new(bundle: baraza_swarm::bundle::Bundle) -> Self {
        Self(Arc::new(Mutex::new(Some(bundle))))
    }

    /// The bundle, the first time.
    pub(crate) fn take(&self) -> Option<baraza_swarm::bundle::Bundle> {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inside.take()
    }
}

impl PartialEq for BundleInput {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for BundleInput {}

/// The answer to a [`Command`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Reply {
    /// Done.
    Done,
    /// Who the account is.
    Identity(Identity),
    /// What an account shows of itself.
    Profile(ShownProfile),
    /// A registered name.
    Name(NameFound),
    /// Which name server is asked.
    NameSettings(NameSettings),
    /// A conversation.
    Conversation(ConversationId),
    /// A message.
    Message(CommitId),
    /// Pending requests, oldest first.
    Requests(Vec<Request>),
    /// Contacts, active and blocked ones.
    Contacts(Vec<Contact>),
    /// Conversations.
    Conversations(Vec<Conversation>),
    /// `mode` and, where there are, `title`, `description`, `avatar`.
    Info(BTreeMap<String, String>),
    /// The devices of the own account, this one first.
    Devices(Vec<OwnDevice>),
    /// The devices of somebody else.
    PeerDevices(PeerDevices),
    /// Names and values: `color`, `symbol`, `ignoreNotifications` and others that clients
    /// agree about.
    Preferences(BTreeMap<String, String>),
    /// Members.
    Members(Vec<Member>),
    /// What the others are told.
    Settings(Settings),
    /// Messages, newest first.
    History(Vec<Message>),
    /// Files, the newest first.
    Files(Vec<SharedFile>),
    /// A file.
    File(SharedFile),
    /// A page of the history.
    View(Page),
    /// What was found.
    Found(SearchPage),
    /// A number.
    Count(u64),
    /// A path.
    Path(PathBuf),
    /// One entry for each device of each other member.
    Delivery(Vec<Delivery>),
    /// What the account is doing.
    Diagnostics(Diagnostics),
}

/// Who an account is and how it is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its local name.
    pub account: LocalId,
    /// Its Jami ID.
    pub jami_id: AccountId,
    /// This device.
    pub device_id: DeviceId,
    /// The name it shows.
    pub display_name: String,
    /// The name registered for it at its name server; empty if none is known.
    pub registered_name: String,
    /// The connection.
    pub state: RegistrationState,
    /// Whether others can find this device.
    pub announced: bool,
    /// When it was last backed up or exported; `None` if never.
    pub backed_up: Option<UnixTime>,
}

/// A pending request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Who asks.
    pub from: AccountId,
    /// The conversation offered.
    pub conversation: ConversationId,
    /// The mode of the conversation; 0 is one-to-one.
    pub mode: u8,
    /// The name the asker gives, or the title of the group; proves nothing.
    pub name: String,
    /// When it came.
    pub received: UnixTime,
}

/// What an account shows of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownProfile {
    /// Whose it is.
    pub id: AccountId,
    /// The name; empty if none is known.
    pub name: String,
    /// The picture.
    pub picture: Option<Picture>,
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// `jpeg` or `png`, as who shows it says.
    pub kind: String,
    /// The bytes of the file.
    pub bytes: Vec<u8>,
}

/// A contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Who.
    pub id: AccountId,
    /// The name it shows; empty if that is not known.
    pub name: String,
    /// The name registered for it, with the server if that is not the account's own; empty
    /// if none is known.
    pub registered_name: String,
    /// When it was added.
    pub added: UnixTime,
    /// Whether it is known to have us, too.
    pub confirmed: bool,
    /// Whether it is blocked.
    pub banned: bool,
    /// The one-to-one conversation.
    pub conversation: Option<ConversationId>,
    /// How near it is.
    pub presence: Presence,
    /// Why the last attempt to connect failed, if it is on the network but not connected.
    pub unreachable: Option<String>,
}

/// The devices of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PeerDevices {
    /// When a person compared their Jami ID with what they showed; `None` if nobody did.
    pub verified: Option<UnixTime>,
    /// Their devices, as far as they are known, revoked ones last.
    pub devices: Vec<PeerDevice>,
}

/// A device of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerDevice {
    /// Its id.
    pub id: DeviceId,
    /// Whether its account has revoked it.
    pub revoked: bool,
    /// How near it is.
    pub presence: Presence,
    /// When it was last seen.
    pub seen: UnixTime,
}

/// A device of the own account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnDevice {
    /// Its id.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// Whether it is this one.
    pub current: bool,
    /// Whether it was revoked: nothing of it counts any more.
    pub revoked: bool,
    /// How near it is.
    pub presence: Presence,
    /// When it was last seen.
    pub seen: UnixTime,
}

/// A conversation that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// Its mode: 0 is one-to-one.
    pub mode: u8,
    /// Everybody in it, oneself included.
    pub members: Vec<AccountId>,
    /// How many commits it has.
    pub length: u64,
    /// The newest commit.
    pub last: Option<CommitId>,
    /// The last message marked as read.
    pub read: Option<CommitId>,
    /// Commits of it that break the rules: whoever has them cannot be followed.
    pub refusals: Vec<Refusal>,
    /// How many messages of others come after that.
    pub unread: u64,
    /// The first of them.
    pub first_unread: Option<CommitId>,
    /// The newest entry of the history.
    pub newest: Option<Box<Entry>>,
}

/// A file in a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedFile {
    /// The message that offers it.
    pub message: CommitId,
    /// Who sent it.
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
    /// Where it is.
    pub status: FileStatus,
    /// How much of it is here.
    pub received: u64,
    /// Where it is on the disk, if it is here.
    pub path: Option<PathBuf>,
}

/// A member of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub uri: AccountId,
    /// What.
    pub role: Role,
    /// The last message it is known to have read.
    pub read: Option<CommitId>,
}

/// What the others are told; and what is not told is not heard of them, either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether one types.
    pub typing: bool,
    /// What one has read.
    pub receipts: bool,
}

/// What a member is (docs/protocol/05-swarm.md section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May invite, ban and edit the profile.
    Admin,
    /// May write.
    Member,
    /// Has not joined yet.
    Invited,
    /// Was thrown out.
    Banned,
    /// Left a one-to-one conversation.
    Left,
}

impl Role {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Invited => "invited",
            Self::Banned => "banned",
            Self::Left => "left",
        }
    }
}

/// How far a message has got to one device of another member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Whose device.
    pub account: AccountId,
    /// The device; `None` if none of the member's devices is known yet.
    pub device: Option<DeviceId>,
    /// Whether it is known to have the message.
    pub delivered: bool,
    /// Whether the member is known to have read it, on whatever device.
    pub read: bool,
    /// If it was not delivered: what is being waited for.
    pub pending: Option<Pending>,
    /// The same for people.
    pub reason: String,
    /// If not: when it is tried again.
    pub next_try: Option<UnixTime>,
    /// If not: how often it was tried.
    pub tries: u32,
}

/// A commit that breaks the rules of its conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The commit.
    pub message: CommitId,
    /// The device that wrote it, as it says, which proves nothing.
    pub device: Option<DeviceId>,
    /// The account of that device, if it is known.
    pub author: Option<AccountId>,
    /// The device that first brought it.
    pub source: DeviceId,
    /// The account of that device.
    pub source_account: Option<AccountId>,
    /// The rule it breaks (docs/protocol/05-swarm.md section 5).
    pub rule: String,
    /// More, for people.
    pub detail: String,
    /// When it came.
    pub time: UnixTime,
}

/// What a message waits for that a device does not have yet.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[serde(rename_all = "snake_case")]
pub enum Pending {
    /// The member has not accepted the invitation.
    #[error("the invitation was not accepted yet")]
    NotJoined,
    /// No device of the member was ever found.
    #[error("no device of this account was found on the network yet")]
    NoDevice,
    /// The device is not announced.
    #[error("the device is not found on the network")]
    NotFound,
    /// Its certificate cannot be found, without which nothing can be sent to it.
    #[error("the certificate of the device cannot be found")]
    NoCertificate,
    /// It is announced, but does not answer.
    #[error("the device is on the network, but does not answer")]
    Unanswered,
    /// It answers, but no connection works.
    #[error("no connection to the device works")]
    Failed,
    /// It is not who it should be, or does not trust us.
    #[error("the secure connection to the device was refused")]
    Refused,
    /// It does not want what we ask for.
    #[error("the device declined")]
    Declined,
    /// A connection is being made.
    #[error("connecting")]
    Connecting,
    /// It cannot be connected to; a note lies on the DHT for it.
    #[error("told by a note on the DHT; has not fetched it yet")]
    ToldByDht,
    /// In a large group: members nearer to it tell it.
    #[error("other members tell it; it has not been heard of since")]
    ToldByOthers,
    /// It was told, and has not fetched it.
    #[error("told of it; has not fetched it yet")]
    NotFetched,
}

/// What an account is doing, for diagnosis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Diagnostics {
    /// Devices connected now, with their accounts.
    pub links: Vec<(AccountId, DeviceId)>,
    /// Open channels by name.
    pub channels: Vec<String>,
    /// Fetches under way.
    pub fetches: usize,
    /// Clones under way or waiting for a device.
    pub clones: usize,
    /// Devices that are owed commits.
    pub owed: usize,
}

/// Why a command failed. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The node has no such account.
    #[error("no such account")]
    NoSuchAccount,
    /// There is no such conversation, or it is not ready.
    #[error("no such conversation")]
    NoSuchConversation,
    /// There is no such request.
    #[error("no such request")]
    NoSuchRequest,
    /// There is no such message.
    #[error("no such message")]
    NoSuchMessage,
    /// There is no such file.
    #[error("no such file")]
    NoSuchFile,
    /// A file could not be taken in.
    #[error("the file cannot be sent: {0}")]
    File(String),
    /// There is no such contact.
    #[error("no such contact")]
    NoSuchContact,
    /// One cannot be a contact of oneself.
    #[error("this is your own Jami ID")]
    Oneself,
    /// The account is blocked.
    #[error("this account is blocked; unblock it by adding it as a contact")]
    Blocked,
    /// One may not write there.
    #[error("not a member of this conversation")]
    NotMember,
    /// The rules of the conversation do not allow it.
    #[error("not allowed: {0}")]
    NotAllowed(String),
    /// An argument is not acceptable.
    #[error("{0}")]
    Invalid(String),
    /// The disk or the database failed.
    #[error("cannot store: {0}")]
    Store(String),
    /// A repository failed.
    #[error("the conversation's repository failed: {0}")]
    Repository(String),
    /// It is a collaborative document, which this version cannot open.
    #[error("this is a collaborative document, not supported yet")]
    Document,
    /// The history is being prepared after an update of the program.
    #[error("the history is being prepared after an update of the program: {0} % are done")]
    NotYet(u64),
    /// A device is being linked already.
    #[error("another device is being linked; cancel that, or wait until it is done")]
    LinkRunning,
    /// No device is being linked, or nothing is asked of the user now.
    #[error("no device waits for an answer")]
    NoLink,
    /// Nothing came of a question about names.
    #[error(transparent)]
    Name(#[from] NameProblem),
    /// Too much is waiting already.
    #[error("too many commands are waiting")]
    Busy,
    /// The node is shutting down, or the account's engine ended.
    #[error("the account is not running")]
    Stopped,
}
