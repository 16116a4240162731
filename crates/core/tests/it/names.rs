//! Registered names: looked up, registered, remembered.

use std::time::Duration;

use baraza_core::names::{NameFound, NameProblem, NameServerChoice, NameSettings};
use baraza_core::{Command, CommandError, EventBody, Reply};
use baraza_identity::testing;
use baraza_names::client::{Failure, Query};
use baraza_names::{Name, Owner, Registration};
use baraza_wire::AccountId;

use crate::world::World;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn choose(world: &mut World, host: usize, choice: NameServerChoice) -> NameSettings {
    let command = Command::ChangeNameSettings {
        server: Some(choice),
        only_signed: None,
    };
    match world.ask(host, command) {
        Ok(Reply::NameSettings(settings)) => settings,
        other => panic!("{other:?}"),
    }
}

fn at(server: &str) -> NameServerChoice {
    NameServerChoice::At(server.into())
}

fn registration(who: &str, name: &str) -> Command {
    let archive = testing::archive(who);
    let owner = Owner::parse(archive.eth_key.as_ref().unwrap().address());
    let name = Name::new(name).unwrap();
    let signed = Registration::sign(&name, &archive.account_key, owner).unwrap();
    Command::RegisterName {
        name,
        registration: Box::new(signed),
    }
}

fn named(reply: Result<Reply, CommandError>) -> Result<NameFound, NameProblem> {
    match reply {
        Ok(Reply::Name(found)) => Ok(found),
        Err(CommandError::Name(problem)) => Err(problem),
        other => panic!("{other:?}"),
    }
}

fn register(world: &mut World, host: usize, name: &str) -> Result<NameFound, NameProblem> {
    let who = world.hosts[host].name;
    named(world.ask(host, registration(who, name)))
}

fn look_up(
    world: &mut World,
    host: usize,
    text: &str,
    fresh: bool,
) -> Result<NameFound, NameProblem> {
    let query = Query::parse(text).unwrap();
    named(world.ask(host, Command::LookUpName { query, fresh }))
}

fn own_name(world: &mut World, host: usize) -> String {
    match world.ask(host, Command::Identity) {
        Ok(Reply::Identity(identity)) => identity.registered_name,
        other => panic!("{other:?}"),
    }
}

/// The names that a host has heard of, in order.
fn heard(world: &World, host: usize) -> Vec<(AccountId, String)> {
    let events = world.hosts[host].events.iter();
    let names = events.filter_map(|event| match &event.body {
        EventBody::NameChanged { id, name, .. } => Some((*id, name.clone())),
        _ => None,
    });
    names.collect()
}

/// Two who use the same server.
fn pair(seed: u64) -> World {
    let mut world = World::pair(seed);
    for host in [0, 1] {
        choose(&mut world, host, at("names.test"));
    }
    world.run(Duration::from_secs(1));
    world.names.requests.clear();
    world
}

#[test]
fn nobody_is_asked_as_long_as_no_server_is_chosen() {
    // The world fails if another server than its own ones is asked.
    let mut world = World::pair(1);
    world.run(DAY);
    let settings = world.ask(0, Command::NameSettings);
    assert_eq!(settings, Ok(Reply::NameSettings(NameSettings::default())));
    let bob = world.id(1);
    for problem in [
        look_up(&mut world, 0, "bob", false).unwrap_err(),
        look_up(&mut world, 0, &bob.to_hex(), true).unwrap_err(),
        register(&mut world, 0, "alice").unwrap_err(),
    ] {
        assert_eq!(
            problem.to_string(),
            "no name server is chosen for this account, so none is asked"
        );
    }
    // One that is typed is chosen by that.
    world.other_names.add_unsigned("bob", &bob);
    let found = look_up(&mut world, 0, "bob@other.test", false).unwrap();
    assert_eq!(found.id, bob);
    assert_eq!(found.server, "https://other.test");
    assert!(!found.signed);
    assert_eq!(world.names.requests, [""; 0]);
    // A choice can be taken back, and outlives the program.
    let chosen = choose(&mut world, 0, at("NAMES.test/"));
    assert_eq!(chosen.server.as_deref(), Some("https://names.test"));
    world.stop(0);
    world.start(0);
    let settings = world.ask(0, Command::NameSettings);
    assert_eq!(settings, Ok(Reply::NameSettings(chosen)));
    assert_eq!(
        choose(&mut world, 0, NameServerChoice::None),
        NameSettings::default()
    );
    let bad = Command::ChangeNameSettings {
        server: Some(at("ftp://names.test")),
        only_signed: None,
    };
    let refused = world.ask(0, bad);
    assert!(
        matches!(&refused, Err(CommandError::Name(NameProblem::Server(_)))),
        "{refused:?}"
    );
}

