//! Backups, conversations in files, and accounts that Jami has.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::running::Node;
use crate::support::{baraza, json, run, stderr, stdout, until};

fn with_password(dir: &Path, password: &str, arguments: &[&str]) -> Output {
    baraza(dir)
        .args(["--json"])
        .args(arguments)
        .env("BARAZA_PASSWORD", password)
        .output()
        .unwrap()
}

/// A node with an account and a group in which something was said; the group.
fn with_group(dir: &Path) -> (Node, String) {
    let node = Node::start(dir);
    json(dir, &["account", "create", "--name", "Alice"]);
    let group = json(dir, &["conversation", "create", "--title", "Notes"]);
    let group = group["conversation"].as_str().unwrap().to_owned();
    json(dir, &["send", &group, "keep this"]);
    (node, group)
}

fn texts(dir: &Path, chat: &str) -> Vec<String> {
    let history = json(dir, &["history", chat]);
    let bodies = history.as_array().unwrap().iter();
    let bodies = bodies.map(|message| message["body"].as_str().unwrap().to_owned());
    // A file has none.
    bodies.filter(|body| !body.is_empty()).collect()
}

#[test]
fn a_backup_is_made_checked_and_restored() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let (mut node, group) = with_group(&home);
    let photo = dir.path().join("photo.bin");
    fs::write(&photo, [7; 5000]).unwrap();
    json(&home, &["send-file", &group, photo.to_str().unwrap()]);
    let never = json(&home, &["backup", "status"]);
    assert_eq!(never["never"].as_array().unwrap().len(), 1);

    let file = dir.path().join("all.backup");
    let file = file.to_str().unwrap();
    let made = with_password(&home, "of the backup", &["backup", "--all", file]);
    assert!(made.status.success(), "{}", stderr(&made));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["backup"]["conversations"], 1);
    let again = with_password(&home, "of the backup", &["backup", "--all", file]);
    assert!(!again.status.success(), "never over another file");
    let never = json(&home, &["backup", "status"]);
    assert_eq!(never["never"], serde_json::json!([]));
    // Without a node, too.
    let device = json(&home, &["account", "show"])["device_id"].clone();
    assert_eq!(node.terminate(), Some(0));
    let quiet = dir.path().join("quiet.backup");
    let quiet = quiet.to_str().unwrap();
    let made = with_password(&home, "of the backup", &["backup", quiet]);
    assert!(made.status.success(), "{}", stderr(&made));

    for file in [file, quiet] {
        let good = with_password(&home, "of the backup", &["backup", "verify", file]);
        assert!(good.status.success(), "{}", stderr(&good));
        let wrong = with_password(&home, "another", &["backup", "verify", file]);
        assert_eq!(wrong.status.code(), Some(5), "{}", stderr(&wrong));
    }
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let damaged = dir.path().join("damaged.backup");
    fs::write(&damaged, &bytes).unwrap();
    fs::write(dir.path().join("cut.backup"), &bytes[..middle]).unwrap();
    fs::write(dir.path().join("none.backup"), "no backup").unwrap();
    for name in ["damaged", "cut", "none"] {
        let bad = dir.path().join(format!("{name}.backup"));
        let bad = bad.to_str().unwrap();
        let refused = with_password(&home, "of the backup", &["backup", "verify", bad]);
        assert_eq!(
            refused.status.code(),
            Some(9),
            "{name}: {}",
            stderr(&refused)
        );
        let other = dir.path().join("other");
        let refused = with_password(&other, "of the backup", &["restore", bad]);
        assert_eq!(
            refused.status.code(),
            Some(9),
            "{name}: {}",
            stderr(&refused)
        );
        assert!(!other.exists(), "{name} leaves something behind");
    }

    let refused = with_password(&home, "of the backup", &["restore", file]);
    assert_eq!(refused.status.code(), Some(5), "there is a data directory");
    let fresh = dir.path().join("fresh");
    let restored = with_password(&fresh, "of the backup", &["restore", file]);
    assert!(restored.status.success(), "{}", stderr(&restored));
    let _node = Node::start(&fresh);
    assert_eq!(json(&fresh, &["account", "show"])["device_id"], device);
    assert_eq!(texts(&fresh, &group), ["keep this"]);
    let files = json(&fresh, &["files", &group]);
    assert_eq!(files[0]["status"], "here");
    let content = fs::read(files[0]["path"].as_str().unwrap()).unwrap();
    assert_eq!(content, [7; 5000]);
}

