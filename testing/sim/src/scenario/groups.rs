//! A group of many, a small DHT, and everything that can go wrong: members crash, move and
//! sleep, the network falls apart, some are thrown out and others invited, some get a second
//! device and lose it again. Who is in the group at the end has what the others have.

mod checks;
mod devices;
mod faults;
mod growth;
mod many;
mod person;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use baraza_core::account::RequestId;
use baraza_core::{Command, CommandError, EventBody, Reply};
use baraza_dht::{Config, Dht};
use baraza_wire::Rng;

pub(super) use self::growth::run as growth;
pub(super) use self::many::run as many;
use self::person::{Asked, Person, Place};
use super::{Size, home};
use crate::crowd::{self, Group};
use crate::dht_host::DhtHost;
use crate::hostile::{self, Hostile, Victim};
use crate::net::{HostId, UDP_PORT};
use crate::node_host::{AnyHost, Disk, Ears, NodeHost, Setup, Told};
use crate::power;
use crate::report::Report;
use crate::world::{Crash, World};

/// DHT nodes besides the members; they do not fail, but their lines are no better.
const DHT_NODES: usize = 6;
/// How often users look.
const LOOK: Duration = Duration::from_millis(250);

/// How a group of a size is played with.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// Members from the beginning.
    members: usize,
    /// How many of them mean harm.
    hostile: usize,
    /// People who may be invited.
    reserve: usize,
    /// Members who may get a second device.
    seconds: usize,
    /// Members whose device is never there.
    away: usize,
    /// Seconds of peace at the beginning, enough to connect.
    peace: u64,
    /// Seconds of faults.
    faults: (u64, u64),
    /// Mean pause between two events.
    pause: Duration,
    /// How long everything may take to come right afterwards.
    settle: Duration,
    /// Links a member may have at the end, on average.
    links: f64,
}

const FIVE: Plan = Plan {
    members: 5,
    hostile: 0,
    reserve: 2,
    seconds: 2,
    away: 0,
    peace: 40,
    faults: (120, 400),
    pause: Duration::from_secs(2),
    settle: Duration::from_secs(5 * 60),
    links: 9.0,
};

const FIFTY: Plan = Plan {
    members: 50,
    hostile: 0,
    reserve: 4,
    seconds: 6,
    away: 0,
    peace: 60,
    faults: (120, 240),
    pause: Duration::from_secs(2),
    settle: Duration::from_secs(8 * 60),
    links: 24.0,
};

const TWO_HUNDRED: Plan = Plan {
    members: 200,
    hostile: 0,
    reserve: 6,
    seconds: 6,
    away: 0,
    peace: 90,
    faults: (60, 120),
    pause: Duration::from_secs(3),
    settle: Duration::from_secs(8 * 60),
    links: 32.0,
};

pub(super) fn five(seed: u64, size: Size) -> Report {
    run(FIVE, seed, size)
}

pub(super) fn fifty(seed: u64, size: Size) -> Report {
    run(FIFTY, seed, size)
}

pub(super) fn two_hundred(seed: u64, size: Size) -> Report {
    run(TWO_HUNDRED, seed, size)
}

/// With two who mean harm.
const HOSTILE: Plan = Plan {
    members: 7,
    hostile: 2,
    // Those of the two among them.
    links: 11.0,
    ..FIVE
};

pub(super) fn hostile(seed: u64, size: Size) -> Report {
    run(HOSTILE, seed, size)
}

fn run(plan: Plan, seed: u64, size: Size) -> Report {
    let mut report = Report::default();
    let plan = match size {
        Size::Full => plan,
        Size::Smoke => Plan {
            faults: (60, 120),
            ..plan
        },
    };
    if let Err(error) = play(plan, seed, &mut report) {
        report.check(false, || format!("stopped: {error:#}"));
    }
    report
}

fn play(plan: Plan, seed: u64, report: &mut Report) -> anyhow::Result<()> {
    let mut stage = Stage::new(plan, seed)?;
    let begun = std::time::Instant::now();
    for _ in 0..plan.peace * 4 {
        stage.look()?;
    }
    stage.figures(report, "after the start");
    let length = stage.rng.range(plan.faults.0..plan.faults.1);
    stage.faults(Duration::from_secs(length))?;
    stage.settle(report)?;
    stage.check(report)?;
    let sent: usize = stage.people.iter().map(|person| person.bodies.len()).sum();
    let confirmed: usize = stage.people.iter().map(|p| p.confirmed.len()).sum();
    report.note(format!(
        "{length} s of faults: {}; {sent} messages, {confirmed} confirmed; settled after {:.0} s; {:.1} s of computing; trace {:016x}",
        stage.counts(),
        stage.settled.as_secs_f64(),
        begun.elapsed().as_secs_f64(),
        stage.world.trace(),
    ));
    Ok(())
}

