//! What backups, copies and relays need of an account that runs.

use std::path::Path;

use baraza_store::StoreError;
use baraza_wire::{ConversationId, DeviceId, UnixTime};

use crate::account::{Account, CommandFailure};
use crate::backup::BACKED_UP;
use crate::command::CommandError;

impl Account {
    /// Copies a conversation's repository. Nothing writes to it now: packs that another
    /// thread checks move in only here.
    pub(super) fn snapshot(&self, id: &ConversationId, into: &Path) -> Result<(), CommandFailure> {
        let directory = self.core.conversation_directory(id);
        match baraza_swarm::snapshot(&directory, into) {
            Ok(()) => Ok(()),
            Err(_) if !directory.exists() => Err(CommandError::NoSuchConversation.into()),
            Err(error) => Err(CommandError::Repository(error.to_string()).into()),
        }
    }

    /// Fetches nothing more of a conversation, or what came meanwhile.
    pub(super) fn pause_fetching(
        &mut self,
        id: ConversationId,
        paused: bool,
    ) -> Result<(), CommandFailure> {
        let conversation = self.conversations.get_mut(&id);
        let conversation = conversation.ok_or(CommandError::NoSuchConversation)?;
        conversation.paused = paused;
        let devices: Vec<DeviceId> = conversation.peers.keys().copied().collect();
        for device in devices {
            self.request_fetch(id, device, None)?;
        }
        Ok(())
    }

    /// When the account was last backed up.
    pub(super) fn backed_up(&self) -> Result<Option<UnixTime>, StoreError> {
        let text = self
            .core
            .store
            .setting(self.core.config.number, BACKED_UP)?;
        let millis = text.and_then(|text| text.parse().ok());
        Ok(millis.map(UnixTime::from_millis))
    }
}
