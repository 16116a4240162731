//! A repository as the git wire sees it.

use std::collections::{BTreeSet, BinaryHeap};
use std::fmt;

use baraza_wire::{CommitId, DeviceId};
use gix::ObjectId;
use gix::objs::Find;

use crate::fetch::Local;
use crate::pack::CommitFacts;
use crate::promote::Database;
use crate::upload_pack::{Served, object_id};

/// Objects and heads of one repository, for [`UploadPack`](crate::upload_pack::UploadPack)
/// and [`Fetch`](crate::fetch::Fetch).
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The objects.
    pub objects: &'a dyn Database,
    /// The head of the own branch.
    pub head: Option<CommitId>,
    /// The last head fetched from a device.
    pub remote_head: &'a dyn Fn(&DeviceId) -> Option<CommitId>,
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl Served for View<'_> {
    fn head(&self) -> Option<CommitId> {
        self.head
    }

    fn objects(&self) -> &dyn Find {
        self.objects
    }
}

impl Local for View<'_> {
    fn contains(&self, id: &CommitId) -> bool {
        self.objects.exists(&object_id(id))
    }

    fn haves(&self, peer: &DeviceId, max: usize) -> Vec<CommitId> {
        // Existing servers take the first have for the common one, so begin with what the
        // peer certainly has.
        let remote = (self.remote_head)(peer).filter(|id| self.contains(id));
        let heads: Vec<CommitId> = self.head.into_iter().chain(remote).collect();
        let mut haves: Vec<CommitId> = remote.into_iter().collect();
        let newest = newest_commits(self.objects, &heads, max);
        haves.extend(newest.into_iter().filter(|id| Some(*id) != remote));
        haves.truncate(max);
        haves
    }
}

/// At most `max` commits reachable from `heads`, newest first by their own account.
/// Commits that cannot be read are left out: haves are only hints.
pub fn newest_commits(objects: &dyn Find, heads: &[CommitId], max: usize) -> Vec<CommitId> {
    let mut buffer = Vec::new();
    let mut queue: BinaryHeap<(i64, ObjectId, Vec<ObjectId>)> = BinaryHeap::new();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let mut waiting: Vec<ObjectId> = heads.iter().map(object_id).collect();
    while found.len() < max {
        for id in waiting.drain(..) {
            if seen.insert(id)
                && let Ok(facts) = CommitFacts::read(objects, &id, &mut buffer)
            {
                queue.push((facts.time, id, facts.parents));
            }
        }
        let Some((_, id, parents)) = queue.pop() else {
            break;
        };
        found.extend(CommitId::from_slice(id.as_bytes()));
        waiting = parents;
    }
    found
}
