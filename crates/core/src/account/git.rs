//! Git over channels: we fetch from devices, they fetch from us.
//!
//! There is one fetch at a time for each conversation and device, on a channel that stays
//! open. A wish that comes meanwhile is fulfilled afterwards, if it was not by then.

use std::time::Duration;

use baraza_link::ChannelId;
use baraza_store::{ConversationState, Store, StoreError};
use baraza_swarm::fetch::{Fetch, FetchLimits, FetchOutcome, FetchOutput, Local};
use baraza_swarm::ingest::Fetched;
use baraza_swarm::pack::PackLimits;
use baraza_swarm::upload_pack::ServerOutput;
use baraza_swarm::{Repository, RepositoryError};
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId};
use bytes::Bytes;

use crate::account::Account;
use crate::account::channels::{Channel, ChannelKind};
use crate::account::conversation::{Conversation, Git, PeerState};
use crate::account::index::Index;
use crate::account::timers::Timer;
use crate::event::EventBody;

/// First pause after a failed fetch.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// Longest pause after failed fetches.
const RETRY_LONGEST: Duration = Duration::from_secs(300);
/// Failures that a refusal counts as: the same comes again, until the peer has repaired it.
const REFUSAL: u32 = 6;
/// A daemon of 2023 drops a notice that comes while it takes in a fetch.
const AFTER_FETCH: Duration = Duration::from_millis(150);

/// Commits of notices that come during a fetch; if there are more, the last do not count.
const MAX_WANTED: usize = 256;

/// The own repository as a fetch sees it. What counts is the index: objects of an
/// interrupted run may be on the disk without being part of the conversation yet.
struct Here<'a> {
    index: &'a Index,
    store: &'a Store,
    repository: Option<&'a Repository>,
    /// The head of the device that was refused: all of it was here once.
    refused: Option<CommitId>,
}

impl Local for Here<'_> {
    fn contains(&self, id: &CommitId) -> bool {
        self.refused == Some(*id) || matches!(self.index.position(self.store, id), Ok(Some(_)))
    }

    fn haves(&self, peer: &DeviceId, max: usize) -> Vec<CommitId> {
        self.repository
            .map(|repository| repository.haves(peer, max))
            .unwrap_or_default()
    }
}

impl Account {
    /// What is under way with a device in a conversation.
    pub(super) fn peer(&mut self, id: ConversationId, device: DeviceId) -> Option<&mut PeerState> {
        let conversation = self.conversations.get_mut(&id)?;
        conversation.peers.get_mut(&device)
    }

    /// Fetches a conversation from a device, `wanted` in particular; not if that is here by
    /// the time it could begin.
    pub(super) fn request_fetch(
        &mut self,
        id: ConversationId,
        device: DeviceId,
        wanted: Option<CommitId>,
    ) -> Result<(), StoreError> {
        if !self.devices.get(&device).is_some_and(|device| device.link) {
            // When there is a link, all shared conversations are fetched.
            self.want(device);
            return Ok(());
        }
        let own = self.core.account;
        let conversation = self.conversations.get(&id);
        // Who was banned is told when that ends, and does not look for what is not meant for
        // it: daemons of 2023 would serve it.
        let out = conversation.is_some_and(|conversation| {
            conversation.is_left()
                || conversation.paused
                || (wanted.is_none() && conversation.bans(&own))
        });
        if out || self.peer(id, device).is_none() {
            return Ok(());
        }
        self.core.timers.clear(Timer::Fetch(id, device));
        let taking = self.intakes.come_from(&id, &device);
        let git = self.peer(id, device).and_then(|peer| peer.git.as_ref());
        let (open, channel) = match git {
            Some(git) => (git.open, git.channel),
            None => {
                if taking {
                    self.want_commit(id, device, wanted);
                } else {
                    self.open_git(id, device);
                }
                return Ok(());
            }
        };
        let idle = self.channels.get(&channel).is_some_and(
            |channel| matches!(&channel.kind, ChannelKind::Fetch { fetch, .. } if fetch.is_idle()),
        );
        if open && idle && !taking {
            return self.start_fetch(channel);
        }
        if open || taking {
            self.want_commit(id, device, wanted);
        }
        Ok(())
    }

