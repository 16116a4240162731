//! Datagrams from the network, up to what they mean (docs/protocol/01-dht.md section 2.7).

use std::net::SocketAddr;
use std::time::Duration;

use baraza_wire::InfoHash;

use super::{Dht, MAX_REQUESTS, whole};
use crate::api::Status;
use crate::counters::Counters;
use crate::fragments::{Complete, Started};
use crate::message::{
    self, Kind, MAX_LISTED_NODES, NodeInfo, Packet, Values, canonical, is_martian,
};
use crate::node::{Family, NodeRef};
use crate::request::Purpose;
use crate::routing::Offered;

/// How long an address that answers nonsense is not listened to.
const BLACKLIST_LIFE: Duration = Duration::from_secs(30 * 60);

/// A new node that sent us something is not pinged while more requests than this are under
/// way.
const MAX_GREETINGS: usize = 32;

/// How we heard of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirmed {
    /// Another node named it.
    No,
    /// It sent us something.
    Heard,
    /// It answered.
    Replied,
}

impl Dht {
    pub(super) fn receive(&mut self, from: SocketAddr, datagram: &[u8]) {
        Counters::count(&mut self.counters.received);
        let from = canonical(from);
        if is_martian(from) {
            return Counters::count(&mut self.counters.martian);
        }
        if !self.blacklist.is_empty() && self.is_blacklisted(from) {
            return Counters::count(&mut self.counters.blacklisted);
        }
        let Ok(packet) = Packet::decode(datagram) else {
            return Counters::count(&mut self.counters.malformed);
        };
        if packet.network != self.config.network {
            return Counters::count(&mut self.counters.other_network);
        }
        if packet.kind == Kind::Fragment {
            return self.on_fragment(from, &packet);
        }
        if packet.id.is_zero() || packet.id == self.envelope.id {
            return Counters::count(&mut self.counters.no_id);
        }
        if packet.kind.is_request() && !self.limit.request(self.now, from.ip()) {
            return Counters::count(&mut self.counters.rate_limited);
        }
        if let Some(values) = packet.values.filter(|values| values.is_announcement()) {
            return self.on_announcement(from, datagram, &packet, values);
        }
        self.dispatch(from, &packet);
    }

    fn dispatch(&mut self, from: SocketAddr, packet: &Packet<'_>) {
        match packet.kind {
            Kind::Error(code) => self.on_error(from, packet, code),
            Kind::Reply => self.on_reply(from, packet),
            Kind::OldUpdate | Kind::Fragment => {
                // Only sent to listeners that did not say `ve: 1`, and we always do.
                Counters::count(&mut self.counters.unsolicited);
            }
            _ => self.serve(from, packet),
        }
    }

    /// The start of a message whose values follow in fragments: kept only if we would act on
    /// the whole.
    fn on_announcement(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        packet: &Packet<'_>,
        values: Values<'_>,
    ) {
        let token_valid = || {
            packet
                .token
                .is_some_and(|token| self.tokens.check(token.as_bytes(), from))
        };
        let wanted = match packet.kind {
            Kind::Reply => {
                let wanted = self.requests.answered(packet.tid, from).is_some();
                if wanted {
                    self.delay_request(packet.tid);
                }
                wanted
            }
            Kind::Put => {
                if !token_valid() {
                    // The answer is an error, for which no values are needed.
                    return self.dispatch(from, packet);
                }
                true
            }
            Kind::Update => token_valid() || self.is_listening_at(packet.id, from, packet.socket),
            _ => false,
        };
        if !wanted {
            return Counters::count(&mut self.counters.fragments);
        }
        let fragments = &mut self.fragments;
        match fragments.start(from, packet.tid, datagram, values, self.now) {
            Started::Complete(complete) => self.on_complete(from, &complete),
            Started::Refused => Counters::count(&mut self.counters.fragments),
            Started::Waiting => {}
        }
    }

