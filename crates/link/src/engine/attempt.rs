//! One connection from its offer to its end: ICE, then TLS, then channels.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use baraza_wire::{DeviceId, Now};
use tracing::{debug, info};

use super::{Links, later};
use crate::api::{ChannelId, ConnId, DownReason, Event, FailReason, ListenerId, TcpCommand};
use crate::ice::{Agent, AgentConfig, Description, Gathered};
use crate::mux::Mux;
use crate::offer::{KeyKind, Offer};
use crate::peer::Peer;
use crate::tls::Session;

/// How long certificate and ports may take.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(25);
/// How long to wait for the answer to a request (section 2.3).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How many bits of a connection's name tell connections of one attempt apart.
const CONN_BITS: u32 = 16;

/// An attempt; links that are up keep theirs. Later ones are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AttemptId(u64);

impl AttemptId {
    /// Whose dialled connection this is.
    pub(super) fn of_dialled(conn: ConnId) -> Self {
        Self(conn.0 >> CONN_BITS)
    }
}

/// Who began.
#[derive(Debug)]
pub(super) enum Direction {
    /// We request.
    Asking { offer: u64, reason: String },
    /// The peer requested.
    Answering {
        offer: u64,
        /// At which key, where the answer is expected too.
        kind: KeyKind,
        description: Description,
    },
}

impl Direction {
    pub(super) fn offer(&self) -> u64 {
        match self {
            Self::Asking { offer, .. } | Self::Answering { offer, .. } => *offer,
        }
    }

    pub(super) fn is_asking(&self) -> bool {
        matches!(self, Self::Asking { .. })
    }
}

/// How far an attempt is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Waits for the peer's certificate and for the ports of the listeners.
    Preparing,
    /// Waits for the answer.
    Waiting,
    /// ICE.
    Connecting,
    /// TLS handshake.
    Securing(Box<Session>),
    /// Carries channels.
    Up(Box<Up>),
}

/// A live link.
#[derive(Debug)]
pub(super) struct Up {
    pub(super) session: Session,
    pub(super) mux: Mux,
    pub(super) peer: Peer,
    /// The channels over it.
    pub(super) numbers: BTreeMap<u16, ChannelId>,
    pub(super) pause: Pause,
}

/// Whether the socket is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// It is.
    Reading,
    /// Not until this moment, or until enough is used up.
    Until(Instant),
    /// It is, since not reading did not help, until so many bytes are unread. In the end the
    /// multiplexer closes a channel that is not read at all.
    Overdue(usize),
}

/// A socket that waits for the peer.
#[derive(Debug)]
pub(super) struct Listener {
    id: ListenerId,
    v6: bool,
    /// The answer of the system: the port, or none.
    port: Option<Option<u16>>,
}

/// One attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) id: AttemptId,
    pub(super) device: DeviceId,
    pub(super) direction: Direction,
    pub(super) phase: Phase,
    pub(super) agent: Agent,
    pub(super) listeners: Vec<Listener>,
    pub(super) started: Instant,
    pub(super) deadline: Option<Instant>,
    /// Offers of it that may still be stored.
    pub(super) puts: usize,
    /// Bytes given to the selected connection that the system has not taken yet.
    pub(super) unsent: usize,
    /// As many of them were given before the last beacon.
    pub(super) ahead_of_beacon: usize,
}

