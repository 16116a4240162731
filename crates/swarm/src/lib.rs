//! Conversations as signed git histories: commits, rules, merges and the git wire

pub mod fetch;
pub mod ingest;
pub mod maintain;
pub mod pack;
pub mod pktline;
pub mod promote;
pub mod upload_pack;
