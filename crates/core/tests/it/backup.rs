//! Backups of whole nodes: made while they run, and nodes made from them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use baraza_core::backup::{self, BackupError};
use baraza_core::node::Schedule;
use baraza_core::{Command, EventBody, Reply};
use baraza_identity::{Password, testing};
use baraza_wire::{Rng, UnixTime};

use crate::node::{asked, open, person};

fn password() -> Password {
    Password::new("eight or more")
}

/// Everything in a directory, by name.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_from_a_backup_made_while_it_ran_goes_on_where_that_was() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let other = tempfile::tempdir().unwrap();
    let (mut alice, mut bob, chat) = asked(&directories).await;
    bob.ask(Command::AcceptRequest { conversation: chat }).await;
    alice
        .wait("joined", |event| {
            matches!(event, EventBody::MemberEvent { .. })
        })
        .await;
    for at in 0..20 {
        alice.say(chat, &format!("before {at}")).await;
    }
    let target = other.path().join("all.backup");
    // Texts go on while it is made.
    let making = alice
        .node
        .backup(target.clone(), password(), false, |_, _| {});
    let talking = async {
        for at in 0..20 {
            alice.say(chat, &format!("meanwhile {at}")).await;
        }
    };
    let (made, ()) = tokio::join!(making, talking);
    let made = made.unwrap();
    assert_eq!((made.manifest.accounts.len(), made.conversations), (1, 1));
    let Reply::Identity(identity) = alice.ask(Command::Identity).await else {
        panic!("no identity");
    };
    assert_eq!(identity.backed_up, Some(made.manifest.created));
    let mode = fs::metadata(&target).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(names(other.path()), ["all.backup"]);
    assert!(!directories[0].path().join("backup.staging").exists());

    // The machine is lost.
    bob.hear(chat, "meanwhile 19").await;
    alice.node.shutdown().await;
    let home = other.path().join("new/home");
    fs::create_dir(other.path().join("new")).unwrap();
    let restored = backup::restore(&target, &password(), &home).unwrap();
    assert_eq!(restored, made);
    assert_eq!(names(other.path().join("new").as_path()), ["home"]);

    let node = open(&home, Some(&bob.node)).await;
    let accounts = node.accounts();
    assert_eq!(accounts.len(), 1);
    assert_eq!(accounts[0].jami_id, alice.id);
    alice.events = node.subscribe();
    alice.account = accounts[0].account;
    alice.node = node;
    let texts = alice.texts(chat).await;
    assert!((20..=40).contains(&texts), "{texts} texts");
    // What was said after the backup comes back from the other, and both go on.
    bob.say(chat, "welcome back").await;
    alice.hear(chat, "welcome back").await;
    assert_eq!(alice.texts(chat).await, 41);
    alice.say(chat, "thank you").await;
    bob.hear(chat, "thank you").await;
    for person in [&alice, &bob] {
        person.node.shutdown().await;
    }
    baraza_swarm::verify(&home.join(format!("accounts/{}/conversations/{chat}", alice.account)))
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_backup_leaves_nothing_behind_and_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let alice = person("alice", directory.path(), None).await;
    let target = other.path().join("all.backup");
    let make = |target: &Path, password: Password| {
        alice
            .node
            .backup(target.to_owned(), password, true, |_, _| {})
    };
    make(&target, password()).await.unwrap();
    let again = make(&target, password()).await;
    assert!(matches!(again, Err(BackupError::Exists(_))), "{again:?}");
    let short = make(&other.path().join("2"), Password::new("1234567")).await;
    assert!(matches!(short, Err(BackupError::Password)), "{short:?}");
    let nowhere = make(&other.path().join("no/such/directory"), password()).await;
    assert!(
        matches!(nowhere, Err(BackupError::Io { .. })),
        "{nowhere:?}"
    );

    let home = other.path().join("home");
    let whole = fs::read(&target).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let broken = [
        ("cut", whole[..whole.len() - 70_000].to_vec()),
        ("damaged", flipped),
        ("no_backup", b"something else".to_vec()),
    ];
    let file = other.path().join("broken");
    for (code, bytes) in broken {
        fs::write(&file, bytes).unwrap();
        let verified = backup::verify(&file, &password()).unwrap_err();
        let restored = backup::restore(&file, &password(), &home).unwrap_err();
        assert_eq!((verified.code(), restored.code()), (code, code));
    }
    let wrong = backup::restore(&target, &Password::new("something"), &home).unwrap_err();
    assert_eq!(wrong.code(), "wrong_password");
    let over = backup::restore(&target, &password(), directory.path()).unwrap_err();
    assert_eq!(over.code(), "exists");
    assert_eq!(names(other.path()), ["all.backup", "broken"]);
    assert_eq!(
        backup::verify(&target, &password()).unwrap().conversations,
        0
    );
    alice.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn account_is_in_no_backup_until_it_is_exported_or_backed_up() {
    let directory = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let alice = person("alice", directory.path(), None).await;
    let backed_up = async || match alice.ask(Command::Identity).await {
        Reply::Identity(identity) => identity.backed_up,
        other => panic!("{other:?}"),
    };
    // It came from an archive, which is somewhere.
    assert!(backed_up().await.is_some());
    alice.node.remove_account(alice.account).await.unwrap();
    alice.node.shutdown().await;

    // A data directory made by hand: keys alone.
    let keys = directory.path().join("accounts/00000000000000aa");
    let archive = testing::archive("bob");
    let identity = testing::identity("bob");
    let file = archive.write(None, &mut Rng::from_os()).unwrap();
    let issued = baraza_core::Keys::issue(&archive, identity).unwrap();
    issued.save(&keys, &file).unwrap();
    let mut bob = alice;
    bob.node = open(directory.path(), None).await;
    bob.account = bob.node.accounts()[0].account;
    let backed_up = async || match bob.ask(Command::Identity).await {
        Reply::Identity(identity) => identity.backed_up,
        other => panic!("{other:?}"),
    };
    assert_eq!(backed_up().await, None);
    bob.node.shutdown().await;

    // Made while nothing runs.
    let target = other.path().join("stopped");
    let now = UnixTime::from_secs(1_800_000_000);
    let data_dir = directory.path();
    let made = backup::write_stopped(
        data_dir,
        &target,
        &password(),
        false,
        now,
        Box::new(|_, _| {}),
    );
    assert_eq!(made.unwrap().manifest.accounts.len(), 1);
    bob.node = open(directory.path(), None).await;
    let busy = backup::write_stopped(
        data_dir,
        &other.path().join("busy"),
        &password(),
        false,
        now,
        Box::new(|_, _| {}),
    );
    assert!(busy.is_err(), "a node runs");
    let backed_up = async || match bob.ask(Command::Identity).await {
        Reply::Identity(identity) => identity.backed_up,
        other => panic!("{other:?}"),
    };
    assert_eq!(backed_up().await, Some(now));
    bob.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scheduled_backup_is_made_at_once_and_can_be_restored() {
    let directory = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let alice = person("alice", directory.path(), None).await;
    let password_file = other.path().join("password");
    fs::write(&password_file, "eight or more\n").unwrap();
    let schedule = |directory: PathBuf| Schedule {
        directory,
        every: 3600,
        keep: 2,
        password_file: password_file.clone(),
        files: false,
    };
    let to = other.path().join("backups");
    let exposed = alice.node.set_backup_schedule(Some(schedule(to.clone())));
    assert!(exposed.is_err(), "others can read the password");
    fs::set_permissions(&password_file, fs::Permissions::from_mode(0o600)).unwrap();
    let relative = alice
        .node
        .set_backup_schedule(Some(schedule("here".into())));
    assert!(relative.is_err(), "a path of nowhere in particular");
    alice
        .node
        .set_backup_schedule(Some(schedule(to.clone())))
        .unwrap();
    let start = Instant::now();
    while alice.node.backup_state().unwrap().last.is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "no backup");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let made = names(&to);
    assert_eq!(made.len(), 1);
    alice.node.shutdown().await;
    let home = other.path().join("home");
    backup::restore(&to.join(&made[0]), &password(), &home).unwrap();
    // The schedule goes with it.
    let node = open(&home, None).await;
    assert_eq!(node.backup_state().unwrap().schedule, Some(schedule(to)));
    node.shutdown().await;
}
