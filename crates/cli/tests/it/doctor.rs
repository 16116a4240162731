//! `baraza doctor`, as people and scripts use it.

use crate::running::Node;
use crate::support::{run, stderr, stdout};

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
