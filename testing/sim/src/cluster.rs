//! Many DHT nodes, and the operations a scenario runs on them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use baraza_dht::{Command, Config, Dht, Event, OpError, OpId, Query, Status, Value};
use baraza_wire::InfoHash;

use crate::dht_host::{DhtHost, Sink};
use crate::net::{Access, HostId, UDP_PORT};
use crate::time::Time;
use crate::world::{Crash, World};

/// An operation: where and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Op {
    /// The host it runs on.
    pub host: HostId,
    id: OpId,
}

/// What came of an operation so far.
#[derive(Debug, Default, Clone)]
pub struct Outcome {
    /// When it began.
    pub begun: Time,
    /// Values that came, with the time and whether they expired.
    pub values: Vec<(Time, Value, bool)>,
    /// How it ended.
    pub done: Option<(Time, Result<(), OpError>)>,
}

impl Outcome {
    /// Whether it ended well.
    pub const fn is_ok(&self) -> bool {
        matches!(self.done, Some((_, Ok(()))))
    }

    /// When a value came first.
    pub fn first(&self, id: u64) -> Option<Time> {
        let found = |(at, value, expired): &(Time, Value, bool)| {
            (value.id == id && !expired).then_some(*at)
        };
        self.values.iter().find_map(found)
    }

    /// When a value was last reported as gone.
    pub fn gone(&self, id: u64) -> Option<Time> {
        let found = |(at, value, expired): &(Time, Value, bool)| {
            (value.id == id && *expired).then_some(*at)
        };
        self.values.iter().rev().find_map(found)
    }
}

/// A world of DHT nodes.
#[derive(Debug)]
pub struct Cluster {
    /// The world.
    pub world: World<DhtHost>,
    sink: Sink,
    base: Instant,
    next: u64,
    ops: BTreeMap<Op, Outcome>,
    status: BTreeMap<HostId, (Status, Status)>,
    config: Config,
}

impl Cluster {
    /// No node yet.
    pub fn new(seed: u64, config: Config) -> Self {
        let mut world = World::new(seed);
        let probe = world.add_host(Access::default());
        let base = world.now_at(probe).instant;
        Self {
            world,
            sink: Rc::default(),
            base,
            next: 1,
            ops: BTreeMap::new(),
            status: BTreeMap::new(),
            config,
        }
    }

    /// Adds a host and starts a node on it.
    pub fn add(&mut self, access: Access, v6: bool, bootstrap: &[HostId]) -> HostId {
        let host = self.world.add_host(access);
        self.world.net_mut().node_mut(host).set_families(true, v6);
        self.start(host, bootstrap);
        host
    }

    /// Starts a node with nothing on disk.
    pub fn start(&mut self, host: HostId, bootstrap: &[HostId]) {
        let now = self.world.now_at(host);
        let rng = self.world.rng().fork();
        let config = Config {
            ipv6: self.world.net().node(host).address(true).is_some(),
            ..self.config.clone()
        };
        let dht = Dht::new(config, now, rng);
        let program = DhtHost::new(host, dht, Rc::clone(&self.sink));
        self.world.start(host, program);
        for other in bootstrap {
            for ip in self.world.net().node(*other).addresses() {
                let addr = SocketAddr::new(ip, UDP_PORT);
                if self
                    .world
                    .net()
                    .node(host)
                    .address(addr.is_ipv6())
                    .is_some()
                {
                    self.command(host, Command::Bootstrap { addr });
                }
            }
        }
    }

    /// Switches a node off without a word. Its operations stay as they are.
    pub fn stop(&mut self, host: HostId) {
        self.world.crash(host, Crash::Power);
        self.status.remove(&host);
    }

    /// Whether a node runs there.
    pub fn runs(&self, host: HostId) -> bool {
        self.world.program(host).is_some()
    }

    /// Gives a node a command.
    pub fn command(&mut self, host: HostId, command: Command) {
        self.world
            .with(host, |program, now| program.command(now, command));
    }

    fn begin(&mut self, host: HostId, command: impl FnOnce(OpId) -> Command) -> Op {
        let id = OpId(self.next);
        self.next += 1;
        let op = Op { host, id };
        let outcome = Outcome {
            begun: self.world.now(),
            ..Outcome::default()
        };
        self.ops.insert(op, outcome);
        self.command(host, command(id));
        op
    }

    /// Starts a put.
    pub fn put(&mut self, host: HostId, key: InfoHash, value: Value, permanent: bool) -> Op {
        self.begin(host, |op| Command::Put {
            op,
            key,
            value,
            permanent,
        })
    }

    /// Starts a get of everything.
    pub fn get(&mut self, host: HostId, key: InfoHash) -> Op {
        let query = Query::all();
        self.begin(host, |op| Command::Get { op, key, query })
    }

