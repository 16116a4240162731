//! Tests of the crate's public surface.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

mod conversation;
mod gitwire;
