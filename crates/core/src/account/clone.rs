//! Cloning a conversation that was accepted.

use std::time::Duration;

use baraza_link::ChannelId;
use baraza_store::{ConversationState, StoreError};
use baraza_swarm::ingest::Fetched;
use baraza_swarm::pack::PackLimits;
use baraza_swarm::{Cloned, Cloning, Mode, Repository, RepositoryError, Role, Stop};
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId};

use crate::account::Account;
use crate::account::conversation::CloneNews;
use crate::account::timers::Timer;
use crate::command::CommandError;
use crate::event::EventBody;

/// First pause before trying again.
pub(super) const AGAIN_FIRST: Duration = Duration::from_secs(2);
/// Longest pause before trying again.
const AGAIN_LONGEST: Duration = Duration::from_secs(300);

/// Why a clone was thrown away.
const NOT_INVITED: &str = "the device's copy does not have us as a member yet";

/// Why another is not tried again.
const DOCUMENT: &str = "it is a collaborative document, not supported yet";

impl Account {
    /// Asks the devices of whoever invited us, or is in it, for the conversation, and those of
    /// our own that have it.
    pub(super) fn try_clone(&mut self, id: ConversationId) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get(&id) else {
            return Ok(());
        };
        let owners: Vec<AccountId> = conversation.cloned_from().collect();
        let holders = conversation.holders.clone();
        let under_way = conversation.source.is_some() || self.intakes.concern(&id);
        if conversation.row.state != ConversationState::Cloning || under_way {
            return Ok(());
        }
        let mut devices = Vec::new();
        for owner in owners {
            if !self.is_banned(&owner) {
                self.watch(owner);
                devices.extend(self.devices_of(&owner));
            }
        }
        self.meet_devices(&id);
        devices.retain(|device| !holders.contains(device));
        devices.extend(holders);
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

    /// A clone was fetched that is not large.
    pub(super) fn take_clone(
        &mut self,
        id: ConversationId,
        fetched: Fetched,
    ) -> Result<(), StoreError> {
        let (device, head) = (fetched.from, fetched.head);
        let cloned = self
            .cloning(id, fetched)
            .and_then(|cloning| cloning.run(&Stop::default()))
            .and_then(|cloned| self.place_clone(&id, cloned));
        match cloned {
            Ok(commits) => {
                if let Some(conversation) = self.conversations.get_mut(&id) {
                    conversation.add_fresh(&mut self.core, &commits, false)?;
                }
                self.finish_clone(id, Some((device, head)))
            }
            Err(error) => self.clone_refused(id, device, head, &error),
        }
    }

    /// Prepares the checks of a clone.
    pub(super) fn cloning(
        &self,
        id: ConversationId,
        fetched: Fetched,
    ) -> Result<Cloning, RepositoryError> {
        let parent = self.core.conversations_directory();
        std::fs::create_dir_all(&parent)?;
        let limits = PackLimits::default();
        Ok(Cloning::new(&parent, id, fetched, &limits))
    }

    /// Puts a clone into its place, if it has us and whoever invited us. Returns its
    /// commits, which are not in the index yet: until then it is not ready.
    pub(super) fn place_clone(
        &mut self,
        id: &ConversationId,
        cloned: Cloned,
    ) -> Result<Vec<CommitId>, RepositoryError> {
        // Whatever is there belongs to no conversation of ours: a crash came between.
        let directory = self.core.conversation_directory(id);
        if directory.exists() {
            std::fs::remove_dir_all(&directory)?;
        }
        let (repository, commits) = cloned.place()?;
        if repository.mode() == Mode::Document {
            drop(repository);
            std::fs::remove_dir_all(&directory)?;
            return Err(RepositoryError::NotAllowed(DOCUMENT));
        }
        if !self.admits_us(&repository)? {
            drop(repository);
            std::fs::remove_dir_all(&directory)?;
            return Err(RepositoryError::NotAllowed(NOT_INVITED));
        }
        if let Some(conversation) = self.conversations.get_mut(id) {
            conversation.row.mode = repository.mode().number();
            conversation.news = news_for(&repository, &self.core.account);
            conversation.repository = Some(repository);
        }
        Ok(commits)
    }

    fn admits_us(&self, repository: &Repository) -> Result<bool, RepositoryError> {
        let own = repository.role(&self.core.account)?;
        Ok(matches!(
            own,
            Some(Role::Admin | Role::Member | Role::Invited)
        ))
    }

