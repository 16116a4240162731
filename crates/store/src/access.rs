//! Who may use the API: sessions of browsers, tokens of programs, the password.

use baraza_wire::UnixTime;

use crate::database::{Store, StoreError, column};

/// A browser that signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its number.
    pub id: u64,
    /// SHA-256 of its secret.
    pub secret: [u8; 32],
    /// What the browser calls itself.
    pub client: String,
    /// When it signed in.
    pub created: UnixTime,
    /// When it last asked for something, roughly.
    pub used: UnixTime,
}

/// A program with a token of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its id.
    pub id: String,
    /// SHA-256 of the token.
    pub secret: [u8; 32],
    /// The token's first characters.
    pub prefix: String,
    /// What it is for.
    pub label: String,
    /// What it may do: names with spaces between.
    pub scopes: String,
    /// For which accounts: local names with spaces between; empty: all.
    pub accounts: String,
    /// For which conversations: hex with spaces between; empty: all.
    pub conversations: String,
    /// The token it was made with, if not with the owner's.
    pub parent: Option<String>,
    /// When it was made.
    pub created: UnixTime,
    /// When it ends.
    pub expires: Option<UnixTime>,
    /// When it was last used, roughly.
    pub used: Option<UnixTime>,
}

/// The password, hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordRow {
    /// Its salt.
    pub salt: Vec<u8>,
    /// Its hash.
    pub hash: Vec<u8>,
}

impl Store {
    /// Adds a session; its number. The `id` given is ignored.
    ///
    /// # Errors
    /// If the database fails.
    pub fn add_session(&mut self, row: &SessionRow) -> Result<u64, StoreError> {
        self.execute(
            "INSERT INTO api_sessions (secret, client, created, used) VALUES (?1, ?2, ?3, ?4)",
            (
                row.secret,
                &row.client,
                column::stored(row.created.millis()),
                column::stored(row.used.millis()),
            ),
        )?;
        u64::try_from(self.connection.last_insert_rowid())
            .map_err(|_| StoreError::Impossible("session"))
    }

    /// All sessions.
    ///
    /// # Errors
    /// If the database fails.
    pub fn sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        self.query(
            "SELECT id, secret, client, created, used FROM api_sessions ORDER BY id",
            (),
            |row| {
                Ok(SessionRow {
                    id: column::number(row, 0)?,
                    secret: column::bytes(row, 1)?,
                    client: row.get(2)?,
                    created: column::time(row, 3)?,
                    used: column::time(row, 4)?,
                })
            },
        )
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// If the database fails.
    pub fn session_used(&mut self, id: u64, used: UnixTime) -> Result<(), StoreError> {
        self.execute(
            "UPDATE api_sessions SET used = ?2 WHERE id = ?1",
            (column::stored(id), column::stored(used.millis())),
        )
        .map(drop)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// If the database fails.
    pub fn remove_session(&mut self, id: u64) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM api_sessions WHERE id = ?1",
            [column::stored(id)],
        )
        .map(drop)
    }

    /// Adds a token.
    ///
    /// # Errors
    /// If the database fails, or its parent is gone.
    pub fn add_token(&mut self, row: &TokenRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO api_tokens (id, secret, prefix, label, scopes, accounts, conversations,
                 parent, created, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            (
                &row.id,
                row.secret,
                &row.prefix,
                &row.label,
                &row.scopes,
                &row.accounts,
                &row.conversations,
                &row.parent,
                column::stored(row.created.millis()),
                row.expires.map(|time| column::stored(time.millis())),
            ),
        )
        .map(drop)
    }

    /// All tokens, the oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.query(
            "SELECT id, secret, prefix, label, scopes, accounts, conversations, parent, created,
                 expires, used FROM api_tokens ORDER BY created, id",
            (),
            |row| {
                Ok(TokenRow {
                    id: row.get(0)?,
                    secret: column::bytes(row, 1)?,
                    prefix: row.get(2)?,
                    label: row.get(3)?,
                    scopes: row.get(4)?,
                    accounts: row.get(5)?,
                    conversations: row.get(6)?,
                    parent: row.get(7)?,
                    created: column::time(row, 8)?,
                    expires: column::maybe_time(row, 9)?,
                    used: column::maybe_time(row, 10)?,
                })
            },
        )
    }

    /// Notes that a token was used.
    ///
    /// # Errors
    /// If the database fails.
    pub fn token_used(&mut self, id: &str, used: UnixTime) -> Result<(), StoreError> {
        self.execute(
            "UPDATE api_tokens SET used = ?2 WHERE id = ?1",
            (id, column::stored(used.millis())),
        )
        .map(drop)
    }

    /// Revokes a token, and those that were made with it.
    ///
    /// # Errors
    /// If the database fails.
    pub fn remove_token(&mut self, id: &str) -> Result<(), StoreError> {
        self.execute("DELETE FROM api_tokens WHERE id = ?1", [id])
            .map(drop)
    }

    /// The password, if there is one.
    ///
    /// # Errors
    /// If the database fails.
    pub fn api_password(&self) -> Result<Option<PasswordRow>, StoreError> {
        self.query_one("SELECT salt, hash FROM api_password", (), |row| {
            Ok(PasswordRow {
                salt: row.get(0)?,
                hash: row.get(1)?,
            })
        })
    }

    /// Sets the password, or removes it.
    ///
    /// # Errors
    /// If the database fails.
    pub fn set_api_password(&mut self, password: Option<&PasswordRow>) -> Result<(), StoreError> {
        match password {
            Some(row) => self.execute(
                "INSERT OR REPLACE INTO api_password (one, salt, hash) VALUES (1, ?1, ?2)",
                (&row.salt, &row.hash),
            ),
            None => self.execute("DELETE FROM api_password", ()),
        }
        .map(drop)
    }
}
