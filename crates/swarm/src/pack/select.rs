use std::collections::{BinaryHeap, HashMap, HashSet};
use std::fmt;

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
    let mut selecting = Selecting::new(objects, wants, haves, limits)?;
    loop {
        if let Some(selection) = selecting.step(objects, usize::MAX)? {
            return Ok(selection);
        }
    }
}

/// A selection under way: [`select`] in steps, for a history so long that there is something
/// else to do meanwhile. Objects may be added between two steps.
pub struct Selecting {
    limits: PackLimits,
    walk: Walk,
    trees: Trees,
    stage: Stage,
}

/// What comes next.
enum Stage {
    /// Commits are sought.
    Commits,
    /// Trees of commits that the peer has are noted.
    Edges(Vec<ObjectId>),
    /// Trees of wanted commits are sought, from the one of this number on.
    Trees(usize),
}

impl fmt::Debug for Selecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selecting")
            .field("commits", &self.walk.commits.len())
            .field("objects", &self.trees.seen.len())
            .finish_non_exhaustive()
    }
}

impl Selecting {
    /// Begins as [`select`] does.
    ///
    /// # Errors
    /// As those of [`select`].
    pub fn new(
        objects: &dyn Find,
        wants: &[ObjectId],
        haves: &[ObjectId],
        limits: &PackLimits,
    ) -> Result<Self, PackError> {
        let mut walk = Walk {
            most: u64::from(limits.objects),
            paint: HashMap::new(),
            queue: BinaryHeap::new(),
            wanted_in_queue: 0,
            buffer: Vec::new(),
            commits: Vec::new(),
            below: Vec::new(),
        };
        for id in haves {
            walk.mark(objects, *id, true)?;
        }
        for id in wants {
            walk.mark(objects, *id, false)?;
        }
        Ok(Self {
            limits: *limits,
            walk,
            trees: Trees {
                seen: HashSet::new(),
                found: Vec::new(),
                used: 0,
            },
            stage: Stage::Commits,
        })
    }

    /// Goes on by about so many commits; gives the selection when it is complete.
    ///
    /// # Errors
    /// As those of [`select`].
    pub fn step(
        &mut self,
        objects: &dyn Find,
        commits: usize,
    ) -> Result<Option<Selection>, PackError> {
        match &mut self.stage {
            Stage::Commits => {
                if self.walk.run(objects, commits)? {
                    let edges = self.walk.finish();
                    self.trees.used = self.walk.commits.len();
                    self.stage = Stage::Edges(edges);
                }
                Ok(None)
            }
            Stage::Edges(edges) => {
                for _ in 0..commits {
                    let Some(edge) = edges.pop() else {
                        self.stage = Stage::Trees(0);
                        break;
                    };
                    let tree = CommitFacts::read(objects, &edge, &mut self.walk.buffer)?.tree;
                    self.trees.visit(objects, &self.limits, tree, false)?;
                }
                Ok(None)
            }
            Stage::Trees(next) => {
                let rest = self.walk.commits.get(*next..).unwrap_or_default();
                let mut done = 0_usize;
                for (_, tree) in rest.iter().take(commits) {
                    self.trees.visit(objects, &self.limits, *tree, true)?;
                    done = done.saturating_add(1);
                }
                *next = next.saturating_add(done);
                if *next < self.walk.commits.len() {
                    return Ok(None);
                }
                let commits = std::mem::take(&mut self.walk.commits);
                let count = commits.len();
                let mut selected: Vec<_> = commits.into_iter().map(|(id, _)| id).collect();
                selected.append(&mut self.trees.found);
                Ok(Some(Selection {
                    objects: selected,
                    commits: count,
                }))
            }
        }
    }
}

struct Paint {
    /// Reachable from a have.
    common: bool,
    queued: bool,
}

struct Walk {
    most: u64,
    paint: HashMap<ObjectId, Paint>,
    /// By time, newest first; the facts ride along so that a commit is read once.
    queue: BinaryHeap<Queued>,
    /// Commits in the queue that no have reaches as far as we know.
    wanted_in_queue: usize,
    buffer: Vec<u8>,
    /// The wanted commits with their trees.
    commits: Vec<(ObjectId, ObjectId)>,
    /// Their parents.
    below: Vec<ObjectId>,
}

impl Walk {
    fn mark(&mut self, objects: &dyn Find, id: ObjectId, common: bool) -> Result<(), PackError> {
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
            let limit = self.most;
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
        let facts = CommitFacts::read(objects, &id, &mut self.buffer)?;
        self.queue.push(Queued { id, facts });
        Ok(())
    }

    /// Looks at so many commits. Whether all were found.
    fn run(&mut self, objects: &dyn Find, most: usize) -> Result<bool, PackError> {
        for _ in 0..most {
            if self.wanted_in_queue == 0 {
                return Ok(true);
            }
            let Some(Queued { id, facts }) = self.queue.pop() else {
                return Ok(true);
            };
            let Some(paint) = self.paint.get_mut(&id) else {
                continue;
            };
            paint.queued = false;
            let common = paint.common;
            if !common {
                self.wanted_in_queue = self.wanted_in_queue.saturating_sub(1);
                self.commits.push((id, facts.tree));
                self.below.extend_from_slice(&facts.parents);
            }
            for parent in facts.parents {
                self.mark(objects, parent, common)?;
            }
        }
        Ok(false)
    }

    /// Keeps the wanted commits; gives the common ones just below them.
    fn finish(&mut self) -> Vec<ObjectId> {
        let paint = &self.paint;
        let common = |id: &ObjectId| paint.get(id).is_some_and(|paint| paint.common);
        self.commits.retain(|(id, _)| !common(id));
        let mut below = std::mem::take(&mut self.below);
        below.retain(common);
        below.sort_unstable();
        below.dedup();
        self.queue = BinaryHeap::new();
        self.paint = HashMap::new();
        below
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

struct Trees {
    seen: HashSet<ObjectId>,
    found: Vec<ObjectId>,
    /// Objects selected already.
    used: usize,
}

impl Trees {
    /// Everything below `root` not seen so far; only noted as seen if not to be `sent`.
    fn visit(
        &mut self,
        objects: &dyn Find,
        limits: &PackLimits,
        root: ObjectId,
        send: bool,
    ) -> Result<(), PackError> {
        let mut stack = vec![(root, 0_u32)];
        let mut buffer = Vec::new();
        while let Some((id, depth)) = stack.pop() {
            if !self.add(limits, id, send)? {
                continue;
            }
            if depth >= limits.tree_depth {
                return Err(PackError::TreeTooLarge(id));
            }
            let data = expect(objects, &id, Kind::Tree, &mut buffer)?;
            for entry in TreeRefIter::from_bytes(data.data, gix::hash::Kind::Sha1) {
                let entry = entry.map_err(|_| PackError::Malformed(id))?;
                if entry.mode.is_tree() {
                    stack.push((entry.oid.to_owned(), depth.saturating_add(1)));
                } else if entry.mode.is_blob() {
                    self.add(limits, entry.oid.to_owned(), send)?;
                } else {
                    return Err(PackError::WrongKind(id));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, limits: &PackLimits, id: ObjectId, send: bool) -> Result<bool, PackError> {
        if !self.seen.insert(id) {
            return Ok(false);
        }
        if send {
            self.found.push(id);
        }
        let limit = u64::from(limits.objects);
        let count = u64::try_from(self.used.saturating_add(self.seen.len())).unwrap_or(u64::MAX);
        if count > limit {
            return Err(PackError::TooManyObjects { count, limit });
        }
        Ok(true)
    }
}
