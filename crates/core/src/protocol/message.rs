//! What messages between devices say, whatever way they take: a MIME type and a text
//! (docs/protocol/06-messages-files.md sections 1.4 and 2 to 4).

mod invite;
mod json;
#[cfg(test)]
mod tests;
mod xml;

use baraza_wire::{CommitId, ConversationId, DeviceId};
use thiserror::Error;

pub use invite::{Invite, MAX_METADATA, MAX_METADATA_VALUE};

/// Longest text of a message. The longest in use are invitations with an avatar.
pub const MAX_BODY: usize = 256 * 1024;
/// Longest MIME type, parameters included.
pub const MAX_MIME: usize = 256;

const ASK_INVITE: &str = "application/invite";
const COMMIT: &str = "application/im-gitmessage-id";
const COMPOSING: &str = "application/im-iscomposing+xml";
const DISPLAYED: &str = "message/imdn+xml";
const INVITE: &str = "application/invite+json";

/// A message that the program understands, or any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The sender heard of a conversation it has no invitation to.
    AskInvite(ConversationId),
    /// There is a new commit.
    Commit(CommitNotice),
    /// Somebody types, or stopped to.
    Composing(Composing),
    /// Somebody read up to a message.
    Displayed(Displayed),
    /// An invitation to a conversation.
    Invite(Invite),
    /// Anything else, for the client.
    Other {
        /// MIME type.
        mime: String,
        /// Text.
        body: String,
    },
}

/// A new commit in a conversation, to be fetched from a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitNotice {
    /// The conversation.
    pub conversation: ConversationId,
    /// The commit.
    pub commit: CommitId,
    /// The device to fetch from, not necessarily that of the author.
    pub device: DeviceId,
}

/// Whether the sender is typing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composing {
    /// Where.
    pub conversation: ConversationId,
    /// Typing, or not any more.
    pub active: bool,
}

/// A read receipt: the sender read this message and those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Displayed {
    /// Where.
    pub conversation: ConversationId,
    /// Which.
    pub message: CommitId,
}

/// Why a message is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Not what its MIME type promises.
    #[error("{0} message is malformed")]
    Malformed(&'static str),
    /// Longer than [`MAX_BODY`], or with a MIME type longer than [`MAX_MIME`].
    #[error("message is too long")]
    TooLong,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    /// If it is to be dropped.
    pub fn parse(mime: &str, body: &str) -> Result<Self, MessageError> {
        if body.len() > MAX_BODY || mime.len() > MAX_MIME {
            return Err(MessageError::TooLong);
        }
        Ok(match mime {
            ASK_INVITE => Self::AskInvite(
                body.trim()
                    .parse()
                    .map_err(|_| MessageError::Malformed(ASK_INVITE))?,
            ),
            COMMIT => {
                Self::Commit(json::parse_commit(body).ok_or(MessageError::Malformed(COMMIT))?)
            }
            COMPOSING => Self::Composing(
                xml::parse_composing(body).ok_or(MessageError::Malformed(COMPOSING))?,
            ),
            DISPLAYED => Self::Displayed(
                xml::parse_displayed(body).ok_or(MessageError::Malformed(DISPLAYED))?,
            ),
            INVITE => Self::Invite(Invite::parse(body).ok_or(MessageError::Malformed(INVITE))?),
            _ => Self::Other {
                mime: mime.to_owned(),
                body: body.to_owned(),
            },
        })
    }

    /// MIME type to send it with.
    pub fn mime(&self) -> &str {
        match self {
            Self::AskInvite(_) => ASK_INVITE,
            Self::Commit(_) => COMMIT,
            Self::Composing(_) => COMPOSING,
            Self::Displayed(_) => DISPLAYED,
            Self::Invite(_) => INVITE,
            Self::Other { mime, .. } => mime,
        }
    }

    /// Text to send.
    pub fn body(&self) -> String {
        match self {
            Self::AskInvite(conversation) => conversation.to_hex(),
            Self::Commit(notice) => json::write_commit(notice),
            Self::Composing(composing) => xml::write_composing(composing),
            Self::Displayed(displayed) => xml::write_displayed(displayed),
            Self::Invite(invite) => invite.write(),
            Self::Other { body, .. } => body.clone(),
        }
    }

    /// Whether it only counts now: sent to open channels, never kept for later.
    pub fn is_ephemeral(&self) -> bool {
        matches!(self, Self::Composing(_) | Self::Displayed(_))
    }
}
