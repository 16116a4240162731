//! Durable state: accounts, contacts, outbox and the message index in SQLite.
//!
//! One database, `node.db`, for each data directory. The git repositories of conversations
//! are not here, and stay the truth about messages: the message index can be rebuilt from
//! them. Private keys are files of their own ([`files`]), never in the database.
//!
//! Every connection writes ahead and syncs at each commit (`synchronous = FULL`): what a
//! transaction wrote is on stable storage when it returns.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::string_slice, clippy::as_conversions)
)]

mod access;
mod accounts;
mod answered;
mod contacts;
mod conversations;
mod copy;
mod database;
mod devices;
mod divergence;
mod events;
pub mod files;
mod health;
mod lock;
mod messages;
mod names;
mod outbox;
mod profiles;
mod reads;
mod revocations;
mod schema;
mod search;
mod shared_files;
mod sync;
mod views;
mod webhooks;

pub use access::{PasswordRow, SessionRow, TokenRow};
pub use accounts::AccountRow;
pub use answered::{Answer, AnsweredRow};
pub use contacts::{ContactRow, RequestRow};
pub use conversations::{ConversationRow, ConversationState, DeliveryRow};
pub use database::{Durability, Store, StoreError};
pub use devices::{DeviceKind, DeviceRow, MAX_TREATED};
pub use divergence::{RefusalRow, UnsentRow};
pub use events::{EventRow, MAX_EVENTS};
pub use health::{quick_check, sqlite_version};
pub use lock::{DirectoryLock, LockError};
pub use messages::MessageRow;
pub use names::{MAX_NAMES, NameRow};
pub use outbox::{OutboxKind, OutboxRow};
pub use profiles::ProfileRow;
pub use reads::ReadRow;
pub use revocations::RevocationRow;
pub use schema::schema_text;
pub use search::{FoundRow, SearchQuery, Snippet, snippet};
pub use shared_files::{FileRow, FileState};
pub use sync::{MAX_REMOVED, OwnDeviceRow, PreferencesRow, ReadMarkRow, RemovedRow};
pub use views::{Class, EntryRow, ReactionRow, ViewRow, text_of};
pub use webhooks::{WebhookRow, WebhookSecret, WebhookState};
