//! One account of this machine: the engine between the network and the user.
//!
//! A plain struct. Commands, events of links and of the DHT, and the time go in; drain
//! [`Account::poll_output`] after each of them, then wait for the next input or for
//! [`Account::poll_timeout`]. State is in the store and in the conversations' repositories;
//! dropping an account at any point is what a crash does to it, and
//! [`Account::open`] goes on from there.
//!
//! What a call has to say to the network comes out first; only then the disk is waited for,
//! and then come events and replies: whatever they tell is durable.

mod bundle;
mod channels;
mod clone;
mod commands;
mod contacts;
mod conversation;
mod delivery;
mod devices;
mod divergence;
mod drt;
mod files;
mod forgetful;
mod git;
mod groups;
mod index;
mod instant;
mod instead;
mod intake;
mod keep;
mod known;
mod linking;
mod merge;
mod messages;
mod names;
mod own;
mod own_profile;
mod preferences;
pub(crate) mod profiles;
mod registration;
mod requests;
mod revocation;
mod routing;
mod safety;
mod signs;
mod sync;
mod sync_take;
mod timers;
mod views;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use baraza_identity::{DeviceIdentity, Password};
use baraza_link::ChannelId;
use baraza_store::{ContactRow, OutboxKind, OutboxRow, RequestRow, Store, StoreError};
use baraza_wire::{AccountId, ConversationId, DeviceId, Now, Rng};

use crate::command::{Command, CommandError, Reply, Settings};
use crate::event::{Event, EventBody, LocalId, RegistrationState};
use crate::keys::Keys;
use crate::link_device::LinkStatus;
use crate::protocol::announcement;

use channels::Channel;
use conversation::Conversation;
use devices::Device;
pub use files::AUTO_ACCEPT;
use files::{FileNews, Files};
pub use intake::IntakeLimits;
use intake::Intakes;
use linking::Linking;
pub use names::NameQuery;
use names::Names;
pub(crate) use names::SERVER as NAME_SERVER;
use profiles::Profiles;
use registration::{Op, Registration};
use requests::Lookup;
use revocation::Revoked;
use sync::SyncState;
use timers::{Timer, Timers};
pub use work::{Done, Work};

/// What an account is told at the start.
#[derive(Debug, Clone)]
pub struct AccountConfig {
    /// Its local name.
    pub local_id: LocalId,
    /// Its number in the store.
    pub number: i64,
    /// Its directory; conversations are below it.
    pub directory: PathBuf,
    /// The name it shows.
    pub display_name: String,
    /// What is taken in at once, and what in steps.
    pub intake: IntakeLimits,
    /// Whether it uses the network. If not, everything that is here can be read, and what is
    /// written waits.
    pub enabled: bool,
}

/// A command waiting for its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What the driver has to do.
#[derive(Debug)]
pub enum Output {
    /// For the account's links.
    Link(baraza_link::Command),
    /// For the DHT.
    Dht(baraza_dht::Command),
    /// The answer to a command.
    Reply {
        /// To which.
        request: RequestId,
        /// The answer.
        result: Result<Reply, CommandError>,
    },
    /// For clients; it is in the store already.
    Event(Event),
    /// To be run aside, as it takes long; what came of it goes to
    /// [`Account::handle_work`]. There may be some tens at a time.
    Work(Work),
    /// To be opened aside, as it takes long: the account's archive, brought up to date, for a
    /// device being linked. What came of it goes to [`Account::handle_archive`].
    OpenArchive(Password),
    /// To be asked of a name server; what came of it goes to [`Account::handle_name`].
    Name(NameQuery),
    /// How far the linking of a device is, for clients.
    Linking(LinkStatus),
}

/// Why an account cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its keys have no announcement.
    #[error("the account's keys are not usable: {0}")]
    Keys(&'static str),
}

/// The machine.
#[derive(Debug)]
pub struct Account {
    core: Core,
    registration: Registration,
    contacts: BTreeMap<AccountId, ContactRow>,
    requests: BTreeMap<ConversationId, RequestRow>,
    outbox: BTreeMap<(OutboxKind, AccountId), OutboxRow>,
    lookups: BTreeMap<DeviceId, Lookup>,
    /// Values left for this device that were handled.
    treated: BTreeSet<u64>,
    devices: BTreeMap<DeviceId, Device>,
    /// Accounts whose devices we hear of.
    watches: BTreeMap<AccountId, baraza_dht::OpId>,
    /// Live links, those of strangers too.
    links: BTreeMap<DeviceId, baraza_link::Peer>,
    conversations: BTreeMap<ConversationId, Conversation>,
    channels: BTreeMap<ChannelId, Channel>,
    intakes: Intakes,
    /// What is agreed with the other devices of the account.
    sync: SyncState,
    files: Files,
    profiles: Profiles,
    names: Names,
    /// Conversations of which not all messages are in their view yet.
    behind: BTreeSet<ConversationId>,
    /// Devices that were revoked.
    revoked: Revoked,
    /// The device that is being linked.
    linking: Option<Linking>,
    /// Whether a batch of messages may be committed before the next input is taken.
    may_commit: bool,
}

