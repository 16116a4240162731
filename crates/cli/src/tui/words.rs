//! Texts of others, made fit to be shown; and what things are in words.

use std::fmt::Write as _;

use baraza_api::types::{Account, Contact, Entry};
use baraza_core::event::{Presence, RegistrationState};
use baraza_core::view::EntryKind;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::output::printable;

/// Begins a part whose direction is its own, and ends it.
pub(crate) const ISOLATE: char = '\u{2068}';
pub(crate) const END_ISOLATE: char = '\u{2069}';

/// A text of somebody else within a line of ours: without control characters, on one line,
/// and so that its direction does not move what stands around it.
pub(crate) fn foreign(text: &str) -> String {
    isolate(&one_line(&printable(text)))
}

/// Long names and titles would hide everything else.
pub(crate) fn foreign_name(text: &str) -> String {
    let text = printable(text);
    let mut name: String = one_line(&text).chars().take(64).collect();
    if text.chars().nth(64).is_some() {
        name.push('…');
    }
    isolate(name.trim())
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\u{2028}', '\u{2029}'], " ⏎ ")
        .replace('\t', " ")
}

/// Marks a harmless text as one whose direction is its own, if it has letters that are
/// written from right to left.
pub(crate) fn isolate(text: &str) -> String {
    if text.chars().any(is_rtl) {
        format!("{ISOLATE}{text}{END_ISOLATE}")
    } else {
        text.to_owned()
    }
}

/// Hebrew, Arabic, Syriac, Thaana, N'Ko and what else is written so.
fn is_rtl(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}' | '\u{200f}')
}

/// The last gate before a terminal, for whole lines: whatever they are made of, nothing in
/// them can move the cursor or turn the direction of what follows.
pub(crate) fn gate(line: &str) -> String {
    let mut safe = String::with_capacity(line.len());
    let mut open = 0_usize;
    for c in line.chars() {
        match c {
            ISOLATE => open = open.saturating_add(1),
            END_ISOLATE if open == 0 => continue,
            END_ISOLATE => open = open.saturating_sub(1),
            c if must_not_pass(c) => {
                let _infallible = write!(safe, "{}", c.escape_default());
                continue;
            }
            _ => {}
        }
        safe.push(c);
    }
    safe.extend(std::iter::repeat_n(END_ISOLATE, open));
    safe
}

/// Control characters, and what turns the direction of everything that follows.
pub(crate) fn must_not_pass(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}' | '\u{2067}')
}

/// What a contact is called: the registered name, which is theirs alone, or the one they
/// show; `None` if neither is known.
pub(crate) fn contact_name(contact: &Contact) -> Option<String> {
    match (contact.registered_name.as_str(), contact.name.as_str()) {
        ("", "") => None,
        ("", name) => Some(foreign_name(name)),
        (registered, _) => Some(foreign_name(registered)),
    }
}

pub(crate) fn presence(presence: Presence) -> &'static str {
    match presence {
        Presence::Offline => "offline",
        Presence::Available => "available",
        Presence::Connected => "connected",
    }
}

/// How an account is, with the reason.
pub(crate) fn account_state(account: &Account, detail: &str) -> String {
    let detail = match detail {
        "" => String::new(),
        detail => format!(": {}", foreign(detail)),
    };
    match account.state {
        _ if !account.enabled => "off the network (baraza account enable)".into(),
        RegistrationState::Registered if account.announced => "online".into(),
        RegistrationState::Registered => "online; others cannot find this device yet".into(),
        RegistrationState::Initializing => "starting".into(),
        RegistrationState::Trying => format!("connecting{detail}"),
        RegistrationState::Unregistered => format!("not connected{detail}"),
        RegistrationState::ErrorGeneric => format!("does not work{detail}"),
    }
}

