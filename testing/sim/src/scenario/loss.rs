use std::time::Duration;

use baraza_dht::Config;

use super::{Size, home};
use crate::cluster::{Cluster, Outcome};
use crate::net::HostId;
use crate::report::{Report, percentile};

const NODES: usize = 100;

pub(super) fn run(seed: u64, size: Size) -> Report {
    let mut report = Report::default();
    let steps: &[(u32, f64)] = match size {
        // Not all of them even without loss: two minutes after the last node joined, some
        // know too few nodes of the other half of the ids. (OpenDHT: 5 of 300 gets in a
        // cluster of 100, docs/protocol/01-dht.md section 16.1.)
        Size::Full => &[
            (0, 99.5),
            (5, 99.0),
            (10, 99.0),
            (15, 98.0),
            (20, 97.0),
            (25, 95.0),
            (30, 93.0),
        ],
        Size::Smoke => &[(0, 98.0), (30, 90.0)],
    };
    for (percent, limit) in steps {
        at_loss(seed, *percent, *limit, size, &mut report);
    }
    report
}

/// Joins, puts and gets with so many percent of all packets lost.
fn at_loss(seed: u64, percent: u32, limit: f64, size: Size, report: &mut Report) {
    let mut cluster = Cluster::new(seed, Config::default());
    // Each packet passes two lines.
    let each = 1.0 - (1.0 - f64::from(percent) / 100.0).sqrt();
    let mut hosts: Vec<HostId> = Vec::new();
    for _ in 0..NODES {
        let mut line = home(cluster.world.rng());
        line.loss = each;
        let through: Vec<_> = hosts.first().copied().into_iter().collect();
        hosts.push(cluster.add(line, false, &through));
        cluster.run_for(Duration::from_millis(50));
    }
    cluster.run_for(Duration::from_secs(120));
    let count = if size == Size::Full { 200 } else { 50 };
    let mut puts = Vec::new();
    for n in 0..count {
        let (key, value) = (cluster.random_key(), cluster.random_value(64));
        let id = value.id;
        puts.push((
            key,
            id,
            cluster.put(hosts[n * 7 % NODES], key, value, false),
        ));
        cluster.run_for(Duration::from_millis(200));
    }
    let ops: Vec<_> = puts.iter().map(|(_, _, op)| *op).collect();
    cluster.finish(&ops, Duration::from_secs(60));
    let mut gets = Vec::new();
    for (n, (key, id, _)) in puts.iter().enumerate() {
        gets.push((*id, cluster.get(hosts[(n * 11 + 50) % NODES], *key)));
        cluster.run_for(Duration::from_millis(200));
    }
    let ops: Vec<_> = gets.iter().map(|(_, op)| *op).collect();
    cluster.finish(&ops, Duration::from_secs(60));
    for ((key, id, put), (_, get)) in puts.iter().zip(&gets) {
        let outcome = cluster.outcome(*get);
        if outcome.is_some_and(|outcome| outcome.first(*id).is_none()) {
            let (put, holders) = (cluster.outcome(*put), cluster.holders(key, 120));
            tracing::info!(percent, ?get, ?outcome, ?put, holders, "not found");
        }
    }
    let stored = puts.iter().filter(|(_, _, op)| {
        let outcome = cluster.outcome(*op);
        outcome.is_some_and(Outcome::is_ok)
    });
    let stored = stored.count();
    let mut times: Vec<f64> = gets
        .iter()
        .filter_map(|(id, op)| {
            let outcome = cluster.outcome(*op)?;
            Some((outcome.first(*id)? - outcome.begun).as_secs_f64() * 1000.0)
        })
        .collect();
    let what = |kind: &str| format!("{percent} % loss, {kind}");
    report.at_least(&what("puts done"), stored, puts.len(), limit);
    report.at_least(&what("gets found"), times.len(), gets.len(), limit);
    let p50 = percentile(&mut times, 50);
    let p95 = percentile(&mut times, 95);
    report.note(what(&format!(
        "first value after {p50:.0} ms (p95 {p95:.0} ms)"
    )));
}
