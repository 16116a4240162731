//! Measures what [`crate::doctor`] judges. Nobody is asked but this machine itself, the hosts
//! to join through, and the name servers that accounts have chosen.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use baraza_dht::Dht;
use baraza_dht::driver::{addresses_of, probe};
use baraza_link::driver::addresses::local_addresses;
use baraza_names::client::{Ask, Failure, Question, ServerUrl};
use baraza_store::{quick_check, sqlite_version};
use baraza_wire::AccountId;
use tokio::task::JoinSet;

use super::{DATABASE, Node, now};
use crate::command::{Command, Reply};
use crate::doctor::judge::{self, Asked, Disk, Host, NameAnswer, NameServer};
use crate::doctor::{Check, Code, Examination, FactName, Finding, Value};
use crate::event::EventBody;

/// How long a check may take.
pub const CHECK_LIMIT: Duration = Duration::from_secs(15);
/// How long a host or the own port may take to answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long the database is read.
const DATABASE_LIMIT: Duration = Duration::from_secs(10);
/// Most hosts and name servers that are asked.
const MOST_ASKED: usize = 16;
/// How many of the newest events are looked through for messages of others.
const EVENTS: u64 = 2000;
/// What is written to see whether it can be.
const WRITTEN: usize = 64 * 1024;

impl Node {
    /// Examines something, within [`CHECK_LIMIT`].
    pub async fn examine(&self, check: Check) -> Examination {
        let begun = Instant::now();
        let findings = tokio::time::timeout(CHECK_LIMIT, self.findings(check)).await;
        let findings = findings.unwrap_or_else(|_elapsed| vec![Finding::new(Code::TookTooLong)]);
        Examination {
            check,
            findings,
            took: begun.elapsed(),
        }
    }

    async fn findings(&self, check: Check) -> Vec<Finding> {
        match check {
            Check::Dht => self.examine_dht().await,
            Check::Nat => self.examine_nat().await,
            Check::Ports => self.examine_ports().await,
            // Once there are settings for these two, what they name is asked here.
            Check::Turn => vec![Finding::new(Code::TurnNone)],
            Check::Proxy => vec![Finding::new(Code::ProxyNone)],
            Check::NameServer => judge::names(&self.ask_name_servers().await),
            Check::Clock => self.examine_clock().await,
            Check::Disk => self.examine_disk().await,
            Check::Backups => self.examine_backups().await,
            Check::Versions => versions(),
        }
    }

    async fn examine_dht(&self) -> Vec<Finding> {
        let mut asked: JoinSet<Host> = self
            .bootstrap()
            .into_iter()
            .take(MOST_ASKED)
            .map(ask_host)
            .collect();
        let mut hosts = Vec::new();
        while let Some(host) = asked.join_next().await {
            hosts.extend(host);
        }
        let nodes = self.dht_stats().await.map(|stats| {
            let sum = |of: fn(&baraza_dht::FamilyStats) -> usize| {
                let sum = of(&stats.ipv4).saturating_add(of(&stats.ipv6));
                u64::try_from(sum).unwrap_or(u64::MAX)
            };
            (sum(|family| family.good), sum(|family| family.dubious))
        });
        judge::dht(nodes, &hosts)
    }

    async fn examine_nat(&self) -> Vec<Finding> {
        let seen = self.inner.dht.inspect(Dht::reported_addresses).await;
        judge::nat(
            self.config().loopback,
            &local_addresses(),
            &seen.unwrap_or_default(),
        )
    }

    async fn examine_ports(&self) -> Vec<Finding> {
        let own = local_addresses();
        let mut bound = Vec::new();
        for address in self.dht_addresses() {
            let mut to = address;
            if to.ip().is_unspecified() {
                let mut own = own.iter().copied();
                let same = own.find(|ip| ip.is_ipv4() == address.is_ipv4());
                to.set_ip(same.unwrap_or(match address.ip() {
                    IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                    IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                }));
            }
            let asked = match probe(to, 0, PATIENCE).await {
                Ok(Some(pong)) => Asked::Answered(pong.after),
                Ok(None) => Asked::Silent,
                Err(_) => Asked::Unused,
            };
            bound.push((address.port(), address.is_ipv4(), asked));
        }
        judge::ports(&bound)
    }

