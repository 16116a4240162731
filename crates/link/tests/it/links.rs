//! Whole links: offer, ICE, TLS and channels between devices on a virtual network.

use std::time::Duration;

use baraza_identity::testing;
use baraza_link::{Command, DownReason, Event, FailReason, WRITE_WINDOW};
use bytes::Bytes;

use crate::world::World;

const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_channel_is_opened_carries_data_and_closes() {
    let mut world = World::new(&["alice", "bob"]);
    world.run_for(Duration::from_secs(2));
    let here = world.open(0, 1, 1, "git://x/y");
    let (there, peer, name) = world.requested(1);
    assert_eq!(name, "git://x/y");
    assert_eq!(peer.account, testing::identity("alice").account_id());
    assert_eq!(peer.device, testing::identity("alice").device_id());
    world.command(1, Command::Accept { channel: there });
    let peer = world.wait_for(0, SOON, |event| match event {
        Event::Opened { channel, peer } if *channel == here => Some(peer.clone()),
        _ => None,
    });
    assert_eq!(peer.account, testing::identity("bob").account_id());
    assert!(
        world.elapsed < Duration::from_secs(4),
        "{:?}",
        world.elapsed
    );

    let bytes = Bytes::from_static(b"0032git-upload-pack");
    let write = |channel| Command::Write {
        channel,
        bytes: bytes.clone(),
    };
    world.command(0, write(here));
    world.command(1, write(there));
    world.run_for(Duration::from_secs(1));
    for (host, channel) in [(0, here), (1, there)] {
        let events = world.events(host);
        let data = Event::Data {
            channel,
            bytes: bytes.clone(),
        };
        assert!(events.contains(&data), "{events:?}");
        let sent = Event::Sent {
            channel,
            bytes: bytes.len(),
        };
        assert!(events.contains(&sent), "{events:?}");
    }
    world.command(1, Command::Close { channel: there });
    world.wait_for(0, SOON, |event| {
        (*event == Event::Closed { channel: here }).then_some(())
    });
}

#[test]
fn a_second_channel_uses_the_same_link_and_takes_one_round_trip() {
    let mut world = World::new(&["alice", "bob"]);
    world.run_for(Duration::from_secs(2));
    world.channel(0, 1, 1, "sip");
    let before = world.elapsed;
    world.channel(0, 2, 1, "msg:x");
    assert!(world.elapsed - before < Duration::from_millis(50));
    // Also from the other side.
    let before = world.elapsed;
    world.channel(1, 1, 0, "msg:y");
    assert!(world.elapsed - before < Duration::from_millis(50));
    assert!(
        !world
            .events(0)
            .iter()
            .any(|event| matches!(event, Event::LinkUp { .. }))
    );
}

