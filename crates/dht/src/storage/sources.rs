//! Who put what, and how much each uses.

use std::collections::BTreeMap;

use crate::ratelimit::Source;

/// The number of ourselves.
pub(super) const LOCAL: u32 = 0;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    pub(super) bytes: usize,
    pub(super) values: usize,
}

/// Sources by number, which is smaller than an address.
#[derive(Debug, Default)]
pub(super) struct Sources {
    numbers: BTreeMap<Source, u32>,
    /// What number 1 and up use, and who they are.
    used: Vec<(Option<Source>, Used)>,
    free: Vec<u32>,
}

impl Sources {
    /// The number of a source.
    pub(super) fn number(&mut self, source: Source) -> u32 {
        if let Some(number) = self.numbers.get(&source) {
            return *number;
        }
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.used.push((None, Used::default()));
                u32::try_from(self.used.len()).unwrap_or(u32::MAX)
            }
        };
        if let Some(slot) = self.slot(number) {
            *slot = (Some(source), Used::default());
        }
        self.numbers.insert(source, number);
        number
    }

    pub(super) fn add(&mut self, number: u32, bytes: usize) {
        if let Some((_, used)) = self.slot(number) {
            used.bytes = used.bytes.saturating_add(bytes);
            used.values = used.values.saturating_add(1);
        }
    }

    /// A source without values is forgotten.
    pub(super) fn subtract(&mut self, number: u32, bytes: usize) {
        let Some((source, used)) = self.slot(number) else {
            return;
        };
        used.bytes = used.bytes.saturating_sub(bytes);
        used.values = used.values.saturating_sub(1);
        if used.values == 0
            && let Some(source) = source.take()
        {
            self.numbers.remove(&source);
            self.free.push(number);
        }
    }

    /// Uses of all sources with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Used)> {
        (1u32..)
            .zip(&self.used)
            .filter(|(_, (source, _))| source.is_some())
            .map(|(number, (_, used))| (number, *used))
    }

    fn slot(&mut self, number: u32) -> Option<&mut (Option<Source>, Used)> {
        let at = usize::try_from(number.checked_sub(1)?).ok()?;
        self.used.get_mut(at)
    }
}
