//! A member of a group that means harm: it floods the others with notices, channels and
//! nonsense, and what it serves to who fetches from it is forged, bottomless or late.

mod forge;
mod packs;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use baraza_core::keys::Keys;
use baraza_core::protocol::drt::{Content, DrtMessage, name as swarm_name};
use baraza_core::protocol::message::{CommitNotice, Message};
use baraza_core::protocol::msg_channel::{ChannelMessage, name as msg_name};
use baraza_dht::{ClientId, Dht, OpId, certificate_value};
use baraza_identity::CertificateChain;
use baraza_link::{ChannelId, Command, Event, Links};
use baraza_swarm::Repository;
use baraza_swarm::pack::PackLimits;
use baraza_swarm::upload_pack::{ServerOutput, UploadPack};
use baraza_wire::{CommitId, ConversationId, DeviceId, Now, Rng};
use bytes::Bytes;

pub use self::forge::{FORGERIES, Forger};
use self::packs::Pack;
use crate::crowd::Group;
use crate::net::Input;
use crate::node_host::Disk;
use crate::world::{Action, Program};

const LINKS: ClientId = ClientId(1);
const OWN: ClientId = ClientId(2);
/// Pause between two pieces of mischief.
const PAUSE: Duration = Duration::from_millis(300);
/// Pause between two bytes of something slow.
const SLOW: Duration = Duration::from_secs(60);
/// Pause between publishing its certificate, without which nobody talks to it.
const FIND_ME: Duration = Duration::from_secs(10);
/// Channels of each kind opened at most: more than anybody needs.
const MAX_CHANNELS: usize = 400;
/// Bytes not sent yet above which a channel is left alone.
const MAX_UNSENT: usize = 256 << 10;

/// Somebody to harm.
#[derive(Debug, Clone)]
pub struct Victim {
    /// The device.
    pub device: DeviceId,
    /// Its certificate.
    pub chain: CertificateChain,
}

/// The member.
#[derive(Debug)]
pub struct Hostile {
    dht: Dht,
    links: Links,
    keys: Keys,
    group: ConversationId,
    victims: Vec<Victim>,
    /// Forged copies of the group.
    forged: Vec<Repository>,
    channels: BTreeMap<ChannelId, Channel>,
    next_channel: u64,
    next_op: u64,
    next: Instant,
    publish: Instant,
    rng: Rng,
    _disk: Disk,
}

#[derive(Debug)]
struct Channel {
    role: Role,
    open: bool,
    unsent: usize,
    /// When its next slow byte is due.
    slow: Instant,
}

#[derive(Debug)]
enum Role {
    /// Notices of commits that do not exist.
    Notices,
    /// A fetch that asks for nothing, a byte at a time.
    Loris(usize),
    /// Questions without end.
    Questions,
    /// Nothing is meant by it.
    Idle,
    /// Serves a forged repository.
    Forged(usize, Box<UploadPack>),
    /// Serves something else than a pack.
    Pack(Pack),
    /// Serves a byte at a time.
    Late(usize),
}

/// What it takes to be one.
#[derive(Debug)]
pub struct Setup {
    /// Who it is.
    pub keys: Keys,
    /// With what it forges.
    pub forger: Forger,
    /// The group it is in.
    pub group: Arc<Group>,
    /// Whom it harms.
    pub victims: Vec<Victim>,
    /// DHT nodes to begin with.
    pub bootstrap: Vec<SocketAddr>,
    /// Addresses of the host.
    pub addresses: Vec<IpAddr>,
}

