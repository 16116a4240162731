//! Nodes among themselves.

use std::time::Duration;

use baraza_dht::{
    Command, Config, Event, Family, Filter, Limits, OpError, OpId, Output, Query, Status, Value,
    infohash, value_type,
};

use crate::net::Net;

const MINUTE: Duration = Duration::from_secs(60);

fn value(data: &[u8]) -> Value {
    Value::new(0, data).with_id(77)
}

#[test]
fn two_nodes_find_each_other() {
    let mut net = Net::with_nodes(1, 2);
    net.connect();
    let key = infohash("greeting");
    let put = net.put(1, key, &value(b"hello"));
    assert_eq!(net.done(1, put), Ok(()));
    let get = net.get(0, key);
    assert_eq!(net.done(0, get), Ok(()));
    assert_eq!(net.found(0, get), [b"hello"]);
    // A value of the same content is reported once, wherever it is.
    let get = net.get(1, key);
    assert_eq!(net.done(1, get), Ok(()));
    assert_eq!(net.found(1, get), [b"hello"]);
    let nothing = net.get(0, infohash("nothing"));
    assert_eq!(net.done(0, nothing), Ok(()));
    assert!(net.found(0, nothing).is_empty());
}

#[test]
fn any_node_finds_what_any_other_put() {
    let mut net = Net::with_nodes(2, 60);
    net.connect();
    net.run(MINUTE);
    for n in 0..40usize {
        let key = infohash(n.to_be_bytes());
        let put = net.put(n, key, &value(&n.to_be_bytes()));
        assert_eq!(net.done(n, put), Ok(()));
        let at = (n * 7 + 3) % 60;
        let get = net.get(at, key);
        assert_eq!(net.done(at, get), Ok(()));
        assert_eq!(net.found(at, get), [n.to_be_bytes()], "{n} at {at}");
        let copies = net
            .hosts
            .iter()
            .filter(|host| host.dht.key_list().iter().any(|(k, _)| *k == key));
        let copies = copies.count();
        assert!((8..=11).contains(&copies), "{copies}");
    }
}

#[test]
fn a_listener_hears_values_come_and_go() {
    let mut net = Net::with_nodes(3, 20);
    net.connect();
    net.run(MINUTE);
    let key = infohash("news");
    let early = net.put(3, key, &value(b"early"));
    assert_eq!(net.done(3, early), Ok(()));
    let listen = net.listen(5, key);
    net.until(MINUTE, |net| !net.values(5, listen).is_empty());
    assert_eq!(net.found(5, listen), [b"early"]);
    let late = Value::new(0, b"late").with_id(78);
    let put = net.put(9, key, &late);
    let taken = net.until(MINUTE, |net| net.values(5, listen).len() == 2);
    assert!(taken < Duration::from_secs(1), "{taken:?}");
    assert_eq!(net.done(9, put), Ok(()));
    // Both end after the lifetime of their type.
    net.run(value_type::DEFAULT_LIFETIME + MINUTE);
    let gone: Vec<bool> = net
        .values(5, listen)
        .iter()
        .map(|(gone, _)| *gone)
        .collect();
    assert_eq!(gone, [false, false, true, true]);
    net.command(5, Command::Cancel { op: listen });
    let put = net.put(9, key, &late);
    assert_eq!(net.done(9, put), Ok(()));
    net.run(MINUTE);
    assert_eq!(net.values(5, listen).len(), 4);
}

#[test]
fn a_permanent_value_stays_until_cancelled_though_nodes_come_and_go() {
    let mut net = Net::with_nodes(4, 20);
    net.connect();
    net.run(MINUTE);
    let key = infohash("presence");
    let listen = net.listen(2, key);
    let put = net.put_as(1, key, &value(b"here"), true);
    assert_eq!(net.done(1, put), Ok(()));
    for round in 0..6 {
        net.run(10 * MINUTE);
        // Some nodes lose their memory.
        for host in [5 + round, 12 + round] {
            net.restart(host);
            net.bootstrap(host, 0);
        }
        net.run(2 * MINUTE);
        let get = net.get(3, key);
        assert_eq!(net.done(3, get), Ok(()));
        assert_eq!(net.found(3, get), [b"here"], "round {round}");
    }
    assert_eq!(net.values(2, listen).len(), 1);
    net.command(1, Command::Cancel { op: put });
    net.run(11 * MINUTE);
    let heard = net.values(2, listen);
    assert_eq!(heard.len(), 2);
    assert!(heard[1].0);
    let get = net.get(3, key);
    assert_eq!(net.done(3, get), Ok(()));
    assert!(net.found(3, get).is_empty());
}

