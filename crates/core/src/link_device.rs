//! Linking a new device to an account over a connection between the two
//! (docs/protocol/02-account.md section 10.2): the new device shows a token, the device that
//! has the account is given it, connects, and sends the archive.
//!
//! [`NewDevice`] and [`Source`] are the two sides, as machines: they know neither network nor
//! clock. Whoever runs them opens and closes the channel, does what [`Action`] says, and
//! shows [`LinkStatus`] to the user.

mod message;
mod new_device;
mod source;
mod status;
mod token;
mod wire;

use std::time::Duration;

use baraza_identity::{Archive, Password};
use bytes::Bytes;

pub use message::{AuthMessage, MAX_MESSAGE};
pub use new_device::NewDevice;
pub use source::{ArchiveAnswer, Source};
pub use status::{LinkError, LinkState, LinkStatus};
pub use token::{LinkToken, TokenError};

/// How long the two sides may take from the opening of the channel on.
pub const LINK_TIMEOUT: Duration = Duration::from_secs(300);
/// How often a password may be tried.
pub const MAX_TRIES: u32 = 3;

/// What a machine wants done.
#[derive(Debug)]
pub enum Action {
    /// Write to the channel.
    Write(Bytes),
    /// Close the channel, after what was written.
    Close,
    /// Source: open the archive on disk with this password, off the async threads, and tell
    /// [`Source::archive`].
    OpenArchive(Password),
    /// New device: become a device of this account, whose archive gets this password, and
    /// tell [`NewDevice::added`].
    Take(Box<Archive>, Option<Password>),
    /// The status changed.
    Told,
}

#[cfg(test)]
mod tests;
