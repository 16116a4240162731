//! Another conversation with a contact than ours.
//!
//! Who has a contact already and is asked for another conversation keeps the one there is, and
//! names it in the confirmation (docs/protocol/02-account.md section 8): the one who asked goes
//! over to it. So do we, when it is here; what was written meanwhile goes along.

use baraza_store::{OutboxKind, StoreError};
use baraza_swarm::{Mode, Role};
use baraza_wire::{AccountId, ConversationId};

use crate::account::{Account, CommandFailure};

/// Conversations of a contact that may be on the way here before we follow it to one more.
const MAX_OTHERS: usize = 4;

impl Account {
    /// The role of an account in a conversation that is here.
    fn role_in(&self, id: &ConversationId, account: &AccountId) -> Option<Role> {
        let conversation = self.conversations.get(id)?;
        let repository = conversation.ready().filter(|_| !conversation.is_left())?;
        repository.role(account).ok().flatten()
    }

    /// Whether an account is in a conversation, or invited to it.
    pub(super) fn is_in(&self, id: &ConversationId, account: &AccountId) -> bool {
        matches!(
            self.role_in(id, account),
            Some(Role::Admin | Role::Member | Role::Invited)
        )
    }

    /// A contact has that conversation with us. If it is not ours, and it never joined ours, it
    /// is fetched.
    pub(super) fn other_has(
        &mut self,
        contact: AccountId,
        theirs: ConversationId,
    ) -> Result<(), StoreError> {
        let ours = self.contacts.get(&contact).and_then(|row| row.conversation);
        let known = self.conversations.get(&theirs);
        if ours == Some(theirs) || known.is_some_and(|known| !known.is_left()) {
            return Ok(());
        }
        // A contact that names another one each time gets no further.
        if self.cloning_from(&contact).len() >= MAX_OTHERS {
            return Ok(());
        }
        // It asked, too, and was told to come to ours.
        let told = self.outbox.get(&(OutboxKind::Confirmation, contact));
        let told = told.is_some_and(|row| Some(row.conversation) == ours);
        if told || ours.is_some_and(|ours| self.is_member(&ours, &contact)) {
            return Ok(());
        }
        tracing::info!(account = %contact, conversation = %theirs, "it has another conversation");
        if self.requests.contains_key(&theirs) {
            self.forget_request(&theirs)?;
        }
        self.clone_conversation(theirs, contact)
    }

    /// A conversation was cloned. If it is one with a contact, it takes the place of those
    /// that the contact never joined.
    pub(super) fn take_instead(&mut self, id: &ConversationId) -> Result<(), StoreError> {
        let conversation = self.conversations.get(id);
        let row = conversation.map(|conversation| &conversation.row);
        let row = row.filter(|row| row.mode == Mode::OneToOne.number());
        let Some((contact, number)) = row.and_then(|row| Some((row.peer?, row.number))) else {
            return Ok(());
        };
        let active = self.contacts.get(&contact).filter(|row| row.is_active());
        let Some(ours) = active.and_then(|row| row.conversation) else {
            return Ok(());
        };
        // Nobody but us was ever in these.
        let waiting: Vec<ConversationId> = self
            .conversations
            .values()
            .map(|conversation| &conversation.row)
            .filter(|row| row.mode == Mode::OneToOne.number() && row.peer == Some(contact))
            .map(|row| row.id)
            .filter(|other| other != id && self.role_in(other, &contact) == Some(Role::Invited))
            .collect();
        let takes = ours == *id || waiting.contains(&ours);
        if !takes || !self.is_member(id, &contact) {
            return Ok(());
        }
        self.add_contact(contact, true, Some(*id))?;
        for other in waiting {
            let texts = match self.own_texts(&other) {
                Ok(texts) => texts,
                Err(CommandFailure::Store(error)) => return Err(error),
                Err(CommandFailure::Refused(error)) => {
                    // What cannot be taken along stays where it is.
                    tracing::warn!(conversation = %other, %error, "its texts cannot be read");
                    continue;
                }
            };
            self.core.store.begin()?;
            for text in &texts {
                self.core.store.add_unsent(number, text)?;
            }
            self.remove_conversation(&other)?;
        }
        Ok(())
    }
}
