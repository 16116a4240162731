use std::collections::BTreeSet;
use std::time::Duration;

use baraza_dht::secure;
use baraza_identity::testing::identity;
use baraza_wire::Rng;
use bytes::Bytes;

use super::net::{LATENCY, Net};
use crate::api::{ChannelId, Command, DownReason, Event, FailReason};
use crate::ice::{Credentials, Description, Gathered};
use crate::mux::WRITE_WINDOW;
use crate::offer::{Offer, long_key, short_key};

const A: usize = 0;
const B: usize = 1;

fn links_up(net: &Net, node: usize) -> usize {
    let events = net.nodes[node].events.iter();
    events.filter(|e| matches!(e, Event::LinkUp { .. })).count()
}

#[test]
fn a_dial_takes_a_few_round_trips_and_data_flows_both_ways() {
    let mut net = Net::new(&["alice", "bob"]);
    let begin = net.elapsed();
    let (ours, theirs) = net.connect(A, B, "git://x/y");
    let took = net.elapsed() - begin;
    // Certificate 20 ms, offer and answer 25 ms each, then about 12 times 5 ms.
    assert!(took < Duration::from_millis(250), "{took:?}");
    for node in [A, B] {
        assert_eq!(links_up(&net, node), 1);
    }
    let peer = net.nodes[B].events.iter().find_map(|event| match event {
        Event::LinkUp { peer } => Some(peer.clone()),
        _ => None,
    });
    let peer = peer.unwrap();
    assert_eq!(peer.device, net.device(A));
    assert_eq!(peer.account, identity("alice").account_id());
    net.take_events(A);
    net.take_events(B);
    for (node, channel, other, at) in [(A, ours, B, theirs), (B, theirs, A, ours)] {
        let bytes = Bytes::from_static(b"hello");
        net.command(
            node,
            Command::Write {
                channel,
                bytes: bytes.clone(),
            },
        );
        net.run(LATENCY * 4);
        assert_eq!(net.take_events(node), [Event::Sent { channel, bytes: 5 }]);
        assert_eq!(net.take_events(other), [Event::Data { channel: at, bytes }]);
    }
    net.command(B, Command::Close { channel: theirs });
    net.run(LATENCY * 4);
    assert_eq!(net.take_events(A), [Event::Closed { channel: ours }]);
    assert_eq!(net.take_events(B), []);
}

#[test]
fn a_live_link_is_used_again_and_a_decline_says_so() {
    let mut net = Net::new(&["alice", "bob"]);
    net.connect(A, B, "sip");
    let puts = net.nodes[A].dht_commands.len();
    let begin = net.elapsed();
    net.connect(A, B, "git://x/y");
    assert!(net.elapsed() - begin <= LATENCY * 4);
    net.connect(B, A, "sip");
    assert_eq!(net.nodes[A].dht_commands.len(), puts, "nothing on the DHT");
    let refused = net.open(A, B, "svc://x");
    net.run(LATENCY * 2);
    let Some(Event::Requested {
        channel,
        peer,
        name,
    }) = net.take_events(B).pop()
    else {
        panic!("not requested");
    };
    assert_eq!((name.as_str(), peer.device), ("svc://x", net.device(A)));
    net.command(B, Command::Decline { channel });
    net.take_events(A);
    net.run(LATENCY * 2);
    let failed = Event::Failed {
        channel: refused,
        reason: FailReason::Declined,
    };
    assert_eq!(net.take_events(A), [failed]);
}

#[test]
fn many_channels_asked_at_once_share_one_dial() {
    let mut net = Net::new(&["alice", "bob"]);
    let channels: Vec<_> = (0..10).map(|n| net.open(A, B, &format!("c{n}"))).collect();
    net.wait(|net| {
        net.accept_all(B);
        let opened = |e: &&Event| matches!(e, Event::Opened { .. });
        net.nodes[A].events.iter().filter(opened).count() == channels.len()
    });
    assert_eq!(links_up(&net, A), 1);
    assert_eq!(net.puts(A).len(), 2, "one request under two keys");
}

#[test]
fn a_request_is_under_both_keys_until_the_generation_is_known() {
    let (long, short) = {
        let bob = identity("bob");
        (long_key(&bob.device_id()), short_key(&bob.short_id()))
    };
    for key in [long, short] {
        let mut net = Net::new(&["alice", "bob"]);
        net.listen_only(B, key);
        net.connect(A, B, "sip");
        assert_eq!(net.puts(A), BTreeSet::from([long, short]));
        let requests = |net: &Net, key| net.stored[&key].len();
        assert_eq!((requests(&net, long), requests(&net, short)), (1, 1));
        let device = net.device(B);
        net.command(A, Command::CloseDevice { device });
        net.run(Duration::from_secs(1));
        net.nodes[A].dht_commands.clear();
        net.connect(A, B, "sip");
        assert_eq!(net.puts(A), BTreeSet::from([key]));
    }
}