#[test]
fn losing_packets_only_costs_time() {
    let mut net = Net::with_nodes(5, 30);
    net.loss = 10;
    net.run(2 * MINUTE);
    let listen = net.listen(7, infohash("lossy"));
    net.run(MINUTE / 2);
    for n in 0..10usize {
        let key = infohash(n.to_be_bytes());
        let put = net.put(n, key, &value(b"x"));
        assert_eq!(net.done(n, put), Ok(()));
        let get = net.get(20 + n, key);
        assert_eq!(net.done(20 + n, get), Ok(()));
        assert_eq!(net.found(20 + n, get), [b"x"], "{n}");
    }
    net.put(1, infohash("lossy"), &value(b"heard"));
    net.until(MINUTE / 2, |net| net.values(7, listen).len() == 1);
}

#[test]
fn large_values_travel_in_fragments() {
    let mut net = Net::with_nodes(6, 12);
    net.connect();
    net.run(MINUTE);
    let key = infohash("large");
    for (id, len) in [(1, 3000), (2, 30_000), (3, 60_000)] {
        let value = Value::new(0, vec![7; len]).with_id(id);
        let put = net.put(2, key, &value);
        assert_eq!(net.done(2, put), Ok(()));
    }
    let listen = net.listen(4, key);
    let get = net.get(5, key);
    assert_eq!(net.done(5, get), Ok(()));
    let mut sizes: Vec<usize> = net.found(5, get).iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [3000, 30_000, 60_000]);
    net.until(MINUTE, |net| net.values(4, listen).len() == 3);
    let too_large = net.put(2, key, &Value::new(0, vec![7; 70_000]));
    assert_eq!(net.done(2, too_large), Err(OpError::InvalidValue));
}

#[test]
fn a_query_filters() {
    let mut net = Net::with_nodes(7, 10);
    net.connect();
    let key = infohash("filtered");
    for (id, user_type) in [(1, "a"), (2, "b"), (3, "a")] {
        let value = Value::new(0, [u8::try_from(id).unwrap()])
            .with_id(id)
            .with_user_type(user_type);
        let put = net.put(2, key, &value);
        assert_eq!(net.done(2, put), Ok(()));
    }
    let query = Query::all().filter(Filter::UserType("a".into()));
    let get = net.query(5, key, query);
    assert_eq!(net.done(5, get), Ok(()));
    let mut found = net.found(5, get);
    found.sort();
    assert_eq!(found, [[1], [3]]);
    let get = net.query(5, key, Query::by_id(2));
    assert_eq!(net.done(5, get), Ok(()));
    assert_eq!(net.found(5, get), [[2]]);
}

#[test]
fn alone_everything_ends_soon() {
    let mut net = Net::with_nodes(8, 1);
    let key = infohash("alone");
    let get = net.get(0, key);
    assert_eq!(net.done(0, get), Err(OpError::NotConnected));
    let put = net.put(0, key, &value(b"mine"));
    assert_eq!(net.done(0, put), Err(OpError::NotConnected));
    let get = net.get(0, key);
    assert_eq!(net.done(0, get), Err(OpError::NotConnected));
    assert_eq!(net.found(0, get), [b"mine"]);
    // What lasts waits for somebody to come.
    let permanent = net.put_as(0, infohash("waiting"), &value(b"later"), true);
    let listen = net.listen(0, infohash("heard"));
    net.run(3 * MINUTE);
    assert_eq!(net.outcome(0, permanent), None);
    net.add(Config {
        ipv6: false,
        ..Config::default()
    });
    net.bootstrap(1, 0);
    net.until(MINUTE, |net| net.outcome(0, permanent) == Some(Ok(())));
    net.put(1, infohash("heard"), &value(b"at last"));
    net.until(MINUTE, |net| net.found(0, listen) == [b"at last"]);
}

