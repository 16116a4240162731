//! A conversation: its repository, its index, and what its members' devices have.

mod heads;
pub(super) mod opening;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use baraza_link::ChannelId;
use baraza_store::{
    ConversationRow, ConversationState, MessageRow, RefusalRow, StoreError, ViewRow,
};
use baraza_swarm::{Author, CommitInfo, MemberAction, Repository, Role};
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId, UnixTime};

use crate::account::index::{Entry, Index};
use crate::account::known::Known;
use crate::account::routing::Routing;
use crate::account::signs::Signs;
use crate::account::timers::Timer;
use crate::account::{Core, RequestId};
use crate::command::Reply;
use crate::event::{EventBody, MemberChange, Message};
use crate::protocol::transfer::file_id;

/// A conversation.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) row: ConversationRow,
    /// Its repository; `None` while it is being cloned, or if it cannot be opened.
    pub(super) repository: Option<Repository>,
    pub(super) index: Index,
    /// How far its view goes, and what of it was read.
    pub(super) view: ViewRow,
    /// Whether there are heads beside the own branch, which could not be merged.
    pub(super) diverged: bool,
    /// Whether a part of a pack is in the index, which is merged when all of it is.
    pub(super) partial: bool,
    /// Whether nothing more is fetched, as there is no room.
    pub(super) paused: bool,
    /// Devices of the members, this one left out.
    pub(super) peers: BTreeMap<DeviceId, PeerState>,
    /// Whom we invited, and when, as long as they have not joined.
    pub(super) invitations: BTreeMap<AccountId, UnixTime>,
    /// Commits that were refused.
    pub(super) refusals: Vec<RefusalRow>,
    /// Who types and who has read what.
    pub(super) signs: Signs,
    /// The ways to the other members.
    pub(super) routing: Routing,
    /// Texts to be committed.
    pub(super) queue: VecDeque<Queued>,
    /// Commits in the index's memory that are not in the database yet.
    fresh: Vec<Fresh>,
    /// Replies to give when those are.
    waiting: Vec<(RequestId, CommitId)>,
    /// Whether the row has changed.
    dirty: bool,
    /// The device it is being cloned from, and attempts so far.
    pub(super) source: Option<DeviceId>,
    /// Whose devices may be asked for it, beside those of whoever invited.
    sources: Vec<AccountId>,
    pub(super) attempts: u32,
    /// Which commits of the clone under way are news.
    pub(super) news: CloneNews,
    /// Devices of the own account that say they have it.
    pub(super) holders: BTreeSet<DeviceId>,
}

/// Which commits of a clone clients are told of: those that were written since this account
/// was invited (the last time) are messages to it like any that come later, older ones are
/// history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloneNews {
    /// None: the account has been a member before.
    Nothing,
    /// Those that follow the invitation, which was not seen yet.
    AfterInvitation,
    /// Those from this position on.
    From(u64),
}

impl CloneNews {
    /// Passes a commit; whether all up to it is history.
    fn pass(&mut self, info: &CommitInfo, position: u64, us: &AccountId) -> bool {
        let of_us = |action| match &info.message {
            baraza_swarm::Message::Initial { invited, .. } => {
                action == MemberAction::Add && invited.as_ref() == Some(us)
            }
            baraza_swarm::Message::Member { action: done, uri } => {
                *done == action && *uri == us.to_string()
            }
            _ => false,
        };
        match self {
            Self::AfterInvitation if of_us(MemberAction::Add) => {
                *self = Self::From(position.saturating_add(1));
                true
            }
            // An earlier time in the conversation: another invitation follows.
            Self::From(_) if of_us(MemberAction::Join) => {
                *self = Self::AfterInvitation;
                true
            }
            _ => false,
        }
    }
}

/// What is known of a device in a conversation, and under way with it.
#[derive(Debug)]
pub(super) struct PeerState {
    pub(super) known: Known,
    /// Notices sent since something was last learned.
    pub(super) notices: u32,
    /// Our channel to its repository.
    pub(super) git: Option<Git>,
    /// Fetches failed in a row.
    pub(super) failures: u32,
    /// A head of it that was refused: not fetched again.
    pub(super) refused: Option<CommitId>,
    /// Fetch again when what is under way is over, unless all of these are here by then.
    /// Notices of daemons of 2023 come in any order.
    pub(super) wanted: BTreeSet<CommitId>,
    /// How often it was asked for what it may have forgotten to tell of, since anything
    /// happened.
    pub(super) asked: u32,
}

/// A git channel of ours.
#[derive(Debug)]
pub(super) struct Git {
    pub(super) channel: ChannelId,
    pub(super) open: bool,
}

impl PeerState {
    pub(super) fn new(known: Known) -> Self {
        Self {
            known,
            notices: 0,
            git: None,
            failures: 0,
            refused: None,
            wanted: BTreeSet::new(),
            asked: 0,
        }
    }
}

