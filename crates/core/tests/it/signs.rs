//! Small signs between hosts of the small world: typing and read receipts.

use std::time::Duration;

use baraza_core::{Command, CommandError, EventBody, Reply, Settings};
use baraza_wire::{CommitId, ConversationId};

use crate::world::World;

const ALICE: usize = 0;
const BOB: usize = 1;

fn compose(world: &mut World, host: usize, chat: ConversationId, active: bool) {
    let command = Command::SetComposing {
        conversation: chat,
        active,
    };
    assert_eq!(world.ask(host, command), Ok(Reply::Done));
}

/// What a host was told of another's typing, in order.
fn typing(world: &World, host: usize, of: usize) -> Vec<bool> {
    let id = world.id(of);
    let events = world.hosts[host].events.iter();
    events
        .filter_map(|event| match &event.body {
            EventBody::ComposingChanged {
                account, active, ..
            } if *account == id => Some(*active),
            _ => None,
        })
        .collect()
}

fn mark_read(world: &mut World, host: usize, chat: ConversationId, message: CommitId) {
    let command = Command::MarkRead {
        conversation: chat,
        message,
    };
    assert_eq!(world.ask(host, command), Ok(Reply::Done));
}

/// Up to where a host believes that another has read.
fn read_by(world: &mut World, host: usize, chat: ConversationId, of: usize) -> Option<CommitId> {
    let id = world.id(of);
    match world.ask(host, Command::Members { conversation: chat }) {
        Ok(Reply::Members(members)) => members.iter().find(|m| m.uri == id).unwrap().read,
        other => panic!("{other:?}"),
    }
}

fn change(world: &mut World, host: usize, typing: Option<bool>, receipts: Option<bool>) {
    let command = Command::ChangeSettings { typing, receipts };
    let reply = world.ask(host, command);
    assert!(matches!(reply, Ok(Reply::Settings(_))), "{reply:?}");
}

#[test]
fn typing_is_seen_and_ends_by_itself_by_a_word_or_by_the_text() {
    for old in [false, true] {
        let (mut world, chat) = World::talking(1);
        world.hosts[BOB].old = old;
        if old {
            world.kill(BOB);
            world.start(BOB);
        }
        world.say(BOB, chat, "first");
        world.settle(&[ALICE, BOB], chat, 1);
        compose(&mut world, BOB, chat, true);
        world.run(Duration::from_secs(1));
        assert_eq!(typing(&world, ALICE, BOB), [true]);
        assert!(typing(&world, BOB, BOB).is_empty(), "not told of oneself");
        // Another key: 20 seconds after the first it has not ended, and is told once more.
        world.run(Duration::from_secs(9));
        compose(&mut world, BOB, chat, true);
        world.run(Duration::from_secs(3));
        compose(&mut world, BOB, chat, true);
        world.run(Duration::from_secs(7));
        let still = typing(&world, ALICE, BOB);
        assert_eq!(still.last(), Some(&true), "{still:?}");
        world.run(Duration::from_secs(13));
        assert_eq!(typing(&world, ALICE, BOB).last(), Some(&false));
        // By a word.
        let before = typing(&world, ALICE, BOB).len();
        compose(&mut world, BOB, chat, true);
        world.run(Duration::from_secs(2));
        compose(&mut world, BOB, chat, false);
        world.run(Duration::from_secs(2));
        assert_eq!(typing(&world, ALICE, BOB)[before..], [true, false]);
        // By the text.
        compose(&mut world, BOB, chat, true);
        world.run(Duration::from_secs(2));
        world.say(BOB, chat, "second");
        world.run(Duration::from_secs(2));
        assert_eq!(typing(&world, ALICE, BOB)[before + 2..], [true, false]);
    }
}

#[test]
fn who_flickers_is_not_told_for_ever() {
    let (mut world, chat) = World::talking(7);
    for _ in 0..50 {
        compose(&mut world, BOB, chat, true);
        compose(&mut world, BOB, chat, false);
    }
    world.run(Duration::from_secs(2));
    assert_eq!(typing(&world, ALICE, BOB).len(), 20);
    world.run(Duration::from_secs(12));
    compose(&mut world, BOB, chat, true);
    world.run(Duration::from_secs(1));
    assert_eq!(typing(&world, ALICE, BOB).len(), 21);
}

#[test]
fn who_is_lost_while_typing_stops_after_twelve_seconds() {
    let (mut world, chat) = World::talking(2);
    compose(&mut world, BOB, chat, true);
    world.run(Duration::from_secs(1));
    world.kill(BOB);
    world.run(Duration::from_secs(10));
    assert_eq!(typing(&world, ALICE, BOB), [true]);
    world.run(Duration::from_secs(2));
    assert_eq!(typing(&world, ALICE, BOB), [true, false]);
}

