//! The DHT node as a machine: commands and datagrams in, datagrams and events out.

mod answer;
mod inspect;
mod maintain;
mod operate;
mod publish;
mod receive;
mod run;
mod serve;
mod state;
mod status;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use baraza_wire::{InfoHash, Now, Rng, UnixTime};
use bytes::Bytes;

use crate::api::{ClientId, Command, Config, Event, OpId, Output, Status};
use crate::clock::{Clock, Ms};
use crate::counters::Counters;
use crate::fragments::Fragments;
use crate::listeners::Listeners;
use crate::message::{Envelope, Outgoing};
use crate::node::{Family, NodeRef, Nodes, PerFamily};
use crate::op::{Op, OpRef};
use crate::ratelimit::RateLimit;
use crate::request::{Purpose, Request, Requests};
use crate::routing::Table;
use crate::search::{Action, Search, SearchRef};
use crate::slab::Slab;
use crate::storage::Storage;
use crate::token::Tokens;

pub use inspect::{BucketInfo, FamilyStats, KeyInfo, NodeState, SearchInfo, Stats};
pub use state::StateError;

/// How we name ourselves in packets.
pub(crate) const AGENT: &str = "bz";
/// Pings and the like under way; beyond, no more are sent.
const MAX_REQUESTS: usize = 16_384;
/// Clients at a time.
const MAX_CLIENTS: usize = 4096;
/// Addresses that are not listened to, because they answer nonsense.
const MAX_BLACKLIST: usize = 256;

/// A node of the DHT, for both address families.
///
/// After each call drain [`Self::poll_output`], then sleep until [`Self::poll_timeout`].
#[derive(Debug)]
pub struct Dht {
    config: Config,
    envelope: Envelope,
    clock: Clock,
    now: Ms,
    unix: UnixTime,
    rng: Rng,
    nodes: Nodes,
    tables: PerFamily<Table>,
    requests: Requests,
    timers: BTreeSet<(Ms, Timer)>,
    tokens: Tokens,
    storage: Storage,
    storage_due: Option<Ms>,
    listeners: Listeners,
    fragments: Fragments,
    limit: RateLimit,
    blacklist: BTreeMap<SocketAddr, Ms>,
    searches: Slab<Search>,
    by_key: PerFamily<BTreeMap<InfoHash, SearchRef>>,
    ops: Slab<Op>,
    op_names: BTreeMap<(ClientId, OpId), OpRef>,
    clients: BTreeMap<ClientId, usize>,
    bootstrap: maintain::Bootstrap,
    confirm_due: Option<Ms>,
    status: PerFamily<Status>,
    votes: PerFamily<status::Votes>,
    last_change: Ms,
    outputs: VecDeque<Output>,
    actions: Vec<Action>,
    counters: Counters,
}

/// What is due at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Ping the bootstrap nodes.
    Bootstrap,
    /// Check the routing tables.
    Confirm,
    /// Drop what is old.
    Expire,
    /// Values that a listen heard of.
    Heard(OpRef),
    /// A request is to be sent again.
    Request(u32),
    /// Something of a search.
    Search(SearchRef),
    /// A stored value.
    Storage,
    /// A new secret for tokens.
    Tokens,
}

impl Dht {
    /// A node that knows no other.
    pub fn new(config: Config, now: Now, mut rng: Rng) -> Self {
        let id = config
            .node_id
            .filter(|id| !id.is_zero())
            .unwrap_or_else(|| InfoHash::new(rng.bytes()));
        let clock = Clock::new(now.instant);
        let tokens = Tokens::new(&mut rng);
        let limits = config.limits;
        let mut dht = Self {
            envelope: Envelope {
                id,
                network: config.network,
                client: config.client_mode,
                agent: AGENT,
            },
            config,
            clock,
            now: clock.at(now.instant),
            unix: now.unix,
            rng,
            nodes: Nodes::default(),
            tables: PerFamily::new(Table::new(id), Table::new(id)),
            requests: Requests::default(),
            timers: BTreeSet::new(),
            tokens,
            storage: Storage::new(limits),
            storage_due: None,
            listeners: Listeners::default(),
            fragments: Fragments::default(),
            limit: RateLimit::new(limits),
            blacklist: BTreeMap::new(),
            searches: Slab::default(),
            by_key: PerFamily::default(),
            ops: Slab::default(),
            op_names: BTreeMap::new(),
            clients: BTreeMap::new(),
            bootstrap: maintain::Bootstrap::default(),
            confirm_due: None,
            status: PerFamily::default(),
            votes: PerFamily::default(),
            last_change: Ms::LONG_AGO,
            outputs: VecDeque::new(),
            actions: Vec::new(),
            counters: Counters::default(),
        };
        dht.start_timers();
        dht
    }

    /// Our node id.
    pub fn id(&self) -> InfoHash {
        self.envelope.id
    }

    /// What was done and dropped so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// State of the node in each family: IPv4, IPv6.
    pub fn status(&self) -> (Status, Status) {
        (*self.status.of(Family::V4), *self.status.of(Family::V6))
    }

