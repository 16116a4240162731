use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use baraza_api::ApiAddress;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Server;

fn code(value: &serde_json::Value) -> &str {
    value["code"].as_str().unwrap_or("")
}

#[tokio::test]
async fn the_address_is_written_down_while_the_server_runs() {
    let server = Server::start().await;
    let written = ApiAddress::load(server.dir.path()).unwrap().unwrap();
    assert_eq!(written.address, server.api.address());
    assert_eq!(written.pid, std::process::id());
    let token = std::fs::metadata(server.dir.path().join("api-token")).unwrap();
    assert_eq!(token.permissions().mode() & 0o777, 0o600);
    let dir = server.dir.path().to_owned();
    server.api.shutdown().await;
    assert_eq!(ApiAddress::load(&dir).unwrap(), None);
}

#[tokio::test]
async fn requests_without_the_token_are_refused_and_say_how() {
    let server = Server::start().await;
    let bare = "GET /api/v1/status HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\n\r\n";
    let (status, answer) = server.raw(bare).await;
    assert_eq!(status, 401, "{answer}");
    assert!(answer.contains("www-authenticate: Bearer"), "{answer}");
    assert!(
        answer.contains("\"token_missing\"") && answer.contains("hint"),
        "{answer}"
    );
    let wrong = bare.replace("\r\n\r\n", "\r\nauthorization: Bearer 00\r\n\r\n");
    let (status, answer) = server.raw(&wrong).await;
    assert_eq!(status, 401, "{answer}");
    assert!(answer.contains("\"token_wrong\""), "{answer}");
    let (status, value) = server.ask("GET", "/api/v1/status", "").await;
    assert_eq!(status, 200, "{value}");
    assert_eq!(value["pid"], std::process::id());
    assert_eq!(value["api_refused"], 2);
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused() {
    let server = Server::start().await;
    let request = |host: &str, extra: &str| {
        format!(
            "GET /api/v1/status HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer TOKEN\r\n\
             {extra}connection: close\r\n\r\n"
        )
    };
    assert_eq!(server.raw(&request("HOST", "")).await.0, 200);
    assert_eq!(server.raw(&request("evil.example", "")).await.0, 421);
    let foreign = request("HOST", "origin: http://evil.example\r\n");
    assert_eq!(server.raw(&foreign).await.0, 403);
    let own = request("HOST", "origin: http://HOST\r\n");
    assert_eq!(server.raw(&own).await.0, 200);
}

#[tokio::test]
async fn the_description_needs_no_token() {
    let server = Server::start().await;
    let request = "GET /api/openapi.json HTTP/1.1\r\nhost: HOST\r\nconnection: close\r\n\r\n";
    let (status, answer) = server.raw(request).await;
    assert_eq!(status, 200);
    assert!(answer.contains("\"openapi\": \"3.1.0\""));
    assert!(answer.contains("x-content-type-options: nosniff"));
}

#[tokio::test]
async fn wrong_paths_methods_and_bodies_get_json_errors() {
    let server = Server::start().await;
    for (method, path, body, status, want) in [
        ("GET", "/api/v1/nothing", "", 404, "no_such_route"),
        ("GET", "/nowhere", "", 404, "no_such_route"),
        ("PUT", "/api/v1/status", "", 405, "wrong_method"),
        (
            "GET",
            "/api/v1/accounts/0123456789abcdef",
            "",
            404,
            "no_such_account",
        ),
        (
            "GET",
            "/api/v1/accounts/..%2f..",
            "",
            404,
            "no_such_account",
        ),
        ("POST", "/api/v1/accounts", "{", 400, "bad_json"),
        ("POST", "/api/v1/accounts", "[]", 400, "bad_fields"),
        (
            "POST",
            "/api/v1/accounts",
            "{\"pasword\": \"x\"}",
            400,
            "bad_fields",
        ),
        (
            "POST",
            "/api/v1/accounts",
            "{\"password\": 5}",
            400,
            "bad_fields",
        ),
        (
            "POST",
            "/api/v1/accounts/import",
            "{\"archive\": \"?\"}",
            422,
            "bad_base64",
        ),
        ("GET", "/api/v1/events?since=x", "", 400, "bad_query"),
        ("GET", "/api/v1/events?sinec=1", "", 400, "bad_query"),
    ] {
        let (got, value) = server.ask(method, path, body).await;
        assert_eq!(
            (got, code(&value)),
            (status, want),
            "{method} {path} {body}"
        );
    }
}

#[tokio::test]
async fn only_json_of_modest_size_is_read() {
    let server = Server::start().await;
    let head = "POST /api/v1/accounts HTTP/1.1\r\nhost: HOST\r\nauthorization: Bearer TOKEN\r\n\
                connection: close\r\n";
    let form = format!("{head}content-type: text/plain\r\ncontent-length: 2\r\n\r\n{{}}");
    assert_eq!(server.raw(&form).await.0, 415);
    let spaces = " ".repeat(baraza_api::body::MAX_BODY + 1);
    let (status, value) = server.ask("POST", "/api/v1/accounts", &spaces).await;
    assert_eq!((status, code(&value)), (413, "body_too_large"));
}

#[tokio::test]
async fn long_and_many_headers_are_refused() {
    let server = Server::start().await;
    let request = |extra: &str| {
        format!("GET /api/openapi.json HTTP/1.1\r\nhost: HOST\r\n{extra}connection: close\r\n\r\n")
    };
    let long = request(&format!("x-long: {}\r\n", "x".repeat(40_000)));
    assert_eq!(server.raw(&long).await.0, 431);
    let many = request(&"x-many: 1\r\n".repeat(70));
    assert_eq!(server.raw(&many).await.0, 431);
}

#[tokio::test]
async fn a_client_that_sends_nothing_does_not_hold_up_the_end() {
    let server = Server::start().await;
    let mut idle = TcpStream::connect(server.api.address()).await.unwrap();
    idle.write_all(b"GET /api").await.unwrap();
    server.api.shutdown().await;
    // Well before the time a client has to send the head of a request.
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(30), idle.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn an_address_beyond_loopback_is_refused() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let refused = baraza_api::ApiServer::start(
        server.node.clone(),
        baraza_api::ApiConfig {
            address: "0.0.0.0:0".parse().unwrap(),
            hosts: Vec::new(),
            compat: true,
            elsewhere: None,
            data_dir: dir.path().to_owned(),
            patience: baraza_api::Patience::default(),
        },
    )
    .await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("without encryption"), "{text}");
}
