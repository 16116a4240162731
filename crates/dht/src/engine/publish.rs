//! Listeners are told what happens to values: other nodes, and our own clients
//! (docs/protocol/01-dht.md sections 2.4.7, 4.4 and 5.5).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use baraza_wire::InfoHash;

use super::{Dht, Timer};
use crate::api::Event;
use crate::clock::Ms;
use crate::counters::Counters;
use crate::listeners::Listener;
use crate::message::{MAX_INLINE_VALUES, Packet, UpdateBody, ValueEntry};
use crate::node::{Family, NodeRef};
use crate::op::{Holder, OpKind, OpRef};
use crate::request::Purpose;
use crate::storage::Gone;
use crate::value::Value;

/// Values in one update add up to no more, if there are several.
const MAX_UPDATE_BYTES: usize = 56 * 1024;
/// Ids in one update.
const MAX_UPDATE_IDS: usize = 1024;

impl Dht {
    /// A value is new or changed.
    pub(super) fn publish_value(&mut self, key: &InfoHash, value: &Value) {
        if self.listeners.has_key(key) {
            let listeners: Vec<Listener> = self
                .listeners
                .of(key)
                .iter()
                .filter(|listener| listener.wants(value))
                .cloned()
                .collect();
            if !listeners.is_empty() {
                let packed = value.to_packed();
                for listener in listeners {
                    self.update(&listener, UpdateBody::Values(key, &[&packed]));
                }
            }
        }
        for op in self.local_listens(key) {
            if self.listen_wants(op, value) {
                self.hear(op, Holder::Local, vec![value.clone()]);
            }
        }
    }

    /// A value lives longer.
    pub(super) fn publish_refreshed(&mut self, key: &InfoHash, id: u64) {
        for listener in self.listeners_for_id(key, id) {
            self.update(&listener, UpdateBody::Refreshed(&[id]));
        }
    }

    /// Values are gone.
    pub(super) fn publish_expired(&mut self, key: &InfoHash, ids: &[u64]) {
        for chunk in ids.chunks(MAX_UPDATE_IDS) {
            for listener in self.listeners.of(key).to_vec() {
                self.update(&listener, UpdateBody::Expired(chunk));
            }
            for op in self.local_listens(key) {
                self.unhear(op, Holder::Local, chunk.iter().copied());
            }
        }
    }

    /// A new listener is told what is there.
    pub(super) fn publish_existing(&mut self, key: &InfoHash, listener: &Listener) {
        let mut packed: Vec<Vec<u8>> = Vec::new();
        for (_, bytes) in self.storage.packed(key) {
            let wanted = listener.query.is_none()
                || Value::from_packed(&bytes).is_ok_and(|value| listener.wants(&value));
            if wanted {
                packed.push(bytes);
            }
        }
        let mut values: Vec<&[u8]> = Vec::new();
        let mut size = 0usize;
        for bytes in &packed {
            size = size.saturating_add(bytes.len());
            values.push(bytes);
            if size >= MAX_UPDATE_BYTES || values.len() >= MAX_INLINE_VALUES.saturating_sub(1) {
                self.update(listener, UpdateBody::Values(key, &values));
                values.clear();
                size = 0;
            }
        }
        if !values.is_empty() {
            self.update(listener, UpdateBody::Values(key, &values));
        }
    }

    /// Values that are past are dropped, and their listeners told.
    pub(super) fn expire_values(&mut self) {
        let mut gone = Vec::new();
        self.storage.expire(self.now, |value| gone.push(value));
        self.publish_gone(gone);
    }

    pub(super) fn enforce_storage_limit(&mut self) {
        let mut gone = Vec::new();
        self.storage.enforce_limit(|value| gone.push(value));
        self.publish_gone(gone);
    }

    fn publish_gone(&mut self, gone: Vec<Gone>) {
        let mut by_key: BTreeMap<InfoHash, Vec<u64>> = BTreeMap::new();
        for gone in gone {
            if self.listeners.has_key(&gone.key) || self.is_heard_locally(&gone.key) {
                by_key.entry(gone.key).or_default().push(gone.id);
            }
        }
        for (key, ids) in by_key {
            self.publish_expired(&key, &ids);
        }
    }

    fn listeners_for_id(&self, key: &InfoHash, id: u64) -> Vec<Listener> {
        if !self.listeners.has_key(key) {
            return Vec::new();
        }
        let value = self.storage.value(key, id);
        self.listeners
            .of(key)
            .iter()
            .filter(|listener| value.as_ref().is_none_or(|value| listener.wants(value)))
            .cloned()
            .collect()
    }

    fn update(&mut self, listener: &Listener, body: UpdateBody<'_>) {
        let (to, socket) = (listener.address, listener.socket);
        let token = self.tokens.issue(to);
        let node = self
            .nodes
            .find(Family::of(to), &listener.node)
            .filter(|at| self.nodes.get(*at).is_some_and(|node| node.address == to));
        if let Some(node) = node.and_then(|at| self.nodes.get_mut(at)) {
            node.pending = node.pending.saturating_add(1);
        }
        let id = Some(listener.node);
        self.ask_address(to, node, id, Purpose::Update, |envelope, tid| {
            envelope.update(tid, socket, &token, body)
        });
    }

