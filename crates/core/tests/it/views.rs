//! The history as people see it: folded, in pages, unread, searched.

use std::time::Duration;

use baraza_core::command::{self, GroupMode, Pending};
use baraza_core::view::{Entry, EntryKind, Page, PageAt, Search, SearchKind, Status};
use baraza_core::{Command, CommandError, ProfileChange, Reply};
use baraza_wire::{CommitId, ConversationId};

use crate::world::World;

const ALICE: usize = 0;
const BOB: usize = 1;

fn page(world: &mut World, host: usize, chat: ConversationId, at: PageAt, count: usize) -> Page {
    let command = Command::View {
        conversation: chat,
        at,
        count,
    };
    match world.ask(host, command) {
        Ok(Reply::View(page)) => page,
        other => panic!("{other:?}"),
    }
}

/// Everything, newest first.
fn view(world: &mut World, host: usize, chat: ConversationId) -> Vec<Entry> {
    page(world, host, chat, PageAt::Newest, 1000).entries
}

fn entry(world: &mut World, host: usize, chat: ConversationId, id: CommitId) -> Entry {
    let entries = view(world, host, chat).into_iter();
    entries
        .filter(|entry| entry.id == id)
        .collect::<Vec<_>>()
        .remove(0)
}

fn texts(page: &Page) -> Vec<&str> {
    let entries = page.entries.iter();
    entries
        .filter(|entry| entry.kind == EntryKind::Text)
        .map(|entry| entry.body.as_str())
        .collect()
}

fn written(world: &mut World, host: usize, command: Command) -> CommitId {
    match world.ask(host, command) {
        Ok(Reply::Message(id)) => id,
        other => panic!("{other:?}"),
    }
}

fn edit(
    world: &mut World,
    host: usize,
    chat: ConversationId,
    of: CommitId,
    body: &str,
) -> CommitId {
    let command = Command::EditMessage {
        conversation: chat,
        message: of,
        body: body.into(),
    };
    written(world, host, command)
}

fn react(
    world: &mut World,
    host: usize,
    chat: ConversationId,
    to: CommitId,
    emoji: &str,
) -> CommitId {
    let command = Command::React {
        conversation: chat,
        message: to,
        emoji: emoji.into(),
    };
    written(world, host, command)
}

