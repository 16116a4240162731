//! Contacts and requests.

use baraza_wire::{AccountId, ConversationId, UnixTime};

use crate::database::{Store, StoreError, column};

/// A contact, as docs/protocol/02-account.md section 7.1 has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactRow {
    /// Who.
    pub contact: AccountId,
    /// When it was last added; 0 for never.
    pub added: UnixTime,
    /// When it was last removed; 0 for never.
    pub removed: UnixTime,
    /// Whether it is known to have us, too.
    pub confirmed: bool,
    /// Whether the removal was a ban.
    pub banned: bool,
    /// The one-to-one conversation.
    pub conversation: Option<ConversationId>,
}

impl ContactRow {
    /// Whether it is a contact now.
    pub fn is_active(&self) -> bool {
        self.added > self.removed
    }

    /// Whether it is blocked now.
    pub fn is_banned(&self) -> bool {
        !self.is_active() && self.banned
    }
}

/// A request from somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// The conversation offered.
    pub conversation: ConversationId,
    /// Who asks.
    pub sender: AccountId,
    /// The mode of the conversation; 0 is one-to-one.
    pub mode: u8,
    /// The name the sender gives.
    pub name: String,
    /// When it came (or was sent, where the sender says).
    pub received: UnixTime,
    /// When it was last declined; 0 for never.
    pub declined: UnixTime,
    /// When it was last sent, as the sender says; 0 if unknown.
    pub issued: UnixTime,
}

impl RequestRow {
    /// Whether it awaits an answer: it was not declined, or was sent anew after that.
    pub fn is_pending(&self) -> bool {
        self.declined.millis() == 0 || self.issued > self.declined
    }
}

impl Store {
    /// All contacts, removed and blocked ones too.
    ///
    /// # Errors
    /// If the database fails.
    pub fn contacts(&self, account: i64) -> Result<Vec<ContactRow>, StoreError> {
        self.query(
            "SELECT contact, added, removed, confirmed, banned, conversation
             FROM contacts WHERE account = ?1 ORDER BY contact",
            [account],
            |row| {
                Ok(ContactRow {
                    contact: AccountId::new(column::bytes(row, 0)?),
                    added: column::time(row, 1)?,
                    removed: column::time(row, 2)?,
                    confirmed: row.get(3)?,
                    banned: row.get(4)?,
                    conversation: column::maybe_bytes(row, 5)?.map(ConversationId::new),
                })
            },
        )
    }

    /// Adds or replaces a contact.
    ///
    /// # Errors
    /// If the database fails.
    pub fn put_contact(&mut self, account: i64, row: &ContactRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO contacts
                 (account, contact, added, removed, confirmed, banned, conversation)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO UPDATE SET added = excluded.added, removed = excluded.removed,
                 confirmed = excluded.confirmed, banned = excluded.banned,
                 conversation = excluded.conversation",
            (
                account,
                row.contact.as_bytes(),
                column::stored(row.added.millis()),
                column::stored(row.removed.millis()),
                row.confirmed,
                row.banned,
                row.conversation.as_ref().map(ConversationId::as_bytes),
            ),
        )?;
        Ok(())
    }

    /// All requests, declined ones too, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub fn requests(&self, account: i64) -> Result<Vec<RequestRow>, StoreError> {
        self.query(
            "SELECT conversation, sender, name, received, declined, mode, issued
             FROM requests WHERE account = ?1 ORDER BY received, conversation",
            [account],
            |row| {
                Ok(RequestRow {
                    conversation: ConversationId::new(column::bytes(row, 0)?),
                    sender: AccountId::new(column::bytes(row, 1)?),
                    name: row.get(2)?,
                    received: column::time(row, 3)?,
                    declined: column::time(row, 4)?,
                    mode: row.get(5)?,
                    issued: column::time(row, 6)?,
                })
            },
        )
    }

    /// Adds or replaces a request.
    ///
    /// # Errors
    /// If the database fails.
    pub fn put_request(&mut self, account: i64, row: &RequestRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO requests
                 (account, conversation, sender, name, received, declined, mode, issued)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO UPDATE SET sender = excluded.sender, name = excluded.name,
                 received = excluded.received, declined = excluded.declined,
                 mode = excluded.mode, issued = excluded.issued",
            (
                account,
                row.conversation.as_bytes(),
                row.sender.as_bytes(),
                &row.name,
                column::stored(row.received.millis()),
                column::stored(row.declined.millis()),
                row.mode,
                column::stored(row.issued.millis()),
            ),
        )?;
        Ok(())
    }

    /// Forgets a request.
    ///
    /// # Errors
    /// If the database fails.
    pub fn remove_request(
        &mut self,
        account: i64,
        conversation: &ConversationId,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM requests WHERE account = ?1 AND conversation = ?2",
            (account, conversation.as_bytes()),
        )?;
        Ok(())
    }
}
