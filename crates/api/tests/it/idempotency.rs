//! A request that is sent again with its key does nothing a second time.

use baraza_core::{Command, ProfileChange, Reply};

use crate::support::{Server, json_of};

async fn group(server: &Server) -> (String, String) {
    let made = server.node.create_account("Alice".into(), None, |_| {});
    let account = made.await.unwrap();
    let command = Command::CreateGroup {
        mode: baraza_core::command::GroupMode::default(),
        profile: ProfileChange::default(),
        members: Vec::new(),
    };
    let Ok(Reply::Conversation(chat)) = server.node.command(account, command).await else {
        unreachable!("no group")
    };
    let account = format!("/api/v1/accounts/{account}/conversations");
    (format!("{account}/{chat}"), account)
}

async fn post(server: &Server, path: &str, key: &str, kind: &str, body: &str) -> (u16, String) {
    let length = body.len();
    server
        .raw(&format!(
            "POST {path} HTTP/1.1\r\nhost: HOST\r\nauthorization: Bearer TOKEN\r\n\
             idempotency-key: {key}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        ))
        .await
}

async fn count(server: &Server, path: &str) -> usize {
    let (status, list) = server.ask("GET", path, "").await;
    assert_eq!(status, 200, "{list}");
    let items = list.get("entries").unwrap_or(&list);
    items.as_array().unwrap().len()
}

const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_reactions_files_and_groups_are_made_once() {
    let server = Server::start().await;
    let (chat, chats) = group(&server).await;
    let messages = format!("{chat}/messages");
    let hello = r#"{"body": "hello"}"#;
    let (status, first) = post(&server, &messages, "k1", JSON, hello).await;
    assert_eq!(status, 201, "{first}");
    assert!(!first.contains("idempotency-replayed"));
    let (status, again) = post(&server, &messages, "k1", JSON, hello).await;
    assert_eq!((status, json_of(&again)), (201, json_of(&first)));
    assert!(again.contains("idempotency-replayed: true"), "{again}");
    let (status, other) = post(&server, &messages, "k1", JSON, r#"{"body": "bye"}"#).await;
    assert_eq!(status, 422, "{other}");
    assert_eq!(json_of(&other)["code"], "idempotency_key_reused");
    let id = json_of(&first)["id"].as_str().unwrap().to_owned();

    let reactions = format!("{messages}/{id}/reactions");
    let heart = r#"{"emoji": "❤"}"#;
    let (status, elsewhere) = post(&server, &reactions, "k1", JSON, heart).await;
    assert_eq!(status, 422, "{elsewhere}");
    let (_, one) = post(&server, &reactions, "k2", JSON, heart).await;
    let (status, two) = post(&server, &reactions, "k2", JSON, heart).await;
    assert_eq!((status, json_of(&two)), (201, json_of(&one)));

    let files = format!("{chat}/files?name=a.bin");
    let content = "0123456789".repeat(20_000);
    let (status, one) = post(&server, &files, "k3", BINARY, &content).await;
    assert_eq!(status, 201, "{one}");
    let (status, two) = post(&server, &files, "k3", BINARY, &content).await;
    assert_eq!((status, json_of(&two)), (201, json_of(&one)));
    let changed = content.replace('9', "8");
    assert_eq!(post(&server, &files, "k3", BINARY, &changed).await.0, 422);
    assert_eq!(count(&server, &format!("{chat}/files")).await, 1);

    let (_, one) = post(&server, &chats, "k4", JSON, "{}").await;
    let (status, two) = post(&server, &chats, "k4", JSON, "{}").await;
    assert_eq!((status, json_of(&two)), (201, json_of(&one)));
    assert_eq!(count(&server, &chats).await, 2);
    let nobody = "/api/v1/accounts/0000000000000000/conversations";
    let (status, other) = post(&server, nobody, "k4", JSON, "{}").await;
    assert_eq!(status, 422, "the key was used for another account: {other}");

    // What did nothing may be tried again, and the key of another program is another one.
    assert_eq!(post(&server, &messages, "k5", JSON, "{").await.0, 400);
    assert_eq!(post(&server, &messages, "k5", JSON, hello).await.0, 201);
    for bad in ["", "a b", &"x".repeat(129)] {
        assert_eq!(
            post(&server, &messages, bad, JSON, hello).await.0,
            400,
            "{bad}"
        );
    }

    // Still after a restart.
    let entries = count(&server, &format!("{chat}/entries")).await;
    let server = server.restart().await;
    let (status, again) = post(&server, &messages, "k1", JSON, hello).await;
    assert_eq!((status, json_of(&again)), (201, json_of(&first)));
    assert!(again.contains("idempotency-replayed: true"), "{again}");
    assert_eq!(count(&server, &format!("{chat}/entries")).await, entries);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_one_is_done() {
    let server = Server::start().await;
    let (chat, _) = group(&server).await;
    let messages = format!("{chat}/messages");
    let hello = r#"{"body": "hello"}"#;
    let asked = (0..20).map(|_| post(&server, &messages, "k", JSON, hello));
    let answers = futures_util::future::join_all(asked).await;
    let done: Vec<_> = answers
        .iter()
        .filter(|(status, _)| *status == 201)
        .map(|(_, answer)| json_of(answer))
        .collect();
    assert!(!done.is_empty());
    assert!(done.iter().all(|answer| *answer == done[0]), "{done:?}");
    let refused = answers.iter().filter(|(status, _)| *status != 201);
    for (status, answer) in refused {
        assert_eq!(*status, 409, "{answer}");
        assert_eq!(json_of(answer)["code"], "request_under_way");
    }
    let (_, history) = server.ask("GET", &format!("{chat}/entries"), "").await;
    let text = history.to_string();
    assert_eq!(text.matches("hello").count(), 1, "{text}");
}

/// The directory of a conversation's objects.
fn objects(dir: &std::path::Path, chat: &str) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        let inside = path.components().any(|part| part.as_os_str() == chat);
        if inside && path.ends_with("objects") {
            return Some(path);
        }
        if let Some(found) = objects(&path, chat) {
            return Some(found);
        }
    }
    None
}

/// A failure may come after something was written: nobody knows, and nothing is done again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ended_in_a_failure_is_not_done_again() {
    let server = Server::start().await;
    let (chat, _) = group(&server).await;
    let id = chat.rsplit('/').next().unwrap();
    let objects = objects(server.dir.path(), id).unwrap();
    let aside = objects.with_extension("aside");
    std::fs::rename(&objects, &aside).unwrap();
    std::fs::write(&objects, "no directory").unwrap();
    let messages = format!("{chat}/messages");
    let hello = r#"{"body": "hello"}"#;
    let (status, failed) = post(&server, &messages, "k1", JSON, hello).await;
    assert_eq!(status, 500, "{failed}");
    std::fs::remove_file(&objects).unwrap();
    std::fs::rename(&aside, &objects).unwrap();
    for _ in 0..2 {
        let (status, again) = post(&server, &messages, "k1", JSON, hello).await;
        assert_eq!(
            (status, &json_of(&again)["code"]),
            (409, &"outcome_unknown".into()),
            "{again}"
        );
    }
    let server = server.restart().await;
    let (status, again) = post(&server, &messages, "k1", JSON, hello).await;
    assert_eq!(status, 409, "{again}");
    assert_eq!(post(&server, &messages, "k2", JSON, hello).await.0, 201);
    let (_, history) = server.ask("GET", &format!("{chat}/entries"), "").await;
    assert_eq!(history.to_string().matches("hello").count(), 1, "{history}");
}
