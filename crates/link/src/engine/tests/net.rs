//! A virtual network with a virtual DHT and virtual time.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use baraza_dht::{Value, certificate_value};
use baraza_identity::testing::{self, identity};
use baraza_wire::{DeviceId, InfoHash, Now, Rng};
use bytes::Bytes;

use crate::api::{ChannelId, Command, ConnId, Event, ListenerId, Output, TcpCommand, TcpEvent};
use crate::engine::{Config, Links};
use crate::testing::start;

/// How long anything is under way.
pub(super) const LATENCY: Duration = Duration::from_millis(5);

/// What a line takes at once.
const PIECE: usize = 4096;

pub(super) struct Node {
    pub(super) links: Links,
    pub(super) ip: IpAddr,
    pub(super) events: Vec<Event>,
    /// Whether its ports are open to the world.
    pub(super) reachable: bool,
    /// Whether it hears and sends anything on TCP.
    pub(super) online: bool,
    /// Whether it uses the DHT.
    pub(super) on_dht: bool,
    pub(super) listeners: BTreeMap<u16, ListenerId>,
    /// The other end of each connection.
    pub(super) conns: BTreeMap<ConnId, (usize, ConnId)>,
    pub(super) paused: BTreeMap<ConnId, Vec<Bytes>>,
    pub(super) dht_commands: Vec<baraza_dht::Command>,
    /// What was sent over TCP.
    pub(super) sent: usize,
    /// Bytes that its line takes in a second, if not any number at once.
    pub(super) rate: Option<usize>,
    /// Until when its line is busy.
    busy: Instant,
    next_channel: u64,
}

#[derive(Debug)]
enum Packet {
    Dht(baraza_dht::Event),
    Tcp(TcpEvent),
    Connect {
        from: usize,
        conn: ConnId,
        to: SocketAddr,
    },
    Bytes(ConnId, Bytes),
}

struct Arrival {
    at: Instant,
    seq: u64,
    to: usize,
    packet: Packet,
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Arrival {}
impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.seq).cmp(&(self.at, self.seq))
    }
}

pub(super) struct Net {
    pub(super) now: Instant,
    begin: Instant,
    pub(super) nodes: Vec<Node>,
    /// What the DHT holds.
    pub(super) stored: BTreeMap<InfoHash, Vec<Value>>,
    listens: Vec<(usize, baraza_dht::OpId, InfoHash)>,
    queue: BinaryHeap<Arrival>,
    seq: u64,
    accepted: u64,
    next_port: u16,
}

impl Net {
    /// A network of the devices of these names, all of whose certificates are on the DHT.
    pub(super) fn new(names: &[&str]) -> Self {
        let now = start();
        let mut net = Self {
            now,
            begin: now,
            nodes: Vec::new(),
            stored: BTreeMap::new(),
            listens: Vec::new(),
            queue: BinaryHeap::new(),
            seq: 0,
            accepted: 0,
            next_port: 30_000,
        };
        for name in names {
            net.publish(name);
            net.add(name, []);
        }
        net.run(LATENCY * 4);
        net
    }

    pub(super) fn publish(&mut self, name: &str) {
        let identity = identity(name);
        let value = certificate_value::build(identity.chain());
        for key in certificate_value::keys(identity.public_key()) {
            self.stored.entry(key).or_default().push(value.clone());
        }
    }

    /// Adds a node that has treated these offers.
    pub(super) fn add(&mut self, name: &str, treated: impl IntoIterator<Item = u64>) -> usize {
        let index = self.nodes.len();
        let ip = IpAddr::from([10, 0, 0, u8::try_from(index + 1).unwrap()]);
        let rng = Rng::from_seed(u64::try_from(index).unwrap());
        let mut links =
            Links::new(identity(name), Config::default(), treated, self.now(), rng).unwrap();
        links.handle_command(self.now(), Command::SetAddresses(vec![ip]));
        self.nodes.push(Node {
            links,
            ip,
            events: Vec::new(),
            reachable: true,
            online: true,
            on_dht: true,
            listeners: BTreeMap::new(),
            conns: BTreeMap::new(),
            paused: BTreeMap::new(),
            dht_commands: Vec::new(),
            sent: 0,
            rate: None,
            busy: self.now,
            next_channel: 0,
        });
        index
    }

