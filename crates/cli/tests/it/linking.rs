//! An account gets to a new device, with a code and with a PIN.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;

use crate::running::Node;
use crate::support::{baraza, create, json, run, stderr, until};

/// A command that goes on, and its lines.
struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Running {
    fn start(dir: &Path, password: &str, arguments: &[&str]) -> Self {
        let mut child = baraza(dir)
            .arg("--json")
            .args(arguments)
            .env("BARAZA_PASSWORD", password)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no line: {line:?}"))
    }

    fn end(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

#[test]
fn a_code_makes_a_new_device_and_a_wrong_password_none() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let old_node = Node::start(&old);
    let _new_node = Node::start_at(&new, &old_node);
    let jami_id = create(&old, "Alice");
    let set = baraza(&old)
        .args(["account", "password"])
        .env("BARAZA_NEW_PASSWORD", "pass word")
        .output()
        .unwrap();
    assert!(set.status.success(), "{}", stderr(&set));
    let group = json(&old, &["conversation", "create", "--title", "Notes"]);
    let group = group["conversation"].as_str().unwrap();
    json(&old, &["send", group, "before"]);

    let nonsense = run(&old, &["device", "add", "jami-auth://nonsense", "--yes"]);
    assert!(!nonsense.status.success());
    // Who does not say --yes is asked, and there is nobody to ask.
    for (password, yes, linked) in [
        ("pass word", false, false),
        ("wrong", true, false),
        ("pass word", true, true),
    ] {
        let mut link = Running::start(&new, password, &["account", "link"]);
        let token = link.line()["token"].as_str().unwrap().to_owned();
        let mut add = vec!["device", "add", &token];
        add.extend(yes.then_some("--yes"));
        let added = run(&old, &add);
        assert_eq!(added.status.success(), linked, "{}", stderr(&added));
        assert_eq!(link.end() == Some(0), linked, "{password} {yes}");
        let list = json(&new, &["account", "list"]);
        assert_eq!(list.as_array().unwrap().len(), usize::from(linked));
    }
    assert_eq!(json(&new, &["account", "show"])["jami_id"], *jami_id);
    until("the conversation is there", || {
        let list = json(&new, &["conversation", "list"]);
        list.as_array().unwrap().len() == 1
    });
    until("what was said is there", || {
        let history = run(&new, &["--json", "history", group]);
        history.status.success()
            && serde_json::from_slice::<Value>(&history.stdout).unwrap()[0]["body"] == "before"
    });
    until("both list two devices", || {
        [&old, &new].iter().all(|dir| {
            let devices = json(dir, &["device", "list"]);
            devices.as_array().unwrap().len() == 2
        })
    });
}

#[test]
fn a_pin_makes_a_new_device_which_is_renamed_and_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let old_node = Node::start(&old);
    let _new_node = Node::start_at(&new, &old_node);
    let jami_id = create(&old, "Alice");
    let shown = json(&old, &["device", "pin"]);
    let file = dir.path().join("pin");
    fs::write(&file, shown["pin"].as_str().unwrap()).unwrap();
    let wrong = dir.path().join("wrong");
    fs::write(&wrong, "00000000").unwrap();
    let link = |file: &Path| {
        let file = file.to_str().unwrap();
        run(&new, &["--json", "account", "link", "--pin-file", file])
    };
    let refused = link(&wrong);
    assert!(!refused.status.success());
    assert_eq!(json(&new, &["account", "list"]), serde_json::json!([]));
    let linked = link(&file);
    assert!(linked.status.success(), "{}", stderr(&linked));
    let linked: Value = serde_json::from_slice(&linked.stdout).unwrap();
    assert_eq!(linked["jami_id"], *jami_id);
    let device = linked["device_id"].as_str().unwrap().to_owned();

    assert!(
        run(&new, &["device", "rename", "In the bag"])
            .status
            .success()
    );
    let is = |what: &dyn Fn(&Value) -> bool| {
        let devices = json(&old, &["device", "list"]);
        let list = devices.as_array().unwrap().clone();
        list.iter().any(|it| it["id"] == *device && what(it))
    };
    until("it has the name", || is(&|it| it["name"] == "In the bag"));
    let unasked = run(&old, &["device", "revoke", &device]);
    assert_eq!(unasked.status.code(), Some(2), "asks first");
    let revoke = ["device", "revoke", &device[..8], "--yes"];
    let revoked = run(&old, &revoke);
    assert!(revoked.status.success(), "{}", stderr(&revoked));
    until("it is revoked", || is(&|it| it["revoked"] == true));
}
