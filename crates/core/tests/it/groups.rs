//! Groups between hosts of the small world: three people and what they do with each other.

use std::time::Duration;

use baraza_core::command::{GroupMode, Role};
use baraza_core::{Command, CommandError, EventBody, ProfileChange, Reply};
use baraza_wire::{AccountId, CommitId, ConversationId};

use crate::world::World;

const ALICE: usize = 0;
const BOB: usize = 1;
const CAROL: usize = 2;

fn three(seed: u64) -> World {
    let mut world = World::pair(seed);
    world.add("carol");
    world
}

fn titled(title: &str) -> ProfileChange {
    ProfileChange {
        title: Some(title.into()),
        ..ProfileChange::default()
    }
}

fn create(world: &mut World, members: &[usize]) -> ConversationId {
    let command = Command::CreateGroup {
        mode: GroupMode::default(),
        profile: titled("The bench"),
        members: members.iter().map(|host| world.id(*host)).collect(),
    };
    match world.ask(ALICE, command) {
        Ok(Reply::Conversation(chat)) => chat,
        other => panic!("{other:?}"),
    }
}

fn join(world: &mut World, host: usize, chat: ConversationId) {
    world.until("the invitation arrives", |world| {
        world.has_event(host, |event| {
            matches!(event, EventBody::RequestReceived { conversation, mode: 2, name, .. }
                if *conversation == chat && name == "The bench")
        })
    });
    let accept = Command::AcceptRequest { conversation: chat };
    assert_eq!(world.ask(host, accept), Ok(Reply::Done));
    world.until("the group is ready", |world| world.is_ready(host, chat));
}

/// A group that Alice makes, which these hosts join.
pub(crate) fn group_of(world: &mut World, members: &[usize]) -> ConversationId {
    let chat = create(world, members);
    for host in members {
        join(world, *host, chat);
    }
    let all = [ALICE].iter().chain(members);
    for host in all {
        world.until("all have joined", |world| {
            let roles = roles(world, *host, chat);
            let joined = roles.iter().filter(|(_, role)| *role == Role::Member);
            joined.count() == members.len()
        });
    }
    chat
}

/// A group of Alice (its admin), Bob and Carol, who all know of each other.
pub(crate) fn group(seed: u64) -> (World, ConversationId) {
    let mut world = three(seed);
    let chat = group_of(&mut world, &[BOB, CAROL]);
    (world, chat)
}

fn roles(world: &mut World, host: usize, chat: ConversationId) -> Vec<(AccountId, Role)> {
    let members = Command::Members { conversation: chat };
    match world.ask(host, members) {
        Ok(Reply::Members(members)) => members.iter().map(|m| (m.uri, m.role)).collect(),
        other => panic!("{other:?}"),
    }
}

fn role(world: &mut World, host: usize, chat: ConversationId, of: usize) -> Option<Role> {
    let id = world.id(of);
    let roles = roles(world, host, chat);
    roles
        .iter()
        .find(|(uri, _)| *uri == id)
        .map(|(_, role)| *role)
}

