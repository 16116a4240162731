//! Several devices of one account.

use std::collections::BTreeMap;
use std::time::Duration;

use baraza_core::command::{Contact, Request};
use baraza_core::event::RegistrationState;
use baraza_core::{Command, CommandError, EventBody, ProfileChange, Reply};
use baraza_identity::testing;
use baraza_wire::{CommitId, ConversationId};

use crate::world::World;

/// Two devices of alice that have met, and bob, who does not know her.
fn two_devices(seed: u64) -> World {
    let mut world = World::new(seed);
    world.add("alice");
    world.add("alice-2");
    world.add("bob");
    meet(&mut world);
    world
}

const ALICE: usize = 0;
const ALICE_2: usize = 1;
const BOB: usize = 2;

fn meet(world: &mut World) {
    world.until("the devices of alice tell each other", |world| {
        [ALICE, ALICE_2].iter().all(|host| {
            let Ok(Reply::Diagnostics(doing)) = world.ask(*host, Command::Diagnostics) else {
                panic!("no diagnostics");
            };
            let sync = doing.channels.iter().filter(|name| name.ends_with("sync"));
            sync.count() == 2
        })
    });
}

fn contacts(world: &mut World, host: usize) -> Vec<Contact> {
    match world.ask(host, Command::Contacts) {
        Ok(Reply::Contacts(mut contacts)) => {
            for contact in &mut contacts {
                // Each device sees for itself who is near.
                contact.presence = baraza_core::event::Presence::Offline;
            }
            contacts
        }
        other => panic!("{other:?}"),
    }
}

fn requests(world: &mut World, host: usize) -> Vec<Request> {
    match world.ask(host, Command::Requests) {
        Ok(Reply::Requests(requests)) => requests,
        other => panic!("{other:?}"),
    }
}

fn chats(world: &mut World, host: usize) -> Vec<ConversationId> {
    match world.ask(host, Command::Conversations) {
        Ok(Reply::Conversations(list)) => list.iter().map(|chat| chat.id).collect(),
        other => panic!("{other:?}"),
    }
}

fn read(world: &mut World, host: usize, chat: ConversationId) -> Option<CommitId> {
    match world.ask(host, Command::Conversations) {
        Ok(Reply::Conversations(list)) => list.iter().find(|one| one.id == chat)?.read,
        other => panic!("{other:?}"),
    }
}

fn preferences(world: &mut World, host: usize, chat: ConversationId) -> BTreeMap<String, String> {
    match world.ask(host, Command::Preferences { conversation: chat }) {
        Ok(Reply::Preferences(preferences)) => preferences,
        other => panic!("{other:?}"),
    }
}

fn prefer(world: &mut World, host: usize, chat: ConversationId, name: &str, value: &str) {
    let command = Command::SetPreferences {
        conversation: chat,
        changes: BTreeMap::from([(name.to_owned(), value.to_owned())]),
    };
    assert_eq!(world.ask(host, command), Ok(Reply::Done));
}

fn ready_on_both(world: &mut World, chat: ConversationId) {
    world.until("the conversation is on both devices", |world| {
        chats(world, ALICE).contains(&chat) && chats(world, ALICE_2).contains(&chat)
    });
}

#[test]
fn a_contact_added_on_one_device_writes_with_both() {
    let mut world = two_devices(1);
    let chat = world.connect(ALICE, BOB);
    ready_on_both(&mut world, chat);
    world.say(ALICE, chat, "from the first");
    world.say(ALICE_2, chat, "from the second");
    world.say(BOB, chat, "to both");
    world.settle(&[ALICE, ALICE_2, BOB], chat, 3);
    world.until("both know the same contacts", |world| {
        let both = contacts(world, ALICE);
        both.len() == 1 && both[0].confirmed && both == contacts(world, ALICE_2)
    });
    for host in [ALICE, ALICE_2, BOB] {
        world.verify(host, chat);
    }
    // One device is off for a while: the other takes what comes, and passes it on.
    world.kill(ALICE);
    for n in 0..20 {
        world.say(BOB, chat, &format!("while one is off {n}"));
        world.say(ALICE_2, chat, &format!("answer {n}"));
    }
    world.settle(&[ALICE_2, BOB], chat, 43);
    world.kill(BOB);
    world.start(ALICE);
    world.settle(&[ALICE, ALICE_2], chat, 43);
}

