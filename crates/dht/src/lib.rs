//! OpenDHT-compatible distributed hash table node (docs/protocol/01-dht.md).

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::string_slice, clippy::as_conversions)
)]

mod api;
pub mod certificate_value;
pub mod engine;
pub mod hash;
pub mod message;
pub mod query;
pub mod secure;
pub mod value;
pub mod value_type;

pub use api::{ClientId, Command, Config, Event, Limits, OpError, OpId, Output, Status};
pub use engine::Dht;
pub use hash::infohash;
pub use query::{Field, Filter, Query};
pub use value::Value;
