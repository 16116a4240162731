//! Ancestors: merge bases, and who is whose.

#[cfg(test)]
pub(crate) mod random;

use std::cell::{Cell, RefCell};
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use baraza_wire::{CommitId, DeviceId};
use gix::ObjectId;
use gix::objs::{Find, Kind};

use crate::commit::Parsed;
use crate::pack::{PackError, expect};
use crate::upload_pack::object_id;

/// What walks need of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) tree: ObjectId,
    pub(crate) parents: Vec<CommitId>,
    pub(crate) time: u64,
    pub(crate) device: DeviceId,
}

impl Facts {
    pub(crate) fn of(parsed: &Parsed<'_>) -> Self {
        Self {
            tree: parsed.tree,
            parents: parsed.parents.clone(),
            time: parsed.time,
            device: parsed.device,
        }
    }
}

/// Facts held before they are forgotten.
const MAX_HELD: usize = 50_000;
/// Commits looked at by all searches during one validation: honest histories of a million
/// commits need far less.
const MAX_STEPS: u64 = 20_000_000;

/// Facts of commits of a repository, as long as there is room.
#[derive(Debug, Default)]
pub(crate) struct FactsCache(RefCell<HashMap<CommitId, Arc<Facts>>>);

impl FactsCache {
    /// Reads a commit that is in the repository and so has been validated.
    pub(crate) fn get(&self, objects: &dyn Find, id: &CommitId) -> Result<Arc<Facts>, PackError> {
        if let Some(facts) = self.0.borrow().get(id) {
            return Ok(Arc::clone(facts));
        }
        let name = object_id(id);
        let mut buffer = Vec::new();
        let data = expect(objects, &name, Kind::Commit, &mut buffer)?;
        let parsed = Parsed::new(data.data).map_err(|_| PackError::Malformed(name))?;
        let facts = Arc::new(Facts::of(&parsed));
        self.insert(*id, &facts);
        Ok(facts)
    }

    pub(crate) fn insert(&self, id: CommitId, facts: &Arc<Facts>) {
        let mut held = self.0.borrow_mut();
        if held.len() >= MAX_HELD {
            held.clear();
        }
        held.insert(id, Arc::clone(facts));
    }
}

/// A commit among those being validated.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) facts: Arc<Facts>,
    /// Its number in the order of validation, from 1; parents have lower ones.
    pub(crate) index: usize,
    /// All commits up to this number are its ancestors or itself.
    pub(crate) barrier: usize,
}

/// Commits being validated in front of those of the repository.
pub(crate) struct Graph<'a> {
    objects: &'a dyn Find,
    cache: &'a FactsCache,
    pub(crate) placed: HashMap<CommitId, Placed>,
    steps: Cell<u64>,
    /// Two commits whose merge bases are known.
    answer: Option<(CommitId, CommitId, Vec<CommitId>)>,
}

/// Why a search gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GraphError {
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error("the history is too entangled")]
    TooManySteps,
}

const OURS: u8 = 1;
const THEIRS: u8 = 2;
/// An ancestor of a common ancestor.
const STALE: u8 = 4;
const FOUND: u8 = 8;

impl<'a> Graph<'a> {
    pub(crate) fn new(objects: &'a dyn Find, cache: &'a FactsCache) -> Self {
        Self {
            objects,
            cache,
            placed: HashMap::new(),
            steps: Cell::new(0),
            answer: None,
        }
    }

    /// Spares the search for the merge bases of two commits.
    pub(crate) fn know_bases(&mut self, ours: CommitId, theirs: CommitId, bases: Vec<CommitId>) {
        self.answer = Some((ours, theirs, bases));
    }

    pub(crate) fn facts(&self, id: &CommitId) -> Result<Arc<Facts>, PackError> {
        match self.placed.get(id) {
            Some(placed) => Ok(Arc::clone(&placed.facts)),
            None => self.cache.get(self.objects, id),
        }
    }

    /// Children come before parents in this order, except that in the repository only the
    /// commits' own times tell, which may lie.
    fn rank(&self, id: &CommitId) -> Result<(usize, u64), PackError> {
        match self.placed.get(id) {
            Some(placed) => Ok((placed.index, placed.facts.time)),
            None => Ok((0, self.cache.get(self.objects, id)?.time)),
        }
    }

    fn step(&self) -> Result<(), GraphError> {
        let steps = self.steps.get().saturating_add(1);
        self.steps.set(steps);
        if steps > MAX_STEPS {
            return Err(GraphError::TooManySteps);
        }
        Ok(())
    }

