use std::collections::BTreeMap;
use std::time::Duration;

use baraza_dht::Config;
use baraza_wire::InfoHash;

use super::{Size, exponential, home};
use crate::cluster::{Cluster, Op, Outcome};
use crate::net::HostId;
use crate::report::{Report, percentile, share};
use crate::time::Time;

/// Shape of a run.
struct Shape {
    nodes: usize,
    /// Nodes that do not come and go; all others join through them.
    anchors: usize,
    duration: Duration,
    /// Mean time a node stays, and stays away.
    stay: Duration,
    away: Duration,
    /// Between two operations of a kind.
    every: Duration,
    listeners: usize,
}

const FULL: Shape = Shape {
    nodes: 1000,
    anchors: 10,
    duration: Duration::from_secs(3600),
    stay: Duration::from_secs(3600),
    away: Duration::from_secs(60),
    every: Duration::from_secs(2),
    listeners: 100,
};

const SMOKE: Shape = Shape {
    nodes: 200,
    duration: Duration::from_secs(900),
    listeners: 30,
    ..FULL
};

/// Budgets of one node for one hour: datagrams and bytes sent, on average and for the node
/// that sends most (an anchor).
const DATAGRAMS: f64 = 6_000.0;
const BYTES: f64 = 1_200_000.0;
const MOST_DATAGRAMS: f64 = 40_000.0;

/// A value that was put.
struct Stored {
    key: InfoHash,
    id: u64,
    op: Op,
    permanent: bool,
    at: Time,
}

struct Listening {
    key: InfoHash,
    op: Op,
    /// Values put under the key while it listened: id, when, by whom.
    expected: Vec<(u64, Time, Op)>,
}

struct Run {
    cluster: Cluster,
    shape: Shape,
    hosts: Vec<HostId>,
    since: BTreeMap<HostId, Time>,
    stored: Vec<Stored>,
    gets: Vec<(Op, u64, bool)>,
    listens: Vec<Listening>,
    churned: usize,
}

pub(super) fn run(seed: u64, size: Size) -> Report {
    let shape = if size == Size::Full { FULL } else { SMOKE };
    let mut run = Run::join(seed, shape);
    let mut report = Report::default();
    // The very first one has nobody to ask and says nothing of its state.
    let joiners = run.hosts.iter().skip(1);
    let joined = joiners.filter(|host| run.cluster.is_connected(**host));
    report.at_least("joined", joined.count(), run.hosts.len() - 1, 100.0);
    let before: Vec<_> = run.traffic();
    run.hour();
    run.count(&before, &mut report);
    report
}

impl Run {
    /// All nodes join, over two minutes.
    fn join(seed: u64, shape: Shape) -> Self {
        let mut cluster = Cluster::new(seed, Config::default());
        let mut hosts: Vec<HostId> = Vec::new();
        let pause = Duration::from_secs(120) / u32::try_from(shape.nodes).unwrap_or(1);
        for n in 0..shape.nodes {
            let line = home(cluster.world.rng());
            let index = cluster.world.rng().index(n.min(shape.anchors));
            let through = index.and_then(|index| hosts.get(index).copied());
            let through: Vec<_> = through.into_iter().collect();
            hosts.push(cluster.add(line, n % 5 == 0, &through));
            cluster.run_for(pause);
        }
        cluster.run_for(Duration::from_secs(60));
        let now = cluster.world.now();
        let since = hosts.iter().map(|host| (*host, now)).collect();
        Self {
            cluster,
            shape,
            hosts,
            since,
            stored: Vec::new(),
            gets: Vec::new(),
            listens: Vec::new(),
            churned: 0,
        }
    }

    fn traffic(&self) -> Vec<crate::net::Traffic> {
        let traffic = |host: &HostId| self.cluster.world.net().node(*host).traffic;
        self.hosts.iter().map(traffic).collect()
    }

    /// A node that has been up for a while: who just joined may not have found its
    /// neighbours yet, and nobody expects it to.
    fn settled(&mut self) -> Option<HostId> {
        let now = self.cluster.world.now();
        for _ in 0..20 {
            let host = self.cluster.any_of(&self.hosts)?;
            let since = self.since.get(&host).copied().unwrap_or(now);
            if now - since >= Duration::from_secs(60) {
                return Some(host);
            }
        }
        None
    }

