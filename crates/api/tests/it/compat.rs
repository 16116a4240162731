//! A bot written for the existing client's local API, with nothing changed but its token.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Server, json_of};

/// A token for a new account.
async fn bot(server: &Server) -> (String, String) {
    let made = server.node.create_account("Bot".into(), None, |_| {});
    let account = made.await.unwrap().to_string();
    let wanted = json!({
        "label": "bot", "scopes": ["read", "send", "admin"], "accounts": [account],
    });
    let (status, made) = server
        .ask("POST", "/api/v1/tokens", &wanted.to_string())
        .await;
    assert_eq!(status, 201, "{made}");
    (account, made["token"].as_str().unwrap().to_owned())
}

async fn ask(server: &Server, token: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
    let headers = format!("authorization: Bearer {token}\r\n");
    let (status, answer) = server.with(method, path, &headers, body).await;
    (status, json_of(&answer))
}

/// A group of the account, made by our own API.
async fn group(server: &Server, account: &str) -> String {
    let path = format!("/api/v1/accounts/{account}/conversations");
    let body = r#"{"profile": {"title": "Club", "description": "ours"}}"#;
    let (status, made) = server.ask("POST", &path, body).await;
    assert_eq!(status, 201, "{made}");
    made["conversation"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn account_conversations_and_messages_have_the_known_shapes() {
    let server = Server::start().await;
    let (account, token) = bot(&server).await;
    let get = |path: String| {
        let (server, token) = (&server, &token);
        async move { ask(server, token, "GET", &path, "").await }
    };
    let (status, shown) = get("/api/account".into()).await;
    assert_eq!(status, 200, "{shown}");
    assert_eq!(shown["id"], account);
    let me = shown["details"]["Account.username"].as_str().unwrap();
    assert_eq!(me.len(), 40);
    for secret in [
        "Account.password",
        "Account.archivePassword",
        "TURN.password",
    ] {
        assert_eq!(shown["details"][secret], "", "{secret}");
    }
    assert_eq!(shown["volatileDetails"]["Account.active"], "true");
    assert_eq!(get("/api/calls".into()).await, (200, json!([])));
    let none = (404, json!({ "error": "Call not found" }));
    assert_eq!(get("/api/calls/1".into()).await, none);

    let group = group(&server, &account).await;
    let chat = format!("/api/conversations/{group}");
    let (status, infos) = get(format!("{chat}/infos")).await;
    let want = json!({ "avatar": "", "description": "ours", "mode": "2", "title": "Club" });
    assert_eq!((status, infos), (200, want));
    let (_, members) = get(format!("{chat}/members")).await;
    assert_eq!(
        members,
        json!([{ "contact": { "uri": me }, "role": "admin" }])
    );
    let (_, list) = get("/api/conversations".into()).await;
    assert_eq!(list[0]["id"], group);
    assert_eq!(list[0]["membersNames"], json!(["Bot"]));
    let unknown = (404, json!({ "error": "Conversation not found" }));
    let nowhere = format!("/api/conversations/{}", "0".repeat(40));
    assert_eq!(get(nowhere).await, unknown);

    // All forms of a text.
    let post = |path: String, body: Value| {
        let (server, token) = (&server, &token);
        async move {
            let headers = format!("authorization: Bearer {token}\r\n");
            let (status, answer) = server
                .with("POST", &path, &headers, &body.to_string())
                .await;
            let id = answer
                .lines()
                .find_map(|line| line.strip_prefix("jami-message-id: "))
                .unwrap_or("")
                .to_owned();
            (status, id, json_of(&answer))
        }
    };
    let messages = format!("{chat}/messages");
    let (status, first, _) = post(messages.clone(), json!({ "body": "one" })).await;
    assert_eq!((status, first.len()), (204, 40));
    let inner = json!({ "message": "two", "replyTo": first }).to_string();
    let (status, second, _) = post(messages.clone(), json!({ "message": inner })).await;
    assert_eq!(status, 204);
    let (status, _, _) = post(messages.clone(), json!({ "message": "three" })).await;
    assert_eq!(status, 204);
    let (status, _, refused) = post(messages.clone(), json!({})).await;
    let want = json!({ "error": "Missing message in body" });
    assert_eq!((status, refused), (400, want));
    let react = json!({ "emoji": "👍", "messageId": first });
    assert_eq!(post(format!("{chat}/reactions"), react).await.0, 204);
    let (status, _, refused) = post(format!("{chat}/reactions"), json!({})).await;
    let want = json!({ "error": "Both 'emoji' and 'messageId' are required" });
    assert_eq!((status, refused), (400, want));
    let edit = json!({ "messageId": second, "message": "zwei" });
    assert_eq!(post(format!("{chat}/editmessage"), edit).await.0, 204);
    let (status, list) = get(format!("{messages}?limit=3")).await;
    assert_eq!(status, 200, "{list}");
    let texts: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["body"])
        .collect();
    assert_eq!(texts, ["one", "zwei", "three"], "oldest first");
    assert_eq!(list[0]["reactions"][0]["body"], "👍");
    assert_eq!(list[1]["reply-to"], first);
    assert!(list[0].get("reply-to").is_none());
    assert_eq!(list[1]["linearizedParent"], first);
    assert_eq!(list[0]["type"], "text/plain");
    assert_eq!(list[0]["status"]["self"], 2);
    let (_, list) = get(format!("{messages}?from={second}")).await;
    let texts: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["body"])
        .collect();
    assert_eq!(texts, ["zwei", "three"], "from it on");

    // A path of this machine is neither taken nor told.
    let path = json!({ "path": server.dir.path().join("api-token") });
    assert_eq!(post(format!("{chat}/files"), path).await.0, 403);
    let (status, _, refused) = post(format!("{chat}/files"), json!({})).await;
    assert_eq!(
        (status, refused),
        (400, json!({ "error": "Missing 'path'" }))
    );
    let (status, answer) = server
        .raw(&format!(
            "POST {chat}/files HTTP/1.1\r\nhost: HOST\r\nauthorization: Bearer {token}\r\n\
             content-disposition: attachment; filename=\"a.txt\"\r\ncontent-length: 5\r\n\
             connection: close\r\n\r\nhello"
        ))
        .await;
    assert_eq!(status, 204, "{answer}");
    let (_, list) = get(format!("{messages}?limit=1")).await;
    let file = &list[0];
    assert_eq!(file["displayName"], "a.txt");
    assert_eq!(file["totalSize"], 5);
    assert_eq!(file["body"], "");
    let text = |key: &str| file[key].as_str().unwrap().to_owned();
    let data = format!("/api/data/{group}/{}/{}", text("id"), text("fileId"));
    let headers = format!("authorization: Bearer {token}\r\n");
    let (status, answer) = server.with("GET", &data, &headers, "").await;
    assert_eq!(status, 200, "{answer}");
    assert!(
        answer.ends_with("hello") && answer.contains("attachment"),
        "{answer}"
    );
    let other = data.replace(&text("fileId"), "other");
    let missing = (404, json!({ "error": "File not available" }));
    assert_eq!(get(other).await, missing);
    assert_eq!(ask(&server, &token, "DELETE", &chat, "").await.0, 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_may_have_the_message_back_and_a_token_for_several_says_which() {
    let server = Server::start().await;
    let (first, _) = bot(&server).await;
    let (second, _) = bot(&server).await;
    let wanted = json!({ "label": "both", "scopes": ["read", "send"] }).to_string();
    let (_, made) = server.ask("POST", "/api/v1/tokens", &wanted).await;
    let token = made["token"].as_str().unwrap();
    for account in [&first, &second] {
        let group = group(&server, account).await;
        let path = format!("/api/conversations?account={account}");
        let (status, list) = ask(&server, token, "GET", &path, "").await;
        assert_eq!((status, &list[0]["id"]), (200, &json!(group)), "{list}");
        assert_eq!(list.as_array().unwrap().len(), 1);
        let path = format!("/api/conversations/{group}/messages?account={account}");
        let headers = format!(
            "authorization: Bearer {token}\r\nprefer: handling=lenient, return=representation\r\n"
        );
        let body = r#"{"body": "hello"}"#;
        let (status, answer) = server.with("POST", &path, &headers, body).await;
        assert_eq!(status, 201, "{answer}");
        assert!(
            answer.contains("preference-applied: return=representation\r\n"),
            "{answer}"
        );
        let message = json_of(&answer);
        assert_eq!(
            (&message["body"], &message["type"]),
            (&json!("hello"), &json!("text/plain"))
        );
        let headers = format!("authorization: Bearer {token}\r\njami-account: {account}\r\n");
        let path = format!("/api/conversations/{group}/messages");
        let (_, listed) = server.with("GET", &path, &headers, "").await;
        let listed = json_of(&listed);
        assert_eq!(listed.as_array().unwrap().last(), Some(&message));
    }
    let nobody = format!("/api/conversations?account={}", "0".repeat(16));
    let unknown = (404, json!({ "error": "Account not found" }));
    assert_eq!(ask(&server, token, "GET", &nobody, "").await, unknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contacts_requests_and_tokens_have_the_known_texts() {
    let server = Server::start().await;
    let (account, token) = bot(&server).await;
    let (_, _) = bot(&server).await;
    for bad in ["x", &format!("jm_sk_{}", "0".repeat(64)), server.token()] {
        let refused = ask(&server, bad, "GET", "/api/account", "").await;
        assert_eq!(refused, (401, json!({ "error": "Invalid token" })));
    }
    let peer = "ab".repeat(20);
    let path = format!("/api/contacts/{peer}");
    let (status, stranger) = ask(&server, &token, "GET", &path, "").await;
    assert_eq!((status, &stranger["added"]), (200, &json!("false")));
    assert_eq!(stranger["username"], peer);
    let (status, added) = ask(&server, &token, "PUT", &path, "").await;
    assert_eq!((status, &added["id"]), (200, &json!(peer)), "{added}");
    let (_, list) = ask(&server, &token, "GET", "/api/contacts", "").await;
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(ask(&server, &token, "DELETE", &path, "").await.0, 204);
    let requests = ask(&server, &token, "GET", "/api/conversation-requests", "").await;
    assert_eq!(requests, (200, json!([])));
    let one = (400, json!({ "error": "Exactly one member is required" }));
    let made = ask(&server, &token, "POST", "/api/conversations", "{}").await;
    assert_eq!(made, one);

    let make = |token: String, body: Value| {
        let server = &server;
        async move { ask(server, &token, "POST", "/api/tokens", &body.to_string()).await }
    };
    let (status, refused) = make(token.clone(), json!({ "name": " " })).await;
    let want = json!({ "error": "Missing or invalid token name" });
    assert_eq!((status, refused), (400, want));
    for bad in [
        json!({ "name": "x", "scopes": ["root"] }),
        json!({ "name": "x", "expiresIn": 0 }),
        json!({ "name": "x", "expiresIn": "soon" }),
    ] {
        assert_eq!(make(token.clone(), bad).await.0, 400);
    }
    let wanted = json!({ "name": "reader", "scopes": ["conversations:read"], "expiresIn": 3600 });
    let (status, made) = make(token.clone(), wanted).await;
    assert_eq!(status, 201, "{made}");
    let (reader, info) = (made["token"].as_str().unwrap().to_owned(), &made["info"]);
    assert_eq!(
        (&info["name"], &info["accountId"]),
        (&json!("reader"), &json!(account))
    );
    assert!(info["expiresAt"].as_str().unwrap().ends_with('Z'), "{info}");
    assert_eq!(
        ask(&server, &reader, "GET", "/api/conversations", "")
            .await
            .0,
        200
    );
    assert_eq!(
        ask(&server, &reader, "GET", "/api/contacts", "").await.0,
        403
    );
    assert_eq!(
        ask(&server, &reader, "POST", "/api/conversations", "{}")
            .await
            .0,
        403
    );
    // Such a scope is none of our own API, and mints no more.
    assert_eq!(
        ask(&server, &reader, "GET", "/api/v1/accounts", "").await.0,
        403
    );
    assert_eq!(make(reader.clone(), json!({ "name": "more" })).await.0, 403);
    let (_, list) = ask(&server, &token, "GET", "/api/tokens", "").await;
    assert_eq!(
        list.as_array().unwrap().len(),
        2,
        "only of this account: {list}"
    );
    let path = format!("/api/tokens/{}", info["id"].as_str().unwrap());
    assert_eq!(ask(&server, &token, "DELETE", &path, "").await.0, 204);
    let gone = (404, json!({ "error": "Token not found" }));
    assert_eq!(ask(&server, &token, "DELETE", &path, "").await, gone);
    assert_eq!(
        ask(&server, &reader, "GET", "/api/conversations", "")
            .await
            .0,
        401
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_those_of_the_token_only() {
    let server = Server::start().await;
    let (account, token) = bot(&server).await;
    let (other, _) = bot(&server).await;
    let (mine, theirs) = (group(&server, &account).await, group(&server, &other).await);
    let address = server.api.address();
    let path = format!("/api?token={token}");
    let (status, answer) = server.with("GET", &path, "", "").await;
    assert_eq!(status, 401);
    assert!(answer.ends_with("Unauthorized"), "{answer}");
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}/api?accessToken={token}");
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    for (account, chat) in [(&other, &theirs), (&account, &mine)] {
        let path = format!("/api/v1/accounts/{account}/conversations/{chat}/messages");
        assert_eq!(server.ask("POST", &path, r#"{"body": "hi"}"#).await.0, 201);
    }
    let mut seen = Vec::new();
    while seen
        .last()
        .is_none_or(|one: &Value| one["type"] != "conversation-message")
    {
        let next = tokio::time::timeout(Duration::from_secs(20), socket.next());
        if let Message::Text(text) = next.await.unwrap().unwrap().unwrap() {
            seen.push(serde_json::from_str(&text).unwrap());
        }
    }
    assert!(
        seen.iter().all(|one| one["data"]["accountId"] == account),
        "{seen:?}"
    );
    let last = seen.last().unwrap();
    assert_eq!(last["data"]["conversationId"], mine);
    assert_eq!(last["data"]["message"]["body"], "hi");
    assert!(last["seq"].is_u64());
    assert!(seen.iter().any(|one| one["type"] == "newInteraction"));
}
