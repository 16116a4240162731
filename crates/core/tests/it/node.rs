//! Whole nodes: real sockets on the loopback interface, real time.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use baraza_core::event::Presence;
use baraza_core::{
    Command, CommandError, Event, EventBody, LocalId, Node, NodeConfig, NodeError, Reply,
};
use baraza_identity::{Archive, Password, testing};
use baraza_wire::{AccountId, ConversationId, Rng};
use tempfile::TempDir;
use tokio::sync::broadcast::Receiver;

pub(crate) struct Person {
    pub(crate) node: Node,
    pub(crate) account: LocalId,
    pub(crate) id: AccountId,
    pub(crate) events: Receiver<Arc<Event>>,
}

pub(crate) async fn open(directory: &Path, bootstrap: Option<&Node>) -> Node {
    let mut config = NodeConfig::new(directory);
    config.loopback = true;
    config.bootstrap = bootstrap
        .map(|node| vec![node.dht_addresses()[0].to_string()])
        .unwrap_or_default();
    Node::open(config).await.unwrap()
}

pub(crate) async fn person(name: &str, directory: &Path, bootstrap: Option<&Node>) -> Person {
    let node = open(directory, bootstrap).await;
    let events = node.subscribe();
    let archive = testing::archive(name);
    let file = archive.write(None, &mut Rng::from_os()).unwrap();
    let account = node
        .import_archive(file, None, name.to_owned(), |_| {})
        .await
        .unwrap();
    Person {
        node,
        account,
        id: archive.account_id(),
        events,
    }
}

impl Person {
    pub(crate) async fn ask(&self, command: Command) -> Reply {
        self.node.command(self.account, command).await.unwrap()
    }