    /// A clone is in the index: join, and tell the others.
    pub(super) fn finish_clone(
        &mut self,
        id: ConversationId,
        from: Option<(DeviceId, CommitId)>,
    ) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        conversation.source = None;
        conversation.forget_sources(&mut self.core)?;
        let news = std::mem::replace(&mut conversation.news, CloneNews::Nothing);
        if conversation.row.mode != 0 {
            // What was said in a group before one was invited is not new.
            match news {
                CloneNews::From(position) => conversation.read_below(&mut self.core, position)?,
                _ => conversation.read_all(&mut self.core)?,
            }
        }
        conversation.row.state = ConversationState::Ready;
        conversation.touch();
        self.core.timers.clear(Timer::Clone(id));
        self.conversation_changed(id);
        self.core
            .emit(EventBody::ConversationReady { conversation: id });
        self.meet_devices(&id);
        if let Some((device, head)) = from {
            // Before there is anything that it does not have.
            self.learned(id, device, &head)?;
        }
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
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
        self.take_instead(&id)?;
        self.write_unsent(&id)?;
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        // Clones under way from other devices are not needed any more.
        let others: Vec<ChannelId> = conversation
            .peers
            .iter()
            .filter(|(other, _)| from.is_none_or(|(device, _)| device != **other))
            .filter_map(|(_, peer)| peer.git.as_ref().map(|git| git.channel))
            .collect();
        for other in others {
            self.close_channel(other)?;
        }
        self.update_routing(id)?;
        self.watch_members(&id);
        if let Some((device, _)) = from {
            self.ask_for_profile(id, device);
        }
        self.notify_all(id, None)
    }

    /// A clone cannot be taken in.
    pub(super) fn clone_refused(
        &mut self,
        id: ConversationId,
        device: DeviceId,
        head: CommitId,
        error: &RepositoryError,
    ) -> Result<(), StoreError> {
        self.fetch_refused(id, device, head, error)?;
        self.core.timers.clear(Timer::Fetch(id, device));
        self.forget_clone(&id)?;
        let conversation = self.conversations.get(&id);
        let peer = conversation.and_then(|conversation| conversation.peers.get(&device));
        if let Some(git) = peer.and_then(|peer| peer.git.as_ref()) {
            self.close_channel(git.channel)?;
        }
        if matches!(error, RepositoryError::NotAllowed(DOCUMENT)) {
            return self.remove_conversation(&id);
        }
        self.clone_later(id);
        Ok(())
    }

    /// Makes room for another attempt.
    pub(super) fn forget_clone(&mut self, id: &ConversationId) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get_mut(id) else {
            return Ok(());
        };
        conversation.source = None;
        for request in conversation.take_requests() {
            let error = CommandError::NoSuchConversation;
            self.core.replies.push((request, Err(error)));
        }
        conversation.repository = None;
        conversation.clear_index(&mut self.core)?;
        self.remove_directory(id);
        Ok(())
    }

    /// Goes on with a clone that an earlier run put into its place, but did not index.
    pub(super) fn resume_clone(&mut self, id: ConversationId) -> Result<(), StoreError> {
        if !self.core.conversation_directory(&id).exists() {
            return Ok(());
        }
        let directory = self.core.conversation_directory(&id);
        let repository = Repository::open(&directory)
            .ok()
            .filter(|repository| self.admits_us(repository).unwrap_or(false));
        let whole = match self.conversations.get(&id) {
            Some(conversation) => conversation.index.is_whole(&self.core.store)?,
            None => return Ok(()),
        };
        let Some(repository) = repository.filter(|_| whole) else {
            return self.forget_clone(&id);
        };
        let heads = vec![repository.head()];
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.row.mode = repository.mode().number();
            conversation.news = match news_for(&repository, &self.core.account) {
                // The invitation may be among what is indexed: rather tell of too much.
                CloneNews::AfterInvitation if conversation.index.length() > 0 => {
                    CloneNews::From(conversation.index.length())
                }
                news => news,
            };
            conversation.repository = Some(repository);
        }
        self.intakes.stored(id, None, heads, false);
        Ok(())
    }
}

/// Which commits of a clone are news for an account.
fn news_for(repository: &Repository, us: &AccountId) -> CloneNews {
    match repository.role(us) {
        Ok(Some(Role::Invited)) => CloneNews::AfterInvitation,
        _ => CloneNews::Nothing,
    }
}
