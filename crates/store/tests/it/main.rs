//! The database as its users see it.

#![expect(clippy::unwrap_used, reason = "tests")]

mod api;
mod durability;
mod names;
mod rows;
mod views;
