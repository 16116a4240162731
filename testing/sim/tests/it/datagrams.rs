use std::time::Duration;

use baraza_sim::{Access, World};

use crate::probe::{Probe, send, world};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_datagram_takes_the_latency_of_both_lines() {
    let (mut world, hosts) = world(1, 2, &Access::with_latency(ms(30)));
    let start = world.now_at(hosts[1]).instant;
    send(&mut world, hosts[0], hosts[1], "hello");
    world.run_for(ms(59));
    assert!(world.program(hosts[1]).unwrap().datagrams().is_empty());
    world.run_for(ms(1));
    let seen = world.program(hosts[1]).unwrap().datagrams();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].0 - start, ms(60));
    assert_eq!(&seen[0].1[..], b"hello");
}

#[test]
fn jitter_keeps_the_order_and_reordering_does_not() {
    let in_order = |access: Access| {
        let (mut world, hosts) = world(2, 2, &access);
        for n in 0..2000_u32 {
            send(&mut world, hosts[0], hosts[1], n.to_be_bytes().to_vec());
            world.run_for(ms(1));
        }
        world.run_for(ms(1000));
        let seen = world.program(hosts[1]).unwrap().datagrams();
        assert_eq!(seen.len(), 2000);
        let delays: Vec<_> = seen.iter().map(|(at, _)| *at).collect();
        let steady = delays.windows(2).all(|pair| pair[1] - pair[0] == ms(1));
        (seen.is_sorted_by_key(|(_, bytes)| bytes.clone()), steady)
    };
    let jitter = Access {
        jitter: ms(40),
        ..Access::default()
    };
    assert_eq!(in_order(Access::default()), (true, true));
    assert_eq!(in_order(jitter.clone()), (true, false));
    let reorder = Access {
        reorder: 0.1,
        ..jitter
    };
    assert!(!in_order(reorder).0);
}

#[test]
fn the_configured_share_is_lost_or_doubled() {
    let access = Access {
        loss: 0.1,
        duplicate: 0.05,
        ..Access::default()
    };
    let (mut world, hosts) = world(3, 2, &access);
    for _ in 0..20_000 {
        send(&mut world, hosts[0], hosts[1], "x");
    }
    world.run_for(ms(1000));
    let seen = world.program(hosts[1]).unwrap().datagrams().len();
    // Both lines lose and double: 0.81 of 20,000 get through, 0.0975 of them twice.
    let expected = 20_000.0 * 0.81 * 1.0975;
    assert!((seen as f64 - expected).abs() < expected * 0.03, "{seen}");
}

#[test]
fn large_datagrams_are_fragmented_or_swallowed_by_the_mtu() {
    let sizes = |access: &Access| {
        let (mut world, hosts) = world(4, 2, access);
        for len in [100, 1372, 1373, 5000] {
            send(&mut world, hosts[0], hosts[1], vec![0; len]);
        }
        world.run_for(ms(100));
        let seen = world.program(hosts[1]).unwrap().datagrams();
        seen.iter()
            .map(|(_, bytes)| bytes.len())
            .collect::<Vec<_>>()
    };
    let mut access = Access {
        mtu: 1400,
        ..Access::default()
    };
    assert_eq!(sizes(&access), [100, 1372, 1373, 5000]);
    access.fragments = false;
    assert_eq!(sizes(&access), [100, 1372]);
}

#[test]
fn a_slow_line_queues_and_then_drops() {
    let access = Access {
        rate: Some(100_000),
        queue: ms(100),
        ..Access::default()
    };
    let (mut world, hosts) = world(5, 2, &access);
    for _ in 0..30 {
        send(&mut world, hosts[0], hosts[1], vec![0; 972]);
    }
    world.run_for(ms(1000));
    let seen = world.program(hosts[1]).unwrap().datagrams();
    // 10 ms for each: eleven find at most 100 ms of queue before them.
    assert_eq!(seen.len(), 11);
    assert!(seen.windows(2).all(|pair| pair[1].0 - pair[0].0 == ms(10)));
}

