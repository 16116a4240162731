//! Files in conversations (docs/protocol/06-messages-files.md section 8).
//!
//! A message offers a file; its content is fetched by whoever wants it, from any member's
//! device that has it. What is to be fetched is in the database, and what there is of it on
//! the disk, so that both outlive this program. Everything that reads or writes contents is
//! run aside, with at most one task at a time for each of them.

mod fetch;
mod list;
mod send;
mod serve;
mod task;

use std::collections::{BTreeMap, VecDeque};

use baraza_store::{FileRow, FileState, StoreError};
use baraza_swarm::{CommitInfo, Stop};
use baraza_wire::{AccountId, CommitId, ConversationId};

use crate::account::work::{Task, Work, WorkId};
use crate::account::{Account, Core, Output, RequestId};
use crate::event::{EventBody, FileStatus};
use crate::files::{Area, FileError, changed};
use crate::protocol::transfer::{file_id, is_sha3, is_tid};

use fetch::Want;
use send::Sending;
pub(super) use serve::Serving;
pub(super) use task::{FileProduct, FileTask};

/// A file: the conversation and the message that offers it.
pub(super) type FileKey = (ConversationId, CommitId);

/// Files that are fetched without being asked for are at most so large, unless the user
/// says otherwise: as in existing clients.
pub const AUTO_ACCEPT: u64 = 20 << 20;
/// The setting for that.
const AUTO_ACCEPT_KEY: &str = "files.auto_accept";

/// What is under way with files.
#[derive(Debug, Default)]
pub(super) struct Files {
    jobs: BTreeMap<u64, (Job, Stop)>,
    next_job: u64,
    /// The largest file that is fetched without being asked for.
    auto_accept: u64,
    /// Files being taken in, or waiting for that.
    sending: VecDeque<Sending>,
    importing: usize,
    wants: BTreeMap<FileKey, Want>,
    /// Counts wants, so that the oldest is served first.
    next_want: u64,
    serving: serve::Turns,
}

/// What a task is for.
#[derive(Debug)]
enum Job {
    Import(Sending),
    Fetch(FileKey, u64),
    Check(FileKey, baraza_link::ChannelId),
    Read(baraza_link::ChannelId),
    Remove,
}

/// What a commit that was indexed says about a file.
#[derive(Debug)]
pub(super) enum FileNews {
    /// One was offered.
    Offered {
        row: FileRow,
        /// Whether clients are told of the message.
        tell: bool,
    },
    /// One was taken back.
    Deleted(CommitId),
}

impl Drop for Files {
    fn drop(&mut self) {
        for (_, stop) in self.jobs.values() {
            stop.now();
        }
    }
}

impl Files {
    /// Commands that wait for a file, for an error to all of them.
    pub(super) fn take_requests(&mut self) -> Vec<RequestId> {
        let waiting = self.sending.drain(..).map(|sending| sending.request);
        let mut requests: Vec<RequestId> = waiting.collect();
        for (job, stop) in std::mem::take(&mut self.jobs).into_values() {
            stop.now();
            if let Job::Import(sending) = job {
                requests.push(sending.request);
            }
        }
        requests
    }

    /// Begins something aside. The number of it.
    fn start(&mut self, core: &mut Core, job: Job, task: FileTask) -> u64 {
        self.next_job = self.next_job.wrapping_add(1);
        let number = self.next_job;
        let stop = Stop::default();
        self.jobs.insert(number, (job, stop.clone()));
        core.out.push_back(Output::Work(Work {
            id: WorkId::File(number),
            task: Task::File(Box::new(task)),
            stop,
        }));
        number
    }
}

impl Core {
    /// Where contents of files are.
    fn area(&self) -> Area {
        Area::new(&self.config.directory)
    }