/// What every part of the machine uses.
#[derive(Debug)]
struct Core {
    config: AccountConfig,
    settings: Settings,
    identity: DeviceIdentity,
    account: AccountId,
    device: DeviceId,
    store: Store,
    now: Now,
    rng: Rng,
    out: VecDeque<Output>,
    timers: Timers,
    /// Events not written yet.
    events: Vec<EventBody>,
    /// What commits that were indexed say about files.
    file_news: Vec<(ConversationId, FileNews)>,
    /// Replies to give when everything is written.
    replies: Vec<(RequestId, Result<Reply, CommandError>)>,
    /// Numbers of offers and messages to remember.
    treated: Vec<u64>,
    ops: BTreeMap<baraza_dht::OpId, Op>,
    next_op: u64,
    next_channel: u64,
    /// Why nothing goes on, if the store failed.
    failure: Option<String>,
}

impl Core {
    fn link(&mut self, command: baraza_link::Command) {
        if self.config.enabled {
            self.out.push_back(Output::Link(command));
        }
    }

    fn dht(&mut self, command: baraza_dht::Command) {
        if self.config.enabled {
            self.out.push_back(Output::Dht(command));
        }
    }

    fn emit(&mut self, event: EventBody) {
        self.events.push(event);
    }

    /// A new name for a channel of ours.
    fn channel(&mut self) -> ChannelId {
        self.next_channel = self.next_channel.wrapping_add(1);
        ChannelId(self.next_channel)
    }

    /// Starts an operation of the DHT.
    fn operation(
        &mut self,
        op: Op,
        command: impl FnOnce(baraza_dht::OpId) -> baraza_dht::Command,
    ) -> baraza_dht::OpId {
        self.next_op = self.next_op.wrapping_add(1);
        let id = baraza_dht::OpId(self.next_op);
        self.ops.insert(id, op);
        self.dht(command(id));
        id
    }

    fn cancel(&mut self, id: baraza_dht::OpId) {
        if self.ops.remove(&id).is_some() {
            self.dht(baraza_dht::Command::Cancel { op: id });
        }
    }

    /// The time after a pause.
    fn after(&self, pause: Duration) -> Instant {
        let instant = self.now.instant;
        instant.checked_add(pause).unwrap_or(instant)
    }

    /// `base` doubled `tries` times, at most `max`, give or take a quarter.
    fn back_off(&mut self, base: Duration, tries: u32, max: Duration) -> Duration {
        let factor = 1_u32.checked_shl(tries.min(20)).unwrap_or(u32::MAX);
        let pause = base.saturating_mul(factor).min(max);
        let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let low = millis.saturating_sub(millis / 4);
        let high = millis.saturating_add(millis / 4).saturating_add(1);
        Duration::from_millis(self.rng.range(low..high))
    }
}

impl Account {
    /// Opens an account and begins to register. Repairs what a crash left: messages in a
    /// repository that are not in the index.
    ///
    /// # Errors
    /// If the store fails or the keys are unusable. A conversation that cannot be opened is
    /// reported as an event, and the others go on.
    pub fn open(
        config: AccountConfig,
        keys: &Keys,
        store: Store,
        now: Now,
        mut rng: Rng,
    ) -> Result<Self, AccountError> {
        let announcement = announcement::to_put(&keys.receipt, &mut rng)
            .map_err(|_| AccountError::Keys("no announcement"))?;
        let number = config.number;
        let contacts = store.contacts(number)?;
        let requests = store.requests(number)?;
        let outbox = store.outbox(number)?;
        let treated = store.treated(number)?;
        let settings = Settings::load(&store, number)?;
        let identity = keys.identity.clone();
        let core = Core {
            config,
            settings,
            account: identity.account_id(),
            device: identity.device_id(),
            identity,
            store,
            now,
            rng,
            out: VecDeque::new(),
            timers: Timers::default(),
            events: Vec::new(),
            file_news: Vec::new(),
            replies: Vec::new(),
            treated: Vec::new(),
            ops: BTreeMap::new(),
            next_op: 0,
            next_channel: 0,
            failure: None,
        };
        let mut account = Self {
            registration: Registration::new(announcement),
            contacts: contacts.into_iter().map(|row| (row.contact, row)).collect(),
            requests: requests
                .into_iter()
                .map(|row| (row.conversation, row))
                .collect(),
            outbox: outbox
                .into_iter()
                .map(|row| ((row.kind, row.target), row))
                .collect(),
            lookups: BTreeMap::new(),
            treated: treated.into_iter().collect(),
            devices: BTreeMap::new(),
            watches: BTreeMap::new(),
            links: BTreeMap::new(),
            conversations: BTreeMap::new(),
            channels: BTreeMap::new(),
            intakes: Intakes::default(),
            sync: SyncState::default(),
            files: Files::default(),
            profiles: Profiles::default(),
            names: Names::default(),
            behind: BTreeSet::new(),
            revoked: Revoked::default(),
            linking: None,
            may_commit: false,
            core,
        };
        account.core.store.begin()?;
        account.load_devices()?;
        account.load_sync()?;
        account.load_revocations()?;
        account.load_conversations()?;
        account.load_files()?;
        account.load_profiles()?;
        account.load_names()?;
        account.behind = account.find_behind();
        account.update_all_routing()?;
        account.start_registration();
        account.check_ourselves();
        account.start_contacts();
        account.check_members()?;
        account.rest();
        Ok(account)
    }

