//! Searches: which nodes are nearest to a key, and what to ask of them for the operations on
//! it (docs/protocol/01-dht.md section 5).
//!
//! A search decides; the engine sends. [`Search::plan`] says what is to be sent now, and the
//! `on_*` functions take what became of it.
//!
//! Where the C++ peers ask all of the 14 nearest nodes before they store anything, we ask
//! the [`CLOSE`] nearest: if those name no nearer nodes, we know the [`TARGETS`] nearest.
//! Tokens are not bound to a key, so a node that gave us one lately need not be asked again.

use std::time::Duration;

use baraza_wire::InfoHash;

use crate::clock::Ms;
use crate::node::{Family, Node, NodeRef, Nodes};
use crate::op::OpRef;
use crate::slab::Ref;
use crate::value_type;

/// Nodes that a search knows, those that do not answer left out.
pub(crate) const MAX_PEERS: usize = 14;
/// Nodes that do not answer that a search remembers.
pub(crate) const MAX_DEAD: usize = 25;
/// Nodes at which values are stored and from which they are got.
pub(crate) const TARGETS: usize = 8;
/// Nodes that must have answered before the nearest are known.
pub(crate) const CLOSE: usize = 4;
/// Requests to find nodes and values at a time.
pub(crate) const CONCURRENCY: usize = 4;
/// Nodes at which we listen.
pub(crate) const LISTEN_TARGETS: usize = 4;
/// How long what a node said of the nodes near the key holds.
pub(crate) const SYNC_LIFE: Duration = Duration::from_secs(10 * 60);
/// How often a subscription is renewed. Others forget it after ten minutes; this keeps
/// address translators from forgetting us.
pub(crate) const LISTEN_PERIOD: Duration = Duration::from_secs(25);
/// The same for a node whose address is public.
pub(crate) const STABLE_LISTEN_PERIOD: Duration = Duration::from_secs(290);
/// A value is put again this long before it would expire.
pub(crate) const REFRESH_MARGIN: Duration = Duration::from_secs(10);
/// How long a node that refused something is left alone.
pub(crate) const REFUSED_PAUSE: Duration = Duration::from_secs(60);
/// How often something is tried again at once at a node that refuses it.
const MAX_TRIES: u8 = 3;
/// Beyond this, values are not got in one round, but by id from one node each.
pub(crate) const LARGE: usize = 512;

pub(crate) type SearchRef = Ref<Search>;

/// A search for a key in one family.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) key: InfoHash,
    pub(crate) family: Family,
    /// Nearest first.
    peers: Vec<Peer>,
    pub(crate) gets: Vec<Get>,
    pub(crate) puts: Vec<Announce>,
    pub(crate) listens: Vec<Subscription>,
    /// Only to learn of the nodes near the key.
    pub(crate) explore: bool,
    /// The timer that is set.
    pub(crate) due: Option<Ms>,
}

#[derive(Debug)]
struct Peer {
    node: NodeRef,
    distance: [u8; 20],
    /// A lookup is under way.
    asked: bool,
    /// It did not answer the first transmission of a request.
    slow: bool,
    /// Last answer to a lookup or get.
    replied: Ms,
    /// Refused a lookup then.
    refused: Ms,
}

/// A get.
#[derive(Debug)]
pub(crate) struct Get {
    pub(crate) op: OpRef,
    /// The nodes asked, and how far each is.
    asked: Vec<(NodeRef, GetState)>,
    /// The values are large: get ids first.
    pub(crate) large: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum GetState {
    /// A request is under way; what is still to be got after it.
    Waiting(Vec<Wanted>),
    /// To be got one by one.
    Wanted(Vec<Wanted>),
    Done,
}

/// A value that a node said it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) id: u64,
    pub(crate) seq: u16,
}

