//! Two people and two nodes: from the first request to a chat, with the commands alone.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::running::Node;
use crate::support::{baraza, create, json, run, stderr, stdout};

#[test]
fn two_people_meet_and_talk() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let alice_node = Node::start(&a);
    let mut bob_node = Node::start_at(&b, &alice_node);
    let (alice, bob) = (create(&a, "Alice"), create(&b, "Bob"));

    // Bob hears of the request while he waits for it.
    let mut watch = baraza(&b)
        .args(["--json", "watch", "--types", "request_received", "-n", "1"])
        .args(["--since", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let asked = json(&a, &["contact", "add", &bob]);
    let chat = asked["conversation"].as_str().unwrap().to_owned();
    assert!(watch.wait().unwrap().success());
    let mut event = String::new();
    let mut out = watch.stdout.take().unwrap();
    out.read_to_string(&mut event).unwrap();
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!(event["from"], *alice);
    assert_eq!(event["conversation"], *chat);

    let refused = run(&b, &["request", "accept", "00000000"]);
    assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
    let accepted = json(&b, &["request", "accept", &alice[..8]]);
    assert_eq!(accepted["ready"], true);
    assert_eq!(json(&b, &["request", "list"]), serde_json::json!([]));
    assert_eq!(json(&b, &["contact", "list"])[0]["id"], *alice);

    // Escape sequences arrive as they are, and do not reach a terminal.
    let sent = json(&a, &["send", &bob, "hello\u{1b}[2J", "--wait", "60"]);
    assert_eq!(sent["arrived"], true);
    let id = sent["id"].as_str().unwrap();
    let history = stdout(&run(&b, &["history", &alice]));
    assert!(history.contains("hello\\u{1b}[2J"), "{history}");
    assert!(!history.contains('\u{1b}'));
    let reply = json(&b, &["send", &chat, "hi", "--reply-to", id, "--wait", "60"]);
    let history = json(&a, &["history", &bob]);
    let texts: Vec<_> = history.as_array().unwrap().iter().collect();
    assert_eq!(texts.len(), 2);
    assert_eq!(texts[0]["body"], "hello\u{1b}[2J");
    assert_eq!(texts[1]["id"], reply["id"]);
    assert_eq!(texts[1]["reply_to"], id);
    let after = json(&a, &["history", &bob, "--after", id]);
    assert_eq!(after[0]["body"], "hi");
    let before = json(&a, &["history", &bob, "--before", id]);
    assert_eq!(before, serde_json::json!([]));

    // Bob is away: the message waits, and says why.
    assert_eq!(bob_node.terminate(), Some(0));
    let late = json(&a, &["send", &bob, "later"]);
    let why = json(&a, &["why", late["id"].as_str().unwrap()]);
    assert_eq!(why[0]["arrived"], false);
    assert!(!why[0]["devices"][0]["reason"].as_str().unwrap().is_empty());
    let timeout = run(&a, &["send", &bob, "and this", "--wait", "0"]);
    assert_eq!(timeout.status.code(), Some(6), "{}", stderr(&timeout));
    let _bob_node = Node::start_at(&b, &alice_node);

    // A chat shows what was said, sends lines, and ends with its input.
    let mut talk = baraza(&b)
        .args(["--json", "chat", &alice])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(talk.stdout.take().unwrap()).lines();
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        seen.push(line["body"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["hello\u{1b}[2J", "hi", "later", "and this"]);
    talk.stdin.take().unwrap().write_all(b"bye\n").unwrap();
    assert!(talk.wait().unwrap().success());
    let last = json(&b, &["history", &alice, "-n", "1"]);
    assert_eq!(last[0]["body"], "bye");

    let members = json(&a, &["conversation", "members", &chat]);
    assert_eq!(members.as_array().unwrap().len(), 2);
    let status = json(&a, &["status"]);
    assert_eq!(status["accounts"][0]["conversations"], 1);
    assert!(status["dht"]["received"].as_u64().unwrap() > 0);

    // Blocked: nothing of Bob arrives any more, and he is not among the contacts.
    json(&a, &["contact", "block", &bob]);
    assert_eq!(json(&a, &["contact", "list"]), serde_json::json!([]));
    assert_eq!(json(&a, &["contact", "list", "--all"])[0]["blocked"], true);
}

#[test]
fn a_group_from_its_making_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let alice_node = Node::start(&a);
    let _bob_node = Node::start_at(&b, &alice_node);
    let (alice, bob) = (create(&a, "Alice"), create(&b, "Bob"));

    let wait = |dir: &Path, events: &str| {
        let watch = ["watch", "--types", events, "-n", "1", "--since", "0"];
        json(dir, &watch)
    };
    let made = json(
        &a,
        &["conversation", "create", "--title", "The bench", &bob],
    );
    let group = made["conversation"].as_str().unwrap().to_owned();
    let event = wait(&b, "request_received");
    assert_eq!(event["from"], *alice);
    assert_eq!(event["mode"], 2);
    assert_eq!(event["name"], "The bench");
    let accepted = json(&b, &["request", "accept", &group]);
    assert_eq!(accepted["ready"], true);
    // To join a group makes nobody a contact.
    assert_eq!(json(&b, &["contact", "list"]), serde_json::json!([]));

    let sent = json(&b, &["send", &group, "frist", "--wait", "60"]);
    let id = sent["id"].as_str().unwrap();
    let reaction = json(&a, &["react", &group, &id[..8], "👍"]);
    let refused = run(&a, &["edit", &group, id, "not mine"]);
    assert_eq!(refused.status.code(), Some(5), "{}", stderr(&refused));
    let edit = json(&b, &["edit", &group, id, "first"]);
    let gone = json(&a, &["delete", &group, reaction["id"].as_str().unwrap()]);
    assert_ne!(edit["id"], gone["id"]);
    let history = stdout(&run(&a, &["history", &group]));
    assert!(
        history.contains(&format!("👍 to {}", &id[..8])),
        "{history}"
    );
    assert!(history.contains("deletes"), "{history}");

    let change = [
        "conversation",
        "profile",
        &group,
        "--description",
        "Where we talk",
    ];
    assert!(run(&a, &change).status.success());
    let refused = run(&b, &change);
    assert_eq!(refused.status.code(), Some(5), "{}", stderr(&refused));
    let profile = json(&a, &["conversation", "profile", &group]);
    assert_eq!(profile["title"], "The bench");
    assert_eq!(profile["description"], "Where we talk");
    let picture = dir.path().join("bench.png");
    std::fs::write(&picture, b"\x89PNG\r\n\x1a\n and so on").unwrap();
    let picture = ["--picture", picture.to_str().unwrap()];
    let change = [&["conversation", "profile", &group], &picture[..]].concat();
    let changed = run(&a, &change);
    assert!(changed.status.success(), "{}", stderr(&changed));
    let profile = json(&a, &["conversation", "profile", &group]);
    assert!(profile["avatar"].is_string(), "{profile}");
    assert_eq!(profile["title"], "The bench");

    let list = stdout(&run(&a, &["conversation", "list"]));
    assert!(list.contains("group of 2 \"The bench\""), "{list}");

    let ban = run(&a, &["conversation", "ban", &group, &bob]);
    assert!(ban.status.success(), "{}", stderr(&ban));
    let members = json(&a, &["conversation", "members", &group]);
    let roles: Vec<_> = members
        .as_array()
        .unwrap()
        .iter()
        .map(|m| &m["role"])
        .collect();
    assert_eq!(roles.len(), 2);
    assert!(roles.contains(&&Value::from("banned")), "{members}");
    let back = run(&a, &["conversation", "invite", &group, &bob]);
    assert!(back.status.success(), "{}", stderr(&back));
    let left = run(&a, &["conversation", "leave", &group]);
    assert!(left.status.success(), "{}", stderr(&left));
    assert_eq!(json(&a, &["conversation", "list"]), serde_json::json!([]));
}
