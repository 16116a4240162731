//! Requests of other nodes (docs/protocol/01-dht.md sections 2.4, 4).

use std::net::SocketAddr;
use std::time::Duration;

use baraza_wire::InfoHash;
use baraza_wire::msgpack::Writer;

use super::Dht;
use super::receive::Confirmed;
use crate::counters::Counters;
use crate::listeners::{Listened, Listener};
use crate::message::{
    ERROR_INCOMPLETE, ERROR_NOT_FOUND, ERROR_TOKEN, Kind, MAX_LISTED_NODES, NodeInfo, NodeReply,
    Packet, ValueEntry, Want,
};
use crate::node::Family;
use crate::query::{Query, encode_rows};
use crate::search::{MAX_PEERS, TARGETS};
use crate::storage::{Origin, Stored};
use crate::value::Value;

/// Bytes of values in one reply; others are reached through their ids.
const MAX_REPLY_BYTES: usize = 256 * 1024;
/// Values in one reply. Each goes in fragments of its own if there are 50 or more.
const MAX_REPLY_VALUES: usize = crate::fragments::MAX_VALUES;
/// Rows of fields in one reply...
const MAX_REPLY_ROWS: usize = 2048;
/// ... and their bytes, so that it fits a datagram.
const MAX_REPLY_ROW_BYTES: usize = 48 * 1024;
/// A reply no larger than this goes to anybody.
const SMALL_REPLY: usize = 1400;

impl Dht {
    pub(super) fn serve(&mut self, from: SocketAddr, packet: &Packet<'_>) {
        Counters::count(&mut self.counters.served);
        self.heard_from(packet.id, from, packet.client, Confirmed::Heard);
        match packet.kind {
            Kind::Find => self.serve_find(from, packet),
            Kind::Get => self.serve_get(from, packet),
            Kind::Listen => self.serve_listen(from, packet),
            Kind::Put => self.serve_put(from, packet),
            Kind::Refresh => self.serve_refresh(from, packet),
            Kind::Update => self.serve_update(from, packet),
            _ => self.acknowledge(from, packet.tid, NodeReply::default()),
        }
    }

    fn acknowledge(&mut self, to: SocketAddr, tid: u32, reply: NodeReply<'_>) {
        let message = self.envelope.reply(tid, to.ip(), &reply);
        self.transmit_all(to, message);
    }

    fn serve_find(&mut self, from: SocketAddr, packet: &Packet<'_>) {
        let (nodes4, nodes6) = self.nearest(from, &packet.target, packet.want);
        let token = self.tokens.issue(from);
        self.acknowledge(
            from,
            packet.tid,
            NodeReply {
                nodes4: &nodes4,
                nodes6: &nodes6,
                token: Some(&token),
                ..NodeReply::default()
            },
        );
    }

