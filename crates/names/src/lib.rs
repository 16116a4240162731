//! Names for Jami IDs (docs/protocol/03-nameserver.md).
//!
//! A name server holds pairs of a name and a Jami ID, with the account's signature over the
//! name. [`name`] says what a name is, [`record`] what the signature proves, and [`json`]
//! what goes over HTTP; these are shared by the client in the node and by the server, and do
//! no I/O.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::string_slice, clippy::as_conversions)
)]

pub mod json;
pub mod name;
pub mod record;

pub use json::{AnswerError, Found, RequestError};
pub use name::{LookupText, Name, NameError};
pub use record::{Owner, Proof, ProofError, Registration};
