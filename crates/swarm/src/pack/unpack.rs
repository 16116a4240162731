use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use gix::ObjectId;
use gix::objs::{Data, Find, Kind};

use super::inflate::{Cursor, Inflate};
use super::scan::{self, Base, Entry, KEEP_BYTES, Scan};
use super::{PackError, PackLimits, Spool, delta};

/// A pack whose every byte was read: structure, sizes, checksums and ids are right and
/// within the limits. What the objects say is not checked.
pub struct UnpackedPack {
    spool: Spool,
    entries: Vec<Entry>,
    /// Entry numbers in the order of ids.
    order: Vec<u32>,
    kept: Option<Vec<Vec<u8>>>,
    checksum: ObjectId,
}

impl fmt::Debug for UnpackedPack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnpackedPack")
            .field("objects", &self.entries.len())
            .field("bytes", &self.spool.len())
            .field("in_memory", &self.kept.is_some())
            .finish_non_exhaustive()
    }
}

/// One line of a pack index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IndexEntry {
    pub(crate) id: ObjectId,
    pub(crate) crc: u32,
    pub(crate) offset: u32,
}

impl UnpackedPack {
    /// Reads a pack completely.
    ///
    /// Memory: about 80 bytes per object; small packs (under 4 MiB unpacked) stay unpacked
    /// in memory, of others only one chain of deltas at a time.
    ///
    /// # Errors
    /// For anything that is not a complete pack within `limits`.
    pub fn read(spool: Spool, limits: &PackLimits) -> Result<Self, PackError> {
        let mut scan = scan::scan(&spool, limits)?;
        Resolver::new(&spool, limits).run(&mut scan)?;
        let Scan {
            entries,
            kept,
            checksum,
            ..
        } = scan;
        let id_of = |index: &u32| {
            usize::try_from(*index)
                .ok()
                .and_then(|index| entries.get(index))
                .and_then(|entry| entry.object)
                .map(|(_, id)| id)
        };
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_unstable_by_key(id_of);
        for pair in order.windows(2) {
            if let [first, second] = pair
                && let (Some(first), Some(second)) = (id_of(first), id_of(second))
                && first == second
            {
                return Err(PackError::Duplicate(first));
            }
        }
        Ok(Self {
            spool,
            entries,
            order,
            kept,
            checksum,
        })
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Ids and kinds of all objects, in the order of the pack.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectId, Kind)> + '_ {
        self.entries
            .iter()
            .filter_map(|entry| entry.object.map(|(kind, id)| (id, kind)))
    }

    /// Whether the pack has object `id`.
    pub fn contains(&self, id: &ObjectId) -> bool {
        self.position(id).is_some()
    }

    /// The kind of object `id`, if the pack has it.
    pub fn kind(&self, id: &ObjectId) -> Option<Kind> {
        let (kind, _) = self.entries.get(self.position(id)?)?.object?;
        Some(kind)
    }

    /// Whether the objects are at hand in memory ([`InMemory`] works then).
    pub(crate) fn in_memory(&self) -> bool {
        self.kept.is_some()
    }

    /// The object `id` if the pack has it and is in memory.
    pub(crate) fn get(&self, id: &ObjectId) -> Option<(Kind, &[u8])> {
        let index = self.position(id)?;
        let (kind, _) = self.entries.get(index)?.object?;
        Some((kind, self.kept.as_ref()?.get(index)?))
    }

    pub(crate) fn spool(&self) -> &Spool {
        &self.spool
    }

    pub(crate) fn checksum(&self) -> ObjectId {
        self.checksum
    }

    /// The index, in the order of ids.
    pub(crate) fn index(&self) -> impl ExactSizeIterator<Item = IndexEntry> + Clone + '_ {
        self.order.iter().map(|index| {
            let entry = usize::try_from(*index)
                .ok()
                .and_then(|index| self.entries.get(index));
            IndexEntry {
                id: entry
                    .and_then(|entry| entry.object)
                    .map_or(ObjectId::null(gix::hash::Kind::Sha1), |(_, id)| id),
                crc: entry.map_or(0, |entry| entry.crc),
                offset: entry.map_or(0, |entry| entry.offset),
            }
        })
    }

    fn position(&self, id: &ObjectId) -> Option<usize> {
        let found = self.order.binary_search_by(|index| {
            let entry = usize::try_from(*index)
                .ok()
                .and_then(|index| self.entries.get(index));
            entry
                .and_then(|entry| entry.object)
                .map(|(_, id)| id)
                .cmp(&Some(*id))
        });
        usize::try_from(*self.order.get(found.ok()?)?).ok()
    }
}

/// The objects of a pack in memory in front of another store.
pub(crate) struct InMemory<'a> {
    pub(crate) pack: &'a UnpackedPack,
    pub(crate) below: &'a dyn Find,
}

impl Find for InMemory<'_> {
    fn try_find<'b>(
        &self,
        id: &gix::oid,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Option<Data<'b>>, gix::Error> {
        let Some((kind, data)) = self.pack.get(&id.to_owned()) else {
            return self.below.try_find(id, buffer);
        };
        buffer.clear();
        buffer.extend_from_slice(data);
        Ok(Some(Data {
            kind,
            object_hash: gix::hash::Kind::Sha1,
            data: buffer,
        }))
    }
}

/// Most bytes of bases held at once while a chain of deltas is followed.
const CHAIN_MEMORY: u64 = 128 << 20;

struct Resolver<'a> {
    spool: &'a Spool,
    limits: &'a PackLimits,
    inflate: Inflate,
}