fn listed(world: &mut World, host: usize, chat: ConversationId) -> command::Conversation {
    match world.ask(host, Command::Conversations) {
        Ok(Reply::Conversations(list)) => list.into_iter().find(|one| one.id == chat).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Both hosts have these commits.
fn both_have(world: &mut World, chat: ConversationId, ids: &[CommitId]) {
    world.until("both have all", |world| {
        [ALICE, BOB].iter().all(|host| {
            let history = world.history(*host, chat);
            ids.iter().all(|id| history.iter().any(|it| it.id == *id))
        })
    });
}

fn search(world: &mut World, host: usize, text: &str) -> Vec<String> {
    let search = Search {
        text: text.into(),
        count: 50,
        ..Search::default()
    };
    found(world, host, search)
}

fn found(world: &mut World, host: usize, search: Search) -> Vec<String> {
    match world.ask(host, Command::Search(search)) {
        Ok(Reply::Found(page)) => {
            assert!(page.complete);
            let found = page.found.iter();
            found
                .map(|it| format!("{}[{}]{}", it.before, it.found, it.after))
                .collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn edits_reactions_and_deletions_are_part_of_what_they_are_of() {
    let (mut world, chat) = World::talking(1);
    let first = world.say(ALICE, chat, "frist");
    let gone = world.say(ALICE, chat, "a mistake");
    both_have(&mut world, chat, &[first, gone]);
    let thumb = react(&mut world, BOB, chat, first, "👍");
    let heart = react(&mut world, BOB, chat, first, "❤");
    react(&mut world, ALICE, chat, first, "👍");
    edit(&mut world, ALICE, chat, first, "first?");
    let newest = edit(&mut world, ALICE, chat, first, "first");
    let deletion = edit(&mut world, ALICE, chat, gone, "");
    let back = edit(&mut world, BOB, chat, heart, "");
    both_have(&mut world, chat, &[newest, deletion, back, thumb]);
    for host in [ALICE, BOB] {
        let entries = view(&mut world, host, chat);
        let kinds: Vec<EntryKind> = entries.iter().map(|entry| entry.kind).collect();
        let wanted = [
            EntryKind::Text,
            EntryKind::Text,
            EntryKind::Member,
            EntryKind::Begin,
        ];
        assert_eq!(kinds, wanted);
        assert!(entries[0].deleted && entries[0].body.is_empty());
        assert_eq!(entries[0].editions[0].body, "a mistake");
        let text = &entries[1];
        assert_eq!((text.id, text.body.as_str()), (first, "first"));
        assert!(text.edited && !text.deleted);
        let older: Vec<&str> = text.editions.iter().map(|it| it.body.as_str()).collect();
        assert_eq!(older, ["first?", "frist"]);
        assert_eq!(text.reaction_counts, [("👍".to_owned(), 2)]);
        assert!(text.reactions.iter().any(|it| it.id == thumb));
        assert!(text.reactions.iter().all(|it| it.id != heart));
        assert_eq!(entries[2].text, format!("{} joined", world.id(BOB)));
        // The raw history has all of it.
        let raw = world.history(host, chat);
        assert!(raw.iter().any(|it| it.id == newest) && raw.iter().any(|it| it.id == heart));
    }
    // The same after a start, and when the index has to be made anew.
    let before = view(&mut world, BOB, chat);
    world.kill(BOB);
    world.start(BOB);
    assert_eq!(view(&mut world, BOB, chat), before);
}

#[test]
fn it_says_how_far_a_message_has_got_to_whom() {
    let (mut world, chat) = World::talking(2);
    let early = world.say(ALICE, chat, "early");
    world.settle(&[ALICE, BOB], chat, 1);
    world.cut(BOB, true);
    world.run(Duration::from_secs(2));
    let late = world.say(ALICE, chat, "late");
    let status = |world: &mut World, id| entry(world, ALICE, chat, id).status[0].1;
    assert_eq!(status(&mut world, early), Status::Sent);
    assert_eq!(status(&mut world, late), Status::Sending);
    world.cut(BOB, false);
    world.settle(&[ALICE, BOB], chat, 2);
    world.until("it is known to have arrived", |world| {
        status(world, late) == Status::Sent
    });
    let read = Command::MarkRead {
        conversation: chat,
        message: late,
    };
    assert_eq!(world.ask(BOB, read), Ok(Reply::Done));
    world.until("it is read", |world| {
        status(world, late) == Status::Displayed
    });
    assert_eq!(status(&mut world, early), Status::Displayed);
    let counts = entry(&mut world, ALICE, chat, late).status_counts;
    assert_eq!((counts.sending, counts.sent, counts.displayed), (0, 0, 1));
}

#[test]
fn pages_go_both_ways_and_around_a_message() {
    let (mut world, chat) = World::talking(3);
    let mut ids = Vec::new();
    for number in 0..30 {
        let id = world.say(ALICE, chat, &format!("text {number}"));
        // What is not shown does not take room on a page.
        react(&mut world, ALICE, chat, id, "👍");
        edit(&mut world, ALICE, chat, id, &format!("better {number}"));
        ids.push(id);
    }
    // Down and up again, each once.
    let mut down: Vec<String> = Vec::new();
    let mut at = PageAt::Newest;
    loop {
        let page = page(&mut world, ALICE, chat, at, 7);
        assert!(page.entries.len() <= 7);
        down.extend(texts(&page).iter().map(|text| (*text).to_owned()));
        match page.older {
            Some(older) => at = PageAt::Before(older),
            None => break,
        }
    }
    let wanted: Vec<String> = (0..30)
        .rev()
        .map(|number| format!("better {number}"))
        .collect();
    assert_eq!(down, wanted);
    let mut up: Vec<String> = Vec::new();
    let mut at = PageAt::After(ids[0]);
    loop {
        let page = page(&mut world, ALICE, chat, at, 7);
        up.extend(texts(&page).iter().rev().map(|text| (*text).to_owned()));
        match page.newer {
            Some(newer) => at = PageAt::After(newer),
            None => break,
        }
    }
    let wanted: Vec<String> = (1..30).map(|number| format!("better {number}")).collect();
    assert_eq!(up, wanted);
    // Around a message, or around what edits it.
    let around = page(&mut world, ALICE, chat, PageAt::Around(ids[10]), 5);
    let wanted = [
        "better 12",
        "better 11",
        "better 10",
        "better 9",
        "better 8",
    ];
    assert_eq!(texts(&around), wanted);
    assert!(around.older.is_some() && around.newer.is_some());
    let raw = world.history(ALICE, chat);
    let edit = raw.iter().find(|it| it.body() == "better 10").unwrap().id;
    let same = page(&mut world, ALICE, chat, PageAt::Around(edit), 5);
    assert_eq!(texts(&same), wanted);
    let nothing = Command::View {
        conversation: chat,
        at: PageAt::Around(CommitId::new([9; 20])),
        count: 5,
    };
    assert_eq!(world.ask(ALICE, nothing), Err(CommandError::NoSuchMessage));
}

#[test]
fn what_is_unread_is_counted_as_it_comes_and_as_it_is_read() {
    let (mut world, chat) = World::talking(4);
    let ids: Vec<CommitId> = (0..5)
        .map(|n| world.say(ALICE, chat, &format!("{n}")))
        .collect();
    let own = world.say(BOB, chat, "of mine");
    react(&mut world, ALICE, chat, ids[0], "👍");
    world.settle(&[ALICE, BOB], chat, 7);
    let unread = |world: &mut World| listed(world, BOB, chat).unread;
    assert_eq!(unread(&mut world), 5);
    assert_eq!(listed(&mut world, BOB, chat).first_unread, Some(ids[0]));
    let newest = listed(&mut world, BOB, chat).newest.unwrap();
    assert!(newest.id == own || newest.id == ids[4], "{newest:?}");
    // Taken back before it was read.
    edit(&mut world, ALICE, chat, ids[4], "");
    world.until("one less", |world| unread(world) == 4);
    let read = |world: &mut World, message| {
        let command = Command::MarkRead {
            conversation: chat,
            message,
        };
        assert_eq!(world.ask(BOB, command), Ok(Reply::Done));
    };
    read(&mut world, ids[1]);
    assert_eq!(unread(&mut world), 2);
    let first = page(&mut world, BOB, chat, PageAt::FirstUnread, 3);
    assert_eq!(first.first_unread, Some(ids[2]));
    assert!(first.entries.iter().any(|entry| entry.id == ids[2]));
    // Back, as nothing says that one may not read it again; and over a crash.
    read(&mut world, ids[0]);
    assert_eq!(unread(&mut world), 3);
    world.kill(BOB);
    world.start(BOB);
    assert_eq!(unread(&mut world), 3);
    read(&mut world, ids[3]);
    assert_eq!(unread(&mut world), 0);
    assert_eq!(listed(&mut world, BOB, chat).first_unread, None);
    assert_eq!(
        listed(&mut world, ALICE, chat).unread,
        1,
        "Bob's, not Alice's own"
    );
}

#[test]
fn search_finds_the_newest_wording_and_nothing_that_is_deleted() {
    let (mut world, chat) = World::talking(5);
    let wrong = world.say(ALICE, chat, "Meet me at the Café, wrong day");
    let secret = world.say(ALICE, chat, "the secret is out");
    world.say(BOB, chat, "من كتاب می‌خواهم");
    world.say(BOB, chat, "明日は東京で会いましょう");
    world.say(BOB, chat, "good 👍🏽 idea");
    world.settle(&[ALICE, BOB], chat, 5);
    edit(
        &mut world,
        ALICE,
        chat,
        wrong,
        "Meet me at the Café, Sunday",
    );
    let deletion = edit(&mut world, ALICE, chat, secret, "");
    both_have(&mut world, chat, &[deletion]);
    for host in [ALICE, BOB] {
        assert_eq!(
            search(&mut world, host, "cafe"),
            ["Meet me at the [Café], Sunday"]
        );
        assert_eq!(search(&mut world, host, "sunday MEET").len(), 1);
        assert!(search(&mut world, host, "wrong").is_empty());
        assert!(search(&mut world, host, "secret").is_empty());
        assert_eq!(search(&mut world, host, "کتاب").len(), 1);
        assert_eq!(search(&mut world, host, "میخواهم").len(), 1);
        assert_eq!(search(&mut world, host, "東京").len(), 1);
        assert!(search(&mut world, host, "京東").is_empty());
        assert_eq!(search(&mut world, host, "👍").len(), 1);
        assert_eq!(search(&mut world, host, "\"at the cafe\"").len(), 1);
        assert!(search(&mut world, host, "\"the at\"").is_empty());
        assert_eq!(search(&mut world, host, "sund*").len(), 1);
        assert!(search(&mut world, host, "sund").is_empty());
        for odd in ["\"", "*", "AND", "NEAR(", "text:cafe", "-", "a\"b\"c*\""] {
            search(&mut world, host, odd);
        }
    }
    let bob = world.id(BOB);
    let of_bob = Search {
        author: Some(bob),
        count: 50,
        ..Search::default()
    };
    assert_eq!(found(&mut world, ALICE, of_bob.clone()).len(), 3);
    let other = Search {
        text: "cafe".into(),
        ..of_bob.clone()
    };
    assert!(found(&mut world, ALICE, other).is_empty());
    let now = world.now.unix.secs();
    for (after, before, count) in [
        (Some(now - 3600), Some(now + 60), 3),
        (Some(now + 60), None, 0),
        (None, Some(now - 3600), 0),
    ] {
        let search = Search {
            after,
            before,
            ..of_bob.clone()
        };
        assert_eq!(found(&mut world, ALICE, search).len(), count);
    }
    let files = Search {
        kinds: vec![SearchKind::File],
        ..of_bob.clone()
    };
    assert!(found(&mut world, ALICE, files).is_empty());
    // In pages.
    let first = Search {
        count: 2,
        conversation: Some(chat),
        ..of_bob
    };
    let Ok(Reply::Found(page)) = world.ask(ALICE, Command::Search(first.clone())) else {
        panic!("nothing found")
    };
    assert_eq!(page.found.len(), 2);
    let second = Search {
        below: page.next,
        ..first
    };
    assert_eq!(found(&mut world, ALICE, second).len(), 1);
}

#[test]
fn views_of_an_older_version_are_made_in_steps_and_are_the_same() {
    let (mut world, chat) = World::talking(6);
    let ids: Vec<CommitId> = (0..150)
        .map(|number| world.say(ALICE, chat, &format!("number {number}")))
        .collect();
    world.settle(&[ALICE, BOB], chat, 150);
    for (number, id) in ids.iter().enumerate().step_by(10) {
        react(&mut world, BOB, chat, *id, "👍");
        edit(&mut world, ALICE, chat, *id, &format!("round {number}"));
    }
    world.settle(&[ALICE, BOB], chat, 165);
    let last = ids.last().copied();
    let read = Command::MarkRead {
        conversation: chat,
        message: last.unwrap(),
    };
    assert_eq!(world.ask(ALICE, read), Ok(Reply::Done));
    world.say(ALICE, chat, "after");
    world.say_when_ready(BOB, chat, "unread");
    world.settle(&[ALICE, BOB], chat, 152 + 15);
    let (before, count) = (
        view(&mut world, ALICE, chat),
        listed(&mut world, ALICE, chat),
    );
    world.stop(ALICE);
    let database = world.hosts[ALICE].directory.join("node.db");
    let store = baraza_store::Store::open(database, baraza_store::Durability::Process).unwrap();
    let forget = "DELETE FROM entries; DELETE FROM refs; DELETE FROM views;";
    store.raw().execute_batch(forget).unwrap();
    drop(store);
    world.start(ALICE);
    // New messages come meanwhile.
    world.say(ALICE, chat, "new");
    world.until("all is there again", |world| {
        let search = Search {
            text: "round".into(),
            count: 50,
            ..Search::default()
        };
        matches!(world.ask(ALICE, Command::Search(search)),
            Ok(Reply::Found(page)) if page.complete && page.found.len() == 15)
    });
    let after = view(&mut world, ALICE, chat);
    assert_eq!(after[0].body, "new");
    let bodies = |entries: &[Entry]| -> Vec<(CommitId, String, u64)> {
        let entries = entries.iter();
        entries
            .map(|it| {
                let reactions = it.reaction_counts.iter().map(|(_, count)| count).sum();
                (it.id, it.body.clone(), reactions)
            })
            .collect()
    };
    assert_eq!(bodies(&after[1..]), bodies(&before));
    assert_eq!(listed(&mut world, ALICE, chat).unread, count.unread);
    assert_eq!(count.unread, 1);
}

#[test]
fn groups_of_every_mode_work_and_documents_are_refused_as_such() {
    let mut world = World::pair(7);
    for mode in [GroupMode::AdminInvitesOnly, GroupMode::Public] {
        let command = Command::CreateGroup {
            mode,
            profile: ProfileChange::default(),
            members: vec![world.id(BOB)],
        };
        let Ok(Reply::Conversation(chat)) = world.ask(ALICE, command) else {
            panic!("no group")
        };
        world.until("the invitation arrives", |world| {
            matches!(world.ask(BOB, Command::Requests),
                Ok(Reply::Requests(list)) if list.iter().any(|it| it.conversation == chat))
        });
        let accept = Command::AcceptRequest { conversation: chat };
        assert_eq!(world.ask(BOB, accept), Ok(Reply::Done));
        world.until("the group is ready", |world| world.is_ready(BOB, chat));
        let number = listed(&mut world, BOB, chat).mode;
        assert_eq!(number, if mode == GroupMode::Public { 3 } else { 1 });
        world.say(BOB, chat, "hello");
        world.settle(&[ALICE, BOB], chat, 1);
    }
}

#[test]
fn it_says_what_a_message_waits_for() {
    let mut world = World::pair(8);
    let chat = world.request(ALICE, BOB);
    let first = world.say(ALICE, chat, "before you are here");
    let delivery = |world: &mut World, message| {
        let command = Command::DeliveryStatus {
            conversation: chat,
            message: Some(message),
        };
        match world.ask(ALICE, command) {
            Ok(Reply::Delivery(mut list)) => list.remove(0),
            other => panic!("{other:?}"),
        }
    };
    let pending = delivery(&mut world, first).pending;
    assert_eq!(pending, Some(Pending::NotJoined));
    let accept = Command::AcceptRequest { conversation: chat };
    assert_eq!(world.ask(BOB, accept), Ok(Reply::Done));
    world.until("it arrives", |world| delivery(world, first).delivered);
    assert_eq!(delivery(&mut world, first).pending, None);
    let read = Command::MarkRead {
        conversation: chat,
        message: first,
    };
    assert_eq!(world.ask(BOB, read), Ok(Reply::Done));
    world.until("it is read", |world| delivery(world, first).read);
    // Away, but still announced for some minutes: told by a note, as it may be of 2023.
    world.stop(BOB);
    world.run(Duration::from_secs(2));
    let second = world.say(ALICE, chat, "where are you?");
    world.run(Duration::from_secs(30));
    let state = delivery(&mut world, second);
    assert!(!state.delivered && !state.read);
    assert_eq!(state.pending, Some(Pending::Unanswered), "{state:?}");
    assert!(
        state.tries > 0 && state.next_try > Some(world.now.unix),
        "{state:?}"
    );
    world.run(Duration::from_secs(1200));
    let state = delivery(&mut world, second);
    assert_eq!(state.pending, Some(Pending::NotFound), "{state:?}");
    assert!(state.next_try > Some(world.now.unix), "{state:?}");
}
