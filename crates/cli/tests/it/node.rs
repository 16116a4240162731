//! One node on a data directory, and what is done with it.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::running::Node;
use crate::support::{baraza, run, stderr, stdout};

#[test]
fn a_node_says_where_it_is_and_ends_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut node = Node::start(&data);
    assert_eq!(node.ready["event"], "ready");
    let mode = |name: &str| {
        let file = std::fs::metadata(data.join(name)).unwrap();
        file.permissions().mode() & 0o777
    };
    assert_eq!(mode("api-token"), 0o600);
    assert_eq!(mode(""), 0o700);
    let status: Value = serde_json::from_slice(&run(&data, &["--json", "status"]).stdout).unwrap();
    assert_eq!(status["pid"], node.child.id());
    assert_eq!(status["accounts"], serde_json::json!([]));
    assert_eq!(node.terminate(), Some(0));
    assert!(!data.join("api.json").exists());
    assert_eq!(run(&data, &["status"]).status.code(), Some(3));
}

#[test]
fn a_second_node_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _node = Node::start(dir.path());
    let second = baraza(dir.path())
        .args(["run", "--no-bootstrap", "--api", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(7), "{}", stderr(&second));
    assert!(stderr(&second).contains("already"), "{}", stderr(&second));
    assert!(
        run(dir.path(), &["status"]).status.success(),
        "the first one goes on"
    );
}

#[test]
fn a_node_that_was_killed_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::start(dir.path());
    node.child.kill().unwrap();
    node.child.wait().unwrap();
    assert_eq!(run(dir.path(), &["status"]).status.code(), Some(3));
    let again = Node::start(dir.path());
    assert_ne!(again.child.id(), node.child.id());
}

#[test]
fn an_account_is_made_offline_and_survives_restart_export_and_import() {
    let dir = tempfile::tempdir().unwrap();
    let (home, other) = (dir.path().join("a"), dir.path().join("b"));
    let mut node = Node::start(&home);
    let made = baraza(&home)
        .args(["--json", "account", "create", "--name", "Alice"])
        .env("BARAZA_PASSWORD", "pass word")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    let account: Value = serde_json::from_slice(&made.stdout).unwrap();
    let jami_id = account["jami_id"].as_str().unwrap().to_owned();
    assert_eq!(jami_id.len(), 40);
    assert_eq!(account["device_id"].as_str().unwrap().len(), 64);
    assert_eq!(account["display_name"], "Alice");

    assert_eq!(node.terminate(), Some(0));
    let node = Node::start(&home);
    assert_eq!(node.ready["accounts"][0]["jami_id"], *jami_id);
    let list = stdout(&run(&home, &["account", "list"]));
    assert!(list.contains(&jami_id) && list.contains("Alice"), "{list}");
    let renamed = run(&home, &["--json", "account", "rename", "Alicia"]);
    let renamed: Value = serde_json::from_slice(&renamed.stdout).unwrap();
    assert_eq!(renamed["display_name"], "Alicia");

    let file = dir.path().join("alice.gz");
    let path = file.to_str().unwrap();
    let wrong = baraza(&home)
        .args(["account", "export", path])
        .env("BARAZA_PASSWORD", "wrong")
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(5), "{}", stderr(&wrong));
    assert!(!file.exists());
    let password = dir.path().join("password");
    std::fs::write(&password, "pass word\n").unwrap();
    let password = password.to_str().unwrap();
    let export = ["account", "export", path, "--password-file", password];
    assert!(run(&home, &export).status.success());
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        run(&home, &export).status.code(),
        Some(1),
        "never over another file"
    );

    let _other = Node::start(&other);
    let import = ["--json", "account", "import", path];
    let wrong = run(&other, &import);
    assert_eq!(wrong.status.code(), Some(5), "{}", stderr(&wrong));
    let import = [&import[..], &["--password-file", password]].concat();
    let imported = run(&other, &import);
    assert!(imported.status.success(), "{}", stderr(&imported));
    let imported: Value = serde_json::from_slice(&imported.stdout).unwrap();
    assert_eq!(imported["jami_id"], *jami_id);
    assert_ne!(imported["device_id"], account["device_id"]);
    assert_eq!(
        run(&other, &import).status.code(),
        Some(5),
        "it is here already"
    );

    assert_eq!(
        run(&home, &["account", "delete"]).status.code(),
        Some(2),
        "asks first"
    );
    assert!(run(&home, &["account", "delete", "--yes"]).status.success());
    assert_eq!(stdout(&run(&home, &["account", "list"])), "");
}
