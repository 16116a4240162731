//! The event queue: by time, and among equals by order of scheduling.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Time;

/// A priority queue of `T` by time. Payloads lie in a slab, so that sifting moves only
/// three numbers.
#[derive(Debug)]
pub struct EventQueue<T> {
    heap: BinaryHeap<Reverse<(Time, u64, usize)>>,
    slab: Vec<Option<T>>,
    free: Vec<usize>,
    scheduled: u64,
}

impl<T> Default for EventQueue<T> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            slab: Vec::new(),
            free: Vec::new(),
            scheduled: 0,
        }
    }
}

impl<T> EventQueue<T> {
    /// Adds an event.
    pub fn push(&mut self, at: Time, event: T) {
        let slot = if let Some(slot) = self.free.pop() {
            self.slab[slot] = Some(event);
            slot
        } else {
            self.slab.push(Some(event));
            self.slab.len() - 1
        };
        self.heap.push(Reverse((at, self.scheduled, slot)));
        self.scheduled += 1;
    }

    /// When the next event is due.
    pub fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes the next event if it is due by `until`.
    pub fn pop(&mut self, until: Time) -> Option<(Time, T)> {
        let Reverse((at, _, slot)) = *self.heap.peek()?;
        if at > until {
            return None;
        }
        self.heap.pop();
        self.free.push(slot);
        self.slab[slot].take().map(|event| (at, event))
    }

    /// Events waiting.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Events scheduled since the beginning.
    pub const fn scheduled(&self) -> u64 {
        self.scheduled
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn events_come_by_time_then_by_order_of_scheduling() {
        let mut queue = EventQueue::default();
        let at = |ms| Time::ZERO + Duration::from_millis(ms);
        for (ms, name) in [(5, "c"), (1, "a"), (5, "d"), (1, "b"), (9, "e")] {
            queue.push(at(ms), name);
        }
        let mut seen = String::new();
        while let Some((_, name)) = queue.pop(at(8)) {
            seen.push_str(name);
        }
        assert_eq!(seen, "abcd");
        assert_eq!(queue.next_at(), Some(at(9)));
        assert_eq!(queue.len(), 1);
    }
}
