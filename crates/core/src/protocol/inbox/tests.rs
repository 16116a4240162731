use baraza_identity::{CertificateChain, testing};
use baraza_wire::msgpack::Writer;
use baraza_wire::{ConversationId, Rng, UnixTime};
use proptest::prelude::*;

use super::*;
use crate::protocol::tests_support::vector;

const CONVERSATION: &str = "a84355d2542131545316c0676c04e5e7a04efb5d";

fn real(name: &str) -> (Value, PrivateKey, CertificateChain) {
    let file = |what: &str| vector(&format!("account-trustrequest/{name}.{what}"));
    let key = String::from_utf8(file("recipient.key")).unwrap();
    (
        Value::from_packed(&file("value.msgpack")).unwrap(),
        PrivateKey::from_pem(&key).unwrap(),
        CertificateChain::from_pem(file("sender.crt")).unwrap(),
    )
}

#[test]
fn real_contact_requests_are_delivered() {
    for (name, confirm, payload) in [
        (
            "request",
            false,
            "BEGIN:VCARD\r\nVERSION:2.1\r\nFN:Dave\r\nPHOTO;ENCODING=BASE64;TYPE=PNG:\
             iVBORw0KGgo=\r\nEND:VCARD",
        ),
        ("confirm", true, ""),
    ] {
        let (value, key, sender) = real(name);
        let delivery = open(&value, &key).unwrap();
        assert_eq!(&delivery.sender, sender.leaf().public_key());
        assert_eq!(delivery.value_id, value.id);
        let Content::TrustRequest(request) = delivery.content else {
            panic!("{name}");
        };
        assert_eq!(request.conversation, CONVERSATION.parse().ok());
        assert_eq!(request.payload, payload.as_bytes());
        assert_eq!((request.confirm, request.invited), (confirm, None));

        // Sealed again, only signature and cipher text differ.
        let plain = vector(&format!("account-trustrequest/{name}.plain.msgpack"));
        let data = request.encode();
        assert!(plain.windows(data.len()).any(|window| window == data));
    }
}

#[test]
fn the_key_is_made_from_the_short_id() {
    let device = InfoHash::new([0xab; 20]);
    assert_eq!(key(device), infohash(format!("inbox:{}", "ab".repeat(20))));
}

#[test]
fn a_message_and_its_acknowledgement_arrive() {
    let (alice, bob) = (testing::identity("alice"), testing::identity("bob"));
    let mut rng = Rng::from_seed(3);
    let message = ImMessage {
        token: 0x4d,
        mime: "text/plain".to_owned(),
        body: "hey".to_owned(),
        date: UnixTime::from_secs(1_234_567_890),
    };
    let crypto: serde_json::Value = serde_json::from_slice(&vector("dht-crypto.json")).unwrap();
    assert_eq!(
        baraza_wire::hex::encode(&message.encode()),
        crypto["opendht_2412"]["im_value_data"].as_str().unwrap()
    );
    let value = message
        .seal(alice.key(), bob.public_key(), &mut rng)
        .unwrap();
    let delivery = open(&value, bob.key()).unwrap();
    assert_eq!(&delivery.sender, alice.public_key());
    assert_eq!(delivery.content, Content::ImMessage(message));
    assert!(open(&value, alice.key()).is_err());

    let answer = ImMessage::acknowledgement(0x4d, UnixTime::from_secs(9));
    let value = answer
        .seal(bob.key(), alice.public_key(), &mut rng)
        .unwrap();
    let Content::ImMessage(answer) = open(&value, alice.key()).unwrap().content else {
        panic!();
    };
    assert!(answer.is_acknowledgement());
    assert_eq!(answer.token, 0x4d);
}

#[test]
fn only_what_belongs_there_and_is_sealed_is_delivered() {
    let (alice, bob) = (testing::identity("alice"), testing::identity("bob"));
    let request = TrustRequest::confirmation(None);
    let plain = Value::new(value_type::TRUST_REQUEST, request.encode());
    assert_eq!(open(&plain, bob.key()), Err(InboxError::Kind));
    let signed = secure::sign(&plain, alice.key(), None).unwrap();
    assert_eq!(open(&signed, bob.key()), Err(InboxError::Kind));
    let other = Value::new(8, request.encode());
    let sealed = secure::encrypt(&other, alice.key(), bob.public_key()).unwrap();
    assert_eq!(open(&sealed, bob.key()), Err(InboxError::Kind));
    let sync = Value::new(0, b"\x80");
    let sealed = secure::encrypt(&sync, alice.key(), bob.public_key()).unwrap();
    assert_eq!(
        open(&sealed, bob.key()).unwrap().content,
        Content::DeviceSync(vec![0x80])
    );
}

#[test]
fn requests_for_other_services_and_odd_ids_are_refused() {
    let with = |service: &str, conversation: &str| {
        let mut writer = Writer::new();
        writer.map(4).str("service").str(service);
        writer.str("conversationId").str(conversation);
        writer.str("payload").bin(&[]).str("confirm").bool(false);
        TrustRequest::decode(writer.as_bytes())
    };
    assert!(with("cx.ring", CONVERSATION).is_ok());
    assert_eq!(with("cx.ring", "").unwrap().conversation, None);
    assert!(with("sip", CONVERSATION).is_err());
    assert!(with("cx.ring", "../../etc").is_err());
}

#[test]
fn long_payloads_are_left_out() {
    for (len, expected) in [(63_999, 63_999), (64_000, 0), (64_001, 0)] {
        let id = ConversationId::new([1; 20]);
        let request = TrustRequest::request(id, vec![1; len], UnixTime::from_secs(1));
        let read = TrustRequest::decode(&request.encode()).unwrap();
        assert_eq!(read.payload.len(), expected);
    }
}

proptest! {
    #[test]
    fn any_request_reads_back(
        conversation: Option<[u8; 20]>,
        payload: Vec<u8>,
        confirm: bool,
        invited in prop::option::of(1..u64::MAX / 2),
    ) {
        let request = TrustRequest {
            conversation: conversation.map(ConversationId::new),
            payload,
            confirm,
            invited: invited.map(UnixTime::from_millis),
        };
        prop_assert_eq!(TrustRequest::decode(&request.encode()), Ok(request.clone()));
    }

    #[test]
    fn any_message_reads_back(token: u64, mime in "[a-z/;=+]{1,40}", body: String, secs in 0..1u64 << 33) {
        let message = ImMessage { token, mime, body, date: UnixTime::from_secs(secs) };
        prop_assert_eq!(ImMessage::decode(&message.encode()), Ok(message.clone()));
    }

    #[test]
    fn any_bytes_do_no_harm(bytes: Vec<u8>) {
        let _ = TrustRequest::decode(&bytes);
        let _ = ImMessage::decode(&bytes);
    }
}
