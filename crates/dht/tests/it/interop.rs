//! Our node with real ones, on loopback: `dhtnode` 2.4.12 of Debian, and the newest OpenDHT of
//! PyPI, driven by `testing/peers/opendht_console.py`. Without them the tests do nothing,
//! unless `BARAZA_REQUIRE_PEERS` is set: `scripts/setup.sh test` installs them.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use baraza_dht::driver::DriverConfig;
use baraza_dht::{Command, Event, OpId, Query, Value, infohash};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::driver::Peer;

const PATIENCE: Duration = Duration::from_secs(30);

/// A real node as a child process; both understand nearly the same commands.
struct Foreign {
    kind: Kind,
    process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Debian,
    Newest,
}

impl Kind {
    /// `None` if the peer is not installed and need not be.
    fn start(self, bootstrap: &str) -> Option<Foreign> {
        let peers = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testing/peers");
        let mut command = match self {
            Self::Debian => {
                let mut command = tokio::process::Command::new("dhtnode");
                command.args(["-p", "0", "-b", bootstrap]);
                command
            }
            Self::Newest => {
                let mut command = tokio::process::Command::new(peers.join(".venv/bin/python"));
                command.arg(peers.join("opendht_console.py"));
                command.args(["--bootstrap", bootstrap]);
                command
            }
        };
        let started = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let mut process = match started {
            Ok(process) => process,
            Err(error) => {
                assert!(
                    std::env::var_os("BARAZA_REQUIRE_PEERS").is_none(),
                    "{self:?} cannot be started: {error}"
                );
                return None;
            }
        };
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Some(Foreign {
            kind: self,
            process,
            input,
            output,
        })
    }
}

impl Foreign {
    async fn say(&mut self, debian: &str, newest: &str) {
        let line = match self.kind {
            Kind::Debian => debian,
            Kind::Newest => newest,
        };
        self.input.write_all(line.as_bytes()).await.unwrap();
        self.input.write_all(b"\n").await.unwrap();
        self.input.flush().await.unwrap();
    }

    /// Reads on until a line has one of the texts; returns the lines read.
    async fn until(&mut self, texts: &[&str]) -> String {
        let mut seen = String::new();
        let read = async {
            while let Some(line) = self.output.next_line().await.unwrap() {
                seen.push_str(&line);
                seen.push('\n');
                if texts.iter().any(|text| line.contains(text)) {
                    return true;
                }
            }
            false
        };
        let found = timeout(PATIENCE, read).await.unwrap_or(false);
        assert!(found, "{:?} did not say {texts:?}:\n{seen}", self.kind);
        seen
    }

    async fn put(&mut self, word: &str, text: &str) -> bool {
        self.say(&format!("p {word} {text}"), &format!("put {word} {text}"))
            .await;
        let said = self
            .until(&["Put: success", "Put: failure", "put ok", "put failed"])
            .await;
        said.contains("Put: success") || said.contains("put ok")
    }

    /// What a get shows, until the end.
    async fn get(&mut self, word: &str) -> String {
        self.say(&format!("g {word}"), &format!("get {word}")).await;
        self.until(&["Get: completed", "Get: failure", "get done"])
            .await
    }

    async fn listen(&mut self, word: &str) {
        self.say(&format!("l {word}"), &format!("listen {word}"))
            .await;
        self.until(&["Listening", "listening"]).await;
    }

    async fn end(mut self) {
        self.process.kill().await.unwrap();
    }
}

impl Peer {
    async fn put(&mut self, op: u64, word: &str, data: &[u8]) {
        let op = OpId(op);
        let put = Command::Put {
            op,
            key: infohash(word),
            value: Value::new(0, data).with_user_type("text/plain"),
            permanent: false,
        };
        self.client.send(put).await.unwrap();
        self.finish(op).await;
    }

    async fn get(&mut self, op: u64, word: &str) -> Vec<Vec<u8>> {
        let op = OpId(op);
        let get = Command::Get {
            op,
            key: infohash(word),
            query: Query::all(),
        };
        self.client.send(get).await.unwrap();
        let found = self.finish(op).await;
        found.iter().map(|value| value.data().to_vec()).collect()
    }
}

