//! The history as people see it: edits, deletions and reactions folded into what they are
//! of; pages in both directions, what is unread, and search.
//!
//! Rows for it are written with each message. What an older version wrote without them is
//! caught up with in steps between other inputs, so that no start takes minutes.

use std::collections::{BTreeMap, BTreeSet};

use baraza_store::{
    Class, EntryRow, MessageRow, SearchQuery, StoreError, ViewRow, snippet, text_of,
};
use baraza_swarm::Role;
use baraza_wire::{AccountId, CommitId, ConversationId};

use crate::account::conversation::Conversation;
use crate::account::known::Known;
use crate::account::{Account, CommandFailure, Core};
use crate::command::CommandError;
use crate::view::{
    Edition, Entry, EntryKind, Found, MAX_BODY_SHOWN, MAX_ENTRIES, MAX_FOUND, Page, PageAt,
    Reaction, Search, SearchPage, Status, StatusCounts,
};

type Result<T> = std::result::Result<T, CommandFailure>;
/// Some reactions, and how many there are of each emoji.
type Reactions = (Vec<Reaction>, Vec<(String, u64)>);

/// Messages taken into a view before others get their turn.
const STEP: usize = 256;
/// Messages that a view may lack to be completed at once when it is asked for.
const AT_ONCE: u64 = 20_000;
/// Bytes of texts on a page; it ends early if there would be more.
const MAX_PAGE_BYTES: usize = 4 << 20;
/// Older wordings told of an entry.
const MAX_EDITIONS: usize = 100;
/// Reactions of an entry told one by one; more are only counted.
const MAX_REACTIONS: usize = 100;
/// Different emojis counted.
const MAX_EMOJIS: usize = 64;
/// Members of whom it is told one by one how far an entry got; of more only numbers.
const MAX_STATUSES: usize = 64;
/// Longest value told of what a commit says beside its text.
const MAX_DETAIL: usize = 4096;

impl Conversation {
    /// The view of a conversation, as an earlier run left it.
    pub(super) fn load_view(&mut self, core: &Core) -> std::result::Result<(), StoreError> {
        self.view = match core.store.view(self.row.number)? {
            Some(view) => view,
            // Written by an older version. Where it was never noted what was read, all was.
            None => ViewRow {
                conversation: self.row.number,
                read: self.row.read.map_or(self.row.length, |_| 0),
                ..ViewRow::default()
            },
        };
        Ok(())
    }

    /// Whether the view lacks messages that are in the database.
    pub(super) fn is_behind(&self) -> bool {
        self.view.length < self.index.written()
    }

    /// Takes a message into the view; within a transaction.
    pub(super) fn add_to_view(
        &mut self,
        core: &mut Core,
        row: &MessageRow,
    ) -> std::result::Result<(), StoreError> {
        core.store.add_to_view(&core.account, &mut self.view, row)?;
        if self.row.read == Some(row.id) && self.view.read <= row.position {
            self.read_below(core, row.position.saturating_add(1))?;
        }
        Ok(())
    }

    /// Takes the next messages into the view.
    fn catch_up(&mut self, core: &mut Core) -> std::result::Result<(), StoreError> {
        core.store.begin()?;
        let rows = core
            .store
            .messages_up(self.row.number, self.view.length, STEP)?;
        for row in rows {
            self.add_to_view(core, &row)?;
        }
        core.store.put_view(&self.view)
    }

    /// Everything below a position was read, and nothing above.
    pub(super) fn read_below(
        &mut self,
        core: &mut Core,
        position: u64,
    ) -> std::result::Result<(), StoreError> {
        core.store.begin()?;
        core.store.set_read(&core.account, &mut self.view, position)
    }

    /// What is here was read by others before we came.
    pub(super) fn read_all(&mut self, core: &mut Core) -> std::result::Result<(), StoreError> {
        self.read_below(core, self.index.length())
    }
}

/// Another member, and how far messages have got to it.
struct Receiver<'a> {
    account: AccountId,
    read: Option<u64>,
    devices: Vec<&'a Known>,
}

impl Receiver<'_> {
    fn status(&self, position: u64, author: &AccountId) -> Status {
        if self.account == *author || self.read.is_some_and(|read| read >= position) {
            Status::Displayed
        } else if self.devices.iter().any(|known| known.has(position)) {
            Status::Sent
        } else {
            Status::Sending
        }
    }
}

