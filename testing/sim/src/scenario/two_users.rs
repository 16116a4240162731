//! Alice and Bob, a small DHT between them, and everything that can go wrong.

mod checks;
mod faults;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use baraza_core::account::RequestId;
use baraza_core::{Command, CommandError, EventBody, Message, Reply};
use baraza_dht::{Config, Dht};
use baraza_identity::testing;
use baraza_wire::{AccountId, CommitId, ConversationId, Rng};

use super::{Size, home};
use crate::dht_host::DhtHost;
use crate::net::{HostId, UDP_PORT};
use crate::node_host::{AnyHost, Disk, Ears, NodeHost, Setup, Told, keys};
use crate::power;
use crate::report::Report;
use crate::time::Time;
use crate::world::{Crash, World};

/// DHT nodes besides the two; they do not fail, but their lines are no better.
const DHT_NODES: usize = 6;
/// How long faults go on.
const FAULTS: std::ops::Range<u64> = 180..600;
/// How long everything may take to come right afterwards.
const SETTLE: Duration = Duration::from_secs(5 * 60);
/// How often a user looks.
const LOOK: Duration = Duration::from_millis(250);

pub(super) fn run(seed: u64, _size: Size) -> Report {
    let mut report = Report::default();
    if let Err(error) = play(seed, &mut report) {
        report.check(false, || format!("stopped: {error:#}"));
    }
    report
}

fn play(seed: u64, report: &mut Report) -> anyhow::Result<()> {
    let mut stage = Stage::new(seed)?;
    // Most runs begin with a conversation that both have; some are hit while making it.
    let early = stage.rng.one_in(4);
    let peace = if early { 0 } else { 120 };
    let deadline = stage.world.now() + Duration::from_secs(peace);
    while stage.world.now() < deadline && !stage.both_ready() {
        stage.look()?;
    }
    if !early {
        report.check(stage.both_ready(), || {
            "no conversation without faults".into()
        });
    }
    let length = Duration::from_secs(stage.rng.range(FAULTS));
    stage.faults(length)?;
    stage.settle(report)?;
    let took = stage.settled.as_secs_f64();
    stage.check(report)?;
    let [alice, bob] = &stage.people;
    report.note(format!(
        "{}; {:.0} s of faults: {}; {} + {} messages, {} + {} confirmed; settled after {took:.0} s; trace {:016x}",
        if early {
            "faults from the start"
        } else {
            "peaceful start"
        },
        length.as_secs_f64(),
        stage.counts(),
        alice.sent,
        bob.sent,
        alice.confirmed.len(),
        bob.confirmed.len(),
        stage.world.trace(),
    ));
    Ok(())
}

/// What a user waits for.
#[derive(Debug, Clone)]
enum Asked {
    Accept,
    Conversations,
    History,
    Request,
    Requests,
    Send(String),
}

/// One of the two.
struct Person {
    name: &'static str,
    host: HostId,
    me: AccountId,
    other: AccountId,
    /// What is on the disk of a node that does not run.
    disk: Option<Disk>,
    asked: BTreeMap<RequestId, Asked>,
    conversation: Option<ConversationId>,
    /// The conversation can be used.
    ready: bool,
    accepted: bool,
    sent: usize,
    /// Bodies of messages sent, in order.
    bodies: Vec<String>,
    confirmed: Vec<(CommitId, String)>,
    /// How often the arrival of each commit was told, over all lives of the node.
    told: BTreeMap<CommitId, usize>,
    /// Newest first, as of the last answer.
    history: Vec<Message>,
    history_asked: Time,
    looked: Time,
    errors: Vec<String>,
}

struct Stage {
    world: World<AnyHost>,
    people: [Person; 2],
    ears: Ears,
    bootstrap: Vec<SocketAddr>,
    next_request: u64,
    counts: BTreeMap<&'static str, usize>,
    /// For the schedule alone, so that it does not depend on what the network draws.
    rng: Rng,
    /// How long it took after the last fault until both had everything.
    settled: Duration,
    log: bool,
}

impl Stage {
    fn new(seed: u64) -> anyhow::Result<Self> {
        let mut world: World<AnyHost> = World::new(seed);
        world.trace_shape_only();
        let sink = Rc::default();
        let mut bootstrap = Vec::new();
        for _ in 0..DHT_NODES {
            let line = home(world.rng());
            let host = world.add_host(line);
            let now = world.now_at(host);
            let mut dht = Dht::new(Config::default(), now, world.rng().fork());
            for addr in &bootstrap {
                let command = baraza_dht::Command::Bootstrap { addr: *addr };
                dht.handle_command(now, baraza_dht::ClientId(0), command);
            }
            world.start(
                host,
                AnyHost::Dht(DhtHost::new(host, dht, Rc::clone(&sink))),
            );
            let ip = world.net().node(host).address(false).context("no IPv4")?;
            bootstrap.push(SocketAddr::new(ip, UDP_PORT));
            world.run_for(Duration::from_millis(500));
        }
        world.run_for(Duration::from_secs(20));
        bootstrap.truncate(2);
        let names = ["alice", "bob"];
        let ids = names.map(|name| testing::identity(name).account_id());
        let mut person = |index: usize| -> anyhow::Result<Person> {
            let line = home(world.rng());
            let host = world.add_host(line);
            world.net_mut().node_mut(host).name = names[index].to_owned();
            let drift = i64::try_from(world.rng().range(0..200))? - 100;
            world.net_mut().node_mut(host).clock.set_drift(drift);
            Ok(Person::new(names[index], host, ids[index], ids[1 - index]))
        };
        let people = [person(0)?, person(1)?];
        let mut stage = Self {
            world,
            people,
            ears: Ears::default(),
            bootstrap,
            next_request: 1,
            counts: BTreeMap::new(),
            rng: Rng::from_seed(seed ^ 0x5eed),
            settled: Duration::ZERO,
            log: tracing::enabled!(tracing::Level::INFO),
        };
        for index in 0..2 {
            stage.people[index].disk = Some(Disk::new()?);
            stage.start(index)?;
        }
        Ok(stage)
    }

