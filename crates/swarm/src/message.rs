//! What commits say: the JSON in their messages (docs/protocol/05-swarm.md sections 3.3 to
//! 3.5).

use std::fmt;

use baraza_wire::{AccountId, CommitId, ConversationId};
use serde_json::{Map, Value};

use crate::json;

/// The fields of a message as they were written.
pub type Fields = Map<String, Value>;

/// Longest message of a commit that is read or written, in bytes (section 12.3).
pub const MAX_MESSAGE: usize = 1 << 20;

/// What a conversation is for, decided by its first commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Two accounts.
    OneToOne,
    /// A group where, by name, only admins invite; nothing enforces that.
    AdminInvitesOnly,
    /// A group, the kind that is created.
    InvitesOnly,
    /// By name public; invitations are needed all the same.
    Public,
    /// A collaborative document (section 10).
    Document,
}

impl Mode {
    /// The number in the first commit.
    pub fn number(self) -> u8 {
        match self {
            Self::OneToOne => 0,
            Self::AdminInvitesOnly => 1,
            Self::InvitesOnly => 2,
            Self::Public => 3,
            Self::Document => 4,
        }
    }

    /// The mode of that number; `None` if there is no such mode.
    pub fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::OneToOne),
            1 => Some(Self::AdminInvitesOnly),
            2 => Some(Self::InvitesOnly),
            3 => Some(Self::Public),
            4 => Some(Self::Document),
            _ => None,
        }
    }
}

/// What happens to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MemberAction {
    /// Invited.
    Add,
    /// The invitee is a member now.
    Join,
    /// Left.
    Remove,
    /// Banned by a majority of the admins.
    Ban,
    /// No longer banned, by a majority of the admins.
    Unban,
}

impl MemberAction {
    /// The word in the message.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Join => "join",
            Self::Remove => "remove",
            Self::Ban => "ban",
            Self::Unban => "unban",
        }
    }

    /// The action of that word.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "add" => Some(Self::Add),
            "join" => Some(Self::Join),
            "remove" => Some(Self::Remove),
            "ban" => Some(Self::Ban),
            "unban" => Some(Self::Unban),
            _ => None,
        }
    }
}

impl fmt::Display for MemberAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A call in the history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// One-to-one: the account that was called.
    pub to: Option<String>,
    /// Milliseconds; absent while a conference goes on.
    pub duration_ms: Option<u64>,
    /// One-to-one: why there was no conversation, e.g. `declined`.
    pub reason: Option<String>,
    /// Group: the conference.
    pub conference: Option<String>,
    /// Group: the device that hosts it.
    pub device: Option<String>,
    /// Group: the account that hosts it.
    pub uri: Option<String>,
}

/// What one commit says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// The first commit.
    Initial {
        /// The kind of conversation.
        mode: Mode,
        /// The other one, in mode 0.
        invited: Option<AccountId>,
        /// Where a document was announced.
        parent: Option<ConversationId>,
        /// What kind of document it is.
        mime_type: Option<String>,
    },
    /// A text.
    Text {
        /// The text.
        body: String,
        /// What it answers.
        reply_to: Option<CommitId>,
    },
    /// An emoji at another message.
    Reaction {
        /// That message.
        to: CommitId,
        /// The emoji.
        body: String,
    },
    /// A new text for a message, never for an edit; an empty one deletes a text or a
    /// reaction.
    Edit {
        /// The original message.
        of: CommitId,
        /// The new text.
        body: String,
        /// As peers of 2023 write it: `application/edited-message`. Those of today read
        /// both, those of 2023 only this.
        old_style: bool,
    },
    /// A file was shared.
    File {
        /// Name to show.
        name: String,
        /// SHA3-512 of the content, hex.
        sha3sum: String,
        /// Number that makes the file's id unique.
        tid: String,
        /// Bytes.
        size: u64,
        /// What it answers.
        reply_to: Option<CommitId>,
    },
    /// A file is no longer shared.
    RemoveFile {
        /// The commit that shared it.
        of: CommitId,
    },
    /// A call took place, or a conference begins or ends.
    Call(Call),
    /// Something happened to a member.
    Member {
        /// What.
        action: MemberAction,
        /// The account, or for bans perhaps a device.
        uri: String,
    },
    /// An admin's vote on banning or unbanning.
    Vote {
        /// The account or device voted on.
        uri: String,
    },
    /// The profile of the conversation changed; how is in the tree.
    Profile,
    /// A collaborative document was announced.
    Document {
        /// Its repository.
        uri: String,
        /// Its name.
        name: String,
        /// Its kind.
        mime_type: String,
    },
    /// A document is no longer announced.
    RemoveDocument {
        /// The commit that announced it.
        of: CommitId,
    },
    /// Changes of a document.
    Checkpoint {
        /// Base64 updates separated by line feeds.
        body: String,
    },
    /// Two histories became one; not JSON.
    Merge,
    /// Any other type; clients show what they know.
    Other {
        /// The `type`.
        kind: String,
        /// All fields, `type` included.
        fields: Fields,
    },
}

