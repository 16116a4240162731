//! Webhooks: what happens arrives, signed and in order, whatever the receiver does.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use baraza_api::Patience;
use baraza_core::{Command, ProfileChange, Reply};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::{Server, json_of};

/// Failures are over soon.
fn quick() -> Patience {
    Patience {
        answer: Duration::from_secs(2),
        first_wait: Duration::from_millis(20),
        longest_wait: Duration::from_millis(100),
        give_up_after: Duration::from_secs(3600),
        give_up_tries: 3,
        note_every: Duration::from_millis(100),
    }
}

/// What a receiver got.
#[derive(Debug, Clone)]
struct Got {
    head: String,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(&*start)).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn text(&self) -> String {
        self.json()["message"]["body"].as_str().unwrap().to_owned()
    }
}

/// Takes requests, and answers them as it is told: with these, then with 204 for ever.
struct Receiver {
    port: u16,
    got: Arc<Mutex<Vec<Got>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    async fn start(answers: &[&str]) -> Self {
        Self::start_at(0, answers).await
    }

    async fn start_at(port: u16, answers: &[&str]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let got = Arc::new(Mutex::new(Vec::new()));
        let mut answers: Vec<String> = answers.iter().rev().map(|one| (*one).into()).collect();
        let seen = Arc::clone(&got);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(request) = read(&mut stream).await else {
                    continue;
                };
                seen.lock().unwrap().push(request);
                let answer = answers.pop().unwrap_or_else(|| "204 No Content".into());
                let answer = match answer.as_str() {
                    "nonsense" => "hello\r\n\r\n".to_owned(),
                    answer => format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n"),
                };
                let _gone = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { port, got, task }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook?a=b", self.port)
    }

