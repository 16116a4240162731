//! The bots in `examples/`, as their authors would run them.

use std::io::BufRead as _;
use std::process::{Child, Command, Stdio};

use crate::running::Node;
use crate::support::{create, json, until};

/// A program that ends with the test, also with one that fails.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a bot, and waits until it says that it is ready.
fn ready(command: &mut Command) -> Program {
    let mut program = Program(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    let out = program.0.stdout.take().unwrap();
    std::io::BufReader::new(out).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    program
}

#[test]
fn the_echo_bot_answers_each_text_once() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let alice = Node::start(&a);
    let bot = Node::start_at(&b, &alice);
    create(&a, "Alice");
    let id = create(&b, "Echo");
    let scopes = ["--scope", "read", "--scope", "send", "--bound"];
    let made = json(
        &b,
        &[&["token", "create", "Echo bot"], &scopes[..]].concat(),
    );
    let token = dir.path().join("token");
    std::fs::write(&token, made["token"].as_str().unwrap()).unwrap();
    let url = format!("http://{}", bot.ready["api"].as_str().unwrap());
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/echo-bot/echo_bot.py"
    );
    let mut command = Command::new("python3");
    command
        .args([script, "--url", &url, "--token-file"])
        .arg(&token)
        .arg("--cursor-file")
        .arg(dir.path().join("cursor"));
    let program = ready(&mut command);

    json(&a, &["contact", "add", &id]);
    until("the bot accepted", || {
        json(&a, &["contact", "list"])[0]["confirmed"] == true
    });
    let sent = json(&a, &["send", &id, "hello", "--wait", "60"]);
    let answers = || {
        let history = json(&a, &["history", &id]);
        let list = history.as_array().unwrap();
        list.iter()
            .filter(|one| one["reply_to"] == sent["id"] && one["body"] == "hello")
            .count()
    };
    until("the bot answered", || answers() > 0);
    json(&a, &["send", &id, "again", "--wait", "60"]);
    until("the bot answered again", || {
        let history = json(&a, &["history", &id]);
        let list = history.as_array().unwrap();
        list.iter().filter(|one| one["body"] == "again").count() == 2
    });
    assert_eq!(answers(), 1);
    drop(program);
    let used = json(&b, &["token", "list"]);
    assert!(used[0]["used"].is_u64(), "{used}");
}

/// Texts go both ways once each, though bridge and node are killed now and then.
#[test]
fn the_bridge_carries_each_text_once_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let alice = Node::start(&a);
    let mut node = Node::start_at(&b, &alice);
    let id = create(&a, "Alice");
    create(&b, "Bridge");
    json(&b, &["contact", "add", &id]);
    until("Alice is asked", || {
        !json(&a, &["request", "list"])
            .as_array()
            .unwrap()
            .is_empty()
    });
    let from = json(&a, &["request", "list"])[0]["from"].clone();
    let bridge_id = from.as_str().unwrap();
    json(&a, &["request", "accept", bridge_id]);
    until("Alice accepted", || {
        json(&b, &["contact", "list"])[0]["confirmed"] == true
    });
    let conversation = json(&b, &["contact", "list"])[0]["conversation"].clone();
    let scopes = ["--scope", "read", "--scope", "send", "--bound", "--in", &id];
    let made = json(&b, &[&["token", "create", "Bridge"], &scopes[..]].concat());
    let token = dir.path().join("token");
    std::fs::write(&token, made["token"].as_str().unwrap()).unwrap();

    let files = dir.path().join("files");
    let program = |node: &Node| {
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_baraza"));
        let url = format!("http://{}", node.ready["api"].as_str().unwrap());
        ready(
            Command::new(program.with_file_name("baraza-bridge"))
                .args([
                    "--url",
                    &url,
                    "--conversation",
                    conversation.as_str().unwrap(),
                ])
                .arg("--token-file")
                .arg(&token)
                .arg("--directory")
                .arg(&files),
        )
    };
    let names = |folder: &str| {
        let entries = std::fs::read_dir(files.join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    let put = |name: &str, text: &str| {
        let new = files.join(name);
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, files.join("out").join(name)).unwrap();
    };
    let mut bridge = program(&node);
    put("one", "first");
    until("one is sent", || names("sent") == ["one"]);
    json(&a, &["send", bridge_id, "hello", "--wait", "60"]);
    until("hello came", || names("in").len() == 1);

    // Killed, with something to do on both sides meanwhile.
    drop(bridge);
    put("two", "second");
    json(&a, &["send", bridge_id, "again", "--wait", "60"]);
    // The same file once more: its name is the key, and it is not said again.
    put("one", "first");
    put("three", "");
    drop(node);
    node = Node::start_at(&b, &alice);
    bridge = program(&node);
    until("both are sent", || names("sent") == ["one", "two"]);
    until("again came", || names("in").len() == 2);
    assert_eq!(names("refused"), ["three"]);
    until("Alice has both", || {
        let history = json(&a, &["history", bridge_id]);
        let list = history.as_array().unwrap();
        let count = |text: &str| list.iter().filter(|one| one["body"] == text).count();
        (count("first"), count("second")) == (1, 1)
    });
    let came: Vec<_> = names("in")
        .iter()
        .map(|name| std::fs::read_to_string(files.join("in").join(name)).unwrap())
        .collect();
    assert_eq!(came, ["hello", "again"]);
    drop(bridge);
}
