//! Browsers sign in, with a code or the password, and are held to our own page.

use serde_json::{Value, json};

use crate::support::{Server, json_of};

/// A new code, as `baraza open` gets it.
async fn code(server: &Server) -> String {
    let (status, made) = server.ask("POST", "/api/v1/session/code", "").await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["expires_in"], 300);
    made["code"].as_str().unwrap().to_owned()
}

/// Signs in; the header with the cookie.
async fn sign_in(server: &Server, login: &Value) -> String {
    let login = login.to_string();
    let (status, answer) = server
        .with("POST", "/api/v1/session", "user-agent: Firefox\r\n", &login)
        .await;
    assert_eq!(status, 204, "{answer}");
    cookie(&answer)
}

fn cookie(answer: &str) -> String {
    let line = answer.lines().find(|line| line.starts_with("set-cookie: "));
    let cookie = line.unwrap().trim_start_matches("set-cookie: ");
    let secret = cookie.split(';').next().unwrap();
    assert!(secret.starts_with("baraza_session_"), "{cookie}");
    let rest: Vec<_> = cookie.split("; ").skip(1).collect();
    let wanted = ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"];
    assert_eq!(rest, wanted);
    format!("cookie: other=1; {secret}\r\n")
}

/// Browsers send a host's cookies to all its ports.
#[tokio::test]
async fn two_nodes_on_one_host_keep_apart() {
    let (one, two) = (Server::start().await, Server::start().await);
    let first = sign_in(&one, &json!({ "code": code(&one).await })).await;
    let second = sign_in(&two, &json!({ "code": code(&two).await })).await;
    let both = format!(
        "{}; {}",
        first.trim_end(),
        second.trim_start_matches("cookie: ")
    );
    for server in [&one, &two] {
        let (status, answer) = server.with("GET", "/api/v1/session", &both, "").await;
        assert_eq!(status, 200, "{answer}");
    }
    let (status, answer) = two.with("GET", "/api/v1/session", &first, "").await;
    assert_eq!(status, 401, "{answer}");
}

const PAGE: &str = "x-baraza: 1\r\norigin: http://HOST\r\n";

#[tokio::test]
async fn a_code_signs_one_browser_in_and_only_once() {
    let server = Server::start().await;
    let login = json!({ "code": code(&server).await });
    let cookie = sign_in(&server, &login).await;
    let (status, answer) = server
        .with("POST", "/api/v1/session", "", &login.to_string())
        .await;
    assert_eq!(status, 401, "{answer}");
    assert!(answer.contains("login_refused"), "{answer}");

    let (status, answer) = server.with("GET", "/api/v1/session", &cookie, "").await;
    assert_eq!(status, 200, "{answer}");
    let who = json_of(&answer);
    assert_eq!(who["kind"], "session");
    assert_eq!(who["scopes"], json!(["read", "send", "admin"]));
    assert!(answer.contains("set-cookie: "), "lasts longer: {answer}");
    let (status, who) = server.ask("GET", "/api/v1/session", "").await;
    assert_eq!((status, &who["kind"]), (200, &json!("owner")));
    for wrong in [
        "{}",
        r#"{"code": "x"}"#,
        r#"{"code": "x", "password": "y"}"#,
        r#"{"kode": "x"}"#,
    ] {
        let (status, answer) = server.with("POST", "/api/v1/session", "", wrong).await;
        assert!(status == 400 || status == 401, "{wrong}: {answer}");
        assert!(!answer.contains("set-cookie"), "{answer}");
    }
}