    /// Enters what a commit says about files into the database.
    pub(super) fn index_file(
        &mut self,
        conversation: (ConversationId, i64),
        info: &CommitInfo,
        tell: bool,
    ) -> Result<(), StoreError> {
        let (id, number) = conversation;
        let news = match &info.message {
            baraza_swarm::Message::File {
                name,
                sha3sum,
                tid,
                size,
                ..
            } if is_sha3(sha3sum) && is_tid(tid) => {
                let mut row = FileRow {
                    message: info.id,
                    author: info.author,
                    time: info.time.secs(),
                    name: name.clone(),
                    sha3: sha3sum.clone(),
                    tid: tid.clone(),
                    size: *size,
                    state: FileState::Offered,
                    changed: 0,
                };
                // What is in that place was found to be what its name says.
                let content = std::fs::metadata(self.area().content(&id, sha3sum));
                if let Ok(content) = content
                    && content.len() == *size
                {
                    row.state = FileState::Here;
                    row.changed = changed(&content);
                }
                self.store.add_file(number, &row)?;
                FileNews::Offered { row, tell }
            }
            baraza_swarm::Message::RemoveFile { of } => {
                let author = self.store.file(number, of)?.map(|row| row.author);
                if author != Some(info.author) {
                    return Ok(());
                }
                self.store
                    .set_file_state(number, of, FileState::Deleted, 0)?;
                FileNews::Deleted(*of)
            }
            _ => return Ok(()),
        };
        self.file_news.push((id, news));
        Ok(())
    }
}

impl Account {
    /// Goes on with what an earlier run was to fetch.
    pub(super) fn load_files(&mut self) -> Result<(), StoreError> {
        let number = self.core.config.number;
        let limit = self.core.store.setting(number, AUTO_ACCEPT_KEY)?;
        let limit = limit.and_then(|text| text.parse().ok());
        self.files.auto_accept = limit.unwrap_or(AUTO_ACCEPT);
        let mut needed = std::collections::BTreeSet::new();
        let all: Vec<(ConversationId, i64)> = self
            .conversations
            .values()
            .map(|conversation| (conversation.row.id, conversation.row.number))
            .collect();
        for (id, number) in all {
            for row in self.core.store.files(number)? {
                match row.state {
                    FileState::Wanted => {
                        needed.insert((id.to_hex(), format!("{}.tmp", row.message)));
                        self.enqueue(id, row, false);
                    }
                    FileState::Here => {
                        needed.insert((id.to_hex(), row.sha3));
                    }
                    FileState::Offered | FileState::Deleted => {}
                }
            }
        }
        let unfinished: Vec<String> = self
            .conversations
            .values()
            .filter(|conversation| conversation.partial || conversation.has_fresh())
            .map(|conversation| conversation.row.id.to_hex())
            .collect();
        let tidied = self.core.area().tidy(|directory, name| {
            // What is not indexed yet may need what is there.
            unfinished.iter().any(|other| other == directory)
                || needed.contains(&(directory.to_owned(), name.to_owned()))
        });
        if let Err(error) = tidied {
            tracing::warn!(%error, "files that nobody needs were not removed");
        }
        Ok(())
    }

    /// Takes note of what was indexed.
    pub(super) fn take_file_news(&mut self) -> Result<(), StoreError> {
        if self.core.file_news.is_empty() {
            return Ok(());
        }
        for (id, news) in std::mem::take(&mut self.core.file_news) {
            match news {
                FileNews::Offered { row, tell } => self.offered(id, row, tell)?,
                FileNews::Deleted(message) => self.file_deleted(id, message)?,
            }
        }
        self.advance_files();
        Ok(())
    }

    /// A file was offered.
    fn offered(&mut self, id: ConversationId, row: FileRow, tell: bool) -> Result<(), StoreError> {
        if row.state == FileState::Here {
            return match self.conversation_number(&id) {
                Some(number) => self.content_here(id, number, &row, row.changed),
                None => Ok(()),
            };
        }
        if row.state != FileState::Offered || !tell {
            return Ok(());
        }
        let limit = self.files.auto_accept;
        if limit == 0 || row.size > limit || self.files.wants.len() >= fetch::MAX_UNASKED {
            return Ok(());
        }
        self.accept(id, row, true)
    }