    fn serve_get(&mut self, from: SocketAddr, packet: &Packet<'_>) {
        if packet.key.is_zero() {
            let text = "Get_values with no info_hash";
            return self.error(from, packet.tid, ERROR_INCOMPLETE, text);
        }
        let (nodes4, nodes6) = self.nearest(from, &packet.key, packet.want);
        let token = self.tokens.issue(from);
        let all = Query::all();
        let query = packet.query.as_ref().unwrap_or(&all);
        let fields = (!query.select.is_empty()).then(|| {
            let mut room = MAX_REPLY_ROW_BYTES;
            let values: Vec<Value> = self
                .storage
                .matching(&packet.key, query)
                .take(MAX_REPLY_ROWS)
                .take_while(|value| {
                    let texts = value
                        .user_type()
                        .len()
                        .saturating_add(value.owner_der().map_or(20, <[u8]>::len));
                    let left = room.checked_sub(texts.saturating_add(24));
                    room = left.unwrap_or_default();
                    left.is_some()
                })
                .collect();
            let mut writer = Writer::new();
            if !values.is_empty() {
                encode_rows(query.select, &values, &mut writer);
            }
            writer.into_bytes()
        });
        let mut packed: Vec<Vec<u8>> = Vec::new();
        if fields.is_none() {
            let mut room = MAX_REPLY_BYTES;
            let fits = |bytes: &Vec<u8>| {
                let left = room.checked_sub(bytes.len());
                room = left.unwrap_or_default();
                left.is_some()
            };
            if query.filters().is_empty() {
                let all = self.storage.packed(&packet.key).map(|(_, packed)| packed);
                packed = all.take(MAX_REPLY_VALUES).take_while(fits).collect();
            } else {
                let matching = self.storage.matching(&packet.key, query);
                let matching = matching.map(|value| value.to_packed());
                packed = matching.take(MAX_REPLY_VALUES).take_while(fits).collect();
            }
        }
        let values: Vec<&[u8]> = packed.iter().map(Vec::as_slice).collect();
        let reply = NodeReply {
            nodes4: &nodes4,
            nodes6: &nodes6,
            token: Some(&token),
            values: &values,
            fields: fields.as_deref().filter(|fields| !fields.is_empty()),
            ..NodeReply::default()
        };
        let message = self.envelope.reply(packet.tid, from.ip(), &reply);
        let size = message.len();
        // A forged source must not be flooded through us (section 14).
        if size > SMALL_REPLY
            && !self.is_proven(&packet.id, from)
            && !self.limit.unproven(self.now, from.ip(), size)
        {
            return Counters::count(&mut self.counters.unproven);
        }
        self.transmit_all(from, message);
    }

    fn serve_put(&mut self, from: SocketAddr, packet: &Packet<'_>) {
        if packet.key.is_zero() {
            return self.error(from, packet.tid, ERROR_INCOMPLETE, "Put with no info_hash");
        }
        if !self.token_holds(from, packet) {
            return self.error(from, packet.tid, ERROR_TOKEN, "Put with wrong token");
        }
        let age = packet.created.map_or(Duration::ZERO, |created| {
            let now = i64::try_from(self.unix.secs()).unwrap_or(i64::MAX);
            let age = now.saturating_sub(created).max(0);
            Duration::from_secs(u64::try_from(age).unwrap_or_default())
        });
        let far = self.others_are_nearer(Family::of(from), &packet.key);
        for entry in packet.value_entries() {
            // Announced values were too large to be collected.
            let ValueEntry::Inline(bytes) = entry else {
                Counters::count(&mut self.counters.bad_values);
                continue;
            };
            let Ok(value) = Value::from_packed(bytes) else {
                Counters::count(&mut self.counters.bad_values);
                continue;
            };
            if value.id == 0 {
                return self.error(from, packet.tid, ERROR_INCOMPLETE, "Put with invalid id");
            }
            if far {
                Counters::count(&mut self.counters.too_far);
            } else {
                self.store(&packet.key, &value, Origin::Remote(from), age);
            }
            let reply = NodeReply {
                value_id: Some(value.id),
                ..NodeReply::default()
            };
            self.acknowledge(from, packet.tid, reply);
        }
    }

    /// Stores a value and tells whoever listens.
    pub(super) fn store(
        &mut self,
        key: &InfoHash,
        value: &Value,
        origin: Origin,
        age: Duration,
    ) -> Stored {
        let stored = self.storage.store(key, value, origin, age, self.now);
        match stored {
            Stored::New | Stored::Edited => {
                Counters::count(&mut self.counters.stored);
                // As it was stored: a service announcement was changed.
                let kept = self.storage.value(key, value.id);
                self.publish_value(key, kept.as_ref().unwrap_or(value));
                self.enforce_storage_limit();
            }
            Stored::Refreshed => self.publish_refreshed(key, value.id),
            Stored::Past | Stored::Refused(_) | Stored::Full => {
                Counters::count(&mut self.counters.refused_values);
            }
        }
        stored
    }