#[test]
fn a_device_that_comes_later_gets_everything() {
    let mut world = World::new(2);
    world.add("alice");
    world.add("bob");
    let chat = world.connect(0, 1);
    for n in 0..30 {
        world.say(n % 2, chat, &format!("{n}"));
    }
    let group = group(&mut world, 0, &[1]);
    world.say(0, group, "in the group");
    world.settle(&[0, 1], group, 1);
    // Nobody else is there to ask.
    world.kill(1);
    let second = world.add("alice-2");
    world.until("the new device has it all", |world| {
        let list = chats(world, second);
        list.contains(&chat) && list.contains(&group)
    });
    world.settle(&[0, second], chat, 30);
    world.settle(&[0, second], group, 1);
    assert!(
        !world.has_event(second, |event| matches!(
            event,
            EventBody::MessageReceived { message, .. } if message.kind == "text/plain"
        )),
        "history is no news"
    );
    // And writes there, once bob is back.
    world.start(1);
    world.say(second, group, "from the new device");
    world.settle(&[0, 1, second], group, 2);
    assert_eq!(
        nameless(contacts(&mut world, 0)),
        nameless(contacts(&mut world, second))
    );
}

/// Contacts without their names: own devices do not pass profiles on to each other.
fn nameless(mut contacts: Vec<Contact>) -> Vec<Contact> {
    for contact in &mut contacts {
        contact.name.clear();
    }
    contacts
}

fn group(world: &mut World, host: usize, members: &[usize]) -> ConversationId {
    let command = Command::CreateGroup {
        mode: baraza_core::command::GroupMode::default(),
        profile: ProfileChange {
            title: Some("the group".into()),
            ..ProfileChange::default()
        },
        members: members.iter().map(|member| world.id(*member)).collect(),
    };
    let Ok(Reply::Conversation(chat)) = world.ask(host, command) else {
        panic!("no group");
    };
    for member in members {
        world.until("the invitation comes", |world| {
            requests(world, *member)
                .iter()
                .any(|request| request.conversation == chat)
        });
        let accept = Command::AcceptRequest { conversation: chat };
        assert_eq!(world.ask(*member, accept), Ok(Reply::Done));
        world.until("the invited joins", |world| {
            chats(world, *member).contains(&chat)
        });
    }
    chat
}

#[test]
fn a_request_is_answered_once() {
    let mut world = two_devices(3);
    // Declined.
    let chat = world.request(BOB, ALICE);
    world.until("both are asked", |world| {
        !requests(world, ALICE).is_empty() && !requests(world, ALICE_2).is_empty()
    });
    let decline = Command::DeclineRequest { conversation: chat };
    assert_eq!(world.ask(ALICE, decline.clone()), Ok(Reply::Done));
    world.until("it is gone on the other", |world| {
        requests(world, ALICE_2).is_empty()
    });
    assert!(world.has_event(ALICE_2, |event| matches!(
        event,
        EventBody::RequestRemoved { conversation } if *conversation == chat
    )));
    assert_eq!(
        world.ask(ALICE_2, decline),
        Err(CommandError::NoSuchRequest)
    );
    world.kill(ALICE_2);
    world.start(ALICE_2);
    world.run(Duration::from_secs(60));
    assert!(requests(&mut world, ALICE).is_empty());
    assert!(requests(&mut world, ALICE_2).is_empty());
    // Asked anew, and accepted.
    let again = Command::SendRequest {
        to: world.id(ALICE),
        text: String::new(),
    };
    assert_eq!(world.ask(BOB, again), Ok(Reply::Conversation(chat)));
    world.until("both are asked again", |world| {
        !requests(world, ALICE).is_empty() && !requests(world, ALICE_2).is_empty()
    });
    let accept = Command::AcceptRequest { conversation: chat };
    assert_eq!(world.ask(ALICE_2, accept), Ok(Reply::Done));
    ready_on_both(&mut world, chat);
    assert!(requests(&mut world, ALICE).is_empty());
    world.say(ALICE, chat, "accepted on the other");
    world.settle(&[ALICE, ALICE_2, BOB], chat, 1);
}

