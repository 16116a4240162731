use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::Access;
use crate::time::{HostClock, Time};

/// A host, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u32);

impl HostId {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a host sent and received, with IP and UDP or TCP headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams sent, lost ones too.
    pub datagrams_out: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Bytes sent in them.
    pub bytes_out: u64,
    /// Bytes received in them.
    pub bytes_in: u64,
    /// TCP payload sent.
    pub tcp_out: u64,
    /// TCP connections opened, by either side.
    pub connections: u64,
    /// Timers fired.
    pub wakes: u64,
}

/// One direction of a line with limited rate.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Line {
    free_at: Time,
}

impl Line {
    /// When the last bit is through; `None` if the queue before the line is too long.
    pub(crate) fn pass(
        &mut self,
        at: Time,
        len: u64,
        access: &Access,
        may_drop: bool,
    ) -> Option<Time> {
        let Some(rate) = access.rate else {
            return Some(at);
        };
        let start = self.free_at.max(at);
        if may_drop && start - at > access.queue {
            return None;
        }
        let nanos = len.saturating_mul(1_000_000_000) / rate.max(1);
        self.free_at = start + Duration::from_nanos(nanos);
        Some(self.free_at)
    }
}

/// A host as the network sees it.
#[derive(Debug)]
pub struct Node {
    /// Its line.
    pub access: Access,
    /// Its clocks.
    pub clock: HostClock,
    /// Counters.
    pub traffic: Traffic,
    /// A name for logs.
    pub name: String,
    pub(crate) v4: Option<Ipv4Addr>,
    pub(crate) v6: Option<Ipv6Addr>,
    pub(crate) group: u32,
    pub(crate) plugged: bool,
    pub(crate) powered: bool,
    pub(crate) asleep: bool,
    pub(crate) fell_asleep: Time,
    /// Counts starts of the program, so that nothing meant for an earlier one reaches it.
    pub(crate) boot: u32,
    pub(crate) timer: Time,
    pub(crate) busy: u32,
    pub(crate) up: Line,
    pub(crate) down: Line,
    id: HostId,
    generation: u8,
}

impl Node {
    pub(super) fn new(id: HostId, access: Access, clock: HostClock) -> Self {
        let (v4, v6) = addresses(id, 1);
        Self {
            access,
            clock,
            traffic: Traffic::default(),
            name: format!("host{}", id.0),
            v4: Some(v4),
            v6: Some(v6),
            group: 0,
            plugged: true,
            powered: true,
            asleep: false,
            fell_asleep: Time::ZERO,
            boot: 0,
            timer: Time::NEVER,
            busy: 0,
            up: Line::default(),
            down: Line::default(),
            id,
            generation: 1,
        }
    }

    /// The address of a family.
    pub fn address(&self, v6: bool) -> Option<IpAddr> {
        match v6 {
            true => self.v6.map(IpAddr::V6),
            false => self.v4.map(IpAddr::V4),
        }
    }

    /// All addresses, IPv4 first.
    pub fn addresses(&self) -> Vec<IpAddr> {
        [self.address(false), self.address(true)]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Takes the host's IPv4 or IPv6 away, or gives it back.
    pub fn set_families(&mut self, v4: bool, v6: bool) {
        let (four, six) = addresses(self.id, self.generation);
        self.v4 = v4.then_some(four);
        self.v6 = v6.then_some(six);
    }

    /// Moves the host to another network: it gets new addresses of the same families.
    pub fn renumber(&mut self) {
        self.generation = self.generation.wrapping_add(1).max(1);
        let (v4, v6) = (self.v4.is_some(), self.v6.is_some());
        self.set_families(v4, v6);
    }

    /// Cuts or mends the host's cable.
    pub const fn set_plugged(&mut self, plugged: bool) {
        self.plugged = plugged;
    }

    /// On which side of a partition it is.
    pub const fn group(&self) -> u32 {
        self.group
    }

    /// Whether it sleeps.
    pub const fn is_asleep(&self) -> bool {
        self.asleep
    }

    pub(crate) fn has(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.v4 == Some(ip),
            IpAddr::V6(ip) => self.v6 == Some(ip),
        }
    }

    pub(crate) const fn is_reachable(&self) -> bool {
        self.plugged && self.powered && !self.asleep
    }
}

const V4_NET: u8 = 11;
const V6_NET: [u16; 2] = [0x2a11, 0x00b5];

/// Each host lives in a /24 and a /48 of its own; the last part changes as it moves.
pub(super) fn addresses(host: HostId, generation: u8) -> (Ipv4Addr, Ipv6Addr) {
    let [_, _, high, low] = host.0.to_be_bytes();
    let part = u16::from_be_bytes([high, low]);
    (
        Ipv4Addr::new(V4_NET, high, low, generation),
        Ipv6Addr::new(
            V6_NET[0],
            V6_NET[1],
            part,
            0,
            0,
            0,
            0,
            u16::from(generation),
        ),
    )
}

pub(super) fn index_of_v4(ip: Ipv4Addr) -> u32 {
    let [_, high, low, _] = ip.octets();
    u32::from(u16::from_be_bytes([high, low]))
}

pub(super) fn index_of_v6(ip: Ipv6Addr) -> Option<u32> {
    let [first, second, part, ..] = ip.segments();
    ([first, second] == V6_NET).then_some(u32::from(part))
}
