//! Hosts with one account each, virtual time, and a network at the level of links and of
//! the DHT: channels open, carry bytes in order and break; values are found at keys.

mod dht;
mod links;
mod people;

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
use baraza_names::client::{Answer, Ask, Unreachable};
use baraza_names::testing::Reference;
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
    /// Git channels that who serves has closed.
    pub(crate) unserved: usize,
    /// The name server.
    pub(crate) names: Reference,
    /// Another one.
    pub(crate) other_names: Reference,
    /// Whether nobody reaches them.
    pub(crate) nameless: bool,
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
    /// A host whose profile is lost on the way when it sends it by itself.
    pub(crate) unseen: bool,
    /// A host whose notices are lost, as those of a daemon are whose account starts anew.
    pub(crate) mute: bool,
    /// A host that hears nothing on git channels that are there.
    pub(crate) stuck: bool,
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
    /// What came of a question to the name server.
    Name(u64, Result<Answer, Unreachable>),
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
            unserved: 0,
            names: Reference::default(),
            other_names: Reference::default(),
            nameless: false,
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
            unseen: false,
            mute: false,
            stuck: false,
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
            Input::Name(id, answer) => {
                let account = self.hosts[host].account.as_mut().unwrap();
                account.handle_name(now, id, answer);
            }
            Input::Ask {
                from,
                channel,
                name,
            } => self.asked(host, from, channel, name),
        }
        self.drain(host);
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
                Some(Output::Name(query)) => {
                    let answer = self.name_server(&query.ask);
                    self.send(host, LATENCY, Input::Name(query.id, answer));
                }
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

    /// Asks the name server.
    fn name_server(&mut self, ask: &Ask) -> Result<Answer, Unreachable> {
        if self.nameless {
            return Err(Unreachable {
                reason: "nothing listens there".into(),
                sent: false,
            });
        }
        let url = ask.url().unwrap();
        let server = match url.host_str() {
            Some("names.test") => &mut self.names,
            Some("other.test") => &mut self.other_names,
            host => panic!("{host:?} is asked"),
        };
        let (status, body) = server.answer(ask.method(), url.path(), ask.body().as_bytes());
        Ok(Answer {
            status,
            retry_after: None,
            date: None,
            body: body.into_bytes(),
        })
    }

    // ---- what people do
}
