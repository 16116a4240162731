//! Commands of clients, and what they are told.

use std::time::Duration;

use baraza_wire::InfoHash;

use super::{Dht, MAX_CLIENTS, Timer};
use crate::api::{ClientId, Command, Event, OpError, OpId};
use crate::node::{Family, PerFamily};
use crate::op::{Heard, Holder, MAX_PER_CLIENT, MAX_VALUES, Op, OpKind, OpRef};
use crate::query::{FieldSet, Query};
use crate::search::{Search, TARGETS};
use crate::storage::{Origin, Stored};
use crate::value::Value;
use crate::value_type::Refused;

impl Dht {
    pub(super) fn operate(&mut self, client: ClientId, command: Command) {
        if !self.clients.contains_key(&client) && self.clients.len() < MAX_CLIENTS {
            self.clients.insert(client, 0);
            self.greet(client);
        }
        match command {
            Command::Bootstrap { addr } => self.add_bootstrap(addr),
            Command::Meet { addr } => self.meet(addr),
            Command::Cancel { op } => {
                if let Some(op) = self.op_names.get(&(client, op)).copied() {
                    self.cancel(op);
                }
            }
            Command::ConnectivityChanged => {
                for family in Family::BOTH {
                    self.connectivity_changed(family);
                }
            }
            Command::Get { op, key, query } => self.start_get(client, op, key, query),
            Command::Listen { op, key, query } => self.start_listen(client, op, key, query),
            Command::Put {
                op,
                key,
                value,
                permanent,
            } => self.start_put(client, op, key, value, permanent),
        }
    }

    pub(super) fn drop_client(&mut self, client: ClientId) {
        let first = (client, OpId(0));
        let last = (client, OpId(u64::MAX));
        let ops: Vec<OpRef> = self
            .op_names
            .range(first..=last)
            .map(|(_, op)| *op)
            .collect();
        for op in ops {
            self.cancel(op);
        }
        self.clients.remove(&client);
    }

    fn start_get(&mut self, client: ClientId, name: OpId, key: InfoHash, query: Query) {
        let kind = |query| OpKind::Get {
            query,
            seen: Vec::new(),
        };
        if let Some((op, local)) = self.start_reading(client, name, key, query, kind) {
            self.report_found(op, local);
            self.join_searches(op, &key, Search::add_get);
        }
    }

    fn start_listen(&mut self, client: ClientId, name: OpId, key: InfoHash, query: Query) {
        let kind = |query| OpKind::Listen {
            query,
            heard: Heard::default(),
        };
        if let Some((op, local)) = self.start_reading(client, name, key, query, kind) {
            self.hear(op, Holder::Local, local);
            self.join_searches(op, &key, Search::add_listen);
        }
    }

    /// Starts an operation for whole values, and gives those that are stored here.
    fn start_reading(
        &mut self,
        client: ClientId,
        name: OpId,
        key: InfoHash,
        mut query: Query,
        kind: impl FnOnce(Query) -> OpKind,
    ) -> Option<(OpRef, Vec<Value>)> {
        query.select = FieldSet::default();
        let op = self.start(client, name, key, kind(query.clone()))?;
        let matching = self.storage.matching(&key, &query);
        Some((op, matching.take(MAX_VALUES).collect()))
    }

    fn start_put(
        &mut self,
        client: ClientId,
        name: OpId,
        key: InfoHash,
        value: Value,
        permanent: bool,
    ) {
        let value = if value.id == 0 {
            value.with_random_id(&mut self.rng)
        } else {
            value
        };
        self.replace_puts(&key, &value);
        let (id, value_type) = (value.id, value.value_type());
        let kind = OpKind::Put {
            value: value.clone(),
            permanent,
            begun: self.now,
            reported: false,
        };
        let Some(op) = self.start(client, name, key, kind) else {
            return;
        };
        let stored = self.store(&key, &value, Origin::Local { permanent }, Duration::ZERO);
        // What an older value under the same id forbids here may be allowed elsewhere.
        if let Stored::Refused(Refused::Content | Refused::Size) = stored {
            return self.finish(op, Err(OpError::InvalidValue));
        }
        self.join_searches(op, &key, |search, op| {
            search.add_put(op, id, value_type, permanent);
        });
    }

    /// A new put of other content takes the place of those of the same value id.
    fn replace_puts(&mut self, key: &InfoHash, value: &Value) {
        let mut replaced = Vec::new();
        for family in Family::BOTH {
            let search = self.by_key.of(family).get(key);
            let Some(search) = search.and_then(|at| self.searches.get(*at)) else {
                continue;
            };
            for put in search.puts.iter().filter(|put| put.id == value.id) {
                if let Some(OpKind::Put { value: old, .. }) =
                    self.ops.get(put.op).map(|op| &op.kind)
                    && !old.content_eq(value)
                    && !replaced.contains(&put.op)
                {
                    replaced.push(put.op);
                }
            }
        }
        for op in replaced {
            let reported = matches!(
                self.ops.get(op).map(|op| &op.kind),
                Some(OpKind::Put { reported: true, .. })
            );
            if reported {
                self.remove_op(op);
            } else {
                self.finish(op, Err(OpError::Replaced));
            }
        }
    }

