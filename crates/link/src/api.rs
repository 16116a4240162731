//! What goes into and comes out of [`crate::Links`].

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use baraza_identity::CertificateChain;
use baraza_wire::{AccountId, DeviceId};
use bytes::Bytes;
use thiserror::Error;

use crate::peer::Peer;

/// Longest channel name or reason, in bytes (docs/protocol/04-connection.md section 11.2).
pub const MAX_NAME: usize = 1024;

/// The bit that tells names given by one side of an interface from those of the other.
const OTHER_SIDE: u64 = 1 << 63;

/// A channel. The caller of [`Command::Open`] chooses numbers with the top bit clear, each
/// once; channels that peers ask for get numbers with the top bit set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u64);

impl ChannelId {
    /// The `n`th channel a peer asked for.
    pub const fn incoming(n: u64) -> Self {
        Self(n | OTHER_SIDE)
    }

    /// Whether a peer asked for it.
    pub const fn is_incoming(self) -> bool {
        self.0 & OTHER_SIDE != 0
    }
}

/// A TCP connection. `Links` chooses those it dials, with the top bit clear; the driver
/// those it accepts, with the top bit set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl ConnId {
    /// The `n`th connection a driver accepted.
    pub const fn accepted(n: u64) -> Self {
        Self(n | OTHER_SIDE)
    }

    /// Whether the driver accepted it.
    pub const fn is_accepted(self) -> bool {
        self.0 & OTHER_SIDE != 0
    }
}

/// A listening TCP socket, chosen by `Links`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u64);

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Open a channel to a device: over a live link, else by dialling. [`Event::Opened`] or
    /// [`Event::Failed`] follows.
    Open {
        /// Its new name.
        channel: ChannelId,
        /// With whom.
        device: DeviceId,
        /// What the peer is asked for, at most [`MAX_NAME`] bytes.
        name: String,
        /// Why a connection is needed (`connType`, section 2.1), for mobile peers.
        reason: String,
    },
    /// Accept a channel of [`Event::Requested`].
    Accept {
        /// Which.
        channel: ChannelId,
    },
    /// Decline a channel of [`Event::Requested`].
    Decline {
        /// Which.
        channel: ChannelId,
    },
    /// Send bytes on an open channel, as one message if they are at most 65535. At most
    /// [`crate::WRITE_WINDOW`] bytes may be written and not yet [`Event::Sent`].
    Write {
        /// Which.
        channel: ChannelId,
        /// What.
        bytes: Bytes,
    },
    /// Bytes of [`Event::Data`] were used up: as many more may come.
    Consumed {
        /// Which.
        channel: ChannelId,
        /// How many.
        bytes: usize,
    },
    /// Close a channel after what was written to it, or give up opening it. No event
    /// follows.
    Close {
        /// Which.
        channel: ChannelId,
    },
    /// Hang up: close all links to a device.
    CloseDevice {
        /// Which.
        device: DeviceId,
    },
    /// Hang up: close all links to all devices of an account.
    CloseAccount {
        /// Which.
        account: AccountId,
    },
    /// Hang up: close all links to all devices, as before the end.
    CloseAll,
    /// Refuse these accounts (and no others), and hang up on them.
    SetBlocked(BTreeSet<AccountId>),
    /// The network may have changed: find out which links still live.
    Probe,
    /// The addresses of this host, the default one of each family first, loopback left out.
    SetAddresses(Vec<IpAddr>),
    /// A verified chain of a device, so that it need not be looked up.
    KnowCertificate(CertificateChain),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A peer asks for a channel: answer with [`Command::Accept`] or [`Command::Decline`].
    Requested {
        /// Its new name.
        channel: ChannelId,
        /// Who asks.
        peer: Peer,
        /// What for: not checked but for its length.
        name: String,
    },
    /// The peer accepted a channel.
    Opened {
        /// Which.
        channel: ChannelId,
        /// Who is at the other end.
        peer: Peer,
    },
    /// A channel was not opened.
    Failed {
        /// Which.
        channel: ChannelId,
        /// Why.
        reason: FailReason,
    },
    /// A message of the peer, never empty.
    Data {
        /// Where.
        channel: ChannelId,
        /// What.
        bytes: Bytes,
    },
    /// Bytes written earlier are on their way: as many more may be written.
    Sent {
        /// Where.
        channel: ChannelId,
        /// How many.
        bytes: usize,
    },
    /// The channel ended, by the peer or with its link.
    Closed {
        /// Which.
        channel: ChannelId,
    },
    /// There is a first live link to a device.
    LinkUp {
        /// Whose.
        peer: Peer,
    },
    /// The last live link to a device is gone.
    LinkDown {
        /// Whose.
        device: DeviceId,
        /// Why.
        reason: DownReason,
    },
    /// A request or answer with this id was treated: remember it over restarts and pass it
    /// to `Links::new`, so that it is never treated again (section 2.4).
    OfferSeen {
        /// The id.
        id: u64,
    },
}

