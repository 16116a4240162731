//! The conversation that is open: a part of its history, never all of it.

use std::collections::{BTreeMap, VecDeque};

use baraza_api::types::{Entry, EntryPage, FileView, Member};
use baraza_core::view::EntryKind;
use baraza_wire::{CommitId, ConversationId};

/// Entries read at once.
pub(super) const PAGE: usize = 60;
/// Entries kept: those farthest from where one reads go.
const MAX_ENTRIES: usize = 600;
/// Numbers given; those of entries that are not kept go first.
const MAX_NUMBERS: usize = 20_000;

/// What is new at an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    New,
    Edited,
    Deleted,
    Reactions,
    /// How far it has got.
    Reached,
}

/// The conversation that is open.
#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) id: ConversationId,
    /// Oldest first, without gaps.
    pub(crate) entries: VecDeque<Entry>,
    /// To read those before them; `None` if there are none.
    pub(crate) older: Option<CommitId>,
    /// To read those after them; `None` if the newest are there.
    pub(crate) newer: Option<CommitId>,
    /// The first one that was unread when it was opened.
    pub(crate) first_unread: Option<CommitId>,
    pub(crate) members: Vec<Member>,
    pub(crate) files: BTreeMap<CommitId, FileView>,
    /// Whether a first page is there.
    pub(crate) read: bool,
    /// What was told to have been read.
    pub(super) marked: Option<CommitId>,
    numbers: BTreeMap<CommitId, usize>,
    next_number: usize,
}

impl Thread {
    pub(super) fn new(id: ConversationId) -> Self {
        Self {
            id,
            entries: VecDeque::new(),
            older: None,
            newer: None,
            first_unread: None,
            members: Vec::new(),
            files: BTreeMap::new(),
            read: false,
            marked: None,
            numbers: BTreeMap::new(),
            next_number: 1,
        }
    }

    /// The entry with this ID.
    pub(crate) fn entry(&self, id: &CommitId) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.id == *id)
    }

    /// The number by which an entry is named here.
    pub(crate) fn number(&self, id: &CommitId) -> Option<usize> {
        self.numbers.get(id).copied()
    }

    /// The message with a number, and whether it is among those kept or not.
    pub(super) fn by_number(&self, number: usize) -> Option<CommitId> {
        let mut numbers = self.numbers.iter();
        numbers.find(|(_, has)| **has == number).map(|(id, _)| *id)
    }

    /// Files of which it is not known where they are.
    pub(super) fn unknown_files(&self) -> Vec<CommitId> {
        let files = self.entries.iter().filter(|entry| {
            entry.kind == EntryKind::File && !entry.deleted && !self.files.contains_key(&entry.id)
        });
        files.map(|entry| entry.id).collect()
    }

    /// The newest page was read: it replaces what it overlaps. Gives what is new.
    pub(super) fn newest(&mut self, page: EntryPage) -> Vec<(CommitId, Change)> {
        let mut fresh: VecDeque<Entry> = page.entries.into_iter().rev().collect();
        let first = fresh.front().map(|entry| entry.id);
        let overlap = first.and_then(|first| self.entries.iter().position(|one| one.id == first));
        let keep = self.newer.is_none().then_some(overlap).flatten();
        let mut changes = Vec::new();
        for entry in &fresh {
            match self.entry(&entry.id) {
                None => changes.push((entry.id, Change::New)),
                Some(old) => changes.extend(difference(old, entry).map(|what| (entry.id, what))),
            }
        }
        match keep {
            Some(at) => {
                self.entries.truncate(at);
                self.entries.append(&mut fresh);
            }
            None => {
                self.entries = fresh;
                self.older = page.older;
            }
        }
        self.newer = None;
        if !self.read {
            self.first_unread = page.first_unread;
            changes.clear();
        }
        self.read = true;
        self.drop_oldest();
        self.give_numbers();
        changes
    }

    /// Older entries were read; how many.
    pub(super) fn older(&mut self, page: EntryPage) -> usize {
        let count = page.entries.len();
        self.older = page.older;
        for entry in page.entries {
            if self.entry(&entry.id).is_none() {
                self.entries.push_front(entry);
            }
        }
        while self.entries.len() > MAX_ENTRIES {
            self.entries.pop_back();
            self.newer = self.entries.back().map(|entry| entry.id);
        }
        self.give_numbers();
        count
    }

    /// Newer entries were read.
    pub(super) fn newer(&mut self, page: EntryPage) {
        self.newer = page.newer;
        for entry in page.entries.into_iter().rev() {
            if self.entry(&entry.id).is_none() {
                self.entries.push_back(entry);
            }
        }
        self.drop_oldest();
        self.give_numbers();
    }

    /// Another part of the history is shown.
    pub(super) fn around(&mut self, page: EntryPage) {
        self.older = page.older;
        self.newer = page.newer;
        self.entries = page.entries.into_iter().rev().collect();
        self.read = true;
        self.give_numbers();
    }

    /// An entry was read anew.
    pub(super) fn one(&mut self, page: EntryPage) -> Option<(CommitId, Change)> {
        let fresh = page.entries.into_iter().next()?;
        let old = self.entries.iter_mut().find(|one| one.id == fresh.id)?;
        let change = difference(old, &fresh);
        let id = fresh.id;
        *old = fresh;
        Some((id, change?))
    }

    fn drop_oldest(&mut self) {
        while self.entries.len() > MAX_ENTRIES {
            self.entries.pop_front();
            self.older = self.entries.front().map(|entry| entry.id);
        }
    }

    /// Texts and files get numbers, which stay as long as the conversation is open.
    fn give_numbers(&mut self) {
        if self.numbers.len() > MAX_NUMBERS {
            let kept = &self.entries;
            self.numbers
                .retain(|id, _| kept.iter().any(|entry| entry.id == *id));
        }
        for entry in &self.entries {
            if matches!(entry.kind, EntryKind::Text | EntryKind::File)
                && !self.numbers.contains_key(&entry.id)
            {
                self.numbers.insert(entry.id, self.next_number);
                self.next_number = self.next_number.saturating_add(1);
            }
        }
    }
}

fn difference(old: &Entry, new: &Entry) -> Option<Change> {
    if new.deleted && !old.deleted {
        Some(Change::Deleted)
    } else if new.body != old.body {
        Some(Change::Edited)
    } else if new.reaction_counts != old.reaction_counts {
        Some(Change::Reactions)
    } else if new.status_counts != old.status_counts {
        Some(Change::Reached)
    } else {
        None
    }
}
