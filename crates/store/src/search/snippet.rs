//! The part of a text in which something was found.

use super::fold;

/// Letters shown before and after.
const AROUND: usize = 40;
/// Letters looked at: what is found later is shown from the beginning.
const MAX_LETTERS: usize = 100_000;

/// The part of a text in which something was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snippet {
    /// What comes before, perhaps cut.
    pub before: String,
    /// The first word found; empty if it is not to be told which it is.
    pub found: String,
    /// What comes after, perhaps cut.
    pub after: String,
}

/// The part of `text` in which the first word of `query` is that is in it.
pub fn snippet(text: &str, query: &str) -> Snippet {
    let letters: Vec<char> = text.chars().take(MAX_LETTERS).collect();
    // The folded text, and where each of its letters comes from.
    let (mut folded, mut from) = (Vec::new(), Vec::new());
    for (at, letter) in letters.iter().enumerate() {
        let mut buffer = [0; 4];
        for letter in fold::letters(letter.encode_utf8(&mut buffer)) {
            folded.push(letter);
            from.push(at);
        }
    }
    let part = |range: std::ops::Range<usize>| -> String {
        letters.get(range).into_iter().flatten().collect()
    };
    let words = query.split(['"', '*']).flat_map(str::split_whitespace);
    let found = words
        .map(|word| fold::letters(word).collect::<Vec<char>>())
        .filter(|word| !word.is_empty())
        .find_map(|word| {
            let starts = folded.windows(word.len()).enumerate();
            let mut starts = starts.filter(|(_, window)| *window == word).map(|it| it.0);
            // Rather where a word begins.
            let first = starts.clone().next()?;
            let start = starts
                .find(|start| {
                    let before = start.checked_sub(1).and_then(|at| folded.get(at));
                    before.is_none_or(|letter| !letter.is_alphanumeric())
                })
                .unwrap_or(first);
            let last = start.saturating_add(word.len()).saturating_sub(1);
            Some((*from.get(start)?, from.get(last)?.saturating_add(1)))
        });
    match found {
        Some((start, end)) => Snippet {
            before: part(start.saturating_sub(AROUND)..start),
            found: part(start..end),
            after: part(end..end.saturating_add(AROUND).min(letters.len())),
        },
        None => Snippet {
            after: part(0..AROUND.saturating_mul(2).min(letters.len())),
            ..Snippet::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_place_is_shown_as_it_was_written() {
        let text = format!("{} Das Café am Eck {}", "a ".repeat(100), "b ".repeat(100));
        let part = snippet(&text, "CAFE");
        assert_eq!(part.found, "Café");
        assert!(part.before.ends_with("Das ") && part.before.chars().count() == AROUND);
        assert!(part.after.starts_with(" am Eck"));
        let part = snippet("scatter cat", "cat");
        assert_eq!(
            (part.before.as_str(), part.found.as_str()),
            ("scatter ", "cat")
        );
        assert_eq!(snippet("من كتاب دارم", "کتاب").found, "كتاب");
        assert_eq!(snippet("昨日は東京でした", "東京").found, "東京");
        assert_eq!(snippet("good 👍🏽", "👍").found, "👍");
        assert_eq!(snippet("nothing", "else").after, "nothing");
    }

    proptest! {
        #[test]
        fn any_text_has_one(text in any::<String>(), query in any::<String>()) {
            let part = snippet(&text, &query);
            prop_assert!(text.contains(&part.found));
        }
    }
}
