//! The message index.

use baraza_wire::{AccountId, CommitId};

use crate::conversations::{join_ids, split_ids};
use crate::database::{Store, StoreError, column};

/// One commit of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    /// Its place in the order of this device; from 0.
    pub position: u64,
    /// The commit.
    pub id: CommitId,
    /// The author's account.
    pub author: AccountId,
    /// The type.
    pub kind: String,
    /// The author's date, in seconds.
    pub time: u64,
    /// Its parents.
    pub parents: Vec<CommitId>,
    /// The other keys, as a JSON object of texts.
    pub fields: String,
}

pub(crate) const COLUMNS: &str =
    "SELECT position, id, author, kind, time, parents, fields FROM messages";

pub(crate) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<MessageRow> {
    Ok(MessageRow {
        position: column::number(row, 0)?,
        id: CommitId::new(column::bytes(row, 1)?),
        author: AccountId::new(column::bytes(row, 2)?),
        kind: row.get(3)?,
        time: column::number(row, 4)?,
        parents: split_ids(row.get_ref(5)?.as_blob()?),
        fields: row.get(6)?,
    })
}

impl Store {
    /// Adds a message; its position and its id must be new.
    ///
    /// # Errors
    /// If they are not, or the database fails.
    pub fn add_message(&mut self, conversation: i64, row: &MessageRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO messages (conversation, position, id, author, kind, time, parents, fields)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            (
                conversation,
                column::stored(row.position),
                row.id.as_bytes(),
                row.author.as_bytes(),
                &row.kind,
                column::stored(row.time),
                join_ids(&row.parents),
                &row.fields,
            ),
        )?;
        Ok(())
    }

    /// Forgets all messages of a conversation, to index it again.
    ///
    /// # Errors
    /// If the database fails.
    pub fn clear_messages(&mut self, conversation: i64) -> Result<(), StoreError> {
        self.clear_view(conversation)?;
        self.execute(
            "DELETE FROM messages WHERE conversation = ?1",
            [conversation],
        )?;
        Ok(())
    }

    /// Messages from position `from` downwards, at most `count`.
    ///
    /// # Errors
    /// If the database fails.
    pub fn messages_down(
        &self,
        conversation: i64,
        from: u64,
        count: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.query(
            &format!(
                "{COLUMNS} WHERE conversation = ?1 AND position <= ?2
                 ORDER BY position DESC LIMIT ?3"
            ),
            (conversation, column::stored(from), count),
            read,
        )
    }

    /// The position of a commit; `None` if it is not here.
    ///
    /// # Errors
    /// If the database fails.
    pub fn position(&self, conversation: i64, id: &CommitId) -> Result<Option<u64>, StoreError> {
        self.query_one(
            "SELECT position FROM messages WHERE conversation = ?1 AND id = ?2",
            (conversation, id.as_bytes()),
            |row| column::number(row, 0),
        )
    }

    /// The message at a position.
    ///
    /// # Errors
    /// If the database fails.
    pub fn message_at(
        &self,
        conversation: i64,
        position: u64,
    ) -> Result<Option<MessageRow>, StoreError> {
        self.query_one(
            &format!("{COLUMNS} WHERE conversation = ?1 AND position = ?2"),
            (conversation, column::stored(position)),
            read,
        )
    }

    /// Position and parents of a commit.
    ///
    /// # Errors
    /// If the database fails.
    pub fn ancestry(
        &self,
        conversation: i64,
        id: &CommitId,
    ) -> Result<Option<(u64, Vec<CommitId>)>, StoreError> {
        self.query_one(
            "SELECT position, parents FROM messages WHERE conversation = ?1 AND id = ?2",
            (conversation, id.as_bytes()),
            |row| {
                Ok((
                    column::number(row, 0)?,
                    split_ids(row.get_ref(1)?.as_blob()?),
                ))
            },
        )
    }

    /// The commit at a position, and whether it is something other than a merge.
    ///
    /// # Errors
    /// If the database fails.
    pub fn outline(
        &self,
        conversation: i64,
        position: u64,
    ) -> Result<Option<(CommitId, bool)>, StoreError> {
        self.query_one(
            "SELECT id, kind <> 'merge' FROM messages WHERE conversation = ?1 AND position = ?2",
            (conversation, column::stored(position)),
            |row| Ok((CommitId::new(column::bytes(row, 0)?), row.get(1)?)),
        )
    }
}
