use std::net::SocketAddr;

use baraza_wire::{AccountId, Rng, UnixTime};
use proptest::prelude::*;

use super::session::Names;
use super::*;
use crate::protocol::message::Message;
use crate::protocol::msg_channel::ChannelMessage;
use crate::protocol::tests_support::vector;

const ALICE: &str = "568d8137d99c646cd095953fcb9c6bf4d244c064";
const BOB: &str = "2d854d73999f113079ae4664ae9764cd81cf9b3a";

fn id(hex: &str) -> AccountId {
    hex.parse().unwrap()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn alice() -> SipSession {
    let addresses = Addresses {
        local: address("10.77.0.1:38594"),
        remote: address("10.77.0.1:54007"),
    };
    SipSession::new(id(ALICE), id(BOB), "Alice", addresses)
}

fn bob() -> SipSession {
    let addresses = Addresses {
        local: address("10.77.0.1:54007"),
        remote: address("10.77.0.1:38594"),
    };
    SipSession::new(id(BOB), id(ALICE), "Bob", addresses)
}

/// Requests of the capture with the reply where there is one, with their real line ends.
fn captured() -> Vec<(bool, Vec<u8>, Option<Vec<u8>>)> {
    let text = String::from_utf8(vector("swarm-messages.txt")).unwrap();
    let mut found: Vec<(bool, Vec<u8>, Option<Vec<u8>>)> = Vec::new();
    for block in text.split("\n----- ").skip(1) {
        let (title, block) = block.split_once('\n').unwrap();
        let (head, body) = block.split_once("\n\n").unwrap();
        let head = head.replace('\n', "\r\n") + "\r\n\r\n";
        if title == "reply" {
            found.last_mut().unwrap().2 = Some(head.into_bytes());
            continue;
        }
        let (_, length) = head.rsplit_once("Content-Length:").unwrap();
        let length: usize = length.trim().parse().unwrap();
        // The last body may lack its line end in the file.
        let body = format!("{body}\n\n");
        let whole = head
            .into_bytes()
            .into_iter()
            .chain(body.bytes().take(length));
        found.push((title.contains("(<)"), whole.collect(), None));
    }
    found
}

#[test]
fn messages_of_real_daemons_are_understood_and_answered_as_they_do() {
    let captured = captured();
    assert_eq!(captured.len(), 5);
    for (to_bob, request, reply) in captured {
        let mut session = if to_bob { bob() } else { alice() };
        let events = session.receive(&request).unwrap();
        let [SipEvent::Reply(ours), SipEvent::Received(message)] = &events[..] else {
            panic!("{events:?}");
        };
        if let Some(reply) = reply {
            assert_eq!(
                String::from_utf8_lossy(ours),
                String::from_utf8_lossy(&reply)
            );
        }
        assert_ne!(message.token, 0);
        let content = Message::parse(&message.mime, &message.body).unwrap();
        assert!(!matches!(content, Message::Other { .. }), "{content:?}");
    }
}

#[test]
fn requests_are_written_as_real_daemons_do() {
    let (_, request, _) = captured().remove(0);
    let mut session = bob();
    let events = session.receive(&request).unwrap();
    let SipEvent::Received(message) = &events[1] else {
        panic!();
    };
    assert_eq!(message.token, 0x0006_b7f5_cc0b_156f);
    let names = Names {
        branch: "e211c91e-86ef-4c57-9fbd-7d1658b642a9".to_owned(),
        tag: "f18fdc76-22d5-4ea6-a278-3b548e77b488".to_owned(),
        call_id: "f0f5aa67-ecfa-4c4e-95df-1b40145ccffe".to_owned(),
        sequence: 42_843,
    };
    let now = UnixTime::from_secs(1_795_393_774);
    let agent = "Jami Daemon 13.7.0 (linux)";
    let ours = alice().request(message, now, &names, agent).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&ours.write()),
        String::from_utf8_lossy(&request)
    );
}

fn text(token: u64, body: &str) -> ChannelMessage {
    ChannelMessage {
        token,
        mime: "text/plain;charset=utf-8".to_owned(),
        body: body.to_owned(),
    }
}

