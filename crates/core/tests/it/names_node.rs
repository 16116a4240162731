//! Names with a whole node: over HTTP, with the archive on the disk.

use std::path::Path;
use std::sync::{Arc, Mutex};

use baraza_core::names::{NameProblem, NameServerChoice, NameSettings};
use baraza_core::{Command, LocalId, Node, NodeError, Reply};
use baraza_identity::{Archive, Password, testing};
use baraza_names::client::{Failure, Query};
use baraza_names::testing::{Reference, Served};
use baraza_wire::Rng;

use crate::node::open;

async fn import(directory: &Path, archive: &Archive, password: &str) -> (Node, LocalId) {
    let node = open(directory, None).await;
    let password = Some(Password::new(password)).filter(|password| !password.is_empty());
    let file = archive
        .write(password.as_ref(), &mut Rng::from_os())
        .unwrap();
    let account = node
        .import_archive(file, password, "Somebody".into(), |_| {})
        .await
        .unwrap();
    (node, account)
}

async fn settings(node: &Node, account: LocalId) -> NameSettings {
    match node.command(account, Command::NameSettings).await.unwrap() {
        Reply::NameSettings(settings) => settings,
        other => panic!("{other:?}"),
    }
}

async fn choose(node: &Node, account: LocalId, server: NameServerChoice) {
    let command = Command::ChangeNameSettings {
        server: Some(server),
        only_signed: Some(true),
    };
    node.command(account, command).await.unwrap();
}

#[tokio::test]
async fn a_name_is_registered_with_the_archive_and_its_password() {
    let reference = Arc::new(Mutex::new(Reference::default()));
    let served = Served::reference(&reference);
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let archive = testing::archive("alice");
    let (node, account) = import(directories[0].path(), &archive, "secret").await;
    let register = async |name: &str, password: &str| {
        let password = Some(Password::new(password)).filter(|password| !password.is_empty());
        node.register_name(account, name, password).await
    };
    let unchosen = register("alice", "secret").await;
    assert!(matches!(
        unchosen,
        Err(NodeError::Name(NameProblem::NoServer))
    ));
    choose(&node, account, NameServerChoice::At(served.url())).await;
    let wrong = register("alice", "wrong").await;
    assert!(matches!(wrong, Err(NodeError::WrongPassword)), "{wrong:?}");
    let none = register("alice", "").await;
    assert!(matches!(none, Err(NodeError::PasswordNeeded)), "{none:?}");
    // What is no name is said before the password is looked at.
    let short = register("ab", "wrong").await.unwrap_err();
    assert_eq!(
        short.to_string(),
        "no name: a name has at least 3 characters, this has 2"
    );
    assert_eq!(reference.lock().unwrap().asked("POST"), 0);
    let registered = register(" Alice ", "secret").await.unwrap();
    assert_eq!(
        (registered.name.as_str(), registered.signed),
        ("alice", true)
    );

    // The server goes with the archive, to devices that ask it by themselves.
    let exported = node
        .export_archive(account, Some(Password::new("secret")), None)
        .await
        .unwrap();
    node.shutdown().await;
    let exported = Archive::read(&exported, None).unwrap();
    assert_eq!(exported.settings["RingNS.uri"], served.url());
    let (other, account) = import(directories[1].path(), &exported, "").await;
    let server = settings(&other, account).await.server;
    assert_eq!(server, Some(served.url()));
    let query = Query::Id(archive.account_id());
    let command = Command::LookUpName { query, fresh: true };
    let Reply::Name(found) = other.command(account, command).await.unwrap() else {
        panic!("no name");
    };
    assert_eq!((found.name.as_str(), found.cached), ("alice", false));
    let taken = other.register_name(account, "alicia", None).await;
    assert!(
        matches!(&taken, Err(NodeError::Name(NameProblem::Asked(Failure::HasName(name)))) if name == "alice"),
        "{taken:?}"
    );
    other.shutdown().await;
}

#[tokio::test]
async fn the_public_server_is_asked_only_when_somebody_says_so() {
    let directory = tempfile::tempdir().unwrap();
    // As a daemon leaves it that was never told of another server.
    let mut archive = testing::archive("alice");
    archive.settings.insert("RingNS.uri".into(), String::new());
    let (node, account) = import(directory.path(), &archive, "").await;
    let public = "https://ns.jami.net";
    let proposed = settings(&node, account).await;
    assert_eq!(proposed.server, None);
    assert_eq!(proposed.proposed.as_deref(), Some(public));
    let refused = node.register_name(account, "alice", None).await;
    assert!(
        matches!(&refused, Err(NodeError::Name(NameProblem::Proposed(server))) if server == public),
        "{refused:?}"
    );
    // It stays with the account, for its other devices.
    let exported = node.export_archive(account, None, None).await.unwrap();
    let exported = Archive::read(&exported, None).unwrap();
    assert_eq!(exported.settings["RingNS.uri"], "");
    choose(&node, account, NameServerChoice::None).await;
    assert_eq!(settings(&node, account).await.proposed, None);
    let exported = node.export_archive(account, None, None).await.unwrap();
    let exported = Archive::read(&exported, None).unwrap();
    assert_eq!(exported.settings.get("RingNS.uri"), None);
    // Off the network, so that nobody is asked when it is chosen.
    node.set_enabled(account, false).await.unwrap();
    choose(&node, account, NameServerChoice::Public).await;
    let chosen = settings(&node, account).await;
    assert_eq!(chosen.server.as_deref(), Some(public));
    assert_eq!((chosen.proposed, chosen.only_signed), (None, true));
    let query = Query::parse("bob").unwrap();
    let command = Command::LookUpName { query, fresh: true };
    let refused = node.command(account, command).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the account is disabled, so that no name server is asked"
    );
    node.shutdown().await;
}