#[test]
fn both_sides_dialling_at_once_get_two_links_and_use_the_first() {
    let mut net = Net::new(&["alice", "bob"]);
    let ours = net.open(A, B, "one");
    let theirs = net.open(B, A, "two");
    net.wait(|net| {
        net.accept_all(A);
        net.accept_all(B);
        let opened = |node: usize, wanted: ChannelId| {
            let events = net.nodes[node].events.iter();
            events
                .filter(|e| matches!(e, Event::Opened { channel, .. } if *channel == wanted))
                .count()
        };
        opened(A, ours) == 1 && opened(B, theirs) == 1
    });
    net.run(Duration::from_secs(20));
    for node in [A, B] {
        assert_eq!(links_up(&net, node), 1, "one event for two links");
        // The one in use and the other that was tried, of each link.
        assert_eq!(net.nodes[node].conns.len(), 4);
        assert!(net.nodes[node].listeners.is_empty());
    }
}

#[test]
fn one_side_behind_a_closed_door_is_enough_two_are_not() {
    for (a, b) in [(true, false), (false, true)] {
        let mut net = Net::new(&["alice", "bob"]);
        net.nodes[A].reachable = a;
        net.nodes[B].reachable = b;
        net.connect(A, B, "sip");
    }
    let mut net = Net::new(&["alice", "bob"]);
    net.nodes[A].reachable = false;
    net.nodes[B].reachable = false;
    let channel = net.open(A, B, "sip");
    let took = net.wait(|net| !net.channel_events(A).is_empty());
    assert!(took < Duration::from_secs(12), "{took:?}");
    net.run(Duration::from_secs(60));
    let again = net.open(A, B, "sip");
    net.run(Duration::from_secs(12));
    let failed = Event::Failed {
        channel: again,
        reason: FailReason::Unreachable,
    };
    assert_eq!(net.channel_events(A), [failed]);
    assert_ne!(channel, again);
    for node in &net.nodes {
        assert!(node.listeners.is_empty() && node.conns.is_empty());
        assert_eq!(node.links.attempts.len(), 0);
        assert_eq!(node.links.listeners.len(), 0);
        assert_eq!(node.links.accepted.len(), 0);
    }
}

#[test]
fn nobody_there_is_said_after_half_a_minute_and_tried_less_and_less() {
    let mut net = Net::new(&["alice", "bob"]);
    net.nodes[B].on_dht = false;
    let mut pauses = Vec::new();
    for _ in 0..6 {
        let channel = net.open(A, B, "sip");
        let mut events = Vec::new();
        let took = net.wait(|net| {
            events = net.channel_events(A);
            !events.is_empty()
        });
        let failed = Event::Failed {
            channel,
            reason: FailReason::NoAnswer,
        };
        assert_eq!(events, [failed]);
        pauses.push(took);
    }
    assert!(pauses[0] < Duration::from_secs(31));
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert!(pauses[5] > Duration::from_secs(38) && pauses[5] < Duration::from_secs(80));
    // A change of the network is a reason to try at once.
    net.nodes[B].on_dht = true;
    net.command(A, Command::Probe);
    let begin = net.elapsed();
    net.connect(A, B, "sip");
    assert!(net.elapsed() - begin < Duration::from_secs(1));
}

#[test]
fn without_a_certificate_there_is_no_request() {
    let mut net = Net::new(&["alice"]);
    net.add("bob", []);
    let channel = net.open(A, B, "sip");
    net.run(Duration::from_secs(30));
    let failed = Event::Failed {
        channel,
        reason: FailReason::NoCertificate,
    };
    assert_eq!(net.channel_events(A), [failed]);
    let chain = identity("bob").chain().clone();
    net.command(A, Command::KnowCertificate(chain));
    net.connect(A, B, "sip");
}

