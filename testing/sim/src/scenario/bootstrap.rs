use std::time::Duration;

use baraza_dht::Config;

use super::{Size, home};
use crate::cluster::Cluster;
use crate::report::Report;

/// Nodes that join through the one node.
const NODES: usize = 60;

pub(super) fn run(seed: u64, _size: Size) -> Report {
    let mut report = Report::default();
    let mut cluster = Cluster::new(seed, Config::default());
    let line = home(cluster.world.rng());
    let first = cluster.add(line, true, &[]);
    let mut hosts = Vec::new();
    for n in 0..NODES {
        let line = home(cluster.world.rng());
        hosts.push(cluster.add(line, n % 3 == 0, &[first]));
        cluster.run_for(Duration::from_millis(100));
    }
    cluster.run_for(Duration::from_secs(20));
    let connected = |cluster: &Cluster, hosts: &[_]| {
        let is = |host: &&_| cluster.is_connected(**host);
        hosts.iter().filter(is).count()
    };
    report.at_least("joined", connected(&cluster, &hosts), NODES, 100.0);

    // What one node puts, another far from it finds.
    let mut puts = Vec::new();
    for host in hosts.iter().take(20) {
        let (key, value) = (cluster.random_key(), cluster.random_value(200));
        let id = value.id;
        puts.push((key, id, cluster.put(*host, key, value, false)));
    }
    let ops: Vec<_> = puts.iter().map(|(_, _, op)| *op).collect();
    let done = cluster.finish(&ops, Duration::from_secs(30));
    report.at_least("puts", done, ops.len(), 100.0);

    // The others no longer need the first node.
    cluster.stop(first);
    cluster.run_for(Duration::from_secs(30));
    let gets: Vec<_> = puts
        .iter()
        .zip(hosts.iter().rev())
        .map(|((key, id, _), host)| (*id, cluster.get(*host, *key)))
        .collect();
    let ops: Vec<_> = gets.iter().map(|(_, op)| *op).collect();
    cluster.finish(&ops, Duration::from_secs(60));
    let found = |(id, op): &&(u64, _)| {
        let outcome = cluster.outcome(*op);
        outcome.is_some_and(|outcome| outcome.first(*id).is_some())
    };
    let found = gets.iter().filter(found).count();
    report.at_least("found without the first node", found, gets.len(), 100.0);

    // Who knows only the node that is away keeps trying, ever more rarely.
    let line = home(cluster.world.rng());
    let late = cluster.add(line, true, &[first]);
    cluster.run_for(Duration::from_secs(100));
    let alone = !cluster.is_connected(late);
    report.check(alone, || "connected to nobody".into());
    let sent = cluster.world.net().node(late).traffic.datagrams_out;
    report.at_most("datagrams while alone for 100 s", sent as f64, 60.0);
    cluster.start(first, &[hosts[0]]);
    cluster.run_for(Duration::from_secs(180));
    let joined = connected(&cluster, &[late]);
    report.at_least("joined when it came back", joined, 1, 100.0);
    report
}
