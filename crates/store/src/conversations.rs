//! Conversations, and what devices of other members are known to have of them.

use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId, UnixTime};

use crate::database::{Store, StoreError, column};

/// Whether a conversation can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConversationState {
    /// Accepted, to be cloned.
    Cloning,
    /// Its repository is here.
    Ready,
    /// Left: gone for the user, but others may have to fetch that.
    Removed,
}

impl ConversationState {
    const fn number(self) -> i64 {
        match self {
            Self::Cloning => 0,
            Self::Ready => 1,
            Self::Removed => 2,
        }
    }

    const fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Cloning),
            1 => Some(Self::Ready),
            2 => Some(Self::Removed),
            _ => None,
        }
    }
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationRow {
    /// Its number, which messages refer to.
    pub number: i64,
    /// Its id.
    pub id: ConversationId,
    /// Whether it can be used.
    pub state: ConversationState,
    /// Its mode: 0 is one-to-one.
    pub mode: u8,
    /// Who invited us, or was invited by us.
    pub peer: Option<AccountId>,
    /// When it was made or accepted.
    pub created: UnixTime,
    /// When it was removed; 0 for never.
    pub removed: UnixTime,
    /// The head of the repository when the index was last brought up to date.
    pub head: Option<CommitId>,
    /// Commits in the index.
    pub length: u64,
    /// The last message read here.
    pub read: Option<CommitId>,
}

/// What a device is known to have of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The device.
    pub device: DeviceId,
    /// Its account.
    pub owner: AccountId,
    /// It has every commit below this position.
    pub base: u64,
    /// And these, with their ancestors.
    pub heads: Vec<CommitId>,
}

const COLUMNS: &str =
    "SELECT id, conversation, state, mode, peer, created, removed, head, length, read
     FROM conversations";