    /// A file was taken back.
    fn file_deleted(&mut self, id: ConversationId, message: CommitId) -> Result<(), StoreError> {
        self.stop_fetching(&(id, message));
        self.stop_serving(&(id, message))?;
        let Some(number) = self.conversation_number(&id) else {
            return Ok(());
        };
        let Some(row) = self.core.store.file(number, &message)? else {
            return Ok(());
        };
        self.drop_content(id, number, &row.sha3)?;
        self.tell_file(id, &row, FileStatus::Deleted, 0, "");
        Ok(())
    }

    /// Removes a content that no file of the conversation has any more.
    fn drop_content(
        &mut self,
        id: ConversationId,
        number: i64,
        sha3: &str,
    ) -> Result<(), StoreError> {
        let others = self.core.store.files_like(number, sha3)?;
        if others.iter().all(|row| row.state != FileState::Here) {
            self.remove_aside(&self.core.area().content(&id, sha3));
        }
        Ok(())
    }

    /// A conversation was removed, with its files.
    pub(super) fn forget_files(&mut self, id: &ConversationId) -> Result<(), StoreError> {
        let gone: Vec<FileKey> = self
            .files
            .wants
            .keys()
            .filter(|(conversation, _)| conversation == id)
            .copied()
            .collect();
        for key in gone {
            self.stop_fetching(&key);
        }
        self.stop_serving_all(id)?;
        self.remove_aside(&self.core.area().conversation(id));
        Ok(())
    }

    /// Removes a file or a directory: from its place at once, as there may soon be another
    /// one, and from the disk aside, as that may take long.
    fn remove_aside(&mut self, path: &std::path::Path) {
        let name = self.core.rng.u64();
        match self.core.area().set_aside(path, name) {
            Ok(Some(doomed)) => {
                let task = FileTask::Remove(doomed);
                self.files.start(&mut self.core, Job::Remove, task);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "a file was not removed"),
        }
    }

    /// Something with a file was done aside.
    pub(super) fn file_worked(
        &mut self,
        number: u64,
        result: Result<FileProduct, FileError>,
    ) -> Result<(), StoreError> {
        let Some((job, _)) = self.files.jobs.remove(&number) else {
            return Ok(());
        };
        match job {
            Job::Import(sending) => self.imported(sending, result),
            Job::Fetch(key, serial) => self.fetch_worked(key, serial, result),
            Job::Check(key, channel) => self.checked(key, channel, result),
            Job::Read(channel) => self.was_read(channel, result),
            Job::Remove => {
                if let Err(error) = result {
                    tracing::warn!(%error, "a file was not removed");
                }
                Ok(())
            }
        }
    }

    fn conversation_number(&self, id: &ConversationId) -> Option<i64> {
        let conversation = self.conversations.get(id);
        conversation.map(|conversation| conversation.row.number)
    }

    /// Whether an account is in a conversation, and not only invited.
    pub(super) fn is_member(&self, id: &ConversationId, account: &AccountId) -> bool {
        let conversation = self.conversations.get(id);
        let repository = conversation.and_then(|conversation| conversation.ready());
        let role = repository.and_then(|repository| repository.role(account).ok().flatten());
        matches!(
            role,
            Some(baraza_swarm::Role::Admin | baraza_swarm::Role::Member)
        )
    }

    fn tell_file(
        &mut self,
        id: ConversationId,
        row: &FileRow,
        status: FileStatus,
        received: u64,
        detail: &str,
    ) {
        self.core.emit(EventBody::FileChanged {
            conversation: id,
            message: row.message,
            file_id: file_id(&row.message, &row.tid, &row.name),
            status,
            received,
            size: row.size,
            detail: detail.to_owned(),
        });
    }
}