#[test]
fn a_link_that_dies_unheard_is_dialled_again_for_unanswered_channels() {
    let mut net = Net::new(&["alice", "bob"]);
    let (old, _) = net.connect(A, B, "one");
    net.take_events(A);
    // Bob restarts: his end of the connection is gone without a word.
    net.nodes[B].online = false;
    let unanswered = net.open(A, B, "two");
    net.run(Duration::from_secs(1));
    assert_eq!(net.take_events(A), []);
    net.command(A, Command::Probe);
    net.run(Duration::from_secs(2));
    assert_eq!(net.take_events(A), [], "three seconds are not over");
    net.nodes[B].online = true;
    let conns: Vec<_> = net.nodes[B].conns.keys().copied().collect();
    for conn in conns {
        net.nodes[B].conns.remove(&conn);
    }
    let took = net.wait(|net| {
        net.accept_all(B);
        let opened =
            |e: &Event| matches!(e, Event::Opened { channel, .. } if *channel == unanswered);
        net.nodes[A].events.iter().any(opened)
    });
    assert!(took < Duration::from_secs(3), "{took:?}");
    let events = net.take_events(A);
    assert_eq!(
        events[..2],
        [
            Event::Closed { channel: old },
            Event::LinkDown {
                device: net.device(B),
                reason: DownReason::Lost
            }
        ]
    );
}

#[test]
fn who_takes_what_is_sent_and_hears_nothing_of_it_is_dialled_again() {
    let mut net = Net::new(&["alice", "bob"]);
    let (old, _) = net.connect(A, B, "one");
    net.run(Duration::from_secs(60));
    net.take_events(A);
    // Bob's system takes all bytes, but his program hangs.
    net.nodes[B].online = false;
    let unanswered = net.open(A, B, "two");
    let took = net.wait(|net| !net.nodes[A].events.is_empty());
    assert_eq!(took, Duration::from_secs(30));
    let lost = Event::LinkDown {
        device: net.device(B),
        reason: DownReason::Lost,
    };
    assert_eq!(net.take_events(A), [Event::Closed { channel: old }, lost]);
    net.nodes[B].online = true;
    net.wait(|net| {
        net.accept_all(B);
        let opened =
            |e: &Event| matches!(e, Event::Opened { channel, .. } if *channel == unanswered);
        net.nodes[A].events.iter().any(opened)
    });
}

#[test]
fn a_slow_line_full_of_bytes_is_not_taken_for_a_dead_one() {
    let mut net = Net::new(&["alice", "bob"]);
    let (ours, theirs) = net.connect(A, B, "one");
    net.take_events(A);
    // What waits in the socket alone takes half a minute.
    net.nodes[A].rate = Some(8 * 1024);
    let total = 1 << 20;
    let mut received = 0;
    for _ in 0..total / (256 * 1024) {
        let bytes = vec![7; 256 * 1024].into();
        net.command(
            A,
            Command::Write {
                channel: ours,
                bytes,
            },
        );
        net.run(Duration::from_secs(32));
    }
    net.wait(|net| {
        for event in net.take_events(B) {
            if let Event::Data { channel, bytes } = event {
                assert_eq!(channel, theirs);
                received += bytes.len();
                let len = bytes.len();
                net.command(
                    B,
                    Command::Consumed {
                        channel,
                        bytes: len,
                    },
                );
            }
        }
        received == total
    });
    net.run(Duration::from_secs(60));
    let events = net.take_events(A);
    let down = |event: &Event| matches!(event, Event::LinkDown { .. });
    assert!(!events.iter().any(down), "{events:?}");
}

#[test]
fn hanging_up_ends_channels_on_both_sides() {
    let mut net = Net::new(&["alice", "bob"]);
    let (ours, theirs) = net.connect(A, B, "one");
    net.take_events(A);
    net.take_events(B);
    let waiting = net.open(A, B, "never answered");
    let account = identity("bob").account_id();
    net.command(A, Command::CloseAccount { account });
    net.run(Duration::from_secs(1));
    let (a, b) = (net.device(A), net.device(B));
    let events = net.take_events(A);
    assert_eq!(events.len(), 3);
    assert!(events.contains(&Event::Closed { channel: ours }));
    let failed = Event::Failed {
        channel: waiting,
        reason: FailReason::LinkLost,
    };
    assert!(events.contains(&failed));
    let down = |device, reason| Event::LinkDown { device, reason };
    assert_eq!(events[2], down(b, DownReason::Local));
    let mut events = net.take_events(B);
    assert_eq!(events.pop(), Some(down(a, DownReason::Peer)));
    assert!(events.contains(&Event::Closed { channel: theirs }));
    assert!(net.nodes.iter().all(|node| node.conns.is_empty()));
}