impl Hostile {
    /// Starts one.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn start(setup: Setup, now: Now, mut rng: Rng) -> Result<Self> {
        let disk = Disk::new()?;
        let mut forged = Vec::new();
        for (number, forgery) in FORGERIES.iter().enumerate() {
            let place = disk.path().join(number.to_string());
            setup.group.copy_to(&place)?;
            let directory = place.join(setup.group.id.to_hex());
            forged.push(forge::forge(&directory, forgery, &setup.forger, now.unix)?);
        }
        let mut dht = Dht::new(baraza_dht::Config::default(), now, rng.fork());
        for addr in &setup.bootstrap {
            let command = baraza_dht::Command::Bootstrap { addr: *addr };
            dht.handle_command(now, OWN, command);
        }
        let identity = setup.keys.identity.clone();
        let mut links = Links::new(identity, Default::default(), Vec::new(), now, rng.fork())?;
        links.handle_command(now, Command::SetAddresses(setup.addresses));
        for victim in &setup.victims {
            links.handle_command(now, Command::KnowCertificate(victim.chain.clone()));
        }
        Ok(Self {
            dht,
            links,
            keys: setup.keys,
            group: setup.group.id,
            victims: setup.victims,
            forged,
            channels: BTreeMap::new(),
            next_channel: 0,
            next_op: 0,
            next: now.instant,
            publish: now.instant + FIND_ME,
            rng,
            _disk: disk,
        })
    }

    fn open(&mut self, now: Now, device: DeviceId, name: String, role: Role) {
        if self.channels.len() >= MAX_CHANNELS {
            return;
        }
        self.next_channel += 1;
        let channel = ChannelId(self.next_channel);
        self.add(channel, now, role, false);
        let command = Command::Open {
            channel,
            device,
            name,
            reason: "application/im-gitmessage-id".to_owned(),
        };
        self.links.handle_command(now, command);
    }

    fn add(&mut self, channel: ChannelId, now: Now, role: Role, open: bool) {
        let state = Channel {
            role,
            open,
            unsent: 0,
            slow: now.instant,
        };
        self.channels.insert(channel, state);
    }

    fn write(&mut self, now: Now, channel: ChannelId, bytes: &[u8]) {
        let Some(state) = self.channels.get_mut(&channel) else {
            return;
        };
        for piece in bytes.chunks(0xffff) {
            if state.unsent + piece.len() > MAX_UNSENT {
                return;
            }
            state.unsent += piece.len();
            let bytes = Bytes::copy_from_slice(piece);
            self.links
                .handle_command(now, Command::Write { channel, bytes });
        }
    }

    fn publish(&mut self, now: Now) {
        let value = certificate_value::build(self.keys.identity.chain());
        for key in certificate_value::keys(self.keys.identity.public_key()) {
            self.next_op += 1;
            let command = baraza_dht::Command::Put {
                op: OpId(self.next_op),
                key,
                value: value.clone(),
                permanent: false,
            };
            self.dht.handle_command(now, OWN, command);
        }
    }

    /// Something new, with somebody.
    fn act(&mut self, now: Now) {
        if self.publish <= now.instant {
            self.publish = now.instant + FIND_ME;
            self.publish(now);
        }
        let Some(index) = self.rng.index(self.victims.len()) else {
            return;
        };
        let device = self.victims[index].device;
        match self.rng.range(0..5) {
            0 => self.open(now, device, msg_name(&device), Role::Notices),
            1 => {
                let name = format!("git://{device}/{}", self.group);
                self.open(now, device, name, Role::Loris(0));
            }
            2 => self.open(now, device, swarm_name(&self.group), Role::Questions),
            3 => {
                let name = self.rng.range(0..u64::MAX).to_string();
                self.open(now, device, name, Role::Idle);
            }
            _ => {}
        }
        let open: Vec<ChannelId> = self
            .channels
            .iter()
            .filter(|(_, state)| state.open)
            .map(|(channel, _)| *channel)
            .collect();
        for channel in open {
            self.go_on(now, channel);
        }
    }

    /// What a channel that is open is used for.
    fn go_on(&mut self, now: Now, channel: ChannelId) {
        let Some(state) = self.channels.get_mut(&channel) else {
            return;
        };
        let slow = state.slow <= now.instant;
        let bytes = match &mut state.role {
            Role::Notices => {
                let other = self.rng.index(self.victims.len()).unwrap_or(0);
                let device = match self.rng.one_in(2) {
                    true => self.keys.identity.device_id(),
                    false => self.victims[other].device,
                };
                let notice = Message::Commit(CommitNotice {
                    conversation: self.group,
                    commit: CommitId::new(self.rng.bytes()),
                    device,
                });
                let message = ChannelMessage {
                    token: self.rng.range(1..u64::MAX),
                    mime: notice.mime().to_owned(),
                    body: notice.body(),
                };
                message.encode()
            }
            Role::Questions => match self.rng.one_in(50) {
                true => self.rng.bytes::<32>().to_vec(),
                false => {
                    let node = DeviceId::new(self.rng.bytes());
                    DrtMessage::new(Content::Find { node, count: 999 }).encode()
                }
            },
            Role::Loris(sent) | Role::Late(sent) if slow => {
                state.slow = now.instant + SLOW;
                let text = b"0084git-upload-pack /";
                *sent += 1;
                vec![text[(*sent - 1) % text.len()]]
            }
            Role::Pack(Pack::Endless) => packs::junk(),
            _ => return,
        };
        self.write(now, channel, &bytes);
    }

    fn event(&mut self, now: Now, event: Event) {
        match event {
            Event::Requested { channel, name, .. } => {
                let role = if name.starts_with("git://") {
                    self.serve()
                } else {
                    Role::Idle
                };
                self.add(channel, now, role, true);
                self.links.handle_command(now, Command::Accept { channel });
            }
            Event::Opened { channel, .. } => {
                if let Some(state) = self.channels.get_mut(&channel) {
                    state.open = true;
                }
            }
            Event::Failed { channel, .. } | Event::Closed { channel } => {
                self.channels.remove(&channel);
            }
            Event::Sent { channel, bytes } => {
                if let Some(state) = self.channels.get_mut(&channel) {
                    state.unsent = state.unsent.saturating_sub(bytes);
                }
                self.pump(now, channel);
            }
            Event::Data { channel, bytes } => {
                let length = bytes.len();
                let consumed = Command::Consumed {
                    channel,
                    bytes: length,
                };
                self.links.handle_command(now, consumed);
                self.data(now, channel, &bytes);
            }
            Event::LinkUp { .. } | Event::LinkDown { .. } | Event::OfferSeen { .. } => {}
        }
    }

    /// How the next fetch from here is served.
    fn serve(&mut self) -> Role {
        let dice = self.rng.range(0..10);
        match dice {
            0..6 => {
                let index = self.rng.index(self.forged.len()).unwrap_or(0);
                Role::Forged(index, Box::new(UploadPack::new(PackLimits::default())))
            }
            6..9 => Role::Pack(Pack::any(&mut self.rng)),
            _ => Role::Late(0),
        }
    }

    fn data(&mut self, now: Now, channel: ChannelId, bytes: &Bytes) {
        let Some(state) = self.channels.get_mut(&channel) else {
            return;
        };
        match &mut state.role {
            Role::Forged(index, server) => {
                let repository = &self.forged[*index];
                repository.with_view(|view| server.receive(bytes, view));
                self.pump(now, channel);
            }
            Role::Pack(pack) => {
                let answer = pack.answer(bytes, &mut self.rng);
                self.write(now, channel, &answer);
            }
            _ => {}
        }
    }

    /// Sends what a server of a forged repository has to say.
    fn pump(&mut self, now: Now, channel: ChannelId) {
        while let Some(state) = self.channels.get_mut(&channel)
            && state.unsent + 0xffff <= MAX_UNSENT
            && let Role::Forged(index, server) = &mut state.role
        {
            let repository = &self.forged[*index];
            let output = repository.with_view(|view| server.poll_output(view));
            match output.flatten() {
                Some(ServerOutput::Write(bytes)) => self.write(now, channel, &bytes),
                Some(ServerOutput::Close(_)) => {
                    self.links.handle_command(now, Command::Close { channel });
                    self.channels.remove(&channel);
                }
                Some(_) => {}
                None => return,
            }
        }
    }
}