    fn start(
        &mut self,
        client: ClientId,
        name: OpId,
        key: InfoHash,
        kind: OpKind,
    ) -> Option<OpRef> {
        let refused = match self.clients.get(&client) {
            _ if self.op_names.contains_key(&(client, name)) => Some(OpError::Duplicate),
            Some(running) if *running < MAX_PER_CLIENT => None,
            _ => Some(OpError::TooMany),
        };
        if let Some(error) = refused {
            self.emit(
                client,
                Event::Done {
                    op: name,
                    result: Err(error),
                },
            );
            return None;
        }
        if let Some(running) = self.clients.get_mut(&client) {
            *running = running.saturating_add(1);
        }
        let op = self.ops.insert(Op {
            client,
            name,
            key,
            searches: PerFamily::default(),
            success: false,
            kind,
        });
        self.op_names.insert((client, name), op);
        Some(op)
    }

    fn join_searches(&mut self, op: OpRef, key: &InfoHash, add: impl Fn(&mut Search, OpRef)) {
        let mut joined = Vec::new();
        for family in Family::BOTH {
            if !self.enabled(family) {
                continue;
            }
            let at = self.search_for(key, family);
            if let Some(search) = self.searches.get_mut(at) {
                add(search, op);
            }
            if let Some(op) = self.ops.get_mut(op) {
                *op.searches.of_mut(family) = Some(at);
            }
            joined.push(at);
        }
        // Only now: a search that fails at once must know of the other.
        for at in joined {
            self.run_search(at);
        }
    }

    /// Reports values that a get found and did not report yet.
    pub(super) fn report_found(&mut self, op: OpRef, values: Vec<Value>) {
        let Some(running) = self.ops.get_mut(op) else {
            return;
        };
        let (client, name) = (running.client, running.name);
        let OpKind::Get { query, seen } = &mut running.kind else {
            return;
        };
        let mut new = Vec::new();
        for value in values {
            if seen.len() >= MAX_VALUES {
                break;
            }
            if query.matches(&value) && !seen.contains(&value) {
                seen.push(value.clone());
                new.push(value);
            }
        }
        if !new.is_empty() {
            self.emit(
                client,
                Event::Values {
                    op: name,
                    values: new,
                    expired: false,
                },
            );
        }
    }

    /// A put was offered to all nodes where it should be.
    pub(super) fn put_settled(&mut self, op: OpRef, key: &InfoHash, stored: usize) {
        let Some(OpKind::Put {
            value, permanent, ..
        }) = self.ops.get(op).map(|op| &op.kind)
        else {
            return;
        };
        let id = value.id;
        // Enough others keep it, who are where it is looked for.
        if !permanent
            && stored >= TARGETS
            && self.listeners.of(key).is_empty()
            && !self.is_heard_locally(key)
        {
            self.storage.remove_local(key, id);
        }
    }

    /// An operation is done in one family; when it is in all, its client is told.
    pub(super) fn family_done(&mut self, op: OpRef, family: Family, result: Result<(), OpError>) {
        let Some(running) = self.ops.get_mut(op) else {
            return;
        };
        running.success |= result.is_ok();
        let lasting = matches!(
            running.kind,
            OpKind::Put {
                permanent: true,
                ..
            } | OpKind::Listen { .. }
        );
        if let OpKind::Put {
            permanent: true,
            reported,
            ..
        } = &mut running.kind
        {
            // Told once, of the first success.
            if *reported {
                return;
            }
            if result.is_ok() {
                *reported = true;
                let (client, op) = (running.client, running.name);
                return self.emit(client, Event::Done { op, result });
            }
            return;
        }
        if lasting {
            return;
        }
        if let Some(at) = running.searches.of_mut(family).take()
            && let Some(search) = self.searches.get_mut(at)
        {
            search.remove_op(op);
        }
        let Some(running) = self.ops.get(op) else {
            return;
        };
        let over = Family::BOTH
            .iter()
            .all(|family| running.searches.of(*family).is_none());
        if over {
            let result = if running.success { Ok(()) } else { result };
            self.finish(op, result);
        }
    }

    fn finish(&mut self, op: OpRef, result: Result<(), OpError>) {
        if let Some(op) = self.remove_op(op) {
            self.emit(
                op.client,
                Event::Done {
                    op: op.name,
                    result,
                },
            );
        }
    }

    fn cancel(&mut self, op: OpRef) {
        let Some(op) = self.remove_op(op) else {
            return;
        };
        if let OpKind::Put {
            value,
            permanent: true,
            ..
        } = op.kind
            && self.storage.remove_local(&op.key, value.id)
        {
            self.publish_expired(&op.key, &[value.id]);
        }
    }

    fn remove_op(&mut self, at: OpRef) -> Option<Op> {
        let op = self.ops.remove(at)?;
        self.op_names.remove(&(op.client, op.name));
        if let Some(running) = self.clients.get_mut(&op.client) {
            *running = running.saturating_sub(1);
        }
        if let OpKind::Listen { heard, .. } = &op.kind {
            self.set_timer(heard.due, None, Timer::Heard(at));
        }
        for family in Family::BOTH {
            let Some(search) = *op.searches.of(family) else {
                continue;
            };
            if let Some(running) = self.searches.get_mut(search) {
                running.remove_op(at);
                if !running.is_needed() {
                    self.drop_search(search);
                }
            }
        }
        Some(op)
    }
}
