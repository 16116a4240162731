//! `baraza tui` with real nodes: on a screen, which a small terminal of Python's reads, and
//! line by line over pipes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::running::Node;
use crate::support::{baraza, create, json, run, stderr, until};

/// `baraza tui --plain` with pipes instead of a person.
struct Lines {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Lines {
    fn start(dir: &Path) -> Self {
        let mut child = baraza(dir)
            .args(["tui", "--plain"])
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        Self {
            child,
            input,
            lines,
        }
    }

    fn types(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next line that has this in it.
    #[track_caller]
    fn hears(&mut self, text: &str) -> String {
        let mut heard = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => heard.push(line),
                Err(_) => panic!("not heard: {text:?}; but {heard:#?}"),
            }
        }
    }

    /// The input ends: what its exit code is.
    fn end(&mut self) -> Option<i32> {
        drop(self.input.take());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn line_by_line_a_request_is_accepted_and_a_chat_is_held() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let alice_node = Node::start(&a);
    let mut bob_node = Node::start_at(&b, &alice_node);
    let (alice, bob) = (create(&a, "Alice"), create(&b, "Bob"));
    let mut talk = Lines::start(&b);
    json(&a, &["contact", "add", &bob]);
    talk.hears("wants to become a contact");
    talk.types("/requests");
    talk.hears("1 request; /accept 1");
    talk.types("/accept 1");
    talk.hears("Alice, connected; what you type is sent");

    let sent = json(&a, &["send", &bob, "hello\u{1b}[2J", "--wait", "60"]);
    let heard = talk.hears("Alice: hello\\u{1b}[2J");
    assert!(heard.starts_with('#'), "{heard}");
    let number = heard.split(' ').next().unwrap().trim_start_matches('#');
    // The sender learns that it was read, as it was told.
    let id = sent["id"].as_str().unwrap();
    until("it was read", || {
        json(&a, &["message", "status", &bob, id])["counts"]["displayed"] == 1
    });
    talk.types(&format!("/reply {number} hi"));
    talk.hears("(answers");
    talk.types(&format!("/react {number} 👍"));
    talk.hears("now has [👍]");
    until("the answer arrived", || {
        let history = json(&a, &["history", &bob]);
        let list = history.as_array().unwrap();
        list.iter()
            .any(|one| one["body"] == "hi" && one["reply_to"] == sent["id"])
    });

    // A file, both ways.
    let file = dir.path().join("note.txt");
    std::fs::write(&file, "a note").unwrap();
    talk.types(&format!("/file {}", file.display()));
    talk.hears("note.txt is sent");
    let offered = json(
        &a,
        &[
            "send-file",
            &bob,
            file.to_str().unwrap(),
            "--name",
            "for-bob",
        ],
    );
    assert!(offered["id"].is_string());
    talk.hears("file for-bob (6 bytes)");
    talk.types("/fetch");
    let copy = dir.path().join("copy");
    until("the file is here", || {
        talk.types(&format!("/save {}", copy.display()));
        talk.lines.recv_timeout(Duration::from_secs(10)).ok();
        copy.exists()
    });
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), "a note");

    // The node goes and comes back under it.
    assert_eq!(bob_node.terminate(), Some(0));
    talk.hears("start one with: baraza run");
    let _bob_node = Node::start_at(&b, &alice_node);
    talk.hears("the node is back");
    talk.types("after that");
    until("the text after that arrived", || {
        let history = json(&a, &["history", &bob]);
        let list = history.as_array().unwrap();
        list.iter()
            .filter(|one| one["body"] == "after that")
            .count()
            == 1
    });
    talk.types("/group \"The bench\" Alice");
    talk.hears("The bench");
    // Those who read what was printed know that something had not worked: the node was gone.
    assert_eq!(talk.end(), Some(1));
    let groups = json(&b, &["conversation", "list"]);
    let groups = groups.as_array().unwrap();
    assert!(groups.iter().any(|one| one["mode"] == 2), "{groups:?}");
    assert_eq!(alice.len(), 40);
}

#[test]
fn a_script_is_done_when_its_lines_are() {
    let dir = tempfile::tempdir().unwrap();
    let _node = Node::start(dir.path());
    json(dir.path(), &["account", "create", "--name", "Alice"]);
    let mut script = Lines::start(dir.path());
    script.types("/name Alicia");
    script.types("/accounts");
    script.types("/group Notes");
    script.types("a note to myself");
    assert_eq!(script.end(), Some(0));
    let list = json(dir.path(), &["conversation", "list"]);
    let notes = json(dir.path(), &["history", list[0]["id"].as_str().unwrap()]);
    assert_eq!(notes[0]["body"], "a note to myself");
    assert_eq!(
        json(dir.path(), &["account", "list"])[0]["display_name"],
        "Alicia"
    );
    let mut wrong = Lines::start(dir.path());
    wrong.types("/open nobody");
    wrong.hears("! there is nobody and nothing called nobody here");
    assert_eq!(wrong.end(), Some(1));
}

#[test]
fn without_a_node_or_a_terminal_it_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let none = run(dir.path(), &["tui", "--plain"]);
    assert_eq!(none.status.code(), Some(3));
    assert!(stderr(&none).contains("start one with: baraza run"));
    let _node = Node::start(dir.path());
    let pipe = run(dir.path(), &["tui"]);
    assert_eq!(pipe.status.code(), Some(2));
    assert!(
        stderr(&pipe).contains("baraza tui --plain"),
        "{}",
        stderr(&pipe)
    );
}

#[test]
fn on_a_screen_a_request_is_accepted_and_a_message_answered() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let alice_node = Node::start(&a);
    let _bob_node = Node::start_at(&b, &alice_node);
    let (_alice, bob) = (create(&a, "Alice"), create(&b, "Bob"));
    json(&a, &["contact", "add", &bob]);
    until("Bob was asked", || {
        json(&b, &["request", "list"])[0]["from"].is_string()
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tui_screen.py");
    let done = Command::new("python3")
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_baraza"))
        .args([&a, &b])
        .arg(&bob)
        .env("TZ", "UTC")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    let history = json(&a, &["history", &bob]);
    let list = history.as_array().unwrap();
    let hi = list.iter().find(|one| one["body"] == "hi Alice").unwrap();
    let hello = list
        .iter()
        .find(|one| one["body"] == "hello\u{1b}]0;owned\u{7}")
        .unwrap();
    assert_eq!(hi["reply_to"], hello["id"]);
}
