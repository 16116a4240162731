use std::collections::BTreeMap;
use std::sync::OnceLock;

use baraza_identity::PrivateKey;
use baraza_wire::hex;
use baraza_wire::msgpack::Kind as Item;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::tests_support::vectors;
use super::*;
use crate::{infohash, secure};

struct Crypto(Json);

impl Crypto {
    fn load() -> Self {
        Self(vectors("dht-crypto.json")["opendht_2412"].clone())
    }
    fn hex(&self, name: &str) -> Vec<u8> {
        hex::decode(self.0[name].as_str().unwrap()).unwrap()
    }
    fn key(&self, name: &str) -> PrivateKey {
        PrivateKey::from_pem(self.0[name].as_str().unwrap()).unwrap()
    }
}

const ID: u64 = 0x1122_3344_5566_7788;

#[test]
fn plain_values_pack_as_the_reference_does() {
    let crypto = Crypto::load();
    let value = Value::new(0, b"hello")
        .with_user_type("text/plain")
        .with_id(ID);
    assert_eq!(value.to_packed(), crypto.hex("plain_value_packed"));
    assert_eq!(value.signed_bytes(), crypto.hex("plain_value_tosign"));
    let urgent = value.clone().with_priority(1);
    assert_eq!(urgent.to_packed(), crypto.hex("plain_value_prio1_packed"));
    let empty = Value::new(3, []).with_id(1);
    assert_eq!(empty.to_packed(), crypto.hex("empty_type3_value_packed"));
    for value in [value, urgent, empty] {
        let read = Value::from_packed(&value.to_packed()).unwrap();
        assert_eq!(read, value);
        assert_eq!(read.priority, value.priority);
        assert_eq!(read.packed_len(), value.to_packed().len());
    }
}

#[test]
fn signing_gives_the_bytes_of_the_reference() {
    let crypto = Crypto::load();
    let alice = crypto.key("alice_key_pem");
    let value = Value::new(0, b"hello")
        .with_user_type("text/plain")
        .with_id(ID)
        .with_seq(7);
    let signed = secure::sign(&value, &alice, None).unwrap();
    assert_eq!(signed.signature(), crypto.hex("signed_value_signature"));
    assert_eq!(signed.signed_bytes(), crypto.hex("signed_value_tosign"));
    assert_eq!(signed.to_packed(), crypto.hex("signed_value_packed"));
    assert_eq!(signed.owner().as_ref(), Some(alice.public_key()));
    assert_eq!(signed.owner_id(), Some(alice.public_key().short_id()));
    let read = Value::from_packed(&signed.to_packed()).unwrap();
    assert_eq!((read.seq(), read.is_signed()), (7, true));
    let signer = secure::verify(&read).unwrap();
    assert_eq!(signer.as_ref(), Some(alice.public_key()));
}

#[test]
fn an_encrypted_value_of_the_reference_opens() {
    let crypto = Crypto::load();
    let bob = crypto.key("bob_key_pem");
    let packed = crypto.hex("encrypted_value_packed");
    let value = Value::from_packed(&packed).unwrap();
    assert_eq!(value.to_packed(), packed);
    assert_eq!(value.cypher(), Some(&*crypto.hex("encrypted_value_cypher")));
    assert_eq!((value.value_type(), value.is_signed()), (0, false));
    let opened = secure::open(&value, &bob).unwrap();
    assert!(opened.encrypted);
    assert_eq!(opened.value.data(), crypto.hex("decrypted_data"));
    assert_eq!(
        opened.value.packed_content(),
        crypto.hex("encrypted_value_plain_toencrypt")
    );
    assert_eq!(opened.value.id, value.id);
    assert_eq!(opened.value.recipient(), Some(bob.public_key().short_id()));
    assert_eq!(
        opened.signer.as_ref(),
        Some(crypto.key("alice_key_pem").public_key())
    );
    assert_eq!(
        secure::open(&value, &crypto.key("alice_key_pem")),
        Err(secure::OpenError::Decrypt)
    );
}

