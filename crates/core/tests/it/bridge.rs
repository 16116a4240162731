//! A group of three generations: one member is like a daemon of 2023, one like the newest
//! peers, and they cannot talk to each other. Whoever is between carries everything over.

use std::time::Duration;

use baraza_core::{Command, EventBody, ProfileChange, Reply};
use baraza_wire::ConversationId;

use crate::world::World;

const BRIDGE: usize = 0;
const OLD: usize = 1;
const NEW: usize = 2;
const ALL: [usize; 3] = [BRIDGE, OLD, NEW];

fn group(seed: u64) -> (World, ConversationId) {
    let mut world = World::pair(seed);
    world.add("carol");
    world.hosts[OLD].old = true;
    world.hosts[NEW].new = true;
    world.apart.insert((OLD, NEW));
    let command = Command::CreateGroup {
        mode: baraza_core::command::GroupMode::default(),
        profile: ProfileChange::default(),
        members: vec![world.id(OLD), world.id(NEW)],
    };
    let chat = match world.ask(BRIDGE, command) {
        Ok(Reply::Conversation(chat)) => chat,
        other => panic!("{other:?}"),
    };
    for host in [OLD, NEW] {
        world.until("the invitation arrives", |world| {
            world.has_event(host, |event| {
                matches!(event, EventBody::RequestReceived { conversation, .. }
                    if *conversation == chat)
            })
        });
        let accept = Command::AcceptRequest { conversation: chat };
        assert_eq!(world.ask(host, accept), Ok(Reply::Done));
        world.until("the group is ready", |world| world.is_ready(host, chat));
    }
    (world, chat)
}

#[test]
fn what_either_writes_reaches_the_other_over_the_member_between() {
    let (mut world, chat) = group(1);
    for round in 0..3 {
        for host in ALL {
            world.say(host, chat, &format!("{round} from {host}"));
        }
    }
    world.settle(&ALL, chat, 9);
    for host in ALL {
        world.verify(host, chat);
    }
}

#[test]
fn what_was_written_while_the_member_between_was_away_comes_over_when_it_is_back() {
    let (mut world, chat) = group(2);
    world.say(BRIDGE, chat, "before");
    world.settle(&ALL, chat, 1);
    world.kill(BRIDGE);
    world.say(OLD, chat, "from the old one");
    world.say(NEW, chat, "from the new one");
    world.run(Duration::from_secs(120));
    assert_eq!(world.texts(NEW, chat).len(), 2, "they are apart");
    world.start(BRIDGE);
    world.settle(&ALL, chat, 3);
    for host in ALL {
        world.verify(host, chat);
    }
}
