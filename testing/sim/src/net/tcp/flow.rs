//! One direction of an open connection.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::{ConnId, Side, Step, TcpEvent};
use crate::net::path::TCP_OVERHEAD;
use crate::net::{Event, HostId, Input, Net, Path};
use crate::time::Time;

/// The kernel's send buffer.
pub(super) const SEND_BUFFER: usize = 256 * 1024;
/// What the kernel keeps for a program that does not read, before it stops the sender.
const RECEIVE_BUFFER: usize = 256 * 1024;
/// Packets that travel as one piece, to save events.
const PIECE_PACKETS: usize = 8;
/// First congestion window, in packets (RFC 6928), and the largest, in bytes.
const FIRST_WINDOW: usize = 10;
const MAX_WINDOW: usize = 4 * 1024 * 1024;
/// Least and greatest wait before sending again, and when a sender gives up (Linux:
/// `tcp_retries2` = 15, about 15 minutes).
const MIN_RTO: Duration = Duration::from_millis(200);
const MAX_RTO: Duration = Duration::from_secs(120);
const GIVE_UP: Duration = Duration::from_secs(924);

#[derive(Debug)]
pub(super) enum Piece {
    /// The end of the handshake.
    Handshake,
    Data(Bytes),
    Fin,
}

impl Piece {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Data(bytes) => bytes.len(),
            Self::Fin | Self::Handshake => 0,
        }
    }
}

#[derive(Debug)]
pub(super) struct Flow {
    /// In the driver: the kernel's buffer is full.
    queued: VecDeque<Bytes>,
    /// In the kernel's buffer, not yet sent: the window is full.
    unsent: VecDeque<Piece>,
    flight: VecDeque<(Piece, Time)>,
    /// Bytes in the kernel's buffer: unsent, under way, or not yet acknowledged.
    kernel: usize,
    /// Bytes sent and not acknowledged.
    outstanding: usize,
    window: usize,
    threshold: usize,
    closing: bool,
    silent_since: Option<Time>,
    rto: Duration,
    /// Counts what makes scheduled arrivals void.
    epoch: u32,
    scheduled: bool,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            queued: VecDeque::new(),
            unsent: VecDeque::new(),
            flight: VecDeque::new(),
            kernel: 0,
            outstanding: 0,
            window: FIRST_WINDOW * 1448,
            threshold: usize::MAX,
            closing: false,
            silent_since: None,
            rto: MIN_RTO,
            epoch: 0,
            scheduled: false,
        }
    }
}

impl Flow {
    pub(super) fn is_idle(&self) -> bool {
        self.queued.is_empty() && self.unsent.is_empty() && self.flight.is_empty()
    }

    pub(super) fn forget_queue(&mut self) {
        self.queued.clear();
    }

    pub(super) fn handshake(&mut self) {
        self.unsent.push_back(Piece::Handshake);
    }

    pub(super) fn clear(&mut self) {
        *self = Self {
            epoch: self.epoch.wrapping_add(1),
            closing: true,
            ..Self::default()
        };
    }

    /// Moves bytes from the driver into the kernel's buffer; says how many.
    fn take_in(&mut self) -> usize {
        let mut taken = 0;
        while self.kernel < SEND_BUFFER {
            let Some(mut bytes) = self.queued.pop_front() else {
                break;
            };
            let room = SEND_BUFFER - self.kernel;
            if bytes.len() > room {
                self.queued.push_front(bytes.split_off(room));
            }
            self.kernel += bytes.len();
            taken += bytes.len();
            // Small writes travel together, as with Nagle's algorithm or a busy socket.
            self.unsent.push_back(Piece::Data(bytes));
        }
        if self.closing && self.queued.is_empty() && self.kernel < SEND_BUFFER {
            self.closing = false;
            self.unsent.push_back(Piece::Fin);
        }
        taken
    }

