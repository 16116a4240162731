use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::query::{decode_rows, encode_rows};
use crate::value::Value;
use baraza_wire::hex;
use baraza_wire::msgpack::Writer;

fn vectors(name: &str) -> Json {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testing/vectors");
    let text = std::fs::read_to_string(path.join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Every packet that a real node emitted, with who sent it.
fn emitted() -> Vec<Vec<u8>> {
    fn walk(json: &Json, out: &mut Vec<Vec<u8>>) {
        match json {
            Json::Object(map) => {
                for (name, inner) in map {
                    match inner {
                        Json::String(text) if name == "hex" => {
                            out.push(hex::decode(text).unwrap());
                        }
                        _ => walk(inner, out),
                    }
                }
            }
            Json::Array(list) => list.iter().for_each(|inner| walk(inner, out)),
            _ => {}
        }
    }
    let mut out = Vec::new();
    for name in [
        "dht-udp-2412-plain.json",
        "dht-udp-2412-identity.json",
        "dht-udp-head.json",
        "dht-raw-requests-2412.json",
    ] {
        walk(&vectors(name), &mut out);
    }
    out
}

/// Encodes again what was decoded, as the C++ node that emitted it.
fn encode_again(bytes: &[u8], packet: &Packet<'_>) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(bytes);
    let agent = if text.contains("RNG1") { "RNG1" } else { "o2" };
    let envelope = Envelope {
        id: packet.id,
        network: packet.network,
        client: packet.client,
        agent,
    };
    let token = packet.token.unwrap_or(Token::new(&[]));
    let token = token.as_bytes();
    let tid = packet.tid;
    let query = packet.query.as_ref();
    let zeros = vec![0; 70_000];
    let values: Vec<Vec<u8>> = packet.values.map_or_else(Vec::new, |values| {
        values
            .iter()
            .map(|entry| match entry {
                ValueEntry::Inline(bytes) => Value::from_packed(bytes).unwrap().to_packed(),
                ValueEntry::Announced(len) => zeros[..len].to_vec(),
            })
            .collect()
    });
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    let head = match packet.kind {
        Kind::Ping => envelope.ping(tid),
        Kind::Find => envelope.find(tid, &packet.target, packet.want),
        Kind::Get => envelope.get(tid, &packet.key, query, packet.want),
        Kind::Put => {
            let put = PutRequest {
                key: &packet.key,
                values: &values,
                created: packet.created.map(|created| created.try_into().unwrap()),
                token,
            };
            envelope.put(tid, &put).head
        }
        Kind::Refresh => envelope.refresh(tid, &packet.key, packet.value_id, token),
        Kind::Listen => {
            let listen = ListenRequest {
                key: &packet.key,
                token,
                socket: packet.socket,
                query,
            };
            envelope.listen(tid, &listen)
        }
        Kind::Update => {
            let ids = packet.refreshed.or(packet.expired);
            let ids: Vec<u64> = ids.map_or_else(Vec::new, |ids| ids.iter().collect());
            let body = match (packet.refreshed, packet.expired) {
                (Some(_), _) => UpdateBody::Refreshed(&ids),
                (_, Some(_)) => UpdateBody::Expired(&ids),
                _ => UpdateBody::Values(&packet.key, &values),
            };
            envelope.update(tid, packet.socket, token, body).head
        }
        Kind::Reply => {
            let (mut nodes4, mut nodes6) = (Vec::new(), Vec::new());
            for node in packet.nodes.iter() {
                node.write_compact(if node.address.is_ipv4() {
                    &mut nodes4
                } else {
                    &mut nodes6
                });
            }
            let reply = NodeReply {
                value_id: (packet.value_id != 0).then_some(packet.value_id),
                nodes4: &nodes4,
                nodes6: &nodes6,
                token: packet.token.is_some().then_some(token),
                values: &values,
                fields: packet.fields,
            };
            envelope.reply(tid, packet.address?, &reply).head
        }
        Kind::Error(code) => {
            let text = [
                "Get_values with no info_hash",
                "Listen with no info_hash",
                "Listen with wrong token",
                "Put with no info_hash",
                "Put with wrong token",
                "Put with invalid id",
                "Access operation for unknown storage",
            ]
            .into_iter()
            .find(|known| text.contains(known))?;
            envelope.error(tid, code, text)
        }
        Kind::Fragment => {
            let part = packet.parts?.iter().next()?;
            let index = u64::try_from(part.index).unwrap();
            let offset = u64::try_from(part.offset).unwrap();
            envelope.fragment(tid, index, offset, part.data)
        }
        // Never sent by us.
        Kind::OldUpdate => return None,
    };
    Some(head.to_vec())
}

#[test]
fn captured_packets_are_read_and_written_byte_for_byte() {
    let packets = emitted();
    assert!(packets.len() > 280, "{}", packets.len());
    let mut kinds = std::collections::BTreeMap::new();
    for bytes in &packets {
        let packet = Packet::decode(bytes).unwrap_or_else(|error| {
            panic!("{}: {error}", hex::encode(bytes));
        });
        // The old-style notices to a listener of version 0 are replies that we do not send.
        let Some(again) = encode_again(bytes, &packet) else {
            *kinds.entry("not ours".to_owned()).or_insert(0) += 1;
            continue;
        };
        // A selection keeps the order it was typed in there, and is a set here.
        let theirs = hex::encode(bytes).replace("a173950102030504", "a173950102030405");
        assert_eq!(hex::encode(&again), theirs, "{packet:?}");
        *kinds.entry(format!("{:?}", packet.kind)).or_insert(0) += 1;
    }
    assert!(kinds.len() >= 12, "{kinds:?}");
    assert!(
        kinds.get("not ours").copied().unwrap_or(0) <= 4,
        "{kinds:?}"
    );
}

#[test]
fn hand_made_requests_are_read() {
    let json = vectors("dht-raw-requests-2412.json");
    let mut read = std::collections::BTreeMap::new();
    for part in [
        "part1_requests_and_errors",
        "part2_refresh_update_fragments",
    ] {
        for case in json[part].as_array().unwrap() {
            let Some(request) = case["request_hex"].as_str() else {
                continue;
            };
            let bytes = hex::decode(request).unwrap();
            let name = case["name"].as_str().unwrap().to_owned();
            read.insert(name, Packet::decode(&bytes).map(|packet| packet.tid));
        }
    }
    assert_eq!(read["ping with 4-byte bin tid"], Ok(2));
    assert!(read.len() > 30, "{read:?}");
}

#[test]
fn fragments_put_together_are_the_values_announced() {
    let envelope = Envelope {
        id: InfoHash::new([1; 20]),
        network: 0,
        client: false,
        agent: "o2",
    };
    let value = Value::new(0, vec![7; 5000]).with_id(9).to_packed();
    let reply = NodeReply {
        values: &[&value],
        ..NodeReply::default()
    };
    let out = envelope.reply(5, Ipv4Addr::LOCALHOST.into(), &reply);
    let head = Packet::decode(&out.head).unwrap();
    assert!(head.values.unwrap().is_announcement());
    let mut together = Vec::new();
    for bytes in &out.fragments {
        assert!(bytes.len() < 1400);
        let packet = Packet::decode(bytes).unwrap();
        assert_eq!((packet.kind, packet.tid), (Kind::Fragment, 5));
        for part in packet.parts.unwrap().iter() {
            assert_eq!((part.index, part.offset), (0, together.len()));
            together.extend_from_slice(part.data);
        }
    }
    assert_eq!(together, value);
}

#[test]
fn values_go_inline_below_both_limits_only() {
    let value = |len| vec![&[0u8; 700][..len]];
    assert_eq!(encode::inline_size(&value(599)), Some(599));
    assert_eq!(encode::inline_size(&value(600)), None);
    let many = vec![&[0u8][..]; 49];
    assert_eq!(encode::inline_size(&many), Some(49));
    let many = vec![&[0u8][..]; 50];
    assert_eq!(encode::inline_size(&many), None);
}

#[test]
fn wrong_structures_are_refused() {
    let refused = |write: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::new();
        write(&mut writer);
        Packet::decode(writer.as_bytes()).unwrap_err()
    };
    let short_id = refused(&|w| {
        w.map(2)
            .str("q")
            .str("ping")
            .str("a")
            .map(1)
            .str("id")
            .bin(&[1; 19]);
    });
    assert_eq!(short_id, PacketError::Id);
    let list = refused(&|w| {
        w.map(1).str("r").map(1).str("n4").bin(&[1; 27]);
    });
    assert_eq!(list, PacketError::Nodes);
    let query = refused(&|w| {
        let w = w.map(2).str("q").str("get").str("a").map(1);
        w.str("q").map(1).str("s").array(0);
    });
    assert!(matches!(query, PacketError::Query(_)));
    let kind = refused(&|w| {
        w.map(2).str("q").str("dance").str("y").str("q");
    });
    assert_eq!(kind, PacketError::Kind);
    let body = refused(&|w| {
        w.map(2).str("q").str("ping").str("a").array(0);
    });
    assert!(matches!(body, PacketError::Msgpack(_)));
    let error = refused(&|w| {
        w.map(1).str("e").array(0);
    });
    assert!(matches!(error, PacketError::Msgpack(_)));
    let address = refused(&|w| {
        w.map(1).str("r").map(1).str("sa").str("1.2.3.4");
    });
    assert!(matches!(address, PacketError::Msgpack(_)));
}

#[test]
fn martians_are_known() {
    for text in [
        "0.1.2.3:5",
        "224.0.0.1:5",
        "1.2.3.4:0",
        "[ff02::1]:5",
        "[::]:5",
    ] {
        assert!(is_martian(text.parse().unwrap()), "{text}");
    }
    for text in ["1.2.3.4:5", "127.0.0.1:5", "[::1]:5", "[fe80::1]:5"] {
        assert!(!is_martian(text.parse().unwrap()), "{text}");
    }
    let mapped: SocketAddr = "[::ffff:1.2.3.4]:5".parse().unwrap();
    assert!(is_martian(mapped));
    assert_eq!(canonical(mapped), "1.2.3.4:5".parse().unwrap());
}

#[test]
fn a_selection_is_answered_with_rows() {
    let values = [
        Value::new(0, b"a").with_id(1),
        Value::new(3, b"b").with_id(2),
    ];
    let query = Query::all().select([crate::Field::Id, crate::Field::SeqNum]);
    let mut writer = Writer::new();
    encode_rows(query.select, &values, &mut writer);
    let fields = writer.into_bytes();
    let envelope = Envelope {
        id: InfoHash::new([1; 20]),
        network: 3,
        client: true,
        agent: "x",
    };
    let reply = NodeReply {
        fields: Some(&fields),
        ..NodeReply::default()
    };
    let out = envelope.reply(5, Ipv4Addr::LOCALHOST.into(), &reply);
    let packet = Packet::decode(&out.head).unwrap();
    assert!(packet.client);
    assert_eq!(packet.network, 3);
    let rows = decode_rows(&mut msgpack::Reader::new(packet.fields.unwrap())).unwrap();
    assert_eq!(rows[1].id, Some(2));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        if let Ok(packet) = Packet::decode(&bytes) {
            let _ = packet.nodes.iter().count();
        }
    }

    #[test]
    fn damaged_captures_are_read_or_refused(
        which: prop::sample::Index,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let packets = emitted();
        let mut bytes = packets[which.index(packets.len())].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(packet) = Packet::decode(&bytes) {
            let _ = packet.values.map(|values| values.iter().count());
            let _ = packet.parts.map(|parts| parts.iter().count());
        }
    }
}
