//! What a device of another member is known to have of a conversation.
//!
//! Everything below a position, and some commits above with their ancestors: a device that
//! writes while it has not fetched our newest yet has its own, but not ours.

use std::collections::BTreeSet;

use baraza_store::{DeliveryRow, Store, StoreError};
use baraza_wire::{AccountId, CommitId, DeviceId};

use crate::account::index::Index;

/// Heads kept of a device; more are only met when it never fetches.
const MAX_HEADS: usize = 32;

/// Newest commits looked at to see what a device lacks. If that is not enough, all that it
/// has is looked at.
const MAX_LOOKED: usize = 1000;

/// What one device has.
#[derive(Debug)]
pub(crate) struct Known {
    /// Its account.
    pub(crate) owner: AccountId,
    /// It has every commit below this position.
    base: u64,
    /// And those at these positions above.
    extra: BTreeSet<u64>,
    /// From which `extra` follows.
    heads: Vec<CommitId>,
    /// Whether it has changed since it was written.
    dirty: bool,
}

impl Known {
    /// A device of which nothing is known.
    pub(crate) fn nothing(owner: AccountId) -> Self {
        Self {
            owner,
            base: 0,
            extra: BTreeSet::new(),
            heads: Vec::new(),
            dirty: false,
        }
    }

    /// As it was written.
    pub(crate) fn from_row(
        row: &DeliveryRow,
        index: &Index,
        store: &Store,
    ) -> Result<Self, StoreError> {
        let mut known = Self::nothing(row.owner);
        known.base = row.base.min(index.length());
        for head in &row.heads {
            known.add(head, None, index, store)?;
        }
        known.dirty = false;
        Ok(known)
    }

    /// To be written, if it has changed.
    pub(crate) fn take_row(&mut self, device: DeviceId) -> Option<DeliveryRow> {
        std::mem::take(&mut self.dirty).then(|| DeliveryRow {
            device,
            owner: self.owner,
            base: self.base,
            heads: self.heads.clone(),
        })
    }

    /// The device has this commit and so all its ancestors. Whether that is news. `whole` is
    /// a commit that descends from all in the index, if there is one.
    pub(crate) fn add(
        &mut self,
        commit: &CommitId,
        whole: Option<CommitId>,
        index: &Index,
        store: &Store,
    ) -> Result<bool, StoreError> {
        let Some(position) = index.position(store, commit)? else {
            return Ok(false);
        };
        if self.has(position) {
            return Ok(false);
        }
        let parents = index.ancestry(store, commit)?.map(|(_, parents)| parents);
        let mut next = true;
        for parent in parents.unwrap_or_default() {
            let position = index.position(store, &parent)?;
            next = next && position.is_some_and(|position| self.has(position));
        }
        // From above or from below, whichever is nearer.
        let lacks = match whole.filter(|_| !next) {
            Some(whole) => Self::lacks(commit, &whole, index, store)?,
            None => None,
        };
        match lacks {
            Some(lacks) => {
                let first = lacks.first().copied().unwrap_or(index.length());
                self.base = self.base.max(first);
                let more = self.base..index.length();
                self.extra = self.extra.split_off(&self.base);
                self.extra
                    .extend(more.filter(|position| !lacks.contains(position)));
                let mut heads = Vec::new();
                for head in &self.heads {
                    let position = index.position(store, head)?;
                    heads.extend(position.filter(|at| lacks.contains(at)).map(|_| *head));
                }
                self.heads = heads;
            }
            None => self.add_ancestors(commit, index, store)?,
        }
        self.heads.push(*commit);
        if self.heads.len() > MAX_HEADS {
            self.heads.remove(0);
        }
        self.advance(index, store)?;
        self.dirty = true;
        Ok(true)
    }

    fn add_ancestors(
        &mut self,
        commit: &CommitId,
        index: &Index,
        store: &Store,
    ) -> Result<(), StoreError> {
        let mut waiting = vec![*commit];
        while let Some(id) = waiting.pop() {
            self.heads.retain(|head| *head != id);
            let Some((position, parents)) = index.ancestry(store, &id)? else {
                continue;
            };
            if !self.has(position) && self.extra.insert(position) {
                waiting.extend(parents);
            }
        }
        Ok(())
    }

    /// Positions of all commits in the index that `commit` does not descend from; `None` if
    /// they are too many to be sought among the newest. `whole` descends from all.
    fn lacks(
        commit: &CommitId,
        whole: &CommitId,
        index: &Index,
        store: &Store,
    ) -> Result<Option<BTreeSet<u64>>, StoreError> {
        let mut lacks = BTreeSet::new();
        let mut looked = 0_usize;
        let apart = |[_, had]: [bool; 2]| !had;
        index.walk_down(store, [whole, commit], apart, |position, [_, had]| {
            if !had {
                lacks.insert(position);
            }
            looked = looked.saturating_add(1);
            Ok(looked < MAX_LOOKED)
        })?;
        Ok((looked < MAX_LOOKED).then_some(lacks))
    }

