//! Instant messages as SIP MESSAGE requests, the way 2023 peers send them over a channel
//! named `sip` (docs/protocol/06-messages-files.md section 1.1).
//!
//! This is the subset of SIP that messages need. [`SipSession`] is one channel;
//! [`SipDecoder`] and [`SipMessage`] are also of use for calls.

mod date;
mod decoder;
mod message;
mod session;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub use decoder::SipDecoder;
pub use message::{SipMessage, Start};
pub use session::{Addresses, MAX_PENDING, SipEvent, SipSession};

/// Name of the channel.
pub const CHANNEL: &str = "sip";
/// Longest start line with headers, the empty line included.
pub const MAX_HEAD: usize = 16 * 1024;
/// Longest body.
pub const MAX_BODY: usize = 1024 * 1024;

/// Why a channel cannot go on, or a message cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SipError {
    /// Longer than [`MAX_HEAD`] or [`MAX_BODY`].
    #[error("SIP message is too long")]
    TooLong,
    /// Too many messages wait for their answer.
    #[error("more than {MAX_PENDING} SIP messages without an answer")]
    Busy,
    /// A MIME type that would not be one header line.
    #[error("MIME type cannot be sent")]
    Mime,
    /// Not SIP.
    #[error("malformed SIP message: {0}")]
    Malformed(&'static str),
}
