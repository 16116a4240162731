//! How an account gets to a new device, its password, and how it leaves: whole nodes on the
//! loopback interface.

use std::path::Path;
use std::time::Duration;

use baraza_core::command::Contact;
use baraza_core::event::{MemberChange, Presence, RegistrationState};
use baraza_core::link_device::{LinkError, LinkState, LinkStatus, LinkToken};
use baraza_core::{
    Command, CommandError, EventBody, LocalId, Node, NodeError, ProfileChange, Reply,
};
use baraza_dht::driver::DriverConfig;
use baraza_dht::{Command as DhtCommand, Event as DhtEvent, OpId, Value};
use baraza_identity::pin::Pin;
use baraza_identity::{Archive, Password, testing};
use baraza_wire::{ConversationId, InfoHash, Rng, UnixTime};
use tokio::sync::watch;

use crate::node::{Person, asked, open, person};

fn now() -> UnixTime {
    UnixTime::from_system(std::time::SystemTime::now())
}

fn secret(text: &str) -> Option<Password> {
    Some(Password::new(text))
}

async fn contacts(node: &Node, account: LocalId) -> Vec<Contact> {
    match node.command(account, Command::Contacts).await.unwrap() {
        Reply::Contacts(contacts) => contacts,
        other => panic!("{other:?}"),
    }
}

