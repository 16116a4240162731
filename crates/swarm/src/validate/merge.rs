//! Merge commits (docs/protocol/05-swarm.md section 5.10).

use std::sync::Arc;

use baraza_wire::CommitId;
use gix::ObjectId;

use super::{Checked, Checker, need};
use crate::certificates::Identity;
use crate::commit::{Parsed, broken};
use crate::refusal::Rule;
use crate::tree::Change;

/// The one file for which either side may win.
pub(crate) const PROFILE: &str = "profile.vcf";

impl Checker<'_> {
    pub(super) fn check_merge(
        &mut self,
        parsed: &Parsed<'_>,
        ours: &CommitId,
        theirs: &CommitId,
    ) -> Checked<Arc<Identity>> {
        need(ours != theirs, Rule::Merge, "a merge of one commit")?;
        let our_tree = self.graph.facts(ours)?.tree;
        let their_tree = self.graph.facts(theirs)?.tree;
        let new = parsed.tree;
        let from_ours = self.diff(Some(our_tree), new)?;
        let from_theirs = self.diff(Some(their_tree), new)?;
        let identity = self.identify(new, parsed)?;
        let bases = self.graph.merge_bases(ours, theirs)?;
        need(!bases.is_empty(), Rule::Root, "nothing in common")?;
        let mut base_trees = Vec::new();
        for base in &bases {
            base_trees.push(self.graph.facts(base)?.tree);
        }
        // Both lists are in the order of paths.
        let invented = from_ours.iter().find(|change| {
            from_theirs
                .binary_search_by(|other| other.path.cmp(&change.path))
                .is_ok()
        });
        if let Some(change) = invented {
            let text = format!("{} is as in neither parent", change.path);
            return Ok(broken(Rule::Merge, text)?);
        }
        // What was taken from one side must not be that side's old version.
        self.check_taken(&from_ours, &base_trees)?;
        self.check_taken(&from_theirs, &base_trees)?;
        Ok(identity)
    }

    /// `changes` lead from one parent to the merge, so what they lead to was taken from the
    /// other one: it must differ from the base, if there is one opinion about that.
    fn check_taken(&self, changes: &[Change], bases: &[ObjectId]) -> Checked {
        for change in changes.iter().filter(|change| change.path != PROFILE) {
            if self.agreed(bases, &change.path)? == Some(change.new) {
                let text = format!("{} is as it was before both parents", change.path);
                return Ok(broken(Rule::Merge, text)?);
            }
        }
        Ok(())
    }

    /// What all bases have at `path`, unless they disagree.
    fn agreed(&self, bases: &[ObjectId], path: &str) -> Checked<Option<Option<ObjectId>>> {
        let mut agreed = None;
        for base in bases {
            let file = self.file(*base, path)?;
            if agreed.is_some_and(|other| other != file) {
                return Ok(None);
            }
            agreed = Some(file);
        }
        Ok(agreed)
    }
}
