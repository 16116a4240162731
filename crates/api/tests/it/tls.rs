//! The API for other machines: by https only, with a password only.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use baraza_api::{ApiConfig, ApiServeError, ApiServer, Elsewhere, Patience, TlsFiles};
use baraza_core::{Node, NodeConfig};
use futures_util::StreamExt as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::support::json_of;

const NAME: &str = "box.test";
const PASSWORD: &str = "a long sentence of one's own";

/// Writes a new certificate and its key; the certificate.
fn certificate(dir: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

fn elsewhere(dir: &Path) -> Elsewhere {
    Elsewhere {
        address: "0.0.0.0:0".parse().unwrap(),
        tls: TlsFiles {
            certificate: dir.join("cert.pem"),
            key: dir.join("key.pem"),
        },
    }
}

async fn node(dir: &Path) -> Node {
    let mut config = NodeConfig::new(dir);
    config.loopback = true;
    Node::open(config).await.unwrap()
}

async fn start(
    node: &Node,
    dir: &Path,
    hosts: &[&str],
    elsewhere: Option<Elsewhere>,
) -> Result<ApiServer, ApiServeError> {
    let config = ApiConfig {
        address: "127.0.0.1:0".parse().unwrap(),
        elsewhere,
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        compat: false,
        data_dir: dir.to_owned(),
        patience: Patience::default(),
    };
    ApiServer::start(node.clone(), config).await
}

/// Sets the password, as the owner does on the machine itself.
async fn set_password(api: &ApiServer, dir: &Path, password: Option<&str>) -> (u16, String) {
    let token = std::fs::read_to_string(dir.join("api-token")).unwrap();
    let body = json!({ "password": password }).to_string();
    let mut stream = TcpStream::connect(api.address()).await.unwrap();
    let request = format!(
        "PUT /api/v1/session/password HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        api.address(),
        token.trim(),
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    answer(&mut stream).await
}

async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> (u16, String) {
    let mut text = Vec::new();
    let _unclean = stream.read_to_end(&mut text).await;
    let text = String::from_utf8_lossy(&text).into_owned();
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.unwrap_or(0), text)
}

/// A client on another machine, which trusts one certificate.
struct Client {
    connector: TlsConnector,
    port: u16,
}

impl Client {
    fn new(api: &ApiServer, trusted: &CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            connector: TlsConnector::from(Arc::new(config)),
            port: api.elsewhere().unwrap().port(),
        }
    }

    async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(NAME).unwrap();
        self.connector.connect(name, stream).await
    }

    fn origin(&self) -> String {
        format!("https://{NAME}:{}", self.port)
    }

    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = self.connect().await.unwrap();
        let (port, length) = (self.port, body.len());
        let headers = match headers.contains("host: ") {
            true => headers.to_owned(),
            false => format!("host: {NAME}:{port}\r\n{headers}"),
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{headers}content-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        answer(&mut stream).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_said_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path()).await;
    certificate(dir.path());
    let wanted = || Some(elsewhere(dir.path()));
    let none = start(&node, dir.path(), &[NAME], wanted())
        .await
        .unwrap_err();
    assert!(
        none.to_string().contains("baraza session password"),
        "{none}"
    );
    let api = start(&node, dir.path(), &[], None).await.unwrap();
    assert_eq!(set_password(&api, dir.path(), Some(PASSWORD)).await.0, 204);
    api.shutdown().await;

    let unnamed = start(&node, dir.path(), &[], wanted()).await.unwrap_err();
    assert!(unnamed.to_string().contains("--api-host"), "{unnamed}");
    std::fs::write(dir.path().join("cert.pem"), "no certificate").unwrap();
    let broken = start(&node, dir.path(), &[NAME], wanted())
        .await
        .unwrap_err();
    assert!(broken.to_string().contains("cert.pem"), "{broken}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_elsewhere_signs_in_with_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path()).await;
    let trusted = certificate(dir.path());
    let api = start(&node, dir.path(), &[], None).await.unwrap();
    assert_eq!(set_password(&api, dir.path(), Some(PASSWORD)).await.0, 204);
    api.shutdown().await;
    let outside = Some(elsewhere(dir.path()));
    let api = start(&node, dir.path(), &[NAME], outside).await.unwrap();
    let client = Client::new(&api, &trusted);

    let (status, page) = client.ask("GET", "/api/openapi.json", "", "").await;
    assert_eq!(status, 200);
    assert!(page.contains("strict-transport-security: max-age=31536000\r\n"));
    let local = format!("host: localhost:{}\r\n", client.port);
    let (status, page) = client.ask("GET", "/api/openapi.json", &local, "").await;
    assert_eq!(status, 200);
    assert!(
        !page.contains("strict-transport-security"),
        "it would hold for all of localhost"
    );
    let foreign = format!("host: evil.example:{}\r\n", client.port);
    assert_eq!(client.ask("GET", "/", &foreign, "").await.0, 421);
    assert_eq!(client.ask("GET", "/api/v1/accounts", "", "").await.0, 401);

    let origin = format!("origin: {}\r\n", client.origin());
    let wrong = json!({ "password": "another sentence" }).to_string();
    assert_eq!(
        client
            .ask("POST", "/api/v1/session", &origin, &wrong)
            .await
            .0,
        401
    );
    let right = json!({ "password": PASSWORD }).to_string();
    let plain = origin.replace("https", "http");
    assert_eq!(
        client
            .ask("POST", "/api/v1/session", &plain, &right)
            .await
            .0,
        403
    );
    let (status, signed_in) = client.ask("POST", "/api/v1/session", &origin, &right).await;
    assert_eq!(status, 204, "{signed_in}");
    let cookie = signed_in
        .lines()
        .find(|line| line.starts_with("set-cookie: "));
    let cookie = cookie.unwrap().trim_start_matches("set-cookie: ");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/; Max-Age=2592000; Secure"));
    let cookie = format!("cookie: {}\r\n", cookie.split(';').next().unwrap());

    let (status, who) = client.ask("GET", "/api/v1/session", &cookie, "").await;
    assert_eq!(
        (status, &json_of(&who)["kind"]),
        (200, &json!("session")),
        "{who}"
    );
    let page = format!("{cookie}{origin}x-baraza: 1\r\n");
    let new = r#"{"display_name": "Alice"}"#;
    let (status, made) = client.ask("POST", "/api/v1/accounts", &page, new).await;
    assert_eq!(status, 201, "{made}");

    let url = format!("wss://{NAME}:{}/api/v1/ws?since=0", client.port);
    let mut request = url.into_client_request().unwrap();
    let value = cookie
        .trim_start_matches("cookie: ")
        .trim()
        .parse()
        .unwrap();
    request.headers_mut().insert("cookie", value);
    request
        .headers_mut()
        .insert("origin", client.origin().parse().unwrap());
    let (mut socket, _) = client_async(request, client.connect().await.unwrap())
        .await
        .unwrap();
    // A ping may come before it.
    let event = loop {
        match socket.next().await {
            Some(Ok(Message::Text(event))) => break event,
            Some(Ok(_)) => {}
            other => unreachable!("no event: {other:?}"),
        }
    };
    assert!(event.contains("\"cursor\":"), "{event}");
    drop(socket);

    // Without it, the node would not start like this again.
    let (status, refused) = set_password(&api, dir.path(), None).await;
    assert_eq!(
        (status, &json_of(&refused)["code"]),
        (409, &json!("password_needed_elsewhere"))
    );

    // Nothing goes over an open line.
    let mut open = TcpStream::connect(("127.0.0.1", client.port))
        .await
        .unwrap();
    let request = format!("GET / HTTP/1.1\r\nhost: {NAME}:{}\r\n\r\n", client.port);
    open.write_all(request.as_bytes()).await.unwrap();
    let (_, answer) = answer(&mut open).await;
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
    api.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path()).await;
    let first = certificate(dir.path());
    let api = start(&node, dir.path(), &[], None).await.unwrap();
    assert_eq!(set_password(&api, dir.path(), Some(PASSWORD)).await.0, 204);
    api.shutdown().await;
    let outside = Some(elsewhere(dir.path()));
    let api = start(&node, dir.path(), &[NAME], outside).await.unwrap();
    let old = Client::new(&api, &first);
    assert!(old.connect().await.is_ok());

    let second = certificate(dir.path());
    assert!(api.reload().unwrap());
    let new = Client::new(&api, &second);
    assert!(new.connect().await.is_ok());
    assert!(old.connect().await.is_err());

    std::fs::write(dir.path().join("key.pem"), "half of a k").unwrap();
    assert!(api.reload().is_err());
    assert!(new.connect().await.is_ok());
    api.shutdown().await;
}
