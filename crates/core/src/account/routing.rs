//! Groups of many: to whom of them to connect, and whom to tell of new commits
//! (docs/protocol/05-swarm.md section 9, 06-messages-files.md section 2).
//!
//! In a small group there is a link to every device, as with contacts. In a large one there
//! are links to a few, chosen by a table; whoever fetched something new tells its own
//! neighbours. Nothing depends on luck: neighbours are asked what they have from time to
//! time, and everybody visits, one after the other, those who are not connected. Daemons of
//! 2023 know nothing of this: each is cared for by the members whose ids are nearest to its.

mod scouts;

use std::time::{Duration, Instant};

use baraza_identity::CertificateChain;
use baraza_link::ChannelId;
use baraza_store::{ConversationState, DeviceKind, StoreError};
use baraza_swarm::{Mode, Repository, Role};
use baraza_wire::{AccountId, ConversationId, DeviceId};
use bytes::Bytes;

use crate::account::Account;
use crate::account::channels::{Channel, ChannelKind};
use crate::account::conversation::Conversation;
use crate::account::drt::{BUCKET, LeaseOutcome, Leases, Table};
use crate::account::timers::Timer;
use crate::event::RegistrationState;
use crate::protocol::drt::{self, Content, DrtMessage, DrtStream, MobileNode};

/// Devices of others up to which a group is small.
const SMALL: usize = 8;
/// Pause between looks at the table of a large group.
const TICK: Duration = Duration::from_secs(60);
/// The same for a while after a start, as long as there are few links: of many members most
/// may be away, and those who are there have to be found among them.
const QUICK_TICK: Duration = Duration::from_secs(15);
/// How often that is.
const QUICK_TICKS: u32 = 12;
/// Links up to which there are few.
const FEW: usize = 4;
/// Pause between visits to devices that are not connected.
const VISIT: Duration = Duration::from_secs(180);
/// How long a visited device stays connected, and a link that nobody wants is kept.
const SERVED: Duration = Duration::from_secs(90);
/// Pause before the table is looked at after something went wrong.
const SOON: Duration = Duration::from_secs(1);
/// Most nodes in an answer.
const MAX_FOUND: usize = 8;
/// Questions answered on one channel; existing peers ask once.
const MAX_QUESTIONS: u32 = 256;
/// Channels of this kind that one device may have open to us in one conversation.
const MAX_CHANNELS: usize = 2;
/// Devices that were not met yet whose owners are watched.
const MAX_UNMET: usize = 8;
/// While a fetch is under way, others wait this long for what it may bring.
const DEFERRED: Duration = Duration::from_millis(1500);

/// What a conversation knows of the ways between its members.
#[derive(Debug)]
pub(super) struct Routing {
    pub(super) table: Table,
    leases: Leases,
    /// Whether there are too many devices for a link to each.
    large: bool,
    /// The tree of the repository when devices were last counted.
    tree: Option<[u8; 20]>,
    next_tick: Option<Instant>,
    /// Quick ticks left.
    quick: u32,
    next_visit: Option<Instant>,
    /// Members whose presence is watched for a while, to find somebody.
    scouts: Vec<AccountId>,
}

impl Routing {
    pub(super) fn new(own: DeviceId) -> Self {
        Self {
            table: Table::new(own),
            leases: Leases::default(),
            large: false,
            tree: None,
            next_tick: None,
            quick: QUICK_TICKS,
            next_visit: None,
            scouts: Vec::new(),
        }
    }

    /// Whether there are too many devices for a link to each.
    pub(super) const fn is_large(&self) -> bool {
        self.large
    }
}

fn is_joined(repository: &Repository, account: &AccountId) -> bool {
    let role = repository.role(account).ok().flatten();
    matches!(role, Some(Role::Admin | Role::Member))
}

