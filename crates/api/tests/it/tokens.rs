//! Tokens of programs do what they are for, in what they are bound to, as long as they last.

use std::time::Duration;

use baraza_core::{Command, ProfileChange, Reply};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::support::{Server, json_of};

async fn make(server: &Server, with: &str, wanted: &Value) -> (u16, Value) {
    let headers = format!("authorization: Bearer {with}\r\n");
    let body = wanted.to_string();
    let (status, answer) = server.with("POST", "/api/v1/tokens", &headers, &body).await;
    (status, json_of(&answer))
}

async fn made(server: &Server, wanted: Value) -> String {
    let (status, made) = make(server, "TOKEN", &wanted).await;
    assert_eq!(status, 201, "{made}");
    made["token"].as_str().unwrap().to_owned()
}

/// The status, and the code of a refusal.
async fn ask(server: &Server, token: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    let headers = format!("authorization: Bearer {token}\r\n");
    let (status, answer) = server.with(method, path, &headers, body).await;
    let code = json_of(&answer)["code"].as_str().unwrap_or("").to_owned();
    (status, code)
}

/// An account, and two groups of it.
async fn account(server: &Server) -> (String, String, String) {
    let made = server.node.create_account("Alice".into(), None, |_| {});
    let account = made.await.unwrap();
    let mut groups = Vec::new();
    for _ in 0..2 {
        let command = Command::CreateGroup {
            mode: baraza_core::command::GroupMode::default(),
            profile: ProfileChange::default(),
            members: Vec::new(),
        };
        let Ok(Reply::Conversation(chat)) = server.node.command(account, command).await else {
            unreachable!("no group")
        };
        groups.push(chat.to_string());
    }
    let second = groups.pop().unwrap();
    (account.to_string(), groups.pop().unwrap(), second)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_needs_its_scope() {
    let server = Server::start().await;
    let (account, group, _) = account(&server).await;
    let mut tokens = Vec::new();
    for scope in ["read", "send", "admin"] {
        let wanted = json!({ "label": scope, "scopes": [scope] });
        tokens.push((scope, made(&server, wanted).await));
    }
    let (_, described) = server.ask("GET", "/api/openapi.json", "").await;
    let mut asked = 0;
    for (path, item) in described["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let text = operation["description"].as_str().unwrap_or("");
            let needs = match text.rsplit_once("Needs the scope `") {
                Some((_, rest)) => rest.trim_end_matches("`."),
                None if text.contains("For the owner only.") => "owner",
                None => {
                    assert_eq!(path, "/api/v1/session", "{method} says what it needs");
                    continue;
                }
            };
            let path = path
                .replace("{account}", &account)
                .replace("{conversation}", &group)
                .replace(['{', '}'], "");
            for (scope, token) in &tokens {
                if *scope == needs {
                    continue;
                }
                let (status, code) = ask(&server, token, &method.to_uppercase(), &path, "{}").await;
                let want = match needs {
                    "owner" => "owner_only",
                    _ => "scope_missing",
                };
                assert_eq!((status, &*code), (403, want), "{scope}: {method} {path}");
                asked += 1;
            }
        }
    }
    assert!(asked > 150, "{asked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_held_to_its_account_and_conversation() {
    let server = Server::start().await;
    let (alice, first, second) = account(&server).await;
    let (bob, _, _) = account(&server).await;
    let scopes = ["read", "send"];
    let wanted = json!({ "label": "a", "scopes": scopes, "accounts": [alice] });
    let of_account = made(&server, wanted).await;
    let wanted =
        json!({ "label": "c", "scopes": scopes, "accounts": [alice], "conversations": [first] });
    let of_conversation = made(&server, wanted).await;
    let v1 = |rest: String| format!("/api/v1{rest}");
    let hello = r#"{"body": "hello"}"#;
    for (token, method, path, status) in [
        (&of_account, "GET", format!("/accounts/{alice}"), 200),
        (&of_account, "GET", format!("/accounts/{bob}"), 403),
        (&of_account, "GET", "/accounts/0000000000000000".into(), 403),
        (&of_account, "GET", "/status".into(), 403),
        (
            &of_account,
            "GET",
            format!("/accounts/{alice}/search?text=x"),
            200,
        ),
        (
            &of_account,
            "POST",
            format!("/accounts/{alice}/conversations/{second}/messages"),
            201,
        ),
        (&of_conversation, "GET", format!("/accounts/{alice}"), 200),
        (
            &of_conversation,
            "GET",
            format!("/accounts/{alice}/contacts"),
            403,
        ),
        (
            &of_conversation,
            "GET",
            format!("/accounts/{alice}/search?text=x"),
            403,
        ),
        (
            &of_conversation,
            "POST",
            format!("/accounts/{alice}/conversations/{first}/messages"),
            201,
        ),
        (
            &of_conversation,
            "POST",
            format!("/accounts/{alice}/conversations/{second}/messages"),
            403,
        ),
        (
            &of_conversation,
            "GET",
            format!("/accounts/{alice}/conversations/{second}/entries"),
            403,
        ),
    ] {
        let got = ask(&server, token, method, &v1(path.clone()), hello).await;
        assert_eq!(got.0, status, "{method} {path}: {}", got.1);
    }
    let list = |token: String, path: String| {
        let server = &server;
        async move {
            let headers = format!("authorization: Bearer {token}\r\n");
            let (status, answer) = server.with("GET", &path, &headers, "").await;
            assert_eq!(status, 200, "{answer}");
            json_of(&answer)
        }
    };
    let accounts = list(of_account.clone(), v1("/accounts".into())).await;
    assert_eq!(accounts.as_array().unwrap().len(), 1);
    let path = v1(format!("/accounts/{alice}/conversations"));
    let chats = list(of_conversation.clone(), path).await;
    assert_eq!(chats.as_array().unwrap().len(), 1);
    assert_eq!(chats[0]["id"], first);
    // Events: from the log, and nothing of others.
    let events = list(of_conversation, v1("/events?since=0&limit=1000".into())).await;
    let events = events["events"].as_array().unwrap();
    assert!(!events.is_empty());
    assert!(
        events.iter().all(|event| event["conversation"] == first),
        "{events:?}"
    );
    let events = list(of_account, v1("/events?since=0&limit=1000".into())).await;
    let events = events["events"].as_array().unwrap();
    assert!(
        events.iter().all(|event| event["account"] == alice),
        "{events:?}"
    );
    assert!(events.iter().any(|event| event["conversation"] == second));
}

#[tokio::test]
async fn a_token_makes_none_that_is_stronger_and_takes_its_own_with_it() {
    let server = Server::start().await;
    let wanted = json!({ "label": "parent", "scopes": ["read", "admin"], "expires_in": 3600 });
    let (_, parent) = make(&server, "TOKEN", &wanted).await;
    let token = parent["token"].as_str().unwrap();
    assert!(token.starts_with("jm_sk_") && token.len() == 70, "{token}");
    let wanted = json!({ "label": "x", "scopes": ["send"] });
    let (status, refused) = make(&server, token, &wanted).await;
    assert_eq!((status, &refused["code"]), (403, &json!("stronger_token")));
    for forever in [
        json!({ "label": "x", "scopes": ["read"], "never_expires": true }),
        json!({ "label": "x", "scopes": ["read"], "expires_in": 999_999_999 }),
        json!({ "label": "x", "scopes": ["read"] }),
    ] {
        let (status, child) = make(&server, token, &forever).await;
        assert_eq!(status, 201, "{child}");
        assert_eq!(child["info"]["expires"], parent["info"]["expires"]);
        assert_eq!(child["info"]["parent"], parent["info"]["id"]);
    }
    for wrong in [
        json!({ "label": " ", "scopes": ["read"] }),
        json!({ "label": "x", "scopes": [] }),
        json!({ "label": "x", "scopes": ["read"], "expires_in": 0 }),
        json!({ "label": "x", "scopes": ["read"], "expires_in": 1, "never_expires": true }),
    ] {
        assert_eq!(make(&server, "TOKEN", &wrong).await.0, 422, "{wrong}");
    }
    let wrong = json!({ "label": "x", "scopes": ["root"] });
    assert_eq!(make(&server, "TOKEN", &wrong).await.0, 400);

    let (_, child) = make(&server, token, &json!({ "label": "c", "scopes": ["read"] })).await;
    let child = child["token"].as_str().unwrap();
    let status = |token: String| {
        let server = &server;
        async move { ask(server, &token, "GET", "/api/v1/status", "").await.0 }
    };
    assert_eq!(status(child.into()).await, 200);
    let (_, list) = server.ask("GET", "/api/v1/tokens", "").await;
    let listed = list.as_array().unwrap();
    assert_eq!(listed.len(), 5);
    assert!(
        listed
            .iter()
            .any(|one| one["label"] == "c" && one["used"].is_u64())
    );
    assert!(!list.to_string().contains(child));
    let path = format!("/api/v1/tokens/{}", parent["info"]["id"].as_str().unwrap());
    assert_eq!(server.ask("DELETE", &path, "").await.0, 204);
    assert_eq!(server.ask("DELETE", &path, "").await.0, 404);
    assert_eq!(status(token.into()).await, 401);
    assert_eq!(status(child.into()).await, 401);
    let server = server.restart().await;
    assert_eq!(
        ask(&server, child, "GET", "/api/v1/status", "").await.0,
        401
    );
}

/// The code that a socket with a token is closed with.
async fn closed(server: &Server, token: &str, meanwhile: impl Future<Output = ()>) -> Option<u16> {
    let address = server.api.address();
    let mut request = format!("ws://{address}/api/v1/ws")
        .into_client_request()
        .unwrap();
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    meanwhile.await;
    loop {
        let next = tokio::time::timeout(Duration::from_secs(20), socket.next());
        match next.await.unwrap() {
            Some(Ok(Message::Close(Some(frame)))) => return Some(frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

#[tokio::test]
async fn open_streams_end_with_their_token() {
    let server = Server::start().await;
    let wanted = json!({ "label": "x", "scopes": ["read"] });
    let (_, revoked) = make(&server, "TOKEN", &wanted).await;
    let path = format!("/api/v1/tokens/{}", revoked["info"]["id"].as_str().unwrap());
    let revoke = async {
        assert_eq!(server.ask("DELETE", &path, "").await.0, 204);
    };
    let token = revoked["token"].as_str().unwrap();
    assert_eq!(closed(&server, token, revoke).await, Some(4401));
    let wanted = json!({ "label": "x", "scopes": ["read"], "expires_in": 1 });
    let expiring = made(&server, wanted).await;
    assert_eq!(closed(&server, &expiring, async {}).await, Some(4401));
    let (status, code) = ask(&server, &expiring, "GET", "/api/v1/status", "").await;
    assert_eq!((status, &*code), (401, "token_wrong"));
}