#[test]
fn a_request_missed_by_one_device_is_shown_there() {
    let mut world = two_devices(4);
    world.cut(ALICE_2, true);
    world.run(Duration::from_secs(5));
    let chat = world.request(BOB, ALICE);
    assert_eq!(
        world.ask(ALICE, Command::DeclineRequest { conversation: chat }),
        Ok(Reply::Done)
    );
    world.cut(ALICE_2, false);
    meet(&mut world);
    world.run(Duration::from_secs(30));
    assert!(requests(&mut world, ALICE_2).is_empty());
    assert!(requests(&mut world, ALICE).is_empty());
}

#[test]
fn both_devices_accept_at_the_same_time() {
    let mut world = two_devices(5);
    let chat = world.request(BOB, ALICE);
    world.until("both are asked", |world| {
        !requests(world, ALICE).is_empty() && !requests(world, ALICE_2).is_empty()
    });
    let accept = || Command::AcceptRequest { conversation: chat };
    let first = world.command(ALICE, accept());
    let second = world.command(ALICE_2, accept());
    assert_eq!(world.take_reply(ALICE, first), Some(Ok(Reply::Done)));
    assert_eq!(world.take_reply(ALICE_2, second), Some(Ok(Reply::Done)));
    ready_on_both(&mut world, chat);
    world.say(ALICE, chat, "one");
    world.say(ALICE_2, chat, "two");
    world.say(BOB, chat, "three");
    world.settle(&[ALICE, ALICE_2, BOB], chat, 3);
}

#[test]
fn what_is_left_on_one_device_is_gone_on_the_other() {
    let mut world = two_devices(6);
    let chat = world.connect(ALICE, BOB);
    let group = group(&mut world, ALICE, &[BOB]);
    ready_on_both(&mut world, chat);
    ready_on_both(&mut world, group);
    let leave = Command::Leave {
        conversation: group,
    };
    assert_eq!(world.ask(ALICE_2, leave), Ok(Reply::Done));
    world.until("the group is gone on the first", |world| {
        !chats(world, ALICE).contains(&group)
    });
    assert!(!world.hosts[ALICE].conversation(group).exists());
    let alice = world.id(ALICE);
    world.until("bob hears of it", |world| {
        let command = Command::Members {
            conversation: group,
        };
        match world.ask(BOB, command) {
            Ok(Reply::Members(members)) => members.iter().all(|member| member.uri != alice),
            other => panic!("{other:?}"),
        }
    });
    world.verify(BOB, group);
    // The contact is removed while one device is off.
    world.kill(ALICE);
    let remove = Command::RemoveContact {
        contact: world.id(BOB),
        ban: false,
    };
    assert_eq!(world.ask(ALICE_2, remove), Ok(Reply::Done));
    world.start(ALICE);
    world.until("the contact is gone on the first", |world| {
        contacts(world, ALICE).is_empty() && chats(world, ALICE).is_empty()
    });
    meet(&mut world);
    world.run(Duration::from_secs(60));
    assert!(contacts(&mut world, ALICE_2).is_empty());
    assert!(chats(&mut world, ALICE_2).is_empty());
    // Bob asks again, and all is as before.
    let again = world.connect(BOB, ALICE);
    ready_on_both(&mut world, again);
    world.say(ALICE_2, again, "hello again");
    world.settle(&[ALICE, ALICE_2, BOB], again, 1);
}