/// Ours is the only node that the real ones are told of.
async fn a_network_of(kinds: &[Kind]) {
    let mut ours = Peer::start(DriverConfig::loopback()).await;
    let mut foreign = Vec::new();
    for kind in kinds {
        let Some(peer) = kind.start(&ours.address()) else {
            return;
        };
        foreign.push(peer);
    }
    for peer in &mut foreign {
        peer.until(&["OpenDHT node", "ready"]).await;
    }
    ours.connected().await;

    // Values of ours are found by them, small and in fragments.
    ours.put(1, "small", b"hello").await;
    ours.put(2, "large", &[b'L'; 5000]).await;
    for peer in &mut foreign {
        assert!(peer.get("small").await.contains("hello"));
        let large = peer.get("large").await;
        assert!(
            large.contains("LLLLLLLLLL") || large.contains("5000"),
            "{large}"
        );
    }

    // Values of theirs are found by us, and by each other.
    for (n, peer) in (0u64..).zip(&mut foreign) {
        let (word, text) = (format!("theirs{n}"), format!("text{n}"));
        assert!(peer.put(&word, &text).await, "{:?}", peer.kind);
        assert!(peer.put(&format!("long{n}"), &"W".repeat(3000)).await);
    }
    for n in 0..foreign.len() {
        let number = u64::try_from(n).unwrap();
        let found = ours.get(10 + number, &format!("theirs{n}")).await;
        assert_eq!(found, [format!("text{n}").into_bytes()]);
        let found = ours.get(20 + number, &format!("long{n}")).await;
        assert_eq!(found, ["W".repeat(3000).into_bytes()]);
        let other = foreign.len() - 1 - n;
        let found = foreign[other].get(&format!("theirs{n}")).await;
        // Without a user type, dhtnode prints hex.
        let text = format!("text{n}");
        let hex = baraza_wire::hex::encode(text.as_bytes());
        assert!(found.contains(&text) || found.contains(&hex), "{found}");
    }

    // Listening both ways.
    let listen = OpId(100);
    let command = Command::Listen {
        op: listen,
        key: infohash("news"),
        query: Query::all(),
    };
    ours.client.send(command).await.unwrap();
    for (n, peer) in foreign.iter_mut().enumerate() {
        assert!(peer.put("news", &format!("fresh{n}")).await);
        loop {
            match ours.next().await {
                Event::Values { op, values, .. } if op == listen => {
                    assert_eq!(values[0].data(), format!("fresh{n}").as_bytes());
                    break;
                }
                _ => {}
            }
        }
    }
    for peer in &mut foreign {
        peer.listen("ours").await;
    }
    // Time for their subscriptions to arrive is not needed: those that come later are told
    // of what is there.
    ours.put(3, "ours", b"spoken").await;
    ours.put(4, "ours", &[b'S'; 4000]).await;
    for peer in &mut foreign {
        peer.until(&["spoken"]).await;
        peer.until(&["SSSSS", "4000"]).await;
    }

    // A value of ours that lasts is found at them when we are gone.
    let keep = Command::Put {
        op: OpId(5),
        key: infohash("kept"),
        value: Value::new(0, b"lasting").with_user_type("text/plain"),
        permanent: true,
    };
    ours.client.send(keep).await.unwrap();
    ours.finish(OpId(5)).await;
    ours.node.shutdown().await;
    for peer in &mut foreign {
        assert!(peer.get("kept").await.contains("lasting"));
    }
    for peer in foreign {
        peer.end().await;
    }
}

#[tokio::test]
async fn with_dhtnode_of_debian() {
    a_network_of(&[Kind::Debian]).await;
}

#[tokio::test]
async fn with_the_newest_opendht() {
    a_network_of(&[Kind::Newest]).await;
}

#[tokio::test]
async fn with_several_of_both() {
    a_network_of(&[Kind::Debian, Kind::Newest, Kind::Debian, Kind::Newest]).await;
}
