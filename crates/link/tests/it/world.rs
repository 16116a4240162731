//! A network of `Links` on virtual time: TCP with latency, bandwidth and back-pressure, and
//! a DHT that stores and reports values at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use baraza_dht::{self as dht, OpId, Query, Value};
use baraza_identity::testing;
use baraza_link::{
    ChannelId, Command, Config, ConnId, Event, Links, ListenerId, Output, Peer, TcpCommand,
    TcpEvent,
};
use baraza_wire::{DeviceId, InfoHash, Now, Rng};
use bytes::Bytes;

/// One way, between any two hosts.
const LATENCY: Duration = Duration::from_millis(10);

/// Most bytes a writer may have under way while the reader is paused.
const MOST_HELD: usize = 1 << 20;

pub(crate) struct World {
    start: Instant,
    pub(crate) elapsed: Duration,
    pub(crate) hosts: Vec<Host>,
    queue: BTreeMap<(Duration, u64), Action>,
    sequence: u64,
    dht: Vec<(InfoHash, Value)>,
    listens: Vec<(usize, OpId, InfoHash, Query)>,
    conns: BTreeMap<(usize, ConnId), Wire>,
    accepted: u64,
    /// Hosts that no packet reaches or leaves.
    pub(crate) cut_off: BTreeSet<usize>,
    /// Bytes a second of every connection.
    pub(crate) bandwidth: u64,
    /// TLS and STUN bytes that were sent.
    pub(crate) transferred: usize,
}

pub(crate) struct Host {
    pub(crate) links: Links,
    pub(crate) device: DeviceId,
    address: IpAddr,
    listeners: BTreeMap<ListenerId, u16>,
    /// What it was told, oldest first, with the time.
    pub(crate) events: VecDeque<(Duration, Event)>,
}

/// One end of a connection.
struct Wire {
    /// The other end.
    to: (usize, ConnId),
    /// When what this end has written has left it.
    free_at: Duration,
    /// What arrived here while reading was paused; `None` is the end.
    held: VecDeque<Option<Bytes>>,
    paused: bool,
}

enum Action {
    Dht(usize, dht::Event),
    Tcp(usize, TcpEvent),
    /// Bytes, or the end of them, reach an end of a connection.
    Arrive(usize, ConnId, Option<Bytes>),
}

impl World {
    /// A host for each of the test identities, knowing the certificates of all.
    pub(crate) fn new(names: &[&str]) -> Self {
        Self::with_config(names, Config::default)
    }