    fn on_fragment(&mut self, from: SocketAddr, packet: &Packet<'_>) {
        let Some(parts) = packet.parts else {
            return Counters::count(&mut self.counters.malformed);
        };
        if !self.fragments.is_waiting(from, packet.tid) && !self.limit.request(self.now, from.ip())
        {
            return Counters::count(&mut self.counters.rate_limited);
        }
        match self.fragments.add(from, packet.tid, parts, self.now) {
            Ok(Some(complete)) => self.on_complete(from, &complete),
            Ok(None) => {
                if self.requests.answered(packet.tid, from).is_some() {
                    self.delay_request(packet.tid);
                }
            }
            Err(_) => Counters::count(&mut self.counters.fragments),
        }
    }

    fn on_complete(&mut self, from: SocketAddr, complete: &Complete) {
        let Ok(mut packet) = Packet::decode(&complete.head) else {
            return Counters::count(&mut self.counters.malformed);
        };
        packet.values = Some(Values::Whole(&complete.values));
        self.dispatch(from, &packet);
    }

    fn is_blacklisted(&mut self, from: SocketAddr) -> bool {
        let now = self.now;
        match self.blacklist.get(&from) {
            Some(since) if since.within(BLACKLIST_LIFE, now) => true,
            Some(_) => {
                self.blacklist.remove(&from);
                false
            }
            None => false,
        }
    }

    pub(super) fn blacklist(&mut self, address: SocketAddr) {
        if self.blacklist.len() >= super::MAX_BLACKLIST {
            let now = self.now;
            self.blacklist
                .retain(|_, since| since.within(BLACKLIST_LIFE / 2, now));
        }
        if self.blacklist.len() < super::MAX_BLACKLIST {
            self.blacklist.insert(address, self.now);
        }
    }

    /// Takes note of a node that sent us something. `None` if it cannot be told whether the
    /// node of that id moved here: then it is pinged.
    pub(super) fn heard_from(
        &mut self,
        id: InfoHash,
        from: SocketAddr,
        client: bool,
        how: Confirmed,
    ) -> Option<NodeRef> {
        let family = Family::of(from);
        let now = self.now;
        let known = self.nodes.find(family, &id);
        if client {
            if let Some(node) = known.and_then(|at| self.nodes.get_mut(at))
                && node.address == from
            {
                node.client = true;
            }
            return known;
        }
        let (at, new) = match known {
            Some(at) => (at, false),
            None => (self.nodes.insert(id, from, now), true),
        };
        let node = self.nodes.get_mut(at)?;
        let mut revived = false;
        if node.address != from {
            if how != Confirmed::Replied {
                // Anybody can claim an id. If the node really moved, it answers there.
                let doubtful = node.expired || node.is_old(now) || node.pending == 0;
                if doubtful && !self.requests.any_to(from) && self.requests.len() < MAX_REQUESTS {
                    self.ask_address(from, None, Some(id), Purpose::Ping, |envelope, tid| {
                        whole(envelope.ping(tid))
                    });
                }
                return None;
            }
            node.address = from;
            node.set_token(None, now);
            revived = true;
        }
        let was_good = node.is_good(now);
        node.heard = now;
        revived |= node.expired;
        node.expired = false;
        if how == Confirmed::Replied {
            node.replied = now;
            self.tables.of_mut(family).replied(&id, now);
        }
        if !was_good {
            self.status_changes();
        }
        let mut entered = false;
        if new || revived || how == Confirmed::Replied {
            entered = self.offer_to_table(at, how);
        }
        if new || revived {
            self.offer_to_searches(at, family);
        }
        // Whoever is first to find us is our way into the network. Later, others learn of a
        // new node from us only once it answered us; a ping is made of whatever anybody sends,
        // so there are few of them.
        let room = self.requests.len() < MAX_GREETINGS;
        let connected = *self.status.of(family) == Status::Connected;
        if new && how == Confirmed::Heard && (!connected || entered && room) {
            self.ping(at);
        }
        Some(at)
    }

