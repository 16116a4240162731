use baraza_core::{Command, ProfileChange, Reply};

use crate::support::Server;

async fn group(server: &Server) -> String {
    let made = server.node.create_account("Alice".into(), None, |_| {});
    let account = made.await.unwrap();
    let command = Command::CreateGroup {
        profile: ProfileChange::default(),
        members: Vec::new(),
    };
    let Ok(Reply::Conversation(chat)) = server.node.command(account, command).await else {
        unreachable!("no group")
    };
    format!("/api/v1/accounts/{account}/conversations/{chat}/files")
}

fn upload(path: &str, kind: &str, length: usize, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: HOST\r\nauthorization: Bearer TOKEN\r\n\
         content-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |parts| parts.1)
}

#[tokio::test]
async fn a_file_is_sent_listed_and_read_in_parts() {
    let server = Server::start().await;
    let files = group(&server).await;
    let binary = "application/octet-stream";
    let named = format!("{files}?name=..%2Fa%20%F0%9F%98%80.txt");
    let (status, answer) = server.raw(&upload(&named, binary, 10, "0123456789")).await;
    assert_eq!(status, 201, "{answer}");
    let written: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
    let message = written["id"].as_str().unwrap();

    let (status, list) = server.ask("GET", &files, "").await;
    assert_eq!((status, list.as_array().map(Vec::len)), (200, Some(1)));
    assert_eq!(list[0]["message"], message);
    assert_eq!(list[0]["name"], "a 😀.txt");
    assert_eq!(list[0]["status"], "here");
    let (status, one) = server.ask("GET", &format!("{files}/{message}"), "").await;
    assert_eq!((status, &one), (200, &list[0]));

    let get = |range: &str| {
        format!(
            "GET {files}/{message}/content HTTP/1.1\r\nhost: HOST\r\n\
             authorization: Bearer TOKEN\r\n{range}connection: close\r\n\r\n"
        )
    };
    let (status, answer) = server.raw(&get("")).await;
    assert_eq!((status, body(&answer)), (200, "0123456789"));
    assert!(answer.contains("attachment"), "{answer}");
    let (status, answer) = server.raw(&get("range: bytes=3-5\r\n")).await;
    assert_eq!((status, body(&answer)), (206, "345"));
    assert!(answer.contains("bytes 3-5/10"), "{answer}");
    let (status, _) = server.raw(&get("range: bytes=10-\r\n")).await;
    assert_eq!(status, 416);

    // It is here, so that there is nothing to fetch or to cancel.
    let path = format!("{files}/{message}");
    let accepted = server.ask("POST", &format!("{path}/accept"), "{}").await;
    assert_eq!(accepted.0, 204);
    let cancelled = server.ask("POST", &format!("{path}/cancel"), "{}").await;
    assert_eq!(cancelled.0, 422);
    assert_eq!(server.ask("DELETE", &path, "").await.0, 201);
    let (status, _) = server.raw(&get("")).await;
    assert_eq!(status, 409);
    let (_, one) = server.ask("GET", &path, "").await;
    assert_eq!(one["status"], "deleted");
}

#[tokio::test]
async fn what_is_no_whole_file_is_not_sent() {
    let server = Server::start().await;
    let files = group(&server).await;
    let binary = "application/octet-stream";
    let named = format!("{files}?name=x");
    assert_eq!(
        server.raw(&upload(&named, "text/plain", 1, "x")).await.0,
        415
    );
    assert_eq!(server.raw(&upload(&files, binary, 1, "x")).await.0, 400);
    let nowhere = named.replace("/conversations/", "/conversations/00");
    assert_eq!(server.raw(&upload(&nowhere, binary, 1, "x")).await.0, 404);
    let huge = upload(&named, binary, 1 << 60, "x");
    assert_eq!(server.raw(&huge).await.0, 507);
    // One that breaks off leaves nothing.
    let request = upload(&named, binary, 100, "only a part");
    let (status, _) = server.raw_cut(&request).await;
    assert_ne!(status, 201);
    let (_, list) = server.ask("GET", &files, "").await;
    assert_eq!(list, serde_json::json!([]));
}

#[tokio::test]
async fn the_limit_for_files_unasked_is_kept() {
    let server = Server::start().await;
    let files = group(&server).await;
    let account = files.split("/conversations").next().unwrap();
    let path = format!("{account}/auto-accept");
    let (status, limit) = server.ask("GET", &path, "").await;
    assert_eq!((status, limit["limit"].as_u64()), (200, Some(20 << 20)));
    let (status, _) = server.ask("PATCH", &path, r#"{"limit": 5}"#).await;
    assert_eq!(status, 204);
    let (_, limit) = server.ask("GET", &path, "").await;
    assert_eq!(limit["limit"], 5);
}