    /// Takes a datagram that `from` sent.
    pub fn handle_datagram(&mut self, now: Now, from: SocketAddr, datagram: &[u8]) {
        self.tick(now);
        self.receive(from, datagram);
        self.settle();
    }

    /// Takes a command of a client.
    pub fn handle_command(&mut self, now: Now, client: ClientId, command: Command) {
        self.tick(now);
        self.operate(client, command);
        self.settle();
    }

    /// Ends all operations of a client, which hears nothing more.
    pub fn remove_client(&mut self, now: Now, client: ClientId) {
        self.tick(now);
        self.drop_client(client);
        self.settle();
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.tick(now);
        while let Some((at, timer)) = self
            .timers
            .first()
            .copied()
            .filter(|(at, _)| *at <= self.now)
        {
            self.timers.remove(&(at, timer));
            self.on_timer(timer);
        }
        self.settle();
    }

    /// The next thing to do for the driver, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        // What a burst needed is given back.
        if output.is_none() && self.outputs.capacity() > 1024 {
            self.outputs.shrink_to(64);
        }
        output
    }

    /// When to call [`Self::handle_timeout`], unless something else happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let (at, _) = self.timers.first()?;
        self.clock.instant(*at)
    }

    fn tick(&mut self, now: Now) {
        self.now = self.now.max(self.clock.at(now.instant));
        self.unix = now.unix;
    }

    /// After each call: timers and the status follow from what happened.
    fn settle(&mut self) {
        let due = self.storage.next_due();
        if due != self.storage_due {
            self.set_timer(self.storage_due, due, Timer::Storage);
            self.storage_due = due;
        }
        self.update_status();
    }

    fn set_timer(&mut self, old: Option<Ms>, new: Option<Ms>, timer: Timer) {
        if old == new {
            return;
        }
        if let Some(old) = old {
            self.timers.remove(&(old, timer));
        }
        if let Some(new) = new.filter(|new| *new < Ms::NEVER) {
            self.timers.insert((new, timer));
        }
    }

    fn on_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Bootstrap => self.on_bootstrap_due(),
            Timer::Confirm => self.on_confirm_due(),
            Timer::Expire => self.on_expire_due(),
            Timer::Heard(op) => self.on_heard_due(op),
            Timer::Request(tid) => self.on_request_due(tid),
            Timer::Search(search) => {
                if let Some(search) = self.searches.get_mut(search) {
                    search.due = None;
                }
                self.run_search(search);
            }
            Timer::Storage => {
                self.storage_due = None;
                self.expire_values();
            }
            Timer::Tokens => self.on_tokens_due(),
        }
    }

    fn enabled(&self, family: Family) -> bool {
        match family {
            Family::V4 => self.config.ipv4,
            Family::V6 => self.config.ipv6,
        }
    }

    fn emit(&mut self, client: ClientId, event: Event) {
        self.outputs.push_back(Output::Event { client, event });
    }

    fn transmit(&mut self, to: SocketAddr, bytes: Bytes) {
        Counters::count(&mut self.counters.sent);
        self.outputs.push_back(Output::Transmit { to, bytes });
    }

    fn transmit_all(&mut self, to: SocketAddr, message: Outgoing) {
        self.transmit(to, message.head);
        for fragment in message.fragments {
            self.transmit(to, fragment);
        }
    }

    /// Sends a request to a node and waits for its answer. `build` makes the message.
    fn ask(
        &mut self,
        at: NodeRef,
        purpose: Purpose,
        build: impl FnOnce(&Envelope, u32) -> Outgoing,
    ) {
        let Some(node) = self.nodes.get_mut(at) else {
            return;
        };
        node.pending = node.pending.saturating_add(1);
        let (to, id) = (node.address, node.id);
        self.ask_address(to, Some(at), Some(id), purpose, build);
    }

    fn ask_address(
        &mut self,
        to: SocketAddr,
        node: Option<NodeRef>,
        id: Option<InfoHash>,
        purpose: Purpose,
        build: impl FnOnce(&Envelope, u32) -> Outgoing,
    ) {
        let tid = self.requests.new_tid(&mut self.rng);
        let message = build(&self.envelope, tid);
        let mut request = Request::new(to, node, id, purpose, message.clone());
        request.sent(self.now, &mut self.rng);
        self.timers.insert((request.due, Timer::Request(tid)));
        self.requests.insert(tid, request);
        self.transmit_all(to, message);
    }

    /// Forgets a request, which was answered or is void.
    fn end_request(&mut self, tid: u32) -> Option<Request> {
        let request = self.requests.remove(tid)?;
        self.timers.remove(&(request.due, Timer::Request(tid)));
        if let Some(node) = request.node.and_then(|at| self.nodes.get_mut(at)) {
            node.pending = node.pending.saturating_sub(1);
        }
        Some(request)
    }
}

fn whole(head: Bytes) -> Outgoing {
    Outgoing {
        head,
        fragments: Vec::new(),
    }
}
