//! The programs as people and scripts use them.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod commands;
mod support;
mod verify;
