//! Values kept for others and for ourselves (docs/protocol/01-dht.md section 4).
//!
//! A busy node keeps hundreds of thousands of small values. So a value is a record of fixed
//! size and its packed bytes; records lie in chunks and bytes in blocks, they find each other
//! by number, and no map has an entry for each.

mod arena;
mod index;
mod records;
mod sources;
mod strip;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use baraza_wire::InfoHash;

use crate::api::Limits;
use crate::clock::Ms;
use crate::query::Query;
use crate::ratelimit::Source;
use crate::secure;
use crate::value::Value;
use crate::value_type::{self, Refused};

use arena::Arena;
use index::Index;
use records::{NONE, Record, Records, halves};
use sources::{LOCAL, Sources};

/// Values under one key. The C++ peers keep 65,536; nothing in use needs more than a few
/// hundred.
pub(crate) const MAX_VALUES_PER_KEY: usize = 4096;
/// Bytes of our own values.
pub(crate) const MAX_LOCAL_BYTES: usize = 256 * 1024 * 1024;
/// What a stored value takes besides its packed bytes.
const OVERHEAD: usize = size_of::<Record>();

/// Who put a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A client of ours.
    Local {
        /// Until it is removed.
        permanent: bool,
    },
    /// Another node.
    Remote(SocketAddr),
}

/// What became of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// It took the place of another value with the same id.
    Edited,
    /// It is new.
    New,
    /// Its life is over already.
    Past,
    /// It was there; it lives longer.
    Refreshed,
    /// It was not stored.
    Refused(Refused),
    /// Nothing more is taken under this key, or under new keys.
    Full,
}

/// A value that is no longer stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Gone {
    pub(crate) key: InfoHash,
    pub(crate) id: u64,
}

/// How much is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StorageStats {
    /// Keys with values.
    pub keys: usize,
    /// Values, our own included.
    pub values: usize,
    /// Bytes of values of others.
    pub bytes: usize,
    /// Bytes of our own.
    pub local_bytes: usize,
}

/// The store.
#[derive(Debug)]
pub(crate) struct Storage {
    limits: Limits,
    records: Records,
    arena: Arena,
    index: Index,
    /// First record of those that expire in a second.
    due: BTreeMap<u32, u32>,
    sources: Sources,
    bytes: usize,
    local_bytes: usize,
}

