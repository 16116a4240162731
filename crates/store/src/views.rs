//! What the history shows: commits with the edits and reactions that refer to them folded
//! in. Kept up in the transaction that adds a message.

mod classify;
mod read;

use baraza_wire::{AccountId, CommitId};

use crate::database::{Store, StoreError, column};
use crate::messages::MessageRow;
use crate::search;
use classify::Part;
pub use classify::{Class, text_of};
pub(crate) use read::entry;
pub use read::{EntryRow, ReactionRow};

/// How far the view of a conversation goes, and what of it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ViewRow {
    /// The conversation's number.
    pub conversation: i64,
    /// Every message below this position is in it.
    pub length: u64,
    /// The person has read what is below this position.
    pub read: u64,
    /// So many entries of others above.
    pub unread: u64,
}

/// Longest emoji kept, in bytes: anything longer is none, and is cut.
const MAX_EMOJI: usize = 64;

const EDIT: i64 = 1;
const REACTION: i64 = 2;

/// An entry that an edit may change.
struct Target {
    entry: i64,
    position: u64,
    author: AccountId,
    class: Class,
    time: u64,
    wording: Option<u64>,
    deleted: bool,
}

impl Store {
    /// How far the view of a conversation goes; `None` if it was not begun.
    ///
    /// # Errors
    /// If the database fails.
    pub fn view(&self, conversation: i64) -> Result<Option<ViewRow>, StoreError> {
        self.query_one(
            "SELECT length, read, unread FROM views WHERE conversation = ?1",
            [conversation],
            |row| {
                Ok(ViewRow {
                    conversation,
                    length: column::number(row, 0)?,
                    read: column::number(row, 1)?,
                    unread: column::number(row, 2)?,
                })
            },
        )
    }

