//! A whole backup that is handed over by the API.

use serde_json::{Value, json};

use crate::support::Server;

/// Hands bytes over; the status.
async fn upload(server: &Server, bytes: &str) -> u16 {
    let length = bytes.len();
    let request = format!(
        "PUT /api/v1/backups/uploaded HTTP/1.1\r\nhost: HOST\r\n\
         authorization: Bearer TOKEN\r\ncontent-type: application/octet-stream\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{bytes}"
    );
    server.raw(&request).await.0
}

/// The last line of an answer, which comes in chunks.
fn last(answer: &str) -> Value {
    let mut lines = answer.lines().filter(|line| line.starts_with('{'));
    serde_json::from_str(lines.next_back().unwrap()).unwrap()
}

#[tokio::test]
async fn what_is_no_backup_is_told_and_where_accounts_are_nothing_is_restored() {
    let server = Server::start().await;
    let restore = async |body: Value| {
        let headers = format!("authorization: Bearer {}\r\n", server.token());
        let body = body.to_string();
        server
            .with("POST", "/api/v1/backups/restore", &headers, &body)
            .await
    };
    assert_eq!(upload(&server, "this is no backup at all").await, 204);
    let uploaded = server.node.uploaded_backup();
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&uploaded).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let (status, answer) = restore(json!({ "password": "whatever it is" })).await;
    assert_eq!(status, 200);
    assert_eq!(last(&answer)["error"]["code"], "no_backup", "{answer}");
    let (status, answer) = restore(json!({ "password": "x", "file": "relative" })).await;
    assert_eq!(status, 422, "{answer}");
    let (status, answer) = restore(json!({ "password": "x", "file": "/nowhere/at/all" })).await;
    assert_eq!(
        (status, &last(&answer)["error"]["code"]),
        (200, &json!("io"))
    );

    server
        .ask("POST", "/api/v1/accounts", r#"{"display_name":"Alice"}"#)
        .await;
    assert_eq!(upload(&server, "x").await, 409);
    let (status, answer) = restore(json!({ "password": "x" })).await;
    assert_eq!(status, 409, "{answer}");
    assert!(answer.contains("accounts_here"));
}
