//! Addresses that are told what happens.

use baraza_wire::UnixTime;

use crate::database::{Store, StoreError, column};

/// An address that is told what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRow {
    /// Its id.
    pub id: String,
    /// Where what happens is sent to.
    pub url: String,
    /// What it is for.
    pub label: String,
    /// The key that signs what is sent.
    pub secret: WebhookSecret,
    /// Only these types: names with spaces between; empty: all.
    pub types: String,
    /// Only of these accounts: local names with spaces between; empty: all.
    pub accounts: String,
    /// Only of these conversations: hex with spaces between; empty: all.
    pub conversations: String,
    /// The token it was made with, if it was not the owner's.
    pub parent: Option<String>,
    /// When it was made.
    pub created: UnixTime,
    /// How far it has got.
    pub state: WebhookState,
}

/// A key, which is not for logs.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(pub [u8; 32]);

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

/// How far an address has got.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WebhookState {
    /// The cursor of the last event that it has, or that was not for it.
    pub cursor: u64,
    /// When it last took one.
    pub delivered: Option<UnixTime>,
    /// Since when it takes none.
    pub failing: Option<UnixTime>,
    /// How often it was tried since then.
    pub failures: u32,
    /// When it last failed.
    pub failed: Option<UnixTime>,
    /// How; kept when it takes events again.
    pub error: String,
    /// Why nothing is sent any more; empty if it is.
    pub disabled: String,
}

impl Store {
    /// Adds one.
    ///
    /// # Errors
    /// If the database fails, or the token is gone that it was made with.
    pub fn add_webhook(&mut self, row: &WebhookRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO webhooks (id, url, label, secret, types, accounts, conversations, parent,
                 created, cursor) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            (
                &row.id,
                &row.url,
                &row.label,
                row.secret.0,
                &row.types,
                &row.accounts,
                &row.conversations,
                &row.parent,
                column::stored(row.created.millis()),
                column::stored(row.state.cursor),
            ),
        )
        .map(drop)
    }

    /// All of them, the oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub fn webhooks(&self) -> Result<Vec<WebhookRow>, StoreError> {
        self.query(
            "SELECT id, url, label, secret, types, accounts, conversations, parent, created,
                 cursor, delivered, failing, failures, failed, error, disabled
             FROM webhooks ORDER BY created, id",
            (),
            |row| {
                Ok(WebhookRow {
                    id: row.get(0)?,
                    url: row.get(1)?,
                    label: row.get(2)?,
                    secret: WebhookSecret(column::bytes(row, 3)?),
                    types: row.get(4)?,
                    accounts: row.get(5)?,
                    conversations: row.get(6)?,
                    parent: row.get(7)?,
                    created: column::time(row, 8)?,
                    state: WebhookState {
                        cursor: column::number(row, 9)?,
                        delivered: column::maybe_time(row, 10)?,
                        failing: column::maybe_time(row, 11)?,
                        failures: row.get(12)?,
                        failed: column::maybe_time(row, 13)?,
                        error: row.get(14)?,
                        disabled: row.get(15)?,
                    },
                })
            },
        )
    }

    /// Notes how far one has got.
    ///
    /// # Errors
    /// If the database fails.
    pub fn set_webhook_state(&mut self, id: &str, state: &WebhookState) -> Result<(), StoreError> {
        let stored = |time: Option<UnixTime>| time.map(|time| column::stored(time.millis()));
        self.execute(
            "UPDATE webhooks SET cursor = ?2, delivered = ?3, failing = ?4, failures = ?5,
                 failed = ?6, error = ?7, disabled = ?8 WHERE id = ?1",
            (
                id,
                column::stored(state.cursor),
                stored(state.delivered),
                stored(state.failing),
                state.failures,
                stored(state.failed),
                &state.error,
                &state.disabled,
            ),
        )
        .map(drop)
    }

    /// Removes one.
    ///
    /// # Errors
    /// If the database fails.
    pub fn remove_webhook(&mut self, id: &str) -> Result<(), StoreError> {
        self.execute("DELETE FROM webhooks WHERE id = ?1", [id])
            .map(drop)
    }
}
