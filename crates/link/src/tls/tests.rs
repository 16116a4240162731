use baraza_identity::certificate::{CertificateChain, ChainError};
use baraza_identity::{DeviceIdentity, testing};
use baraza_wire::UnixTime;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig};

use super::*;

const UNKNOWN: Side = Side::Client {
    prefer_post_quantum: false,
};
const KNOWN: Side = Side::Client {
    prefer_post_quantum: true,
};

fn now() -> Now {
    Now {
        instant: Instant::now(),
        unix: testing::NOW,
    }
}

fn config(identity: &DeviceIdentity) -> TlsConfig {
    TlsConfig::new(identity).unwrap()
}

fn key(name: &str) -> PublicKey {
    testing::identity(name).public_key().clone()
}

fn session(me: &str, side: Side, expected: &str) -> Session {
    let config = config(&testing::identity(me));
    Session::new(&config, side, key(expected), now()).unwrap()
}

fn records(session: &mut Session) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    session.drain_records(|record| records.push(record.to_vec()));
    records
}

type Outcome = (Result<(), TlsError>, Result<(), TlsError>);

/// Moves records until nothing moves.
fn run(client: &mut Session, server: &mut Session) -> Outcome {
    let mut outcome = (Ok(()), Ok(()));
    loop {
        let from_client = records(client);
        for record in &from_client {
            outcome.1 = server.receive(record);
        }
        let from_server = records(server);
        for record in &from_server {
            outcome.0 = client.receive(record);
        }
        if from_client.is_empty() && from_server.is_empty() {
            return outcome;
        }
    }
}

fn pair() -> (Session, Session) {
    let mut client = session("alice", KNOWN, "bob");
    let mut server = session("bob", Side::Server, "alice");
    assert_eq!(run(&mut client, &mut server), (Ok(()), Ok(())));
    (client, server)
}

fn plaintext(session: &mut Session) -> Vec<u8> {
    std::iter::from_fn(|| session.poll_plaintext())
        .collect::<Vec<_>>()
        .concat()
}

#[test]
fn two_devices_know_each_other_afterwards_and_keys_resist_quantum_computers() {
    // The hybrid is agreed on in any case, with a retry when it was not expected.
    for (side, retried) in [(UNKNOWN, true), (KNOWN, false)] {
        let mut client = session("alice", side, "bob-2");
        let mut server = session("bob-2", Side::Server, "alice");
        assert_eq!(server.write(&[IoSlice::new(b"x")]), Err(TlsError::NotOpen));
        assert_eq!(run(&mut client, &mut server), (Ok(()), Ok(())));
        assert_eq!(client.was_retried(), retried);
        for (session, other) in [(&client, "bob-2"), (&server, "alice")] {
            let other = testing::identity(other);
            let peer = session.peer().unwrap();
            assert_eq!(peer.device, other.device_id());
            assert_eq!(peer.account, other.account_id());
            assert_eq!(&peer.chain, other.chain());
            assert!(session.is_post_quantum(), "{session:?}");
        }
        let parameters = client.parameters();
        assert!(parameters.contains("TLSv1_3"), "{parameters}");
        assert!(parameters.contains("AES_256_GCM"), "{parameters}");
    }
}

#[test]
fn another_device_is_refused_by_either_side() {
    // Of the same account, even.
    let mut client = session("alice", UNKNOWN, "bob");
    let mut server = session("bob-2", Side::Server, "alice");
    let (at_client, at_server) = run(&mut client, &mut server);
    assert_eq!(at_client, Err(TlsError::Peer(PeerError::OtherKey)));
    assert!(
        matches!(at_server, Err(TlsError::Alert(_))),
        "{at_server:?}"
    );
    assert!(client.peer().is_none() && server.peer().is_none());

    let mut client = session("carol", UNKNOWN, "bob");
    let mut server = session("bob", Side::Server, "alice");
    let (at_client, at_server) = run(&mut client, &mut server);
    assert_eq!(at_server, Err(TlsError::Peer(PeerError::OtherKey)));
    assert!(
        matches!(at_client, Err(TlsError::Alert(_))),
        "{at_client:?}"
    );
    assert!(server.peer().is_none());
    assert_eq!(
        at_server.unwrap_err().to_string(),
        "the peer is not the expected device: it holds another key"
    );
}