#[test]
fn blocked_accounts_are_neither_dialled_nor_answered() {
    let mut net = Net::new(&["alice", "bob", "bob-2"]);
    net.connect(A, B, "one");
    let bob = identity("bob").account_id();
    net.take_events(A);
    net.command(A, Command::SetBlocked(BTreeSet::from([bob])));
    let downs = net.take_events(A);
    assert!(matches!(downs.last(), Some(Event::LinkDown { .. })));
    let channel = net.open(A, B, "two");
    let failed = |channel| Event::Failed {
        channel,
        reason: FailReason::Blocked,
    };
    assert_eq!(net.take_events(A), [failed(channel)]);
    // A device of the account that alice has not seen yet.
    let channel = net.open(A, 2, "two");
    net.run(Duration::from_secs(1));
    assert_eq!(net.channel_events(A), [failed(channel)]);
    net.nodes[A].dht_commands.clear();
    let theirs = net.open(2, A, "three");
    net.run(Duration::from_secs(40));
    assert!(net.puts(A).is_empty(), "no answer");
    let unanswered = Event::Failed {
        channel: theirs,
        reason: FailReason::NoAnswer,
    };
    assert_eq!(net.channel_events(2), [unanswered]);
    net.command(A, Command::SetBlocked(BTreeSet::new()));
    net.connect(2, A, "four");
}

#[test]
fn offers_are_treated_once_even_after_a_restart() {
    let mut net = Net::new(&["alice", "bob"]);
    net.connect(A, B, "sip");
    let seen: Vec<_> = net.nodes[B]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::OfferSeen { id } => Some(*id),
            _ => None,
        })
        .collect();
    assert_eq!(seen.len(), 1, "one request at two keys");
    // The values are still on the DHT when bob starts anew.
    let again = net.add("bob", seen);
    net.nodes[B].online = false;
    net.run(Duration::from_secs(5));
    assert_eq!(net.take_events(again), []);
    let forgetful = net.add("bob", []);
    net.run(Duration::from_secs(30));
    let events = net.take_events(forgetful);
    assert!(
        matches!(events[..], [Event::OfferSeen { .. }]),
        "{events:?}"
    );
}

/// Puts a request of carol for alice on the DHT, as another implementation could.
fn request(net: &mut Net, id: u64, ice: String) {
    let (carol, alice) = (identity("carol"), identity("alice"));
    let offer = Offer {
        id,
        ice,
        is_answer: false,
        reason: String::new(),
    };
    let value = offer.to_value(&mut Rng::from_seed(id));
    let sealed = secure::encrypt(&value, carol.key(), alice.public_key()).unwrap();
    let key = long_key(&alice.device_id());
    net.stored.entry(key).or_default().push(sealed.clone());
    let now = net.now();
    let op = net.nodes[A]
        .dht_commands
        .iter()
        .find_map(|command| match command {
            baraza_dht::Command::Listen { op, key: at, .. } if *at == key => Some(*op),
            _ => None,
        })
        .unwrap();
    let event = baraza_dht::Event::Values {
        op,
        values: vec![sealed],
        expired: false,
    };
    net.nodes[A].links.handle_dht(now, event);
    net.flush(A);
}

#[test]
fn a_flood_of_requests_is_bounded() {
    let mut net = Net::new(&["alice"]);
    net.publish("carol");
    let ice = |port: u16| {
        Description {
            credentials: Credentials::random(&mut Rng::from_seed(1)),
            candidates: Gathered {
                addresses: vec!["10.9.9.9".parse().unwrap()],
                port_v4: Some(port),
                ..Gathered::default()
            }
            .candidates(),
        }
        .to_string()
    };
    for id in 1..60 {
        request(&mut net, id, ice(4000));
        net.run(Duration::from_millis(20));
        assert!(net.nodes[A].links.attempts.len() <= 4);
        assert!(net.nodes[A].listeners.len() <= 4);
    }
    let events = net.take_events(A);
    assert!((16..20).contains(&events.len()), "{}", events.len());
    net.run(Duration::from_secs(120));
    assert_eq!(net.nodes[A].links.attempts.len(), 0);
    assert_eq!(net.nodes[A].listeners.len(), 0);
    request(&mut net, 100, ice(4001));
    net.run(Duration::from_secs(1));
    assert_eq!(net.nodes[A].links.attempts.len(), 1, "admitted again");
}

#[test]
fn unusable_requests_are_dropped_without_answer() {
    let mut net = Net::new(&["alice"]);
    net.publish("carol");
    let lines = "abcd\n0123456789012345678901\n";
    for (id, ice) in ["", lines, "abcd\nshort\n"].iter().enumerate() {
        request(&mut net, u64::try_from(id).unwrap() + 1, (*ice).to_owned());
    }
    net.run(Duration::from_secs(1));
    assert_eq!(net.nodes[A].links.attempts.len(), 0);
    assert!(net.puts(A).is_empty());
}

