//! Accounts brought here from data directories that real daemons wrote.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use baraza_core::command::{FileSource, SharedFile};
use baraza_core::node::{JamiImport, JamiReport};
use baraza_core::{Command, FileStatus, LocalId, Node, NodeError, Reply};
use baraza_identity::Password;
use baraza_wire::ConversationId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::node::open;

const CHAT: &str = "a84355d2542131545316c0676c04e5e7a04efb5d";
const DAVE: &str = "7d9535306a03654a1d022907a46bb5a09055a967";
const ERIN: &str = "dc6e47c8be832e3dc70d1cc8a3d761c264c9e412";

/// A home directory of a real daemon; its data directory.
fn home(vector: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testing/vectors");
    let unpacked = std::process::Command::new("tar")
        .arg("xzf")
        .arg(Path::new(root).join(vector))
        .arg("-C")
        .arg(dir.path())
        .status()
        .unwrap();
    assert!(unpacked.success());
    let data = dir.path().join("home/.local/share/jami");
    (dir, data)
}

async fn import(
    node: &Node,
    directory: &Path,
    password: Option<&str>,
    take_devices: bool,
) -> Result<JamiReport, NodeError> {
    let import = JamiImport {
        directory: Some(directory.to_owned()),
        password: password.map(Password::new),
        take_devices,
    };
    node.import_jami(import, |_| {}).await
}

async fn history(node: &Node, account: LocalId) -> Vec<String> {
    let conversation: ConversationId = CHAT.parse().unwrap();
    // It is indexed beside everything else.
    let command = Command::History {
        conversation,
        from: None,
        count: 0,
    };
    match node.command(account, command).await {
        Ok(Reply::History(messages)) => messages.into_iter().map(|it| it.kind).collect(),
        other => panic!("{other:?}"),
    }
}

