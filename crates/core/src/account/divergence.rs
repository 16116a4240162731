//! Histories that part: a peer with laxer rules built on a commit that ours refuse
//! (docs/protocol/05-swarm.md section 5.12).
//!
//! Whoever has that commit cannot be followed any more, the others can. The person is told
//! once, and the conversation says so from then on. When those others have a history without
//! it, [`Account::rejoin`] sets the own copy aside and clones theirs.

use baraza_store::{ConversationState, RefusalRow, StoreError, UnsentRow, text_of};
use baraza_swarm::{Message, Refused, Role};
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId};

use crate::account::timers::Timer;
use crate::account::{Account, CommandFailure};
use crate::command::{CommandError, MAX_BODY, Refusal};
use crate::event::EventBody;

/// Refused commits of one conversation that are kept and told; more are not new.
const MAX_REFUSALS: usize = 16;
/// Own texts that are looked at when a conversation is cloned anew: the newest ones.
const MAX_UNSENT: usize = 10_000;
/// Ends the name of a copy that was set aside. There is one of each conversation.
const ASIDE: &str = "aside";

impl Account {
    /// A commit breaks a rule: tells it, once.
    pub(super) fn diverged(
        &mut self,
        id: ConversationId,
        source: DeviceId,
        refused: &Refused,
    ) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        let known = &conversation.refusals;
        let told = known.iter().any(|row| row.message == refused.commit);
        if told || known.len() >= MAX_REFUSALS {
            return Ok(());
        }
        let row = RefusalRow {
            message: refused.commit,
            author: refused.author,
            source,
            rule: refused.rule.name().to_owned(),
            detail: refused.text.clone(),
            time: self.core.now.unix,
        };
        self.core.store.begin()?;
        let number = conversation.row.number;
        self.core.store.add_refusal(number, &row)?;
        conversation.refusals.push(row.clone());
        let refusal = self.refusal(&row);
        self.core.emit(EventBody::ConversationDiverged {
            conversation: id,
            refusal,
        });
        Ok(())
    }

    /// A refused commit as clients see it.
    pub(super) fn refusal(&self, row: &RefusalRow) -> Refusal {
        let owner = |device: &DeviceId| {
            if *device == self.core.device {
                return Some(self.core.account);
            }
            self.devices.get(device).map(|device| device.row.owner)
        };
        Refusal {
            message: row.message,
            device: row.author,
            author: row.author.as_ref().and_then(owner),
            source: row.source,
            source_account: owner(&row.source),
            rule: row.rule.clone(),
            detail: row.detail.clone(),
            time: row.time,
        }
    }

    /// The command to set the own copy of a conversation aside, and to clone it anew from a
    /// member. Own texts that are not in that are written again.
    pub(super) fn rejoin(
        &mut self,
        id: ConversationId,
        from: Option<AccountId>,
    ) -> Result<(), CommandFailure> {
        let own = self.core.account;
        let conversation = self.conversation(&id)?;
        let repository = conversation
            .ready()
            .ok_or(CommandError::NoSuchConversation)?;
        let members = repository
            .members()
            .map_err(|error| CommandError::Repository(error.to_string()))?;
        let joined = |role| matches!(role, Role::Admin | Role::Member);
        let mut others = members
            .iter()
            .filter(|member| member.uri != own && joined(member.role));
        let source = match from {
            Some(from) => others.find(|member| member.uri == from),
            // An admin can be trusted to know what belongs to the group.
            None => others
                .clone()
                .find(|member| member.role == Role::Admin)
                .or_else(|| others.next()),
        };
        let Some(source) = source.map(|member| member.uri) else {
            let text = match from {
                Some(_) => "that account is no member of this conversation",
                None => "there is no other member to clone from",
            };
            return Err(CommandError::NotAllowed(text.into()).into());
        };
        let unsent = self.own_texts(&id)?;
        self.leave_channels(&id)?;
        self.forget_intakes(&id)?;
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Err(CommandError::NoSuchConversation.into());
        };
        conversation.repository = None;
        for request in conversation.take_requests() {
            let error = CommandError::NoSuchConversation;
            self.core.replies.push((request, Err(error)));
        }
        conversation.clear_index(&mut self.core)?;
        conversation.peers.clear();
        conversation.refusals.clear();
        conversation.diverged = false;
        conversation.source = None;
        conversation.attempts = 0;
        conversation.row.state = ConversationState::Cloning;
        conversation.row.peer = Some(source);
        let number = conversation.row.number;
        self.core.store.clear_refusals(number)?;
        for row in &unsent {
            self.core.store.add_unsent(number, row)?;
        }
        // First the rows: after a crash in between, the copy is taken for the clone.
        self.flush()?;
        self.set_aside(&id)
            .map_err(|error| CommandError::Repository(error.to_string()))?;
        self.try_clone(id)?;
        Ok(self.welcome(&source)?)
    }

    fn set_aside(&self, id: &ConversationId) -> std::io::Result<()> {
        let name = format!("{id}.{ASIDE}");
        let aside = self.core.conversations_directory().join(name);
        if aside.exists() {
            std::fs::remove_dir_all(&aside)?;
        }
        std::fs::rename(self.core.conversation_directory(id), aside)
    }

    /// Ends everything that is under way with the repository.
    fn leave_channels(&mut self, id: &ConversationId) -> Result<(), StoreError> {
        let channels: Vec<_> = self
            .channels
            .iter()
            .filter(|(_, channel)| channel.concerns(id))
            .map(|(channel, _)| *channel)
            .collect();
        for channel in channels {
            self.close_channel(channel)?;
        }
        let devices: Vec<DeviceId> = self.devices.keys().copied().collect();
        for device in devices {
            self.core.timers.clear(Timer::Notice(*id, device));
            self.core.timers.clear(Timer::Fetch(*id, device));
        }
        Ok(())
    }

    /// Own texts that may not be in another copy.
    pub(super) fn own_texts(&self, id: &ConversationId) -> Result<Vec<UnsentRow>, CommandFailure> {
        let conversation = self.conversation(id)?;
        let (store, number) = (&self.core.store, conversation.row.number);
        let mut texts = store.unsent(number)?;
        for position in store.own_texts(number, &self.core.account, MAX_UNSENT)? {
            let Some(row) = store.message_at(number, position)? else {
                continue;
            };
            let edits = store.edits(number, &row.id, &row.author, MAX_UNSENT)?;
            let newest = match edits.last() {
                Some(at) => store.message_at(number, *at)?,
                None => None,
            };
            let fields: std::collections::BTreeMap<String, String> =
                serde_json::from_str(&row.fields).unwrap_or_default();
            texts.push(UnsentRow {
                number: 0,
                message: row.id,
                body: text_of(newest.as_ref().unwrap_or(&row)),
                reply_to: fields.get("reply-to").and_then(|id| id.parse().ok()),
            });
        }
        Ok(texts)
    }

    /// A conversation was cloned anew: what is not in it is written again.
    pub(super) fn write_unsent(&mut self, id: &ConversationId) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get_mut(id) else {
            return Ok(());
        };
        let number = conversation.row.number;
        let rows = self.core.store.unsent(number)?;
        if rows.is_empty() {
            return Ok(());
        }
        let here = |message: &CommitId| {
            let position = conversation.index.position(&self.core.store, message)?;
            Ok::<bool, StoreError>(position.is_some())
        };
        let mut lost = Vec::new();
        for row in rows {
            if here(&row.message)? || row.body.is_empty() || row.body.len() > MAX_BODY {
                continue;
            }
            let reply_to = match row.reply_to {
                Some(reply_to) if here(&reply_to)? => Some(reply_to),
                _ => None,
            };
            lost.push(Message::Text {
                body: row.body,
                reply_to,
            });
        }
        if let Some(repository) = conversation.repository.as_mut()
            && !lost.is_empty()
        {
            tracing::info!(conversation = %id, texts = lost.len(), "written again");
            match repository.commit_batch(self.core.author(), &lost, self.core.now.unix) {
                Ok(commits) => conversation.add_fresh(&mut self.core, &commits, true)?,
                Err(error) => {
                    tracing::error!(conversation = %id, %error, "cannot be written again");
                    // They are kept for the next time that it is cloned anew.
                    return Ok(());
                }
            }
        }
        self.core.store.begin()?;
        self.core.store.clear_unsent(number)
    }
}
