//! Objects that are not in the repository yet, and bringing them there durably.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::Path;

use gix::ObjectId;
use gix::objs::{Data, Find, Kind};

use crate::journal::Object;
use crate::pack::{PackError, PackLimits, PackWriter, Spool, UnpackedPack};
use crate::promote::Quarantine;

/// New objects in front of those of a repository.
pub struct NewObjects<'a> {
    below: &'a dyn Find,
    new: RefCell<New>,
}

#[derive(Default)]
struct New {
    objects: HashMap<ObjectId, (Kind, Vec<u8>)>,
    order: Vec<ObjectId>,
    collision: bool,
}

impl fmt::Debug for NewObjects<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewObjects")
            .field("objects", &self.new.borrow().order.len())
            .finish_non_exhaustive()
    }
}

impl<'a> NewObjects<'a> {
    /// None yet.
    pub fn new(below: &'a dyn Find) -> Self {
        Self {
            below,
            new: RefCell::default(),
        }
    }

    /// Adds an object and returns its id. What it refers to must have been added before,
    /// so that a crash leaves nothing incomplete.
    pub fn add(&self, kind: Kind, data: Vec<u8>) -> ObjectId {
        let mut new = self.new.borrow_mut();
        let Ok(id) = gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, &data) else {
            new.collision = true;
            return ObjectId::null(gix::hash::Kind::Sha1);
        };
        if new.objects.insert(id, (kind, data)).is_none() {
            new.order.push(id);
        }
        id
    }

    /// Takes the objects that are not `known` out, in the order in which they were added.
    ///
    /// # Errors
    /// If two objects had one id.
    pub(crate) fn into_vec(
        self,
        known: impl Fn(&ObjectId) -> bool,
    ) -> Result<Vec<Object>, PackError> {
        let mut new = self.new.into_inner();
        if new.collision {
            return Err(PackError::Collision);
        }
        let order = new.order.into_iter().filter(|id| !known(id));
        Ok(order
            .filter_map(|id| {
                let (kind, data) = new.objects.remove(&id)?;
                Some((id, kind, data))
            })
            .collect())
    }

    /// Writes all objects to the repository as a pack: on stable storage when this returns.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn store_pack(self, git_directory: &Path) -> Result<(), PackError> {
        let order = {
            let mut new = self.new.borrow_mut();
            if new.collision {
                return Err(PackError::Collision);
            }
            std::mem::take(&mut new.order)
        };
        let mut writer = PackWriter::new(order)?;
        let mut spool = Spool::new(git_directory);
        while let Some(chunk) = writer.next_chunk(&self, 64 << 10)? {
            spool.append(&chunk)?;
        }
        let own = PackLimits {
            bytes: u64::from(u32::MAX),
            objects: u32::MAX,
            decoded: u64::MAX,
            ..PackLimits::default()
        };
        let pack = UnpackedPack::read(spool, &own)?;
        Quarantine::new(git_directory, &pack)
            .and_then(|quarantine| quarantine.release(git_directory))
            .map(drop)
            .map_err(io::Error::into)
    }
}

impl Find for NewObjects<'_> {
    fn try_find<'b>(
        &self,
        id: &gix::oid,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Option<Data<'b>>, gix::Error> {
        let new = self.new.borrow();
        let Some((kind, data)) = new.objects.get(id) else {
            return self.below.try_find(id, buffer);
        };
        buffer.clear();
        buffer.extend_from_slice(data);
        Ok(Some(Data {
            kind: *kind,
            object_hash: gix::hash::Kind::Sha1,
            data: buffer,
        }))
    }
}
