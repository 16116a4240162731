use std::sync::{Arc, Mutex};

use baraza_identity::testing;
use baraza_names::client::{
    Answer, Ask, Failure, HttpClient, Outcome, Question, ServerUrl, Unreachable,
};
use baraza_names::testing::{Reference, Request, Served, http};
use baraza_names::{LookupText, Name, Owner, Registration};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn name(server: &str, text: &str) -> Ask {
    Ask {
        server: ServerUrl::parse(server).unwrap(),
        question: Question::Name(LookupText::new(text).unwrap()),
    }
}

fn registering(server: &str, who: &str, text: &str) -> Ask {
    let archive = testing::archive(who);
    let owner = Owner::parse(archive.eth_key.as_ref().unwrap().address());
    let name = Name::new(text).unwrap();
    let registration = Registration::sign(&name, &archive.account_key, owner).unwrap();
    Ask {
        server: ServerUrl::parse(server).unwrap(),
        question: Question::Register {
            id: registration.addr,
            body: registration.to_json(),
            name,
        },
    }
}

async fn asked(ask: &Ask) -> Result<Outcome, Failure> {
    ask.understand(HttpClient::new().ask(ask).await, false)
}

async fn fails(ask: &Ask) -> Unreachable {
    HttpClient::new().ask(ask).await.unwrap_err()
}

#[tokio::test]
async fn the_existing_server_gives_and_finds_names() {
    let reference = Arc::new(Mutex::new(Reference::default()));
    let served = Served::reference(&reference);
    let url = served.url();
    let alice = name(&url, "Alice");
    assert_eq!(asked(&alice).await, Err(Failure::NotFound));
    let register = registering(&url, "alice", "alice");
    assert_eq!(asked(&register).await, Ok(Outcome::Registered));
    // Twice is the same as once.
    assert_eq!(asked(&register).await, Ok(Outcome::Registered));
    let id = testing::archive("alice").account_id();
    let found = Outcome::Found {
        name: LookupText::new("alice").unwrap(),
        id,
        signed: true,
    };
    assert_eq!(asked(&alice).await, Ok(found));
    let reverse = Ask {
        server: ServerUrl::parse(&url).unwrap(),
        question: Question::Address(id),
    };
    let named = Outcome::Named(LookupText::new("alice").unwrap());
    assert_eq!(asked(&reverse).await, Ok(named));
    let taken = registering(&url, "bob", "alice");
    assert_eq!(asked(&taken).await, Err(Failure::Taken));
    let second = registering(&url, "alice", "alicia");
    assert_eq!(asked(&second).await, Err(Failure::HasName("alice".into())));
    let bob = registering(&url, "bob", "bob");
    let Question::Register { body, id, .. } = bob.question else {
        panic!("not a registration");
    };
    let forged = Ask {
        server: bob.server,
        question: Question::Register {
            name: Name::new("eve").unwrap(),
            id,
            body,
        },
    };
    let refused = asked(&forged).await;
    assert!(
        matches!(refused, Err(Failure::Signature { .. })),
        "{refused:?}"
    );
    assert_eq!(reference.lock().unwrap().names.len(), 1);
}

#[tokio::test]
async fn requests_look_as_those_of_clients_of_today() {
    let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
    let heard = Arc::clone(&seen);
    let served = Served::with(move |request| {
        heard.lock().unwrap().push(request.clone());
        http(404, "", "{}")
    });
    let url = format!("{}/prefix/", served.url());
    asked(&name(&url, "alice")).await.unwrap_err();
    let request = seen.lock().unwrap().remove(0);
    assert_eq!(request.method, "GET");
    assert_eq!(request.path, "/prefix/name/alice");
    assert_eq!(request.headers["host"], served.address.to_string());
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["accept"], "*/*");
    assert_eq!(request.headers["connection"], "close");
    asked(&registering(&url, "alice", "alice"))
        .await
        .unwrap_err();
    let request = seen.lock().unwrap().remove(0);
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, "/prefix/name/alice");
    assert_eq!(
        request.headers["content-length"],
        request.body.len().to_string()
    );
}