/// A put.
#[derive(Debug)]
pub(crate) struct Announce {
    pub(crate) op: OpRef,
    pub(crate) id: u64,
    pub(crate) value_type: u16,
    pub(crate) permanent: bool,
    targets: Vec<(NodeRef, Target)>,
    /// It was reported to be done.
    done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Target {
    state: TargetState,
    tries: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TargetState {
    /// To be put.
    Lacking,
    /// A request is under way.
    Waiting,
    /// It has the value, but must be told to keep it.
    Outdated,
    /// It has the value until then.
    Stored(Ms),
    /// It does not want it; try again then.
    Refused(Ms),
}

/// A listen.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) op: OpRef,
    targets: Vec<Ear>,
}

#[derive(Debug, Clone, Copy)]
struct Ear {
    node: NodeRef,
    socket: u32,
    waiting: bool,
    renewed: Ms,
    refused: Ms,
    tries: u8,
}

/// Something to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// A get of the operation is done.
    GetDone(OpRef),
    /// A put is stored where it should be; `stored` nodes took it.
    PutDone { op: OpRef, stored: usize },
    /// Ask for nodes.
    Find(NodeRef),
    /// Ask for values, or only for ids and sequence numbers.
    Get {
        node: NodeRef,
        op: OpRef,
        ids_only: bool,
    },
    /// Ask for one value.
    Fetch {
        node: NodeRef,
        op: OpRef,
        wanted: Wanted,
    },
    /// Subscribe.
    Listen {
        node: NodeRef,
        op: OpRef,
        socket: u32,
    },
    /// Store.
    Put { node: NodeRef, op: OpRef },
    /// See whether a value is stored.
    Probe { node: NodeRef, op: OpRef },
    /// Keep a value.
    Refresh { node: NodeRef, op: OpRef },
}

/// What a search waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: it may be dropped.
    Idle,
    /// Answers, or this time.
    Wait(Ms),
    /// Nobody is left to ask.
    Stuck,
}

impl Search {
    pub(crate) fn new(key: InfoHash, family: Family) -> Self {
        Self {
            key,
            family,
            peers: Vec::new(),
            gets: Vec::new(),
            puts: Vec::new(),
            listens: Vec::new(),
            explore: false,
            due: None,
        }
    }

    /// Whether any operation needs it.
    pub(crate) fn is_needed(&self) -> bool {
        self.explore || !(self.gets.is_empty() && self.puts.is_empty() && self.listens.is_empty())
    }

    pub(crate) fn has_node(&self, node: NodeRef) -> bool {
        self.peers.iter().any(|peer| peer.node == node)
    }

