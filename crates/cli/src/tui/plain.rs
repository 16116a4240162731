//! The face of lines, for screen readers and scripts: each thing that happens is a line with
//! its time and who did it; no cursor moves, nothing is coloured, nothing is written twice.

use baraza_api::types::Entry;
use baraza_core::view::EntryKind;
use baraza_wire::CommitId;

use super::command::Command;
use super::desk::{Change, Desk, Millis, Told};
use super::words;

/// Entries shown when a conversation is opened.
const SHOWN_AT_FIRST: usize = 10;

/// What the face of lines knows beside the desk.
#[derive(Debug, Default)]
pub(super) struct Plain {
    /// How much of what is read of older entries is to be shown.
    history: usize,
    /// The oldest entry that was shown.
    oldest: Option<CommitId>,
    /// Whether anything did not work: scripts want to know.
    pub(super) failed: bool,
    pub(super) quit: bool,
}

impl Plain {
    /// A line that was typed.
    pub(super) fn typed(&mut self, desk: &mut Desk, now: Millis, line: &str) -> Vec<String> {
        match Command::parse(line) {
            None => {}
            Some(Ok(Command::History(count))) => return self.history(desk, count),
            Some(Ok(command)) => desk.act(command, None),
            Some(Err(error)) => {
                self.failed = true;
                return vec![trouble(desk, now, &error)];
            }
        }
        Vec::new()
    }

    /// What is to be printed now: whole lines, fit for any terminal.
    pub(super) fn lines(&mut self, desk: &mut Desk, now: Millis) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(told) = desk.poll_told() {
            self.told(desk, now, told, &mut lines);
        }
        lines.iter().map(|line| words::gate(line)).collect()
    }

    fn told(&mut self, desk: &mut Desk, now: Millis, told: Told, lines: &mut Vec<String>) {
        match told {
            Told::Line(text) if text.is_empty() => {}
            Told::Line(text) => lines.push(format!("{} * {text}", clock(desk, now))),
            Told::Trouble(text) => {
                self.failed = true;
                lines.push(trouble(desk, now, &text));
            }
            Told::Page { title, lines: page } => {
                lines.push(format!("{} * {title}", clock(desk, now)));
                lines.extend(page.iter().map(|line| format!("    {line}")));
            }
            Told::Elsewhere { from, text } => {
                lines.push(format!("{} {from}: {text}", clock(desk, now)));
            }
            Told::Opened => self.opened(desk, now, lines),
            Told::Older(_) => lines.extend(self.show_older(desk)),
            Told::Shown(id) => {
                let Some(thread) = desk.thread() else { return };
                let at = thread.entries.iter().position(|entry| entry.id == id);
                let from = at.unwrap_or(0).saturating_sub(3);
                let some = thread.entries.iter().skip(from).take(7);
                lines.push(format!(
                    "{} * in {}:",
                    clock(desk, now),
                    desk.thread_title()
                ));
                lines.extend(some.flat_map(|entry| entry_lines(desk, entry)));
                self.oldest = thread.entries.get(from).map(|entry| entry.id);
            }
            Told::Entry { id, change } => lines.extend(changed(desk, now, &id, change)),
            // It was a line: whoever typed it still has it before them.
            Told::Draft(text) => {
                let text = words::foreign(&text);
                lines.push(format!("{} * the text was: {text}", clock(desk, now)));
            }
            Told::Quit => self.quit = true,
        }
    }

    fn opened(&mut self, desk: &Desk, now: Millis, lines: &mut Vec<String>) {
        let Some(thread) = desk.thread() else { return };
        let (title, state) = (desk.thread_title(), desk.thread_state());
        lines.push(format!(
            "{} * {title}, {state}; what you type is sent",
            clock(desk, now)
        ));
        let from = thread.entries.len().saturating_sub(SHOWN_AT_FIRST);
        for entry in thread.entries.iter().skip(from) {
            if thread.first_unread == Some(entry.id) {
                lines.push("    unread from here on:".into());
            }
            lines.extend(entry_lines(desk, entry));
        }
        self.oldest = thread.entries.get(from).map(|entry| entry.id);
    }

    /// What is there of older entries, and a question for more.
    fn history(&mut self, desk: &mut Desk, count: usize) -> Vec<String> {
        self.history = count.min(500);
        let lines = self.show_older(desk);
        if self.history > 0 {
            desk.act(Command::History(self.history), None);
        }
        lines.iter().map(|line| words::gate(line)).collect()
    }

    fn show_older(&mut self, desk: &Desk) -> Vec<String> {
        let Some(thread) = desk.thread() else {
            self.history = 0;
            return Vec::new();
        };
        let oldest = self.oldest;
        let at = thread.entries.iter().position(|one| Some(one.id) == oldest);
        let at = at.unwrap_or(0);
        let from = at.saturating_sub(self.history);
        let count = at.saturating_sub(from);
        self.history = self.history.saturating_sub(count);
        if count == 0 {
            return Vec::new();
        }
        self.oldest = thread.entries.get(from).map(|entry| entry.id);
        let some = thread.entries.iter().skip(from).take(count);
        some.flat_map(|entry| entry_lines(desk, entry)).collect()
    }
}