    pub(crate) fn with_config(names: &[&str], config: impl Fn() -> Config) -> Self {
        let mut world = Self {
            start: Instant::now(),
            elapsed: Duration::ZERO,
            hosts: Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            dht: Vec::new(),
            listens: Vec::new(),
            conns: BTreeMap::new(),
            accepted: 0,
            cut_off: BTreeSet::new(),
            bandwidth: 100_000_000,
            transferred: 0,
        };
        for (index, name) in names.iter().enumerate() {
            let identity = testing::identity(name);
            let last = u8::try_from(index + 1).unwrap();
            let rng = Rng::from_seed(u64::from(last));
            let device = identity.device_id();
            world.hosts.push(Host {
                links: Links::new(identity, config(), [], world.now(), rng).unwrap(),
                device,
                address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)),
                listeners: BTreeMap::new(),
                events: VecDeque::new(),
            });
        }
        for index in 0..names.len() {
            let address = world.hosts[index].address;
            world.command(index, Command::SetAddresses(vec![address]));
            for name in names {
                let chain = testing::identity(name).chain().clone();
                world.command(index, Command::KnowCertificate(chain));
            }
        }
        world
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            instant: self.start + self.elapsed,
            unix: testing::NOW.saturating_add(self.elapsed),
        }
    }

    pub(crate) fn command(&mut self, host: usize, command: Command) {
        let now = self.now();
        self.hosts[host].links.handle_command(now, command);
        self.drain(host);
    }

    pub(crate) fn open(&mut self, host: usize, channel: u64, to: usize, name: &str) -> ChannelId {
        let channel = ChannelId(channel);
        let device = self.hosts[to].device;
        let (name, reason) = (name.to_owned(), String::new());
        self.command(
            host,
            Command::Open {
                channel,
                device,
                name,
                reason,
            },
        );
        channel
    }

    /// Runs until `done` or for `most` of virtual time; whether it was done.
    pub(crate) fn run_until(
        &mut self,
        most: Duration,
        mut done: impl FnMut(&mut Self) -> bool,
    ) -> bool {
        let end = self.elapsed + most;
        loop {
            if done(self) {
                return true;
            }
            if !self.step(end) {
                self.elapsed = end;
                return false;
            }
        }
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Runs until the host was told something that `choose` wants; other events before it
    /// are dropped.
    pub(crate) fn wait_for<T>(
        &mut self,
        host: usize,
        most: Duration,
        mut choose: impl FnMut(&Event) -> Option<T>,
    ) -> T {
        let mut found = None;
        let mut others = Vec::new();
        self.run_until(most, |world| {
            while let Some((at, event)) = world.hosts[host].events.pop_front() {
                found = choose(&event);
                if found.is_some() {
                    return true;
                }
                others.push((at, event));
            }
            false
        });
        found.unwrap_or_else(|| panic!("host {host} was told only {others:#?}"))
    }

    /// A channel from one host to another, accepted; its names at both.
    pub(crate) fn channel(
        &mut self,
        from: usize,
        number: u64,
        to: usize,
        name: &str,
    ) -> (ChannelId, ChannelId) {
        let here = self.open(from, number, to, name);
        let there = self.requested(to).0;
        self.command(to, Command::Accept { channel: there });
        self.wait_for(from, Duration::from_secs(5), |event| match event {
            Event::Opened { channel, .. } if *channel == here => Some(()),
            _ => None,
        });
        (here, there)
    }

    /// Waits for a request at the host.
    pub(crate) fn requested(&mut self, host: usize) -> (ChannelId, Peer, String) {
        self.wait_for(host, Duration::from_secs(60), |event| match event {
            Event::Requested {
                channel,
                peer,
                name,
            } => Some((*channel, peer.clone(), name.clone())),
            _ => None,
        })
    }

    /// Everything the host was told since last asked.
    pub(crate) fn events(&mut self, host: usize) -> Vec<Event> {
        let events = std::mem::take(&mut self.hosts[host].events);
        events.into_iter().map(|(_, event)| event).collect()
    }

    /// Lets the next thing happen, if it does before `end`.
    fn step(&mut self, end: Duration) -> bool {
        let timeout = (0..self.hosts.len())
            .filter_map(|host| Some((self.hosts[host].links.poll_timeout()?, host)))
            .min();
        let due = timeout.map(|(at, host)| (at.saturating_duration_since(self.start), host));
        let next = self.queue.first_key_value().map(|((at, _), _)| *at);
        match (next, due) {
            (Some(at), due) if due.is_none_or(|(timeout, _)| at <= timeout) => {
                if at > end {
                    return false;
                }
                self.elapsed = self.elapsed.max(at);
                let (_, action) = self.queue.pop_first().unwrap();
                self.act(action);
            }
            (_, Some((at, host))) => {
                if at > end {
                    return false;
                }
                self.elapsed = self.elapsed.max(at);
                let now = self.now();
                self.hosts[host].links.handle_timeout(now);
                self.drain(host);
                let again = self.hosts[host].links.poll_timeout();
                assert!(
                    again.is_none_or(|again| again > now.instant),
                    "a timeout is handled"
                );
            }
            (_, None) => return false,
        }
        true
    }

    fn act(&mut self, action: Action) {
        let now = self.now();
        match action {
            Action::Dht(host, event) => {
                self.hosts[host].links.handle_dht(now, event);
                self.drain(host);
            }
            Action::Tcp(host, event) => {
                self.hosts[host].links.handle_tcp(now, event);
                self.drain(host);
            }
            Action::Arrive(host, conn, bytes) => {
                let Some(wire) = self.conns.get_mut(&(host, conn)) else {
                    return;
                };
                wire.held.push_back(bytes);
                self.deliver(host, conn);
            }
        }
    }

    /// What has arrived is read, unless paused, and the writer is told.
    fn deliver(&mut self, host: usize, conn: ConnId) {
        while let Some(wire) = self.conns.get_mut(&(host, conn))
            && !wire.paused
            && let Some(bytes) = wire.held.pop_front()
        {
            let (writer, there) = wire.to;
            let event = match bytes {
                Some(bytes) => {
                    let sent = bytes.len();
                    let event = TcpEvent::Writable { conn: there, sent };
                    self.later(Duration::ZERO, Action::Tcp(writer, event));
                    TcpEvent::Received { conn, bytes }
                }
                None => {
                    self.conns.remove(&(host, conn));
                    TcpEvent::Closed { conn }
                }
            };
            let now = self.now();
            self.hosts[host].links.handle_tcp(now, event);
            self.drain(host);
        }
    }

    fn later(&mut self, delay: Duration, action: Action) {
        self.sequence += 1;
        self.queue
            .insert((self.elapsed + delay, self.sequence), action);
    }

    fn drain(&mut self, host: usize) {
        while let Some(output) = self.hosts[host].links.poll_output() {
            match output {
                Output::Dht(command) => self.handle_dht(host, command),
                Output::Event(event) => {
                    let at = self.elapsed;
                    self.hosts[host].events.push_back((at, event));
                }
                Output::Tcp(command) => self.handle_tcp(host, command),
            }
        }
    }

    fn handle_dht(&mut self, host: usize, command: dht::Command) {
        match command {
            dht::Command::Get { op, key, query } => {
                let values = self.values(key, &query);
                if !values.is_empty() {
                    self.report(host, op, values);
                }
                let result = Ok(());
                self.later(LATENCY, Action::Dht(host, dht::Event::Done { op, result }));
            }
            dht::Command::Listen { op, key, query } => {
                let values = self.values(key, &query);
                if !values.is_empty() {
                    self.report(host, op, values);
                }
                self.listens.push((host, op, key, query));
            }
            dht::Command::Put { op, key, value, .. } => {
                let result = Ok(());
                self.later(LATENCY, Action::Dht(host, dht::Event::Done { op, result }));
                for (listener, op, _, query) in self.listens.clone() {
                    let same = self
                        .listens
                        .iter()
                        .any(|(h, o, k, _)| (*h, *o, *k) == (listener, op, key));
                    let cut = self.cut_off.contains(&host) || self.cut_off.contains(&listener);
                    if same && query.matches(&value) && !cut {
                        self.report(listener, op, vec![value.clone()]);
                    }
                }
                self.dht.push((key, value));
            }
            dht::Command::Cancel { op } => {
                self.listens.retain(|(h, o, _, _)| (*h, *o) != (host, op));
            }
            dht::Command::Bootstrap { .. }
            | dht::Command::Meet { .. }
            | dht::Command::ConnectivityChanged => {}
        }
    }

    fn values(&self, key: InfoHash, query: &Query) -> Vec<Value> {
        let here = self.dht.iter().filter(|(known, _)| *known == key);
        let values = here.map(|(_, value)| value);
        values
            .filter(|value| query.matches(value))
            .cloned()
            .collect()
    }

    fn report(&mut self, host: usize, op: OpId, values: Vec<Value>) {
        let event = dht::Event::Values {
            op,
            values,
            expired: false,
        };
        self.later(LATENCY, Action::Dht(host, event));
    }

    fn handle_tcp(&mut self, host: usize, command: TcpCommand) {
        match command {
            TcpCommand::Listen { listener, v6: true } => {
                let failed = TcpEvent::ListenFailed { listener };
                self.later(Duration::ZERO, Action::Tcp(host, failed));
            }
            TcpCommand::Listen { listener, .. } => {
                let used = self.hosts[host].listeners.values().max();
                let port = used.copied().unwrap_or(2000) + 1;
                self.hosts[host].listeners.insert(listener, port);
                let event = TcpEvent::Listening { listener, port };
                self.later(Duration::ZERO, Action::Tcp(host, event));
            }
            TcpCommand::CloseListener { listener } => {
                self.hosts[host].listeners.remove(&listener);
            }
            TcpCommand::Connect { conn, to } => self.connect(host, conn, to),
            TcpCommand::Write { conn, bytes } => self.write(host, conn, bytes),
            TcpCommand::Close { conn } => {
                let Some(wire) = self.conns.remove(&(host, conn)) else {
                    return;
                };
                let delay = wire.free_at.saturating_sub(self.elapsed) + LATENCY;
                let (peer, there) = wire.to;
                if !self.is_cut(host, peer) {
                    self.later(delay, Action::Arrive(peer, there, None));
                }
            }
            TcpCommand::Pause { conn, on } => {
                if let Some(wire) = self.conns.get_mut(&(host, conn)) {
                    wire.paused = on;
                    self.deliver(host, conn);
                }
            }
        }
    }

    fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cut_off.contains(&a) || self.cut_off.contains(&b)
    }

    fn connect(&mut self, host: usize, conn: ConnId, to: SocketAddr) {
        let target = self.hosts.iter().position(|other| other.address == to.ip());
        let found = target.and_then(|target| {
            let mut listeners = self.hosts[target].listeners.iter();
            let (listener, _) = listeners.find(|(_, port)| **port == to.port())?;
            Some((target, *listener))
        });
        if target.is_some_and(|target| self.is_cut(host, target)) {
            // Nobody answers.
            return;
        }
        let Some((target, listener)) = found else {
            let event = TcpEvent::ConnectFailed { conn };
            self.later(LATENCY * 2, Action::Tcp(host, event));
            return;
        };
        let there = ConnId::accepted(self.accepted);
        self.accepted += 1;
        let wire = |to| Wire {
            to,
            free_at: Duration::ZERO,
            held: VecDeque::new(),
            paused: false,
        };
        self.conns.insert((host, conn), wire((target, there)));
        self.conns.insert((target, there), wire((host, conn)));
        let port = 40_000 + u16::try_from(self.accepted).unwrap();
        let local = SocketAddr::new(self.hosts[host].address, port);
        let accepted = TcpEvent::Accepted {
            listener,
            conn: there,
            local: to,
            remote: local,
        };
        self.later(LATENCY, Action::Tcp(target, accepted));
        self.later(
            LATENCY * 2,
            Action::Tcp(host, TcpEvent::Connected { conn, local }),
        );
    }

    fn write(&mut self, host: usize, conn: ConnId, bytes: Bytes) {
        let (elapsed, bandwidth) = (self.elapsed, self.bandwidth);
        let Some(wire) = self.conns.get_mut(&(host, conn)) else {
            return;
        };
        let (peer, there) = wire.to;
        self.transferred += bytes.len();
        let nanos = u64::try_from(bytes.len()).unwrap() * 1_000_000_000 / bandwidth;
        wire.free_at = wire.free_at.max(elapsed) + Duration::from_nanos(nanos);
        let delay = wire.free_at - elapsed + LATENCY;
        let held = self.conns.get(&(peer, there)).map(|wire| &wire.held);
        let held = held.into_iter().flatten().flatten();
        let held: usize = held.map(Bytes::len).sum();
        assert!(held < MOST_HELD, "back-pressure is respected");
        if !self.is_cut(host, peer) {
            self.later(delay, Action::Arrive(peer, there, Some(bytes)));
        }
    }
}
