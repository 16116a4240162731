//! `baraza relay`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::running::Node;
use crate::support::{create, json, run, stderr, until};

/// What the monitor answers.
fn monitor(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_relay_joins_what_its_owner_invites_it_to_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (home, other, relay) = (
        dir.path().join("home"),
        dir.path().join("other"),
        dir.path().join("relay"),
    );
    let nobody = run(&relay, &["relay", "--no-bootstrap", "--loopback"]);
    assert_eq!(nobody.status.code(), Some(2), "{}", stderr(&nobody));
    let node = Node::start(&home);
    let _other = Node::start_at(&other, &node);
    let owner = create(&home, "Owner");
    create(&other, "Other");
    let mut running = Node::relay_at(&relay, &node, &["--owner", &owner, "--name", "Shelf"]);
    let line = running.line();
    assert_eq!(line["event"], "relay");
    assert_eq!(line["further_device"], false);
    let id = line["jami_id"].as_str().unwrap().to_owned();
    let address = line["monitor"].as_str().unwrap().to_owned();
    until("it is well", || {
        monitor(&address, "/health").starts_with("HTTP/1.1 200")
    });
    json(
        &other,
        &["conversation", "create", "--title", "Foreign", &id],
    );
    let made = json(&home, &["conversation", "create", "--title", "Ours", &id]);
    let group = made["conversation"].as_str().unwrap();
    until("it has joined", || {
        let list = json(&relay, &["conversation", "list"]);
        list.as_array()
            .unwrap()
            .iter()
            .any(|one| one["id"] == *group)
    });
    let sent = json(&home, &["send", group, "keep this", "--wait", "60"]);
    assert_eq!(sent["arrived"], true);
    until("it counts what it keeps", || {
        monitor(&address, "/metrics").contains("baraza")
    });
    until("the other is declined", || {
        json(&relay, &["request", "list"]) == serde_json::json!([])
    });
    assert_eq!(
        json(&relay, &["conversation", "list"])
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // It is the same one the next time.
    assert_eq!(running.terminate(), Some(0));
    let mut again = Node::relay_at(&relay, &node, &["--owner", &owner]);
    assert_eq!(again.line()["jami_id"], *id);
    assert_eq!(json(&relay, &["history", group])[0]["body"], "keep this");
}

#[test]
fn a_relay_is_linked_with_a_code_or_a_pin_and_declines_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (home, other) = (dir.path().join("home"), dir.path().join("other"));
    let node = Node::start(&home);
    let _other = Node::start_at(&other, &node);
    let owner = create(&home, "Owner");
    let made = json(&home, &["conversation", "create", "--title", "Ours"]);
    let group = made["conversation"].as_str().unwrap();
    json(&home, &["send", group, "before"]);

    let by_code = dir.path().join("code");
    let mut relay = Node::relay_at(&by_code, &node, &["--link"]);
    let shown = relay.line();
    assert_eq!(shown["event"], "link");
    let token = shown["token"].as_str().unwrap();
    let added = run(&home, &["device", "add", token, "--yes"]);
    assert!(added.status.success(), "{}", stderr(&added));
    let line = relay.line();
    assert_eq!(line["jami_id"], *owner);
    assert_eq!(line["further_device"], true);

    let by_pin = dir.path().join("pin");
    let pin = dir.path().join("pin.txt");
    let shown = json(&home, &["device", "pin"]);
    fs::write(&pin, shown["pin"].as_str().unwrap()).unwrap();
    let options = ["--link-pin-file", pin.to_str().unwrap(), "--name", "Attic"];
    let mut second = Node::relay_at(&by_pin, &node, &options);
    assert_eq!(second.line()["jami_id"], *owner);
    let wrong = dir.path().join("wrong");
    fs::write(&pin, "00000000").unwrap();
    let address = node.ready["dht"][0].as_str().unwrap();
    let refused = run(
        &wrong,
        &[
            "relay",
            "--loopback",
            "--bootstrap",
            address,
            options[0],
            options[1],
        ],
    );
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));

    for relay in [&by_code, &by_pin] {
        until("it has what was said", || {
            let history = run(relay, &["history", group]);
            String::from_utf8_lossy(&history.stdout).contains("before")
        });
    }
    until("the devices have names", || {
        let devices = json(&home, &["device", "list"]);
        let devices = devices.as_array().unwrap().clone();
        ["Relay", "Attic"]
            .iter()
            .all(|name| devices.iter().any(|it| it["name"] == *name))
    });

    // Who asks the account is answered by its user, also after a restart, for which nothing
    // has to be said again.
    let asker = create(&other, "Other");
    json(&other, &["contact", "add", &owner]);
    let asks = |dir| {
        let requests = json(dir, &["request", "list"]);
        requests
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["from"] == *asker)
    };
    until("all hear of the request", || {
        [&home, &by_code, &by_pin].iter().all(|dir| asks(dir))
    });
    assert_eq!(relay.terminate(), Some(0));
    let mut relay = Node::relay_at(&by_code, &node, &[]);
    assert_eq!(relay.line()["further_device"], true);
    assert!(asks(&by_code) && asks(&home));
    json(&home, &["request", "accept", &asker]);
    until("it is answered everywhere", || {
        !asks(&by_code) && !asks(&by_pin)
    });
}
