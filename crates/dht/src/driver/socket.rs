//! The UDP sockets of a node.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};

use baraza_wire::Rng;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::{BoundAddresses, DriverConfig, DriverError, JAMI_PORTS, Port};
use crate::message::MAX_DATAGRAM;

/// Fragments come in bursts of up to fifty, from several nodes at once.
const RECEIVE_BUFFER: usize = 1024 * 1024;
/// How many of Jami's ports to try.
const PORT_TRIES: usize = 32;

thread_local! {
    /// One buffer for all nodes of a thread. It is never filled with zeros: most datagrams are
    /// short, and the pages that no datagram reaches take no memory.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(MAX_DATAGRAM));
}

/// Up to one socket for each family.
pub(super) struct Sockets {
    pub(super) ipv4: Option<UdpSocket>,
    pub(super) ipv6: Option<UdpSocket>,
}

impl Sockets {
    pub(super) fn bind(config: &DriverConfig, rng: &mut Rng) -> Result<Self, DriverError> {
        let ports: Vec<u16> = match config.port {
            Port::Any => vec![0],
            Port::Fixed(port) => vec![port],
            Port::Jami => (0..PORT_TRIES)
                .filter_map(|_| u16::try_from(rng.range(JAMI_PORTS)).ok())
                .collect(),
        };
        let ipv4 = match config.ipv4 {
            Some(ip) => Some(first_free(ip.into(), &ports)?),
            None => None,
        };
        let mut ipv6 = None;
        if let Some(ip) = config.ipv6 {
            // The same number as for IPv4 if possible (section 1).
            let same = ipv4
                .as_ref()
                .and_then(|socket| socket.local_addr().ok())
                .map(|address| address.port());
            let mut wanted: Vec<u16> = same.into_iter().collect();
            wanted.extend(&ports);
            match first_free(ip.into(), &wanted) {
                Ok(socket) => ipv6 = Some(socket),
                Err(error) if ipv4.is_none() => return Err(error),
                Err(error) => tracing::debug!(%error, "no IPv6"),
            }
        }
        if ipv4.is_none() && ipv6.is_none() {
            return Err(DriverError::NoFamily);
        }
        Ok(Self { ipv4, ipv6 })
    }

    pub(super) fn addresses(&self) -> BoundAddresses {
        let address = |socket: &Option<UdpSocket>| socket.as_ref()?.local_addr().ok();
        BoundAddresses {
            ipv4: address(&self.ipv4),
            ipv6: address(&self.ipv6),
        }
    }

    pub(super) fn to(&self, address: SocketAddr) -> Option<&UdpSocket> {
        if address.is_ipv4() {
            self.ipv4.as_ref()
        } else {
            self.ipv6.as_ref()
        }
    }
}

fn first_free(ip: IpAddr, ports: &[u16]) -> Result<UdpSocket, DriverError> {
    let mut last = None;
    for port in ports {
        let address = SocketAddr::new(ip, *port);
        match bind(address) {
            Ok(socket) => return Ok(socket),
            Err(source) => last = Some(DriverError::Bind { address, source }),
        }
    }
    Err(last.unwrap_or(DriverError::NoFamily))
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The system may allow less.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// Receives a datagram if there is one, and hands it on.
pub(super) fn receive(socket: &UdpSocket, take: impl FnOnce(SocketAddr, &[u8])) -> io::Result<()> {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        let (_, from) = socket.try_recv_buf_from(buffer)?;
        take(from, buffer);
        Ok(())
    })
}
