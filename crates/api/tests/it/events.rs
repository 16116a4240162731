//! Events: from a cursor on, nothing left out.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::Server;

async fn socket(server: &Server, query: &str) -> WebSocketStream<TcpStream> {
    let address = server.api.address();
    let url = format!("ws://{address}/api/v1/ws?{query}");
    let mut request = url.into_client_request().unwrap();
    let protocols = format!("baraza, baraza.token.{}", server.token());
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", protocols.parse().unwrap());
    let stream = TcpStream::connect(address).await.unwrap();
    client_async(request, stream).await.unwrap().0
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Option<Value> {
    let wait = Duration::from_secs(20);
    loop {
        match tokio::time::timeout(wait, socket.next()).await.unwrap()? {
            Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

fn cursors(events: &[Value]) -> Vec<u64> {
    events
        .iter()
        .map(|event| event["cursor"].as_u64().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_comes_back_with_its_cursor_misses_nothing() {
    let server = Server::start().await;
    let mut live = socket(&server, "since=0").await;
    let body = r#"{"display_name": "Alice"}"#;
    let (status, account) = server.ask("POST", "/api/v1/accounts", body).await;
    assert_eq!(status, 201, "{account}");
    let mut seen = Vec::new();
    loop {
        let event = next(&mut live).await.unwrap();
        let added = event["event"] == "account_added";
        seen.push(event);
        if added {
            break;
        }
    }
    assert!(cursors(&seen).is_sorted_by(|a, b| a < b));
    assert!(
        seen.iter()
            .all(|event| event["account"] == account["account"])
    );
    drop(live);

    // From each position on: the rest.
    for (index, event) in seen.iter().enumerate() {
        let query = format!("since={}&types=account_added", event["cursor"]);
        let rest = &seen[index + 1..];
        if rest.is_empty() {
            continue;
        }
        let mut again = socket(&server, &query).await;
        assert_eq!(next(&mut again).await.as_ref(), rest.last());
    }

    // The same by polling, in pages of one.
    let (mut since, mut polled) = (0, Vec::new());
    while polled.len() < seen.len() {
        let path = format!("/api/v1/events?since={since}&limit=1");
        let (status, page) = server.ask("GET", &path, "").await;
        assert_eq!(status, 200, "{page}");
        polled.extend(page["events"].as_array().unwrap().iter().cloned());
        since = page["next"].as_u64().unwrap();
    }
    assert_eq!(polled, seen);
}

#[tokio::test]
async fn a_poll_waits_for_what_happens() {
    let server = Server::start().await;
    let (status, page) = server.ask("GET", "/api/v1/events", "").await;
    assert_eq!(status, 200);
    assert_eq!(page["events"], serde_json::json!([]));
    assert_eq!(page["more"], false);
    let poll = server.ask("GET", "/api/v1/events?since=0&wait=60", "");
    let create = async {
        let made = server.node.create_account("A".into(), None, |_| {});
        made.await.unwrap()
    };
    let ((status, page), _) = tokio::join!(poll, create);
    assert_eq!(status, 200);
    assert!(!page["events"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_cursor_that_never_was_gets_a_gap() {
    let server = Server::start().await;
    let (status, page) = server.ask("GET", "/api/v1/events?since=999999", "").await;
    assert_eq!(status, 200, "{page}");
    assert_eq!(page["events"][0]["event"], "gap");
    assert_eq!(page["next"], server.node.cursor());
    let mut socket = socket(&server, "since=999999").await;
    assert_eq!(next(&mut socket).await.unwrap()["event"], "gap");
}

#[tokio::test]
async fn sockets_are_told_when_the_node_ends() {
    let server = Server::start().await;
    let mut socket = socket(&server, "").await;
    server.api.shutdown().await;
    assert_eq!(next(&mut socket).await, None);
}