/// The certificate chain of a device as a conversation has it, if that is a proof.
fn chain_in(
    repository: &Repository,
    device: &DeviceId,
    owner: &AccountId,
) -> Option<CertificateChain> {
    let read = |path: String| repository.read_file(&path).ok().flatten();
    let mut pem = read(format!("devices/{device}.crt"))?;
    let account = read(format!("admins/{owner}.crt"));
    pem.push(b'\n');
    pem.extend(account.or_else(|| read(format!("members/{owner}.crt")))?);
    let chain = CertificateChain::from_pem(pem).ok()?;
    let proven = chain.verify_device_ignoring_dates().ok() == Some(*owner);
    (proven && chain.device_id() == *device).then_some(chain)
}

impl Account {
    /// The members of a conversation may have changed, or it is new: finds out of how many
    /// devices it is, and knows them all if there are many.
    pub(super) fn update_routing(&mut self, id: ConversationId) -> Result<(), StoreError> {
        let own = self.core.account;
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        let Some(repository) = conversation.ready() else {
            return Ok(());
        };
        let tree = repository.tree();
        if repository.mode() == Mode::OneToOne || conversation.routing.tree == Some(tree) {
            return Ok(());
        }
        let devices = repository.devices().unwrap_or_default();
        let others: Vec<(DeviceId, AccountId)> = devices
            .into_iter()
            .filter(|(_, owner)| *owner != own && is_joined(repository, owner))
            .collect();
        let large = others.len() > SMALL;
        let mut met = Vec::new();
        if large {
            for (device, owner) in &others {
                let unknown = self
                    .devices
                    .get(device)
                    .is_none_or(|device| device.row.chain.is_empty());
                if unknown && let Some(chain) = chain_in(repository, device, owner) {
                    met.push((*owner, chain));
                }
            }
        }
        let routing = &mut conversation.routing;
        routing.tree = Some(tree);
        let grown = large && !std::mem::replace(&mut routing.large, large);
        for (owner, chain) in met {
            let key = chain.leaf().public_key().clone();
            self.meet_device(owner, &key, Some(&chain))?;
        }
        self.meet_devices(&id);
        self.fill_table(&id);
        if grown {
            self.watch_less(&id);
            self.core
                .timers
                .sooner(Timer::Route(id), self.core.after(SOON));
        }
        self.route(id)
    }

    /// At the start: the same for all conversations.
    pub(super) fn update_all_routing(&mut self) -> Result<(), StoreError> {
        let all: Vec<ConversationId> = self.conversations.keys().copied().collect();
        for id in all {
            self.update_routing(id)?;
        }
        Ok(())
    }

    /// Puts all devices of members into the table, and takes out those of others.
    fn fill_table(&mut self, id: &ConversationId) {
        let Some(conversation) = self.conversations.get_mut(id) else {
            return;
        };
        let Some(repository) = &conversation.repository else {
            return;
        };
        let table = &mut conversation.routing.table;
        for node in table.nodes() {
            if let Some(device) = self.devices.get(&node)
                && (device.row.kind == DeviceKind::Old
                    || !repository.is_authorised(&device.row.owner).unwrap_or(false)
                    || repository.is_banned_device(&node).unwrap_or(true))
            {
                table.forget(&node);
            }
        }
        for node in conversation.peers.keys() {
            if let Some(device) = self.devices.get(node)
                && device.row.kind != DeviceKind::Old
                && device.row.owner != self.core.account
                && is_joined(repository, &device.row.owner)
                && !repository.is_banned_device(node).unwrap_or(true)
            {
                table.know(*node, device.link || !device.present.is_empty());
            }
        }
    }

    /// A device was found on the network: the tables that know it should, too.
    pub(super) fn route_to(&mut self, device: DeviceId) -> Result<(), StoreError> {
        // Those of the own account are connected anyway.
        let apart = self.devices.get(&device).is_none_or(|device| {
            device.row.kind == DeviceKind::Old || device.row.owner == self.core.account
        });
        if apart {
            return Ok(());
        }
        let groups: Vec<ConversationId> = self
            .conversations
            .values()
            .filter(|conversation| is_group(conversation))
            .filter(|conversation| conversation.peers.contains_key(&device))
            .map(|conversation| conversation.row.id)
            .collect();
        for id in groups {
            if let Some(conversation) = self.conversations.get_mut(&id) {
                conversation.routing.table.know(device, true);
            }
            self.route(id)?;
        }
        Ok(())
    }

