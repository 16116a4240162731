//! Which part of a conversation is seen.

use baraza_wire::CommitId;

use super::{Screen, chat};
use crate::tui::desk::{Desk, Thread};

/// What the lowest line that is seen belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The newest entry, whatever comes.
    End,
    /// An entry, of which so many lines are below what is seen.
    At { id: CommitId, below: usize },
}

/// A line that is seen, and which entry it is of.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) id: CommitId,
    pub(super) line: chat::Line,
}

impl Screen {
    /// The index of the lowest entry, and how many of its lines are below.
    fn lowest(&self, thread: &Thread) -> (usize, usize) {
        let last = thread.entries.len().saturating_sub(1);
        match self.place {
            Place::End => (last, 0),
            Place::At { id, below } => {
                let at = thread.entries.iter().position(|entry| entry.id == id);
                at.map_or((last, 0), |at| (at, below))
            }
        }
    }

    /// What is seen in so many lines, from above to below.
    pub(super) fn seen(&self, desk: &Desk, height: usize) -> Vec<Seen> {
        let Some(thread) = desk.thread() else {
            return Vec::new();
        };
        let width = usize::from(self.chat_width());
        let (mut at, mut below) = self.lowest(thread);
        let mut seen: Vec<Seen> = Vec::new();
        while let Some(entry) = thread.entries.get(at) {
            let lines = chat::lines(desk, thread, at, width);
            let lines = lines.into_iter().rev().skip(below);
            let room = height.saturating_sub(seen.len());
            seen.extend(lines.take(room).map(|line| Seen { id: entry.id, line }));
            if seen.len() >= height {
                break;
            }
            let Some(before) = at.checked_sub(1) else {
                break;
            };
            (at, below) = (before, 0);
        }
        seen.reverse();
        seen
    }

    /// So many lines back.
    pub(super) fn scroll_up(&mut self, desk: &mut Desk, lines: usize) {
        let width = usize::from(self.chat_width());
        let Some(thread) = desk.thread() else { return };
        let (mut at, mut below) = self.lowest(thread);
        below = below.saturating_add(lines);
        loop {
            let height = chat::lines(desk, thread, at, width).len();
            if below < height {
                break;
            }
            let Some(before) = at.checked_sub(1) else {
                below = height.saturating_sub(1);
                break;
            };
            below = below.saturating_sub(height);
            at = before;
        }
        if let Some(entry) = thread.entries.get(at) {
            self.place = Place::At {
                id: entry.id,
                below,
            };
        }
        // Some screens before the first entry is reached.
        if at < 40 {
            desk.older();
        }
        let height = usize::from(self.chat_height());
        let missing = height.saturating_sub(self.seen(desk, height).len());
        if missing > 0 {
            self.scroll_down(desk, missing);
        }
    }

    /// So many lines forward.
    pub(super) fn scroll_down(&mut self, desk: &mut Desk, lines: usize) {
        let width = usize::from(self.chat_width());
        let Some(thread) = desk.thread() else { return };
        let (mut at, mut below) = self.lowest(thread);
        let mut left = lines;
        while left > below {
            left = left.saturating_sub(below);
            below = 0;
            let next = at.saturating_add(1);
            if next >= thread.entries.len() {
                break;
            }
            at = next;
            below = chat::lines(desk, thread, at, width).len();
        }
        below = below.saturating_sub(left);
        let at_end = at.saturating_add(1) >= thread.entries.len() && below == 0;
        self.place = match thread.entries.get(at) {
            Some(entry) if !(at_end && thread.newer.is_none()) => Place::At {
                id: entry.id,
                below,
            },
            _ => Place::End,
        };
        if at.saturating_add(20) > thread.entries.len() {
            desk.newer();
        }
    }

    /// Goes to the newest entry.
    pub(super) fn scroll_to_end(&mut self, desk: &mut Desk) {
        self.place = Place::End;
        desk.go_to_end();
    }

    /// Selects the message before or after the one that is selected.
    pub(super) fn select(&mut self, desk: &mut Desk, forward: bool) -> bool {
        let Some(thread) = desk.thread() else {
            return false;
        };
        let (lowest, _) = self.lowest(thread);
        let now = self
            .selected
            .and_then(|id| thread.entries.iter().position(|entry| entry.id == id));
        let can = |at: &usize| {
            let entry = thread.entries.get(*at);
            entry.is_some_and(|entry| thread.number(&entry.id).is_some())
        };
        let next = match (now, forward) {
            (None, _) => (0..=lowest).rev().find(can),
            (Some(now), false) => (0..now).rev().find(can),
            (Some(now), true) => (now.saturating_add(1)..thread.entries.len()).find(can),
        };
        let Some(id) = next
            .and_then(|at| thread.entries.get(at))
            .map(|entry| entry.id)
        else {
            if !forward {
                desk.older();
            }
            return now.is_some() && !forward;
        };
        self.selected = Some(id);
        let height = usize::from(self.chat_height());
        if !self.seen(desk, height).iter().any(|seen| seen.id == id) {
            self.place = Place::At { id, below: 0 };
        }
        if next.is_some_and(|at| at < 10) {
            desk.older();
        }
        true
    }
}
