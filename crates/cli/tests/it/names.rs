//! `baraza names`.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier};
use std::thread;

use baraza_identity::PrivateKey;
use baraza_names::store::cluster::Cluster;
use baraza_names::{Name, Registration};
use serde_json::Value;

use crate::support::{baraza, json, run, stderr, stdout};

/// A server process, killed without warning when it is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(data: &Path, more: &[&str]) -> Self {
        Self::start_by(baraza(data), data, more)
    }

    fn start_by(mut command: Command, data: &Path, more: &[&str]) -> Self {
        let mut child = command
            .args(["--json", "names", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args([
                "--lookups",
                "0",
                "--registrations",
                "0",
                "--all-registrations",
                "0",
            ])
            .args(["--log-level", "error"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        let address = told["listen"][0].as_str().unwrap().to_owned();
        Self { child, address }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Sends a request; status and body, if an answer comes.
fn ask(address: &str, request: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

fn get(address: &str, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    ask(address, &request).unwrap()
}

fn register(address: &str, name: &str, key: &PrivateKey) -> Option<(u16, String)> {
    let body = Registration::sign(&Name::new(name).unwrap(), key, None)
        .unwrap()
        .to_json();
    let request = format!(
        "POST /name/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    ask(address, &request)
}

fn id(key: &PrivateKey) -> String {
    key.public_key().short_id().to_hex()
}

fn keys(count: usize) -> Vec<PrivateKey> {
    let half = count / 2;
    let make = |count| {
        (0..count)
            .map(|_| PrivateKey::generate_rsa(2048).unwrap())
            .collect()
    };
    let other = thread::spawn(move || -> Vec<PrivateKey> { make(count - half) });
    let mut keys: Vec<PrivateKey> = make(half);
    keys.extend(other.join().unwrap());
    keys
}

#[test]
fn one_of_many_gets_a_name_also_if_a_server_is_killed() {
    race(&[], || {});
}

/// The same with the directory in PostgreSQL, which is killed, too.
#[test]
fn one_of_many_gets_a_name_in_postgresql_also_if_that_is_killed() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = runtime.block_on(cluster.database());
    race(&["--database", &url], || {
        runtime.block_on(cluster.kill_and_start());
    });
}

/// A database on another machine is spoken to by TLS, and only if its certificate is good.
#[test]
fn a_database_by_tls_must_have_a_certificate_of_a_trusted_authority() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    let Some(cluster) = Cluster::start_with_tls(&certificate, &key) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = cluster.by_tcp(&runtime.block_on(cluster.database()));
    let data = dir.path().join("names");
    let database = |mode: &str| ["--database".to_owned(), format!("{url}?sslmode={mode}")];
    let refused = |mode: &str, trusted: &Path, why: &str| {
        let done = baraza(&data)
            .args(["names", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .args(database(mode))
            .env("SSL_CERT_FILE", trusted)
            .output()
            .unwrap();
        assert!(!done.status.success());
        assert!(stderr(&done).contains(why), "{}", stderr(&done));
    };
    let none = dir.path().join("none.pem");
    fs::write(&none, "").unwrap();
    refused("require", &none, "certificate");
    refused("disable", &certificate, "no encryption");
    let database = database("require");
    let mut command = baraza(&data);
    command.env("SSL_CERT_FILE", &certificate);
    let server = Server::start_by(command, &data, &[&database[0], &database[1]]);
    let key = &keys(1)[0];
    assert_eq!(register(&server.address, "anna", key).unwrap().0, 200);
    let (status, body) = get(&server.address, &format!("/addr/{}", id(key)));
    assert_eq!(status, 200);
    assert!(body.contains("anna"), "{body}");
}

/// 64 clients want the same name at once from three processes on one directory, one of which
/// is killed in the middle and started again, and the database by `kill`: one gets it, and
/// what was confirmed stays.
fn race(at: &[&str], mut kill: impl FnMut()) {
    const CLIENTS: usize = 64;
    const ROUNDS: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("names");
    let mut servers: Vec<Server> = (0..3).map(|_| Server::start(&data, at)).collect();
    let keys = Arc::new(keys(CLIENTS));
    let mut won = [false; CLIENTS];
    let mut confirmed = 0;
    for round in 0..ROUNDS {
        let name = format!("race-{round}");
        let free: Vec<usize> = (0..CLIENTS).filter(|client| !won[*client]).collect();
        let barrier = Arc::new(Barrier::new(free.len() + 1));
        let clients: Vec<_> = free
            .into_iter()
            .map(|client| {
                let (keys, barrier) = (Arc::clone(&keys), Arc::clone(&barrier));
                let address = servers[client % 3].address.clone();
                let name = name.clone();
                thread::spawn(move || {
                    barrier.wait();
                    (client, register(&address, &name, &keys[client]))
                })
            })
            .collect();
        barrier.wait();
        // Every second time, in the middle of it.
        if round % 2 == 1 {
            servers[round % 3].kill();
        }
        if round % 4 == 3 {
            kill();
        }
        let mut winners = Vec::new();
        for client in clients {
            let (client, answer) = client.join().unwrap();
            match answer {
                Some((200, _)) => winners.push(client),
                Some((403, _)) => {}
                // Its database was killed, and not there again in time.
                Some((503, _)) => assert_eq!(round % 4, 3, "busy"),
                // Its server was killed: it may have got the name, and does not know.
                None => assert_eq!(round % 2, 1, "no answer"),
                Some(other) => panic!("{other:?}"),
            }
        }
        if round % 2 == 1 {
            servers[round % 3] = Server::start(&data, at);
        }
        assert!(winners.len() <= 1, "{winners:?} all have {name}");
        let (status, body) = get(&servers[(round + 1) % 3].address, &format!("/name/{name}"));
        assert_eq!(status, 200, "{body}");
        let holder = keys.iter().position(|key| body.contains(&id(key))).unwrap();
        if let Some(winner) = winners.first() {
            assert_eq!(holder, *winner);
            confirmed += 1;
        }
        won[holder] = true;
    }
    assert!(confirmed >= ROUNDS / 2);
    for server in &mut servers {
        server.kill();
    }
    let verify = ["names", "verify", "--data", data.to_str().unwrap()];
    let report = json(dir.path(), &[&verify, at].concat());
    assert_eq!(report["names"], ROUNDS);
    assert_eq!(report["moved"], 0);
}

#[test]
fn a_directory_is_checked_changed_and_copied() {
    let dir = tempfile::tempdir().unwrap();
    let (home, copy) = (dir.path().join("names"), dir.path().join("copy"));
    let file = dir.path().join("names.jsonl");
    let (home, copy, file) = (
        home.to_str().unwrap(),
        copy.to_str().unwrap(),
        file.to_str().unwrap(),
    );
    let names = |data: &str, arguments: &[&str]| {
        run(
            dir.path(),
            &[&["names"], arguments, &["--data", data]].concat(),
        )
    };
    let server = Server::start(Path::new(home), &[]);
    let keys = keys(2);
    assert_eq!(register(&server.address, "alice", &keys[0]).unwrap().0, 200);
    let (_, checkpoint) = get(&server.address, "/audit/checkpoint");
    let kept = dir.path().join("checkpoint.json");
    fs::write(&kept, checkpoint).unwrap();
    let kept = kept.to_str().unwrap();

    // Nothing is changed in silence.
    let to = id(&keys[1]);
    let moving = ["admin", "move", "alice", "--to", &to, "--reason", "a test"];
    let refused = names(home, &moving);
    assert_eq!(refused.status.code(), Some(5), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("names admin allow"));
    let moved = names(
        home,
        &["admin", "move", "nobody", "--to", &to, "--reason", "x"],
    );
    assert_eq!(moved.status.code(), Some(5));
    assert!(names(home, &["admin", "allow"]).status.success());
    assert_eq!(
        names(
            home,
            &["admin", "move", "nobody", "--to", &to, "--reason", "x"]
        )
        .status
        .code(),
        Some(4)
    );
    assert!(names(home, &moving).status.success());
    assert!(get(&server.address, "/name/alice").1.contains(&to));
    drop(server);

    let checked = names(home, &["verify", "--checkpoint", kept]);
    assert!(checked.status.success(), "{}", stderr(&checked));
    assert!(
        stdout(&checked).contains("by acts in the log: 1 moved"),
        "{}",
        stdout(&checked)
    );
    assert!(names(home, &["export", file]).status.success());
    let checked = names(home, &["verify", file, "--checkpoint", kept]);
    assert!(checked.status.success(), "{}", stderr(&checked));
    assert!(names(copy, &["import", file]).status.success());
    let again = names(copy, &["import", file]);
    assert_eq!(again.status.code(), Some(1), "{}", stdout(&again));
    let report = json(dir.path(), &["names", "verify", "--data", copy]);
    assert_eq!(
        (&report["names"], &report["moved"], &report["unsigned"]),
        (&1.into(), &1.into(), &1.into())
    );

    // A log that was made anew is not the one of which a checkpoint was kept.
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, text.replace("a test", "a toast")).unwrap();
    let bad = names(home, &["verify", file]);
    assert_eq!(bad.status.code(), Some(8), "{}", stdout(&bad));
    let other = dir.path().join("other");
    let other = other.to_str().unwrap();
    let dump = dir.path().join("dump.json");
    let body = Registration::sign(&Name::new("bob").unwrap(), &keys[1], None)
        .unwrap()
        .to_json();
    let unsigned = format!("{{\"addr\":\"0x{}\",\"owner\":\"0x1\"}}", "1".repeat(40));
    fs::write(&dump, format!("{{\"bob\":{body},\"carol\":{unsigned}}}")).unwrap();
    let taken = json(
        dir.path(),
        &["names", "import", dump.to_str().unwrap(), "--data", other],
    );
    assert_eq!(
        (&taken["imported"], &taken["refused"]),
        (&1.into(), &1.into())
    );
    let taken = json(
        dir.path(),
        &[
            "names",
            "import",
            dump.to_str().unwrap(),
            "--unsigned",
            "--data",
            other,
        ],
    );
    assert_eq!((&taken["imported"], &taken["same"]), (&1.into(), &1.into()));
    let strange = names(other, &["verify", "--checkpoint", kept]);
    assert_eq!(strange.status.code(), Some(8), "{}", stdout(&strange));
}
