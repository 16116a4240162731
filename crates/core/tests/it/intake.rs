//! Large packs: what goes on while one is taken in.

use std::time::Duration;

use baraza_core::{Command, CommandError, EventBody, IntakeLimits, Reply};
use baraza_identity::{PrivateKey, testing};
use baraza_swarm::{Author, Repository};
use baraza_wire::ConversationId;

use crate::world::World;

const ALICE: usize = 0;
const BOB: usize = 1;
const CAROL: usize = 2;
/// Everything is a large pack, and indexed bit by bit.
const SMALL_STEPS: IntakeLimits = IntakeLimits {
    at_once: 0,
    step: 50,
};

impl World {
    /// Writes texts into a conversation of a host that is not running, on another device of
    /// its account, whose key is quick.
    fn write_aside(&mut self, host: usize, chat: ConversationId, count: usize) {
        let it = &self.hosts[host];
        assert!(it.account.is_none());
        let key = PrivateKey::generate_rsa(2048).unwrap();
        let device = testing::archive(it.name)
            .certify_device(key, self.now.unix, &mut self.rng)
            .unwrap();
        let author = Author {
            identity: &device,
            name: it.name,
        };
        let mut repository = Repository::open(&it.conversation(chat)).unwrap();
        let texts: Vec<baraza_swarm::Message> = (0..count)
            .map(|n| baraza_swarm::Message::text(format!("written aside {n}")))
            .collect();
        for texts in texts.chunks(1000) {
            repository
                .commit_batch(author, texts, self.now.unix)
                .unwrap();
        }
    }

    /// Messages in a conversation, members' included.
    fn count(&mut self, host: usize, chat: ConversationId) -> u64 {
        match self.ask(host, Command::CountMessages { conversation: chat }) {
            Ok(Reply::Count(count)) => count,
            other => panic!("{other:?}"),
        }
    }

    /// Texts in a conversation, however long it is.
    fn texts_in_all(&mut self, host: usize, chat: ConversationId) -> usize {
        let (mut from, mut texts) = (None, 0);
        loop {
            let page = Command::History {
                conversation: chat,
                from,
                count: 0,
            };
            let Ok(Reply::History(page)) = self.ask(host, page) else {
                return texts;
            };
            texts += page.iter().filter(|it| it.kind == "text/plain").count();
            from = page.last().and_then(|last| last.linearized_parent);
            if from.is_none() {
                return texts;
            }
        }
    }
}

/// A request of Alice's to Bob, with texts of hers in the conversation. Bob accepts, and
/// has fetched all of it, but not looked at it.
fn cloning(world: &mut World, count: usize) -> ConversationId {
    let chat = world.request(ALICE, BOB);
    world.stop(ALICE);
    world.write_aside(ALICE, chat, count);
    world.start(ALICE);
    world.hosts[BOB].holds_work = true;
    let accept = Command::AcceptRequest { conversation: chat };
    assert_eq!(world.ask(BOB, accept), Ok(Reply::Done));
    world.until("the pack is fetched", |world| world.hosts[BOB].has_work());
    chat
}

/// Bob has fetched texts that Alice wrote while he was away, but not looked at them.
fn fetching(world: &mut World, chat: ConversationId, count: usize) {
    world.hosts[BOB].holds_work = true;
    world.stop(ALICE);
    world.write_aside(ALICE, chat, count);
    world.start(ALICE);
    world.until("the pack is fetched", |world| world.hosts[BOB].has_work());
}

/// Asks a host something that it has to answer before it does anything else.
fn answers(world: &mut World, host: usize) {
    let request = world.command(host, Command::Conversations);
    let reply = world.take_reply(host, request);
    assert!(matches!(reply, Some(Ok(Reply::Conversations(_)))));
}

#[test]
fn others_are_served_while_a_large_clone_is_taken_in() {
    let count = 20_000;
    let mut world = World::pair(70);
    world.add("carol");
    let other = world.connect(CAROL, BOB);
    let chat = cloning(&mut world, count);

    // While it is checked, Bob talks to Carol, and his user is answered.
    answers(&mut world, BOB);
    let said = world.say(CAROL, other, "still there?");
    world.until("Carol's text arrives", |world| {
        world.texts(BOB, other).iter().any(|(id, _)| *id == said)
    });
    world.say(BOB, other, "yes");
    world.settle(&[BOB, CAROL], other, 2);
    assert!(!world.is_ready(BOB, chat));
    let early = Command::CountMessages { conversation: chat };
    assert_eq!(
        world.ask(BOB, early),
        Err(CommandError::NoSuchConversation),
        "nothing is told of what was not checked"
    );
    // A text for the conversation itself waits, and takes nothing else with it.
    let waiting = world.command(
        BOB,
        Command::SendMessage {
            conversation: chat,
            body: "a text that waits".into(),
            reply_to: None,
        },
    );
    answers(&mut world, BOB);
    assert_eq!(world.take_reply(BOB, waiting), None);

    // While it is indexed, there is an answer after every step.
    world.work(BOB);
    let mut steps = 0;
    while !world.is_ready(BOB, chat) {
        answers(&mut world, BOB);
        world.step();
        steps += 1;
        assert!(steps < 10_000, "never ready");
    }
    let expected = count / IntakeLimits::default().step;
    assert!(steps >= expected, "{steps} steps, {expected} expected");

    let text = |world: &mut World| world.take_reply(BOB, waiting);
    let Some(Ok(Reply::Message(id))) = text(&mut world) else {
        panic!("the text that waited was not committed");
    };
    world.until("Alice gets it", |world| {
        let texts = world.texts(ALICE, chat);
        texts.contains(&(id, "a text that waits".into()))
    });
    // The first commit, and that Bob joined.
    assert_eq!(world.count(BOB, chat), count as u64 + 3);
    assert_eq!(world.count(ALICE, chat), count as u64 + 3);
}

