//! A live node under random and damaged packets.

use std::net::SocketAddr;
use std::path::PathBuf;

use baraza_dht::{Command, Config, Dht, OpId, Query, infohash};
use baraza_wire::{Now, Rng, UnixTime, hex};

use crate::net::{CLIENT, Net};

fn captured() -> Vec<Vec<u8>> {
    fn walk(json: &serde_json::Value, out: &mut Vec<Vec<u8>>) {
        match json {
            serde_json::Value::Object(map) => {
                for (name, inner) in map {
                    match inner.as_str() {
                        Some(text) if name == "hex" || name == "request_hex" => {
                            out.push(hex::decode(text).unwrap());
                        }
                        _ => walk(inner, out),
                    }
                }
            }
            serde_json::Value::Array(list) => list.iter().for_each(|inner| walk(inner, out)),
            _ => {}
        }
    }
    let mut out = Vec::new();
    for name in [
        "dht-udp-2412-plain.json",
        "dht-udp-2412-identity.json",
        "dht-udp-head.json",
        "dht-raw-requests-2412.json",
        "head-dht-daemon.json",
    ] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testing/vectors");
        let text = std::fs::read_to_string(path.join(name)).unwrap();
        walk(&serde_json::from_str(&text).unwrap(), &mut out);
    }
    out
}

fn mutate(rng: &mut Rng, packets: &[Vec<u8>]) -> Vec<u8> {
    let pick = |rng: &mut Rng| packets[rng.index(packets.len()).unwrap()].clone();
    let mut data = pick(rng);
    for _ in 0..rng.range(1..5) {
        let Some(at) = rng.index(data.len()) else {
            break;
        };
        match rng.range(0..6) {
            0 => data[at] ^= 1 << rng.range(0..8),
            1 => data.truncate(at),
            2 => {
                let more: [u8; 20] = rng.bytes();
                data.splice(at..at, more);
            }
            3 => {
                let other = pick(rng);
                data.truncate(at);
                data.extend(other.into_iter().skip(at));
            }
            4 => {
                let kind = [0xc6, 0xdb, 0xdd, 0xdf][rng.index(4).unwrap()];
                let end = data.len().min(at + 5);
                data.splice(at..end, [kind, 0xff, 0xff, 0xff, 0xff]);
            }
            _ => {
                let end = data.len().min(at + 60);
                let part = data[at..end].repeat(5);
                data.splice(at..at, part);
            }
        }
    }
    data
}

fn source(rng: &mut Rng) -> SocketAddr {
    let host = u8::try_from(rng.range(1..200)).unwrap();
    SocketAddr::from(([10, 0, 0, host], 4222))
}

#[test]
fn twenty_thousand_hostile_packets_change_nothing() {
    let mut net = Net::with_nodes(20, 3);
    net.connect();
    net.listen(0, infohash("hello"));
    let mut rng = Rng::from_seed(99);
    let packets = captured();
    let mut now = net.now();
    for n in 0..20_000u32 {
        let bytes = if n % 2 == 0 {
            let mut bytes = vec![0; rng.index(1400).unwrap()];
            rng.fill(&mut bytes);
            bytes
        } else {
            mutate(&mut rng, &packets)
        };
        let from = source(&mut rng);
        let dht = &mut net.hosts[0].dht;
        dht.handle_datagram(now, from, &bytes);
        while dht.poll_output().is_some() {}
        if n % 10 == 0 {
            now.instant += std::time::Duration::from_millis(5);
            dht.handle_timeout(now);
            while dht.poll_output().is_some() {}
        }
    }
    let stats = net.hosts[0].dht.stats();
    assert!(stats.counters.malformed > 10_000, "{stats:?}");
    assert!(
        stats.ipv4.known <= 1024 && stats.partial <= 2048,
        "{stats:?}"
    );
    assert!(stats.storage.bytes < 1024 * 1024, "{stats:?}");
    // It still answers.
    let ping = b"\x85\xa1a\x81\xa2id\xc4\x14aaaaaaaaaaaaaaaaaaaa\xa1q\xa4ping\xa1t\x01\xa1y\xa1q\xa1v\xa1x";
    now.instant += std::time::Duration::from_secs(2);
    let dht = &mut net.hosts[0].dht;
    dht.handle_datagram(now, "192.0.2.7:1".parse().unwrap(), ping);
    assert!(dht.poll_output().is_some());
}

#[test]
fn answers_count_only_from_the_one_asked() {
    let at = Now {
        instant: std::time::Instant::now(),
        unix: UnixTime::from_secs(1_790_000_000),
    };
    let mut dht = Dht::new(Config::default(), at, Rng::from_seed(5));
    let addr: SocketAddr = "192.0.2.1:4222".parse().unwrap();
    dht.handle_command(at, CLIENT, Command::Bootstrap { addr });
    let mut sent = None;
    while let Some(output) = dht.poll_output() {
        if let baraza_dht::Output::Transmit { bytes, .. } = output {
            sent = Some(bytes);
        }
    }
    let tid = baraza_dht::message::Packet::decode(&sent.unwrap())
        .unwrap()
        .tid;
    let mut reply = b"\x84\xa1r\x81\xa2id\xc4\x14bbbbbbbbbbbbbbbbbbbb\xa1t\xce".to_vec();
    reply.extend(tid.to_be_bytes());
    reply.extend(b"\xa1y\xa1r\xa1v\xa1x");
    for elsewhere in ["192.0.2.1:4223", "192.0.2.2:4222"] {
        dht.handle_datagram(at, elsewhere.parse().unwrap(), &reply);
        assert_eq!(dht.stats().ipv4.good, 0);
    }
    assert_eq!(dht.counters().unsolicited, 2);
    dht.handle_datagram(at, addr, &reply);
    assert_eq!(dht.stats().ipv4.good, 1);
}

#[test]
fn a_client_gone_leaves_nothing_behind() {
    let mut net = Net::with_nodes(21, 5);
    net.connect();
    let key = infohash("x");
    net.listen(0, key);
    net.put_as(0, key, &baraza_dht::Value::new(0, b"x"), true);
    net.command(
        0,
        Command::Get {
            op: OpId(900),
            key,
            query: Query::all(),
        },
    );
    let now = net.now();
    net.hosts[0].dht.remove_client(now, CLIENT);
    let stats = net.hosts[0].dht.stats();
    assert_eq!((stats.operations, stats.storage.values), (0, 0));
}