#[test]
fn the_own_name_is_asked_of_the_server_that_was_chosen_last() {
    let mut world = World::pair(22);
    let alice = world.id(0);
    world.other_names.add_unsigned("alice", &alice);
    // The first has not answered yet.
    choose(&mut world, 0, at("names.test"));
    choose(&mut world, 0, at("other.test"));
    world.run(Duration::from_secs(1));
    assert_eq!(own_name(&mut world, 0), "alice");
    choose(&mut world, 0, at("names.test"));
    world.run(Duration::from_secs(1));
    assert_eq!(own_name(&mut world, 0), "");
}

#[test]
fn a_name_registered_by_one_is_found_by_the_other() {
    let mut world = pair(2);
    let registered = register(&mut world, 0, "alice").unwrap();
    assert_eq!(
        (registered.name.as_str(), registered.id),
        ("alice", world.id(0))
    );
    assert_eq!(own_name(&mut world, 0), "alice");
    assert_eq!(heard(&world, 0), [(world.id(0), "alice".to_owned())]);
    let found = look_up(&mut world, 1, "Alice", false).unwrap();
    assert_eq!(
        (found.id, found.signed, found.cached),
        (world.id(0), true, false)
    );
    // By the ID, too; the name is checked by asking for it.
    let alice = world.id(0);
    let found = look_up(&mut world, 1, &alice.to_hex(), true).unwrap();
    assert_eq!((found.name.as_str(), found.id), ("alice", alice));
    assert_eq!(
        world.names.requests[2..],
        [
            format!("GET /addr/{}", alice.to_hex()),
            "GET /name/alice".into()
        ]
    );
    assert_eq!(heard(&world, 1), [(alice, "alice".to_owned())]);
    // It stays over a restart, without the network.
    world.nameless = true;
    for host in [0, 1] {
        world.stop(host);
        world.start(host);
    }
    assert_eq!(own_name(&mut world, 0), "alice");
    let found = look_up(&mut world, 1, "alice", false).unwrap();
    assert_eq!((found.id, found.cached), (alice, true));
    assert_eq!(
        look_up(&mut world, 1, "alice", true)
            .unwrap_err()
            .to_string(),
        "the name server https://names.test cannot be asked: nothing listens there"
    );
    // What is not there is not remembered.
    world.nameless = false;
    let nobody = look_up(&mut world, 1, "nobody", false).unwrap_err();
    assert_eq!(nobody, NameProblem::Asked(Failure::NotFound));
    world.names.add_unsigned("nobody", &AccountId::new([7; 20]));
    assert!(look_up(&mut world, 1, "nobody", false).is_ok());
}

#[test]
fn registrations_are_refused_in_words() {
    let mut world = pair(3);
    register(&mut world, 0, "alice").unwrap();
    let words =
        |world: &mut World, host, name| register(world, host, name).unwrap_err().to_string();
    assert_eq!(words(&mut world, 1, "alice"), "the name is taken");
    assert_eq!(
        words(&mut world, 0, "alicia"),
        "this account has the name alice already; a name server gives only one"
    );
    assert_eq!(own_name(&mut world, 0), "alice");
    assert_eq!(own_name(&mut world, 1), "");
    // What another account has signed is not even sent.
    let sent = world.names.requests.len();
    let foreign = world.ask(1, registration("alice", "bobby"));
    assert!(
        matches!(foreign, Err(CommandError::Invalid(_))),
        "{foreign:?}"
    );
    assert_eq!(world.names.requests.len(), sent);
    // One after the other.
    let first = world.command(1, registration("bob", "bob"));
    let second = world.command(1, registration("bob", "bobby"));
    world.run(Duration::from_secs(1));
    assert!(named(world.take_reply(1, first).unwrap()).is_ok());
    let refused = named(world.take_reply(1, second).unwrap());
    assert_eq!(refused, Err(NameProblem::Pending));
    assert_eq!(own_name(&mut world, 1), "bob");
}