/// Sends and returns everything both ends say, until there is nothing left to say.
fn exchange(message: &ChannelMessage, piece: usize) -> (Vec<SipEvent>, Vec<SipEvent>) {
    let (mut alice, mut bob) = (alice(), bob());
    let mut rng = Rng::from_seed(5);
    let sent = alice
        .send(message, UnixTime::from_secs(1), &mut rng)
        .unwrap();
    let (mut at_bob, mut at_alice) = (Vec::new(), Vec::new());
    for bytes in sent.chunks(piece) {
        at_bob.extend(bob.receive(bytes).unwrap());
    }
    for event in &at_bob {
        if let SipEvent::Reply(bytes) = event {
            for bytes in bytes.chunks(piece) {
                at_alice.extend(alice.receive(bytes).unwrap());
            }
        }
    }
    assert_eq!(alice.unanswered().count(), 0);
    (at_alice, at_bob)
}

#[test]
fn a_message_is_delivered_and_acknowledged() {
    let message = text(77, "سلام\r\n\r\nMESSAGE x SIP/2.0");
    let (at_alice, at_bob) = exchange(&message, 7);
    assert_eq!(at_alice, [SipEvent::Delivered { token: 77 }]);
    assert_eq!(at_bob[1], SipEvent::Received(message));
}

fn request(method: &str, from: &str, more: &str) -> Vec<u8> {
    format!(
        "{method} sips:x@10.0.0.1 SIP/2.0\r\nv: SIP/2.0/TLS 1.2.3.4:5;branch=z9hG4bKx\r\n\
         f: <sip:{from}@ring.dht>;tag=1\r\nt: <sips:x@1>\r\ni: abc\r\nCSeq: 1 {method}\r\n\
         {more}l: 2\r\n\r\nhi"
    )
    .into_bytes()
}

fn status(events: &[SipEvent]) -> String {
    let [SipEvent::Reply(reply)] = events else {
        panic!("{events:?}");
    };
    let reply = String::from_utf8_lossy(reply);
    reply.lines().next().unwrap().to_owned()
}

#[test]
fn other_requests_are_refused_and_the_channel_lives_on() {
    let mut bob = bob();
    for (method, expected) in [
        ("INVITE", "SIP/2.0 405 Method Not Allowed"),
        ("BYE", "SIP/2.0 481 Call/Transaction Does Not Exist"),
        ("INFO", "SIP/2.0 481 Call/Transaction Does Not Exist"),
        ("REGISTER", "SIP/2.0 405 Method Not Allowed"),
        ("OPTIONS", "SIP/2.0 200 OK"),
    ] {
        let events = bob.receive(&request(method, ALICE, "")).unwrap();
        assert_eq!(status(&events), expected, "{method}");
    }
    assert_eq!(bob.receive(&request("ACK", ALICE, "")), Ok(vec![]));
    let keep_alive = bob.receive(b"\r\n\r\n");
    assert_eq!(keep_alive, Ok(vec![]));
    let message = request(
        "MESSAGE",
        ALICE,
        "c: text/plain ; a=b\r\nMessage-ID: 1f\r\n",
    );
    let events = bob.receive(&message).unwrap();
    let received = ChannelMessage {
        token: 0x1f,
        mime: "text/plain;a=b".to_owned(),
        body: "hi".to_owned(),
    };
    assert_eq!(events[1], SipEvent::Received(received));
    let SipEvent::Reply(reply) = &events[0] else {
        panic!();
    };
    assert_eq!(
        String::from_utf8_lossy(reply),
        format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS 1.2.3.4:5;branch=z9hG4bKx\r\nCall-ID: abc\r\n\
             From: <sip:{ALICE}@ring.dht>;tag=1\r\nTo: <sips:x@1>;tag=z9hG4bKx\r\n\
             CSeq: 1 MESSAGE\r\nContent-Length:  0\r\n\r\n"
        )
    );
}

#[test]
fn nobody_speaks_for_another_account() {
    for from in [BOB, "someone", ""] {
        let message = request("MESSAGE", from, "c: text/plain\r\n");
        let events = bob().receive(&message).unwrap();
        assert_eq!(status(&events), "SIP/2.0 403 Forbidden");
    }
}

#[test]
fn a_refused_message_has_failed() {
    let mut alice = alice();
    let mut rng = Rng::from_seed(1);
    let sent = alice
        .send(&text(9, "x"), UnixTime::from_secs(1), &mut rng)
        .unwrap();
    let mut decoder = SipDecoder::new();
    decoder.push(&sent);
    let request = decoder.next_message().unwrap().unwrap();
    let trying = request.response(100, "Trying", None, &[]).write();
    assert_eq!(alice.receive(&trying), Ok(vec![]));
    let refused = request.response(488, "Not Acceptable", None, &[]).write();
    let failed = SipEvent::Failed {
        token: 9,
        status: 488,
    };
    assert_eq!(alice.receive(&refused), Ok(vec![failed]));
    assert_eq!(alice.receive(&refused), Ok(vec![]), "only once");
}

