//! What a name is: what may be registered, and what may be asked for
//! (docs/protocol/03-nameserver.md section 2).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Fewest characters of a name that can be registered.
pub const MIN_LEN: usize = 3;
/// Most characters of a name that can be registered.
pub const MAX_LEN: usize = 32;
/// Most bytes of a text that is looked up: servers of organisations have other rules.
pub const MAX_LOOKUP_LEN: usize = 255;

/// Which rule a text breaks, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing at all.
    #[error("a name is empty")]
    Empty,
    /// Fewer than [`MIN_LEN`] characters.
    #[error("a name has at least {MIN_LEN} characters, this has {len}")]
    TooShort {
        /// How many it has.
        len: usize,
    },
    /// More than there may be.
    #[error("a name has at most {most} characters, this has {len}")]
    TooLong {
        /// How many it has.
        len: usize,
        /// How many there may be.
        most: usize,
    },
    /// A capital letter, where names are wanted as they are stored.
    #[error("names are written in lower case, this has the capital letter {0:?}")]
    Capital(char),
    /// A character that cannot be seen, or turns the direction of the text around it.
    #[error("a name has no invisible characters, this has U+{:04X}", u32::from(*.0))]
    Invisible(char),
    /// A space, tab, line end or another control character.
    #[error("a name has no spaces or control characters, this has U+{:04X}", u32::from(*.0))]
    Space(char),
    /// Another character that names do not have.
    #[error(
        "a name has only the letters a to z, digits, - and _, this has {0:?} (U+{code:04X})",
        code = u32::from(*.0)
    )]
    Character(char),
    /// A character that has a meaning in addresses.
    #[error("a name has no {0:?}")]
    Separator(char),
}

/// A name as it is registered: 3 to 32 of `a-z`, `0-9`, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// A name that is written exactly as it is stored.
    ///
    /// # Errors
    /// Which rule it breaks; capital letters do, too.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        for character in text.chars() {
            match character {
                'a'..='z' | '0'..='9' | '-' | '_' => {}
                'A'..='Z' => return Err(NameError::Capital(character)),
                other => return Err(refuse(other).unwrap_or(NameError::Character(other))),
            }
        }
        // All ASCII now: bytes are characters.
        match text.len() {
            len if len < MIN_LEN => Err(NameError::TooShort { len }),
            len if len > MAX_LEN => Err(NameError::TooLong { len, most: MAX_LEN }),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// A name as somebody types it: capital letters are made small.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn from_typed(text: &str) -> Result<Self, NameError> {
        Self::new(&text.to_ascii_lowercase())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A text that may be looked up: any characters that can be seen, in one word.
///
/// Wider than [`Name`], as servers of organisations have names of their own kind. Pure ASCII
/// is lower-cased, everything else is asked as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupText(String);

impl LookupText {
    /// Takes what somebody typed.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_LOOKUP_LEN {
            return Err(NameError::TooLong {
                len: text.chars().count(),
                most: MAX_LOOKUP_LEN,
            });
        }
        if let Some(error) = text.chars().find_map(refuse) {
            return Err(error);
        }
        Ok(Self(fold(text)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as a part of a path: all but letters, digits, `-`, `_`, `.` and `~` is
    /// percent-encoded. `.` and `..`, which mean something else in paths, are, too.
    pub fn path_segment(&self) -> String {
        use fmt::Write as _;
        let dots = self.0.bytes().all(|byte| byte == b'.');
        let mut out = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            match byte {
                b'.' if dots => out.push_str("%2E"),
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    out.push(char::from(byte));
                }
                other => {
                    // Writing into a string does not fail.
                    let _infallible = write!(out, "%{other:02X}");
                }
            }
        }
        out
    }

    /// Whether `answered`, a name a server gave, is this one.
    pub fn is(&self, answered: &str) -> bool {
        self.0 == fold(answered)
    }
}

impl fmt::Display for LookupText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Name> for LookupText {
    fn from(name: Name) -> Self {
        Self(name.0)
    }
}

/// Lower case, if it is ASCII alone.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.to_owned()
    }
}

