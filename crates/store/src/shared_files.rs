//! Files that were sent to conversations.

use baraza_wire::{AccountId, CommitId};
use rusqlite::Row;

use crate::database::{Store, StoreError, column};

/// A file that was sent to a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// The message that offers it.
    pub message: CommitId,
    /// Who sent it.
    pub author: AccountId,
    /// When, in seconds, as the author says.
    pub time: u64,
    /// Its name, as the author says.
    pub name: String,
    /// The SHA3-512 of its content, in hex.
    pub sha3: String,
    /// The number that makes its id unique.
    pub tid: String,
    /// Its length.
    pub size: u64,
    /// Where it is.
    pub state: FileState,
    /// If it is here: the modification time, in nanoseconds since 1970, when its content was
    /// last found to be the right one.
    pub changed: u64,
}

/// Where a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileState {
    /// With others.
    Offered,
    /// With others, and to be fetched.
    Wanted,
    /// Here.
    Here,
    /// Taken back by its author.
    Deleted,
}

impl FileState {
    const fn number(self) -> u8 {
        match self {
            Self::Offered => 0,
            Self::Wanted => 1,
            Self::Here => 2,
            Self::Deleted => 3,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Offered),
            1 => Some(Self::Wanted),
            2 => Some(Self::Here),
            3 => Some(Self::Deleted),
            _ => None,
        }
    }
}

const COLUMNS: &str = "message, author, time, name, sha3, tid, size, state, changed";

fn read(row: &Row<'_>) -> rusqlite::Result<FileRow> {
    let state: u8 = row.get(7)?;
    Ok(FileRow {
        message: CommitId::new(column::bytes(row, 0)?),
        author: AccountId::new(column::bytes(row, 1)?),
        time: column::number(row, 2)?,
        name: row.get(3)?,
        sha3: row.get(4)?,
        tid: row.get(5)?,
        size: column::number(row, 6)?,
        state: FileState::from_number(state)
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(7, state.into()))?,
        changed: column::number(row, 8)?,
    })
}

impl Store {
    /// Enters a file. One that is there already keeps its state.
    ///
    /// # Errors
    /// If the database fails.
    pub fn add_file(&mut self, conversation: i64, row: &FileRow) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT INTO files (conversation, {COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING"
        );
        self.execute(
            &sql,
            (
                conversation,
                row.message.as_bytes(),
                row.author.as_bytes(),
                column::stored(row.time),
                &row.name,
                &row.sha3,
                &row.tid,
                column::stored(row.size),
                row.state.number(),
                column::stored(row.changed),
            ),
        )?;
        Ok(())
    }

    /// Notes where a file is.
    ///
    /// # Errors
    /// If the database fails.
    pub fn set_file_state(
        &mut self,
        conversation: i64,
        message: &CommitId,
        state: FileState,
        changed: u64,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE files SET state = ?3, changed = ?4 WHERE conversation = ?1 AND message = ?2",
            (
                conversation,
                message.as_bytes(),
                state.number(),
                column::stored(changed),
            ),
        )?;
        Ok(())
    }

    /// A file.
    ///
    /// # Errors
    /// If the database fails.
    pub fn file(
        &self,
        conversation: i64,
        message: &CommitId,
    ) -> Result<Option<FileRow>, StoreError> {
        self.query_one(
            &format!("SELECT {COLUMNS} FROM files WHERE conversation = ?1 AND message = ?2"),
            (conversation, message.as_bytes()),
            read,
        )
    }

    /// All files of a conversation, the newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub fn files(&self, conversation: i64) -> Result<Vec<FileRow>, StoreError> {
        self.query(
            &format!(
                "SELECT {COLUMNS} FROM files WHERE conversation = ?1 ORDER BY time DESC, message"
            ),
            [conversation],
            read,
        )
    }

    /// Files of a conversation with this content.
    ///
    /// # Errors
    /// If the database fails.
    pub fn files_like(&self, conversation: i64, sha3: &str) -> Result<Vec<FileRow>, StoreError> {
        self.query(
            &format!("SELECT {COLUMNS} FROM files WHERE conversation = ?1 AND sha3 = ?2"),
            (conversation, sha3),
            read,
        )
    }
}
