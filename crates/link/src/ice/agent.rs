//! One negotiation: candidates are dialled, connections checked, one of them selected
//! (docs/protocol/04-connection.md section 5).

mod conn;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use baraza_wire::Rng;
use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tracing::debug;

use super::candidate::{
    Candidate, CandidateKind, Credentials, Description, TcpType, is_dialable, priority,
};
use crate::api::ConnId;
use crate::framing::{MAX_PAYLOAD, put_frame};
use crate::stun::{self, Builder, Class, Message, Role, TransactionId};
use conn::{Check, Conn, Target, TargetState};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long an accepted connection may stay without a valid request.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between the starts of checks when there are many (Ta).
const PACE: Duration = Duration::from_millis(50);
/// So many checks are started at once.
const MAX_AT_ONCE: usize = 8;
/// Most accepted connections that have not sent a valid request.
const MAX_UNPROVEN: usize = 16;
/// Most accepted connections in all.
const MAX_ACCEPTED: usize = 32;
/// How long a valid pair that is not the best kind waits for a better one.
const NOMINATION_DELAY: Duration = Duration::from_millis(400);
/// How long to wait for the other side when nothing is left to be tried here.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the whole negotiation may take.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(45);
/// When to repeat a check that got no response: a relay may have lost the first one.
const CHECK_REPEAT: Duration = Duration::from_millis(2500);
/// How long to wait for the response to a check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before a refused relay is dialled again: it may not expect us yet.
const RELAY_RETRY: Duration = Duration::from_millis(500);
/// How often a refused relay is dialled again.
const RELAY_RETRIES: u8 = 24;
/// Most bytes that are kept of a nominated connection before it is selected.
const MAX_EARLY: usize = 64 * 1024;
/// How many role conflicts are believed; an honest peer causes one per connection.
const MAX_CONFLICTS: u8 = 64;
/// Bounds of the pause between keep-alives, in milliseconds.
const KEEP_ALIVE_MILLIS: std::ops::Range<u64> = 20_000..24_000;

/// What an agent needs to know.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// Whether to begin as the one that nominates: the answerer of an offer is.
    pub controlling: bool,
    /// The first of 2^16 names for dialled connections.
    pub first_conn: u64,
    /// Whether loopback addresses are dialled: for tests and simulations only.
    pub allow_loopback: bool,
    /// The addresses of this host.
    pub own_addresses: Vec<IpAddr>,
}

/// What an agent wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentOutput {
    /// Connect.
    Connect {
        /// Its new name.
        conn: ConnId,
        /// Whereto.
        to: SocketAddr,
    },
    /// Send.
    Write {
        /// Where.
        conn: ConnId,
        /// What.
        bytes: Bytes,
    },
    /// Close.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// The negotiation succeeded.
    Selected {
        /// The connection that carries data from now on.
        conn: ConnId,
        /// The role at the end, which decides that in TLS.
        controlling: bool,
    },
    /// The payload of a frame of the selected connection that is no STUN message.
    Data(Bytes),
    /// The negotiation failed, or the selected connection is closed.
    Failed(IceError),
}

/// Why a negotiation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IceError {
    /// Nothing that was tried worked.
    #[error("no connection to any address of the device works")]
    Exhausted,
    /// The selected connection ended.
    #[error("the connection was closed")]
    Closed,
    /// It took too long.
    #[error("the negotiation took too long")]
    Timeout,
}

/// The agent of one side.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
    controlling: bool,
    tie_breaker: u64,
    local: Credentials,
    remote: Option<Credentials>,
    targets: Vec<Target>,
    conns: BTreeMap<ConnId, Conn>,
    next_conn: u64,
    selected: Option<ConnId>,
    failed: bool,
    conflicts: u8,
    /// When the other side's description came.
    started: Option<Instant>,
    first_valid: Option<Instant>,
    /// Since when nothing is in progress.
    idle: Option<Instant>,
    keep_alive: Option<Instant>,
    rng: Rng,
    out: VecDeque<AgentOutput>,
}

