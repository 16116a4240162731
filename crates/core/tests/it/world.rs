//! Hosts with one account each, virtual time, and a network at the level of links and of
//! the DHT: channels open, carry bytes in order and break; values are found at keys.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use baraza_core::{
    Account, AccountConfig, Command, CommandError, Event, EventBody, IntakeLimits, Keys, LocalId,
    Message, Output, Reply, RequestId, Work,
};
use baraza_dht::{Event as DhtEvent, OpId, Status, Value};
use baraza_identity::testing;
use baraza_link::{ChannelId, DownReason, Event as LinkEvent, FailReason, Peer};
use baraza_store::{AccountRow, Durability, Store};
use baraza_wire::{AccountId, CommitId, ConversationId, InfoHash, Now, Rng, UnixTime};

/// One way through the network.
pub(crate) const LATENCY: Duration = Duration::from_millis(5);
/// After what time a peer notices that another is gone.
const NOTICE_DEATH: Duration = Duration::from_millis(900);
/// How long announcements of a dead host stay.
const ANNOUNCED: Duration = Duration::from_secs(600);

pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) rng: Rng,
    pub(crate) hosts: Vec<Host>,
    queue: BTreeMap<(Instant, u64), (usize, u64, Input)>,
    serial: u64,
    values: BTreeMap<InfoHash, Vec<(usize, u64, Value)>>,
    links: BTreeSet<(usize, usize)>,
    channels: BTreeMap<(usize, ChannelId), End>,
    /// Hosts that cannot connect to each other.
    pub(crate) apart: BTreeSet<(usize, usize)>,
    /// Of so many instant messages one is swallowed, as daemons of 2023 do; 0 for none.
    pub(crate) swallow: u64,
    /// Writes on channels in all.
    pub(crate) writes: u64,
    /// Bytes of files among what was written.
    pub(crate) file_bytes: u64,
    /// Bytes of profiles.
    pub(crate) profile_bytes: u64,
    /// Names of channels that were accepted, and by whom.
    pub(crate) accepted: Vec<(usize, String)>,
    /// Bytes written on channels in all.
    pub(crate) bytes: usize,
}

pub(crate) struct Host {
    pub(crate) name: &'static str,
    pub(crate) directory: PathBuf,
    _temporary: Option<tempfile::TempDir>,
    keys: Keys,
    number: i64,
    pub(crate) account: Option<Account>,
    /// Counts lives, so that nothing meant for one arrives in the next.
    life: u64,
    /// A host that declines what daemons of 2023 do not know: `msg:` and `swarm:` channels.
    pub(crate) old: bool,
    /// A host that declines what newer peers have given up: `sip` channels.
    pub(crate) new: bool,
    /// Sees nothing of what others put on the DHT under its own Jami ID.
    pub(crate) deaf: bool,
    /// Cut off from all others.
    pub(crate) cut: bool,
    /// By how many seconds its clock is wrong.
    pub(crate) clock: i64,
    /// What it takes in at once.
    pub(crate) intake: IntakeLimits,
    /// Whether it keeps what it is to run aside.
    pub(crate) holds_work: bool,
    work: VecDeque<Work>,
    /// A host that gives wrong bytes of files.
    pub(crate) lies: bool,
    pub(crate) events: Vec<Event>,
    replies: BTreeMap<RequestId, Result<Reply, CommandError>>,
    next_request: u64,
    next_channel: u64,
    listens: BTreeMap<OpId, InfoHash>,
}

impl Host {
    /// Whether it is to run something aside.
    pub(crate) fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// Where a conversation is.
    pub(crate) fn conversation(&self, chat: ConversationId) -> PathBuf {
        let all = self.directory.join("conversations");
        all.join(chat.to_hex())
    }
}

/// The other end of a channel.
struct End {
    host: usize,
    channel: ChannelId,
    name: String,
    open: bool,
}