    /// Asks each name server that an account has chosen for the name of that account, which it
    /// is asked for all the time.
    async fn ask_name_servers(&self) -> Vec<NameServer> {
        let mut servers: BTreeMap<String, AccountId> = BTreeMap::new();
        for account in self.accounts() {
            let settings = self.command(account.account, Command::NameSettings).await;
            if let Ok(Reply::NameSettings(settings)) = settings
                && let Some(server) = settings.server
                && account.enabled
            {
                servers.entry(server).or_insert(account.jami_id);
            }
        }
        let mut asked: JoinSet<Option<NameServer>> = JoinSet::new();
        for (server, id) in servers.into_iter().take(MOST_ASKED) {
            let node = self.clone();
            asked.spawn(async move { node.ask_name_server(server, id).await });
        }
        let mut answers = Vec::new();
        while let Some(answer) = asked.join_next().await {
            answers.extend(answer.ok().flatten());
        }
        answers
    }

    async fn ask_name_server(&self, address: String, id: AccountId) -> Option<NameServer> {
        let server = ServerUrl::parse(&address).ok()?;
        let plain = server.is_plain();
        let local = server.is_on_this_machine();
        let ask = Ask {
            server,
            question: Question::Address(id),
        };
        let (before, begun) = (now().unix, Instant::now());
        let limit = CHECK_LIMIT.saturating_sub(Duration::from_secs(2));
        let answer = tokio::time::timeout(limit, self.inner.names.ask(&ask)).await;
        let took = begun.elapsed();
        let Ok(answer) = answer else {
            let answer = NameAnswer::None("no answer in time".to_owned());
            return Some(NameServer {
                address,
                plain,
                local,
                took,
                ahead: None,
                answer,
            });
        };
        let date = answer.as_ref().ok().and_then(|answer| answer.date);
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        // Written to the second, some time between question and answer.
        let ahead = date.map(|date| {
            let middle = before.saturating_add(took / 2).millis();
            let theirs = date.millis().saturating_add(500);
            seconds_between(theirs, middle)
        });
        let answer = match ask.understand(answer, false) {
            Ok(_) | Err(Failure::NotFound) => NameAnswer::Good,
            Err(Failure::RateLimited { .. }) => NameAnswer::Busy,
            Err(Failure::Unreachable { why, .. }) if why.is_insecure() => {
                NameAnswer::Untrusted(why.reason)
            }
            Err(Failure::Unreachable { why, .. }) => NameAnswer::None(why.reason),
            Err(_) => NameAnswer::Strange(status),
        };
        Some(NameServer {
            address,
            plain,
            local,
            took,
            ahead,
            answer,
        })
    }

    async fn examine_clock(&self) -> Vec<Finding> {
        let servers = self.ask_name_servers().await;
        let ahead: Vec<i64> = servers.iter().filter_map(|server| server.ahead).collect();
        let from = self.cursor().saturating_sub(EVENTS);
        let events = self.recent_events(from).await;
        let time = now().unix.millis();
        let newest = events.iter().map(|event| event.time.millis()).max();
        let back = newest.map_or(0, |newest| seconds_between(time, newest));
        let own: Vec<AccountId> = self.accounts().iter().map(|one| one.jami_id).collect();
        let mut peers: BTreeMap<AccountId, i64> = BTreeMap::new();
        for event in events {
            if let EventBody::MessageReceived { message, .. } = event.body
                && !own.contains(&message.author)
            {
                let written = message.timestamp.saturating_mul(1000);
                let lead = seconds_between(event.time.millis(), written);
                let most = peers.entry(message.author).or_insert(lead);
                *most = lead.max(*most);
            }
        }
        let peers: Vec<i64> = peers.into_values().collect();
        judge::clock(&ahead, &peers, back)
    }

    /// Events after a cursor, as far as they are kept.
    async fn recent_events(&self, from: u64) -> Vec<crate::Event> {
        let limit = usize::try_from(EVENTS).unwrap_or(usize::MAX);
        let page = match self.events_since(from, limit).await {
            Err(super::NodeError::CursorTooOld { oldest }) => {
                self.events_since(oldest, limit).await
            }
            page => page,
        };
        page.map(|page| page.events).unwrap_or_default()
    }