#[test]
fn partitions_cuts_sleep_and_new_addresses_stop_packets() {
    let (mut world, hosts) = world(6, 3, &Access::default());
    let got = |world: &World<Probe>, n: usize| world.program(hosts[n]).unwrap().datagrams().len();
    let both = |world: &mut World<Probe>| {
        send(world, hosts[0], hosts[1], "x");
        send(world, hosts[0], hosts[2], "x");
        world.run_for(ms(100));
    };
    both(&mut world);
    assert_eq!((got(&world, 1), got(&world, 2)), (1, 1));
    world.net_mut().partition(&[&[], &[hosts[2]]]);
    both(&mut world);
    assert_eq!((got(&world, 1), got(&world, 2)), (2, 1));
    world.net_mut().heal();
    world.net_mut().block(hosts[1], hosts[0], true);
    both(&mut world);
    assert_eq!((got(&world, 1), got(&world, 2)), (2, 2));
    world.net_mut().heal();
    world.net_mut().node_mut(hosts[2]).set_plugged(false);
    both(&mut world);
    assert_eq!((got(&world, 1), got(&world, 2)), (3, 2));
    world.net_mut().node_mut(hosts[2]).set_plugged(true);
    world.set_asleep(hosts[1], true);
    both(&mut world);
    world.set_asleep(hosts[1], false);
    assert_eq!((got(&world, 1), got(&world, 2)), (3, 3));
    // Under way while the cable is cut, or the address moves: lost.
    send(&mut world, hosts[0], hosts[1], "x");
    world.run_for(ms(5));
    world.net_mut().node_mut(hosts[1]).renumber();
    world.run_for(ms(100));
    assert_eq!(got(&world, 1), 3);
    both(&mut world);
    assert_eq!((got(&world, 1), got(&world, 2)), (4, 4));
}

#[test]
fn timers_fire_once_on_time_whatever_the_clock() {
    let (mut world, hosts) = world(7, 1, &Access::default());
    let host = hosts[0];
    world.net_mut().node_mut(host).clock.set_drift(-333);
    let target = world.now_at(host).instant + ms(12_345);
    world.with(host, |probe, _| probe.alarm = Some(target + ms(5)));
    world.with(host, |probe, _| probe.alarm = Some(target));
    world.net_mut().node_mut(host).clock.jump(-3_600_000);
    world.run_for(ms(20_000));
    let fired = &world.program(host).unwrap().fired;
    assert_eq!(fired.len(), 1);
    assert!(fired[0] >= target && fired[0] - target < Duration::from_micros(1));
    // Asleep, the monotonic clock stands still.
    let target = world.now_at(host).instant + ms(1000);
    world.with(host, |probe, _| probe.alarm = Some(target));
    world.set_asleep(host, true);
    world.run_for(ms(5000));
    assert_eq!(world.program(host).unwrap().fired.len(), 1);
    world.set_asleep(host, false);
    world.run_for(ms(999));
    assert_eq!(world.program(host).unwrap().fired.len(), 1);
    world.run_for(ms(2));
    assert_eq!(world.program(host).unwrap().fired.len(), 2);
}

#[test]
fn same_seed_same_trace_another_seed_another() {
    let run = |seed| {
        let access = Access {
            loss: 0.2,
            jitter: ms(20),
            reorder: 0.1,
            ..Access::default()
        };
        let (mut world, hosts) = world(seed, 5, &access);
        for host in &hosts {
            world.with(*host, |probe, _| probe.echo = true);
        }
        for n in 0..100_usize {
            send(&mut world, hosts[n % 5], hosts[(n * 3 + 1) % 5], vec![0; n]);
            world.run_for(ms(7));
        }
        world.run_for(ms(3000));
        (world.trace(), world.events())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
}