/// Why the message of a commit cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Not a JSON object.
    #[error("the message is not a JSON object")]
    NotJson,
    /// There is no `type`, or it is empty.
    #[error("the message has no type")]
    NoType,
    /// A known field holds something else than it should.
    #[error("the field {0} of the message is malformed")]
    Field(&'static str),
    /// Too many bytes.
    #[error("a message of {0} bytes, at most {MAX_MESSAGE} are read")]
    TooLong(usize),
}

const TEXT: &str = "text/plain";
const EDITED: &str = "application/edited-message";
const FILE: &str = "application/data-transfer+json";
const CALL: &str = "application/call-history+json";
const PROFILE: &str = "application/update-profile";
const DOCUMENT: &str = "application/collab-doc+json";
const CHECKPOINT: &str = "application/checkpoint";
const INITIAL: &str = "initial";
const MEMBER: &str = "member";
const VOTE: &str = "vote";
/// What a two-parent commit is called.
const MERGE: &str = "merge";

/// Fields that hold strings wherever they occur (section 3.5).
const STRINGS: [&str; 18] = [
    "type",
    "body",
    "reply-to",
    "react-to",
    "edit",
    "action",
    "uri",
    "displayName",
    "sha3sum",
    "tid",
    "totalSize",
    "to",
    "duration",
    "reason",
    "confId",
    "device",
    "invited",
    "mimeType",
];

impl Message {
    /// A text.
    pub fn text(body: impl Into<String>) -> Self {
        Self::Text {
            body: body.into(),
            reply_to: None,
        }
    }

    /// The `type` of the message.
    pub fn kind(&self) -> &str {
        match self {
            Self::Initial { .. } => INITIAL,
            Self::Text { .. } | Self::Reaction { .. } => TEXT,
            Self::Edit { old_style, .. } => {
                if *old_style {
                    EDITED
                } else {
                    TEXT
                }
            }
            Self::File { .. } | Self::RemoveFile { .. } => FILE,
            Self::Call(_) => CALL,
            Self::Member { .. } => MEMBER,
            Self::Vote { .. } => VOTE,
            Self::Profile => PROFILE,
            Self::Document { .. } | Self::RemoveDocument { .. } => DOCUMENT,
            Self::Checkpoint { .. } => CHECKPOINT,
            Self::Merge => MERGE,
            Self::Other { kind, .. } => kind,
        }
    }

    /// The message this one changes or takes back.
    pub fn edits(&self) -> Option<CommitId> {
        match self {
            Self::Edit { of, .. } | Self::RemoveFile { of } | Self::RemoveDocument { of } => {
                Some(*of)
            }
            Self::Other { fields, .. } => text(fields, "edit")?.parse().ok(),
            _ => None,
        }
    }