#[test]
fn a_chain_that_proves_nothing_is_refused() {
    // The right key, with somebody else's account above it.
    let (alice, carol) = (testing::identity("alice"), testing::identity("carol"));
    let foreign = carol.chain().account_chain().unwrap();
    let chain = foreign.with_leaf(alice.chain().leaf().clone()).unwrap();
    let forged = DeviceIdentity::new(alice.key().clone(), chain).unwrap();
    let mut client = Session::new(&config(&forged), UNKNOWN, key("bob"), now()).unwrap();
    let mut server = session("bob", Side::Server, "alice");
    let (_, at_server) = run(&mut client, &mut server);
    assert!(
        matches!(
            at_server,
            Err(TlsError::Peer(PeerError::Chain(ChainError::Signature(
                0,
                _
            ))))
        ),
        "{at_server:?}"
    );
    // Without the authority at the top.
    let two = alice.chain().certificates().get(..2).unwrap().to_vec();
    let chain = CertificateChain::new(two).unwrap();
    let short = DeviceIdentity::new(alice.key().clone(), chain).unwrap();
    let mut client = Session::new(&config(&short), UNKNOWN, key("bob"), now()).unwrap();
    let mut server = session("bob", Side::Server, "alice");
    let (_, at_server) = run(&mut client, &mut server);
    let expected = PeerError::Chain(ChainError::RootNotSelfSigned);
    assert_eq!(at_server, Err(TlsError::Peer(expected)));
}

#[test]
fn dates_are_tolerated() {
    for secs in [0, 4_000_000_000] {
        let now = Now {
            unix: UnixTime::from_secs(secs),
            ..now()
        };
        let identity = testing::identity("alice");
        let mut client = Session::new(&config(&identity), KNOWN, key("bob"), now).unwrap();
        let mut server = session("bob", Side::Server, "alice");
        assert_eq!(run(&mut client, &mut server), (Ok(()), Ok(())));
    }
}

#[test]
fn every_record_is_handed_out_alone_and_none_is_too_long() {
    let mut client = session("alice", KNOWN, "bob");
    let mut server = session("bob", Side::Server, "alice");
    let whole = |records: &[Vec<u8>]| {
        for record in records {
            let (first, rest) = split_record(record).unwrap();
            assert!(rest.is_empty() && first.len() <= MAX_RECORD);
            assert!((0x14..=0x17).contains(&first[0]) && first[1] == 3);
        }
    };
    for _ in 0..3 {
        let from_client = records(&mut client);
        whole(&from_client);
        from_client
            .iter()
            .for_each(|record| server.receive(record).unwrap());
        let from_server = records(&mut server);
        whole(&from_server);
        from_server
            .iter()
            .for_each(|record| client.receive(record).unwrap());
    }
    let bulk: Vec<_> = (0..300_000_u32).map(|i| (i / 7).to_le_bytes()[0]).collect();
    let (head, tail) = bulk.split_at(3);
    client
        .write(&[IoSlice::new(head), IoSlice::new(tail)])
        .unwrap();
    let bulk_records = records(&mut client);
    whole(&bulk_records);
    assert_eq!(bulk_records.len(), bulk.len().div_ceil(16_384));
    assert_eq!(bulk_records[0].len(), MAX_RECORD);
    // However the transport cuts them.
    for piece in bulk_records.concat().chunks(1_234) {
        server.receive(piece).unwrap();
    }
    assert!(plaintext(&mut server) == bulk);
    assert_eq!(server.poll_plaintext(), None);
}

#[test]
fn one_write_may_hold_a_full_window() {
    let (mut client, mut server) = pair();
    let most = vec![7; WRITE_BUFFER];
    client.write(&[IoSlice::new(&most)]).unwrap();
    assert_eq!(run(&mut client, &mut server), (Ok(()), Ok(())));
    assert_eq!(plaintext(&mut server).len(), most.len());
    // More is not lost silently.
    let more = vec![7; WRITE_BUFFER + 1];
    let result = client.write(&[IoSlice::new(&more)]);
    assert_eq!(result, Err(TlsError::NotOpen));
}

