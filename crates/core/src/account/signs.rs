//! Small signs: who types, and who has read what (docs/protocol/06-messages-files.md
//! sections 3 and 4).
//!
//! They count only now: they are sent on channels that are open, and never kept for later.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use baraza_store::{ReadRow, Store, StoreError};
use baraza_swarm::{Repository, Role};
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId};

use crate::account::conversation::Conversation;
use crate::account::index::Index;
use crate::account::timers::Timer;
use crate::account::{Account, CommandFailure, Core};
use crate::command::{CommandError, Settings};
use crate::event::EventBody;
use crate::protocol::message::{Composing, Displayed, Message};

/// So long somebody counts as typing who does not say it again; and so often it is said.
const TYPING: Duration = Duration::from_secs(12);
/// So often somebody may begin to type in that time, so that nobody fills the log of events.
const MAX_BEGINNINGS: u32 = 10;
/// Members of one conversation that may type at the same time.
const MAX_TYPISTS: usize = 64;
/// Members whose receipt for a message that is not here yet is kept.
const MAX_EARLY: usize = 1024;

/// Names of the settings in the store, and what is there if it is off.
const SETTING_TYPING: &str = "typing";
const SETTING_RECEIPTS: &str = "read-receipts";
const OFF: &str = "off";

/// The signs of one conversation.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// When we last told that we type, if we do.
    told: Option<Instant>,
    /// Who types.
    typists: BTreeMap<AccountId, Typist>,
    /// Up to where each member has read.
    reads: BTreeMap<AccountId, Read>,
    /// Receipts for messages that are not here yet.
    early: BTreeMap<AccountId, CommitId>,
}

#[derive(Debug)]
struct Typist {
    active: bool,
    /// Until when, if that is not heard again.
    end: Instant,
    /// How often it began since then.
    beginnings: u32,
    since: Instant,
}

/// Up to where a member has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) message: CommitId,
    pub(super) position: u64,
}

impl Signs {
    /// Reads what is known of an earlier run.
    pub(super) fn load(number: i64, index: &Index, store: &Store) -> Result<Self, StoreError> {
        let mut signs = Self::default();
        for row in store.reads(number)? {
            if let Some(position) = index.position(store, &row.message)? {
                let message = row.message;
                signs.reads.insert(row.member, Read { message, position });
            }
        }
        Ok(signs)
    }

    /// Up to where a member is known to have read.
    pub(super) fn read(&self, member: &AccountId) -> Option<Read> {
        self.reads.get(member).copied()
    }

    /// When the first who types does not any more.
    fn next_end(&self) -> Option<Instant> {
        let active = self.typists.values().filter(|typist| typist.active);
        active.map(|typist| typist.end).min()
    }

    /// Somebody has read up to a message, which is here. Whether that is news.
    fn learn(
        &mut self,
        core: &mut Core,
        conversation: (ConversationId, i64),
        member: AccountId,
        read: Read,
    ) -> Result<bool, StoreError> {
        let known = self.reads.get(&member).map(|read| read.position);
        if known.is_some_and(|position| position >= read.position) {
            return Ok(false);
        }
        self.reads.insert(member, read);
        let (id, number) = conversation;
        core.store.begin()?;
        let row = ReadRow {
            member,
            message: read.message,
            time: core.now.unix,
        };
        core.store.put_read(number, &row)?;
        core.emit(EventBody::MessageRead {
            conversation: id,
            message: read.message,
            account: member,
        });
        Ok(true)
    }

    /// Somebody does not type any more, as it wrote what was typed or else.
    pub(super) fn ended(&mut self, core: &mut Core, id: ConversationId, author: &AccountId) {
        let typist = self.typists.get_mut(author);
        if let Some(typist) = typist.filter(|typist| typist.active) {
            typist.active = false;
            core.emit(EventBody::ComposingChanged {
                conversation: id,
                account: *author,
                active: false,
            });
        }
    }

    /// Messages came, which receipts may be waiting for.
    pub(super) fn settle(
        &mut self,
        core: &mut Core,
        conversation: (ConversationId, i64),
        index: &Index,
    ) -> Result<(), StoreError> {
        let waiting: Vec<(AccountId, CommitId)> = self
            .early
            .iter()
            .map(|(member, message)| (*member, *message))
            .collect();
        for (member, message) in waiting {
            if let Some(position) = index.position(&core.store, &message)? {
                self.early.remove(&member);
                self.learn(core, conversation, member, Read { message, position })?;
            }
        }
        Ok(())
    }
}