enum Input {
    Link(LinkEvent),
    /// The end of a link to another host, or of what was on it.
    Death {
        other: usize,
        event: LinkEvent,
    },
    Dht(DhtEvent),
    /// A channel is asked for.
    Ask {
        from: usize,
        channel: ChannelId,
        name: String,
    },
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: Now {
                instant: Instant::now(),
                unix: testing::NOW,
            },
            rng: Rng::from_seed(seed),
            hosts: Vec::new(),
            queue: BTreeMap::new(),
            serial: 0,
            values: BTreeMap::new(),
            links: BTreeSet::new(),
            channels: BTreeMap::new(),
            apart: BTreeSet::new(),
            swallow: 0,
            writes: 0,
            file_bytes: 0,
            profile_bytes: 0,
            accepted: Vec::new(),
            bytes: 0,
        }
    }

    /// Two hosts that have not met.
    pub(crate) fn pair(seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.add("alice");
        world.add("bob");
        world
    }

    /// Two hosts that talk already.
    pub(crate) fn talking(seed: u64) -> (Self, ConversationId) {
        let mut world = Self::pair(seed);
        let chat = world.connect(0, 1);
        (world, chat)
    }

    pub(crate) fn add(&mut self, name: &'static str) -> usize {
        let temporary = tempfile::tempdir().unwrap();
        let identity = testing::identity(name);
        // Second devices are certified by the account of the first.
        let person = name.trim_end_matches("-2");
        let keys = Keys::issue(&testing::archive(person), identity.clone()).unwrap();
        let directory = temporary.path().to_owned();
        let mut store = Store::open(directory.join("node.db"), Durability::Process).unwrap();
        let number = store
            .add_account(&AccountRow {
                number: 0,
                local_id: LocalId::new(1).to_string(),
                jami_id: identity.account_id(),
                device_id: identity.device_id(),
                display_name: name.into(),
                created: self.now.unix,
            })
            .unwrap();
        let host = self.hosts.len();
        self.hosts.push(Host {
            name,
            directory,
            _temporary: Some(temporary),
            keys,
            number,
            account: None,
            life: 0,
            old: false,
            new: false,
            deaf: false,
            cut: false,
            clock: 0,
            intake: IntakeLimits::default(),
            holds_work: false,
            work: VecDeque::new(),
            lies: false,
            events: Vec::new(),
            replies: BTreeMap::new(),
            next_request: 0,
            next_channel: 0,
            listens: BTreeMap::new(),
        });
        self.start(host);
        host
    }

    pub(crate) fn id(&self, host: usize) -> AccountId {
        self.hosts[host].keys.identity.account_id()
    }

    pub(crate) fn identity(&self, host: usize) -> &baraza_identity::DeviceIdentity {
        &self.hosts[host].keys.identity
    }

    pub(crate) fn start(&mut self, host: usize) {
        let rng = self.rng.fork();
        let now = self.now_of(host);
        let it = &mut self.hosts[host];
        assert!(it.account.is_none());
        it.life += 1;
        it.events.clear();
        let store = Store::open(it.directory.join("node.db"), Durability::Process).unwrap();
        // As it was changed in an earlier life.
        let mut rows = store.accounts().unwrap().into_iter();
        let row = rows.find(|row| row.number == it.number);
        let config = AccountConfig {
            local_id: LocalId::new(1),
            number: it.number,
            directory: it.directory.clone(),
            display_name: row.unwrap().display_name,
            intake: it.intake,
            enabled: true,
        };
        let account = Account::open(config, &it.keys, store, now, rng).unwrap();
        it.account = Some(account);
        self.drain(host);
        let connected = DhtEvent::Status {
            ipv4: Status::Connected,
            ipv6: Status::Disconnected,
        };
        self.send(host, LATENCY, Input::Dht(connected));
    }

    /// As kill -9: nothing is written, the others notice later.
    pub(crate) fn kill(&mut self, host: usize) {
        let it = &mut self.hosts[host];
        it.account = None;
        it.work.clear();
        it.life += 1;
        it.listens.clear();
        self.lose_links(host, NOTICE_DEATH);
        // What was being opened.
        self.channels.retain(|(of, _), _| *of != host);
        let asking: Vec<(usize, ChannelId)> = self
            .channels
            .iter()
            .filter(|(_, end)| end.host == host)
            .map(|(key, _)| *key)
            .collect();
        for (from, channel) in asking {
            self.no_answer(from, channel);
        }
        self.expire(host, ANNOUNCED);
    }

    /// An orderly end.
    pub(crate) fn stop(&mut self, host: usize) {
        if let Some(account) = self.hosts[host].account.take() {
            account.close().unwrap();
        }
        self.kill(host);
    }

    /// Pulls or plugs in the cable.
    pub(crate) fn cut(&mut self, host: usize, cut: bool) {
        self.hosts[host].cut = cut;
        if cut {
            self.lose_links(host, NOTICE_DEATH);
        }
    }

    fn lose_links(&mut self, host: usize, after: Duration) {
        self.lose_some_links(host, after, |_| true);
    }

    fn lose_some_links(&mut self, host: usize, after: Duration, to: impl Fn(usize) -> bool) {
        let gone: Vec<(usize, usize)> = self
            .links
            .iter()
            .copied()
            .filter(|(a, b)| (*a == host && to(*b)) || (*b == host && to(*a)))
            .collect();
        for (a, b) in gone {
            self.links.remove(&(a, b));
            for (one, other) in [(a, b), (b, a)] {
                let ends: Vec<ChannelId> = self
                    .channels
                    .iter()
                    .filter(|((at, _), end)| *at == one && end.host == other)
                    .map(|((_, channel), _)| *channel)
                    .collect();
                for channel in ends {
                    let end = self.channels.remove(&(one, channel)).unwrap();
                    let event = if end.open || channel.is_incoming() {
                        LinkEvent::Closed { channel }
                    } else {
                        LinkEvent::Failed {
                            channel,
                            reason: FailReason::LinkLost,
                        }
                    };
                    self.send(one, after, Input::Death { other, event });
                }
                let device = self.hosts[other].keys.identity.device_id();
                let reason = DownReason::Lost;
                let event = LinkEvent::LinkDown { device, reason };
                self.send(one, after, Input::Death { other, event });
            }
        }
    }

    fn expire(&mut self, host: usize, after: Duration) {
        let mut gone = Vec::new();
        for (key, values) in &mut self.values {
            // Announcements only: the rest stays for days.
            values.retain(|(owner, _, value)| {
                let expires = *owner == host && value.value_type() == 0;
                if expires {
                    gone.push((*key, value.clone()));
                }
                !expires
            });
        }
        for (key, value) in gone {
            for (listener, op) in self.listeners(&key) {
                let event = DhtEvent::Values {
                    op,
                    values: vec![value.clone()],
                    expired: true,
                };
                self.send(listener, after, Input::Dht(event));
            }
        }
    }

    /// Takes away what a host knows of revoked devices.
    pub(crate) fn forget_revocations(&mut self, host: usize) {
        let it = &self.hosts[host];
        let mut store = Store::open(it.directory.join("node.db"), Durability::Process).unwrap();
        let owner = it.keys.identity.account_id();
        store.set_revocations(it.number, &owner, &[]).unwrap();
    }

    fn listeners(&self, key: &InfoHash) -> Vec<(usize, OpId)> {
        let mut found = Vec::new();
        for (host, it) in self.hosts.iter().enumerate() {
            if it.deaf && *key == it.keys.identity.account_id().into() {
                continue;
            }
            for (op, at) in &it.listens {
                if at == key {
                    found.push((host, *op));
                }
            }
        }
        found
    }

    fn send(&mut self, host: usize, after: Duration, input: Input) {
        self.serial += 1;
        let life = self.hosts[host].life;
        let at = self.now.instant + after;
        self.queue.insert((at, self.serial), (host, life, input));
    }

    /// Gives a command; its reply comes with [`Self::take_reply`].
    pub(crate) fn command(&mut self, host: usize, command: Command) -> RequestId {
        let now = self.now_of(host);
        let it = &mut self.hosts[host];
        it.next_request += 1;
        let request = RequestId(it.next_request);
        let account = it.account.as_mut().expect("running");
        account.handle_command(now, request, command);
        self.drain(host);
        request
    }

    pub(crate) fn take_reply(
        &mut self,
        host: usize,
        request: RequestId,
    ) -> Option<Result<Reply, CommandError>> {
        self.hosts[host].replies.remove(&request)
    }

    /// Gives a command and waits for its reply.
    pub(crate) fn ask(&mut self, host: usize, command: Command) -> Result<Reply, CommandError> {
        let request = self.command(host, command);
        for _ in 0..1000 {
            if let Some(reply) = self.take_reply(host, request) {
                return reply;
            }
            self.step();
        }
        panic!("no reply");
    }

    /// Does the next thing that is due, wherever.
    pub(crate) fn step(&mut self) {
        let timeout = self
            .hosts
            .iter()
            .enumerate()
            .filter_map(|(host, it)| Some((it.account.as_ref()?.poll_timeout()?, host)))
            .min();
        let next = self.queue.first_key_value().map(|(key, _)| key.0);
        match (timeout, next) {
            (Some((at, host)), next) if next.is_none_or(|next| at < next) => {
                self.advance(at);
                let now = self.now_of(host);
                if let Some(account) = &mut self.hosts[host].account {
                    account.handle_timeout(now);
                }
                self.drain(host);
            }
            (_, Some(at)) => {
                self.advance(at);
                let (_, (host, life, input)) = self.queue.pop_first().unwrap();
                let alive = self.hosts[host].life == life && self.hosts[host].account.is_some();
                match input {
                    input if alive => self.input(host, input),
                    Input::Ask { from, channel, .. } => self.no_answer(from, channel),
                    _ => {}
                }
            }
            _ => panic!("nothing will ever happen"),
        }
    }

    /// The time as a host sees it.
    pub(crate) fn now_of(&self, host: usize) -> Now {
        let clock = self.hosts[host].clock;
        let span = Duration::from_secs(clock.unsigned_abs());
        let unix = if clock < 0 {
            UnixTime::from_millis(self.now.unix.millis() - u64::try_from(span.as_millis()).unwrap())
        } else {
            self.now.unix.saturating_add(span)
        };
        Now {
            instant: self.now.instant,
            unix,
        }
    }

    fn advance(&mut self, at: Instant) {
        let passed = at.saturating_duration_since(self.now.instant);
        self.now = Now {
            instant: self.now.instant + passed,
            unix: self.now.unix.saturating_add(passed),
        };
    }

    /// Lets the world go on for a while.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now.instant + span;
        loop {
            let timeouts = self
                .hosts
                .iter()
                .filter_map(|it| it.account.as_ref()?.poll_timeout());
            let next = self.queue.keys().map(|key| key.0).next();
            match timeouts.chain(next).min() {
                Some(at) if at <= end => self.step(),
                _ => break,
            }
        }
        self.advance(end);
    }

    /// Lets the world go on until something is so.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let start = self.now.instant;
        while !done(self) {
            if self.now.instant - start > Duration::from_secs(900) {
                for host in 0..self.hosts.len() {
                    eprintln!("{}: {:?}", host, self.ask(host, Command::Diagnostics));
                }
                panic!("in 15 minutes not: {what}");
            }
            self.run(Duration::from_millis(100));
        }
    }

    fn input(&mut self, host: usize, input: Input) {
        let now = self.now_of(host);
        match input {
            Input::Link(event) | Input::Death { event, .. } => {
                let account = self.hosts[host].account.as_mut().unwrap();
                account.handle_link(now, event);
            }
            Input::Dht(event) => {
                let account = self.hosts[host].account.as_mut().unwrap();
                account.handle_dht(now, event);
            }
            Input::Ask {
                from,
                channel,
                name,
            } => self.asked(host, from, channel, name),
        }
        self.drain(host);
    }

    /// A new link is there: what is left of the old one ends now.
    fn bury(&mut self, host: usize, other: usize) {
        let late = |(to, _, input): &(usize, u64, Input)| {
            *to == host && matches!(input, Input::Death { other: of, .. } if *of == other)
        };
        let keys: Vec<_> = self
            .queue
            .iter()
            .filter(|(_, entry)| late(entry))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            if let Some((_, life, Input::Death { event, .. })) = self.queue.remove(&key)
                && self.hosts[host].life == life
            {
                self.send(host, Duration::ZERO, Input::Link(event));
            }
        }
    }

    fn no_answer(&mut self, from: usize, channel: ChannelId) {
        if self.channels.remove(&(from, channel)).is_some() {
            let reason = FailReason::NoAnswer;
            let failed = LinkEvent::Failed { channel, reason };
            self.send(from, Duration::from_secs(5), Input::Link(failed));
        }
    }

    fn peer(&self, host: usize) -> Peer {
        let identity = &self.hosts[host].keys.identity;
        Peer {
            device: identity.device_id(),
            account: identity.account_id(),
            chain: identity.chain().clone(),
        }
    }

    fn asked(&mut self, host: usize, from: usize, channel: ChannelId, name: String) {
        let pair = (host.min(from), host.max(from));
        if self.hosts[host].cut || self.hosts[from].cut || self.apart.contains(&pair) {
            return self.no_answer(from, channel);
        }
        if !self.channels.contains_key(&(from, channel)) {
            return;
        }
        if self.links.insert(pair) {
            for (one, other) in [(host, from), (from, host)] {
                self.bury(one, other);
                let peer = self.peer(other);
                self.send(one, Duration::ZERO, Input::Link(LinkEvent::LinkUp { peer }));
            }
        }
        let new = name.starts_with("msg:") || name.starts_with("swarm:");
        if self.hosts[host].old && new || self.hosts[host].new && name == "sip" {
            self.channels.remove(&(from, channel));
            let reason = FailReason::Declined;
            let failed = LinkEvent::Failed { channel, reason };
            self.send(from, LATENCY, Input::Link(failed));
            return;
        }
        self.hosts[host].next_channel += 1;
        let incoming = ChannelId::incoming(self.hosts[host].next_channel);
        self.channels.insert(
            (host, incoming),
            End {
                host: from,
                channel,
                name: name.clone(),
                open: false,
            },
        );
        self.channels.get_mut(&(from, channel)).unwrap().channel = incoming;
        let peer = self.peer(from);
        let requested = LinkEvent::Requested {
            channel: incoming,
            peer,
            name,
        };
        self.send(host, Duration::ZERO, Input::Link(requested));
    }

    fn drain(&mut self, host: usize) {
        loop {
            let Some(account) = &mut self.hosts[host].account else {
                return;
            };
            assert_eq!(account.failure(), None);
            match account.poll_output() {
                None => return,
                Some(Output::Link(command)) => self.link(host, command),
                Some(Output::Dht(command)) => self.dht(host, command),
                Some(Output::Reply { request, result }) => {
                    self.hosts[host].replies.insert(request, result);
                }
                Some(Output::Event(event)) => self.hosts[host].events.push(event),
                Some(Output::Linking(_) | Output::OpenArchive(_)) => {}
                Some(Output::Work(work)) => {
                    let it = &mut self.hosts[host];
                    it.work.push_back(work);
                    if !it.holds_work {
                        self.work(host);
                        return self.drain(host);
                    }
                }
            }
        }
    }

    /// Does what a host is to run aside.
    pub(crate) fn work(&mut self, host: usize) {
        let now = self.now_of(host);
        let it = &mut self.hosts[host];
        let done = it.work.pop_front().expect("a work").run();
        if let Some(account) = &mut it.account {
            account.handle_work(now, done);
        }
    }

    fn link(&mut self, host: usize, command: baraza_link::Command) {
        use baraza_link::Command as Link;
        match command {
            Link::Open {
                channel,
                device,
                name,
                reason: _,
            } => {
                let to = self
                    .hosts
                    .iter()
                    .position(|it| it.keys.identity.device_id() == device);
                let up = to.filter(|to| self.hosts[*to].account.is_some());
                let Some(to) = up.filter(|_| !self.hosts[host].cut) else {
                    let reason = FailReason::NoAnswer;
                    let failed = LinkEvent::Failed { channel, reason };
                    return self.send(host, Duration::from_secs(5), Input::Link(failed));
                };
                self.channels.insert(
                    (host, channel),
                    End {
                        host: to,
                        channel: ChannelId(0),
                        name: name.clone(),
                        open: false,
                    },
                );
                // Over the DHT and ICE it takes some time, over a link none.
                let linked = self.links.contains(&(host.min(to), host.max(to)));
                let pause = if linked { LATENCY } else { 20 * LATENCY };
                let ask = Input::Ask {
                    from: host,
                    channel,
                    name,
                };
                self.send(to, pause, ask);
            }
            Link::Accept { channel } => {
                let Some(end) = self.channels.get_mut(&(host, channel)) else {
                    return;
                };
                end.open = true;
                self.accepted.push((host, end.name.clone()));
                let (other, theirs) = (end.host, end.channel);
                if let Some(end) = self.channels.get_mut(&(other, theirs)) {
                    end.open = true;
                    let peer = self.peer(host);
                    let opened = LinkEvent::Opened {
                        channel: theirs,
                        peer,
                    };
                    self.send(other, LATENCY, Input::Link(opened));
                }
            }
            Link::Decline { channel } => {
                if let Some(end) = self.channels.remove(&(host, channel))
                    && self.channels.remove(&(end.host, end.channel)).is_some()
                {
                    let reason = FailReason::Declined;
                    let failed = LinkEvent::Failed {
                        channel: end.channel,
                        reason,
                    };
                    self.send(end.host, LATENCY, Input::Link(failed));
                }
            }
            Link::Write { channel, bytes } => {
                self.writes += 1;
                self.bytes += bytes.len();
                let Some(end) = self.channels.get(&(host, channel)) else {
                    return;
                };
                assert!(end.open, "a write on a channel that is not open");
                let (other, theirs) = (end.host, end.channel);
                let file = end.name.starts_with("data-transfer://");
                let mut bytes = bytes;
                if file {
                    if end.name.contains("/profile") {
                        self.profile_bytes += bytes.len() as u64;
                    } else {
                        self.file_bytes += bytes.len() as u64;
                    }
                    if self.hosts[host].lies {
                        bytes = bytes.iter().map(|byte| !byte).collect();
                    }
                }
                let instant = end.name.starts_with("msg:") || end.name == "sip";
                let sent = LinkEvent::Sent {
                    channel,
                    bytes: bytes.len(),
                };
                self.send(host, LATENCY, Input::Link(sent));
                if instant && self.swallow > 0 && self.rng.one_in(self.swallow) {
                    return;
                }
                let data = LinkEvent::Data {
                    channel: theirs,
                    bytes,
                };
                self.send(other, LATENCY, Input::Link(data));
            }
            Link::Close { channel } => {
                if let Some(end) = self.channels.remove(&(host, channel))
                    && self.channels.remove(&(end.host, end.channel)).is_some()
                {
                    let closed = LinkEvent::Closed {
                        channel: end.channel,
                    };
                    self.send(end.host, LATENCY, Input::Link(closed));
                }
            }
            Link::CloseAccount { .. } | Link::CloseAll => self.lose_links(host, LATENCY),
            Link::CloseDevice { device } => {
                let to = self.hosts.iter();
                let to = to.map(|it| it.keys.identity.device_id());
                if let Some(to) = to.into_iter().position(|id| id == device) {
                    self.lose_some_links(host, LATENCY, |other| other == to);
                }
            }
            _ => {}
        }
    }

    fn dht(&mut self, host: usize, command: baraza_dht::Command) {
        use baraza_dht::Command as Dht;
        match command {
            Dht::Put { op, key, value, .. } => {
                let done = DhtEvent::Done { op, result: Ok(()) };
                self.send(host, 2 * LATENCY, Input::Dht(done));
                self.serial += 1;
                let serial = self.serial;
                let values = self.values.entry(key).or_default();
                values.retain(|(_, _, old)| old.id != value.id);
                values.push((host, serial, value.clone()));
                for (listener, op) in self.listeners(&key) {
                    let found = DhtEvent::Values {
                        op,
                        values: vec![value.clone()],
                        expired: false,
                    };
                    self.send(listener, 3 * LATENCY, Input::Dht(found));
                }
            }
            Dht::Listen { op, key, .. } => {
                self.hosts[host].listens.insert(op, key);
                self.found(host, op, &key);
            }
            Dht::Get { op, key, .. } => {
                self.found(host, op, &key);
                let done = DhtEvent::Done { op, result: Ok(()) };
                self.send(host, 3 * LATENCY, Input::Dht(done));
            }
            Dht::Cancel { op } => {
                self.hosts[host].listens.remove(&op);
            }
            _ => {}
        }
    }

    fn found(&mut self, host: usize, op: OpId, key: &InfoHash) {
        let it = &self.hosts[host];
        if it.deaf && *key == it.keys.identity.account_id().into() {
            return;
        }
        let values = self.values.get(key).into_iter().flatten();
        let values: Vec<Value> = values.map(|(_, _, value)| value.clone()).collect();
        if !values.is_empty() {
            let found = DhtEvent::Values {
                op,
                values,
                expired: false,
            };
            self.send(host, 2 * LATENCY, Input::Dht(found));
        }
    }

    /// A host asks another for a channel, whatever it may ask for; whether it gets it.
    pub(crate) fn knock(&mut self, from: usize, to: usize, name: &str) -> bool {
        self.hosts[from].next_channel += 1;
        // Not one that its account would choose.
        let channel = ChannelId((1 << 40) + self.hosts[from].next_channel);
        let end = End {
            host: to,
            channel: ChannelId(0),
            name: name.to_owned(),
            open: false,
        };
        self.channels.insert((from, channel), end);
        let before = self.accepted.len();
        let ask = Input::Ask {
            from,
            channel,
            name: name.to_owned(),
        };
        self.send(to, LATENCY, ask);
        self.run(20 * LATENCY);
        let accepted = &self.accepted[before..];
        accepted.iter().any(|(by, what)| *by == to && what == name)
    }

    /// Lets a host that is down have written something to a conversation that its program
    /// would not have.
    pub(crate) fn forge(
        &mut self,
        host: usize,
        chat: ConversationId,
        message: baraza_swarm::Message,
    ) -> CommitId {
        let it = &self.hosts[host];
        assert!(it.account.is_none());
        let mut repository = baraza_swarm::Repository::open(&it.conversation(chat)).unwrap();
        let author = baraza_swarm::Author {
            identity: &it.keys.identity,
            name: it.name,
        };
        let commits = repository.commit_batch(author, &[message], self.now.unix);
        commits.unwrap()[0]
    }

    // ---- what people do

    pub(crate) fn has_event(&self, host: usize, is: impl Fn(&EventBody) -> bool) -> bool {
        self.hosts[host].events.iter().any(|event| is(&event.body))
    }

    pub(crate) fn request(&mut self, from: usize, to: usize) -> ConversationId {
        let (to_id, from_id) = (self.id(to), self.id(from));
        let command = Command::SendRequest {
            to: to_id,
            text: String::new(),
        };
        let Ok(Reply::Conversation(chat)) = self.ask(from, command) else {
            panic!("no conversation");
        };
        self.until("the request arrives", |world| {
            world.has_event(to, |event| {
                matches!(event, EventBody::RequestReceived { from, conversation, .. }
                    if *from == from_id && *conversation == chat)
            })
        });
        chat
    }

    pub(crate) fn connect(&mut self, from: usize, to: usize) -> ConversationId {
        let chat = self.request(from, to);
        let accept = Command::AcceptRequest { conversation: chat };
        assert_eq!(self.ask(to, accept), Ok(Reply::Done));
        let id = self.id(to);
        self.until("the asked joins", |world| {
            world.has_event(
                from,
                |event| matches!(event, EventBody::MemberEvent { member, .. } if *member == id),
            )
        });
        chat
    }

    pub(crate) fn say(&mut self, host: usize, chat: ConversationId, body: &str) -> CommitId {
        let command = Command::SendMessage {
            conversation: chat,
            body: body.into(),
            reply_to: None,
        };
        match self.ask(host, command) {
            Ok(Reply::Message(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    /// As [`Self::say`], once the conversation is ready.
    pub(crate) fn say_when_ready(&mut self, host: usize, chat: ConversationId, body: &str) {
        self.until("the conversation is ready", |world| {
            world.is_ready(host, chat)
        });
        self.say(host, chat, body);
    }

    pub(crate) fn history(&mut self, host: usize, chat: ConversationId) -> Vec<Message> {
        let command = Command::History {
            conversation: chat,
            from: None,
            count: 0,
        };
        match self.ask(host, command) {
            Ok(Reply::History(messages)) => messages,
            other => panic!("{other:?}"),
        }
    }

    /// Texts as (id, body), in no order.
    pub(crate) fn texts(
        &mut self,
        host: usize,
        chat: ConversationId,
    ) -> BTreeSet<(CommitId, String)> {
        let history = self.history(host, chat);
        let texts: Vec<(CommitId, String)> = history
            .iter()
            .filter(|message| message.kind == "text/plain")
            .map(|message| (message.id, message.body().to_owned()))
            .collect();
        let set: BTreeSet<_> = texts.iter().cloned().collect();
        assert_eq!(set.len(), texts.len(), "a message is listed twice");
        set
    }

    /// Waits until all have the same texts, `count` of them.
    pub(crate) fn settle(&mut self, hosts: &[usize], chat: ConversationId, count: usize) {
        let hosts = hosts.to_vec();
        self.until("all have the same texts", |world| {
            let mut sets = hosts
                .iter()
                .map(|host| world.texts(*host, chat))
                .collect::<Vec<_>>();
            let first = sets.pop().unwrap();
            first.len() >= count && sets.iter().all(|set| *set == first)
        });
        for host in hosts {
            assert_eq!(self.texts(host, chat).len(), count);
            self.announced_once(host, chat);
        }
    }

    /// No message was told twice in this life.
    pub(crate) fn announced_once(&self, host: usize, chat: ConversationId) {
        let mut seen = BTreeSet::new();
        for event in &self.hosts[host].events {
            if let EventBody::MessageReceived {
                conversation,
                message,
            } = &event.body
                && *conversation == chat
            {
                assert!(seen.insert(message.id), "told twice");
            }
        }
    }

    pub(crate) fn is_ready(&self, host: usize, chat: ConversationId) -> bool {
        self.has_event(host, |event| {
            matches!(event, EventBody::ConversationReady { conversation } if *conversation == chat)
        })
    }

    /// Every commit of a repository is valid.
    pub(crate) fn verify(&self, host: usize, chat: ConversationId) {
        baraza_swarm::verify(&self.hosts[host].conversation(chat)).unwrap();
    }
}
