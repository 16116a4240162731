use std::time::Duration;

use baraza_core::{Command, EventBody, Reply};
use baraza_wire::ConversationId;

use crate::world::{LATENCY, World};

#[test]
fn texts_arrive_within_a_few_round_trips() {
    let (mut world, chat) = World::talking(10);
    world.run(Duration::from_secs(2));
    for i in 0..6 {
        let sender = i % 2;
        world.hosts[1 - sender].events.clear();
        let start = world.now.instant;
        let id = world.say(sender, chat, &format!("turn {i}"));
        let receiver = 1 - sender;
        while !world.has_event(receiver, |event| {
            matches!(event,
            EventBody::MessageReceived { message, .. } if message.id == id)
        }) {
            assert!(world.now.instant - start < 6 * LATENCY, "late");
            world.run(Duration::from_millis(1));
        }
    }
    world.settle(&[0, 1], chat, 6);
}

#[test]
fn old_peers_are_told_by_sip() {
    let mut world = World::pair(11);
    world.hosts[0].old = true;
    world.hosts[1].old = true;
    let chat = world.connect(0, 1);
    world.say(0, chat, "one");
    world.say(1, chat, "two");
    world.settle(&[0, 1], chat, 2);
}

/// Daemons of 2023 that may not tell of what they have.
fn old_pair(seed: u64) -> (World, ConversationId) {
    let mut world = World::pair(seed);
    world.hosts[0].old = true;
    world.hosts[1].old = true;
    let chat = world.connect(0, 1);
    world.say(0, chat, "one");
    world.say(1, chat, "two");
    world.settle(&[0, 1], chat, 2);
    (world, chat)
}

#[test]
fn what_an_old_peer_forgets_to_tell_of_is_asked_for_soon() {
    let (mut world, chat) = old_pair(111);
    // Nothing is asked any more for what was said before.
    world.run(Duration::from_secs(70));
    world.hosts[1].mute = true;
    // It fetches this, and tells nothing of what it says meanwhile.
    world.say(0, chat, "three");
    world.run(Duration::from_millis(500));
    world.say(1, chat, "four");
    world.run(Duration::from_secs(3));
    assert_eq!(world.texts(0, chat).len(), 4, "it was not asked");
}

#[test]
fn an_old_peer_that_waits_for_a_fetch_without_end_is_released() {
    let (mut world, chat) = old_pair(112);
    world.hosts[1].stuck = true;
    world.say(0, chat, "three");
    world.run(Duration::from_secs(2));
    let before = world.unserved;
    world.run(Duration::from_secs(45));
    assert!(world.unserved > before, "it still waits");
    world.hosts[1].stuck = false;
    world.settle(&[0, 1], chat, 3);
}

#[test]
fn odd_and_long_texts_come_byte_for_byte() {
    let (mut world, chat) = World::talking(12);
    let texts = [
        "سلام، چطوری؟ می‌خواهم".to_owned(),
        "\u{0001}\u{001f}\u{007f} control \"\\ \u{10fffd}".to_owned(),
        "several\nlines\r\nand\ttabs\n".to_owned(),
        "x".repeat(60_000),
        "ش".repeat(30_000),
    ];
    for text in &texts {
        world.say(0, chat, text);
    }
    world.settle(&[0, 1], chat, texts.len());
    let got = world.texts(1, chat);
    for text in &texts {
        assert!(got.iter().any(|(_, body)| body == text));
    }
}

#[test]
fn bursts_from_both_sides_end_equal_and_quiet() {
    let (mut world, chat) = World::talking(13);
    let send = |body: String| Command::SendMessage {
        conversation: chat,
        body,
        reply_to: None,
    };
    let mut requests = Vec::new();
    for i in 0..60 {
        for host in 0..2 {
            requests.push((host, world.command(host, send(format!("{host} {i}")))));
        }
    }
    world.settle(&[0, 1], chat, 120);
    for (host, request) in requests {
        let reply = world.take_reply(host, request).unwrap();
        assert!(matches!(reply, Ok(Reply::Message(_))));
    }
    for host in 0..2 {
        world.verify(host, chat);
    }
    // Merges are not announced, so that there is no end to nothing.
    world.run(Duration::from_secs(1800));
    let before = (world.history(0, chat).len(), world.history(1, chat).len());
    let writes = world.writes;
    world.run(Duration::from_secs(3600));
    let after = (world.history(0, chat).len(), world.history(1, chat).len());
    assert_eq!(after, before);
    let idle = world.writes - writes;
    assert!(idle < 150, "{idle} writes in an idle hour");
}

#[test]
fn history_comes_in_pages_in_a_stable_order() {
    let (mut world, chat) = World::talking(14);
    for i in 0..10 {
        world.say(i % 2, chat, &format!("text {i}"));
        world.run(Duration::from_millis(200));
    }
    world.settle(&[0, 1], chat, 10);
    let all = world.history(1, chat);
    assert_eq!(all.last().unwrap().kind, "initial");
    assert_eq!(all.last().unwrap().linearized_parent, None);
    let mut pages = Vec::new();
    let mut from = None;
    loop {
        let command = Command::History {
            conversation: chat,
            from,
            count: 3,
        };
        let Ok(Reply::History(page)) = world.ask(1, command) else {
            panic!("no page");
        };
        from = page.last().unwrap().linearized_parent;
        pages.extend(page);
        if from.is_none() {
            break;
        }
    }
    assert_eq!(pages, all);
    world.kill(1);
    world.start(1);
    assert_eq!(world.history(1, chat), all);
    let count = Command::CountMessages { conversation: chat };
    assert_eq!(world.ask(1, count), Ok(Reply::Count(all.len() as u64)));
}

#[test]
fn delivery_is_told_and_explained() {
    let (mut world, chat) = World::talking(15);
    let id = world.say(0, chat, "hello");
    world.settle(&[0, 1], chat, 1);
    world.run(Duration::from_secs(1));
    let status = |world: &mut World, message| {
        let command = Command::DeliveryStatus {
            conversation: chat,
            message: Some(message),
        };
        match world.ask(0, command) {
            Ok(Reply::Delivery(mut list)) => list.remove(0),
            other => panic!("{other:?}"),
        }
    };
    assert!(status(&mut world, id).delivered);
    assert!(world.has_event(0, |event| matches!(event,
        EventBody::MessageDelivered { message, .. } if *message == id)));
    world.kill(1);
    world.run(Duration::from_secs(1000));
    let id = world.say(0, chat, "are you there?");
    world.run(Duration::from_secs(30));
    let missing = status(&mut world, id);
    assert!(!missing.delivered);
    assert!(
        missing.reason.contains("not found on the network"),
        "{}",
        missing.reason
    );
    assert!(missing.next_try.is_some());
    world.start(1);
    world.settle(&[0, 1], chat, 2);
    world.run(Duration::from_secs(1));
    assert!(status(&mut world, id).delivered);
}
