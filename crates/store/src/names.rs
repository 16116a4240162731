//! Names that name servers gave to accounts.

use baraza_wire::{AccountId, UnixTime};

use crate::database::{Store, StoreError, column};

/// Most names kept for an account: those that nobody wanted to know for longest go first.
pub const MAX_NAMES: usize = 4096;

/// A name, as a server once said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRow {
    /// The server's URL.
    pub server: String,
    /// The name.
    pub name: String,
    /// Whose it is.
    pub id: AccountId,
    /// Whether the owner's signature was there, and good.
    pub signed: bool,
    /// When the server last said so.
    pub resolved: UnixTime,
    /// When somebody last wanted to know.
    pub used: UnixTime,
}

const COLUMNS: &str = "server, name, id, signed, resolved, used";

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<NameRow> {
    Ok(NameRow {
        server: row.get(0)?,
        name: row.get(1)?,
        id: AccountId::new(column::bytes(row, 2)?),
        signed: row.get(3)?,
        resolved: column::time(row, 4)?,
        used: column::time(row, 5)?,
    })
}

impl Store {
    /// Enters a name, in place of what was known of it and of its owner at that server.
    ///
    /// # Errors
    /// If the database fails.
    pub fn put_name(&mut self, account: i64, row: &NameRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT OR REPLACE INTO names (account, server, name, id, signed, resolved, used)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                account,
                &row.server,
                &row.name,
                row.id.as_bytes(),
                row.signed,
                column::stored(row.resolved.millis()),
                column::stored(row.used.millis()),
            ),
        )?;
        self.execute(
            "DELETE FROM names WHERE account = ?1 AND (server, name) IN (
                 SELECT server, name FROM names WHERE account = ?1
                 ORDER BY used DESC LIMIT -1 OFFSET ?2)",
            (account, i64::try_from(MAX_NAMES).unwrap_or(i64::MAX)),
        )?;
        Ok(())
    }

    /// Removes a name.
    ///
    /// # Errors
    /// If the database fails.
    pub fn remove_name(
        &mut self,
        account: i64,
        server: &str,
        name: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM names WHERE account = ?1 AND server = ?2 AND name = ?3",
            (account, server, name),
        )?;
        Ok(())
    }

    /// All names, those that were confirmed last first.
    ///
    /// # Errors
    /// If the database fails.
    pub fn names(&self, account: i64) -> Result<Vec<NameRow>, StoreError> {
        self.query(
            &format!("SELECT {COLUMNS} FROM names WHERE account = ?1 ORDER BY resolved DESC"),
            [account],
            read,
        )
    }

    /// What is known of a name.
    ///
    /// # Errors
    /// If the database fails.
    pub fn name(
        &self,
        account: i64,
        server: &str,
        name: &str,
    ) -> Result<Option<NameRow>, StoreError> {
        self.query_one(
            &format!(
                "SELECT {COLUMNS} FROM names WHERE account = ?1 AND server = ?2 AND name = ?3"
            ),
            (account, server, name),
            read,
        )
    }

    /// The name of an account at a server.
    ///
    /// # Errors
    /// If the database fails.
    pub fn name_of(
        &self,
        account: i64,
        server: &str,
        id: &AccountId,
    ) -> Result<Option<NameRow>, StoreError> {
        self.query_one(
            &format!("SELECT {COLUMNS} FROM names WHERE account = ?1 AND server = ?2 AND id = ?3"),
            (account, server, id.as_bytes()),
            read,
        )
    }
}
