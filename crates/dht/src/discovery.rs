//! Who else is in the local network: announcements by multicast (docs/protocol/01-dht.md
//! section 3.9), as a machine without sockets. [`crate::driver::discovery`] runs it.
//!
//! A node of the DHT announces itself as the service [`DHT`]; programs add services of their
//! own. Anybody in the network may say anything: what is heard is a hint and no proof.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use baraza_wire::msgpack::{self, Reader, Writer};
use baraza_wire::{InfoHash, Rng};
use bytes::Bytes;

/// The UDP port.
pub const PORT: u16 = 8888;
/// The IPv4 group.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 192, 0, 1);
/// The IPv6 group.
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff08, 0, 0, 0, 0, 0, 0, 0x101);
/// Longest datagram that is read.
pub const MAX_DATAGRAM: usize = 4096;
/// Most services in one announcement that are looked at.
pub const MAX_SERVICES: usize = 16;
/// Most announcements of one program.
pub const MAX_ANNOUNCEMENTS: usize = 16;
/// The service of a DHT node.
pub const DHT: &str = "dht";

const QUERY: &str = "q";
/// How often the group is asked and told. Daemons forget who was not heard of for a minute.
pub const PERIOD: Duration = Duration::from_secs(20);
/// How much earlier or later than that, so that not all speak at once.
const SPREAD: Duration = Duration::from_secs(4);
/// A change is told so soon at most after the last one.
const LEAST: Duration = Duration::from_secs(1);
/// Datagrams that are looked at in a second; what is more is dropped and counted.
const MAX_HEARD: u32 = 256;
/// Queries that are answered in a second.
const MAX_ANSWERED: u32 = 16;
/// Nodes that are handed on in a second: each is asked whether it is there, where an
/// announcement says it is. As many as announce themselves in a network of 300.
const MAX_NODES: u32 = 16;

/// What a program says of itself: service names, and what each says, as msgpack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announcement(pub BTreeMap<String, Bytes>);

/// A datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Asks everybody to announce themselves.
    Query,
    /// Somebody does.
    Announcement(Announcement),
}

/// Why a datagram is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// It is no msgpack, or of other types.
    #[error("not a local announcement: {0}")]
    Msgpack(#[from] msgpack::Error),
    /// It is a text, but not the query.
    #[error("not a local announcement: another text than the query")]
    NoQuery,
    /// It says more than anybody has to.
    #[error(
        "a local announcement of more than {MAX_SERVICES} services, or longer than {MAX_DATAGRAM} bytes"
    )]
    TooLong,
    /// Something follows it.
    #[error("a local announcement with something after it")]
    Trailing,
}

impl Packet {
    /// Reads a datagram.
    ///
    /// # Errors
    /// If it is none of the two.
    pub fn decode(bytes: &[u8]) -> Result<Self, PacketError> {
        if bytes.len() > MAX_DATAGRAM {
            return Err(PacketError::TooLong);
        }
        let mut reader = Reader::new(bytes);
        let packet = match reader.peek()? {
            msgpack::Kind::Str if reader.str()? == QUERY => Self::Query,
            msgpack::Kind::Str => return Err(PacketError::NoQuery),
            _ => {
                let count = reader.map_len()?;
                if count > MAX_SERVICES {
                    return Err(PacketError::TooLong);
                }
                let mut services = BTreeMap::new();
                for _ in 0..count {
                    let name = reader.str()?.to_owned();
                    let payload = Bytes::copy_from_slice(reader.skip()?);
                    services.entry(name).or_insert(payload);
                }
                Self::Announcement(Announcement(services))
            }
        };
        match reader.is_empty() {
            true => Ok(packet),
            false => Err(PacketError::Trailing),
        }
    }

    /// Writes a datagram.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        match self {
            Self::Query => {
                writer.str(QUERY);
            }
            Self::Announcement(Announcement(services)) => {
                writer.map(services.len());
                for (name, payload) in services {
                    writer.str(name).raw(payload);
                }
            }
        }
        writer.into_bytes().into()
    }
}

/// What the service [`DHT`] says: where a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeService {
    /// Its id.
    pub id: InfoHash,
    /// Its UDP port in the family that this came by.
    pub port: u16,
    /// Number of its network.
    pub network: u32,
}

impl NodeService {
    /// Reads it.
    ///
    /// # Errors
    /// If it is something else.
    pub fn decode(payload: &[u8]) -> Result<Self, msgpack::Error> {
        let mut reader = Reader::new(payload);
        if reader.array_len()? < 3 {
            return Err(msgpack::Error::Truncated);
        }
        let id = reader.bin()?;
        Ok(Self {
            id: InfoHash::new(id.try_into().map_err(|_| msgpack::Error::Range)?),
            port: reader.u16()?,
            network: reader.u32()?,
        })
    }

