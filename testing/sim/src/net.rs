//! The network: hosts, what connects them, datagrams and TCP.

mod host;
mod path;
mod tcp;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use baraza_wire::{Rng, UnixTime};
use bytes::Bytes;

pub use host::{HostId, Node, Traffic};
pub use path::Access;
pub use tcp::{ConnId, ListenerId, TcpCommand, TcpEvent};

pub(crate) use path::{Path, UDP_OVERHEAD, chance};

use crate::queue::EventQueue;
use crate::time::Time;
use crate::trace::Trace;

/// What happens to a host's program.
#[derive(Debug, Clone)]
pub enum Input {
    /// A datagram came to the program's UDP port.
    Datagram {
        /// Source address.
        from: SocketAddr,
        /// Payload.
        bytes: Bytes,
    },
    /// Something happened to a listener or connection.
    Tcp(TcpEvent),
    /// The time the program asked for has come.
    Timeout,
}

/// What the event queue holds.
#[derive(Debug)]
pub(crate) enum Event {
    Datagram {
        src: HostId,
        dst: HostId,
        from: SocketAddr,
        to: SocketAddr,
        bytes: Bytes,
    },
    Timer {
        host: HostId,
        boot: u32,
    },
    Tcp(tcp::Step),
}

/// The one UDP port every host uses.
pub const UDP_PORT: u16 = 4222;

/// Everything but the programs: hosts, cables, packets under way.
#[derive(Debug)]
pub struct Net {
    pub(crate) now: Time,
    pub(crate) queue: EventQueue<Event>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) rng: Rng,
    pub(crate) trace: Trace,
    /// Whether payloads enter the trace (not where real cryptography makes them random).
    pub(crate) trace_payloads: bool,
    tcp: tcp::Tcp,
    blocked: BTreeSet<(HostId, HostId)>,
    base: Instant,
    unix_base: UnixTime,
}

impl Net {
    pub(crate) fn new(rng: Rng, base: Instant, unix_base: UnixTime) -> Self {
        Self {
            now: Time::ZERO,
            queue: EventQueue::default(),
            nodes: Vec::new(),
            rng,
            trace: Trace::default(),
            trace_payloads: true,
            tcp: tcp::Tcp::default(),
            blocked: BTreeSet::new(),
            base,
            unix_base,
        }
    }

    pub(crate) fn add_host(&mut self, access: Access) -> HostId {
        let id = HostId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        let clock = crate::time::HostClock::new(self.base, self.unix_base);
        self.nodes.push(Node::new(id, access, clock));
        id
    }

    /// The state of a host.
    pub fn node(&self, host: HostId) -> &Node {
        &self.nodes[host.index()]
    }

    /// The state of a host, to change it.
    pub fn node_mut(&mut self, host: HostId) -> &mut Node {
        &mut self.nodes[host.index()]
    }

    /// The host that has this address now.
    pub fn host_at(&self, ip: IpAddr) -> Option<HostId> {
        let host = HostId(match ip {
            IpAddr::V4(ip) => host::index_of_v4(ip),
            IpAddr::V6(ip) => host::index_of_v6(ip)?,
        });
        let node = self.nodes.get(host.index())?;
        node.has(ip).then_some(host)
    }

    /// Whether packets get from one host to the other at all.
    pub fn connected(&self, a: HostId, b: HostId) -> bool {
        let (x, y) = (self.node(a), self.node(b));
        x.is_reachable()
            && y.is_reachable()
            && x.group == y.group
            && (self.blocked.is_empty() || !self.blocked.contains(&(a.min(b), a.max(b))))
    }

    /// Splits the network: hosts of different groups do not reach each other. Hosts that
    /// are not named stay in the first group.
    pub fn partition(&mut self, groups: &[&[HostId]]) {
        for node in &mut self.nodes {
            node.group = 0;
        }
        for (group, hosts) in (0..).zip(groups) {
            for host in *hosts {
                self.node_mut(*host).group = group;
            }
        }
    }

    /// Ends every partition and unblocks every pair.
    pub fn heal(&mut self) {
        self.partition(&[]);
        self.blocked.clear();
    }

