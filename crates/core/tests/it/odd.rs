//! Odd inputs: names, scripts, lengths, clocks.

use std::time::Duration;

use baraza_core::command::GroupMode;
use baraza_core::view::{Page, PageAt};
use baraza_core::{Command, CommandError, EventBody, ProfileChange, Reply};
use baraza_wire::ConversationId;

use crate::world::World;

const ALICE: usize = 0;
const BOB: usize = 1;
/// Three years.
const YEARS: i64 = 3 * 365 * 86_400;

fn page(world: &mut World, host: usize, chat: ConversationId) -> Page {
    let command = Command::View {
        conversation: chat,
        at: PageAt::Newest,
        count: 100,
    };
    match world.ask(host, command) {
        Ok(Reply::View(page)) => page,
        other => panic!("{other:?}"),
    }
}

#[test]
fn long_and_foreign_names_go_through_or_are_refused_plainly() {
    let mut world = World::pair(1);
    let too_long = "n".repeat(257);
    let name = |name: &str| Command::SetDisplayName { name: name.into() };
    let Err(CommandError::Invalid(text)) = world.ask(ALICE, name(&too_long)) else {
        panic!("taken")
    };
    assert!(text.contains("256 bytes"), "{text}");
    for title in [
        "t".repeat(256),
        "👩‍👩‍👧‍👦".repeat(10),
        "שלום \u{202e}abc\u{202c} سلام".into(),
        "<>&\"\\\';:,".into(),
    ] {
        assert_eq!(world.ask(ALICE, name(&title)), Ok(Reply::Done));
        let command = Command::CreateGroup {
            mode: GroupMode::default(),
            profile: ProfileChange {
                title: Some(title.clone()),
                ..ProfileChange::default()
            },
            members: vec![world.id(BOB)],
        };
        let Ok(Reply::Conversation(chat)) = world.ask(ALICE, command) else {
            panic!("no group")
        };
        world.until("the invitation arrives with the title", |world| {
            world.has_event(BOB, |event| {
                matches!(event, EventBody::RequestReceived { conversation, name, .. }
                    if *conversation == chat && *name == title)
            })
        });
        let accept = Command::AcceptRequest { conversation: chat };
        assert_eq!(world.ask(BOB, accept), Ok(Reply::Done));
        world.until("the group is ready", |world| world.is_ready(BOB, chat));
        world.say(ALICE, chat, "under that name");
        world.settle(&[ALICE, BOB], chat, 1);
        let info = Command::ConversationInfo { conversation: chat };
        let Ok(Reply::Info(info)) = world.ask(BOB, info) else {
            panic!("no profile")
        };
        assert_eq!(info["title"], title);
        world.verify(BOB, chat);
    }
}

#[test]
fn texts_of_every_script_come_as_they_were_written_and_limits_are_said() {
    let (mut world, chat) = World::talking(2);
    let texts = [
        "سلام، چطوری؟ می‌خواهم",
        "שלום \u{202e}abc\u{202c}",
        "👩‍👩‍👧‍👦 🏳️‍🌈 🇮🇷 e\u{301}",
        "漢字かな交じり文 𠜎𠜱",
        "\u{1}\u{1f}\u{7f} control \u{feff} \u{2028}",
    ];
    for text in texts {
        world.say(ALICE, chat, text);
    }
    let longest = "ش".repeat(128 * 1024);
    world.say(ALICE, chat, &longest);
    world.settle(&[ALICE, BOB], chat, 6);
    for host in [ALICE, BOB] {
        let page = page(&mut world, host, chat);
        assert!(page.entries[0].cut);
        let shown: Vec<&str> = page.entries[1..6]
            .iter()
            .rev()
            .map(|it| it.body.as_str())
            .collect();
        assert_eq!(shown, texts);
    }
    let command = Command::SendMessage {
        conversation: chat,
        body: format!("{longest}x"),
        reply_to: None,
    };
    let Err(CommandError::Invalid(text)) = world.ask(ALICE, command) else {
        panic!("sent")
    };
    assert_eq!(text, "the text is longer than 262144 bytes");
}

#[test]
fn a_clock_that_is_years_wrong_disturbs_nobody() {
    for (seed, wrong) in [(3, YEARS), (4, -YEARS)] {
        let mut world = World::new(seed);
        world.add("alice");
        world.add("bob");
        world.stop(BOB);
        world.hosts[BOB].clock = wrong;
        world.start(BOB);
        let chat = world.connect(BOB, ALICE);
        let mut said = Vec::new();
        for number in 0..6 {
            let body = format!("number {number}");
            world.say([ALICE, BOB][number % 2], chat, &body);
            said.push(body);
            world.settle(&[ALICE, BOB], chat, number + 1);
        }
        for host in [ALICE, BOB] {
            let page = page(&mut world, host, chat);
            let bodies = page.entries.iter().rev().map(|entry| entry.body.clone());
            let bodies: Vec<String> = bodies.filter(|body| !body.is_empty()).collect();
            assert_eq!(bodies, said, "in the order in which they were said");
            world.verify(host, chat);
        }
        // What was read, and who types.
        let last = world.history(ALICE, chat)[0].id;
        let read = Command::MarkRead {
            conversation: chat,
            message: last,
        };
        assert_eq!(world.ask(BOB, read), Ok(Reply::Done));
        let type_ = Command::SetComposing {
            conversation: chat,
            active: true,
        };
        assert_eq!(world.ask(BOB, type_), Ok(Reply::Done));
        world.until("Alice sees both", |world| {
            world.has_event(
                ALICE,
                |event| matches!(event, EventBody::MessageRead { message, .. } if *message == last),
            ) && world.has_event(ALICE, |event| {
                matches!(event, EventBody::ComposingChanged { active: true, .. })
            })
        });
        // It is set right: everything goes on.
        world.stop(BOB);
        world.say(ALICE, chat, "while you were away");
        world.hosts[BOB].clock = 0;
        world.start(BOB);
        world.say(BOB, chat, "in time");
        world.settle(&[ALICE, BOB], chat, 8);
        for host in [ALICE, BOB] {
            let page = page(&mut world, host, chat);
            assert!(["in time", "while you were away"].contains(&page.entries[0].body.as_str()));
            world.verify(host, chat);
        }
    }
}

#[test]
fn a_request_written_with_a_wrong_clock_is_still_sent_when_it_is_right() {
    for (seed, wrong) in [(5, YEARS), (6, -YEARS)] {
        let mut world = World::new(seed);
        world.add("alice");
        world.add("bob");
        world.stop(BOB);
        world.stop(ALICE);
        world.hosts[ALICE].clock = wrong;
        world.start(ALICE);
        let bob = world.id(BOB);
        let ask = Command::SendRequest {
            to: bob,
            text: String::new(),
        };
        assert!(world.ask(ALICE, ask).is_ok());
        world.run(Duration::from_secs(120));
        world.kill(ALICE);
        world.hosts[ALICE].clock = 0;
        world.start(ALICE);
        world.start(BOB);
        world.until("the request arrives", |world| {
            world.has_event(BOB, |event| {
                matches!(event, EventBody::RequestReceived { .. })
            })
        });
    }
}
