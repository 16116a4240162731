//! How near a contact is: connected, announced, not there.

use std::time::Duration;

use baraza_core::command::Contact;
use baraza_core::event::Presence;
use baraza_core::{Command, EventBody, Reply};

use crate::world::World;

const ALICE: usize = 0;
const BOB: usize = 1;

fn bob(world: &mut World) -> Contact {
    match world.ask(ALICE, Command::Contacts) {
        Ok(Reply::Contacts(contacts)) => contacts[0].clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_goes_is_announced_until_that_expires_and_the_reason_is_told() {
    let (mut world, _) = World::talking(71);
    world.until("connected", |world| {
        bob(world).presence == Presence::Connected
    });
    assert_eq!(bob(&mut world).unreachable, None);
    world.kill(BOB);
    world.until("only announced", |world| {
        bob(world).presence == Presence::Available
    });
    world.until("the reason is told", |world| {
        bob(world).unreachable.is_some()
    });
    // Ten minutes after the last announcement it is not there any more, and not before.
    world.run(Duration::from_secs(500));
    assert_eq!(bob(&mut world).presence, Presence::Available);
    world.run(Duration::from_secs(120));
    let gone = bob(&mut world);
    assert_eq!(gone.presence, Presence::Offline);
    assert_eq!(gone.unreachable, None);
    world.start(BOB);
    world.until("connected again", |world| {
        bob(world).presence == Presence::Connected
    });
    let id = world.id(BOB);
    let told: Vec<Presence> = world.hosts[ALICE]
        .events
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::PresenceChanged { contact, presence } if *contact == id => Some(*presence),
            _ => None,
        })
        .collect();
    let [.., available, offline, again, connected] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(*available, Presence::Available);
    assert_eq!(*offline, Presence::Offline);
    assert_eq!(*again, Presence::Available);
    assert_eq!(*connected, Presence::Connected);
}