impl Attempt {
    pub(super) fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up(_))
    }

    pub(super) fn up(&self) -> Option<&Up> {
        match &self.phase {
            Phase::Up(up) => Some(up),
            _ => None,
        }
    }

    pub(super) fn up_mut(&mut self) -> Option<&mut Up> {
        match &mut self.phase {
            Phase::Up(up) => Some(up),
            _ => None,
        }
    }

    pub(super) fn peer(&self) -> Option<&Peer> {
        self.up().map(|up| &up.peer)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let (mux, pause) = match &self.phase {
            Phase::Up(up) => (
                up.mux.poll_timeout(),
                match up.pause {
                    Pause::Until(at) => Some(at),
                    Pause::Reading | Pause::Overdue(_) => None,
                },
            ),
            _ => (None, None),
        };
        [self.agent.poll_timeout(), self.deadline, mux, pause]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Links {
    /// Begins an attempt: opens the ports it will offer.
    pub(super) fn new_attempt(
        &mut self,
        now: Now,
        device: DeviceId,
        direction: Direction,
    ) -> AttemptId {
        let id = AttemptId(self.fresh_id());
        let config = AgentConfig {
            controlling: !direction.is_asking(),
            first_conn: id.0 << CONN_BITS,
            allow_loopback: self.config.allow_loopback,
            own_addresses: self.addresses.clone(),
        };
        let attempt = Attempt {
            id,
            device,
            direction,
            phase: Phase::Preparing,
            agent: Agent::new(config, self.rng.fork()),
            listeners: Vec::new(),
            started: now.instant,
            deadline: later(now.instant, PREPARE_TIMEOUT),
            puts: 0,
            unsent: 0,
            ahead_of_beacon: 0,
        };
        self.attempts.insert(id, attempt);
        id
    }

    fn open_listeners(&mut self, id: AttemptId) {
        for v6 in [false, true] {
            if !self.addresses.iter().any(|ip| ip.is_ipv6() == v6) {
                continue;
            }
            let listener = ListenerId(self.fresh_id());
            if let Some(attempt) = self.attempts.get_mut(&id) {
                attempt.listeners.push(Listener {
                    id: listener,
                    v6,
                    port: None,
                });
                self.listeners.insert(listener, id);
                self.tcp(TcpCommand::Listen { listener, v6 });
            }
        }
    }

    pub(super) fn listening(&mut self, now: Now, listener: ListenerId, port: Option<u16>) {
        let Some(id) = self.listeners.get(&listener).copied() else {
            // Given up meanwhile.
            return self.tcp(TcpCommand::CloseListener { listener });
        };
        if let Some(attempt) = self.attempts.get_mut(&id) {
            let ours = attempt.listeners.iter_mut().find(|l| l.id == listener);
            if let Some(listener) = ours {
                listener.port = Some(port);
            }
        }
        self.prepare(now, id);
    }

    /// The attempts of a device that wait for its certificate (or for ports).
    pub(super) fn preparing(&self, device: DeviceId) -> Vec<AttemptId> {
        self.attempts
            .values()
            .filter(|attempt| attempt.device == device && matches!(attempt.phase, Phase::Preparing))
            .map(|attempt| attempt.id)
            .collect()
    }

    /// Takes the next step of an attempt that has not made its offer: certificate, then
    /// ports, then the offer.
    pub(super) fn prepare(&mut self, now: Now, id: AttemptId) {
        let Some(attempt) = self.attempts.get(&id) else {
            return;
        };
        let device = attempt.device;
        let Some(chain) = self.certificates.get(&device) else {
            return;
        };
        if !matches!(attempt.phase, Phase::Preparing) {
            return;
        }
        if self.is_blocked(chain) {
            return self.fail(now, id, &FailReason::Blocked);
        }
        let to = chain.leaf().public_key().clone();
        if attempt.listeners.is_empty() {
            if self.addresses.is_empty() {
                debug!("no address to be reached at");
                return self.fail(now, id, &FailReason::Unreachable);
            }
            return self.open_listeners(id);
        }
        if attempt.listeners.iter().any(|l| l.port.is_none()) {
            return;
        }
        let port = |v6: bool| {
            let listener = attempt.listeners.iter().find(|l| l.v6 == v6)?;
            listener.port.flatten()
        };
        let gathered = Gathered {
            addresses: self.addresses.clone(),
            port_v4: port(false),
            port_v6: port(true),
            mapped: Vec::new(),
            public: self.public.iter().map(std::net::SocketAddr::ip).collect(),
            relayed: Vec::new(),
        };
        if gathered.port_v4.or(gathered.port_v6).is_none() {
            return self.fail(now, id, &FailReason::Unreachable);
        }
        let ice = attempt.agent.description(gathered.candidates()).to_string();
        let (offer, kind) = match &attempt.direction {
            Direction::Asking { offer, reason } => {
                let known = self.devices.get(&device).and_then(|device| device.kind);
                (self.offer(*offer, ice, false, reason), known)
            }
            Direction::Answering { offer, kind, .. } => {
                (self.offer(*offer, ice, true, ""), Some(*kind))
            }
        };
        if !self.put_offer(id, &offer, &to, kind) {
            return self.fail(now, id, &FailReason::Unreachable);
        }
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return;
        };
        match &attempt.direction {
            Direction::Asking { .. } => {
                attempt.phase = Phase::Waiting;
                attempt.deadline = later(now.instant, ANSWER_TIMEOUT);
            }
            Direction::Answering { description, .. } => {
                attempt.phase = Phase::Connecting;
                attempt.deadline = None;
                attempt.agent.set_remote(now.instant, description.clone());
                self.drain_agent(now, id);
            }
        }
    }

    fn offer(&self, id: u64, ice: String, is_answer: bool, reason: &str) -> Offer {
        Offer {
            id,
            ice,
            is_answer,
            reason: reason.to_owned(),
        }
    }

    pub(super) fn attempt_timeout(&mut self, now: Now, id: AttemptId) {
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return;
        };
        let certified = self.certificates.get(&attempt.device).is_some();
        if attempt.deadline.is_some_and(|at| at <= now.instant) {
            let reason = match attempt.phase {
                Phase::Preparing if !certified => FailReason::NoCertificate,
                Phase::Waiting => FailReason::NoAnswer,
                Phase::Securing(_) => FailReason::Tls("it took too long".into()),
                Phase::Preparing | Phase::Connecting | Phase::Up(_) => FailReason::Unreachable,
            };
            return self.fail(now, id, &reason);
        }
        attempt.agent.handle_timeout(now.instant);
        self.drain_agent(now, id);
        self.link_timeout(now, id);
    }

    pub(super) fn close_listeners(&mut self, id: AttemptId) {
        let listeners = match self.attempts.get_mut(&id) {
            Some(attempt) => std::mem::take(&mut attempt.listeners),
            None => return,
        };
        for listener in listeners {
            self.listeners.remove(&listener.id);
            // One that has no port yet is closed when it says so.
            if listener.port.flatten().is_some() {
                let listener = listener.id;
                self.tcp(TcpCommand::CloseListener { listener });
            }
        }
    }

    /// Ends an attempt that did not become a link.
    pub(super) fn fail(&mut self, now: Now, id: AttemptId, reason: &FailReason) {
        self.end(now, id, DownReason::Lost, reason);
    }

    /// Ends an attempt or a link: for the former `failed` is the reason, for the latter
    /// `down`.
    pub(super) fn end(&mut self, now: Now, id: AttemptId, down: DownReason, failed: &FailReason) {
        self.say_goodbye(id);
        self.close_listeners(id);
        let Some(mut attempt) = self.attempts.remove(&id) else {
            return;
        };
        attempt.agent.close_all();
        self.apply_closes(&mut attempt.agent);
        self.accepted.retain(|_, owner| *owner != id);
        let device = attempt.device;
        match attempt.phase {
            Phase::Up(up) => {
                info!(device = %device.short(), reason = %down, "link down");
                self.release_channels(device, &up.numbers, down);
                if self.live_link(device).is_none() {
                    self.event(Event::LinkDown {
                        device,
                        reason: down,
                    });
                }
            }
            _ => {
                debug!(device = %device.short(), reason = %failed, "no link");
                let asked = attempt.direction.is_asking();
                self.attempt_failed(now, device, asked, failed);
            }
        }
    }

    /// The oldest live link with a device.
    pub(super) fn live_link(&self, device: DeviceId) -> Option<AttemptId> {
        self.attempts
            .values()
            .find(|attempt| attempt.device == device && attempt.is_up())
            .map(|attempt| attempt.id)
    }
}
