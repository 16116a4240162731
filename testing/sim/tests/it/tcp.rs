use std::time::Duration;

use baraza_sim::net::{ConnId, ListenerId};
use baraza_sim::{Access, Crash, HostId, TcpCommand, TcpEvent, World};
use bytes::Bytes;

use crate::probe::{CONN, Probe, connect, tcp, world};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn pattern(len: usize) -> Bytes {
    (0..len).map(|n| (n * 31 % 251) as u8).collect()
}

fn write(world: &mut World<Probe>, host: HostId, conn: ConnId, bytes: Bytes) {
    tcp(world, host, TcpCommand::Write { conn, bytes });
}

fn taken(probe: &Probe) -> usize {
    let sent = |event: &TcpEvent| match event {
        TcpEvent::Writable { sent, .. } => *sent,
        _ => 0,
    };
    probe.events().iter().map(sent).sum()
}

#[test]
fn connecting_takes_a_round_trip_and_nobody_listening_is_refused() {
    let (mut world, hosts) = world(1, 2, &Access::with_latency(ms(25)));
    let start = world.now_at(hosts[0]).instant;
    connect(&mut world, hosts[0], hosts[1]);
    let at = |host: usize, name: fn(&TcpEvent) -> bool| {
        let seen = &world.program(hosts[host]).unwrap().seen;
        let (at, _) = seen
            .iter()
            .find(|(_, input)| matches!(input, baraza_sim::Input::Tcp(event) if name(event)))
            .unwrap();
        *at - start
    };
    assert_eq!(at(0, |e| matches!(e, TcpEvent::Connected { .. })), ms(100));
    assert_eq!(at(1, |e| matches!(e, TcpEvent::Accepted { .. })), ms(150));

    let listener = ListenerId(1);
    tcp(&mut world, hosts[1], TcpCommand::CloseListener { listener });
    let ip = world.net().node(hosts[1]).address(true).unwrap();
    let conn = ConnId(8);
    let to = (ip, 32769).into();
    tcp(&mut world, hosts[0], TcpCommand::Connect { conn, to });
    world.run_for(ms(100));
    let client = world.program(hosts[0]).unwrap();
    assert!(client.has(&TcpEvent::ConnectFailed { conn }));
}

#[test]
fn connecting_through_a_cut_times_out_and_without_an_address_fails_at_once() {
    let (mut world, hosts) = world(2, 2, &Access::default());
    let ip = world.net().node(hosts[1]).address(false).unwrap();
    world.net_mut().node_mut(hosts[1]).set_plugged(false);
    let conn = CONN;
    let to = (ip, 40_000).into();
    tcp(&mut world, hosts[0], TcpCommand::Connect { conn, to });
    world.run_for(secs(126));
    assert!(world.program(hosts[0]).unwrap().events().is_empty());
    world.run_for(secs(2));
    assert_eq!(
        world.program(hosts[0]).unwrap().events(),
        [TcpEvent::ConnectFailed { conn }]
    );
    world.net_mut().node_mut(hosts[0]).set_families(false, true);
    let conn = ConnId(9);
    tcp(&mut world, hosts[0], TcpCommand::Connect { conn, to });
    world.run_for(ms(1));
    assert!(
        world
            .program(hosts[0])
            .unwrap()
            .has(&TcpEvent::ConnectFailed { conn })
    );
    assert_eq!(world.net().tcp_connections(), 0);
}

#[test]
fn bytes_arrive_whole_and_in_order_whatever_the_loss() {
    for loss in [0.0, 0.05, 0.3] {
        let access = Access::default().with_loss(loss / 2.0);
        let (mut world, hosts) = world(3, 2, &access);
        // Handshakes may need many tries at such a loss: connect() waits a second only.
        for host in &hosts {
            world.net_mut().node_mut(*host).access.loss = 0.0;
        }
        let there = connect(&mut world, hosts[0], hosts[1]);
        for host in &hosts {
            world.net_mut().node_mut(*host).access.loss = loss / 2.0;
        }
        let data = pattern(600_000);
        for chunk in data.chunks(7_001) {
            write(&mut world, hosts[0], CONN, Bytes::copy_from_slice(chunk));
        }
        tcp(&mut world, hosts[0], TcpCommand::Close { conn: CONN });
        world.run_for(secs(900));
        let server = world.program(hosts[1]).unwrap();
        assert!(server.received() == data, "loss {loss}");
        assert!(server.has(&TcpEvent::Closed { conn: there }));
        assert_eq!(world.net().tcp_connections(), 0);
    }
}

#[test]
fn throughput_follows_rate_window_and_loss() {
    let seconds = |access: Access, len: usize| {
        let (mut world, hosts) = world(4, 2, &access);
        connect(&mut world, hosts[0], hosts[1]);
        let begun = world.now();
        for chunk in pattern(len).chunks(65_536) {
            write(&mut world, hosts[0], CONN, Bytes::copy_from_slice(chunk));
        }
        let deadline = begun + secs(3600);
        let whole =
            |world: &mut World<Probe>| world.program(hosts[1]).unwrap().received().len() == len;
        assert!(world.run_while_not(ms(50), deadline, whole));
        (world.now() - begun).as_secs_f64()
    };
    let line = Access::with_latency(ms(20));
    // 256 KiB of send buffer each 80 ms round trip at most.
    let free = seconds(line.clone(), 4_000_000);
    assert!((1.0..2.5).contains(&free), "{free}");
    let rated = Access {
        rate: Some(200_000),
        ..line.clone()
    };
    let slow = seconds(rated, 2_000_000);
    assert!((10.0..12.0).contains(&slow), "{slow}");
    let lossy = seconds(line.with_loss(0.01), 4_000_000);
    assert!(lossy > free * 2.0, "{lossy} against {free}");
}