#[test]
fn receipts_arrive_once_are_kept_and_never_go_back() {
    let (mut world, chat) = World::talking(3);
    let first = world.say(ALICE, chat, "first");
    let second = world.say(ALICE, chat, "second");
    world.settle(&[ALICE, BOB], chat, 2);
    mark_read(&mut world, BOB, chat, second);
    world.until("the receipt arrives", |world| {
        read_by(world, ALICE, chat, BOB) == Some(second)
    });
    // Reading again what is older is nobody's business.
    mark_read(&mut world, BOB, chat, first);
    mark_read(&mut world, BOB, chat, first);
    world.run(Duration::from_secs(2));
    let bob = world.id(BOB);
    let told = world.hosts[ALICE].events.iter().filter(
        |event| matches!(&event.body, EventBody::MessageRead { account, .. } if *account == bob),
    );
    assert_eq!(told.count(), 1);
    world.kill(ALICE);
    world.start(ALICE);
    assert_eq!(read_by(&mut world, ALICE, chat, BOB), Some(second));
    assert_eq!(read_by(&mut world, BOB, chat, BOB), Some(first));
    let nothing = Command::MarkRead {
        conversation: chat,
        message: CommitId::new([7; 20]),
    };
    assert_eq!(world.ask(BOB, nothing), Err(CommandError::NoSuchMessage));
}

#[test]
fn a_receipt_that_overtakes_its_message_counts_when_that_comes() {
    let mut world = World::pair(4);
    world.add("carol");
    let chat = crate::groups::group_of(&mut world, &[BOB, 2]);
    // Alice takes her time with what she fetches.
    world.hosts[ALICE].intake.at_once = 0;
    world.kill(ALICE);
    world.start(ALICE);
    world.until("Alice is back", |world| {
        matches!(world.ask(ALICE, Command::Diagnostics),
            Ok(Reply::Diagnostics(it)) if it.links.len() == 2)
    });
    world.run(Duration::from_secs(2));
    world.hosts[ALICE].holds_work = true;
    let message = world.say(BOB, chat, "quick");
    world.until("Carol has it", |world| !world.texts(2, chat).is_empty());
    mark_read(&mut world, 2, chat, message);
    world.until("Alice has fetched it", |world| {
        world.hosts[ALICE].has_work()
    });
    world.run(Duration::from_secs(1));
    assert_eq!(read_by(&mut world, ALICE, chat, 2), None);
    world.hosts[ALICE].holds_work = false;
    world.work(ALICE);
    world.until("Alice knows that Carol has read it", |world| {
        read_by(world, ALICE, chat, 2) == Some(message)
    });
}

#[test]
fn what_is_off_is_not_told_and_not_heard() {
    let (mut world, chat) = World::talking(5);
    let on = Settings {
        typing: true,
        receipts: true,
    };
    assert_eq!(
        world.ask(BOB, Command::Settings),
        Ok(Reply::Settings(on)),
        "what others do by default"
    );
    change(&mut world, BOB, Some(false), Some(false));
    world.kill(BOB);
    world.start(BOB);
    let first = world.say(ALICE, chat, "first");
    let second = world.say(BOB, chat, "second");
    world.settle(&[ALICE, BOB], chat, 2);
    for host in [ALICE, BOB] {
        compose(&mut world, host, chat, true);
    }
    mark_read(&mut world, BOB, chat, first);
    mark_read(&mut world, ALICE, chat, second);
    world.run(Duration::from_secs(5));
    // Neither way.
    assert!(typing(&world, ALICE, BOB).is_empty());
    assert!(typing(&world, BOB, ALICE).is_empty());
    assert_eq!(read_by(&mut world, ALICE, chat, BOB), None);
    assert_eq!(read_by(&mut world, BOB, chat, ALICE), None);
    // On again.
    change(&mut world, BOB, Some(true), Some(true));
    world.run(Duration::from_secs(30));
    let third = world.say(ALICE, chat, "third");
    world.settle(&[ALICE, BOB], chat, 3);
    compose(&mut world, BOB, chat, true);
    mark_read(&mut world, BOB, chat, third);
    world.until("Alice sees both", |world| {
        typing(world, ALICE, BOB) == [true] && read_by(world, ALICE, chat, BOB) == Some(third)
    });
}

#[test]
fn strangers_to_a_conversation_have_no_signs_in_it() {
    let mut world = World::pair(6);
    world.add("carol");
    let chat = crate::groups::group_of(&mut world, &[BOB, 2]);
    let message = world.say(ALICE, chat, "before");
    world.settle(&[ALICE, BOB, 2], chat, 1);
    let carol = world.id(2);
    let ban = Command::BanMember {
        conversation: chat,
        member: carol,
    };
    world.cut(2, true);
    assert_eq!(world.ask(ALICE, ban), Ok(Reply::Done));
    world.until("Bob knows of the ban", |world| {
        world.has_event(BOB, |event| {
            matches!(event, EventBody::MemberEvent { member, change, .. }
                if *member == carol && change.as_str() == "banned")
        })
    });
    world.cut(2, false);
    world.run(Duration::from_secs(5));
    // Carol does not know that she was banned, and goes on.
    compose(&mut world, 2, chat, true);
    mark_read(&mut world, 2, chat, message);
    world.run(Duration::from_secs(60));
    for host in [ALICE, BOB] {
        assert!(typing(&world, host, 2).is_empty());
        assert_eq!(read_by(&mut world, host, chat, 2), None);
    }
}
