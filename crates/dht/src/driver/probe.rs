//! Asks a node whether it is there, from a socket of its own: what a node that is to be joined
//! through, or this one itself, says to a stranger.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use baraza_wire::{InfoHash, Rng};
use tokio::net::UdpSocket;

use crate::engine::AGENT;
use crate::message::{Envelope, Kind, MAX_DATAGRAM, Packet, canonical};

/// How often the question is sent: datagrams get lost.
const TRIES: u32 = 3;

/// A node's answer to a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pong {
    /// Its id.
    pub id: InfoHash,
    /// How long it took to answer.
    pub after: Duration,
    /// From where it saw the question.
    pub seen_as: Option<IpAddr>,
}

/// Asks the node at `to` of the network `network`, for `patience` at most. `None`: no answer.
///
/// # Errors
/// If there is no socket to ask from, or no way to the address.
pub async fn probe(to: SocketAddr, network: u32, patience: Duration) -> io::Result<Option<Pong>> {
    let from: IpAddr = match to.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => ip.into(),
        IpAddr::V6(ip) if ip.is_loopback() => ip.into(),
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((from, 0)).await?;
    let mut rng = Rng::from_os();
    let envelope = Envelope {
        id: InfoHash::new(rng.bytes()),
        network,
        // Gone in a moment: nobody is to be sent here.
        client: true,
        agent: AGENT,
    };
    let tid = rng.u32();
    let question = envelope.ping(tid);
    let each = patience.checked_div(TRIES).unwrap_or(patience);
    let begun = Instant::now();
    for _ in 0..TRIES {
        socket.send_to(&question, to).await?;
        if let Ok(answer) = tokio::time::timeout(each, answer(&socket, to, tid, begun)).await {
            return answer.map(Some);
        }
    }
    Ok(None)
}

/// Waits for the answer; everything else that comes is left out.
async fn answer(socket: &UdpSocket, to: SocketAddr, tid: u32, begun: Instant) -> io::Result<Pong> {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await?;
        let bytes = buffer.get(..length).unwrap_or_default();
        let Ok(packet) = Packet::decode(bytes) else {
            continue;
        };
        if canonical(from) == canonical(to) && packet.kind == Kind::Reply && packet.tid == tid {
            return Ok(Pong {
                id: packet.id,
                after: begun.elapsed(),
                seen_as: packet.address,
            });
        }
    }
}
