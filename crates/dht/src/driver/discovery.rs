//! Runs a [`Discovery`] beside a node: finds the nodes of the local network for it, and says
//! and hears what the program says there of itself.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use baraza_wire::Rng;
use bytes::Bytes;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};

use super::DhtHandle;
use crate::discovery::{
    Announcement, DHT, Destination, Discovery, GROUP_V4, GROUP_V6, MAX_DATAGRAM, NodeService,
    Output, PORT, Packet,
};

/// Announcements that wait to be looked at; more are dropped.
const QUEUE: usize = 64;

/// What somebody in the local network announced, without the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Who.
    pub from: SocketAddr,
    /// The services.
    pub announcement: Announcement,
}

/// A running discovery; it ends when this is dropped.
#[derive(Debug)]
pub struct LocalNetwork {
    announced: watch::Sender<Vec<Announcement>>,
}

impl LocalNetwork {
    /// Begins to announce the node and to look for others, whose addresses it is given.
    /// `own` lists the addresses of this host.
    ///
    /// # Errors
    /// If the port cannot be shared with others, or there is no such network.
    pub fn start(
        node: DhtHandle,
        network: u32,
        own: fn() -> Vec<IpAddr>,
    ) -> io::Result<(Self, mpsc::Receiver<Heard>)> {
        let sockets = Sockets::bind()?;
        let (announced, announcements) = watch::channel(Vec::new());
        let (heard, queue) = mpsc::channel(QUEUE);
        let task = Task {
            machine: Discovery::new(Instant::now(), Rng::from_os()),
            node,
            network,
            own,
            sockets,
            announcements,
            heard,
        };
        tokio::spawn(task.run());
        Ok((Self { announced }, queue))
    }

    /// What the program says of itself from now on, beside the node.
    pub fn announce(&self, announcements: Vec<Announcement>) {
        self.announced.send_replace(announcements);
    }
}

struct Task {
    machine: Discovery,
    node: DhtHandle,
    network: u32,
    own: fn() -> Vec<IpAddr>,
    sockets: Sockets,
    announcements: watch::Receiver<Vec<Announcement>>,
    heard: mpsc::Sender<Heard>,
}

impl Task {
    async fn run(mut self) {
        self.announce();
        let (mut v4, mut v6) = (vec![0; MAX_DATAGRAM + 1], vec![0; MAX_DATAGRAM + 1]);
        loop {
            while let Some(output) = self.machine.poll_output() {
                match output {
                    Output::Transmit { to, packet } => self.transmit(to, &packet).await,
                    Output::Heard { from, announcement } => {
                        if !self.take(from, announcement).await {
                            return;
                        }
                    }
                }
            }
            let due = self.machine.poll_timeout().into();
            tokio::select! {
                changed = self.announcements.changed() => match changed {
                    Ok(()) => self.announce(),
                    Err(_) => return,
                },
                (from, bytes) = receive(self.sockets.ipv4.as_ref(), &mut v4) => {
                    self.machine.handle_datagram(Instant::now(), from, bytes);
                }
                (from, bytes) = receive(self.sockets.ipv6.as_ref(), &mut v6) => {
                    self.machine.handle_datagram(Instant::now(), from, bytes);
                }
                () = tokio::time::sleep_until(due) => {
                    let own = (self.own)();
                    self.sockets.join(&own);
                    self.machine.set_own(own);
                    self.machine.handle_timeout(Instant::now());
                }
            }
        }
    }

    fn announce(&mut self) {
        let bound = self.node.addresses();
        let port = bound
            .ipv4
            .or(bound.ipv6)
            .map_or(0, |address| address.port());
        let mut all = vec![self.of_node(port)];
        all.extend(self.announcements.borrow_and_update().iter().cloned());
        self.machine.announce(Instant::now(), all);
    }

    fn of_node(&self, port: u16) -> Announcement {
        let service = NodeService {
            id: self.node.id(),
            port,
            network: self.network,
        };
        Announcement(BTreeMap::from([(DHT.to_owned(), service.encode())]))
    }

    /// Looks at an announcement; false if nobody wants more of them.
    async fn take(&self, from: SocketAddr, mut announcement: Announcement) -> bool {
        if let Some(payload) = announcement.0.remove(DHT) {
            match NodeService::decode(&payload) {
                Err(error) => tracing::debug!(%from, %error, "not the announcement of a node"),
                Ok(node) if node.network != self.network || node.id == self.node.id() => {}
                Ok(node) => {
                    let addr = SocketAddr::new(from.ip(), node.port);
                    if node.port != 0 && self.node.meet(addr).await.is_err() {
                        return false;
                    }
                }
            }
        }
        if announcement.0.is_empty() {
            return !self.heard.is_closed();
        }
        let heard = Heard { from, announcement };
        !matches!(
            self.heard.try_send(heard),
            Err(mpsc::error::TrySendError::Closed(_))
        )
    }