/// Every file below a directory with its content.
fn content(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() && !path.is_symlink() {
            true => found.extend(content(&path)),
            false => found.push((path.clone(), fs::read(&path).unwrap_or_default())),
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_of_a_real_directory_come_with_contacts_and_history() {
    let (_home, data) = home("account-datadir-2023/home-B.tar.gz");
    let before = content(&data);
    let directory = tempfile::tempdir().unwrap();
    let node = open(directory.path(), None).await;
    // Without a password only the account that has none.
    let report = import(&node, &data, None, false).await.unwrap();
    assert_eq!(report.accounts.len(), 2);
    let of = |report: &JamiReport, id: &str| {
        let is =
            |it: &&baraza_core::node::JamiAccount| it.jami_id.is_some_and(|it| it.to_hex() == id);
        report.accounts.iter().find(is).cloned().unwrap()
    };
    let erin = of(&report, ERIN);
    assert!(!erin.same_device, "{erin:?}");
    // The invitation and the join; nothing was ever said there.
    assert_eq!((erin.conversations, erin.commits), (1, 2), "{erin:?}");
    assert_eq!((erin.contacts, erin.fetched_later), (1, 0));
    let dave = of(&report, DAVE);
    assert_eq!(dave.account, None);
    assert!(dave.problems[0].contains("password"), "{:?}", dave.problems);
    assert_eq!(node.accounts().len(), 1);

    let account = erin.account.unwrap();
    let kinds = history(&node, account).await;
    assert_eq!(kinds.len(), erin.commits);
    assert_eq!(kinds, ["member", "initial"]);
    let Ok(Reply::Contacts(contacts)) = node.command(account, Command::Contacts).await else {
        panic!("no contacts");
    };
    assert_eq!(contacts[0].id.to_hex(), DAVE);
    assert_eq!(contacts[0].conversation.unwrap().to_hex(), CHAT);
    // It can be written to, as the new device.
    let say = Command::SendMessage {
        conversation: CHAT.parse().unwrap(),
        body: "moved".into(),
        reply_to: None,
    };
    assert!(matches!(
        node.command(account, say).await,
        Ok(Reply::Message(_))
    ));

    // With the password the other one; the first is here already.
    let report = import(&node, &data, Some("dave-pw"), false).await.unwrap();
    assert!(of(&report, ERIN).problems[0].contains("here already"));
    let dave = of(&report, DAVE);
    assert_eq!((dave.contacts, dave.conversations), (2, 1));
    let account = dave.account.unwrap();
    assert!(!history(&node, account).await.is_empty());
    // Its archive is here, with the same password.
    let exported = node
        .export_archive(account, Some(Password::new("dave-pw")), None)
        .await;
    assert!(exported.is_ok());
    node.shutdown().await;
    assert_eq!(content(&data), before, "the original was only read");
    // All of it is durable.
    let node = open(directory.path(), None).await;
    assert_eq!(node.accounts().len(), 2);
    assert!(!history(&node, account).await.is_empty());
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moved_account_is_the_same_device_even_without_an_archive() {
    let (_home, data) = home("account-datadir-2023/home-A.tar.gz");
    let account = data.join("15985cd52e9f5db0");
    fs::remove_file(account.join("archive.gz")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let node = open(directory.path(), None).await;
    let without = import(&node, &data, None, false).await.unwrap();
    assert_eq!(without.accounts[0].account, None);
    assert!(without.accounts[0].problems[0].contains("archive"));
    // An account's own directory does, too.
    let report = import(&node, &account, None, true).await.unwrap();
    let moved = &report.accounts[0];
    assert!(moved.same_device, "{moved:?}");
    let chain = fs::read(account.join("ring_device.crt")).unwrap();
    let chain = baraza_identity::CertificateChain::from_pem(chain).unwrap();
    let local = moved.account.unwrap();
    match node.command(local, Command::Identity).await {
        Ok(Reply::Identity(identity)) => assert_eq!(identity.device_id, chain.device_id()),
        other => panic!("{other:?}"),
    }
    assert!(!history(&node, local).await.is_empty());
    let exported = node.export_archive(local, None, None).await;
    assert!(exported.is_err(), "there is nothing to export");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_and_traps_are_reported_and_cost_only_what_they_hit() {
    let (home_dir, data) = home("account-datadir-2023/home-B.tar.gz");
    let account = data.join("ae37ec38028866a0");
    let secret = home_dir.path().join("secret");
    fs::write(&secret, "not for you").unwrap();
    // The contacts lead elsewhere, the list of conversations is half-written, and a commit of
    // the conversation was changed.
    fs::remove_file(account.join("contacts")).unwrap();
    symlink(&secret, account.join("contacts")).unwrap();
    let info = fs::read(account.join("convInfo")).unwrap();
    fs::write(account.join("convInfo"), &info[..info.len() / 2]).unwrap();
    let objects = account.join(format!("conversations/{CHAT}/.git/objects"));
    let loose = content(&objects).into_iter().find(|(path, _)| {
        let parent = path.parent().and_then(Path::file_name).unwrap();
        parent.len() == 2
    });
    let (object, _) = loose.unwrap();
    fs::set_permissions(&object, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(&object, "broken").unwrap();
    // And there is an account that is nothing but a link.
    symlink(&account, data.join("00000000000000ff")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let node = open(directory.path(), None).await;
    let report = import(&node, &data, None, false).await.unwrap();
    assert_eq!(report.accounts.len(), 2);
    let erin = report.accounts.iter().find(|it| it.account.is_some());
    let erin = erin.unwrap();
    let problems = erin.problems.join("\n");
    assert!(problems.contains("contacts: it is a link"), "{problems}");
    assert!(problems.contains("convInfo is damaged"), "{problems}");
    assert!(
        problems.contains(&format!("conversation {CHAT}")),
        "{problems}"
    );
    assert_eq!(erin.conversations, 0);
    let left = directory.path().join("accounts");
    let left = left.join(erin.account.unwrap().to_string());
    assert!(!left.join("conversations").join(CHAT).exists());
    let nothing = import(&node, home_dir.path(), None, false).await;
    assert!(matches!(nothing, Err(NodeError::Refused(_))));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory_of_the_newest_generation_is_read() {
    let (_home, data) = home("head-datadir-alice.tar.gz");
    let directory = tempfile::tempdir().unwrap();
    let node = open(directory.path(), None).await;
    let report = import(&node, &data, Some("pw-alice"), false).await.unwrap();
    let alice = &report.accounts[0];
    assert!(alice.account.is_some(), "{alice:?}");
    // Its repository is not in the vector: it would be fetched.
    assert_eq!((alice.contacts, alice.conversations), (1, 0));
    assert_eq!(alice.fetched_later, 1);
    node.shutdown().await;
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_all(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

async fn files(node: &Node, account: LocalId) -> Vec<SharedFile> {
    let conversation = CHAT.parse().unwrap();
    match node.command(account, Command::Files { conversation }).await {
        Ok(Reply::Files(files)) => files,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_profiles_come_along_if_they_are_what_they_say() {
    let (home_dir, data) = home("account-datadir-2023/home-A.tar.gz");
    let there = data.join("15985cd52e9f5db0");
    // As the device it was, an account sends files there.
    let before = tempfile::tempdir().unwrap();
    let node = open(before.path(), None).await;
    let report = import(&node, &there, None, true).await.unwrap();
    let local = report.accounts[0].account.unwrap();
    let conversation: ConversationId = CHAT.parse().unwrap();
    for name in [
        "kept.txt",
        "link.bin",
        "changed.bin",
        "gone.bin",
        "taken back.bin",
    ] {
        let path = home_dir.path().join(name);
        fs::write(&path, format!("the content of {name}")).unwrap();
        let send = Command::SendFile {
            conversation,
            source: FileSource::Path(path),
            name: name.into(),
            reply_to: None,
        };
        let sent = node.command(local, send).await;
        assert!(matches!(sent, Ok(Reply::Message(_))), "{sent:?}");
    }
    let sent = files(&node, local).await;
    let of = |name: &str| sent.iter().find(|file| file.name == name).unwrap();
    let take_back = Command::DeleteFile {
        conversation,
        message: of("taken back.bin").message,
    };
    assert!(node.command(local, take_back).await.is_ok());
    node.shutdown().await;

    // What a daemon would have on its disk after that.
    let ours = before
        .path()
        .join(format!("accounts/{local}/conversations/{CHAT}"));
    let theirs = there.join("conversations").join(CHAT);
    fs::remove_dir_all(&theirs).unwrap();
    copy_all(&ours, &theirs);
    let contents = there.join("conversation_data").join(CHAT);
    fs::create_dir_all(&contents).unwrap();
    let place = |name: &str| contents.join(&of(name).file_id);
    fs::write(place("kept.txt"), "the content of kept.txt").unwrap();
    symlink(home_dir.path().join("link.bin"), place("link.bin")).unwrap();
    fs::write(place("changed.bin"), "the content of chanGed.bin").unwrap();
    let picture = STANDARD.encode(b"\x89PNG\r\n\x1a\n picture");
    let card = |name: &str| {
        format!(
            "BEGIN:VCARD\nVERSION:2.1\nFN:{name}\nPHOTO;ENCODING=BASE64;TYPE=PNG:{picture}\n\
             END:VCARD"
        )
    };
    fs::write(there.join("profile.vcf"), card("Own 🦁")).unwrap();
    let others = there.join("profiles");
    fs::create_dir_all(&others).unwrap();
    fs::write(
        others.join(format!("{}.vcf", STANDARD.encode(ERIN))),
        card("Erin"),
    )
    .unwrap();
    fs::write(others.join("nobody.vcf"), card("Nobody")).unwrap();
    let content_before = content(&data);

    let directory = tempfile::tempdir().unwrap();
    let node = open(directory.path(), None).await;
    let report = import(&node, &there, None, true).await.unwrap();
    let account = &report.accounts[0];
    assert_eq!((account.files, account.profiles), (2, 2), "{account:?}");
    let problems = account.problems.join("\n");
    assert!(problems.contains("\"changed.bin\""), "{problems}");
    assert!(problems.contains("1 files of conversation"), "{problems}");
    assert!(problems.contains("nobody.vcf"), "{problems}");
    assert!(!problems.contains("taken back"), "{problems}");
    let local = account.account.unwrap();
    let wait = || async {
        let list = files(&node, local).await;
        let here = |file: &&SharedFile| file.status == FileStatus::Here;
        let mut here: Vec<String> = list.iter().filter(here).map(|it| it.name.clone()).collect();
        here.sort();
        (list.len(), here)
    };
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while wait().await.0 < 4 {
        assert!(std::time::Instant::now() < until, "the files are listed");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(wait().await.1, ["kept.txt", "link.bin"]);
    for (of, name) in [(None, "Own 🦁"), (Some(ERIN.parse().unwrap()), "Erin")] {
        match node.command(local, Command::Profile { of }).await {
            Ok(Reply::Profile(profile)) => {
                assert_eq!(profile.name, name);
                assert!(profile.picture.is_some());
            }
            other => panic!("{other:?}"),
        }
    }
    node.shutdown().await;
    assert_eq!(content(&data), content_before, "the original was only read");
    // It is all durable, and nothing of it is tidied away.
    let node = open(directory.path(), None).await;
    let list = files(&node, local).await;
    let kept = list.iter().find(|file| file.name == "kept.txt").unwrap();
    let path = kept.path.as_ref().unwrap();
    assert_eq!(fs::read_to_string(path).unwrap(), "the content of kept.txt");
    node.shutdown().await;
}
