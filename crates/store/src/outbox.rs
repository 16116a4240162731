//! What is sent again and again until it is known to have arrived.

use baraza_wire::{AccountId, ConversationId, UnixTime};

use crate::database::{Store, StoreError, column};

/// What is owed to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutboxKind {
    /// A contact request.
    Request,
    /// The acceptance of one.
    Confirmation,
}

impl OutboxKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Confirmation => "confirmation",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        [Self::Request, Self::Confirmation]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// Something owed. There is at most one of each kind for each target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// What.
    pub kind: OutboxKind,
    /// To whom.
    pub target: AccountId,
    /// About which conversation.
    pub conversation: ConversationId,
    /// What goes with it.
    pub payload: Vec<u8>,
    /// Since when.
    pub created: UnixTime,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next.
    pub next_try: UnixTime,
    /// Why it has not arrived yet, for people.
    pub reason: String,
}

impl Store {
    /// Everything an account owes.
    ///
    /// # Errors
    /// If the database fails.
    pub fn outbox(&self, account: i64) -> Result<Vec<OutboxRow>, StoreError> {
        let rows = self.query(
            "SELECT kind, target, conversation, payload, created, tries, next_try, reason
             FROM outbox WHERE account = ?1 ORDER BY id",
            [account],
            |row| {
                let kind: String = row.get(0)?;
                Ok((
                    kind,
                    OutboxRow {
                        kind: OutboxKind::Request,
                        target: AccountId::new(column::bytes(row, 1)?),
                        conversation: ConversationId::new(column::bytes(row, 2)?),
                        payload: row.get(3)?,
                        created: column::time(row, 4)?,
                        tries: row.get(5)?,
                        next_try: column::time(row, 6)?,
                        reason: row.get(7)?,
                    },
                ))
            },
        )?;
        rows.into_iter()
            .map(|(kind, mut row)| {
                row.kind = OutboxKind::from_text(&kind)
                    .ok_or(StoreError::Impossible("kind of an outbox entry"))?;
                Ok(row)
            })
            .collect()
    }

    /// Adds or replaces what is owed.
    ///
    /// # Errors
    /// If the database fails.
    pub fn put_outbox(&mut self, account: i64, row: &OutboxRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO outbox
                 (account, kind, target, conversation, payload, created, tries, next_try, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (account, kind, target) DO UPDATE SET
                 conversation = excluded.conversation, payload = excluded.payload,
                 tries = excluded.tries, next_try = excluded.next_try,
                 reason = excluded.reason",
            (
                account,
                row.kind.as_str(),
                row.target.as_bytes(),
                row.conversation.as_bytes(),
                &row.payload,
                column::stored(row.created.millis()),
                row.tries,
                column::stored(row.next_try.millis()),
                &row.reason,
            ),
        )?;
        Ok(())
    }

    /// It has arrived, or is not wanted any more.
    ///
    /// # Errors
    /// If the database fails.
    pub fn remove_outbox(
        &mut self,
        account: i64,
        kind: OutboxKind,
        target: &AccountId,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM outbox WHERE account = ?1 AND kind = ?2 AND target = ?3",
            (account, kind.as_str(), target.as_bytes()),
        )?;
        Ok(())
    }
}