    /// Fetches a little later, if another device has not brought it by then.
    pub(super) fn defer_fetch(
        &mut self,
        id: ConversationId,
        device: DeviceId,
        wanted: CommitId,
    ) -> Result<(), StoreError> {
        self.want_commit(id, device, Some(wanted));
        let later = self.deferred();
        self.core.timers.sooner(Timer::Fetch(id, device), later);
        Ok(())
    }

    /// The time of a fetch has come; not if it was for what is here by now.
    pub(super) fn fetch_again(
        &mut self,
        id: ConversationId,
        device: DeviceId,
    ) -> Result<(), StoreError> {
        let old = self.is_old(&device);
        let Some(peer) = self.peer(id, device) else {
            return Ok(());
        };
        let waiting = !peer.wanted.is_empty();
        let deferred = waiting && peer.failures == 0 && !old;
        self.brought(id)?;
        let Some(peer) = self.peer(id, device) else {
            return Ok(());
        };
        if deferred && peer.wanted.is_empty() {
            return Ok(());
        }
        self.request_fetch(id, device, None)
    }

    /// What devices of a large group told of may be here now, brought by others: so they
    /// have it, and need not be told nor asked.
    fn brought(&mut self, id: ConversationId) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        if !conversation.routing.is_large() {
            return Ok(());
        }
        let mut here = Vec::new();
        for (device, peer) in &mut conversation.peers {
            for commit in std::mem::take(&mut peer.wanted) {
                let known = conversation.index.position(&self.core.store, &commit)?;
                match known {
                    Some(_) => here.push((*device, commit)),
                    None => _ = peer.wanted.insert(commit),
                }
            }
        }
        for (device, commit) in here {
            self.learned(id, device, &commit)?;
        }
        Ok(())
    }

    /// Remembers what to fetch when what is under way is over.
    fn want_commit(&mut self, id: ConversationId, device: DeviceId, wanted: Option<CommitId>) {
        if let Some(peer) = self.peer(id, device)
            && peer.wanted.len() < MAX_WANTED
        {
            peer.wanted.extend(wanted);
        }
    }

    /// Fetches what was wished for meanwhile, if it is not here by now.
    pub(super) fn fetch_wanted(
        &mut self,
        id: ConversationId,
        device: DeviceId,
    ) -> Result<(), StoreError> {
        let Some(peer) = self.peer(id, device) else {
            return Ok(());
        };
        let wanted = std::mem::take(&mut peer.wanted);
        // A channel that was closed meanwhile was not opened again.
        let mut again = peer.git.is_none();
        if let Some(conversation) = self.conversations.get(&id) {
            for commit in wanted {
                let position = conversation.index.position(&self.core.store, &commit)?;
                again = again || position.is_none();
            }
        }
        if again {
            self.request_fetch(id, device, None)?;
        }
        Ok(())
    }

    /// Asks a device for a channel to a conversation's repository.
    pub(super) fn open_git(&mut self, id: ConversationId, device: DeviceId) {
        let channel = self.core.channel();
        let Some(peer) = self.peer(id, device).filter(|peer| peer.git.is_none()) else {
            return;
        };
        let owner = peer.known.owner;
        peer.git = Some(Git {
            channel,
            open: false,
        });
        let directory = self.core.config.directory.clone();
        let fetch = Fetch::new(id, device, directory, FetchLimits::default());
        let kind = ChannelKind::Fetch {
            conversation: id,
            fetch: Box::new(fetch),
        };
        let state = Channel::new(device, owner, kind);
        self.channels.insert(channel, state);
        self.core.link(baraza_link::Command::Open {
            channel,
            device,
            name: format!("git://{device}/{id}"),
            reason: "application/im-gitmessage-id".to_owned(),
        });
    }

    /// A git channel of ours is open.
    pub(super) fn git_open(&mut self, channel: ChannelId) -> Result<(), StoreError> {
        let Some(state) = self.channels.get(&channel) else {
            return Ok(());
        };
        let device = state.device;
        let ChannelKind::Fetch {
            conversation: id, ..
        } = state.kind
        else {
            return Ok(());
        };
        let taking = self.intakes.come_from(&id, &device);
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return self.close_channel(channel);
        };
        if conversation.row.state == ConversationState::Cloning {
            // The first device that opens a channel is cloned from (section 8.8).
            let earlier = conversation.source.is_none() && self.intakes.concern(&id);
            if earlier || *conversation.source.get_or_insert(device) != device {
                return self.close_channel(channel);
            }
        }
        if let Some(git) = conversation
            .peers
            .get_mut(&device)
            .and_then(|peer| peer.git.as_mut())
        {
            git.open = true;
        }
        if taking {
            return Ok(());
        }
        self.start_fetch(channel)
    }

    fn start_fetch(&mut self, channel: ChannelId) -> Result<(), StoreError> {
        let now = self.core.now.instant;
        let Some(ChannelKind::Fetch { fetch, .. }) =
            self.channels.get_mut(&channel).map(|state| &mut state.kind)
        else {
            return Ok(());
        };
        if fetch.start(now).is_err() {
            return self.close_channel(channel);
        }
        self.pump_fetch(channel)
    }

    pub(super) fn fetch_data(
        &mut self,
        channel: ChannelId,
        bytes: &Bytes,
    ) -> Result<(), StoreError> {
        let now = self.core.now.instant;
        let Some(state) = self.channels.get_mut(&channel) else {
            return Ok(());
        };
        let device = state.device;
        let ChannelKind::Fetch {
            conversation,
            fetch,
        } = &mut state.kind
        else {
            return Ok(());
        };
        let Some(conversation) = self.conversations.get(conversation) else {
            return self.close_channel(channel);
        };
        let here = Here {
            index: &conversation.index,
            store: &self.core.store,
            repository: conversation.repository.as_ref(),
            refused: conversation
                .peers
                .get(&device)
                .filter(|_| conversation.repository.is_some())
                .and_then(|peer| peer.refused),
        };
        fetch.receive(now, bytes, &here);
        self.pump_fetch(channel)
    }

    pub(super) fn fetch_timeout(&mut self, channel: ChannelId) -> Result<(), StoreError> {
        let now = self.core.now.instant;
        if let Some(ChannelKind::Fetch { fetch, .. }) =
            self.channels.get_mut(&channel).map(|state| &mut state.kind)
        {
            fetch.handle_timeout(now);
        }
        self.pump_fetch(channel)
    }

    /// Does what a fetch says.
    fn pump_fetch(&mut self, id: ChannelId) -> Result<(), StoreError> {
        loop {
            let Some(state) = self.channels.get_mut(&id) else {
                return Ok(());
            };
            let device = state.device;
            let ChannelKind::Fetch {
                conversation,
                fetch,
            } = &mut state.kind
            else {
                return Ok(());
            };
            let conversation = *conversation;
            match fetch.poll_output() {
                None => {
                    match fetch.poll_timeout() {
                        Some(at) => self.core.timers.set(Timer::Channel(id), at),
                        None => self.core.timers.clear(Timer::Channel(id)),
                    }
                    return Ok(());
                }
                Some(FetchOutput::Write(bytes)) => {
                    if !state.write(id, &mut self.core, bytes) {
                        return self.close_channel(id);
                    }
                }
                Some(FetchOutput::Done(outcome)) => {
                    self.fetched(id, conversation, device, outcome)?;
                }
                Some(FetchOutput::Failed(error)) => {
                    self.core.link(baraza_link::Command::Close { channel: id });
                    self.channels.remove(&id);
                    self.core.timers.clear(Timer::Channel(id));
                    return self.git_failed(conversation, device, id, &error.to_string());
                }
            }
        }
    }

    /// A fetch is over.
    fn fetched(
        &mut self,
        channel: ChannelId,
        id: ConversationId,
        device: DeviceId,
        outcome: FetchOutcome,
    ) -> Result<(), StoreError> {
        if !self.conversations.contains_key(&id) {
            return self.close_channel(channel);
        }
        if let Some(peer) = self.peer(id, device) {
            peer.failures = 0;
        }
        let (pack, head) = match outcome {
            FetchOutcome::UpToDate { head } => {
                self.learned(id, device, &head)?;
                self.ask_once_more(id, device);
                return self.fetch_wanted(id, device);
            }
            FetchOutcome::Pack { pack, head } => (pack, head),
        };
        let fetched = Fetched {
            pack,
            head,
            from: device,
        };
        let cloning = self.is_cloning(&id);
        if self.must_wait(&id, &fetched) {
            self.intakes.fetched(id, fetched, !cloning);
            self.next_intake()
        } else if cloning {
            self.take_clone(id, fetched)
        } else {
            self.take_fetch(id, fetched)?;
            self.fetch_wanted(id, device)
        }
    }

    /// Takes in what was fetched, which is not much.
    fn take_fetch(&mut self, id: ConversationId, fetched: Fetched) -> Result<(), StoreError> {
        let (device, head) = (fetched.from, fetched.head);
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        let Some(repository) = &mut conversation.repository else {
            return Ok(());
        };
        if let Err(error) = repository.ingest_fetch(fetched, &PackLimits::default()) {
            return self.fetch_refused(id, device, head, &error);
        }
        // Not only what is new on the disk: a crash may have come between storing and
        // indexing.
        let Some(commits) = conversation.missing(&self.core, &[head])? else {
            let from = Some((device, head));
            self.intakes.stored(id, from, vec![head], true);
            return self.next_intake();
        };
        conversation.add_fresh(&mut self.core, &commits, true)?;
        self.authors_have(id, &commits)?;
        self.finish_fetch(id, device, head, !commits.is_empty())
    }

    /// What was fetched is in the index.
    pub(super) fn finish_fetch(
        &mut self,
        id: ConversationId,
        device: DeviceId,
        head: CommitId,
        news: bool,
    ) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        if let Some(peer) = conversation.peers.get_mut(&device) {
            peer.refused = None;
        }
        conversation.merge(&mut self.core, head)?;
        self.members_changed(id)?;
        self.joined(&id)?;
        if news {
            self.ask_afresh(id, device);
        }
        self.learned(id, device, &head)?;
        self.meet_devices(&id);
        self.ask_for_files(&device);
        self.offer_profile(device);
        self.brought(id)?;
        self.notify_all(id, Some(device))
    }

    /// Whoever wrote commits has them. In a large group that may be all that we hear of
    /// a device.
    fn authors_have(&mut self, id: ConversationId, commits: &[CommitId]) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get(&id) else {
            return Ok(());
        };
        let Some(repository) = &conversation.repository else {
            return Ok(());
        };
        if !conversation.routing.is_large() {
            return Ok(());
        }
        let mut newest = std::collections::BTreeMap::new();
        for commit in commits {
            if let Ok(info) = repository.commit_info(commit) {
                newest.insert(info.device, *commit);
            }
        }
        for (device, commit) in newest {
            self.learned(id, device, &commit)?;
        }
        Ok(())
    }

    /// What was fetched cannot be taken in.
    pub(super) fn fetch_refused(
        &mut self,
        id: ConversationId,
        device: DeviceId,
        head: CommitId,
        error: &RepositoryError,
    ) -> Result<(), StoreError> {
        tracing::warn!(conversation = %id, device = %device.short(), %error, "fetch refused");
        let (rule, failures) = match error {
            RepositoryError::Refused(refused) => (refused.rule.name(), REFUSAL),
            RepositoryError::Pack(_) => ("pack", REFUSAL),
            RepositoryError::Io(_) => ("disk", 1),
            RepositoryError::NotAllowed(_) => ("not allowed", 1),
            _ => ("repository", 1),
        };
        let Some(peer) = self.peer(id, device) else {
            return Ok(());
        };
        peer.failures = peer.failures.saturating_add(failures);
        if peer.refused.replace(head) != Some(head) {
            self.core.emit(EventBody::SyncError {
                conversation: id,
                device: Some(device),
                rule: rule.to_owned(),
                detail: error.to_string(),
            });
        }
        if let RepositoryError::Refused(refused) = error {
            // The same would be refused again: not fetched before there is something else.
            return self.diverged(id, device, refused);
        }
        self.fetch_later(id, device);
        Ok(())
    }

    pub(super) fn fetch_later(&mut self, id: ConversationId, device: DeviceId) {
        let Some(peer) = self.peer(id, device) else {
            return;
        };
        let tries = peer.failures.saturating_sub(1);
        let pause = self.core.back_off(RETRY_FIRST, tries, RETRY_LONGEST);
        let later = self.core.after(pause);
        self.core.timers.set(Timer::Fetch(id, device), later);
    }

    /// A git channel of ours is gone, with nothing under way.
    pub(super) fn git_gone(&mut self, id: ConversationId, device: DeviceId, channel: ChannelId) {
        if let Some(peer) = self.peer(id, device)
            && peer.git.as_ref().is_some_and(|git| git.channel == channel)
        {
            peer.git = None;
        }
    }

    /// A git channel could not be opened, or a fetch on it failed.
    pub(super) fn git_failed(
        &mut self,
        id: ConversationId,
        device: DeviceId,
        channel: ChannelId,
        reason: &str,
    ) -> Result<(), StoreError> {
        tracing::debug!(conversation = %id, device = %device.short(), reason, "fetch failed");
        self.git_gone(id, device, channel);
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        if conversation.row.state == ConversationState::Cloning {
            if conversation.source == Some(device) {
                conversation.source = None;
            }
            self.clone_later(id);
            return Ok(());
        }
        if let Some(peer) = conversation.peers.get_mut(&device) {
            peer.failures = peer.failures.saturating_add(1);
        }
        self.fetch_later(id, device);
        Ok(())
    }

    /// A peer that fetches from us sent something.
    pub(super) fn serve_data(
        &mut self,
        channel: ChannelId,
        bytes: &Bytes,
    ) -> Result<(), StoreError> {
        let Some(state) = self.channels.get_mut(&channel) else {
            return Ok(());
        };
        let account: AccountId = state.account;
        let ChannelKind::Serve {
            conversation,
            server,
        } = &mut state.kind
        else {
            return Ok(());
        };
        let repository = self
            .conversations
            .get(conversation)
            .and_then(Conversation::shared)
            .filter(|repository| repository.is_authorised(&account).unwrap_or(false));
        let Some(repository) = repository else {
            return self.close_channel(channel);
        };
        server.receive(bytes, repository);
        self.serve(channel)
    }

    /// Sends what a server has to say, as far as there is room.
    pub(super) fn serve(&mut self, id: ChannelId) -> Result<(), StoreError> {
        loop {
            let Some(state) = self.channels.get_mut(&id).filter(|state| state.has_room()) else {
                return Ok(());
            };
            let device = state.device;
            let ChannelKind::Serve {
                conversation,
                server,
            } = &mut state.kind
            else {
                return Ok(());
            };
            let chat = *conversation;
            let output = self
                .conversations
                .get(conversation)
                .and_then(Conversation::shared)
                .map(|repository| server.poll_output(repository));
            match output {
                None => return self.close_channel(id),
                Some(None) => return Ok(()),
                Some(Some(ServerOutput::Write(bytes))) => {
                    if !state.write(id, &mut self.core, bytes) {
                        return self.close_channel(id);
                    }
                }
                Some(Some(ServerOutput::Served { commit } | ServerOutput::UpToDate { commit })) => {
                    self.ask_afresh(chat, device);
                    self.learned(chat, device, &commit)?;
                }
                Some(Some(ServerOutput::Pause)) => {
                    // A long history: whatever else came meanwhile goes first.
                    let now = self.core.now.instant;
                    self.core.timers.set(Timer::Channel(id), now);
                    return Ok(());
                }
                Some(Some(ServerOutput::Close(reason))) => {
                    tracing::debug!(device = %device.short(), %reason, "stop serving");
                    return self.close_channel(id);
                }
            }
        }
    }

    /// A device is known to have a commit, with its ancestors.
    pub(super) fn learned(
        &mut self,
        id: ConversationId,
        device: DeviceId,
        commit: &CommitId,
    ) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        if !conversation.learn(&mut self.core, device, commit)? {
            return Ok(());
        }
        let Some(peer) = conversation.peers.get(&device) else {
            return Ok(());
        };
        let timer = Timer::Notice(id, device);
        if peer
            .known
            .owed(&conversation.index, &self.core.store)?
            .is_none()
        {
            self.core.timers.clear(timer);
            if conversation.is_left() {
                self.serve_left(id);
            }
            // Now it knows that we are a member, too.
            self.offer_profile(device);
            return Ok(());
        }
        if self.is_old(&device) {
            let soon = self.core.after(AFTER_FETCH);
            self.core.timers.set(timer, soon);
        }
        Ok(())
    }
}
