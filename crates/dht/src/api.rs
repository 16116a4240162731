//! What clients ask of the node and are told.

use std::net::SocketAddr;

use baraza_wire::InfoHash;
use thiserror::Error;

use crate::query::Query;
use crate::value::Value;

/// An operation, named by the client, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// A client of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u32);

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Find the values at a key once. [`Event::Values`] as they are found, then
    /// [`Event::Done`].
    Get {
        /// Its new name.
        op: OpId,
        /// Where.
        key: InfoHash,
        /// Which.
        query: Query,
    },
    /// Store a value. [`Event::Done`] when it is stored the first time; a permanent one is
    /// refreshed until [`Command::Cancel`].
    Put {
        /// Its new name.
        op: OpId,
        /// Where.
        key: InfoHash,
        /// What, sealed already if it is to be.
        value: Value,
        /// Whether to keep it stored.
        permanent: bool,
    },
    /// Hear of the values at a key, present and future, until [`Command::Cancel`].
    Listen {
        /// Its new name.
        op: OpId,
        /// Where.
        key: InfoHash,
        /// Which.
        query: Query,
    },
    /// End an operation. No event follows.
    Cancel {
        /// Which.
        op: OpId,
    },
    /// Try a node.
    Bootstrap {
        /// Its address.
        addr: SocketAddr,
    },
    /// The network changed.
    ConnectivityChanged,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Values of a get or listen.
    Values {
        /// Of which.
        op: OpId,
        /// The values, as stored: see [`crate::secure::open`].
        values: Vec<Value>,
        /// Whether they are gone rather than new.
        expired: bool,
    },
    /// A get or put is over, or a listen failed.
    Done {
        /// Which.
        op: OpId,
        /// How.
        result: Result<(), OpError>,
    },
    /// How well connected the node is.
    Status {
        /// Over IPv4.
        ipv4: Status,
        /// Over IPv6.
        ipv6: Status,
    },
    /// The address most nodes see us at.
    PublicAddress(SocketAddr),
}

/// How well the node is connected over one address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// No node answers.
    #[default]
    Disconnected,
    /// Nodes were tried.
    Connecting,
    /// Nodes answer.
    Connected,
}

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpError {
    /// No node answered.
    #[error("no node of the DHT answers")]
    NotConnected,
    /// The client has too many operations.
    #[error("too many operations at once")]
    TooMany,
    /// No node stored the value.
    #[error("no node stored the value")]
    NotStored,
}
