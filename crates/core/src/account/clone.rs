//! Cloning a conversation that was accepted.

use std::time::Duration;

use baraza_link::ChannelId;
use baraza_store::{ConversationState, StoreError};
use baraza_swarm::ingest::Fetched;
use baraza_swarm::pack::{PackLimits, Spool};
use baraza_swarm::{Repository, RepositoryError, Role};
use baraza_wire::{CommitId, ConversationId, DeviceId};

use crate::account::Account;
use crate::account::timers::Timer;
use crate::event::EventBody;

/// First pause before trying again.
const AGAIN_FIRST: Duration = Duration::from_secs(2);
/// Longest pause before trying again.
const AGAIN_LONGEST: Duration = Duration::from_secs(300);

/// Why a clone was thrown away.
const NOT_INVITED: &str = "the device's copy does not have us as a member yet";

impl Account {
    /// Asks the devices of whoever invited us for the conversation.
    pub(super) fn try_clone(&mut self, id: ConversationId) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get(&id) else {
            return Ok(());
        };
        let Some(peer) = conversation.row.peer else {
            return Ok(());
        };
        if conversation.row.state != ConversationState::Cloning || conversation.source.is_some() {
            return Ok(());
        }
        self.watch(peer);
        self.meet_devices(&id);
        let devices = self.devices_of(&peer);
        let near = |id: &DeviceId| {
            let device = self.devices.get(id);
            device.is_some_and(|device| device.link || !device.present.is_empty())
        };
        let mut ask: Vec<DeviceId> = devices.iter().copied().filter(near).collect();
        if ask.is_empty() {
            ask = devices;
        }
        for device in ask {
            // Otherwise tried when it is found.
            if !self.await_certificate(device) {
                self.open_git(id, device);
            }
        }
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.attempts = conversation.attempts.saturating_add(1);
        }
        self.clone_later(id);
        Ok(())
    }

    /// Sets the time of the next attempt.
    pub(super) fn clone_later(&mut self, id: ConversationId) {
        let Some(conversation) = self.conversations.get(&id) else {
            return;
        };
        let tries = conversation.attempts.saturating_sub(1);
        let pause = self.core.back_off(AGAIN_FIRST, tries, AGAIN_LONGEST);
        let later = self.core.after(pause);
        self.core.timers.sooner(Timer::Clone(id), later);
    }

    /// A clone was fetched: check it, join, and tell the others.
    pub(super) fn finish_clone(
        &mut self,
        id: ConversationId,
        device: DeviceId,
        channel: ChannelId,
        pack: Spool,
        head: CommitId,
    ) -> Result<(), StoreError> {
        let made = self.make_clone(id, device, pack, head);
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return self.close_channel(channel);
        };
        conversation.source = None;
        let (repository, commits) = match made {
            Ok(made) => made,
            Err(error) => {
                self.fetch_refused(id, device, head, &error)?;
                self.core.timers.clear(Timer::Fetch(id, device));
                self.close_channel(channel)?;
                self.clone_later(id);
                return Ok(());
            }
        };
        conversation.row.state = ConversationState::Ready;
        conversation.row.mode = repository.mode().number();
        conversation.repository = Some(repository);
        conversation.touch();
        conversation.add_fresh(&mut self.core, &commits, false)?;
        self.core.timers.clear(Timer::Clone(id));
        self.core
            .emit(EventBody::ConversationReady { conversation: id });
        let author = self.core.author();
        let joined = conversation
            .repository
            .as_mut()
            .map(|repository| repository.join(author, self.core.now.unix));
        match joined {
            Some(Ok(Some(commit))) => conversation.add_fresh(&mut self.core, &[commit], true)?,
            Some(Err(error)) => {
                tracing::warn!(conversation = %id, %error, "cannot join");
            }
            Some(Ok(None)) | None => {}
        }
        // Clones under way from other devices are not needed any more.
        let others: Vec<ChannelId> = conversation
            .peers
            .iter()
            .filter(|(other, _)| **other != device)
            .filter_map(|(_, peer)| peer.git.as_ref().map(|git| git.channel))
            .collect();
        for other in others {
            self.close_channel(other)?;
        }
        self.meet_devices(&id);
        self.watch_members(&id);
        self.learned(id, device, &head)?;
        self.notify_all(id, None)
    }

    /// The repository of a clone, if it is a valid one that has us and whoever invited us.
    fn make_clone(
        &self,
        id: ConversationId,
        device: DeviceId,
        pack: Spool,
        head: CommitId,
    ) -> Result<(Repository, Vec<CommitId>), RepositoryError> {
        let parent = self.core.conversations_directory();
        std::fs::create_dir_all(&parent)?;
        // Whatever is there belongs to no conversation of ours: a crash came between.
        let directory = self.core.conversation_directory(&id);
        if directory.exists() {
            std::fs::remove_dir_all(&directory)?;
        }
        let fetched = Fetched {
            pack,
            head,
            from: device,
        };
        let (repository, commits) =
            Repository::clone_into(&parent, id, fetched, &PackLimits::default())?;
        let own = repository.role(&self.core.account)?;
        if matches!(own, Some(Role::Admin | Role::Member | Role::Invited)) {
            return Ok((repository, commits));
        }
        drop(repository);
        std::fs::remove_dir_all(&directory)?;
        Err(RepositoryError::NotAllowed(NOT_INVITED))
    }
}
