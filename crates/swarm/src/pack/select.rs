use std::collections::{BinaryHeap, HashMap, HashSet};

use gix::ObjectId;
use gix::objs::{Find, Kind, TreeRefIter};

use super::{CommitFacts, PackError, PackLimits, expect};

/// What a pack will hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Commits first, newest first, then trees and blobs.
    pub objects: Vec<ObjectId>,
    /// How many of `objects` are commits.
    pub commits: usize,
}

/// Finds what somebody with `haves` lacks to have `wants`: the commits reachable from
/// `wants` and not from `haves`, with all trees and blobs that are not in a commit just
/// below them (docs/protocol/05-swarm.md section 8.6; existing peers send all blobs again,
/// which receivers do not ask for).
///
/// `haves` must all be commits in `objects`. Both histories are walked in the order of
/// time and only as far as they differ, so a fetch of one message reads a handful of
/// commits whatever the length of the history. Commits with wrong clocks may make the
/// selection larger than needed, never smaller.
///
/// # Errors
/// If an object is missing or malformed, or there is more than `limits` allow.
pub fn select(
    objects: &dyn Find,
    wants: &[ObjectId],
    haves: &[ObjectId],
    limits: &PackLimits,
) -> Result<Selection, PackError> {
    let mut walk = Walk {
        objects,
        limits,
        paint: HashMap::new(),
        queue: BinaryHeap::new(),
        wanted_in_queue: 0,
        buffer: Vec::new(),
    };
    for id in haves {
        walk.mark(*id, true)?;
    }
    for id in wants {
        walk.mark(*id, false)?;
    }
    let (commits, edges) = walk.run()?;
    let mut buffer = walk.buffer;
    let mut trees = Trees {
        objects,
        limits,
        seen: HashSet::new(),
        found: Vec::new(),
        used: commits.len(),
    };
    for edge in edges {
        let tree = CommitFacts::read(objects, &edge, &mut buffer)?.tree;
        trees.visit(tree, false)?;
    }
    for (_, tree) in &commits {
        trees.visit(*tree, true)?;
    }
    let count = commits.len();
    let mut selected: Vec<_> = commits.into_iter().map(|(id, _)| id).collect();
    selected.append(&mut trees.found);
    Ok(Selection {
        objects: selected,
        commits: count,
    })
}

struct Paint {
    /// Reachable from a have.
    common: bool,
    queued: bool,
}

struct Walk<'a> {
    objects: &'a dyn Find,
    limits: &'a PackLimits,
    paint: HashMap<ObjectId, Paint>,
    /// By time, newest first; the facts ride along so that a commit is read once.
    queue: BinaryHeap<Queued>,
    /// Commits in the queue that no have reaches as far as we know.
    wanted_in_queue: usize,
    buffer: Vec<u8>,
}

impl Walk<'_> {
    fn mark(&mut self, id: ObjectId, common: bool) -> Result<(), PackError> {
        let again = match self.paint.get_mut(&id) {
            Some(paint) => {
                if paint.common || !common {
                    return Ok(());
                }
                paint.common = true;
                if paint.queued {
                    self.wanted_in_queue = self.wanted_in_queue.saturating_sub(1);
                    return Ok(());
                }
                // Clocks were wrong: it was taken for wanted already. Tell its parents.
                paint.queued = true;
                true
            }
            None => false,
        };
        if !again {
            let limit = u64::from(self.limits.objects);
            let count = u64::try_from(self.paint.len()).unwrap_or(u64::MAX);
            if count >= limit {
                return Err(PackError::TooManyObjects { count, limit });
            }
            let queued = true;
            self.paint.insert(id, Paint { common, queued });
            if !common {
                self.wanted_in_queue = self.wanted_in_queue.saturating_add(1);
            }
        }
        let facts = CommitFacts::read(self.objects, &id, &mut self.buffer)?;
        self.queue.push(Queued { id, facts });
        Ok(())
    }

    /// The wanted commits with their trees, and the common commits just below them.
    #[expect(clippy::type_complexity, reason = "two plain lists, used once")]
    fn run(&mut self) -> Result<(Vec<(ObjectId, ObjectId)>, Vec<ObjectId>), PackError> {
        let mut commits = Vec::new();
        let mut below = Vec::new();
        while self.wanted_in_queue > 0 {
            let Some(Queued { id, facts }) = self.queue.pop() else {
                break;
            };
            let Some(paint) = self.paint.get_mut(&id) else {
                continue;
            };
            paint.queued = false;
            let common = paint.common;
            if !common {
                self.wanted_in_queue = self.wanted_in_queue.saturating_sub(1);
                commits.push((id, facts.tree));
                below.extend_from_slice(&facts.parents);
            }
            for parent in facts.parents {
                self.mark(parent, common)?;
            }
        }
        let common = |id: &ObjectId| self.paint.get(id).is_some_and(|paint| paint.common);
        commits.retain(|(id, _)| !common(id));
        below.retain(common);
        below.sort_unstable();
        below.dedup();
        Ok((commits, below))
    }
}

struct Queued {
    id: ObjectId,
    facts: CommitFacts,
}

impl Queued {
    fn key(&self) -> (i64, &ObjectId) {
        (self.facts.time, &self.id)
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

struct Trees<'a> {
    objects: &'a dyn Find,
    limits: &'a PackLimits,
    seen: HashSet<ObjectId>,
    found: Vec<ObjectId>,
    /// Objects selected already.
    used: usize,
}

impl Trees<'_> {
    /// Everything below `root` not seen so far; only noted as seen if not to be `sent`.
    fn visit(&mut self, root: ObjectId, send: bool) -> Result<(), PackError> {
        let mut stack = vec![(root, 0_u32)];
        let mut buffer = Vec::new();
        while let Some((id, depth)) = stack.pop() {
            if !self.add(id, send)? {
                continue;
            }
            if depth >= self.limits.tree_depth {
                return Err(PackError::TreeTooLarge(id));
            }
            let data = expect(self.objects, &id, Kind::Tree, &mut buffer)?;
            for entry in TreeRefIter::from_bytes(data.data, gix::hash::Kind::Sha1) {
                let entry = entry.map_err(|_| PackError::Malformed(id))?;
                if entry.mode.is_tree() {
                    stack.push((entry.oid.to_owned(), depth.saturating_add(1)));
                } else if entry.mode.is_blob() {
                    self.add(entry.oid.to_owned(), send)?;
                } else {
                    return Err(PackError::WrongKind(id));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, id: ObjectId, send: bool) -> Result<bool, PackError> {
        if !self.seen.insert(id) {
            return Ok(false);
        }
        if send {
            self.found.push(id);
        }
        let limit = u64::from(self.limits.objects);
        let count = u64::try_from(self.used.saturating_add(self.seen.len())).unwrap_or(u64::MAX);
        if count > limit {
            return Err(PackError::TooManyObjects { count, limit });
        }
        Ok(true)
    }
}
