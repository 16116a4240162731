use std::time::Duration;

use baraza_names::Name;
use baraza_names::confusable::Likeness;
use baraza_names::server::source::Rate;
use baraza_names::server::{Reserved, work};

use crate::support::{World, body, connect, free, key, post, send};

fn rate(burst: u32) -> Option<Rate> {
    Some(Rate {
        count: 1,
        per: Duration::from_secs(60),
        burst,
    })
}

#[tokio::test]
async fn who_asks_too_much_waits_and_others_do_not() {
    let mut config = free();
    config.limits.lookups = rate(3);
    config.limits.registrations = rate(2);
    let world = World::new(config).await;
    for _ in 0..3 {
        world.get("/name/alice").await.is(404, "");
    }
    let refused = world.get("/name/alice").await;
    refused.is(429, "too many requests");
    assert!(refused.head.contains("retry-after: "), "{refused:?}");
    // Registrations are counted apart, refused ones too.
    world.post("/name/alice", b"{}").await.is(400, "");
    world.register("alice", "alice").await.is(200, "");
    world.register("bob", "bob").await.is(429, "");
    let ask = b"GET /name/alice HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let from = Some("127.0.0.2".parse().unwrap());
    send(world.address(), from, ask)
        .await
        .unwrap()
        .is(200, "alice");
}

#[tokio::test]
async fn behind_a_proxy_clients_are_told_apart() {
    let mut config = free();
    config.limits.lookups = rate(1);
    config.proxies = vec!["127.0.0.1".parse().unwrap()];
    let world = World::new(config).await;
    let ask = |client: &str| {
        format!(
            "GET /name/alice HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {client}\r\nConnection: close\r\n\r\n"
        )
    };
    world.send(ask("192.0.2.1").as_bytes()).await.is(404, "");
    world.send(ask("192.0.2.1").as_bytes()).await.is(429, "");
    world.send(ask("192.0.2.2").as_bytes()).await.is(404, "");
    // One /64 is one source, and a client's own tale does not count.
    world.send(ask("2001:db8::1").as_bytes()).await.is(404, "");
    world
        .send(ask("203.0.113.5, 2001:db8::2").as_bytes())
        .await
        .is(429, "");
    // Who is no proxy cannot say who it is.
    let from = Some("127.0.0.2".parse().unwrap());
    send(world.address(), from, ask("192.0.2.9").as_bytes())
        .await
        .unwrap()
        .is(404, "");
    send(world.address(), from, ask("192.0.2.10").as_bytes())
        .await
        .unwrap()
        .is(429, "");
}

#[tokio::test]
async fn all_together_have_a_limit() {
    let mut config = free();
    config.limits.all_registrations = rate(1);
    let world = World::new(config).await;
    world.register("alice", "alice").await.is(200, "");
    let from = Some("127.0.0.2".parse().unwrap());
    let request = post("/name/bob", body("bob", "bob").as_bytes());
    send(world.address(), from, &request)
        .await
        .unwrap()
        .is(429, "");
}

#[tokio::test]
async fn proof_of_work_and_reserved_names() {
    let mut config = free();
    config.work_bits = 8;
    config.reserved = Reserved::parse("admin # us\n", Likeness::Ascii).unwrap();
    let world = World::new(config).await;
    let refused = world.register("alice", "alice").await;
    refused.is(428, "proof of work of 8 bits");
    assert!(
        refused.head.contains("x-baraza-work-bits: 8"),
        "{refused:?}"
    );
    let name = Name::new("alice").unwrap();
    let text = work::find(&name, key("alice").public_key().short_id().into(), 8);
    let body = body("alice", "alice");
    let request = format!(
        "POST /name/alice HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Baraza-Work: {text}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    world.send(request.as_bytes()).await.is(200, "true");
    world.register("admin", "bob").await.is(403, "reserved");
    world.register("adrnin", "bob").await.is(403, "reserved");
}

/// The place is full, and whoever watches over the server still learns that it runs.
#[tokio::test]
async fn a_crowd_does_not_keep_the_monitor_out() {
    let mut config = free();
    config.limits.connections = 4;
    let world = World::new(config).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(connect(world.address(), None).await.unwrap());
    }
    let ask = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let refused = send(world.address(), None, ask).await;
    assert!(refused.is_err(), "{refused:?}");
    let monitor = world.server.monitor().unwrap();
    send(monitor, None, ask).await.unwrap().is(200, "ok");
}
