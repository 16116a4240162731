//! What clients ask about files.

use baraza_store::{FileRow, FileState};
use baraza_wire::{CommitId, ConversationId};

use super::{AUTO_ACCEPT_KEY, FileKey};
use crate::account::{Account, CommandFailure};
use crate::command::{CommandError, Reply, SharedFile};
use crate::event::FileStatus;
use crate::protocol::transfer::file_id;

impl Account {
    /// A file of a conversation that can be used.
    pub(super) fn file_row(
        &self,
        id: &ConversationId,
        message: &CommitId,
    ) -> Result<FileRow, CommandFailure> {
        let number = self.conversation(id)?.row.number;
        let row = self.core.store.file(number, message)?;
        Ok(row.ok_or(CommandError::NoSuchFile)?)
    }

    /// The command to list files.
    pub(in crate::account) fn file_list(
        &self,
        id: &ConversationId,
    ) -> Result<Reply, CommandFailure> {
        let number = self.conversation(id)?.row.number;
        let rows = self.core.store.files(number)?;
        let files = rows.into_iter().map(|row| self.shared_file(*id, row));
        Ok(Reply::Files(files.collect()))
    }

    /// The command to look at one file. If it is gone from the disk, it can be fetched
    /// again.
    pub(in crate::account) fn file(
        &mut self,
        id: ConversationId,
        message: &CommitId,
    ) -> Result<Reply, CommandFailure> {
        let mut row = self.file_row(&id, message)?;
        if row.state == FileState::Here && !self.core.area().content(&id, &row.sha3).is_file() {
            self.content_lost(id, &mut row)?;
        }
        Ok(Reply::File(self.shared_file(id, row)))
    }

    fn shared_file(&self, id: ConversationId, row: FileRow) -> SharedFile {
        let key: FileKey = (id, row.message);
        let (status, received) = match row.state {
            FileState::Offered => (FileStatus::Offered, 0),
            FileState::Deleted => (FileStatus::Deleted, 0),
            FileState::Here => (FileStatus::Here, row.size),
            FileState::Wanted => match self.files.wants.get(&key) {
                Some(want) => (want.status(), want.received()),
                None => (FileStatus::Waiting, 0),
            },
        };
        let here = status == FileStatus::Here;
        SharedFile {
            message: row.message,
            author: row.author,
            file_id: match status {
                FileStatus::Deleted => String::new(),
                _ => file_id(&row.message, &row.tid, &row.name),
            },
            time: row.time,
            name: row.name,
            size: row.size,
            status,
            received,
            path: here.then(|| self.core.area().content(&id, &row.sha3)),
            sha3sum: row.sha3,
        }
    }

    /// The largest file that is fetched without being asked for.
    pub(in crate::account) fn auto_accept(&self) -> Reply {
        Reply::Count(self.files.auto_accept)
    }

    /// Sets it.
    pub(in crate::account) fn set_auto_accept(
        &mut self,
        limit: u64,
    ) -> Result<Reply, CommandFailure> {
        let number = self.core.config.number;
        self.core.store.begin()?;
        self.core
            .store
            .set_setting(number, AUTO_ACCEPT_KEY, Some(&limit.to_string()))?;
        self.files.auto_accept = limit;
        Ok(Reply::Done)
    }
}
