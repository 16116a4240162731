//! Heads beside the own branch, and how they are joined into it.

use baraza_store::StoreError;
use baraza_swarm::{MergeOutcome, Repository};
use baraza_wire::CommitId;

use super::Conversation;
use crate::account::Core;

/// A head beside the own branch.
#[derive(Debug, Clone, Copy)]
struct Comparison {
    /// It has something other than merges that the own branch lacks.
    brings: bool,
    /// It has all that the own branch has; not found out if it brings something.
    ahead: bool,
}

impl Conversation {
    /// What a head that is in the index has beside the own branch.
    fn compare(&self, core: &Core, head: &CommitId) -> Result<Comparison, StoreError> {
        let mut result = Comparison {
            brings: false,
            ahead: true,
        };
        let Some(own) = self.repository.as_ref().map(Repository::head) else {
            return Ok(result);
        };
        let apart = |[ours, theirs]: [bool; 2]| ours != theirs;
        let two = [&own, head];
        self.index
            .walk_down(&core.store, two, apart, |position, [ours, theirs]| {
                if ours != theirs {
                    result.ahead &= theirs;
                    let told = self.index.at(&core.store, position)?;
                    result.brings |= theirs && told.is_some_and(|(_, told)| told);
                }
                // That it brings something settles it, and there may be very many more.
                Ok(!result.brings)
            })?;
        Ok(result)
    }

    /// Merges heads of other devices that are not part of the own branch, if that works now.
    pub(in crate::account) fn merge_rest(&mut self, core: &mut Core) -> Result<(), StoreError> {
        let Some(repository) = &mut self.repository else {
            return Ok(());
        };
        let heads = match repository.unmerged_heads() {
            Ok(heads) => heads,
            Err(error) => {
                tracing::warn!(conversation = %self.row.id, %error, "heads cannot be compared");
                return Ok(());
            }
        };
        self.diverged = false;
        for head in heads {
            self.merge(core, head)?;
        }
        Ok(())
    }

    /// Joins a head that is in the index into the own branch, unless it brings nothing but
    /// merges: two devices that merge each other's merges would never end.
    pub(in crate::account) fn merge(
        &mut self,
        core: &mut Core,
        head: CommitId,
    ) -> Result<(), StoreError> {
        if self.index.position(&core.store, &head)?.is_none() {
            // It is still being taken in, and merged then.
            return Ok(());
        }
        let comparison = self.compare(core, &head)?;
        if !comparison.brings && !comparison.ahead {
            return Ok(());
        }
        let Some(repository) = &mut self.repository else {
            return Ok(());
        };
        match repository.merge(core.author(), head, core.now.unix) {
            Ok(MergeOutcome::UpToDate | MergeOutcome::FastForward | MergeOutcome::Adopted) => {}
            Ok(MergeOutcome::Merged(commit)) => self.add_fresh(core, &[commit], true)?,
            Ok(MergeOutcome::Diverged(why)) => {
                tracing::debug!(conversation = %self.row.id, %why, "two heads stay");
                self.diverged = true;
            }
            Err(error) => {
                tracing::warn!(conversation = %self.row.id, %error, "cannot merge");
                self.diverged = true;
            }
        }
        Ok(())
    }
}
