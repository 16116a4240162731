//! Programs that use the API of a node which is killed (kill -9) in the middle.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::running::Node;
use crate::support::{self, until};

/// A program with the owner's token.
#[derive(Clone)]
struct Program {
    api: String,
    token: String,
}

impl Program {
    fn new(dir: &Path, node: &Node) -> Self {
        Self {
            api: node.ready["api"].as_str().unwrap().to_owned(),
            token: std::fs::read_to_string(dir.join("api-token")).unwrap(),
        }
    }

    /// A request; nothing if there is no whole answer.
    fn ask(&self, method: &str, path: &str, key: &str, body: &Value) -> Option<(u16, Value)> {
        let body = body.to_string();
        let request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             idempotency-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            self.api,
            self.token.trim(),
            body.len()
        );
        let mut stream = TcpStream::connect(&self.api).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, serde_json::from_str(body).ok()?))
    }

    /// All texts of a conversation.
    fn texts(&self, chat: &str) -> Vec<String> {
        let mut texts = Vec::new();
        let mut before = String::new();
        loop {
            let path = format!("{chat}/messages?limit=1000{before}");
            let (status, page) = self.ask("GET", &path, "none", &json!({})).unwrap();
            assert_eq!(status, 200, "{page}");
            let messages = page["messages"].as_array().unwrap();
            texts.extend(
                messages
                    .iter()
                    .map(|one| one["body"].as_str().unwrap().to_owned()),
            );
            match page["older"].as_str() {
                Some(older) => before = format!("&before={older}"),
                None => return texts,
            }
        }
    }
}

/// An account, and the path of a group of it.
fn group(dir: &Path, program: &Program) -> String {
    let account = support::json(dir, &["account", "create", "--name", "Alice"]);
    let account = account["account"].as_str().unwrap().to_owned();
    let path = format!("/accounts/{account}/conversations");
    let (status, made) = program.ask("POST", &path, "group", &json!({})).unwrap();
    assert_eq!(status, 201, "{made}");
    format!("{path}/{}", made["conversation"].as_str().unwrap())
}

#[test]
fn texts_with_keys_are_there_once_whenever_the_node_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::start(dir.path());
    let mut program = Program::new(dir.path(), &node);
    let chat = group(dir.path(), &program);
    let messages = format!("{chat}/messages");
    // How often each text may be there: it is not known of all.
    let mut wanted: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut answered = 0;
    for round in 0..5_u64 {
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let (program, messages) = (program.clone(), messages.clone());
                std::thread::spawn(move || {
                    let mut sent = Vec::new();
                    for number in 0.. {
                        let text = format!("{round}-{sender}-{number}");
                        let body = json!({ "body": text });
                        let answer = program.ask("POST", &messages, &text, &body);
                        let ended = answer.is_none();
                        sent.push((text, answer));
                        if ended {
                            break;
                        }
                    }
                    sent
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(60 + 37 * round));
        node.child.kill().unwrap();
        node.child.wait().unwrap();
        node = Node::start(dir.path());
        program = Program::new(dir.path(), &node);
        for (text, first) in senders.into_iter().flat_map(|one| one.join().unwrap()) {
            if let Some((status, answer)) = &first {
                assert_eq!(*status, 201, "{answer}");
                answered += 1;
            }
            // As a program does that does not know: the same once more.
            let body = json!({ "body": text });
            let (status, again) = program.ask("POST", &messages, &text, &body).unwrap();
            let times = match (first, status) {
                (Some((_, first)), 201) => {
                    assert_eq!(again, first);
                    (1, 1)
                }
                (None, 201) => (1, 1),
                // What was answered may be forgotten by nobody.
                (None, 409) => {
                    assert_eq!(again["code"], "outcome_unknown", "{again}");
                    (0, 1)
                }
                (first, _) => panic!("{text}: {first:?}, then {status} {again}"),
            };
            wanted.insert(text, times);
        }
    }
    assert!(answered > 0, "nothing was sent before the node was killed");
    let texts = program.texts(&chat);
    for (text, (least, most)) in wanted {
        let count = texts.iter().filter(|one| **one == text).count();
        assert!((least..=most).contains(&count), "{text}: {count} times");
    }
}

/// Takes what webhooks send; the ids of messages and the texts, as they came.
fn receive(listener: TcpListener) -> Arc<Mutex<Vec<(String, String)>>> {
    let got = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&got);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = Vec::new();
            let mut piece = [0; 4096];
            // One that breaks off was sent by a node that was killed.
            while let Ok(count @ 1..) = stream.read(&mut piece) {
                bytes.extend_from_slice(&piece[..count]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
                if body.len().to_string() != field("content-length: ").unwrap() {
                    continue;
                }
                let event: Value = serde_json::from_str(body).unwrap();
                let text = event["message"]["body"].as_str().unwrap().to_owned();
                let id = field("webhook-id: ").unwrap().to_owned();
                seen.lock().unwrap().push((id, text));
                let _killed = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                break;
            }
        }
    });
    got
}

#[test]
fn a_webhook_gets_everything_in_order_whenever_the_node_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let got = receive(listener);
    let mut node = Node::start(dir.path());
    let mut program = Program::new(dir.path(), &node);
    let chat = group(dir.path(), &program);
    let messages = format!("{chat}/messages");
    let add = [
        "webhook",
        "add",
        &url,
        "--event",
        "message_received",
        "--label",
        "Test",
    ];
    let made = support::json(dir.path(), &add);
    assert!(
        made["secret"].as_str().unwrap().starts_with("whsec_"),
        "{made}"
    );

    let mut texts = Vec::new();
    for round in 0..5_usize {
        for number in 0..20 {
            let text = format!("{round}-{number}");
            let body = json!({ "body": text });
            let (status, answer) = program.ask("POST", &messages, &text, &body).unwrap();
            assert_eq!(status, 201, "{answer}");
            texts.push(text);
        }
        // In the middle of it: the last ones are not sent yet, or were not noted.
        let some = texts.len().saturating_sub(3 * round);
        until("some came", || got.lock().unwrap().len() >= some);
        node.child.kill().unwrap();
        node.child.wait().unwrap();
        node = Node::start(dir.path());
        program = Program::new(dir.path(), &node);
    }
    let last = texts.last().unwrap();
    until("the last one came", || {
        got.lock().unwrap().iter().any(|one| one.1 == *last)
    });
    // Each was sent once or more, and what a message is called stays the same.
    let mut got = got.lock().unwrap().clone();
    got.dedup();
    let came: Vec<_> = got.iter().map(|one| one.1.clone()).collect();
    assert_eq!(came, texts);

    let list = support::json(dir.path(), &["webhook", "list"]);
    assert_eq!(list[0]["label"], "Test");
    assert!(list[0]["delivered"].is_u64(), "{list}");
    let id = list[0]["id"].as_str().unwrap();
    let lines = support::stdout(&support::run(dir.path(), &["webhook", "list"]));
    assert!(
        lines.contains(id) && lines.contains("took one at"),
        "{lines}"
    );
    support::json(dir.path(), &["webhook", "remove", &id[..6]]);
    assert_eq!(support::json(dir.path(), &["webhook", "list"]), json!([]));
    let none = support::run(dir.path(), &["webhook", "test", id]);
    assert_eq!(none.status.code(), Some(4), "{}", support::stderr(&none));
}
