//! The client against a server on the loopback interface.

#![expect(clippy::unwrap_used, reason = "tests")]

mod client;