#[test]
fn a_name_is_used_once_and_operations_are_counted() {
    let mut net = Net::with_nodes(9, 2);
    net.connect();
    let query = Query::all();
    let key = infohash("x");
    let op = OpId(500);
    net.command(
        0,
        Command::Listen {
            op,
            key,
            query: query.clone(),
        },
    );
    net.command(0, Command::Get { op, key, query });
    assert_eq!(net.outcome(0, op), Some(Err(OpError::Duplicate)));
}

#[test]
fn a_dead_bootstrap_node_is_passed_over() {
    let mut net = Net::with_nodes(10, 3);
    net.connect();
    let late = net.add(Config {
        ipv6: false,
        ..Config::default()
    });
    let dead = "10.9.9.9:4222".parse().unwrap();
    net.command(late, Command::Bootstrap { addr: dead });
    net.run(Duration::from_secs(5));
    assert_eq!(net.hosts[late].dht.status().0, Status::Connecting);
    net.bootstrap(late, 1);
    net.connect();
    let connected = |event: &Event| {
        matches!(
            event,
            Event::Status {
                ipv4: Status::Connected,
                ..
            }
        )
    };
    assert!(net.hosts[late].events.iter().any(connected));
}

#[test]
fn the_network_heals_after_an_outage() {
    let mut net = Net::with_nodes(11, 12);
    net.connect();
    net.run(2 * MINUTE);
    let key = infohash("outage");
    let listen = net.listen(3, key);
    net.run(MINUTE);
    let address = net.hosts[3].address;
    net.down.insert(address);
    net.run(20 * MINUTE);
    assert_ne!(net.hosts[3].dht.status().0, Status::Connected);
    net.down.clear();
    net.command(3, Command::ConnectivityChanged);
    net.until(MINUTE, |net| {
        net.hosts[3].dht.status().0 == Status::Connected
    });
    net.run(MINUTE / 2);
    net.put(6, key, &value(b"back"));
    net.until(MINUTE, |net| net.found(3, listen) == [b"back"]);
}

#[test]
fn an_idle_network_is_quiet() {
    let mut net = Net::with_nodes(12, 30);
    net.connect();
    net.run(5 * MINUTE);
    let before = net.traffic;
    net.run(30 * MINUTE);
    let each_minute = (net.traffic - before) as f64 / 30.0 / 30.0;
    assert!(
        each_minute < 6.0,
        "{each_minute} packets a minute from a node"
    );
}

#[test]
fn who_joins_looks_everywhere_and_is_soon_named_to_others() {
    let mut net = Net::with_nodes(14, 60);
    net.connect();
    net.run(MINUTE);
    let late = net.add(Config::default());
    net.bootstrap(late, 0);
    net.run(Duration::from_secs(30));
    let id = net.hosts[late].dht.id();
    let buckets = net.hosts[late].dht.routing_table(Family::V4);
    assert!(buckets.len() > 1, "{}", buckets.len());
    for (n, bucket) in buckets.iter().enumerate() {
        let next = buckets.get(n + 1).map(|next| next.first);
        let holds = |id| bucket.first <= id && next.is_none_or(|next| id < next);
        if holds(id) {
            continue;
        }
        let there = net.hosts.iter().filter(|host| holds(host.dht.id())).count();
        let good = bucket.nodes.iter().filter(|node| node.good).count();
        assert!(good >= there.min(4), "{good} of {there} in bucket {n}");
    }
    // Only nodes that answered are named to others.
    let named = net.hosts.iter().filter(|host| {
        let buckets = host.dht.routing_table(Family::V4);
        let mut nodes = buckets.iter().flat_map(|bucket| &bucket.nodes);
        nodes.any(|node| node.id == id && node.good)
    });
    let named = named.count();
    assert!(named >= 8, "{named}");
}