#[test]
fn newer_entries_are_kept() {
    let head = vectors("dht-crypto.json")["opendht_head"].clone();
    let bytes = |name: &str| hex::decode(head[name].as_str().unwrap()).unwrap();
    let clear = Value::from_packed(&bytes("value_prio1_pt_audioCall_packed")).unwrap();
    assert_eq!((clear.priority, clear.push_type()), (1, "audioCall"));
    let packed = bytes("encrypted_prio1_pt_audioCall_packed");
    let value = Value::from_packed(&packed).unwrap();
    assert_eq!(value.to_packed(), packed);
    let bob = Crypto::load().key("bob_key_pem");
    let opened = secure::open(&value, &bob).unwrap().value;
    assert_eq!(opened.packed_content(), bytes("encrypted_plain"));
    assert_eq!((opened.priority, opened.push_type()), (1, "audioCall"));
}

#[test]
fn encryption_is_for_the_recipient_alone_and_by_the_sender() {
    let crypto = Crypto::load();
    let (alice, bob) = (crypto.key("alice_key_pem"), crypto.key("bob_key_pem"));
    let plain = Value::new(4, vec![7; 400]).with_id(9).with_priority(1);
    let sealed = secure::encrypt(&plain, &alice, bob.public_key()).unwrap();
    let sent = Value::from_packed(&sealed.to_packed()).unwrap();
    assert_eq!((sent.id, sent.priority, sent.value_type()), (9, 1, 0));
    let opened = secure::open(&sent, &bob).unwrap();
    assert_eq!(opened.value.value_type(), 4);
    assert_eq!(opened.value.data(), plain.data());

    // Meant for somebody else, encrypted again for bob by whoever got it.
    let stranger = secure::sign(&plain, &alice, Some(infohash("carol"))).unwrap();
    let again = bob.public_key().encrypt(stranger.packed_content()).unwrap();
    let forged = Value::from_inner(9, Inner::encrypted(again));
    assert_eq!(
        secure::open(&forged, &bob),
        Err(secure::OpenError::Recipient)
    );

    // Encrypted without a signature.
    let unsigned = bob.public_key().encrypt(plain.packed_content()).unwrap();
    let forged = Value::from_inner(9, Inner::encrypted(unsigned));
    assert!(secure::open(&forged, &bob).is_err());
    assert!(secure::sign(&sealed, &alice, None).is_err());
}

#[test]
fn changed_signed_values_are_refused() {
    let crypto = Crypto::load();
    let alice = crypto.key("alice_key_pem");
    let signed = secure::sign(&Value::new(0, b"hello"), &alice, None).unwrap();
    let packed = signed.to_packed();
    let at = packed.windows(5).position(|w| w == b"hello").unwrap();
    let mut changed = packed.clone();
    changed[at] = b'j';
    let changed = Value::from_packed(&changed).unwrap();
    assert_eq!(secure::verify(&changed), Err(secure::OpenError::Signature));
    // Another value type of the same length.
    let elsewhere = Value::from_packed(&packed).unwrap().with_id(5);
    assert!(
        secure::verify(&elsewhere).is_ok(),
        "the id may change on the way"
    );
}

/// A map with these entries, already packed.
fn map(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.map(entries.len());
    for (key, value) in entries {
        writer.str(key).raw(value);
    }
    writer.into_bytes()
}

fn packed(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.into_bytes()
}

