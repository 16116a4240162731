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
    let program = Command::new("python3")
        .args([script, "--url", &url, "--token-file"])
        .arg(&token)
        .arg("--cursor-file")
        .arg(dir.path().join("cursor"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut program = Program(program);
    let mut line = String::new();
    let out = program.0.stdout.take().unwrap();
    std::io::BufReader::new(out).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");

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
