use std::time::Duration;

use baraza_dht::Config;
use baraza_sim::Access;
use baraza_sim::cluster::Cluster;

#[test]
fn a_value_put_by_a_node_with_a_wrong_clock_is_found() {
    for wrong_by in [-3_600_000, 3_600_000] {
        let mut cluster = Cluster::new(1, Config::default());
        let first = cluster.add(Access::default(), false, &[]);
        let mut hosts = vec![first];
        for _ in 0..11 {
            hosts.push(cluster.add(Access::default(), false, &[first]));
        }
        cluster.run_for(Duration::from_secs(20));
        let clock = &mut cluster.world.net_mut().node_mut(hosts[5]).clock;
        clock.jump(wrong_by);
        let (key, value) = (cluster.random_key(), cluster.random_value(64));
        let id = value.id;
        let put = cluster.put(hosts[5], key, value, false);
        assert_eq!(cluster.finish(&[put], Duration::from_secs(20)), 1);
        // Not from the one who put it.
        cluster.stop(hosts[5]);
        let get = cluster.get(hosts[9], key);
        cluster.finish(&[get], Duration::from_secs(60));
        let found = cluster.outcome(get).unwrap().first(id);
        assert!(found.is_some(), "the clock is wrong by {wrong_by} ms");
    }
}

#[test]
fn a_cluster_repeats_with_its_seed() {
    let run = |seed| {
        let mut cluster = Cluster::new(seed, Config::default());
        let access = Access::default().with_loss(0.05);
        let first = cluster.add(access.clone(), true, &[]);
        let mut hosts = vec![first];
        for n in 0..30 {
            hosts.push(cluster.add(access.clone(), n % 2 == 0, &[first]));
        }
        let (key, value) = (cluster.random_key(), cluster.random_value(2000));
        cluster.listen(hosts[3], key);
        cluster.put(hosts[20], key, value, true);
        cluster.run_for(Duration::from_secs(900));
        (cluster.world.trace(), cluster.world.events())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