#[test]
fn a_block_holds_on_both_devices_and_ends_on_both() {
    let mut world = two_devices(7);
    let chat = world.connect(ALICE, BOB);
    ready_on_both(&mut world, chat);
    let bob = world.id(BOB);
    let block = Command::RemoveContact {
        contact: bob,
        ban: true,
    };
    assert_eq!(world.ask(ALICE, block), Ok(Reply::Done));
    let banned = |world: &mut World, host| contacts(world, host).iter().any(|c| c.banned);
    world.until("bob is blocked on both", |world| banned(world, ALICE_2));
    let add = Command::AddContact { contact: bob };
    assert_eq!(world.ask(ALICE_2, add), Ok(Reply::Done));
    world.until("and on none", |world| !banned(world, ALICE));
    assert_eq!(
        nameless(contacts(&mut world, ALICE)),
        nameless(contacts(&mut world, ALICE_2))
    );
}

/// Something that is done on a device.
type Deed<'a> = &'a dyn Fn(&mut World, usize);

/// What two devices do while they cannot hear each other, in both orders.
fn conflict(seed: u64, what: [Deed<'_>; 2]) -> [Vec<Contact>; 2] {
    [[ALICE, ALICE_2], [ALICE_2, ALICE]].map(|[first, second]| {
        let mut world = two_devices(seed);
        let chat = world.connect(ALICE, BOB);
        ready_on_both(&mut world, chat);
        world.cut(ALICE_2, true);
        world.run(Duration::from_secs(5));
        what[0](&mut world, first);
        world.run(Duration::from_secs(3));
        what[1](&mut world, second);
        world.cut(ALICE_2, false);
        meet(&mut world);
        world.run(Duration::from_secs(90));
        let both = contacts(&mut world, ALICE);
        assert_eq!(both, contacts(&mut world, ALICE_2));
        assert_eq!(chats(&mut world, ALICE), chats(&mut world, ALICE_2));
        both
    })
}

#[test]
fn of_two_changes_the_later_counts_wherever_it_was_made() {
    let remove = |ban: bool| {
        move |world: &mut World, host: usize| {
            let contact = world.id(BOB);
            let command = Command::RemoveContact { contact, ban };
            assert_eq!(world.ask(host, command), Ok(Reply::Done));
        }
    };
    for both in conflict(8, [&remove(false), &remove(true)]) {
        assert!(both[0].banned);
    }
    for both in conflict(9, [&remove(true), &remove(false)]) {
        assert_eq!(both, []);
    }
}

#[test]
fn a_group_joined_on_one_device_works_on_both() {
    let mut world = two_devices(10);
    let chat = group(&mut world, BOB, &[ALICE_2]);
    ready_on_both(&mut world, chat);
    world.until("nobody is asked any more", |world| {
        requests(world, ALICE).is_empty()
    });
    world.say(ALICE, chat, "from the other device");
    world.say(BOB, chat, "to both");
    world.settle(&[ALICE, ALICE_2, BOB], chat, 2);
    for host in [ALICE, ALICE_2, BOB] {
        world.verify(host, chat);
    }
}

#[test]
fn preferences_and_what_was_read_follow() {
    let mut world = two_devices(11);
    let chat = world.connect(ALICE, BOB);
    ready_on_both(&mut world, chat);
    let said = world.say(BOB, chat, "read me");
    world.settle(&[ALICE, ALICE_2, BOB], chat, 1);
    let mark = Command::MarkRead {
        conversation: chat,
        message: said,
    };
    assert_eq!(world.ask(ALICE, mark), Ok(Reply::Done));
    world.until("read on the other", |world| {
        read(world, ALICE_2, chat) == Some(said)
    });
    assert!(world.has_event(ALICE_2, |event| matches!(
        event,
        EventBody::MessageRead { message, .. } if *message == said
    )));
    prefer(&mut world, ALICE_2, chat, "color", "#123456");
    world.until("the same colour on the other", |world| {
        preferences(world, ALICE, chat)
            .get("color")
            .map(String::as_str)
            == Some("#123456")
    });
    // The later change counts, also one that was made while the other device was off, and
    // all is there after a restart.
    world.stop(ALICE);
    prefer(&mut world, ALICE_2, chat, "color", "#654321");
    prefer(&mut world, ALICE_2, chat, "ignoreNotifications", "true");
    world.start(ALICE);
    world.until("the later colour", |world| {
        preferences(world, ALICE, chat) == preferences(world, ALICE_2, chat)
    });
    world.stop(ALICE);
    world.start(ALICE);
    assert_eq!(preferences(&mut world, ALICE, chat)["color"], "#654321");
    assert_eq!(read(&mut world, ALICE, chat), Some(said));
    prefer(&mut world, ALICE, chat, "color", "");
    world.until("no colour", |world| {
        !preferences(world, ALICE_2, chat).contains_key("color")
    });
    let bad = Command::SetPreferences {
        conversation: chat,
        changes: BTreeMap::from([("last modified".to_owned(), "1".to_owned())]),
    };
    assert!(matches!(
        world.ask(ALICE, bad),
        Err(CommandError::Invalid(_))
    ));
}

#[test]
fn devices_of_2023_are_told_over_the_dht() {
    let mut world = World::pair(12);
    let chat = world.connect(0, 1);
    // The devices cannot connect to each other, but both reach the DHT.
    let second = world.add("alice-2");
    world.cut(second, true);
    let known = |world: &mut World| contacts(world, second).into_iter().next();
    world.until("the other device knows the contact", |world| {
        known(world).is_some_and(|bob| bob.confirmed && bob.conversation == Some(chat))
    });
    let block = Command::RemoveContact {
        contact: world.id(1),
        ban: true,
    };
    assert_eq!(world.ask(0, block), Ok(Reply::Done));
    world.until("blocked on the other", |world| {
        known(world).is_some_and(|bob| bob.banned)
    });
}

/// The first device revokes the second, as a node does with the archive.
fn revoke(world: &mut World) {
    let mut archive = testing::archive("alice");
    let device = testing::identity("alice-2");
    let (now, rng) = (world.now.unix, &mut world.rng);
    let list = archive.revoke(device.chain().leaf(), now, rng).unwrap();
    let list = list.der().to_vec();
    let take = Command::TakeRevocations { list };
    assert_eq!(world.ask(ALICE, take), Ok(Reply::Done));
}

fn is_revoked(world: &World, host: usize) -> bool {
    let second = testing::identity("alice-2").device_id();
    world.has_event(
        host,
        |event| matches!(event, EventBody::DeviceRevoked { device, .. } if *device == second),
    )
}

fn linked(world: &mut World, host: usize) -> bool {
    let second = testing::identity("alice-2").device_id();
    match world.ask(host, Command::Diagnostics) {
        Ok(Reply::Diagnostics(doing)) => doing.links.iter().any(|(_, device)| *device == second),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_revoked_device_is_refused_by_all_and_for_ever() {
    let mut world = two_devices(20);
    let chat = world.connect(ALICE, BOB);
    ready_on_both(&mut world, chat);
    world.say(ALICE_2, chat, "before");
    world.settle(&[ALICE, ALICE_2, BOB], chat, 1);
    world.until("the second is connected to bob", |world| linked(world, BOB));
    revoke(&mut world);
    world.until("all have heard of it", |world| {
        [ALICE, ALICE_2, BOB]
            .iter()
            .all(|host| is_revoked(world, *host))
    });
    world.run(Duration::from_secs(2));
    assert!(!linked(&mut world, ALICE) && !linked(&mut world, BOB));
    // It says so, and stays away, also after a restart.
    let Ok(Reply::Identity(identity)) = world.ask(ALICE_2, Command::Identity) else {
        panic!("no identity");
    };
    assert_eq!(identity.state, RegistrationState::ErrorGeneric);
    assert!(!identity.announced);
    let Ok(Reply::Devices(devices)) = world.ask(ALICE, Command::Devices) else {
        panic!("no devices");
    };
    assert_eq!(devices.len(), 2);
    assert!(devices[0].current && !devices[0].revoked && devices[1].revoked);
    // A thief makes it forget that it was revoked: everybody else knows.
    world.kill(ALICE_2);
    world.forget_revocations(ALICE_2);
    world.hosts[ALICE_2].deaf = true;
    world.stop(BOB);
    world.stop(ALICE);
    for host in [ALICE, BOB, ALICE_2] {
        world.start(host);
    }
    world.say(ALICE_2, chat, "from the thief");
    world.say(BOB, chat, "not for the thief");
    world.settle(&[ALICE, BOB], chat, 2);
    world.run(Duration::from_secs(120));
    let of = |world: &mut World, host| {
        let texts = world.texts(host, chat).into_iter();
        texts.map(|(_, text)| text).collect::<Vec<_>>()
    };
    assert!(!of(&mut world, BOB).contains(&"from the thief".to_owned()));
    assert!(!of(&mut world, ALICE).contains(&"from the thief".to_owned()));
    assert!(!of(&mut world, ALICE_2).contains(&"not for the thief".to_owned()));
}

#[test]
fn only_the_account_itself_revokes() {
    let mut world = two_devices(21);
    let chat = world.connect(ALICE, BOB);
    ready_on_both(&mut world, chat);
    // A list of bob's, and one that is no list.
    let mut archive = testing::archive("bob");
    let device = testing::identity("bob");
    let list = archive
        .revoke(device.chain().leaf(), world.now.unix, &mut world.rng)
        .unwrap();
    let list = list.der().to_vec();
    let take = Command::TakeRevocations { list };
    assert_eq!(world.ask(ALICE, take), Ok(Reply::Done));
    let take = Command::TakeRevocations { list: vec![1, 2] };
    assert!(matches!(
        world.ask(ALICE, take),
        Err(CommandError::Invalid(_))
    ));
    world.say(BOB, chat, "still here");
    world.settle(&[ALICE, ALICE_2, BOB], chat, 1);
}

#[test]
fn devices_have_names_that_all_know() {
    let mut world = two_devices(22);
    let names = |world: &mut World, host| match world.ask(host, Command::Devices) {
        Ok(Reply::Devices(list)) => list
            .into_iter()
            .map(|device| (device.id, device.name))
            .collect::<BTreeMap<_, _>>(),
        other => panic!("{other:?}"),
    };
    for (host, name) in [(ALICE, "desk"), (ALICE_2, "bag")] {
        let name = name.to_owned();
        assert_eq!(
            world.ask(host, Command::RenameDevice { name }),
            Ok(Reply::Done)
        );
    }
    world.until("both know both names", |world| {
        let here = names(world, ALICE);
        let mut known: Vec<&String> = here.values().collect();
        known.sort();
        known == ["bag", "desk"] && here == names(world, ALICE_2)
    });
    world.stop(ALICE_2);
    let name = "pocket".to_owned();
    assert_eq!(
        world.ask(ALICE, Command::RenameDevice { name }),
        Ok(Reply::Done)
    );
    world.start(ALICE_2);
    world.until("the new name", |world| {
        names(world, ALICE) == names(world, ALICE_2)
    });
    let name = "two\nlines".to_owned();
    let bad = world.ask(ALICE, Command::RenameDevice { name });
    assert!(matches!(bad, Err(CommandError::Invalid(_))));
}

#[test]
fn notes_to_oneself_are_on_both_devices() {
    let mut world = two_devices(23);
    let to = world.id(ALICE);
    let text = String::new();
    let ask = Command::SendRequest { to, text };
    let Ok(Reply::Conversation(chat)) = world.ask(ALICE, ask.clone()) else {
        panic!("no conversation");
    };
    ready_on_both(&mut world, chat);
    assert_eq!(
        world.ask(ALICE_2, ask),
        Ok(Reply::Conversation(chat)),
        "the same one"
    );
    world.say(ALICE, chat, "milk");
    world.say(ALICE_2, chat, "bread");
    world.settle(&[ALICE, ALICE_2], chat, 2);
    for host in [ALICE, ALICE_2] {
        world.verify(host, chat);
        assert!(contacts(&mut world, host).is_empty());
        assert!(requests(&mut world, host).is_empty());
    }
}
