//! What strangers try. Each is refused with the right status, and the directory stays as it was.

use std::time::Duration;

use baraza_names::Name;
use baraza_names::store::Store as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Answer, World, body, connect, free, key, post, registration};

#[tokio::test]
async fn everything_wrong_is_refused_and_changes_nothing() {
    let world = World::new(free()).await;
    world.register("alice", "alice").await.is(200, "true");
    let before = world.store.head().await.unwrap();
    let bob = body("bob", "bob");
    let send =
        async |name: &str, body: &str| world.post(&format!("/name/{name}"), body.as_bytes()).await;

    // A wrong signature, that of another name, and one that was seen elsewhere (replay).
    let signature = registration("bob", "bob").proof.signature_base64();
    let mut wrong = signature.clone().into_bytes();
    wrong[10] = if wrong[10] == b'A' { b'B' } else { b'A' };
    let wrong = bob.replace(&signature, std::str::from_utf8(&wrong).unwrap());
    send("bob", &wrong).await.is(401, r#""success":false"#);
    send("mallory", &bob)
        .await
        .is(401, "the signature over the name is wrong");
    send("bob", &bob.replace(&signature, "AAAA"))
        .await
        .is(401, "signature");
    // The key of another account: an ID that is not the hash of the key.
    let id = key("bob").public_key().short_id().to_hex();
    let other = key("carol").public_key().short_id().to_hex();
    send("bob", &bob.replace(&id, &other))
        .await
        .is(401, "another Jami ID");
    // Alice's registration under the ID of somebody who wants to be her.
    send(
        "alice",
        &body("alice", "alice").replace(&key("alice").public_key().short_id().to_hex(), &id),
    )
    .await
    .is(401, "another Jami ID");
    send("alice", &body("alice", "bob"))
        .await
        .is(403, "already registered");

    // Incomplete, of the wrong shape, twice.
    for (bad, why) in [
        ("", "not what is expected"),
        ("null", "not what is expected"),
        ("[]", "not what is expected"),
        ("{}", "missing"),
        ("{\"addr\":", "not what is expected"),
        ("\u{feff}{}", "not what is expected"),
    ] {
        send("bob", bad).await.is(400, why);
    }
    for field in ["addr", "signature", "publickey"] {
        send("bob", &bob.replace(&format!("\"{field}\""), "\"other\""))
            .await
            .is(400, "is missing");
        let twice = bob.replacen('{', &format!("{{\"{field}\":\"{other}\","), 1);
        send("bob", &twice).await.is(400, "a member is there twice");
    }
    send(
        "bob",
        &bob.replacen("\"addr\":\"", "\"addr\":[\"", 1)
            .replacen("\",", "\"],", 1),
    )
    .await
    .is(400, "is not a text");
    send("bob", &format!("{bob}{bob}"))
        .await
        .is(400, "trailing characters");
    world
        .post("/name/bob", &[0xff, 0xfe, 0x00])
        .await
        .is(400, "not what is expected");
    let nested = format!("{{\"x\":{}", "[".repeat(30_000));
    send("bob", &nested).await.is(400, "not what is expected");

    // Names that are none: homoglyphs, invisible and turning characters, paths, SQL.
    for (path, why) in [
        ("b%D0%BEb", "only the letters a to z"),
        ("%EF%BD%82ob", "only the letters a to z"),
        ("bob%E2%80%8B", "invisible"),
        ("bob%E2%80%AE", "invisible"),
        ("%E2%81%A6bob", "invisible"),
        ("bob%00", "no spaces or control"),
        ("bo%0ab", "no spaces or control"),
        ("bob%20", "no spaces or control"),
        ("Bob", "lower case"),
        ("bo", "at least 3"),
        ("b%27;DROP%20TABLE%20names;--", "only the letters"),
        ("..%2F..%2Fetc%2Fpasswd", "only the letters"),
        ("%2e%2e", "only the letters"),
        ("a%2fb", "no '/'"),
        ("%ff%fe", "no text"),
        ("b.o.b", "only the letters"),
    ] {
        send(path, &bob).await.is(400, why);
        if path != "Bob" {
            let looked = world.get(&format!("/name/{path}")).await;
            assert_eq!(looked.status, 400, "{path}: {looked:?}");
        }
    }
    send(&"b".repeat(33), &bob).await.is(400, "at most 32");
    world
        .get(&format!("/name/{}", "b".repeat(4000)))
        .await
        .is(400, "at most 32");
    for path in [
        "/name/",
        "/name/bob/..%2f",
        "/name/../bob",
        "//name/bob",
        "/name/bob/extra/more",
        "/name/bob?x='",
    ] {
        let answer = world.post(path, bob.as_bytes()).await;
        if path.ends_with("x='") {
            // A query is none of the name's business.
            answer.is(200, "true");
        } else {
            assert!(
                [400, 404, 405].contains(&answer.status),
                "{path}: {answer:?}"
            );
        }
    }
    assert_eq!(world.store.head().await.unwrap().seq, before.seq + 1);

    // Too long: a megabyte of name, of body, of headers.
    let long = world
        .send(
            format!(
                "GET /name/{} HTTP/1.1\r\nHost: x\r\n\r\n",
                "a".repeat(1 << 20)
            )
            .as_bytes(),
        )
        .await;
    assert!([414, 431].contains(&long.status), "{long:?}");
    let answer = world
        .post("/name/carol", " ".repeat(1 << 20).as_bytes())
        .await;
    answer.is(413, "65536");
    let padded = format!("{}{}", body("carol", "carol"), " ".repeat(70_000));
    world
        .post("/name/carol", padded.as_bytes())
        .await
        .is(413, "65536");
    let headers = format!(
        "GET /name/bob HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "a".repeat(1 << 20)
    );
    assert_eq!(world.send(headers.as_bytes()).await.status, 431);
    let many = format!(
        "GET /name/bob HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "X: y\r\n".repeat(100)
    );
    assert_eq!(world.send(many.as_bytes()).await.status, 431);
    assert_eq!(world.send(b"HELLO\r\n\r\n").await.status, 400);
    assert_eq!(world.get("/name/carol").await.status, 404);
    assert_eq!(world.verified().await, 2);
}

#[tokio::test]
async fn a_body_that_lies_about_its_length() {
    let world = World::new(free()).await;
    let bob = body("bob", "bob");
    // Two lengths: whose is the rest of the bytes?
    let smuggled = format!(
        "POST /name/bob HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: {}\r\n\r\n{bob}",
        bob.len()
    );
    assert_eq!(world.send(smuggled.as_bytes()).await.status, 400);
    let both = "POST /name/bob HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\
         Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /name/bob HTTP/1.1\r\n\r\n";
    let answer = world.send(both.as_bytes()).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let chunked = format!(
        "POST /name/bob HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{bob}\r\n0\r\n\r\n",
        bob.len()
    );
    world.send(chunked.as_bytes()).await.is(200, "true");
    assert_eq!(world.verified().await, 1);
}

#[tokio::test]
async fn slow_clients_are_hung_up_on() {
    let mut config = free();
    config.limits.body_time = Duration::from_millis(300);
    config.limits.head_time = Duration::from_millis(300);
    let world = World::new(config).await;
    // A body that never ends.
    let request = post("/name/bob", body("bob", "bob").as_bytes());
    let mut stream = connect(world.address(), None).await.unwrap();
    stream
        .write_all(&request[..request.len() - 1])
        .await
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    Answer::parse(&answer)
        .unwrap()
        .is(408, "did not come in time");
    // A head that never ends, and a connection that says nothing.
    for begun in [&b"GET /name/bob HTTP/1.1\r\nX-"[..], b""] {
        let mut stream = connect(world.address(), None).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
    }
    let name = Name::new("bob").unwrap();
    assert_eq!(world.store.by_name(&name).await.unwrap(), None);
}
