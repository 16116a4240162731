//! The model of the network itself.

#![expect(clippy::unwrap_used, reason = "tests")]

mod datagrams;
mod probe;
mod tcp;
