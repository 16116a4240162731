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

pub mod fetch;
pub mod ingest;
pub mod maintain;
pub mod pack;
pub mod pktline;
pub mod promote;
pub mod upload_pack;
pub mod view;