    fn hour(&mut self) {
        let begun = self.cluster.world.now();
        self.cluster.run_for(Duration::from_secs(60));
        let end = begun + self.shape.duration;
        let mut churn: BTreeMap<(Time, HostId), bool> = BTreeMap::new();
        for host in self.hosts.clone().into_iter().skip(self.shape.anchors) {
            let stay = exponential(self.shape.stay, self.cluster.world.rng());
            churn.insert((self.cluster.world.now() + stay, host), false);
        }
        for _ in 0..self.shape.listeners {
            let key = self.cluster.random_key();
            if let Some(host) = self.settled() {
                let op = self.cluster.listen(host, key);
                self.listens.push(Listening {
                    key,
                    op,
                    expected: Vec::new(),
                });
            }
        }
        self.cluster.run_for(Duration::from_secs(10));
        let mut next = self.cluster.world.now();
        while self.cluster.world.now() < end {
            next = next + self.shape.every;
            while let Some((at, host)) = churn.first_key_value().map(|(key, _)| *key) {
                if at > next {
                    break;
                }
                let away = churn.remove(&(at, host)).unwrap_or_default();
                self.cluster.world.run_until(at);
                let wait = self.turn(host, away);
                churn.insert((at + wait, host), !away);
            }
            self.cluster.world.run_until(next);
            self.cluster.collect();
            self.operate();
        }
        self.cluster.run_for(Duration::from_secs(30));
    }

    /// A node goes, or comes back as a new one.
    fn turn(&mut self, host: HostId, away: bool) -> Duration {
        let mean = if away {
            let index = self.cluster.world.rng().index(self.shape.anchors);
            let anchor = self.hosts[index.unwrap_or(0)];
            self.cluster.start(host, &[anchor]);
            self.since.insert(host, self.cluster.world.now());
            self.shape.stay
        } else {
            self.cluster.stop(host);
            self.churned += 1;
            self.shape.away
        };
        exponential(mean, self.cluster.world.rng())
    }

    /// One put, one get of something put earlier, and sometimes a put for a listener.
    fn operate(&mut self) {
        let now = self.cluster.world.now();
        let round = self.stored.len();
        if let Some(host) = self.settled() {
            let key = self.cluster.random_key();
            let len = if round.is_multiple_of(8) { 3000 } else { 64 };
            let value = self.cluster.random_value(len);
            let (id, permanent) = (value.id, round.is_multiple_of(3));
            let op = self.cluster.put(host, key, value, permanent);
            self.stored.push(Stored {
                key,
                id,
                op,
                permanent,
                at: now,
            });
        }
        // One-shot values live for ten minutes, permanent ones as long as who put them.
        let recent: Vec<usize> = (0..self.stored.len())
            .rev()
            .take(500)
            .filter(|n| {
                let stored = &self.stored[*n];
                let age = now - stored.at;
                // A put whose node died before it was done is no promise.
                let done = self.cluster.outcome(stored.op).is_some_and(Outcome::is_ok);
                let alive = self.cluster.runs(stored.op.host)
                    && self.since.get(&stored.op.host) <= Some(&stored.at);
                age > Duration::from_secs(15)
                    && done
                    && match stored.permanent {
                        true => alive,
                        false => age < Duration::from_secs(540),
                    }
            })
            .collect();
        let pick = self.cluster.world.rng().index(recent.len());
        if let (Some(pick), Some(host)) = (pick, self.settled()) {
            let stored = &self.stored[recent[pick]];
            let (key, id, permanent) = (stored.key, stored.id, stored.permanent);
            let op = self.cluster.get(host, key);
            self.gets.push((op, id, permanent));
        }
        if round % 3 == 1 && !self.listens.is_empty() {
            let pick = self.cluster.world.rng().index(self.listens.len());
            let pick = pick.unwrap_or_default();
            let listener = self.listens[pick].op;
            let alive = self.cluster.runs(listener.host)
                && self.since.get(&listener.host).copied()
                    <= self.cluster.outcome(listener).map(|outcome| outcome.begun);
            if let (true, Some(host)) = (alive, self.settled()) {
                let value = self.cluster.random_value(100);
                let id = value.id;
                let key = self.listens[pick].key;
                let op = self.cluster.put(host, key, value, false);
                self.listens[pick].expected.push((id, now, op));
            }
        }
    }

