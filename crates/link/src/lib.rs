//! Byte channels between devices: offers, ICE over TCP, TLS 1.3, multiplexing
//! (docs/protocol/04-connection.md).

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::string_slice, clippy::as_conversions)
)]

mod api;
pub mod driver;
mod engine;
pub mod framing;
pub mod ice;
pub mod mux;
pub mod offer;
mod peer;
pub mod stun;
#[cfg(test)]
mod testing;
pub mod tls;

pub use api::{
    ChannelId, Command, ConnId, DownReason, Event, FailReason, ListenerId, MAX_NAME, Output,
    TcpCommand, TcpEvent,
};
pub use engine::{Config, Links};
pub use mux::WRITE_WINDOW;
pub use peer::Peer;
