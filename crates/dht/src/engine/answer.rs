//! What becomes of our requests: answers, errors, silence (docs/protocol/01-dht.md sections
//! 2.6 and 3.2).

use std::net::SocketAddr;

use baraza_wire::Now;
use baraza_wire::msgpack::Reader;

use super::receive::Confirmed;
use super::{Dht, Timer};
use crate::counters::Counters;
use crate::message::{ERROR_NOT_FOUND, ERROR_TOKEN, Packet, ValueEntry};
use crate::node::{Family, NodeRef};
use crate::op::{OpKind, OpRef};
use crate::query::decode_rows;
use crate::request::{Due, Purpose, Request};
use crate::search::{SearchRef, Wanted};
use crate::value::Value;

/// A node that refuses this many tokens of its own in a row is taken for dead.
const MAX_AUTH_ERRORS: u8 = 3;

impl Dht {
    pub(super) fn on_reply(&mut self, from: SocketAddr, packet: &Packet<'_>) {
        let Some(request) = self.take_request(from, packet) else {
            return;
        };
        let replied = self.heard_from(packet.id, from, packet.client, Confirmed::Replied);
        self.vote(from, packet.address);
        let named = self.named_nodes(from, packet);
        let Some(node) = self.same_node(&request, replied) else {
            return;
        };
        let now = self.now;
        if let Some(known) = self.nodes.get_mut(node) {
            if let Some(token) = packet.token {
                known.set_token(Some(token), now);
            }
            if !matches!(
                request.purpose,
                Purpose::Lookup(_) | Purpose::Get(..) | Purpose::Ping
            ) {
                known.auth_errors = 0;
            }
        }
        let Some(at) = request.purpose.search() else {
            return;
        };
        for named in named {
            if let Some(search) = self.searches.get_mut(at) {
                search.offer(named, &self.nodes);
            }
        }
        match request.purpose {
            Purpose::Lookup(_) | Purpose::Get(..) | Purpose::Probe(..)
                if packet.token.is_none() =>
            {
                // It could never be stored at; existing peers shun such nodes too.
                self.blacklist(from);
                self.expire_node(node);
            }
            Purpose::Lookup(_) => {
                if let Some(search) = self.searches.get_mut(at) {
                    search.on_lookup(node, now);
                }
            }
            Purpose::Get(_, op) => self.on_got(at, op, node, packet),
            Purpose::Probe(_, op) => self.on_probed(at, op, node, packet),
            Purpose::Put(_, op) | Purpose::Refresh(_, op) => {
                if let Some(search) = self.searches.get_mut(at) {
                    search.on_stored(node, op, now);
                }
            }
            Purpose::Listen(_, op) => {
                if let Some(search) = self.searches.get_mut(at) {
                    search.on_listening(node, op, now);
                }
            }
            Purpose::Ping | Purpose::Explore | Purpose::Update => {}
        }
        self.run_search(at);
    }

    /// The request that the packet answers, if the one who was asked sent it.
    fn take_request(&mut self, from: SocketAddr, packet: &Packet<'_>) -> Option<Request> {
        let asked = self.requests.answered(packet.tid, from);
        if asked.is_none() {
            Counters::count(&mut self.counters.unsolicited);
            return None;
        }
        self.end_request(packet.tid)
    }

    /// The node that was asked, if it is the one that answered. Another one at its address
    /// means that it is gone.
    fn same_node(&mut self, request: &Request, replied: Option<NodeRef>) -> Option<NodeRef> {
        let asked = request.node?;
        if replied == Some(asked) {
            return replied;
        }
        self.expire_node(asked);
        if let Some(search) = request.purpose.search() {
            self.run_search(search);
        }
        None
    }

    fn on_got(&mut self, at: SearchRef, op: OpRef, node: NodeRef, packet: &Packet<'_>) {
        let mut values = Vec::new();
        let mut bytes = 0usize;
        for entry in packet.value_entries() {
            let ValueEntry::Inline(packed) = entry else {
                continue;
            };
            bytes = bytes.saturating_add(packed.len());
            match Value::from_packed(packed) {
                Ok(value) => values.push(value),
                Err(_) => Counters::count(&mut self.counters.bad_values),
            }
        }
        let mut wanted = Vec::new();
        if let Some(fields) = packet.fields
            && packet.values.is_none()
            && let Some(running) = self.ops.get(op)
            && let OpKind::Get { seen, .. } = &running.kind
        {
            for row in decode_rows(&mut Reader::new(fields)).unwrap_or_default() {
                if let Some(id) = row.id {
                    let seq = row.seq.unwrap_or_default();
                    if !has_seen(seen, id, seq) {
                        wanted.push(Wanted { id, seq });
                    }
                }
            }
        }
        if let Some(search) = self.searches.get_mut(at) {
            search.on_lookup(node, self.now);
            search.on_got(node, op, bytes, wanted);
        }
        self.report_found(op, values);
    }

