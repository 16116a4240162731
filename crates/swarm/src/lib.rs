//! Conversations as signed git histories: commits, rules, merges and the git wire.
//!
//! A conversation is a git repository that every device keeps a replica of. Each message is
//! a commit, signed by the device that wrote it; the tree holds who is a member
//! (docs/protocol/05-swarm.md). [`Repository`] is a conversation on disk and does all that
//! an account does with it; [`verify()`] checks a whole one. [`fetch`] and [`upload_pack`]
//! are the two ends of a git channel, without any channel: whatever arrives goes through
//! the rules before it becomes part of a repository.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::string_slice
    )
)]

pub mod bundle;
mod certificates;
pub mod commit;
pub mod fetch;
mod graph;
mod history;
pub mod ingest;
mod journal;
pub mod json;
pub mod maintain;
pub mod members;
mod merge;
pub mod message;
pub mod objects;
pub mod pack;
pub mod pktline;
pub mod profile;
pub mod promote;
pub mod refusal;
pub mod repository;
pub mod signature;
mod snapshot;
pub mod tree;
pub mod upload_pack;
mod validate;
pub mod verify;
pub mod view;

pub use members::{Member, Role};
pub use message::{Fields, MemberAction, Message, Mode};
pub use profile::Profile;
pub use refusal::{Refused, Rule};
pub use repository::{
    Author, Cloned, Cloning, CommitInfo, Entry, Intake, Listing, MergeOutcome, Received,
    Repository, RepositoryError,
};
pub use snapshot::snapshot;
pub use validate::Stop;
pub use verify::verify;
