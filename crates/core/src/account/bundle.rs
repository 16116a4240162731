//! Taking in a conversation, or what is new in it, from a file instead of from a device.
//!
//! The pack goes the way of a large one that was fetched: the same checks, the same steps.
//! What a link proves otherwise, whom it comes from, the bundle's signature did.

use baraza_store::{OutboxKind, StoreError};
use baraza_swarm::RepositoryError;
use baraza_wire::{AccountId, ConversationId};

use crate::account::intake::Intake;
use crate::account::{Account, CommandFailure, RequestId};
use crate::command::{BundleInput, CommandError, Reply};

/// A bundle on its way into a conversation.
#[derive(Debug)]
pub(super) struct Imported {
    /// Who awaits what comes of it.
    pub(super) request: RequestId,
    /// Whose device made it.
    pub(super) owner: AccountId,
    /// Whether the conversation was made for it, and goes if it is refused. One that was
    /// accepted before stays.
    pub(super) made: bool,
    /// Commits in the index before.
    before: u64,
}

impl Account {
    /// The command to take in a bundle. Its reply comes when everything is in the index.
    pub(super) fn import_bundle(
        &mut self,
        request: RequestId,
        input: &BundleInput,
    ) -> Result<(), CommandFailure> {
        let invalid = |text: &str| CommandFailure::from(CommandError::Invalid(text.to_owned()));
        let bundle = input.take();
        let bundle = bundle.ok_or_else(|| invalid("the bundle was taken in already"))?;
        let (id, owner) = (bundle.header.conversation, bundle.account);
        if self.is_banned(&owner) {
            return Err(CommandError::Blocked.into());
        }
        let own = self.core.account;
        let known = self.conversations.get(&id);
        let (made, mut before) = (known.is_none(), 0);
        if let Some(conversation) = known {
            if self.is_cloning(&id) {
                if conversation.source.is_some() || self.intakes.concern(&id) {
                    return Err(CommandError::Busy.into());
                }
            } else if !conversation.is_ready() || conversation.bans(&own) {
                return Err(CommandError::NotMember.into());
            } else if owner != own && !conversation.is_authorised(&owner) {
                return Err(CommandError::NotAllowed(
                    "the bundle was not made by a member of the conversation".into(),
                )
                .into());
            }
            before = conversation.index.length();
        }
        if let Some(since) = bundle.header.since {
            let position = match known {
                Some(conversation) => conversation.index.position(&self.core.store, &since)?,
                None => None,
            };
            if position.is_none() {
                return Err(invalid(&format!(
                    "the bundle begins after {since}, which is not here: bring an earlier one \
                     first, or have it made without a mark"
                )));
            }
        }
        if made {
            self.clone_conversation(id, owner)?;
        }
        self.intakes.bundle(
            id,
            bundle.fetched,
            Imported {
                request,
                owner,
                made,
                before,
            },
        );
        Ok(self.next_intake()?)
    }

    /// Whether the bundle that became this conversation is of one of its members.
    pub(super) fn is_from_member(&self, id: &ConversationId) -> Result<(), RepositoryError> {
        let Some(owner) = self.intakes.bundle_owner() else {
            return Ok(());
        };
        let conversation = self.conversations.get(id);
        let member = conversation.is_some_and(|it| it.is_authorised(&owner));
        match member || owner == self.core.account {
            true => Ok(()),
            false => Err(RepositoryError::NotAllowed(
                "the bundle was not made by a member of the conversation",
            )),
        }
    }

    /// A bundle is in the index.
    pub(super) fn bundle_imported(
        &mut self,
        id: ConversationId,
        bundle: &Imported,
    ) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get(&id) else {
            return Ok(());
        };
        let news = conversation.index.length().saturating_sub(bundle.before);
        let is_for_two = conversation.row.mode == 0;
        self.forget_request(&id)?;
        if bundle.made && is_for_two && bundle.owner != self.core.account {
            // As if its request had come and been accepted.
            self.add_contact(bundle.owner, true, Some(id))?;
            self.owe(OutboxKind::Confirmation, bundle.owner, id)?;
        }
        let reply = Ok(Reply::Count(news));
        self.core.replies.push((bundle.request, reply));
        Ok(())
    }

    /// A bundle cannot be taken in.
    pub(super) fn bundle_refused(
        &mut self,
        intake: &Intake,
        bundle: &Imported,
        error: &RepositoryError,
    ) -> Result<(), StoreError> {
        let id = intake.conversation;
        tracing::warn!(conversation = %id, owner = %bundle.owner, %error, "bundle refused");
        let answer = match error {
            RepositoryError::Io(error) => CommandError::Store(error.to_string()),
            error => CommandError::NotAllowed(error.to_string()),
        };
        self.core.replies.push((bundle.request, Err(answer)));
        if bundle.made {
            self.forget_clone(&id)?;
            return self.erase_conversation(&id);
        }
        if self.is_cloning(&id) {
            self.forget_clone(&id)?;
            self.clone_later(id);
        } else if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.diverged |= std::mem::take(&mut conversation.partial);
        }
        self.end_intake(intake)
    }
}
