//! Byte channels between devices: offers, ICE over TCP, TLS 1.3, multiplexing

pub mod mux;
mod peer;
pub mod tls;

pub use peer::Peer;
