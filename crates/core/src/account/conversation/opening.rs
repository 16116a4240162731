//! Conversations of an account: opened at the start, added, written and kept quick.

use std::path::Path;

use baraza_store::{ConversationRow, ConversationState, StoreError};
use baraza_swarm::{Repository, RepositoryError};
use baraza_wire::{AccountId, CommitId, ConversationId, UnixTime};

use super::{Conversation, PeerState};
use crate::account::known::Known;
use crate::account::signs::Signs;
use crate::account::timers::Timer;
use crate::account::{Account, Core};
use crate::event::EventBody;

impl Account {
    /// Opens all conversations, and brings their index up to date.
    pub(in crate::account) fn load_conversations(&mut self) -> Result<(), StoreError> {
        let rows = self.core.store.conversations(self.core.config.number)?;
        for row in rows {
            let directory = self.core.conversation_directory(&row.id);
            let id = row.id;
            let mut conversation = Conversation::new(self.core.device, row, None);
            conversation.load_view(&self.core)?;
            if conversation.row.state == ConversationState::Cloning {
                conversation.sources = self.core.store.clone_sources(conversation.row.number)?;
            } else {
                match open_repository(&self.core, &conversation.row, &directory) {
                    Ok(repository) => conversation.repository = Some(repository),
                    // It was being erased.
                    Err(_) if conversation.is_left() => {}
                    Err(error) => {
                        tracing::error!(conversation = %id, %error, "cannot be opened");
                        self.core.emit(EventBody::SyncError {
                            conversation: id,
                            device: None,
                            rule: "repository".into(),
                            detail: error.to_string(),
                        });
                    }
                }
                let many = reconcile(&mut self.core, &mut conversation)?;
                let known = self.core.store.deliveries(conversation.row.number)?;
                for row in known {
                    let known = Known::from_row(&row, &conversation.index, &self.core.store)?;
                    conversation.peers.insert(row.device, PeerState::new(known));
                }
                let number = conversation.row.number;
                conversation.refusals = self.core.store.refusals(number)?;
                conversation.signs = Signs::load(number, &conversation.index, &self.core.store)?;
                let invitations = self.core.store.invitations(conversation.row.number)?;
                conversation.invitations = invitations.into_iter().collect();
                if let Some(heads) = many {
                    conversation.partial = true;
                    let tell = conversation.index.length() > 0;
                    self.intakes.stored(id, None, heads, tell);
                }
            }
            self.conversations.insert(id, conversation);
            if self.is_cloning(&id) {
                self.resume_clone(id)?;
            }
        }
        self.next_intake()?;
        let all: Vec<ConversationId> = self.conversations.keys().copied().collect();
        for id in all {
            self.meet_devices(&id);
        }
        Ok(())
    }

    /// Writes what is fresh in all conversations.
    pub(in crate::account) fn index_fresh(&mut self) -> Result<(), StoreError> {
        for conversation in self.conversations.values_mut() {
            if conversation.has_fresh() {
                conversation.write_fresh(&mut self.core)?;
            }
        }
        Ok(())
    }

    /// Writes what devices are known to have.
    pub(in crate::account) fn write_deliveries(&mut self) -> Result<(), StoreError> {
        for conversation in self.conversations.values_mut() {
            for (device, peer) in &mut conversation.peers {
                if let Some(row) = peer.known.take_row(*device) {
                    self.core
                        .store
                        .put_delivery(conversation.row.number, &row)?;
                }
            }
        }
        Ok(())
    }

    /// Makes sure that all known devices of a conversation's members are among its peers.
    pub(in crate::account) fn meet_devices(&mut self, id: &ConversationId) {
        let Some(conversation) = self.conversations.get_mut(id) else {
            return;
        };
        for device in self.devices.values() {
            let owner = device.row.owner;
            if device.revoked {
                continue;
            }
            let may_have = conversation.repository.is_none() && owner == self.core.account;
            if !conversation.peers.contains_key(&device.row.device)
                && (may_have || conversation.is_authorised(&owner))
            {
                let state = PeerState::new(Known::nothing(owner));
                conversation.peers.insert(device.row.device, state);
            }
        }
    }