    /// The device has the commit at this position, of which the parents were added before.
    /// Nothing is remembered of it but where everything below is had, too: its head is to
    /// follow.
    pub(crate) fn add_one(&mut self, position: u64) {
        if self.has(position) {
            return;
        }
        self.extra.insert(position);
        while self.extra.remove(&self.base) {
            self.base = self.base.saturating_add(1);
            self.dirty = true;
        }
    }

    /// The device has everything. Whether that is news.
    pub(crate) fn add_all(&mut self, index: &Index) -> bool {
        if self.base == index.length() {
            return false;
        }
        self.base = index.length();
        self.extra.clear();
        self.heads.clear();
        self.dirty = true;
        true
    }

    /// Moves the base over everything it has, and over merges, which are owed to nobody.
    fn advance(&mut self, index: &Index, store: &Store) -> Result<(), StoreError> {
        while self.base < index.length() {
            if !self.extra.remove(&self.base) && index.at(store, self.base)?.is_none_or(|it| it.1) {
                break;
            }
            self.base = self.base.saturating_add(1);
        }
        if self.extra.is_empty() {
            self.heads.clear();
        }
        Ok(())
    }

    /// Whether it has the commit at this position.
    pub(crate) fn has(&self, position: u64) -> bool {
        position < self.base || self.extra.contains(&position)
    }

    /// The newest commit that it is not known to have, merges left out.
    pub(crate) fn owed(
        &self,
        index: &Index,
        store: &Store,
    ) -> Result<Option<CommitId>, StoreError> {
        let mut position = index.length();
        while position > self.base {
            position = position.saturating_sub(1);
            if self.extra.contains(&position) {
                continue;
            }
            if let Some((id, true)) = index.at(store, position)? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use baraza_store::Durability;

    use super::*;
    use crate::account::index::Entry;

    fn id(number: u8) -> CommitId {
        CommitId::new([number; 20])
    }

    /// 1 - 2 - 3 - 6(merge) - 7
    ///     \ 4 - 5 /
    fn index() -> Index {
        let mut index = Index::new(1, 0);
        let commits: [(u8, &[u8]); 7] = [
            (1, &[]),
            (2, &[1]),
            (3, &[2]),
            (4, &[2]),
            (5, &[4]),
            (6, &[3, 5]),
            (7, &[6]),
        ];
        for (number, parents) in commits {
            index.push(Entry {
                id: id(number),
                parents: parents.iter().map(|parent| id(*parent)).collect(),
                told: number != 6,
            });
        }
        index
    }

    #[test]
    fn a_device_has_what_its_head_builds_on_and_is_owed_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("db"), Durability::Process).unwrap();
        let index = index();
        let mut known = Known::nothing(AccountId::default());
        let owed = |known: &Known| known.owed(&index, &store).unwrap();
        assert_eq!(owed(&known), Some(id(7)));
        assert!(known.add(&id(5), None, &index, &store).unwrap());
        assert!(
            !known.add(&id(4), None, &index, &store).unwrap(),
            "an ancestor"
        );
        assert!(
            !known.add(&id(9), None, &index, &store).unwrap(),
            "not here"
        );
        assert!(known.has(0) && known.has(1) && !known.has(2) && known.has(4));
        let row = known.take_row(DeviceId::default()).unwrap();
        assert_eq!((row.base, row.heads.clone()), (2, vec![id(5)]));
        assert_eq!(known.take_row(DeviceId::default()), None);
        let mut again = Known::from_row(&row, &index, &store).unwrap();
        assert_eq!(owed(&again), Some(id(7)));
        assert!(again.add(&id(7), None, &index, &store).unwrap());
        assert_eq!(owed(&again), None);
        let row = again.take_row(DeviceId::default()).unwrap();
        assert_eq!((row.base, row.heads), (7, vec![]));
    }

    #[test]
    fn what_a_device_has_is_the_same_from_above_and_from_below() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("db"), Durability::Process).unwrap();
        let index = index();
        for first in 1..=7 {
            for second in 1..=7 {
                let ways = [None, Some(id(7))].map(|whole| {
                    let mut known = Known::nothing(AccountId::default());
                    for commit in [first, second] {
                        known.add(&id(commit), whole, &index, &store).unwrap();
                    }
                    let had: Vec<bool> = (0..7).map(|at| known.has(at)).collect();
                    let row = known.take_row(DeviceId::default()).unwrap();
                    let again = Known::from_row(&row, &index, &store).unwrap();
                    let still: Vec<bool> = (0..7).map(|at| again.has(at)).collect();
                    assert_eq!(had, still);
                    (had, known.base)
                });
                assert_eq!(ways[0], ways[1], "{first} {second}");
            }
        }
    }

    #[test]
    fn merges_are_owed_to_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("db"), Durability::Process).unwrap();
        let mut index = index();
        let mut known = Known::nothing(AccountId::default());
        known.add(&id(7), None, &index, &store).unwrap();
        index.push(Entry {
            id: id(8),
            parents: vec![id(7)],
            told: false,
        });
        assert_eq!(known.owed(&index, &store).unwrap(), None);
    }
}
