//! What a node does on its own: it keeps its tables fresh, finds back into the network and
//! forgets (docs/protocol/01-dht.md sections 3.6 and 3.7).

use std::net::SocketAddr;
use std::time::Duration;

use baraza_wire::InfoHash;

use super::{Dht, MAX_REQUESTS, Timer, whole};
use crate::api::Status;
use crate::clock::Ms;
use crate::message::{Want, canonical, is_martian};
use crate::node::{Family, NodeRef, PerFamily};
use crate::request::Purpose;
use crate::routing::BUCKET_SIZE;
use crate::search::SearchRef;

/// Addresses through which we join.
const MAX_BOOTSTRAP: usize = 64;
const FIRST_BOOTSTRAP_PAUSE: Duration = Duration::from_secs(10);
/// The C++ peers double the pause up to a day; a host that comes back from a longer outage
/// should not wait for that.
const MAX_BOOTSTRAP_PAUSE: Duration = Duration::from_secs(5 * 60);
/// A bucket from which nothing was heard for this long is asked.
const BUCKET_LIFE: Duration = Duration::from_secs(10 * 60);
/// Our own bucket grew so lately that our neighbours may not all be known.
const GROWING: Duration = Duration::from_secs(150);
/// Buckets for whose nodes we look at a time after we joined.
const MAX_SOUGHT: usize = 8;
/// Lost searches count as a change of the network no more often than this.
const DOUBT_PERIOD: Duration = Duration::from_secs(60);

/// How to find into the network.
#[derive(Debug, Default)]
pub(super) struct Bootstrap {
    addresses: Vec<SocketAddr>,
    pause: Duration,
    due: Option<Ms>,
    doubted: Ms,
    explored: Ms,
    /// When each family last became connected.
    joined: PerFamily<Ms>,
}

impl Dht {
    pub(super) fn start_timers(&mut self) {
        let confirm = self.rng.range(3000..5000);
        self.confirm_at(self.now.plus_millis(confirm));
        self.on_tokens_due();
        let expire = self.pause(120, 360);
        self.timers.insert((self.now.plus(expire), Timer::Expire));
    }

    fn pause(&mut self, from_secs: u64, to_secs: u64) -> Duration {
        let from = from_secs.saturating_mul(1000);
        let to = to_secs.saturating_mul(1000);
        Duration::from_millis(self.rng.range(from..to))
    }

    fn confirm_at(&mut self, at: Ms) {
        let old = self.confirm_due;
        self.set_timer(old, Some(at), Timer::Confirm);
        self.confirm_due = Some(at);
    }

    /// A table learnt a node; if it is not yet full of good ones, look further soon.
    pub(super) fn table_changed(&mut self) {
        self.status_changes();
        let soon = self.now.plus_millis(1000);
        let grew = Family::BOTH.iter().any(|family| {
            let table = self.tables.of(*family);
            table.grown == self.now
        });
        if grew && self.confirm_due.is_none_or(|due| due > soon) {
            self.confirm_at(soon);
        }
    }

    pub(super) fn on_tokens_due(&mut self) {
        let pause = self.pause(15 * 60, 45 * 60);
        self.tokens.rotate(&mut self.rng);
        self.timers.insert((self.now.plus(pause), Timer::Tokens));
    }

    pub(super) fn on_confirm_due(&mut self) {
        self.confirm_due = None;
        let now = self.now;
        self.status_changes();
        let mut busy = false;
        for family in Family::BOTH {
            if !self.enabled(family) || self.nodes.len(family) == 0 {
                continue;
            }
            if *self.status.of(family) == Status::Connected && self.searches.len() == 0 {
                let again = Duration::from_secs(3600);
                if !self.bootstrap.explored.within(again, now) {
                    self.explore(family);
                    busy = true;
                    continue;
                }
            }
            busy |= self.seek_thin_buckets(family);
            busy |= self.refresh_buckets(family)
                || (self.tables.of(family).grown.within(GROWING, now)
                    && self.ask_neighbours(family));
        }
        let pause = if busy {
            self.pause(5, 25)
        } else {
            self.pause(60, 180)
        };
        self.confirm_at(now.plus(pause));
    }

    /// Searches our own neighbourhood.
    fn explore(&mut self, family: Family) {
        self.bootstrap.explored = self.now;
        let id = self.envelope.id;
        self.look_up(&id, family);
    }

    /// Searches the neighbourhood of an id, to learn of its nodes.
    fn look_up(&mut self, id: &InfoHash, family: Family) {
        let at: SearchRef = self.search_for(id, family);
        if let Some(search) = self.searches.get_mut(at) {
            search.explore = true;
        }
        self.run_search(at);
    }

