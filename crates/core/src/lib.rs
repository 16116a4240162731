//! Accounts, contacts and conversations: the engine behind the API.
//!
//! [`account::Account`] is one account's machine: it does no network I/O and reads no clock,
//! so that the simulator runs it as it is. [`node::Node`] gives it a real network and
//! threads, and is what the API, the terminal and the test peer use.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::string_slice, clippy::as_conversions)
)]

pub mod account;
pub mod backup;
pub mod command;
pub mod doctor;
pub mod event;
pub mod files;
pub mod jami;
pub mod keys;
pub mod link_device;
pub mod names;
pub mod nearby;
pub mod node;
pub mod protocol;
pub mod relay;
pub mod view;

pub use account::{
    AUTO_ACCEPT, Account, AccountConfig, Done, IntakeLimits, NameQuery, Output, RequestId, Work,
};
pub use command::{Command, CommandError, FileSource, ProfileChange, Reply, Settings, SharedFile};
pub use event::{Event, EventBody, FileStatus, LocalId, Message};
pub use files::{Staged, Staging};
pub use keys::Keys;
pub use node::{Node, NodeConfig, NodeError};