    /// Lets two hosts reach each other, or not, whatever else they reach.
    pub fn block(&mut self, a: HostId, b: HostId, blocked: bool) {
        let pair = (a.min(b), a.max(b));
        match blocked {
            true => self.blocked.insert(pair),
            false => self.blocked.remove(&pair),
        };
    }

    pub(crate) fn path(&self, from: HostId, to: HostId) -> Path {
        let key = u64::from(from.0) << 32 | u64::from(to.0);
        Path::between(&self.node(from).access, &self.node(to).access, key)
    }

    /// A host sends a datagram.
    pub(crate) fn send_datagram(&mut self, src: HostId, to: SocketAddr, bytes: &Bytes) {
        let len = u64::try_from(bytes.len() + UDP_OVERHEAD).unwrap_or(u64::MAX);
        let sender = self.node_mut(src);
        sender.traffic.datagrams_out += 1;
        sender.traffic.bytes_out += len;
        let Some(from) = sender.address(to.is_ipv6()) else {
            return;
        };
        let Some(dst) = self.host_at(to.ip()) else {
            return;
        };
        if to.port() != UDP_PORT || !self.connected(src, dst) {
            return;
        }
        let path = self.path(src, dst);
        let lost = match path.datagram_packets(bytes.len()) {
            Some(packets) => path.loses(packets, &mut self.rng),
            None => true,
        };
        let Some(leaves) = self.serialize(src, dst, len, true) else {
            return;
        };
        if lost {
            return;
        }
        let arrives = leaves + path.delay(leaves) + path.held_back(&mut self.rng);
        let copies = 1 + usize::from(chance(path.duplicate, &mut self.rng));
        let from = SocketAddr::new(from, UDP_PORT);
        for copy in 0..copies {
            let event = Event::Datagram {
                src,
                dst,
                from,
                to,
                bytes: bytes.clone(),
            };
            let late = Duration::from_millis(u64::try_from(copy).unwrap_or_default() * 3);
            self.queue.push(arrives + late, event);
        }
    }

    /// When bytes that are sent now have left the sender's line and (nearly: in the order
    /// of sending) passed the receiver's. `None`: dropped, the queue is too long.
    fn serialize(&mut self, src: HostId, dst: HostId, len: u64, may_drop: bool) -> Option<Time> {
        let now = self.now;
        let node = self.node_mut(src);
        let up = node.up.pass(now, len, &node.access, may_drop)?;
        let node = self.node_mut(dst);
        node.down.pass(up, len, &node.access, may_drop)
    }

    /// Lets an event happen; gives what programs must hear.
    pub(crate) fn happen(&mut self, event: Event, inputs: &mut Vec<(HostId, Input)>) {
        let now = self.now;
        match event {
            Event::Datagram {
                src,
                dst,
                from,
                to,
                bytes,
            } => {
                let len = bytes.len();
                if !self.connected(src, dst) || !self.node(dst).has(to.ip()) {
                    return;
                }
                let words = [1, u64::from(src.0), u64::from(dst.0), len as u64];
                let payload: &[u8] = if self.trace_payloads { &bytes } else { &[] };
                self.trace.record(self.now, &words, payload);
                let node = self.node_mut(dst);
                node.traffic.datagrams_in += 1;
                node.traffic.bytes_in += (len + UDP_OVERHEAD) as u64;
                inputs.push((dst, Input::Datagram { from, bytes }));
            }
            Event::Timer { host, boot } => {
                let node = self.node_mut(host);
                // An event that an earlier timer overtook does not count.
                if node.boot == boot && node.timer == now {
                    node.timer = Time::NEVER;
                    if !node.asleep {
                        inputs.push((host, Input::Timeout));
                    }
                }
            }
            Event::Tcp(step) => self.tcp_step(step, inputs),
        }
    }

    /// Schedules the host's timer, if it is to fire earlier than what is scheduled (a later
    /// one is found when the earlier event comes).
    pub(crate) fn wake_at(&mut self, host: HostId, at: Time) {
        let now = self.now;
        let node = self.node_mut(host);
        if at < node.timer {
            node.timer = at.max(now);
            let event = Event::Timer {
                host,
                boot: node.boot,
            };
            let at = node.timer;
            self.queue.push(at, event);
        }
    }
}
