//! Sending files, and taking them back.

use baraza_store::{FileState, StoreError};
use baraza_swarm::Message;
use baraza_wire::{CommitId, ConversationId};

use super::{FileProduct, FileTask, Job};
use crate::account::{Account, CommandFailure, RequestId};
use crate::command::{CommandError, FileSource};
use crate::files::FileError;
use crate::protocol::transfer::display_name;

/// Files taken in at once.
const IMPORTS: usize = 2;
/// Files waiting to be taken in.
const MAX_SENDING: usize = 1000;
/// Highest `tid`: existing clients hold it in a floating-point number.
const MAX_TID: u64 = 1 << 53;

/// A file to be sent.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) request: RequestId,
    conversation: ConversationId,
    source: FileSource,
    name: String,
    reply_to: Option<CommitId>,
}

impl Account {
    /// Takes a file to be sent: its content first, then the message.
    pub(in crate::account) fn send_file(
        &mut self,
        request: RequestId,
        conversation: ConversationId,
        source: FileSource,
        name: &str,
        reply_to: Option<CommitId>,
    ) -> Result<(), CommandFailure> {
        let refused = self.may_send_file(&conversation, reply_to.as_ref()).err();
        if let Some(error) = refused {
            if let FileSource::Staged(staged) = &source {
                staged.discard();
            }
            return Err(error);
        }
        self.files.sending.push_back(Sending {
            request,
            conversation,
            source,
            name: display_name(name),
            reply_to,
        });
        self.next_import();
        Ok(())
    }

    fn may_send_file(
        &self,
        conversation: &ConversationId,
        reply_to: Option<&CommitId>,
    ) -> Result<(), CommandFailure> {
        self.conversation(conversation)?;
        if !self.is_member(conversation, &self.core.account) {
            return Err(CommandError::NotMember.into());
        }
        if let Some(replied) = reply_to {
            self.must_have(conversation, replied)?;
        }
        if self.files.sending.len() >= MAX_SENDING {
            return Err(CommandError::Busy.into());
        }
        Ok(())
    }

    /// Takes in what waits for that.
    fn next_import(&mut self) {
        while self.files.importing < IMPORTS {
            let Some(sending) = self.files.sending.pop_front() else {
                return;
            };
            let area = self.core.area();
            let directory = area.conversation(&sending.conversation);
            let task = match sending.source.clone() {
                FileSource::Path(source) => FileTask::Import {
                    source,
                    staging: area.staging(),
                    name: self.core.rng.u64(),
                    directory,
                },
                FileSource::Staged(staged) => FileTask::Place { staged, directory },
            };
            self.files.importing = self.files.importing.saturating_add(1);
            self.files.start(&mut self.core, Job::Import(sending), task);
        }
    }

    /// A file was taken in.
    pub(super) fn imported(
        &mut self,
        sending: Sending,
        result: Result<FileProduct, FileError>,
    ) -> Result<(), StoreError> {
        self.files.importing = self.files.importing.saturating_sub(1);
        let (request, id) = (sending.request, sending.conversation);
        let queued = match result {
            Ok(FileProduct::Placed { sha3, .. })
                if !self.core.area().content(&id, &sha3).is_file() =>
            {
                // A file with the same content was deleted meanwhile.
                Err(CommandError::File("it was removed".into()).into())
            }
            Ok(FileProduct::Placed { sha3, size }) => {
                let message = Message::File {
                    name: sending.name,
                    sha3sum: sha3.clone(),
                    tid: self.core.rng.range(1..MAX_TID).to_string(),
                    size,
                    reply_to: sending.reply_to,
                };
                let queued = self.queue(request, id, message);
                if queued.is_err()
                    && let Some(number) = self.conversation_number(&id)
                {
                    self.drop_content(id, number, &sha3)?;
                }
                queued
            }
            Ok(_) => Err(CommandError::Stopped.into()),
            Err(error) => Err(CommandError::File(error.to_string()).into()),
        };
        match queued {
            Ok(()) => {}
            Err(CommandFailure::Refused(error)) => self.core.replies.push((request, Err(error))),
            Err(CommandFailure::Store(error)) => return Err(error),
        }
        self.next_import();
        Ok(())
    }

    /// Takes back a file of ours.
    pub(in crate::account) fn delete_file(
        &mut self,
        request: RequestId,
        id: ConversationId,
        message: CommitId,
    ) -> Result<(), CommandFailure> {
        let row = self.file_row(&id, &message)?;
        if row.author != self.core.account {
            let text = "only who sent a file can delete it";
            return Err(CommandError::NotAllowed(text.into()).into());
        }
        if row.state == FileState::Deleted {
            return Err(CommandError::NoSuchFile.into());
        }
        self.queue(request, id, Message::RemoveFile { of: message })
    }
}
