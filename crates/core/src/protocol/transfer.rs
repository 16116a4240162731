//! Names of file channels (docs/protocol/06-messages-files.md sections 7 and 8).

use std::fmt;

use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId};

/// What all of them begin with.
const SCHEME: &str = "data-transfer://";
/// Longest extension that is part of a file's id, in bytes.
const MAX_EXTENSION: usize = 7;
/// Longest `tid`, in digits: those of a 64-bit number.
const MAX_TID: usize = 20;
/// Hex digits of a SHA3-512.
const SHA3_DIGITS: usize = 128;

/// What a file channel is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferName {
    /// The opener wants a file.
    File(FileRequest),
    /// The opener sends its profile to a member of a conversation.
    PushedProfile {
        /// The conversation.
        conversation: ConversationId,
        /// The opener's device, as it says.
        device: DeviceId,
        /// What it says of the profile.
        version: Version,
    },
    /// The opener sends its profile to another device of its account.
    OwnProfile {
        /// What it says of the profile.
        version: Version,
    },
    /// The opener wants a profile.
    PulledProfile {
        /// The conversation.
        conversation: ConversationId,
        /// Whose.
        uri: AccountId,
    },
}

/// A wish for a file, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRequest {
    /// The conversation.
    pub conversation: ConversationId,
    /// The opener's device, as it says.
    pub device: DeviceId,
    /// The message that offered it.
    pub message: CommitId,
    /// The file's whole id.
    pub file_id: String,
    /// The first byte.
    pub start: u64,
    /// The byte after the last one, if it is above `start`; else the end of the file.
    pub end: u64,
}

/// What a name says of the profile that follows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Version {
    /// Its SHA3-512, in lower hex.
    pub sha3: Option<String>,
    /// When it was changed, in seconds since 1970; 0 if that is not known.
    pub modified: u64,
}

impl TransferName {
    /// Reads the name of a channel; `None` if it is none of these.
    pub fn parse(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(SCHEME)?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if path == "profile.vcf" {
            let version = Version::parse(query)?;
            return Some(Self::OwnProfile { version });
        }
        let mut parts = path.split('/');
        let (conversation, second, last) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let conversation = conversation.parse().ok()?;
        if second == "profile" {
            let uri = last.strip_suffix(".vcf")?.parse().ok()?;
            return Some(Self::PulledProfile { conversation, uri });
        }
        let device = second.parse().ok()?;
        if last == "profile.vcf" {
            return Some(Self::PushedProfile {
                conversation,
                device,
                version: Version::parse(query)?,
            });
        }
        let (message, _) = last.split_once('_')?;
        let (mut start, mut end) = (0, 0);
        for (key, value) in pairs(query) {
            match key {
                "start" => start = number(value)?,
                "end" => end = number(value)?,
                _ => {}
            }
        }
        Some(Self::File(FileRequest {
            conversation,
            device,
            message: message.parse().ok()?,
            file_id: last.to_owned(),
            start,
            end,
        }))
    }
}

impl fmt::Display for TransferName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        match self {
            Self::File(wish) => {
                write!(f, "{}/{}/{}", wish.conversation, wish.device, wish.file_id)?;
                match (wish.start, wish.end) {
                    (0, 0) => Ok(()),
                    (start, end) => write!(f, "?start={start}&end={end}"),
                }
            }
            Self::PushedProfile {
                conversation,
                device,
                version,
            } => write!(f, "{conversation}/{device}/profile.vcf{version}"),
            Self::OwnProfile { version } => write!(f, "profile.vcf{version}"),
            Self::PulledProfile { conversation, uri } => {
                write!(f, "{conversation}/profile/{uri}.vcf")
            }
        }
    }
}

impl Version {
    fn parse(query: &str) -> Option<Self> {
        let mut version = Self::default();
        for (key, value) in pairs(query) {
            match key {
                "sha3" => version.sha3 = Some(is_sha3(value).then(|| value.to_owned())?),
                "modified" => version.modified = number(value)?,
                _ => {}
            }
        }
        Some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.sha3, self.modified) {
            (None, 0) => Ok(()),
            (None, modified) => write!(f, "?modified={modified}"),
            (Some(sha3), 0) => write!(f, "?sha3={sha3}"),
            (Some(sha3), modified) => write!(f, "?sha3={sha3}&modified={modified}"),
        }
    }
}

/// The id of a file that a message offers.
pub fn file_id(message: &CommitId, tid: &str, name: &str) -> String {
    match extension(name) {
        "" => format!("{message}_{tid}"),
        extension => format!("{message}_{tid}.{extension}"),
    }
}

/// The part of a name that becomes part of the file's id.
fn extension(name: &str) -> &str {
    let (_, extension) = name.rsplit_once('.').unwrap_or_default();
    if extension.len() > MAX_EXTENSION {
        ""
    } else {
        extension
    }
}

/// Whether a text is the SHA3-512 of something as it is written in messages.
pub fn is_sha3(text: &str) -> bool {
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == SHA3_DIGITS && text.bytes().all(lower_hex)
}

/// Whether a text is the `tid` of a file as peers write it: a number above 0.
pub fn is_tid(text: &str) -> bool {
    (1..=MAX_TID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A name to show for a file, made of what somebody calls it: the last component of a path,
/// on one line, not too long, and such that its id can be part of a channel's name.
pub fn display_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut clean = String::new();
    // Keeps the end, which says what kind of file it is.
    for char in last.chars().rev() {
        let char = match char {
            // These have a meaning in the name of a channel.
            '?' | '#' | '&' => '_',
            char if char.is_control() => continue,
            char => char,
        };
        if clean.len().saturating_add(char.len_utf8()) > MAX_DISPLAY_NAME {
            break;
        }
        clean.push(char);
    }
    let clean: String = clean.chars().rev().collect();
    let clean = clean.trim();
    match clean {
        "" | "." | ".." => "file".to_owned(),
        _ => clean.to_owned(),
    }
}

/// Longest name of a file that is sent, in bytes: file systems take no longer ones.
const MAX_DISPLAY_NAME: usize = 255;

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter_map(|pair| pair.split_once('='))
}

fn number(text: &str) -> Option<u64> {
    // `parse` would take a plus sign.
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(())?;
    text.parse().ok()
}

#[cfg(test)]
mod tests;