#[test]
fn bulk_data_keeps_to_its_windows() {
    let mut net = Net::new(&["alice", "bob"]);
    let (ours, theirs) = net.connect(A, B, "bulk");
    net.take_events(A);
    net.take_events(B);
    let total = 40 << 20;
    let (mut written, mut unsent, mut got, mut largest) = (0_usize, 0_usize, 0_usize, 0_usize);
    let mut unread = 0_usize;
    let chunk = Bytes::from(vec![7; 60_000]);
    let mut write = |net: &mut Net, unsent: &mut usize| {
        while written < total && *unsent + chunk.len() <= WRITE_WINDOW {
            let bytes = chunk.clone();
            net.command(
                A,
                Command::Write {
                    channel: ours,
                    bytes,
                },
            );
            written += chunk.len();
            *unsent += chunk.len();
        }
        written
    };
    write(&mut net, &mut unsent);
    net.wait(|net| {
        for event in net.take_events(A) {
            match event {
                Event::Sent { bytes, .. } => unsent -= bytes,
                other => panic!("{other:?}"),
            }
        }
        let written = write(net, &mut unsent);
        for event in net.take_events(B) {
            match event {
                Event::Data { bytes, .. } => {
                    got += bytes.len();
                    unread += bytes.len();
                }
                other => panic!("{other:?}"),
            }
        }
        largest = largest.max(unread);
        // Bob reads lazily, in large sips.
        if unread > 3 << 20 || got >= total {
            let bytes = unread;
            net.command(
                B,
                Command::Consumed {
                    channel: theirs,
                    bytes,
                },
            );
            unread = 0;
        }
        got >= total && written == got
    });
    assert!(largest < 5 << 20, "{largest}");
}

#[test]
fn a_reader_that_stops_pauses_the_peer_and_then_loses_its_channel() {
    let mut net = Net::new(&["alice", "bob"]);
    let (ours, theirs) = net.connect(A, B, "bulk");
    let (other, _) = net.connect(A, B, "other");
    net.take_events(A);
    net.take_events(B);
    let chunk = Bytes::from(vec![7; 60_000]);
    let mut paused = false;
    let mut unsent = 0;
    let took = net.wait(|net| {
        let mut ended = false;
        for event in net.take_events(A) {
            match event {
                Event::Sent { bytes, .. } => unsent -= bytes,
                Event::Closed { channel } => {
                    assert_eq!(channel, ours);
                    ended = true;
                }
                other => panic!("{other:?}"),
            }
        }
        while !ended && unsent + chunk.len() <= WRITE_WINDOW {
            let bytes = chunk.clone();
            unsent += bytes.len();
            net.command(
                A,
                Command::Write {
                    channel: ours,
                    bytes,
                },
            );
        }
        paused |= !net.nodes[B].paused.is_empty();
        ended
    });
    assert!(paused && took > Duration::from_secs(1), "{took:?}");
    let events = net.take_events(B);
    assert_eq!(events.last(), Some(&Event::Closed { channel: theirs }));
    net.run(Duration::from_secs(1));
    assert_eq!(net.take_events(A), [], "the link goes on");
    let bytes = Bytes::from_static(b"still here");
    net.command(
        A,
        Command::Write {
            channel: other,
            bytes,
        },
    );
    net.run(Duration::from_secs(1));
    assert!(matches!(net.take_events(B)[..], [Event::Data { .. }]));
}

#[test]
fn idle_links_only_send_keep_alives() {
    let mut net = Net::new(&["alice", "bob"]);
    net.connect(A, B, "sip");
    net.run(Duration::from_secs(1));
    let sent = net.nodes[A].sent;
    net.run(Duration::from_secs(3600));
    let bytes = net.nodes[A].sent - sent;
    assert!((150 * 30..=180 * 30).contains(&bytes), "{bytes}");
    net.connect(A, B, "still alive");
}

#[test]
fn an_opener_can_change_its_mind() {
    let mut net = Net::new(&["alice", "bob"]);
    let channel = net.open(A, B, "sip");
    net.command(A, Command::Close { channel });
    net.run(Duration::from_secs(1));
    assert_eq!(net.channel_events(A), []);
    assert_eq!(net.channel_events(B), []);
    assert_eq!(net.nodes[A].links.channels.len(), 0);
    let long = "x".repeat(crate::api::MAX_NAME + 1);
    let channel = net.open(A, B, &long);
    let reason = FailReason::TooMany;
    assert_eq!(net.channel_events(A), [Event::Failed { channel, reason }]);
    let channel = net.open(A, A, "self");
    let reason = FailReason::Unreachable;
    assert_eq!(net.channel_events(A), [Event::Failed { channel, reason }]);
}