    pub(crate) async fn wait(&mut self, what: &str, is: impl Fn(&EventBody) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(60), async {
            while !is(&self.events.recv().await.unwrap().body) {}
        });
        waited
            .await
            .unwrap_or_else(|_| panic!("in a minute not: {what}"));
    }

    pub(crate) async fn say(&self, chat: ConversationId, body: &str) {
        let command = Command::SendMessage {
            conversation: chat,
            body: body.into(),
            reply_to: None,
        };
        self.ask(command).await;
    }

    pub(crate) async fn hear(&mut self, chat: ConversationId, body: &str) {
        self.wait(body, |event| {
            matches!(event, EventBody::MessageReceived { conversation, message }
                if *conversation == chat && message.body() == body)
        })
        .await;
    }

    pub(crate) async fn texts(&self, chat: ConversationId) -> usize {
        let command = Command::History {
            conversation: chat,
            from: None,
            count: 0,
        };
        match self.ask(command).await {
            Reply::History(messages) => {
                let texts = messages.iter().filter(|it| it.kind == "text/plain");
                texts.count()
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Alice, and Bob, whom she has asked.
pub(crate) async fn asked(directories: &[TempDir; 2]) -> (Person, Person, ConversationId) {
    let mut alice = person("alice", directories[0].path(), None).await;
    let mut bob = person("bob", directories[1].path(), Some(&alice.node)).await;
    for person in [&mut alice, &mut bob] {
        person
            .wait("announced", |event| {
                matches!(event, EventBody::DeviceAnnounced)
            })
            .await;
    }
    let ask = Command::SendRequest {
        to: bob.id,
        text: String::new(),
    };
    let Reply::Conversation(chat) = alice.ask(ask).await else {
        panic!("no conversation");
    };
    bob.wait("a request", |event| {
        matches!(event, EventBody::RequestReceived { conversation, .. } if *conversation == chat)
    })
    .await;
    (alice, bob, chat)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_meet_talk_restart_and_talk_on() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (mut alice, mut bob, chat) = asked(&directories).await;
    bob.ask(Command::AcceptRequest { conversation: chat }).await;
    alice
        .wait("bob joins", |event| {
            matches!(event, EventBody::MemberEvent { .. })
        })
        .await;
    let mut times = Vec::new();
    for turn in 0..20 {
        let body = format!("turn {turn}");
        let (from, to) = match turn % 2 {
            0 => (&alice, &mut bob),
            _ => (&bob, &mut alice),
        };
        let start = Instant::now();
        let ((), ()) = tokio::join!(from.say(chat, &body), to.hear(chat, &body));
        times.push(start.elapsed());
    }
    times.sort();
    eprintln!("median {:?}, all {times:?}", times[times.len() / 2]);

    // The events were written, too.
    let page = bob.node.events_since(0, 10_000).await.unwrap();
    assert!(!page.more && page.next == bob.node.cursor());
    let received = |event: &&Event| matches!(event.body, EventBody::MessageReceived { .. });
    assert!(page.events.iter().filter(received).count() >= 20);

    // Bob is away while Alice writes.
    bob.node.shutdown().await;
    let gone = bob.node.command(bob.account, Command::Identity).await;
    assert_eq!(gone, Err(CommandError::Stopped));
    alice.say(chat, "while you were away").await;
    let node = open(directories[1].path(), Some(&alice.node)).await;
    assert_eq!(node.accounts()[0].account, bob.account);
    bob.events = node.subscribe();
    bob.node = node;
    // It may have come before there was somebody to hear of it.
    let deadline = Instant::now() + Duration::from_secs(60);
    while bob.texts(chat).await < 21 {
        assert!(Instant::now() < deadline, "the message arrives");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bob.say(chat, "here I am").await;
    alice.hear(chat, "here I am").await;
    assert_eq!(alice.texts(chat).await, 22);
    alice.node.shutdown().await;
    bob.node.shutdown().await;

    // Without the database nothing is lost but names and what was read.
    for file in ["node.db", "node.db-wal", "node.db-shm"] {
        let _ = std::fs::remove_file(directories[1].path().join(file));
    }
    let node = open(directories[1].path(), None).await;
    assert_eq!(node.accounts()[0].account, bob.account);
    bob.node = node;
    assert_eq!(bob.texts(chat).await, 22);
    match bob.ask(Command::Contacts).await {
        Reply::Contacts(contacts) => {
            assert_eq!(contacts.len(), 1);
            assert!(contacts[0].confirmed && contacts[0].conversation == Some(chat));
        }
        other => panic!("{other:?}"),
    }
    bob.node.shutdown().await;
}

/// On another thread, as it is large.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_packs_are_cloned_and_fetched() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (mut alice, mut bob, chat) = asked(&directories).await;
    let mut rng = Rng::from_seed(5);
    let mut letters = |count: usize| -> String {
        let letter = |_| char::from(b'!' + u8::try_from(rng.range(0..90)).unwrap());
        (0..count).map(letter).collect()
    };
    let texts = [letters(200_000), letters(200_000)];
    alice.say(chat, &texts[0]).await;
    bob.ask(Command::AcceptRequest { conversation: chat }).await;
    bob.wait("the conversation is ready", |event| {
        matches!(event, EventBody::ConversationReady { conversation } if *conversation == chat)
    })
    .await;
    assert_eq!(bob.texts(chat).await, 1);
    alice.say(chat, &texts[1]).await;
    bob.hear(chat, &texts[1]).await;
    bob.say(chat, "a lot").await;
    alice.hear(chat, "a lot").await;
    alice.node.shutdown().await;
    bob.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_are_made_exported_imported_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let node = open(directory.path(), None).await;
    let other = NodeConfig::new(directory.path());
    assert!(matches!(Node::open(other).await, Err(NodeError::InUse(_))));
    let password = Password::new("a password");
    let account = node
        .create_account("Alice".into(), Some(password.clone()), |_| {})
        .await
        .unwrap();
    let Ok(Reply::Identity(identity)) = node.command(account, Command::Identity).await else {
        panic!("no identity");
    };
    assert_eq!(identity.display_name, "Alice");
    let wrong = Some(Password::new("another"));
    let error = node.export_archive(account, wrong, None).await;
    assert!(matches!(error, Err(NodeError::WrongPassword)));
    let file = node
        .export_archive(account, Some(password), None)
        .await
        .unwrap();
    let again = node.import_archive(file.clone(), None, String::new(), |_| {});
    assert!(matches!(again.await, Err(NodeError::Exists(id)) if id == identity.jami_id));
    node.remove_account(account).await.unwrap();
    assert_eq!(node.accounts(), []);
    let account = node
        .import_archive(file, None, "Alice again".into(), |_| {})
        .await
        .unwrap();
    assert_eq!(node.accounts()[0].jami_id, identity.jami_id);
    let Ok(Reply::Identity(new)) = node.command(account, Command::Identity).await else {
        panic!("no identity");
    };
    assert_ne!(new.device_id, identity.device_id);
    node.shutdown().await;
    // What was shut down can be opened again.
    let node = open(directory.path(), None).await;
    assert_eq!(node.accounts()[0].jami_id, identity.jami_id);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_whose_database_failed_runs_again_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let mut alice = person("alice", directory.path(), None).await;
    let raw = rusqlite::Connection::open(directory.path().join("node.db")).unwrap();
    raw.execute_batch(
        "CREATE TRIGGER full BEFORE UPDATE ON accounts
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
    )
    .unwrap();
    let rename = Command::SetDisplayName {
        name: "Alicia".into(),
    };
    let node = alice.node.clone();
    let refused = node.command(alice.account, rename.clone()).await;
    assert!(
        matches!(refused, Err(CommandError::Store(_))),
        "{refused:?}"
    );
    raw.execute_batch("DROP TRIGGER full").unwrap();
    alice.events = node.subscribe();
    alice
        .wait("the account connects again", |event| {
            matches!(
                event,
                EventBody::RegistrationStateChanged {
                    state: baraza_core::event::RegistrationState::Trying,
                    ..
                }
            )
        })
        .await;
    assert_eq!(alice.ask(rename).await, Reply::Done);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_revoked_with_the_archive() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = person("alice", directories[0].path(), None).await;
    let mut second = person("alice", directories[1].path(), Some(&first.node)).await;
    let Reply::Identity(identity) = second.ask(Command::Identity).await else {
        panic!("no identity");
    };
    let id = identity.device_id;
    second
        .wait("the other device of the account", |event| {
            matches!(event, EventBody::DevicesChanged)
        })
        .await;
    // Its certificate is known as soon as it is connected.
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let Reply::Devices(devices) = first.ask(Command::Devices).await else {
            panic!("no devices");
        };
        let other = devices.iter().find(|device| device.id == id);
        if other.is_some_and(|it| it.presence == Presence::Connected && !it.name.is_empty()) {
            break;
        }
        assert!(Instant::now() < deadline, "not connected: {devices:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let wrong = Some(Password::new("no"));
    let revoked = first.node.revoke_device(first.account, wrong, id).await;
    assert!(matches!(revoked, Err(NodeError::Archive(_))), "{revoked:?}");
    let own = first.ask(Command::Identity).await;
    let Reply::Identity(own) = own else {
        panic!("no identity");
    };
    let itself = first
        .node
        .revoke_device(first.account, None, own.device_id)
        .await;
    assert!(matches!(itself, Err(NodeError::NoSuchDevice)));
    first
        .node
        .revoke_device(first.account, None, id)
        .await
        .unwrap();
    second
        .wait(
            "that it was revoked",
            |event| matches!(event, EventBody::DeviceRevoked { device, .. } if *device == id),
        )
        .await;
    // The archive takes it to every device that is made from now on.
    let file = first
        .node
        .export_archive(first.account, None, None)
        .await
        .unwrap();
    let archive = Archive::read(&file, None).unwrap();
    assert_eq!(archive.revocations().revoked().len(), 1);
    first.node.shutdown().await;
    second.node.shutdown().await;
}
