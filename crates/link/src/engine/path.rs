//! The way of bytes: TCP, ICE, TLS, channels, and back.

use std::time::Duration;

use baraza_identity::PublicKey;
use baraza_wire::Now;
use bytes::{Bytes, BytesMut};
use tracing::{debug, info, warn};

use super::attempt::{Attempt, AttemptId, Pause, Phase, Up};
use super::{Links, later};
use crate::api::{ConnId, DownReason, Event, FailReason, TcpCommand};
use crate::framing::put_frame;
use crate::ice::{Agent, AgentOutput};
use crate::mux::{Mux, MuxError};
use crate::tls::{MAX_RECORD, Session, Side, TlsError};

/// How long a TLS handshake may take (section 2.3).
const TLS_TIMEOUT: Duration = Duration::from_secs(40);
/// Most bytes of a link that wait in the socket: what is there cannot be overtaken.
const HIGH_WATER: usize = 256 * 1024;
/// What a record and a frame add to plaintext, rounded up.
const RECORD_OVERHEAD: usize = 32;
/// So many unread bytes of a link stop the reading of its socket ...
const PAUSE_ABOVE: usize = 4 << 20;
/// ... until so many are left ...
const RESUME_BELOW: usize = 2 << 20;
/// ... but no longer than this: beacons must be answered within three seconds. Then ...
const LONGEST_PAUSE: Duration = Duration::from_millis(1500);
/// ... so much more is read before the next pause: a reader that only stalls for some
/// seconds does not lose its channel.
const STEP: usize = 512 * 1024;

/// Why a link or the way to it ended.
enum End {
    /// By the peer, as it should.
    Closed,
    Tls(TlsError),
    Mux(MuxError),
}

impl Links {
    /// Lets the agent of a connection know something.
    pub(super) fn with_agent(&mut self, now: Now, conn: ConnId, tell: impl FnOnce(&mut Agent)) {
        let id = if conn.is_accepted() {
            self.accepted.get(&conn).copied()
        } else {
            Some(AttemptId::of_dialled(conn))
        };
        let Some((id, attempt)) =
            id.and_then(|id| self.attempts.get_mut(&id).map(|attempt| (id, attempt)))
        else {
            return;
        };
        tell(&mut attempt.agent);
        self.drain_agent(now, id);
    }

    /// Does what the agent of an attempt wants.
    pub(super) fn drain_agent(&mut self, now: Now, id: AttemptId) {
        let mut received = false;
        while let Some(attempt) = self.attempts.get_mut(&id) {
            let Some(output) = attempt.agent.poll_output() else {
                break;
            };
            match output {
                AgentOutput::Connect { conn, to } => self.tcp(TcpCommand::Connect { conn, to }),
                AgentOutput::Write { conn, bytes } => {
                    if attempt.agent.selected() == Some(conn) {
                        attempt.unsent = attempt.unsent.saturating_add(bytes.len());
                    }
                    self.tcp(TcpCommand::Write { conn, bytes });
                }
                AgentOutput::Close { conn } => {
                    self.accepted.remove(&conn);
                    self.tcp(TcpCommand::Close { conn });
                }
                AgentOutput::Selected { controlling, .. } => self.secure(now, id, controlling),
                AgentOutput::Data(bytes) => {
                    received = true;
                    self.decrypt(now, id, &bytes);
                }
                AgentOutput::Failed(error) => {
                    debug!(%error, "negotiation over");
                    self.end(now, id, DownReason::Lost, &FailReason::Unreachable);
                }
            }
        }
        if received {
            self.pump(now, id);
        }
    }

    /// The last wishes of an agent whose attempt is gone.
    pub(super) fn apply_closes(&mut self, agent: &mut Agent) {
        while let Some(output) = agent.poll_output() {
            match output {
                AgentOutput::Write { conn, bytes } => self.tcp(TcpCommand::Write { conn, bytes }),
                AgentOutput::Close { conn } => {
                    self.accepted.remove(&conn);
                    self.tcp(TcpCommand::Close { conn });
                }
                AgentOutput::Connect { .. }
                | AgentOutput::Selected { .. }
                | AgentOutput::Data(_)
                | AgentOutput::Failed(_) => {}
            }
        }
    }