    /// The nodes it knows, nearest first.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeRef> {
        self.peers.iter().map(|peer| peer.node)
    }

    /// Forgets all nodes, to start again.
    pub(crate) fn clear_peers(&mut self) {
        self.peers.clear();
    }

    /// The network changed: what was answered before may no longer hold.
    pub(crate) fn forget_answers(&mut self) {
        for peer in &mut self.peers {
            peer.slow = false;
            peer.replied = Ms::LONG_AGO;
            peer.refused = Ms::LONG_AGO;
        }
        for ear in self
            .listens
            .iter_mut()
            .flat_map(|listen| &mut listen.targets)
        {
            ear.renewed = Ms::LONG_AGO;
            ear.refused = Ms::LONG_AGO;
        }
    }

    pub(crate) fn peer_count(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn add_put(&mut self, op: OpRef, id: u64, value_type: u16, permanent: bool) {
        self.puts.push(Announce {
            op,
            id,
            value_type,
            permanent,
            targets: Vec::new(),
            done: false,
        });
    }

    pub(crate) fn add_get(&mut self, op: OpRef) {
        self.gets.push(Get {
            op,
            asked: Vec::new(),
            large: false,
        });
    }

    pub(crate) fn add_listen(&mut self, op: OpRef) {
        self.listens.push(Subscription {
            op,
            targets: Vec::new(),
        });
    }

    /// Ends an operation.
    pub(crate) fn remove_op(&mut self, op: OpRef) {
        self.gets.retain(|get| get.op != op);
        self.puts.retain(|put| put.op != op);
        self.listens.retain(|listen| listen.op != op);
    }

    /// Offers a node; `true` if it is of use.
    pub(crate) fn offer(&mut self, at: NodeRef, nodes: &Nodes) -> bool {
        let Some(node) = nodes.get(at) else {
            return false;
        };
        if node.client || node.expired {
            return false;
        }
        let distance = node.id.distance(&self.key);
        let place = match self
            .peers
            .binary_search_by(|peer| peer.distance.cmp(&distance))
        {
            Ok(same) => match self.peers.get_mut(same) {
                // The same id at a new place in memory: the node was forgotten meanwhile.
                Some(peer) if peer.node != at => {
                    *peer = Peer::new(at, distance);
                    return true;
                }
                _ => return false,
            },
            Err(place) => place,
        };
        let alive_before = |peers: &[Peer]| {
            peers
                .iter()
                .take(place)
                .filter(|peer| !is_bad(peer, nodes))
                .count()
        };
        if place >= MAX_PEERS && alive_before(&self.peers) >= MAX_PEERS {
            return false;
        }
        self.peers.insert(place, Peer::new(at, distance));
        self.trim(nodes);
        true
    }

    /// Keeps the nearest that answer, and some of those that do not.
    fn trim(&mut self, nodes: &Nodes) {
        if self.peers.len() <= MAX_PEERS {
            return;
        }
        let (mut alive, mut dead) = (0usize, 0usize);
        self.peers.retain(|peer| {
            let count = if is_bad(peer, nodes) {
                &mut dead
            } else {
                &mut alive
            };
            *count = count.saturating_add(1);
            alive <= MAX_PEERS && dead <= MAX_DEAD
        });
    }

    /// What to send now. `near` is scratch space.
    pub(crate) fn plan(
        &mut self,
        nodes: &Nodes,
        now: Ms,
        listen_period: Duration,
        mut socket: impl FnMut() -> u32,
        actions: &mut Vec<Action>,
    ) -> Next {
        if !self.is_needed() {
            return Next::Idle;
        }
        self.peers.retain(|peer| {
            nodes
                .get(peer.node)
                .is_some_and(|n| !(n.expired && n.is_old(now)))
        });
        let near: Vec<NodeRef> = self
            .peers
            .iter()
            .filter(|peer| !is_bad(peer, nodes) && !peer.refused.within(REFUSED_PAUSE, now))
            .map(|peer| peer.node)
            .take(TARGETS)
            .collect();
        if near.is_empty() {
            return if self.anything_under_way(nodes) {
                Next::Wait(Ms::NEVER)
            } else {
                Next::Stuck
            };
        }
        let mut due = Ms::NEVER;
        let mut free = CONCURRENCY.saturating_sub(self.in_flight(nodes));
        plan_gets(&mut self.gets, &near, &mut self.peers, &mut free, actions);
        let synced = self.is_synced(&near, now);
        if synced && self.explore {
            self.explore = false;
        }
        let mut tokens = Vec::new();
        // A new value goes to the nearest at once: while any of them must be asked for a
        // token, its answer may name nearer ones.
        let all_near = synced && near.iter().all(|node| has_token(nodes, *node, now));
        for put in &mut self.puts {
            if put.done && synced || all_near {
                let next = put.plan(&near, nodes, now, &mut tokens, actions);
                due = due.min(next);
            } else if !put.done {
                tokens.extend(near.iter().copied());
            }
        }
        if synced {
            let ears = near.get(..LISTEN_TARGETS).unwrap_or(&near);
            for listen in &mut self.listens {
                let next = listen.plan(
                    ears,
                    nodes,
                    now,
                    listen_period,
                    &mut socket,
                    &mut tokens,
                    actions,
                );
                due = due.min(next);
            }
        }
        let lasting = !self.listens.is_empty() || !self.puts.is_empty() || self.explore;
        for (index, node) in near.iter().enumerate() {
            let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == *node) else {
                continue;
            };
            let fresh = peer.replied.within(SYNC_LIFE, now);
            let lookup = index < CLOSE && !fresh && lasting;
            let token = tokens.contains(node) && !has_token(nodes, *node, now);
            if index < CLOSE && fresh && lasting {
                due = due.min(peer.replied.plus(SYNC_LIFE));
            }
            if (lookup || token) && !peer.asked && free > 0 {
                peer.asked = true;
                free = free.saturating_sub(1);
                actions.push(Action::Find(*node));
            }
        }
        if !self.is_needed() && self.in_flight(nodes) == 0 {
            return Next::Idle;
        }
        Next::Wait(due)
    }

    fn is_synced(&self, near: &[NodeRef], now: Ms) -> bool {
        near.iter().take(CLOSE).all(|node| {
            self.peers
                .iter()
                .any(|peer| peer.node == *node && peer.replied.within(SYNC_LIFE, now))
        })
    }

    fn in_flight(&self, nodes: &Nodes) -> usize {
        self.peers
            .iter()
            .filter(|peer| !is_bad(peer, nodes))
            .filter(|peer| peer.asked || self.gets.iter().any(|get| get.waits_for(peer.node)))
            .count()
    }

    /// Whether an answer that would help may still come.
    fn anything_under_way(&self, nodes: &Nodes) -> bool {
        self.peers.iter().any(|peer| {
            nodes
                .get(peer.node)
                .is_some_and(|n| !n.expired && n.pending > 0)
        })
    }

    fn peer(&mut self, node: NodeRef) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.node == node)
    }

    /// A node answered a lookup or a get.
    pub(crate) fn on_lookup(&mut self, node: NodeRef, now: Ms) {
        if let Some(peer) = self.peer(node) {
            peer.asked = false;
            peer.slow = false;
            peer.replied = now;
        }
    }

    /// A node answered something else.
    pub(crate) fn on_alive(&mut self, node: NodeRef) {
        if let Some(peer) = self.peer(node) {
            peer.slow = false;
        }
    }

    /// A node did not answer the first transmission.
    pub(crate) fn on_slow(&mut self, node: NodeRef) {
        if let Some(peer) = self.peer(node) {
            peer.slow = true;
        }
    }

    /// A node refused a lookup, or its answer made no sense.
    pub(crate) fn on_lookup_refused(&mut self, node: NodeRef, now: Ms) {
        if let Some(peer) = self.peer(node) {
            peer.asked = false;
            peer.refused = now;
        }
        for get in &mut self.gets {
            get.asked.retain(|(at, _)| *at != node);
        }
    }

    /// All requests to a node are void: it does not answer, or was forgotten.
    pub(crate) fn on_lost(&mut self, node: NodeRef) {
        if let Some(peer) = self.peer(node) {
            peer.asked = false;
            peer.slow = false;
        }
        for get in &mut self.gets {
            get.asked.retain(|(at, _)| *at != node);
        }
        for put in &mut self.puts {
            put.targets.retain(|(at, _)| *at != node);
        }
        for listen in &mut self.listens {
            listen.targets.retain(|ear| ear.node != node);
        }
    }

    /// A node answered a get. `wanted` is to be got from it one by one.
    pub(crate) fn on_got(&mut self, node: NodeRef, op: OpRef, bytes: usize, wanted: Vec<Wanted>) {
        let Some(get) = self.gets.iter_mut().find(|get| get.op == op) else {
            return;
        };
        get.large |= bytes > LARGE;
        let Some((_, state)) = get.asked.iter_mut().find(|(at, _)| *at == node) else {
            return;
        };
        let mut left = match std::mem::replace(state, GetState::Done) {
            GetState::Wanted(left) | GetState::Waiting(left) => left,
            GetState::Done => Vec::new(),
        };
        left.extend(wanted);
        *state = if left.is_empty() {
            GetState::Done
        } else {
            GetState::Wanted(left)
        };
    }

    /// A put or refresh was acknowledged.
    pub(crate) fn on_stored(&mut self, node: NodeRef, op: OpRef, now: Ms) {
        self.on_alive(node);
        if let Some(put) = self.puts.iter_mut().find(|put| put.op == op) {
            let lifetime = value_type::lifetime(put.value_type);
            let until = now.plus(lifetime.saturating_sub(REFRESH_MARGIN));
            put.set(node, TargetState::Stored(until));
        }
    }

    /// What a probe found: the node has the value (of this sequence number or later), or not.
    pub(crate) fn on_probed(&mut self, node: NodeRef, op: OpRef, has: bool) {
        if let Some(put) = self.puts.iter_mut().find(|put| put.op == op) {
            put.set(
                node,
                if has {
                    TargetState::Outdated
                } else {
                    TargetState::Lacking
                },
            );
        }
    }

    /// A put or refresh failed. `lacking`: the node has nothing to refresh.
    pub(crate) fn on_put_refused(&mut self, node: NodeRef, op: OpRef, again: bool, now: Ms) {
        let Some(put) = self.puts.iter_mut().find(|put| put.op == op) else {
            return;
        };
        if let Some((_, target)) = put.targets.iter_mut().find(|(at, _)| *at == node) {
            target.tries = target.tries.saturating_add(1);
            target.state = if again && target.tries < MAX_TRIES {
                TargetState::Lacking
            } else {
                TargetState::Refused(now.plus(REFUSED_PAUSE))
            };
        }
    }

    /// A subscription was acknowledged.
    pub(crate) fn on_listening(&mut self, node: NodeRef, op: OpRef, now: Ms) {
        self.on_alive(node);
        if let Some(ear) = self.ear(node, op) {
            ear.waiting = false;
            ear.renewed = now;
            ear.tries = 0;
        }
    }

    /// A subscription was refused.
    pub(crate) fn on_listen_refused(&mut self, node: NodeRef, op: OpRef, again: bool, now: Ms) {
        if let Some(ear) = self.ear(node, op) {
            ear.waiting = false;
            ear.renewed = Ms::LONG_AGO;
            ear.tries = ear.tries.saturating_add(1);
            if !again || ear.tries >= MAX_TRIES {
                ear.refused = now;
                ear.tries = 0;
            }
        }
    }

    fn ear(&mut self, node: NodeRef, op: OpRef) -> Option<&mut Ear> {
        let listen = self.listens.iter_mut().find(|listen| listen.op == op)?;
        listen.targets.iter_mut().find(|ear| ear.node == node)
    }

    /// The listen that a node's update is for.
    pub(crate) fn listen_of(&self, node: NodeRef, socket: u32) -> Option<OpRef> {
        self.listens
            .iter()
            .find(|listen| {
                listen
                    .targets
                    .iter()
                    .any(|ear| ear.node == node && ear.socket == socket)
            })
            .map(|listen| listen.op)
    }
}

