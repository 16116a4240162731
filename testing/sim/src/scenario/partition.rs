use std::time::Duration;

use baraza_dht::Config;
use baraza_wire::InfoHash;

use super::{Size, home};
use crate::cluster::{Cluster, Op};
use crate::net::HostId;
use crate::report::Report;

const NODES: usize = 80;
/// Keys that every phase works on.
const KEYS: usize = 24;

pub(super) fn run(seed: u64, _size: Size) -> Report {
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

    // Not by age: full buckets keep their oldest nodes, so the younger half would be left
    // with next to none.
    let half = |odd: usize| -> Vec<HostId> { hosts.iter().skip(odd).step_by(2).copied().collect() };
    let (left, right) = (half(0), half(1));
    cluster.world.net_mut().partition(&[&left, &right]);
    // Long enough that requests fail and nodes count as expired.
    cluster.run_for(Duration::from_secs(45));
    let mut kept = Vec::new();
    for n in 0..KEYS {
        let host = if n % 2 == 0 { &left } else { &right }[n % (NODES / 2)];
        let (key, value) = (cluster.random_key(), cluster.random_value(100));
        let id = value.id;
        let op = cluster.put(host, key, value, true);
        kept.push((key, id, op, host));
    }
    cluster.run_for(Duration::from_secs(45));
    let same_side: Vec<_> = kept
        .iter()
        .enumerate()
        .map(|(n, (key, id, ..))| {
            let side = if n % 2 == 0 { &left } else { &right };
            (*id, cluster.get(side[(n * 7 + 3) % side.len()], *key))
        })
        .collect();
    found(
        &mut cluster,
        &mut report,
        &kept,
        "found within a half",
        &same_side,
        95.0,
    );

    cluster.world.net_mut().heal();
    cluster.run_for(Duration::from_secs(60));
    let other_side: Vec<_> = kept
        .iter()
        .enumerate()
        .map(|(n, (key, id, ..))| {
            let side = if n % 2 == 0 { &right } else { &left };
            (*id, cluster.get(side[(n * 5 + 1) % side.len()], *key))
        })
        .collect();
    // Nodes of one half that the other does not know yet make some searches end too early;
    // the next refresh of the values (after ten minutes) ends that.
    found(
        &mut cluster,
        &mut report,
        &kept,
        "found across, 1 min after",
        &other_side,
        80.0,
    );
    cluster.run_for(Duration::from_secs(660));
    let other_side: Vec<_> = kept
        .iter()
        .enumerate()
        .map(|(n, (key, id, ..))| {
            let side = if n % 2 == 0 { &right } else { &left };
            (*id, cluster.get(side[(n * 3 + 2) % side.len()], *key))
        })
        .collect();
    found(
        &mut cluster,
        &mut report,
        &kept,
        "found across, 12 min after",
        &other_side,
        100.0,
    );
    report
}

/// Waits for gets and notes how many found their value.
fn found(
    cluster: &mut Cluster,
    report: &mut Report,
    kept: &[(InfoHash, u64, Op, HostId)],
    what: &str,
    gets: &[(u64, Op)],
    percent: f64,
) {
    let ops: Vec<_> = gets.iter().map(|(_, op)| *op).collect();
    cluster.finish(&ops, Duration::from_secs(60));
    let is_found = |(id, op): &&(u64, Op)| {
        let outcome = cluster.outcome(*op);
        outcome.is_some_and(|outcome| outcome.first(*id).is_some())
    };
    let found = gets.iter().filter(is_found).count();
    for get in gets.iter().filter(|get| !is_found(get)) {
        let outcome = cluster.outcome(get.1);
        let key = kept
            .iter()
            .find(|(_, id, ..)| *id == get.0)
            .map(|(key, ..)| *key);
        let holders = key.map(|key| cluster.holders(&key, 24));
        tracing::info!(?get, ?outcome, holders, "not found");
    }
    report.at_least(what, found, gets.len(), percent);
}