    /// Reads the message of a commit that is no merge.
    ///
    /// # Errors
    /// If it is not a JSON object with a type, or a known field is of another type than
    /// it should be.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Fields), MessageError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(MessageError::TooLong(bytes.len()));
        }
        let fields: Fields = serde_json::from_slice(bytes).map_err(|_| MessageError::NotJson)?;
        let message = Self::from_fields(&fields)?;
        Ok((message, fields))
    }

    /// Understands the fields of a message.
    ///
    /// # Errors
    /// If there is no type, or a known field is malformed.
    pub fn from_fields(fields: &Fields) -> Result<Self, MessageError> {
        for name in STRINGS {
            if fields.get(name).is_some_and(|value| !value.is_string()) {
                return Err(MessageError::Field(name));
            }
        }
        let size = match text(fields, "totalSize") {
            Some(size) => size
                .parse::<i64>()
                .map_err(|_| MessageError::Field("totalSize"))?,
            None => 0,
        };
        let mode = match fields.get("mode") {
            Some(mode) => Some(mode.as_i64().ok_or(MessageError::Field("mode"))?),
            None => None,
        };
        let kind = text(fields, "type").unwrap_or_default();
        let string = |name| text(fields, name).unwrap_or_default().to_owned();
        let optional = |name| text(fields, name).map(str::to_owned);
        let commit = |name| text(fields, name).and_then(|id| id.parse::<CommitId>().ok());
        let edit = text(fields, "edit").filter(|id| !id.is_empty());
        let other = || Self::Other {
            kind: kind.to_owned(),
            fields: fields.clone(),
        };
        Ok(match kind {
            "" => return Err(MessageError::NoType),
            INITIAL => Self::Initial {
                mode: mode
                    .and_then(Mode::from_number)
                    .ok_or(MessageError::Field("mode"))?,
                invited: id(fields, "invited")?,
                parent: id(fields, "parent")?,
                mime_type: optional("mimeType"),
            },
            TEXT | EDITED if edit.is_some() => Self::Edit {
                of: commit("edit").ok_or(MessageError::Field("edit"))?,
                body: string("body"),
                old_style: kind == EDITED,
            },
            TEXT => match commit("react-to") {
                Some(to) => Self::Reaction {
                    to,
                    body: string("body"),
                },
                None => Self::Text {
                    body: string("body"),
                    reply_to: commit("reply-to"),
                },
            },
            FILE if edit.is_some() => Self::RemoveFile {
                of: commit("edit").ok_or(MessageError::Field("edit"))?,
            },
            FILE => Self::File {
                name: string("displayName"),
                sha3sum: string("sha3sum"),
                tid: string("tid"),
                size: u64::try_from(size).unwrap_or(0),
                reply_to: commit("reply-to"),
            },
            CALL => Self::Call(Call {
                to: optional("to"),
                duration_ms: text(fields, "duration").and_then(|text| text.parse().ok()),
                reason: optional("reason"),
                conference: optional("confId"),
                device: optional("device"),
                uri: optional("uri"),
            }),
            MEMBER => Self::Member {
                action: text(fields, "action")
                    .and_then(MemberAction::from_name)
                    .ok_or(MessageError::Field("action"))?,
                uri: string("uri"),
            },
            VOTE => Self::Vote { uri: string("uri") },
            PROFILE => Self::Profile,
            DOCUMENT if edit.is_some() => Self::RemoveDocument {
                of: commit("edit").ok_or(MessageError::Field("edit"))?,
            },
            DOCUMENT => Self::Document {
                uri: string("uri"),
                name: string("displayName"),
                mime_type: string("mimeType"),
            },
            CHECKPOINT => Self::Checkpoint {
                body: string("body"),
            },
            _ => other(),
        })
    }

    /// The fields of this message; none for a merge.
    pub fn to_fields(&self) -> Fields {
        let mut fields = Fields::new();
        if let Self::Other { fields: own, .. } = self {
            fields.clone_from(own);
        }
        let mut put = |name: &str, value: &str| {
            fields.insert(name.to_owned(), Value::from(value));
        };
        match self {
            Self::Merge => return fields,
            Self::Initial {
                invited,
                parent,
                mime_type,
                ..
            } => {
                invited.iter().for_each(|id| put("invited", &id.to_hex()));
                parent.iter().for_each(|id| put("parent", &id.to_hex()));
                mime_type.iter().for_each(|text| put("mimeType", text));
            }
            Self::Text { body, reply_to } => {
                put("body", body);
                reply_to.iter().for_each(|id| put("reply-to", &id.to_hex()));
            }
            Self::Reaction { to, body } => {
                put("body", body);
                put("react-to", &to.to_hex());
            }
            Self::Edit { of, body, .. } => {
                put("body", body);
                put("edit", &of.to_hex());
            }
            Self::File {
                name,
                sha3sum,
                tid,
                size,
                reply_to,
            } => {
                put("displayName", name);
                put("sha3sum", sha3sum);
                put("tid", tid);
                put("totalSize", &size.to_string());
                reply_to.iter().for_each(|id| put("reply-to", &id.to_hex()));
            }
            Self::RemoveFile { of } => {
                put("edit", &of.to_hex());
                put("tid", "");
            }
            Self::Call(call) => {
                call.to.iter().for_each(|text| put("to", text));
                let duration = call.duration_ms.map(|duration| duration.to_string());
                duration.iter().for_each(|text| put("duration", text));
                call.reason.iter().for_each(|text| put("reason", text));
                call.conference.iter().for_each(|text| put("confId", text));
                call.device.iter().for_each(|text| put("device", text));
                call.uri.iter().for_each(|text| put("uri", text));
            }
            Self::Member { action, uri } => {
                put("action", action.name());
                put("uri", uri);
            }
            Self::Vote { uri } => put("uri", uri),
            Self::Profile | Self::Other { .. } => {}
            Self::Document {
                uri,
                name,
                mime_type,
            } => {
                put("uri", uri);
                put("displayName", name);
                put("mimeType", mime_type);
            }
            Self::RemoveDocument { of } => put("edit", &of.to_hex()),
            Self::Checkpoint { body } => put("body", body),
        }
        put("type", self.kind());
        if let Self::Initial { mode, .. } = self {
            fields.insert("mode".to_owned(), Value::from(mode.number()));
        }
        fields
    }

    /// The message as existing peers would write it.
    pub fn to_json(&self) -> String {
        json::write_object(&self.to_fields())
    }
}