/// A text to be committed.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) request: RequestId,
    pub(super) message: baraza_swarm::Message,
}

/// A commit to be written to the database.
#[derive(Debug)]
struct Fresh {
    info: CommitInfo,
    /// Whether clients are told of it.
    tell: bool,
}

impl Conversation {
    pub(super) fn new(own: DeviceId, row: ConversationRow, repository: Option<Repository>) -> Self {
        Self {
            index: Index::new(row.number, row.length),
            view: ViewRow {
                conversation: row.number,
                ..ViewRow::default()
            },
            routing: Routing::new(own),
            row,
            repository,
            diverged: false,
            partial: false,
            paused: false,
            peers: BTreeMap::new(),
            invitations: BTreeMap::new(),
            refusals: Vec::new(),
            signs: Signs::default(),
            queue: VecDeque::new(),
            fresh: Vec::new(),
            waiting: Vec::new(),
            dirty: false,
            source: None,
            sources: Vec::new(),
            attempts: 0,
            news: CloneNews::Nothing,
            holders: BTreeSet::new(),
        }
    }

    /// Whether it can be used.
    pub(super) fn is_ready(&self) -> bool {
        self.row.state == ConversationState::Ready && self.repository.is_some()
    }

    /// Whether it was left.
    pub(super) fn is_left(&self) -> bool {
        self.row.state == ConversationState::Removed
    }

    /// Whether others may fetch it: it can be used, or was left and they do not know yet.
    pub(super) fn is_shared(&self) -> bool {
        self.shared().is_some()
    }

    /// Its repository, if others may fetch it.
    pub(super) fn shared(&self) -> Option<&Repository> {
        match self.row.state {
            ConversationState::Ready | ConversationState::Removed => self.repository.as_ref(),
            ConversationState::Cloning => None,
        }
    }

    /// Whether an account is banned here.
    pub(super) fn bans(&self, account: &AccountId) -> bool {
        let role = self.ready().map(|repository| repository.role(account));
        matches!(role, Some(Ok(Some(Role::Banned))))
    }

    /// Whether we invited an account that has not joined.
    pub(super) fn invites(&self, account: &AccountId) -> bool {
        self.is_ready() && self.invitations.contains_key(account)
    }

    /// Whether texts can be committed.
    pub(super) fn has_queued(&self) -> bool {
        self.is_ready() && !self.queue.is_empty()
    }

    /// Its repository, if it can be used.
    pub(super) fn ready(&self) -> Option<&Repository> {
        match self.row.state {
            ConversationState::Ready => self.repository.as_ref(),
            _ => None,
        }
    }

    /// Whether an account may fetch from here, and we from it.
    pub(super) fn is_authorised(&self, account: &AccountId) -> bool {
        match &self.repository {
            Some(repository) => repository.is_authorised(account).unwrap_or(false),
            None => self.is_cloned_from(account),
        }
    }

    /// Whether it is being cloned, and the account's devices are asked for it.
    pub(super) fn is_cloned_from(&self, account: &AccountId) -> bool {
        self.row.state == ConversationState::Cloning
            && self.cloned_from().any(|source| source == *account)
    }

