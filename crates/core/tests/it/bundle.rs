//! Conversations carried in files between hosts that never meet.

use std::path::PathBuf;
use std::time::Duration;

use baraza_core::command::BundleInput;
use baraza_core::{Command, CommandError, EventBody, ProfileChange, Reply};
use baraza_identity::testing;
use baraza_swarm::bundle::{Bundle, Header};
use baraza_swarm::pack::PackLimits;
use baraza_wire::{CommitId, ConversationId};

use crate::world::World;

/// Writes a bundle to a file. Nothing of the network takes part.
fn export(
    world: &mut World,
    host: usize,
    chat: ConversationId,
    since: Option<CommitId>,
    name: &str,
) -> (PathBuf, Header) {
    let directory = world.hosts[host].directory.clone();
    let into = directory.join(format!("{name}.copy")).join(chat.to_hex());
    let command = Command::Snapshot {
        conversation: chat,
        into: into.clone(),
    };
    assert_eq!(world.ask(host, command), Ok(Reply::Done));
    let target = directory.join(name);
    let identity = testing::identity(world.hosts[host].name);
    let header = Bundle::write(&into, since, &identity, world.now.unix, &target).unwrap();
    (target, header)
}

fn import(world: &mut World, host: usize, file: &PathBuf) -> Result<Reply, CommandError> {
    let input = std::fs::File::open(file).unwrap();
    let spool = world.hosts[host].directory.clone();
    let limits = PackLimits::default();
    let bundle = Bundle::read(input, &spool, &limits, world.now.unix).unwrap();
    let bundle = BundleInput::new(bundle);
    world.ask(host, Command::ImportBundle { bundle })
}

/// A group of the first host's, with the others invited while all are apart.
fn group_apart(world: &mut World, members: &[usize]) -> ConversationId {
    for host in 0..world.hosts.len() {
        world.cut(host, true);
    }
    world.run(Duration::from_secs(10));
    let members = members.iter().map(|host| world.id(*host)).collect();
    let command = Command::CreateGroup {
        mode: baraza_core::command::GroupMode::default(),
        profile: ProfileChange::default(),
        members,
    };
    match world.ask(0, command) {
        Ok(Reply::Conversation(chat)) => chat,
        other => panic!("{other:?}"),
    }
}

#[test]
fn conversation_is_carried_to_and_fro_in_files() {
    let mut world = World::pair(31);
    let chat = group_apart(&mut world, &[1]);
    for at in 0..300 {
        world.say(0, chat, &format!("text {at}"));
    }
    let (all, first) = export(&mut world, 0, chat, None, "all");
    assert!(matches!(import(&mut world, 1, &all), Ok(Reply::Count(count)) if count > 300));
    assert_eq!(world.texts(1, chat).len(), 300);
    assert!(world.is_ready(1, chat), "joined");

    // Back goes what is new only, with the join that stands for the invitation.
    world.say(1, chat, "an answer");
    let (back, header) = export(&mut world, 1, chat, Some(first.head), "back");
    assert!(header.length < first.length / 10);
    assert_eq!(import(&mut world, 0, &back), Ok(Reply::Count(2)));
    assert_eq!(world.texts(0, chat), world.texts(1, chat));
    let bob = world.id(1);
    assert!(world.has_event(0, |event| {
        matches!(event, EventBody::MemberEvent { member, .. } if *member == bob)
    }));
    // Once more changes nothing.
    assert_eq!(import(&mut world, 0, &back), Ok(Reply::Count(0)));
    for host in [0, 1] {
        world.announced_once(host, chat);
        world.verify(host, chat);
    }
    // Both wrote meanwhile: files in both directions bring them together.
    world.say(0, chat, "at the same time");
    world.say(1, chat, "as this");
    let mark = Some(header.head);
    let (one, _) = export(&mut world, 0, chat, mark, "one");
    let (other, _) = export(&mut world, 1, chat, mark, "other");
    import(&mut world, 1, &one).unwrap();
    import(&mut world, 0, &other).unwrap();
    assert_eq!(world.texts(0, chat).len(), 303);
    assert_eq!(world.texts(0, chat), world.texts(1, chat));
}

#[test]
fn who_is_not_invited_gets_nothing_from_a_file_and_keeps_nothing() {
    let mut world = World::pair(32);
    world.add("carol");
    let chat = group_apart(&mut world, &[1]);
    world.say(0, chat, "not for carol");
    let (all, _) = export(&mut world, 0, chat, None, "all");
    let refused = import(&mut world, 2, &all);
    assert!(
        matches!(refused, Err(CommandError::NotAllowed(_))),
        "{refused:?}"
    );
    assert_eq!(
        world.ask(2, Command::Conversations),
        Ok(Reply::Conversations(Vec::new()))
    );
    assert!(!world.hosts[2].conversation(chat).exists());
    // Nor is a conversation taken from somebody who is no member.
    let copy = world.hosts[0]
        .directory
        .join("all.copy")
        .join(chat.to_hex());
    let forged = world.hosts[2].directory.join("forged");
    let carol = testing::identity("carol");
    Bundle::write(&copy, None, &carol, world.now.unix, &forged).unwrap();
    let refused = import(&mut world, 1, &forged);
    assert!(
        matches!(refused, Err(CommandError::NotAllowed(_))),
        "{refused:?}"
    );
    assert!(!world.hosts[1].conversation(chat).exists());
    // It does not stand in the way of the right one.
    import(&mut world, 1, &all).unwrap();
    assert_eq!(world.texts(1, chat).len(), 1);
}

#[test]
fn file_that_begins_after_what_is_here_is_refused_until_the_rest_comes() {
    let mut world = World::pair(33);
    let chat = group_apart(&mut world, &[1]);
    let (all, first) = export(&mut world, 0, chat, None, "all");
    let (_, second) = {
        world.say(0, chat, "second");
        export(&mut world, 0, chat, Some(first.head), "second")
    };
    world.say(0, chat, "third");
    let (third, _) = export(&mut world, 0, chat, Some(second.head), "third");
    for before in [true, false] {
        let refused = import(&mut world, 1, &third);
        assert!(matches!(refused, Err(CommandError::Invalid(_))));
        if before {
            import(&mut world, 1, &all).unwrap();
        }
    }
    let second = world.hosts[0].directory.join("second");
    for file in [second, third] {
        // With what joins it to the join that was made here.
        let brought = import(&mut world, 1, &file);
        assert!(matches!(brought, Ok(Reply::Count(1..=2))), "{brought:?}");
    }
    assert_eq!(world.texts(1, chat).len(), 2);
}

#[test]
fn file_and_network_bring_the_same_conversation_once() {
    let mut world = World::pair(34);
    let chat = group_apart(&mut world, &[1]);
    world.say(0, chat, "by file");
    let (all, _) = export(&mut world, 0, chat, None, "all");
    import(&mut world, 1, &all).unwrap();
    for host in [0, 1] {
        world.cut(host, false);
    }
    world.say(0, chat, "by network");
    world.say(1, chat, "by network, too");
    world.settle(&[0, 1], chat, 3);
    // A restart with nothing but what is on the disk.
    world.kill(1);
    world.start(1);
    world.say(0, chat, "later");
    world.settle(&[0, 1], chat, 4);
}
