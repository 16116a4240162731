//! The programs as people and scripts use them.

#![expect(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod api;
mod bots;
mod chat;
mod commands;
mod coverage;
mod doctor;
mod fields;
mod jami_peer;
mod keep;
mod linking;
mod manual;
mod names;
mod node;
mod relay;
mod restoring;
mod running;
mod support;
mod tui;
mod verify;