#[test]
fn what_lacks_a_required_entry_is_refused() {
    let data = packed(|w| _ = w.bin(b"x"));
    let body = map(&[("type", &[0]), ("data", &data)]);
    let content = map(&[("body", &body)]);
    assert!(Value::from_packed(&map(&[("id", &[1]), ("dat", &content)])).is_ok());
    let missing = |bytes: Vec<u8>| match Value::from_packed(&bytes) {
        Err(ValueError::Missing(what)) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(map(&[("dat", &content)])), "id");
    assert_eq!(missing(map(&[("id", &[1])])), "dat");
    assert_eq!(missing(map(&[("id", &[1]), ("dat", &[0x80])])), "body");
    let with = |body: &[u8]| map(&[("id", &[1]), ("dat", &map(&[("body", body)]))]);
    assert_eq!(missing(with(&map(&[("type", &[0])]))), "data");
    assert_eq!(missing(with(&map(&[("data", &data)]))), "type");
    let crypto = Crypto::load();
    let owner = packed(|w| _ = w.bin(&crypto.hex("alice_pub_der")));
    let owned = map(&[("owner", &owner), ("type", &[0]), ("data", &data)]);
    assert_eq!(missing(with(&owned)), "sig");
    let signed = map(&[("body", &owned), ("sig", &data)]);
    assert_eq!(missing(map(&[("id", &[1]), ("dat", &signed)])), "seq");
    // An empty cipher text is no content either.
    assert_eq!(missing(map(&[("id", &[1]), ("dat", &[0xc4, 0])])), "dat");
}

#[test]
fn odd_but_allowed_forms_become_canonical() {
    let crypto = Crypto::load();
    let alice = crypto.key("alice_key_pem");
    let plain = Value::new(0, b"hi").with_id(3).with_seq(2);
    let signed = secure::sign(&plain, &alice, None).unwrap();
    // PEM owner in a str, data as an array, long integers, unknown keys, other order.
    let owner = packed(|w| _ = w.str(&alice.public_key().to_pem()));
    let body = map(&[
        ("zz", &[0xc0]),
        ("data", &[0x92, b'h', 0xcc, b'i']),
        ("type", &[0xcd, 0, 0]),
        ("owner", &owner),
        ("seq", &[0xce, 0, 0, 0, 2]),
        ("seq", &[0xc0]),
    ]);
    let signature = packed(|w| _ = w.bin(signed.signature()));
    let content = map(&[("sig", &signature), ("body", &body), ("x", &[0x91, 1])]);
    let odd = map(&[("dat", &content), ("id", &[3])]);
    let read = Value::from_packed(&odd).unwrap();
    assert_eq!(read.to_packed(), signed.to_packed());
    assert!(secure::verify(&read).is_ok());
}

#[test]
fn a_recipient_without_an_owner_is_ignored_and_a_short_one_refused() {
    let crypto = Crypto::load();
    let data = packed(|w| _ = w.bin(b"x"));
    let short = packed(|w| _ = w.bin(&[1; 19]));
    let plain = map(&[("to", &short), ("type", &[0]), ("data", &data)]);
    let whole = map(&[("id", &[1]), ("dat", &map(&[("body", &plain)]))]);
    let value = Value::from_packed(&whole).unwrap();
    assert_eq!(value.recipient(), None);
    let owner = packed(|w| _ = w.bin(&crypto.hex("alice_pub_der")));
    let owned = map(&[
        ("seq", &[0]),
        ("owner", &owner),
        ("to", &short),
        ("type", &[0]),
        ("data", &data),
    ]);
    let content = map(&[("body", &owned), ("sig", &data)]);
    assert!(Value::from_packed(&map(&[("id", &[1]), ("dat", &content)])).is_err());
}

#[test]
fn a_bad_value_in_a_list_does_not_hide_the_next() {
    let good = Value::new(0, b"x").with_id(1);
    let mut writer = Writer::new();
    writer.array(2).map(1).str("id").uint(1);
    good.encode(&mut writer);
    let mut reader = Reader::new(writer.as_bytes());
    assert_eq!(reader.array_len(), Ok(2));
    assert_eq!(Value::decode(&mut reader), Err(ValueError::Missing("dat")));
    assert_eq!(Value::decode(&mut reader), Ok(good));
}

