use baraza_dht::secure;
use baraza_identity::testing::identity;
use baraza_identity::{PrivateKey, PublicKey};
use baraza_wire::Rng;
use proptest::prelude::*;

use super::*;
use crate::ice::{CandidateKind, Description, TcpType};
use crate::testing::{hex, vector};

/// Plain signed values and the data inside them, as recorded from 2023 daemons.
fn recorded_2023() -> Vec<(Vec<u8>, Vec<u8>)> {
    let text = vector("connection-2023-peer-requests.txt");
    let blobs: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("82a4") || line.starts_with("84a2"))
        .map(hex)
        .collect();
    blobs
        .chunks_exact(2)
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect()
}

/// The same of newer daemons.
fn recorded_head() -> Vec<(Vec<u8>, Vec<u8>)> {
    let text = vector("head-peer-requests.txt");
    let (mut out, mut data) = (Vec::new(), None);
    for line in text.lines() {
        if let Some(blob) = line.strip_prefix("data: ") {
            data = Some(hex(blob)).filter(|data| data.starts_with(b"\x84\xa2id\xcf"));
        } else if let Some(blob) = line.strip_prefix("plain: ")
            && let Some(data) = data.take()
        {
            out.push((hex(blob), data));
        }
    }
    out
}

#[test]
fn recorded_offers_of_both_generations_are_read_and_written_byte_for_byte() {
    let (old, new) = (recorded_2023(), recorded_head());
    assert_eq!(old.len(), 2);
    assert!(new.len() >= 10, "{}", new.len());
    for (plain, data) in old.into_iter().chain(new) {
        let offer = Offer::decode(&data).unwrap();
        assert_eq!(offer.encode(), data);
        assert!((1..=MAX_ID).contains(&offer.id));
        let description = Description::parse(&offer.ice).unwrap();
        assert_eq!(description.to_string(), offer.ice);
        let kinds: Vec<_> = description.candidates.iter().map(|c| c.kind).collect();
        assert_eq!(kinds[0], CandidateKind::Host);
        assert_eq!(description.candidates[0].tcp, TcpType::Passive);
        // The signed body around it is what ours would be.
        let value = offer.to_value(&mut Rng::from_seed(1));
        let recipient = InfoHash::default();
        let signed = secure::sign(&value, identity("alice").key(), Some(recipient)).unwrap();
        let tail_len = b"\xa8isAnswer\xc2".len();
        let body = &plain[plain.windows(6).position(|w| w == b"\xa4type\0").unwrap()..];
        let ours = signed.signed_bytes();
        let ours = &ours[ours.windows(6).position(|w| w == b"\xa4type\0").unwrap()..];
        assert_eq!(&body[..ours.len()], ours);
        assert!(ours.len() > data.len() + tail_len);
    }
}

#[test]
fn keys_of_a_recorded_device() {
    let short = "20589db4a5906f020f7b5d5f8402f6758d7c4ee3".parse().unwrap();
    let long = "995c264c063983ed25753ed5aed31b8ce3ff38464e882bd8d28a0249b1f3a091";
    assert_eq!(
        short_key(&short).to_hex(),
        "b6a9a441353d1a430f8d3563d14fcfa2152d1b8d"
    );
    assert_eq!(
        long_key(&long.parse().unwrap()).to_hex(),
        "19e627a406b9834723357252872655c3e909a862"
    );
}

#[test]
fn a_sealed_offer_opens_at_the_other_side_with_its_sender() {
    let (alice, bob) = (identity("alice"), identity("bob"));
    let offer = sample();
    let sealed = seal(&offer, alice.key(), bob.public_key());
    assert!(sealed.is_encrypted());
    assert_eq!(sealed.push_type(), "sync");
    let opened = secure::open(&sealed, bob.key()).unwrap();
    assert_eq!(opened.value.user_type(), USER_TYPE);
    assert_eq!(opened.signer.as_ref(), Some(alice.public_key()));
    assert_eq!(Offer::decode(opened.value.data()).unwrap(), offer);
    assert!(secure::open(&sealed, alice.key()).is_err());
}

fn seal(offer: &Offer, key: &PrivateKey, to: &PublicKey) -> Value {
    secure::encrypt(&offer.to_value(&mut Rng::from_seed(7)), key, to).unwrap()
}

fn sample() -> Offer {
    Offer {
        id: 5,
        ice: "abcd\n0123456789abcdef012345\n".into(),
        is_answer: false,
        reason: "sync".into(),
    }
}

#[test]
fn keys_come_in_any_order_and_may_be_missing_or_unknown() {
    let mut writer = Writer::new();
    writer.map(3).str("isAnswer").bool(true);
    writer.str("new").array(2).uint(1).nil();
    writer.str("id").uint(9);
    let offer = Offer::decode(writer.as_bytes()).unwrap();
    assert_eq!(
        (offer.id, offer.is_answer, offer.ice.as_str()),
        (9, true, "")
    );
    writer.str("more");
    assert!(Offer::decode(&writer.as_bytes()[1..]).is_err());
}

#[test]
fn limits_hold_at_and_above() {
    let with = |ice: usize, reason: usize| {
        let offer = Offer {
            ice: "x".repeat(ice),
            reason: "y".repeat(reason),
            ..sample()
        };
        Offer::decode(&offer.encode()).map(|again| assert_eq!(again, offer))
    };
    assert_eq!(with(MAX_ICE_MESSAGE, MAX_REASON), Ok(()));
    assert_eq!(
        with(MAX_ICE_MESSAGE + 1, 0),
        Err(OfferError::IceMessageTooLong)
    );
    assert_eq!(with(0, MAX_REASON + 1), Err(OfferError::ReasonTooLong));
    let mut writer = Writer::new();
    writer.map(MAX_KEYS + 1);
    assert_eq!(
        Offer::decode(writer.as_bytes()),
        Err(OfferError::TooManyKeys)
    );
}

proptest! {
    #[test]
    fn offers_round_trip(id in 0..=MAX_ID, ice in ".{0,200}", is_answer: bool, reason in ".{0,20}") {
        let offer = Offer { id, ice, is_answer, reason };
        prop_assert_eq!(Offer::decode(&offer.encode()), Ok(offer));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(offer) = Offer::decode(&bytes) {
            prop_assert_eq!(Offer::decode(&offer.encode()), Ok(offer));
        }
    }
}