/// What is read of a conversation for a page.
struct Reader<'a> {
    core: &'a Core,
    conversation: &'a Conversation,
    receivers: Vec<Receiver<'a>>,
}

impl Account {
    /// Conversations whose view lacks something.
    pub(super) fn find_behind(&self) -> BTreeSet<ConversationId> {
        let behind = self.conversations.values().filter(|chat| chat.is_behind());
        behind.map(|conversation| conversation.row.id).collect()
    }

    /// Takes some messages of an earlier version into the views.
    pub(super) fn view_step(&mut self) -> std::result::Result<(), StoreError> {
        let Some(id) = self.behind.first().copied() else {
            return Ok(());
        };
        match self.conversations.get_mut(&id) {
            Some(conversation) if conversation.is_behind() => conversation.catch_up(&mut self.core),
            _ => {
                self.behind.remove(&id);
                Ok(())
            }
        }
    }

    /// A conversation whose view is complete.
    fn viewed(&mut self, id: &ConversationId) -> Result<&Conversation> {
        let conversation = self
            .conversations
            .get_mut(id)
            .filter(|conversation| conversation.is_ready())
            .ok_or(CommandError::NoSuchConversation)?;
        let written = conversation.index.written();
        let lacks = written.saturating_sub(conversation.view.length);
        if lacks > AT_ONCE {
            let percent = conversation.view.length.saturating_mul(100) / written.max(1);
            return Err(CommandError::NotYet(percent).into());
        }
        while conversation.is_behind() {
            conversation.catch_up(&mut self.core)?;
        }
        Ok(conversation)
    }

