use baraza_wire::hex;
use proptest::prelude::*;

use super::*;
use crate::protocol::message::Message;
use crate::protocol::tests_support::vector;

/// The `hex` lines behind lines that speak of a `msg:` channel.
fn captured(file: &str) -> Vec<Vec<u8>> {
    let text = String::from_utf8(vector(file)).unwrap();
    let lines: Vec<_> = text.lines().collect();
    lines
        .windows(2)
        .filter(|pair| pair[0].contains(" [msg:"))
        .map(|pair| hex::decode(pair[1].trim().strip_prefix("hex ").unwrap()).unwrap())
        .collect()
}

#[test]
fn every_captured_message_is_read_understood_and_written_unchanged() {
    for (file, expected) in [("head-messages.txt", 12), ("head-group-messages.txt", 6)] {
        let packed = captured(file);
        assert!(packed.len() >= expected, "{file}: {}", packed.len());
        let mut stream = MessageStream::new();
        for bytes in packed {
            let read = stream.push(&bytes).unwrap();
            let [message] = &read[..] else {
                panic!("{read:?}");
            };
            assert_eq!(hex::encode(&message.encode()), hex::encode(&bytes));
            let content = Message::parse(&message.mime, &message.body).unwrap();
            assert!(!matches!(content, Message::Other { .. }), "{content:?}");
            assert_eq!(content.mime(), message.mime);
            assert_eq!(content.body(), message.body);
        }
    }
}

#[test]
fn what_is_not_a_message_closes_the_channel() {
    for bytes in [&[0x80][..], &[0xc0], &[0x81, 0xa1, b't', 1], &[0xc1]] {
        assert!(MessageStream::new().push(bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn the_length_of_a_message_is_bounded() {
    let message = |len| ChannelMessage {
        token: 1,
        mime: "text/plain".to_owned(),
        body: "x".repeat(len),
    };
    let overhead = message(100_000).encode().len() - 100_000;
    for (len, allowed) in [
        (MAX_ITEM - overhead - 1, true),
        (MAX_ITEM - overhead, true),
        (MAX_ITEM - overhead + 1, false),
    ] {
        let read = MessageStream::new().push(&message(len).encode());
        assert_eq!(read.is_ok(), allowed, "{len}");
    }
}

#[test]
fn the_name_of_the_channel() {
    let device = DeviceId::new([0xd2; 32]);
    assert_eq!(name(&device), format!("msg:{}", "d2".repeat(32)));
}

proptest! {
    #[test]
    fn any_messages_read_back_in_any_pieces(
        messages in prop::collection::vec((any::<u64>(), "[a-z/+]{1,40}", any::<String>()), 0..5),
        cut in 1usize..40,
    ) {
        let messages: Vec<_> = messages
            .into_iter()
            .map(|(token, mime, body)| ChannelMessage { token, mime, body })
            .collect();
        let bytes: Vec<u8> = messages.iter().flat_map(ChannelMessage::encode).collect();
        let mut stream = MessageStream::new();
        let mut read = Vec::new();
        for piece in bytes.chunks(cut) {
            read.extend(stream.push(piece).unwrap());
        }
        prop_assert_eq!(read, messages);
    }
}