    pub(super) fn now(&self) -> Now {
        Now {
            instant: self.now,
            unix: testing::NOW.saturating_add(self.elapsed()),
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now - self.begin
    }

    pub(super) fn device(&self, node: usize) -> DeviceId {
        self.nodes[node].links.identity().device_id()
    }

    pub(super) fn command(&mut self, node: usize, command: Command) {
        let now = self.now();
        self.nodes[node].links.handle_command(now, command);
        self.flush(node);
    }

    pub(super) fn open(&mut self, from: usize, to: usize, name: &str) -> ChannelId {
        self.nodes[from].next_channel += 1;
        let channel = ChannelId(self.nodes[from].next_channel);
        let device = self.device(to);
        let open = Command::Open {
            channel,
            device,
            name: name.into(),
            reason: "sync".into(),
        };
        self.command(from, open);
        channel
    }

    pub(super) fn take_events(&mut self, node: usize) -> Vec<Event> {
        std::mem::take(&mut self.nodes[node].events)
    }

    /// What happened that is neither an offer nor a link.
    pub(super) fn channel_events(&mut self, node: usize) -> Vec<Event> {
        let mut events = self.take_events(node);
        events.retain(|event| {
            !matches!(
                event,
                Event::OfferSeen { .. } | Event::LinkUp { .. } | Event::LinkDown { .. }
            )
        });
        events
    }

    fn post(&mut self, to: usize, delay: Duration, packet: Packet) {
        self.seq += 1;
        let (at, seq) = (self.now + delay, self.seq);
        self.queue.push(Arrival {
            at,
            seq,
            to,
            packet,
        });
    }

    fn tcp(&mut self, to: usize, delay: Duration, event: TcpEvent) {
        self.post(to, delay, Packet::Tcp(event));
    }

    /// Carries out what a node wants.
    pub(super) fn flush(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].links.poll_output() {
            match output {
                Output::Event(event) => self.nodes[node].events.push(event),
                Output::Tcp(command) => self.tcp_command(node, command),
                Output::Dht(command) => self.dht_command(node, command),
            }
        }
    }

    fn tcp_command(&mut self, node: usize, command: TcpCommand) {
        match command {
            TcpCommand::Listen { listener, .. } => {
                self.next_port += 1;
                let port = self.next_port;
                self.nodes[node].listeners.insert(port, listener);
                let event = TcpEvent::Listening { listener, port };
                self.tcp(node, Duration::ZERO, event);
            }
            TcpCommand::CloseListener { listener } => {
                self.nodes[node].listeners.retain(|_, l| *l != listener);
            }
            TcpCommand::Connect { conn, to } => {
                let target = self.nodes.iter().position(|n| n.ip == to.ip());
                if let Some(target) = target {
                    let from = node;
                    self.post(target, LATENCY, Packet::Connect { from, conn, to });
                }
            }
            TcpCommand::Write { conn, bytes } => {
                self.nodes[node].sent += bytes.len();
                let peer = self.nodes[node].conns.get(&conn).copied();
                for piece in bytes.chunks(PIECE) {
                    let sent = piece.len();
                    let delay = LATENCY + self.time_to_send(node, sent);
                    self.tcp(node, delay, TcpEvent::Writable { conn, sent });
                    if let Some((peer, other)) = peer {
                        let bytes = bytes.slice_ref(piece);
                        self.post(peer, delay, Packet::Bytes(other, bytes));
                    }
                }
            }
            TcpCommand::Close { conn } => {
                if let Some((peer, other)) = self.nodes[node].conns.remove(&conn) {
                    self.tcp(peer, LATENCY, TcpEvent::Closed { conn: other });
                }
            }
            TcpCommand::Pause { conn, on } => {
                if on {
                    self.nodes[node].paused.insert(conn, Vec::new());
                } else {
                    for bytes in self.nodes[node].paused.remove(&conn).into_iter().flatten() {
                        self.tcp(node, Duration::ZERO, TcpEvent::Received { conn, bytes });
                    }
                }
            }
        }
    }

