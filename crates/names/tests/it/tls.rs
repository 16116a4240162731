use std::path::Path;
use std::sync::Arc;

use baraza_names::server::TlsFiles;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use crate::support::{Answer, World, connect, free};

fn make(dir: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["names.test".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

/// Asks over TLS, trusting one certificate.
async fn ask(world: &World, trusted: &CertificateDer<'static>) -> std::io::Result<Answer> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = connect(world.address(), None).await?;
    let name = ServerName::try_from("names.test").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: names.test\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    let _closed = stream.read_to_end(&mut answer).await;
    Answer::parse(&answer)
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let files = tempfile::tempdir().unwrap();
    let first = make(files.path());
    let mut config = free();
    config.tls = Some(TlsFiles {
        certificate: files.path().join("cert.pem"),
        key: files.path().join("key.pem"),
    });
    let world = World::new(config).await;
    ask(&world, &first).await.unwrap().is(200, "ok");
    let second = make(files.path());
    ask(&world, &second).await.unwrap_err();
    assert!(world.server.reload().unwrap());
    ask(&world, &second).await.unwrap().is(200, "ok");
    ask(&world, &first).await.unwrap_err();
    // One that is no good changes nothing.
    std::fs::write(files.path().join("key.pem"), "none").unwrap();
    let error = world.server.reload().unwrap_err().to_string();
    assert!(error.contains("key.pem"), "{error}");
    ask(&world, &second).await.unwrap().is(200, "ok");
}
