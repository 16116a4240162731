//! Taking in packs that are too large to do it in one go.
//!
//! What takes long and only reads is a [`Work`]: the driver runs it on another thread and
//! brings back what came of it. The database is written here, a step at a time, and other
//! inputs get their turn between the steps. There is one pack at a time; others wait, also
//! small ones for the same conversation. Commits are on the disk before they are in the
//! index, and in the index before anybody is told, so that after a crash the index only
//! has to catch up with the repository.

use std::collections::VecDeque;

use baraza_store::{ConversationState, StoreError};
use baraza_swarm::ingest::Fetched;
use baraza_swarm::pack::PackLimits;
use baraza_swarm::{RepositoryError, Stop};
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId};

use crate::account::bundle::Imported;
use crate::account::work::{Product, Task, Work, WorkId};
use crate::account::{Account, Output, RequestId};
use crate::command::CommandError;
use crate::event::EventBody;

/// What is taken in at once, and what in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntakeLimits {
    /// Most bytes of a pack that is taken in as soon as it is there.
    pub at_once: u64,
    /// Commits of larger ones that are indexed before others get their turn.
    pub step: usize,
}

impl Default for IntakeLimits {
    /// Steps of some ten milliseconds: a commit has about 700 bytes that cannot be
    /// compressed.
    fn default() -> Self {
        Self {
            at_once: 64 << 10,
            step: 256,
        }
    }
}

/// What waits or is under way, the first one now.
#[derive(Debug, Default)]
pub(super) struct Intakes {
    queue: VecDeque<Intake>,
    /// Whether there is a work of which nothing was heard yet.
    working: bool,
    /// The conversation of that work, if it was removed meanwhile.
    orphan: Option<ConversationId>,
}

/// Commits on their way into a conversation.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) conversation: ConversationId,
    /// Where they come from, and its head; `None` for what an earlier run left.
    pub(super) from: Option<(DeviceId, CommitId)>,
    /// Whether clients are told of each.
    tell: bool,
    /// Whether all commits were looked through.
    listed: bool,
    /// For a bundle: whom it comes from, and who awaits what comes of it.
    pub(super) bundle: Option<Imported>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// A pack to be checked.
    Fetched(Fetched),
    /// Commits of the repository to be looked for from these on.
    Stored(Vec<CommitId>),
    Working(Stop),
    /// To be indexed, oldest first.
    Indexing(std::vec::IntoIter<CommitId>),
    Over,
}

impl Intakes {
    /// Adds a pack.
    pub(super) fn fetched(&mut self, conversation: ConversationId, fetched: Fetched, tell: bool) {
        self.queue.push_back(Intake {
            conversation,
            from: Some((fetched.from, fetched.head)),
            tell,
            listed: false,
            bundle: None,
            stage: Stage::Fetched(fetched),
        });
    }

    /// Adds the pack of a bundle.
    pub(super) fn bundle(&mut self, id: ConversationId, fetched: Fetched, bundle: Imported) {
        let tell = !bundle.made;
        self.fetched(id, fetched, tell);
        if let Some(last) = self.queue.back_mut() {
            last.bundle = Some(bundle);
        }
    }

    /// Adds what is in the repository but not in the index.
    pub(super) fn stored(
        &mut self,
        conversation: ConversationId,
        from: Option<(DeviceId, CommitId)>,
        heads: Vec<CommitId>,
        tell: bool,
    ) {
        self.queue.push_back(Intake {
            conversation,
            from,
            tell,
            listed: false,
            bundle: None,
            stage: Stage::Stored(heads),
        });
    }

    /// Whether something is on its way into this conversation.
    pub(super) fn concern(&self, id: &ConversationId) -> bool {
        self.queue.iter().any(|intake| intake.conversation == *id)
    }

    /// Whether something of this device is.
    pub(super) fn come_from(&self, id: &ConversationId, device: &DeviceId) -> bool {
        let from = |intake: &Intake| intake.from.is_some_and(|(from, _)| from == *device);
        self.queue
            .iter()
            .any(|intake| intake.conversation == *id && from(intake))
    }

    /// Whom the bundle that is being taken in comes from.
    pub(super) fn bundle_owner(&self) -> Option<AccountId> {
        let bundle = self.queue.front()?.bundle.as_ref()?;
        Some(bundle.owner)
    }

    /// Whether there is a step to be done as soon as nothing else is.
    pub(super) fn have_step(&self) -> bool {
        let first = self.queue.front();
        first.is_some_and(|intake| matches!(intake.stage, Stage::Indexing(_)))
    }

    /// Commands that wait for bundles of a conversation.
    fn waiting(&self, id: &ConversationId) -> Vec<RequestId> {
        let here = self.queue.iter().filter(|it| it.conversation == *id);
        here.filter_map(|it| Some(it.bundle.as_ref()?.request))
            .collect()
    }

    /// Commands that wait for bundles, for an error to all of them.
    pub(super) fn take_requests(&mut self) -> Vec<RequestId> {
        let bundles = self.queue.iter_mut().filter_map(|it| it.bundle.take());
        bundles.map(|bundle| bundle.request).collect()
    }

