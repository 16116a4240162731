//! A whole backup that is restored on a node that runs: it starts again by itself.

use crate::running::Node;
use crate::support::{json, run, stderr, until};

#[test]
fn a_running_node_starts_again_as_what_was_restored() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [old, new] = [dirs[0].path(), dirs[1].path()];
    let file = old.join("all.backup");
    let mut node = Node::start(old);
    let account = json(old, &["account", "create", "--name", "Alice"]);
    let made = crate::support::baraza(old)
        .env("BARAZA_PASSWORD", "eight or more")
        .args(["backup", file.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    assert_eq!(node.terminate(), Some(0));

    let mut node = Node::start(new);
    let pid = node.child.id();
    let api = node.ready["api"].clone();
    let token = std::fs::read_to_string(new.join("api-token")).unwrap();
    let body = serde_json::json!({ "file": file, "password": "eight or more" }).to_string();
    let answer = node.raw(&format!(
        "POST /api/v1/backups/restore HTTP/1.1\r\nhost: API\r\n\
         authorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        token.trim(),
        body.len()
    ));
    assert!(answer.contains("restored"), "{answer}");
    // The same process, on the same port, with the account.
    let again = node.line();
    assert_eq!((&again["event"], &again["api"]), (&"ready".into(), &api));
    assert_eq!(again["accounts"][0]["jami_id"], account["jami_id"]);
    assert_eq!(node.child.id(), pid);
    let listed = json(new, &["account", "list"]);
    assert_eq!(listed[0]["jami_id"], account["jami_id"]);
    until("nothing is left of the restoring", || {
        !new.join("restored").exists()
    });
    // A second one is refused now.
    let status = run(new, &["status"]);
    assert!(status.status.success(), "{}", stderr(&status));
    assert_eq!(node.terminate(), Some(0));
}
