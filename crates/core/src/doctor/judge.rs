//! What is thought of what was measured.

use std::net::IpAddr;
use std::time::Duration;

use baraza_wire::UnixTime;

use super::{Code, FactName, Finding, Reach, Value, address, reach};
use crate::node::BackupState;

/// Fewer nodes than this are few.
const FEW_NODES: u64 = 4;
/// A clock that differs more is worth a look.
const CLOCK_OFF: u64 = 30;
/// One that differs more is wrong: lists of signatures and values count by minutes.
const CLOCK_WRONG: u64 = 300;
/// How far messages may come from the future.
const PEERS_AHEAD: i64 = 60;
/// Less room than this is little.
const LOW: u64 = 1 << 30;
/// Less than this is none.
const FULL: u64 = 50 << 20;
/// Slower than this is slow.
const SLOW_DISK: Duration = Duration::from_millis(500);
/// A name server that takes longer is slow.
const SLOW_NAMES: Duration = Duration::from_secs(3);
/// A backup that is older is old.
const OLD: Duration = Duration::from_secs(31 * 24 * 3600);

fn millis(time: Duration) -> Value {
    Value::Millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn count(number: usize) -> Value {
    Value::Count(u64::try_from(number).unwrap_or(u64::MAX))
}

/// What came of asking a host to join through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// It answers after this time.
    Answers(Duration),
    /// It does not.
    Silent,
    /// It has no address.
    Unknown,
}

/// The hash table: nodes that answer and that may, `None` if that part has ended; and what came
/// of asking the hosts to join through.
pub fn dht(nodes: Option<(u64, u64)>, hosts: &[Host]) -> Vec<Finding> {
    let Some((good, dubious)) = nodes else {
        return vec![Finding::new(Code::DhtEnded)];
    };
    let code = match good {
        0 => Code::DhtNone,
        good if good < FEW_NODES => Code::DhtFew,
        _ => Code::DhtWell,
    };
    let table = Finding::new(code)
        .with(FactName::Good, Value::Count(good))
        .with(FactName::Dubious, Value::Count(dubious));
    let answering = hosts.iter().filter(|one| matches!(one, Host::Answers(_)));
    let fastest = answering.clone().filter_map(|one| match one {
        Host::Answers(time) => Some(*time),
        _ => None,
    });
    let (answering, fastest) = (answering.count(), fastest.min());
    let code = match (hosts.len(), answering) {
        (0, _) => Code::BootstrapNone,
        (_, 0) => Code::BootstrapSilent,
        (all, some) if some < all => Code::BootstrapSome,
        _ => Code::BootstrapAnswers,
    };
    let mut begin = Finding::new(code);
    if !hosts.is_empty() {
        let unknown = hosts.iter().filter(|one| **one == Host::Unknown).count();
        begin = begin
            .with(FactName::Hosts, count(hosts.len()))
            .with(FactName::Answering, count(answering));
        if unknown > 0 {
            begin = begin.with(FactName::Unknown, count(unknown));
        }
        if let Some(fastest) = fastest {
            begin = begin.with(FactName::Time, millis(fastest));
        }
    }
    vec![table, begin]
}

/// How others see this machine, of which `own` are the addresses.
pub fn nat(loopback: bool, own: &[IpAddr], seen: &[IpAddr]) -> Vec<Finding> {
    let all = |finding: Finding, name, addresses: &[IpAddr]| {
        let mut finding = finding;
        for ip in addresses {
            finding = finding.with(name, address(*ip));
        }
        finding
    };
    if loopback {
        return vec![Finding::new(Code::NatLoopback)];
    }
    if own.iter().all(|ip| reach(*ip) == Reach::Host) {
        return vec![Finding::new(Code::NatOffline)];
    }
    if seen.is_empty() {
        return vec![all(Finding::new(Code::NatUnknown), FactName::Own, own)];
    }
    let findings = [true, false].into_iter().filter_map(|ipv4| {
        let of = |ips: &[IpAddr]| -> Vec<IpAddr> {
            let ips = ips.iter().copied();
            ips.filter(|ip| ip.is_ipv4() == ipv4).collect()
        };
        let (own, seen) = (of(own), of(seen));
        let code = match seen.as_slice() {
            [] => return None,
            // One that also has a host of its own network in the table is seen from there, too.
            [..] if seen.iter().all(|ip| own.contains(ip)) => Code::NatDirect,
            _ if seen.iter().filter(|ip| reach(**ip) == Reach::World).count() > 1 => {
                Code::NatChanging
            }
            _ => Code::NatTranslated,
        };
        let finding = all(Finding::new(code), FactName::Seen, &seen);
        Some(all(finding, FactName::Own, &own))
    });
    worst_first(findings.collect())
}