    /// A conversation was removed.
    fn forget(&mut self, id: &ConversationId) {
        for intake in &self.queue {
            if let Stage::Working(stop) = &intake.stage
                && intake.conversation == *id
            {
                stop.now();
                self.orphan = Some(*id);
            }
        }
        self.queue.retain(|intake| intake.conversation != *id);
    }
}

impl Drop for Intakes {
    fn drop(&mut self) {
        for intake in &self.queue {
            if let Stage::Working(stop) = &intake.stage {
                stop.now();
            }
        }
    }
}

impl Account {
    /// Whether a pack takes too long to be taken in at once, or has to wait for its turn.
    pub(super) fn must_wait(&self, id: &ConversationId, fetched: &Fetched) -> bool {
        fetched.pack.len() > self.core.config.intake.at_once || self.intakes.concern(id)
    }

    /// Begins with the next pack, if there is nothing under way.
    pub(super) fn next_intake(&mut self) -> Result<(), StoreError> {
        while !self.intakes.working {
            let Some(first) = self.intakes.queue.front_mut() else {
                return Ok(());
            };
            let id = first.conversation;
            let task = match std::mem::replace(&mut first.stage, Stage::Over) {
                Stage::Fetched(fetched) => self.check_pack(id, fetched),
                Stage::Stored(heads) => self.list(&id, heads),
                stage @ (Stage::Indexing(_) | Stage::Working(_) | Stage::Over) => {
                    first.stage = stage;
                    return Ok(());
                }
            };
            match task {
                Ok(task) => {
                    let stop = Stop::default();
                    if let Some(first) = self.intakes.queue.front_mut() {
                        first.stage = Stage::Working(stop.clone());
                    }
                    self.intakes.working = true;
                    let id = WorkId::Intake;
                    let work = Work { id, task, stop };
                    self.core.out.push_back(Output::Work(work));
                }
                Err(error) => self.intake_refused(&error)?,
            }
        }
        Ok(())
    }

    /// The work to check a pack.
    fn check_pack(
        &mut self,
        id: ConversationId,
        fetched: Fetched,
    ) -> Result<Task, RepositoryError> {
        if self.is_cloning(&id) {
            return Ok(Task::Clone(Box::new(self.cloning(id, fetched)?)));
        }
        let conversation = self.conversations.get_mut(&id);
        let repository = conversation.and_then(|conversation| conversation.repository.as_mut());
        let repository = repository.ok_or(RepositoryError::Pointless("there is no repository"))?;
        let intake = repository.intake(fetched, &PackLimits::default())?;
        Ok(Task::Check(Box::new(intake)))
    }

    /// The work to list what is in a repository.
    fn list(&self, id: &ConversationId, heads: Vec<CommitId>) -> Result<Task, RepositoryError> {
        let conversation = self.conversations.get(id);
        let repository = conversation.and_then(|conversation| conversation.repository.as_ref());
        let repository = repository.ok_or(RepositoryError::Pointless("there is no repository"))?;
        Ok(Task::List(repository.listing(heads)))
    }

    pub(super) fn is_cloning(&self, id: &ConversationId) -> bool {
        let conversation = self.conversations.get(id);
        conversation.is_some_and(|it| it.row.state == ConversationState::Cloning)
    }

    /// The work on the first pack is done.
    pub(super) fn intake_worked(
        &mut self,
        done: Result<Product, RepositoryError>,
    ) -> Result<(), StoreError> {
        self.intakes.working = false;
        if let Some(id) = self.intakes.orphan.take() {
            drop(done);
            self.remove_orphan(&id);
            return self.next_intake();
        }
        let Some(first) = self.intakes.queue.front() else {
            return Ok(());
        };
        let (id, head) = (first.conversation, first.from.map(|(_, head)| head));
        let listed = matches!(done, Ok(Product::Listed(_)));
        let commits = done.and_then(|product| match product {
            Product::Checked(received) => {
                let conversation = self.conversations.get_mut(&id);
                match conversation.and_then(|it| it.repository.as_mut()) {
                    Some(repository) => repository.take(*received),
                    None => Ok(Vec::new()),
                }
            }
            Product::Cloned(cloned) => self
                .place_clone(&id, *cloned)
                .and_then(|commits| self.is_from_member(&id).map(|()| commits)),
            Product::Listed(commits) => Ok(commits),
            // Has another number.
            Product::File(_) => Ok(Vec::new()),
        });
        let commits = match commits {
            Ok(commits) => commits,
            Err(error) => {
                self.intake_refused(&error)?;
                return self.next_intake();
            }
        };
        // With nothing new, what is here may still not be in the index: a crash came
        // between.
        let behind = match (head, self.conversations.get(&id)) {
            (Some(head), Some(conversation)) if commits.is_empty() && !listed => {
                let position = conversation.index.position(&self.core.store, &head)?;
                position.is_none().then_some(head)
            }
            _ => None,
        };
        let stage = match behind {
            Some(head) => Stage::Stored(vec![head]),
            None => Stage::Indexing(commits.into_iter()),
        };
        if let Some(first) = self.intakes.queue.front_mut() {
            first.stage = stage;
            first.listed = listed;
        }
        self.next_intake()
    }

