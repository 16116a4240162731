//! Names for Jami IDs (docs/protocol/03-nameserver.md).
//!
//! A name server holds pairs of a name and a Jami ID, with the account's signature over the
//! name. [`name`] says what a name is, [`record`] what the signature proves, and [`json`]
//! what goes over HTTP; these are shared by the client in the node and by the server, and do
//! no I/O. [`client`] asks servers.
//!
//! With the feature `server` there is the server: the log of all that happened ([`audit`]),
//! the directory in a database ([`store`]), and HTTP in front of it.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::string_slice, clippy::as_conversions)
)]

#[cfg(feature = "server")]
pub mod audit;
pub mod client;
#[cfg(feature = "server")]
pub mod confusable;
#[cfg(feature = "server")]
pub mod directory;
#[cfg(feature = "server")]
pub mod dump;
pub mod json;
pub mod name;
pub mod record;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "test-util")]
pub mod testing;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "server")]
pub mod transfer;
#[cfg(feature = "server")]
pub mod verify;

pub use json::{AnswerError, Found, RequestError};
pub use name::{LookupText, Name, NameError};
pub use record::{Owner, Proof, ProofError, Registration};