    fn serve_refresh(&mut self, from: SocketAddr, packet: &Packet<'_>) {
        if !self.token_holds(from, packet) {
            return self.error(from, packet.tid, ERROR_TOKEN, "Put with wrong token");
        }
        let key = &packet.key;
        if self.storage.refresh(key, packet.value_id, self.now) {
            self.publish_refreshed(key, packet.value_id);
        } else {
            // Better than existing peers, which acknowledge a refresh of an unknown value of
            // a known key: this way the value is put again.
            let text = "Access operation for unknown storage";
            return self.error(from, packet.tid, ERROR_NOT_FOUND, text);
        }
        let reply = NodeReply {
            value_id: Some(packet.value_id),
            ..NodeReply::default()
        };
        self.acknowledge(from, packet.tid, reply);
    }

    fn serve_listen(&mut self, from: SocketAddr, packet: &Packet<'_>) {
        if packet.key.is_zero() {
            let text = "Listen with no info_hash";
            return self.error(from, packet.tid, ERROR_INCOMPLETE, text);
        }
        if !self.token_holds(from, packet) {
            return self.error(from, packet.tid, ERROR_TOKEN, "Listen with wrong token");
        }
        // A listener of version 0 would not understand our updates; it is only acknowledged.
        if packet.version > 0 {
            let listener = Listener {
                node: packet.id,
                address: from,
                socket: packet.socket,
                renewed: self.now,
                query: packet
                    .query
                    .clone()
                    .filter(|query| !query.filters().is_empty())
                    .map(Box::new),
            };
            if self.listeners.listen(&packet.key, listener.clone()) == Listened::New {
                self.publish_existing(&packet.key, &listener);
            }
        }
        let token = self.tokens.issue(from);
        let reply = NodeReply {
            token: Some(&token),
            ..NodeReply::default()
        };
        self.acknowledge(from, packet.tid, reply);
    }

    fn serve_update(&mut self, from: SocketAddr, packet: &Packet<'_>) {
        // Always acknowledged, so that the sender does not take us for dead.
        self.acknowledge(from, packet.tid, NodeReply::default());
        self.on_update(from, packet);
    }

    fn token_holds(&self, from: SocketAddr, packet: &Packet<'_>) -> bool {
        packet
            .token
            .is_some_and(|token| self.tokens.check(token.as_bytes(), from))
    }

    /// The nearest good nodes of the families wanted, compact.
    fn nearest(
        &self,
        from: SocketAddr,
        target: &InfoHash,
        want: Option<Want>,
    ) -> (Vec<u8>, Vec<u8>) {
        let want = want.unwrap_or(Want {
            ipv4: from.is_ipv4(),
            ipv6: from.is_ipv6(),
        });
        let list = |family, wanted: bool, size| {
            let mut out = Vec::new();
            if wanted {
                let nearest = self
                    .nodes
                    .closest(family, target, MAX_LISTED_NODES, |node| {
                        node.is_good(self.now) && !node.client
                    });
                out.reserve(nearest.len().saturating_mul(size));
                for node in nearest.into_iter().filter_map(|at| self.nodes.get(at)) {
                    let info = NodeInfo {
                        id: node.id,
                        address: node.address,
                    };
                    info.write_compact(&mut out);
                }
            }
            out
        };
        (
            list(Family::V4, want.ipv4, 26),
            list(Family::V6, want.ipv6, 38),
        )
    }

    /// Whether enough good nodes are nearer to the key than we are (section 4.2).
    pub(super) fn others_are_nearer(&self, family: Family, key: &InfoHash) -> bool {
        let nearest = self.nodes.closest(family, key, MAX_PEERS, |node| {
            node.is_good(self.now) && !node.client
        });
        nearest.len() >= TARGETS
            && nearest
                .last()
                .and_then(|at| self.nodes.get(*at))
                .is_some_and(|node| node.id.distance(key) < self.envelope.id.distance(key))
    }
}
