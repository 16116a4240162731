//! Identifiers, msgpack, time and randomness shared by every protocol layer.
//!
//! Nothing here does I/O or reads a clock. Protocol machines get the time and a
//! [`Rng`] handed in, so that they can run on virtual time with a seed.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::string_slice, clippy::as_conversions)
)]

pub mod hex;
pub mod id;
pub mod msgpack;
mod rng;
mod time;

pub use id::{AccountId, CommitId, ConversationId, DeviceId, IdError, InfoHash};
pub use rng::Rng;
pub use time::{Now, UnixTime};