/// The files under a directory, by their names.
fn entries(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Puts values under a key, from a node of its own.
async fn put(through: &Node, key: InfoHash, values: Vec<Vec<u8>>) {
    let mut config = DriverConfig::loopback();
    config.bootstrap = vec![through.dht_addresses()[0].to_string()];
    let dht = baraza_dht::driver::start(config).unwrap();
    let connected = baraza_dht::Status::Connected;
    dht.status()
        .wait_for(|(v4, _)| *v4 == connected)
        .await
        .unwrap();
    let (client, mut events) = dht.client(64).await.unwrap();
    for (op, data) in values.into_iter().enumerate() {
        let put = DhtCommand::Put {
            op: OpId(op as u64),
            key,
            value: Value::new(0, data).with_random_id(&mut Rng::from_os()),
            permanent: false,
        };
        client.send(put).await.unwrap();
        loop {
            if let Some(DhtEvent::Done { result, .. }) = events.recv().await {
                result.unwrap();
                break;
            }
        }
    }
    dht.shutdown().await;
}

async fn talk(alice: &mut Person, bob: &mut Person, chat: ConversationId) {
    bob.ask(Command::AcceptRequest { conversation: chat }).await;
    alice
        .wait("bob joins", |event| {
            matches!(event, EventBody::MemberEvent { .. })
        })
        .await;
    alice.say(chat, "before the new device").await;
    bob.hear(chat, "before the new device").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_brings_an_account_to_a_new_device() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (mut alice, mut bob, chat) = asked(&directories).await;
    talk(&mut alice, &mut bob, chat).await;
    let node = alice.node.clone();
    node.change_password(alice.account, None, secret("of Alice"))
        .await
        .unwrap();
    let needed = node.export_pin(alice.account, None).await;
    assert!(
        matches!(needed, Err(NodeError::PasswordNeeded)),
        "{needed:?}"
    );
    let wrong = node.export_pin(alice.account, secret("of Bob")).await;
    assert!(matches!(wrong, Err(NodeError::WrongPassword)), "{wrong:?}");
    let offer = node
        .export_pin(alice.account, secret("of Alice"))
        .await
        .unwrap();
    assert!(offer.has_password);
    let lasts = offer.expires.saturating_since(now());
    assert!(lasts > Duration::from_secs(590) && lasts <= Duration::from_secs(600));

    // Somebody fills the place with other things.
    let place = offer
        .pin
        .exchange(&Password::new("of Alice"), now())
        .unwrap();
    let foreign = testing::archive("carol");
    let other_key = Pin::generate(&mut Rng::from_seed(1))
        .exchange(&Password::new(""), now())
        .unwrap();
    let garbage = vec![
        Vec::new(),
        vec![0; 28],
        Rng::from_seed(2).bytes::<1000>().to_vec(),
        vec![7; 60_000],
        other_key.seal(&foreign, &mut Rng::from_seed(3)).unwrap(),
        foreign.write(None, &mut Rng::from_seed(4)).unwrap(),
    ];
    put(&bob.node, place.location(), garbage).await;

    let home = tempfile::tempdir().unwrap();
    let new = open(home.path(), Some(&bob.node)).await;
    let mistyped: Pin = "00000000".parse().unwrap();
    let nothing = new.find_by_pin(mistyped, secret("of Alice")).await;
    assert!(
        matches!(nothing, Err(NodeError::NothingUnderPin)),
        "{nothing:?}"
    );
    let wrong = new.find_by_pin(offer.pin.clone(), secret("of Bob")).await;
    assert!(
        matches!(wrong, Err(NodeError::NothingUnderPin)),
        "{wrong:?}"
    );
    assert_eq!(entries(&home.path().join("accounts")), [""; 0]);

    let found = new
        .find_by_pin(offer.pin, secret("of Alice"))
        .await
        .unwrap();
    let events = new.subscribe();
    let account = new
        .add_device(found, secret("of Alice"), String::new(), |_| {})
        .await
        .unwrap();
    let mut phone = Person {
        node: new.clone(),
        account,
        id: alice.id,
        events,
    };
    let Reply::Identity(identity) = phone.ask(Command::Identity).await else {
        panic!("no identity");
    };
    assert_eq!(identity.jami_id, alice.id);
    assert_eq!(identity.display_name, "alice");
    let known = contacts(&new, account).await;
    assert_eq!(known.len(), 1);
    assert!(known[0].id == bob.id && known[0].confirmed && known[0].conversation == Some(chat));
    phone
        .wait("the conversation", |event| {
            matches!(event, EventBody::ConversationReady { conversation } if *conversation == chat)
        })
        .await;
    assert_eq!(phone.texts(chat).await, 1);
    bob.say(chat, "to both").await;
    alice.hear(chat, "to both").await;
    phone.hear(chat, "to both").await;
    phone.say(chat, "from the phone").await;
    bob.hear(chat, "from the phone").await;

    // The account has its password here, too.
    assert!(new.has_password(account).await.unwrap());
    let file = new.export_archive(account, secret("of Alice"), None).await;
    let archive = Archive::read(&file.unwrap(), None).unwrap();
    assert_eq!(archive.account_id(), alice.id);
    for node in [&new, &alice.node, &bob.node] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_and_requests_come_to_the_new_device() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (mut alice, mut bob, chat) = asked(&directories).await;
    talk(&mut alice, &mut bob, chat).await;
    let create = Command::CreateGroup {
        mode: baraza_core::command::GroupMode::default(),
        profile: ProfileChange {
            title: Some("The bench".into()),
            ..ProfileChange::default()
        },
        members: vec![bob.id],
    };
    let Reply::Conversation(group) = alice.ask(create).await else {
        panic!("no group");
    };
    bob.wait("the invitation", |event| {
        matches!(event, EventBody::RequestReceived { conversation, .. } if *conversation == group)
    })
    .await;
    bob.ask(Command::AcceptRequest {
        conversation: group,
    })
    .await;
    alice
        .wait("bob joins the group", |event| {
            matches!(event, EventBody::MemberEvent { conversation, change: MemberChange::Joined, .. }
                if *conversation == group)
        })
        .await;
    alice.say(group, "to the group").await;
    bob.hear(group, "to the group").await;
    // Carol's request waits for an answer.
    let home = tempfile::tempdir().unwrap();
    let mut carol = person("carol", home.path(), Some(&bob.node)).await;
    carol
        .wait("announced", |event| {
            matches!(event, EventBody::DeviceAnnounced)
        })
        .await;
    let ask = Command::SendRequest {
        to: alice.id,
        text: String::new(),
    };
    let Reply::Conversation(request) = carol.ask(ask).await else {
        panic!("no conversation");
    };
    alice
        .wait(
            "carol's request",
            |event| matches!(event, EventBody::RequestReceived { from, .. } if *from == carol.id),
        )
        .await;
    let file = alice
        .node
        .export_archive(alice.account, None, None)
        .await
        .unwrap();
    // The first device is gone: the group comes from its other member.
    alice.node.shutdown().await;
    let home = tempfile::tempdir().unwrap();
    let node = open(home.path(), Some(&bob.node)).await;
    let events = node.subscribe();
    let account = node
        .import_archive(file, None, String::new(), |_| {})
        .await
        .unwrap();
    let mut phone = Person {
        node: node.clone(),
        account,
        id: alice.id,
        events,
    };
    phone
        .wait("the group", |event| {
            matches!(event, EventBody::ConversationReady { conversation } if *conversation == group)
        })
        .await;
    assert_eq!(phone.texts(group).await, 1);
    phone.say(group, "from the phone").await;
    bob.hear(group, "from the phone").await;
    let Reply::Requests(requests) = phone.ask(Command::Requests).await else {
        panic!("no requests");
    };
    assert_eq!(requests.len(), 1);
    assert!(requests[0].from == carol.id && requests[0].conversation == request);
    for node in [&node, &bob.node, &carol.node] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_set_changed_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let alice = person("alice", directory.path(), None).await;
    let (node, account) = (alice.node.clone(), alice.account);
    let file = directory
        .path()
        .join("accounts")
        .join(account.to_string())
        .join("archive.gz");
    assert!(!node.has_password(account).await.unwrap());
    node.change_password(account, None, secret("one"))
        .await
        .unwrap();
    assert!(node.has_password(account).await.unwrap());
    let before = std::fs::read(&file).unwrap();
    for (old, needed) in [(secret("two"), false), (None, true)] {
        let refused = node.change_password(account, old, secret("three")).await;
        match refused {
            Err(NodeError::PasswordNeeded) => assert!(needed),
            Err(NodeError::WrongPassword) => assert!(!needed),
            other => panic!("{other:?}"),
        }
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }
    node.change_password(account, secret("one"), secret("two"))
        .await
        .unwrap();
    let now_wrong = node.export_archive(account, secret("one"), None).await;
    assert!(matches!(now_wrong, Err(NodeError::WrongPassword)));
    node.export_archive(account, secret("two"), None)
        .await
        .unwrap();
    node.change_password(account, secret("two"), None)
        .await
        .unwrap();
    assert!(!node.has_password(account).await.unwrap());
    let archive = Archive::read(&std::fs::read(&file).unwrap(), None).unwrap();
    assert_eq!(archive.account_id(), alice.id);
    let nobody = node.change_password(LocalId::new(1), None, None).await;
    assert!(matches!(nobody, Err(NodeError::NoSuchAccount)));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_account_leaves_nothing_and_the_other_keeps_everything() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (mut alice, mut bob, chat) = asked(&directories).await;
    talk(&mut alice, &mut bob, chat).await;
    // A second account on Bob's machine, with a conversation of its own.
    let node = bob.node.clone();
    let file = testing::archive("carol")
        .write(None, &mut Rng::from_os())
        .unwrap();
    let carol = node
        .import_archive(file, None, "Carol".into(), |_| {})
        .await
        .unwrap();
    assert_eq!(node.accounts().len(), 2);
    let create = Command::CreateGroup {
        mode: baraza_core::command::GroupMode::default(),
        profile: ProfileChange::default(),
        members: Vec::new(),
    };
    let Reply::Conversation(own) = node.command(carol, create).await.unwrap() else {
        panic!("no group");
    };
    let note = Command::SendMessage {
        conversation: own,
        body: "a note that stays".into(),
        reply_to: None,
    };
    node.command(carol, note).await.unwrap();

    bob.node.remove_account(bob.account).await.unwrap();
    assert_eq!(node.accounts().len(), 1);
    assert_eq!(
        entries(&directories[1].path().join("accounts")),
        [carol.to_string()]
    );
    let holds = |text: &str| {
        let found = |file: &&str| {
            let bytes = std::fs::read(directories[1].path().join(file)).unwrap_or_default();
            let mut windows = bytes.windows(text.len());
            windows.any(|window| window == text.as_bytes())
        };
        ["node.db", "node.db-wal"].into_iter().find(found)
    };
    assert_eq!(holds("before the new device"), None);
    assert!(holds("a note that stays").is_some());
    node.shutdown().await;
    alice.node.shutdown().await;
    let node = open(directories[1].path(), None).await;
    assert_eq!(node.accounts()[0].account, carol);
    let count = Command::CountMessages { conversation: own };
    assert!(matches!(
        node.command(carol, count).await.unwrap(),
        Reply::Count(count) if count >= 1
    ));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crash_left_of_makings_and_removals_is_ended_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let alice = person("alice", directory.path(), None).await;
    let file = testing::archive("bob")
        .write(None, &mut Rng::from_os())
        .unwrap();
    let bob = alice
        .node
        .import_archive(file, None, "Bob".into(), |_| {})
        .await
        .unwrap();
    alice.node.shutdown().await;
    let accounts = directory.path().join("accounts");
    let at = |name: &str| accounts.join(name);
    // Alice's entry was written, but her files had not got their name yet; an account that
    // was being made; one that was being removed.
    let name = alice.account.to_string();
    std::fs::rename(at(&name), at(&format!("{name}.pending"))).unwrap();
    std::fs::create_dir(at("00000000000000aa.pending")).unwrap();
    std::fs::write(at("00000000000000aa.pending").join("device.key"), "secret").unwrap();
    let gone = bob.to_string();
    std::fs::rename(at(&gone), at(&format!("{gone}.removed"))).unwrap();
    let node = open(directory.path(), None).await;
    let known = node.accounts();
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].account, alice.account);
    assert_eq!(entries(&accounts), [name]);
    node.command(alice.account, Command::Identity)
        .await
        .unwrap();
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_account_is_off_the_network_and_comes_back() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (mut alice, mut bob, chat) = asked(&directories).await;
    talk(&mut alice, &mut bob, chat).await;
    bob.node.set_enabled(bob.account, false).await.unwrap();
    bob.wait("unregistered", |event| {
        matches!(event, EventBody::RegistrationStateChanged { state, .. }
            if *state == RegistrationState::Unregistered)
    })
    .await;
    let links = |person: &Person| {
        let asked = person.node.clone();
        let account = person.account;
        async move {
            match asked.command(account, Command::Diagnostics).await.unwrap() {
                Reply::Diagnostics(diagnostics) => diagnostics.links.len(),
                other => panic!("{other:?}"),
            }
        }
    };
    alice
        .wait("Bob's connection is closed", |event| {
            matches!(event, EventBody::PresenceChanged { presence, .. }
                if *presence != Presence::Connected)
        })
        .await;
    assert_eq!(links(&alice).await, 0);
    // Everything can be read; what is written waits.
    assert_eq!(bob.texts(chat).await, 1);
    bob.say(chat, "written while disabled").await;
    alice.say(chat, "said to nobody").await;
    // It stays so over a restart.
    bob.node.shutdown().await;
    let node = open(directories[1].path(), Some(&alice.node)).await;
    assert!(!node.accounts()[0].enabled);
    bob.events = node.subscribe();
    bob.node = node;
    let Reply::Identity(identity) = bob.ask(Command::Identity).await else {
        panic!("no identity");
    };
    assert_eq!(identity.state, RegistrationState::Unregistered);
    assert!(!identity.announced);
    assert_eq!(bob.texts(chat).await, 2);
    bob.node.set_enabled(bob.account, true).await.unwrap();
    assert!(bob.node.accounts()[0].enabled);
    bob.hear(chat, "said to nobody").await;
    alice.hear(chat, "written while disabled").await;
    let nobody = bob.node.set_enabled(LocalId::new(1), true).await;
    assert!(matches!(nobody, Err(NodeError::NoSuchAccount)));
    bob.node.shutdown().await;
    alice.node.shutdown().await;
}

