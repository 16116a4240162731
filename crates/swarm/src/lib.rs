//! Conversations as signed git histories: commits, rules, merges and the git wire

pub mod fetch;
pub mod pack;
pub mod pktline;
pub mod upload_pack;
