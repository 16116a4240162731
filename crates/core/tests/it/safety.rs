//! Somebody's devices, and that their ID was compared.

use baraza_core::command::PeerDevices;
use baraza_core::event::Presence;
use baraza_core::{Command, CommandError, Reply};
use baraza_wire::AccountId;

use crate::world::World;

const ALICE: usize = 0;
const BOB: usize = 1;

fn look(world: &mut World, of: AccountId) -> PeerDevices {
    match world.ask(ALICE, Command::PeerDevices { of }) {
        Ok(Reply::PeerDevices(peer)) => peer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn devices_of_a_contact_are_shown_and_a_comparison_outlives_a_crash() {
    let (mut world, _) = World::talking(72);
    let bob = world.id(BOB);
    world.until("connected", |world| {
        let devices = look(world, bob).devices;
        devices.len() == 1 && devices[0].presence == Presence::Connected
    });
    let peer = look(&mut world, bob);
    assert_eq!(peer.devices[0].id, world.identity(BOB).device_id());
    assert!(!peer.devices[0].revoked);
    assert_eq!(peer.verified, None);
    let verify = |verified| Command::SetVerified { of: bob, verified };
    let Ok(Reply::PeerDevices(marked)) = world.ask(ALICE, verify(true)) else {
        panic!("not marked");
    };
    assert!(marked.verified.is_some());
    world.kill(ALICE);
    world.start(ALICE);
    assert_eq!(look(&mut world, bob).verified, marked.verified);
    assert!(world.ask(ALICE, verify(false)).is_ok());
    assert_eq!(look(&mut world, bob).verified, None);
    // Of nobody, nothing is known; of oneself, there is nothing to compare.
    let stranger = AccountId::new([7; 20]);
    assert_eq!(look(&mut world, stranger), PeerDevices::default());
    let oneself = Command::SetVerified {
        of: world.id(ALICE),
        verified: true,
    };
    assert_eq!(world.ask(ALICE, oneself), Err(CommandError::Oneself));
}