async fn reaches(status: &mut watch::Receiver<LinkStatus>, state: LinkState) -> LinkStatus {
    let there = status.wait_for(|status| status.state == state || status.is_done());
    let there = tokio::time::timeout(Duration::from_secs(60), there).await;
    let there = there.expect("in a minute").unwrap().clone();
    assert_eq!(there.state, state, "{there:?}");
    there
}

async fn source_reaches(person: &Person, state: LinkState) -> LinkStatus {
    let mut status = person.node.link_status(person.account).unwrap();
    let wanted = |status: &Option<LinkStatus>| {
        let status = status.as_ref();
        status.is_some_and(|status| status.state == state || status.is_done())
    };
    let there = tokio::time::timeout(Duration::from_secs(60), status.wait_for(wanted)).await;
    let there = there.expect("in a minute").unwrap().clone().unwrap();
    assert_eq!(there.state, state, "{there:?}");
    there
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_brings_an_account_to_a_new_device() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (mut alice, mut bob, chat) = asked(&directories).await;
    talk(&mut alice, &mut bob, chat).await;
    alice
        .node
        .change_password(alice.account, None, secret("of Alice"))
        .await
        .unwrap();
    let home = tempfile::tempdir().unwrap();
    let new = open(home.path(), Some(&bob.node)).await;
    let mut status = new.link_here(String::new()).unwrap();
    let again = new.link_here(String::new());
    assert!(matches!(again, Err(NodeError::LinkRunning)));
    let shown = reaches(&mut status, LinkState::TokenAvailable).await;
    let token: LinkToken = shown.token.unwrap().parse().unwrap();

    // Whoever does not know the code gets nowhere, and the token stays good.
    let other = LinkToken::new(token.device(), &mut Rng::from_seed(9));
    assert_ne!(other, token);
    bob.ask(Command::LinkDevice { token: other }).await;
    let refused = source_reaches(&bob, LinkState::Done).await;
    assert_eq!(refused.error, Some(LinkError::Network));

    alice
        .ask(Command::LinkDevice {
            token: token.clone(),
        })
        .await;
    let running = Command::LinkDevice { token };
    let running = alice.node.command(alice.account, running).await;
    assert_eq!(running, Err(CommandError::LinkRunning));
    let asked = source_reaches(&alice, LinkState::Authenticating).await;
    assert!(asked.peer_device.is_some());
    alice.ask(Command::ConfirmLink).await;
    let shown = reaches(&mut status, LinkState::Authenticating).await;
    assert_eq!(shown.peer_id, Some(alice.id));
    assert_eq!(shown.needs_password, Some(true));
    let said = |text: &str| new.confirm_new_link(Password::new(text));
    said("of Bob").await.unwrap();
    let wrong = status.wait_for(|status| status.wrong_passwords == 1);
    tokio::time::timeout(Duration::from_secs(60), wrong)
        .await
        .unwrap()
        .unwrap();
    reaches(&mut status, LinkState::Authenticating).await;
    assert_eq!(entries(&home.path().join("accounts")), [""; 0]);
    let events = new.subscribe();
    said("of Alice").await.unwrap();
    let done = reaches(&mut status, LinkState::Done).await;
    assert_eq!(done.error, None);
    source_reaches(&alice, LinkState::Done).await;
    let account = done.account.unwrap();
    let mut phone = Person {
        node: new.clone(),
        account,
        id: alice.id,
        events,
    };
    let known = contacts(&new, account).await;
    assert!(known.len() == 1 && known[0].conversation == Some(chat));
    phone
        .wait("the conversation", |event| {
            matches!(event, EventBody::ConversationReady { conversation } if *conversation == chat)
        })
        .await;
    bob.say(chat, "to both").await;
    alice.hear(chat, "to both").await;
    phone.hear(chat, "to both").await;
    assert!(new.has_password(account).await.unwrap());
    for node in [&new, &alice.node, &bob.node] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linking_that_fails_leaves_nothing_and_another_can_begin() {
    let directory = tempfile::tempdir().unwrap();
    let mut alice = person("alice", directory.path(), None).await;
    let home = tempfile::tempdir().unwrap();
    let new = open(home.path(), Some(&alice.node)).await;
    alice
        .wait("announced", |event| {
            matches!(event, EventBody::DeviceAnnounced)
        })
        .await;
    let nothing = alice
        .node
        .command(alice.account, Command::ConfirmLink)
        .await;
    assert_eq!(nothing, Err(CommandError::NoLink));
    assert!(matches!(
        new.confirm_new_link(Password::new("")).await,
        Err(NodeError::NoLink)
    ));

    // The user of the new device gives up before anybody came.
    let mut status = new.link_here(String::new()).unwrap();
    reaches(&mut status, LinkState::TokenAvailable).await;
    new.cancel_new_link().await.unwrap();
    let done = reaches(&mut status, LinkState::Done).await;
    assert_eq!(done.error, Some(LinkError::Canceled));

    // That of the other device does not want it.
    let mut status = new.link_here(String::new()).unwrap();
    let shown = reaches(&mut status, LinkState::TokenAvailable).await;
    let token = shown.token.unwrap().parse().unwrap();
    alice.ask(Command::LinkDevice { token }).await;
    source_reaches(&alice, LinkState::Authenticating).await;
    alice.ask(Command::CancelLink).await;
    let done = reaches(&mut status, LinkState::Done).await;
    assert_eq!(done.error, Some(LinkError::Canceled));

    // The new device dies in the middle; then it works.
    let mut status = new.link_here(String::new()).unwrap();
    let shown = reaches(&mut status, LinkState::TokenAvailable).await;
    let token = shown.token.unwrap().parse().unwrap();
    alice.ask(Command::LinkDevice { token }).await;
    source_reaches(&alice, LinkState::Authenticating).await;
    alice.ask(Command::ConfirmLink).await;
    reaches(&mut status, LinkState::Authenticating).await;
    new.shutdown().await;
    let done = source_reaches(&alice, LinkState::Done).await;
    assert_eq!(done.error, Some(LinkError::Network));
    let new = open(home.path(), Some(&alice.node)).await;
    assert_eq!(new.accounts(), []);
    assert_eq!(entries(&home.path().join("accounts")), [""; 0]);
    let mut status = new.link_here("Phone".into()).unwrap();
    let shown = reaches(&mut status, LinkState::TokenAvailable).await;
    let token = shown.token.unwrap().parse().unwrap();
    alice.ask(Command::LinkDevice { token }).await;
    source_reaches(&alice, LinkState::Authenticating).await;
    alice.ask(Command::ConfirmLink).await;
    let shown = reaches(&mut status, LinkState::Authenticating).await;
    assert_eq!(shown.needs_password, Some(false));
    new.confirm_new_link(Password::new("")).await.unwrap();
    let done = reaches(&mut status, LinkState::Done).await;
    assert_eq!(done.error, None);
    assert_eq!(new.accounts()[0].jami_id, alice.id);
    new.shutdown().await;
    alice.node.shutdown().await;
}