    /// The next piece that may be sent now.
    fn next_piece(&mut self, packet: usize) -> Option<Piece> {
        if self.outstanding > 0 && self.outstanding >= self.window {
            return None;
        }
        let piece = self.unsent.pop_front()?;
        let Piece::Data(mut bytes) = piece else {
            return Some(piece);
        };
        let most = packet * PIECE_PACKETS;
        if bytes.len() > most {
            self.unsent.push_front(Piece::Data(bytes.split_off(most)));
        } else {
            // Fill up with what follows.
            let mut joined: Option<Vec<u8>> = None;
            while let Some(Piece::Data(next)) = self.unsent.front() {
                let so_far = joined.as_ref().map_or(bytes.len(), Vec::len);
                if so_far + next.len() > most {
                    break;
                }
                joined
                    .get_or_insert_with(|| bytes.to_vec())
                    .extend_from_slice(next);
                self.unsent.pop_front();
            }
            if let Some(joined) = joined {
                bytes = joined.into();
            }
        }
        Some(Piece::Data(bytes))
    }
}

impl Net {
    pub(super) fn tcp_write(
        &mut self,
        host: HostId,
        name: ConnId,
        bytes: Bytes,
        inputs: &mut Vec<(HostId, Input)>,
    ) {
        let Some((id, side)) = self.tcp.names.get(&(host, name)).copied() else {
            return;
        };
        let Some(conn) = self.tcp.conns.get_mut(&id) else {
            return;
        };
        let flow = &mut conn.end(side).flow;
        if bytes.is_empty() || flow.closing {
            return;
        }
        flow.queued.push_back(bytes);
        self.take_in(id, side, inputs);
    }

    /// Closes an end from its own side: what it holds is still sent, then a FIN. With
    /// `drain`, also what the driver has queued.
    pub(super) fn tcp_close(
        &mut self,
        id: u32,
        side: Side,
        drain: bool,
        inputs: &mut Vec<(HostId, Input)>,
    ) {
        let Some(conn) = self.tcp.conns.get_mut(&id) else {
            return;
        };
        let connected = conn.connected;
        let end = conn.end(side);
        end.open = false;
        if !drain {
            end.flow.forget_queue();
        }
        if connected {
            end.flow.closing = true;
            self.take_in(id, side, inputs);
        }
        self.tcp_sweep(id);
    }

    fn take_in(&mut self, id: u32, side: Side, inputs: &mut Vec<(HostId, Input)>) {
        let Some(conn) = self.tcp.conns.get_mut(&id) else {
            return;
        };
        if !conn.connected {
            return;
        }
        let end = conn.end(side);
        let sent = end.flow.take_in();
        if sent > 0 && end.open {
            let event = TcpEvent::Writable {
                conn: end.conn,
                sent,
            };
            inputs.push((end.host, Input::Tcp(event)));
        }
        self.pump(id, side);
    }

    /// Sends what the window allows.
    pub(super) fn pump(&mut self, id: u32, side: Side) {
        let Some(conn) = self.tcp.conns.get(&id) else {
            return;
        };
        let (src, dst) = (
            conn.ends[side.index()].host,
            conn.ends[side.other().index()].host,
        );
        let path = self.path(src, dst);
        let packet = path.mtu.saturating_sub(TCP_OVERHEAD).max(256);
        loop {
            let Some(conn) = self.tcp.conns.get_mut(&id) else {
                return;
            };
            let flow = &mut conn.end(side).flow;
            if flow.silent_since.is_some() {
                return;
            }
            let Some(piece) = flow.next_piece(packet) else {
                break;
            };
            let len = piece.len();
            flow.outstanding += len;
            self.nodes[src.index()].traffic.tcp_out += len as u64;
            let arrives = self.arrival(&path, src, dst, len, packet);
            let (arrives, lost) = arrives;
            let Some(conn) = self.tcp.conns.get_mut(&id) else {
                return;
            };
            let flow = &mut conn.end(side).flow;
            if lost {
                flow.threshold = (flow.window / 2).max(2 * packet);
                flow.window = flow.threshold;
            }
            let after = flow.flight.back().map_or(Time::ZERO, |(_, at)| *at);
            flow.flight.push_back((piece, arrives.max(after)));
        }
        self.schedule_arrival(id, side);
    }