    // What we listen for.

    /// A node tells us of values.
    pub(super) fn on_update(&mut self, from: SocketAddr, packet: &Packet<'_>) {
        let Some((node, op)) = self.listening_op(packet.id, from, packet.socket) else {
            return Counters::count(&mut self.counters.unsolicited);
        };
        if let Some(token) = packet.token
            && let Some(node) = self.nodes.get_mut(node)
        {
            node.set_token(Some(token), self.now);
        }
        let holder = Holder::Node(node);
        let mut values = Vec::new();
        for entry in packet.value_entries() {
            let value = match entry {
                ValueEntry::Inline(bytes) => Value::from_packed(bytes).ok(),
                ValueEntry::Announced(_) => None,
            };
            match value {
                Some(value) => values.push(value),
                None => Counters::count(&mut self.counters.bad_values),
            }
        }
        values.retain(|value| self.listen_wants(op, value));
        self.hear(op, holder, values);
        if let Some(ids) = packet.refreshed {
            let now = self.now;
            if let Some(heard) = self.heard_mut(op) {
                for id in ids.iter() {
                    heard.refresh(id, holder, now);
                }
            }
            self.schedule_heard(op);
        }
        if let Some(ids) = packet.expired {
            self.unhear(op, holder, ids.iter());
        }
    }

    /// The listen that an update of a node is for.
    pub(super) fn listening_op(
        &self,
        id: InfoHash,
        from: SocketAddr,
        socket: u32,
    ) -> Option<(NodeRef, OpRef)> {
        let family = Family::of(from);
        let at = self.nodes.find(family, &id)?;
        if self.nodes.get(at)?.address != from {
            return None;
        }
        self.by_key
            .of(family)
            .values()
            .filter_map(|search| self.searches.get(*search))
            .find_map(|search| search.listen_of(at, socket))
            .map(|op| (at, op))
    }

    /// A listen learns that somebody has values.
    pub(super) fn hear(&mut self, op: OpRef, holder: Holder, values: Vec<Value>) {
        let now = self.now;
        let Some(heard) = self.heard_mut(op) else {
            return;
        };
        let new: Vec<Value> = values
            .into_iter()
            .filter(|value| heard.add(value, holder, now))
            .collect();
        self.report_heard(op, new, false);
        self.schedule_heard(op);
    }

    fn unhear(&mut self, op: OpRef, holder: Holder, ids: impl Iterator<Item = u64>) {
        let mut gone = Vec::new();
        if let Some(heard) = self.heard_mut(op) {
            for id in ids {
                heard.expire_id(id, holder, &mut gone);
            }
        }
        self.report_heard(op, gone, true);
        self.schedule_heard(op);
    }

    pub(super) fn on_heard_due(&mut self, op: OpRef) {
        let now = self.now;
        let mut gone = Vec::new();
        if let Some(heard) = self.heard_mut(op) {
            heard.due = None;
            heard.expire(now, &mut gone);
        }
        self.report_heard(op, gone, true);
        self.schedule_heard(op);
    }

    /// Sets the timer of a listen if none is set: one that comes too early does no harm.
    fn schedule_heard(&mut self, op: OpRef) {
        let Some(heard) = self.heard_mut(op) else {
            return;
        };
        if heard.due.is_none() {
            let due: Option<Ms> = heard.next_due();
            heard.due = due;
            self.set_timer(None, due, Timer::Heard(op));
        }
    }

    fn report_heard(&mut self, op: OpRef, values: Vec<Value>, expired: bool) {
        if values.is_empty() {
            return;
        }
        if let Some(running) = self.ops.get(op) {
            let (client, op) = (running.client, running.name);
            self.emit(
                client,
                Event::Values {
                    op,
                    values,
                    expired,
                },
            );
        }
    }

    fn heard_mut(&mut self, op: OpRef) -> Option<&mut crate::op::Heard> {
        match &mut self.ops.get_mut(op)?.kind {
            OpKind::Listen { heard, .. } => Some(heard),
            _ => None,
        }
    }

    fn listen_wants(&self, op: OpRef, value: &Value) -> bool {
        self.ops.get(op).is_some_and(|op| match &op.kind {
            OpKind::Listen { query, .. } => query.matches(value),
            _ => false,
        })
    }

    /// Our own listens to a key.
    fn local_listens(&self, key: &InfoHash) -> Vec<OpRef> {
        let mut found = Vec::new();
        for family in Family::BOTH {
            let search = self.by_key.of(family).get(key);
            let Some(search) = search.and_then(|at| self.searches.get(*at)) else {
                continue;
            };
            for listen in &search.listens {
                if !found.contains(&listen.op) {
                    found.push(listen.op);
                }
            }
        }
        found
    }

    pub(super) fn is_heard_locally(&self, key: &InfoHash) -> bool {
        Family::BOTH.iter().any(|family| {
            let search = self.by_key.of(*family).get(key);
            search
                .and_then(|at| self.searches.get(*at))
                .is_some_and(|search| !search.listens.is_empty())
        })
    }
}
