//! Subscriptions that other nodes hold here (docs/protocol/01-dht.md section 4.4).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use baraza_wire::InfoHash;

use crate::clock::Ms;
use crate::query::Query;
use crate::ratelimit::Source;
use crate::value::Value;

/// A subscription ends this long after its last renewal.
pub(crate) const LISTEN_LIFE: Duration = Duration::from_secs(10 * 60);
/// Subscriptions to one key.
pub(crate) const MAX_PER_KEY: usize = 1024;
/// Subscriptions of one source.
pub(crate) const MAX_PER_SOURCE: usize = 8192;
/// Subscriptions in all.
pub(crate) const MAX_LISTENERS: usize = 65_536;

/// A subscription.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    pub(crate) node: InfoHash,
    pub(crate) address: SocketAddr,
    /// How the listener names it.
    pub(crate) socket: u32,
    pub(crate) renewed: Ms,
    /// `None` is everything.
    pub(crate) query: Option<Box<Query>>,
}

impl Listener {
    pub(crate) fn wants(&self, value: &Value) -> bool {
        self.query.as_ref().is_none_or(|query| query.matches(value))
    }
}

/// What became of a listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listened {
    Full,
    New,
    Renewed,
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    by_key: BTreeMap<InfoHash, Vec<Listener>>,
    by_source: BTreeMap<Source, usize>,
    count: usize,
}

impl Listeners {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn of(&self, key: &InfoHash) -> &[Listener] {
        self.by_key.get(key).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn has_key(&self, key: &InfoHash) -> bool {
        self.by_key.contains_key(key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &InfoHash> {
        self.by_key.keys()
    }

    pub(crate) fn listen(&mut self, key: &InfoHash, listener: Listener) -> Listened {
        let source = Source::of(listener.address.ip());
        let known = self.by_key.get_mut(key).and_then(|all| {
            all.iter_mut()
                .find(|old| old.node == listener.node && old.socket == listener.socket)
        });
        if let Some(old) = known {
            let from = Source::of(old.address.ip());
            *old = listener;
            self.release(from);
            self.charge(source);
            return Listened::Renewed;
        }
        let of_source = self.by_source.get(&source).copied().unwrap_or_default();
        if self.of(key).len() >= MAX_PER_KEY
            || of_source >= MAX_PER_SOURCE
            || self.count >= MAX_LISTENERS
        {
            return Listened::Full;
        }
        self.charge(source);
        self.by_key.entry(*key).or_default().push(listener);
        Listened::New
    }

    /// Drops what was not renewed.
    pub(crate) fn expire(&mut self, now: Ms) {
        self.retain(|listener| listener.renewed.within(LISTEN_LIFE, now));
    }

    /// Drops the subscriptions of a node that does not answer.
    pub(crate) fn remove_node(&mut self, node: &InfoHash, address: SocketAddr) {
        self.retain(|listener| listener.node != *node || listener.address != address);
    }

    fn retain(&mut self, keep: impl Fn(&Listener) -> bool) {
        let mut dropped = Vec::new();
        self.by_key.retain(|_, all| {
            all.retain(|listener| {
                let keep = keep(listener);
                if !keep {
                    dropped.push(Source::of(listener.address.ip()));
                }
                keep
            });
            !all.is_empty()
        });
        for source in dropped {
            self.release(source);
        }
    }

    fn charge(&mut self, source: Source) {
        let used = self.by_source.entry(source).or_default();
        *used = used.saturating_add(1);
        self.count = self.count.saturating_add(1);
    }

    fn release(&mut self, source: Source) {
        self.count = self.count.saturating_sub(1);
        if let Some(used) = self.by_source.get_mut(&source) {
            *used = used.saturating_sub(1);
            if *used == 0 {
                self.by_source.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(node: u8, socket: u32, renewed: Ms) -> Listener {
        Listener {
            node: InfoHash::new([node; 20]),
            address: SocketAddr::from(([192, 0, 2, node], 4222)),
            socket,
            renewed,
            query: None,
        }
    }

    #[test]
    fn a_subscription_is_renewed_and_ends() {
        let mut all = Listeners::default();
        let (key, now) = (InfoHash::new([9; 20]), Ms::from_secs(10_000));
        assert_eq!(all.listen(&key, listener(1, 5, now)), Listened::New);
        assert_eq!(all.listen(&key, listener(1, 6, now)), Listened::New);
        let later = now.plus(LISTEN_LIFE / 2);
        assert_eq!(all.listen(&key, listener(1, 5, later)), Listened::Renewed);
        all.expire(now.plus(LISTEN_LIFE));
        assert_eq!(all.of(&key).len(), 1);
        all.expire(later.plus(LISTEN_LIFE));
        assert!(!all.has_key(&key) && all.by_source.is_empty() && all.len() == 0);
    }

    #[test]
    fn subscriptions_are_bounded() {
        let mut all = Listeners::default();
        let now = Ms::from_secs(10_000);
        let key = InfoHash::new([9; 20]);
        for socket in 0..u32::try_from(MAX_PER_KEY).unwrap() {
            assert_eq!(all.listen(&key, listener(1, socket, now)), Listened::New);
        }
        assert_eq!(all.listen(&key, listener(2, 0, now)), Listened::Full);
        assert_eq!(all.listen(&key, listener(1, 0, now)), Listened::Renewed);
        let mut other = 0;
        while all.listen(&InfoHash::new([other; 20]), listener(1, 77_777, now)) != Listened::Full
            && other < 250
        {
            other += 1;
        }
        all.remove_node(&InfoHash::new([1; 20]), listener(1, 0, now).address);
        assert_eq!(all.len(), 0);
    }
}
