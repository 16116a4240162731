//! A list with stable places. A reference outlives what it refers to and then finds nothing.

use std::fmt;
use std::marker::PhantomData;

/// Refers to an item of a [`Slab`].
pub(crate) struct Ref<T> {
    index: u32,
    generation: u32,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ref<T> {}

impl<T> PartialEq for Ref<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.index, self.generation) == (other.index, other.generation)
    }
}

impl<T> Eq for Ref<T> {}

impl<T> PartialOrd for Ref<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Ref<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.index, self.generation).cmp(&(other.index, other.generation))
    }
}

impl<T> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.index, self.generation)
    }
}

struct Slot<T> {
    generation: u32,
    item: Option<T>,
}

/// Items in stable places.
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    /// Generation of new slots: above all that were ever used when the list shrank.
    fresh: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            fresh: 0,
        }
    }
}

impl<T> fmt::Debug for Slab<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slab({})", self.len())
    }
}

impl<T> Slab<T> {
    pub(crate) fn len(&self) -> usize {
        self.slots.len().saturating_sub(self.free.len())
    }

    pub(crate) fn insert(&mut self, item: T) -> Ref<T> {
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(as_usize(index))
        {
            slot.item = Some(item);
            return reference(index, slot.generation);
        }
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot {
            generation: self.fresh,
            item: Some(item),
        });
        reference(index, self.fresh)
    }

    pub(crate) fn get(&self, at: Ref<T>) -> Option<&T> {
        let slot = self.slots.get(as_usize(at.index))?;
        slot.item
            .as_ref()
            .filter(|_| slot.generation == at.generation)
    }

    pub(crate) fn get_mut(&mut self, at: Ref<T>) -> Option<&mut T> {
        let slot = self.slots.get_mut(as_usize(at.index))?;
        slot.item
            .as_mut()
            .filter(|_| slot.generation == at.generation)
    }

    pub(crate) fn remove(&mut self, at: Ref<T>) -> Option<T> {
        let slot = self.slots.get_mut(as_usize(at.index))?;
        if slot.generation != at.generation {
            return None;
        }
        let item = slot.item.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(at.index);
        // What a burst needed is given back once it is over.
        if self.slots.len() > 64 && self.free.len() == self.slots.len() {
            let highest = self.slots.iter().map(|slot| slot.generation).max();
            self.fresh = highest.unwrap_or_default();
            self.slots = Vec::new();
            self.free = Vec::new();
        }
        Some(item)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ref<T>, &T)> {
        (0u32..).zip(&self.slots).filter_map(|(index, slot)| {
            let item = slot.item.as_ref()?;
            Some((reference(index, slot.generation), item))
        })
    }
}

fn reference<T>(index: u32, generation: u32) -> Ref<T> {
    Ref {
        index,
        generation,
        kind: PhantomData,
    }
}

fn as_usize(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_to_what_is_gone_finds_nothing() {
        let mut slab = Slab::default();
        let (a, b) = (slab.insert("a"), slab.insert("b"));
        assert_eq!(slab.remove(a), Some("a"));
        let c = slab.insert("c");
        assert_eq!(
            (slab.get(a), slab.get(b), slab.get(c)),
            (None, Some(&"b"), Some(&"c"))
        );
        assert_eq!(slab.remove(a), None);
        assert_eq!(slab.len(), 2);
        assert_eq!(slab.iter().map(|(at, _)| at).collect::<Vec<_>>(), [c, b]);
    }

    #[test]
    fn references_stay_dead_after_the_list_shrank() {
        let mut slab = Slab::default();
        let all: Vec<_> = (0..100).map(|n| slab.insert(n)).collect();
        for at in &all {
            assert!(slab.remove(*at).is_some());
        }
        for n in 0..100 {
            slab.insert(n);
        }
        assert!(all.iter().filter(|at| slab.get(**at).is_some()).count() == 0);
    }
}
