//! The history as one line: newest first, children before parents, and otherwise by time
//! and id (docs/protocol/06-messages-files.md section 10.2).
//!
//! The line is made piece by piece. A piece ends at a commit that everything not read yet
//! is an ancestor of, so a piece never depends on what comes after it; in a conversation
//! where people take turns, every commit is a piece of its own. When new commits arrive,
//! only the pieces above the first such commit that is known are made anew.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use baraza_wire::CommitId;

use crate::graph::Facts;
use crate::pack::PackError;

/// New commits that are read before the line known so far is given up for a new one.
const MAX_FRONT: usize = 5_000;

/// Where facts come from.
pub(crate) type Lookup<'a> = dyn Fn(&CommitId) -> Result<Arc<Facts>, PackError> + 'a;

/// The line from one head down, as far as it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Order {
    head: Option<CommitId>,
    line: VecDeque<CommitId>,
    /// For each commit in `line` its place, counted from `front`.
    places: HashMap<CommitId, i64>,
    front: i64,
    /// Where the next piece begins; `None` at the end.
    next: Option<CommitId>,
}

impl Order {
    /// Makes this the line of `head`, keeping what stays true.
    pub(crate) fn move_to(&mut self, head: CommitId, facts: &Lookup<'_>) -> Result<(), PackError> {
        if self.head == Some(head) {
            return Ok(());
        }
        let mut fresh = Vec::new();
        let mut next = Some(head);
        while let Some(start) = next.filter(|next| !self.places.contains_key(next)) {
            if self.line.is_empty() || fresh.len() >= MAX_FRONT {
                // Without a known commit to arrive at, all is read when it is asked for.
                *self = Self::from_scratch(head);
                return Ok(());
            }
            next = piece(start, &mut fresh, facts)?;
        }
        let Some(joint) = next else {
            *self = Self::from_scratch(head);
            return Ok(());
        };
        // The argument needs the new head to be a descendant of the old one.
        let grown = self
            .head
            .is_some_and(|old| old == joint || fresh.contains(&old));
        if !grown {
            *self = Self::from_scratch(head);
            return Ok(());
        }
        while self.line.front().is_some_and(|first| *first != joint) {
            if let Some(first) = self.line.pop_front() {
                self.places.remove(&first);
                self.front = self.front.saturating_add(1);
            }
        }
        for id in fresh.into_iter().rev() {
            self.front = self.front.saturating_sub(1);
            self.places.insert(id, self.front);
            self.line.push_front(id);
        }
        self.head = Some(head);
        Ok(())
    }

    fn from_scratch(head: CommitId) -> Self {
        Self {
            head: Some(head),
            next: Some(head),
            ..Self::default()
        }
    }

    fn push_back(&mut self, id: CommitId) {
        let length = i64::try_from(self.line.len()).unwrap_or(i64::MAX);
        self.places.insert(id, self.front.saturating_add(length));
        self.line.push_back(id);
    }

    /// Reads on until `done`; whether it was not the end before.
    fn extend_until(
        &mut self,
        done: impl Fn(&Self) -> bool,
        facts: &Lookup<'_>,
    ) -> Result<bool, PackError> {
        while !done(self) {
            let Some(start) = self.next else {
                return Ok(false);
            };
            let mut fresh = Vec::new();
            self.next = piece(start, &mut fresh, facts)?;
            for id in fresh {
                self.push_back(id);
            }
        }
        Ok(true)
    }

    /// The place of a commit in the line; `None` if it is no ancestor of the head.
    pub(crate) fn place(
        &mut self,
        id: &CommitId,
        facts: &Lookup<'_>,
    ) -> Result<Option<usize>, PackError> {
        self.extend_until(|order| order.places.contains_key(id), facts)?;
        let place = self.places.get(id);
        Ok(place.and_then(|place| usize::try_from(place.saturating_sub(self.front)).ok()))
    }

    /// At most `count` commits from place `from` on.
    pub(crate) fn page(
        &mut self,
        from: usize,
        count: usize,
        facts: &Lookup<'_>,
    ) -> Result<Vec<CommitId>, PackError> {
        let end = from.saturating_add(count);
        self.extend_until(|order| order.line.len() >= end, facts)?;
        let end = end.min(self.line.len());
        Ok(self.line.range(from.min(end)..end).copied().collect())
    }
}