    /// Starts to listen.
    pub fn listen(&mut self, host: HostId, key: InfoHash) -> Op {
        let query = Query::all();
        self.begin(host, |op| Command::Listen { op, key, query })
    }

    /// Ends an operation.
    pub fn cancel(&mut self, op: Op) {
        self.command(op.host, Command::Cancel { op: op.id });
    }

    /// Takes note of what happened; call it before [`Self::outcome`].
    pub fn collect(&mut self) {
        let events = std::mem::take(&mut *self.sink.borrow_mut());
        for (host, at, event) in events {
            let at = Time::ZERO + at.saturating_duration_since(self.base);
            let outcome = |op| Op { host, id: op };
            match event {
                Event::Done { op, result } => {
                    if let Some(outcome) = self.ops.get_mut(&outcome(op)) {
                        outcome.done.get_or_insert((at, result));
                    }
                }
                Event::Values {
                    op,
                    values,
                    expired,
                } => {
                    if let Some(outcome) = self.ops.get_mut(&outcome(op)) {
                        let values = values.into_iter().map(|value| (at, value, expired));
                        outcome.values.extend(values);
                    }
                }
                Event::Status { ipv4, ipv6 } => {
                    self.status.insert(host, (ipv4, ipv6));
                }
                Event::PublicAddress(_) => {}
            }
        }
    }

    /// What came of an operation; nothing, if it was forgotten.
    pub fn outcome(&self, op: Op) -> Option<&Outcome> {
        self.ops.get(&op)
    }

    /// Forgets an operation; gives what came of it.
    pub fn take(&mut self, op: Op) -> Option<Outcome> {
        self.ops.remove(&op)
    }

    /// Whether a node is connected in IPv4.
    pub fn is_connected(&self, host: HostId) -> bool {
        self.status
            .get(&host)
            .is_some_and(|(v4, _)| *v4 == Status::Connected)
    }

    /// Runs for a while, and takes note.
    pub fn run_for(&mut self, duration: Duration) {
        self.world.run_for(duration);
        self.collect();
    }

    /// Runs until all these operations are done; says how many of them went well.
    pub fn finish(&mut self, ops: &[Op], limit: Duration) -> usize {
        let deadline = self.world.now() + limit;
        loop {
            self.collect();
            let is_done = |op: &&Op| self.outcome(**op).is_some_and(|op| op.done.is_some());
            let done = ops.iter().filter(is_done).count();
            if done == ops.len() || self.world.now() >= deadline {
                let went_well = |op: &&Op| self.outcome(**op).is_some_and(Outcome::is_ok);
                return ops.iter().filter(went_well).count();
            }
            self.world.run_for(Duration::from_millis(250));
        }
    }

    /// A random key.
    pub fn random_key(&mut self) -> InfoHash {
        InfoHash::new(self.world.rng().bytes())
    }

    /// A value of random content with an id.
    pub fn random_value(&mut self, len: usize) -> Value {
        let mut data = vec![0; len];
        let rng = self.world.rng();
        rng.fill(&mut data);
        let id = rng.range(1..u64::MAX);
        Value::new(baraza_dht::value_type::USER_DATA, data).with_id(id)
    }

    /// The hosts nearest to a key that run, nearest first, and whether each stores anything
    /// there: why a get may have failed.
    pub fn holders(&self, key: &InfoHash, count: usize) -> String {
        let mut text = String::new();
        for (host, stored) in self.nearest(key, count) {
            let group = self.world.net().node(host).group();
            let mark = if stored { "+" } else { "-" };
            text.push_str(&format!("{mark}{}/{group} ", host.0));
        }
        text
    }

    /// How many of the hosts nearest to a key that run store anything there.
    pub fn stored_at_nearest(&self, key: &InfoHash, count: usize) -> usize {
        let nearest = self.nearest(key, count);
        nearest.iter().filter(|(_, stored)| *stored).count()
    }

    fn nearest(&self, key: &InfoHash, count: usize) -> Vec<(HostId, bool)> {
        let mut near: Vec<_> = self
            .world
            .running()
            .map(|(host, program)| (program.dht().id().distance(key), host, program.dht()))
            .collect();
        near.sort_by_key(|(distance, host, _)| (*distance, *host));
        let stores = |dht: &Dht| {
            let keys = dht.key_list();
            keys.iter().any(|(at, info)| at == key && info.values > 0)
        };
        near.into_iter()
            .take(count)
            .map(|(_, host, dht)| (host, stores(dht)))
            .collect()
    }

    /// One of these hosts that runs.
    pub fn any_of(&mut self, hosts: &[HostId]) -> Option<HostId> {
        for _ in 0..100 {
            let index = self.world.rng().index(hosts.len())?;
            let host = hosts.get(index).copied()?;
            if self.runs(host) {
                return Some(host);
            }
        }
        None
    }
}
