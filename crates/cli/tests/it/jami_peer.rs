//! The test peer's lines, as docs/jami-peer.md has them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    ready: Value,
}

impl Peer {
    fn start(dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_jami-peer"))
            .args([
                "--name",
                "asker",
                "--name-server",
                "http://127.0.0.1:9",
                "--no-host",
            ])
            .arg("--dir")
            .arg(dir)
            .env("BARAZA_LOG", "warn")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut peer = Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
            ready: Value::Null,
        };
        peer.ready = peer.line();
        peer
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line:?}"))
    }

    fn write(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line.as_bytes()).unwrap();
        input.write_all(b"\n").unwrap();
    }

    /// The next reply, events before it left out.
    fn reply(&mut self) -> Value {
        loop {
            let line = self.line();
            if line.get("reply").is_some() {
                return line;
            }
        }
    }

    fn ask(&mut self, request: &Value) -> Value {
        self.write(&request.to_string());
        self.reply()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn the_first_line_says_who_it_is_and_the_end_of_the_input_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(dir.path());
    assert_eq!(peer.ready["event"], "ready");
    assert_eq!(peer.ready["name"], "asker");
    assert_eq!(peer.ready["pid"], peer.child.id());
    assert_eq!(peer.ready["directory"], json!(dir.path().join("asker")));
    let accounts = peer.ask(&json!({"id": 1, "cmd": "accounts"}));
    assert_eq!(accounts, json!({"reply": 1, "ok": true, "result": []}));
    drop(peer.input.take());
    assert_eq!(peer.child.wait().unwrap().code(), Some(0));
}

#[test]
fn bad_lines_and_commands_get_an_error_each() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(dir.path());
    for (line, tag) in [
        ("no JSON", Value::Null),
        ("[]", Value::Null),
        ("{\"id\": 3}", json!(3)),
        ("{\"id\": 4, \"cmd\": \"fly\"}", json!(4)),
        ("{\"id\": 5, \"cmd\": \"identity\"}", json!(5)),
        (
            "{\"id\": 6, \"cmd\": \"create_account\", \"proxy\": \"x\"}",
            json!(6),
        ),
    ] {
        peer.write(line);
        let reply = peer.reply();
        assert_eq!(
            (&reply["reply"], &reply["ok"]),
            (&tag, &json!(false)),
            "{line}"
        );
        assert!(reply["error"].is_string());
    }
}

#[test]
fn an_account_is_there_again_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(dir.path());
    let made = peer.ask(&json!({"id": 1, "cmd": "create_account", "wait": 0}));
    assert_eq!(made["ok"], true, "{made}");
    let account = made["result"]["account"].clone();
    let identity = peer.ask(&json!({"id": 2, "cmd": "identity"}))["result"].clone();
    assert_eq!(identity["display_name"], "asker");
    peer.child.kill().unwrap();
    peer.child.wait().unwrap();
    let mut peer = Peer::start(dir.path());
    let accounts = peer.ask(&json!({"id": 1, "cmd": "accounts"}));
    assert_eq!(accounts["result"], json!([account]));
    let again = peer.ask(&json!({"id": 2, "cmd": "identity", "account": account}));
    assert_eq!(again["result"]["jami_id"], identity["jami_id"]);
    assert_eq!(again["result"]["device_id"], identity["device_id"]);
}