    /// Takes note of a node that another one named, or that is in a state file.
    pub(super) fn heard_of(&mut self, info: NodeInfo) -> Option<NodeRef> {
        let family = Family::of(info.address);
        if info.id == self.envelope.id
            || info.id.is_zero()
            || !self.enabled(family)
            || is_martian(info.address)
            || self.blacklist.contains_key(&info.address)
        {
            return None;
        }
        let now = self.now;
        if let Some(at) = self.nodes.find(family, &info.id) {
            let node = self.nodes.get_mut(at)?;
            if node.address != info.address && node.is_old(now) {
                node.address = info.address;
                node.set_token(None, now);
            }
            return Some(at);
        }
        let at = self.nodes.insert(info.id, info.address, now);
        self.offer_to_table(at, Confirmed::No);
        self.offer_to_searches(at, family);
        Some(at)
    }

    /// The nodes a reply names. Loopback addresses are those of whoever named them.
    pub(super) fn named_nodes(&mut self, from: SocketAddr, packet: &Packet<'_>) -> Vec<NodeRef> {
        let mut named = Vec::new();
        for mut info in packet.nodes.iter().take(2 * MAX_LISTED_NODES) {
            if info.address.ip().is_loopback()
                && info.address.is_ipv4() == from.is_ipv4()
                && !from.ip().is_loopback()
            {
                info.address.set_ip(from.ip());
            }
            named.extend(self.heard_of(info));
        }
        named
    }

    /// Offers a node to the table; `true` if it is in it, newly.
    fn offer_to_table(&mut self, at: NodeRef, how: Confirmed) -> bool {
        let now = self.now;
        let Some(node) = self.nodes.get(at) else {
            return false;
        };
        let family = node.family();
        let info = NodeInfo {
            id: node.id,
            address: node.address,
        };
        let table = self.tables.of_mut(family);
        match table.offer(at, &mut self.nodes, now) {
            Offered::Added => {
                self.table_changed();
                true
            }
            Offered::Known => false,
            Offered::Full(doubtful) => {
                table.remember(info, how != Confirmed::No);
                if let Some(doubtful) = doubtful
                    && self.requests.len() < MAX_REQUESTS
                {
                    self.ping(doubtful);
                }
                false
            }
        }
    }

    pub(super) fn offer_to_searches(&mut self, at: NodeRef, family: Family) {
        let searches: Vec<_> = self.by_key.of(family).values().copied().collect();
        for search in searches {
            let Some(running) = self.searches.get_mut(search) else {
                continue;
            };
            if running.offer(at, &self.nodes) {
                self.run_search(search);
            }
        }
    }

    pub(super) fn ping(&mut self, at: NodeRef) {
        self.ask(at, Purpose::Ping, |envelope, tid| whole(envelope.ping(tid)));
    }

    /// Whether the sender proved that it receives at its address: it answered us there.
    pub(super) fn is_proven(&self, id: &InfoHash, from: SocketAddr) -> bool {
        self.nodes
            .find(Family::of(from), id)
            .and_then(|at| self.nodes.get(at))
            .is_some_and(|node| node.address == from && node.is_good(self.now))
    }

    /// While the fragments of an answer come in, its request is not sent again.
    fn delay_request(&mut self, tid: u32) {
        let now = self.now;
        let Some(request) = self.requests.get_mut(tid) else {
            return;
        };
        let (old, due) = (request.due, now.plus(crate::fragments::PAUSE));
        if due > old {
            request.due = due;
            self.set_timer(Some(old), Some(due), super::Timer::Request(tid));
        }
    }

    pub(super) fn is_listening_at(&self, id: InfoHash, from: SocketAddr, socket: u32) -> bool {
        self.listening_op(id, from, socket).is_some()
    }

    pub(super) fn error(&mut self, to: SocketAddr, tid: u32, code: u16, text: &str) {
        if code == message::ERROR_TOKEN {
            Counters::count(&mut self.counters.bad_tokens);
        } else {
            Counters::count(&mut self.counters.incomplete);
        }
        let bytes = self.envelope.error(tid, code, text);
        self.transmit(to, bytes);
    }
}