/// What came of a question to an own port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It was answered after this time.
    Answered(Duration),
    /// It was not.
    Silent,
    /// It could not be sent: this machine does not use that family of addresses.
    Unused,
}

/// The ports as they are bound, by IPv4 or not, and what came of a question to each.
pub fn ports(bound: &[(u16, bool, Asked)]) -> Vec<Finding> {
    if bound.is_empty() {
        return vec![Finding::new(Code::PortsUnbound)];
    }
    let all_unused = bound.iter().all(|(_, _, asked)| *asked == Asked::Unused);
    let findings = bound.iter().filter_map(|(port, ipv4, asked)| {
        // A port says nothing of who and where.
        let family = if *ipv4 { "IPv4" } else { "IPv6" };
        let bound = Value::Word(format!("{port} ({family})"));
        match asked {
            Asked::Answered(time) => Some(
                Finding::new(Code::PortsAnswer)
                    .with(FactName::Bound, bound)
                    .with(FactName::Time, millis(*time)),
            ),
            Asked::Unused if !all_unused => None,
            Asked::Silent | Asked::Unused => {
                Some(Finding::new(Code::PortsSilent).with(FactName::Bound, bound))
            }
        }
    });
    worst_first(findings.collect())
}

/// What came of asking a name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameServer {
    /// Its address.
    pub address: String,
    /// Whether what it says can be read and changed on the way.
    pub plain: bool,
    /// Whether it is on this machine.
    pub local: bool,
    /// How long it took.
    pub took: Duration,
    /// How far this clock is ahead of its, if it told.
    pub ahead: Option<i64>,
    /// What came of it.
    pub answer: NameAnswer,
}

/// How a name server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameAnswer {
    /// As one does.
    Good,
    /// That it has too much to do.
    Busy,
    /// As no name server does, with this status.
    Strange(u16),
    /// Not at all; why.
    None(String),
    /// There is no secure connection; why.
    Untrusted(String),
}

/// The name servers that accounts have chosen.
pub fn names(servers: &[NameServer]) -> Vec<Finding> {
    if servers.is_empty() {
        return vec![Finding::new(Code::NamesNone)];
    }
    let findings = servers.iter().map(|server| {
        let code = match &server.answer {
            NameAnswer::Good if server.plain && !server.local => Code::NamesPlain,
            NameAnswer::Good if server.took > SLOW_NAMES => Code::NamesSlow,
            NameAnswer::Good if server.plain => Code::NamesLocal,
            NameAnswer::Good => Code::NamesAnswer,
            NameAnswer::Busy => Code::NamesBusy,
            NameAnswer::Strange(_) => Code::NamesStrange,
            NameAnswer::None(_) => Code::NamesUnreachable,
            NameAnswer::Untrusted(_) => Code::NamesUntrusted,
        };
        let kind = if server.plain { "http" } else { "https" };
        let finding = Finding::new(code)
            .with(
                FactName::Server,
                Value::Private(kind, server.address.clone()),
            )
            .with(FactName::Time, millis(server.took));
        match &server.answer {
            NameAnswer::Strange(status) => {
                finding.with(FactName::Status, Value::Count((*status).into()))
            }
            NameAnswer::None(why) | NameAnswer::Untrusted(why) => {
                finding.with(FactName::Reason, Value::Private("left out", why.clone()))
            }
            _ => finding,
        }
    });
    worst_first(findings.collect())
}

