use std::time::Duration;

use baraza_dht::Config;

use super::{Size, home};
use crate::cluster::Cluster;
use crate::net::HostId;
use crate::report::Report;

/// Nodes that join in the short and in the long form, one each [`PAUSE`].
const FEW: usize = 60;
const MANY: usize = 300;
const PAUSE: Duration = Duration::from_millis(100);
const VALUES: usize = 100;
/// Nodes that keep a value.
const COPIES: usize = 8;
/// A value lies well if so many of the nodes nearest to its key have it.
const ENOUGH: usize = 6;
/// Budget of one node, from its start to the end of all operations.
const DATAGRAMS: f64 = 400.0;

pub(super) fn run(seed: u64, size: Size) -> Report {
    let mut report = Report::default();
    let mut cluster = Cluster::new(seed, Config::default());
    let line = home(cluster.world.rng());
    let first = cluster.add(line, true, &[]);
    let mut hosts = vec![first];
    for n in 0..if size == Size::Full { MANY } else { FEW } {
        let line = home(cluster.world.rng());
        hosts.push(cluster.add(line, n % 3 == 0, &[first]));
        cluster.run_for(PAUSE);
    }
    for wait in [0, 20] {
        cluster.run_for(Duration::from_secs(wait));
        put_and_get(&mut cluster, &hosts, &mut report);
    }
    let sent = |host: &HostId| cluster.world.net().node(*host).traffic.datagrams_out as f64;
    let sent: f64 = hosts.iter().map(sent).sum();
    report.at_most("datagrams of a node", sent / hosts.len() as f64, DATAGRAMS);
    report
}

/// Values from random nodes, which others look for.
fn put_and_get(cluster: &mut Cluster, hosts: &[HostId], report: &mut Report) {
    let mut puts = Vec::new();
    for _ in 0..VALUES {
        let (key, value) = (cluster.random_key(), cluster.random_value(64));
        let id = value.id;
        if let Some(host) = cluster.any_of(hosts) {
            puts.push((key, id, cluster.put(host, key, value, false)));
        }
    }
    let ops: Vec<_> = puts.iter().map(|(_, _, op)| *op).collect();
    let done = cluster.finish(&ops, Duration::from_secs(30));
    report.at_least("puts", done, VALUES, 100.0);
    let well = puts
        .iter()
        .filter(|(key, _, _)| cluster.stored_at_nearest(key, COPIES) >= ENOUGH)
        .count();
    let what = format!("at {ENOUGH} of the {COPIES} nearest nodes or more");
    report.at_least(&what, well, VALUES, 95.0);

    let mut gets = Vec::new();
    for (key, id, _) in &puts {
        if let Some(host) = cluster.any_of(hosts) {
            gets.push((*key, *id, cluster.get(host, *key)));
        }
    }
    let ops: Vec<_> = gets.iter().map(|(_, _, op)| *op).collect();
    cluster.finish(&ops, Duration::from_secs(60));
    let mut found = 0;
    for (key, id, op) in &gets {
        let outcome = cluster.outcome(*op);
        if outcome.is_some_and(|outcome| outcome.first(*id).is_some()) {
            found += 1;
        } else {
            report.note(format!("not found: {}", cluster.holders(key, 3 * COPIES)));
        }
    }
    report.at_least("found", found, VALUES, 100.0);
}
