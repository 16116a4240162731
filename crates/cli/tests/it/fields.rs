//! What `--json` gives is what docs/cli.md says: scripts rely on it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::running::Node;
use crate::support::{create, json, until};

/// An object as it is documented: its fields, and those that may be missing.
#[derive(Debug, Default)]
struct Documented {
    always: BTreeSet<String>,
    sometimes: BTreeSet<String>,
}

/// The tables of docs/cli.md.
struct Tables {
    objects: BTreeMap<String, Documented>,
    /// What each command gives.
    commands: BTreeMap<String, String>,
}

impl Tables {
    fn read() -> Self {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
        let document = std::fs::read_to_string(document).unwrap();
        let part = document.split("### What `--json` gives").nth(1).unwrap();
        let part = part.split("| code | meaning |").next().unwrap();
        let (objects, commands) = part.split_once("| command | gives |").unwrap();
        let rows = |text: &str| -> Vec<(String, String)> {
            text.lines()
                .filter(|line| line.starts_with("| ") && !line.starts_with("| object"))
                .map(|line| line.trim_matches('|').split_once('|').unwrap())
                .map(|(left, right)| (left.trim().to_owned(), right.trim().to_owned()))
                .collect()
        };
        let mut tables = Self {
            objects: BTreeMap::new(),
            commands: BTreeMap::new(),
        };
        for (name, fields) in rows(objects) {
            let mut documented = Documented::default();
            for field in fields.split('`').skip(1).step_by(2) {
                match field.strip_suffix('?') {
                    Some(field) => documented.sometimes.insert(field.to_owned()),
                    None => documented.always.insert(field.to_owned()),
                };
            }
            tables.objects.insert(name, documented);
        }
        for (commands, gives) in rows(commands) {
            for command in commands.split('`').skip(1).step_by(2) {
                tables.commands.insert(command.to_owned(), gives.clone());
            }
        }
        tables
    }

    #[track_caller]
    fn is(&self, value: &Value, object: &str) {
        let documented = &self.objects[object];
        let map = value
            .as_object()
            .unwrap_or_else(|| panic!("no {object}: {value}"));
        let fields: BTreeSet<String> = map.keys().cloned().collect();
        let missing: Vec<_> = documented.always.difference(&fields).collect();
        assert!(missing.is_empty(), "{object} lacks {missing:?}: {value}");
        let known = |field: &&String| {
            documented.always.contains(*field) || documented.sometimes.contains(*field)
        };
        let unknown: Vec<_> = fields.iter().filter(|field| !known(field)).collect();
        // Each type of event has fields of its own.
        let all = unknown.is_empty() || object == "event";
        assert!(all, "{object} in docs/cli.md lacks {unknown:?}");
    }
}

/// Runs commands and notes which, so that none of the table is left out.
struct Checked<'a> {
    tables: Tables,
    dir: &'a Path,
    done: BTreeSet<String>,
}

impl Checked<'_> {
    #[track_caller]
    fn check(&mut self, command: &str, arguments: &[&str]) -> Value {
        let words: Vec<&str> = command
            .split(' ')
            .chain(arguments.iter().copied())
            .collect();
        let value = json(self.dir, &words);
        let gives = self.tables.commands[command].clone();
        match gives.split_once(": ") {
            Some(("a list of", object)) => {
                let list = value.as_array().unwrap();
                assert!(!list.is_empty(), "{command} gives nothing to look at");
                list.iter().for_each(|one| self.tables.is(one, object));
            }
            Some((_, object)) => self.tables.is(&value, object),
            None => self.tables.is(&value, &gives),
        }
        self.done.insert(command.to_owned());
        value
    }
}

#[test]
fn json_has_the_fields_that_are_documented() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let alice_node = Node::start(&a);
    let _bob_node = Node::start_at(&b, &alice_node);
    let alice = create(&a, "Alice");
    let mut on_b = Checked {
        tables: Tables::read(),
        dir: &b,
        done: BTreeSet::new(),
    };
    let bob = on_b.check("account create", &["--name", "Bob", "--wait", "60"]);
    let bob = bob["jami_id"].as_str().unwrap().to_owned();
    let mut on_a = Checked {
        tables: Tables::read(),
        dir: &a,
        done: BTreeSet::new(),
    };
    on_a.check("account list", &[]);
    on_a.check("account show", &[]);
    on_a.check("account rename", &["Alicia"]);
    on_a.check("account settings", &[]);
    on_a.check("contact add", &[&bob]);
    until("Bob was asked", || {
        json(&b, &["request", "list"])[0]["from"].is_string()
    });
    on_b.check("request list", &[]);
    on_b.check("request accept", &[&alice]);
    on_a.check("contact list", &[]);
    on_a.check("contact nearby", &["--show", "on"]);
    on_a.check("network show", &[]);
    let sent = on_a.check("send", &[&bob, "hello", "--wait", "60"]);
    let id = sent["id"].as_str().unwrap();
    on_a.check("react", &[&bob, id, "👍"]);
    on_a.check("edit", &[&bob, id, "hello!"]);
    let file = dir.path().join("f.txt");
    std::fs::write(&file, "x").unwrap();
    let offered = on_a.check("send-file", &[&bob, file.to_str().unwrap()]);
    let offered = offered["id"].as_str().unwrap();
    on_a.check("files", &[&bob]);
    until("the file is offered", || {
        json(&b, &["files", &alice])
            .as_array()
            .is_some_and(|files| !files.is_empty())
    });
    on_b.check("fetch", &[&alice, offered]);
    let copy = dir.path().join("copy");
    let saved = on_b.check("save", &[&alice, offered, copy.to_str().unwrap()]);
    on_b.tables.is(&saved["file"], "file");
    on_b.check(
        "send",
        &[&alice, "an answer", "--reply-to", id, "--wait", "60"],
    );
    on_a.check("history", &[&bob, "--all"]);
    let page = on_a.check("view", &[&bob]);
    for entry in page["entries"].as_array().unwrap() {
        on_a.tables.is(entry, "entry");
    }
    let results = on_a.check("search", &["hello"]);
    on_a.tables.is(&results["found"][0], "result");
    let delivery = on_a.check("message status", &[&bob, id]);
    on_a.tables.is(&delivery["devices"][0], "device delivery");
    on_a.check("why", &[]);
    let conversations = on_a.check("conversation list", &[]);
    on_a.tables.is(&conversations[0]["newest"], "entry");
    on_a.check("conversation members", &[&bob]);
    let group = on_a.check("conversation create", &["--title", "Notes"]);
    let group = group["conversation"].as_str().unwrap();
    on_a.check("conversation profile", &[group]);
    on_a.check("device list", &[]);
    on_a.check("device pin", &[]);
    on_a.check("name server", &[]);
    on_a.check("profile", &[]);
    let token = on_a.check("token create", &["Bot", "--scope", "read"]);
    on_a.tables.is(&token["info"], "token");
    on_a.check("token list", &[]);
    on_a.check("backup status", &[]);
    on_a.check("open --print", &[]);
    on_a.check("status", &[]);
    on_a.check("watch", &["--since", "0", "-n", "1"]);
    on_a.check("delete", &[&bob, id]);
    on_a.check("account disable", &[]);
    on_a.check("account enable", &[]);
    on_a.done.append(&mut on_b.done);
    let table: BTreeSet<String> = on_a.tables.commands.keys().cloned().collect();
    let left: Vec<_> = table.difference(&on_a.done).collect();
    assert!(left.is_empty(), "documented, but not looked at: {left:?}");
}
