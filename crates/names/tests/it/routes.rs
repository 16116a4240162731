use baraza_names::store::{Admin, Store as _};
use baraza_names::{Found, LookupText, Name};
use baraza_wire::UnixTime;

use crate::support::{World, free, key, send};

const LOG: &str = include_str!("../../../../testing/vectors/account-nameservice/http.log");

/// The requests of a daemon of 2023, byte for byte, and what it was answered then.
#[tokio::test]
async fn a_daemons_requests_are_answered_with_the_status_it_knows() {
    let world = World::new(free()).await;
    let mut count = 0;
    for part in LOG.split(">>> ").skip(1) {
        let (request, answer) = part.split_once("<<< ").unwrap();
        let (head, body) = request.split_once("\n\n").unwrap();
        let status: u16 = answer.split(' ').next().unwrap().parse().unwrap();
        let bytes = format!("{}\r\n\r\n{}", head.replace('\n', "\r\n"), body.trim_end());
        let answered = world.send(bytes.as_bytes()).await;
        assert_eq!(answered.status, status, "{head}: {answered:?}");
        assert!(answered.head.contains("content-type: application/json"));
        if status == 200 && head.starts_with("POST") {
            assert_eq!(answered.json()["success"], true);
        }
        count += 1;
    }
    assert_eq!(count, 11);
    // What it got is what it asked for, and verifies; the key has the NUL that came with it.
    let answer = world.get("/name/alicetest").await;
    let found = Found::from_json(answer.body.as_bytes()).unwrap().unwrap();
    assert_eq!(
        found.verify(&LookupText::new("alicetest").unwrap()),
        Ok(true)
    );
    assert_eq!(found.proof.unwrap().key_bytes().last(), Some(&0));
    let body = include_str!("../../../../testing/vectors/account-nameservice/register-body.json");
    for field in ["publickey", "signature"] {
        let sent: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(answer.json()[field], sent[field]);
    }
    assert_eq!(world.verified().await, 2);
}

