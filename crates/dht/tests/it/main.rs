//! Tests of whole nodes.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod driver;
mod hostile;
mod net;
mod network;
