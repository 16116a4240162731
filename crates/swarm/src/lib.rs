//! Conversations as signed git histories: commits, rules, merges and the git wire

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::string_slice
    )
)]

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
pub mod promote;
pub mod refusal;
pub mod repository;
pub mod signature;
pub mod tree;
pub mod upload_pack;
mod validate;
pub mod verify;
pub mod view;

pub use members::{Member, Role};
pub use message::{Fields, MemberAction, Message, Mode};
pub use refusal::{Refused, Rule};
pub use repository::{Author, CommitInfo, Entry, MergeOutcome, Repository, RepositoryError};
pub use verify::verify;