    /// How long the line of a node takes until this has left, after all that went before.
    fn time_to_send(&mut self, node: usize, len: usize) -> Duration {
        let now = self.now;
        let node = &mut self.nodes[node];
        let Some(rate) = node.rate else {
            return Duration::ZERO;
        };
        let takes =
            f64::from(u32::try_from(len).unwrap()) / f64::from(u32::try_from(rate).unwrap());
        node.busy = node.busy.max(now) + Duration::from_secs_f64(takes);
        node.busy - now
    }

    fn dht_command(&mut self, node: usize, command: baraza_dht::Command) {
        self.nodes[node].dht_commands.push(command.clone());
        if !self.nodes[node].on_dht {
            return;
        }
        use baraza_dht::Event::{Done, Values};
        let expired = false;
        match command {
            baraza_dht::Command::Get { op, key, .. } => {
                let values = self.stored.get(&key).cloned().unwrap_or_default();
                if !values.is_empty() {
                    let values = Values {
                        op,
                        values,
                        expired,
                    };
                    self.post(node, LATENCY * 4, Packet::Dht(values));
                }
                let done = Done { op, result: Ok(()) };
                self.post(node, LATENCY * 5, Packet::Dht(done));
            }
            baraza_dht::Command::Put { op, key, value, .. } => {
                self.stored.entry(key).or_default().push(value.clone());
                for (listener, op, at) in self.listens.clone() {
                    if at == key && self.nodes[listener].on_dht {
                        let values = vec![value.clone()];
                        let values = Values {
                            op,
                            values,
                            expired,
                        };
                        self.post(listener, LATENCY * 5, Packet::Dht(values));
                    }
                }
                let done = Done { op, result: Ok(()) };
                self.post(node, LATENCY * 5, Packet::Dht(done));
            }
            baraza_dht::Command::Listen { op, key, .. } => {
                self.listens.push((node, op, key));
                let values = self.stored.get(&key).cloned().unwrap_or_default();
                let values = Values {
                    op,
                    values,
                    expired,
                };
                self.post(node, LATENCY * 4, Packet::Dht(values));
            }
            _ => {}
        }
    }

    /// Makes a node listen at one key only, as either generation does.
    pub(super) fn listen_only(&mut self, node: usize, key: InfoHash) {
        self.listens.retain(|(n, _, k)| *n != node || *k == key);
        assert!(self.listens.iter().any(|(n, _, _)| *n == node));
    }

