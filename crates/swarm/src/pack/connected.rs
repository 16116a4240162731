use std::collections::HashSet;

use gix::ObjectId;
use gix::objs::{Exists, Find, Kind, TreeRefIter};

use super::{CommitFacts, PackError, PackLimits, UnpackedPack, expect};

/// Refuses a pack with holes or with things nobody asked for: every object a commit of the
/// pack refers to must be in the pack or `known` (in a repository, where whatever is
/// present is complete), and every object of the pack must belong to a commit in it.
///
/// `objects` is the pack in front of the repository.
///
/// # Errors
/// If an object is missing, malformed, of another kind than said, too crowded, or stray.
pub fn check_connected(
    pack: &UnpackedPack,
    objects: &dyn Find,
    known: &dyn Exists,
    limits: &PackLimits,
) -> Result<(), PackError> {
    let mut check = Check {
        pack,
        objects,
        known,
        limits,
        reached: HashSet::new(),
    };
    let mut buffer = Vec::new();
    for (id, kind) in pack.objects() {
        if kind != Kind::Commit {
            continue;
        }
        check.reached.insert(id);
        let facts = CommitFacts::read(objects, &id, &mut buffer)?;
        for parent in &facts.parents {
            match pack.kind(parent) {
                Some(Kind::Commit) => {}
                Some(_) => return Err(PackError::WrongKind(*parent)),
                None if known.exists(parent) => {}
                None => return Err(PackError::Missing(*parent)),
            }
        }
        check.tree(facts.tree)?;
    }
    match pack.objects().find(|(id, _)| !check.reached.contains(id)) {
        Some((id, _)) => Err(PackError::Stray(id)),
        None => Ok(()),
    }
}

struct Check<'a> {
    pack: &'a UnpackedPack,
    objects: &'a dyn Find,
    known: &'a dyn Exists,
    limits: &'a PackLimits,
    reached: HashSet<ObjectId>,
}

impl Check<'_> {
    fn tree(&mut self, root: ObjectId) -> Result<(), PackError> {
        let mut stack = vec![(root, 0_u32)];
        let mut buffer = Vec::new();
        while let Some((id, depth)) = stack.pop() {
            if depth >= self.limits.tree_depth {
                return Err(PackError::TreeTooLarge(id));
            }
            if !self.enter(id, Kind::Tree)? {
                continue;
            }
            let data = expect(self.objects, &id, Kind::Tree, &mut buffer)?;
            let mut entries = 0_u32;
            for entry in TreeRefIter::from_bytes(data.data, gix::hash::Kind::Sha1) {
                let entry = entry.map_err(|_| PackError::Malformed(id))?;
                entries = entries.saturating_add(1);
                if entries > self.limits.tree_entries {
                    return Err(PackError::TreeTooLarge(id));
                }
                let child = entry.oid.to_owned();
                if entry.mode.is_tree() {
                    stack.push((child, depth.saturating_add(1)));
                } else if !entry.mode.is_blob() {
                    return Err(PackError::WrongKind(child));
                } else {
                    self.enter(child, Kind::Blob)?;
                }
            }
        }
        Ok(())
    }

    /// Whether `id` must be looked into: it is in the pack and was not reached before.
    fn enter(&mut self, id: ObjectId, kind: Kind) -> Result<bool, PackError> {
        if let Some(real) = self.pack.kind(&id) {
            if real != kind {
                return Err(PackError::WrongKind(id));
            }
            // A repository that has the object has what is below it too, but the pack may
            // repeat that, and then it is not stray.
            Ok(self.reached.insert(id))
        } else if self.known.exists(&id) {
            Ok(false)
        } else {
            Err(PackError::Missing(id))
        }
    }
}
