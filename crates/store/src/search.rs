//! Search over texts and names of files, in their newest wording.
//!
//! SQLite's full-text index, with words folded before ([`fold`]): it is told words, not
//! text, so that one rule holds for what is kept and what is asked.

pub(crate) mod fold;
mod snippet;

use baraza_wire::{AccountId, ConversationId};
use rusqlite::types::Value;

use crate::database::{Store, StoreError, column};
use crate::views::{Class, EntryRow};
pub use snippet::{Snippet, snippet};

/// What is sought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchQuery {
    /// Words, all of which must be there. `"…"` holds words that follow each other, and
    /// `word*` any that begins so. All texts if empty.
    pub text: String,
    /// Only in this conversation, by its number.
    pub conversation: Option<i64>,
    /// Only of this author.
    pub author: Option<AccountId>,
    /// Only these; all that is searched if empty.
    pub classes: Vec<Class>,
    /// Only from this second on.
    pub after: Option<u64>,
    /// Only before this second.
    pub before: Option<u64>,
    /// Only entries with a lower number: the next page.
    pub below: Option<i64>,
    /// How many at most.
    pub count: usize,
}

/// Something found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRow {
    /// In which conversation.
    pub conversation: ConversationId,
    /// What.
    pub entry: EntryRow,
}

/// Words of a query; more are left out.
const MAX_WORDS: usize = 32;
/// Months of a range of dates that are sought one by one.
const MAX_MONTHS: usize = 36;

/// Words that say what a text is filtered by, kept beside it: a frequent word with a rare
/// author is then found as quickly as a rare word.
pub(crate) fn scope(conversation: i64, author: &AccountId, class: Class, time: u64) -> String {
    let (year, month) = month_of(time);
    format!(
        "{} {} {} y{year} m{year}x{month}",
        in_conversation(conversation),
        of_author(author),
        of_class(class)
    )
}

fn in_conversation(conversation: i64) -> String {
    format!("c{conversation}")
}

fn of_author(author: &AccountId) -> String {
    let hex = author.to_hex();
    format!(
        "u{}",
        hex.split_at_checked(16).map_or("", |(start, _)| start)
    )
}

fn of_class(class: Class) -> String {
    format!("k{}", class.number())
}

/// Year and month of a time.
fn month_of(time: u64) -> (u64, u64) {
    // Days of years that begin in March, in ages of 400 years.
    let days = (time / 86_400).saturating_add(719_468);
    let day = days % 146_097;
    let year = day
        .saturating_sub(day / 1460)
        .saturating_add(day / 36_524)
        .saturating_sub(day / 146_096)
        / 365;
    let start = year.saturating_mul(365).saturating_add(year / 4);
    let day_of_year = day.saturating_sub(start.saturating_sub(year / 100));
    let month = day_of_year.saturating_mul(5).saturating_add(2) / 153;
    let year = (days / 146_097).saturating_mul(400).saturating_add(year);
    match month {
        0..=9 => (year, month.saturating_add(3)),
        _ => (year.saturating_add(1), month.saturating_sub(9)),
    }
}

/// Words for a range of times: its months, or its years if there are many.
fn months(after: Option<u64>, before: Option<u64>) -> Vec<String> {
    let Some(after) = after else {
        // From the beginning on: mostly all of it.
        return Vec::new();
    };
    let (first, end) = (month_of(after), before.map(month_of));
    let (mut year, mut month) = first;
    let mut words = Vec::new();
    if let Some(end) = end {
        while (year, month) <= end && words.len() <= MAX_MONTHS {
            words.push(format!("m{year}x{month}"));
            month = month.saturating_add(1);
            if month > 12 {
                (year, month) = (year.saturating_add(1), 1);
            }
        }
        if words.len() <= MAX_MONTHS {
            return words;
        }
    }
    // Clocks are wrong by some years at times.
    let last = end.map_or(2200, |(year, _)| year.min(2200));
    (first.0.min(2200)..=last)
        .map(|year| format!("y{year}"))
        .collect()
}