impl Peer {
    fn new(node: NodeRef, distance: [u8; 20]) -> Self {
        Self {
            node,
            distance,
            asked: false,
            slow: false,
            replied: Ms::LONG_AGO,
            refused: Ms::LONG_AGO,
        }
    }
}

impl Get {
    fn waits_for(&self, node: NodeRef) -> bool {
        self.asked
            .iter()
            .any(|(at, state)| *at == node && matches!(state, GetState::Waiting(_)))
    }
}

impl Announce {
    /// Whether it was reported to be done.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// How many nodes have it.
    pub(crate) fn stored(&self) -> usize {
        self.targets
            .iter()
            .filter(|(_, target)| matches!(target.state, TargetState::Stored(_)))
            .count()
    }

    fn set(&mut self, node: NodeRef, state: TargetState) {
        if let Some((_, target)) = self.targets.iter_mut().find(|(at, _)| *at == node) {
            target.state = state;
            if matches!(state, TargetState::Stored(_)) {
                target.tries = 0;
            }
        }
    }

    fn plan(
        &mut self,
        near: &[NodeRef],
        nodes: &Nodes,
        now: Ms,
        tokens: &mut Vec<NodeRef>,
        actions: &mut Vec<Action>,
    ) -> Ms {
        let op = self.op;
        self.targets.retain(|(node, _)| near.contains(node));
        let mut due = Ms::NEVER;
        let mut settled = true;
        for node in near {
            let place = self.targets.iter().position(|(at, _)| at == node);
            let place = place.unwrap_or_else(|| {
                let target = Target {
                    state: TargetState::Lacking,
                    tries: 0,
                };
                self.targets.push((*node, target));
                self.targets.len().saturating_sub(1)
            });
            let Some((_, target)) = self.targets.get_mut(place) else {
                continue;
            };
            match target.state {
                TargetState::Stored(until) if self.permanent && now >= until => {
                    target.state = TargetState::Waiting;
                    actions.push(Action::Probe { node: *node, op });
                }
                TargetState::Refused(until) if self.permanent && now >= until => {
                    target.state = TargetState::Lacking;
                    target.tries = 0;
                }
                TargetState::Stored(until) | TargetState::Refused(until) => {
                    if self.permanent {
                        due = due.min(until);
                    }
                    continue;
                }
                TargetState::Lacking | TargetState::Waiting | TargetState::Outdated => {}
            }
            let action = match target.state {
                TargetState::Lacking => Action::Put { node: *node, op },
                TargetState::Outdated => Action::Refresh { node: *node, op },
                _ => {
                    settled = false;
                    continue;
                }
            };
            settled = false;
            if has_token(nodes, *node, now) {
                target.state = TargetState::Waiting;
                actions.push(action);
            } else {
                tokens.push(*node);
            }
        }
        let stored = self.stored();
        if settled && !self.done && (stored > 0 || !self.permanent) {
            self.done = true;
            actions.push(Action::PutDone { op, stored });
        }
        due
    }
}