/// Why a channel was not opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FailReason {
    /// The device did not answer on the DHT: it is offline, or does not want to.
    #[error("the device does not answer")]
    NoAnswer,
    /// No certificate of the device is known, nor found on the DHT.
    #[error("the certificate of the device cannot be found")]
    NoCertificate,
    /// It answered, but no TCP connection came about.
    #[error("no network path to the device works")]
    Unreachable,
    /// The peer is not the device it should be, or speaks no acceptable TLS.
    #[error("the secure connection failed: {0}")]
    Tls(String),
    /// The device does not want this channel.
    #[error("the device declined")]
    Declined,
    /// The link died before the channel was answered, twice.
    #[error("the connection was lost")]
    LinkLost,
    /// The account of the device is blocked here.
    #[error("the account is blocked")]
    Blocked,
    /// A limit of this node was reached.
    #[error("too many connections or channels at once")]
    TooMany,
}

/// Why the last link to a device ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DownReason {
    /// The peer closed it.
    #[error("closed by the device")]
    Peer,
    /// We did.
    #[error("closed here")]
    Local,
    /// It did not answer a beacon, or the connection broke.
    #[error("the connection was lost")]
    Lost,
    /// The peer broke the protocol.
    #[error("the device broke the protocol")]
    Protocol,
}

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// For the DHT; its events go to `Links::handle_dht`.
    Dht(baraza_dht::Command),
    /// For the TCP sockets; their events go to `Links::handle_tcp`.
    Tcp(TcpCommand),
    /// For the owner of the account.
    Event(Event),
}

/// What to do with TCP sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TcpCommand {
    /// Listen on all addresses of a family, on a port the system chooses.
    Listen {
        /// Its new name.
        listener: ListenerId,
        /// IPv6 only, or IPv4.
        v6: bool,
    },
    /// Stop listening. Accepted connections stay.
    CloseListener {
        /// Which.
        listener: ListenerId,
    },
    /// Connect, with Nagle's algorithm off.
    Connect {
        /// Its new name.
        conn: ConnId,
        /// Whereto.
        to: SocketAddr,
    },
    /// Send bytes; [`TcpEvent::Writable`] follows when the system took them.
    Write {
        /// Where.
        conn: ConnId,
        /// What.
        bytes: Bytes,
    },
    /// Close after what was written. No event follows.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// Do not read for now (`on`), or read again: the flow control of links.
    Pause {
        /// Which.
        conn: ConnId,
        /// Whether to stop.
        on: bool,
    },
}

/// What happened on TCP sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TcpEvent {
    /// A listener has its port.
    Listening {
        /// Which.
        listener: ListenerId,
        /// The port.
        port: u16,
    },
    /// A listener cannot be.
    ListenFailed {
        /// Which.
        listener: ListenerId,
    },
    /// Somebody connected.
    Accepted {
        /// Where.
        listener: ListenerId,
        /// Its new name.
        conn: ConnId,
        /// Our end.
        local: SocketAddr,
        /// Their end.
        remote: SocketAddr,
    },
    /// A connection is made.
    Connected {
        /// Which.
        conn: ConnId,
        /// Our end.
        local: SocketAddr,
    },
    /// A connection cannot be made; it is forgotten.
    ConnectFailed {
        /// Which.
        conn: ConnId,
    },
    /// Bytes of the peer.
    Received {
        /// Where.
        conn: ConnId,
        /// What.
        bytes: Bytes,
    },
    /// The system took bytes.
    Writable {
        /// Where.
        conn: ConnId,
        /// How many of those not reported yet.
        sent: usize,
    },
    /// The peer closed the connection, or it broke; it is forgotten.
    Closed {
        /// Which.
        conn: ConnId,
    },
}
