//! Lists in pages.

use serde_json::{Value, json};

use crate::support::{Server, json_of};

/// A page, and where its `Link` leads to.
async fn page(server: &Server, path: &str) -> (Value, Option<String>) {
    let headers = "authorization: Bearer TOKEN\r\n";
    let (status, answer) = server.with("GET", path, headers, "").await;
    assert_eq!(status, 200, "{answer}");
    let link = answer.lines().find_map(|line| line.strip_prefix("link: <"));
    let next = link.map(|link| {
        let (target, rest) = link.split_once('>').unwrap();
        assert_eq!(rest, "; rel=\"next\"");
        let base = path.split_once('?').map_or(path, |parts| parts.0);
        format!("{base}{target}")
    });
    (json_of(&answer), next)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_give_what_stays_once_and_without_a_limit_all_is_as_ever() {
    let server = Server::start().await;
    let list = "/api/v1/tokens";
    let make = async |label: usize| {
        let wanted = json!({ "label": format!("t{label}"), "scopes": ["read"] }).to_string();
        let (status, made) = server.ask("POST", list, &wanted).await;
        assert_eq!(status, 201, "{made}");
        made["info"]["id"].as_str().unwrap().to_owned()
    };
    let mut ids = Vec::new();
    for label in 0..7 {
        ids.push(make(label).await);
    }
    let (whole, next) = page(&server, list).await;
    assert_eq!((whole.as_array().unwrap().len(), next), (7, None));

    let mut seen = Vec::new();
    let mut path = format!("{list}?limit=2");
    loop {
        let (items, next) = page(&server, &path).await;
        let items = items.as_array().unwrap();
        assert!((1..=2).contains(&items.len()), "{items:?}");
        seen.extend(
            items
                .iter()
                .map(|one| one["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = next else { break };
        // The last one that was given goes away, and one comes.
        let gone = seen.last().unwrap();
        server.ask("DELETE", &format!("{list}/{gone}"), "").await;
        ids.push(make(ids.len()).await);
        path = next;
        assert!(seen.len() < 40, "no end");
    }
    let mut once = seen.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), seen.len(), "{seen:?}");
    assert!(ids[..7].iter().all(|id| seen.contains(id)), "{seen:?}");
}

#[tokio::test]
async fn wrong_limits_and_cursors_are_refused() {
    let server = Server::start().await;
    for query in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "after=",
        "after=xyz",
        "after=0",
    ] {
        let (status, refused) = server
            .ask("GET", &format!("/api/v1/accounts?{query}"), "")
            .await;
        assert_eq!(
            (status, &refused["code"]),
            (400, &json!("bad_query")),
            "{query}"
        );
    }
    let (status, list) = server.ask("GET", "/api/v1/accounts?after=ff", "").await;
    assert_eq!((status, list), (200, json!([])));
}

#[tokio::test]
async fn another_method_is_told_which_there_are() {
    let server = Server::start().await;
    for (path, methods) in [
        ("/api/v1/accounts", "GET, POST, HEAD"),
        ("/api/v1/session/code", "POST"),
        ("/api/v1/backups/schedule", "PUT, DELETE"),
        ("/api/v1/webhooks/x", "DELETE"),
    ] {
        let headers = "authorization: Bearer TOKEN\r\n";
        let (status, answer) = server.with("OPTIONS", path, headers, "").await;
        assert_eq!(status, 405, "{answer}");
        assert!(
            answer.contains(&format!("allow: {methods}\r\n")),
            "{path}: {answer}"
        );
    }
}
