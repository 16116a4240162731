//! All connections of one device: who is dialled and answered, and the channels over them
//! (docs/protocol/04-connection.md sections 2, 13 and 17).
//!
//! [`Links`] is a machine without I/O: commands, DHT events, TCP events and timeouts go in,
//! and after each of them [`Links::poll_output`] is drained and [`Links::poll_timeout`]
//! asked. RSA is used in here, so that it runs on a thread of its own.

mod attempt;
mod certificates;
mod channels;
mod dial;
mod offers;
mod path;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use baraza_dht::OpId;
use baraza_identity::{CertificateChain, DeviceIdentity};
use baraza_wire::{AccountId, DeviceId, Now, Rng};

use crate::api::{
    ChannelId, Command, ConnId, DownReason, Event, FailReason, ListenerId, Output, TcpCommand,
    TcpEvent,
};
use crate::ice::is_offerable;
use crate::tls::{TlsConfig, TlsError};
use attempt::{Attempt, AttemptId};
use certificates::{Certificates, Lookup};
use channels::Channel;
use dial::Device;
use offers::{DhtOp, Offers};

/// What may be chosen.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Whether loopback addresses are offered and dialled: for tests and simulations only.
    pub allow_loopback: bool,
}

/// All connections of one device.
#[derive(Debug)]
pub struct Links {
    identity: DeviceIdentity,
    tls: TlsConfig,
    config: Config,
    rng: Rng,
    /// The addresses of this host that may be offered.
    addresses: Vec<IpAddr>,
    /// Where others see us, one of each family.
    public: Vec<SocketAddr>,
    blocked: BTreeSet<AccountId>,
    offers: Offers,
    certificates: Certificates,
    lookups: BTreeMap<DeviceId, Lookup>,
    devices: BTreeMap<DeviceId, Device>,
    /// Devices with channels that wait for a link.
    waiting: BTreeSet<DeviceId>,
    attempts: BTreeMap<AttemptId, Attempt>,
    channels: BTreeMap<ChannelId, Channel>,
    ops: BTreeMap<OpId, DhtOp>,
    listeners: BTreeMap<ListenerId, AttemptId>,
    accepted: BTreeMap<ConnId, AttemptId>,
    next_id: u64,
    /// Links that may have something to send.
    to_send: BTreeSet<AttemptId>,
    /// When something was last told to this.
    latest: Now,
    out: VecDeque<Output>,
}

impl Links {
    /// The links of a device. `treated` are the ids of all [`Event::OfferSeen`] so far.
    ///
    /// # Errors
    /// If the identity cannot be used for TLS.
    pub fn new(
        identity: DeviceIdentity,
        config: Config,
        treated: impl IntoIterator<Item = u64>,
        now: Now,
        rng: Rng,
    ) -> Result<Self, TlsError> {
        let tls = TlsConfig::new(&identity)?;
        let mut links = Self {
            offers: Offers::new(treated),
            identity,
            tls,
            config,
            rng,
            addresses: Vec::new(),
            public: Vec::new(),
            blocked: BTreeSet::new(),
            certificates: Certificates::default(),
            lookups: BTreeMap::new(),
            devices: BTreeMap::new(),
            waiting: BTreeSet::new(),
            attempts: BTreeMap::new(),
            channels: BTreeMap::new(),
            ops: BTreeMap::new(),
            listeners: BTreeMap::new(),
            accepted: BTreeMap::new(),
            next_id: 0,
            to_send: BTreeSet::new(),
            latest: now,
            out: VecDeque::new(),
        };
        links.listen_for_offers(now);
        Ok(links)
    }

    /// The identity this was made with.
    pub fn identity(&self) -> &DeviceIdentity {
        &self.identity
    }

    /// Takes a command.
    pub fn handle_command(&mut self, now: Now, command: Command) {
        match command {
            Command::Open {
                channel,
                device,
                name,
                reason,
            } => self.open(now, channel, device, name, reason),
            Command::Accept { channel } => self.answer_request(now, channel, true),
            Command::Decline { channel } => self.answer_request(now, channel, false),
            Command::Write { channel, bytes } => self.write(now, channel, bytes),
            Command::Consumed { channel, bytes } => self.consumed(now, channel, bytes),
            Command::Close { channel } => self.close_channel(now, channel),
            Command::CloseDevice { device } => self.hang_up(now, device),
            Command::CloseAccount { account } => self.hang_up_account(now, account),
            Command::CloseAll => {
                for device in self.devices.keys().copied().collect::<Vec<_>>() {
                    self.hang_up(now, device);
                }
                for id in self.attempts.keys().copied().collect::<Vec<_>>() {
                    self.end(now, id, DownReason::Local, &FailReason::LinkLost);
                }
            }
            Command::SetBlocked(blocked) => {
                let new: Vec<_> = blocked.difference(&self.blocked).copied().collect();
                self.blocked = blocked;
                for account in new {
                    self.hang_up_account(now, account);
                }
            }
            Command::Probe => self.probe(now),
            Command::SetAddresses(addresses) => self.set_addresses(now, addresses),
            Command::KnowCertificate(chain) => self.know_certificate(now, chain),
        }
        self.settle(now);
    }

