//! Runs searches: does what they plan.

use std::time::Duration;

use baraza_wire::InfoHash;

use super::answer::has_seen;
use super::{Dht, Timer, whole};
use crate::api::{OpError, Status};
use crate::clock::Ms;
use crate::message::{ListenRequest, PutRequest};
use crate::node::{Family, NodeRef};
use crate::op::{OpKind, OpRef, PATIENCE};
use crate::query::{Field, Query};
use crate::request::Purpose;
use crate::search::{
    Action, DIRECT_LISTEN_PERIOD, LISTEN_PERIOD, MAX_PEERS, Next, STABLE_LISTEN_PERIOD, Search,
    SearchRef, Wanted,
};

/// How often a search that has nobody to ask looks again.
const STUCK_PERIOD: Duration = Duration::from_secs(1);
/// The same, when only what lasts waits.
const STUCK_LASTING: Duration = Duration::from_secs(30);

/// A one-shot put that could not be sent for so long says when it was asked for.
const DATED_AFTER: Duration = Duration::from_secs(30);

impl Dht {
    /// The search for a key, new if there is none, filled with the nodes known.
    pub(super) fn search_for(&mut self, key: &InfoHash, family: Family) -> SearchRef {
        if let Some(at) = self.by_key.of(family).get(key) {
            return *at;
        }
        let at = self.searches.insert(Search::new(*key, family));
        self.by_key.of_mut(family).insert(*key, at);
        self.refill(at);
        at
    }

    /// Offers the nearest nodes known to a search.
    pub(super) fn refill(&mut self, at: SearchRef) {
        let Some(search) = self.searches.get_mut(at) else {
            return;
        };
        let nearest = self
            .nodes
            .closest(search.family, &search.key, MAX_PEERS, |node| {
                !node.expired && !node.client
            });
        for node in nearest {
            search.offer(node, &self.nodes);
        }
    }

    pub(super) fn drop_search(&mut self, at: SearchRef) {
        if let Some(search) = self.searches.remove(at) {
            self.by_key.of_mut(search.family).remove(&search.key);
            self.set_timer(search.due, None, Timer::Search(at));
        }
    }

    pub(super) fn run_search(&mut self, at: SearchRef) {
        // A plan may be void as soon as it is made: what it wanted was got meanwhile.
        while self.run_search_once(at) {}
    }

    fn run_search_once(&mut self, at: SearchRef) -> bool {
        let now = self.now;
        let mut actions = std::mem::take(&mut self.actions);
        actions.clear();
        let family = self.searches.get(at).map(|search| search.family);
        let period = if self.config.public_stable {
            STABLE_LISTEN_PERIOD
        } else if family.is_some_and(|family| self.is_direct(family)) {
            DIRECT_LISTEN_PERIOD
        } else {
            LISTEN_PERIOD
        };
        let Some(search) = self.searches.get_mut(at) else {
            self.actions = actions;
            return false;
        };
        let rng = &mut self.rng;
        let next = search.plan(&self.nodes, now, period, || rng.u32(), &mut actions);
        let (key, family) = (search.key, search.family);
        let mut again = false;
        for action in actions.drain(..) {
            again |= self.act(at, &key, family, action);
        }
        if self.actions.capacity() < actions.capacity() {
            self.actions = actions;
        }
        match next {
            Next::Idle => self.drop_search(at),
            Next::Wait(due) => self.wake_search(at, due),
            Next::Stuck => self.on_stuck(at, family),
        }
        again
    }

    fn wake_search(&mut self, at: SearchRef, due: Ms) {
        let Some(search) = self.searches.get_mut(at) else {
            return;
        };
        if !search.is_needed() {
            return self.drop_search(at);
        }
        let old = search.due;
        let new = (due < Ms::NEVER).then_some(due.max(self.now.plus_millis(1)));
        search.due = new;
        self.set_timer(old, new, Timer::Search(at));
    }

    /// Nobody is left to ask.
    fn on_stuck(&mut self, at: SearchRef, family: Family) {
        let Some(search) = self.searches.get(at) else {
            return;
        };
        let all_dead = search.peer_count() > 0;
        self.refill(at);
        let found = self.searches.get(at).is_some_and(|search| {
            search
                .nodes()
                .any(|node| self.nodes.get(node).is_some_and(|node| !node.expired))
        });
        let now = self.now;
        if found {
            return self.wake_search(at, now.plus(STUCK_PERIOD));
        }
        if all_dead && !self.config.public_stable {
            self.doubt_connectivity(family);
        }
        let waiting =
            *self.status.of(family) == Status::Connecting && now.since(self.last_change) < PATIENCE;
        if !waiting {
            self.fail_search(at, family);
        }
        let lasting = self.searches.get(at).is_some_and(|search| {
            search.gets.is_empty() && search.puts.iter().all(|p| p.permanent)
        });
        let pause = if lasting { STUCK_LASTING } else { STUCK_PERIOD };
        self.wake_search(at, now.plus(pause));
    }

    /// Fails what cannot wait.
    fn fail_search(&mut self, at: SearchRef, family: Family) {
        let Some(search) = self.searches.get_mut(at) else {
            return;
        };
        search.clear_peers();
        search.explore = false;
        let gets = search.gets.iter().map(|get| get.op);
        let puts = search.puts.iter().filter(|put| !put.is_done());
        let ops: Vec<OpRef> = gets.chain(puts.map(|put| put.op)).collect();
        for op in ops {
            self.family_done(op, family, Err(OpError::NotConnected));
        }
    }

