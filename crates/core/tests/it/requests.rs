use std::time::Duration;

use baraza_core::command::{Contact, Role};
use baraza_core::{Command, CommandError, EventBody, Reply};

use crate::world::World;

fn contacts(world: &mut World, host: usize) -> Vec<Contact> {
    match world.ask(host, Command::Contacts) {
        Ok(Reply::Contacts(contacts)) => contacts,
        other => panic!("{other:?}"),
    }
}

fn requests(world: &mut World, host: usize) -> usize {
    match world.ask(host, Command::Requests) {
        Ok(Reply::Requests(requests)) => requests.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn accepting_makes_both_confirmed_contacts_and_members() {
    let mut world = World::pair(1);
    let chat = world.request(0, 1);
    assert_eq!(requests(&mut world, 1), 1);
    assert!(world.has_event(
        0,
        |event| matches!(event, EventBody::ConversationReady { conversation }
        if *conversation == chat)
    ));
    let accept = Command::AcceptRequest { conversation: chat };
    assert_eq!(world.ask(1, accept.clone()), Ok(Reply::Done));
    assert_eq!(world.ask(1, accept), Err(CommandError::NoSuchRequest));
    world.until("both are members", |world| {
        (0..2).all(|host| {
            let command = Command::Members { conversation: chat };
            let Ok(Reply::Members(members)) = world.ask(host, command) else {
                return false;
            };
            let roles: Vec<Role> = members.iter().map(|member| member.role).collect();
            roles.len() == 2 && roles.contains(&Role::Admin) && roles.contains(&Role::Member)
        })
    });
    world.run(Duration::from_secs(5));
    for host in 0..2 {
        let contacts = contacts(&mut world, host);
        assert_eq!(contacts.len(), 1);
        assert!(contacts[0].confirmed && contacts[0].conversation == Some(chat));
        world.verify(host, chat);
    }
    assert_eq!(requests(&mut world, 1), 0);
    // The request is told of once, however often it is sent.
    let received =
        |event: &&baraza_core::Event| matches!(event.body, EventBody::RequestReceived { .. });
    assert_eq!(world.hosts[1].events.iter().filter(received).count(), 1);
}

#[test]
fn declining_is_final_and_tells_nobody() {
    let mut world = World::pair(2);
    let chat = world.request(0, 1);
    let decline = Command::DeclineRequest { conversation: chat };
    assert_eq!(world.ask(1, decline), Ok(Reply::Done));
    assert_eq!(requests(&mut world, 1), 0);
    world.run(Duration::from_secs(3600));
    assert_eq!(
        requests(&mut world, 1),
        0,
        "it is sent again, but not shown"
    );
    assert_eq!(
        world.ask(1, Command::Conversations),
        Ok(Reply::Conversations(vec![]))
    );
    assert!(!world.has_event(0, |event| matches!(event, EventBody::MemberEvent { .. })));
    assert!(!contacts(&mut world, 0)[0].confirmed);
}

#[test]
fn nothing_of_a_blocked_account_arrives() {
    let (mut world, chat) = World::talking(3);
    let asker = world.id(0);
    let block = Command::RemoveContact {
        contact: asker,
        ban: true,
    };
    assert_eq!(world.ask(1, block), Ok(Reply::Done));
    let list = contacts(&mut world, 1);
    assert!(list[0].banned && !list[0].confirmed);
    world.hosts[1].events.clear();
    world.say(0, chat, "blocked");
    let again = Command::SendRequest {
        to: world.id(1),
        text: String::new(),
    };
    assert_eq!(world.ask(0, again), Ok(Reply::Conversation(chat)));
    world.run(Duration::from_secs(600));
    let arrived = |event: &EventBody| {
        matches!(
            event,
            EventBody::MessageReceived { .. } | EventBody::RequestReceived { .. }
        )
    };
    assert!(!world.has_event(1, arrived));
    // It stays so over a restart.
    world.kill(1);
    world.start(1);
    world.run(Duration::from_secs(600));
    assert!(!world.has_event(1, arrived));
    assert!(contacts(&mut world, 1)[0].banned);
    // And ends when the account is a contact again.
    assert_eq!(
        world.ask(1, Command::AddContact { contact: asker }),
        Ok(Reply::Done)
    );
    world.until("the message arrives", |world| {
        world.has_event(1, |event| {
            matches!(event, EventBody::MessageReceived { .. })
        })
    });
}

#[test]
fn a_request_waits_for_the_asked_and_survives_both() {
    let mut world = World::pair(4);
    world.run(Duration::from_secs(1));
    world.kill(1);
    world.run(Duration::from_secs(700));
    let to = world.id(1);
    let command = Command::SendRequest {
        to,
        text: String::new(),
    };
    let Ok(Reply::Conversation(chat)) = world.ask(0, command) else {
        panic!("no conversation");
    };
    world.run(Duration::from_secs(30));
    world.kill(0);
    world.start(0);
    world.run(Duration::from_secs(30));
    world.start(1);
    world.until("the request arrives", |world| requests(world, 1) == 1);
    world.kill(1);
    world.start(1);
    assert_eq!(requests(&mut world, 1), 1);
    world
        .ask(1, Command::AcceptRequest { conversation: chat })
        .unwrap();
    // Killed before the clone: it is done after the restart.
    world.kill(1);
    world.start(1);
    world.until("the conversation is ready", |world| {
        world.has_event(1, |event| {
            matches!(event, EventBody::ConversationReady { .. })
        })
    });
    world.say(1, chat, "here I am");
    world.settle(&[0, 1], chat, 1);
    assert!(contacts(&mut world, 0)[0].confirmed);
}

#[test]
fn who_asks_an_asker_accepts() {
    let mut world = World::pair(5);
    let chat = world.request(0, 1);
    let back = Command::SendRequest {
        to: world.id(0),
        text: String::new(),
    };
    assert_eq!(world.ask(1, back), Ok(Reply::Conversation(chat)));
    world.say_when_ready(1, chat, "yes");
    world.settle(&[0, 1], chat, 1);
}

#[test]
fn requests_that_cross_end_in_one_agreed_conversation() {
    let mut world = World::pair(6);
    let (zero, one) = (world.id(0), world.id(1));
    let ask = |to| Command::SendRequest {
        to,
        text: String::new(),
    };
    let first = world.command(0, ask(one));
    let second = world.command(1, ask(zero));
    world.run(Duration::from_secs(60));
    assert!(world.take_reply(0, first).unwrap().is_ok());
    assert!(world.take_reply(1, second).unwrap().is_ok());
    let (a, b) = (contacts(&mut world, 0), contacts(&mut world, 1));
    assert!(a[0].confirmed && b[0].confirmed);
    assert_eq!(a[0].conversation, b[0].conversation);
    let chat = a[0].conversation.unwrap();
    world.say(0, chat, "one");
    world.say(1, chat, "two");
    world.settle(&[0, 1], chat, 2);
}

/// Whichever of the two conversations has the smaller id.
#[test]
fn who_declined_asks_and_both_agree() {
    for seed in 60..66 {
        let mut world = World::pair(seed);
        let first = world.request(0, 1);
        let decline = Command::DeclineRequest {
            conversation: first,
        };
        assert_eq!(world.ask(1, decline), Ok(Reply::Done));
        let ask = Command::SendRequest {
            to: world.id(0),
            text: String::new(),
        };
        let Ok(Reply::Conversation(second)) = world.ask(1, ask) else {
            panic!("cannot ask");
        };
        // What each says before they have heard of each other goes along.
        world.say(0, first, "from alice");
        world.say(1, second, "from bob");
        let agreed = |world: &mut World| {
            let of = |world: &mut World, host| contacts(world, host)[0].conversation;
            of(world, 0).filter(|chat| of(world, 1) == Some(*chat))
        };
        world.until("both have the same conversation with both texts", |world| {
            agreed(world).is_some_and(|chat| {
                (0..2).all(|host| world.is_ready(host, chat) && world.texts(host, chat).len() == 2)
            })
        });
        world.run(Duration::from_secs(120));
        let chat = agreed(&mut world).unwrap();
        assert!(chat == first || chat == second);
        for host in 0..2 {
            assert!(contacts(&mut world, host)[0].confirmed);
            let Ok(Reply::Conversations(all)) = world.ask(host, Command::Conversations) else {
                panic!("no conversations");
            };
            assert_eq!(all.len(), 1, "host {host} with seed {seed}");
        }
        world.settle(&[0, 1], chat, 2);
    }
}

#[test]
fn nonsense_is_refused() {
    let (mut world, chat) = World::talking(7);
    let own = world.id(0);
    let add = Command::AddContact { contact: own };
    assert_eq!(world.ask(0, add), Err(CommandError::Oneself));
    let stranger = baraza_wire::AccountId::new([1; 20]);
    let remove = Command::RemoveContact {
        contact: stranger,
        ban: false,
    };
    assert_eq!(world.ask(0, remove), Err(CommandError::NoSuchContact));
    let send = |conversation, body: &str, reply_to| Command::SendMessage {
        conversation,
        body: body.into(),
        reply_to,
    };
    let other = baraza_wire::ConversationId::new([1; 20]);
    assert_eq!(
        world.ask(0, send(other, "x", None)),
        Err(CommandError::NoSuchConversation)
    );
    let unknown = baraza_wire::CommitId::new([1; 20]);
    let reply = send(chat, "x", Some(unknown));
    assert_eq!(world.ask(0, reply), Err(CommandError::NoSuchMessage));
    let long = send(chat, &"x".repeat(300_000), None);
    assert!(matches!(world.ask(0, long), Err(CommandError::Invalid(_))));
}

#[test]
fn what_was_written_before_one_accepted_is_news() {
    let mut world = World::pair(14);
    let chat = world.request(0, 1);
    let early = world.say(0, chat, "are you there?");
    let accept = Command::AcceptRequest { conversation: chat };
    assert_eq!(world.ask(1, accept), Ok(Reply::Done));
    world.until("the text is told", |world| {
        world.has_event(1, |event| {
            matches!(event, EventBody::MessageReceived { conversation, message }
                if *conversation == chat && message.id == early)
        })
    });
    world.run(Duration::from_secs(5));
    world.announced_once(1, chat);
}