    fn on_probed(&mut self, at: SearchRef, op: OpRef, node: NodeRef, packet: &Packet<'_>) {
        let Some(OpKind::Put { value, .. }) = self.ops.get(op).map(|op| &op.kind) else {
            return;
        };
        let rows = packet
            .fields
            .map(|fields| decode_rows(&mut Reader::new(fields)).unwrap_or_default())
            .unwrap_or_default();
        let whole = packet.value_entries();
        let has = rows
            .iter()
            .any(|row| row.id == Some(value.id) && row.seq.unwrap_or_default() >= value.seq())
            || whole
                .filter_map(|entry| match entry {
                    ValueEntry::Inline(packed) => Value::from_packed(packed).ok(),
                    ValueEntry::Announced(_) => None,
                })
                .any(|stored| stored == *value);
        if let Some(search) = self.searches.get_mut(at) {
            search.on_lookup(node, self.now);
            search.on_probed(node, op, has);
        }
    }

    pub(super) fn on_error(&mut self, from: SocketAddr, packet: &Packet<'_>, code: u16) {
        let Some(request) = self.take_request(from, packet) else {
            return;
        };
        let replied = self.heard_from(packet.id, from, packet.client, Confirmed::Replied);
        let Some(node) = self.same_node(&request, replied) else {
            return;
        };
        let now = self.now;
        let bad_token = code == ERROR_TOKEN;
        if bad_token && let Some(known) = self.nodes.get_mut(node) {
            known.set_token(None, now);
            known.auth_errors = known.auth_errors.saturating_add(1);
            if known.auth_errors > MAX_AUTH_ERRORS {
                known.auth_errors = 0;
                self.expire_node(node);
            }
        }
        let Some(at) = request.purpose.search() else {
            return;
        };
        if let Some(search) = self.searches.get_mut(at) {
            match request.purpose {
                Purpose::Lookup(_) | Purpose::Get(..) => search.on_lookup_refused(node, now),
                Purpose::Put(_, op) => search.on_put_refused(node, op, bad_token, now),
                Purpose::Probe(_, op) => search.on_put_refused(node, op, false, now),
                Purpose::Refresh(_, op) => {
                    let again = bad_token || code == ERROR_NOT_FOUND;
                    search.on_put_refused(node, op, again, now);
                }
                Purpose::Listen(_, op) => search.on_listen_refused(node, op, bad_token, now),
                Purpose::Ping | Purpose::Explore | Purpose::Update => {}
            }
        }
        self.run_search(at);
    }

    pub(super) fn on_request_due(&mut self, tid: u32) {
        let now = self.now;
        let Some(request) = self.requests.get_mut(tid) else {
            return;
        };
        if request.due > now {
            return;
        }
        if request.on_due() == Due::Over {
            return self.on_unanswered(tid);
        }
        request.sent(now, &mut self.rng);
        let (to, due, message) = (request.to, request.due, request.message.clone());
        let (second, node, purpose) = (request.sent == 2, request.node, request.purpose);
        self.timers.insert((due, Timer::Request(tid)));
        self.transmit_all(to, message);
        if second
            && let Some(node) = node
            && let Some(at) = purpose.search()
        {
            if let Some(search) = self.searches.get_mut(at) {
                search.on_slow(node);
            }
            self.run_search(at);
        }
    }

    fn on_unanswered(&mut self, tid: u32) {
        Counters::count(&mut self.counters.unanswered);
        let Some(request) = self.end_request(tid) else {
            return;
        };
        match request.node {
            Some(node) => self.expire_node(node),
            None if request.purpose == Purpose::Update => {
                if let Some(id) = request.id {
                    self.listeners.remove_node(&id, request.to);
                }
            }
            None => self.status_changes(),
        }
        if let Some(search) = request.purpose.search() {
            self.run_search(search);
        }
    }

    /// The host cannot send to an address.
    pub fn handle_unreachable(&mut self, now: Now, to: SocketAddr) {
        self.tick(now);
        for tid in self.requests.to(to) {
            // Ending one may have ended the others.
            if self.requests.get_mut(tid).is_some() {
                self.on_unanswered(tid);
            }
        }
        self.settle();
    }

    /// A node does not answer: all requests to it are void.
    pub(super) fn expire_node(&mut self, at: NodeRef) {
        let Some(node) = self.nodes.get_mut(at) else {
            return;
        };
        node.expired = true;
        node.set_token(None, self.now);
        let (id, address, pending) = (node.id, node.address, node.pending);
        self.status_changes();
        self.listeners.remove_node(&id, address);
        if pending > 0 {
            for tid in self.requests.of_node(at) {
                self.end_request(tid);
            }
        }
        let family = Family::of(address);
        let affected: Vec<SearchRef> = self
            .by_key
            .of(family)
            .values()
            .copied()
            .filter(|search| {
                self.searches
                    .get(*search)
                    .is_some_and(|search| search.has_node(at))
            })
            .collect();
        for search in affected {
            if let Some(search) = self.searches.get_mut(search) {
                search.on_lost(at);
            }
            self.run_search(search);
        }
    }
}

/// Whether a get reported this version of a value or a later one.
pub(super) fn has_seen(seen: &[Value], id: u64, seq: u16) -> bool {
    seen.iter()
        .any(|value| value.id == id && value.seq() >= seq)
}
