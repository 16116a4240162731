//! Names that look like others.
//!
//! Names that can be registered are ASCII, which leaves few of the confusables of Unicode
//! (UTS #39): those among small letters, digits, `-` and `_`. Two names are confusable if
//! their *skeletons* are equal. A skeleton is made character by character, so that the one of
//! a laxer rule can be made of the one of a stricter rule: the directory keeps the widest,
//! and looks closer at the few names that share it.

use std::fmt;
use std::str::FromStr;

/// Which names are too alike to belong to different people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Likeness {
    /// None: names differ if their characters do.
    Off,
    /// What UTS #39 says of ASCII in lower case: `0` and `o`, `1` and `l`, `m` and `rn`.
    #[default]
    Ascii,
    /// Also what is alike in many fonts: `w` and `vv`, `d` and `cl`, `i` and `l`, `5` and
    /// `s`, `2` and `z`, `_` and `-`. Refuses many honest names.
    Wide,
}

impl Likeness {
    /// What names that look like `name` have in common.
    pub fn skeleton(self, name: &str) -> String {
        let mut out = String::with_capacity(name.len().saturating_mul(2));
        for character in name.chars() {
            match (self, character) {
                (Self::Off, other) => out.push(other),
                (_, '0') => out.push('o'),
                (_, '1') => out.push('l'),
                (_, 'm') => out.push_str("rn"),
                (Self::Wide, 'w') => out.push_str("vv"),
                (Self::Wide, 'd') => out.push_str("cl"),
                (Self::Wide, 'i') => out.push('l'),
                (Self::Wide, '5') => out.push('s'),
                (Self::Wide, '2') => out.push('z'),
                (Self::Wide, '_') => out.push('-'),
                (_, other) => out.push(other),
            }
        }
        out
    }

    /// Whether two names look the same.
    pub fn alike(self, a: &str, b: &str) -> bool {
        self.skeleton(a) == self.skeleton(b)
    }
}

impl fmt::Display for Likeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Ascii => "ascii",
            Self::Wide => "wide",
        })
    }
}

impl FromStr for Likeness {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "ascii" => Ok(Self::Ascii),
            "wide" => Ok(Self::Wide),
            other => Err(format!("{other:?} is none of off, ascii and wide")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_looks_the_same() {
        let ascii = Likeness::Ascii;
        assert!(ascii.alike("paypal", "paypa1"));
        assert!(ascii.alike("google", "g00gle"));
        assert!(ascii.alike("modern", "modem"));
        assert!(!ascii.alike("alice", "a1ice2"));
        assert!(!ascii.alike("anna-b", "anna_b"));
        assert!(Likeness::Wide.alike("anna-b", "anna_b"));
        assert!(Likeness::Wide.alike("wi1d", "vvllcl"));
        assert!(!Likeness::Off.alike("google", "g00gle"));
    }

    proptest! {
        /// What a finer rule finds alike, the widest does, too: it may be the index.
        #[test]
        fn wide_is_the_widest(a in "[a-z0-9_-]{3,32}", swap in any::<u32>()) {
            let b: String = a.chars().enumerate().map(|(index, character)| {
                let flip = swap >> (index % 32) & 1 == 1;
                match character {
                    '0' if flip => "o".to_owned(),
                    'o' if flip => "0".to_owned(),
                    '1' if flip => "l".to_owned(),
                    'm' if flip => "rn".to_owned(),
                    other => other.to_string(),
                }
            }).collect();
            prop_assert!(Likeness::Ascii.alike(&a, &b));
            prop_assert!(Likeness::Wide.alike(&a, &b));
            let again = Likeness::Wide.skeleton(&Likeness::Ascii.skeleton(&a));
            prop_assert_eq!(again, Likeness::Wide.skeleton(&a));
        }
    }
}
