//! `baraza run --api` where other machines reach it.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::running::Node;
use crate::support::{baraza, json, run, stderr};

/// What `baraza run` says that refuses to.
fn refused(dir: &std::path::Path, arguments: &[&str]) -> String {
    let run = ["run", "--no-bootstrap", "--loopback"];
    let done = baraza(dir).args(run).args(arguments).output().unwrap();
    assert!(!done.status.success(), "{arguments:?}");
    stderr(&done)
}

#[test]
fn it_needs_a_certificate_and_a_password_and_programs_here_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("node");
    let made = rcgen::generate_simple_self_signed(["box.test".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());

    let open = refused(&home, &["--api", "0.0.0.0:0", "--api-host", "box.test"]);
    assert!(open.contains("--tls-cert"), "{open}");
    assert!(!home.exists(), "what is refused does nothing");
    let half = refused(&home, &["--api", "0.0.0.0:0", "--tls-cert", cert]);
    assert!(half.contains("--tls-key"), "{half}");
    let secure = ["--api", "0.0.0.0:0", "--tls-cert", cert, "--tls-key", key];
    let nobody = refused(&home, &secure);
    assert!(nobody.contains("baraza session password"), "{nobody}");

    let node = Node::start(&home);
    let password = dir.path().join("password");
    std::fs::write(&password, "a long sentence of one's own\n").unwrap();
    let set = [
        "session",
        "password",
        "--password-file",
        password.to_str().unwrap(),
    ];
    assert!(run(&home, &set).status.success());
    drop(node);
    let unnamed = refused(&home, &secure);
    assert!(unnamed.contains("--api-host"), "{unnamed}");

    let mut child = baraza(&home)
        .args([
            "run",
            "--no-bootstrap",
            "--loopback",
            "--json",
            "--api-host",
            "box.test",
        ])
        .args(secure)
        .args(["--log-level", "warn"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let (inside, outside) = (&ready["api"], &ready["elsewhere"]);
    assert!(
        inside.as_str().unwrap().starts_with("127.0.0.1:"),
        "{ready}"
    );
    assert!(outside.as_str().unwrap().starts_with("0.0.0.0:"), "{ready}");
    // The commands find their way, and the app opens here.
    assert_eq!(json(&home, &["account", "list"]), serde_json::json!([]));
    let link = json(&home, &["open", "--print"]);
    assert!(
        link.to_string().contains(inside.as_str().unwrap()),
        "{link}"
    );
    let remove = run(&home, &["session", "password", "--remove"]);
    assert!(
        stderr(&remove).contains("other machines"),
        "{}",
        stderr(&remove)
    );
    // A renewed certificate is read; the node does not end for it.
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    assert_eq!(json(&home, &["account", "list"]), serde_json::json!([]));
    child.kill().unwrap();
    child.wait().unwrap();
}
