//! Taking in what was fetched.

use std::path::Path;

use baraza_wire::{CommitId, ConversationId};

use super::{Repository, Result};
use crate::ingest::{Fetched, clone_into, ingest_many, remote_name};
use crate::pack::{PackError, PackLimits};
use crate::upload_pack::object_id;
use crate::validate::{Caches, Signed, ValidateError, validate};
use crate::verify::Report;

impl Repository {
    /// Makes the conversation `parent/<conversation>` out of a first fetch, if its history
    /// is valid from the first commit to the last. Returns all commits too, oldest first.
    ///
    /// # Errors
    /// If there is one already, or the fetch is refused; nothing is left behind then.
    pub fn clone_into(
        parent: &Path,
        conversation: ConversationId,
        fetched: Fetched,
        limits: &PackLimits,
    ) -> Result<(Self, Vec<CommitId>)> {
        let directory = parent.join(conversation.to_hex());
        let caches = Caches::default();
        let head = fetched.head;
        let commits = clone_into::<ValidateError>(
            &directory,
            conversation,
            fetched,
            limits,
            |objects, known| {
                let valid = validate(
                    objects,
                    &caches,
                    conversation,
                    None,
                    head,
                    known,
                    Signed::Checked,
                )?;
                Ok(valid.0)
            },
        )?;
        Ok((Self::load(&directory)?, commits))
    }

    /// Takes a fetch in: everything it brought is validated, stored, and remembered as the
    /// head of that device. Returns the new commits, oldest first. The own branch does not
    /// move: [`Self::merge`] does that.
    ///
    /// # Errors
    /// If anything in it is refused; nothing of it is taken then.
    pub fn ingest_fetch(&mut self, fetched: Fetched, limits: &PackLimits) -> Result<Vec<CommitId>> {
        let (head, from) = (fetched.head, fetched.from);
        let id = object_id(&head);
        if gix::objs::Exists::exists(&self.objects, &id) && !self.contains(&head) {
            return Err(PackError::WrongKind(id).into());
        }
        let (commits, few) = ingest_many::<ValidateError>(
            &self.git,
            &self.objects,
            fetched,
            limits,
            |objects, known| {
                let founding = Some(self.founding);
                let valid = validate(
                    objects,
                    &self.caches,
                    self.id,
                    founding,
                    head,
                    known,
                    Signed::Checked,
                )?;
                Ok(valid.0)
            },
        )?;
        if few.is_empty() && !commits.is_empty() {
            self.packed();
        }
        if !few.is_empty() || self.remote_head(&from) != Some(head) {
            self.store(&few, &[(remote_name(&from), head)])?;
            self.remotes.insert(from, head);
        }
        Ok(commits)
    }

    /// Checks every commit that the head leads to, as if it were being cloned.
    ///
    /// # Errors
    /// [`super::RepositoryError::Refused`] with the first commit that breaks a rule.
    pub fn verify(&self) -> Result<Report> {
        self.verify_from(self.head)
    }

    /// Checks every commit that `head` leads to.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_from(&self, head: CommitId) -> Result<Report> {
        // Nothing that was cached counts here.
        let caches = Caches::default();
        let (commits, _) = validate(
            &self.objects,
            &caches,
            self.id,
            None,
            head,
            &|_| false,
            Signed::Checked,
        )?;
        let mut merges = 0_usize;
        for id in &commits {
            if caches.facts.get(&self.objects, id)?.parents.len() > 1 {
                merges = merges.saturating_add(1);
            }
        }
        Ok(Report {
            conversation: self.id,
            head,
            commits: commits.len(),
            merges,
        })
    }
}