#[tokio::test]
async fn every_route_of_the_reference_server() {
    let world = World::new(free()).await;
    world
        .register("alice", "alice")
        .await
        .is(200, r#"{"success":true}"#);
    // The same again is no mistake.
    world
        .register("alice", "alice")
        .await
        .is(200, r#"{"success":true}"#);
    let id = key("alice").public_key().short_id().to_hex();
    let found = world.get("/name/alice").await.json();
    assert_eq!(found["name"], "alice");
    assert_eq!(found["addr"], format!("0x{id}"));
    // HEAD daemons ask as it was typed.
    world.get("/name/Alice").await.is(200, &id);
    world.get("/name/%61lice").await.is(200, &id);
    for form in [
        id.clone(),
        format!("0x{id}"),
        format!("ring:{id}"),
        format!("0x{}", id.to_uppercase()),
    ] {
        world
            .get(&format!("/addr/{form}"))
            .await
            .is(200, r#"{"name":"alice"}"#);
    }
    for field in ["publickey", "signature"] {
        let part = world.get(&format!("/name/alice/{field}")).await.json();
        assert_eq!(part[field], found[field]);
        assert_eq!(part["name"], "alice");
    }
    world
        .get("/name/alice/owner")
        .await
        .is(404, "name not registered");
    world
        .get("/name/nobody")
        .await
        .is(404, r#"{"error":"name not registered"}"#);
    world
        .get("/name/nobody/signature")
        .await
        .is(404, "name not registered");
    let other = "0".repeat(39) + "1";
    world
        .get(&format!("/addr/{other}"))
        .await
        .is(404, r#"{"error":"address not registered"}"#);
    for bad in ["12", "0x12", "zz", &"0".repeat(40), "alice"] {
        world
            .get(&format!("/addr/{bad}"))
            .await
            .is(400, r#""success":false"#);
    }
    world
        .register("alice", "bob")
        .await
        .is(403, r#""success":false"#);
    world
        .register("alice-2", "alice")
        .await
        .is(403, r#""name":"alice""#);
    world
        .register("a1ice", "bob")
        .await
        .is(403, "a1ice looks like alice");
    world.get("/nothing").await.is(404, "error");
    world
        .send(b"DELETE /name/alice HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .is(405, "error");
    assert_eq!(world.verified().await, 1);
}

#[tokio::test]
async fn suspended_and_reserved_names_are_not_found_and_not_registered() {
    let world = World::new(free()).await;
    world.register("alice", "alice").await.is(200, "true");
    let name = |text: &str| Name::new(text).unwrap();
    let reason = || "test".to_owned();
    for act in [
        Admin::Allow(true),
        Admin::Suspend {
            name: name("alice"),
            reason: reason(),
        },
        Admin::Reserve {
            name: name("root"),
            reason: reason(),
        },
    ] {
        let done = world
            .store
            .admin(act, UnixTime::from_secs(1_767_225_600))
            .await;
        assert_eq!(done.unwrap(), Ok(true));
    }
    world.get("/name/alice").await.is(404, "not registered");
    world.get("/name/root").await.is(404, "not registered");
    world.register("alice", "alice").await.is(403, "false");
    world.register("root", "bob").await.is(403, "reserved");
    world.verified().await;
}

#[tokio::test]
async fn the_page_for_people() {
    let world = World::new(free()).await;
    world.register("alice", "alice").await.is(200, "true");
    let id = key("alice").public_key().short_id().to_hex();
    let page = world.get("/").await;
    page.is(200, "<label for=\"q\">");
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'")
    );
    assert!(!page.body.contains("<script"));
    world.get("/style.css").await.is(200, "max-inline-size");
    world
        .get("/?q=Alice")
        .await
        .is(200, &format!("href=\"jami:{id}\""));
    world
        .get(&format!("/?q={id}"))
        .await
        .is(200, "<bdi>alice</bdi>");
    world
        .get("/?q=nobody")
        .await
        .is(404, "Nobody has this name");
    let evil = world
        .get("/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
        .await;
    evil.is(400, "&quot;&gt;&lt;script&gt;");
    let persian = "GET / HTTP/1.1\r\nHost: x\r\nAccept-Language: fa-IR, en;q=0.5\r\nConnection: close\r\n\r\n";
    world
        .send(persian.as_bytes())
        .await
        .is(200, "<html lang=\"fa\" dir=\"rtl\">");
}

#[tokio::test]
async fn health_counts_and_checkpoints() {
    let world = World::new(free()).await;
    world.get("/health").await.is(200, "ok");
    world.get("/ready").await.is(200, "ok");
    world
        .get("/openapi.json")
        .await
        .is(200, "/name/{name}/publickey");
    // Counts are for whoever runs it.
    world.get("/metrics").await.is(404, "error");
    world.register("alice", "alice").await.is(200, "true");
    world.get("/name/alice").await.is(200, "alice");
    let ask = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let counts = send(world.server.monitor().unwrap(), None, ask)
        .await
        .unwrap();
    for line in [
        "baraza_names_requests_total{route=\"register\",status=\"2xx\"} 1",
        "baraza_names_requests_total{route=\"name\",status=\"2xx\"} 1",
        "baraza_names_registered_total 1",
        "baraza_names_names 1",
        "baraza_names_log_entries 2",
        "baraza_names_up 1",
    ] {
        assert!(
            counts.body.lines().any(|found| found == line),
            "{line} in {}",
            counts.body
        );
    }
    assert!(!counts.body.contains("alice"));
    // At its end, everything is signed.
    let (store, dir) = (world.store, world.dir);
    world.server.shutdown().await;
    let last = store.last_checkpoint().await.unwrap().unwrap();
    assert_eq!(last.seq, store.head().await.unwrap().seq);
    last.verify().unwrap();
    drop(dir);
}
