//! Packets: one msgpack map in each datagram (docs/protocol/01-dht.md section 2).
//!
//! [`Packet::decode`] checks the structure and borrows everything else; lists stay packed
//! and are read when walked. The `write_*` functions produce the very bytes of the C++
//! peers, in their order.

mod decode;
mod encode;
mod list;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use baraza_wire::InfoHash;
use baraza_wire::msgpack;
use thiserror::Error;

use crate::query::{Query, QueryError};

pub use encode::{Envelope, ListenRequest, NodeReply, Outgoing, PutRequest, UpdateBody};
pub use list::{Ids, NodeInfo, Nodes, Parts, ValueEntry, Values};

/// Largest datagram read.
pub const MAX_DATAGRAM: usize = 65_536;
/// Longest token a requester keeps (section 4.1).
pub const MAX_TOKEN: usize = 64;
/// Values of a message are sent inline if there are fewer of them (section 2.5)...
pub const MAX_INLINE_VALUES: usize = 50;
/// ... and if their packed sizes sum to less.
pub const MAX_INLINE_BYTES: usize = 600;
/// Bytes of a value in one fragment.
pub const FRAGMENT_LEN: usize = 1280;
/// Nodes in one list of a reply.
pub const MAX_LISTED_NODES: usize = 8;

/// The request was incomplete.
pub const ERROR_INCOMPLETE: u16 = 203;
/// The token is not valid for the sender's address.
pub const ERROR_TOKEN: u16 = 401;
/// Refresh of a key under which nothing is stored.
pub const ERROR_NOT_FOUND: u16 = 404;

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An error with its code.
    Error(u16),
    /// Find the nodes nearest to an id.
    Find,
    /// Parts of large values.
    Fragment,
    /// Get values.
    Get,
    /// Subscribe.
    Listen,
    /// Is anybody there?
    Ping,
    /// Store values.
    Put,
    /// Extend the life of a stored value.
    Refresh,
    /// Positive answer.
    Reply,
    /// Values, refreshes or expirations for a listener.
    Update,
    /// The same, as old peers send it: not acknowledged.
    OldUpdate,
}

impl Kind {
    /// Whether an answer is expected.
    pub fn is_request(self) -> bool {
        matches!(
            self,
            Self::Find
                | Self::Get
                | Self::Listen
                | Self::Ping
                | Self::Put
                | Self::Refresh
                | Self::Update
        )
    }
}

/// Address families, as wanted in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Want {
    /// IPv4 nodes.
    pub ipv4: bool,
    /// IPv6 nodes.
    pub ipv6: bool,
}

/// A token of up to [`MAX_TOKEN`] bytes. Longer ones read as empty, which no node accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token {
    bytes: [u8; MAX_TOKEN],
    len: u8,
}

impl Token {
    /// From its bytes.
    pub fn new(from: &[u8]) -> Self {
        let mut bytes = [0; MAX_TOKEN];
        let len = match bytes.get_mut(..from.len()) {
            Some(room) => {
                room.copy_from_slice(from);
                u8::try_from(from.len()).unwrap_or_default()
            }
            None => 0,
        };
        Self { bytes, len }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({} bytes)", self.len)
    }
}

/// A decoded packet. Which fields are set depends on the kind; the machine checks what it
/// needs, because the answer to a missing one differs (section 2.6).
#[derive(Debug, Clone)]
pub struct Packet<'a> {
    /// What it is.
    pub kind: Kind,
    /// Transaction id; 0 if missing.
    pub tid: u32,
    /// Network id; 0 if missing.
    pub network: u32,
    /// The sender is a client: not to be routed to.
    pub client: bool,
    /// Sender's node id; zero if missing.
    pub id: InfoHash,
    /// DHT key; zero if missing.
    pub key: InfoHash,
    /// Id searched by a find; zero if missing.
    pub target: InfoHash,
    /// Families wanted in the answer.
    pub want: Option<Want>,
    /// Which values are wanted.
    pub query: Option<Query>,
    /// Write token.
    pub token: Option<Token>,
    /// Value id.
    pub value_id: u64,
    /// Values, inline or announced.
    pub values: Option<Values<'a>>,
    /// Fields of values, packed: for [`crate::query::decode_rows`].
    pub fields: Option<&'a [u8]>,
    /// Creation time in Unix seconds.
    pub created: Option<i64>,
    /// Socket id of a listener.
    pub socket: u32,
    /// Protocol version of a listener.
    pub version: i64,
    /// Ids of refreshed values.
    pub refreshed: Option<Ids<'a>>,
    /// Ids of expired values.
    pub expired: Option<Ids<'a>>,
    /// Nodes near the target.
    pub nodes: Nodes<'a>,
    /// From where the replier saw the request.
    pub address: Option<IpAddr>,
    /// Fragments.
    pub parts: Option<Parts<'a>>,
}

impl<'a> Packet<'a> {
    /// The values it carries or announces.
    pub fn value_entries(&self) -> impl Iterator<Item = ValueEntry<'a>> + use<'a> {
        self.values.into_iter().flat_map(Values::iter)
    }
}

/// Why a datagram is not a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PacketError {
    /// An id or a key of the wrong length.
    #[error("id of the wrong length")]
    Id,
    /// Neither a request nor anything else.
    #[error("packet of unknown kind")]
    Kind,
    /// Not msgpack, or not of the type that belongs there.
    #[error(transparent)]
    Msgpack(#[from] msgpack::Error),
    /// Node list of a bad length.
    #[error("node list of a bad length")]
    Nodes,
    /// Not a query.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// `true` for addresses that cannot be a peer's (section 2.7).
pub fn is_martian(address: SocketAddr) -> bool {
    if address.port() == 0 {
        return true;
    }
    match address.ip() {
        IpAddr::V4(ip) => {
            let [first, ..] = ip.octets();
            first == 0 || first >= 224
        }
        IpAddr::V6(ip) => ip.is_multicast() || ip.is_unspecified() || ip.to_ipv4_mapped().is_some(),
    }
}

/// The address with a v4-mapped IPv6 address made IPv4.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(IpAddr::V4(v4), v6.port()),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}
