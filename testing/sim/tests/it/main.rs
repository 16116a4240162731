//! The model of the network itself.

#![expect(clippy::unwrap_used, reason = "tests")]

mod cluster;
mod datagrams;
mod probe;
mod tcp;
