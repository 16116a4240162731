//! Links and their parts from outside.

#![expect(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod gnutls;
mod links;
mod local;
mod sockets;
mod world;
