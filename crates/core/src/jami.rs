//! Reading the data directory of existing peers (docs/protocol/02-account.md section 16).
//!
//! Nothing is ever written there. Whatever is met may be damaged, half-written or made to
//! harm: sizes are bounded, links are not followed, and names are checked before they become
//! part of a path.

pub mod config;
pub mod paths;
pub mod source;
pub mod state;