    /// The network is there, perhaps again: what failed before may work now.
    pub(super) fn route_all(&mut self) -> Result<(), StoreError> {
        let all: Vec<ConversationId> = self.conversations.keys().copied().collect();
        for id in all {
            if let Some(conversation) = self.conversations.get_mut(&id) {
                conversation.routing.table.retry();
                conversation.routing.quick = QUICK_TICKS;
            }
            self.route(id)?;
        }
        Ok(())
    }

    /// Connects to those that the table of a group wants.
    pub(super) fn route(&mut self, id: ConversationId) -> Result<(), StoreError> {
        let own = self.core.account;
        let now = self.core.now.instant;
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        let member = conversation
            .ready()
            .is_some_and(|repository| is_joined(repository, &own));
        let online = self.registration.state == RegistrationState::Registered;
        if !member || !online || !is_group(conversation) {
            return Ok(());
        }
        let table = &mut conversation.routing.table;
        let (chosen, again) = table.maintain(now, &mut self.core.rng);
        for device in chosen {
            self.open_swarm(id, device);
        }
        if let Some(again) = again {
            self.core.timers.sooner(Timer::Route(id), again);
        }
        Ok(())
    }

    /// Asks a device, which counts as being connected to, for a channel.
    fn open_swarm(&mut self, id: ConversationId, device: DeviceId) {
        let now = self.core.now.instant;
        let state = self.devices.get(&device);
        let owner = state.map(|state| state.row.owner);
        let old = state.is_some_and(|state| state.row.kind == DeviceKind::Old);
        let banned = owner.is_some_and(|owner| self.is_banned(&owner));
        if let Some(state) = self.devices.get(&device)
            && let Ok(chain) = CertificateChain::from_pem(&state.row.chain)
        {
            self.core.link(baraza_link::Command::KnowCertificate(chain));
        }
        let waits = self.await_certificate(device);
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return;
        };
        let table = &mut conversation.routing.table;
        if banned || old || owner == Some(self.core.account) {
            table.forget(&device);
            return;
        }
        if waits {
            table.failed(&device, now);
            return;
        }
        let channel = self.core.channel();
        let kind = ChannelKind::Swarm {
            conversation: id,
            stream: Box::new(DrtStream::new()),
            questions: 0,
        };
        let state = Channel::new(device, owner.unwrap_or_default(), kind);
        self.channels.insert(channel, state);
        self.core.link(baraza_link::Command::Open {
            channel,
            device,
            name: drt::name(&id),
            reason: "application/im-gitmessage-id".to_owned(),
        });
    }

    /// Whether a device of an account may open a `swarm://` channel to us.
    pub(super) fn may_route(
        &self,
        id: &ConversationId,
        account: &AccountId,
        device: &DeviceId,
    ) -> bool {
        let repository = self.conversations.get(id).and_then(Conversation::ready);
        let allowed = repository.is_some_and(|repository| {
            repository.is_authorised(account).unwrap_or(false)
                && !repository.is_banned_device(device).unwrap_or(true)
        });
        allowed && self.swarm_channels(id, device) < MAX_CHANNELS
    }

    fn swarm_channels(&self, id: &ConversationId, device: &DeviceId) -> usize {
        let channels = self.channels.values();
        let such = channels.filter(|channel| {
            channel.device == *device
                && channel.open
                && matches!(&channel.kind, ChannelKind::Swarm { conversation, .. } if conversation == id)
        });
        such.count()
    }

    /// A `swarm://` channel is open.
    pub(super) fn swarm_open(&mut self, channel: ChannelId) -> Result<(), StoreError> {
        let now = self.core.now.instant;
        let own = self.core.device;
        let Some(state) = self.channels.get_mut(&channel) else {
            return Ok(());
        };
        let device = state.device;
        let ChannelKind::Swarm {
            conversation: id, ..
        } = state.kind
        else {
            return Ok(());
        };
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return self.close_channel(channel);
        };
        if !conversation.is_authorised(&state.account) {
            conversation.routing.table.forget(&device);
            return self.close_channel(channel);
        }
        let ours = !channel.is_incoming();
        conversation.routing.table.connected(device, ours, now);
        let count = u64::try_from(BUCKET).unwrap_or(u64::MAX);
        let find = DrtMessage::new(Content::Find { node: own, count });
        if !state.write(channel, &mut self.core, find.encode().into()) {
            return self.close_channel(channel);
        }
        self.meet_devices(&id);
        self.want(device);
        self.route(id)
    }

    /// A `swarm://` channel could not be opened.
    pub(super) fn swarm_failed(&mut self, id: ConversationId, device: DeviceId) {
        let now = self.core.now.instant;
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.routing.table.failed(&device, now);
            let soon = self.core.after(SOON);
            self.core.timers.sooner(Timer::Route(id), soon);
        }
    }

    /// A `swarm://` channel is gone.
    pub(super) fn swarm_closed(&mut self, id: ConversationId, device: DeviceId) {
        let now = self.core.now.instant;
        if self.swarm_channels(&id, &device) > 0 {
            return;
        }
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.routing.table.disconnected(device, now);
            let soon = self.core.after(SOON);
            self.core.timers.sooner(Timer::Route(id), soon);
        }
    }

    pub(super) fn swarm_data(
        &mut self,
        channel: ChannelId,
        bytes: &Bytes,
    ) -> Result<(), StoreError> {
        let Some(state) = self.channels.get_mut(&channel) else {
            return Ok(());
        };
        let (device, account) = (state.device, state.account);
        let ChannelKind::Swarm {
            conversation: id,
            stream,
            ..
        } = &mut state.kind
        else {
            return Ok(());
        };
        let id = *id;
        let allowed = self
            .conversations
            .get(&id)
            .is_some_and(|conversation| conversation.is_authorised(&account));
        let messages = match stream.push(bytes) {
            Ok(messages) if allowed => messages,
            Ok(_) => return self.close_channel(channel),
            Err(error) => {
                tracing::debug!(device = %device.short(), %error, "bad swarm:// channel");
                return self.close_channel(channel);
            }
        };
        for message in messages {
            if let Some(answer) = self.swarm_message(&id, channel, device, message) {
                let bytes: Bytes = DrtMessage::new(answer).encode().into();
                let Some(state) = self.channels.get_mut(&channel) else {
                    return Ok(());
                };
                // Longer ones than a channel takes at a time go in pieces.
                for start in (0..bytes.len()).step_by(MAX_WRITE) {
                    let end = bytes.len().min(start.saturating_add(MAX_WRITE));
                    if !state.write(channel, &mut self.core, bytes.slice(start..end)) {
                        return self.close_channel(channel);
                    }
                }
            }
            let asked = match self.channels.get_mut(&channel).map(|state| &mut state.kind) {
                Some(ChannelKind::Swarm { questions, .. }) => {
                    *questions = questions.saturating_add(1);
                    *questions
                }
                _ => return Ok(()),
            };
            if asked > MAX_QUESTIONS {
                return self.close_channel(channel);
            }
        }
        self.route(id)
    }

    /// What a device says of others. The answer, if it wants one.
    fn swarm_message(
        &mut self,
        id: &ConversationId,
        channel: ChannelId,
        from: DeviceId,
        message: DrtMessage,
    ) -> Option<Content> {
        let now = self.core.now;
        let mut ask = Vec::new();
        for node in message.own_lease.iter() {
            self.lease_told(id, node, from, &mut ask);
        }
        let conversation = self.conversations.get_mut(id)?;
        let routing = &mut conversation.routing;
        let answer = match message.content {
            Content::Nothing => None,
            Content::Find { node, count } => {
                let count = usize::try_from(count).unwrap_or(MAX_FOUND).min(MAX_FOUND);
                Some(Content::Found {
                    nodes: routing.table.closest(&node, count),
                    mobile: Vec::new(),
                    leases: routing.leases.all(),
                })
            }
            Content::AskCertificates(ids) => {
                let own = self.core.identity.chain();
                Some(Content::Certificates(routing.leases.serve(&ids, own)))
            }
            Content::Certificates(chains) => {
                routing.leases.certificates(&from, &chains, now);
                None
            }
            Content::Found { nodes, leases, .. } => {
                let repository = conversation.repository.as_ref()?;
                for node in nodes {
                    match self.devices.get(&node) {
                        Some(known) if known.row.kind == DeviceKind::Old => {}
                        Some(known) => {
                            if is_joined(repository, &known.row.owner) {
                                routing.table.know(node, true);
                            }
                        }
                        None if repository.is_banned_device(&node).unwrap_or(true) => {}
                        None => routing.table.hear_of(node),
                    }
                }
                for node in &leases {
                    self.lease_told(id, node, from, &mut ask);
                }
                None
            }
        };
        if !ask.is_empty()
            && let Some(state) = self.channels.get_mut(&channel)
        {
            for ids in ask.chunks(drt::MAX_ASKED) {
                let question = DrtMessage::new(Content::AskCertificates(ids.to_vec()));
                // If there is no room, the lease is told again.
                _ = state.write(channel, &mut self.core, question.encode().into());
            }
        }
        answer
    }

    fn lease_told(
        &mut self,
        id: &ConversationId,
        node: &MobileNode,
        from: DeviceId,
        ask: &mut Vec<DeviceId>,
    ) {
        let Some(lease) = node.lease.as_ref().filter(|lease| lease.device == node.id) else {
            return;
        };
        let Some(conversation) = self.conversations.get_mut(id) else {
            return;
        };
        let member = conversation
            .ready()
            .is_some_and(|repository| is_joined(repository, &lease.issuer));
        if !member || node.id == self.core.device {
            return;
        }
        let device = self.devices.get(&node.id);
        let chain = device.and_then(|device| CertificateChain::from_pem(&device.row.chain).ok());
        let leases = &mut conversation.routing.leases;
        let outcome = leases.told(id, lease, from, chain, self.core.now);
        if outcome == LeaseOutcome::Ask {
            ask.push(node.id);
        }
    }

    /// Looks at a group again: fills its table, and now and then, if it is large, visits
    /// somebody and gives up what is not needed.
    pub(super) fn route_again(&mut self, id: ConversationId) -> Result<(), StoreError> {
        self.route(id)?;
        let now = self.core.now.instant;
        let slow = self.core.back_off(TICK, 0, TICK);
        let quick = self.core.back_off(QUICK_TICK, 0, QUICK_TICK);
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        let routing = &mut conversation.routing;
        if !routing.large || conversation.row.state != ConversationState::Ready {
            return Ok(());
        }
        let due = routing.next_tick.is_none_or(|at| at <= now);
        if due {
            let hurry = routing.quick > 0 && routing.table.links() <= FEW;
            routing.quick = routing.quick.saturating_sub(u32::from(hurry));
            routing.next_tick = now.checked_add(if hurry { quick } else { slow });
        }
        if let Some(at) = routing.next_tick {
            self.core.timers.sooner(Timer::Route(id), at);
        }
        match due {
            true => self.tick(id),
            false => Ok(()),
        }
    }

    fn tick(&mut self, id: ConversationId) -> Result<(), StoreError> {
        let now = self.core.now;
        let pause = self.core.back_off(VISIT, 0, VISIT);
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        let Some(repository) = &conversation.repository else {
            return Ok(());
        };
        let routing = &mut conversation.routing;
        routing
            .leases
            .retain(now, |lease| is_joined(repository, &lease.issuer));
        let surplus = routing.table.surplus(now.instant, SERVED);
        let due = routing.next_visit.is_none_or(|at| at <= now.instant);
        // The first round begins after the table had time to fill.
        let first = routing.next_visit.is_none();
        if due {
            routing.next_visit = now.instant.checked_add(pause);
        }
        let visited = match due && !first {
            true => routing.table.visit(now.instant),
            false => None,
        };
        if let Some(device) = visited {
            self.open_swarm(id, device);
        }
        for device in surplus {
            self.close_swarm(&id, &device)?;
        }
        self.send_scouts(&id);
        self.drop_links();
        Ok(())
    }

    fn close_swarm(&mut self, id: &ConversationId, device: &DeviceId) -> Result<(), StoreError> {
        let such = |channel: &Channel| {
            channel.device == *device
                && matches!(&channel.kind, ChannelKind::Swarm { conversation, .. } if conversation == id)
        };
        let channels: Vec<ChannelId> = self
            .channels
            .iter()
            .filter(|(channel, state)| !channel.is_incoming() && such(state))
            .map(|(channel, _)| *channel)
            .collect();
        for channel in channels {
            self.close_channel(channel)?;
        }
        Ok(())
    }

    /// Hangs up on newer devices that neither we nor they want to be connected to.
    fn drop_links(&mut self) {
        let now = self.core.now.instant;
        let linked: Vec<DeviceId> = self.links.keys().copied().collect();
        for id in linked {
            let busy = self.channels.values().any(|channel| {
                channel.device == id
                    && match &channel.kind {
                        ChannelKind::Swarm { .. } => true,
                        ChannelKind::Fetch { fetch, .. } => !fetch.is_idle(),
                        ChannelKind::Serve { .. } => channel.unsent > 0 || !channel.has_room(),
                        _ => false,
                    }
            });
            let owner = self.devices.get(&id).map(|device| device.row.owner);
            let contact = owner.is_some_and(|owner| self.is_contact(&owner));
            let wanted = busy || contact || self.is_wanted(&id);
            let Some(device) = self.devices.get_mut(&id) else {
                continue;
            };
            if wanted || device.row.kind != DeviceKind::New || device.row.owner == self.core.account
            {
                device.unwanted = None;
                continue;
            }
            let since = *device.unwanted.get_or_insert(now);
            if now.saturating_duration_since(since) >= SERVED {
                device.unwanted = None;
                self.core
                    .link(baraza_link::Command::CloseDevice { device: id });
            }
        }
    }

    /// Whether a table wants a link to a device.
    pub(super) fn is_routed(&self, id: &DeviceId) -> bool {
        self.conversations.values().any(|conversation| {
            conversation.routing.table.wants(id) || self.cares_for(conversation, id)
        })
    }

    /// Whether we are among those in a large group who tell this device, which other
    /// members do not: a daemon of 2023, a mobile one, or one not met yet.
    fn cares_for(&self, conversation: &Conversation, id: &DeviceId) -> bool {
        let Some(device) = self.devices.get(id) else {
            return false;
        };
        let routing = &conversation.routing;
        let apart = match device.row.kind {
            DeviceKind::Old => true,
            DeviceKind::Unknown => !device.present.is_empty(),
            DeviceKind::New => routing.leases.holds(id, self.core.now),
        };
        routing.large && apart && conversation.peers.contains_key(id) && routing.table.is_near(id)
    }

    /// Whether it is up to us to tell a device of new commits, or to others.
    pub(super) fn tells(&self, conversation: &Conversation, id: &DeviceId) -> bool {
        !conversation.routing.large
            || self.devices.get(id).is_some_and(|device| {
                device.carrier().is_some() || device.row.owner == self.core.account
            })
            || self.cares_for(conversation, id)
    }

    /// A device of a large group has something while we fetch from another one: that may
    /// bring it. Whether to wait for that a moment.
    pub(super) fn is_fetching(&self, id: &ConversationId, but: &DeviceId) -> bool {
        let Some(conversation) = self.conversations.get(id) else {
            return false;
        };
        let mut others = conversation.peers.iter().filter(|(other, _)| *other != but);
        conversation.routing.large
            && others.any(|(_, peer)| {
                let channel = peer
                    .git
                    .as_ref()
                    .and_then(|git| self.channels.get(&git.channel));
                channel.is_some_and(|channel| match &channel.kind {
                    ChannelKind::Fetch { fetch, .. } => !channel.open || !fetch.is_idle(),
                    _ => false,
                })
            })
    }

    /// When a deferred fetch is due.
    pub(super) fn deferred(&self) -> Instant {
        self.core.after(DEFERRED)
    }
}

/// Longest piece of an answer.
const MAX_WRITE: usize = 0xffff;

fn is_group(conversation: &Conversation) -> bool {
    let repository = conversation.ready();
    repository.is_some_and(|repository| repository.mode() != Mode::OneToOne)
}