    /// Whose devices are asked for it as long as it is being cloned.
    pub(super) fn cloned_from(&self) -> impl Iterator<Item = AccountId> + '_ {
        let further = self.sources.iter().copied();
        self.row
            .peer
            .into_iter()
            .chain(further.filter(|source| self.row.peer != Some(*source)))
    }

    /// It was cloned: nobody is asked for it any more.
    pub(super) fn forget_sources(&mut self, core: &mut Core) -> Result<(), StoreError> {
        if !std::mem::take(&mut self.sources).is_empty() {
            core.store.begin()?;
            core.store.clear_clone_sources(self.row.number)?;
        }
        Ok(())
    }

    /// Commands that wait for this conversation, for an error to all of them.
    pub(super) fn take_requests(&mut self) -> Vec<RequestId> {
        let queued = self.queue.drain(..).map(|queued| queued.request);
        let waiting = self.waiting.drain(..).map(|(request, _)| request);
        queued.chain(waiting).collect()
    }

    /// Adds commits just validated and stored, oldest first, to the index in memory. With
    /// `tell`, clients are told of them when they are written.
    pub(super) fn add_fresh(
        &mut self,
        core: &mut Core,
        commits: &[CommitId],
        tell: bool,
    ) -> Result<(), StoreError> {
        for id in commits {
            if !self.add(core, id, tell)? {
                tracing::error!(commit = %id, "a commit without its parents");
            }
        }
        Ok(())
    }

    /// Adds one commit as [`Self::add_fresh`] does; not, and `false`, if a parent of it is
    /// not in the index.
    pub(super) fn add(
        &mut self,
        core: &mut Core,
        id: &CommitId,
        tell: bool,
    ) -> Result<bool, StoreError> {
        let Some(repository) = &self.repository else {
            return Ok(true);
        };
        if self.index.position(&core.store, id)?.is_some() {
            return Ok(true);
        }
        let info = match repository.commit_info(id) {
            Ok(info) => info,
            Err(error) => {
                // Validated and stored a moment ago: the disk fails.
                tracing::error!(commit = %id, %error, "a commit cannot be read back");
                return Ok(true);
            }
        };
        for parent in &info.parents {
            if self.index.position(&core.store, parent)?.is_none() {
                return Ok(false);
            }
        }
        let position = self.index.length();
        let mut tell = tell || matches!(self.news, CloneNews::From(_));
        if self.news.pass(&info, position, &core.account) {
            self.fresh.iter_mut().for_each(|fresh| fresh.tell = false);
            tell = false;
        }
        self.index.push(Entry {
            id: *id,
            parents: info.parents.clone(),
            told: !matches!(info.message, baraza_swarm::Message::Merge),
        });
        self.fresh.push(Fresh { info, tell });
        if self.fresh.len() >= MAX_FRESH {
            // Part of the transaction that ends with the last of them.
            self.write_fresh(core)?;
        }
        Ok(true)
    }

    /// Ancestors of `heads` that are not in the index, each after its own, and the heads;
    /// `None` if they are too many to be read at once.
    pub(super) fn missing(
        &self,
        core: &Core,
        heads: &[CommitId],
    ) -> Result<Option<Vec<CommitId>>, StoreError> {
        let (mut missing, mut seen) = (Vec::new(), BTreeSet::new());
        let Some(repository) = &self.repository else {
            return Ok(Some(missing));
        };
        // Depth first.
        let mut waiting: Vec<(CommitId, bool)> = heads.iter().map(|id| (*id, false)).collect();
        while let Some((id, parents_done)) = waiting.pop() {
            if parents_done {
                missing.push(id);
                continue;
            }
            if !seen.insert(id) || self.index.position(&core.store, &id)?.is_some() {
                continue;
            }
            if seen.len() > core.config.intake.step {
                return Ok(None);
            }
            waiting.push((id, true));
            match repository.commit_info(&id) {
                Ok(info) => waiting.extend(info.parents.into_iter().map(|parent| (parent, false))),
                Err(error) => {
                    tracing::error!(commit = %id, %error, "a commit cannot be read");
                    return Ok(Some(Vec::new()));
                }
            }
        }
        Ok(Some(missing))
    }

    /// A command to be answered with this commit once it is in the database.
    pub(super) fn answer_with(&mut self, request: RequestId, commit: CommitId) {
        self.waiting.push((request, commit));
    }

    /// Whether something waits to be written.
    pub(super) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty() || self.dirty || !self.waiting.is_empty()
    }

    /// The row has to be written.
    pub(super) fn touch(&mut self) {
        self.dirty = true;
    }

    /// A device has this commit, and so all its ancestors. Whether that is news.
    pub(super) fn learn(
        &mut self,
        core: &mut Core,
        device: DeviceId,
        commit: &CommitId,
    ) -> Result<bool, StoreError> {
        // The head of all that is in the index, if there is one.
        let head = self.repository.as_ref().map(Repository::head);
        let head = head.filter(|_| !self.diverged && !self.partial);
        let Some(peer) = self.peers.get_mut(&device) else {
            return Ok(false);
        };
        let news = if head == Some(*commit) {
            peer.known.add_all(&self.index)
        } else {
            peer.known.add(commit, head, &self.index, &core.store)?
        };
        if news {
            peer.notices = 0;
            // Losing this costs a notice too many, so that it need not be written at once.
            let soon = core.after(WRITE_SOON);
            core.timers.sooner(Timer::Write, soon);
            if peer.known.owner != core.account {
                core.emit(EventBody::MessageDelivered {
                    conversation: self.row.id,
                    message: *commit,
                    account: peer.known.owner,
                    device,
                });
            }
        }
        Ok(news)
    }

    /// A device has this commit, and more that is not in the index yet.
    pub(super) fn learn_part(
        &mut self,
        core: &Core,
        device: &DeviceId,
        commit: &CommitId,
    ) -> Result<(), StoreError> {
        if let Some(peer) = self.peers.get_mut(device)
            && let Some(position) = self.index.position(&core.store, commit)?
        {
            peer.known.add_one(position);
        }
        Ok(())
    }

    /// Empties the index.
    pub(super) fn clear_index(&mut self, core: &mut Core) -> Result<(), StoreError> {
        core.store.begin()?;
        core.store.clear_messages(self.row.number)?;
        for known in core.store.deliveries(self.row.number)? {
            core.store.remove_delivery(self.row.number, &known.device)?;
        }
        self.fresh.clear();
        self.row.length = 0;
        self.index = Index::new(self.row.number, 0);
        self.view = ViewRow {
            conversation: self.row.number,
            ..ViewRow::default()
        };
        self.touch();
        Ok(())
    }

    /// Writes what is fresh to the database; within a transaction.
    fn write_fresh(&mut self, core: &mut Core) -> Result<(), StoreError> {
        core.store.begin()?;
        let number = self.row.number;
        let first = self.index.written();
        let mut before = match first.checked_sub(1) {
            Some(position) => self.index.at(&core.store, position)?.map(|(id, _)| id),
            None => None,
        };
        for (offset, fresh) in (0_u64..).zip(std::mem::take(&mut self.fresh)) {
            let position = first.saturating_add(offset);
            let message = message_of(&fresh.info, before);
            before = Some(fresh.info.id);
            let fields = serde_json::to_string(&message.fields).unwrap_or_default();
            let row = MessageRow {
                position,
                id: message.id,
                author: message.author,
                kind: message.kind.clone(),
                time: message.timestamp,
                parents: message.parents.clone(),
                fields,
            };
            core.store.add_message(number, &row)?;
            core.index_file((self.row.id, number), &fresh.info, fresh.tell)?;
            if self.view.length == position {
                self.add_to_view(core, &row)?;
            }
            if fresh.tell {
                let conversation = self.row.id;
                self.signs.ended(core, conversation, &message.author);
                if let Some((member, change)) = member_change(&fresh.info) {
                    core.events.push(EventBody::MemberEvent {
                        conversation,
                        member,
                        change,
                    });
                }
                core.events.push(EventBody::MessageReceived {
                    conversation,
                    message,
                });
            }
        }
        self.index.set_written();
        core.store.put_view(&self.view)?;
        self.signs
            .settle(core, (self.row.id, number), &self.index)?;
        self.row.length = self.index.length();
        self.row.head = self.repository.as_ref().map(Repository::head);
        core.store.put_conversation(&self.row)?;
        self.dirty = false;
        let replies = self.waiting.drain(..);
        core.replies
            .extend(replies.map(|(request, commit)| (request, Ok(Reply::Message(commit)))));
        Ok(())
    }
}

