//! Writing messages, in batches: one wait for the disk for all that came together.

use baraza_store::StoreError;
use baraza_swarm::{Message, Role};
use baraza_wire::{CommitId, ConversationId};

use crate::account::conversation::{Conversation, Queued};
use crate::account::{Account, CommandFailure, RequestId};
use crate::command::{CommandError, MAX_BODY, MAX_NAME};

/// Texts committed together. Each takes a signature, so that more would keep the others,
/// and the network, waiting.
const BATCH: usize = 16;
/// Texts waiting in one conversation.
const MAX_QUEUED: usize = 10_000;

impl Account {
    /// Takes a text to be committed when everything before has been sent.
    pub(super) fn queue_text(
        &mut self,
        request: RequestId,
        id: ConversationId,
        body: String,
        reply_to: Option<CommitId>,
    ) -> Result<(), CommandFailure> {
        if body.is_empty() {
            return Err(CommandError::Invalid("the text is empty".into()).into());
        }
        check_length(&body, MAX_BODY)?;
        if let Some(replied) = &reply_to {
            self.must_have(&id, replied)?;
        }
        self.queue(request, id, Message::Text { body, reply_to })?;
        // Said, so that it is not being typed any more.
        Ok(self.stop_typing(&id)?)
    }

    /// Takes a reaction.
    pub(super) fn queue_reaction(
        &mut self,
        request: RequestId,
        id: ConversationId,
        to: CommitId,
        emoji: String,
    ) -> Result<(), CommandFailure> {
        if emoji.trim().is_empty() {
            return Err(CommandError::Invalid("there is no emoji".into()).into());
        }
        check_length(&emoji, MAX_NAME)?;
        self.must_have(&id, &to)?;
        self.queue(request, id, Message::Reaction { to, body: emoji })
    }

    /// Takes a new wording of a message of ours.
    pub(super) fn queue_edit(
        &mut self,
        request: RequestId,
        id: ConversationId,
        of: CommitId,
        body: String,
    ) -> Result<(), CommandFailure> {
        check_length(&body, MAX_BODY)?;
        let original = self.history(&id, Some(of), 1)?.into_iter().next();
        let original = original.ok_or(CommandError::NoSuchMessage)?;
        let refused = |why: &str| Err(CommandError::NotAllowed(why.into()).into());
        if original.author != self.core.account {
            return refused("only its author can edit a message");
        }
        if original.fields.contains_key("fileId") && body.is_empty() {
            return self.delete_file(request, id, of);
        }
        if original.kind != "text/plain" || original.fields.contains_key("edit") {
            return refused("only a text, as it was first written, can be edited");
        }
        if original.fields.contains_key("react-to") && !body.is_empty() {
            return refused("a reaction can only be taken back");
        }
        let edit = Message::Edit {
            of,
            body,
            // Peers of all generations understand this one.
            old_style: true,
        };
        self.queue(request, id, edit)
    }

    /// Refuses what refers to a message that is not here.
    pub(super) fn must_have(
        &self,
        id: &ConversationId,
        commit: &CommitId,
    ) -> Result<(), CommandFailure> {
        let conversation = self.conversations.get(id);
        let conversation = conversation.ok_or(CommandError::NoSuchConversation)?;
        let position = conversation.index.position(&self.core.store, commit)?;
        position.ok_or(CommandError::NoSuchMessage)?;
        Ok(())
    }

    pub(super) fn queue(
        &mut self,
        request: RequestId,
        id: ConversationId,
        message: Message,
    ) -> Result<(), CommandFailure> {
        let account = self.core.account;
        // A text for a conversation whose first pack is being taken in waits for that.
        let arriving = self.is_cloning(&id) && self.intakes.concern(&id);
        let conversation = match self.conversations.get(&id).filter(|_| arriving) {
            Some(conversation) => conversation,
            None => self.conversation(&id)?,
        };
        let role = conversation
            .ready()
            .map(|repository| repository.role(&account))
            .transpose()
            .map_err(|error| CommandError::Repository(error.to_string()))?;
        if !arriving && !matches!(role.flatten(), Some(Role::Admin | Role::Member)) {
            return Err(CommandError::NotMember.into());
        }
        if conversation.queue.len() >= MAX_QUEUED {
            return Err(CommandError::Busy.into());
        }
        let conversation = self
            .conversations
            .get_mut(&id)
            .ok_or(CommandError::NoSuchConversation)?;
        conversation.queue.push_back(Queued { request, message });
        Ok(())
    }

    /// Whether texts wait to be committed.
    pub(super) fn has_queued(&self) -> bool {
        self.conversations.values().any(Conversation::has_queued)
    }

    /// Commits a batch of texts for each conversation that has some. Whether there was one.
    pub(super) fn commit_queued(&mut self) -> Result<bool, StoreError> {
        let waiting: Vec<ConversationId> = self
            .conversations
            .values()
            .filter(|conversation| conversation.has_queued())
            .map(|conversation| conversation.row.id)
            .collect();
        for id in &waiting {
            self.commit_batch(*id)?;
        }
        Ok(!waiting.is_empty())
    }

    fn commit_batch(&mut self, id: ConversationId) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        let count = conversation.queue.len().min(BATCH);
        let (requests, messages): (Vec<_>, Vec<_>) = conversation
            .queue
            .drain(..count)
            .map(|queued| (queued.request, queued.message))
            .unzip();
        let Some(repository) = &mut conversation.repository else {
            return Ok(());
        };
        match repository.commit_batch(self.core.author(), &messages, self.core.now.unix) {
            Ok(commits) => {
                conversation.add_fresh(&mut self.core, &commits, true)?;
                for (request, commit) in requests.into_iter().zip(commits) {
                    conversation.answer_with(request, commit);
                }
                if conversation.diverged {
                    conversation.merge_rest(&mut self.core)?;
                }
                self.notify_all(id, None)
            }
            Err(error) => {
                tracing::error!(conversation = %id, %error, "cannot commit");
                let text = error.to_string();
                for request in requests {
                    let error = CommandError::Repository(text.clone());
                    self.core.replies.push((request, Err(error)));
                }
                Ok(())
            }
        }
    }
}

fn check_length(text: &str, most: usize) -> Result<(), CommandError> {
    if text.len() > most {
        let text = format!("the text is longer than {most} bytes");
        return Err(CommandError::Invalid(text));
    }
    Ok(())
}
