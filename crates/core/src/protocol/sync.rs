//! What devices of one account tell each other: contacts, conversations, requests and what
//! was read, on a `sync://` channel (docs/protocol/06-messages-files.md section 5), and of
//! it contacts and devices over the DHT (docs/protocol/02-account.md section 9).

mod read;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use baraza_dht::secure::{self, SealError};
use baraza_dht::{Value, value_type};
use baraza_identity::{PrivateKey, PublicKey};
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId, InfoHash, Rng, UnixTime};

/// What the names of such channels begin with.
pub const CHANNEL: &str = "sync://";
/// Longest message that is read. Peers of 2023 write at most 65535 bytes, newer ones
/// everything at once.
pub const MAX_MESSAGE: usize = 8 << 20;

/// The name of a channel to a device.
pub fn channel(device: &DeviceId) -> String {
    format!("{CHANNEL}{device}")
}

/// One message, or the whole state of a device, which takes several messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncMessage {
    /// When it was made, in nanoseconds since 1970; of no meaning on a channel.
    pub date: u64,
    /// Devices of the account.
    pub devices: BTreeMap<DeviceId, SyncDevice>,
    /// Contacts, removed and blocked ones too.
    pub contacts: BTreeMap<AccountId, SyncContact>,
    /// Requests of those who want to become contacts.
    pub trust_requests: BTreeMap<AccountId, SyncTrustRequest>,
    /// Conversations, removed ones too.
    pub conversations: BTreeMap<ConversationId, SyncConversation>,
    /// Requests, declined ones too.
    pub requests: BTreeMap<ConversationId, SyncRequest>,
    /// Preferences of conversations, as they are written.
    pub preferences: BTreeMap<ConversationId, BTreeMap<String, String>>,
    /// What members have.
    pub marks: BTreeMap<ConversationId, BTreeMap<AccountId, Marks>>,
}

/// A device of the account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncDevice {
    /// Its name; may be empty.
    pub name: String,
    /// Its short id; newer peers do not say.
    pub short: Option<InfoHash>,
}

/// A contact (docs/protocol/02-account.md section 7.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncContact {
    /// When it was last added; 0 for never.
    pub added: UnixTime,
    /// When it was last removed; 0 for never.
    pub removed: UnixTime,
    /// Whether it is known to have us, too.
    pub confirmed: bool,
    /// Whether the removal was a ban.
    pub banned: bool,
    /// The one-to-one conversation.
    pub conversation: Option<ConversationId>,
    /// Whether the times are in milliseconds; else they were cut to seconds.
    pub exact: bool,
}

/// A request of somebody who wants to become a contact.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncTrustRequest {
    /// Key of the device that sent it, as DER.
    pub device: Vec<u8>,
    /// The conversation offered.
    pub conversation: Option<ConversationId>,
    /// When it came.
    pub received: UnixTime,
    /// When it was sent; peers of 2023 do not say.
    pub issued: Option<UnixTime>,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncConversation {
    /// When it was made or accepted.
    pub created: UnixTime,
    /// When it was removed; 0 for never.
    pub removed: UnixTime,
    /// When it was erased; 0 for never.
    pub erased: UnixTime,
    /// Its members.
    pub members: BTreeSet<AccountId>,
    /// Its mode; peers of 2023 do not say.
    pub mode: Option<u8>,
    /// Whether the times are in milliseconds; else they were cut to seconds.
    pub exact: bool,
}

/// A request to join a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncRequest {
    /// Who asks.
    pub from: AccountId,
    /// `mode`, `title` and so on.
    pub metadata: BTreeMap<String, String>,
    /// When it came.
    pub received: UnixTime,
    /// When it was declined; 0 if it was not.
    pub declined: UnixTime,
    /// Whether that is in milliseconds; else it was cut to a second.
    pub exact: bool,
}

/// What one member is known to have, with times in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    /// The newest commit fetched.
    pub fetched: Option<(CommitId, u64)>,
    /// The newest commit read.
    pub read: Option<(CommitId, u64)>,
}

impl SyncMessage {
    /// The value to put once under the inbox key of the device whose key is `to`, with one
    /// of [`Self::encode_dht`] in it.
    ///
    /// # Errors
    /// If the key cannot be encrypted for.
    pub fn seal(
        packed: Vec<u8>,
        sender: &PrivateKey,
        to: &PublicKey,
        rng: &mut Rng,
    ) -> Result<Value, SealError> {
        let plain = Value::new(value_type::USER_DATA, packed).with_random_id(rng);
        secure::encrypt(&plain, sender, to)
    }
}

#[cfg(test)]
mod tests;