    fn note(&mut self, what: &'static str, index: usize, detail: &str) {
        *self.counts.entry(what).or_default() += 1;
        if self.log {
            let (at, name) = (self.world.now(), self.people[index].name);
            tracing::info!("{at} --- {name}: {what} {detail}");
        }
    }

    fn counts(&self) -> String {
        let text = |(what, count): (&&str, &usize)| format!("{count} {what}");
        let parts: Vec<_> = self.counts.iter().map(text).collect();
        parts.join(", ")
    }

    fn both_ready(&self) -> bool {
        self.people.iter().all(|person| person.ready)
    }

    fn runs(&self, index: usize) -> bool {
        self.world.program(self.people[index].host).is_some()
    }

    /// Starts a node on what its disk has.
    fn start(&mut self, index: usize) -> anyhow::Result<()> {
        let person = &mut self.people[index];
        let Some(disk) = person.disk.take() else {
            return Ok(());
        };
        let host = person.host;
        let setup = Setup {
            host,
            name: person.name.to_owned(),
            keys: keys(person.name)?,
            group: None,
            bootstrap: self.bootstrap.clone(),
            addresses: self.world.net().node(host).addresses(),
        };
        let now = self.world.now_at(host);
        let rng = self.world.rng().fork();
        let node = NodeHost::start(setup, disk, Rc::clone(&self.ears), now, rng)
            .with_context(|| format!("{} cannot start again", self.people[index].name))?;
        self.world.start(host, AnyHost::Node(node));
        self.hear();
        Ok(())
    }

    /// Ends a node without a word; its disk stays.
    fn crash(&mut self, index: usize, crash: Crash) -> anyhow::Result<()> {
        if let Some(AnyHost::Node(node)) = self.world.crash(self.people[index].host, crash) {
            self.gone(index, node, crash)?;
        }
        Ok(())
    }

    fn gone(&mut self, index: usize, node: NodeHost, crash: Crash) -> anyhow::Result<()> {
        // What it told before is heard, what it was asked is open for ever.
        self.hear();
        let person = &mut self.people[index];
        person.asked.clear();
        let disk = node.crashed()?;
        if crash == Crash::Power {
            let damaged = power::fail(disk.path(), &mut self.rng)?;
            *self.counts.entry("files lost or damaged").or_default() += damaged;
        }
        person.disk = Some(disk);
        Ok(())
    }

    /// Nodes whose fuse burnt down.
    fn reap(&mut self) -> anyhow::Result<Vec<usize>> {
        let mut reaped = Vec::new();
        for (host, program) in self.world.take_crashed() {
            let index = self.people.iter().position(|person| person.host == host);
            if let (Some(index), AnyHost::Node(node)) = (index, program) {
                let crash = node.fused().unwrap_or(Crash::Kill);
                self.gone(index, node, crash)?;
                self.note("crashes between two outputs", index, "");
                reaped.push(index);
            }
        }
        Ok(reaped)
    }

    fn ask(&mut self, index: usize, asked: Asked, command: Command) {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        let host = self.people[index].host;
        if self.world.program(host).is_none() || self.world.net().node(host).is_asleep() {
            return;
        }
        self.people[index].asked.insert(request, asked);
        self.world.with(host, |program, now| {
            if let Some(node) = program.node() {
                node.command(now, request, command);
            }
        });
        self.hear();
    }

    fn waits_for(&self, index: usize, what: fn(&Asked) -> bool) -> bool {
        self.people[index].asked.values().any(what)
    }

    /// A user writes something.
    fn write(&mut self, index: usize) {
        if !self.runs(index) || self.world.net().node(self.people[index].host).is_asleep() {
            return;
        }
        let person = &mut self.people[index];
        let Some(conversation) = person.conversation.filter(|_| person.ready) else {
            return;
        };
        person.sent += 1;
        let body = format!("{} {}", person.name, person.sent);
        person.bodies.push(body.clone());
        let command = Command::SendMessage {
            conversation,
            body: body.clone(),
            reply_to: None,
        };
        self.ask(index, Asked::Send(body), command);
    }