impl Settings {
    /// As the store has them.
    pub(super) fn load(store: &Store, account: i64) -> Result<Self, StoreError> {
        let on = |key| Ok::<_, StoreError>(store.setting(account, key)?.as_deref() != Some(OFF));
        Ok(Self {
            typing: on(SETTING_TYPING)?,
            receipts: on(SETTING_RECEIPTS)?,
        })
    }
}

/// Whether an account has joined and was not thrown out.
fn has_joined(repository: &Repository, account: &AccountId) -> bool {
    matches!(
        repository.role(account),
        Ok(Some(Role::Admin | Role::Member))
    )
}

impl Account {
    /// The command to change the settings.
    pub(super) fn change_settings(
        &mut self,
        typing: Option<bool>,
        receipts: Option<bool>,
    ) -> Result<Settings, StoreError> {
        let number = self.core.config.number;
        for (key, value) in [(SETTING_TYPING, typing), (SETTING_RECEIPTS, receipts)] {
            if let Some(on) = value {
                self.core.store.begin()?;
                let value = (!on).then_some(OFF);
                self.core.store.set_setting(number, key, value)?;
            }
        }
        if typing == Some(false) {
            // Nobody shall wait for the end of what is not told any more.
            let all: Vec<ConversationId> = self.conversations.keys().copied().collect();
            for id in all {
                self.stop_typing(&id)?;
                let typists = self.conversations.get_mut(&id).map(|chat| &mut chat.signs);
                let typists: Vec<AccountId> = typists
                    .map(|signs| signs.typists.keys().copied().collect())
                    .unwrap_or_default();
                for typist in typists {
                    self.typing_ended(&id, &typist);
                }
            }
        }
        let settings = &mut self.core.settings;
        settings.typing = typing.unwrap_or(settings.typing);
        settings.receipts = receipts.unwrap_or(settings.receipts);
        Ok(*settings)
    }

    /// The command to tell that we type, or not any more.
    pub(super) fn set_composing(
        &mut self,
        id: ConversationId,
        active: bool,
    ) -> Result<(), CommandFailure> {
        self.conversation(&id)?;
        if !active {
            return Ok(self.stop_typing(&id)?);
        }
        if !self.core.settings.typing {
            return Ok(());
        }
        let now = self.core.now.instant;
        let later = self.core.after(TYPING);
        // Without another key in that time, it has ended.
        self.core.timers.set(Timer::OwnTyping(id), later);
        let conversation = self.conversations.get_mut(&id);
        let signs = conversation.map(|conversation| &mut conversation.signs);
        let signs = signs.ok_or(CommandError::NoSuchConversation)?;
        let recently = signs
            .told
            .is_some_and(|at| now.saturating_duration_since(at) < TYPING);
        if !recently {
            signs.told = Some(now);
            self.tell_composing(&id, true)?;
        }
        Ok(())
    }

    /// We do not type any more: tells it if we told that we do.
    pub(super) fn stop_typing(&mut self, id: &ConversationId) -> Result<(), StoreError> {
        self.core.timers.clear(Timer::OwnTyping(*id));
        let Some(conversation) = self.conversations.get_mut(id) else {
            return Ok(());
        };
        match conversation.signs.told.take() {
            Some(_) => self.tell_composing(id, false),
            None => Ok(()),
        }
    }

    fn tell_composing(&mut self, id: &ConversationId, active: bool) -> Result<(), StoreError> {
        let message = Message::Composing(Composing {
            conversation: *id,
            active,
        });
        let own = self.core.account;
        self.tell_members(id, &message, |member| *member != own)
    }

    /// Tells the others up to where we have read, if they may know.
    pub(super) fn tell_read(
        &mut self,
        id: ConversationId,
        message: CommitId,
    ) -> Result<(), StoreError> {
        if !self.core.settings.receipts {
            return Ok(());
        }
        let message = Message::Displayed(Displayed {
            conversation: id,
            message,
        });
        self.tell_members(&id, &message, |_| true)
    }

    /// Sends a message to all devices of members with an open channel.
    fn tell_members(
        &mut self,
        id: &ConversationId,
        message: &Message,
        wanted: impl Fn(&AccountId) -> bool,
    ) -> Result<(), StoreError> {
        let conversation = self.conversations.get(id);
        let Some(repository) = conversation.and_then(Conversation::ready) else {
            return Ok(());
        };
        if !has_joined(repository, &self.core.account) {
            return Ok(());
        }
        let devices: Vec<DeviceId> = self
            .devices
            .values()
            .filter(|device| device.carrier().is_some() && wanted(&device.row.owner))
            .filter(|device| has_joined(repository, &device.row.owner))
            .map(|device| device.row.device)
            .collect();
        for device in devices {
            self.send_now(device, message)?;
        }
        Ok(())
    }

