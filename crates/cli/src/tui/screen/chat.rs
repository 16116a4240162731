//! The lines of the open conversation.

use baraza_api::types::Entry;
use baraza_core::view::EntryKind;
use baraza_wire::CommitId;

use super::paint;
use crate::tui::desk::{Desk, Thread, file_state};
use crate::tui::words;

/// Messages of one person that follow within so many seconds share a heading.
const TOGETHER: u64 = 300;
/// Lines of one message at most: the rest is seen with `baraza view`.
const MAX_LINES: usize = 400;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Who and when.
    Heading,
    /// The same of oneself.
    OwnHeading,
    Body,
    /// What is less important.
    Faint,
    /// Why something has not arrived.
    Trouble,
    Day,
    Unread,
}

/// A line of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) kind: Kind,
    pub(super) text: String,
}

fn line(kind: Kind, text: String) -> Line {
    Line { kind, text }
}

/// The lines of the entry at `at`.
pub(super) fn lines(desk: &Desk, thread: &Thread, at: usize, width: usize) -> Vec<Line> {
    let Some(entry) = thread.entries.get(at) else {
        return Vec::new();
    };
    let before = at.checked_sub(1).and_then(|at| thread.entries.get(at));
    let mut lines = Vec::new();
    let day = |entry: &Entry| words::time(entry.timestamp, &desk.zone, "%A, %-d %B %Y");
    let new_day = before.is_none_or(|before| day(before) != day(entry));
    if new_day {
        lines.push(line(Kind::Day, day(entry)));
    }
    let first_unread = thread.first_unread == Some(entry.id);
    if first_unread {
        lines.push(line(Kind::Unread, "unread from here on".into()));
    }
    let is_message = |entry: &Entry| matches!(entry.kind, EntryKind::Text | EntryKind::File);
    let together = before.is_some_and(|before| {
        before.author == entry.author
            && is_message(before)
            && is_message(entry)
            && entry.timestamp.saturating_sub(before.timestamp) < TOGETHER
    });
    let time = words::time(entry.timestamp, &desk.zone, "%H:%M");
    let own = desk
        .account()
        .is_some_and(|own| own.jami_id == entry.author);
    let name = desk.name_of(&entry.author);
    if !is_message(entry) {
        let text = format!("{time} {}", desk.sentence(entry));
        lines.extend(wrapped(Kind::Faint, "", &text, width));
        return lines;
    }
    if !together || new_day || first_unread {
        let kind = if own { Kind::OwnHeading } else { Kind::Heading };
        lines.push(line(kind, format!("{name}  {time}")));
    }
    if let Some(to) = &entry.reply_to {
        lines.push(line(
            Kind::Faint,
            paint::cut(&answered(desk, thread, to), width),
        ));
    }
    let mut body = desk.body(entry);
    if let (EntryKind::File, Some(file)) = (entry.kind, thread.files.get(&entry.id)) {
        body = format!("{body}, {}", file_state(file));
    }
    let mut marks = words::marks(entry);
    if own && !entry.deleted {
        let reached = words::reached(entry);
        if !reached.is_empty() {
            marks = format!("{marks} ({reached})");
        }
    }
    let kind = if entry.deleted {
        Kind::Faint
    } else {
        Kind::Body
    };
    lines.extend(wrapped(kind, &marks, &body, width));
    if let Some(why) = desk.pending(&entry.id).filter(|_| own) {
        lines.extend(wrapped(
            Kind::Trouble,
            "",
            &format!("not arrived: {why}"),
            width,
        ));
    }
    lines
}

/// A text as lines, each with its own direction, with the marks after it.
fn wrapped(kind: Kind, marks: &str, text: &str, width: usize) -> Vec<Line> {
    let width = width.saturating_sub(2);
    let mut rows = paint::wrap(text, width);
    if rows.len() > MAX_LINES {
        rows.truncate(MAX_LINES);
        rows.push("… (the whole is longer)".into());
    }
    let mut lines: Vec<String> = rows.iter().map(|row| words::isolate(row)).collect();
    let room = lines
        .last()
        .map_or(0, |last| width.saturating_sub(paint::width(last)));
    match lines.last_mut() {
        Some(last) if paint::width(marks) <= room => last.push_str(marks),
        _ => lines.extend(paint::wrap(marks.trim_start(), width)),
    }
    let lines = lines.into_iter();
    lines.map(|text| line(kind, format!("  {text}"))).collect()
}

/// What an answer is to.
fn answered(desk: &Desk, thread: &Thread, to: &CommitId) -> String {
    match thread.entry(to) {
        Some(entry) => {
            let name = desk.name_of(&entry.author);
            format!("  ↳ {name}: {}", desk.line(entry))
        }
        None => "  ↳ an older message".into(),
    }
}
