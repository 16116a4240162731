//! Large values, put together from fragments (docs/protocol/01-dht.md section 2.5).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Ms;
use crate::message::{Parts, ValueEntry, Values};
use crate::ratelimit::Source;
use crate::value::MAX_PACKED_LEN;

/// A message that is not complete by then is dropped.
pub(crate) const LIFE: Duration = Duration::from_secs(10);
/// Nor does one live longer than this after its last fragment.
pub(crate) const PAUSE: Duration = Duration::from_secs(3);
/// Incomplete messages of one source.
pub(crate) const MAX_PER_SOURCE: usize = 512;
/// Incomplete messages in all.
pub(crate) const MAX_PARTIAL: usize = 2048;
/// Values of one such message.
pub(crate) const MAX_VALUES: usize = 256;
/// Bytes of one such message.
pub(crate) const MAX_MESSAGE: usize = 512 * 1024;
/// Bytes of all.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Messages of which only fragments came so far.
pub(crate) const MAX_EARLY: usize = 256;
/// Bytes of such fragments of one message.
pub(crate) const MAX_EARLY_MESSAGE: usize = 128 * 1024;
/// Bytes of all such fragments.
pub(crate) const MAX_EARLY_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug)]
struct Partial {
    head: Box<[u8]>,
    values: Vec<Growing>,
    until: Ms,
    last: Ms,
}

#[derive(Debug, Default)]
struct Growing {
    len: usize,
    start: Vec<u8>,
    /// Pieces that came before what belongs in front of them.
    early: BTreeMap<usize, Box<[u8]>>,
}

impl Growing {
    fn is_complete(&self) -> bool {
        self.start.len() == self.len
    }

    /// Bytes added.
    fn add(&mut self, offset: usize, data: &[u8]) -> Option<usize> {
        let end = offset
            .checked_add(data.len())
            .filter(|end| *end <= self.len)?;
        if offset < self.start.len() || self.overlaps(offset, end) {
            return None;
        }
        if offset > self.start.len() {
            self.early.insert(offset, data.into());
            return Some(data.len());
        }
        self.start.extend_from_slice(data);
        while let Some(piece) = self.early.remove(&self.start.len()) {
            self.start.extend_from_slice(&piece);
        }
        Some(data.len())
    }

    fn overlaps(&self, offset: usize, end: usize) -> bool {
        self.early
            .range(..end)
            .next_back()
            .is_some_and(|(at, piece)| at.saturating_add(piece.len()) > offset)
    }
}

/// A complete message: its first datagram, and the values.
#[derive(Debug)]
pub(crate) struct Complete {
    pub(crate) head: Box<[u8]>,
    pub(crate) values: Vec<Vec<u8>>,
}

/// Fragments that overtook the head of their message.
#[derive(Debug)]
struct Early {
    pieces: Vec<(usize, usize, Box<[u8]>)>,
    bytes: usize,
    first: Ms,
}

/// What became of the head of a message.
#[derive(Debug)]
pub(crate) enum Started {
    /// Its fragments are all there.
    Complete(Complete),
    /// It is not collected: there is no room, or it is already.
    Refused,
    /// Its fragments are collected.
    Waiting,
}

/// Messages that wait for fragments.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    partial: BTreeMap<(SocketAddr, u32), Partial>,
    bytes: usize,
    early: BTreeMap<(SocketAddr, u32), Early>,
    early_bytes: usize,
}

impl Fragments {
    /// Starts to collect.
    pub(crate) fn start(
        &mut self,
        from: SocketAddr,
        tid: u32,
        head: &[u8],
        values: Values<'_>,
        now: Ms,
    ) -> Started {
        self.expire(now);
        let source = Source::of(from.ip());
        let of_source = self
            .partial
            .keys()
            .filter(|(from, _)| Source::of(from.ip()) == source);
        if self.partial.contains_key(&(from, tid))
            || self.partial.len() >= MAX_PARTIAL
            || of_source.count() >= MAX_PER_SOURCE
        {
            return Started::Refused;
        }
        // Values that came whole stay in their places; those that are too long are left
        // out, but keep theirs, because fragments are numbered.
        let mut growing = Vec::new();
        let mut total = head.len();
        for entry in values.iter() {
            let (len, start) = match entry {
                ValueEntry::Inline(bytes) => (bytes.len(), bytes.to_vec()),
                ValueEntry::Announced(len) if len <= MAX_PACKED_LEN => (len, Vec::new()),
                ValueEntry::Announced(_) => (0, Vec::new()),
            };
            total = total.saturating_add(len);
            if growing.len() >= MAX_VALUES || total > MAX_MESSAGE {
                return Started::Refused;
            }
            growing.push(Growing {
                len,
                start,
                early: BTreeMap::new(),
            });
        }
        let partial = Partial {
            head: head.into(),
            values: growing,
            until: now.plus(LIFE),
            last: now,
        };
        let bytes = self.bytes.saturating_add(size(&partial));
        if bytes > MAX_BYTES {
            return Started::Refused;
        }
        self.bytes = bytes;
        self.partial.insert((from, tid), partial);
        self.use_early(from, tid)
    }

