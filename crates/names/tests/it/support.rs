//! A server with a directory of its own, and a client that sends just what it is told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use baraza_identity::{PrivateKey, testing};
use baraza_names::audit::Signer;
use baraza_names::server::{Config, Limits, NamesServer};
use baraza_names::store::sqlite::SqliteStore;
use baraza_names::{Name, Registration};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

pub(crate) struct World {
    pub(crate) server: NamesServer,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) dir: tempfile::TempDir,
}

/// No limits on how often.
pub(crate) fn free() -> Config {
    Config {
        listen: vec![loopback()],
        monitor: Some(loopback()),
        limits: Limits {
            lookups: None,
            all_lookups: None,
            registrations: None,
            all_registrations: None,
            ..Limits::default()
        },
        ..Config::default()
    }
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

impl World {
    pub(crate) async fn new(config: Config) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(dir.path()).unwrap());
        let signer = Signer::load_or_create(&dir.path().join("checkpoint.key")).unwrap();
        let server = NamesServer::start(Arc::clone(&store) as _, Arc::new(signer), config)
            .await
            .unwrap();
        Self { server, store, dir }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.send(&post(path, body)).await
    }

    pub(crate) async fn register(&self, name: &str, who: &str) -> Answer {
        self.post(&format!("/name/{name}"), body(name, who).as_bytes())
            .await
    }

    pub(crate) async fn send(&self, bytes: &[u8]) -> Answer {
        send(self.address(), None, bytes).await.unwrap()
    }

    /// The directory is as whole as `baraza names verify` wants it; how many names there are.
    pub(crate) async fn verified(&self) -> u64 {
        let report = baraza_names::verify::store(self.store.as_ref(), true).await;
        report.unwrap().head.names
    }
}

pub(crate) fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    out.extend(body);
    out
}

/// Sends bytes on a connection of their own, and reads what comes back until its end.
pub(crate) async fn send(
    to: SocketAddr,
    from: Option<IpAddr>,
    bytes: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = connect(to, from).await?;
    // A server that refuses may hang up before it has read everything.
    let _refused = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    if answer.is_empty() {
        read?;
    }
    Answer::parse(&answer)
}

pub(crate) async fn connect(to: SocketAddr, from: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(from) = from {
        socket.bind(SocketAddr::from((from, 0)))?;
    }
    socket.connect(to).await
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> std::io::Result<Self> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let wrong = || std::io::Error::other(format!("no answer: {text:?}"));
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(wrong)?;
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Ok(Self {
            status: status.ok_or_else(wrong)?,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn is(&self, status: u16, part: &str) {
        assert!(
            self.status == status && self.body.contains(part),
            "wanted {status} with {part:?}, got {self:?}"
        );
    }
}

pub(crate) fn key(who: &str) -> PrivateKey {
    testing::archive(who).account_key
}

pub(crate) fn registration(name: &str, who: &str) -> Registration {
    Registration::sign(&Name::new(name).unwrap(), &key(who), None).unwrap()
}

pub(crate) fn body(name: &str, who: &str) -> String {
    registration(name, who).to_json()
}