/// The text of an entry, as many lines as it has; harmless, not isolated.
pub(crate) fn body(entry: &Entry) -> String {
    let text = match entry.kind {
        _ if entry.deleted => "(deleted)".to_owned(),
        EntryKind::Text => printable(&entry.body)
            .replace(['\u{2028}', '\u{2029}'], "\n")
            .replace('\t', "    "),
        EntryKind::File => {
            let name = entry.details.get("displayName").map_or("", String::as_str);
            let bytes = entry.details.get("totalSize").map_or("", String::as_str);
            let bytes = bytes.parse().map_or_else(|_| "?".to_owned(), size);
            format!("file {} ({bytes})", one_line(&printable(name)))
        }
        _ => one_line(&printable(&entry.text)),
    };
    if entry.cut {
        format!("{text} … (the whole is longer)")
    } else {
        text
    }
}

/// Whether it was edited, and what stands at it.
pub(crate) fn marks(entry: &Entry) -> String {
    let mut marks = String::new();
    if entry.edited && !entry.deleted {
        marks.push_str(" (edited)");
    }
    for reaction in &entry.reaction_counts {
        let emoji: String = one_line(&printable(&reaction.emoji))
            .chars()
            .take(16)
            .collect();
        let emoji = isolate(&emoji);
        match reaction.count {
            1 => {
                let _infallible = write!(marks, " [{emoji}]");
            }
            count => {
                let _infallible = write!(marks, " [{emoji} {count}]");
            }
        }
    }
    marks
}

/// How far an own message has got.
pub(crate) fn reached(entry: &Entry) -> &'static str {
    let counts = entry.status_counts;
    match (counts.sending, counts.sent, counts.displayed) {
        (0, 0, 0) => "",
        (0, 0, _) => "read",
        (0, _, _) => "arrived",
        (_, 0, 0) => "on its way",
        _ => "arrived at some",
    }
}

/// A count of bytes.
pub(crate) fn size(bytes: u64) -> String {
    let tenths = |unit: u64| {
        let tenths = bytes.saturating_mul(10) / unit;
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", tenths(1024)),
        1_048_576..1_073_741_824 => format!("{} MiB", tenths(1_048_576)),
        _ => format!("{} GiB", tenths(1_073_741_824)),
    }
}

/// Seconds since 1970 as a time here.
pub(crate) fn time(seconds: u64, zone: &TimeZone, how: &str) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(
            || "?".to_owned(),
            |time| time.to_zoned(zone.clone()).strftime(how).to_string(),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_cannot_reach_the_terminal_nor_turn_the_line() {
        let hostile = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}evil\u{2066}x\u{2069}\u{2069}\n\r";
        let shown = foreign(hostile);
        assert!(!shown.chars().any(must_not_pass), "{shown:?}");
        assert!(!shown.contains(END_ISOLATE));
        assert!(shown.contains("\\u{1b}]0;owned"));
        assert_eq!(foreign("سلام"), "\u{2068}سلام\u{2069}");
        assert_eq!(foreign("hello"), "hello");
    }

    #[test]
    fn the_gate_balances_and_escapes() {
        assert_eq!(gate("a\u{2069}b\u{2068}c"), "ab\u{2068}c\u{2069}");
        assert_eq!(gate("a\u{1b}[m\nb\u{202e}"), "a\\u{1b}[m\\nb\\u{202e}");
        let fine = "\u{2068}سلام\u{2069}: 👩‍👩‍👧 漢字 می‌خواهم";
        assert_eq!(gate(fine), fine);
    }

    #[test]
    fn names_are_cut() {
        assert_eq!(foreign_name(&"x".repeat(500)).chars().count(), 65);
        assert_eq!(foreign_name("  a\nb "), "a ⏎ b");
    }

    #[test]
    fn sizes_are_read_at_a_glance() {
        assert_eq!(size(1023), "1023 bytes");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(20 * 1_048_576), "20.0 MiB");
    }

    proptest::proptest! {
        #[test]
        fn nothing_passes_that_could_control_a_terminal(text in "(?s).{0,60}") {
            for shown in [gate(&text), foreign(&text), foreign_name(&text), gate(&foreign(&text))] {
                proptest::prop_assert!(!shown.chars().any(must_not_pass), "{shown:?}");
                let opened = shown.matches(ISOLATE).count();
                proptest::prop_assert_eq!(opened, shown.matches(END_ISOLATE).count());
            }
        }
    }
}
