//! The first commit, and those that say something without touching the members (docs/
//! protocol/05-swarm.md sections 5.3 and 5.9).

use std::sync::Arc;

use baraza_wire::{AccountId, CommitId};
use gix::objs::Kind;

use super::{Caches, Checked, Checker, Founding, Step, need, stray};
use crate::certificates::Identity;
use crate::commit::{Parsed, lower_hex};
use crate::message::{Message, Mode, text};
use crate::pack::expect;
use crate::refusal::Rule;
use crate::tree::{Change, EMPTY};
use crate::upload_pack::object_id;

const EDITED: &str = "application/edited-message";

impl Checker<'_> {
    /// Section 5.3.
    pub(super) fn check_initial(
        &mut self,
        id: &CommitId,
        parsed: &Parsed<'_>,
    ) -> Checked<Arc<Identity>> {
        need(
            *id == CommitId::from(self.conversation),
            Rule::Root,
            "a first commit of another conversation",
        )?;
        let (message, _) =
            Message::parse(parsed.message).map_err(|error| (Rule::Message, error.to_string()))?;
        let Message::Initial { mode, invited, .. } = message else {
            let text = "the first commit is of another type";
            return Err((Rule::Initial, text.to_owned()).into());
        };
        let changes = self.diff(None, parsed.tree)?;
        let identity = self.identify(parsed.tree, parsed)?;
        let account = identity.account;
        need(
            identity.admin,
            Rule::Initial,
            "the creator is not made an admin",
        )?;
        let invited = invited.filter(|_| mode == Mode::OneToOne);
        need(
            mode != Mode::OneToOne || invited.is_some(),
            Rule::Initial,
            "nobody is invited to a conversation of two",
        )?;
        let mut allowed = vec![
            format!("admins/{account}.crt"),
            format!("devices/{}.crt", parsed.device),
            format!("CRLs/{account}"),
        ];
        if let Some(peer) = invited {
            let path = format!("invited/{peer}");
            need(
                self.file(parsed.tree, &path)?
                    .is_none_or(|file| file == EMPTY),
                Rule::Initial,
                "the invitation is not an empty file",
            )?;
            allowed.push(path);
        }
        for change in &changes {
            if !allowed.contains(&change.path) {
                return stray(Rule::Initial, change);
            }
        }
        self.founding = Some(Founding {
            mode,
            creator: account,
            invited,
        });
        Ok(identity)
    }

    /// Section 5.9: `application/update-profile`.
    pub(super) fn check_profile(&self, step: &Step<'_>, admin: bool) -> Checked {
        need(admin, Rule::Profile, "the author is no admin")?;
        for change in self.others(step, None)? {
            if change.path != "profile.vcf" {
                return stray(Rule::Profile, change);
            }
        }
        Ok(())
    }

    /// Section 5.9: `application/checkpoint`.
    pub(super) fn check_checkpoint(&self, step: &Step<'_>) -> Checked {
        need(
            self.founded()?.mode == Mode::Document,
            Rule::Document,
            "not a document",
        )?;
        for change in self.others(step, None)? {
            let named = change
                .path
                .strip_prefix("attachments/")
                .zip(change.new)
                .is_some_and(|(name, file)| {
                    lower_hex::<CommitId>(name.as_bytes()).is_some_and(|id| object_id(&id) == file)
                });
            if !named {
                return stray(Rule::Document, change);
            }
        }
        Ok(())
    }

    /// Section 5.9: everything else.
    pub(super) fn check_ordinary(&self, step: &Step<'_>, message: &Message) -> Checked {
        need(
            self.founded()?.mode != Mode::Document,
            Rule::Document,
            "documents hold no messages",
        )?;
        match text(step.fields, "edit").filter(|id| !id.is_empty()) {
            Some(target) => self.check_edit(step, target)?,
            None => need(
                message.kind() != EDITED,
                Rule::Edit,
                "an edit of no message",
            )?,
        }
        for change in self.others(step, None)? {
            self.check_own_account(step, change)?;
        }
        Ok(())
    }

    /// The author may renew its own certificate.
    fn check_own_account(&self, step: &Step<'_>, change: &Change) -> Checked {
        let author = step.author;
        let own = change.path == format!("members/{author}.crt")
            || change.path == format!("admins/{author}.crt");
        let (true, Some(_), Some(new)) = (own, change.old, change.new) else {
            return stray(Rule::Files, change);
        };
        let certificate = self
            .caches
            .certificates
            .first(self.objects, new)?
            .map_err(|what| (Rule::Files, format!("{}: {what}", change.path)))?;
        need(
            AccountId::from(certificate.public_key().short_id()) == author,
            Rule::Files,
            "the new certificate is for another key",
        )
    }

    fn check_edit(&self, step: &Step<'_>, target: &str) -> Checked {
        let target: CommitId = target
            .parse()
            .map_err(|_| (Rule::Edit, "what is edited is no message".to_owned()))?;
        let parent = step.parsed.parents.first().copied().unwrap_or(target);
        // A commit that is not here cannot be an ancestor, and the search would fail on it.
        let present = self.graph.placed.contains_key(&target)
            || crate::pack::lookup(self.objects, &object_id(&target), &mut Vec::new())?
                .is_some_and(|object| object.kind == Kind::Commit);
        need(
            present && self.graph.is_ancestor(&target, &parent)?,
            Rule::Edit,
            "what is edited is not part of the history before",
        )?;
        let mut buffer = Vec::new();
        let data = expect(self.objects, &object_id(&target), Kind::Commit, &mut buffer)?.data;
        let edited = Parsed::new(data)?;
        let single = edited.parents.len() == 1;
        let message = Message::parse(edited.message).ok().filter(|_| single);
        let editable = match message {
            Some((Message::File { tid, .. }, _)) => !tid.is_empty(),
            Some((message, fields)) => {
                let kind = text(&fields, "type").unwrap_or_default();
                kind == "text/plain" || matches!(message, Message::Document { .. })
            }
            None => false,
        };
        need(editable, Rule::Edit, "such a message cannot be edited")?;
        let Caches {
            trees,
            certificates,
            ..
        } = self.caches;
        let author = certificates.identify(self.objects, trees, edited.tree, edited.device)?;
        need(
            author.account == step.author,
            Rule::Edit,
            "the message of another account is edited",
        )
    }
}
