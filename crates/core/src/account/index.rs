//! The order of a conversation's commits, newest in memory, all in the database.
//!
//! Each commit gets the next position when it comes; so ancestors have lower positions,
//! nothing ever moves, and the work for a message does not grow with the history.

use std::collections::{BTreeMap, HashMap, VecDeque};

use baraza_store::{Store, StoreError};
use baraza_wire::CommitId;

/// Commits kept in memory.
const TAIL: usize = 256;

/// What is kept of a commit.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: CommitId,
    pub(crate) parents: Vec<CommitId>,
    /// Whether peers are told of it: everything but merges.
    pub(crate) told: bool,
}

/// The index of one conversation.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Its number in the database.
    number: i64,
    /// Commits, those not written to the database yet included.
    length: u64,
    /// Of these, those in the database.
    written: u64,
    /// The newest entries; the last one is at `length - 1`.
    tail: VecDeque<Entry>,
    positions: HashMap<CommitId, u64>,
}

impl Index {
    /// The index of the conversation `number`, of which the database has `length` commits.
    pub(crate) fn new(number: i64, length: u64) -> Self {
        Self {
            number,
            length,
            written: length,
            ..Self::default()
        }
    }

    /// Whether the database has as many commits as it should.
    pub(crate) fn is_whole(&self, store: &Store) -> Result<bool, StoreError> {
        let last = match self.length.checked_sub(1) {
            Some(last) => store.outline(self.number, last)?.is_some(),
            None => true,
        };
        Ok(last && store.outline(self.number, self.length)?.is_none())
    }

    /// Commits in it.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The position of the first commit that is not in the database yet.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Adds a commit, which must be new, to be written later.
    pub(crate) fn push(&mut self, entry: Entry) -> u64 {
        let position = self.length;
        self.positions.insert(entry.id, position);
        self.tail.push_back(entry);
        self.length = self.length.saturating_add(1);
        self.trim();
        position
    }

    /// Everything is in the database now.
    pub(crate) fn set_written(&mut self) {
        self.written = self.length;
        self.trim();
    }

    fn trim(&mut self) {
        while self.tail.len() > TAIL && self.tail_start() < self.written {
            if let Some(entry) = self.tail.pop_front() {
                self.positions.remove(&entry.id);
            }
        }
    }

    fn tail_start(&self) -> u64 {
        let tail = u64::try_from(self.tail.len()).unwrap_or(u64::MAX);
        self.length.saturating_sub(tail)
    }

    fn in_tail(&self, position: u64) -> Option<&Entry> {
        let offset = position.checked_sub(self.tail_start())?;
        self.tail.get(usize::try_from(offset).ok()?)
    }

    /// Where a commit is; `None` if it is not here.
    pub(crate) fn position(&self, store: &Store, id: &CommitId) -> Result<Option<u64>, StoreError> {
        match self.positions.get(id) {
            Some(position) => Ok(Some(*position)),
            None => store.position(self.number, id),
        }
    }

    /// The commit at a position, and whether peers are told of it.
    pub(crate) fn at(
        &self,
        store: &Store,
        position: u64,
    ) -> Result<Option<(CommitId, bool)>, StoreError> {
        match self.in_tail(position) {
            Some(entry) => Ok(Some((entry.id, entry.told))),
            None => store.outline(self.number, position),
        }
    }

    /// The newest commit.
    pub(crate) fn newest(&self, store: &Store) -> Result<Option<CommitId>, StoreError> {
        match self.length.checked_sub(1) {
            Some(position) => Ok(self.at(store, position)?.map(|(id, _)| id)),
            None => Ok(None),
        }
    }

    /// The newest commit that peers are told of.
    pub(crate) fn newest_told(&self, store: &Store) -> Result<Option<CommitId>, StoreError> {
        let mut position = self.length;
        while let Some(before) = position.checked_sub(1) {
            position = before;
            if let Some((id, true)) = self.at(store, position)? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Walks down from two commits, newest first, to those that both descend from. `visit`
    /// gets position and id of each on the way, and which of the two descend from it; the
    /// walk goes on while it returns true and `apart` holds for any that is to come.
    pub(crate) fn walk_down(
        &self,
        store: &Store,
        two: [&CommitId; 2],
        apart: fn([bool; 2]) -> bool,
        mut visit: impl FnMut(u64, [bool; 2]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut waiting: BTreeMap<u64, (CommitId, [bool; 2])> = BTreeMap::new();
        let add =
            |waiting: &mut BTreeMap<_, (CommitId, [bool; 2])>, id, [one, other]: [bool; 2]| {
                if let Some(position) = self.position(store, &id)? {
                    let (_, below) = waiting.entry(position).or_insert((id, [false; 2]));
                    *below = [below[0] || one, below[1] || other];
                }
                Ok::<(), StoreError>(())
            };
        add(&mut waiting, *two[0], [true, false])?;
        add(&mut waiting, *two[1], [false, true])?;
        while waiting.values().any(|(_, below)| apart(*below)) {
            let Some((position, (id, below))) = waiting.pop_last() else {
                break;
            };
            if !visit(position, below)? {
                break;
            }
            let ancestry = self.ancestry(store, &id)?;
            for parent in ancestry.map(|(_, parents)| parents).unwrap_or_default() {
                add(&mut waiting, parent, below)?;
            }
        }
        Ok(())
    }

    /// Position and parents of a commit.
    pub(crate) fn ancestry(
        &self,
        store: &Store,
        id: &CommitId,
    ) -> Result<Option<(u64, Vec<CommitId>)>, StoreError> {
        if let Some(position) = self.positions.get(id)
            && let Some(entry) = self.in_tail(*position)
        {
            return Ok(Some((*position, entry.parents.clone())));
        }
        store.ancestry(self.number, id)
    }
}