impl Store {
    /// Adds a conversation; `row.number` is ignored. Returns its number.
    ///
    /// # Errors
    /// If it is there already, or the database fails.
    pub fn add_conversation(
        &mut self,
        account: i64,
        row: &ConversationRow,
    ) -> Result<i64, StoreError> {
        self.execute(
            "INSERT INTO conversations
                 (account, conversation, state, mode, peer, created, removed, head, length, read)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            (
                account,
                row.id.as_bytes(),
                row.state.number(),
                i64::from(row.mode),
                row.peer.as_ref().map(AccountId::as_bytes),
                column::stored(row.created.millis()),
                column::stored(row.removed.millis()),
                row.head.as_ref().map(CommitId::as_bytes),
                column::stored(row.length),
                row.read.as_ref().map(CommitId::as_bytes),
            ),
        )?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Notes of whom a conversation may be cloned.
    ///
    /// # Errors
    /// If the database fails.
    pub fn set_clone_sources(
        &mut self,
        conversation: i64,
        sources: &[AccountId],
    ) -> Result<(), StoreError> {
        for source in sources {
            self.execute(
                "INSERT INTO clone_sources (conversation, source) VALUES (?1, ?2)
                 ON CONFLICT DO NOTHING",
                (conversation, source.as_bytes()),
            )?;
        }
        Ok(())
    }

    /// Of whom a conversation may be cloned, beside whoever invited.
    ///
    /// # Errors
    /// If the database fails.
    pub fn clone_sources(&self, conversation: i64) -> Result<Vec<AccountId>, StoreError> {
        self.query(
            "SELECT source FROM clone_sources WHERE conversation = ?1 ORDER BY source",
            [conversation],
            |row| Ok(AccountId::new(column::bytes(row, 0)?)),
        )
    }

    /// Forgets of whom it might be cloned: it was.
    ///
    /// # Errors
    /// If the database fails.
    pub fn clear_clone_sources(&mut self, conversation: i64) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM clone_sources WHERE conversation = ?1",
            [conversation],
        )?;
        Ok(())
    }

    /// All conversations of an account, oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub fn conversations(&self, account: i64) -> Result<Vec<ConversationRow>, StoreError> {
        let rows = self.query(
            &format!("{COLUMNS} WHERE account = ?1 ORDER BY created, id"),
            [account],
            |row| {
                let state: i64 = row.get(2)?;
                Ok((
                    state,
                    ConversationRow {
                        number: row.get(0)?,
                        id: ConversationId::new(column::bytes(row, 1)?),
                        state: ConversationState::Removed,
                        mode: row.get(3)?,
                        peer: column::maybe_bytes(row, 4)?.map(AccountId::new),
                        created: column::time(row, 5)?,
                        removed: column::time(row, 6)?,
                        head: column::maybe_bytes(row, 7)?.map(CommitId::new),
                        length: column::number(row, 8)?,
                        read: column::maybe_bytes(row, 9)?.map(CommitId::new),
                    },
                ))
            },
        )?;
        rows.into_iter()
            .map(|(state, mut row)| {
                row.state = ConversationState::from_number(state)
                    .ok_or(StoreError::Impossible("state of a conversation"))?;
                Ok(row)
            })
            .collect()
    }

    /// Writes a conversation's row again, found by its number.
    ///
    /// # Errors
    /// If the database fails.
    pub fn put_conversation(&mut self, row: &ConversationRow) -> Result<(), StoreError> {
        self.execute(
            "UPDATE conversations SET state = ?2, mode = ?3, peer = ?4, created = ?5,
                 removed = ?6, head = ?7, length = ?8, read = ?9 WHERE id = ?1",
            (
                row.number,
                row.state.number(),
                i64::from(row.mode),
                row.peer.as_ref().map(AccountId::as_bytes),
                column::stored(row.created.millis()),
                column::stored(row.removed.millis()),
                row.head.as_ref().map(CommitId::as_bytes),
                column::stored(row.length),
                row.read.as_ref().map(CommitId::as_bytes),
            ),
        )?;
        Ok(())
    }

    /// Forgets a conversation with its messages.
    ///
    /// # Errors
    /// If the database fails.
    pub fn remove_conversation(&mut self, number: i64) -> Result<(), StoreError> {
        self.execute("DELETE FROM conversations WHERE id = ?1", [number])?;
        Ok(())
    }

    /// Accounts that were invited by us and have not joined, and since when.
    ///
    /// # Errors
    /// If the database fails.
    pub fn invitations(&self, conversation: i64) -> Result<Vec<(AccountId, UnixTime)>, StoreError> {
        self.query(
            "SELECT target, created FROM invitations WHERE conversation = ?1 ORDER BY target",
            [conversation],
            |row| {
                Ok((
                    AccountId::new(column::bytes(row, 0)?),
                    column::time(row, 1)?,
                ))
            },
        )
    }

    /// Notes that an account is to be invited.
    ///
    /// # Errors
    /// If the database fails.
    pub fn put_invitation(
        &mut self,
        conversation: i64,
        target: &AccountId,
        created: UnixTime,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO invitations (conversation, target, created) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET created = excluded.created",
            (
                conversation,
                target.as_bytes(),
                column::stored(created.millis()),
            ),
        )?;
        Ok(())
    }

    /// Notes that an account need not be invited any more.
    ///
    /// # Errors
    /// If the database fails.
    pub fn remove_invitation(
        &mut self,
        conversation: i64,
        target: &AccountId,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM invitations WHERE conversation = ?1 AND target = ?2",
            (conversation, target.as_bytes()),
        )?;
        Ok(())
    }

    /// What the devices of other members are known to have.
    ///
    /// # Errors
    /// If the database fails.
    pub fn deliveries(&self, conversation: i64) -> Result<Vec<DeliveryRow>, StoreError> {
        self.query(
            "SELECT device, owner, base, heads FROM delivery
             WHERE conversation = ?1 ORDER BY device",
            [conversation],
            |row| {
                Ok(DeliveryRow {
                    device: DeviceId::new(column::bytes(row, 0)?),
                    owner: AccountId::new(column::bytes(row, 1)?),
                    base: column::number(row, 2)?,
                    heads: split_ids(row.get_ref(3)?.as_blob()?),
                })
            },
        )
    }

    /// Notes what a device has.
    ///
    /// # Errors
    /// If the database fails.
    pub fn put_delivery(&mut self, conversation: i64, row: &DeliveryRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO delivery (conversation, device, owner, base, heads)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET owner = excluded.owner, base = excluded.base,
                 heads = excluded.heads",
            (
                conversation,
                row.device.as_bytes(),
                row.owner.as_bytes(),
                column::stored(row.base),
                join_ids(&row.heads),
            ),
        )?;
        Ok(())
    }

    /// Forgets what a device has.
    ///
    /// # Errors
    /// If the database fails.
    pub fn remove_delivery(
        &mut self,
        conversation: i64,
        device: &DeviceId,
    ) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM delivery WHERE conversation = ?1 AND device = ?2",
            (conversation, device.as_bytes()),
        )?;
        Ok(())
    }
}

/// Ids one after the other.
pub(crate) fn join_ids(ids: &[CommitId]) -> Vec<u8> {
    ids.iter().flat_map(|id| *id.as_bytes()).collect()
}

/// The reverse of [`join_ids`].
pub(crate) fn split_ids(bytes: &[u8]) -> Vec<CommitId> {
    bytes
        .chunks_exact(CommitId::LEN)
        .filter_map(CommitId::from_slice)
        .collect()
}