    /// Indexes some commits of the first pack.
    pub(super) fn index_step(&mut self) -> Result<(), StoreError> {
        let Some(first) = self.intakes.queue.front_mut() else {
            return Ok(());
        };
        let Stage::Indexing(commits) = &mut first.stage else {
            return Ok(());
        };
        let Some(conversation) = self.conversations.get_mut(&first.conversation) else {
            return Ok(());
        };
        conversation.partial = true;
        for id in commits.by_ref().take(self.core.config.intake.step.max(1)) {
            if !conversation.add(&mut self.core, &id, first.tell)? {
                // What it builds on was stored by an earlier run, but not indexed.
                match first.from.filter(|_| !first.listed) {
                    Some((_, head)) => first.stage = Stage::Stored(vec![head]),
                    None => self.intake_refused(&RepositoryError::UnknownCommit(id))?,
                }
                return self.next_intake();
            }
            if let Some((device, head)) = first.from
                && id != head
            {
                conversation.learn_part(&self.core, &device, &id)?;
            }
        }
        if commits.len() > 0 {
            return Ok(());
        }
        conversation.partial = false;
        let Some(mut intake) = self.intakes.queue.pop_front() else {
            return Ok(());
        };
        let bundle = intake.bundle.take();
        self.intake_done(&intake)?;
        if let Some(bundle) = bundle {
            self.bundle_imported(intake.conversation, &bundle)?;
        }
        self.next_intake()
    }

    /// All commits of a pack are in the index.
    fn intake_done(&mut self, intake: &Intake) -> Result<(), StoreError> {
        let id = intake.conversation;
        if self.is_cloning(&id) {
            self.finish_clone(id, intake.from)?;
        } else if let Some((device, head)) = intake.from {
            self.finish_fetch(id, device, head, true)?;
        } else {
            if let Some(conversation) = self.conversations.get_mut(&id) {
                conversation.merge_rest(&mut self.core)?;
            }
            self.notify_all(id, None)?;
        }
        self.end_intake(intake)
    }

    /// The first pack cannot be taken in.
    fn intake_refused(&mut self, error: &RepositoryError) -> Result<(), StoreError> {
        let Some(mut intake) = self.intakes.queue.pop_front() else {
            return Ok(());
        };
        let id = intake.conversation;
        if let Some(bundle) = intake.bundle.take() {
            return self.bundle_refused(&intake, &bundle, error);
        }
        if let Some(conversation) = self.conversations.get_mut(&id) {
            // What is in the index of it stays beside the own branch.
            conversation.diverged |= std::mem::take(&mut conversation.partial);
        }
        match (intake.from, self.is_cloning(&id)) {
            (Some((device, head)), true) => self.clone_refused(id, device, head, error)?,
            (Some((device, head)), false) => self.fetch_refused(id, device, head, error)?,
            (None, cloning) => {
                tracing::error!(conversation = %id, %error, "the index stays behind");
                self.core.emit(EventBody::SyncError {
                    conversation: id,
                    device: None,
                    rule: "repository".into(),
                    detail: error.to_string(),
                });
                if cloning {
                    self.forget_clone(&id)?;
                    self.clone_later(id);
                }
            }
        }
        self.end_intake(&intake)
    }

    /// A pack was taken in or refused: what waited for that goes on.
    pub(super) fn end_intake(&mut self, intake: &Intake) -> Result<(), StoreError> {
        let id = intake.conversation;
        let repository = self.conversations.get_mut(&id);
        if let Some(repository) = repository.and_then(|it| it.repository.as_mut()) {
            repository.end_intake();
        }
        match intake.from {
            Some((device, _)) if !self.is_cloning(&id) => self.fetch_wanted(id, device),
            _ => Ok(()),
        }
    }

    /// A conversation was removed, and what was on its way into it.
    pub(super) fn forget_intakes(&mut self, id: &ConversationId) -> Result<(), StoreError> {
        for request in self.intakes.waiting(id) {
            let error = CommandError::NoSuchConversation;
            self.core.replies.push((request, Err(error)));
        }
        self.intakes.forget(id);
        self.next_intake()
    }

    /// Removes what a work wrote for a conversation that was being removed.
    fn remove_orphan(&self, id: &ConversationId) {
        let conversation = self.conversations.get(id);
        if conversation.is_none_or(|conversation| conversation.repository.is_none()) {
            self.remove_directory(id);
        }
    }

    /// Removes a conversation from the disk, if it is there.
    pub(super) fn remove_directory(&self, id: &ConversationId) {
        let directory = self.core.conversation_directory(id);
        if let Err(error) = std::fs::remove_dir_all(&directory)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(conversation = %id, %error, "cannot be removed from the disk");
        }
    }
}