/// A delta whose base is known.
struct Ready {
    index: u32,
    base: Rc<Vec<u8>>,
    kind: Kind,
    depth: u32,
    /// Bytes of all bases on the way here.
    held: u64,
}

impl<'a> Resolver<'a> {
    fn new(spool: &'a Spool, limits: &'a PackLimits) -> Self {
        Self {
            spool,
            limits,
            inflate: Inflate::new(),
        }
    }

    /// Finds the objects of all deltas, depth first from each whole object.
    fn run(&mut self, scan: &mut Scan) -> Result<(), PackError> {
        let mut by_entry: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut by_object: HashMap<ObjectId, Vec<u32>> = HashMap::new();
        let mut left = 0_usize;
        for (index, entry) in (0_u32..).zip(&scan.entries) {
            match entry.base {
                Base::Whole => continue,
                Base::Entry(base) => by_entry.entry(base).or_default().push(index),
                Base::Object(base) => by_object.entry(base).or_default().push(index),
            }
            left = left.saturating_add(1);
        }
        if left == 0 {
            return Ok(());
        }
        let mut children = |index: u32, id: &ObjectId| {
            let mut found = by_entry.remove(&index).unwrap_or_default();
            found.append(&mut by_object.remove(id).unwrap_or_default());
            found
        };
        let mut stack = Vec::new();
        let count = u32::try_from(scan.entries.len()).unwrap_or(u32::MAX);
        for index in 0..count {
            let Some(entry) = entry(scan, index) else {
                continue;
            };
            let (Base::Whole, Some((kind, id))) = (entry.base, entry.object) else {
                continue;
            };
            let waiting = children(index, &id);
            if waiting.is_empty() {
                continue;
            }
            let base = match kept(scan, index) {
                Some(base) => base.to_vec(),
                None => self.stream(entry)?,
            };
            push(&mut stack, waiting, &Rc::new(base), kind, 1, 0);
            while let Some(ready) = stack.pop() {
                left = left.saturating_sub(1);
                let (id, data) = self.resolve(scan, &ready)?;
                let waiting = children(ready.index, &id);
                if !waiting.is_empty() {
                    let depth = ready.depth.saturating_add(1);
                    push(&mut stack, waiting, &data, ready.kind, depth, ready.held);
                }
            }
        }
        if left == 0 {
            Ok(())
        } else {
            Err(PackError::Unresolved(left))
        }
    }

    fn resolve(
        &mut self,
        scan: &mut Scan,
        ready: &Ready,
    ) -> Result<(ObjectId, Rc<Vec<u8>>), PackError> {
        if ready.depth > self.limits.delta_depth || ready.held > CHAIN_MEMORY {
            return Err(PackError::DeltaTooDeep);
        }
        let missing = PackError::Unresolved(1);
        let Some(entry) = entry(scan, ready.index) else {
            return Err(missing);
        };
        let offset = u64::from(entry.offset);
        let instructions = self.stream(entry)?;
        let limits = self.limits;
        let data = delta::apply(&ready.base, &instructions, offset, |size| {
            if size > limits.object_size {
                let limit = limits.object_size;
                return Err(PackError::ObjectTooLarge { size, limit });
            }
            scan.decoded = scan.decoded.saturating_add(size);
            if scan.decoded > limits.decoded {
                return Err(PackError::TooMuchDecoded(limits.decoded));
            }
            Ok(())
        })?;
        let size = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let mut hasher = scan::object_hasher(ready.kind, size);
        hasher.update(&data);
        let id = hasher.try_finalize().map_err(|_| PackError::Collision)?;
        scan.kept_bytes = scan.kept_bytes.saturating_add(size);
        if scan.kept_bytes > KEEP_BYTES {
            scan.kept = None;
        }
        let index = usize::try_from(ready.index).unwrap_or(usize::MAX);
        if let Some(slot) = scan.kept.as_mut().and_then(|kept| kept.get_mut(index)) {
            slot.clone_from(&data);
        }
        if let Some(entry) = scan.entries.get_mut(index) {
            entry.object = Some((ready.kind, id));
        }
        Ok((id, Rc::new(data)))
    }

    /// The unpacked zlib stream of an entry.
    fn stream(&mut self, entry: &Entry) -> Result<Vec<u8>, PackError> {
        let start = u64::from(entry.offset).saturating_add(u64::from(entry.header));
        let window = usize::try_from(entry.size)
            .unwrap_or(0)
            .clamp(256, 16 << 10);
        let mut cursor = Cursor::new(self.spool, start, self.spool.len(), window);
        let mut data = Vec::new();
        self.inflate.run(&mut cursor, entry.size.into(), |bytes| {
            data.extend_from_slice(bytes);
        })?;
        Ok(data)
    }
}

fn push(
    stack: &mut Vec<Ready>,
    waiting: Vec<u32>,
    base: &Rc<Vec<u8>>,
    kind: Kind,
    depth: u32,
    held: u64,
) {
    let held = held.saturating_add(u64::try_from(base.len()).unwrap_or(u64::MAX));
    stack.extend(waiting.into_iter().map(|index| Ready {
        index,
        base: Rc::clone(base),
        kind,
        depth,
        held,
    }));
}

fn entry(scan: &Scan, index: u32) -> Option<&Entry> {
    scan.entries.get(usize::try_from(index).ok()?)
}

fn kept(scan: &Scan, index: u32) -> Option<&[u8]> {
    Some(scan.kept.as_ref()?.get(usize::try_from(index).ok()?)?)
}