impl Program for Hostile {
    fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Datagram { from, bytes } => self.dht.handle_datagram(now, from, &bytes),
            Input::Tcp(event) => self.links.handle_tcp(now, event),
            Input::Timeout => {
                let due = |at: Option<Instant>| at.is_some_and(|at| at <= now.instant);
                if due(self.dht.poll_timeout()) {
                    self.dht.handle_timeout(now);
                }
                if due(self.links.poll_timeout()) {
                    self.links.handle_timeout(now);
                }
                if self.next <= now.instant {
                    self.next = now.instant + PAUSE;
                    self.act(now);
                }
            }
        }
    }

    fn poll_action(&mut self, now: Now) -> Option<Action> {
        loop {
            if let Some(output) = self.dht.poll_output() {
                match output {
                    baraza_dht::Output::Transmit { to, bytes } => {
                        return Some(Action::Transmit { to, bytes });
                    }
                    baraza_dht::Output::Event { client, event } if client == LINKS => {
                        self.links.handle_dht(now, event);
                    }
                    baraza_dht::Output::Event { .. } => {}
                }
                continue;
            }
            match self.links.poll_output()? {
                baraza_link::Output::Dht(command) => {
                    self.dht.handle_command(now, LINKS, command);
                }
                baraza_link::Output::Tcp(command) => return Some(Action::Tcp(command)),
                baraza_link::Output::Event(event) => self.event(now, event),
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let machines = [self.dht.poll_timeout(), self.links.poll_timeout()];
        machines.into_iter().flatten().chain([self.next]).min()
    }
}