impl Subscription {
    #[expect(clippy::too_many_arguments, reason = "the parts of one decision")]
    fn plan(
        &mut self,
        near: &[NodeRef],
        nodes: &Nodes,
        now: Ms,
        period: Duration,
        socket: &mut impl FnMut() -> u32,
        tokens: &mut Vec<NodeRef>,
        actions: &mut Vec<Action>,
    ) -> Ms {
        let op = self.op;
        // Those that are no longer near still send for a while.
        self.targets.retain(|ear| {
            near.contains(&ear.node) || ear.renewed.within(crate::listeners::LISTEN_LIFE, now)
        });
        let mut due = Ms::NEVER;
        for node in near {
            let known = self.targets.iter().position(|ear| ear.node == *node);
            let place = known.unwrap_or_else(|| {
                self.targets.push(Ear {
                    node: *node,
                    socket: socket(),
                    waiting: false,
                    renewed: Ms::LONG_AGO,
                    refused: Ms::LONG_AGO,
                    tries: 0,
                });
                self.targets.len().saturating_sub(1)
            });
            let Some(ear) = self.targets.get_mut(place) else {
                continue;
            };
            if ear.waiting {
                continue;
            }
            let next = ear
                .renewed
                .plus(period)
                .max(ear.refused.plus(REFUSED_PAUSE));
            if next > now {
                due = due.min(next);
            } else if has_token(nodes, *node, now) {
                ear.waiting = true;
                actions.push(Action::Listen {
                    node: *node,
                    op,
                    socket: ear.socket,
                });
            } else {
                tokens.push(*node);
            }
        }
        due
    }
}

