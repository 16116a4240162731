//! What people with bad intentions send: it stays text, it stays outside, it ends.

use std::time::{Duration, Instant};

use baraza_core::{Command, ProfileChange, Reply};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Server, json_of};

const SCRIPT: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>";

async fn group(server: &Server) -> String {
    let made = server.node.create_account(SCRIPT.into(), None, |_| {});
    let account = made.await.unwrap();
    let profile = ProfileChange {
        title: Some(SCRIPT.into()),
        ..ProfileChange::default()
    };
    let command = Command::CreateGroup {
        mode: baraza_core::command::GroupMode::default(),
        profile,
        members: Vec::new(),
    };
    let Ok(Reply::Conversation(chat)) = server.node.command(account, command).await else {
        unreachable!("no group")
    };
    format!("/api/v1/accounts/{account}/conversations/{chat}")
}

/// Nothing in an answer can be taken for a page by a browser.
fn is_no_page(answer: &str) {
    let (head, _) = answer.split_once("\r\n\r\n").unwrap();
    let kind = head
        .lines()
        .find_map(|line| line.strip_prefix("content-type: "));
    let kinds = [
        "application/json",
        "application/problem+json",
        "application/octet-stream",
    ];
    assert!(kinds.contains(&kind.unwrap()), "{head}");
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    assert!(
        head.contains("content-security-policy: default-src 'none'"),
        "{head}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn html_in_names_and_messages_stays_text() {
    let server = Server::start().await;
    let chat = group(&server).await;
    let owner = "authorization: Bearer TOKEN\r\n";
    let body = json!({ "body": SCRIPT }).to_string();
    let messages = format!("{chat}/messages");
    let (status, answer) = server.with("POST", &messages, owner, &body).await;
    assert_eq!(status, 201, "{answer}");
    for path in [
        "/api/v1/accounts".to_owned(),
        chat.clone(),
        messages.clone(),
        format!("{chat}/entries"),
        format!("{chat}/profile"),
        "/api/v1/events?since=0".to_owned(),
        "/api/v1/status".to_owned(),
        format!("/api/v1/accounts/{}", "%3Cscript%3Ealert(1)%3C%2Fscript%3E"),
        format!("{chat}/entries?before=%3Cscript%3E"),
        "/%3Cscript%3Ealert(1)%3C/script%3E".to_owned(),
    ] {
        let (_, answer) = server.with("GET", &path, owner, "").await;
        is_no_page(&answer);
        assert!(!json_of(&answer).is_null(), "{path}: {answer}");
    }
    let (_, answer) = server.with("GET", &chat, owner, "").await;
    assert!(
        json_of(&answer).to_string().contains("<script>alert(1)"),
        "as it was written"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_files_lead_nowhere() {
    let server = Server::start().await;
    let chat = group(&server).await;
    let outside = server.dir.path().parent().unwrap().join("baraza-escaped");
    for name in [
        "../../../../../../tmp/baraza-escaped",
        "..\\..\\baraza-escaped",
        "/tmp/baraza-escaped",
        "a/../../baraza-escaped",
        "x\r\nset-cookie: a=b",
        "<img src=x onerror=alert(1)>.html",
        "\u{202e}gpj.exe",
        "\"; filename=\"evil.html",
        "..",
    ] {
        let query: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (status, answer) = server
            .raw(&format!(
                "POST {chat}/files?name={query} HTTP/1.1\r\nhost: HOST\r\n\
                 authorization: Bearer TOKEN\r\ncontent-type: application/octet-stream\r\n\
                 content-length: 27\r\nconnection: close\r\n\r\n<script>alert(1)</script>\r\n"
            ))
            .await;
        if status == 422 {
            continue;
        }
        assert_eq!(status, 201, "{name}: {answer}");
        let id = json_of(&answer)["id"].as_str().unwrap().to_owned();
        let content = format!("{chat}/files/{id}/content");
        let owner = "authorization: Bearer TOKEN\r\n";
        let (status, answer) = server.with("GET", &content, owner, "").await;
        assert_eq!(status, 200, "{answer}");
        is_no_page(&answer);
        let (head, _) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            !head.lines().any(|line| line.starts_with("set-cookie")),
            "{head}"
        );
        let named: Vec<_> = head
            .lines()
            .filter(|line| line.starts_with("content-disposition: attachment"))
            .collect();
        assert_eq!(named.len(), 1, "{head}");
        assert!(
            !named[0].contains("..") && !named[0].contains('/'),
            "{named:?}"
        );
        // The same is not sent twice; the rest of something else is not glued to it.
        let tag = head
            .lines()
            .find_map(|line| line.strip_prefix("etag: "))
            .unwrap();
        let same = format!("{owner}if-none-match: {tag}\r\n");
        let (status, answer) = server.with("GET", &content, &same, "").await;
        assert_eq!(status, 304, "{answer}");
        let rest = format!("{owner}range: bytes=5-\r\nif-range: \"other\"\r\n");
        assert_eq!(server.with("GET", &content, &rest, "").await.0, 200);
        let rest = format!("{owner}range: bytes=5-\r\nif-range: {tag}\r\n");
        assert_eq!(server.with("GET", &content, &rest, "").await.0, 206);
    }
    assert!(!outside.exists());
    // Ids in paths are hex digits, or there is nothing.
    for path in [
        format!("{chat}/files/..%2f..%2fapi-token/content"),
        format!("{chat}/files/%2e%2e/content"),
        "/api/v1/accounts/..%2f..%2fnode.db".to_owned(),
        "/..%2fapi-token".to_owned(),
        "/../api-token".to_owned(),
    ] {
        let (status, value) = server.ask("GET", &path, "").await;
        assert_eq!(status, 404, "{path}: {value}");
    }
}

#[tokio::test]
async fn no_secret_is_logged_or_told() {
    let server = Server::start().await;
    for path in ["/api/v1/status", "/api/v1/events?since=0", "/api/v1/tokens"] {
        let (_, value) = server.ask("GET", path, "").await;
        assert!(!value.to_string().contains(server.token()), "{path}");
    }
    let path = format!("/api/v1/status?token={}", server.token());
    let bare = format!("GET {path} HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\n\r\n");
    assert_eq!(server.raw(&bare).await.0, 401, "no token in URLs");
}

/// Opens a WebSocket, as few bytes as possible.
async fn open(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.api.address()).await.unwrap();
    let request = format!(
        "GET /api/v1/ws HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
         connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.api.address(),
        server.token()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    stream
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_get_every_event_though_one_does_not_read() {
    // Both ends are in this process.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(4096).min(8192);
    let raised = rustix::process::Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let server = Server::start().await;
    let chat = group(&server).await;
    let before = resident();
    let mut streams = Vec::new();
    for _ in 0..1000 {
        streams.push(open(&server).await);
    }
    let (_, status) = server.ask("GET", "/api/v1/status", "").await;
    assert_eq!(status["api_streams"], 1000);
    // One is silent for ever.
    let _silent = streams.pop();
    let begun = Instant::now();
    let readers = streams.into_iter().map(|mut stream| async move {
        let (mut got, mut buffer) = (Vec::new(), vec![0; 4096]);
        while !got.windows(10).any(|part| part == b"the-last-1") {
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the stream ended");
            got.extend_from_slice(&buffer[..read]);
        }
        got.windows(4).filter(|part| part == b"text").count()
    });
    let reading = tokio::spawn(futures_util::future::join_all(readers.map(tokio::spawn)));
    for n in 0..20 {
        let body = match n {
            19 => "the-last-1".to_owned(),
            _ => format!("{} {n}", "long ".repeat(800)),
        };
        let body = json!({ "body": body }).to_string();
        let (status, value) = server.ask("POST", &format!("{chat}/messages"), &body).await;
        assert_eq!(status, 201, "{value}");
    }
    let all = tokio::time::timeout(Duration::from_secs(120), reading).await;
    let all = all.unwrap().unwrap();
    assert!(all.iter().all(Result::is_ok));
    let grown = resident().saturating_sub(before);
    eprintln!(
        "1000 streams: {:?}, {} MiB more",
        begun.elapsed(),
        grown >> 20
    );
    assert!(grown < 300 << 20, "{} MiB more", grown >> 20);
    let answered = Instant::now();
    assert_eq!(server.ask("GET", "/api/v1/session", "").await.0, 200);
    assert!(answered.elapsed() < Duration::from_secs(5));
}