    /// There is a connection: TLS begins. The controlling side is its client.
    fn secure(&mut self, now: Now, id: AttemptId, controlling: bool) {
        let Some(device) = self.attempts.get(&id).map(|attempt| attempt.device) else {
            return;
        };
        let Some(expected) = self.expected_key(id) else {
            return self.fail(now, id, &FailReason::NoCertificate);
        };
        let side = if controlling {
            let prefer_post_quantum = self.device(device).post_quantum;
            Side::Client {
                prefer_post_quantum,
            }
        } else {
            Side::Server
        };
        match Session::new(&self.tls, side, expected, now) {
            Ok(session) => {
                if let Some(attempt) = self.attempts.get_mut(&id) {
                    attempt.phase = Phase::Securing(Box::new(session));
                    attempt.deadline = later(now.instant, TLS_TIMEOUT);
                }
                self.send_records(id, 0);
            }
            Err(error) => {
                warn!(%error, "cannot begin TLS");
                self.fail(now, id, &FailReason::Tls(error.to_string()));
            }
        }
    }

    fn expected_key(&self, id: AttemptId) -> Option<PublicKey> {
        let device = self.attempts.get(&id)?.device;
        let chain = self.certificates.get(&device)?;
        Some(chain.leaf().public_key().clone())
    }

