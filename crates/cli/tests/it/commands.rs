//! What needs no node.

use std::fs;
use std::path::Path;

use crate::support::{run, stderr, stdout};

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    let help = run(dir.path(), &["--help"]);
    assert!(help.status.success());
    let help = stdout(&help);
    for word in [
        "run",
        "account",
        "contact",
        "request",
        "chat",
        "send",
        "history",
        "watch",
        "status",
        "doctor",
        "why",
        "conversation",
        "completions",
        "Exit codes",
        "BARAZA_DATA_DIR",
    ] {
        assert!(help.contains(word), "{word} is missing in:\n{help}");
    }
    assert!(
        fs::read_dir(dir.path()).unwrap().next().is_none(),
        "help writes nothing"
    );
}

#[test]
fn documented_exit_codes_are_those_of_the_help() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let document = fs::read_to_string(document).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let help = stdout(&run(dir.path(), &["--help"]));
    let codes = help.split("Exit codes:").nth(1).unwrap();
    let codes = codes.split("Environment").next().unwrap();
    for line in codes.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (code, meaning) = line.split_once("  ").unwrap_or((line, ""));
        let row = format!("| {} | {} |", code.trim(), meaning.trim());
        assert!(document.contains(&row), "docs/cli.md lacks: {row}");
    }
}

#[test]
fn wrong_arguments_are_refused_with_2() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &["nonsense"][..],
        &["account"],
        &["send"],
        &["run", "--api", "nowhere"],
        &["history", "abcd", "--before", "1", "--after", "2"],
        // Passwords are never arguments.
        &["account", "create", "--password", "secret"],
    ] {
        let refused = run(dir.path(), arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(!stderr(&refused).is_empty());
    }
}

#[test]
fn without_a_node_commands_say_how_to_start_one() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &["status"][..],
        &["account", "list"],
        &["send", "abcd", "x"],
    ] {
        let refused = run(dir.path(), arguments);
        assert_eq!(refused.status.code(), Some(3), "{arguments:?}");
        let text = stderr(&refused);
        assert!(
            text.contains("no node runs") && text.contains("baraza run"),
            "{text}"
        );
    }
    let refused = run(dir.path(), &["--json", "status"]);
    let error: serde_json::Value = serde_json::from_slice(&refused.stderr).unwrap();
    assert_eq!(error["error"]["code"], "no_node");
    assert!(refused.stdout.is_empty());
}

#[test]
fn completions_are_made_for_the_shells() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let made = run(dir.path(), &["completions", shell]);
        assert!(made.status.success());
        assert!(stdout(&made).contains("conversation"), "{shell}");
    }
}

#[test]
fn verify_without_a_repository_fails() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nothing");
    let failed = run(
        dir.path(),
        &["conversation", "verify", path.to_str().unwrap()],
    );
    assert_eq!(failed.status.code(), Some(1));
}