impl Agent {
    /// An agent with fresh credentials. It answers checks at once and starts its own with
    /// [`Self::set_remote`].
    pub fn new(config: AgentConfig, mut rng: Rng) -> Self {
        Self {
            controlling: config.controlling,
            next_conn: config.first_conn,
            config,
            tie_breaker: rng.u64(),
            local: Credentials::random(&mut rng),
            remote: None,
            targets: Vec::new(),
            conns: BTreeMap::new(),
            selected: None,
            failed: false,
            conflicts: 0,
            started: None,
            first_valid: None,
            idle: None,
            keep_alive: None,
            rng,
            out: VecDeque::new(),
        }
    }

    /// What to tell the other side.
    pub fn description(&self, candidates: Vec<Candidate>) -> Description {
        Description {
            credentials: self.local.clone(),
            candidates,
        }
    }

    /// The connection that carries data, once there is one.
    pub fn selected(&self) -> Option<ConnId> {
        self.selected
    }

    /// Whether this side nominates: final once a connection is selected.
    pub fn is_controlling(&self) -> bool {
        self.controlling
    }

    /// Takes the description of the other side and starts.
    pub fn set_remote(&mut self, now: Instant, remote: Description) {
        if self.remote.is_some() {
            return;
        }
        self.remote = Some(remote.credentials);
        self.started = Some(now);
        let mut candidates = remote.candidates;
        // With a constant local priority the order of pairs is that of the remote side.
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.priority));
        for candidate in candidates {
            let address = candidate.address;
            let known = self.targets.iter().any(|t| t.address == address);
            if candidate.tcp == TcpType::Passive && !known && self.may_dial(address) {
                self.targets.push(Target::new(address, candidate.kind));
            }
        }
        let pace = if self.targets.len() > MAX_AT_ONCE {
            PACE
        } else {
            Duration::ZERO
        };
        let mut at = now;
        for target in &mut self.targets {
            target.state = TargetState::Waiting(at);
            at = at.checked_add(pace).unwrap_or(at);
        }
        // Those who asked before we knew their credentials are checked now.
        let early: Vec<_> = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.proven)
            .map(|(id, _)| *id)
            .collect();
        for id in early {
            self.send_check(now, id, false);
        }
        self.proceed(now);
    }

    fn may_dial(&self, address: SocketAddr) -> bool {
        let own = &self.config.own_addresses;
        is_dialable(address, own, self.config.allow_loopback)
            && own.iter().any(|ip| ip.is_ipv6() == address.is_ipv6())
    }

    /// A dialled connection is made.
    pub fn connected(&mut self, now: Instant, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.open = true;
        conn.since = now;
        self.send_check(now, id, false);
        self.proceed(now);
    }

    /// A dialled connection cannot be made.
    pub fn connect_failed(&mut self, now: Instant, id: ConnId) {
        self.lost(now, id);
    }

    /// The peer closed a connection, or it broke.
    pub fn closed(&mut self, now: Instant, id: ConnId) {
        self.lost(now, id);
    }

    /// Somebody connected to a listener of this negotiation.
    pub fn accepted(&mut self, now: Instant, id: ConnId, remote: SocketAddr) {
        let accepted = self.conns.values().filter(|conn| conn.target.is_none());
        let (mut all, mut unproven) = (0_usize, 0_usize);
        for conn in accepted {
            all = all.saturating_add(1);
            unproven = unproven.saturating_add(usize::from(!conn.proven));
        }
        if self.failed || all >= MAX_ACCEPTED || unproven >= MAX_UNPROVEN {
            self.out.push_back(AgentOutput::Close { conn: id });
            return;
        }
        self.conns.insert(id, Conn::accepted(now, remote));
    }

    /// Bytes came.
    pub fn received(&mut self, now: Instant, id: ConnId, bytes: &[u8]) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.deframer.push(bytes);
        }
        // A frame may end the connection.
        while let Some(conn) = self.conns.get_mut(&id) {
            let limit = if conn.proven {
                MAX_PAYLOAD
            } else {
                stun::MAX_MESSAGE
            };
            match conn.deframer.next_payload(limit) {
                Ok(Some(frame)) if stun::is_stun(&frame) => self.on_stun(now, id, &frame),
                Ok(Some(frame)) => self.on_data(now, id, frame),
                Ok(None) => break,
                Err(error) => {
                    debug!(%error, "closing a connection");
                    self.drop_conn(now, id);
                }
            }
        }
        self.proceed(now);
    }

    fn on_data(&mut self, now: Instant, id: ConnId, frame: Bytes) {
        let selected = self.selected == Some(id);
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        if selected {
            self.out.push_back(AgentOutput::Data(frame));
        } else if conn.peer_nominated {
            // The peer completes first and begins; the response to our own check follows.
            conn.early_len = conn.early_len.saturating_add(frame.len());
            conn.early.push_back(frame);
            if conn.early_len > MAX_EARLY {
                self.drop_conn(now, id);
            }
        } else if !conn.proven {
            self.drop_conn(now, id);
        }
    }

    fn on_stun(&mut self, now: Instant, id: ConnId, frame: &[u8]) {
        let message = match Message::parse(frame) {
            Ok(message) => message,
            Err(error) => {
                debug!(%error, "unreadable STUN message");
                if self.conns.get(&id).is_some_and(|conn| !conn.proven) {
                    self.drop_conn(now, id);
                }
                return;
            }
        };
        match message.class {
            Class::Request => self.on_request(now, id, &message),
            Class::Success | Class::Error => self.on_response(now, id, &message),
            Class::Indication => {}
        }
    }

    fn on_request(&mut self, now: Instant, id: ConnId, message: &Message<'_>) {
        let transaction = message.transaction;
        let refuse = |code, reason| Builder::new(Class::Error, transaction).error(code, reason);
        if !message.is_binding {
            let response = refuse(400, "Bad Request").finish(None);
            return self.send(id, &response);
        }
        if message.priority.is_none() {
            return;
        }
        let for_us = message.username.is_some_and(|name| {
            name.strip_prefix(self.local.ufrag.as_bytes())
                .is_some_and(|rest| rest.first() == Some(&b':'))
        });
        if !for_us || !message.is_signed_with(&self.local.pwd) {
            let response = refuse(401, "Unauthorized").finish(None);
            self.send(id, &response);
            if self.conns.get(&id).is_some_and(|conn| !conn.proven) {
                self.drop_conn(now, id);
            }
            return;
        }
        if !message.unknown.is_empty() {
            let response = refuse(420, "Unknown Attribute").unknown(&message.unknown);
            let response = response.finish(Some(&self.local.pwd));
            return self.send(id, &response);
        }
        if !self.settle_role(message.role) {
            let response = refuse(487, "Role Conflict").finish(Some(&self.local.pwd));
            return self.send(id, &response);
        }
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        conn.proven = true;
        if message.use_candidate && !self.controlling {
            conn.peer_nominated = true;
        }
        let wants_check = !conn.valid && conn.check.is_none();
        let response = Builder::new(Class::Success, transaction)
            .mapped(conn.remote)
            .finish(Some(&self.local.pwd));
        self.send(id, &response);
        if wants_check && self.remote.is_some() {
            self.send_check(now, id, false);
        }
    }

    /// Whether the sender's role fits ours, which we may give up for it (RFC 8445 section
    /// 7.3.1.1).
    fn settle_role(&mut self, role: Option<Role>) -> bool {
        let (conflict, theirs) = match role {
            Some(Role::Controlling(tie)) => (self.controlling, tie),
            Some(Role::Controlled(tie)) => (!self.controlling, tie),
            None => (false, 0),
        };
        if !conflict || self.selected.is_some() {
            return true;
        }
        // The side with the larger number controls.
        let we_control = self.tie_breaker >= theirs;
        if we_control == self.controlling {
            return false;
        }
        debug!(controlling = we_control, "changing the ICE role");
        self.controlling = we_control;
        true
    }

    fn on_response(&mut self, now: Instant, id: ConnId, message: &Message<'_>) {
        let Some(remote) = &self.remote else {
            return;
        };
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let Some(check) = conn
            .check
            .take_if(|check| check.transaction == message.transaction)
        else {
            return;
        };
        // Only the holder of the password can say anything about our check.
        let success = message.class == Class::Success;
        if !message.is_signed_with(&remote.pwd) || (success && message.mapped.is_none()) {
            conn.check = Some(check);
            return;
        }
        if success {
            conn.proven = true;
            conn.valid = true;
            let target = conn.target.and_then(|index| self.targets.get_mut(index));
            if let Some(target) = target {
                target.state = TargetState::Over;
            }
            self.first_valid = self.first_valid.or(Some(now));
            if check.nominating && self.controlling {
                self.select(now, id);
            }
        } else if message.error == Some(487)
            && self.selected.is_none()
            && self.conflicts < MAX_CONFLICTS
        {
            self.conflicts = self.conflicts.saturating_add(1);
            if check.controlling == self.controlling {
                self.controlling = !self.controlling;
            }
            self.send_check(now, id, false);
        } else if self.selected != Some(id) {
            debug!(code = message.error, "a check was refused");
            self.drop_conn(now, id);
        }
    }

    /// What is to be done after anything happened.
    fn proceed(&mut self, now: Instant) {
        if self.failed || self.selected.is_some() {
            return;
        }
        self.dial_due(now);
        if self.controlling {
            self.nominate_due(now);
        } else if let Some(id) = self
            .conns
            .iter()
            .find(|(_, conn)| conn.valid && conn.peer_nominated)
            .map(|(id, _)| *id)
        {
            return self.select(now, id);
        }
        let busy = self.remote.is_none()
            || self.targets.iter().any(Target::is_pending)
            || self.conns.values().any(|conn| conn.check.is_some());
        self.idle = if busy { None } else { self.idle.or(Some(now)) };
    }

    /// Targets with a connection that may still become valid.
    fn dialling(&self) -> usize {
        let dialled = |target: &&Target| matches!(target.state, TargetState::Dialled);
        self.targets.iter().filter(dialled).count()
    }

    fn dial_due(&mut self, now: Instant) {
        let mut dialling = self.dialling();
        for (index, target) in self.targets.iter_mut().enumerate() {
            let due = matches!(target.state, TargetState::Waiting(at) if at <= now);
            if !due || dialling >= MAX_AT_ONCE {
                continue;
            }
            dialling = dialling.saturating_add(1);
            target.state = TargetState::Dialled;
            let id = ConnId(self.next_conn);
            self.next_conn = self.next_conn.saturating_add(1);
            self.conns.insert(id, Conn::dialled(now, target, index));
            let to = target.address;
            self.out.push_back(AgentOutput::Connect { conn: id, to });
        }
    }

    fn is_nominating(&self) -> bool {
        let nominating = |conn: &Conn| conn.check.as_ref().is_some_and(|check| check.nominating);
        self.conns.values().any(nominating)
    }

    fn nominate_due(&mut self, now: Instant) {
        if self.is_nominating() {
            return;
        }
        // The earliest made wins among equals.
        let best = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.valid)
            .min_by_key(|(_, conn)| conn.kind);
        let Some((id, conn)) = best else {
            return;
        };
        let waited = self
            .first_valid
            .is_some_and(|first| now.saturating_duration_since(first) >= NOMINATION_DELAY);
        let none_better = conn.kind == CandidateKind::Host
            || !self
                .targets
                .iter()
                .any(|t| t.is_pending() && t.kind < conn.kind);
        if none_better || waited {
            let id = *id;
            self.send_check(now, id, true);
        }
    }

    fn select(&mut self, now: Instant, id: ConnId) {
        self.selected = Some(id);
        self.idle = None;
        self.schedule_keep_alive(now);
        self.out.push_back(AgentOutput::Selected {
            conn: id,
            controlling: self.controlling,
        });
        if let Some(conn) = self.conns.get_mut(&id) {
            let early = std::mem::take(&mut conn.early);
            self.out.extend(early.into_iter().map(AgentOutput::Data));
        }
    }

    fn send_check(&mut self, now: Instant, id: ConnId, nominating: bool) {
        let Some(remote) = &self.remote else {
            return;
        };
        let transaction = TransactionId(self.rng.bytes());
        let mut request =
            Builder::new(Class::Request, transaction).priority(priority(110, u16::MAX));
        let role = if self.controlling {
            if nominating {
                request = request.use_candidate();
            }
            Role::Controlling(self.tie_breaker)
        } else {
            Role::Controlled(self.tie_breaker)
        };
        let bytes = request
            .role(role)
            .username(&remote.ufrag, &self.local.ufrag)
            .finish(Some(&remote.pwd))
            .freeze();
        let controlling = self.controlling;
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.check = Some(Check {
                transaction,
                bytes: bytes.clone(),
                nominating,
                controlling,
                started: now,
                repeat: now.checked_add(CHECK_REPEAT),
            });
            self.send(id, &bytes);
        }
    }

    fn send(&mut self, id: ConnId, message: &[u8]) {
        let mut frame = BytesMut::new();
        // STUN messages always fit.
        if put_frame(&mut frame, message).is_ok() {
            let bytes = frame.freeze();
            self.out.push_back(AgentOutput::Write { conn: id, bytes });
        }
    }

    /// Closes a connection that is of no use.
    fn drop_conn(&mut self, now: Instant, id: ConnId) {
        self.out.push_back(AgentOutput::Close { conn: id });
        self.lost(now, id);
    }

    fn lost(&mut self, now: Instant, id: ConnId) {
        let Some(conn) = self.conns.remove(&id) else {
            return;
        };
        if self.selected == Some(id) {
            return self.fail(IceError::Closed);
        }
        if let Some(target) = conn.target.and_then(|index| self.targets.get_mut(index)) {
            let retry = !conn.proven
                && target.kind == CandidateKind::Relayed
                && target.retries < RELAY_RETRIES;
            let again = now.checked_add(RELAY_RETRY).filter(|_| retry);
            target.retries = target.retries.saturating_add(1);
            target.state = match again {
                Some(at) => TargetState::Waiting(at),
                None => TargetState::Over,
            };
        }
        self.proceed(now);
    }

    fn fail(&mut self, error: IceError) {
        if !self.failed {
            self.failed = true;
            self.close_all();
            self.out.push_back(AgentOutput::Failed(error));
        }
    }

    /// Closes connections of strangers and those not made yet, and dials no more.
    ///
    /// Other connections of the peer stay as they are until [`Self::close_all`]: a daemon of
    /// 2023 whose unused connection is closed reads the used one twice a second only, as
    /// its loop sleeps when there is nothing but an end of file that nobody reads.
    pub fn close_others(&mut self) {
        let selected = self.selected.and_then(|id| self.conns.get(&id));
        let peer = selected.map(|conn| conn.remote.ip());
        self.retain(|conn| conn.open && (conn.proven || Some(conn.remote.ip()) == peer));
    }

    fn retain(&mut self, keep: impl Fn(&Conn) -> bool) {
        for target in &mut self.targets {
            target.state = TargetState::Over;
        }
        let out = &mut self.out;
        self.conns.retain(|id, conn| {
            let keep = keep(conn);
            if !keep {
                out.push_back(AgentOutput::Close { conn: *id });
            }
            keep
        });
    }

    /// Closes all connections, after what was written.
    pub fn close_all(&mut self) {
        self.failed = true;
        self.selected = None;
        self.keep_alive = None;
        self.retain(|_| false);
    }

    fn schedule_keep_alive(&mut self, now: Instant) {
        let pause = Duration::from_millis(self.rng.range(KEEP_ALIVE_MILLIS));
        self.keep_alive = now.checked_add(pause);
    }

    /// To be called when [`Self::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let (Some(id), Some(at)) = (self.selected, self.keep_alive)
            && at <= now
        {
            let id_bytes = TransactionId(self.rng.bytes());
            let indication = Builder::new(Class::Indication, id_bytes).finish(None);
            self.send(id, &indication);
            self.schedule_keep_alive(now);
        }
        if self.failed || self.selected.is_some() {
            return;
        }
        // The end of one connection may leave another without an excuse.
        let mut dropped = true;
        while dropped {
            dropped = false;
            for id in self.conns.keys().copied().collect::<Vec<_>>() {
                dropped |= self.conn_timeout(now, id);
            }
        }
        let passed = |since: Option<Instant>, timeout| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= timeout)
        };
        if passed(self.started, TOTAL_TIMEOUT) {
            return self.fail(IceError::Timeout);
        }
        self.proceed(now);
        if passed(self.idle, IDLE_TIMEOUT) {
            self.fail(IceError::Exhausted);
        }
    }

    /// Whether the connection was given up.
    fn conn_timeout(&mut self, now: Instant, id: ConnId) -> bool {
        if self.conn_deadline(id).is_some_and(|at| at <= now) {
            self.drop_conn(now, id);
            return true;
        }
        let check = self.conns.get_mut(&id).and_then(|conn| conn.check.as_mut());
        if let Some(check) = check
            && check.repeat.is_some_and(|at| at <= now)
        {
            check.repeat = now.checked_add(CHECK_REPEAT);
            let bytes = check.bytes.clone();
            self.send(id, &bytes);
        }
        false
    }

    /// When a connection is given up.
    fn conn_deadline(&self, id: ConnId) -> Option<Instant> {
        let conn = self.conns.get(&id)?;
        if let Some(check) = &conn.check {
            return check.started.checked_add(CHECK_TIMEOUT);
        }
        if !conn.open {
            return conn.since.checked_add(CONNECT_TIMEOUT);
        }
        // Existing peers open one more connection when they nominate and never use it;
        // they might take its end for a failure.
        let ip = conn.remote.ip();
        let has_sibling = self.conns.values().any(|c| c.proven && c.remote.ip() == ip);
        if conn.proven || has_sibling {
            return None;
        }
        conn.since.checked_add(FIRST_REQUEST_TIMEOUT)
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.failed {
            return None;
        }
        if self.selected.is_some() {
            return self.keep_alive;
        }
        let after = |since: Option<Instant>, pause| since.and_then(|at| at.checked_add(pause));
        let conns = self.conns.iter().flat_map(|(id, conn)| {
            let repeat = conn.check.as_ref().and_then(|check| check.repeat);
            [self.conn_deadline(*id), repeat]
        });
        let may_dial = self.dialling() < MAX_AT_ONCE;
        let targets = self.targets.iter().map(|target| match target.state {
            TargetState::Waiting(at) if may_dial => Some(at),
            _ => None,
        });
        let nomination = self.first_valid.filter(|_| {
            self.controlling && !self.is_nominating() && self.conns.values().any(|conn| conn.valid)
        });
        conns
            .chain(targets)
            .chain([
                after(nomination, NOMINATION_DELAY),
                after(self.started, TOTAL_TIMEOUT),
                after(self.idle, IDLE_TIMEOUT),
            ])
            .flatten()
            .min()
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<AgentOutput> {
        self.out.pop_front()
    }
}

#[cfg(test)]
mod tests;