    /// The best common ancestors of two commits: those that are no ancestor of another.
    pub(crate) fn merge_bases(
        &self,
        ours: &CommitId,
        theirs: &CommitId,
    ) -> Result<Vec<CommitId>, GraphError> {
        if let Some((first, second, bases)) = &self.answer
            && (first, second) == (ours, theirs)
        {
            return Ok(bases.clone());
        }
        let bases = self.common_ancestors(ours, theirs)?;
        if bases.len() < 2 {
            return Ok(bases);
        }
        // Lying times may have let ancestors of others through.
        let mut best = Vec::new();
        for base in &bases {
            let mut redundant = false;
            for other in bases.iter().filter(|other| *other != base) {
                redundant = redundant || self.is_ancestor(base, other)?;
            }
            if !redundant {
                best.push(*base);
            }
        }
        best.sort();
        Ok(best)
    }

    /// Whether `old` is an ancestor of `new`, or the same.
    pub(crate) fn is_ancestor(&self, old: &CommitId, new: &CommitId) -> Result<bool, GraphError> {
        if old == new {
            return Ok(true);
        }
        if let (Some(old), Some(new)) = (self.placed.get(old), self.placed.get(new)) {
            if old.index <= new.barrier {
                return Ok(true);
            }
            if old.index > new.index {
                return Ok(false);
            }
        } else if self.placed.contains_key(old) {
            return Ok(false);
        }
        Ok(self.common_ancestors(old, new)?.contains(old))
    }

    fn common_ancestors(
        &self,
        ours: &CommitId,
        theirs: &CommitId,
    ) -> Result<Vec<CommitId>, GraphError> {
        if ours == theirs {
            return Ok(vec![*ours]);
        }
        let mut flags: HashMap<CommitId, u8> = HashMap::from([(*ours, OURS), (*theirs, THEIRS)]);
        let mut queue = BinaryHeap::new();
        // Entries of the queue that are not stale; the search ends without them.
        let mut fresh = 0_usize;
        for id in [ours, theirs] {
            queue.push((self.rank(id)?, *id, false));
            fresh = fresh.saturating_add(1);
        }
        let mut found = Vec::new();
        while fresh > 0 {
            let Some((_, id, queued_stale)) = queue.pop() else {
                break;
            };
            self.step()?;
            if !queued_stale {
                fresh = fresh.saturating_sub(1);
            }
            let mut flag = flags.get(&id).copied().unwrap_or_default();
            let mut inherited = flag & (OURS | THEIRS | STALE);
            if inherited == OURS | THEIRS {
                if flag & FOUND == 0 {
                    flag |= FOUND;
                    flags.insert(id, flag);
                    found.push(id);
                }
                inherited |= STALE;
            }
            for parent in &self.facts(&id)?.parents {
                let known = flags.entry(*parent).or_default();
                if *known & inherited == inherited {
                    continue;
                }
                *known |= inherited;
                let stale = *known & STALE != 0;
                if !stale {
                    fresh = fresh.saturating_add(1);
                }
                queue.push((self.rank(parent)?, *parent, stale));
            }
        }
        found.retain(|id| flags.get(id).is_some_and(|flag| flag & STALE == 0));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::random::{Made, histories, id};
    use super::*;
    use proptest::prelude::*;

    fn ancestors(history: &[Made], of: usize) -> std::collections::BTreeSet<usize> {
        let mut all = std::collections::BTreeSet::from([of]);
        for n in (0..=of).rev() {
            if all.contains(&n) {
                all.extend(&history[n].parents);
            }
        }
        all
    }

    proptest! {
        /// Against the definition, with times that lie, whether known or being validated.
        #[test]
        fn bases_are_the_best_common_ancestors(
            history in histories(), split: u8, a: u16, b: u16
        ) {
            let cache = FactsCache::default();
            let never = gix::objs::find::Never;
            let mut graph = Graph::new(&never, &cache);
            let split = usize::from(split) % (history.len() + 1);
            for (n, made) in history.iter().enumerate() {
                let facts = made.facts();
                if n < split {
                    cache.insert(id(n), &facts);
                } else {
                    graph.placed.insert(id(n), Placed { facts, index: n + 1, barrier: 0 });
                }
            }
            let (a, b) = (usize::from(a) % history.len(), usize::from(b) % history.len());
            let common: std::collections::BTreeSet<usize> =
                &ancestors(&history, a) & &ancestors(&history, b);
            let best: std::collections::BTreeSet<CommitId> = common
                .iter()
                .filter(|n| !common.iter().any(|m| m != *n && ancestors(&history, *m).contains(n)))
                .map(|n| id(*n))
                .collect();
            let found: std::collections::BTreeSet<CommitId> =
                graph.merge_bases(&id(a), &id(b)).unwrap().into_iter().collect();
            prop_assert_eq!(found, best);
            prop_assert_eq!(
                graph.is_ancestor(&id(a), &id(b)).unwrap(),
                ancestors(&history, b).contains(&a)
            );
        }
    }
}