#[test]
fn a_cut_stalls_both_ways_and_the_buffer_is_bounded() {
    let (mut world, hosts) = world(5, 2, &Access::default());
    let there = connect(&mut world, hosts[0], hosts[1]);
    world.net_mut().partition(&[&[], &[hosts[1]]]);
    let data = pattern(400_000);
    write(&mut world, hosts[0], CONN, data.clone());
    write(&mut world, hosts[1], there, Bytes::from_static(b"hi"));
    world.run_for(secs(60));
    assert_eq!(taken(world.program(hosts[0]).unwrap()), 256 * 1024);
    assert!(world.program(hosts[1]).unwrap().received().is_empty());
    world.net_mut().heal();
    // The next try may be as far away as the silence was long.
    world.run_for(secs(70));
    let (client, server) = (
        world.program(hosts[0]).unwrap(),
        world.program(hosts[1]).unwrap(),
    );
    assert!(server.received() == data);
    assert_eq!(client.received(), b"hi");
    assert_eq!(taken(client), 400_000);
}

#[test]
fn a_reader_that_pauses_stops_the_sender() {
    let (mut world, hosts) = world(9, 2, &Access::default());
    let there = connect(&mut world, hosts[0], hosts[1]);
    let pause = |on| TcpCommand::Pause { conn: there, on };
    tcp(&mut world, hosts[1], pause(true));
    let data = pattern(2_000_000);
    write(&mut world, hosts[0], CONN, data.clone());
    world.run_for(secs(60));
    assert!(world.program(hosts[1]).unwrap().received().is_empty());
    let had = taken(world.program(hosts[0]).unwrap());
    assert!((256 * 1024..600_000).contains(&had), "{had}");
    tcp(&mut world, hosts[0], TcpCommand::Close { conn: CONN });
    tcp(&mut world, hosts[1], pause(false));
    world.run_for(secs(10));
    let reader = world.program(hosts[1]).unwrap();
    assert!(reader.received() == data);
    assert!(reader.has(&TcpEvent::Closed { conn: there }));
}

#[test]
fn an_endless_cut_ends_only_the_side_that_has_something_to_send() {
    let (mut world, hosts) = world(6, 2, &Access::default());
    connect(&mut world, hosts[0], hosts[1]);
    world.net_mut().partition(&[&[], &[hosts[1]]]);
    write(&mut world, hosts[0], CONN, pattern(10));
    world.run_for(secs(1100));
    let closed = |n: usize| {
        let events = world.program(hosts[n]).unwrap().events();
        events.iter().any(|e| matches!(e, TcpEvent::Closed { .. }))
    };
    assert!(closed(0));
    assert!(!closed(1));
}

#[test]
fn a_killed_program_closes_and_its_kernel_sends_what_it_has() {
    let (mut world, hosts) = world(7, 2, &Access::default());
    let there = connect(&mut world, hosts[0], hosts[1]);
    world.with(hosts[0], |probe, _| {
        probe.tcp(TcpCommand::Write {
            conn: CONN,
            bytes: pattern(300_000),
        });
        probe.crash(Crash::Kill);
        probe.tcp(TcpCommand::Write {
            conn: CONN,
            bytes: pattern(10),
        });
    });
    assert_eq!(world.take_crashed().len(), 1);
    assert!(world.program(hosts[0]).is_none());
    world.run_for(secs(10));
    let server = world.program(hosts[1]).unwrap();
    assert_eq!(server.received().len(), 256 * 1024);
    assert!(server.has(&TcpEvent::Closed { conn: there }));
    assert_eq!(world.net().tcp_connections(), 0);
}

#[test]
fn a_host_without_power_is_silent_until_it_is_back_and_resets() {
    let (mut world, hosts) = world(8, 2, &Access::default());
    connect(&mut world, hosts[0], hosts[1]);
    world.crash(hosts[1], Crash::Power);
    world.run_for(secs(60));
    write(&mut world, hosts[0], CONN, pattern(10));
    world.run_for(secs(20));
    let closed = TcpEvent::Closed { conn: CONN };
    assert!(!world.program(hosts[0]).unwrap().has(&closed));
    world.start(hosts[1], Probe::default());
    world.run_for(secs(60));
    assert!(world.program(hosts[0]).unwrap().has(&closed));
    assert!(world.program(hosts[1]).unwrap().events().is_empty());
}

#[test]
fn echo_over_tcp_repeats_with_its_seed() {
    let run = |seed| {
        let access = Access {
            jitter: ms(10),
            ..Access::default()
        };
        let (mut world, hosts) = world(seed, 2, &access);
        connect(&mut world, hosts[0], hosts[1]);
        world.with(hosts[1], |probe, _| probe.echo = true);
        for host in &hosts {
            world.net_mut().node_mut(*host).access.loss = 0.05;
        }
        write(&mut world, hosts[0], CONN, pattern(100_000));
        world.run_for(secs(60));
        assert_eq!(world.program(hosts[0]).unwrap().received().len(), 100_000);
        world.trace()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
