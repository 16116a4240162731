//! Commits that were refused, and texts to be written again.

use baraza_wire::{AccountId, CommitId, DeviceId, UnixTime};

use crate::database::{Store, StoreError, column};

/// A commit that was refused: what builds on it cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalRow {
    /// The commit.
    pub message: CommitId,
    /// The device that wrote it, as it says.
    pub author: Option<DeviceId>,
    /// The device that first brought it.
    pub source: DeviceId,
    /// The rule it breaks.
    pub rule: String,
    /// More, for people.
    pub detail: String,
    /// When it came.
    pub time: UnixTime,
}

/// An own text of a copy that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsentRow {
    /// Its number.
    pub number: i64,
    /// The commit it was.
    pub message: CommitId,
    /// The text.
    pub body: String,
    /// What it answers.
    pub reply_to: Option<CommitId>,
}

impl Store {
    /// Refused commits of a conversation, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub fn refusals(&self, conversation: i64) -> Result<Vec<RefusalRow>, StoreError> {
        self.query(
            "SELECT message, author, source, rule, detail, time FROM refusals
             WHERE conversation = ?1 ORDER BY time, message",
            [conversation],
            |row| {
                Ok(RefusalRow {
                    message: CommitId::new(column::bytes(row, 0)?),
                    author: column::maybe_bytes(row, 1)?.map(DeviceId::new),
                    source: DeviceId::new(column::bytes(row, 2)?),
                    rule: row.get(3)?,
                    detail: row.get(4)?,
                    time: column::time(row, 5)?,
                })
            },
        )
    }

    /// Notes a refused commit.
    ///
    /// # Errors
    /// If the database fails.
    pub fn add_refusal(&mut self, conversation: i64, row: &RefusalRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO refusals (conversation, message, author, source, rule, detail, time)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            (
                conversation,
                row.message.as_bytes(),
                row.author.as_ref().map(DeviceId::as_bytes),
                row.source.as_bytes(),
                &row.rule,
                &row.detail,
                column::stored(row.time.millis()),
            ),
        )?;
        Ok(())
    }

    /// Forgets the refused commits of a conversation.
    ///
    /// # Errors
    /// If the database fails.
    pub fn clear_refusals(&mut self, conversation: i64) -> Result<(), StoreError> {
        let sql = "DELETE FROM refusals WHERE conversation = ?1";
        self.execute(sql, [conversation])?;
        Ok(())
    }

    /// Positions of the newest own texts of a conversation, oldest first, at most `count`.
    ///
    /// # Errors
    /// If the database fails.
    pub fn own_texts(
        &self,
        conversation: i64,
        own: &AccountId,
        count: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.query(
            "SELECT position FROM (
                 SELECT position FROM entries
                 WHERE conversation = ?1 AND author = ?2 AND class = 1 AND deleted = 0
                 ORDER BY position DESC LIMIT ?3)
             ORDER BY position",
            (conversation, own.as_bytes(), count),
            |row| column::number(row, 0),
        )
    }

    /// Texts to be written again, in their order.
    ///
    /// # Errors
    /// If the database fails.
    pub fn unsent(&self, conversation: i64) -> Result<Vec<UnsentRow>, StoreError> {
        self.query(
            "SELECT id, message, body, reply_to FROM unsent WHERE conversation = ?1 ORDER BY id",
            [conversation],
            |row| {
                Ok(UnsentRow {
                    number: row.get(0)?,
                    message: CommitId::new(column::bytes(row, 1)?),
                    body: row.get(2)?,
                    reply_to: column::maybe_bytes(row, 3)?.map(CommitId::new),
                })
            },
        )
    }

    /// Keeps a text to be written again; `row.number` is ignored.
    ///
    /// # Errors
    /// If the database fails.
    pub fn add_unsent(&mut self, conversation: i64, row: &UnsentRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO unsent (conversation, message, body, reply_to) VALUES (?1, ?2, ?3, ?4)",
            (
                conversation,
                row.message.as_bytes(),
                &row.body,
                row.reply_to.as_ref().map(CommitId::as_bytes),
            ),
        )?;
        Ok(())
    }

    /// Forgets the texts to be written again, as they were.
    ///
    /// # Errors
    /// If the database fails.
    pub fn clear_unsent(&mut self, conversation: i64) -> Result<(), StoreError> {
        let sql = "DELETE FROM unsent WHERE conversation = ?1";
        self.execute(sql, [conversation])?;
        Ok(())
    }
}