    /// Notes how far a view goes.
    ///
    /// # Errors
    /// If the database fails.
    pub fn put_view(&mut self, view: &ViewRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO views (conversation, length, read, unread) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET length = excluded.length, read = excluded.read,
                 unread = excluded.unread",
            (
                view.conversation,
                column::stored(view.length),
                column::stored(view.read),
                column::stored(view.unread),
            ),
        )?;
        Ok(())
    }

    /// Forgets the view of a conversation, to make it again.
    ///
    /// # Errors
    /// If the database fails.
    pub fn clear_view(&mut self, conversation: i64) -> Result<(), StoreError> {
        for table in ["entries", "refs", "views"] {
            let sql = format!("DELETE FROM {table} WHERE conversation = ?1");
            self.execute(&sql, [conversation])?;
        }
        Ok(())
    }

    /// Takes the next message into the view: the one at `view.length`. `own` is whose
    /// messages are read as they are written.
    ///
    /// # Errors
    /// If the database fails.
    pub fn add_to_view(
        &mut self,
        own: &AccountId,
        view: &mut ViewRow,
        row: &MessageRow,
    ) -> Result<(), StoreError> {
        match classify::part(row) {
            Part::Merge => {}
            Part::Entry(class, text) => self.add_entry(own, view, row, class, &text)?,
            Part::Edit { target, text } => {
                self.add_ref(view.conversation, &target, EDIT, row, "")?;
                self.edit(own, view, row, &target, &text)?;
            }
            Part::Reaction { target, emoji } => {
                // Taken back already? An edit comes after what it edits; but be sure.
                let emoji = match self.newest_edit(view.conversation, &row.id, &row.author)? {
                    Some((_, text)) => text,
                    None => emoji,
                };
                self.add_ref(view.conversation, &target, REACTION, row, cut(&emoji))?;
            }
        }
        view.length = row.position.saturating_add(1);
        Ok(())
    }

    fn add_ref(
        &mut self,
        conversation: i64,
        target: &CommitId,
        kind: i64,
        row: &MessageRow,
        emoji: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO refs (conversation, target, kind, position, id, author, emoji)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                conversation,
                target.as_bytes(),
                kind,
                column::stored(row.position),
                row.id.as_bytes(),
                row.author.as_bytes(),
                emoji,
            ),
        )?;
        Ok(())
    }

    fn add_entry(
        &mut self,
        own: &AccountId,
        view: &mut ViewRow,
        row: &MessageRow,
        class: Class,
        text: &str,
    ) -> Result<(), StoreError> {
        let edit = if class.is_editable() {
            self.newest_edit(view.conversation, &row.id, &row.author)?
        } else {
            None
        };
        let deleted = edit.as_ref().is_some_and(|(_, text)| text.is_empty());
        self.execute(
            "INSERT INTO entries (conversation, position, author, class, time, wording, deleted)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                view.conversation,
                column::stored(row.position),
                row.author.as_bytes(),
                class.number(),
                column::stored(row.time),
                edit.as_ref().map(|(position, _)| column::stored(*position)),
                deleted,
            ),
        )?;
        let entry = self.connection.last_insert_rowid();
        if class.counts() && row.author != *own && !deleted && row.position >= view.read {
            view.unread = view.unread.saturating_add(1);
        }
        let text = edit.as_ref().map_or(text, |(_, text)| text);
        if class.is_searched() && !deleted {
            let scope = search::scope(view.conversation, &row.author, class, row.time);
            self.add_searched(entry, text, &scope)?;
        }
        Ok(())
    }

    /// A new wording of something came.
    fn edit(
        &mut self,
        own: &AccountId,
        view: &mut ViewRow,
        row: &MessageRow,
        target: &CommitId,
        text: &str,
    ) -> Result<(), StoreError> {
        let conversation = view.conversation;
        let Some(position) = self.position(conversation, target)? else {
            return Ok(());
        };
        let Some(edited) = self.target(conversation, position)? else {
            return self.edit_reaction(conversation, position, row, text);
        };
        let newer = edited.wording.is_none_or(|old| old < row.position);
        if edited.author != row.author || !edited.class.is_editable() || !newer {
            return Ok(());
        }
        let deleted = text.is_empty();
        self.execute(
            "UPDATE entries SET wording = ?2, deleted = ?3 WHERE id = ?1",
            (edited.entry, column::stored(row.position), deleted),
        )?;
        if edited.class.counts() && edited.author != *own && edited.position >= view.read {
            view.unread = match (edited.deleted, deleted) {
                (false, true) => view.unread.saturating_sub(1),
                (true, false) => view.unread.saturating_add(1),
                _ => view.unread,
            };
        }
        if !edited.deleted {
            self.execute("DELETE FROM search WHERE rowid = ?1", [edited.entry])?;
        }
        if !deleted {
            let (author, class) = (&edited.author, edited.class);
            let scope = search::scope(conversation, author, class, edited.time);
            self.add_searched(edited.entry, text, &scope)?;
        }
        Ok(())
    }

    /// A reaction is taken back, or becomes another.
    fn edit_reaction(
        &mut self,
        conversation: i64,
        position: u64,
        row: &MessageRow,
        text: &str,
    ) -> Result<(), StoreError> {
        let Some(edited) = self.message_at(conversation, position)? else {
            return Ok(());
        };
        if let Part::Reaction { target, .. } = classify::part(&edited)
            && edited.author == row.author
        {
            self.execute(
                "UPDATE refs SET emoji = ?5
                 WHERE conversation = ?1 AND target = ?2 AND kind = ?3 AND position = ?4",
                (
                    conversation,
                    target.as_bytes(),
                    REACTION,
                    column::stored(position),
                    cut(text),
                ),
            )?;
        }
        Ok(())
    }

    fn target(&self, conversation: i64, position: u64) -> Result<Option<Target>, StoreError> {
        let found = self.query_one(
            "SELECT id, author, class, time, wording, deleted FROM entries
             WHERE conversation = ?1 AND position = ?2",
            (conversation, column::stored(position)),
            |row| {
                let class: i64 = row.get(2)?;
                let wording: Option<i64> = row.get(4)?;
                Ok(Target {
                    entry: row.get(0)?,
                    position,
                    author: AccountId::new(column::bytes(row, 1)?),
                    class: Class::from_number(class),
                    time: column::number(row, 3)?,
                    wording: wording.and_then(|at| u64::try_from(at).ok()),
                    deleted: row.get(5)?,
                })
            },
        )?;
        Ok(found)
    }

    /// Position and text of the newest edit of a message by its author that is here already.
    fn newest_edit(
        &self,
        conversation: i64,
        target: &CommitId,
        author: &AccountId,
    ) -> Result<Option<(u64, String)>, StoreError> {
        let position = self.query_one(
            "SELECT position FROM refs
             WHERE conversation = ?1 AND target = ?2 AND kind = ?3 AND author = ?4
             ORDER BY position DESC LIMIT 1",
            (conversation, target.as_bytes(), EDIT, author.as_bytes()),
            |row| column::number(row, 0),
        )?;
        let Some(position) = position else {
            return Ok(None);
        };
        let row = self.message_at(conversation, position)?;
        Ok(row.map(|row| match classify::part(&row) {
            Part::Edit { text, .. } => (position, text),
            _ => (position, String::new()),
        }))
    }

    fn add_searched(&mut self, entry: i64, text: &str, scope: &str) -> Result<(), StoreError> {
        let text = search::fold::searchable(text);
        self.execute(
            "INSERT INTO search (rowid, text, scope) VALUES (?1, ?2, ?3)",
            (entry, text, scope),
        )?;
        Ok(())
    }

    /// The person has read what is below a position, and nothing above.
    ///
    /// # Errors
    /// If the database fails.
    pub fn set_read(
        &mut self,
        own: &AccountId,
        view: &mut ViewRow,
        read: u64,
    ) -> Result<(), StoreError> {
        let (low, high) = (view.read.min(read), view.read.max(read));
        let between: u64 = self
            .query_one(
                "SELECT count(*) FROM entries
                 WHERE conversation = ?1 AND position >= ?2 AND position < ?3
                   AND author <> ?4 AND class <= ?5 AND deleted = 0",
                (
                    view.conversation,
                    column::stored(low),
                    column::stored(high),
                    own.as_bytes(),
                    Class::LAST_COUNTED,
                ),
                |row| column::number(row, 0),
            )?
            .unwrap_or_default();
        view.unread = if read >= view.read {
            view.unread.saturating_sub(between)
        } else {
            view.unread.saturating_add(between)
        };
        view.read = read;
        self.put_view(view)
    }
}

/// Text up to a length, at the end of a character.
fn cut(text: &str) -> &str {
    let end = text.floor_char_boundary(MAX_EMOJI);
    text.split_at_checked(end).map_or("", |(text, _)| text)
}
