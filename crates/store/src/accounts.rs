//! Accounts and their settings.

use baraza_wire::{AccountId, DeviceId, UnixTime};

use crate::database::{Store, StoreError, column};

/// Largest database that is written anew when an account is removed, in bytes.
const MAX_REWRITTEN: i64 = 128 * 1024 * 1024;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// Its number, which the other rows refer to.
    pub number: i64,
    /// Its local name: 16 hex digits.
    pub local_id: String,
    /// Its Jami ID.
    pub jami_id: AccountId,
    /// This device.
    pub device_id: DeviceId,
    /// The name it shows.
    pub display_name: String,
    /// When it came here.
    pub created: UnixTime,
}

impl Store {
    /// Adds an account; `row.number` is ignored. Returns its number.
    ///
    /// # Errors
    /// If the account is there already, or the database fails.
    pub fn add_account(&mut self, row: &AccountRow) -> Result<i64, StoreError> {
        self.execute(
            "INSERT INTO accounts (local_id, jami_id, device_id, display_name, created)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                &row.local_id,
                row.jami_id.as_bytes(),
                row.device_id.as_bytes(),
                &row.display_name,
                column::stored(row.created.millis()),
            ),
        )?;
        Ok(self.connection.last_insert_rowid())
    }

    /// All accounts, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        self.query(
            "SELECT id, local_id, jami_id, device_id, display_name, created
             FROM accounts ORDER BY id",
            (),
            |row| {
                Ok(AccountRow {
                    number: row.get(0)?,
                    local_id: row.get(1)?,
                    jami_id: AccountId::new(column::bytes(row, 2)?),
                    device_id: DeviceId::new(column::bytes(row, 3)?),
                    display_name: row.get(4)?,
                    created: column::time(row, 5)?,
                })
            },
        )
    }

    /// Removes an account with everything that belongs to it, also its events. What was
    /// there is overwritten; in a very large database as far as SQLite does that by itself.
    ///
    /// # Errors
    /// If the database fails.
    pub fn forget_account(&mut self, account: i64, local_id: &str) -> Result<(), StoreError> {
        self.connection.pragma_update(None, "secure_delete", true)?;
        self.atomic(|store| {
            store.execute("DELETE FROM events WHERE account = ?1", [local_id])?;
            store.execute("DELETE FROM accounts WHERE id = ?1", [account])?;
            Ok::<_, StoreError>(())
        })?;
        self.connection
            .pragma_update(None, "secure_delete", false)?;
        // Rows that were moved within the file left copies, and so did the log. The others
        // wait as long as the file is written anew.
        let pragma = |name| {
            self.connection
                .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
        };
        if pragma("page_count")?.saturating_mul(pragma("page_size")?) <= MAX_REWRITTEN {
            self.connection.execute_batch("VACUUM")?;
        }
        self.connection
            .pragma(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()))?;
        Ok(())
    }

    /// Sets the name an account shows.
    ///
    /// # Errors
    /// If the database fails.
    pub fn set_display_name(&mut self, account: i64, name: &str) -> Result<(), StoreError> {
        self.execute(
            "UPDATE accounts SET display_name = ?2 WHERE id = ?1",
            (account, name),
        )?;
        Ok(())
    }

    /// A setting of an account.
    ///
    /// # Errors
    /// If the database fails.
    pub fn setting(&self, account: i64, key: &str) -> Result<Option<String>, StoreError> {
        self.query_one(
            "SELECT value FROM settings WHERE account = ?1 AND key = ?2",
            (account, key),
            |row| row.get(0),
        )
    }

    /// Sets or (with `None`) clears a setting.
    ///
    /// # Errors
    /// If the database fails.
    pub fn set_setting(
        &mut self,
        account: i64,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), StoreError> {
        match value {
            Some(value) => self.execute(
                "INSERT INTO settings (account, key, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET value = excluded.value",
                (account, key, value),
            )?,
            None => self.execute(
                "DELETE FROM settings WHERE account = ?1 AND key = ?2",
                (account, key),
            )?,
        };
        Ok(())
    }
}
