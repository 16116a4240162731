//! What goes into the machine and comes out of it.

use std::net::SocketAddr;

use baraza_wire::InfoHash;
use bytes::Bytes;
use thiserror::Error;

use crate::query::Query;
use crate::value::Value;

/// An operation, named by the client that started it; unique among its running ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// A user of the node: an account, the console, a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClientId(pub u32);

/// How a node behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Node id; random if there is none.
    pub node_id: Option<InfoHash>,
    /// Network id: 0 is the public one.
    pub network: u32,
    /// Whether there is an IPv4 socket.
    pub ipv4: bool,
    /// Whether there is an IPv6 socket.
    pub ipv6: bool,
    /// Tell others not to route to us (`s`, section 2.1).
    pub client_mode: bool,
    /// The address is public and does not change: listens are renewed less often and lost
    /// searches do not count as a change of connectivity.
    pub public_stable: bool,
    /// Limits on what others may ask of us.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node_id: None,
            network: 0,
            ipv4: true,
            ipv6: true,
            client_mode: false,
            public_stable: false,
            limits: Limits::default(),
        }
    }
}

/// Limits on what others may ask of a node (sections 2.7 and 4.3).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests a second from one IPv4 address or IPv6 /64; `None` is no limit.
    pub requests_per_address: Option<u32>,
    /// Requests a second in all; `None` is no limit.
    pub requests: Option<u32>,
    /// Bytes of values kept for others.
    pub store_bytes: usize,
    /// Keys under which something is kept for others.
    pub store_keys: usize,
}

impl Limits {
    /// No limits on requests, for benchmarks and private networks.
    pub fn none() -> Self {
        Self {
            requests_per_address: None,
            requests: None,
            store_bytes: usize::MAX,
            store_keys: usize::MAX,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_address: Some(1024),
            requests: Some(8192),
            store_bytes: 64 * 1024 * 1024,
            store_keys: 1 << 20,
        }
    }
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Ping an address to join the network through it. Repeated with back-off while there is
    /// no other node.
    Bootstrap {
        /// Where a node is thought to be.
        addr: SocketAddr,
    },
    /// End an operation: silently, but for a permanent put, which is no longer refreshed.
    Cancel {
        /// Which.
        op: OpId,
    },
    /// The host's network changed: check all that is known.
    ConnectivityChanged,
    /// Find the values under a key. Each is reported once, then the end.
    Get {
        /// Name of the operation.
        op: OpId,
        /// Where to look.
        key: InfoHash,
        /// What to look for. A selection is ignored: whole values are reported.
        query: Query,
    },
    /// Report the values under a key, and when they come and go, until cancelled.
    Listen {
        /// Name of the operation.
        op: OpId,
        /// Where to listen.
        key: InfoHash,
        /// What to listen for.
        query: Query,
    },
    /// Ping an address that somebody said is a node's; once, and it is not remembered.
    Meet {
        /// Where.
        addr: SocketAddr,
    },
    /// Store a value at the nodes nearest to a key. An id of 0 is replaced by a random one.
    Put {
        /// Name of the operation.
        op: OpId,
        /// Where to store.
        key: InfoHash,
        /// What to store.
        value: Value,
        /// Keep it alive until cancelled.
        permanent: bool,
    },
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A get or a one-shot put is over; a permanent put was stored for the first time; a
    /// listen was refused.
    Done {
        /// Which.
        op: OpId,
        /// How it went.
        result: Result<(), OpError>,
    },
    /// The address that most nodes see us at. Nodes do not report a port: it is 0.
    PublicAddress(SocketAddr),
    /// The state of the node changed; sent to every client, and to a new one with its
    /// first command.
    Status {
        /// In the IPv4 network.
        ipv4: Status,
        /// In the IPv6 network.
        ipv6: Status,
    },
    /// Values found by a get, or that came or went as a listen sees it.
    Values {
        /// Which.
        op: OpId,
        /// The values.
        values: Vec<Value>,
        /// Whether they are gone.
        expired: bool,
    },
}

/// State of a node in one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Status {
    /// No other node answers.
    #[default]
    Disconnected,
    /// Waiting for the first answer.
    Connecting,
    /// Other nodes answer.
    Connected,
}

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpError {
    /// The client has an operation of that name already.
    #[error("the operation is running already")]
    Duplicate,
    /// The value may not be stored, here or anywhere.
    #[error("the value is not acceptable")]
    InvalidValue,
    /// No node answers. A permanent put does not fail so: it is done when nodes answer.
    #[error("no node of the DHT answers")]
    NotConnected,
    /// No node stored the value.
    #[error("no node stored the value")]
    NotStored,
    /// A newer put of another value under the same id took its place.
    #[error("replaced by a newer put")]
    Replaced,
    /// The client has too many operations.
    #[error("too many operations")]
    TooMany,
}

/// What the driver is to do.
#[derive(Debug, Clone)]
pub enum Output {
    /// Tell a client.
    Event {
        /// Which.
        client: ClientId,
        /// What.
        event: Event,
    },
    /// Send a datagram, from the socket of the address's family.
    Transmit {
        /// To whom.
        to: SocketAddr,
        /// What.
        bytes: Bytes,
    },
}