/// A commit that waits, the newest first.
#[derive(PartialEq, Eq)]
struct Waiting {
    time: u64,
    id: CommitId,
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.time, self.id).cmp(&(other.time, other.id))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Appends the piece that begins with `start` to `out` and returns where the next begins.
fn piece(
    start: CommitId,
    out: &mut Vec<CommitId>,
    facts: &Lookup<'_>,
) -> Result<Option<CommitId>, PackError> {
    let first = facts(&start)?;
    if let [parent] = first.parents.as_slice() {
        out.push(start);
        return Ok(Some(*parent));
    }
    // Read until one commit is left to go on from. If the first commit was read before that
    // (its clock was wrong), read to the end: the argument needs it below the joint.
    let mut read: HashMap<CommitId, Arc<Facts>> = HashMap::new();
    let mut children: HashMap<CommitId, usize> = HashMap::new();
    let mut frontier = BinaryHeap::from([Waiting {
        time: first.time,
        id: start,
    }]);
    let mut saw_root = false;
    let mut next = None;
    while let Some(Waiting { id, .. }) = frontier.pop() {
        let commit = facts(&id)?;
        saw_root = saw_root || commit.parents.is_empty();
        for parent in &commit.parents {
            let count = children.entry(*parent).or_default();
            *count = count.saturating_add(1);
            if *count == 1 {
                let time = facts(parent)?.time;
                frontier.push(Waiting { time, id: *parent });
            }
        }
        read.insert(id, commit);
        if frontier.len() == 1 && !saw_root {
            next = frontier.pop().map(|last| last.id);
            break;
        }
    }
    let mut ready = BinaryHeap::from([Waiting {
        time: first.time,
        id: start,
    }]);
    while let Some(Waiting { id, .. }) = ready.pop() {
        out.push(id);
        let Some(commit) = read.get(&id) else {
            continue;
        };
        for parent in &commit.parents {
            let Some(count) = children.get_mut(parent) else {
                continue;
            };
            *count = count.saturating_sub(1);
            if *count == 0
                && let Some(commit) = read.get(parent)
            {
                let (time, id) = (commit.time, *parent);
                ready.push(Waiting { time, id });
            }
        }
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graph::random::{histories, id};

    type History = HashMap<CommitId, Arc<Facts>>;

    /// A history whose times may lie, and the number of its last commit.
    fn lying() -> impl Strategy<Value = (History, usize)> {
        histories().prop_map(|mut made| {
            for (n, commit) in made.iter_mut().enumerate() {
                commit.time += n as u64;
            }
            let commits = made.iter().enumerate();
            let history = commits.map(|(n, commit)| (id(n), commit.facts())).collect();
            (history, made.len() - 1)
        })
    }

    /// The definition, with everything read before anything is said.
    fn whole(history: &History, head: CommitId) -> Vec<CommitId> {
        let mut children: HashMap<CommitId, usize> = HashMap::new();
        let mut reached = std::collections::BTreeSet::from([head]);
        let mut stack = vec![head];
        while let Some(id) = stack.pop() {
            for parent in &history[&id].parents {
                *children.entry(*parent).or_default() += 1;
                if reached.insert(*parent) {
                    stack.push(*parent);
                }
            }
        }
        let mut ready = std::collections::BTreeSet::from([(history[&head].time, head)]);
        let mut line = Vec::new();
        while let Some((_, id)) = ready.pop_last() {
            line.push(id);
            for parent in &history[&id].parents {
                let count = children.get_mut(parent).unwrap();
                *count -= 1;
                if *count == 0 {
                    ready.insert((history[parent].time, *parent));
                }
            }
        }
        line
    }

    proptest! {
        #[test]
        fn the_line_in_pages_is_the_whole_line((history, last) in lying(), size in 1..7_usize) {
            let lookup = |id: &CommitId| Ok(Arc::clone(&history[id]));
            let head = id(last);
            let mut order = Order::default();
            order.move_to(head, &lookup).unwrap();
            let mut pages = Vec::new();
            loop {
                let page = order.page(pages.len(), size, &lookup).unwrap();
                if page.is_empty() { break; }
                pages.extend(page);
            }
            let expected = whole(&history, head);
            prop_assert_eq!(&pages, &expected);
            for (place, id) in expected.iter().enumerate() {
                prop_assert_eq!(order.place(id, &lookup).unwrap(), Some(place));
            }
        }

        /// A head that moves on, as it does when commits and merges come in.
        #[test]
        fn a_line_that_grows_is_the_line_made_at_once(
            (history, last) in lying(), steps in proptest::collection::vec(any::<u16>(), 1..6)
        ) {
            let lookup = |id: &CommitId| Ok(Arc::clone(&history[id]));
            let mut order = Order::default();
            let mut heads: Vec<usize> =
                steps.iter().map(|step| usize::from(*step) % (last + 1)).collect();
            heads.sort_unstable();
            for (n, head) in heads.into_iter().enumerate() {
                order.move_to(id(head), &lookup).unwrap();
                let expected = whole(&history, id(head));
                let ask = if n % 2 == 0 { expected.len() / 2 } else { expected.len() };
                let page = order.page(0, ask, &lookup).unwrap();
                prop_assert_eq!(page, &expected[..ask]);
            }
        }
    }
}