/// Why no text with this character is looked up.
fn refuse(character: char) -> Option<NameError> {
    match character {
        '/' | '@' | '\\' | '?' | '#' | '%' => Some(NameError::Separator(character)),
        invisible if is_invisible(invisible) => Some(NameError::Invisible(invisible)),
        space if space.is_whitespace() || space.is_control() => Some(NameError::Space(space)),
        _ => None,
    }
}

/// Characters that programs do not draw, or that change the order of others: Unicode's
/// `Default_Ignorable_Code_Point`, with the interlinear marks.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_as_they_are_registered() {
        for good in ["abc", "bob-test_1", "---", "___", "0x0", &"a".repeat(32)] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        assert_eq!(Name::from_typed("AliceTest").unwrap().as_str(), "alicetest");
        let refused = [
            ("", "a name is empty"),
            ("ab", "a name has at least 3 characters, this has 2"),
            (
                "Bob",
                "names are written in lower case, this has the capital letter 'B'",
            ),
            (
                "no.such",
                "a name has only the letters a to z, digits, - and _, this has '.' (U+002E)",
            ),
            (
                "p\u{430}ul",
                "a name has only the letters a to z, digits, - and _, this has 'а' (U+0430)",
            ),
            (
                "bob\u{200b}",
                "a name has no invisible characters, this has U+200B",
            ),
            (
                "\u{202e}bob",
                "a name has no invisible characters, this has U+202E",
            ),
            (
                "bo b",
                "a name has no spaces or control characters, this has U+0020",
            ),
            (
                "bob\n",
                "a name has no spaces or control characters, this has U+000A",
            ),
            (
                "bob\0",
                "a name has no spaces or control characters, this has U+0000",
            ),
            (
                "../etc",
                "a name has only the letters a to z, digits, - and _, this has '.' (U+002E)",
            ),
            ("a/b", "a name has no '/'"),
            ("bob@example.com", "a name has no '@'"),
        ];
        for (text, message) in refused {
            assert_eq!(
                Name::new(text).unwrap_err().to_string(),
                message,
                "{text:?}"
            );
        }
        assert_eq!(
            Name::new(&"a".repeat(33)).unwrap_err().to_string(),
            "a name has at most 32 characters, this has 33"
        );
        // What is no ASCII is not folded into it: the Kelvin sign stays what it is.
        assert!(Name::from_typed("\u{212a}arl").is_err());
    }

    #[test]
    fn texts_to_look_up() {
        assert_eq!(
            LookupText::new("BOB-Test_1").unwrap().as_str(),
            "bob-test_1"
        );
        let mixed = LookupText::new("Ärger").unwrap();
        assert_eq!(mixed.as_str(), "Ärger");
        assert_eq!(mixed.path_segment(), "%C3%84rger");
        assert_eq!(LookupText::new("..").unwrap().path_segment(), "%2E%2E");
        assert_eq!(
            LookupText::new("no.such").unwrap().path_segment(),
            "no.such"
        );
        assert!(LookupText::new("bob").unwrap().is("Bob"));
        assert!(!LookupText::new("bob").unwrap().is("b\u{43e}b"));
        for bad in [
            "",
            "a b",
            "a/b",
            "a@b",
            "a\u{200d}b",
            "a\u{2066}b",
            "a\u{0}",
            "a\u{a0}b",
            "a%2f",
        ] {
            assert!(LookupText::new(bad).is_err(), "{bad:?}");
        }
        assert!(LookupText::new(&"a".repeat(256)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in ".{0,40}") {
            if let Ok(name) = Name::new(&text) {
                prop_assert_eq!(name.as_str(), &text);
                prop_assert!(LookupText::new(&text).unwrap().is(&text));
                prop_assert_eq!(LookupText::new(&text).unwrap().path_segment(), text);
            } else if let Ok(lookup) = LookupText::new(&text) {
                let bytes = lookup.path_segment().into_bytes();
                prop_assert!(bytes.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'/'));
            }
        }

        #[test]
        fn the_rule_is_the_pattern(text in "[a-z0-9_-]{3,32}") {
            prop_assert!(Name::new(&text).is_ok());
        }
    }
}
