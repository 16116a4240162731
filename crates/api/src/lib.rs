//! HTTP and WebSocket API of the personal node, on loopback.
//!
//! [`ApiServer`] serves a [`baraza_core::Node`] as described in `docs/openapi.json`; who can
//! read the token in the data directory may use it ([`auth`], [`guard`]). The routes under
//! `/api/v1` are ours; the paths beside them are left for the API that existing bots use
//! (docs/protocol/08-local-api.md). What the JSON holds is in [`types`], for clients too.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::string_slice, clippy::as_conversions)
)]

pub mod access;
pub mod auth;
pub mod body;
mod compat;
pub mod error;
mod follow;
pub mod guard;
pub mod idempotency;
pub mod monitor;
pub mod openapi;
mod paging;
mod routes;
mod server;
pub mod types;
mod web;
mod webhooks;

pub use baraza_names::tls::TlsFiles;
pub use server::{
    ADDRESS_FILE, ApiAddress, ApiConfig, ApiServeError, ApiServer, Elsewhere, app_link,
};
pub use webhooks::Patience;