    /// Adds a conversation whose repository has just been made, with its first commits.
    pub(in crate::account) fn add_conversation(
        &mut self,
        repository: Repository,
        peer: Option<AccountId>,
        commits: &[CommitId],
    ) -> Result<ConversationId, StoreError> {
        let id = repository.id();
        let mut row = ConversationRow {
            number: 0,
            id,
            state: ConversationState::Ready,
            mode: repository.mode().number(),
            peer,
            created: self.core.now.unix,
            removed: UnixTime::default(),
            head: None,
            length: 0,
            read: None,
        };
        self.core.store.begin()?;
        row.number = self
            .core
            .store
            .add_conversation(self.core.config.number, &row)?;
        let mut conversation = Conversation::new(self.core.device, row, Some(repository));
        conversation.add_fresh(&mut self.core, commits, true)?;
        conversation.touch();
        self.conversations.insert(id, conversation);
        self.conversation_changed(id);
        self.meet_devices(&id);
        Ok(id)
    }

    /// Lets go of what was opened to find out about the conversations.
    pub(in crate::account) fn rest(&mut self) {
        for conversation in self.conversations.values_mut() {
            if let Some(repository) = &mut conversation.repository
                && let Err(error) = repository.rest()
            {
                tracing::warn!(conversation = %conversation.row.id, %error, "cannot be closed");
            }
        }
    }

    /// Packs loose objects where there are many.
    pub(in crate::account) fn maintain(&mut self) {
        for conversation in self.conversations.values_mut() {
            if let Some(repository) = &mut conversation.repository
                && let Err(error) = repository.maintain()
            {
                tracing::warn!(conversation = %conversation.row.id, %error, "cannot be packed");
            }
        }
        let later = self.core.after(MAINTAIN);
        self.core.timers.set(Timer::Maintain, later);
    }
}

/// Pause between packing loose objects.
pub(in crate::account) const MAINTAIN: std::time::Duration = std::time::Duration::from_secs(600);

fn open_repository(
    _core: &Core,
    _row: &ConversationRow,
    directory: &Path,
) -> Result<Repository, RepositoryError> {
    Repository::open(directory)
}

/// Indexes what is in the repository but not in the index: the program ended in between.
/// Merges what was fetched but not merged. If that is very much, nothing is done, and the
/// heads of it returned.
fn reconcile(
    core: &mut Core,
    conversation: &mut Conversation,
) -> Result<Option<Vec<CommitId>>, StoreError> {
    if conversation.repository.is_none() {
        return Ok(None);
    }
    if !conversation.index.is_whole(&core.store)? {
        tracing::warn!(conversation = %conversation.row.id, "the index is made anew");
        conversation.clear_index(core)?;
    }
    let Some(repository) = &conversation.repository else {
        return Ok(None);
    };
    let head = repository.head();
    let mut heads = vec![head];
    match repository.unmerged_heads() {
        Ok(unmerged) => heads.extend(unmerged),
        Err(error) => {
            tracing::warn!(conversation = %conversation.row.id, %error, "heads cannot be compared");
        }
    }
    // All of them are no news: the index was lost.
    let tell = conversation.index.length() > 0;
    let Some(missing) = conversation.missing(core, &heads)? else {
        return Ok(Some(heads));
    };
    if !missing.is_empty() {
        tracing::info!(conversation = %conversation.row.id, commits = missing.len(),
            "indexing commits of an earlier run");
        conversation.add_fresh(core, &missing, tell)?;
    }
    if conversation.row.head != Some(head) {
        conversation.touch();
    }
    if heads.len() > 1 {
        conversation.merge_rest(core)?;
    }
    Ok(None)
}