#[test]
fn a_declined_channel_fails() {
    let mut world = World::new(&["alice", "bob"]);
    world.run_for(Duration::from_secs(2));
    let here = world.open(0, 1, 1, "sync://x");
    let (there, ..) = world.requested(1);
    world.command(1, Command::Decline { channel: there });
    let reason = world.wait_for(0, SOON, |event| match event {
        Event::Failed { channel, reason } if *channel == here => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason, FailReason::Declined);
}

#[test]
fn a_device_that_is_gone_is_reported() {
    let mut world = World::new(&["alice", "bob"]);
    world.run_for(Duration::from_secs(2));
    world.cut_off.insert(1);
    let here = world.open(0, 1, 1, "sip");
    let reason = world.wait_for(0, Duration::from_secs(120), |event| match event {
        Event::Failed { channel, reason } if *channel == here => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason, FailReason::NoAnswer);
    assert!(world.events(1).is_empty());
}

#[test]
fn a_blocked_account_reaches_nobody() {
    let mut world = World::new(&["alice", "bob"]);
    let alice = testing::identity("alice").account_id();
    world.command(1, Command::SetBlocked([alice].into()));
    world.run_for(Duration::from_secs(2));
    let here = world.open(0, 1, 1, "sip");
    world.wait_for(0, Duration::from_secs(120), |event| {
        matches!(event, Event::Failed { channel, .. } if *channel == here).then_some(())
    });
    let at_bob = world.events(1);
    let seen = |event: &Event| matches!(event, Event::OfferSeen { .. });
    assert!(at_bob.iter().all(seen), "{at_bob:?}");
    // Nor does the one who blocks ask.
    let there = world.open(1, 1, 0, "sip");
    let reason = world.wait_for(1, SOON, |event| match event {
        Event::Failed { channel, reason } if *channel == there => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason, FailReason::Blocked);
}

#[test]
fn blocking_hangs_up() {
    let mut world = World::new(&["alice", "bob"]);
    world.run_for(Duration::from_secs(2));
    let (here, there) = world.channel(0, 1, 1, "sip");
    let alice = testing::identity("alice").account_id();
    world.command(1, Command::SetBlocked([alice].into()));
    world.run_for(Duration::from_secs(1));
    let (at_alice, at_bob) = (world.events(0), world.events(1));
    assert!(
        at_alice.contains(&Event::Closed { channel: here }),
        "{at_alice:?}"
    );
    assert!(
        at_bob.contains(&Event::Closed { channel: there }),
        "{at_bob:?}"
    );
    let down = |events: &[Event], reason| {
        events
            .iter()
            .any(|event| matches!(event, Event::LinkDown { reason: r, .. } if *r == reason))
    };
    assert!(down(&at_alice, DownReason::Peer), "{at_alice:?}");
    assert!(down(&at_bob, DownReason::Local), "{at_bob:?}");
}

#[test]
fn a_probe_finds_a_dead_link() {
    let mut world = World::new(&["alice", "bob"]);
    world.run_for(Duration::from_secs(2));
    let (here, _) = world.channel(0, 1, 1, "sip");
    world.command(0, Command::Probe);
    world.run_for(Duration::from_secs(10));
    assert!(!world.events(0).contains(&Event::Closed { channel: here }));

    world.cut_off.insert(1);
    world.command(0, Command::Probe);
    let before = world.elapsed;
    world.wait_for(0, Duration::from_secs(10), |event| {
        (*event == Event::Closed { channel: here }).then_some(())
    });
    assert_eq!(world.elapsed - before, Duration::from_secs(3));
    let down = world.events(0);
    assert!(
        down.iter().any(|event| matches!(
            event,
            Event::LinkDown {
                reason: DownReason::Lost,
                ..
            }
        )),
        "{down:?}"
    );
}

#[test]
fn both_may_dial_at_once() {
    let mut world = World::new(&["alice", "bob"]);
    world.run_for(Duration::from_secs(2));
    let from_alice = world.open(0, 1, 1, "git://a/a");
    let from_bob = world.open(1, 1, 0, "git://b/b");
    for host in [0, 1] {
        let (channel, ..) = world.requested(host);
        world.command(host, Command::Accept { channel });
    }
    world.run_for(Duration::from_secs(5));
    for (host, mine) in [(0, from_alice), (1, from_bob)] {
        let opened = world.events(host);
        assert!(
            opened
                .iter()
                .any(|e| matches!(e, Event::Opened { channel, .. } if *channel == mine)),
            "{opened:?}"
        );
    }
}

#[test]
fn a_bulk_channel_leaves_room_for_a_small_one() {
    let mut world = World::new(&["alice", "bob"]);
    world.run_for(Duration::from_secs(2));
    let (bulk, bulk_there) = world.channel(0, 1, 1, "data-transfer://x");
    let (small, small_there) = world.channel(0, 2, 1, "msg:x");
    // 10 MB/s: a window of 256 KiB takes 26 ms.
    world.bandwidth = 10_000_000;
    let piece = Bytes::from(vec![1; 65_535]);
    let mut window = 0;
    let mut received = 0;
    let mut waits = Vec::new();
    let mut asked = None;
    let end = world.elapsed + Duration::from_secs(2);
    while world.elapsed < end {
        while window + piece.len() <= WRITE_WINDOW {
            window += piece.len();
            let bytes = piece.clone();
            world.command(
                0,
                Command::Write {
                    channel: bulk,
                    bytes,
                },
            );
        }
        if asked.is_none() {
            asked = Some(world.elapsed);
            let bytes = Bytes::from_static(b"ping");
            world.command(
                0,
                Command::Write {
                    channel: small,
                    bytes,
                },
            );
        }
        world.run_until(Duration::from_millis(1), |_| false);
        for event in world.events(0) {
            match event {
                Event::Sent { channel, bytes } if channel == bulk => window -= bytes,
                _ => {}
            }
        }
        for event in world.events(1) {
            if let Event::Data { channel, bytes } = event {
                if channel == bulk_there {
                    received += bytes.len();
                } else {
                    assert_eq!(channel, small_there);
                    waits.push(world.elapsed - asked.take().unwrap());
                }
                let bytes = bytes.len();
                world.command(1, Command::Consumed { channel, bytes });
            }
        }
    }
    assert!(received > 18_000_000, "the line is used: {received}");
    waits.sort();
    let worst = *waits.last().unwrap();
    assert!(
        waits.len() > 20 && worst < Duration::from_millis(60),
        "{} {worst:?}",
        waits.len()
    );
}

#[test]
fn a_reader_that_never_reads_loses_its_channel_and_the_link_lives() {
    let mut world = World::new(&["alice", "bob"]);
    world.run_for(Duration::from_secs(2));
    let (bulk, bulk_there) = world.channel(0, 1, 1, "data-transfer://x");
    let (small, small_there) = world.channel(0, 2, 1, "msg:x");
    let (mut window, mut unread, mut most) = (0, 0, 0);
    let piece = Bytes::from(vec![1; 65_535]);
    let mut open = true;
    let mut told = false;
    let end = world.elapsed + Duration::from_secs(20);
    while open && world.elapsed < end {
        while window + piece.len() <= WRITE_WINDOW {
            window += piece.len();
            let bytes = piece.clone();
            world.command(
                0,
                Command::Write {
                    channel: bulk,
                    bytes,
                },
            );
        }
        world.run_for(Duration::from_millis(5));
        for event in world.events(0) {
            match event {
                Event::Sent { channel, bytes } if channel == bulk => window -= bytes,
                Event::Closed { channel } if channel == bulk => open = false,
                _ => {}
            }
        }
        for event in world.events(1) {
            match event {
                Event::Data { channel, bytes } if channel == bulk_there => unread += bytes.len(),
                Event::Closed { channel } if channel == bulk_there => told = true,
                _ => {}
            }
        }
        most = most.max(unread);
    }
    assert!(!open && told, "both sides are told");
    assert!(most <= 8 << 20, "{most}");
    let bytes = Bytes::from_static(b"still here");
    world.command(
        0,
        Command::Write {
            channel: small,
            bytes: bytes.clone(),
        },
    );
    world.wait_for(1, SOON, |event| {
        let wanted = Event::Data {
            channel: small_there,
            bytes: bytes.clone(),
        };
        (*event == wanted).then_some(())
    });
}

#[test]
fn a_link_that_dies_is_dialled_anew() {
    let mut world = World::new(&["alice", "bob"]);
    world.run_for(Duration::from_secs(2));
    world.channel(0, 1, 1, "sip");
    let bob = testing::identity("bob").device_id();
    world.command(0, Command::CloseDevice { device: bob });
    world.run_for(Duration::from_secs(1));
    assert!(
        world
            .events(0)
            .iter()
            .any(|e| matches!(e, Event::LinkDown { .. }))
    );
    assert!(
        world
            .events(1)
            .iter()
            .any(|e| matches!(e, Event::LinkDown { .. }))
    );
    world.channel(0, 2, 1, "sip");
}

#[test]
fn many_devices_meet() {
    let names = ["alice", "alice-2", "bob", "bob-2", "carol", "dave"];
    let mut world = World::new(&names);
    world.run_for(Duration::from_secs(2));
    let mut number = 0;
    for from in 0..names.len() {
        for to in 0..names.len() {
            if from != to {
                number += 1;
                let (here, there) = world.channel(from, number, to, "msg:x");
                let text = Bytes::from(format!("{from} to {to}"));
                world.command(
                    from,
                    Command::Write {
                        channel: here,
                        bytes: text.clone(),
                    },
                );
                world.wait_for(to, SOON, |event| {
                    let wanted = Event::Data {
                        channel: there,
                        bytes: text.clone(),
                    };
                    (*event == wanted).then_some(())
                });
            }
        }
    }
}

#[test]
fn a_reader_that_stalls_for_seconds_keeps_its_channel() {
    let mut world = World::new(&["alice", "bob"]);
    world.run_for(Duration::from_secs(2));
    let (bulk, bulk_there) = world.channel(0, 1, 1, "data-transfer://x");
    let piece = Bytes::from(vec![1; 65_535]);
    let (mut window, mut unread, mut received) = (0, 0, 0);
    let stalled_until = world.elapsed + Duration::from_secs(5);
    while received < 30_000_000 {
        while window + piece.len() <= WRITE_WINDOW {
            window += piece.len();
            let bytes = piece.clone();
            world.command(
                0,
                Command::Write {
                    channel: bulk,
                    bytes,
                },
            );
        }
        world.run_for(Duration::from_millis(5));
        for event in world.events(0) {
            match event {
                Event::Sent { bytes, .. } => window -= bytes,
                other => panic!("{other:?} at {:?}", world.elapsed),
            }
        }
        for event in world.events(1) {
            match event {
                Event::Data { channel, bytes } if channel == bulk_there => {
                    unread += bytes.len();
                    received += bytes.len();
                }
                other => panic!("{other:?} at {:?}", world.elapsed),
            }
        }
        if world.elapsed > stalled_until {
            let bytes = std::mem::take(&mut unread);
            world.command(
                1,
                Command::Consumed {
                    channel: bulk_there,
                    bytes,
                },
            );
        }
    }
    assert!(world.elapsed > stalled_until);
}