struct Stage {
    plan: Plan,
    world: World<AnyHost>,
    people: Vec<Person>,
    /// Whose host it is.
    owners: BTreeMap<HostId, usize>,
    group: Arc<Group>,
    dht: Vec<HostId>,
    ears: Ears,
    bootstrap: Vec<SocketAddr>,
    next_request: u64,
    counts: BTreeMap<&'static str, usize>,
    /// For the schedule alone, so that it does not depend on what the network draws.
    rng: Rng,
    /// How long it took after the last fault until all had everything.
    settled: Duration,
}

impl Stage {
    fn new(plan: Plan, seed: u64) -> anyhow::Result<Self> {
        let mut world: World<AnyHost> = World::new(seed);
        world.trace_shape_only();
        let sink = Rc::default();
        let (mut bootstrap, mut dht_hosts) = (Vec::new(), Vec::new());
        for _ in 0..DHT_NODES {
            let line = home(world.rng());
            let host = world.add_host(line);
            let now = world.now_at(host);
            let mut dht = Dht::new(Config::default(), now, world.rng().fork());
            for addr in &bootstrap {
                let command = baraza_dht::Command::Bootstrap { addr: *addr };
                dht.handle_command(now, baraza_dht::ClientId(0), command);
            }
            let program = DhtHost::new(host, dht, Rc::clone(&sink));
            world.start(host, AnyHost::Dht(program));
            let ip = world.net().node(host).address(false).context("no IPv4")?;
            bootstrap.push(SocketAddr::new(ip, UDP_PORT));
            dht_hosts.push(host);
            world.run_for(Duration::from_millis(500));
        }
        world.run_for(Duration::from_secs(10));
        let (mut people, mut owners) = (Vec::new(), BTreeMap::new());
        for number in 0..plan.members + plan.reserve {
            let line = home(world.rng());
            let host = world.add_host(line);
            let place = if number < plan.members - plan.hostile - plan.away {
                Place::Member
            } else if number < plan.members - plan.hostile {
                Place::Away
            } else if number < plan.members {
                Place::Hostile
            } else {
                Place::Outside
            };
            let person = Person::new(number, host, place, crowd::keys(number)?);
            world.net_mut().node_mut(host).name.clone_from(&person.name);
            owners.insert(host, number);
            people.push(person);
        }
        let mut stage = Self {
            plan,
            world,
            people,
            owners,
            group: Group::of(plan.members)?,
            dht: dht_hosts,
            ears: Ears::default(),
            bootstrap,
            next_request: 1,
            counts: BTreeMap::new(),
            rng: Rng::from_seed(seed ^ 0x5eed),
            settled: Duration::ZERO,
        };
        let honest = plan.members - plan.hostile;
        let first = stage.rng.index(honest).unwrap_or(0);
        for number in 0..plan.seconds {
            stage.add_second((first + number * honest / plan.seconds) % honest)?;
        }
        for index in 0..plan.members + plan.reserve {
            if stage.people[index].place == Place::Away {
                continue;
            }
            stage.people[index].disk = Some(Disk::new()?);
            stage.start(index)?;
            stage.world.run_for(Duration::from_millis(50));
        }
        Ok(stage)
    }

    fn note(&mut self, what: &'static str, index: usize, detail: &str) {
        *self.counts.entry(what).or_default() += 1;
        let (at, name) = (self.world.now(), &self.people[index].name);
        tracing::info!("{at} --- {name}: {what} {detail}");
    }

    fn counts(&self) -> String {
        let text = |(what, count): (&&str, &usize)| format!("{count} {what}");
        let parts: Vec<_> = self.counts.iter().map(text).collect();
        parts.join(", ")
    }

    fn runs(&self, index: usize) -> bool {
        self.world.program(self.people[index].host).is_some()
    }

    /// Whether a user can be at it now.
    fn is_up(&self, index: usize) -> bool {
        self.runs(index) && !self.world.net().node(self.people[index].host).is_asleep()
    }

    /// Starts a node on what its disk has.
    fn start(&mut self, index: usize) -> anyhow::Result<()> {
        let person = &mut self.people[index];
        let Some(disk) = person.disk.take() else {
            return Ok(());
        };
        let host = person.host;
        if person.place == Place::Hostile {
            return self.start_hostile(index);
        }
        let group = (person.number < self.plan.members).then(|| Arc::clone(&self.group));
        let first = self.rng.index(self.bootstrap.len()).unwrap_or(0);
        let second = (first + 1) % self.bootstrap.len();
        let setup = Setup {
            host,
            name: person.name.clone(),
            keys: person.keys.clone(),
            group,
            bootstrap: vec![self.bootstrap[first], self.bootstrap[second]],
            addresses: self.world.net().node(host).addresses(),
        };
        let now = self.world.now_at(host);
        let rng = self.world.rng().fork();
        let node = NodeHost::start(setup, disk, Rc::clone(&self.ears), now, rng)
            .with_context(|| format!("{} cannot start", self.people[index].name))?;
        self.world.start(host, AnyHost::Node(node));
        self.hear();
        Ok(())
    }