    fn reader(&self, id: &ConversationId) -> Result<Reader<'_>> {
        let conversation = self.conversation(id)?;
        let own = self.core.account;
        let members = conversation
            .ready()
            .map(baraza_swarm::Repository::members)
            .transpose()
            .map_err(|error| CommandError::Repository(error.to_string()))?;
        let members = members.into_iter().flatten();
        let receivers = members
            .filter(|member| member.uri != own)
            .filter(|member| matches!(member.role, Role::Admin | Role::Member))
            .map(|member| Receiver {
                account: member.uri,
                read: conversation
                    .signs
                    .read(&member.uri)
                    .map(|read| read.position),
                devices: conversation
                    .peers
                    .values()
                    .map(|peer| &peer.known)
                    .filter(|known| known.owner == member.uri)
                    .collect(),
            });
        Ok(Reader {
            core: &self.core,
            conversation,
            receivers: receivers.collect(),
        })
    }

    /// A page of the history.
    pub(super) fn view_page(
        &mut self,
        id: &ConversationId,
        at: &PageAt,
        count: usize,
    ) -> Result<Page> {
        self.viewed(id)?;
        let reader = self.reader(id)?;
        let count = count.clamp(1, MAX_ENTRIES);
        let (end, store) = (u64::MAX, &self.core.store);
        let first_unread = store.first_unread(&self.core.account, &reader.conversation.view)?;
        let (older, newer) = match at {
            PageAt::Newest => (reader.older(end, count)?, Part::nothing()),
            PageAt::Before(message) => {
                let position = reader.position(message)?;
                // What is after is there, at least this one.
                (reader.older(position, count)?, Part::more(position))
            }
            PageAt::After(message) => {
                let next = reader.position(message)?.saturating_add(1);
                (Part::more(next), reader.newer(next, count)?)
            }
            PageAt::Around(message) => {
                let next = reader.shown_at(message)?.saturating_add(1);
                reader.around(next, count)?
            }
            PageAt::FirstUnread => match first_unread {
                Some(position) => reader.around(position.saturating_add(1), count)?,
                None => (reader.older(end, count)?, Part::nothing()),
            },
        };
        let mut page = Page {
            older: older.beyond.and_then(|at| reader.commit_near(at)),
            newer: newer.beyond.and_then(|at| reader.commit_near(at)),
            entries: newer.entries,
            unread: reader.conversation.view.unread,
            first_unread: first_unread.and_then(|at| reader.commit_near(at)),
        };
        page.entries.reverse();
        page.entries.extend(older.entries);
        if matches!(at, PageAt::Before(_)) {
            page.newer = page.entries.first().map(|entry| entry.id).or(page.newer);
        }
        if let PageAt::After(message) = at {
            page.older = page.entries.last().map(|entry| entry.id).or(Some(*message));
        }
        Ok(page)
    }

    /// The last entry of a conversation, and how many are unread.
    pub(super) fn newest_entry(&self, id: &ConversationId) -> Result<Option<Entry>> {
        let conversation = self.conversation(id)?;
        let reader = Reader {
            core: &self.core,
            conversation,
            receivers: Vec::new(),
        };
        Ok(reader.older(u64::MAX, 1)?.entries.into_iter().next())
    }

    /// The first unread message of a conversation.
    pub(super) fn first_unread(&self, conversation: &Conversation) -> Result<Option<CommitId>> {
        let store = &self.core.store;
        let first = store.first_unread(&self.core.account, &conversation.view)?;
        match first {
            Some(position) => Ok(conversation.index.at(store, position)?.map(|(id, _)| id)),
            None => Ok(None),
        }
    }

    /// Seeks in all conversations, or in one.
    pub(super) fn search(&mut self, search: &Search) -> Result<SearchPage> {
        let complete = match &search.conversation {
            Some(id) => !self.viewed(id)?.is_behind(),
            None => self.find_behind().is_empty(),
        };
        let conversation = match &search.conversation {
            Some(id) => Some(self.conversation(id)?.row.number),
            None => None,
        };
        let count = search.count.clamp(1, MAX_FOUND);
        let query = SearchQuery {
            text: search.text.clone(),
            conversation,
            author: search.author,
            classes: search
                .kinds
                .iter()
                .flat_map(|kind| classes(*kind))
                .collect(),
            after: search.after,
            before: search.before,
            below: search.below,
            count: count.saturating_add(1),
        };
        let store = &self.core.store;
        let mut rows = store.search(self.core.config.number, &query)?;
        let more = rows.len() > count;
        rows.truncate(count);
        let next = rows.last().filter(|_| more).map(|row| row.entry.number);
        let mut found = Vec::new();
        for row in rows {
            let entry = &row.entry;
            let Some(message) = store.message_at(entry.conversation, entry.position)? else {
                continue;
            };
            let text = match entry.wording {
                Some(at) => store.message_at(entry.conversation, at)?,
                None => None,
            };
            let text = text_of(text.as_ref().unwrap_or(&message));
            let part = snippet(&text, &search.text);
            let fields = fields(&message);
            found.push(Found {
                conversation: row.conversation,
                id: message.id,
                author: message.author,
                kind: kind(entry.class),
                time: message.time,
                edited: entry.wording.is_some(),
                before: part.before,
                found: part.found,
                after: part.after,
                details: details(&fields),
            });
        }
        Ok(SearchPage {
            found,
            next,
            complete,
        })
    }
}

/// A part of a page, beginning at its anchor.
struct Part {
    entries: Vec<Entry>,
    /// Where there are more; `None` if there are not.
    beyond: Option<u64>,
}

impl Part {
    fn nothing() -> Self {
        Self {
            entries: Vec::new(),
            beyond: None,
        }
    }

    fn more(at: u64) -> Self {
        Self {
            beyond: Some(at),
            ..Self::nothing()
        }
    }
}

