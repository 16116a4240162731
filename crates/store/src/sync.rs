//! What the devices of one account agree about.

use std::collections::BTreeMap;

use baraza_wire::{CommitId, ConversationId, DeviceId, UnixTime};

use crate::database::{Store, StoreError, column};

/// The name of a device of the own account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDeviceRow {
    /// Which.
    pub device: DeviceId,
    /// Its name.
    pub name: String,
    /// Whether the device itself says so, or another one of it.
    pub own_word: bool,
    /// The date of its newest state on the DHT, in nanoseconds since 1970.
    pub date: u64,
}

/// A conversation that was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovedRow {
    /// Which.
    pub conversation: ConversationId,
    /// When it had been made or accepted.
    pub created: UnixTime,
    /// When it was removed.
    pub removed: UnixTime,
}

/// How a conversation is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreferencesRow {
    /// Which.
    pub conversation: ConversationId,
    /// When that was last changed, in seconds.
    pub modified: u64,
    /// Names and values.
    pub entries: BTreeMap<String, String>,
}

/// The last message read of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadMarkRow {
    /// Where.
    pub conversation: ConversationId,
    /// Which message.
    pub message: CommitId,
    /// When, in seconds.
    pub time: u64,
}

/// Removed conversations that are remembered; beyond, the oldest are forgotten.
pub const MAX_REMOVED: i64 = 10_000;

impl Store {
    /// Names of the own account's devices.
    ///
    /// # Errors
    /// If the database fails.
    pub fn own_devices(&self, account: i64) -> Result<Vec<OwnDeviceRow>, StoreError> {
        self.query(
            "SELECT device, name, own_word, date FROM own_devices
             WHERE account = ?1 ORDER BY device",
            [account],
            |row| {
                Ok(OwnDeviceRow {
                    device: DeviceId::new(column::bytes(row, 0)?),
                    name: row.get(1)?,
                    own_word: row.get(2)?,
                    date: column::number(row, 3)?,
                })
            },
        )
    }

    /// Notes the name of a device.
    ///
    /// # Errors
    /// If the database fails.
    pub fn put_own_device(&mut self, account: i64, row: &OwnDeviceRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO own_devices (account, device, name, own_word, date)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET name = excluded.name, own_word = excluded.own_word,
                 date = excluded.date",
            (
                account,
                row.device.as_bytes(),
                &row.name,
                row.own_word,
                column::stored(row.date),
            ),
        )?;
        Ok(())
    }

    /// Conversations that were removed, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub fn removed_conversations(&self, account: i64) -> Result<Vec<RemovedRow>, StoreError> {
        self.query(
            "SELECT conversation, created, removed FROM removed_conversations
             WHERE account = ?1 ORDER BY removed, conversation",
            [account],
            |row| {
                Ok(RemovedRow {
                    conversation: ConversationId::new(column::bytes(row, 0)?),
                    created: column::time(row, 1)?,
                    removed: column::time(row, 2)?,
                })
            },
        )
    }

    /// Notes that a conversation was removed; forgets the oldest beyond [`MAX_REMOVED`].
    ///
    /// # Errors
    /// If the database fails.
    pub fn put_removed(&mut self, account: i64, row: &RemovedRow) -> Result<(), StoreError> {
        self.atomic(|store| {
            store.execute(
                "INSERT INTO removed_conversations (account, conversation, created, removed)
                 VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET created = excluded.created,
                     removed = excluded.removed",
                (
                    account,
                    row.conversation.as_bytes(),
                    column::stored(row.created.millis()),
                    column::stored(row.removed.millis()),
                ),
            )?;
            store.execute(
                "DELETE FROM removed_conversations WHERE account = ?1 AND conversation IN
                     (SELECT conversation FROM removed_conversations WHERE account = ?1
                      ORDER BY removed DESC LIMIT -1 OFFSET ?2)",
                (account, MAX_REMOVED),
            )?;
            Ok(())
        })
    }

    /// A conversation is there again.
    ///
    /// # Errors
    /// If the database fails.
    pub fn forget_removed(
        &mut self,
        account: i64,
        conversation: &ConversationId,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM removed_conversations WHERE account = ?1 AND conversation = ?2",
            (account, conversation.as_bytes()),
        )?;
        Ok(())
    }

    /// Preferences of all conversations.
    ///
    /// # Errors
    /// If the database fails.
    pub fn preferences(&self, account: i64) -> Result<Vec<PreferencesRow>, StoreError> {
        self.query(
            "SELECT conversation, modified, entries FROM preferences
             WHERE account = ?1 ORDER BY conversation",
            [account],
            |row| {
                let entries: String = row.get(2)?;
                Ok(PreferencesRow {
                    conversation: ConversationId::new(column::bytes(row, 0)?),
                    modified: column::number(row, 1)?,
                    entries: serde_json::from_str(&entries).unwrap_or_default(),
                })
            },
        )
    }

    /// Sets the preferences of a conversation.
    ///
    /// # Errors
    /// If the database fails.
    pub fn put_preferences(
        &mut self,
        account: i64,
        row: &PreferencesRow,
    ) -> Result<(), StoreError> {
        let entries = serde_json::to_string(&row.entries).unwrap_or_default();
        self.execute(
            "INSERT INTO preferences (account, conversation, modified, entries)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET modified = excluded.modified,
                 entries = excluded.entries",
            (
                account,
                row.conversation.as_bytes(),
                column::stored(row.modified),
                entries,
            ),
        )?;
        Ok(())
    }

    /// The last messages read.
    ///
    /// # Errors
    /// If the database fails.
    pub fn read_marks(&self, account: i64) -> Result<Vec<ReadMarkRow>, StoreError> {
        self.query(
            "SELECT conversation, message, time FROM read_marks
             WHERE account = ?1 ORDER BY conversation",
            [account],
            |row| {
                Ok(ReadMarkRow {
                    conversation: ConversationId::new(column::bytes(row, 0)?),
                    message: CommitId::new(column::bytes(row, 1)?),
                    time: column::number(row, 2)?,
                })
            },
        )
    }

    /// Notes the last message read.
    ///
    /// # Errors
    /// If the database fails.
    pub fn put_read_mark(&mut self, account: i64, row: &ReadMarkRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO read_marks (account, conversation, message, time)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET message = excluded.message, time = excluded.time",
            (
                account,
                row.conversation.as_bytes(),
                row.message.as_bytes(),
                column::stored(row.time),
            ),
        )?;
        Ok(())
    }
}