    async fn transmit(&self, to: Destination, packet: &Packet) {
        let sent = match to {
            Destination::One(to) => {
                let bytes = self.bytes(packet, to.is_ipv4());
                let socket = match to {
                    SocketAddr::V4(_) => &self.sockets.ipv4,
                    SocketAddr::V6(_) => &self.sockets.ipv6,
                };
                match socket {
                    Some(socket) => socket.send_to(&bytes, to).await.map(drop),
                    None => Ok(()),
                }
            }
            Destination::Group => {
                self.sockets.to_group(&self.bytes(packet, true), true).await;
                self.sockets
                    .to_group(&self.bytes(packet, false), false)
                    .await;
                Ok(())
            }
        };
        if let Err(error) = sent {
            tracing::debug!(%error, ?to, "cannot send to the local network");
        }
    }

    /// The node may have another port in each family.
    fn bytes(&self, packet: &Packet, ipv4: bool) -> Bytes {
        let bound = self.node.addresses();
        let port = if ipv4 { bound.ipv4 } else { bound.ipv6 };
        match (packet, port) {
            (Packet::Announcement(Announcement(services)), Some(port))
                if services.contains_key(DHT) =>
            {
                Packet::Announcement(self.of_node(port.port())).encode()
            }
            _ => packet.encode(),
        }
    }
}

/// Sockets that share the port with other programs of this host.
struct Sockets {
    ipv4: Option<UdpSocket>,
    ipv6: Option<UdpSocket>,
    /// The interfaces that were joined, by an address or a number.
    joined_v4: Vec<Ipv4Addr>,
    joined_v6: Vec<u32>,
}

impl Sockets {
    fn bind() -> io::Result<Self> {
        let ipv6 = bind((Ipv6Addr::UNSPECIFIED, PORT).into());
        let ipv4 = bind((Ipv4Addr::UNSPECIFIED, PORT).into());
        let (ipv4, ipv6) = match (ipv4, ipv6) {
            (Err(error), Err(_)) => return Err(error),
            (ipv4, ipv6) => (ipv4.ok(), ipv6.ok()),
        };
        Ok(Self {
            ipv4,
            ipv6,
            joined_v4: Vec::new(),
            joined_v6: Vec::new(),
        })
    }

    /// Joins the groups on interfaces that are new, and forgets those that are gone.
    fn join(&mut self, own: &[IpAddr]) {
        let mut v4: Vec<Ipv4Addr> = own
            .iter()
            .filter_map(|ip| match ip {
                IpAddr::V4(ip) => Some(*ip),
                IpAddr::V6(_) => None,
            })
            .collect();
        if let Some(socket) = &self.ipv4 {
            v4.retain(|ip| {
                self.joined_v4.contains(ip)
                    || joined(SockRef::from(socket).join_multicast_v4(&GROUP_V4, ip))
            });
            self.joined_v4 = v4;
        }
        if let Some(socket) = &self.ipv6 {
            let list = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
            let mut v6 = interfaces(&list);
            v6.retain(|number| {
                self.joined_v6.contains(number)
                    || joined(SockRef::from(socket).join_multicast_v6(&GROUP_V6, *number))
            });
            self.joined_v6 = v6;
        }
    }

    /// Sends to a group on every interface.
    async fn to_group(&self, bytes: &[u8], ipv4: bool) {
        if let Some(socket) = self.ipv4.as_ref().filter(|_| ipv4) {
            for ip in &self.joined_v4 {
                let sent = match SockRef::from(socket).set_multicast_if_v4(ip) {
                    Ok(()) => socket.send_to(bytes, (GROUP_V4, PORT)).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = sent {
                    tracing::debug!(%error, interface = %ip, "cannot send to the local network");
                }
            }
        }
        if let Some(socket) = self.ipv6.as_ref().filter(|_| !ipv4) {
            for number in &self.joined_v6 {
                let sent = match SockRef::from(socket).set_multicast_if_v6(*number) {
                    Ok(()) => socket.send_to(bytes, (GROUP_V6, PORT)).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = sent {
                    tracing::debug!(%error, interface = number, "cannot send to the local network");
                }
            }
        }
    }
}

/// Two addresses of one interface join it once.
fn joined(result: io::Result<()>) -> bool {
    match result {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => true,
        Err(error) => {
            tracing::debug!(%error, "cannot join the group of the local network");
            false
        }
    }
}

/// The numbers of the interfaces with IPv6, but loopback, as Linux lists them.
fn interfaces(list: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = list
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let loopback = words.next()? == "00000000000000000000000000000001";
            let number = u32::from_str_radix(words.next()?, 16).ok()?;
            (!loopback).then_some(number)
        })
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Daemons on the same host do the same, and all hear what is sent to the group.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

async fn receive<'a>(socket: Option<&UdpSocket>, buffer: &'a mut [u8]) -> (SocketAddr, &'a [u8]) {
    let Some(socket) = socket else {
        return std::future::pending().await;
    };
    loop {
        match socket.recv_from(buffer).await {
            Ok((length, from)) => return (from, buffer.get(..length).unwrap_or_default()),
            // What an earlier datagram of ours met on its way.
            Err(error) => tracing::debug!(%error, "cannot receive from the local network"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_interfaces_is_read() {
        let list = "00000000000000000000000000000001 01 80 10 80       lo\n\
            fe800000000000000000000000000002 0a 40 20 80     eth0\n\
            fd000000000000000000000000000002 0a 40 00 82     eth0\n\
            fe800000000000000000000000000003 03 40 20 80     eth1\nnonsense\n";
        assert_eq!(interfaces(list), [3, 10]);
    }
}
