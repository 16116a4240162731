//! OpenDHT-compatible distributed hash table node (docs/protocol/01-dht.md).
//!
//! [`Dht`] is the node as a machine without sockets, clock or randomness of its own;
//! [`driver`] runs one on UDP sockets. Values come and go as they are stored: [`secure`]
//! signs, encrypts and opens them, which is the business of whoever uses the node.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::string_slice, clippy::as_conversions)
)]

mod api;
pub mod certificate_value;
mod clock;
mod counters;
pub mod discovery;
pub mod driver;
pub mod engine;
mod fragments;
pub mod hash;
mod listeners;
pub mod message;
mod node;
mod op;
pub mod query;
mod ratelimit;
mod request;
mod routing;
mod search;
pub mod secure;
mod slab;
mod storage;
mod token;
pub mod value;
pub mod value_type;

pub use api::{ClientId, Command, Config, Event, Limits, OpError, OpId, Output, Status};
pub use counters::Counters;
pub use engine::{BucketInfo, Dht, FamilyStats, KeyInfo, NodeState, SearchInfo, StateError, Stats};
pub use hash::infohash;
pub use node::Family;
pub use query::{Field, Filter, Query};
pub use storage::StorageStats;
pub use value::Value;
