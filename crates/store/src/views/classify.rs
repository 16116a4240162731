//! What a commit is for the history: something to show, or a change to something else.

use std::collections::BTreeMap;

use baraza_wire::CommitId;

use crate::messages::MessageRow;

/// What an entry of the history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A text.
    Text,
    /// A file.
    File,
    /// A file with a picture, sound or film, by its name.
    Media,
    /// A call.
    Call,
    /// Somebody was invited, came, left or was banned.
    Member,
    /// A vote on that.
    Vote,
    /// The profile changed.
    Profile,
    /// The first commit.
    Initial,
    /// Anything else.
    Other,
}

impl Class {
    /// The last number of those that count as unread.
    pub(crate) const LAST_COUNTED: i64 = 4;

    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Text => 1,
            Self::File => 2,
            Self::Media => 3,
            Self::Call => 4,
            Self::Member => 5,
            Self::Vote => 6,
            Self::Profile => 7,
            Self::Initial => 8,
            Self::Other => 9,
        }
    }

    pub(crate) const fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Text,
            2 => Self::File,
            3 => Self::Media,
            4 => Self::Call,
            5 => Self::Member,
            6 => Self::Vote,
            7 => Self::Profile,
            8 => Self::Initial,
            _ => Self::Other,
        }
    }

    /// Whether it counts as unread until it is read.
    pub(crate) const fn counts(self) -> bool {
        self.number() <= Self::LAST_COUNTED
    }

    /// Whether its author may give it another wording, or take it back.
    pub(crate) const fn is_editable(self) -> bool {
        matches!(self, Self::Text | Self::File | Self::Media | Self::Other)
    }

    /// Whether it is found by its text.
    pub(crate) const fn is_searched(self) -> bool {
        matches!(self, Self::Text | Self::File | Self::Media)
    }
}

/// What a commit does to the history.
pub(crate) enum Part {
    /// Nothing.
    Merge,
    /// It is shown, and found by this text.
    Entry(Class, String),
    /// Another wording; empty to take back.
    Edit { target: CommitId, text: String },
    /// An emoji at another one.
    Reaction { target: CommitId, emoji: String },
}

/// Ends of the names of files that are looked at or listened to.
const MEDIA: [&str; 30] = [
    "aac", "avi", "avif", "bmp", "flac", "gif", "heic", "heif", "jpeg", "jpg", "jxl", "m4a", "m4v",
    "mid", "mkv", "mov", "mp3", "mp4", "mpeg", "mpg", "oga", "ogg", "ogv", "opus", "png", "svg",
    "tiff", "wav", "webm", "webp",
];

/// What a message is.
pub(crate) fn part(row: &MessageRow) -> Part {
    let mut fields: BTreeMap<String, String> =
        serde_json::from_str(&row.fields).unwrap_or_default();
    let id = |fields: &BTreeMap<String, String>, key: &str| -> Option<CommitId> {
        fields.get(key)?.parse().ok()
    };
    if row.kind == "merge" {
        return Part::Merge;
    }
    let edit = id(&fields, "edit");
    let mut take = |key: &str| fields.remove(key).unwrap_or_default();
    match (row.kind.as_str(), edit) {
        (_, Some(target)) => Part::Edit {
            target,
            text: take("body"),
        },
        // Of something that has no such id.
        ("application/edited-message", None) => Part::Merge,
        ("text/plain", None) => match take("react-to") {
            none if none.is_empty() => Part::Entry(Class::Text, take("body")),
            target => match target.parse() {
                Ok(target) => Part::Reaction {
                    target,
                    emoji: take("body"),
                },
                Err(_not_an_id) => Part::Merge,
            },
        },
        ("application/data-transfer+json", None) => {
            let name = take("displayName");
            let end = name
                .rsplit_once('.')
                .map(|(_, end)| end.to_ascii_lowercase());
            let media = end.is_some_and(|end| MEDIA.binary_search(&end.as_str()).is_ok());
            let class = if media { Class::Media } else { Class::File };
            Part::Entry(class, name)
        }
        (kind, None) => {
            let class = match kind {
                "application/call-history+json" => Class::Call,
                "member" => Class::Member,
                "vote" => Class::Vote,
                "application/update-profile" => Class::Profile,
                "initial" => Class::Initial,
                _ => Class::Other,
            };
            Part::Entry(class, String::new())
        }
    }
}

/// The text by which an entry is found, which an edit of it has: a text or a file's name.
pub fn text_of(row: &MessageRow) -> String {
    match part(row) {
        Part::Entry(_, text) | Part::Edit { text, .. } => text,
        Part::Merge | Part::Reaction { .. } => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_names_are_in_order_to_be_searched() {
        assert!(MEDIA.is_sorted());
        for number in 1..=9 {
            assert_eq!(Class::from_number(number).number(), number);
        }
    }
}