#[test]
fn only_so_many_wait_for_an_answer() {
    let mut alice = alice();
    let mut rng = Rng::from_seed(1);
    for token in 0..u64::try_from(MAX_PENDING).unwrap() {
        let sent = alice.send(&text(token, "x"), UnixTime::from_secs(1), &mut rng);
        assert!(sent.is_ok());
    }
    let sent = alice.send(&text(0, "x"), UnixTime::from_secs(1), &mut rng);
    assert_eq!(sent, Err(SipError::Busy));
    let mut bad = text(0, "x");
    bad.mime = "text/plain\r\nX: y".to_owned();
    let sent = bob().send(&bad, UnixTime::from_secs(1), &mut rng);
    assert_eq!(sent, Err(SipError::Mime));
}

fn decode(bytes: &[u8]) -> Result<Option<SipMessage>, SipError> {
    let mut decoder = SipDecoder::new();
    decoder.push(bytes);
    decoder.next_message()
}

#[test]
fn heads_and_bodies_are_bounded() {
    let head = |len: usize| {
        let fixed = "MESSAGE x SIP/2.0\r\nl: 0\r\nx: \r\n\r\n".len();
        format!(
            "MESSAGE x SIP/2.0\r\nl: 0\r\nx: {}\r\n\r\n",
            "y".repeat(len - fixed)
        )
    };
    assert!(decode(head(MAX_HEAD - 1).as_bytes()).is_ok());
    assert!(decode(head(MAX_HEAD).as_bytes()).is_ok());
    let over = decode(head(MAX_HEAD + 1).as_bytes());
    assert_eq!(over, Err(SipError::TooLong));
    assert_eq!(decode(&[b'x'; MAX_HEAD + 1]), Err(SipError::TooLong));
    let body = |len: usize| decode(format!("MESSAGE x SIP/2.0\r\nl: {len}\r\n\r\n").as_bytes());
    assert_eq!(body(MAX_BODY), Ok(None));
    assert_eq!(body(MAX_BODY + 1), Err(SipError::TooLong));
    let endless = format!("MESSAGE x SIP/2.0\r\nl: {}\r\n\r\n", "9".repeat(40));
    assert_eq!(decode(endless.as_bytes()), Err(SipError::TooLong));
}

#[test]
fn what_is_not_sip_closes_the_channel() {
    for bad in [
        "GET / HTTP/1.1\r\n\r\n",
        "MESSAGE x SIP/2.0\r\n\r\n",
        "MESSAGE x SIP/2.0\r\nl: -1\r\n\r\n",
        "MESSAGE x SIP/2.0\r\n folded: 1\r\nl: 0\r\n\r\n",
        "MESSAGE x SIP/2.0\r\nnothing\r\nl: 0\r\n\r\n",
        "SIP/2.0 20 OK\r\nl: 0\r\n\r\n",
        "SIP/2.0\r\nl: 0\r\n\r\n",
    ] {
        let read = decode(bad.as_bytes());
        assert!(matches!(read, Err(SipError::Malformed(_))), "{bad:?}");
    }
    let folded = decode(b"MESSAGE x SIP/2.0\nl: 0\na: b\n  c\n\n").unwrap();
    assert_eq!(folded.unwrap().header("a"), Some("b c"));
}

proptest! {
    #[test]
    fn any_text_arrives_in_any_pieces(token: u64, body: String, piece in 1usize..60) {
        let message = text(token, &body);
        let (at_alice, at_bob) = exchange(&message, piece);
        prop_assert_eq!(at_alice, [SipEvent::Delivered { token }]);
        prop_assert_eq!(&at_bob[1], &SipEvent::Received(message));
    }

    #[test]
    fn any_bytes_do_no_harm(bytes: Vec<u8>, head in "[ -~\r\n]{0,200}") {
        let _ = bob().receive(&bytes);
        let message = format!("MESSAGE x SIP/2.0\r\n{head}\r\nl: 0\r\n\r\n");
        let _ = bob().receive(message.as_bytes());
    }
}