    /// Takes an event of the DHT.
    pub fn handle_dht(&mut self, now: Now, event: baraza_dht::Event) {
        match event {
            baraza_dht::Event::Values {
                op,
                values,
                expired: false,
            } => self.dht_values(now, op, values),
            baraza_dht::Event::Values { .. } | baraza_dht::Event::Status { .. } => {}
            baraza_dht::Event::Done { op, result } => self.dht_done(now, op, result),
            baraza_dht::Event::PublicAddress(address) => {
                self.public.retain(|a| a.is_ipv6() != address.is_ipv6());
                self.public.push(address);
            }
        }
        self.settle(now);
    }

    /// Takes an event of a TCP socket.
    pub fn handle_tcp(&mut self, now: Now, event: TcpEvent) {
        match event {
            TcpEvent::Listening { listener, port } => self.listening(now, listener, Some(port)),
            TcpEvent::ListenFailed { listener } => self.listening(now, listener, None),
            TcpEvent::Accepted {
                listener,
                conn,
                remote,
                ..
            } => {
                let Some(id) = self.listeners.get(&listener).copied() else {
                    return self.tcp(TcpCommand::Close { conn });
                };
                self.accepted.insert(conn, id);
                self.with_agent(now, conn, |agent| {
                    agent.accepted(now.instant, conn, remote);
                });
            }
            TcpEvent::Connected { conn, .. } => {
                self.with_agent(now, conn, |agent| agent.connected(now.instant, conn));
            }
            TcpEvent::ConnectFailed { conn } => {
                self.with_agent(now, conn, |agent| agent.connect_failed(now.instant, conn));
            }
            TcpEvent::Received { conn, bytes } => {
                self.with_agent(now, conn, |agent| {
                    agent.received(now.instant, conn, &bytes);
                });
            }
            TcpEvent::Writable { conn, sent } => self.writable(now, conn, sent),
            TcpEvent::Closed { conn } => {
                self.with_agent(now, conn, |agent| agent.closed(now.instant, conn));
                self.accepted.remove(&conn);
            }
        }
        self.settle(now);
    }

    /// To be called when [`Self::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        self.treat_offers(now);
        self.relisten(now);
        self.lookup_timeouts(now);
        for id in self.attempts.keys().copied().collect::<Vec<_>>() {
            self.attempt_timeout(now, id);
        }
        self.settle(now);
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let attempts = self.attempts.values().filter_map(Attempt::poll_timeout);
        let lookups = self.lookups.values().map(|lookup| lookup.deadline);
        let dials = self.next_dial();
        attempts
            .chain(lookups)
            .chain(self.offers.poll_timeout())
            .chain(dials)
            .min()
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        while self.out.is_empty() && self.send_pending() {}
        self.out.pop_front()
    }

    /// Dials whom there is reason to, after anything happened.
    fn settle(&mut self, now: Now) {
        self.latest = now;
        for device in self.waiting.iter().copied().collect::<Vec<_>>() {
            self.dispatch(now, device);
        }
    }

    fn set_addresses(&mut self, now: Now, addresses: Vec<IpAddr>) {
        let mut usable = addresses;
        usable.retain(|ip| is_offerable(*ip, self.config.allow_loopback));
        if usable != self.addresses {
            self.addresses = usable;
            self.forget_failures(now);
        }
    }

    fn probe(&mut self, now: Now) {
        self.forget_failures(now);
        for id in self.attempts.keys().copied().collect::<Vec<_>>() {
            self.probe_link(now, id);
        }
    }

    /// Ends everything with all devices of an account.
    fn hang_up_account(&mut self, now: Now, account: AccountId) {
        let linked = self.attempts.values().filter_map(|attempt| {
            let peer = attempt.peer()?;
            (peer.account == account).then_some(peer.device)
        });
        let known = self.devices.keys().copied().filter(|device| {
            self.certificates
                .get(device)
                .and_then(CertificateChain::account_id)
                == Some(account)
        });
        let devices: BTreeSet<_> = linked.chain(known).collect();
        for device in devices {
            self.hang_up(now, device);
        }
    }

    fn hang_up(&mut self, now: Now, device: DeviceId) {
        let of_device = |attempt: &&Attempt| attempt.device == device;
        let ids: Vec<_> = self
            .attempts
            .values()
            .filter(of_device)
            .map(|attempt| attempt.id)
            .collect();
        self.fail_queued(device, &FailReason::LinkLost);
        for id in ids {
            self.end(now, id, DownReason::Local, &FailReason::LinkLost);
        }
    }

    fn is_blocked(&self, chain: &CertificateChain) -> bool {
        chain
            .account_id()
            .is_some_and(|account| self.blocked.contains(&account))
    }

    /// A number that was not given yet.
    fn fresh_id(&mut self) -> u64 {
        self.next_id = self.next_id.saturating_add(1);
        self.next_id
    }

    fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    fn tcp(&mut self, command: TcpCommand) {
        self.out.push_back(Output::Tcp(command));
    }
}

/// That much later, or never if time ends before.
fn later(now: Instant, pause: Duration) -> Option<Instant> {
    now.checked_add(pause)
}

#[cfg(test)]
mod tests;