#[test]
fn the_packed_length_is_bounded() {
    let overhead = Value::new(0, vec![0; 60_000]).with_id(1).packed_len() - 60_000;
    let largest = Value::new(0, vec![0; MAX_PACKED_LEN - overhead]).with_id(1);
    // Above 65535 bytes the length itself takes two bytes more.
    let longest = Value::new(0, vec![0; MAX_PACKED_LEN - overhead - 2]).with_id(1);
    assert!(Value::from_packed(&longest.to_packed()).is_ok());
    let len = largest.packed_len();
    if len > MAX_PACKED_LEN {
        let refused = Value::from_packed(&largest.to_packed());
        assert_eq!(refused, Err(ValueError::TooLarge(len)));
    }
    let beyond = Value::new(0, vec![0; MAX_PACKED_LEN]).with_id(1);
    assert!(Value::from_packed(&beyond.to_packed()).is_err());
}

#[test]
fn equal_means_the_same_content() {
    let crypto = Crypto::load();
    let alice = crypto.key("alice_key_pem");
    let plain = Value::new(0, b"a");
    assert!(plain.content_eq(&plain.clone().with_id(4)));
    assert_ne!(plain.clone().with_id(3), plain.clone().with_id(4));
    assert!(!plain.content_eq(&Value::new(1, b"a")));
    assert!(!plain.content_eq(&Value::new(0, b"b")));
    assert!(!plain.content_eq(&plain.clone().with_user_type("t")));
    let signed = secure::sign(&plain, &alice, None).unwrap();
    assert!(!plain.content_eq(&signed));
    let newer = secure::sign(&plain.clone().with_seq(1), &alice, None).unwrap();
    assert!(!signed.content_eq(&newer));
    let a = secure::encrypt(&plain, &alice, alice.public_key()).unwrap();
    let b = secure::encrypt(&plain, &alice, alice.public_key()).unwrap();
    assert!(a.content_eq(&a.clone()) && !a.content_eq(&b) && !a.content_eq(&plain));
}

#[test]
fn a_stored_value_takes_little_memory() {
    let value = Value::new(0, [0; 64]).with_id(u64::MAX);
    assert!(value.memory() < 300, "{} bytes", value.memory());
    assert!(size_of::<Value>() <= 24);
}

/// All values in a packet, whole or in fragments, by transaction.
fn values_in(
    packet: &[u8],
    fragments: &mut BTreeMap<u32, Vec<u8>>,
    found: &mut Vec<Vec<u8>>,
) -> Result<(), msgpack::Error> {
    let mut reader = Reader::new(packet);
    let (mut transaction, mut part) = (0, None);
    for _ in 0..reader.map_len()? {
        match reader.str_bytes()? {
            b"t" => transaction = reader.u32().unwrap_or_default(),
            b"p" => part = Some(Reader::new(reader.skip()?)),
            b"a" | b"r" if reader.peek() == Ok(Item::Map) => {
                for _ in 0..reader.map_len()? {
                    if reader.str_bytes()? != b"values" {
                        reader.skip()?;
                        continue;
                    }
                    for _ in 0..reader.array_len()? {
                        let item = reader.skip()?;
                        if Reader::new(item).peek() == Ok(Item::Map) {
                            found.push(item.to_vec());
                        }
                    }
                }
            }
            _ => _ = reader.skip()?,
        }
    }
    if let Some(mut part) = part {
        part.map_len()?;
        part.int()?;
        part.map_len()?;
        part.str()?;
        let offset = part.u64()?;
        part.str()?;
        let whole = fragments.entry(transaction).or_default();
        if usize::try_from(offset) == Ok(whole.len()) {
            whole.extend(part.bin()?);
        }
        if Reader::new(whole).skip().is_ok() {
            found.extend(fragments.remove(&transaction));
        }
    }
    Ok(())
}