    /// When a piece that is sent now arrives, with all its retransmissions, and whether
    /// there were any.
    fn arrival(
        &mut self,
        path: &Path,
        src: HostId,
        dst: HostId,
        len: usize,
        packet: usize,
    ) -> (Time, bool) {
        let packets = len.div_ceil(packet).max(1);
        let wire = (len + packets * TCP_OVERHEAD) as u64;
        let leaves = self.serialize(src, dst, wire, false).unwrap_or(self.now);
        let mut delay = path.delay(leaves);
        let mut wait = (path.latency * 2).max(Duration::from_millis(20));
        let mut lost = false;
        while path.loses(if lost { 1 } else { packets }, &mut self.rng) {
            // The first loss is mostly noticed by duplicate acknowledgements after one
            // round trip, later ones by ever longer timeouts.
            lost = true;
            delay += wait;
            wait = (wait * 2).max(MIN_RTO).min(MAX_RTO);
        }
        (leaves + delay, lost)
    }

    fn schedule_arrival(&mut self, id: u32, side: Side) {
        let Some(conn) = self.tcp.conns.get_mut(&id) else {
            return;
        };
        let flow = &mut conn.end(side).flow;
        if flow.scheduled {
            return;
        }
        if let Some((_, at)) = flow.flight.front() {
            flow.scheduled = true;
            let step = Step::Arrives(id, side, flow.epoch);
            self.queue.push(*at, Event::Tcp(step));
        }
    }

    pub(super) fn piece_arrives(
        &mut self,
        id: u32,
        side: Side,
        epoch: u32,
        inputs: &mut Vec<(HostId, Input)>,
    ) {
        let Some(conn) = self.tcp.conns.get(&id) else {
            return;
        };
        let reachable = self.ends_connected(conn);
        let receiver = &conn.ends[side.other().index()];
        let same_boot = self.node(receiver.host).boot == receiver.boot;
        let back = self.path(receiver.host, conn.ends[side.index()].host);
        let back = self.now + back.delay(self.now);
        let Some(conn) = self.tcp.conns.get_mut(&id) else {
            return;
        };
        let flow = &mut conn.end(side).flow;
        if flow.epoch != epoch {
            return;
        }
        flow.scheduled = false;
        if !reachable {
            self.fall_silent(id, side);
            return;
        }
        let Some((piece, _)) = flow.flight.pop_front() else {
            return;
        };
        // The host is there, but not the socket: it answers with a reset.
        let known = same_boot && {
            let first = side == Side::Client && !conn.accepted;
            if first {
                self.accept(id, inputs)
            } else {
                conn.end(side.other()).open
            }
        };
        if !known {
            self.tcp_refuse(id, side, back);
            return;
        }
        let Some(conn) = self.tcp.conns.get_mut(&id) else {
            return;
        };
        let receiver = conn.end(side.other());
        if receiver.paused && !matches!(piece, Piece::Handshake) {
            receiver.held_bytes += piece.len();
            if receiver.held_bytes > RECEIVE_BUFFER {
                receiver.unacked += piece.len();
            } else {
                let step = Step::Acked(id, side, piece.len());
                self.queue.push(back, Event::Tcp(step));
            }
            receiver.held.push_back(piece);
        } else {
            let step = Step::Acked(id, side, piece.len());
            if piece.len() > 0 {
                self.queue.push(back, Event::Tcp(step));
            }
            self.hand_over(id, side.other(), piece, inputs);
        }
        self.schedule_arrival(id, side);
        self.tcp_sweep(id);
    }

    /// The program of an end gets what came.
    fn hand_over(&mut self, id: u32, side: Side, piece: Piece, inputs: &mut Vec<(HostId, Input)>) {
        let Some(conn) = self.tcp.conns.get_mut(&id) else {
            return;
        };
        let (host, name) = (conn.end(side).host, conn.end(side).conn);
        let words = [2, u64::from(host.0), name.0, piece.len() as u64];
        match piece {
            Piece::Handshake => {}
            Piece::Data(bytes) => {
                let payload: &[u8] = if self.trace_payloads { &bytes } else { &[] };
                self.trace.record(self.now, &words, payload);
                let event = TcpEvent::Received { conn: name, bytes };
                inputs.push((host, Input::Tcp(event)));
            }
            Piece::Fin => {
                self.trace.record(self.now, &words, &[]);
                self.end_closed(id, side, inputs);
            }
        }
    }

