//! Up to where other members have read.

use baraza_wire::{AccountId, CommitId, UnixTime};

use crate::database::{Store, StoreError, column};

/// Up to where a member has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRow {
    /// The member.
    pub member: AccountId,
    /// The last message it has read.
    pub message: CommitId,
    /// When we were told.
    pub time: UnixTime,
}

impl Store {
    /// Up to where the members of a conversation have read.
    ///
    /// # Errors
    /// If the database fails.
    pub fn reads(&self, conversation: i64) -> Result<Vec<ReadRow>, StoreError> {
        self.query(
            "SELECT member, message, time FROM reads WHERE conversation = ?1 ORDER BY member",
            [conversation],
            |row| {
                Ok(ReadRow {
                    member: AccountId::new(column::bytes(row, 0)?),
                    message: CommitId::new(column::bytes(row, 1)?),
                    time: column::time(row, 2)?,
                })
            },
        )
    }

    /// Notes up to where a member has read.
    ///
    /// # Errors
    /// If the database fails.
    pub fn put_read(&mut self, conversation: i64, row: &ReadRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO reads (conversation, member, message, time) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET message = excluded.message, time = excluded.time",
            (
                conversation,
                row.member.as_bytes(),
                row.message.as_bytes(),
                column::stored(row.time.millis()),
            ),
        )?;
        Ok(())
    }
}
