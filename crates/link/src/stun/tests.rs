use proptest::prelude::*;

use super::*;
use crate::testing::{hex, vector};

/// Passwords of the two sides of the recorded negotiation.
const ALICE: (&str, &str) = ("25093d86", "066f810b7e15d11812ab256f");
const BOB: (&str, &str) = ("141f8ee4", "6e52620a4791db53479134c2");

/// Sender is alice, message.
fn recorded() -> Vec<(bool, SocketAddr, Vec<u8>)> {
    let text = vector("connection-2023-stun-frames.txt");
    let frames = text.lines().filter(|line| !line.is_empty()).map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        let (ip, port) = words[1].rsplit_once(':').unwrap();
        let (peer, peer_port) = words[3].rsplit_once(':').unwrap();
        let from = SocketAddr::new(ip.parse().unwrap(), port.parse().unwrap());
        let to = SocketAddr::new(peer.parse().unwrap(), peer_port.parse().unwrap());
        let frame = hex(words[4]);
        let from_alice = from.ip().to_string() == "10.77.0.1" || from.ip().to_string() == "fd77::1";
        assert_eq!(
            frame.len(),
            usize::from(u16::from_be_bytes([frame[0], frame[1]])) + 2
        );
        (from_alice, to, frame[2..].to_vec())
    });
    frames.collect()
}

#[test]
fn recorded_messages_are_read_verified_and_written_byte_for_byte() {
    let mut counts = [0; 4];
    for (from_alice, to, bytes) in recorded() {
        let (own, peer) = if from_alice {
            (ALICE, BOB)
        } else {
            (BOB, ALICE)
        };
        let message = Message::parse(&bytes).unwrap();
        assert!(message.has_fingerprint && message.is_binding);
        let builder = Builder::new(message.class, message.transaction);
        let (builder, password) = match message.class {
            Class::Request => {
                counts[0] += 1;
                assert!(message.is_signed_with(peer.1));
                assert!(!message.is_signed_with(own.1));
                assert_eq!(
                    message.username.unwrap(),
                    format!("{}:{}", peer.0, own.0).as_bytes()
                );
                assert_eq!(message.software.unwrap(), b"pjnath-2.12.1\0\0\0");
                let mut builder = builder.priority(message.priority.unwrap());
                if message.use_candidate {
                    counts[3] += 1;
                    builder = builder.use_candidate();
                }
                let role = message.role.unwrap();
                assert_eq!(matches!(role, Role::Controlling(_)), from_alice);
                let builder = builder.role(role).software(message.software.unwrap());
                (builder.username(peer.0, own.0), Some(peer.1))
            }
            Class::Success => {
                counts[1] += 1;
                assert!(message.is_signed_with(own.1));
                assert_eq!(
                    message.mapped,
                    Some(to),
                    "the address the request came from"
                );
                let builder = builder.mapped(to).software(message.software.unwrap());
                (builder, Some(own.1))
            }
            Class::Indication => {
                counts[2] += 1;
                (builder, None)
            }
            Class::Error => panic!("no errors were recorded"),
        };
        assert_eq!(builder.finish(password)[..], bytes[..]);
    }
    assert!(
        counts[0] > 8 && counts[1] > 8 && counts[3] == 1,
        "{counts:?}"
    );
}

#[test]
fn changed_bytes_are_noticed() {
    for (from_alice, _, bytes) in recorded() {
        let key = if from_alice { BOB.1 } else { ALICE.1 };
        let good = Message::parse(&bytes).unwrap();
        if good.class != Class::Request {
            continue;
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 4;
            if let Ok(message) = Message::parse(&changed) {
                // The type of FINGERPRINT itself may be changed into an unknown one.
                assert!(!message.has_fingerprint, "byte {at}");
                assert!(message.is_signed_with(key));
            }
        }
    }
}

#[test]
fn tls_records_are_no_stun() {
    let mut record = vec![0x16, 3, 3, 0, 16];
    record.resize(25, 0x21);
    assert!(!is_stun(&record));
    assert!(!is_stun(&[]));
    assert!(!is_stun(&recorded()[0].2[..24]), "cut short");
}

#[test]
fn errors_and_unknown_attributes_round_trip() {
    let id = TransactionId([7; 12]);
    let bytes = Builder::new(Class::Error, id)
        .error(420, "Unknown Attribute")
        .unknown(&[0x7f, 0x80])
        .finish(Some("password"));
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.error, Some(420));
    assert!(message.is_signed_with("password") && !message.is_signed_with("passwor"));
    let bytes = Builder::new(Class::Request, id)
        .attribute(0x7fff, b"must know")
        .attribute(0x8fff, b"may know")
        .finish(None);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.unknown, [0x7fff]);
    assert!(!message.is_signed_with("password"));
}

#[test]
fn an_attribute_that_ends_outside_is_refused() {
    let mut bytes = Builder::new(Class::Request, TransactionId::default_for_tests())
        .priority(1)
        .0
        .to_vec();
    let len = bytes.len();
    bytes[len - 5] = 5;
    assert_eq!(
        Message::parse(&bytes).unwrap_err(),
        StunError::Attribute(PRIORITY)
    );
}

impl TransactionId {
    fn default_for_tests() -> Self {
        Self([1; 12])
    }
}

#[test]
fn messages_of_the_longest_length_are_read_and_longer_ones_not() {
    let build = |len: usize| {
        Builder::new(Class::Indication, TransactionId([0; 12]))
            .attribute(0x8fff, &vec![0; len])
            .finish(None)
    };
    let longest = MAX_MESSAGE - HEADER_LEN - 4 - 8;
    assert!(Message::parse(&build(longest)).is_ok());
    assert_eq!(
        Message::parse(&build(longest + 4)).unwrap_err(),
        StunError::TooLong(MAX_MESSAGE + 4)
    );
}

proptest! {
    #[test]
    fn any_address_round_trips(ip: IpAddr, port: u16, id: [u8; 12]) {
        let address = SocketAddr::new(ip, port);
        let bytes = Builder::new(Class::Success, TransactionId(id)).mapped(address).finish(Some("x"));
        let message = Message::parse(&bytes).unwrap();
        prop_assert_eq!(message.mapped, Some(address));
        prop_assert!(message.is_signed_with("x"));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::parse(&bytes);
    }
}