#[test]
fn small_messages_share_a_record_and_the_budget_holds() {
    let (mut client, mut server) = pair();
    let mut mux = Mux::new(true, now().instant);
    let numbers: Vec<_> = (0..50).map(|_| mux.open("sip").unwrap()).collect();
    let sent = client
        .write_from(now().instant, &mut mux, usize::MAX)
        .unwrap();
    let one = records(&mut client);
    assert_eq!(one.len(), 1);
    server.receive(&one[0]).unwrap();
    assert!(!mux.has_output() && sent > 50 * 10);

    for number in &numbers {
        let accept = [0x93, 0xa0, u8::try_from(*number).unwrap(), 1];
        let frame = [&[0x92, 0, 0xc4, 4], &accept[..]].concat();
        mux.receive(Instant::now(), frame.into()).unwrap();
    }
    mux.write(numbers[0], vec![1; 200_000].into()).unwrap();
    let sent = client.write_from(now().instant, &mut mux, 70_000).unwrap();
    assert!((70_000..140_000).contains(&sent), "{sent}");
    client
        .write_from(now().instant, &mut mux, usize::MAX)
        .unwrap();
    assert_eq!(run(&mut client, &mut server), (Ok(()), Ok(())));
    let received = plaintext(&mut server);
    assert_eq!(
        received.windows(3).filter(|three| three == b"sip").count(),
        50
    );
    assert!(received.len() > 200_000);
}

#[test]
fn a_handshake_survives_any_fragmentation() {
    let mut client = session("alice", UNKNOWN, "bob");
    let mut server = session("bob", Side::Server, "alice");
    for cut in [1, 2, 3, 5, 100] {
        for piece in records(&mut client).concat().chunks(cut) {
            server.receive(piece).unwrap();
        }
        for piece in records(&mut server).concat().chunks(cut) {
            client.receive(piece).unwrap();
        }
    }
    assert!(client.peer().is_some() && server.peer().is_some());
}

#[test]
fn the_end_is_announced() {
    let (mut client, mut server) = pair();
    client.write(&[IoSlice::new(b"last words")]).unwrap();
    client.close();
    let sent = records(&mut client).concat();
    server.receive(&sent).unwrap();
    assert_eq!(plaintext(&mut server), b"last words");
    assert!(server.peer_has_closed() && !client.peer_has_closed());
    // Nothing is read any more, and nothing fails.
    server.receive(b"whatever comes later").unwrap();
    server.close();
    assert_eq!(run(&mut client, &mut server), (Ok(()), Ok(())));
    assert!(client.peer_has_closed());
}

#[test]
fn what_is_no_tls_is_an_error_that_stays() {
    let mut server = session("bob", Side::Server, "alice");
    let error = server.receive(b"GET / HTTP/1.1\r\n\r\n").unwrap_err();
    assert!(matches!(error, TlsError::Protocol(_)), "{error:?}");
    assert_eq!(server.receive(b""), Err(error));

    let (mut client, mut server) = pair();
    client.write(&[IoSlice::new(b"hello")]).unwrap();
    let mut record = records(&mut client).concat();
    *record.last_mut().unwrap() ^= 1;
    assert!(matches!(
        server.receive(&record),
        Err(TlsError::Protocol(_))
    ));
    assert!(!records(&mut server).is_empty(), "the peer gets an alert");
    assert_eq!(server.write(&[IoSlice::new(b"x")]), Err(TlsError::NotOpen));

    // A record longer than any.
    let mut server = session("bob", Side::Server, "alice");
    let long = [&[0x16, 3, 1, 0x7f, 0xff][..], &[0; 0x7fff]].concat();
    assert!(matches!(server.receive(&long), Err(TlsError::Protocol(_))));
}

