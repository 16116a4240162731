//! The server as a client on the wire sees it.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod compat;
mod doctor;
mod events;
mod files;
mod hostile;
mod idempotency;
mod limits;
mod linking;
mod nearby;
mod paging;
mod restore;
mod session;
mod support;
mod tls;
mod tokens;
mod web;
mod webhooks;
