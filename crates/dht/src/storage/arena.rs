//! Bytes of stored values, packed densely into blocks.
//!
//! An allocation for each of many small values costs as much again in headers, rounding and
//! holes between them. Here new bytes are appended to the newest block; when half of all
//! bytes are of values that went, the living ones move together.

use super::records::Records;

/// Values of at least this length have a block of their own.
const LARGE: usize = 2048;
/// The first block is small, for nodes that store next to nothing; later ones are larger.
const FIRST_BLOCK: usize = 1024;
const MAX_BLOCK: usize = 32 * 1024;
/// Nothing is moved to save less than this.
const WORTHWHILE: usize = 64 * 1024;

/// Where bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    block: u32,
    start: u16,
    /// Of the small ones; a large one is all of its block.
    len: u16,
}

#[derive(Debug, Default)]
struct Block {
    bytes: Vec<u8>,
    alive: usize,
}

/// All bytes.
#[derive(Debug, Default)]
pub(super) struct Arena {
    blocks: Vec<Block>,
    free: Vec<u32>,
    /// The block that is being filled.
    open: Option<u32>,
    /// Size of the next block.
    next: usize,
    /// Bytes of small values, and of those that went and were not freed.
    alive: usize,
    dead: usize,
}

impl Arena {
    pub(super) fn get(&self, place: Place) -> &[u8] {
        let Some(block) = self.blocks.get(index(place.block)) else {
            return &[];
        };
        if place.len == 0 {
            return &block.bytes;
        }
        let start = usize::from(place.start);
        let end = start.saturating_add(usize::from(place.len));
        block.bytes.get(start..end).unwrap_or_default()
    }

    pub(super) fn add(&mut self, bytes: &[u8]) -> Place {
        if bytes.len() >= LARGE || bytes.is_empty() {
            let block = self.new_block(Block {
                bytes: bytes.to_vec(),
                alive: bytes.len(),
            });
            return Place {
                block,
                start: 0,
                len: 0,
            };
        }
        let fits =
            |block: &Block| block.bytes.capacity().saturating_sub(block.bytes.len()) >= bytes.len();
        let open = self
            .open
            .filter(|at| self.blocks.get(index(*at)).is_some_and(fits));
        let at = match open {
            Some(at) => at,
            None => {
                self.close();
                let size = self.next.clamp(FIRST_BLOCK, MAX_BLOCK).max(bytes.len());
                self.next = size.saturating_mul(2);
                let at = self.new_block(Block {
                    bytes: Vec::with_capacity(size),
                    alive: 0,
                });
                self.open = Some(at);
                at
            }
        };
        let Some(block) = self.blocks.get_mut(index(at)) else {
            return Place {
                block: u32::MAX,
                start: 0,
                len: 0,
            };
        };
        let start = u16::try_from(block.bytes.len()).unwrap_or_default();
        block.bytes.extend_from_slice(bytes);
        block.alive = block.alive.saturating_add(bytes.len());
        self.alive = self.alive.saturating_add(bytes.len());
        Place {
            block: at,
            start,
            len: u16::try_from(bytes.len()).unwrap_or_default(),
        }
    }

    /// Gives up bytes.
    pub(super) fn remove(&mut self, place: Place) {
        let Some(block) = self.blocks.get_mut(index(place.block)) else {
            return;
        };
        if place.len > 0 {
            let len = usize::from(place.len);
            block.alive = block.alive.saturating_sub(len);
            self.alive = self.alive.saturating_sub(len);
            self.dead = self.dead.saturating_add(len);
            if block.alive > 0 || self.open == Some(place.block) {
                return;
            }
            self.dead = self.dead.saturating_sub(block.bytes.len());
        }
        *block = Block::default();
        self.free.push(place.block);
    }

    /// Whether [`Self::compacted`] frees much.
    pub(super) fn is_wasteful(&self) -> bool {
        self.dead > self.alive && self.dead > WORTHWHILE
    }

    /// The same bytes, densely; tells each record its new place.
    pub(super) fn compacted(mut self, records: &mut Records) -> Self {
        let mut new = Self {
            next: self.next,
            ..Self::default()
        };
        for record in records.iter_mut() {
            record.place = match record.place {
                Place { block, len: 0, .. } => {
                    // A large one moves as it is.
                    let block = self.blocks.get_mut(index(block)).map(std::mem::take);
                    Place {
                        block: new.new_block(block.unwrap_or_default()),
                        start: 0,
                        len: 0,
                    }
                }
                small => new.add(self.get(small)),
            };
        }
        new
    }

    fn close(&mut self) {
        let Some(at) = self.open.take() else {
            return;
        };
        if let Some(block) = self.blocks.get_mut(index(at)) {
            if block.alive == 0 {
                self.dead = self.dead.saturating_sub(block.bytes.len());
                *block = Block::default();
                self.free.push(at);
            } else {
                block.bytes.shrink_to_fit();
            }
        }
    }

    fn new_block(&mut self, block: Block) -> u32 {
        if let Some(at) = self.free.pop()
            && let Some(slot) = self.blocks.get_mut(index(at))
        {
            *slot = block;
            return at;
        }
        let at = u32::try_from(self.blocks.len()).unwrap_or(u32::MAX);
        self.blocks.push(block);
        at
    }
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_again_and_room_is_given_back() {
        let mut arena = Arena::default();
        let mut all: Vec<(Place, Vec<u8>)> = Vec::new();
        for n in 0..3000usize {
            let bytes = vec![u8::try_from(n % 251).unwrap(); n % 2100 + 1];
            all.push((arena.add(&bytes), bytes));
        }
        for (place, bytes) in &all {
            assert_eq!(arena.get(*place), bytes);
        }
        let rest = all.split_off(2500);
        for (place, _) in all {
            arena.remove(place);
        }
        for (place, bytes) in &rest {
            assert_eq!(arena.get(*place), bytes);
        }
        for (place, _) in rest {
            arena.remove(place);
        }
        assert_eq!(arena.alive, 0);
        let held: usize = arena.blocks.iter().map(|b| b.bytes.capacity()).sum();
        assert!(held <= MAX_BLOCK, "{held}");
    }
}
