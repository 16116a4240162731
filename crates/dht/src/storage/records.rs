//! Records of stored values, in chunks so that growing moves nothing.

use baraza_wire::InfoHash;

use super::arena::Place;

/// The number of no record.
pub(super) const NONE: u32 = u32::MAX;
const CHUNK: usize = 64;

/// A stored value.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) key: InfoHash,
    /// Its packed bytes.
    pub(super) place: Place,
    /// Value id, halved so that records need no more than the alignment of their other
    /// numbers.
    pub(super) id: [u32; 2],
    /// Who put it: a number of [`super::sources::Sources`].
    pub(super) source: u32,
    /// In seconds; `u32::MAX` is never.
    pub(super) expires: u32,
    /// Next value under the same key. Of a free record: the next free one.
    pub(super) next: u32,
    /// Neighbours among those that expire in the same second.
    pub(super) due_before: u32,
    pub(super) due_after: u32,
}

impl Record {
    pub(super) fn id(&self) -> u64 {
        let [high, low] = self.id;
        (u64::from(high) << 32) | u64::from(low)
    }
}

/// A value id in two halves.
pub(super) fn halves(id: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = id.to_be_bytes();
    [
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
    ]
}

/// All records.
#[derive(Default)]
pub(super) struct Records {
    chunks: Vec<Box<[Slot]>>,
    free: Option<u32>,
    used: usize,
    made: usize,
}

enum Slot {
    Free(Option<u32>),
    Used(Record),
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Records({})", self.used)
    }
}

impl Records {
    pub(super) fn len(&self) -> usize {
        self.used
    }

    pub(super) fn get(&self, at: u32) -> Option<&Record> {
        match self.slot(at)? {
            Slot::Used(record) => Some(record),
            Slot::Free(_) => None,
        }
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Record> {
        match self.slot_mut(at)? {
            Slot::Used(record) => Some(record),
            Slot::Free(_) => None,
        }
    }

    pub(super) fn insert(&mut self, record: Record) -> u32 {
        self.used = self.used.saturating_add(1);
        if let Some(at) = self.free
            && let Some(slot) = self.slot_mut(at)
        {
            let next = match slot {
                Slot::Free(next) => *next,
                Slot::Used(_) => None,
            };
            *slot = Slot::Used(record);
            self.free = next;
            return at;
        }
        let at = self.made;
        if at.is_multiple_of(CHUNK) {
            self.chunks
                .push((0..CHUNK).map(|_| Slot::Free(None)).collect());
        }
        self.made = at.saturating_add(1);
        let at = u32::try_from(at).unwrap_or(NONE);
        if let Some(slot) = self.slot_mut(at) {
            *slot = Slot::Used(record);
        }
        at
    }

    pub(super) fn remove(&mut self, at: u32) {
        let free = self.free;
        if let Some(slot @ Slot::Used(_)) = self.slot_mut(at) {
            *slot = Slot::Free(free);
            self.free = Some(at);
            self.used = self.used.saturating_sub(1);
        }
        if self.used == 0 {
            *self = Self::default();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.numbered().map(|(_, record)| record)
    }

    pub(super) fn numbered(&self) -> impl Iterator<Item = (u32, &Record)> {
        let slots = self.chunks.iter().flat_map(|chunk| chunk.iter());
        (0u32..).zip(slots).filter_map(|(at, slot)| match slot {
            Slot::Used(record) => Some((at, record)),
            Slot::Free(_) => None,
        })
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Record> {
        let slots = self.chunks.iter_mut().flat_map(|chunk| chunk.iter_mut());
        slots.filter_map(|slot| match slot {
            Slot::Used(record) => Some(record),
            Slot::Free(_) => None,
        })
    }

    fn slot(&self, at: u32) -> Option<&Slot> {
        let at = usize::try_from(at).ok()?;
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    fn slot_mut(&mut self, at: u32) -> Option<&mut Slot> {
        let at = usize::try_from(at).ok()?;
        self.chunks.get_mut(at / CHUNK)?.get_mut(at % CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_small() {
        assert!(size_of::<Slot>() <= 60, "{}", size_of::<Slot>());
    }
}
