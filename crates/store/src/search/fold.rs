//! Words as the index has them.
//!
//! * Letters are compared without case, accents, Arabic and Hebrew vowel marks, and in their
//!   compatibility form (full-width, ligatures).
//! * Persian and Arabic letters that look alike are one (ي ی ى, ك ک); joiners, which people
//!   leave out as often as not, do not count, nor does what stretches words.
//! * Scripts without blanks between words (Chinese, Japanese, Thai …), and Korean, whose
//!   words take endings, are cut into letters; what is asked must have them in a row. So
//!   words of one or two letters are found, which an index of trigrams could not.
//! * Each emoji is a word, whatever the colour of its skin.

use unicode_normalization::UnicodeNormalization as _;

/// Bytes of a text that are looked at.
const MAX_TEXT: usize = 1 << 20;
/// Stands before the number of a letter that is a word: SQLite does not know the newest.
const SIGN: char = '\u{e000}';

/// A part of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// Words that follow each other, separated by blanks.
    pub(crate) tokens: String,
    /// Whether the last may go on.
    pub(crate) prefix: bool,
}

/// Letters of a text, folded.
pub(super) fn letters(text: &str) -> impl Iterator<Item = char> {
    text.nfkd()
        .filter(|letter| !is_dropped(*letter))
        .nfc()
        .flat_map(char::to_lowercase)
        .map(alike)
}

/// A text as it is put into the index: words separated by blanks or signs.
pub(crate) fn searchable(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_TEXT);
    let text = text.split_at_checked(end).map_or("", |(text, _)| text);
    let mut folded = String::with_capacity(text.len());
    for letter in letters(text) {
        push(&mut folded, letter);
    }
    folded
}

fn push(folded: &mut String, letter: char) {
    if is_sign(letter) {
        folded.push(' ');
        folded.push(SIGN);
        for digit in format!("{:x}", u32::from(letter)).chars() {
            folded.push(digit);
        }
        folded.push(' ');
    } else if stands_alone(letter) {
        folded.push(' ');
        folded.push(letter);
        folded.push(' ');
    } else {
        folded.push(letter);
    }
}

/// What is asked: words, `"words in a row"` and `beginnings*`, at most `most`.
pub(crate) fn words(query: &str, most: usize) -> Vec<Word> {
    let mut words = Vec::new();
    for (number, part) in query.split('"').enumerate() {
        if number % 2 == 1 {
            add(&mut words, part, false);
        } else {
            for word in part.split_whitespace() {
                add(&mut words, word, word.ends_with('*'));
            }
        }
    }
    words.truncate(most);
    words
}

fn add(words: &mut Vec<Word>, text: &str, prefix: bool) {
    let folded = searchable(text);
    let tokens: Vec<&str> = folded
        .split(|letter: char| !is_part(letter))
        .filter(|token| !token.is_empty())
        .collect();
    if !tokens.is_empty() {
        let tokens = tokens.join(" ");
        words.push(Word { tokens, prefix });
    }
}

/// Whether a letter is part of a word: the rest separates words, for SQLite too. Where the
/// two differ in rare signs, SQLite splits again.
fn is_part(letter: char) -> bool {
    letter.is_alphanumeric() || letter == SIGN || is_mark(letter)
}

fn is_mark(letter: char) -> bool {
    unicode_normalization::char::is_combining_mark(letter)
}

/// Whether a letter does not count.
fn is_dropped(letter: char) -> bool {
    matches!(letter,
        // Accents.
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
        // Hebrew and Arabic vowels, and the stretched line.
        | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}'..='\u{5c2}' | '\u{5c4}'..='\u{5c5}'
        | '\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}'
        | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}' | '\u{6e7}'..='\u{6e8}'
        | '\u{6ea}'..='\u{6ed}'
        // Joiners, directions, variants, soft hyphen; colours of skin.
        | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0000}'..='\u{e01ef}')
}

/// Letters that are written for each other.
fn alike(letter: char) -> char {
    match letter {
        'ي' | 'ى' => 'ی',
        'ك' => 'ک',
        'ۀ' | 'ة' => 'ه',
        'ς' => 'σ',
        other => other,
    }
}

/// Whether a letter is a word, in a script that has no blanks or long endings.
fn stands_alone(letter: char) -> bool {
    matches!(letter,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{2ffff}')
}

/// Whether a letter is a sign that is a word: emoji, arrows, and what is newer than SQLite.
fn is_sign(letter: char) -> bool {
    matches!(letter,
        '\u{203c}' | '\u{2049}' | '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}'
        | '\u{25a0}'..='\u{27bf}' | '\u{2900}'..='\u{297f}' | '\u{2b00}'..='\u{2bff}'
        | '\u{1f000}'..='\u{1faff}' | '\u{30000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(query: &str) -> Vec<String> {
        words(query, 100).into_iter().map(|it| it.tokens).collect()
    }

    #[test]
    fn what_people_hold_for_the_same_is_the_same() {
        for (one, other) in [
            ("Café", "cafe\u{301}"),
            ("STRASSE", "straſſe"),
            ("ﬁsh", "fish"),
            ("Ｆｕｌｌ", "full"),
            ("كتاب", "کتاب"),
            ("مي‌خواهم", "میخواهم"),
            ("مُحَمَّد", "محمد"),
            ("ســلام", "سلام"),
            ("שָׁלוֹם", "שלום"),
            ("👍🏽", "👍"),
            ("ｶﾞ", "ガ"),
            ("Σίσυφος", "ΣΙΣΥΦΟΣ"),
        ] {
            assert_eq!(tokens(one), tokens(other), "{one} {other}");
        }
    }

    #[test]
    fn scripts_without_blanks_are_cut_into_letters() {
        assert_eq!(tokens("東京都"), ["東 京 都"]);
        assert_eq!(tokens("안녕 하세요"), ["안 녕", "하 세 요"]);
        assert_eq!(tokens("e-mail"), ["e mail"]);
        assert_eq!(tokens("ok👍👍"), ["ok \u{e000}1f44d \u{e000}1f44d"]);
        assert_eq!(tokens("\"two words\" one"), ["two words", "one"]);
        assert!(tokens("!? … *").is_empty());
        let half = words("begin*", 10);
        assert!(half[0].prefix && half[0].tokens == "begin");
    }

    proptest! {
        #[test]
        fn no_query_is_anything_but_words(query in any::<String>()) {
            for word in words(&query, 10) {
                prop_assert!(!word.tokens.contains('"'));
                prop_assert!(!word.tokens.is_empty());
            }
        }
    }
}