#[test]
fn strangers_are_pinged_but_few_at_a_time() {
    let mut net = Net::with_nodes(15, 2);
    net.connect();
    net.run(MINUTE);
    let now = net.now();
    let dht = &mut net.hosts[0].dht;
    let mut pinged = Vec::new();
    for n in 0..=u8::MAX {
        let mut ping = b"\x85\xa1a\x81\xa2id\xc4\x14".to_vec();
        ping.extend(infohash([n]).as_bytes());
        ping.extend(b"\xa1q\xa4ping\xa1t\x01\xa1y\xa1q\xa1v\xa1x");
        dht.handle_datagram(now, ([192, 0, 2, n], 4000).into(), &ping);
        let mut count = 0;
        while let Some(output) = dht.poll_output() {
            let request = b"\xa1q\xa4ping";
            count += usize::from(matches!(output, Output::Transmit { bytes, .. }
                if bytes.windows(request.len()).any(|part| part == request)));
        }
        pinged.push(count);
    }
    assert_eq!(pinged[0], 1);
    let pinged: usize = pinged.iter().sum();
    assert!(pinged <= 40, "{pinged}");
}

#[test]
fn requests_beyond_the_limit_are_dropped() {
    let mut net = Net::new(13);
    let quiet = Config {
        ipv6: false,
        ..Config::default()
    };
    let limits = Limits {
        requests_per_address: Some(5),
        ..Limits::default()
    };
    let target = net.add(Config { limits, ..quiet });
    let ping = b"\x85\xa1a\x81\xa2id\xc4\x14aaaaaaaaaaaaaaaaaaaa\xa1q\xa4ping\xa1t\x01\xa1y\xa1q\xa1v\xa1x";
    let now = net.now();
    for _ in 0..20 {
        net.hosts[target]
            .dht
            .handle_datagram(now, "192.0.2.9:4000".parse().unwrap(), ping);
    }
    assert_eq!(net.hosts[target].dht.counters().served, 5);
    assert_eq!(net.hosts[target].dht.counters().rate_limited, 15);
}

#[test]
fn a_key_with_many_values_is_read_in_full() {
    let mut net = Net::with_nodes(14, 6);
    net.connect();
    let key = infohash("crowded");
    for id in 1..=200u64 {
        let value = Value::new(0, id.to_be_bytes()).with_id(id);
        let put = net.put(usize::try_from(id % 6).unwrap(), key, &value);
        assert_eq!(net.done(usize::try_from(id % 6).unwrap(), put), Ok(()));
    }
    let get = net.get(5, key);
    assert_eq!(net.done(5, get), Ok(()));
    assert_eq!(net.found(5, get).len(), 200);
    let listen = net.listen(4, key);
    net.until(MINUTE, |net| net.found(4, listen).len() == 200);
}

#[test]
fn subscriptions_are_renewed_less_often_where_nothing_translates_addresses() {
    // Requests to listen that others got in ten minutes, and whether values still arrive.
    let renewals = |own: bool| {
        let mut net = Net::with_nodes(31, 6);
        net.connect();
        net.run(MINUTE);
        let seen: Vec<_> = net.hosts[5].dht.public_addresses().collect();
        assert_eq!(seen, [net.hosts[5].address.ip()], "as the others see it");
        if own {
            net.hosts[5].dht.host_has(seen[0]);
        }
        let key = infohash("renewed");
        let listen = net.listen(5, key);
        net.run(MINUTE);
        let before = net.hosts[5].dht.counters();
        net.run(10 * MINUTE);
        let after = net.hosts[5].dht.counters();
        let put = net.put(0, key, &value(b"late"));
        assert_eq!(net.done(0, put), Ok(()));
        net.run(Duration::from_secs(5));
        assert_eq!(net.found(5, listen), [b"late"]);
        after.sent - before.sent
    };
    let (behind, direct) = (renewals(false), renewals(true));
    assert!(direct * 10 < behind * 7, "{direct} of {behind}");
}
