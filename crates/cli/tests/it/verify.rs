//! `baraza conversation verify` on repositories of real peers.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{run, stderr, stdout};

/// Unpacks a captured repository into `dir`.
fn unpack(name: &str, folder: &str, dir: &Path) -> PathBuf {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testing/vectors");
    let unpacked = Command::new("tar")
        .arg("xzf")
        .arg(vectors.join(name))
        .arg("-C")
        .arg(dir)
        .status()
        .unwrap();
    assert!(unpacked.success());
    dir.join(folder)
}

fn git(repository: &Path, arguments: &[&str]) -> String {
    let done = Command::new("git")
        .arg("-C")
        .arg(repository)
        .args(["-c", "safe.directory=*"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    stdout(&done)
}

#[test]
fn a_good_conversation_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = unpack("swarm-1to1-alice.tar.gz", "1to1-alice", dir.path());
    let path = path.to_str().unwrap();
    let good = run(dir.path(), &["conversation", "verify", path]);
    assert_eq!(good.status.code(), Some(0), "{}", stderr(&good));
    assert!(stdout(&good).contains("all rules are kept"));
    let good = run(dir.path(), &["--json", "conversation", "verify", path]);
    let report: Value = serde_json::from_slice(&good.stdout).unwrap();
    assert_eq!(report["valid"], true);
    let head = git(Path::new(path), &["rev-parse", "HEAD"]);
    assert_eq!(report["head"], head.trim());
    let count = git(Path::new(path), &["rev-list", "--count", "HEAD"]);
    assert_eq!(report["commits"].to_string(), count.trim());
}

#[test]
fn every_bad_conversation_is_refused_and_the_commit_and_the_rule_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = unpack("swarm-bad.tar.gz", "bad-repo", dir.path());
    let refs = git(
        &path,
        &["for-each-ref", "--format=%(refname)", "refs/heads/bad"],
    );
    assert!(refs.lines().count() >= 18);
    for bad in refs.lines() {
        git(&path, &["update-ref", "refs/heads/main", bad]);
        let arguments = ["--json", "conversation", "verify", path.to_str().unwrap()];
        let refused = run(dir.path(), &arguments);
        assert_eq!(
            refused.status.code(),
            Some(8),
            "{bad}: {}",
            stderr(&refused)
        );
        let report: Value = serde_json::from_slice(&refused.stdout).unwrap();
        assert_eq!(report["valid"], false);
        let commit = report["commit"].as_str().unwrap();
        assert_eq!(commit.len(), 40);
        assert!(!report["rule"].as_str().unwrap().is_empty());
        assert!(stderr(&refused).contains(commit), "{}", stderr(&refused));
    }
}
