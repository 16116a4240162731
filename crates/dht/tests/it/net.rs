//! Nodes on a network in memory, with a clock that jumps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use baraza_dht::{
    ClientId, Command, Config, Dht, Event, OpError, OpId, Output, Query, Status, Value,
};
use baraza_wire::{InfoHash, Now, Rng, UnixTime};
use bytes::Bytes;

pub(crate) const CLIENT: ClientId = ClientId(1);

pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) dht: Dht,
    pub(crate) events: Vec<Event>,
}

pub(crate) struct Net {
    pub(crate) hosts: Vec<Host>,
    start: Instant,
    elapsed: Duration,
    rng: Rng,
    in_flight: BTreeMap<(Duration, u64), (SocketAddr, SocketAddr, Bytes)>,
    sent: u64,
    /// One in so many packets is lost; 0 is none.
    pub(crate) loss: u64,
    /// Hosts that are cut off.
    pub(crate) down: BTreeSet<SocketAddr>,
    /// Packets by the name of the request or the kind.
    pub(crate) traffic: u64,
    next_op: u64,
}

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            hosts: Vec::new(),
            start: Instant::now(),
            elapsed: Duration::ZERO,
            rng: Rng::from_seed(seed),
            in_flight: BTreeMap::new(),
            sent: 0,
            loss: 0,
            down: BTreeSet::new(),
            traffic: 0,
            next_op: 0,
        }
    }

    /// `count` IPv4 nodes, each knowing the first.
    pub(crate) fn with_nodes(seed: u64, count: usize) -> Self {
        let mut net = Self::new(seed);
        for n in 0..count {
            let host = net.add(Config {
                ipv6: false,
                ..Config::default()
            });
            if n > 0 {
                net.bootstrap(host, 0);
            }
        }
        net
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            instant: self.start + self.elapsed,
            unix: UnixTime::from_millis(1_790_000_000_000).saturating_add(self.elapsed),
        }
    }

    pub(crate) fn add(&mut self, config: Config) -> usize {
        let n = self.hosts.len();
        let (high, low) = (
            u8::try_from(n / 250).unwrap(),
            u8::try_from(n % 250).unwrap(),
        );
        let address = SocketAddr::from(([10, 0, high, low + 1], 4222));
        let dht = Dht::new(config, self.now(), self.rng.fork());
        self.hosts.push(Host {
            address,
            dht,
            events: Vec::new(),
        });
        n
    }

    /// The same address with a new node that knows nothing.
    pub(crate) fn restart(&mut self, host: usize) {
        let now = self.now();
        let config = Config {
            ipv6: false,
            ..Config::default()
        };
        self.hosts[host].dht = Dht::new(config, now, self.rng.fork());
        self.hosts[host].events.clear();
    }

    pub(crate) fn bootstrap(&mut self, host: usize, at: usize) {
        let addr = self.hosts[at].address;
        self.command(host, Command::Bootstrap { addr });
    }

    pub(crate) fn command(&mut self, host: usize, command: Command) {
        let now = self.now();
        self.hosts[host].dht.handle_command(now, CLIENT, command);
        self.drain(host);
    }

    fn op(&mut self) -> OpId {
        self.next_op += 1;
        OpId(self.next_op)
    }

    pub(crate) fn get(&mut self, host: usize, key: InfoHash) -> OpId {
        self.query(host, key, Query::all())
    }

    pub(crate) fn query(&mut self, host: usize, key: InfoHash, query: Query) -> OpId {
        let op = self.op();
        self.command(host, Command::Get { op, key, query });
        op
    }

    pub(crate) fn listen(&mut self, host: usize, key: InfoHash) -> OpId {
        let op = self.op();
        let query = Query::all();
        self.command(host, Command::Listen { op, key, query });
        op
    }

    pub(crate) fn put(&mut self, host: usize, key: InfoHash, value: &Value) -> OpId {
        self.put_as(host, key, value, false)
    }

    pub(crate) fn put_as(
        &mut self,
        host: usize,
        key: InfoHash,
        value: &Value,
        permanent: bool,
    ) -> OpId {
        let op = self.op();
        let value = value.clone();
        self.command(
            host,
            Command::Put {
                op,
                key,
                value,
                permanent,
            },
        );
        op
    }

    fn drain(&mut self, host: usize) {
        let from = self.hosts[host].address;
        while let Some(output) = self.hosts[host].dht.poll_output() {
            match output {
                Output::Event { client, event } => {
                    assert_eq!(client, CLIENT);
                    self.hosts[host].events.push(event);
                }
                Output::Transmit { to, bytes } => {
                    self.traffic += 1;
                    if self.loss > 0 && self.rng.one_in(self.loss) {
                        continue;
                    }
                    let latency = Duration::from_millis(self.rng.range(5..25));
                    self.sent += 1;
                    self.in_flight
                        .insert((self.elapsed + latency, self.sent), (from, to, bytes));
                }
            }
        }
    }

    /// Delivers the next packet or wakes the next node, no later than `end`; `false` if
    /// nothing happens until then.
    fn step(&mut self, end: Duration) -> bool {
        let packet = self.in_flight.keys().next().copied();
        let timer = self
            .hosts
            .iter()
            .enumerate()
            .filter_map(|(n, host)| Some((host.dht.poll_timeout()?, n)))
            .min();
        let timer = timer.map(|(at, n)| (at.saturating_duration_since(self.start), n));
        match (packet, timer) {
            (Some(key), _) if key.0 <= end && timer.is_none_or(|(at, _)| key.0 <= at) => {
                let (from, to, bytes) = self.in_flight.remove(&key).unwrap();
                self.elapsed = self.elapsed.max(key.0);
                if self.down.contains(&from) || self.down.contains(&to) {
                    return true;
                }
                let now = self.now();
                if let Some(n) = self.hosts.iter().position(|host| host.address == to) {
                    self.hosts[n].dht.handle_datagram(now, from, &bytes);
                    self.drain(n);
                }
                true
            }
            (_, Some((at, n))) if at <= end => {
                self.elapsed = self.elapsed.max(at);
                let now = self.now();
                self.hosts[n].dht.handle_timeout(now);
                self.drain(n);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.elapsed + time;
        while self.step(end) {}
        self.elapsed = end;
    }

    /// Runs until something holds, at most `time`; returns how long it took.
    pub(crate) fn until(
        &mut self,
        time: Duration,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> Duration {
        let (begun, end) = (self.elapsed, self.elapsed + time);
        while !holds(self) {
            assert!(self.step(end), "not within {time:?}");
        }
        self.elapsed - begun
    }

    pub(crate) fn connect(&mut self) {
        self.until(Duration::from_secs(30), |net| {
            net.hosts
                .iter()
                .all(|host| host.dht.status().0 == Status::Connected)
        });
    }

    pub(crate) fn outcome(&self, host: usize, of: OpId) -> Option<Result<(), OpError>> {
        self.hosts[host]
            .events
            .iter()
            .find_map(|event| match event {
                Event::Done { op, result } if *op == of => Some(*result),
                _ => None,
            })
    }

    pub(crate) fn done(&mut self, host: usize, op: OpId) -> Result<(), OpError> {
        self.until(Duration::from_secs(60), |net| {
            net.outcome(host, op).is_some()
        });
        self.outcome(host, op).unwrap()
    }

    /// Values reported for an operation, in order; `true` for those that expired.
    pub(crate) fn values(&self, host: usize, of: OpId) -> Vec<(bool, Value)> {
        let events = self.hosts[host].events.iter();
        events
            .filter_map(|event| match event {
                Event::Values {
                    op,
                    values,
                    expired,
                } if *op == of => Some(values.iter().map(|value| (*expired, value.clone()))),
                _ => None,
            })
            .flatten()
            .collect()
    }

    pub(crate) fn found(&self, host: usize, op: OpId) -> Vec<Vec<u8>> {
        let values = self.values(host, op).into_iter();
        values.map(|(_, value)| value.data().to_vec()).collect()
    }
}