    /// Starts a member that means harm to those who do not.
    fn start_hostile(&mut self, index: usize) -> anyhow::Result<()> {
        let victims = self.people.iter().filter(|p| p.place == Place::Member);
        let victims = victims.map(|person| Victim {
            device: person.keys.identity.device_id(),
            chain: person.keys.identity.chain().clone(),
        });
        let person = &self.people[index];
        let host = person.host;
        let setup = hostile::Setup {
            keys: person.keys.clone(),
            forger: crowd::forger(index)?,
            group: Arc::clone(&self.group),
            victims: victims.collect(),
            bootstrap: self.bootstrap.clone(),
            addresses: self.world.net().node(host).addresses(),
        };
        let now = self.world.now_at(host);
        let rng = self.world.rng().fork();
        let program = Hostile::start(setup, now, rng)?;
        self.world.start(host, AnyHost::Hostile(program));
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
            let index = self.owners.get(&host).copied();
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
        if !self.is_up(index) {
            return;
        }
        let request = RequestId(self.next_request);
        self.next_request += 1;
        let host = self.people[index].host;
        self.people[index].asked.insert(request, asked);
        self.world.with(host, |program, now| {
            if let Some(node) = program.node() {
                node.command(now, request, command);
            }
        });
        self.hear();
    }

    /// A user writes something.
    fn write(&mut self, index: usize) {
        if !self.is_up(index) || self.people[index].place != Place::Member {
            return;
        }
        let person = &mut self.people[index];
        let body = format!("{} {}", person.name, person.bodies.len() + 1);
        person.bodies.push(body.clone());
        let command = Command::SendMessage {
            conversation: self.group.id,
            body: body.clone(),
            reply_to: None,
        };
        self.ask(index, Asked::Send(body), command);
    }

    /// Time passes; who was invited looks for the invitation.
    fn look(&mut self) -> anyhow::Result<Vec<usize>> {
        self.world.run_for(LOOK);
        self.hear();
        let reaped = self.reap()?;
        for index in self.plan.members..self.people.len() {
            let now = self.world.now();
            let person = &mut self.people[index];
            let due = now - person.looked >= Duration::from_secs(2);
            // A second device is told by the first.
            if due && person.place == Place::Invited && person.owner.is_none() {
                person.looked = now;
                self.ask(index, Asked::Requests, Command::Requests);
            }
        }
        Ok(reaped)
    }

    /// Takes note of what nodes told their users.
    fn hear(&mut self) {
        loop {
            let told = std::mem::take(&mut *self.ears.borrow_mut());
            if told.is_empty() {
                return;
            }
            for (host, told) in told {
                let Some(index) = self.owners.get(&host).copied() else {
                    continue;
                };
                match told {
                    Told::Reply(request, result) => self.reply(index, request, result),
                    Told::Event(event) => self.event(index, event.body),
                }
            }
        }
    }

    fn event(&mut self, index: usize, body: EventBody) {
        if let EventBody::SyncError {
            device: Some(device),
            ..
        } = &body
        {
            let mut hostile = self.people.iter().filter(|p| p.place == Place::Hostile);
            if hostile.any(|person| person.keys.identity.device_id() == *device) {
                *self.counts.entry("refusals").or_default() += 1;
                return;
            }
        }
        let group = self.group.id;
        self.people[index].event(body, group);
    }

    fn reply(&mut self, index: usize, request: RequestId, result: Result<Reply, CommandError>) {
        let group = self.group.id;
        let person = &mut self.people[index];
        let Some(asked) = person.asked.remove(&request) else {
            return;
        };
        match (asked, result) {
            (Asked::Send(body), Ok(Reply::Message(id))) => person.confirmed.push((id, body)),
            // Thrown out without having heard of it by the time of writing.
            (Asked::Send(_), Err(_)) if person.place == Place::Gone => {}
            (Asked::Requests, Ok(Reply::Requests(requests))) => {
                if requests.iter().any(|row| row.conversation == group) {
                    let command = Command::AcceptRequest {
                        conversation: group,
                    };
                    self.ask(index, Asked::Accept, command);
                }
            }
            (Asked::History, Ok(Reply::History(messages))) => person.history = messages,
            (Asked::History, Err(_)) if person.place != Place::Member => {}
            (Asked::Delivery, Ok(Reply::Delivery(all))) => person.delivery = all,
            (Asked::Diagnostics, Ok(Reply::Diagnostics(found))) => {
                person.links = found.links.len();
            }
            (Asked::Accept | Asked::Leave, _) | (Asked::Revoke, Ok(_)) => {}
            (Asked::Invite(other), Ok(_)) => self.people[other].place = Place::Invited,
            (Asked::Ban(other), Ok(_)) => self.account_gone(self.people[other].account()),
            (Asked::Invite(_) | Asked::Ban(_), Err(CommandError::NotAllowed(_))) => {}
            (asked, result) => {
                let text = format!("{}: {asked:?} gave {result:?}", person.name);
                person.errors.push(text);
            }
        }
    }
}