    /// Who joined knows its neighbours, but of the rest only who was on the way to them: it
    /// looks for nodes everywhere else too, once. To ask one node, as [`Self::refresh_buckets`]
    /// does, is not enough: in a young network our neighbours may know no more than we do, and
    /// all of us would take each other for the nearest to any key.
    fn seek_thin_buckets(&mut self, family: Family) -> bool {
        let now = self.now;
        if *self.status.of(family) != Status::Connected {
            return false;
        }
        let joined = *self.bootstrap.joined.of(family);
        let mut thin = self.tables.of(family).thin(joined, &self.nodes, now);
        thin.truncate(MAX_SOUGHT);
        for index in &thin {
            let table = self.tables.of_mut(family);
            table.seek(*index, now);
            let target = table.random_id(*index, &mut self.rng);
            self.look_up(&target, family);
        }
        !thin.is_empty()
    }

    /// Asks a node of each bucket from which nothing was heard; `true` if any was asked.
    fn refresh_buckets(&mut self, family: Family) -> bool {
        let now = self.now;
        let table = self.tables.of(family);
        let stale: Vec<usize> = table
            .buckets()
            .iter()
            .enumerate()
            .filter(|(_, bucket)| {
                bucket.nodes.is_empty() || !bucket.replied.within(BUCKET_LIFE, now)
            })
            .map(|(index, _)| index)
            .collect();
        let mut asked = false;
        for index in stale {
            let target = self.tables.of(family).random_id(index, &mut self.rng);
            let from = self.bucket_to_ask(family, index);
            if let Some(node) = self.random_node(family, from) {
                let want = self.want_both(family, index);
                self.ask_for_nodes(node, &target, want);
                asked = true;
            }
        }
        asked
    }

    /// Asks a neighbour for neighbours.
    fn ask_neighbours(&mut self, family: Family) -> bool {
        let mut target = *self.envelope.id.as_bytes();
        if let Some(last) = target.last_mut() {
            *last = self.rng.bytes::<1>()[0];
        }
        let own = self.tables.of(family).own_index();
        let index = self.bucket_to_ask(family, own);
        let Some(node) = self.random_node(family, index) else {
            return false;
        };
        let both = self.config.ipv4 && self.config.ipv6;
        let want = both.then_some(Want {
            ipv4: true,
            ipv6: true,
        });
        self.ask_for_nodes(node, &InfoHash::new(target), want);
        true
    }

    /// The bucket itself, or now and then a neighbour.
    fn bucket_to_ask(&mut self, family: Family, index: usize) -> usize {
        let empty = |index: usize| {
            let buckets = self.tables.of(family).buckets();
            buckets.get(index).is_none_or(|b| b.nodes.is_empty())
        };
        let (before, after) = (index.wrapping_sub(1), index.saturating_add(1));
        let (none, none_before, none_after) = (empty(index), empty(before), empty(after));
        if !none && !self.rng.one_in(8) {
            return index;
        }
        match (none_after, none_before) {
            (false, _) => after,
            (true, false) => before,
            (true, true) => index,
        }
    }

    fn random_node(&mut self, family: Family, index: usize) -> Option<NodeRef> {
        let bucket = self.tables.of(family).buckets().get(index)?;
        let free = |at: &&NodeRef| self.nodes.get(**at).is_some_and(|node| node.pending == 0);
        let alive: Vec<NodeRef> = bucket
            .nodes
            .iter()
            .filter(free)
            .filter(|at| self.nodes.get(**at).is_some_and(|node| !node.expired))
            .copied()
            .collect();
        let from = if alive.is_empty() {
            bucket.nodes.iter().filter(free).copied().collect()
        } else {
            alive
        };
        let pick = self.rng.index(from.len())?;
        from.get(pick).copied()
    }

    /// Now and then, nodes of the other family too.
    fn want_both(&mut self, family: Family, index: usize) -> Option<Want> {
        if !(self.config.ipv4 && self.config.ipv6) {
            return None;
        }
        let first = self.tables.of(family).buckets().get(index)?.first;
        let other = self.tables.of(family.other());
        let poor = other
            .buckets()
            .get(other.index_of(&first))
            .is_none_or(|bucket| bucket.nodes.len() < BUCKET_SIZE);
        (poor || self.rng.one_in(38)).then_some(Want {
            ipv4: true,
            ipv6: true,
        })
    }

    fn ask_for_nodes(&mut self, node: NodeRef, target: &InfoHash, want: Option<Want>) {
        if self.requests.len() < MAX_REQUESTS {
            self.ask(node, Purpose::Explore, |envelope, tid| {
                whole(envelope.find(tid, target, want))
            });
        }
    }

