//! Accounts on a network of strings and cans: no sockets, no clock, the real rest.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod backup;
mod bridge;
mod bundle;
mod chat;
mod devices;
mod divergence;
mod doctor;
mod faults;
mod files;
mod groups;
mod import_jami;
mod intake;
mod linking;
mod names;
mod names_node;
mod node;
mod odd;
mod presence;
mod profiles;
mod relay;
mod requests;
mod restore;
mod safety;
mod signs;
mod views;
mod votes;
mod world;