#[test]
fn a_server_that_lies_is_caught() {
    let mut world = pair(4);
    let (alice, eve) = (world.id(0), AccountId::new([6; 20]));
    register(&mut world, 0, "alice").unwrap();
    // It says that an account has a name that is another's.
    world.names.add_unsigned("mallory", &eve);
    world.names.names.get_mut("mallory").unwrap().addr = String::new();
    let record = world.names.names["alice"].clone();
    world.names.names.insert("allie".into(), record);
    let problem = look_up(&mut world, 1, "allie", false)
        .unwrap_err()
        .to_string();
    assert_eq!(
        problem,
        "the name server https://names.test gave an answer that is not true: the signature \
         over the name is wrong"
    );
    world.names.names.remove("allie");
    world.names.names.remove("mallory");
    world.names.add_unsigned("eve", &eve);
    let name = eve.to_hex();
    let path = format!("/addr/{name}");
    let (status, body) = world.names.answer("GET", &path, b"");
    assert_eq!((status, body.as_str()), (200, r#"{"name":"eve"}"#));
    world.names.instead = Some((200, r#"{"name":"alice"}"#.into()));
    let request = world.command(
        1,
        Command::LookUpName {
            query: Query::Id(eve),
            fresh: true,
        },
    );
    world.names.instead = None;
    world.run(Duration::from_secs(1));
    let problem = named(world.take_reply(1, request).unwrap()).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "the name server https://names.test gave an answer that is not true: it calls this \
         account alice, but that name is not its own"
    );
    // What it said of the name is true, and known now.
    assert_eq!(look_up(&mut world, 1, "alice", false).unwrap().id, alice);
    // Unsigned answers are believed, or not.
    assert!(!look_up(&mut world, 1, "eve", false).unwrap().signed);
    let only_signed = Command::ChangeNameSettings {
        server: None,
        only_signed: Some(true),
    };
    world.ask(1, only_signed).unwrap();
    let problem = look_up(&mut world, 1, "eve", false)
        .unwrap_err()
        .to_string();
    assert!(
        problem.contains("without the owner's signature"),
        "{problem}"
    );
    assert!(look_up(&mut world, 1, "alice", true).unwrap().signed);
}

#[test]
fn names_are_asked_for_again_and_contacts_stay_who_they_are() {
    let mut world = pair(5);
    register(&mut world, 1, "bob").unwrap();
    let (bob, other) = (world.id(1), AccountId::new([7; 20]));
    look_up(&mut world, 0, "bob", false).unwrap();
    let contact = world.connect(0, 1);
    let shown = |world: &mut World| match world.ask(0, Command::Contacts).unwrap() {
        Reply::Contacts(contacts) => {
            let one = contacts.into_iter().next().unwrap();
            (one.id, one.registered_name, one.conversation)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(shown(&mut world), (bob, "bob".to_owned(), Some(contact)));
    let asked = world.names.asked("GET /name/bob");
    world.run(DAY + Duration::from_secs(7200));
    assert_eq!(world.names.asked("GET /name/bob"), asked + 2, "by both");
    // The directory's owner gives the name to somebody else.
    world.hosts[0].events.clear();
    world.names.names.remove("bob");
    world.names.add_unsigned("bob", &other);
    world.run(DAY + Duration::from_secs(7200));
    assert_eq!(shown(&mut world), (bob, String::new(), Some(contact)));
    assert_eq!(
        heard(&world, 0),
        [(bob, String::new()), (other, "bob".to_owned())]
    );
    assert_eq!(own_name(&mut world, 1), "");
}

#[test]
fn old_answers_serve_at_once_and_are_checked_behind_them() {
    let mut world = pair(6);
    register(&mut world, 1, "bob").unwrap();
    let (bob, other) = (world.id(1), AccountId::new([7; 20]));
    look_up(&mut world, 0, "bob", false).unwrap();
    world.run(DAY + Duration::from_secs(60));
    world.names.names.remove("bob");
    world.names.add_unsigned("bob", &other);
    let found = look_up(&mut world, 0, "bob", false).unwrap();
    assert_eq!((found.id, found.cached), (bob, true));
    world.run(Duration::from_secs(1));
    assert_eq!(look_up(&mut world, 0, "bob", false).unwrap().id, other);
}

#[test]
fn names_that_the_account_got_elsewhere_are_found_out() {
    let mut world = World::pair(7);
    let alice = world.id(0);
    world.names.add_unsigned("alice", &alice);
    world.names.add_unsigned("alicia", &world.id(1));
    assert_eq!(own_name(&mut world, 0), "");
    // As soon as there is a server, and at each start.
    choose(&mut world, 0, at("names.test"));
    world.run(Duration::from_secs(1));
    assert_eq!(own_name(&mut world, 0), "alice");
    assert_eq!(heard(&world, 0), [(alice, "alice".to_owned())]);
    // Another server knows no name of it.
    choose(&mut world, 0, at("other.test"));
    assert_eq!(own_name(&mut world, 0), "");
    choose(&mut world, 0, at("names.test"));
    assert_eq!(own_name(&mut world, 0), "alice");
    // A name that is said to be gone stays for a day: servers write slowly.
    world.names.names.remove("alice");
    world.stop(0);
    world.start(0);
    world.run(Duration::from_secs(60));
    assert_eq!(own_name(&mut world, 0), "alice");
    world.run(2 * DAY);
    assert_eq!(own_name(&mut world, 0), "");
}

#[test]
fn contacts_of_other_servers_are_shown_with_them() {
    let mut world = pair(8);
    let bob = world.id(1);
    world.other_names.add_unsigned("bobby", &bob);
    look_up(&mut world, 0, "bobby@other.test", false).unwrap();
    let name = "Bob the Builder".to_owned();
    world
        .ask(1, Command::SetDisplayName { name: name.clone() })
        .unwrap();
    world.connect(0, 1);
    world.run(Duration::from_secs(60));
    let Ok(Reply::Contacts(contacts)) = world.ask(0, Command::Contacts) else {
        panic!("no contacts");
    };
    assert_eq!(contacts[0].registered_name, "bobby@other.test");
    assert_eq!(contacts[0].name, name);
}