    /// Takes a piece of the peer's TLS stream.
    fn decrypt(&mut self, now: Now, id: AttemptId, bytes: &[u8]) {
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return;
        };
        let result = match &mut attempt.phase {
            Phase::Securing(session) => session.receive(bytes).map_err(End::Tls),
            Phase::Up(up) => receive(now, up, bytes),
            _ => return,
        };
        self.send_records(id, 0);
        match result {
            Ok(()) => {}
            Err(End::Closed) => {
                return self.end(now, id, DownReason::Peer, &FailReason::LinkLost);
            }
            Err(End::Tls(error)) => {
                info!(%error, "secure connection failed");
                let reason = FailReason::Tls(error.to_string());
                return self.end(now, id, DownReason::Protocol, &reason);
            }
            Err(End::Mux(error)) => return self.mux_failed(now, id, error),
        }
        self.establish(now, id);
    }

    /// Turns a finished handshake into a link.
    fn establish(&mut self, now: Now, id: AttemptId) {
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return;
        };
        let Phase::Securing(session) = &attempt.phase else {
            return;
        };
        let Some(peer) = session.peer().cloned() else {
            if session.peer_has_closed() {
                self.fail(now, id, &FailReason::Tls("closed by the device".into()));
            }
            return;
        };
        if self.blocked.contains(&peer.account) {
            return self.fail(now, id, &FailReason::Blocked);
        }
        let Phase::Securing(session) = std::mem::replace(&mut attempt.phase, Phase::Connecting)
        else {
            return;
        };
        let mut session = *session;
        info!(device = %peer.device.short(), parameters = session.parameters(), "link up");
        let early: Vec<_> = std::iter::from_fn(|| session.poll_plaintext()).collect();
        let closed = session.peer_has_closed();
        let post_quantum = session.is_post_quantum();
        let mux = Mux::new(attempt.agent.is_controlling(), now.instant);
        attempt.deadline = None;
        attempt.agent.close_others();
        attempt.phase = Phase::Up(Box::new(Up {
            session,
            mux,
            peer: peer.clone(),
            numbers: std::collections::BTreeMap::new(),
            pause: Pause::Reading,
        }));
        let device = peer.device;
        let older: Vec<_> = self
            .attempts
            .values()
            .filter(|other| other.device == device && other.is_up() && other.id != id)
            .map(|other| other.id)
            .collect();
        self.close_listeners(id);
        self.know_certificate(now, peer.chain.clone());
        self.dial_succeeded(device, post_quantum);
        if older.is_empty() {
            self.event(Event::LinkUp { peer });
        }
        // A new link may mean that the peer lost the others (section 11.1).
        for other in older {
            self.probe_link(now, other);
        }
        self.drain_agent(now, id);
        for bytes in early {
            let up = self.attempts.get_mut(&id).and_then(Attempt::up_mut);
            let result = up.map(|up| up.mux.receive(now.instant, bytes));
            if let Some(Err(error)) = result {
                return self.mux_failed(now, id, error);
            }
        }
        self.dispatch(now, device);
        self.pump(now, id);
        if closed {
            self.end(now, id, DownReason::Peer, &FailReason::LinkLost);
        }
    }

    fn mux_failed(&mut self, now: Now, id: AttemptId, error: MuxError) {
        info!(%error, "link failed");
        let down = match error {
            MuxError::BeaconLost => DownReason::Lost,
            MuxError::Flooded | MuxError::Malformed => DownReason::Protocol,
        };
        self.end(now, id, down, &FailReason::LinkLost);
    }

    /// Reports what happened on a link. What it has to send leaves when the outputs are
    /// polled, so that small messages that are written together share a record.
    pub(super) fn pump(&mut self, now: Now, id: AttemptId) {
        self.report(now, id);
        self.to_send.insert(id);
    }

    /// Sends what the links have to send and their sockets take; whether there may be
    /// outputs now.
    pub(super) fn send_pending(&mut self) -> bool {
        let Some(id) = self.to_send.pop_first() else {
            return false;
        };
        self.send_now(self.latest, id);
        true
    }

    fn send_now(&mut self, now: Now, id: AttemptId) {
        loop {
            self.report(now, id);
            let Some(attempt) = self.attempts.get_mut(&id) else {
                return;
            };
            let budget = HIGH_WATER.saturating_sub(attempt.unsent);
            let Phase::Up(up) = &mut attempt.phase else {
                return;
            };
            if budget == 0 || !up.mux.has_output() {
                return;
            }
            match up.session.write_from(now.instant, &mut up.mux, budget) {
                Ok(written) => self.send_records(id, written),
                Err(error) => {
                    let reason = FailReason::Tls(error.to_string());
                    return self.end(now, id, DownReason::Protocol, &reason);
                }
            }
        }
    }

    /// Sends what TLS has to send: each record in a frame of its own, all in one write.
    /// `written` bytes of plaintext are among it.
    fn send_records(&mut self, id: AttemptId, written: usize) {
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return;
        };
        let session = match &mut attempt.phase {
            Phase::Securing(session) => session,
            Phase::Up(up) => &mut up.session,
            _ => return,
        };
        let records = (written / MAX_RECORD).saturating_add(2);
        let mut frames = BytesMut::with_capacity(
            written.saturating_add(records.saturating_mul(RECORD_OVERHEAD)),
        );
        session.drain_records(|record| {
            // Records are a quarter of what fits in a frame.
            if put_frame(&mut frames, record).is_err() {
                debug!(len = record.len(), "a record too long for a frame");
            }
        });
        let Some(conn) = attempt.agent.selected().filter(|_| !frames.is_empty()) else {
            return;
        };
        attempt.unsent = attempt.unsent.saturating_add(frames.len());
        let bytes = frames.freeze();
        self.tcp(TcpCommand::Write { conn, bytes });
    }

    /// The system took bytes.
    pub(super) fn writable(&mut self, now: Now, conn: ConnId, sent: usize) {
        let id = if conn.is_accepted() {
            self.accepted.get(&conn).copied()
        } else {
            Some(AttemptId::of_dialled(conn))
        };
        let Some(attempt) = id.and_then(|id| self.attempts.get_mut(&id)) else {
            return;
        };
        if attempt.agent.selected() == Some(conn) {
            attempt.unsent = attempt.unsent.saturating_sub(sent);
            let ahead = attempt.ahead_of_beacon;
            attempt.ahead_of_beacon = ahead.saturating_sub(sent);
            if let Phase::Up(up) = &mut attempt.phase
                && ahead > 0
            {
                up.mux.beacon_delayed(now.instant);
            }
            let id = attempt.id;
            self.pump(now, id);
        }
    }

    /// Tells the peer, if there is TLS, that nothing more comes.
    pub(super) fn say_goodbye(&mut self, id: AttemptId) {
        let latest = self.latest.instant;
        match self.attempts.get_mut(&id).map(|attempt| &mut attempt.phase) {
            Some(Phase::Securing(session)) => session.close(),
            Some(Phase::Up(up)) => {
                // What was written before, as far as the socket would have taken it.
                if self.to_send.remove(&id) {
                    let written = up.session.write_from(latest, &mut up.mux, HIGH_WATER);
                    debug!(?written, "last messages");
                }
                up.session.close();
            }
            _ => return,
        }
        self.send_records(id, 0);
    }

    pub(super) fn probe_link(&mut self, now: Now, id: AttemptId) {
        if let Some(up) = self.attempts.get_mut(&id).and_then(Attempt::up_mut) {
            up.mux.probe(now.instant);
            self.beacon_leaves(now, id);
        }
    }

    /// A beacon overtakes everything but what the socket has already got.
    fn beacon_leaves(&mut self, now: Now, id: AttemptId) {
        if let Some(attempt) = self.attempts.get_mut(&id) {
            attempt.ahead_of_beacon = attempt.unsent;
            self.pump(now, id);
        }
    }

    pub(super) fn link_timeout(&mut self, now: Now, id: AttemptId) {
        let Some(up) = self.attempts.get_mut(&id).and_then(Attempt::up_mut) else {
            return;
        };
        let device = up.peer.device;
        let asked = match up.mux.handle_timeout(now.instant) {
            Ok(asked) => asked,
            Err(error) => return self.mux_failed(now, id, error),
        };
        if matches!(up.pause, Pause::Until(at) if at <= now.instant) {
            up.pause = Pause::Overdue(up.mux.unread().saturating_add(STEP));
            self.pause_reading(id, false);
        }
        if asked {
            debug!(device = %device.short(), "silent after it was sent something; asked");
            self.beacon_leaves(now, id);
        }
    }

    /// Stops or goes on reading, after the amount of unread bytes changed.
    pub(super) fn balance(&mut self, now: Now, id: AttemptId) {
        let Some(up) = self.attempts.get_mut(&id).and_then(Attempt::up_mut) else {
            return;
        };
        let unread = up.mux.unread();
        match up.pause {
            Pause::Reading if unread > PAUSE_ABOVE => self.pause_for_a_while(now, id),
            Pause::Overdue(most) if unread > most => self.pause_for_a_while(now, id),
            Pause::Until(_) if unread < RESUME_BELOW => {
                up.pause = Pause::Reading;
                self.pause_reading(id, false);
            }
            Pause::Overdue(_) if unread < RESUME_BELOW => up.pause = Pause::Reading,
            _ => {}
        }
    }

    fn pause_for_a_while(&mut self, now: Now, id: AttemptId) {
        let up = self.attempts.get_mut(&id).and_then(Attempt::up_mut);
        if let (Some(up), Some(at)) = (up, later(now.instant, LONGEST_PAUSE)) {
            up.pause = Pause::Until(at);
            self.pause_reading(id, true);
        }
    }

    fn pause_reading(&mut self, id: AttemptId, on: bool) {
        let conn = self.attempts.get(&id).and_then(|a| a.agent.selected());
        if let Some(conn) = conn {
            self.tcp(TcpCommand::Pause { conn, on });
        }
    }
}

/// Takes a piece of the TLS stream of a link.
fn receive(now: Now, up: &mut Up, bytes: &[u8]) -> Result<(), End> {
    let result = up.session.receive(bytes);
    while let Some(plain) = up.session.poll_plaintext() {
        give(now, up, plain)?;
    }
    result.map_err(End::Tls)?;
    if up.session.peer_has_closed() {
        return Err(End::Closed);
    }
    Ok(())
}

fn give(now: Now, up: &mut Up, plain: Bytes) -> Result<(), End> {
    up.mux.receive(now.instant, plain).map_err(End::Mux)
}