/// The string `name`.
pub(crate) fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

/// An id that must be one if it is there and not empty.
fn id<T: std::str::FromStr>(
    fields: &Fields,
    name: &'static str,
) -> Result<Option<T>, MessageError> {
    match text(fields, name) {
        None | Some("") => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| MessageError::Field(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Message {
        Message::parse(text.as_bytes()).unwrap().0
    }

    #[test]
    fn messages_of_real_peers_are_written_as_they_were() {
        let real = [
            r#"{"mode":2,"type":"initial"}"#,
            r#"{"invited":"20b3b6b4b5be27f37fd78f22b9a1f3daa9435dc8","mode":0,"type":"initial"}"#,
            r#"{"body":"h\u00e9llo \"quoted\" \\ \ud83d\ude00","type":"text/plain"}"#,
            r#"{"body":"hi","reply-to":"eff63ad78ecbc41c0ecfb412fb6514f8f01e83f5","type":"text/plain"}"#,
            r#"{"body":"\ud83d\udc4d","react-to":"cc16520e1fa5aecd278220c992ca354da41576c6","type":"text/plain"}"#,
            r#"{"body":"edited text","edit":"cc16520e1fa5aecd278220c992ca354da41576c6","type":"text/plain"}"#,
            r#"{"body":"","edit":"3529bbd558d7577c3af07ceeeffde5c7730886bb","type":"application/edited-message"}"#,
            r#"{"displayName":"file1.txt","sha3sum":"5c04","tid":"2700798550353453","totalSize":"5500","type":"application/data-transfer+json"}"#,
            r#"{"edit":"cc16520e1fa5aecd278220c992ca354da41576c6","tid":"","type":"application/data-transfer+json"}"#,
            r#"{"duration":"5499","to":"20b3b6b4b5be27f37fd78f22b9a1f3daa9435dc8","type":"application/call-history+json"}"#,
            r#"{"confId":"5062100723307525","device":"d0db","duration":"4250","type":"application/call-history+json","uri":"568d"}"#,
            r#"{"action":"add","type":"member","uri":"568d8137d99c646cd095953fcb9c6bf4d244c064"}"#,
            r#"{"type":"vote","uri":"568d8137d99c646cd095953fcb9c6bf4d244c064"}"#,
            r#"{"type":"application/update-profile"}"#,
            r#"{"a":1,"type":"x/unknown"}"#,
        ];
        for text in real {
            assert_eq!(read(text).to_json(), text);
        }
    }

    #[test]
    fn wrong_fields_are_refused() {
        let refused = [
            ("text", MessageError::NotJson),
            ("[]", MessageError::NotJson),
            (r#"{"body":"no type"}"#, MessageError::NoType),
            (r#"{"type":""}"#, MessageError::NoType),
            (r#"{"type":7}"#, MessageError::Field("type")),
            (
                r#"{"type":"text/plain","body":1}"#,
                MessageError::Field("body"),
            ),
            (
                r#"{"type":"initial","mode":"0"}"#,
                MessageError::Field("mode"),
            ),
            (
                r#"{"type":"initial","mode":5}"#,
                MessageError::Field("mode"),
            ),
            (
                r#"{"type":"member","action":"x"}"#,
                MessageError::Field("action"),
            ),
            (
                r#"{"type":"text/plain","edit":"x"}"#,
                MessageError::Field("edit"),
            ),
            (
                r#"{"type":"application/data-transfer+json","totalSize":"much"}"#,
                MessageError::Field("totalSize"),
            ),
        ];
        for (text, error) in refused {
            assert_eq!(Message::parse(text.as_bytes()), Err(error), "{text}");
        }
        let long = vec![b' '; MAX_MESSAGE + 1];
        assert_eq!(
            Message::parse(&long),
            Err(MessageError::TooLong(MAX_MESSAGE + 1))
        );
    }

    #[test]
    fn an_edit_is_found_in_any_type() {
        let id = "cc16520e1fa5aecd278220c992ca354da41576c6";
        for kind in ["text/plain", "x/y", "application/collab-doc+json"] {
            let text = format!(r#"{{"type":"{kind}","edit":"{id}"}}"#);
            assert_eq!(read(&text).edits(), Some(id.parse().unwrap()), "{kind}");
        }
        assert_eq!(read(r#"{"type":"text/plain","edit":""}"#).edits(), None);
    }
}