fn plan_gets(
    gets: &mut [Get],
    near: &[NodeRef],
    peers: &mut [Peer],
    free: &mut usize,
    actions: &mut Vec<Action>,
) {
    for get in gets {
        let op = get.op;
        let mut done = true;
        for node in near {
            let state = get.asked.iter_mut().find(|(at, _)| at == node);
            match state {
                Some((_, GetState::Done)) => {}
                Some((_, GetState::Waiting(_))) => done = false,
                Some((_, state @ GetState::Wanted(_))) => {
                    done = false;
                    if *free == 0 {
                        continue;
                    }
                    let GetState::Wanted(mut left) = std::mem::replace(state, GetState::Done)
                    else {
                        continue;
                    };
                    if let Some(wanted) = left.pop() {
                        *free = free.saturating_sub(1);
                        *state = GetState::Waiting(left);
                        actions.push(Action::Fetch {
                            node: *node,
                            op,
                            wanted,
                        });
                    }
                }
                None => {
                    done = false;
                    if *free == 0 {
                        continue;
                    }
                    let Some(peer) = peers.iter_mut().find(|peer| peer.node == *node) else {
                        continue;
                    };
                    // One that is being asked for nodes can be asked for values too.
                    *free = free.saturating_sub(usize::from(!peer.asked));
                    get.asked.push((*node, GetState::Waiting(Vec::new())));
                    actions.push(Action::Get {
                        node: *node,
                        op,
                        ids_only: get.large,
                    });
                }
            }
        }
        if done {
            actions.push(Action::GetDone(op));
        }
    }
}

fn is_bad(peer: &Peer, nodes: &Nodes) -> bool {
    peer.slow || nodes.get(peer.node).is_none_or(|node: &Node| node.expired)
}

fn has_token(nodes: &Nodes, node: NodeRef, now: Ms) -> bool {
    nodes
        .get(node)
        .is_some_and(|node| node.token(now).is_some())
}
