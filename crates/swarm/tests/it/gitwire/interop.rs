//! Against the real `git`, both ways, over loopback sockets and pipes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use baraza_swarm::fetch::{FetchOutcome, FetchOutput, Local, Nothing};
use baraza_swarm::pack::{PackLimits, UnpackedPack};
use baraza_swarm::upload_pack::ServerOutput;
use gix::objs::Exists as _;

use super::support::{Disk, archive, fetch, git, server};

/// Serves one connection after the other as `git daemon` would, until `done` of them.
fn serve(
    listener: TcpListener,
    path: std::path::PathBuf,
    connections: usize,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for _ in 0..connections {
            let (stream, _) = listener.accept().unwrap();
            serve_one(stream, &Disk::open(&path));
        }
    })
}

fn serve_one(mut stream: TcpStream, disk: &Disk) {
    let mut machine = server();
    let mut buffer = vec![0; 4096];
    loop {
        while let Some(output) = machine.poll_output(disk) {
            match output {
                ServerOutput::Write(bytes) => {
                    if stream.write_all(&bytes).is_err() {
                        return;
                    }
                }
                ServerOutput::Close(_) => return,
                ServerOutput::Served { .. }
                | ServerOutput::UpToDate { .. }
                | ServerOutput::Pause => {}
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(length) => machine.receive(&buffer[..length], disk),
        }
    }
}

/// A repository of `count` commits with changing files.
fn repository(path: &Path, count: usize) {
    git(path, &["init", "-q", "-b", "main"]);
    more(path, 0, count);
}

fn more(path: &Path, from: usize, count: usize) {
    let mut script = String::new();
    for n in from..from + count {
        let seconds = 1_700_000_000 + n * 60;
        let start = if n > from || n == 0 {
            ""
        } else {
            "from refs/heads/main^0\n"
        };
        script += &format!(
            "commit refs/heads/main\ncommitter alice <a@b> {seconds} +0000\ndata 2\nm\n{start}M 100644 inline devices/{}\ndata {}\n{n}\n\n",
            n % 17,
            n.to_string().len() + 1,
        );
    }
    let mut import = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    import
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    assert!(import.wait().unwrap().success());
}

#[test]
fn git_lists_clones_and_fetches_from_our_server() {
    for name in ["swarm-group-alice.tar.gz", "head-1to1-alice.tar.gz"] {
        let (_keep, path) = archive(name);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("git://{}/conversation", listener.local_addr().unwrap());
        let thread = serve(listener, path.clone(), 2);
        let there = tempfile::tempdir().unwrap();
        let head = git(&path, &["rev-parse", "HEAD"]);
        let listed = git(
            there.path(),
            &["-c", "protocol.version=0", "ls-remote", &url],
        );
        assert_eq!(listed, format!("{head}\tHEAD\n{head}\trefs/heads/main"));
        git(
            there.path(),
            &["-c", "protocol.version=0", "clone", "-q", &url, "copy"],
        );
        let copy = there.path().join("copy");
        git(&copy, &["fsck", "--full"]);
        assert_eq!(
            git(&copy, &["log", "--format=%H %s"]),
            git(&path, &["log", "--format=%H %s"])
        );
        thread.join().unwrap();
    }
}

#[test]
fn git_fetches_again_and_again_from_our_server() {
    let here = tempfile::tempdir().unwrap();
    let there = tempfile::tempdir().unwrap();
    repository(here.path(), 120);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://{}/conversation", listener.local_addr().unwrap());
    let thread = serve(listener, here.path().to_owned(), 4);
    // The default version (2) is asked for in this test, and answered with version 0.
    git(there.path(), &["clone", "-q", &url, "copy"]);
    let copy = there.path().join("copy");
    for round in 1..3 {
        more(here.path(), 120 * round, 120);
        // Commits of its own make the first groups of haves unknown to the server.
        for _ in 0..40 {
            git(&copy, &["commit", "-q", "--allow-empty", "-m", "mine"]);
        }
        git(&copy, &["-c", "protocol.version=1", "fetch", "-q"]);
        assert_eq!(
            git(&copy, &["rev-parse", "origin/main"]),
            git(here.path(), &["rev-parse", "main"])
        );
        git(&copy, &["fsck", "--full", "--connectivity-only"]);
    }
    git(&copy, &["fetch", "-q"]);
    thread.join().unwrap();
}

/// Runs our client against a `git upload-pack` process.
fn fetch_from_git(path: &Path, local: &dyn Local) -> Option<UnpackedPack> {
    let mut process = Command::new("git")
        .args(["upload-pack", "."])
        .current_dir(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = process.stdin.take().unwrap();
    let mut output = process.stdout.take().unwrap();
    let mut client = fetch();
    let now = Instant::now();
    client.start(now).unwrap();
    // The request line is for a daemon; the process wants none.
    assert!(matches!(client.poll_output(), Some(FetchOutput::Write(_))));
    let mut buffer = vec![0; 10_000];
    let outcome = loop {
        let mut outcome = None;
        while let Some(step) = client.poll_output() {
            match step {
                FetchOutput::Write(bytes) => {
                    let _ = input.write_all(&bytes);
                }
                FetchOutput::Done(done) => outcome = Some(done),
                FetchOutput::Failed(error) => panic!("{error}"),
            }
        }
        if let Some(outcome) = outcome {
            break outcome;
        }
        match output.read(&mut buffer).unwrap() {
            0 => client.handle_close(),
            length => client.receive(now, &buffer[..length], local),
        }
    };
    drop(input);
    process.wait().unwrap();
    match outcome {
        FetchOutcome::UpToDate { .. } => None,
        FetchOutcome::Pack { pack, .. } => {
            Some(UnpackedPack::read(pack, &PackLimits::default()).unwrap())
        }
    }
}

#[test]
fn our_client_fetches_from_git() {
    let here = tempfile::tempdir().unwrap();
    repository(here.path(), 100);
    let there = tempfile::tempdir().unwrap();
    git(
        there.path(),
        &["clone", "-q", here.path().to_str().unwrap(), "copy"],
    );
    let copy = there.path().join("copy");
    let pack = fetch_from_git(here.path(), &Nothing).unwrap();
    let objects = git(here.path(), &["rev-list", "--objects", "main"]);
    assert_eq!(pack.len(), objects.lines().count());
    more(here.path(), 100, 5);
    // Own commits ahead of the common ones: more than one group of haves.
    for _ in 0..25 {
        git(&copy, &["commit", "-q", "--allow-empty", "-m", "mine"]);
    }
    let local = Disk::open(&copy);
    let pack = fetch_from_git(here.path(), &local).unwrap();
    assert_eq!(pack.len(), 5 * 4, "commit, two trees and a blob each");
    assert!(
        pack.objects()
            .all(|(id, _)| !local.repository.objects.exists(&id))
    );
    git(&copy, &["fetch", "-q"]);
    assert!(fetch_from_git(here.path(), &Disk::open(&copy)).is_none());
}
