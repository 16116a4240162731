//! A member that is always there carries messages between members that never meet.

use std::collections::BTreeSet;
use std::time::Duration;

use baraza_core::command::GroupMode;
use baraza_core::relay::{Relay, RelayConfig};
use baraza_core::{Command, EventBody, ProfileChange, Reply};
use baraza_wire::AccountId;

use crate::node::{Person, person};
use crate::world::World;

#[test]
fn relay_carries_messages_between_members_that_never_meet() {
    let mut world = World::pair(41);
    let relay = world.add("carol");
    let members = vec![world.id(1), world.id(relay)];
    let command = Command::CreateGroup {
        mode: GroupMode::default(),
        profile: ProfileChange::default(),
        members,
    };
    let Ok(Reply::Conversation(chat)) = world.ask(0, command) else {
        panic!("no group");
    };
    for host in [1, relay] {
        world.until("invited", |world| {
            world.has_event(host, |event| {
                matches!(event, EventBody::RequestReceived { conversation, .. } if *conversation == chat)
            })
        });
        let accept = Command::AcceptRequest { conversation: chat };
        assert_eq!(world.ask(host, accept), Ok(Reply::Done));
        world.until("joined", |world| world.is_ready(host, chat));
    }
    world.settle(&[0, 1, relay], chat, 0);
    // Bob is away when Alice writes, and Alice when he comes back, hours later.
    world.cut(1, true);
    world.run(Duration::from_secs(60));
    world.say(0, chat, "to bob");
    world.until("the relay has it", |world| {
        world.texts(relay, chat).len() == 1
    });
    world.stop(0);
    world.kill(relay);
    world.run(Duration::from_secs(2 * 3600));
    world.start(relay);
    world.run(Duration::from_secs(60));
    world.cut(1, false);
    world.until("bob has it", |world| world.texts(1, chat).len() == 1);
    // And back.
    world.say(1, chat, "to alice");
    world.until("the relay has it", |world| {
        world.texts(relay, chat).len() == 2
    });
    world.stop(1);
    world.start(0);
    world.until("alice has it", |world| world.texts(0, chat).len() == 2);
}

#[test]
fn paused_conversation_is_kept_and_served_but_gets_no_longer() {
    let (mut world, chat) = World::talking(42);
    let pause = |paused| Command::PauseFetching {
        conversation: chat,
        paused,
    };
    assert_eq!(world.ask(1, pause(true)), Ok(Reply::Done));
    world.say(0, chat, "one");
    world.say(1, chat, "two");
    world.until("the other has what it wrote", |world| {
        world.texts(0, chat).len() == 2
    });
    world.run(Duration::from_secs(600));
    assert_eq!(world.texts(1, chat).len(), 1);
    assert_eq!(world.ask(1, pause(false)), Ok(Reply::Done));
    world.settle(&[0, 1], chat, 2);
}

async fn group(alice: &Person, members: Vec<AccountId>) -> baraza_wire::ConversationId {
    let command = Command::CreateGroup {
        mode: GroupMode::default(),
        profile: ProfileChange::default(),
        members,
    };
    match alice.ask(command).await {
        Reply::Conversation(chat) => chat,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relay_joins_what_its_owner_invites_it_to_and_nothing_else() {
    let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut alice = person("alice", directories[0].path(), None).await;
    let mut bob = person("bob", directories[1].path(), Some(&alice.node)).await;
    let mut carol = person("carol", directories[2].path(), Some(&alice.node)).await;
    let config = RelayConfig {
        owners: BTreeSet::from([alice.id]),
        ..RelayConfig::default()
    };
    let relay = Relay::new(carol.node.clone(), carol.account, config);
    tokio::spawn(relay.clone().run());
    for person in [&mut alice, &mut bob, &mut carol] {
        person
            .wait("announced", |event| {
                matches!(event, EventBody::DeviceAnnounced)
            })
            .await;
    }
    let strange = group(&bob, vec![carol.id]).await;
    carol
        .wait("a stranger's invitation is declined", |event| {
            matches!(event, EventBody::RequestRemoved { conversation } if *conversation == strange)
        })
        .await;
    let chat = group(&alice, vec![carol.id]).await;
    carol
        .wait("the relay joins", |event| {
            matches!(event, EventBody::ConversationReady { conversation } if *conversation == chat)
        })
        .await;
    alice.say(chat, "keep this").await;
    carol.hear(chat, "keep this").await;
    let stats = relay.stats();
    assert_eq!((stats.accepted, stats.declined), (1, 1));
    let (identity, _) = relay.state().await.unwrap();
    assert_eq!(identity.jami_id, carol.id);
    for person in [&alice, &bob, &carol] {
        person.node.shutdown().await;
    }
}