    /// Its Jami ID.
    pub fn id(&self) -> AccountId {
        self.core.account
    }

    /// This device.
    pub fn device_id(&self) -> DeviceId {
        self.core.device
    }

    /// How it is connected.
    pub fn state(&self) -> RegistrationState {
        self.registration.state
    }

    /// Offers and messages handled in earlier lives, for `Links::new`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn treated(&self) -> Result<Vec<u64>, StoreError> {
        self.core.store.treated(self.core.config.number)
    }

    /// Why the account stopped, if its store failed: it does nothing any more and has to be
    /// opened again. What it told before is safe.
    pub fn failure(&self) -> Option<&str> {
        self.core.failure.as_deref()
    }

    /// Takes a command. Its reply comes out of [`Self::poll_output`], sooner or later.
    pub fn handle_command(&mut self, now: Now, request: RequestId, command: Command) {
        self.begin(now);
        if let Some(failure) = &self.core.failure {
            let result = Err(CommandError::Store(failure.clone()));
            self.core.out.push_back(Output::Reply { request, result });
            return;
        }
        match self.command(request, command) {
            Ok(Some(reply)) => self.core.replies.push((request, Ok(reply))),
            Ok(None) => {}
            Err(CommandFailure::Refused(error)) => self.core.replies.push((request, Err(error))),
            Err(CommandFailure::Store(error)) => {
                let result = Err(CommandError::Store(error.to_string()));
                self.core.replies.push((request, result));
                self.fail(&error);
            }
        }
    }

    /// Takes an event of the account's links.
    pub fn handle_link(&mut self, now: Now, event: baraza_link::Event) {
        self.begin(now);
        if self.core.failure.is_none() {
            let result = self.link_event(event);
            self.check(result);
        }
    }

    /// Takes an event of the DHT.
    pub fn handle_dht(&mut self, now: Now, event: baraza_dht::Event) {
        self.begin(now);
        if self.core.failure.is_none() {
            let result = self.dht_event(event);
            self.check(result);
        }
    }

    /// Takes what came of a work.
    pub fn handle_work(&mut self, now: Now, done: Done) {
        self.begin(now);
        if self.core.failure.is_none() {
            let result = self.work_done(done);
            self.check(result);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.begin(now);
        while self.core.failure.is_none() {
            let Some(timer) = self.core.timers.pop(now.instant) else {
                break;
            };
            let result = self.timer(timer);
            self.check(result);
        }
        if self.core.failure.is_none() {
            let result = self.index_step();
            self.check(result);
        }
        if self.core.failure.is_none() {
            let result = self.view_step();
            self.check(result);
        }
    }

    /// When to call [`Self::handle_timeout`]; at once if it is not later than now.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.core.failure.is_some() {
            None
        } else if self.has_queued() || self.intakes.have_step() || !self.behind.is_empty() {
            Some(self.core.now.instant)
        } else {
            self.core.timers.next()
        }
    }

    /// The next thing to do. When there is nothing left to send, writes to the disk before
    /// giving events and replies.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.core.out.pop_front() {
            return Some(output);
        }
        if self.core.failure.is_none() {
            let result = self.settle();
            self.check(result);
        }
        self.core.out.pop_front()
    }

    /// The next thing to do, if there is one that need not wait for the disk.
    pub fn poll_send(&mut self) -> Option<Output> {
        self.core.out.pop_front()
    }

    /// Writes what waits. For an orderly end; a crash loses nothing that was told.
    ///
    /// # Errors
    /// If the store fails.
    pub fn close(mut self) -> Result<(), StoreError> {
        while self.core.failure.is_none() && self.has_queued() {
            self.commit_queued()?;
        }
        self.flush()?;
        self.core.store.checkpoint()
    }

    /// Work put off until everything was sent: first what waits to be written, then one
    /// batch of messages to be committed.
    fn settle(&mut self) -> Result<(), StoreError> {
        self.flush()?;
        if !self.core.out.is_empty() || !std::mem::take(&mut self.may_commit) {
            return Ok(());
        }
        // What a batch has to say comes out before it is indexed, in the next round.
        if self.commit_queued()? && self.core.out.is_empty() {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes events and everything changed, durably, then gives events and replies.
    fn flush(&mut self) -> Result<(), StoreError> {
        self.index_fresh()?;
        self.take_file_news()?;
        let core = &mut self.core;
        let mut told = Vec::new();
        if !core.treated.is_empty() {
            core.store.begin()?;
            let numbers = std::mem::take(&mut core.treated);
            core.store
                .add_treated(core.config.number, &numbers, core.now.unix)?;
        }
        if !core.events.is_empty() {
            core.store.begin()?;
            let account = core.config.local_id.to_string();
            for body in std::mem::take(&mut core.events) {
                let json = serde_json::to_string(&body).unwrap_or_default();
                let cursor = core.store.add_event(&account, core.now.unix, &json)?;
                told.push(Event {
                    cursor,
                    account: core.config.local_id,
                    time: core.now.unix,
                    body,
                });
            }
        }
        if core.store.is_writing() {
            self.write_deliveries()?;
        }
        let core = &mut self.core;
        core.store.commit()?;
        core.out.extend(told.into_iter().map(Output::Event));
        let replies = std::mem::take(&mut core.replies);
        let replies = replies.into_iter();
        core.out
            .extend(replies.map(|(request, result)| Output::Reply { request, result }));
        Ok(())
    }

    fn begin(&mut self, now: Now) {
        self.core.now = now;
        self.may_commit = true;
    }

    fn check(&mut self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            self.fail(&error);
        }
    }

    /// The store failed: memory and disk may differ now, so nothing may go on.
    fn fail(&mut self, error: &StoreError) {
        tracing::error!(account = %self.core.account, %error, "the account stops");
        self.core.store.roll_back();
        let text = error.to_string();
        let replies = std::mem::take(&mut self.core.replies).into_iter();
        let mut waiting: Vec<RequestId> = replies.map(|(request, _)| request).collect();
        waiting.extend(self.files.take_requests());
        waiting.extend(self.names.take_requests());
        for conversation in self.conversations.values_mut() {
            waiting.extend(conversation.take_requests());
        }
        waiting.extend(self.intakes.take_requests());
        for request in waiting {
            let result = Err(CommandError::Store(text.clone()));
            self.core.out.push_back(Output::Reply { request, result });
        }
        self.core.failure = Some(text);
    }

    fn timer(&mut self, timer: Timer) -> Result<(), StoreError> {
        match timer {
            Timer::Register => {
                self.register();
                self.start_contacts();
            }
            Timer::Write => return self.core.store.begin(),
            Timer::Outbox(kind, target) => return self.try_outbox(kind, target),
            Timer::Lookup(device) => self.look_up_again(device),
            Timer::Dial(device) => self.dial(device),
            Timer::Check(device) => return self.check_device(device),
            Timer::Notice(conversation, device) => {
                return self.notice_again(conversation, device);
            }
            Timer::Fetch(conversation, device) => {
                return self.fetch_again(conversation, device);
            }
            Timer::Channel(channel) => return self.channel_timeout(channel),
            Timer::Profile(device) => self.profile_again(device),
            Timer::NoProfile(device) => self.profile_missing(device),
            Timer::Route(conversation) => return self.route_again(conversation),
            Timer::Clone(conversation) => return self.try_clone(conversation),
            Timer::Erase(conversation) => return self.erase_conversation(&conversation),
            Timer::OwnTyping(conversation) => return self.stop_typing(&conversation),
            Timer::Typing(conversation) => self.typing_timeout(&conversation),
            Timer::Files => self.advance_files(),
            Timer::Maintain => self.maintain(),
            Timer::OpenSync(device) => self.open_sync(device),
            Timer::TellSync => return self.tell_sync(),
            Timer::PostSync => self.post_sync(),
            Timer::Linking => self.linking_timeout(),
            Timer::Names => return self.names_round(),
        }
        Ok(())
    }
}

/// How a command failed.
#[derive(Debug)]
enum CommandFailure {
    /// It is refused; nothing has changed.
    Refused(CommandError),
    /// The store failed.
    Store(StoreError),
}

impl From<CommandError> for CommandFailure {
    fn from(error: CommandError) -> Self {
        Self::Refused(error)
    }
}

impl From<StoreError> for CommandFailure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
