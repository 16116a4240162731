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

/// Messages that wait for fragments.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    partial: BTreeMap<(SocketAddr, u32), Partial>,
    bytes: usize,
}

impl Fragments {
    /// Starts to collect; `false` if there is no room or it is being collected already.
    pub(crate) fn start(
        &mut self,
        from: SocketAddr,
        tid: u32,
        head: &[u8],
        values: Values<'_>,
        now: Ms,
    ) -> bool {
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
            return false;
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
                return false;
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
            return false;
        }
        self.bytes = bytes;
        self.partial.insert((from, tid), partial);
        true
    }

    /// Takes the parts of a fragment; returns the message if it is complete then.
    /// `Err` if nothing waits for them.
    pub(crate) fn add(
        &mut self,
        from: SocketAddr,
        tid: u32,
        parts: Parts<'_>,
        now: Ms,
    ) -> Result<Option<Complete>, Unexpected> {
        let partial = self.partial.get_mut(&(from, tid)).ok_or(Unexpected)?;
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
    }

    pub(crate) fn len(&self) -> usize {
        self.partial.len()
    }
}

/// A fragment that no message waits for.
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
        fragments.start(from(), 7, &message.head, head.values.unwrap(), now)
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
        assert_eq!(
            add(&mut fragments, &message.fragments[0], now).unwrap_err(),
            Unexpected
        );
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
            .filter(|tid| fragments.start(from(), *tid, &message.head, head.values.unwrap(), now))
            .count();
        assert_eq!(opened, MAX_PER_SOURCE);
    }
}
