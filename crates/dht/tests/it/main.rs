//! Tests of whole nodes.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod driver;
mod hostile;
mod interop;
mod net;
mod network;
