//! `baraza-link`.

use baraza_link::framing::{Deframer, MAX_PAYLOAD, put_frame};
use baraza_link::ice::{Description, MAX_REMOTE};
use baraza_link::offer::Offer;
use baraza_link::stun::{Builder, Class, Message, is_stun};
use bytes::BytesMut;

/// However a stream is cut, it holds the same frames, and nothing is lost.
pub(crate) fn frame(data: &[u8]) -> bool {
    let mut whole = Deframer::default();
    whole.push(data);
    let mut frames = Vec::new();
    while let Ok(Some(payload)) = whole.next_payload(MAX_PAYLOAD) {
        assert!(!payload.is_empty());
        frames.push(payload);
    }
    let mut cut = Deframer::default();
    let mut again = Vec::new();
    let mut failed = false;
    for piece in data.chunks(1 + data.len() % 7) {
        cut.push(piece);
        while !failed {
            match cut.next_payload(MAX_PAYLOAD) {
                Ok(Some(payload)) => again.push(payload),
                Ok(None) => break,
                Err(_) => failed = true,
            }
        }
    }
    assert_eq!(frames, again, "the same frames");
    let mut out = BytesMut::new();
    for payload in &frames {
        assert!(put_frame(&mut out, payload).is_ok(), "what was read fits");
    }
    !frames.is_empty()
}

/// What is read is written as what is read as the same.
pub(crate) fn ice_text(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Ok(description) = Description::parse(text) else {
        return false;
    };
    assert!((1..=MAX_REMOTE).contains(&description.candidates.len()));
    let again = Description::parse(&description.to_string());
    assert_eq!(again.as_ref(), Ok(&description));
    true
}

/// What is read is written as what is read as the same.
pub(crate) fn peer_request(data: &[u8]) -> bool {
    let Ok(offer) = Offer::decode(data) else {
        return false;
    };
    assert_eq!(Offer::decode(&offer.encode()).as_ref(), Ok(&offer));
    true
}

/// A message that is read passes the test for messages, and its parts can be written again.
pub(crate) fn stun(data: &[u8]) -> bool {
    let Ok(message) = Message::parse(data) else {
        return false;
    };
    assert!(is_stun(data));
    let mut builder = Builder::new(Class::Success, message.transaction);
    if let Some(address) = message.mapped {
        builder = builder.mapped(address);
    }
    if let Some(role) = message.role {
        builder = builder.role(role);
    }
    let bytes = builder.finish(Some("password"));
    let again = Message::parse(&bytes).map(|again| {
        assert!(again.is_signed_with("password"));
        (again.mapped, again.role, again.transaction)
    });
    assert_eq!(
        again,
        Ok((message.mapped, message.role, message.transaction))
    );
    true
}