impl SearchQuery {
    /// As the index wants it; `None` if there is nothing to seek, as of punctuation.
    fn expression(&self) -> Option<String> {
        let words = fold::words(&self.text, MAX_WORDS);
        if words.is_empty() && !self.text.trim().is_empty() {
            return None;
        }
        let mut parts: Vec<String> = words
            .iter()
            .map(|word| {
                let star = if word.prefix { " *" } else { "" };
                format!("text : \"{}\"{star}", word.tokens)
            })
            .collect();
        let mut scope = |words: Vec<String>| {
            if !words.is_empty() {
                parts.push(format!("scope : ({})", words.join(" OR ")));
            }
        };
        scope(self.conversation.map(in_conversation).into_iter().collect());
        scope(self.author.as_ref().map(of_author).into_iter().collect());
        let mut classes = self.classes.clone();
        if classes.is_empty() && parts_of_all(&words, self) {
            classes = vec![Class::Text, Class::File, Class::Media];
        }
        scope(classes.into_iter().map(of_class).collect());
        scope(months(self.after, self.before));
        Some(parts.join(" AND "))
    }
}

/// Whether nothing is asked but "everything".
fn parts_of_all(words: &[fold::Word], query: &SearchQuery) -> bool {
    words.is_empty()
        && query.conversation.is_none()
        && query.author.is_none()
        && query.after.is_none()
}

impl Store {
    /// Seeks in an account's conversations; newest first, as they came here.
    ///
    /// # Errors
    /// If the database fails.
    pub fn search(&self, account: i64, query: &SearchQuery) -> Result<Vec<FoundRow>, StoreError> {
        let Some(expression) = query.expression() else {
            return Ok(Vec::new());
        };
        let sql = "SELECT e.id, e.conversation, e.position, e.class, e.wording, e.deleted,
                 c.conversation
             FROM search s JOIN entries e ON e.id = s.rowid
                 JOIN conversations c ON c.id = e.conversation
             WHERE search MATCH ?1 AND s.rowid < ?2 AND c.account = ?3
                 AND c.state = 1 AND e.time >= ?4 AND e.time < ?5
             ORDER BY s.rowid DESC LIMIT ?6";
        let values = [
            Value::Text(expression),
            Value::Integer(query.below.unwrap_or(i64::MAX)),
            Value::Integer(account),
            Value::Integer(query.after.map_or(0, column::stored)),
            Value::Integer(query.before.map_or(i64::MAX, column::stored)),
            Value::Integer(i64::try_from(query.count).unwrap_or(i64::MAX)),
        ];
        self.query(sql, rusqlite::params_from_iter(values), |row| {
            Ok(FoundRow {
                conversation: ConversationId::new(column::bytes(row, 6)?),
                entry: crate::views::entry(row)?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_dates_become_months_or_years() {
        let march = 1_773_000_000; // 2026-03-08
        let may = 1_778_000_000; // 2026-05-05
        assert_eq!(month_of(march), (2026, 3));
        assert_eq!(month_of(0), (1970, 1));
        assert_eq!(month_of(951_782_399), (2000, 2));
        assert_eq!(month_of(951_868_800), (2000, 3));
        assert_eq!(month_of(253_402_300_799), (9999, 12));
        assert_eq!(
            months(Some(march), Some(may)),
            ["m2026x3", "m2026x4", "m2026x5"]
        );
        assert_eq!(months(Some(march), Some(march + 1)), ["m2026x3"]);
        let years = months(Some(march), None);
        assert_eq!(years.first().map(String::as_str), Some("y2026"));
        assert!(years.contains(&"y2029".to_owned()));
        assert!(months(None, Some(may)).is_empty());
        let decade = months(Some(march), Some(march + 10 * 31_557_600));
        assert_eq!(decade.len(), 11);
    }
}
