//! From a key to its first record: a hash table of record numbers. The keys are in the
//! records, so an entry takes four bytes.

use std::hash::{BuildHasher, RandomState};

use baraza_wire::InfoHash;

use super::records::{NONE, Records};

/// The table: open addressing with linear probing. Its hash is keyed, because others choose
/// the keys.
#[derive(Debug, Default)]
pub(super) struct Index {
    hash: RandomState,
    slots: Vec<u32>,
    len: usize,
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, key: &InfoHash, records: &Records) -> Option<u32> {
        let place = self.find(key, records)?;
        self.slots.get(place).copied()
    }

    /// Adds a key that is not in the table.
    pub(super) fn insert(&mut self, key: &InfoHash, at: u32, records: &Records) {
        if self.len.saturating_add(1).saturating_mul(5) > self.slots.len().saturating_mul(4) {
            self.resize((self.slots.len().saturating_mul(2)).max(8), records);
        }
        self.place(key, at);
        self.len = self.len.saturating_add(1);
    }

    /// Lets a key point to another record.
    pub(super) fn replace(&mut self, key: &InfoHash, at: u32, records: &Records) {
        if let Some(slot) = self
            .find(key, records)
            .and_then(|place| self.slots.get_mut(place))
        {
            *slot = at;
        }
    }

    /// Removes a key, whose record must still be there.
    pub(super) fn remove(&mut self, key: &InfoHash, records: &Records) {
        let Some(mut hole) = self.find(key, records) else {
            return;
        };
        self.len = self.len.saturating_sub(1);
        // Move back what would not be found behind the hole.
        let mut place = self.after(hole);
        while let Some(at) = self.slots.get(place).copied().filter(|at| *at != NONE) {
            let home = records.get(at).map_or(place, |r| self.home(&r.key));
            if self.distance(home, place) >= self.distance(hole, place) {
                self.set(hole, at);
                hole = place;
            }
            place = self.after(place);
        }
        self.set(hole, NONE);
        if self.slots.len() > 64 && self.len.saturating_mul(8) < self.slots.len() {
            self.resize(self.slots.len() / 2, records);
        }
    }

    fn resize(&mut self, size: usize, records: &Records) {
        let old = std::mem::replace(&mut self.slots, vec![NONE; size]);
        for at in old.into_iter().filter(|at| *at != NONE) {
            if let Some(record) = records.get(at) {
                self.place(&record.key, at);
            }
        }
    }

    fn place(&mut self, key: &InfoHash, at: u32) {
        let mut place = self.home(key);
        for _ in 0..self.slots.len() {
            if self.slots.get(place).is_some_and(|slot| *slot == NONE) {
                self.set(place, at);
                return;
            }
            place = self.after(place);
        }
    }

    fn find(&self, key: &InfoHash, records: &Records) -> Option<usize> {
        let mut place = self.home(key);
        for _ in 0..self.slots.len() {
            let at = self.slots.get(place).copied().filter(|at| *at != NONE)?;
            if records.get(at).is_some_and(|record| record.key == *key) {
                return Some(place);
            }
            place = self.after(place);
        }
        None
    }

    /// Sizes are powers of two.
    fn home(&self, key: &InfoHash) -> usize {
        let hash = self.hash.hash_one(key.as_bytes());
        usize::try_from(hash & 0xffff_ffff).unwrap_or_default() & self.slots.len().saturating_sub(1)
    }

    fn after(&self, place: usize) -> usize {
        place.wrapping_add(1) & self.slots.len().saturating_sub(1)
    }

    /// Steps from one place on to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.slots.len().saturating_sub(1)
    }

    fn set(&mut self, place: usize, at: u32) {
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = at;
        }
    }
}
