//! Profiles between hosts of the small world.

use std::time::Duration;

use baraza_core::command::{Picture, ShownProfile};
use baraza_core::{Command, CommandError, EventBody, Reply};

use crate::world::World;

const ALICE: usize = 0;
const BOB: usize = 1;
const CAROL: usize = 2;
const NAME: &str = "Alice 🦁 שלום";

fn png(length: usize) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.resize(length, 7);
    bytes
}

fn set(world: &mut World, host: usize, name: Option<&str>, picture: Option<Vec<u8>>) {
    let command = Command::SetProfile {
        name: name.map(str::to_owned),
        picture,
    };
    assert_eq!(world.ask(host, command), Ok(Reply::Done));
}

fn shown(world: &mut World, host: usize, of: usize) -> Result<ShownProfile, CommandError> {
    let of = Some(world.id(of));
    match world.ask(host, Command::Profile { of })? {
        Reply::Profile(profile) => Ok(profile),
        other => panic!("{other:?}"),
    }
}

fn sees(world: &mut World, host: usize, of: usize, name: &str, picture: Option<&[u8]>) {
    let expected = picture.map(|bytes| Picture {
        kind: "png".into(),
        bytes: bytes.to_owned(),
    });
    world.until("the profile is seen", |world| {
        shown(world, host, of)
            .is_ok_and(|profile| profile.name == name && profile.picture == expected)
    });
}

#[test]
fn members_see_the_profile_and_its_changes() {
    let mut world = World::pair(1);
    let picture = png(700_000);
    set(&mut world, ALICE, Some(NAME), Some(picture.clone()));
    world.connect(ALICE, BOB);
    sees(&mut world, BOB, ALICE, NAME, Some(&picture));
    sees(&mut world, ALICE, BOB, "bob", None);
    let Ok(Reply::Contacts(contacts)) = world.ask(BOB, Command::Contacts) else {
        panic!("no contacts");
    };
    assert_eq!(contacts[0].name, NAME);
    // Now without a picture, and while the other is away.
    world.cut(BOB, true);
    set(&mut world, ALICE, Some("Al"), Some(Vec::new()));
    world.run(Duration::from_secs(60));
    world.cut(BOB, false);
    sees(&mut world, BOB, ALICE, "Al", None);
    let id = world.id(ALICE);
    assert!(world.has_event(BOB, |event| matches!(event,
        EventBody::ProfileChanged { account, name, picture: false }
            if *account == id && name == "Al")));
}

#[test]
fn a_profile_is_sent_once_to_a_device() {
    let (mut world, chat) = World::talking(2);
    // Hosts of this world start with the name they were added with.
    set(&mut world, ALICE, None, Some(png(1000)));
    sees(&mut world, BOB, ALICE, "alice", Some(&png(1000)));
    world.run(Duration::from_secs(10));
    let before = world.profile_bytes;
    for _ in 0..2 {
        world.kill(BOB);
        world.start(BOB);
        world.kill(ALICE);
        world.start(ALICE);
        world.say(ALICE, chat, "hello");
        world.run(Duration::from_secs(30));
    }
    assert_eq!(world.profile_bytes, before);
    // It outlives both.
    assert_eq!(shown(&mut world, BOB, ALICE).unwrap().name, "alice");
}

#[test]
fn strangers_get_and_give_no_profile() {
    let (mut world, chat) = World::talking(3);
    world.add("carol");
    world.connect(BOB, CAROL);
    set(&mut world, ALICE, Some(NAME), None);
    sees(&mut world, BOB, ALICE, NAME, None);
    let (alice, carol) = (world.id(ALICE), "ab".repeat(32));
    let pull = format!("data-transfer://{chat}/profile/{alice}.vcf");
    assert!(world.knock(BOB, ALICE, &pull));
    assert!(!world.knock(CAROL, ALICE, &pull), "given to a stranger");
    let bob = world.id(BOB);
    let third = format!("data-transfer://{chat}/profile/{bob}.vcf");
    assert!(!world.knock(BOB, ALICE, &third), "that of somebody else");
    let push = format!("data-transfer://{chat}/{carol}/profile.vcf");
    assert!(!world.knock(CAROL, ALICE, &push), "taken from a stranger");
    assert!(!world.knock(BOB, ALICE, "data-transfer://profile.vcf"));
    assert_eq!(
        shown(&mut world, CAROL, ALICE),
        Err(CommandError::NoSuchContact)
    );
}

