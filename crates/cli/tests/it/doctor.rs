//! `baraza doctor`, as people and scripts use it.

use crate::running::Node;
use crate::support::{json, run, stderr, stdout};

#[test]
fn the_doctor_says_what_is_broken_and_what_to_try() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path());
    // Nobody is there to be reached.
    let broken = run(dir.path(), &["doctor"]);
    assert_eq!(broken.status.code(), Some(10), "{}", stderr(&broken));
    let said = stdout(&broken);
    for words in [
        "Network (DHT): broken",
        "Try: ",
        "TURN relay: nothing to test",
        "Ports: ok",
        "SQLite: ",
    ] {
        assert!(said.contains(words), "{words} is missing in:\n{said}");
    }
    let some = run(dir.path(), &["--json", "doctor", "disk", "versions"]);
    let results: serde_json::Value = serde_json::from_slice(&some.stdout).unwrap();
    let checks: Vec<_> = results
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["check"].as_str().unwrap())
        .collect();
    assert_eq!(checks, ["disk", "versions"]);
    let report = run(dir.path(), &["doctor", "ports", "--report"]);
    assert_eq!(report.status.code(), Some(0), "{}", stderr(&report));
    assert!(stdout(&report).contains("Without IDs, names and addresses."));
    assert!(stdout(&report).contains("Ports: ok"));
    drop(node);
    // A node that was killed left its address behind.
    assert_eq!(run(dir.path(), &["doctor"]).status.code(), Some(3));
}

#[test]
fn hosts_that_were_chosen_count_at_the_next_start_unless_others_are_given() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::start(dir.path());
    let chosen = json(dir.path(), &["network", "bootstrap", "127.0.0.1:9"]);
    assert_eq!(chosen["bootstrap"], serde_json::json!(["127.0.0.1:9"]));
    let wrong = run(dir.path(), &["network", "bootstrap", "http://nowhere"]);
    assert_eq!(wrong.status.code(), Some(5), "{}", stderr(&wrong));
    node.terminate();
    // Nothing is said about where to begin.
    let mut node = Node::start_with(dir.path(), &[]);
    let now = json(dir.path(), &["network", "show"]);
    assert_eq!(now["bootstrap"], chosen["bootstrap"]);
    assert_eq!(
        (&now["chosen"], &now["given"]),
        (&true.into(), &false.into())
    );
    node.terminate();
    let _node = Node::start(dir.path());
    let given = json(dir.path(), &["network", "show"]);
    assert_eq!(given["bootstrap"], serde_json::json!([]));
    assert_eq!(given["given"], true);
}