    /// Somebody types, or stopped.
    pub(super) fn composing(
        &mut self,
        account: AccountId,
        composing: &Composing,
    ) -> Result<(), StoreError> {
        let id = composing.conversation;
        if !self.core.settings.typing || account == self.core.account {
            return Ok(());
        }
        let now = self.core.now.instant;
        let end = self.core.after(TYPING);
        let conversation = self.conversations.get_mut(&id);
        let Some(conversation) = conversation.filter(|chat| chat.is_ready()) else {
            return Ok(());
        };
        let repository = conversation.ready();
        if !repository.is_some_and(|repository| has_joined(repository, &account)) {
            return Ok(());
        }
        if !composing.active {
            self.typing_ended(&id, &account);
            return Ok(());
        }
        let typists = &mut conversation.signs.typists;
        typists.retain(|_, typist| {
            typist.active || now.saturating_duration_since(typist.since) < TYPING
        });
        if typists.len() >= MAX_TYPISTS && !typists.contains_key(&account) {
            return Ok(());
        }
        let typist = typists.entry(account).or_insert(Typist {
            active: false,
            end,
            beginnings: 0,
            since: now,
        });
        if now.saturating_duration_since(typist.since) >= TYPING {
            typist.since = now;
            typist.beginnings = 0;
        }
        if !typist.active {
            if typist.beginnings >= MAX_BEGINNINGS {
                return Ok(());
            }
            typist.beginnings = typist.beginnings.saturating_add(1);
            typist.active = true;
            self.core.emit(EventBody::ComposingChanged {
                conversation: id,
                account,
                active: true,
            });
        }
        typist.end = end;
        self.core.timers.sooner(Timer::Typing(id), end);
        Ok(())
    }

    /// Some may have stopped typing without saying so.
    pub(super) fn typing_timeout(&mut self, id: &ConversationId) {
        let now = self.core.now.instant;
        let Some(conversation) = self.conversations.get(id) else {
            return;
        };
        let typists = conversation.signs.typists.iter();
        let ended: Vec<AccountId> = typists
            .filter(|(_, typist)| typist.active && typist.end <= now)
            .map(|(account, _)| *account)
            .collect();
        for account in ended {
            self.typing_ended(id, &account);
        }
        let conversation = self.conversations.get(id);
        if let Some(next) = conversation.and_then(|chat| chat.signs.next_end()) {
            self.core.timers.sooner(Timer::Typing(*id), next);
        }
    }

    /// Somebody does not type any more.
    fn typing_ended(&mut self, id: &ConversationId, account: &AccountId) {
        if let Some(conversation) = self.conversations.get_mut(id) {
            conversation.signs.ended(&mut self.core, *id, account);
        }
    }

    /// Somebody has read up to a message.
    pub(super) fn displayed(
        &mut self,
        account: AccountId,
        displayed: &Displayed,
    ) -> Result<(), StoreError> {
        if !self.core.settings.receipts {
            return Ok(());
        }
        let (id, message) = (displayed.conversation, displayed.message);
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        let repository = conversation.ready();
        if !repository.is_some_and(|repository| has_joined(repository, &account)) {
            return Ok(());
        }
        let position = conversation.index.position(&self.core.store, &message)?;
        let signs = &mut conversation.signs;
        match position {
            Some(_) if account == self.core.account => self.read_elsewhere(id, message),
            Some(position) => {
                let read = Read { message, position };
                let conversation = (id, conversation.row.number);
                signs.learn(&mut self.core, conversation, account, read)?;
                Ok(())
            }
            None => {
                let known = signs.early.contains_key(&account);
                if known || signs.early.len() < MAX_EARLY {
                    signs.early.insert(account, message);
                }
                Ok(())
            }
        }
    }

    /// Members went: nothing of them counts any more.
    pub(super) fn forget_signs(&mut self, id: &ConversationId) {
        let Some(conversation) = self.conversations.get_mut(id) else {
            return;
        };
        let Some(repository) = &conversation.repository else {
            return;
        };
        let gone: Vec<AccountId> = conversation
            .signs
            .typists
            .keys()
            .copied()
            .filter(|account| !has_joined(repository, account))
            .collect();
        let early = &mut conversation.signs.early;
        early.retain(|account, _| has_joined(repository, account));
        for account in gone {
            self.typing_ended(id, &account);
        }
    }
}