    async fn examine_disk(&self) -> Vec<Finding> {
        let directory = self.config().data_dir.clone();
        let looked = tokio::task::spawn_blocking(move || look_at_disk(&directory));
        match looked.await {
            Ok(disk) => judge::disk(&disk),
            // The node is shutting down.
            Err(_) => vec![Finding::new(Code::TookTooLong)],
        }
    }

    async fn examine_backups(&self) -> Vec<Finding> {
        let mut accounts = Vec::new();
        for account in self.accounts() {
            let identity = self.command(account.account, Command::Identity).await;
            if let Ok(Reply::Identity(identity)) = identity {
                accounts.push(identity.backed_up);
            }
        }
        let state = self.backup_state().unwrap_or_default();
        judge::backups(&accounts, &state, now().unix)
    }
}

/// By how many seconds the second time is later; negative if it is earlier.
fn seconds_between(first: u64, second: u64) -> i64 {
    let seconds = |millis: u64| i64::try_from(millis / 1000).unwrap_or(i64::MAX);
    match second >= first {
        true => seconds(second.saturating_sub(first)),
        false => seconds(first.saturating_sub(second)).saturating_neg(),
    }
}

/// Asks all addresses of a host; the first answer counts.
async fn ask_host(host: String) -> Host {
    let addresses = tokio::time::timeout(PATIENCE, addresses_of(&host)).await;
    let Ok(Ok(addresses)) = addresses else {
        return Host::Unknown;
    };
    if addresses.is_empty() {
        return Host::Unknown;
    }
    let mut asked: JoinSet<Option<Duration>> = addresses.into_iter().map(ask_node).collect();
    while let Some(answer) = asked.join_next().await {
        if let Ok(Some(after)) = answer {
            return Host::Answers(after);
        }
    }
    Host::Silent
}

async fn ask_node(address: SocketAddr) -> Option<Duration> {
    let pong = probe(address, 0, PATIENCE).await.ok()??;
    Some(pong.after)
}

fn look_at_disk(directory: &Path) -> Disk {
    let room = rustix::fs::statvfs(directory).ok().map(|disk| {
        (
            disk.f_bavail.saturating_mul(disk.f_frsize),
            disk.f_blocks.saturating_mul(disk.f_frsize),
        )
    });
    let written = write_something(directory).map_err(|error| error.to_string());
    let database = directory.join(DATABASE);
    // What was written last is beside it.
    let parts = [DATABASE.to_owned(), format!("{DATABASE}-wal")];
    let lengths = parts.iter().map(|part| {
        let metadata = std::fs::metadata(directory.join(part));
        metadata.map_or(0, |metadata| metadata.len())
    });
    let length = lengths.fold(0, u64::saturating_add);
    let whole = quick_check(&database, DATABASE_LIMIT).map(|whole| whole.then_some(()));
    let whole = whole.map_err(|error| error.to_string());
    Disk {
        room,
        written,
        database: (length, whole),
    }
}

/// Removed when dropped.
struct Scrap(PathBuf);

impl Drop for Scrap {
    fn drop(&mut self) {
        // It was perhaps never made.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// How long it takes until something written is kept.
fn write_something(directory: &Path) -> io::Result<Duration> {
    let scrap = Scrap(directory.join("doctor.tmp"));
    match std::fs::remove_file(&scrap.0) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&scrap.0)?;
    file.write_all(&vec![0x5a; WRITTEN])?;
    let begun = Instant::now();
    file.sync_all()?;
    Ok(begun.elapsed())
}

fn versions() -> Vec<Finding> {
    let system = rustix::system::uname();
    let word = |text: &std::ffi::CStr| Value::Word(text.to_string_lossy().into_owned());
    let name = system.sysname().to_string_lossy();
    let release = system.release().to_string_lossy();
    vec![
        Finding::new(Code::VersionsKnown)
            .with(
                FactName::Baraza,
                Value::Word(env!("CARGO_PKG_VERSION").to_owned()),
            )
            .with(FactName::Sqlite, Value::Word(sqlite_version().to_owned()))
            .with(FactName::System, Value::Word(format!("{name} {release}")))
            .with(FactName::Machine, word(system.machine())),
    ]
}