fn clock(desk: &Desk, now: Millis) -> String {
    words::time(now / 1000, &desk.zone, "%H:%M")
}

fn trouble(desk: &Desk, now: Millis, text: &str) -> String {
    words::gate(&format!("{} ! {text}", clock(desk, now)))
}

/// An entry: when, who, what, and the number by which it is named.
fn entry_lines(desk: &Desk, entry: &Entry) -> Vec<String> {
    let time = words::time(entry.timestamp, &desk.zone, "%Y-%m-%d %H:%M");
    let name = desk.name_of(&entry.author);
    let thread = desk.thread();
    let number = thread.and_then(|thread| thread.number(&entry.id));
    let number = number.map_or_else(String::new, |number| format!("#{number} "));
    let answers = entry.reply_to.map_or_else(String::new, |to| {
        let known = thread.and_then(|thread| thread.number(&to));
        known.map_or_else(
            || "(answers an older message) ".to_owned(),
            |to| format!("(answers #{to}) "),
        )
    });
    let body = desk.body(entry);
    let mut rows = body.split('\n').map(words::isolate);
    let first = rows.next().unwrap_or_default();
    let head = match entry.kind {
        EntryKind::Text => format!("{number}{time} {name}: {answers}{first}"),
        EntryKind::File => format!("{number}{time} {name} * {answers}{first}"),
        _ => return vec![format!("{time} * {}", desk.sentence(entry))],
    };
    let mut lines = vec![head];
    lines.extend(rows.map(|row| format!("    {row}")));
    let mut marks = words::marks(entry);
    let own = desk.account().map(|account| account.jami_id);
    if Some(entry.author) == own {
        let reached = words::reached(entry);
        if !reached.is_empty() {
            marks = format!("{marks} ({reached})");
        }
    }
    if let Some(last) = lines.last_mut() {
        last.push_str(&marks);
    }
    lines
}

/// What is new at an entry of the open conversation.
fn changed(desk: &Desk, now: Millis, id: &CommitId, change: Change) -> Vec<String> {
    let Some(thread) = desk.thread() else {
        return Vec::new();
    };
    let Some(entry) = thread.entry(id) else {
        return Vec::new();
    };
    let number = thread.number(id);
    let which = number.map_or_else(|| "a message".to_owned(), |number| format!("#{number}"));
    let time = clock(desk, now);
    let name = desk.name_of(&entry.author);
    match change {
        Change::New => entry_lines(desk, entry),
        Change::Edited => vec![format!(
            "{time} * {name} changed {which} to: {}",
            desk.line(entry)
        )],
        Change::Deleted => vec![format!("{time} * {name} took {which} back")],
        Change::Reactions => vec![format!("{time} * {which} now has{}", reactions(entry))],
        Change::Reached => match words::reached(entry) {
            "" => Vec::new(),
            reached => vec![format!("{time} * {which}: {reached}")],
        },
    }
}

fn reactions(entry: &Entry) -> String {
    if entry.reaction_counts.is_empty() {
        " no reactions".into()
    } else {
        words::marks(entry).replace(" (edited)", "")
    }
}