    /// Time passes; users see what their nodes told and do what they have to.
    fn look(&mut self) -> anyhow::Result<Vec<usize>> {
        self.world.run_for(LOOK);
        self.hear();
        let reaped = self.reap()?;
        for index in 0..2 {
            let now = self.world.now();
            let person = &mut self.people[index];
            if person.ready && now - person.history_asked >= Duration::from_secs(20) {
                self.read(index);
            } else if !person.ready && now - person.looked >= Duration::from_secs(2) {
                person.looked = now;
                self.befriend(index);
            }
        }
        Ok(reaped)
    }

    /// A user looks through the conversation.
    fn read(&mut self, index: usize) {
        let person = &mut self.people[index];
        person.history_asked = self.world.now();
        if let Some(conversation) = person.conversation.filter(|_| person.ready) {
            let command = Command::History {
                conversation,
                from: None,
                count: 0,
            };
            self.ask(index, Asked::History, command);
        }
    }

    /// Alice asks Bob, until she knows that it is on its way; Bob accepts.
    fn befriend(&mut self, index: usize) {
        let person = &self.people[index];
        let to = person.other;
        match (index, person.conversation, person.accepted) {
            (0, None, _) => {
                if !self.waits_for(0, |asked| matches!(asked, Asked::Request)) {
                    let text = String::new();
                    self.ask(0, Asked::Request, Command::SendRequest { to, text });
                }
            }
            (1, _, false) => {
                if !self.waits_for(1, |asked| matches!(asked, Asked::Requests | Asked::Accept)) {
                    self.ask(1, Asked::Requests, Command::Requests);
                }
            }
            _ => {
                if !self.waits_for(index, |asked| matches!(asked, Asked::Conversations)) {
                    self.ask(index, Asked::Conversations, Command::Conversations);
                }
            }
        }
    }

    /// Takes note of what nodes told their users.
    fn hear(&mut self) {
        loop {
            let told = std::mem::take(&mut *self.ears.borrow_mut());
            if told.is_empty() {
                return;
            }
            for (host, told) in told {
                let index = self.people.iter().position(|person| person.host == host);
                let Some(index) = index else { continue };
                match told {
                    Told::Reply(request, result) => self.reply(index, request, result),
                    Told::Event(event) => self.people[index].event(event.body),
                }
            }
        }
    }

    fn reply(&mut self, index: usize, request: RequestId, result: Result<Reply, CommandError>) {
        let person = &mut self.people[index];
        let Some(asked) = person.asked.remove(&request) else {
            return;
        };
        match (asked, result) {
            (Asked::Send(body), Ok(Reply::Message(id))) => person.confirmed.push((id, body)),
            (Asked::Request, Ok(Reply::Conversation(id))) => {
                person.conversation = Some(id);
            }
            (Asked::Requests, Ok(Reply::Requests(requests))) => {
                let wanted = requests.iter().find(|row| row.from == person.other);
                if let Some(conversation) = wanted.map(|row| row.conversation) {
                    let command = Command::AcceptRequest { conversation };
                    self.ask(index, Asked::Accept, command);
                }
            }
            (Asked::Accept, Ok(_)) => person.accepted = true,
            (Asked::Conversations, Ok(Reply::Conversations(rows))) => {
                let mine = rows.iter().find(|row| row.members.contains(&person.other));
                if let Some(row) = mine {
                    person.conversation = Some(row.id);
                    person.ready = true;
                }
            }
            (Asked::History, Ok(Reply::History(messages))) => {
                if !checks::same_order(&person.history, &messages) {
                    let text = format!("{}: the order of messages changed", person.name);
                    person.errors.push(text);
                }
                person.history = messages;
            }
            // Before the conversation is known everywhere, a refusal is an answer.
            (Asked::Accept | Asked::Request, Err(_)) => {}
            (asked, result) => {
                let text = format!("{}: {asked:?} gave {result:?}", person.name);
                person.errors.push(text);
            }
        }
    }
}

impl Person {
    const fn new(name: &'static str, host: HostId, me: AccountId, other: AccountId) -> Self {
        Self {
            name,
            host,
            me,
            other,
            disk: None,
            asked: BTreeMap::new(),
            conversation: None,
            ready: false,
            accepted: false,
            sent: 0,
            bodies: Vec::new(),
            confirmed: Vec::new(),
            told: BTreeMap::new(),
            history: Vec::new(),
            history_asked: Time::ZERO,
            looked: Time::ZERO,
            errors: Vec::new(),
        }
    }

    fn event(&mut self, body: EventBody) {
        match body {
            EventBody::MessageReceived { message, .. } => {
                *self.told.entry(message.id).or_default() += 1;
            }
            EventBody::ConversationReady { conversation } => {
                self.conversation = Some(conversation);
                self.ready = true;
            }
            _ => {}
        }
    }

    /// Commits of the last history but merges.
    fn ids(&self) -> BTreeSet<CommitId> {
        let real = self.history.iter().filter(|m| m.kind != "merge");
        real.map(|message| message.id).collect()
    }
}
