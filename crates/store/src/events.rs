//! The log of events.

use baraza_wire::UnixTime;

use crate::database::{Store, StoreError, column};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its cursor.
    pub cursor: u64,
    /// The local name of its account.
    pub account: String,
    /// When.
    pub time: UnixTime,
    /// What, as JSON.
    pub body: String,
}

/// Events kept; older ones are forgotten now and then.
pub const MAX_EVENTS: u64 = 50_000;

impl Store {
    /// Adds an event. Returns its cursor.
    ///
    /// # Errors
    /// If the database fails.
    pub fn add_event(
        &mut self,
        account: &str,
        time: UnixTime,
        body: &str,
    ) -> Result<u64, StoreError> {
        self.execute(
            "INSERT INTO events (account, time, body) VALUES (?1, ?2, ?3)",
            (account, column::stored(time.millis()), body),
        )?;
        let cursor = u64::try_from(self.connection.last_insert_rowid())
            .map_err(|_| StoreError::Impossible("cursor"))?;
        if cursor.is_multiple_of(1024) {
            self.execute(
                "DELETE FROM events WHERE cursor <= ?1",
                [column::stored(cursor.saturating_sub(MAX_EVENTS))],
            )?;
        }
        Ok(cursor)
    }

    /// Events after `cursor`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// If the database fails.
    pub fn events_after(&self, cursor: u64, limit: usize) -> Result<Vec<EventRow>, StoreError> {
        self.query(
            "SELECT cursor, account, time, body FROM events
             WHERE cursor > ?1 ORDER BY cursor LIMIT ?2",
            (
                column::stored(cursor),
                i64::try_from(limit).unwrap_or(i64::MAX),
            ),
            |row| {
                Ok(EventRow {
                    cursor: column::number(row, 0)?,
                    account: row.get(1)?,
                    time: column::time(row, 2)?,
                    body: row.get(3)?,
                })
            },
        )
    }

    /// The cursor before the oldest event kept, and that of the newest one.
    ///
    /// # Errors
    /// If the database fails.
    pub fn event_range(&self) -> Result<(u64, u64), StoreError> {
        let oldest = self.query_one("SELECT min(cursor) FROM events", (), |row| {
            row.get::<_, Option<i64>>(0)
        })?;
        let newest = self.query_one(
            "SELECT seq FROM sqlite_sequence WHERE name = 'events'",
            (),
            |row| column::number(row, 0),
        )?;
        let newest = newest.unwrap_or(0);
        let before = match oldest.flatten() {
            Some(oldest) => u64::try_from(oldest).unwrap_or(0).saturating_sub(1),
            None => newest,
        };
        Ok((before, newest))
    }
}