fn written(world: &mut World, host: usize, command: Command) -> CommitId {
    match world.ask(host, command) {
        Ok(Reply::Message(id)) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn three_talk_and_nobody_becomes_a_contact_by_it() {
    let (mut world, chat) = group(1);
    for host in [ALICE, BOB, CAROL] {
        world.say(host, chat, &format!("hello from {host}"));
    }
    world.settle(&[ALICE, BOB, CAROL], chat, 3);
    for host in [ALICE, BOB, CAROL] {
        assert_eq!(
            world.ask(host, Command::Contacts),
            Ok(Reply::Contacts(vec![]))
        );
        let info = Command::ConversationInfo { conversation: chat };
        match world.ask(host, info) {
            Ok(Reply::Info(info)) => {
                assert_eq!(info["title"], "The bench");
                assert_eq!(info["mode"], "2");
            }
            other => panic!("{other:?}"),
        }
        world.verify(host, chat);
    }
}

#[test]
fn an_invitation_reaches_who_was_away_also_over_a_crash_of_the_inviter() {
    let mut world = three(2);
    world.stop(BOB);
    let chat = create(&mut world, &[BOB]);
    world.run(Duration::from_secs(60));
    world.kill(ALICE);
    world.start(ALICE);
    world.start(BOB);
    join(&mut world, BOB, chat);
    world.say(ALICE, chat, "there you are");
    world.settle(&[ALICE, BOB], chat, 1);
    // Joined, so that nothing is sent any more, also after the next start.
    world.kill(ALICE);
    world.start(ALICE);
    world.run(Duration::from_secs(120));
    assert_eq!(
        world.ask(BOB, Command::Requests),
        Ok(Reply::Requests(vec![]))
    );
}

#[test]
fn a_daemon_of_2023_is_invited_too() {
    let mut world = three(3);
    world.hosts[BOB].old = true;
    let chat = create(&mut world, &[BOB]);
    join(&mut world, BOB, chat);
    world.say(BOB, chat, "from long ago");
    world.settle(&[ALICE, BOB], chat, 1);
}

#[test]
fn the_banned_hear_nothing_until_they_are_taken_back() {
    let (mut world, chat) = group(4);
    let carol = world.id(CAROL);
    let ban = Command::BanMember {
        conversation: chat,
        member: carol,
    };
    // Only admins may.
    let refused = world.ask(BOB, ban.clone());
    assert!(
        matches!(refused, Err(CommandError::NotAllowed(_))),
        "{refused:?}"
    );
    assert_eq!(world.ask(ALICE, ban), Ok(Reply::Done));
    world.until("Bob sees the ban", |world| {
        role(world, BOB, chat, CAROL) == Some(Role::Banned)
    });
    world.say(ALICE, chat, "without her");
    world.settle(&[ALICE, BOB], chat, 1);
    world.run(Duration::from_secs(700));
    assert!(world.texts(CAROL, chat).is_empty());
    let back = Command::AddMember {
        conversation: chat,
        member: carol,
    };
    assert_eq!(world.ask(ALICE, back), Ok(Reply::Done));
    world.until("Bob sees her return", |world| {
        role(world, BOB, chat, CAROL) == Some(Role::Member)
    });
    world.settle(&[ALICE, BOB, CAROL], chat, 1);
    world.say(CAROL, chat, "back");
    world.settle(&[ALICE, BOB, CAROL], chat, 2);
    world.verify(BOB, chat);
}

#[test]
fn who_leaves_is_gone_for_the_others_and_may_come_again() {
    let (mut world, chat) = group(5);
    world.say(ALICE, chat, "before");
    world.settle(&[ALICE, BOB, CAROL], chat, 1);
    let leave = Command::Leave { conversation: chat };
    assert_eq!(world.ask(CAROL, leave.clone()), Ok(Reply::Done));
    assert_eq!(
        world.ask(CAROL, Command::Conversations),
        Ok(Reply::Conversations(vec![]))
    );
    assert_eq!(
        world.ask(CAROL, leave),
        Err(CommandError::NoSuchConversation)
    );
    for host in [ALICE, BOB] {
        world.until("the others see it", |world| {
            role(world, host, chat, CAROL).is_none()
        });
    }
    world.until("nothing of it is left on the disk", |world| {
        !world.hosts[CAROL].conversation(chat).exists()
    });
    world.say(BOB, chat, "between us");
    world.settle(&[ALICE, BOB], chat, 2);
    let again = Command::AddMember {
        conversation: chat,
        member: world.id(CAROL),
    };
    world.hosts[CAROL].events.clear();
    assert_eq!(world.ask(ALICE, again), Ok(Reply::Done));
    join(&mut world, CAROL, chat);
    world.settle(&[ALICE, BOB, CAROL], chat, 2);
}

#[test]
fn leaving_is_told_after_a_restart_if_nobody_was_there() {
    let (mut world, chat) = group(6);
    world.stop(ALICE);
    world.stop(BOB);
    let leave = Command::Leave { conversation: chat };
    assert_eq!(world.ask(CAROL, leave), Ok(Reply::Done));
    world.kill(CAROL);
    world.start(CAROL);
    assert_eq!(
        world.ask(CAROL, Command::Conversations),
        Ok(Reply::Conversations(vec![]))
    );
    world.start(BOB);
    world.until("Bob sees it", |world| {
        role(world, BOB, chat, CAROL).is_none()
    });
    world.start(ALICE);
    world.until("Alice sees it, from Bob or Carol", |world| {
        role(world, ALICE, chat, CAROL).is_none()
    });
    world.until("nothing of it is left on the disk", |world| {
        !world.hosts[CAROL].conversation(chat).exists()
    });
}

#[test]
fn the_last_one_turns_off_the_light() {
    let mut world = three(7);
    let chat = create(&mut world, &[]);
    world.say(ALICE, chat, "nobody here");
    let leave = Command::Leave { conversation: chat };
    assert_eq!(world.ask(ALICE, leave), Ok(Reply::Done));
    assert!(!world.hosts[ALICE].conversation(chat).exists());
}

#[test]
fn replies_reactions_edits_and_deletions_reach_all() {
    let (mut world, chat) = group(8);
    let first = world.say(ALICE, chat, "frist");
    world.settle(&[ALICE, BOB, CAROL], chat, 1);
    let react = Command::React {
        conversation: chat,
        message: first,
        emoji: "👍".into(),
    };
    let reaction = written(&mut world, BOB, react);
    let edit = |message, body: &str| Command::EditMessage {
        conversation: chat,
        message,
        body: body.into(),
    };
    // Only one's own texts, and only as they were first written.
    let refused = world.ask(BOB, edit(first, "mine now"));
    assert!(
        matches!(refused, Err(CommandError::NotAllowed(_))),
        "{refused:?}"
    );
    let better = written(&mut world, ALICE, edit(first, "first"));
    let refused = world.ask(ALICE, edit(better, "again"));
    assert!(
        matches!(refused, Err(CommandError::NotAllowed(_))),
        "{refused:?}"
    );
    let refused = world.ask(BOB, edit(reaction, "👎"));
    assert!(
        matches!(refused, Err(CommandError::NotAllowed(_))),
        "{refused:?}"
    );
    let taken_back = written(&mut world, BOB, edit(reaction, ""));
    let unknown = CommitId::new([7; 20]);
    assert_eq!(
        world.ask(ALICE, edit(unknown, "x")),
        Err(CommandError::NoSuchMessage)
    );
    for host in [ALICE, BOB, CAROL] {
        world.until("all of it is there", |world| {
            let ids: Vec<_> = world.history(host, chat).iter().map(|m| m.id).collect();
            [reaction, better, taken_back]
                .iter()
                .all(|id| ids.contains(id))
        });
        let history = world.history(host, chat);
        let find = |id| history.iter().find(|message| message.id == id).unwrap();
        assert_eq!(find(reaction).fields["react-to"], first.to_hex());
        assert_eq!(find(reaction).body(), "👍");
        assert_eq!(find(better).fields["edit"], first.to_hex());
        assert_eq!(find(better).body(), "first");
        assert_eq!(find(taken_back).fields["edit"], reaction.to_hex());
        assert_eq!(find(taken_back).body(), "");
        world.verify(host, chat);
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_a_reason() {
    let (mut world, chat) = group(9);
    let own = world.id(ALICE);
    let add = |member| Command::AddMember {
        conversation: chat,
        member,
    };
    assert_eq!(world.ask(ALICE, add(own)), Err(CommandError::Oneself));
    let bob = world.id(BOB);
    let refused = world.ask(ALICE, add(bob));
    assert!(
        matches!(refused, Err(CommandError::NotAllowed(_))),
        "{refused:?}"
    );
    let profile = |profile| Command::UpdateProfile {
        conversation: chat,
        profile,
    };
    let refused = world.ask(BOB, profile(titled("Mine")));
    assert!(
        matches!(refused, Err(CommandError::NotAllowed(_))),
        "{refused:?}"
    );
    for bad in ["two\nlines".to_owned(), "x".repeat(300)] {
        let refused = world.ask(ALICE, profile(titled(&bad)));
        assert!(
            matches!(refused, Err(CommandError::Invalid(_))),
            "{refused:?}"
        );
    }
    // A conversation of two is no group.
    let two = world.connect(ALICE, BOB);
    let carol = world.id(CAROL);
    let refused = world.ask(
        ALICE,
        Command::AddMember {
            conversation: two,
            member: carol,
        },
    );
    assert!(
        matches!(refused, Err(CommandError::NotAllowed(_))),
        "{refused:?}"
    );
}

#[test]
fn one_account_cannot_fill_the_list_of_requests() {
    let mut world = three(10);
    let chats: Vec<_> = (0..20).map(|_| create(&mut world, &[BOB])).collect();
    let pending = |world: &mut World| match world.ask(BOB, Command::Requests) {
        Ok(Reply::Requests(requests)) => requests,
        other => panic!("{other:?}"),
    };
    world.until("invitations arrive", |world| pending(world).len() == 16);
    world.run(Duration::from_secs(60));
    assert_eq!(pending(&mut world).len(), 16);
    assert!(
        pending(&mut world)
            .iter()
            .all(|r| chats.contains(&r.conversation))
    );
    // Others still get through.
    let theirs = world.request(CAROL, BOB);
    assert!(pending(&mut world).iter().any(|r| r.conversation == theirs));
}

#[test]
fn what_was_written_since_one_was_invited_is_news_and_unread() {
    let mut world = three(71);
    let chat = group_of(&mut world, &[CAROL]);
    let before = world.say(ALICE, chat, "before Bob was invited");
    let add = Command::AddMember {
        conversation: chat,
        member: world.id(BOB),
    };
    world.ask(ALICE, add).unwrap();
    let since = world.say(ALICE, chat, "welcome, Bob");
    join(&mut world, BOB, chat);
    let told = |world: &World, id: CommitId| {
        world.has_event(
            BOB,
            |event| matches!(event, EventBody::MessageReceived { message, .. } if message.id == id),
        )
    };
    world.until("the welcome is told", |world| told(world, since));
    world.run(Duration::from_secs(5));
    assert!(!told(&world, before));
    world.announced_once(BOB, chat);
    let Ok(Reply::Conversations(list)) = world.ask(BOB, Command::Conversations) else {
        panic!("no list");
    };
    assert_eq!(list[0].unread, 1);
    assert_eq!(list[0].first_unread, Some(since));
}

#[test]
fn who_comes_back_is_told_of_what_is_new_only() {
    let mut world = three(72);
    let chat = group_of(&mut world, &[BOB, CAROL]);
    let before = world.say(ALICE, chat, "when Bob was here");
    world.settle(&[ALICE, BOB, CAROL], chat, 1);
    let leave = Command::Leave { conversation: chat };
    world.ask(BOB, leave).unwrap();
    world.until("Bob is gone", |world| {
        role(world, ALICE, chat, BOB) != Some(Role::Member)
    });
    world.hosts[BOB].events.clear();
    let add = Command::AddMember {
        conversation: chat,
        member: world.id(BOB),
    };
    world.ask(ALICE, add).unwrap();
    let since = world.say(ALICE, chat, "welcome back");
    join(&mut world, BOB, chat);
    let told = |world: &World, id: CommitId| {
        world.has_event(
            BOB,
            |event| matches!(event, EventBody::MessageReceived { message, .. } if message.id == id),
        )
    };
    world.until("the welcome is told", |world| told(world, since));
    world.run(Duration::from_secs(5));
    assert!(!told(&world, before));
}