#[tokio::test]
async fn what_cannot_be_asked_says_why() {
    // Nobody listens on a port that was just given back.
    let port = Served::with(|_| Vec::new()).address.port();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = free.local_addr().unwrap();
    drop(free);
    assert_ne!(gone.port(), port);
    let error = fails(&name(&format!("http://{gone}"), "alice")).await;
    assert_eq!(error.to_string(), "nothing listens there");
    let error = fails(&name("http://names.invalid", "alice")).await;
    let text = "the address of names.invalid is not found: ";
    assert!(error.to_string().starts_with(text), "{error}");

    let closes = Served::with(|_| Vec::new());
    let error = fails(&name(&closes.url(), "alice")).await;
    assert!(
        error.to_string().starts_with("no answer of HTTP"),
        "{error}"
    );
    assert!(!error.sent);
    // Of a registration nobody knows then whether it was done.
    assert!(
        fails(&registering(&closes.url(), "alice", "alice"))
            .await
            .sent
    );

    let large = Served::with(|_| http(200, "", &"x".repeat((1 << 20) + 1)));
    let error = fails(&name(&large.url(), "alice")).await;
    assert_eq!(error.to_string(), "its answer has more than 1048576 bytes");

    let cut = Served::with(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_vec());
    let error = fails(&name(&cut.url(), "alice")).await;
    assert!(
        error.to_string().starts_with("its answer is cut short"),
        "{error}"
    );

    let busy = Served::with(|_| http(429, "Retry-After: 90\r\n", ""));
    let failure = asked(&name(&busy.url(), "alice")).await.unwrap_err();
    assert!(
        failure.to_string().ends_with("try again in 90 seconds"),
        "{failure}"
    );
}

#[tokio::test]
async fn redirections_are_followed_on_the_host_alone() {
    let moves = Served::with(|request| match request.path.as_str() {
        "/name/alice" => http(302, "Location: /v2/alice\r\n", ""),
        "/v2/alice" => http(404, "", "{}"),
        "/name/loop" => http(302, "Location: /name/loop\r\n", ""),
        _ => http(307, "Location: https://evil.example/\r\n", ""),
    });
    let url = moves.url();
    assert_eq!(asked(&name(&url, "alice")).await, Err(Failure::NotFound));
    let error = fails(&name(&url, "loop")).await;
    assert_eq!(error.to_string(), "it redirects again and again");
    let error = fails(&name(&url, "elsewhere")).await;
    assert_eq!(
        error.to_string(),
        "it redirects to another host, evil.example"
    );
    // A registration does not become a question.
    let error = fails(&registering(&url, "alice", "alice")).await;
    assert_eq!(
        error.to_string(),
        "it redirects a registration (status 302)"
    );
    // It goes nowhere else, either: the signature is for this server.
    let error = fails(&registering(&url, "alice", "other")).await;
    assert_eq!(
        error.to_string(),
        "it redirects to another host, evil.example"
    );
}

/// A server with a certificate of its own.
async fn secure_server() -> (u16, RootCertStore) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let there = request[..read].starts_with(b"GET /name/alice HTTP/1.1\r\n");
            let answer = http(if there { 404 } else { 500 }, "", "{}");
            stream.write_all(&answer).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    (port, roots)
}

#[tokio::test]
async fn certificates_are_verified() {
    let (port, roots) = secure_server().await;
    let ask = name(&format!("localhost:{port}"), "alice");
    assert!(ask.server.as_str().starts_with("https://"));
    let trusting = HttpClient::with_roots(roots.clone()).unwrap();
    let answer: Answer = trusting.ask(&ask).await.unwrap();
    assert_eq!(answer.status, 404);
    // The same server under a name that its certificate does not have.
    let other = name(&format!("127.0.0.1:{port}"), "alice");
    let error = trusting.ask(&other).await.unwrap_err().to_string();
    assert!(error.starts_with("no secure connection: "), "{error}");
    // And without an authority that knows it.
    let (_, strange) = secure_server().await;
    let wary = HttpClient::with_roots(strange).unwrap();
    let error = wary.ask(&ask).await.unwrap_err().to_string();
    assert!(error.starts_with("no secure connection: "), "{error}");
}