#[test]
fn a_conversation_travels_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let (home, island) = (dir.path().join("home"), dir.path().join("island"));
    let (_node, group) = with_group(&home);
    let archive = dir.path().join("alice.gz");
    let archive = archive.to_str().unwrap();
    assert!(run(&home, &["account", "export", archive]).status.success());
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    let (first, second) = (first.to_str().unwrap(), second.to_str().unwrap());
    let made = json(&home, &["conversation", "export", &group, first]);
    assert_eq!(made["conversation"], *group);
    let refused = run(&home, &["conversation", "export", &group, first]);
    assert!(!refused.status.success(), "never over another file");
    json(&home, &["send", &group, "and this"]);
    let more = ["conversation", "export", &group, second, "--since", "last"];
    assert_eq!(json(&home, &more)["since"], made["mark"]);

    let _island = Node::start(&island);
    // A stranger cannot read it: it belongs to nobody here.
    json(&island, &["account", "create", "--name", "Stranger"]);
    let refused = run(&island, &["conversation", "import", first]);
    assert_eq!(refused.status.code(), Some(5), "{}", stderr(&refused));
    assert!(
        run(&island, &["account", "delete", "--yes"])
            .status
            .success()
    );
    json(&island, &["account", "import", archive]);
    let early = run(&island, &["conversation", "import", second]);
    assert_eq!(early.status.code(), Some(5), "{}", stderr(&early));
    let taken = json(&island, &["conversation", "import", first]);
    assert!(taken["news"].as_u64().unwrap() > 0, "{taken}");
    until("it is there", || texts(&island, &group) == ["keep this"]);
    assert_eq!(
        json(&island, &["conversation", "import", second])["news"],
        1
    );
    assert_eq!(texts(&island, &group), ["keep this", "and this"]);
}

#[test]
fn accounts_come_from_the_directory_of_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testing/vectors");
    let unpacked = Command::new("tar")
        .arg("xzf")
        .arg(vectors.join("account-datadir-2023/home-B.tar.gz"))
        .arg("-C")
        .arg(dir.path())
        .status();
    assert!(unpacked.unwrap().success());
    let jami = dir.path().join("home/.local/share/jami");
    let jami = jami.to_str().unwrap();
    let home = dir.path().join("data");
    let _node = Node::start(&home);
    let empty = dir.path().to_str().unwrap();
    let nothing = run(&home, &["account", "import-jami", empty]);
    assert_eq!(nothing.status.code(), Some(5), "{}", stderr(&nothing));
    // One of them has a password.
    let report = json(&home, &["account", "import-jami", jami]);
    let accounts = report["accounts"].as_array().unwrap();
    assert_eq!(accounts.len(), 2);
    let [taken, left] = [true, false].map(|here| {
        let mut of = accounts
            .iter()
            .filter(|it| it["account"].is_string() == here);
        of.next().unwrap()
    });
    assert_eq!(taken["conversations"], 1);
    assert!(left["problems"][0].as_str().unwrap().contains("password"));
    let second = with_password(&home, "dave-pw", &["account", "import-jami", jami]);
    assert!(second.status.success(), "{}", stderr(&second));
    let none = with_password(&home, "dave-pw", &["account", "import-jami", jami]);
    assert_eq!(none.status.code(), Some(1), "all are here already");
    let list = json(&home, &["account", "list"]);
    assert_eq!(list.as_array().unwrap().len(), 2);
    let jami_id = taken["jami_id"].as_str().unwrap();
    let contacts = json(&home, &["--account", jami_id, "contact", "list"]);
    assert_eq!(contacts[0]["id"], left["jami_id"]);
    let told = stdout(&run(&home, &["--account", jami_id, "conversation", "list"]));
    assert!(told.contains("a84355d2"), "{told}");
}