#[test]
fn a_conversation_can_be_written_to_while_a_large_fetch_is_taken_in() {
    let (mut world, chat) = World::talking(71);
    world.hosts[BOB].intake = SMALL_STEPS;
    world.stop(BOB);
    world.start(BOB);
    fetching(&mut world, chat, 400);
    let before = world.say(BOB, chat, "while it is checked");
    assert_eq!(world.history(BOB, chat)[0].id, before);
    // A second fetch, also a small one, waits for its turn.
    let second = world.say(ALICE, chat, "a second fetch");
    world.run(Duration::from_secs(5));
    world.hosts[BOB].holds_work = false;
    world.work(BOB);
    let mut lengths = vec![world.count(BOB, chat)];
    for _ in 0..5 {
        world.step();
        lengths.push(world.count(BOB, chat));
    }
    world.say(BOB, chat, "while it is indexed");
    let most = lengths.windows(2).map(|two| two[1] - two[0]).max();
    assert!(most <= Some(50), "{lengths:?}");
    world.until("all have all", |world| {
        let counts = [ALICE, BOB].map(|host| world.texts_in_all(host, chat));
        counts == [403, 403]
    });
    let has = |world: &mut World| world.texts(BOB, chat).iter().any(|(id, _)| *id == second);
    assert!(has(&mut world));
    world.announced_once(BOB, chat);
    for host in [ALICE, BOB] {
        world.verify(host, chat);
    }
}

#[test]
fn a_crash_while_a_clone_is_taken_in_loses_nothing() {
    // Before it was checked; before anything was indexed; after some; after all.
    for (run, steps) in [None, Some(0), Some(3), Some(7), Some(8)]
        .into_iter()
        .enumerate()
    {
        let mut world = World::pair(72 + run as u64);
        world.hosts[BOB].intake = SMALL_STEPS;
        world.stop(BOB);
        world.start(BOB);
        let chat = cloning(&mut world, 350);
        if let Some(steps) = steps {
            world.work(BOB);
            for _ in 0..steps {
                world.step();
            }
        }
        world.hosts[BOB].holds_work = false;
        world.kill(BOB);
        assert!(!world.hosts[BOB].has_work());
        world.start(BOB);
        world.until("the conversation can be used", |world| {
            let count = Command::CountMessages { conversation: chat };
            world.ask(BOB, count).is_ok()
        });
        world.say(BOB, chat, "after the crash");
        world.until("all have all", |world| {
            [ALICE, BOB].map(|host| world.texts_in_all(host, chat)) == [351, 351]
        });
        for host in [ALICE, BOB] {
            // With the first commit and the joining.
            assert_eq!(world.count(host, chat), 353);
            world.verify(host, chat);
        }
    }
}

#[test]
fn a_crash_while_a_fetch_is_taken_in_loses_nothing() {
    for (run, steps) in [None, Some(0), Some(3), Some(8)].into_iter().enumerate() {
        let (mut world, chat) = World::talking(80 + run as u64);
        world.hosts[BOB].intake = SMALL_STEPS;
        world.stop(BOB);
        world.start(BOB);
        fetching(&mut world, chat, 350);
        world.say(BOB, chat, "meanwhile");
        if let Some(steps) = steps {
            world.work(BOB);
            for _ in 0..steps {
                world.step();
            }
        }
        let told = world.count(BOB, chat);
        world.hosts[BOB].holds_work = false;
        world.kill(BOB);
        world.start(BOB);
        assert!(
            world.count(BOB, chat) >= told,
            "what was told is still there"
        );
        world.until("all have all", |world| {
            [ALICE, BOB].map(|host| world.texts_in_all(host, chat)) == [351, 351]
        });
        for host in [ALICE, BOB] {
            world.verify(host, chat);
        }
    }
}

#[test]
fn a_conversation_that_is_removed_while_it_is_taken_in_is_gone() {
    for steps in [None, Some(3)] {
        let mut world = World::pair(90);
        world.hosts[BOB].intake = SMALL_STEPS;
        world.stop(BOB);
        world.start(BOB);
        let chat = cloning(&mut world, 350);
        if let Some(steps) = steps {
            world.work(BOB);
            for _ in 0..steps {
                world.step();
            }
        }
        let remove = Command::RemoveContact {
            contact: world.id(ALICE),
            ban: true,
        };
        assert_eq!(world.ask(BOB, remove), Ok(Reply::Done));
        if world.hosts[BOB].has_work() {
            world.work(BOB);
        }
        world.hosts[BOB].holds_work = false;
        world.run(Duration::from_secs(60));
        assert!(!world.is_ready(BOB, chat));
        assert!(!world.hosts[BOB].conversation(chat).exists());
        assert_eq!(
            world.ask(BOB, Command::Conversations),
            Ok(Reply::Conversations(Vec::new()))
        );
        assert!(!world.has_event(BOB, |event| matches!(event, EventBody::SyncError { .. })));
        // What comes next is taken in.
        world.add("carol");
        let other = world.connect(CAROL, BOB);
        world.say_when_ready(BOB, other, "to Carol");
        world.settle(&[BOB, CAROL], other, 1);
    }
}
