use baraza_wire::Rng;
use proptest::prelude::*;

use super::*;

const NEAR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 77, 0, 12)), PORT);

fn captured() -> Vec<Vec<u8>> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testing/vectors/dht-state-discovery-2412.json"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let vectors: serde_json::Value = serde_json::from_str(&text).unwrap();
    let list = vectors["discovery"].as_array().unwrap();
    let hex = list.iter().map(|one| one["hex"].as_str().unwrap());
    hex.map(|hex| baraza_wire::hex::decode(hex).unwrap())
        .collect()
}

fn sent(discovery: &mut Discovery) -> Vec<(Destination, Packet)> {
    std::iter::from_fn(|| discovery.poll_output())
        .filter_map(|output| match output {
            Output::Transmit { to, packet } => Some((to, packet)),
            Output::Heard { .. } => None,
        })
        .collect()
}

fn service(name: &str) -> Announcement {
    Announcement(BTreeMap::from([(name.to_owned(), vec![0xc0].into())]))
}

#[test]
fn what_dhtnode_sends_is_read_and_written_the_same() {
    let mut nodes = 0;
    for bytes in captured() {
        let packet = Packet::decode(&bytes).unwrap();
        assert_eq!(packet.encode(), bytes);
        if let Packet::Announcement(Announcement(services)) = packet {
            let node = NodeService::decode(&services[DHT]).unwrap();
            assert_eq!(node.network, 7);
            assert!(matches!(node.port, 17501 | 17502));
            assert_eq!(node.encode(), services[DHT]);
            nodes += 1;
        }
    }
    assert!(nodes >= 2);
}

#[test]
fn it_asks_and_tells_again_and_again_and_a_change_at_once() {
    let now = Instant::now();
    let mut discovery = Discovery::new(now, Rng::from_seed(1));
    discovery.announce(now, vec![service("a")]);
    discovery.handle_timeout(now);
    let group = |packet| (Destination::Group, packet);
    let tells = |name| group(Packet::Announcement(service(name)));
    assert_eq!(sent(&mut discovery), [group(Packet::Query), tells("a")]);
    let next = discovery.poll_timeout();
    assert!(next >= now + PERIOD - SPREAD && next <= now + PERIOD + SPREAD);
    discovery.handle_timeout(now + LEAST);
    assert_eq!(sent(&mut discovery), []);
    // The same again is no change; another one is, but not sooner than a second later.
    discovery.announce(now, vec![service("a")]);
    assert_eq!(discovery.poll_timeout(), next);
    discovery.announce(now, vec![service("b")]);
    assert_eq!(discovery.poll_timeout(), now + LEAST);
    discovery.handle_timeout(now + LEAST);
    assert_eq!(sent(&mut discovery), [group(Packet::Query), tells("b")]);
}

#[test]
fn who_asks_is_told_unless_they_are_far_away_or_ask_too_often() {
    let now = Instant::now();
    let mut discovery = Discovery::new(now, Rng::from_seed(1));
    discovery.announce(now, vec![service("a"), service("b")]);
    let query = Packet::Query.encode();
    let far = "203.0.113.5:8888".parse().unwrap();
    discovery.handle_datagram(now, far, &query);
    assert_eq!(sent(&mut discovery), []);
    discovery.handle_datagram(now, NEAR, &query);
    let told = sent(&mut discovery);
    assert_eq!(told.len(), 2);
    assert!(told.iter().all(|(to, _)| *to == Destination::One(NEAR)));
    // In a network with public addresses, neighbours are near.
    discovery.set_own(vec!["203.0.113.77".parse().unwrap()]);
    discovery.handle_datagram(now, far, &query);
    assert_eq!(sent(&mut discovery).len(), 2);
    for _ in 0..2 * MAX_ANSWERED {
        discovery.handle_datagram(now, NEAR, &query);
    }
    assert_eq!(sent(&mut discovery).len(), 2 * 14);
    let later = now + Duration::from_secs(1);
    discovery.handle_datagram(later, NEAR, &query);
    assert_eq!(sent(&mut discovery).len(), 2);
    assert_eq!(discovery.counters().answered, 17);
    assert_eq!(discovery.counters().refused, 1 + 18);
}

#[test]
fn a_flood_is_cut_and_nonsense_is_counted() {
    let now = Instant::now();
    let mut discovery = Discovery::new(now, Rng::from_seed(1));
    let bytes = Packet::Announcement(service("a")).encode();
    for _ in 0..1000 {
        discovery.handle_datagram(now, NEAR, &bytes);
    }
    let heard = std::iter::from_fn(|| discovery.poll_output()).count();
    assert_eq!(heard, 256);

    // Who says of many addresses that nodes are there has few of them asked.
    let mut discovery = Discovery::new(now, Rng::from_seed(1));
    let bytes = Packet::Announcement(service(DHT)).encode();
    for second in 0..2 {
        for _ in 0..100 {
            discovery.handle_datagram(now + Duration::from_secs(second), NEAR, &bytes);
        }
    }
    let nodes = std::iter::from_fn(|| discovery.poll_output()).filter(
        |output| matches!(output, Output::Heard { announcement, .. } if announcement.0.contains_key(DHT)),
    );
    assert_eq!(nodes.count(), 2 * 16);

    let mut discovery = Discovery::new(now, Rng::from_seed(1));
    let later = now + Duration::from_secs(2);
    for (bytes, error) in [
        (&b"\xa1x"[..], PacketError::NoQuery),
        (b"\xa1qq", PacketError::Trailing),
        (b"\xde\xff\xff", PacketError::TooLong),
        (b"\x81", PacketError::Msgpack(msgpack::Error::Truncated)),
        (&[0; MAX_DATAGRAM + 1], PacketError::TooLong),
    ] {
        assert_eq!(Packet::decode(bytes), Err(error), "{error}");
        discovery.handle_datagram(later, NEAR, bytes);
    }
    assert_eq!(discovery.counters().malformed, 5);
    assert_eq!(discovery.poll_output(), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(packet) = Packet::decode(&bytes) {
            prop_assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
        }
        let _ = NodeService::decode(&bytes);
    }

    #[test]
    fn what_is_written_is_read(
        services in proptest::collection::btree_map(".{0,20}", any::<u32>(), 0..=MAX_SERVICES),
    ) {
        let services = services.into_iter().map(|(name, number)| {
            let mut writer = Writer::new();
            writer.uint(number.into());
            (name, Bytes::from(writer.into_bytes()))
        });
        let packet = Packet::Announcement(Announcement(services.collect()));
        prop_assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
    }
}