    fn deliver(&mut self, to: usize, packet: Packet) {
        let now = self.now();
        match packet {
            Packet::Dht(event) => self.nodes[to].links.handle_dht(now, event),
            Packet::Tcp(event) => {
                if let TcpEvent::Closed { conn } = &event {
                    self.nodes[to].conns.remove(conn);
                }
                self.nodes[to].links.handle_tcp(now, event);
            }
            Packet::Bytes(conn, bytes) => {
                if !self.nodes[to].online {
                    return;
                }
                if let Some(waiting) = self.nodes[to].paused.get_mut(&conn) {
                    return waiting.push(bytes);
                }
                let event = TcpEvent::Received { conn, bytes };
                self.nodes[to].links.handle_tcp(now, event);
            }
            Packet::Connect {
                from,
                conn,
                to: address,
            } => {
                let node = &self.nodes[to];
                if !node.online || !self.nodes[from].online {
                    return;
                }
                let listener = node.listeners.get(&address.port()).copied();
                let Some(listener) = listener.filter(|_| node.reachable) else {
                    return self.tcp(from, LATENCY, TcpEvent::ConnectFailed { conn });
                };
                self.accepted += 1;
                let id = ConnId::accepted(self.accepted);
                let remote = SocketAddr::new(self.nodes[from].ip, 50_000);
                self.nodes[to].conns.insert(id, (from, conn));
                self.nodes[from].conns.insert(conn, (to, id));
                self.tcp(
                    from,
                    LATENCY,
                    TcpEvent::Connected {
                        conn,
                        local: remote,
                    },
                );
                let event = TcpEvent::Accepted {
                    listener,
                    conn: id,
                    local: address,
                    remote,
                };
                self.nodes[to].links.handle_tcp(now, event);
            }
        }
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, limit: Duration) {
        let end = self.now + limit;
        self.run_until(end, |_| false);
        self.now = end;
    }

    /// Lets time pass until something is the case, at most ten minutes; how long it took.
    pub(super) fn wait(&mut self, mut until: impl FnMut(&mut Self) -> bool) -> Duration {
        let begin = self.now;
        let end = begin + Duration::from_secs(600);
        assert!(self.run_until(end, &mut until), "it never happened");
        self.now - begin
    }

    fn run_until(&mut self, end: Instant, mut until: impl FnMut(&mut Self) -> bool) -> bool {
        loop {
            for node in 0..self.nodes.len() {
                self.flush(node);
            }
            if until(self) {
                return true;
            }
            let packet = self.queue.peek().map(|arrival| arrival.at);
            let timers = self.nodes.iter().filter_map(|n| n.links.poll_timeout());
            let Some(next) = timers.chain(packet).min().filter(|at| *at <= end) else {
                return false;
            };
            self.now = self.now.max(next);
            if packet.is_some_and(|at| at <= self.now) {
                let arrival = self.queue.pop().unwrap();
                self.deliver(arrival.to, arrival.packet);
                self.flush(arrival.to);
                continue;
            }
            let now = self.now();
            for node in &mut self.nodes {
                if node
                    .links
                    .poll_timeout()
                    .is_some_and(|at| at <= now.instant)
                {
                    node.links.handle_timeout(now);
                    let again = node.links.poll_timeout();
                    assert!(again.is_none_or(|at| at > now.instant), "no busy loop");
                }
            }
        }
    }

    /// Accepts whatever is requested at a node; the channels.
    pub(super) fn accept_all(&mut self, node: usize) -> Vec<ChannelId> {
        let requested: Vec<_> = self.nodes[node]
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Requested { channel, .. } => Some(*channel),
                _ => None,
            })
            .collect();
        self.nodes[node]
            .events
            .retain(|event| !matches!(event, Event::Requested { .. }));
        for channel in requested.iter().copied() {
            self.command(node, Command::Accept { channel });
        }
        requested
    }

    /// Opens a channel and waits until it is open; its names at both ends.
    pub(super) fn connect(&mut self, from: usize, to: usize, name: &str) -> (ChannelId, ChannelId) {
        let ours = self.open(from, to, name);
        let mut theirs = Vec::new();
        self.wait(|net| {
            theirs.extend(net.accept_all(to));
            let opened =
                |event: &Event| matches!(event, Event::Opened { channel, .. } if *channel == ours);
            net.nodes[from].events.iter().any(opened)
        });
        assert_eq!(theirs.len(), 1);
        (ours, theirs[0])
    }

    /// Keys that requests of a node were put at.
    pub(super) fn puts(&self, node: usize) -> BTreeSet<InfoHash> {
        let commands = self.nodes[node].dht_commands.iter();
        commands
            .filter_map(|command| match command {
                baraza_dht::Command::Put { key, .. } => Some(*key),
                _ => None,
            })
            .collect()
    }
}
