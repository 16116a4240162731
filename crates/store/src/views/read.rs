//! Reading what the history shows.

use baraza_wire::{AccountId, CommitId};

use super::{Class, EDIT, REACTION, ViewRow};
use crate::database::{Store, StoreError, column};

/// An entry of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRow {
    /// Its number, which rises in the order in which entries came, over all conversations.
    pub number: i64,
    /// The number of its conversation.
    pub conversation: i64,
    /// Where its commit is.
    pub position: u64,
    /// What it is.
    pub class: Class,
    /// Position of its newest edit.
    pub wording: Option<u64>,
    /// Whether that took it back.
    pub deleted: bool,
}

/// A reaction to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactionRow {
    /// Its commit.
    pub id: CommitId,
    /// Whose.
    pub author: AccountId,
    /// What.
    pub emoji: String,
}

const COLUMNS: &str = "id, conversation, position, class, wording, deleted";

pub(crate) fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<EntryRow> {
    let wording: Option<i64> = row.get(4)?;
    Ok(EntryRow {
        number: row.get(0)?,
        conversation: row.get(1)?,
        position: column::number(row, 2)?,
        class: Class::from_number(row.get(3)?),
        wording: wording.and_then(|at| u64::try_from(at).ok()),
        deleted: row.get(5)?,
    })
}

impl Store {
    /// Entries below a position, newest first, at most `count`.
    ///
    /// # Errors
    /// If the database fails.
    pub fn entries_below(
        &self,
        conversation: i64,
        position: u64,
        count: usize,
    ) -> Result<Vec<EntryRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM entries WHERE conversation = ?1 AND position < ?2
             ORDER BY position DESC LIMIT ?3"
        );
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let values = (conversation, column::stored(position), count);
        self.query(&sql, values, entry)
    }

    /// Entries from a position on, oldest first, at most `count`.
    ///
    /// # Errors
    /// If the database fails.
    pub fn entries_from(
        &self,
        conversation: i64,
        position: u64,
        count: usize,
    ) -> Result<Vec<EntryRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM entries WHERE conversation = ?1 AND position >= ?2
             ORDER BY position LIMIT ?3"
        );
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let values = (conversation, column::stored(position), count);
        self.query(&sql, values, entry)
    }

    /// Position of the first entry that counts as unread.
    ///
    /// # Errors
    /// If the database fails.
    pub fn first_unread(&self, own: &AccountId, view: &ViewRow) -> Result<Option<u64>, StoreError> {
        if view.unread == 0 {
            return Ok(None);
        }
        self.query_one(
            "SELECT position FROM entries
             WHERE conversation = ?1 AND position >= ?2
               AND author <> ?3 AND class <= ?4 AND deleted = 0
             ORDER BY position LIMIT 1",
            (
                view.conversation,
                column::stored(view.read),
                own.as_bytes(),
                Class::LAST_COUNTED,
            ),
            |row| column::number(row, 0),
        )
    }

    /// Positions of the edits of a message by its author, oldest first, at most `count`.
    ///
    /// # Errors
    /// If the database fails.
    pub fn edits(
        &self,
        conversation: i64,
        target: &CommitId,
        author: &AccountId,
        count: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.query(
            "SELECT position FROM refs
             WHERE conversation = ?1 AND target = ?2 AND kind = ?3 AND author = ?4
             ORDER BY position LIMIT ?5",
            (
                conversation,
                target.as_bytes(),
                EDIT,
                author.as_bytes(),
                count,
            ),
            |row| column::number(row, 0),
        )
    }

    /// Reactions to a message that stand, oldest first, at most `count`.
    ///
    /// # Errors
    /// If the database fails.
    pub fn reactions(
        &self,
        conversation: i64,
        target: &CommitId,
        count: usize,
    ) -> Result<Vec<ReactionRow>, StoreError> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.query(
            "SELECT id, author, emoji FROM refs
             WHERE conversation = ?1 AND target = ?2 AND kind = ?3 AND emoji <> ''
             ORDER BY position LIMIT ?4",
            (conversation, target.as_bytes(), REACTION, count),
            |row| {
                Ok(ReactionRow {
                    id: CommitId::new(column::bytes(row, 0)?),
                    author: AccountId::new(column::bytes(row, 1)?),
                    emoji: row.get(2)?,
                })
            },
        )
    }

    /// How often each emoji stands at a message, the most frequent ones first, at most
    /// `count`.
    ///
    /// # Errors
    /// If the database fails.
    pub fn reaction_counts(
        &self,
        conversation: i64,
        target: &CommitId,
        count: usize,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.query(
            "SELECT emoji, count(*) FROM refs
             WHERE conversation = ?1 AND target = ?2 AND kind = ?3 AND emoji <> ''
             GROUP BY emoji ORDER BY count(*) DESC, emoji LIMIT ?4",
            (conversation, target.as_bytes(), REACTION, count),
            |row| Ok((row.get(0)?, column::number(row, 1)?)),
        )
    }

    /// Messages from a position on, oldest first, at most `count`.
    ///
    /// # Errors
    /// If the database fails.
    pub fn messages_up(
        &self,
        conversation: i64,
        from: u64,
        count: usize,
    ) -> Result<Vec<crate::messages::MessageRow>, StoreError> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.query(
            &format!(
                "{} WHERE conversation = ?1 AND position >= ?2 ORDER BY position LIMIT ?3",
                crate::messages::COLUMNS
            ),
            (conversation, column::stored(from), count),
            crate::messages::read,
        )
    }
}
