//! What the machine can do at best, for figures of whole programs to be compared with: a bare
//! TLS stream over loopback TCP, each side a process of its own, and SHA3-512. `cargo run
//! --release --example calibrate`, or with `--json`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for developers"
)]

#[path = "../src/files/digest.rs"]
mod digest;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use baraza_identity::testing;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection,
    SignatureScheme, StreamOwned,
};

/// Bytes that are sent and hashed.
const TOTAL: usize = 1_000_000_000;
/// Bytes given to TLS, read from it, and hashed in one call.
const BLOCK: usize = 128 << 10;
/// Each is done so often; the median counts.
const RUNS: usize = 3;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["send", port] => send(port.parse().unwrap()),
        [] => println!(
            "bare TLS stream over loopback: {:.0} MB/s; SHA3-512: {:.0} MB/s",
            median(stream),
            median(hash)
        ),
        ["--json"] => println!(
            "{{\"tls\": {:.1}, \"sha3\": {:.1}}}",
            median(stream),
            median(hash)
        ),
        _ => println!("calibrate [--json]"),
    }
}

fn median(rate: impl Fn() -> f64) -> f64 {
    let mut rates: Vec<f64> = (0..RUNS).map(|_| rate()).collect();
    rates.sort_by(f64::total_cmp);
    rates.get(RUNS / 2).copied().unwrap()
}

/// `TOTAL` bytes in this time, in MB/s.
fn rate(begun: Instant) -> f64 {
    f64::from(u32::try_from(TOTAL).unwrap()) / 1e6 / begun.elapsed().as_secs_f64()
}

/// How fast bytes are hashed, as contents of files are.
fn hash() -> f64 {
    let block = vec![7; BLOCK];
    let begun = Instant::now();
    let mut digest = digest::Digest::new();
    let mut left = TOTAL;
    while left > 0 {
        let part = block.get(..left.min(BLOCK)).unwrap();
        digest.update(part);
        left -= part.len();
    }
    assert_eq!(digest.finish().len(), 128);
    rate(begun)
}

/// How fast bytes come from another process. The same suite and key exchange as between two
/// of our devices.
fn stream() -> f64 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut sender = Command::new(std::env::current_exe().unwrap())
        .args(["send", &port.to_string()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let (tcp, _) = listener.accept().unwrap();
    tcp.set_nodelay(true).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(provider())))
        .with_no_client_auth();
    let name = ServerName::try_from("jami").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut tls = StreamOwned::new(connection, tcp);
    let mut block = vec![0; BLOCK];
    tls.read_exact(block.get_mut(..1).unwrap()).unwrap();
    let begun = Instant::now();
    let mut left = TOTAL;
    while left > 0 {
        left -= tls.read(&mut block).unwrap();
    }
    let rate = rate(begun);
    assert!(sender.wait().unwrap().success());
    rate
}

fn send(port: u16) {
    let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    tcp.set_nodelay(true).unwrap();
    let identity = testing::identity("alice");
    let chain = identity.chain().certificates().iter();
    let chain = chain.map(|certificate| CertificateDer::from(certificate.der().to_vec()));
    let key = identity.key().to_pkcs8_der();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.collect(), key)
        .unwrap();
    let connection = ServerConnection::new(Arc::new(config)).unwrap();
    let mut tls = StreamOwned::new(connection, tcp);
    tls.write_all(&[7]).unwrap();
    tls.flush().unwrap();
    let block = vec![7; BLOCK];
    let mut left = TOTAL;
    while left > 0 {
        let part = block.get(..left.min(BLOCK)).unwrap();
        tls.write_all(part).unwrap();
        left -= part.len();
    }
    tls.flush().unwrap();
}

fn provider() -> Arc<CryptoProvider> {
    let mut provider = default_provider();
    provider.cipher_suites = vec![cipher_suite::TLS13_AES_256_GCM_SHA384];
    provider.kx_groups = vec![kx_group::X25519MLKEM768];
    Arc::new(provider)
}

/// Does not ask who it is.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
