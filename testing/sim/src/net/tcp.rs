//! TCP as programs see it: connect, refuse, time out; ordered bytes with latency and
//! limited throughput; a bounded send buffer; loss shows as delay, a cut as silence.
//!
//! One connection has two ends. An end's bytes go `queued` (in the program's driver) →
//! `unsent` (in the kernel's send buffer) → `flight` (under way, each piece with the time
//! at which it arrives) and leave the buffer when the acknowledgement is back.

mod flow;
mod handshake;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

pub use baraza_link::{ConnId, ListenerId, TcpCommand, TcpEvent};

use super::{HostId, Input, Net};
use flow::{Flow, Piece};

/// Something that happens to a connection at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// A SYN leaves (again).
    SynLeaves(u32),
    SynArrives(u32),
    SynAckArrives(u32),
    /// No socket there, or no route.
    Refused(u32),
    /// The first piece under way from this side arrives.
    Arrives(u32, Side, u32),
    /// An acknowledgement for so many bytes comes back to this side.
    Acked(u32, Side, usize),
    /// This side tries again after silence.
    Retry(u32, Side, u32),
    /// A reset comes to this side.
    Reset(u32, Side),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Client => 0,
            Self::Server => 1,
        }
    }
}

#[derive(Debug)]
struct End {
    host: HostId,
    boot: u32,
    conn: ConnId,
    addr: SocketAddr,
    /// The program knows the connection and has neither closed it nor seen it closed.
    open: bool,
    /// What it sends.
    flow: Flow,
    /// The program does not read: what came waits in the kernel.
    paused: bool,
    held: VecDeque<Piece>,
    held_bytes: usize,
    /// Bytes that came when the receive buffer was full: acknowledged when they are read.
    unacked: usize,
}

#[derive(Debug)]
struct Conn {
    ends: [End; 2],
    /// Set when the SYN reached a listener.
    listener: Option<ListenerId>,
    /// SYNs sent so far.
    tries: u32,
    connected: bool,
    accepted: bool,
}

impl Conn {
    fn end(&mut self, side: Side) -> &mut End {
        &mut self.ends[side.index()]
    }

    fn finished(&self) -> bool {
        self.ends.iter().all(|end| !end.open && end.flow.is_idle())
    }
}

/// All connections and listeners.
#[derive(Debug, Default)]
pub(crate) struct Tcp {
    conns: BTreeMap<u32, Conn>,
    next: u32,
    names: BTreeMap<(HostId, ConnId), (u32, Side)>,
    listeners: BTreeMap<(HostId, u16), (ListenerId, bool)>,
    next_port: u16,
    next_accepted: u64,
}

const FIRST_PORT: u16 = 32768;

impl Net {
    /// Carries out what a program asks.
    pub(crate) fn tcp_command(
        &mut self,
        host: HostId,
        command: TcpCommand,
        inputs: &mut Vec<(HostId, Input)>,
    ) {
        match command {
            TcpCommand::Listen { listener, v6 } => {
                let event = match self.node(host).address(v6) {
                    Some(_) => {
                        let port = self.tcp.free_port();
                        self.tcp.listeners.insert((host, port), (listener, v6));
                        TcpEvent::Listening { listener, port }
                    }
                    None => TcpEvent::ListenFailed { listener },
                };
                inputs.push((host, Input::Tcp(event)));
            }
            TcpCommand::CloseListener { listener } => {
                let is_it = |at: &(HostId, u16), id: &ListenerId| at.0 == host && *id == listener;
                self.tcp.listeners.retain(|at, (id, _)| !is_it(at, id));
            }
            TcpCommand::Connect { conn, to } => self.tcp_connect(host, conn, to),
            TcpCommand::Write { conn, bytes } => self.tcp_write(host, conn, bytes, inputs),
            TcpCommand::Pause { conn, on } => self.tcp_pause(host, conn, on, inputs),
            TcpCommand::Close { conn } => {
                if let Some((id, side)) = self.tcp.names.remove(&(host, conn)) {
                    self.tcp_close(id, side, true, inputs);
                }
            }
        }
    }

    /// The program of a host is gone: the kernel closes its sockets (and sends what its
    /// buffers hold), or, without power, nobody does anything.
    pub(crate) fn tcp_host_gone(&mut self, host: HostId, power_lost: bool) {
        self.tcp.listeners.retain(|(at, _), _| *at != host);
        let all = (host, ConnId(0))..=(host, ConnId(u64::MAX));
        let names: Vec<_> = self.tcp.names.range(all).map(|(k, v)| (*k, *v)).collect();
        let mut nobody = Vec::new();
        for (name, (id, side)) in names {
            self.tcp.names.remove(&name);
            if let Some(conn) = self.tcp.conns.get_mut(&id) {
                conn.end(side).flow.forget_queue();
            }
            if !power_lost {
                self.tcp_close(id, side, false, &mut nobody);
            }
        }
        if power_lost {
            // Also those that the program had closed before, whose bytes were under way.
            for conn in self.tcp.conns.values_mut() {
                for end in &mut conn.ends {
                    if end.host == host {
                        end.open = false;
                        end.flow.clear();
                    }
                }
            }
            self.tcp.conns.retain(|_, conn| !conn.finished());
        }
    }

    pub(crate) fn tcp_step(&mut self, step: Step, inputs: &mut Vec<(HostId, Input)>) {
        match step {
            Step::SynLeaves(id) => self.syn_leaves(id, inputs),
            Step::SynArrives(id) => self.syn_arrives(id),
            Step::SynAckArrives(id) => self.syn_ack_arrives(id, inputs),
            Step::Refused(id) => self.connect_failed(id, inputs),
            Step::Arrives(id, side, epoch) => self.piece_arrives(id, side, epoch, inputs),
            Step::Acked(id, side, len) => self.acked(id, side, len, inputs),
            Step::Retry(id, side, epoch) => self.retry(id, side, epoch, inputs),
            Step::Reset(id, side) => {
                self.end_closed(id, side, inputs);
                self.tcp_sweep(id);
            }
        }
    }

    /// Tells a program that its end is gone, and forgets what it had to send.
    fn end_closed(&mut self, id: u32, side: Side, inputs: &mut Vec<(HostId, Input)>) {
        let Some(conn) = self.tcp.conns.get_mut(&id) else {
            return;
        };
        let end = conn.end(side);
        end.flow.clear();
        end.held.clear();
        if std::mem::take(&mut end.open) {
            let (host, name) = (end.host, end.conn);
            self.tcp.names.remove(&(host, name));
            if self.node(host).boot == self.tcp.conns[&id].ends[side.index()].boot {
                inputs.push((host, Input::Tcp(TcpEvent::Closed { conn: name })));
            }
        }
    }

    /// Forgets a connection that neither side knows any more.
    fn tcp_sweep(&mut self, id: u32) {
        if self.tcp.conns.get(&id).is_some_and(Conn::finished) {
            self.tcp.conns.remove(&id);
        }
    }

    /// Whether packets get from one end to the other: cables, power, and both hosts still
    /// having the addresses of the connection.
    fn ends_connected(&self, conn: &Conn) -> bool {
        let [a, b] = &conn.ends;
        self.connected(a.host, b.host)
            && self.node(a.host).has(a.addr.ip())
            && self.node(b.host).has(b.addr.ip())
    }

    /// Connections that exist, half-closed ones too.
    pub fn tcp_connections(&self) -> usize {
        self.tcp.conns.len()
    }
}

impl Tcp {
    fn free_port(&mut self) -> u16 {
        self.next_port = self.next_port.wrapping_add(1).max(FIRST_PORT);
        self.next_port
    }
}