/// Commits held in memory before they are written to the database: a clone may bring very
/// many.
const MAX_FRESH: usize = 2048;

/// What may wait is written this much later.
const WRITE_SOON: std::time::Duration = std::time::Duration::from_secs(2);

/// A commit as clients see it.
pub(super) fn message_of(info: &CommitInfo, before: Option<CommitId>) -> Message {
    let mut fields: BTreeMap<String, String> = info
        .fields
        .iter()
        .filter(|(key, _)| !RESERVED.contains(&key.as_str()))
        .map(|(key, value)| {
            let text = match value {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            (key.clone(), text)
        })
        .collect();
    if matches!(info.message, baraza_swarm::Message::Merge) {
        fields.insert("body".into(), String::new());
    }
    match &info.message {
        baraza_swarm::Message::File { tid, name, .. } => {
            fields.insert("fileId".into(), file_id(&info.id, tid, name));
        }
        baraza_swarm::Message::RemoveFile { .. } => {
            fields.insert("fileId".into(), String::new());
        }
        _ => {}
    }
    Message {
        id: info.id,
        author: info.author,
        kind: info.message.kind().to_owned(),
        timestamp: info.time.secs(),
        parents: info.parents.clone(),
        linearized_parent: before,
        fields,
    }
}

/// Keys of a commit's JSON that would stand for something else in the map for clients.
const RESERVED: [&str; 7] = [
    "fileId",
    "id",
    "author",
    "type",
    "timestamp",
    "parents",
    "linearizedParent",
];

fn member_change(info: &CommitInfo) -> Option<(AccountId, MemberChange)> {
    let baraza_swarm::Message::Member { action, uri } = &info.message else {
        return None;
    };
    let change = match action {
        MemberAction::Add => MemberChange::Added,
        MemberAction::Join => MemberChange::Joined,
        MemberAction::Remove => MemberChange::Left,
        MemberAction::Ban => MemberChange::Banned,
        MemberAction::Unban => MemberChange::Unbanned,
    };
    Some((uri.parse().ok()?, change))
}

impl Core {
    /// Who signs commits.
    pub(super) fn author(&self) -> Author<'_> {
        Author {
            identity: &self.identity,
            name: &self.config.display_name,
        }
    }

    /// Where conversations are.
    pub(super) fn conversations_directory(&self) -> PathBuf {
        self.config.directory.join("conversations")
    }

    /// Where a conversation is.
    pub(super) fn conversation_directory(&self, id: &ConversationId) -> PathBuf {
        self.conversations_directory().join(id.to_hex())
    }
}