fn hexes(json: &Json, found: &mut Vec<Vec<u8>>) {
    match json {
        Json::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(text) if key.ends_with("hex") => found.extend(hex::decode(text)),
                    _ => hexes(value, found),
                }
            }
        }
        Json::Array(list) => list.iter().for_each(|item| hexes(item, found)),
        _ => {}
    }
}

#[test]
fn every_value_captured_between_real_nodes_is_read_and_written_unchanged() {
    let mut total = 0;
    for name in [
        "dht-udp-2412-plain.json",
        "dht-udp-2412-identity.json",
        "dht-udp-head.json",
        "dht-raw-requests-2412.json",
        "head-dht-daemon.json",
    ] {
        let (mut packets, mut fragments) = (Vec::new(), BTreeMap::new());
        hexes(&vectors(name), &mut packets);
        let mut here = 0;
        for packet in &packets {
            let mut found = Vec::new();
            // Some of the requests made by hand are wrong on purpose.
            let read = values_in(packet, &mut fragments, &mut found);
            assert!(read.is_ok() || name.contains("raw"), "{name}");
            for bytes in found {
                let value = match Value::from_packed(&bytes) {
                    Ok(value) => value,
                    Err(_) if name.contains("raw") => continue,
                    Err(e) => panic!("{name}: {e} in {}", hex::encode(&bytes)),
                };
                assert_eq!(hex::encode(&value.to_packed()), hex::encode(&bytes));
                assert!(secure::verify(&value).is_ok(), "{value:?} in {name}");
                here += 1;
            }
        }
        assert!(here >= 3, "{name}: {here} values");
        total += here;
    }
    assert!(total > 50, "{total} values");
}

fn key() -> &'static PrivateKey {
    static KEY: OnceLock<PrivateKey> = OnceLock::new();
    KEY.get_or_init(|| Crypto::load().key("alice_key_pem"))
}

fn any_value() -> impl Strategy<Value = Value> {
    let parts = (
        any::<u64>(),
        any::<u32>(),
        any::<u16>(),
        any::<u16>(),
        any::<Vec<u8>>(),
        "[ -~]{0,40}",
        "[a-zA-Z]{0,8}",
    );
    (parts, any::<Option<[u8; 20]>>(), any::<Vec<u8>>(), 0..3).prop_map(
        |((id, priority, value_type, seq, data, user_type, push_type), to, blob, kind)| {
            let inner = match kind {
                0 if !blob.is_empty() => Inner::encrypted(blob),
                1 if !blob.is_empty() => Inner::clear(&Parts {
                    value_type,
                    seq,
                    owner: Some(key().public_key().spki_der()),
                    recipient: to.map(InfoHash::new),
                    data: &data,
                    user_type: &user_type,
                    signature: &blob,
                }),
                _ => Inner::clear(&Parts {
                    value_type,
                    data: &data,
                    user_type: &user_type,
                    ..Parts::default()
                }),
            };
            Value::from_inner(id, inner)
                .with_priority(priority)
                .with_push_type(&push_type)
        },
    )
}

proptest! {
    #[test]
    fn any_value_reads_back(value in any_value()) {
        let packed = value.to_packed();
        prop_assert_eq!(packed.len(), value.packed_len());
        let read = Value::from_packed(&packed).unwrap();
        prop_assert_eq!(&read, &value);
        prop_assert_eq!(read.priority, value.priority);
        prop_assert_eq!(read.push_type(), value.push_type());
        prop_assert_eq!(read.recipient(), value.recipient());
        prop_assert_eq!(read.to_packed(), packed);
    }

    #[test]
    fn damaged_values_do_no_harm(value in any_value(), at: prop::sample::Index, byte: u8) {
        let mut packed = value.to_packed();
        let at = at.index(packed.len());
        packed[at] = byte;
        if let Ok(read) = Value::from_packed(&packed) {
            let again = read.to_packed();
            prop_assert_eq!(Value::from_packed(&again).unwrap().to_packed(), again);
        }
        let _ = Value::from_packed(&packed[..at]);
    }
}