#[test]
fn who_is_invited_may_show_a_profile_before_we_hear_of_the_joining() {
    let mut world = World::pair(5);
    let chat = world.request(ALICE, BOB);
    let device = "ab".repeat(32);
    let push = format!("data-transfer://{chat}/{device}/profile.vcf");
    assert!(world.knock(BOB, ALICE, &push));
    world.add("carol");
    assert!(!world.knock(CAROL, ALICE, &push), "taken from a stranger");
    let (alice, pull) = (world.id(ALICE), "data-transfer://");
    let pull = format!("{pull}{chat}/profile/{alice}.vcf");
    assert!(!world.knock(BOB, ALICE, &pull), "ours is for members");
}

#[test]
fn a_profile_that_does_not_come_is_asked_for() {
    let mut world = World::pair(6);
    world.hosts[BOB].unseen = true;
    let chat = world.connect(ALICE, BOB);
    world.say(ALICE, chat, "hello");
    world.run(Duration::from_secs(10));
    assert_eq!(shown(&mut world, ALICE, BOB).unwrap().name, "");
    let begun = world.now;
    sees(&mut world, ALICE, BOB, "bob", None);
    let took = world.now.instant - begun.instant;
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn what_is_no_picture_or_name_is_refused() {
    let mut world = World::pair(4);
    let bad = [
        (None, Some(b"GIF89a".to_vec())),
        (None, Some(png(6 << 20))),
        (Some("two\nlines".to_owned()), None),
        (Some("x".repeat(300)), None),
    ];
    for (name, picture) in bad {
        let refused = world.ask(ALICE, Command::SetProfile { name, picture });
        assert!(
            matches!(refused, Err(CommandError::Invalid(_))),
            "{refused:?}"
        );
    }
    assert_eq!(shown(&mut world, ALICE, ALICE).unwrap().name, "alice");
}

#[test]
fn own_devices_show_what_was_changed_last() {
    const ALICE_2: usize = 1;
    const BOB: usize = 2;
    let mut world = World::new(11);
    world.add("alice");
    world.add("alice-2");
    world.add("bob");
    set(&mut world, ALICE, Some(NAME), Some(png(90_000)));
    sees(&mut world, ALICE_2, ALICE, NAME, Some(&png(90_000)));
    world.connect(ALICE_2, BOB);
    sees(&mut world, BOB, ALICE, NAME, Some(&png(90_000)));
    set(&mut world, ALICE_2, Some("Al"), None);
    sees(&mut world, ALICE, ALICE, "Al", Some(&png(90_000)));
    sees(&mut world, BOB, ALICE, "Al", Some(&png(90_000)));
    let id = world.id(ALICE);
    assert!(world.has_event(ALICE, |event| matches!(event,
        EventBody::ProfileChanged { account, name, picture: true }
            if *account == id && name == "Al")));
    // It outlives a restart, and is sent once, by each device to each.
    let mut sent = Vec::new();
    for _ in 0..3 {
        world.run(Duration::from_secs(60));
        sent.push(world.profile_bytes);
        for host in [ALICE, ALICE_2] {
            world.kill(host);
            world.start(host);
        }
    }
    assert_eq!(sent[1], sent[2]);
    sees(&mut world, ALICE, ALICE, "Al", Some(&png(90_000)));

    // Apart, each changes it: the later change counts, also if it is the smaller one.
    world.cut(ALICE_2, true);
    set(&mut world, ALICE_2, Some("Zed"), Some(png(500)));
    world.run(Duration::from_secs(5));
    set(&mut world, ALICE, Some("Ann"), Some(Vec::new()));
    world.run(Duration::from_secs(60));
    world.cut(ALICE_2, false);
    for host in [ALICE_2, ALICE, BOB] {
        sees(&mut world, host, ALICE, "Ann", None);
    }
    // In the same second: all agree.
    world.cut(ALICE_2, true);
    set(&mut world, ALICE_2, Some("One"), None);
    set(&mut world, ALICE, Some("Two"), None);
    world.run(Duration::from_secs(60));
    world.cut(ALICE_2, false);
    world.until("they agree", |world| {
        let names = [ALICE, ALICE_2, BOB].map(|host| shown(world, host, ALICE).unwrap().name);
        names[0] != "Ann" && names.iter().all(|name| *name == names[0])
    });
    // Emptied, on the other device too.
    set(&mut world, ALICE, Some(""), None);
    sees(&mut world, ALICE_2, ALICE, "", None);
}