impl Reader<'_> {
    fn position(&self, message: &CommitId) -> Result<u64> {
        let index = &self.conversation.index;
        let position = index.position(&self.core.store, message)?;
        position.ok_or_else(|| CommandError::NoSuchMessage.into())
    }

    /// Where something is shown: an edit or a reaction at what it is of, if that is here.
    fn shown_at(&self, message: &CommitId) -> Result<u64> {
        let position = self.position(message)?;
        let number = self.conversation.row.number;
        let row = self.core.store.message_at(number, position)?;
        let fields = row.map(|row| fields(&row)).unwrap_or_default();
        let target = ["edit", "react-to"].iter().find_map(|key| {
            let target: CommitId = fields.get(*key)?.parse().ok()?;
            Some(target)
        });
        match target {
            Some(target) if target != *message => {
                let index = &self.conversation.index;
                let shown = index.position(&self.core.store, &target)?;
                Ok(shown.unwrap_or(position))
            }
            _ => Ok(position),
        }
    }

    /// The commit at a position.
    fn commit_near(&self, position: u64) -> Option<CommitId> {
        let at = self.conversation.index.at(&self.core.store, position);
        at.ok().flatten().map(|(id, _)| id)
    }

    fn older(&self, below: u64, count: usize) -> Result<Part> {
        let number = self.conversation.row.number;
        let rows = self
            .core
            .store
            .entries_below(number, below, count.saturating_add(1))?;
        self.part(&rows, count)
    }

    fn newer(&self, from: u64, count: usize) -> Result<Part> {
        let number = self.conversation.row.number;
        let rows = self
            .core
            .store
            .entries_from(number, from, count.saturating_add(1))?;
        self.part(&rows, count)
    }

    fn around(&self, next: u64, count: usize) -> Result<(Part, Part)> {
        let half = count.div_ceil(2);
        let older = self.older(next, half)?;
        let rest = count.saturating_sub(half).max(1);
        Ok((older, self.newer(next, rest)?))
    }

    /// Reads entries, as many as fit.
    fn part(&self, rows: &[EntryRow], count: usize) -> Result<Part> {
        let mut part = Part::nothing();
        let mut bytes = 0_usize;
        let mut last = None;
        for row in rows {
            if part.entries.len() >= count || bytes > MAX_PAGE_BYTES {
                // The cursor is the last one given: what comes after or before it follows.
                part.beyond = last;
                break;
            }
            if let Some((entry, size)) = self.entry(row)? {
                bytes = bytes.saturating_add(size);
                part.entries.push(entry);
            }
            last = Some(row.position);
        }
        Ok(part)
    }

    /// An entry, and how large it is.
    fn entry(&self, row: &EntryRow) -> Result<Option<(Entry, usize)>> {
        let (store, number) = (&self.core.store, row.conversation);
        let Some(message) = store.message_at(number, row.position)? else {
            return Ok(None);
        };
        let fields = fields(&message);
        let original = text_of(&message);
        let mut editions = Vec::new();
        let mut text = original.clone();
        if row.wording.is_some() {
            let edits = store.edits(number, &message.id, &message.author, MAX_EDITIONS)?;
            let mut wordings = vec![(message.id, message.time, original)];
            for at in edits {
                if let Some(edit) = store.message_at(number, at)? {
                    wordings.push((edit.id, edit.time, text_of(&edit)));
                }
            }
            if let Some((_, _, newest)) = wordings.pop() {
                text = newest;
            }
            // The latest superseded one first.
            editions = wordings
                .into_iter()
                .rev()
                .map(|(id, time, text)| Edition {
                    id,
                    time,
                    body: cut(&text, MAX_BODY_SHOWN).to_owned(),
                })
                .collect();
        }
        let (reactions, reaction_counts) = if row.deleted {
            (Vec::new(), Vec::new())
        } else {
            self.reactions(&message)?
        };
        let kind = kind(row.class);
        let body = match kind {
            EntryKind::Text => cut(&text, MAX_BODY_SHOWN).to_owned(),
            _ => String::new(),
        };
        let cut_off = kind == EntryKind::Text && body.len() < text.len();
        let details = details(&fields);
        let reply_to = fields.get("reply-to").and_then(|id| id.parse().ok());
        let (status, counts) = self.statuses(row.position, &message.author);
        let entry = Entry {
            id: message.id,
            author: message.author,
            kind,
            commit_type: cut(&message.kind, MAX_DETAIL).to_owned(),
            time: message.time,
            text: describe(kind, row.deleted, &message.kind, &details),
            body,
            cut: cut_off,
            edited: row.wording.is_some(),
            deleted: row.deleted,
            reply_to,
            editions,
            reactions,
            reaction_counts,
            details,
            status,
            status_counts: counts,
        };
        let older: usize = entry.editions.iter().map(|it| it.body.len()).sum();
        let size = message.fields.len().saturating_add(older);
        Ok(Some((entry, size)))
    }

    fn reactions(&self, message: &MessageRow) -> Result<Reactions> {
        let (store, number) = (&self.core.store, self.conversation.row.number);
        let rows = store.reactions(number, &message.id, MAX_REACTIONS.saturating_add(1))?;
        let counts = if rows.len() > MAX_REACTIONS {
            store.reaction_counts(number, &message.id, MAX_EMOJIS)?
        } else {
            let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
            for row in &rows {
                let count = counts.entry(&row.emoji).or_default();
                *count = count.saturating_add(1);
            }
            let mut counts: Vec<(String, u64)> = counts
                .into_iter()
                .map(|(emoji, count)| (emoji.to_owned(), count))
                .collect();
            counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            counts
        };
        let reactions = rows.into_iter().take(MAX_REACTIONS).map(|row| Reaction {
            id: row.id,
            author: row.author,
            emoji: row.emoji,
        });
        Ok((reactions.collect(), counts))
    }

    fn statuses(
        &self,
        position: u64,
        author: &AccountId,
    ) -> (Vec<(AccountId, Status)>, StatusCounts) {
        let mut counts = StatusCounts::default();
        let mut all = Vec::new();
        for receiver in &self.receivers {
            let status = receiver.status(position, author);
            let count = match status {
                Status::Sending => &mut counts.sending,
                Status::Sent => &mut counts.sent,
                Status::Displayed => &mut counts.displayed,
            };
            *count = count.saturating_add(1);
            if self.receivers.len() <= MAX_STATUSES {
                all.push((receiver.account, status));
            }
        }
        (all, counts)
    }
}

