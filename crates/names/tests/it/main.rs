//! The client, against a server on the loopback interface; and the server over HTTP, as its
//! clients see it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests say what is wrong")]

mod bad_input;
mod client;
mod crowd;
mod limits;
mod routes;
mod support;
mod tls;
mod transfer;