    /// Does one thing; `true` if the search must be planned again at once.
    fn act(&mut self, at: SearchRef, key: &InfoHash, family: Family, action: Action) -> bool {
        match action {
            Action::Find(node) => {
                self.ask(node, Purpose::Lookup(at), |envelope, tid| {
                    whole(envelope.find(tid, key, None))
                });
            }
            Action::Get { node, op, ids_only } => self.send_get(at, key, node, op, ids_only),
            Action::Fetch { node, op, wanted } => return self.fetch(at, key, node, op, wanted),
            Action::Put { node, op } => self.send_put(at, key, node, op),
            Action::Probe { node, op } => self.send_probe(at, key, node, op),
            Action::Refresh { node, op } => self.send_refresh(at, key, node, op),
            Action::Listen { node, op, socket } => self.send_listen(at, key, node, op, socket),
            Action::GetDone(op) => self.family_done(op, family, Ok(())),
            Action::PutDone { op, stored } => {
                let result = if stored > 0 {
                    Ok(())
                } else {
                    Err(OpError::NotStored)
                };
                self.put_settled(op, key, stored);
                self.family_done(op, family, result);
            }
        }
        false
    }

    fn send_get(
        &mut self,
        at: SearchRef,
        key: &InfoHash,
        node: NodeRef,
        op: OpRef,
        ids_only: bool,
    ) {
        let Some(OpKind::Get { query, .. }) = self.ops.get(op).map(|op| &op.kind) else {
            return;
        };
        let mut query = query.clone();
        if ids_only {
            query = query.select([Field::Id, Field::SeqNum]);
        }
        let query = (!query.is_all()).then_some(query);
        self.ask(node, Purpose::Get(at, op), |envelope, tid| {
            whole(envelope.get(tid, key, query.as_ref(), None))
        });
    }

    fn fetch(
        &mut self,
        at: SearchRef,
        key: &InfoHash,
        node: NodeRef,
        op: OpRef,
        wanted: Wanted,
    ) -> bool {
        let Some(OpKind::Get { seen, .. }) = self.ops.get(op).map(|op| &op.kind) else {
            return false;
        };
        if has_seen(seen, wanted.id, wanted.seq) {
            if let Some(search) = self.searches.get_mut(at) {
                search.on_got(node, op, 0, Vec::new());
            }
            return true;
        }
        let query = Query::by_id(wanted.id);
        self.ask(node, Purpose::Get(at, op), |envelope, tid| {
            whole(envelope.get(tid, key, Some(&query), None))
        });
        false
    }

    fn send_put(&mut self, at: SearchRef, key: &InfoHash, node: NodeRef, op: OpRef) {
        let now = self.now;
        let Some(token) = self.nodes.get(node).and_then(|node| node.token(now)) else {
            return;
        };
        let Some(OpKind::Put {
            value,
            permanent,
            begun,
            ..
        }) = self.ops.get(op).map(|op| &op.kind)
        else {
            return;
        };
        let packed = value.to_packed();
        // Only if it tells something: without a date the value counts from its arrival, and
        // a node whose wall clock is slow can still put (others would take its values for
        // expired).
        let age = now.since(*begun);
        let created = (!permanent && age >= DATED_AFTER)
            .then(|| self.unix.secs().saturating_sub(age.as_secs()));
        self.ask(node, Purpose::Put(at, op), |envelope, tid| {
            let put = PutRequest {
                key,
                values: &[&packed],
                created,
                token: token.as_bytes(),
            };
            envelope.put(tid, &put)
        });
    }

    fn send_probe(&mut self, at: SearchRef, key: &InfoHash, node: NodeRef, op: OpRef) {
        let Some(OpKind::Put { value, .. }) = self.ops.get(op).map(|op| &op.kind) else {
            return;
        };
        let query = Query::by_id(value.id).select([Field::Id, Field::SeqNum]);
        self.ask(node, Purpose::Probe(at, op), |envelope, tid| {
            whole(envelope.get(tid, key, Some(&query), None))
        });
    }

    fn send_refresh(&mut self, at: SearchRef, key: &InfoHash, node: NodeRef, op: OpRef) {
        let now = self.now;
        let Some(token) = self.nodes.get(node).and_then(|node| node.token(now)) else {
            return;
        };
        let Some(OpKind::Put { value, .. }) = self.ops.get(op).map(|op| &op.kind) else {
            return;
        };
        let id = value.id;
        self.ask(node, Purpose::Refresh(at, op), |envelope, tid| {
            whole(envelope.refresh(tid, key, id, token.as_bytes()))
        });
    }

    fn send_listen(
        &mut self,
        at: SearchRef,
        key: &InfoHash,
        node: NodeRef,
        op: OpRef,
        socket: u32,
    ) {
        let now = self.now;
        let Some(token) = self.nodes.get(node).and_then(|node| node.token(now)) else {
            return;
        };
        let Some(OpKind::Listen { query, .. }) = self.ops.get(op).map(|op| &op.kind) else {
            return;
        };
        let query = (!query.is_all()).then(|| query.clone());
        self.ask(node, Purpose::Listen(at, op), |envelope, tid| {
            let listen = ListenRequest {
                key,
                token: token.as_bytes(),
                socket,
                query: query.as_ref(),
            };
            whole(envelope.listen(tid, &listen))
        });
    }
}