fn fields(row: &MessageRow) -> BTreeMap<String, String> {
    serde_json::from_str(&row.fields).unwrap_or_default()
}

/// What a commit says beside its text and what it refers to.
fn details(fields: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    fields
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), "body" | "reply-to"))
        .map(|(key, value)| {
            let (key, value) = (cut(key, MAX_DETAIL), cut(value, MAX_DETAIL));
            (key.to_owned(), value.to_owned())
        })
        .collect()
}

fn kind(class: Class) -> EntryKind {
    match class {
        Class::Text => EntryKind::Text,
        Class::File | Class::Media => EntryKind::File,
        Class::Call => EntryKind::Call,
        Class::Member => EntryKind::Member,
        Class::Vote => EntryKind::Vote,
        Class::Profile => EntryKind::Profile,
        Class::Initial => EntryKind::Begin,
        Class::Other => EntryKind::Other,
    }
}

/// What the index has for what may be asked.
fn classes(kind: crate::view::SearchKind) -> Vec<Class> {
    match kind {
        crate::view::SearchKind::Text => vec![Class::Text],
        crate::view::SearchKind::File => vec![Class::File, Class::Media],
        crate::view::SearchKind::Media => vec![Class::Media],
    }
}

/// Says in words what an entry is that is no text.
fn describe(
    kind: EntryKind,
    deleted: bool,
    commit_type: &str,
    details: &BTreeMap<String, String>,
) -> String {
    let detail = |key: &str| details.get(key).map_or("", String::as_str);
    if deleted {
        return "deleted".into();
    }
    match kind {
        EntryKind::Text => String::new(),
        EntryKind::File => format!(
            "file {} of {} bytes",
            detail("displayName"),
            detail("totalSize")
        ),
        EntryKind::Call => call(details),
        EntryKind::Member => {
            let what = match detail("action") {
                "add" => "was invited",
                "join" => "joined",
                "remove" => "left",
                "ban" => "was banned",
                "unban" => "was unbanned",
                other => other,
            };
            format!("{} {what}", detail("uri"))
        }
        EntryKind::Vote => format!("votes on {}", detail("uri")),
        EntryKind::Profile => "changed the profile".into(),
        EntryKind::Begin => "began the conversation".into(),
        EntryKind::Other if commit_type == "application/collab-doc+json" => format!(
            "collaborative document {}, not supported yet",
            detail("displayName")
        ),
        EntryKind::Other => format!("a message of the unknown type {commit_type}"),
    }
}

/// Says in words how a call was.
fn call(details: &BTreeMap<String, String>) -> String {
    let reason = details.get("reason").map_or("", String::as_str);
    let group = details.contains_key("confId");
    let duration: Option<u64> = details.get("duration").and_then(|ms| ms.parse().ok());
    match duration {
        None if group => "call began".into(),
        None | Some(0) if !reason.is_empty() => format!("call not answered: {reason}"),
        None | Some(0) => "call not answered".into(),
        Some(ms) => {
            let seconds = ms / 1000;
            format!("call of {}:{:02}", seconds / 60, seconds % 60)
        }
    }
}

/// Text up to a length, at the end of a character.
fn cut(text: &str, most: usize) -> &str {
    let end = text.floor_char_boundary(most);
    text.split_at_checked(end).map_or("", |(text, _)| text)
}