    /// Fragments that overtook the head.
    fn use_early(&mut self, from: SocketAddr, tid: u32) -> Started {
        let Some(early) = self.early.remove(&(from, tid)) else {
            return Started::Waiting;
        };
        self.early_bytes = self.early_bytes.saturating_sub(early.bytes);
        let Some(partial) = self.partial.get_mut(&(from, tid)) else {
            return Started::Refused;
        };
        for (index, offset, data) in early.pieces {
            let value = partial.values.get_mut(index);
            let added = value.and_then(|value| value.add(offset, &data));
            self.bytes = self.bytes.saturating_add(added.unwrap_or_default());
        }
        if partial.values.iter().all(Growing::is_complete) {
            self.take(from, tid)
                .map_or(Started::Refused, Started::Complete)
        } else {
            Started::Waiting
        }
    }

    /// Keeps fragments whose head did not come yet; `false` if there is no room.
    fn keep_early(&mut self, from: SocketAddr, tid: u32, parts: Parts<'_>, now: Ms) -> bool {
        let room = MAX_EARLY_BYTES.saturating_sub(self.early_bytes);
        if !self.early.contains_key(&(from, tid)) && self.early.len() >= MAX_EARLY {
            self.expire(now);
            if self.early.len() >= MAX_EARLY {
                return false;
            }
        }
        let early = self.early.entry((from, tid)).or_insert_with(|| Early {
            pieces: Vec::new(),
            bytes: 0,
            first: now,
        });
        for part in parts.iter() {
            let len = part.data.len();
            let bytes = early.bytes.saturating_add(len);
            if part.index >= MAX_VALUES || bytes > MAX_EARLY_MESSAGE || len > room {
                return false;
            }
            early.bytes = bytes;
            self.early_bytes = self.early_bytes.saturating_add(len);
            early
                .pieces
                .push((part.index, part.offset, part.data.into()));
        }
        true
    }

    /// Takes the parts of a fragment; returns the message if it is complete then.
    /// `Err` if they are of no use.
    pub(crate) fn add(
        &mut self,
        from: SocketAddr,
        tid: u32,
        parts: Parts<'_>,
        now: Ms,
    ) -> Result<Option<Complete>, Unexpected> {
        let Some(partial) = self.partial.get_mut(&(from, tid)) else {
            let kept = self.keep_early(from, tid, parts, now);
            return if kept { Ok(None) } else { Err(Unexpected) };
        };
        if now >= partial.until || !partial.last.within(PAUSE, now) {
            self.expire(now);
            return Err(Unexpected);
        }
        let mut added = 0usize;
        for part in parts.iter() {
            if self.bytes.saturating_add(added) > MAX_BYTES {
                return Err(Unexpected);
            }
            let value = partial.values.get_mut(part.index);
            if let Some(bytes) = value.and_then(|value| value.add(part.offset, part.data)) {
                added = added.saturating_add(bytes);
            }
        }
        if added == 0 {
            return Err(Unexpected);
        }
        self.bytes = self.bytes.saturating_add(added);
        partial.last = now;
        if !partial.values.iter().all(Growing::is_complete) {
            return Ok(None);
        }
        Ok(self.take(from, tid))
    }

    fn take(&mut self, from: SocketAddr, tid: u32) -> Option<Complete> {
        let partial = self.partial.remove(&(from, tid))?;
        self.bytes = self.bytes.saturating_sub(size(&partial));
        let values = partial
            .values
            .into_iter()
            .filter(|value| value.len > 0)
            .map(|value| value.start)
            .collect();
        Some(Complete {
            head: partial.head,
            values,
        })
    }

    /// Drops what did not get complete in time.
    pub(crate) fn expire(&mut self, now: Ms) {
        let bytes = &mut self.bytes;
        self.partial.retain(|_, partial| {
            let keep = now < partial.until && partial.last.within(PAUSE, now);
            if !keep {
                *bytes = bytes.saturating_sub(size(partial));
            }
            keep
        });
        let early_bytes = &mut self.early_bytes;
        self.early.retain(|_, early| {
            let keep = early.first.within(PAUSE, now);
            if !keep {
                *early_bytes = early_bytes.saturating_sub(early.bytes);
            }
            keep
        });
    }

    /// Whether the head of a message came.
    pub(crate) fn is_waiting(&self, from: SocketAddr, tid: u32) -> bool {
        self.partial.contains_key(&(from, tid))
    }

    pub(crate) fn len(&self) -> usize {
        self.partial.len()
    }
}

/// A fragment that is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unexpected;

