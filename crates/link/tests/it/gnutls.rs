//! Sessions with GnuTLS, set up as existing peers do (docs/protocol/04-connection.md
//! section 10.1). Needs Debian's `gnutls-bin`.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use baraza_identity::testing;
use baraza_link::tls::{Session, Side, TlsConfig, TlsError};
use baraza_wire::Now;

/// The priority string of both generations of peers.
const PRIORITY: &str = "SECURE192:-KX-ALL:+ANON-ECDH:+ANON-DH:+SECURE192:-RSA:-GROUP-FFDHE4096:\
    -GROUP-FFDHE6144:-GROUP-FFDHE8192:+GROUP-X25519:%SERVER_PRECEDENCE:%SAFE_RENEGOTIATION";

const PATIENCE: Duration = Duration::from_secs(20);

/// Ends the process with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn gnutls_is_here() -> bool {
    let found = Command::new("gnutls-cli").arg("--version").output().is_ok();
    assert!(
        found || std::env::var_os("BARAZA_REQUIRE_PEERS").is_none(),
        "gnutls-cli is missing: run scripts/setup.sh test"
    );
    if !found {
        eprintln!("skipped: no gnutls-cli here");
    }
    found
}

/// The arguments that make a GnuTLS program the device of `name`.
fn identity_arguments(folder: &Path, name: &str) -> [String; 6] {
    let identity = testing::identity(name);
    let (key, chain) = (folder.join("key.pem"), folder.join("chain.pem"));
    std::fs::write(&key, identity.key().to_pkcs8_pem().as_bytes()).unwrap();
    std::fs::write(&chain, identity.chain().to_pem()).unwrap();
    [
        "--priority".to_owned(),
        PRIORITY.to_owned(),
        "--x509keyfile".to_owned(),
        key.to_str().unwrap().to_owned(),
        "--x509certfile".to_owned(),
        chain.to_str().unwrap().to_owned(),
    ]
}

fn session(me: &str, side: Side, peer: &str) -> Session {
    let config = TlsConfig::new(&testing::identity(me)).unwrap();
    let expected = testing::identity(peer).public_key().clone();
    let now = Now {
        instant: Instant::now(),
        unix: testing::NOW,
    };
    Session::new(&config, side, expected, now).unwrap()
}

/// Moves bytes until `done`.
fn run(
    session: &mut Session,
    stream: &mut TcpStream,
    mut done: impl FnMut(&mut Session) -> bool,
) -> Result<(), TlsError> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    loop {
        let mut out = Vec::new();
        session.drain_records(|record| out.extend_from_slice(record));
        stream.write_all(&out).unwrap();
        if done(session) {
            return Ok(());
        }
        let mut buffer = [0; 4096];
        let len = match stream.read(&mut buffer) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        };
        assert!(len > 0, "the peer hung up: {session:?}");
        session.receive(&buffer[..len])?;
    }
}

/// A GnuTLS server that sends back what it gets.
fn echo_server(folder: &Path, name: &str) -> (Process, TcpStream) {
    for _ in 0..5 {
        // The program cannot say which port it got, so look for one that is free.
        let port = {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.local_addr().unwrap().port()
        };
        let mut child = Process(
            Command::new("gnutls-serv")
                .args(["--echo", "--quiet", "--require-client-cert", "--port"])
                .arg(port.to_string())
                .args(identity_arguments(folder, name))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE && child.0.try_wait().unwrap().is_none() {
            if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                return (child, stream);
            }
            std::thread::yield_now();
        }
    }
    panic!("gnutls-serv does not start");
}

#[test]
fn a_gnutls_server_accepts_us() {
    if !gnutls_is_here() {
        return;
    }
    // What is expected of peers of ours costs a retry with others.
    for prefer_post_quantum in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (_server, mut stream) = echo_server(folder.path(), "bob");
        let mut session = session(
            "alice",
            Side::Client {
                prefer_post_quantum,
            },
            "bob",
        );
        run(&mut session, &mut stream, |session| {
            session.peer().is_some()
        })
        .unwrap();
        assert_eq!(session.was_retried(), prefer_post_quantum);
        let peer = session.peer().unwrap();
        assert_eq!(peer.account, testing::identity("bob").account_id());
        let parameters = session.parameters();
        for expected in ["TLSv1_3", "TLS13_AES_256_GCM_SHA384", "secp384r1"] {
            assert!(parameters.contains(expected), "{parameters}");
        }
        assert!(!session.is_post_quantum());
        echo(&mut session, &mut stream);
    }
}

/// Sends lines and waits for them to come back.
fn echo(session: &mut Session, stream: &mut TcpStream) {
    let mut sent = Vec::new();
    for i in 0..2_000 {
        sent.extend(format!("line {i} of a text that is cut into records\n").into_bytes());
    }
    session.write(&[IoSlice::new(&sent)]).unwrap();
    let mut received = Vec::new();
    run(session, stream, |session| {
        while let Some(bytes) = session.poll_plaintext() {
            received.extend_from_slice(&bytes);
        }
        received.len() >= sent.len()
    })
    .unwrap();
    assert!(received == sent);
}

#[test]
fn a_gnutls_server_of_another_device_is_refused() {
    if !gnutls_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_server, mut stream) = echo_server(folder.path(), "bob-2");
    let side = Side::Client {
        prefer_post_quantum: false,
    };
    let mut session = session("alice", side, "bob");
    let result = run(&mut session, &mut stream, |session| {
        session.peer().is_some()
    });
    assert!(matches!(result, Err(TlsError::Peer(_))), "{result:?}");
}

#[test]
fn a_gnutls_client_is_accepted() {
    if !gnutls_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut client = Process(
        Command::new("gnutls-cli")
            .args(["--no-ca-verification", "--disable-sni", "--port"])
            .arg(port.to_string())
            .args(identity_arguments(folder.path(), "bob"))
            .arg("127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let (mut stream, _) = listener.accept().unwrap();
    let mut session = session("alice", Side::Server, "bob");
    run(&mut session, &mut stream, |session| {
        session.peer().is_some()
    })
    .unwrap();
    assert_eq!(
        session.peer().unwrap().device,
        testing::identity("bob").device_id()
    );
    let parameters = session.parameters();
    for expected in ["TLSv1_3", "TLS13_AES_256_GCM_SHA384", "secp384r1"] {
        assert!(parameters.contains(expected), "{parameters}");
    }
    let mut input = client.0.stdin.take().unwrap();
    input.write_all(b"hello from GnuTLS\n").unwrap();
    let mut received = Vec::new();
    run(&mut session, &mut stream, |session| {
        while let Some(bytes) = session.poll_plaintext() {
            received.extend_from_slice(&bytes);
        }
        received.ends_with(b"\n")
    })
    .unwrap();
    assert_eq!(received, b"hello from GnuTLS\n");

    session
        .write(&[IoSlice::new(b"hello from Baraza\n")])
        .unwrap();
    session.close();
    run(&mut session, &mut stream, |_| true).unwrap();
    drop((stream, input));
    let mut output = String::new();
    let mut pipe = client.0.stdout.take().unwrap();
    pipe.read_to_string(&mut output).unwrap();
    assert!(output.contains("hello from Baraza"), "{output}");
    assert!(
        output.contains("Peer has closed the GnuTLS connection"),
        "{output}"
    );
}