    /// Whether the host of an operation stayed up for as long as it may need.
    fn stayed(&self, op: Op) -> bool {
        let begun = self.cluster.outcome(op).map(|outcome| outcome.begun);
        self.cluster.runs(op.host) && self.since.get(&op.host).copied() <= begun
    }

    fn count(&self, before: &[crate::net::Traffic], report: &mut Report) {
        let cluster = &self.cluster;
        report.note(format!(
            "{} nodes, {} left and came back as new ones; {} events",
            self.hosts.len(),
            self.churned,
            cluster.world.events()
        ));
        let ended = |op: Op| cluster.outcome(op).is_some_and(Outcome::is_ok);
        let puts: Vec<_> = self.stored.iter().filter(|s| self.stayed(s.op)).collect();
        let good = puts.iter().filter(|stored| ended(stored.op)).count();
        report.at_least("puts done", good, puts.len(), 99.5);

        let mut times = Vec::new();
        for permanent in [false, true] {
            let gets = self
                .gets
                .iter()
                .filter(|(op, _, kind)| *kind == permanent && (self.stayed(*op) || ended(*op)));
            let (mut good, mut all) = (0, 0);
            for (op, id, _) in gets {
                all += 1;
                let Some(outcome) = cluster.outcome(*op) else {
                    continue;
                };
                if let Some(first) = outcome.first(*id) {
                    good += 1;
                    times.push((first - outcome.begun).as_secs_f64() * 1000.0);
                }
            }
            let what = if permanent { "kept" } else { "one-shot" };
            report.at_least(&format!("gets of {what} values found"), good, all, 99.0);
        }
        let (p50, p95) = (percentile(&mut times, 50), percentile(&mut times, 95));
        report.note(format!("first value after {p50:.0} ms (p95 {p95:.0} ms)"));

        let (mut good, mut all, mut waits) = (0, 0, Vec::new());
        for listening in self.listens.iter().filter(|l| self.stayed(l.op)) {
            for (id, at, put) in &listening.expected {
                // A put whose node died at once is no promise.
                if !self.stayed(*put) && !ended(*put) {
                    continue;
                }
                all += 1;
                let outcome = cluster.outcome(listening.op);
                if let Some(first) = outcome.and_then(|outcome| outcome.first(*id)) {
                    good += 1;
                    waits.push((first - *at).as_secs_f64() * 1000.0);
                }
            }
        }
        report.at_least("values seen by listeners", good, all, 99.0);
        let (p50, p95) = (percentile(&mut waits, 50), percentile(&mut waits, 95));
        report.note(format!("put to listener {p50:.0} ms (p95 {p95:.0} ms)"));
        self.budgets(before, report);
    }

    fn budgets(&self, before: &[crate::net::Traffic], report: &mut Report) {
        let hours = self.shape.duration.as_secs_f64() / 3600.0;
        let after = self.traffic();
        let each: Vec<_> = after.iter().zip(before).collect();
        let nodes = each.len() as f64;
        let datagrams = |(a, b): &(&crate::net::Traffic, &crate::net::Traffic)| {
            (a.datagrams_out - b.datagrams_out) as f64 / hours
        };
        let bytes: f64 = each
            .iter()
            .map(|(a, b)| (a.bytes_out - b.bytes_out) as f64 / hours)
            .sum();
        let wakes: f64 = each
            .iter()
            .map(|(a, b)| (a.wakes - b.wakes) as f64 / hours)
            .sum();
        let sent: f64 = each.iter().map(datagrams).sum();
        let most = each.iter().map(datagrams).fold(0.0, f64::max);
        report.at_most(
            "datagrams sent by a node in an hour",
            sent / nodes,
            DATAGRAMS,
        );
        report.at_most("bytes sent by a node in an hour", bytes / nodes, BYTES);
        report.at_most("datagrams of the busiest node", most, MOST_DATAGRAMS);
        report.note(format!("timers of a node in an hour: {:.0}", wakes / nodes));
        let operations = self.stored.len() + self.gets.len();
        report.note(format!(
            "{operations} puts and gets, {:.0} datagrams each if nothing else were sent",
            sent * hours / operations as f64
        ));
        let idle = each
            .iter()
            .filter(|each| datagrams(each) < DATAGRAMS)
            .count();
        report.note(format!(
            "{:.1} % of the nodes are within the mean budget",
            share(idle, each.len())
        ));
    }
}
