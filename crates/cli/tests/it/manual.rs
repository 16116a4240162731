//! The manual and the completions, as man(1) and bash take them.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::{run, stderr, stdout};

#[test]
fn pages_render_without_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("man/man1");
    let made = run(dir.path(), &["man", "--out", out.to_str().unwrap()]);
    assert!(made.status.success(), "{}", stderr(&made));
    let mut names: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    names.sort();
    assert!(names.len() > 60, "{}", names.len());
    assert!(out.join("baraza-conversation-create.1").is_file());
    // man(1) formats with groff: where it is not, the tests beside the code remain.
    let there = Command::new("groff")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if there.is_err() {
        return;
    }
    for page in names {
        let done = Command::new("groff")
            .args(["-man", "-ww", "-Tutf8", "-Kutf8", "-P-cbou", "-rLL=78n"])
            .arg(&page)
            .output()
            .unwrap();
        let said = stderr(&done);
        assert!(said.is_empty(), "{}: {said}", page.display());
        let text = stdout(&done);
        assert!(text.contains("SYNOPSIS"), "{}: {text}", page.display());
    }
}

#[test]
fn bash_completes_commands_and_options() {
    let dir = tempfile::tempdir().unwrap();
    let made = run(dir.path(), &["completions", "bash"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let script = dir.path().join("baraza.bash");
    fs::write(&script, &made.stdout).unwrap();
    let complete = |words: &[&str]| {
        let quoted = words.join("' '");
        let act = format!(
            "set -eu; . '{}'; COMP_WORDS=('{quoted}'); COMP_CWORD={}; _baraza baraza '{}' ''; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display(),
            words.len() - 1,
            words.last().unwrap(),
        );
        let done = Command::new("bash").args(["--norc", "-c", &act]).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{}", stderr(&done));
        stdout(&done)
    };
    assert_eq!(complete(&["baraza", "conver"]), "conversation\n");
    assert_eq!(complete(&["baraza", "conversation", "crea"]), "create\n");
    assert_eq!(
        complete(&["baraza", "conversation", "create", "--ti"]),
        "--title\n"
    );
    for (shell, word) in [("zsh", "#compdef baraza"), ("fish", "complete -c baraza")] {
        let made = run(dir.path(), &["completions", shell]);
        assert!(stdout(&made).contains(word), "{shell}");
    }
}
