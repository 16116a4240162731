use std::time::Duration;

use baraza_dht::{Config, Value};
use baraza_wire::InfoHash;

use super::{Size, exponential, home};
use crate::cluster::{Cluster, Op};
use crate::net::HostId;
use crate::report::{Report, percentile};
use crate::time::Time;

const NODES: usize = 150;
/// The first so many do not come and go: publishers and listeners sit there.
const STEADY: usize = 40;

struct Topic {
    key: InfoHash,
    listeners: Vec<Op>,
    puts: Vec<Put>,
}

struct Put {
    id: u64,
    at: Time,
    op: Op,
    /// Until when it is kept alive; `None` for a one-shot put.
    until: Option<Time>,
    cancelled: bool,
}

pub(super) fn run(seed: u64, size: Size) -> Report {
    let mut report = Report::default();
    let mut cluster = Cluster::new(seed, Config::default());
    let mut hosts: Vec<HostId> = Vec::new();
    for _ in 0..NODES {
        let line = home(cluster.world.rng());
        let through: Vec<_> = hosts.first().copied().into_iter().collect();
        hosts.push(cluster.add(line, false, &through));
        cluster.run_for(Duration::from_millis(50));
    }
    cluster.run_for(Duration::from_secs(60));
    let (steady, others) = hosts.split_at(STEADY);
    let mut topics = Vec::new();
    for n in 0..STEADY / 2 {
        let key = cluster.random_key();
        let listeners = vec![
            cluster.listen(steady[n * 2 % STEADY], key),
            cluster.listen(steady[(n * 2 + 7) % STEADY], key),
        ];
        topics.push(Topic {
            key,
            listeners,
            puts: Vec::new(),
        });
    }
    cluster.run_for(Duration::from_secs(20));

    // A value lives ten minutes, and a node that a listener meets on the last of them brings
    // ten more.
    let minutes = if size == Size::Full { 48 } else { 28 };
    let begun = cluster.world.now();
    let last_put = begun + Duration::from_secs(60 * (minutes - 22));
    let mut churn: Vec<(Time, HostId, bool)> = Vec::new();
    for host in others {
        let wait = exponential(Duration::from_secs(600), cluster.world.rng());
        churn.push((begun + wait, *host, false));
    }
    for second in 0..minutes * 60 {
        if second % 20 == 5 && cluster.world.now() < last_put {
            let index = cluster.world.rng().index(topics.len()).unwrap_or(0);
            let topic = &mut topics[index];
            let host = steady[(index * 2 + 3) % STEADY];
            let value: Value = cluster.random_value(80);
            let permanent = second % 60 == 5;
            let id = value.id;
            let op = cluster.put(host, topic.key, value, permanent);
            let kept = exponential(Duration::from_secs(240), cluster.world.rng());
            let until = (cluster.world.now() + kept).min(last_put);
            let at = cluster.world.now();
            topic.puts.push(Put {
                id,
                at,
                op,
                until: permanent.then_some(until),
                cancelled: false,
            });
        }
        let now = cluster.world.now();
        for put in topics.iter_mut().flat_map(|topic| &mut topic.puts) {
            if !put.cancelled && put.until.is_some_and(|until| until <= now) {
                put.cancelled = true;
                cluster.cancel(put.op);
            }
        }
        for entry in &mut churn {
            if entry.0 > now {
                continue;
            }
            let mean = match entry.2 {
                true => {
                    cluster.start(entry.1, &steady[..2]);
                    600
                }
                false => {
                    cluster.stop(entry.1);
                    60
                }
            };
            let wait = exponential(Duration::from_secs(mean), cluster.world.rng());
            *entry = (now + wait, entry.1, !entry.2);
        }
        cluster.run_for(Duration::from_secs(1));
    }
    count(&cluster, &topics, &mut report);
    report
}

fn count(cluster: &Cluster, topics: &[Topic], report: &mut Report) {
    let (mut expected, mut seen, mut doubled, mut early) = (0, 0, 0, 0);
    let (mut expired, mut waits, mut ends) = (0, Vec::new(), Vec::new());
    for topic in topics {
        for listener in &topic.listeners {
            let Some(outcome) = cluster.outcome(*listener) else {
                continue;
            };
            for put in &topic.puts {
                let (id, at) = (&put.id, &put.at);
                expected += 1;
                let of_value = |entry: &&(Time, Value, bool)| entry.1.id == *id;
                let coming = |entry: &&(Time, Value, bool)| !entry.2;
                let times = outcome.values.iter().filter(of_value).filter(coming);
                let times = times.count();
                doubled += times.saturating_sub(1);
                if let Some(first) = outcome.first(*id) {
                    seen += 1;
                    waits.push((first - *at).as_secs_f64() * 1000.0);
                }
                if let Some(gone) = outcome.gone(*id) {
                    expired += 1;
                    let end = put.until.unwrap_or(*at);
                    ends.push((gone - end).as_secs_f64());
                    early += usize::from(gone + Duration::from_secs(5) < end);
                }
            }
        }
    }
    for topic in topics {
        for put in &topic.puts {
            for listener in &topic.listeners {
                let outcome = cluster.outcome(*listener);
                if outcome.is_some_and(|outcome| outcome.gone(put.id).is_none()) {
                    let (id, at, until) = (put.id, put.at, put.until);
                    tracing::info!(?id, ?at, ?until, ?listener, "not seen to expire");
                }
            }
        }
    }
    report.at_least("values seen by listeners", seen, expected, 99.0);
    report.at_least("seen to expire", expired, seen, 99.0);
    let p50 = percentile(&mut waits, 50);
    let p95 = percentile(&mut waits, 95);
    report.note(format!("value seen after {p50:.0} ms (p95 {p95:.0} ms)"));
    let (p5, p95) = (percentile(&mut ends, 5), percentile(&mut ends, 95));
    report.note(format!(
        "expiry seen {p5:.0} to {p95:.0} s (p5, p95) after the put or the last refresh"
    ));
    report.at_most("values gone for a listener while kept", early as f64, 0.0);
    report.at_most(
        "values that came twice",
        doubled as f64,
        expected as f64 / 50.0,
    );
}