    /// Ends; its port is free then.
    async fn end(mut self) -> u16 {
        self.task.abort();
        let _aborted = (&mut self.task).await;
        self.port
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Waits until so many came.
    async fn wait(&self, count: usize) -> Vec<Got> {
        until(&format!("{count} came"), async || self.got().len() >= count).await;
        self.got()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(stream: &mut TcpStream) -> Option<Got> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() == length.unwrap().parse::<usize>().unwrap() {
                let (head, body) = (head.to_owned(), body.to_owned());
                return Some(Got { head, body });
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let so = tokio::time::timeout(Duration::from_secs(30), wait).await;
    assert!(so.is_ok(), "not so: {what}");
}

/// An account and a group of it: their paths' ends.
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
    (account.to_string(), chat.to_string())
}

async fn say(server: &Server, (account, chat): &(String, String), text: &str) {
    let path = format!("/api/v1/accounts/{account}/conversations/{chat}/messages");
    let body = json!({ "body": text }).to_string();
    let (status, written) = server.ask("POST", &path, &body).await;
    assert_eq!(status, 201, "{written}");
}

/// Adds a webhook for texts; its secret and its id.
async fn add(server: &Server, url: &str) -> (String, String) {
    let wanted = json!({ "url": url, "label": "Bot", "types": ["message_received"] });
    let (status, made) = server
        .ask("POST", "/api/v1/webhooks", &wanted.to_string())
        .await;
    assert_eq!(status, 201, "{made}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["secret"]), text(&made["info"]["id"]))
}

async fn listed(server: &Server) -> Value {
    let (status, list) = server.ask("GET", "/api/v1/webhooks", "").await;
    assert_eq!(status, 200, "{list}");
    list[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_arrives_signed_and_in_order() {
    let server = Server::start_with(quick()).await;
    let chat = group(&server).await;
    say(&server, &chat, "before").await;
    let receiver = Receiver::start(&[]).await;
    let (secret, id) = add(&server, &receiver.url()).await;
    for text in ["one", "two", "three"] {
        say(&server, &chat, text).await;
    }
    let got = receiver.wait(3).await;
    let texts: Vec<_> = got.iter().map(Got::text).collect();
    assert_eq!(texts, ["one", "two", "three"]);

    let key = STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    for one in &got {
        assert!(
            one.head.starts_with("POST /hook?a=b HTTP/1.1\r\n"),
            "{one:?}"
        );
        let (message, time) = (one.header("webhook-id"), one.header("webhook-timestamp"));
        assert_eq!(message, format!("{id}-{}", one.json()["cursor"]));
        let signed = format!("{message}.{time}.{}", one.body);
        let given = one.header("webhook-signature").strip_prefix("v1,").unwrap();
        let given = STANDARD.decode(given).unwrap();
        hmac::verify(&key, signed.as_bytes(), &given).unwrap();
        assert_eq!(one.json()["event"], "message_received");
    }
    until("it is noted", async || {
        listed(&server).await["delivered"].is_u64()
    })
    .await;
    let hook = listed(&server).await;
    assert_eq!(hook["failing"], Value::Null);
    assert_eq!(
        (&hook["error"], &hook["disabled"]),
        (&json!(""), &json!(""))
    );
    assert!(!hook.to_string().contains("whsec"), "{hook}");

    let (status, tested) = server
        .ask("POST", &format!("/api/v1/webhooks/{id}/test"), "{}")
        .await;
    assert_eq!(
        (status, &tested["delivered"]),
        (200, &json!(true)),
        "{tested}"
    );
    assert_eq!(receiver.wait(4).await[3].json()["event"], "test");
    let (status, _) = server
        .ask("DELETE", &format!("/api/v1/webhooks/{id}"), "")
        .await;
    assert_eq!(status, 204);
    say(&server, &chat, "after").await;
    let (status, _) = server
        .ask("POST", &format!("/api/v1/webhooks/{id}/test"), "{}")
        .await;
    assert_eq!(status, 404);
    assert_eq!(receiver.got().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_answers_are_tried_again_and_nothing_overtakes() {
    let server = Server::start_with(quick()).await;
    let chat = group(&server).await;
    let elsewhere = Receiver::start(&[]).await;
    let moved = format!("307 Moved\r\nlocation: {}", elsewhere.url());
    let wrong = [
        "500 Broken",
        &moved,
        "nonsense",
        "404 Not Found",
        "301 Moved",
    ];
    let receiver = Receiver::start(&wrong).await;
    add(&server, &receiver.url()).await;
    say(&server, &chat, "one").await;
    say(&server, &chat, "two").await;
    let got = receiver.wait(7).await;
    let texts: Vec<_> = got.iter().map(Got::text).collect();
    assert_eq!(texts, ["one", "one", "one", "one", "one", "one", "two"]);
    let ids: Vec<_> = got.iter().map(|one| one.header("webhook-id")).collect();
    assert!(ids[..6].iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_ne!(ids[6], ids[0]);
    assert!(elsewhere.got().is_empty(), "a redirection was followed");
    // How it last failed is still there, though it does not fail any more.
    until("both are noted", async || {
        listed(&server).await["failing"].is_null()
    })
    .await;
    let hook = listed(&server).await;
    assert!(
        hook["error"].as_str().unwrap().contains("redirects"),
        "{hook}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_was_away_gets_all_of_it_also_after_a_restart() {
    let server = Server::start_with(quick()).await;
    let chat = group(&server).await;
    let receiver = Receiver::start(&[]).await;
    add(&server, &receiver.url()).await;
    say(&server, &chat, "0").await;
    receiver.wait(1).await;
    let port = receiver.end().await;
    for text in 1..20 {
        say(&server, &chat, &text.to_string()).await;
    }
    until("it is seen that it fails", async || {
        listed(&server).await["failures"].as_u64() > Some(1)
    })
    .await;
    let hook = listed(&server).await;
    assert_eq!(hook["error"], "nothing listens there");
    assert!(
        hook["failing"].is_u64() && hook["failed"].is_u64(),
        "{hook}"
    );

    let server = server.restart().await;
    let before = listed(&server).await;
    assert_eq!(before["cursor"], hook["cursor"]);
    assert!(before["failures"].as_u64() >= hook["failures"].as_u64());
    say(&server, &chat, "20").await;
    let receiver = Receiver::start_at(port, &[]).await;
    let got = receiver.wait(20).await;
    let texts: Vec<_> = got.iter().map(Got::text).collect();
    let wanted: Vec<_> = (1..=20).map(|text| text.to_string()).collect();
    assert_eq!(texts, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_for_long_is_given_up_and_goes_on_when_it_is_told() {
    let patience = Patience {
        give_up_after: Duration::from_millis(200),
        ..quick()
    };
    let server = Server::start_with(patience.clone()).await;
    let chat = group(&server).await;
    let refusals = ["503 Busy"; 50];
    let receiver = Receiver::start(&refusals).await;
    let (_, id) = add(&server, &receiver.url()).await;
    say(&server, &chat, "one").await;
    until("it is given up", async || {
        listed(&server).await["disabled"] != ""
    })
    .await;
    let hook = listed(&server).await;
    assert!(
        hook["disabled"]
            .as_str()
            .unwrap()
            .contains("it refuses (status 503)"),
        "{hook}"
    );
    let tries = receiver.got().len();
    let port = receiver.end().await;

    // It stays so over a restart, until somebody says so.
    let server = server.restart().await;
    assert_eq!(listed(&server).await["disabled"], hook["disabled"]);
    say(&server, &chat, "two").await;
    let receiver = Receiver::start_at(port, &[]).await;
    let path = format!("/api/v1/webhooks/{id}/enable");
    let (status, hook) = server.ask("POST", &path, "{}").await;
    assert_eq!((status, &hook["disabled"]), (200, &json!("")), "{hook}");
    let got = receiver.wait(2).await;
    let texts: Vec<_> = got.iter().map(Got::text).collect();
    assert_eq!(texts, ["one", "two"]);
    assert!(tries >= 3, "{tries}");

    // Who says that it is gone is asked no more at once.
    let port = receiver.end().await;
    let receiver = Receiver::start_at(port, &["410 Gone"]).await;
    say(&server, &chat, "three").await;
    until("it is given up", async || {
        listed(&server).await["disabled"] != ""
    })
    .await;
    assert_eq!(receiver.got().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_hears_what_its_maker_may_hear_and_ends_with_the_token() {
    let server = Server::start_with(quick()).await;
    let (chat, other) = (group(&server).await, group(&server).await);
    let token = |scopes: Value| {
        let wanted = json!({ "label": "x", "scopes": scopes, "accounts": [chat.0] }).to_string();
        let server = &server;
        async move {
            let (status, made) = server.ask("POST", "/api/v1/tokens", &wanted).await;
            assert_eq!(status, 201, "{made}");
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&made["token"]), text(&made["info"]["id"]))
        }
    };
    let receiver = Receiver::start(&[]).await;
    let ask = async |token: &str, wanted: Value| {
        let bearer = format!("authorization: Bearer {token}\r\n");
        let body = wanted.to_string();
        let (status, answer) = server
            .with("POST", "/api/v1/webhooks", &bearer, &body)
            .await;
        (status, json_of(&answer))
    };
    let (weak, _) = token(json!(["read", "send"])).await;
    let url = receiver.url();
    assert_eq!(ask(&weak, json!({ "url": url })).await.0, 403);
    let (strong, id) = token(json!(["read", "admin"])).await;
    let foreign = json!({ "url": url, "accounts": [other.0] });
    assert_eq!(ask(&strong, foreign).await.0, 403);
    let wanted = json!({ "url": url, "types": ["message_received"] });
    let (status, made) = ask(&strong, wanted).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["info"]["accounts"], json!([chat.0]));
    say(&server, &other, "not for it").await;
    say(&server, &chat, "for it").await;
    assert_eq!(receiver.wait(1).await[0].text(), "for it");

    let (status, _) = server
        .ask("DELETE", &format!("/api/v1/tokens/{id}"), "")
        .await;
    assert_eq!(status, 204);
    assert_eq!(listed(&server).await, Value::Null);
    say(&server, &chat, "too late").await;
    let server = server.restart().await;
    assert_eq!(listed(&server).await, Value::Null);
    say(&server, &chat, "much too late").await;
    assert_eq!(receiver.got().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_nothing_can_go_to_are_refused() {
    let server = Server::start().await;
    let long = format!("http://127.0.0.1/{}", "x".repeat(2000));
    for url in [
        "",
        "nowhere",
        "http://bot.example/",
        "http://10.0.0.1/",
        "ftp://127.0.0.1/",
        "https://user:secret@bot.example/",
        &long,
    ] {
        let body = json!({ "url": url }).to_string();
        let (status, refused) = server.ask("POST", "/api/v1/webhooks", &body).await;
        assert_eq!(
            (status, &refused["code"]),
            (422, &json!("invalid")),
            "{url}"
        );
    }
    let bad = json!({ "url": "http://127.0.0.1:9/", "types": ["Message Received"] });
    let (status, _) = server
        .ask("POST", "/api/v1/webhooks", &bad.to_string())
        .await;
    assert_eq!(status, 422);
    for count in 0..51 {
        let body = r#"{"url": "http://127.0.0.1:9/", "types": ["nothing"]}"#;
        let (status, answer) = server.ask("POST", "/api/v1/webhooks", body).await;
        assert_eq!(status, if count < 50 { 201 } else { 409 }, "{answer}");
    }
}