    pub(super) fn tcp_pause(
        &mut self,
        host: HostId,
        name: ConnId,
        on: bool,
        inputs: &mut Vec<(HostId, Input)>,
    ) {
        let Some((id, side)) = self.tcp.names.get(&(host, name)).copied() else {
            return;
        };
        let Some(conn) = self.tcp.conns.get_mut(&id) else {
            return;
        };
        let sender = conn.end(side.other()).host;
        let end = conn.end(side);
        end.paused = on;
        if on {
            return;
        }
        let held = std::mem::take(&mut end.held);
        let unacked = std::mem::take(&mut end.unacked);
        end.held_bytes = 0;
        for piece in held {
            self.hand_over(id, side, piece, inputs);
        }
        if unacked > 0 {
            let back = self.now + self.path(host, sender).delay(self.now);
            let step = Step::Acked(id, side.other(), unacked);
            self.queue.push(back, Event::Tcp(step));
        }
        self.tcp_sweep(id);
    }

    /// What an end sent meets no socket: everything it sends is void, and it hears a reset.
    fn tcp_refuse(&mut self, id: u32, side: Side, at: Time) {
        if let Some(conn) = self.tcp.conns.get_mut(&id) {
            conn.end(side).flow.clear();
        }
        self.queue.push(at, Event::Tcp(Step::Reset(id, side)));
        self.tcp_sweep(id);
    }

    pub(super) fn acked(
        &mut self,
        id: u32,
        side: Side,
        len: usize,
        inputs: &mut Vec<(HostId, Input)>,
    ) {
        let Some(conn) = self.tcp.conns.get_mut(&id) else {
            return;
        };
        let flow = &mut conn.end(side).flow;
        flow.kernel = flow.kernel.saturating_sub(len);
        flow.outstanding = flow.outstanding.saturating_sub(len);
        flow.window = if flow.window < flow.threshold {
            flow.window + len
        } else {
            flow.window + 1448 * len / flow.window.max(1)
        }
        .min(MAX_WINDOW);
        self.take_in(id, side, inputs);
        self.tcp_sweep(id);
    }

    fn fall_silent(&mut self, id: u32, side: Side) {
        let now = self.now;
        let Some(conn) = self.tcp.conns.get_mut(&id) else {
            return;
        };
        let flow = &mut conn.end(side).flow;
        flow.silent_since.get_or_insert(now);
        flow.epoch = flow.epoch.wrapping_add(1);
        let step = Step::Retry(id, side, flow.epoch);
        let at = now + flow.rto;
        flow.rto = (flow.rto * 2).min(MAX_RTO);
        self.queue.push(at, Event::Tcp(step));
    }

    pub(super) fn retry(
        &mut self,
        id: u32,
        side: Side,
        epoch: u32,
        inputs: &mut Vec<(HostId, Input)>,
    ) {
        let Some(conn) = self.tcp.conns.get(&id) else {
            return;
        };
        let reachable = self.ends_connected(conn);
        let (src, dst) = (
            conn.ends[side.index()].host,
            conn.ends[side.other().index()].host,
        );
        let path = self.path(src, dst);
        let packet = path.mtu.saturating_sub(TCP_OVERHEAD).max(256);
        let now = self.now;
        let Some(conn) = self.tcp.conns.get_mut(&id) else {
            return;
        };
        let flow = &mut conn.end(side).flow;
        if flow.epoch != epoch {
            return;
        }
        let silent = flow.silent_since.map_or(Duration::ZERO, |at| now - at);
        if silent >= GIVE_UP {
            self.end_closed(id, side, inputs);
            self.tcp_sweep(id);
            return;
        }
        if !reachable {
            self.fall_silent(id, side);
            return;
        }
        flow.silent_since = None;
        flow.rto = MIN_RTO;
        flow.window = FIRST_WINDOW * packet;
        let flight = std::mem::take(&mut flow.flight);
        let mut again = VecDeque::with_capacity(flight.len());
        let mut after = Time::ZERO;
        for (piece, _) in flight {
            let (at, _) = self.arrival(&path, src, dst, piece.len(), packet);
            after = after.max(at);
            again.push_back((piece, after));
        }
        if let Some(conn) = self.tcp.conns.get_mut(&id) {
            conn.end(side).flow.flight = again;
        }
        self.schedule_arrival(id, side);
        self.pump(id, side);
    }
}