    /// Writes it.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::new();
        writer.array(3).bin(self.id.as_bytes());
        writer.uint(self.port.into()).uint(self.network.into());
        writer.into_bytes().into()
    }
}

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Everybody, by all families and interfaces.
    Group,
    /// One who asked.
    One(SocketAddr),
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram.
    Transmit {
        /// To whom.
        to: Destination,
        /// What.
        packet: Packet,
    },
    /// Somebody announced something.
    Heard {
        /// Who.
        from: SocketAddr,
        /// What.
        announcement: Announcement,
    },
}

/// Figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Announcements heard.
    pub heard: u64,
    /// Queries answered.
    pub answered: u64,
    /// Datagrams that are no packet.
    pub malformed: u64,
    /// Datagrams of hosts outside of the local network, or too many at once.
    pub refused: u64,
}

/// Says what it is told to, asks the others, and hands on what they say.
#[derive(Debug)]
pub struct Discovery {
    rng: Rng,
    announcements: Vec<Announcement>,
    /// The addresses of this host.
    own: Vec<IpAddr>,
    due: Instant,
    spoke: Option<Instant>,
    /// The second that is counted, and what came in it.
    second: Instant,
    heard: u32,
    answered: u32,
    nodes: u32,
    counters: Counters,
    outputs: VecDeque<Output>,
}

impl Discovery {
    /// Speaks at once.
    pub fn new(now: Instant, rng: Rng) -> Self {
        Self {
            rng,
            announcements: Vec::new(),
            own: Vec::new(),
            due: now,
            spoke: None,
            second: now,
            heard: 0,
            answered: 0,
            nodes: 0,
            counters: Counters::default(),
            outputs: VecDeque::new(),
        }
    }

    /// What is said from now on, each in a datagram of its own; a change is told at once.
    pub fn announce(&mut self, now: Instant, mut announcements: Vec<Announcement>) {
        announcements.truncate(MAX_ANNOUNCEMENTS);
        if announcements != self.announcements {
            self.announcements = announcements;
            let soonest = self.spoke.map_or(now, |at| at + LEAST);
            self.due = self.due.min(soonest.max(now));
        }
    }

    /// The addresses of this host: who shares a network with one of them is near.
    pub fn set_own(&mut self, own: Vec<IpAddr>) {
        self.own = own;
    }

    /// Figures.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Instant {
        self.due
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Asks and tells everybody, if it is time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.due {
            return;
        }
        self.spoke = Some(now);
        let spread = u64::try_from(SPREAD.as_millis()).unwrap_or(0);
        let more = Duration::from_millis(self.rng.range(0..spread.saturating_mul(2).max(1)));
        self.due = now + PERIOD.saturating_sub(SPREAD) + more;
        self.outputs.push_back(Output::Transmit {
            to: Destination::Group,
            packet: Packet::Query,
        });
        self.tell(Destination::Group);
    }

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            (self.heard, self.answered, self.nodes) = (0, 0, 0);
        }
        self.heard = self.heard.saturating_add(1);
        if self.heard > MAX_HEARD || !self.is_near(from.ip()) {
            count(&mut self.counters.refused);
            return;
        }
        match Packet::decode(bytes) {
            Err(error) => {
                tracing::debug!(%from, %error, "refused");
                count(&mut self.counters.malformed);
            }
            Ok(Packet::Query) => {
                self.answered = self.answered.saturating_add(1);
                if self.answered > MAX_ANSWERED {
                    return count(&mut self.counters.refused);
                }
                count(&mut self.counters.answered);
                self.tell(Destination::One(from));
            }
            Ok(Packet::Announcement(mut announcement)) => {
                count(&mut self.counters.heard);
                if announcement.0.contains_key(DHT) {
                    self.nodes = self.nodes.saturating_add(1);
                    if self.nodes > MAX_NODES {
                        count(&mut self.counters.refused);
                        announcement.0.remove(DHT);
                    }
                }
                self.outputs.push_back(Output::Heard { from, announcement });
            }
        }
    }

    fn tell(&mut self, to: Destination) {
        for announcement in &self.announcements {
            let packet = Packet::Announcement(announcement.clone());
            self.outputs.push_back(Output::Transmit { to, packet });
        }
    }

    /// Whether an address is one of the local network: who asks from elsewhere, where a packet
    /// sent to this port alone can come from, learns nothing.
    fn is_near(&self, ip: IpAddr) -> bool {
        let v6_prefix = |ip: Ipv6Addr| ip.segments().first_chunk::<4>().copied();
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                ip.is_loopback()
                    || ip.is_private()
                    || ip.is_link_local()
                    || self.own.iter().any(|own| match own {
                        IpAddr::V4(own) => own.octets().starts_with(&[a, b, c]),
                        IpAddr::V6(_) => false,
                    })
            }
            IpAddr::V6(ip) => {
                ip.is_loopback()
                    || ip.is_unicast_link_local()
                    || ip.is_unique_local()
                    || self.own.iter().any(|own| match own {
                        IpAddr::V4(_) => false,
                        IpAddr::V6(own) => v6_prefix(*own) == v6_prefix(ip),
                    })
            }
        }
    }
}

fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

#[cfg(test)]
mod tests;