#[tokio::test]
async fn with_the_cookie_only_our_own_page_changes_something() {
    let server = Server::start().await;
    let cookie = sign_in(&server, &json!({ "code": code(&server).await })).await;
    let (status, answer) = server.with("GET", "/api/v1/status", &cookie, "").await;
    assert_eq!(status, 200, "{answer}");
    let change = |headers: String| {
        let server = &server;
        async move {
            let path = "/api/v1/session/code";
            server.with("POST", path, &headers, "").await
        }
    };
    let (status, answer) = change(cookie.clone()).await;
    assert_eq!(status, 403);
    assert!(answer.contains("page_header_missing"), "{answer}");
    assert_eq!(change(format!("{cookie}x-baraza: 0\r\n")).await.0, 403);
    let foreign = format!("{cookie}x-baraza: 1\r\norigin: http://evil.example\r\n");
    assert_eq!(change(foreign).await.0, 403);
    assert_eq!(change(format!("{cookie}{PAGE}")).await.0, 201);
    // Events: a WebSocket is no change, but foreign pages can open one.
    let socket = |extra: &str| {
        format!(
            "GET /api/v1/ws HTTP/1.1\r\nhost: HOST\r\n{cookie}{extra}connection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    let (status, answer) = server.raw_cut(&socket("")).await;
    assert_eq!(status, 403);
    assert!(answer.contains("origin_missing"), "{answer}");
    let foreign = socket("origin: http://evil.example\r\n");
    assert_eq!(server.raw_cut(&foreign).await.0, 403);
    let (status, answer) = server.raw_cut(&socket("origin: http://HOST\r\n")).await;
    assert_eq!(status, 101, "{answer}");
}

#[tokio::test]
async fn browsers_are_listed_and_signed_out() {
    let server = Server::start().await;
    let first = sign_in(&server, &json!({ "code": code(&server).await })).await;
    let second = sign_in(&server, &json!({ "code": code(&server).await })).await;
    let (status, answer) = server.with("GET", "/api/v1/sessions", &first, "").await;
    assert_eq!(status, 200, "{answer}");
    let list = json_of(&answer);
    let current: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["current"])
        .collect();
    assert_eq!(current, [&json!(true), &json!(false)]);
    assert_eq!(list[0]["client"], "Firefox");
    assert!(!answer.contains(first.split('=').next_back().unwrap().trim()));

    let revoke = format!("/api/v1/sessions/{}", list[1]["session"]);
    let page = format!("{first}{PAGE}");
    assert_eq!(server.with("DELETE", &revoke, &page, "").await.0, 204);
    assert_eq!(server.with("DELETE", &revoke, &page, "").await.0, 404);
    let (status, answer) = server.with("GET", "/api/v1/session", &second, "").await;
    assert_eq!(status, 401);
    assert!(answer.contains("session_ended"), "{answer}");

    let (status, answer) = server.with("DELETE", "/api/v1/session", &page, "").await;
    assert_eq!(status, 204);
    assert!(answer.contains("Max-Age=0"), "{answer}");
    assert_eq!(
        server.with("GET", "/api/v1/session", &first, "").await.0,
        401
    );
}

#[tokio::test]
async fn who_is_signed_in_stays_so_when_the_node_starts_again() {
    let server = Server::start().await;
    let cookie = sign_in(&server, &json!({ "code": code(&server).await })).await;
    let unused = code(&server).await;
    let server = server.restart().await;
    assert_eq!(
        server.with("GET", "/api/v1/session", &cookie, "").await.0,
        200
    );
    let login = json!({ "code": unused }).to_string();
    assert_eq!(
        server.with("POST", "/api/v1/session", "", &login).await.0,
        401
    );
    // Nothing in the database lets anybody in.
    let secret = cookie.trim().split('=').next_back().unwrap().to_owned();
    for file in ["node.db", "node.db-wal"] {
        let bytes = std::fs::read(server.dir.path().join(file)).unwrap_or_default();
        let found = bytes.windows(64).any(|part| part == secret.as_bytes());
        assert!(!found, "{file}");
    }
}

#[tokio::test]
async fn a_password_signs_in_where_one_is_set_and_not_as_often_as_one_likes() {
    let server = Server::start().await;
    let path = "/api/v1/session/password";
    let (status, answer) = server.ask("PUT", path, r#"{"password": "short"}"#).await;
    assert_eq!(status, 422, "{answer}");
    let long = r#"{"password": "correct horse battery"}"#;
    let (status, answer) = server.with("POST", "/api/v1/session", "", long).await;
    assert_eq!(status, 401, "none is set: {answer}");
    assert_eq!(server.ask("PUT", path, long).await.0, 204);
    let right = json!({ "password": "correct horse battery" });
    let cookie = sign_in(&server, &right).await;
    assert_eq!(
        server.with("GET", "/api/v1/session", &cookie, "").await.0,
        200
    );
    // With codes, as trying a password takes a second.
    let wrong = r#"{"code": "0000"}"#;
    let mut refused = 0;
    let answer = loop {
        let (status, answer) = server.with("POST", "/api/v1/session", "", wrong).await;
        if status == 429 {
            break answer;
        }
        assert_eq!(status, 401, "{answer}");
        refused += 1;
        assert!(refused <= 20, "as often as one likes");
    };
    assert!(answer.contains("retry-after: "), "{answer}");
    // The right one is refused for a while, too: else the limit would tell which is right.
    let right = right.to_string();
    assert_eq!(
        server.with("POST", "/api/v1/session", "", &right).await.0,
        429
    );
    // Who has the token is not held up.
    assert_eq!(server.ask("GET", "/api/v1/session", "").await.0, 200);
}
