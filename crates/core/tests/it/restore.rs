//! Whole backups on nodes that run.

use std::fs;
use std::sync::{Arc, Mutex};

use baraza_core::backup::BackupError;
use baraza_core::{EventBody, Node, NodeError};
use baraza_identity::Password;
use baraza_store::{Durability, SessionRow, Store};
use baraza_wire::UnixTime;

use crate::node::{asked, open};

fn password() -> Password {
    Password::new("eight or more")
}

fn session(secret: u8, client: &str) -> SessionRow {
    SessionRow {
        id: 0,
        secret: [secret; 32],
        client: client.into(),
        created: UnixTime::from_secs(1),
        used: UnixTime::from_secs(1),
    }
}

fn clients(node: &Node) -> Vec<String> {
    let store = Store::open(node.database(), Durability::Process).unwrap();
    let sessions = store.sessions().unwrap().into_iter();
    sessions.map(|session| session.client).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_accounts_becomes_what_a_backup_says() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let other = tempfile::tempdir().unwrap();
    let (alice, _bob, chat) = asked(&directories).await;
    alice.say(chat, "before").await;
    let texts = alice.texts(chat).await;
    Store::open(alice.node.database(), Durability::Process)
        .unwrap()
        .add_session(&session(1, "an old browser"))
        .unwrap();
    let target = other.path().join("all.backup");
    let made = alice
        .node
        .backup(target.clone(), password(), false, |_, _| {})
        .await
        .unwrap();
    let (id, local) = (alice.id, alice.account);
    // Where there is an account, nothing is restored.
    let here = alice
        .node
        .restore(Some(target.clone()), password(), |_, _| {})
        .await;
    assert!(matches!(here, Err(BackupError::AccountsHere)), "{here:?}");
    alice.node.shutdown().await;

    let new = other.path().join("new");
    let node = open(&new, None).await;
    Store::open(node.database(), Durability::Process)
        .unwrap()
        .add_session(&session(2, "this browser"))
        .unwrap();
    let wrong = node
        .restore(Some(target.clone()), Password::new("wrong one"), |_, _| {})
        .await
        .unwrap_err();
    assert_eq!(wrong.code(), "wrong_password");
    let absent = node.restore(None, password(), |_, _| {}).await;
    assert_eq!(absent.unwrap_err().code(), "io");
    let names = |suffix: &str| {
        let entries = fs::read_dir(&new).unwrap();
        let mut names = entries.map(|one| one.unwrap().file_name().into_string().unwrap());
        names.any(|name| name.starts_with(suffix))
    };
    assert!(!names("restored"));

    fs::copy(&target, node.uploaded_backup()).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let on_the_way = Arc::clone(&told);
    let report = node
        .restore(None, password(), move |files, bytes| {
            on_the_way.lock().unwrap().push((files, bytes));
        })
        .await
        .unwrap();
    assert_eq!(report.manifest, made.manifest);
    assert_eq!(
        told.lock().unwrap().last(),
        Some(&(made.entries, made.content))
    );
    node.restart_wanted().await;
    assert!(!names("restore.upload"));
    // Nothing else is made meanwhile.
    let refused = node.create_account("Eve".into(), None, |_| {}).await;
    assert!(matches!(refused, Err(NodeError::Refused(_))), "{refused:?}");
    node.shutdown().await;
    drop(node);

    let node = open(&new, None).await;
    let accounts = node.accounts();
    assert_eq!(accounts.len(), 1);
    assert_eq!((accounts[0].account, accounts[0].jami_id), (local, id));
    assert!(!names("restored"));
    assert_eq!(clients(&node), ["this browser"]);
    let mut events = node.subscribe();
    let restored = crate::node::Person {
        account: local,
        id,
        events: node.subscribe(),
        node: node.clone(),
    };
    assert_eq!(restored.texts(chat).await, texts);
    restored.say(chat, "after").await;
    let said = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        loop {
            let event = events.recv().await.unwrap();
            if matches!(&event.body, EventBody::MessageReceived { message, .. } if message.body() == "after")
            {
                break;
            }
        }
    });
    said.await.unwrap();
    node.shutdown().await;
}

#[tokio::test]
async fn a_move_that_broke_off_is_gone_on_with_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let old = directory.path().join("old");
    let node = open(&old, None).await;
    let account = node
        .create_account("Alice".into(), None, |_| {})
        .await
        .unwrap();
    let target = directory.path().join("all.backup");
    node.backup(target.clone(), password(), false, |_, _| {})
        .await
        .unwrap();
    node.shutdown().await;
    drop(node);
    let new = directory.path().join("new");
    let node = open(&new, None).await;
    node.restore(Some(target), password(), |_, _| {})
        .await
        .unwrap();
    node.shutdown().await;
    drop(node);
    // As it is when the power fails after the first of several steps.
    let _empty = fs::remove_dir(new.join("accounts"));
    fs::rename(new.join("restored/accounts"), new.join("accounts")).unwrap();
    let node = open(&new, None).await;
    assert_eq!(node.accounts()[0].account, account);
    assert!(node.accounts()[0].enabled);
    node.shutdown().await;
    // And after the last.
    fs::create_dir(new.join("restored")).unwrap();
    drop(node);
    let node = open(&new, None).await;
    assert_eq!(node.accounts().len(), 1);
    assert!(!new.join("restored").exists());
}