/// The clock: how far it is ahead of name servers'; how far each person's last messages came
/// from its future (at most, in seconds; negative: none did); and by how many seconds what the
/// node wrote lies in its future.
pub fn clock(ahead: &[i64], peers: &[i64], back: i64) -> Vec<Finding> {
    let mut findings = Vec::new();
    if back > 1 {
        findings.push(Finding::new(Code::ClockBack).with(FactName::Behind, Value::Seconds(back)));
    }
    // The one that differs least: the others are wrong themselves.
    if let Some(ahead) = ahead.iter().min_by_key(|ahead| ahead.unsigned_abs()) {
        let code = match ahead.unsigned_abs() {
            off if off >= CLOCK_WRONG => Code::ClockWrong,
            off if off >= CLOCK_OFF => Code::ClockOff,
            _ => Code::ClockRight,
        };
        findings.push(Finding::new(code).with(FactName::Ahead, Value::Seconds(*ahead)));
    }
    if !peers.is_empty() {
        let most = peers.iter().copied().max().unwrap_or_default();
        let finding = if most > PEERS_AHEAD {
            Finding::new(Code::ClockPeersAhead).with(FactName::Behind, Value::Seconds(most))
        } else {
            Finding::new(Code::ClockPeers)
        };
        findings.push(finding.with(FactName::Peers, count(peers.len())));
    }
    if findings.is_empty() {
        findings.push(Finding::new(Code::ClockUnknown));
    }
    worst_first(findings)
}

/// What a look at the disk gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Room that is left, and in all; `None` if the system does not say.
    pub room: Option<(u64, u64)>,
    /// How long it takes until something written is kept; or why it is not.
    pub written: Result<Duration, String>,
    /// The length of the database, and whether it is whole: `None` if there was no time to look
    /// at all of it.
    pub database: (u64, Result<Option<()>, String>),
}

/// The disk.
pub fn disk(disk: &Disk) -> Vec<Finding> {
    let free = disk.room.map_or(u64::MAX, |(free, _)| free);
    let slow = matches!(disk.written, Ok(time) if time > SLOW_DISK);
    let code = match &disk.written {
        Err(_) if free < FULL => Code::DiskFull,
        Err(_) => Code::DiskUnwritable,
        Ok(_) if free < FULL => Code::DiskFull,
        Ok(_) if free < LOW => Code::DiskLow,
        Ok(_) if slow => Code::DiskSlow,
        Ok(_) => Code::DiskWell,
    };
    let mut room = Finding::new(code);
    if let Some((free, all)) = disk.room {
        room = room
            .with(FactName::Free, Value::Bytes(free))
            .with(FactName::Size, Value::Bytes(all));
    }
    room = match &disk.written {
        Ok(time) => room.with(FactName::Written, millis(*time)),
        Err(why) => room.with(FactName::Reason, Value::Private("left out", why.clone())),
    };
    let (length, whole) = &disk.database;
    let code = match whole {
        Ok(Some(())) => Code::DatabaseWhole,
        Ok(None) => Code::DatabaseUnfinished,
        Err(_) => Code::DatabaseDamaged,
    };
    let mut database = Finding::new(code).with(FactName::Database, Value::Bytes(*length));
    if let Err(why) = whole {
        database = database.with(FactName::Reason, Value::Private("left out", why.clone()));
    }
    worst_first(vec![room, database])
}

/// Backups: when each account was last in one, and how scheduled ones are doing.
pub fn backups(accounts: &[Option<UnixTime>], state: &BackupState, now: UnixTime) -> Vec<Finding> {
    if accounts.is_empty() {
        return vec![Finding::new(Code::BackupNone)];
    }
    let age = |time: UnixTime| now.saturating_since(time);
    let seconds = |age: Duration| Value::Seconds(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
    let without = accounts.iter().filter(|time| time.is_none()).count();
    let oldest = accounts.iter().flatten().map(|time| age(*time)).max();
    let code = match oldest {
        _ if without > 0 => Code::BackupNever,
        Some(age) if age > OLD => Code::BackupOld,
        _ => Code::BackupFresh,
    };
    let mut all = Finding::new(code).with(FactName::Accounts, count(accounts.len()));
    if without > 0 {
        all = all.with(FactName::Without, count(without));
    }
    if let Some(oldest) = oldest {
        all = all.with(FactName::Age, seconds(oldest));
    }
    let mut findings = vec![all];
    if let Some(schedule) = &state.schedule {
        let last = state.last.map(age);
        let late = Duration::from_secs(schedule.every).saturating_mul(2);
        if let Some(why) = &state.error {
            let why = Value::Private("left out", why.clone());
            findings.push(Finding::new(Code::BackupFailed).with(FactName::Reason, why));
        } else if let Some(last) = last.filter(|last| *last > late) {
            findings.push(Finding::new(Code::BackupLate).with(FactName::Age, seconds(last)));
        }
    }
    worst_first(findings)
}

/// The worst first; of the same verdict as they were.
pub fn worst_first(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict()));
    findings
}

#[cfg(test)]
mod tests;