impl Storage {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            records: Records::default(),
            arena: Arena::default(),
            index: Index::default(),
            due: BTreeMap::new(),
            sources: Sources::default(),
            bytes: 0,
            local_bytes: 0,
        }
    }

    pub(crate) fn stats(&self) -> StorageStats {
        StorageStats {
            keys: self.index.len(),
            values: self.records.len(),
            bytes: self.bytes,
            local_bytes: self.local_bytes,
        }
    }

    /// When the next value expires.
    pub(crate) fn next_due(&self) -> Option<Ms> {
        self.due
            .keys()
            .next()
            .map(|secs| Ms::from_secs(u64::from(*secs)))
    }

    /// The packed values under a key, in the order they came.
    pub(crate) fn packed<'a>(
        &'a self,
        key: &InfoHash,
    ) -> impl Iterator<Item = (u64, Vec<u8>)> + use<'a> {
        self.chain(key)
            .map(|(_, record)| (record.id(), self.packed_of(record)))
    }

    /// The values under a key that match a query.
    pub(crate) fn matching<'a>(
        &'a self,
        key: &InfoHash,
        query: &'a Query,
    ) -> impl Iterator<Item = Value> + use<'a> {
        self.chain(key)
            .filter_map(|(_, record)| Value::from_packed(&self.packed_of(record)).ok())
            .filter(|value| query.matches(value))
    }

    /// One value.
    pub(crate) fn value(&self, key: &InfoHash, id: u64) -> Option<Value> {
        let (_, record) = self.chain(key).find(|(_, record)| record.id() == id)?;
        Value::from_packed(&self.packed_of(record)).ok()
    }

    /// Every value with its key and when it expires.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (InfoHash, Vec<u8>, Ms)> {
        self.records.iter().map(|record| {
            let packed = self.packed_of(record);
            (record.key, packed, expiry(record.expires))
        })
    }

    /// Stores a value `age` after it was made (section 4.2). `value.id` is not 0.
    pub(crate) fn store(
        &mut self,
        key: &InfoHash,
        value: &Value,
        origin: Origin,
        age: Duration,
        now: Ms,
    ) -> Stored {
        let from = match origin {
            Origin::Local { .. } => None,
            Origin::Remote(from) => Some(from),
        };
        let checked = match from {
            Some(from) => value_type::check_store(key, value, from),
            None => value_type::check_store(key, value, SocketAddr::from(([127, 0, 0, 1], 1))),
        };
        let checked = match checked {
            // Our own service announcement is located by whoever receives it.
            Ok(_) if from.is_none() => Cow::Borrowed(value),
            Ok(checked) => checked,
            Err(refused) => return Stored::Refused(refused),
        };
        let value = &*checked;
        let lifetime = value_type::lifetime(value.value_type());
        let permanent = origin == (Origin::Local { permanent: true });
        let expires = if permanent {
            u32::MAX
        } else if age >= lifetime {
            return Stored::Past;
        } else {
            seconds(now.plus(lifetime.saturating_sub(age)))
        };
        let (mut count, mut last, mut same) = (0usize, NONE, NONE);
        for (at, record) in self.chain(key) {
            count = count.saturating_add(1);
            last = at;
            if record.id() == value.id {
                same = at;
                break;
            }
        }
        if same != NONE {
            return self.store_again(same, value, origin, expires);
        }
        if from.is_some() {
            let full = count >= MAX_VALUES_PER_KEY
                || (count == 0 && self.index.len() >= self.limits.store_keys);
            if full {
                return Stored::Full;
            }
            if secure::verify(value).is_err() {
                return Stored::Refused(Refused::Content);
            }
        } else if self.local_bytes >= MAX_LOCAL_BYTES {
            return Stored::Full;
        }
        let source = from.map_or(LOCAL, |from| self.sources.number(Source::of(from.ip())));
        let at = self.records.insert(Record {
            id: halves(value.id),
            place: self.arena.add(&strip::strip(value.id, &value.to_packed())),
            key: *key,
            source,
            expires,
            next: NONE,
            due_before: NONE,
            due_after: NONE,
        });
        match self.records.get_mut(last) {
            Some(record) => record.next = at,
            None => self.index.insert(key, at, &self.records),
        }
        self.link_due(at);
        self.account(at, true);
        Stored::New
    }

    fn store_again(&mut self, at: u32, value: &Value, origin: Origin, expires: u32) -> Stored {
        let Some(record) = self.records.get(at) else {
            return Stored::Full;
        };
        let Ok(old) = Value::from_packed(&self.packed_of(record)) else {
            return Stored::Full;
        };
        let local = matches!(origin, Origin::Local { .. });
        if old.content_eq(value) {
            let longest = if record.expires == u32::MAX && !local {
                u32::MAX
            } else {
                record.expires.max(expires)
            };
            if local && record.source != LOCAL {
                self.change_owner(at);
            }
            self.set_expiry(at, longest);
            return Stored::Refreshed;
        }
        // Our own client may replace what it put, whatever others may (section 5.4).
        if !(local && record.source == LOCAL) {
            if let Err(refused) = value_type::check_edit(&old, value) {
                return Stored::Refused(refused);
            }
            if secure::verify(value).is_err() {
                return Stored::Refused(Refused::Edit);
            }
        }
        self.account(at, false);
        if let Some(record) = self.records.get_mut(at) {
            self.arena.remove(record.place);
            record.place = self.arena.add(&strip::strip(value.id, &value.to_packed()));
            if local {
                record.source = LOCAL;
            }
        }
        self.account(at, true);
        self.set_expiry(at, expires);
        Stored::Edited
    }

    /// Makes a value live longer; `false` if it is not stored.
    pub(crate) fn refresh(&mut self, key: &InfoHash, id: u64, now: Ms) -> bool {
        let Some((at, record)) = self.chain(key).find(|(_, record)| record.id() == id) else {
            return false;
        };
        let Ok(value) = Value::from_packed(&self.packed_of(record)) else {
            return false;
        };
        let expires = seconds(now.plus(value_type::lifetime(value.value_type())));
        let expires = record.expires.max(expires);
        self.set_expiry(at, expires);
        true
    }

    /// Removes one of our own values; `true` if it was there.
    pub(crate) fn remove_local(&mut self, key: &InfoHash, id: u64) -> bool {
        let found = self
            .chain(key)
            .find(|(_, record)| record.id() == id && record.source == LOCAL);
        let Some((at, _)) = found else {
            return false;
        };
        self.remove(at);
        true
    }

    /// Removes what is past.
    pub(crate) fn expire(&mut self, now: Ms, mut gone: impl FnMut(Gone)) {
        let now = u32::try_from(now.secs()).unwrap_or(u32::MAX);
        while let Some((&secs, &head)) = self.due.first_key_value() {
            if secs > now {
                break;
            }
            let Some(record) = self.records.get(head) else {
                self.due.remove(&secs);
                continue;
            };
            gone(Gone {
                key: record.key,
                id: record.id(),
            });
            self.remove(head);
        }
    }

    /// Brings the store back under its limit (section 4.3): the sources that use most lose
    /// the values that would expire soonest, down to the same level. A sixteenth more is
    /// freed than needed, so that this is done seldom.
    pub(crate) fn enforce_limit(&mut self, mut gone: impl FnMut(Gone)) {
        if self.bytes <= self.limits.store_bytes {
            return;
        }
        let target = self
            .limits
            .store_bytes
            .saturating_sub(self.limits.store_bytes / 16);
        let level = self.level(self.bytes.saturating_sub(target));
        let mut above: BTreeMap<u32, usize> = self
            .sources
            .iter()
            .filter(|(_, used)| used.bytes > level)
            .map(|(number, used)| (number, used.bytes))
            .collect();
        let mut soonest: Vec<(u32, u32)> = self
            .records
            .numbered()
            .filter(|(_, record)| above.contains_key(&record.source))
            .map(|(at, record)| (record.expires, at))
            .collect();
        soonest.sort_unstable();
        for (_, at) in soonest {
            let Some(record) = self.records.get(at) else {
                continue;
            };
            let Some(left) = above.get_mut(&record.source).filter(|left| **left > level) else {
                continue;
            };
            let packed = self.arena.get(record.place).len();
            *left = left.saturating_sub(packed.saturating_add(OVERHEAD));
            gone(Gone {
                key: record.key,
                id: record.id(),
            });
            self.remove(at);
        }
    }

    /// To how many bytes each source must be cut to free `excess`.
    fn level(&self, excess: usize) -> usize {
        let mut used: Vec<usize> = self.sources.iter().map(|(_, used)| used.bytes).collect();
        used.sort_unstable_by(|a, b| b.cmp(a));
        let mut sum = 0usize;
        for (index, bytes) in used.iter().enumerate() {
            let count = index.saturating_add(1);
            sum = sum.saturating_add(*bytes);
            let next = used.get(count).copied().unwrap_or_default();
            if sum.saturating_sub(count.saturating_mul(next)) >= excess {
                return sum.saturating_sub(excess) / count;
            }
        }
        0
    }

    fn packed_of(&self, record: &Record) -> Vec<u8> {
        strip::restore(record.id(), self.arena.get(record.place))
    }

    fn head(&self, key: &InfoHash) -> Option<u32> {
        self.index.get(key, &self.records)
    }

    fn chain<'a>(&'a self, key: &InfoHash) -> impl Iterator<Item = (u32, &'a Record)> + use<'a> {
        let mut at = self.head(key).unwrap_or(NONE);
        std::iter::from_fn(move || {
            let record = self.records.get(at)?;
            let here = at;
            at = record.next;
            Some((here, record))
        })
    }

    fn remove(&mut self, at: u32) {
        let Some((key, next)) = self.records.get(at).map(|record| (record.key, record.next)) else {
            return;
        };
        self.unlink_due(at);
        self.account(at, false);
        let before = self
            .chain(&key)
            .find(|(_, record)| record.next == at)
            .map(|(before, _)| before);
        match before.and_then(|before| self.records.get_mut(before)) {
            Some(before) => before.next = next,
            None if next == NONE => self.index.remove(&key, &self.records),
            None => self.index.replace(&key, next, &self.records),
        }
        if let Some(record) = self.records.get(at) {
            self.arena.remove(record.place);
        }
        self.records.remove(at);
        if self.arena.is_wasteful() {
            self.arena = std::mem::take(&mut self.arena).compacted(&mut self.records);
        }
    }

    fn change_owner(&mut self, at: u32) {
        self.account(at, false);
        if let Some(record) = self.records.get_mut(at) {
            record.source = LOCAL;
        }
        self.account(at, true);
    }

    fn account(&mut self, at: u32, add: bool) {
        let Some(record) = self.records.get(at) else {
            return;
        };
        let packed = self.arena.get(record.place);
        let bytes = packed.len().saturating_add(OVERHEAD);
        let total = if record.source == LOCAL {
            &mut self.local_bytes
        } else {
            &mut self.bytes
        };
        if add {
            *total = total.saturating_add(bytes);
            self.sources.add(record.source, bytes);
        } else {
            *total = total.saturating_sub(bytes);
            self.sources.subtract(record.source, bytes);
        }
    }

    fn set_expiry(&mut self, at: u32, expires: u32) {
        if self.records.get(at).is_some_and(|r| r.expires == expires) {
            return;
        }
        self.unlink_due(at);
        if let Some(record) = self.records.get_mut(at) {
            record.expires = expires;
        }
        self.link_due(at);
    }

    fn link_due(&mut self, at: u32) {
        let Some(expires) = self.records.get(at).map(|record| record.expires) else {
            return;
        };
        if expires == u32::MAX {
            return;
        }
        let after = self.due.insert(expires, at).unwrap_or(NONE);
        if let Some(record) = self.records.get_mut(at) {
            (record.due_before, record.due_after) = (NONE, after);
        }
        if let Some(record) = self.records.get_mut(after) {
            record.due_before = at;
        }
    }

    fn unlink_due(&mut self, at: u32) {
        let Some(record) = self.records.get(at) else {
            return;
        };
        let (expires, before, after) = (record.expires, record.due_before, record.due_after);
        if expires == u32::MAX {
            return;
        }
        if let Some(record) = self.records.get_mut(after) {
            record.due_before = before;
        }
        match self.records.get_mut(before) {
            Some(record) => record.due_after = after,
            None if after == NONE => {
                self.due.remove(&expires);
            }
            None => {
                self.due.insert(expires, after);
            }
        }
    }
}

/// Rounded up, so that nothing expires early.
fn seconds(at: Ms) -> u32 {
    let secs = at.plus(Duration::from_millis(999)).secs();
    u32::try_from(secs).unwrap_or(u32::MAX - 1)
}

fn expiry(secs: u32) -> Ms {
    if secs == u32::MAX {
        Ms::NEVER
    } else {
        Ms::from_secs(u64::from(secs))
    }
}