/// What [`Fragments::bytes`] counts.
fn size(partial: &Partial) -> usize {
    let values = partial.values.iter().map(|value| {
        let early = value.early.values().map(|piece| piece.len());
        early.fold(value.start.len(), usize::saturating_add)
    });
    values.fold(partial.head.len(), usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use baraza_wire::InfoHash;

    use super::*;
    use crate::message::{Envelope, NodeReply, Outgoing, Packet};

    fn from() -> SocketAddr {
        "192.0.2.1:4222".parse().unwrap()
    }

    fn message(values: &[&[u8]]) -> Outgoing {
        let envelope = Envelope {
            id: InfoHash::new([1; 20]),
            network: 0,
            client: false,
            agent: "x",
        };
        let reply = NodeReply {
            values,
            ..NodeReply::default()
        };
        envelope.reply(7, Ipv4Addr::LOCALHOST.into(), &reply)
    }

    fn start(fragments: &mut Fragments, message: &Outgoing, now: Ms) -> bool {
        let head = Packet::decode(&message.head).unwrap();
        let started = fragments.start(from(), 7, &message.head, head.values.unwrap(), now);
        matches!(started, Started::Waiting)
    }

    fn add(
        fragments: &mut Fragments,
        bytes: &[u8],
        now: Ms,
    ) -> Result<Option<Complete>, Unexpected> {
        let packet = Packet::decode(bytes).unwrap();
        fragments.add(from(), packet.tid, packet.parts.unwrap(), now)
    }

    #[test]
    fn fragments_may_come_in_any_order_and_twice() {
        let (a, b) = (vec![1; 4000], vec![2; 3000]);
        let message = message(&[&a, &b]);
        let now = Ms::from_secs(100);
        let mut fragments = Fragments::default();
        assert!(start(&mut fragments, &message, now));
        assert!(!start(&mut fragments, &message, now));
        let mut order: Vec<_> = message.fragments.iter().rev().collect();
        let last = order.remove(2);
        for bytes in order {
            assert!(add(&mut fragments, bytes, now).unwrap().is_none());
            assert_eq!(add(&mut fragments, bytes, now).unwrap_err(), Unexpected);
        }
        let complete = add(&mut fragments, last, now).unwrap().unwrap();
        assert_eq!(complete.values, [a, b]);
        assert_eq!(*complete.head, *message.head);
        assert_eq!((fragments.len(), fragments.bytes), (0, 0));
    }

    #[test]
    fn fragments_may_overtake_the_head() {
        let value = vec![1; 4000];
        let message = message(&[&value]);
        let now = Ms::from_secs(100);
        let mut fragments = Fragments::default();
        for bytes in &message.fragments {
            assert!(add(&mut fragments, bytes, now).unwrap().is_none());
        }
        let head = Packet::decode(&message.head).unwrap();
        match fragments.start(from(), 7, &message.head, head.values.unwrap(), now) {
            Started::Complete(complete) => assert_eq!(complete.values, [value]),
            other => panic!("{other:?}"),
        }
        assert_eq!((fragments.early_bytes, fragments.bytes), (0, 0));
        // They do not wait for long, nor without end.
        for tid in 0..100_000 {
            let packet = Packet::decode(&message.fragments[0]).unwrap();
            let _ = fragments.add(from(), tid, packet.parts.unwrap(), now);
        }
        assert!(fragments.early_bytes <= MAX_EARLY_BYTES && fragments.early.len() <= MAX_EARLY);
        fragments.expire(now.plus(PAUSE));
        assert_eq!((fragments.early_bytes, fragments.early.len()), (0, 0));
    }

    #[test]
    fn what_does_not_get_complete_is_forgotten() {
        let value = vec![1; 60_000];
        let message = message(&[&value]);
        let mut now = Ms::from_secs(100);
        let mut fragments = Fragments::default();
        assert!(start(&mut fragments, &message, now));
        for bytes in message.fragments.iter().take(4) {
            now = now.plus(PAUSE - Duration::from_millis(500));
            let _ = add(&mut fragments, bytes, now);
        }
        fragments.expire(now);
        assert_eq!((fragments.len(), fragments.bytes), (0, 0));
        assert!(start(&mut fragments, &message, now));
        let late = now.plus(PAUSE);
        assert_eq!(
            add(&mut fragments, &message.fragments[0], late).unwrap_err(),
            Unexpected
        );
        assert_eq!((fragments.len(), fragments.bytes), (0, 0));
    }

    #[test]
    fn a_source_cannot_open_any_number() {
        let value = vec![1; 60_000];
        let message = message(&[&value]);
        let head = Packet::decode(&message.head).unwrap();
        let mut fragments = Fragments::default();
        let now = Ms::from_secs(100);
        let opened = (0..2000)
            .filter(|tid| {
                let values = head.values.unwrap();
                let started = fragments.start(from(), *tid, &message.head, values, now);
                matches!(started, Started::Waiting)
            })
            .count();
        assert_eq!(opened, MAX_PER_SOURCE);
    }
}