/// A peer made of plain rustls that speaks only `versions` and shows no certificate.
fn other_client(versions: &[&'static rustls::SupportedProtocolVersion]) -> Connection {
    let bob = config(&testing::identity("bob"));
    let verifier = PeerVerifier::new(key("bob"), testing::NOW, bob.signature_algorithms());
    let config = ClientConfig::builder_with_protocol_versions(versions)
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), bob.server_name())
        .unwrap()
        .into()
}

fn other_records(connection: &mut Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes).unwrap();
    }
    bytes
}

#[test]
fn old_versions_and_peers_without_certificate_are_refused() {
    let mut client = other_client(&[&TLS12]);
    let mut server = session("bob", Side::Server, "alice");
    let error = server.receive(&other_records(&mut client)).unwrap_err();
    assert_eq!(error, TlsError::OldVersion);

    // As a client we offer 1.2, but do not take it.
    let alice = config(&testing::identity("alice"));
    let old = ServerConfig::builder_with_protocol_versions(&[&TLS12])
        .with_no_client_auth()
        .with_cert_resolver(alice.credentials());
    let mut server: Connection = ServerConnection::new(Arc::new(old)).unwrap().into();
    let mut client = session("bob", UNKNOWN, "alice");
    server
        .read_tls(&mut records(&mut client).concat().as_slice())
        .unwrap();
    server.process_new_packets().unwrap();
    let error = client.receive(&other_records(&mut server)).unwrap_err();
    assert_eq!(error, TlsError::OldVersion);

    let mut client = other_client(&[&TLS13]);
    let mut server = session("bob", Side::Server, "alice");
    let error = loop {
        let sent = other_records(&mut client);
        assert!(!sent.is_empty());
        if let Err(error) = server.receive(&sent) {
            break error;
        }
        let answer = records(&mut server).concat();
        client.read_tls(&mut answer.as_slice()).unwrap();
        while let Ok(_state) = client.process_new_packets() {
            if answer.len() < 4096 || client.read_tls(&mut &answer[4096..]).is_err() {
                break;
            }
        }
    };
    assert_eq!(error, TlsError::Peer(PeerError::NoCertificate));
}

/// The extensions of a ClientHello, by type.
fn extensions(record: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let number = |bytes: &[u8]| u16::from_be_bytes([bytes[0], bytes[1]]);
    let mut rest = &record[5 + 4 + 2 + 32..];
    rest = &rest[1 + usize::from(rest[0])..];
    rest = &rest[2 + usize::from(number(rest))..];
    rest = &rest[1 + usize::from(rest[0]) + 2..];
    let mut extensions = Vec::new();
    while !rest.is_empty() {
        let (kind, len) = (number(rest), usize::from(number(&rest[2..])));
        extensions.push((kind, rest[4..4 + len].to_vec()));
        rest = &rest[4 + len..];
    }
    extensions
}

#[test]
fn the_first_message_is_what_existing_peers_expect() {
    let mut client = session("alice", UNKNOWN, "bob");
    let hello = records(&mut client).concat();
    let extensions = extensions(&hello);
    let find = |kind| {
        let found = extensions.iter().find(|(known, _)| *known == kind);
        found.map(|(_, content)| content.as_slice())
    };
    // Neither server_name nor ALPN nor a session ticket nor a pre-shared key.
    for absent in [0, 16, 41, 42] {
        assert_eq!(find(absent), None, "{absent}");
    }
    assert_eq!(find(43), Some(&[4, 3, 4, 3, 3][..]), "versions");
    let groups = [0, 6, 0x11, 0xec, 0, 0x18, 0, 0x1d];
    assert_eq!(find(10), Some(&groups[..]), "groups");
    let shares = find(51).unwrap();
    assert_eq!(
        &shares[..6],
        [0, 101, 0, 0x18, 0, 97],
        "one share, secp384r1"
    );
    let schemes = [0, 12, 8, 6, 8, 5, 8, 4, 6, 1, 5, 1, 4, 1];
    assert_eq!(find(13), Some(&schemes[..]), "signatures");
    // The signal of secure renegotiation that GnuTLS wants, as a cipher suite.
    assert!(hello.windows(2).any(|pair| pair == [0x00, 0xff]));
}