    pub(super) fn on_expire_due(&mut self) {
        let now = self.now;
        for family in Family::BOTH {
            for info in self.tables.of_mut(family).drop_expired(&mut self.nodes) {
                if self.requests.len() < MAX_REQUESTS
                    && let Some(at) = self.heard_of(info)
                {
                    self.ping(at);
                }
            }
        }
        self.listeners.expire(now);
        self.fragments.expire(now);
        let searches = &self.searches;
        let needed: std::collections::BTreeSet<NodeRef> = searches
            .iter()
            .flat_map(|(_, search)| search.nodes())
            .collect();
        self.nodes.forget_old(now, |at| needed.contains(&at));
        self.status_changes();
        let pause = self.pause(120, 360);
        self.timers.insert((now.plus(pause), Timer::Expire));
    }

    // Into the network.

    pub(super) fn add_bootstrap(&mut self, address: SocketAddr) {
        let address = canonical(address);
        if is_martian(address) || !self.enabled(Family::of(address)) {
            return;
        }
        if !self.bootstrap.addresses.contains(&address)
            && self.bootstrap.addresses.len() < MAX_BOOTSTRAP
        {
            self.bootstrap.addresses.push(address);
        }
        self.ping_address(address);
        self.bootstrap.pause = FIRST_BOOTSTRAP_PAUSE;
        self.bootstrap_at(Some(self.now.plus(FIRST_BOOTSTRAP_PAUSE)));
    }

    /// Pings an address once.
    pub(super) fn meet(&mut self, address: SocketAddr) {
        let address = canonical(address);
        if !is_martian(address) && self.enabled(Family::of(address)) {
            self.ping_address(address);
        }
    }

    fn ping_address(&mut self, address: SocketAddr) {
        if !self.requests.any_to(address) && self.requests.len() < MAX_REQUESTS {
            self.ask_address(address, None, None, Purpose::Ping, |envelope, tid| {
                whole(envelope.ping(tid))
            });
            self.status_changes();
        }
    }

    fn bootstrap_at(&mut self, due: Option<Ms>) {
        let old = self.bootstrap.due;
        self.set_timer(old, due, Timer::Bootstrap);
        self.bootstrap.due = due;
    }

    /// Pings the bootstrap addresses of families that are not connected.
    pub(super) fn on_bootstrap_due(&mut self) {
        self.bootstrap.due = None;
        let lost = |dht: &Self, address: &SocketAddr| {
            *dht.status.of(Family::of(*address)) != Status::Connected
        };
        let addresses: Vec<SocketAddr> = self
            .bootstrap
            .addresses
            .iter()
            .filter(|address| lost(self, address))
            .copied()
            .collect();
        if addresses.is_empty() {
            return;
        }
        for address in addresses {
            self.ping_address(address);
        }
        let pause = self.bootstrap.pause.max(FIRST_BOOTSTRAP_PAUSE);
        self.bootstrap.pause = pause.saturating_mul(2).min(MAX_BOOTSTRAP_PAUSE);
        self.bootstrap_at(Some(self.now.plus(self.bootstrap.pause)));
    }

    /// The status of a family changed.
    pub(super) fn on_status(&mut self, family: Family, connected: bool) {
        if connected {
            *self.bootstrap.joined.of_mut(family) = self.now;
            self.explore(family);
            return;
        }
        let has_addresses = self
            .bootstrap
            .addresses
            .iter()
            .any(|address| Family::of(*address) == family);
        if has_addresses && self.bootstrap.due.is_none() {
            self.bootstrap.pause = Duration::ZERO;
            self.bootstrap_at(Some(self.now));
        }
    }

    /// All nodes of a search are dead: the network may have changed.
    pub(super) fn doubt_connectivity(&mut self, family: Family) {
        if !self.bootstrap.doubted.within(DOUBT_PERIOD, self.now) {
            self.bootstrap.doubted = self.now;
            self.forget_failures(family);
        }
    }

    pub(super) fn connectivity_changed(&mut self, family: Family) {
        self.forget_failures(family);
        self.votes.of_mut(family).clear();
        self.bootstrap.pause = Duration::ZERO;
        if !self.bootstrap.addresses.is_empty() {
            self.bootstrap_at(Some(self.now));
        }
    }

    /// Nodes that did not answer may answer now; those that did may not.
    fn forget_failures(&mut self, family: Family) {
        let now = self.now;
        for at in self.nodes.refs(family) {
            if let Some(node) = self.nodes.get_mut(at) {
                node.expired = false;
                node.replied = Ms::LONG_AGO;
                node.set_token(None, now);
            }
        }
        for bucket in self.tables.of_mut(family).buckets_mut() {
            bucket.replied = Ms::LONG_AGO;
        }
        self.status_changes();
        self.confirm_at(now);
        let searches: Vec<SearchRef> = self.by_key.of(family).values().copied().collect();
        for at in searches {
            if let Some(search) = self.searches.get_mut(at) {
                search.forget_answers();
            }
            self.refill(at);
            let due = Some(now);
            if let Some(search) = self.searches.get_mut(at) {
                let old = search.due;
                search.due = due;
                self.set_timer(old, due, Timer::Search(at));
            }
        }
    }
}
