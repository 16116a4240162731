//! `baraza-dht`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use baraza_core::protocol::nearby::NearbyAccount;
use baraza_dht::discovery::{self, Discovery, NodeService};
use baraza_dht::message::{MAX_DATAGRAM, Packet};
use baraza_dht::query::decode_rows;
use baraza_dht::{
    ClientId, Command, Config, Dht, OpId, Output, Query, Value, certificate_value, infohash,
    secure, value_type,
};
use baraza_wire::msgpack::{Reader, Writer};
use baraza_wire::{Now, Rng, UnixTime};

/// A packed value, and the rules for storing it.
pub(crate) fn value(data: &[u8]) -> bool {
    let Ok(value) = Value::from_packed(data) else {
        return false;
    };
    let packed = value.to_packed();
    assert_eq!(packed.len(), value.packed_len(), "the length is known");
    let again = Value::from_packed(&packed);
    assert_eq!(again.as_ref(), Ok(&value), "what was written reads");
    assert_eq!(
        again.map(|value| value.to_packed()),
        Ok(packed),
        "the same is written again"
    );
    let _signer = secure::verify(&value);
    let key = infohash(data);
    let _chain = certificate_value::parse(&key, &value);
    let from = ([192, 0, 2, 1], 4222).into();
    let stored = value_type::check_store(&key, &value, from);
    if let Ok(stored) = stored {
        let packed = Value::from_packed(&stored.to_packed());
        assert_eq!(packed.as_ref(), Ok(&*stored), "what is stored can be sent");
    }
    let _edit = value_type::check_edit(&value, &value);
    true
}

/// A query in either form, and a reply to one with a selection.
pub(crate) fn query(data: &[u8]) -> bool {
    let mut understood = decode_rows(&mut Reader::new(data)).is_ok();
    let text = String::from_utf8_lossy(data);
    let decoded = Query::decode(&mut Reader::new(data)).ok();
    for query in [decoded, text.parse().ok()].into_iter().flatten() {
        understood = true;
        let mut writer = Writer::new();
        query.encode(&mut writer);
        let again = Query::decode(&mut Reader::new(writer.as_bytes()));
        assert_eq!(again.as_ref(), Ok(&query), "what was written reads");
        assert!(query.is_satisfied_by(&query), "a query satisfies itself");
    }
    understood
}

/// What a node sends for one packet at most: the values of a reply, in fragments.
const MAX_ANSWER: usize = 1024;

fn node() -> (Dht, Now) {
    let now = Now {
        instant: Instant::now(),
        unix: UnixTime::from_secs(1_795_500_000),
    };
    (Dht::new(Config::default(), now, Rng::from_seed(1)), now)
}

/// A packet, read alone and by a node that listens, puts and looks around.
pub(crate) fn packet(data: &[u8]) -> bool {
    let (mut dht, mut now) = node();
    let from: SocketAddr = ([192, 0, 2, 1], 4222).into();
    let client = ClientId(1);
    let key = infohash("hello");
    dht.handle_command(now, client, Command::Bootstrap { addr: from });
    for (op, command) in [
        Command::Listen {
            op: OpId(1),
            key,
            query: Query::all(),
        },
        Command::Put {
            op: OpId(2),
            key,
            value: Value::new(0, b"x").with_id(2),
            permanent: true,
        },
    ]
    .into_iter()
    .enumerate()
    {
        now.instant += Duration::from_millis(u64::try_from(op).unwrap_or_default());
        dht.handle_command(now, client, command);
    }
    for _ in 0..3 {
        dht.handle_datagram(now, from, data);
        let mut sent = 0usize;
        while let Some(output) = dht.poll_output() {
            if let Output::Transmit { bytes, .. } = output {
                sent = sent.saturating_add(1);
                assert!(sent <= MAX_ANSWER, "one packet makes many");
                assert!(bytes.len() <= MAX_DATAGRAM, "what is sent fits a datagram");
                assert!(Packet::decode(&bytes).is_ok(), "what is sent can be read");
            }
        }
        now.instant += Duration::from_secs(3);
        dht.handle_timeout(now);
    }
    let stats = dht.stats();
    assert!(
        stats.ipv4.known.saturating_add(stats.ipv6.known) <= 64,
        "few nodes a packet"
    );
    Packet::decode(data).is_ok()
}

/// A state file.
pub(crate) fn dht_state(data: &[u8]) -> bool {
    let (mut dht, now) = node();
    let understood = dht.import_state(now, data).is_ok();
    let exported = dht.export_state(true);
    let (mut again, now) = node();
    assert!(
        again.import_state(now, &exported).is_ok(),
        "what was written reads"
    );
    assert_eq!(
        again.stats().storage.values,
        dht.stats().storage.values,
        "all of it"
    );
    understood
}

/// A datagram of the local network, read alone and by somebody who announces something.
pub(crate) fn discovery(data: &[u8]) -> bool {
    let now = Instant::now();
    let mut machine = Discovery::new(now, Rng::from_seed(1));
    let own = discovery::Packet::decode(b"\x81\xa1x\x01");
    if let Ok(discovery::Packet::Announcement(own)) = own {
        machine.announce(now, vec![own]);
    }
    machine.handle_datagram(now, ([10, 0, 0, 2], discovery::PORT).into(), data);
    let outputs = std::iter::from_fn(|| machine.poll_output()).count();
    assert!(outputs <= 1, "one datagram makes one");
    let Ok(packet) = discovery::Packet::decode(data) else {
        return false;
    };
    let again = discovery::Packet::decode(&packet.encode());
    assert_eq!(again.as_ref(), Ok(&packet), "what was written reads");
    if let discovery::Packet::Announcement(announcement) = packet {
        for payload in announcement.0.values() {
            if let Ok(node) = NodeService::decode(payload) {
                assert_eq!(NodeService::decode(&node.encode()), Ok(node));
            }
            if let Ok(account) = NearbyAccount::decode(payload) {
                assert_eq!(NearbyAccount::decode(&account.encode()), Ok(account));
            }
        }
    }
    true
}
