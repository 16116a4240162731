use std::path::PathBuf;

use baraza_wire::msgpack::Writer;
use proptest::prelude::*;

use super::*;

mod vectors;

/// A link of two, with the bytes between them moved whole.
struct Pair {
    client: Mux,
    server: Mux,
    now: Instant,
}

impl Pair {
    fn new() -> Self {
        let mut pair = Self {
            client: Mux::new(true, now()),
            server: Mux::new(false, now()),
            now: now(),
        };
        pair.run();
        pair
    }

    /// A pair with an open channel, opened by the client.
    fn open() -> (Self, u16) {
        let mut pair = Self::new();
        let number = pair.client.open("sip").unwrap();
        pair.run();
        pair.server.accept(number);
        pair.run();
        pair.events();
        (pair, number)
    }

    fn run(&mut self) {
        loop {
            let from_client = wire(&mut self.client, self.now);
            let from_server = wire(&mut self.server, self.now);
            if from_client.is_empty() && from_server.is_empty() {
                return;
            }
            self.server.receive(self.now, from_client.into()).unwrap();
            self.client.receive(self.now, from_server.into()).unwrap();
        }
    }

    /// What happened at the client and at the server.
    fn events(&mut self) -> (Vec<Event>, Vec<Event>) {
        (events(&mut self.client), events(&mut self.server))
    }
}

const TICK: Duration = Duration::from_millis(1);

fn now() -> Instant {
    Instant::now()
}

fn wire(mux: &mut Mux, now: Instant) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(message) = mux.poll_transmit(now) {
        bytes.extend_from_slice(message.header());
        bytes.extend_from_slice(message.body());
    }
    bytes
}

fn events(mux: &mut Mux) -> Vec<Event> {
    std::iter::from_fn(|| mux.poll_event()).collect()
}

fn frames(mut bytes: Bytes) -> (Vec<Frame>, bool) {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    loop {
        match decoder.next(&mut bytes) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, true),
            Err(Malformed) => return (frames, false),
        }
    }
}

/// A whole message as its encoder writes it.
fn message(number: u16, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.array(2).uint(u64::from(number)).bin(body);
    writer.into_bytes()
}

fn request(name: &str, number: u16) -> Vec<u8> {
    message(0, &control::channel(name, number, control::State::Request))
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.trim().bytes().collect();
    digits
        .chunks_exact(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn vector(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testing/vectors");
    std::fs::read_to_string(path.join(name)).unwrap()
}

proptest! {
    #[test]
    fn messages_are_written_as_msgpack_does(number: u16, body in prop::collection::vec(any::<u8>(), 0..70_000)) {
        prop_assume!(body.len() <= MAX_MESSAGE);
        let outgoing = Outgoing::new(number, body.clone().into());
        let mut bytes = outgoing.header().to_vec();
        bytes.extend_from_slice(outgoing.body());
        prop_assert_eq!(bytes.len(), outgoing.len());
        prop_assert_eq!(bytes, message(number, &body));
    }

    #[test]
    fn cutting_the_stream_changes_nothing(
        parts in prop::collection::vec(
            prop_oneof![
                4 => (any::<u16>(), prop::collection::vec(any::<u8>(), 0..300))
                    .prop_map(|(number, body)| message(number, &body)),
                // items that are no messages
                1 => Just(hex("93010203")),
                1 => Just(hex("9205a3616263")),
                1 => Just(hex("82a16101a16292c0c3")),
                1 => Just(hex("92d0ffc40101")),
                1 => Just(hex("cb0102030405060708")),
                1 => Just(hex("c70305aabbcc")),
                1 => Just(hex("dc0003c0c0d97f")),
                1 => prop::collection::vec(any::<u8>(), 0..8),
            ],
            0..12,
        ),
        cuts in prop::collection::vec(1..40_usize, 0..200),
    ) {
        let stream = Bytes::from(parts.concat());
        let (whole, ended_well) = frames(stream.clone());
        let mut decoder = Decoder::new();
        let mut pieces = Vec::new();
        let mut rest = stream;
        let mut well = true;
        let mut cuts = cuts.into_iter().chain(std::iter::repeat(1));
        'stream: while !rest.is_empty() {
            let mut piece = rest.split_to(cuts.next().unwrap().min(rest.len()));
            loop {
                match decoder.next(&mut piece) {
                    Ok(Some(frame)) => pieces.push(frame),
                    Ok(None) => break,
                    Err(Malformed) => {
                        well = false;
                        break 'stream;
                    }
                }
            }
        }
        prop_assert_eq!(pieces, whole);
        prop_assert_eq!(well, ended_well);
    }

    #[test]
    fn any_plaintext_is_survived(pieces in prop::collection::vec(
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            (0..6_u16, prop::collection::vec(any::<u8>(), 0..16)).prop_map(|(n, b)| message(n, &b)),
            (".{0,4}", 0..6_u16, 0..4_u64).prop_map(|(name, number, state)| {
                let mut writer = Writer::new();
                writer.array(3).str(&name).uint(u64::from(number)).uint(state);
                message(0, writer.as_bytes())
            }),
        ],
        0..20,
    )) {
        let mut mux = Mux::new(true, now());
        for name in ["a", "b", "c"] {
            mux.open(name).unwrap();
        }
        for piece in pieces {
            if mux.receive(now(), piece.into()).is_err() {
                break;
            }
            if let Some(Event::Requested { number, .. }) = mux.poll_event() {
                mux.accept(number);
            }
        }
        prop_assert!(wire(&mut mux, now()).len() < 4096);
    }
}

#[test]
fn a_channel_opens_carries_data_both_ways_and_closes() {
    let mut pair = Pair::new();
    assert_eq!(pair.client.peer_version(), Some(1));
    let number = pair.client.open("git://device/conversation").unwrap();
    assert_eq!(number, 1);
    assert_eq!(
        pair.client.write(number, Bytes::from_static(b"early")),
        Err(ChannelError::NotOpen)
    );
    pair.run();
    let name = "git://device/conversation".to_owned();
    assert_eq!(
        pair.events(),
        (vec![], vec![Event::Requested { number, name }])
    );
    pair.server.accept(number);
    pair.server
        .write(number, Bytes::from_static(b"hello"))
        .unwrap();
    pair.run();
    let hello = Bytes::from_static(b"hello");
    assert_eq!(
        pair.events(),
        (
            vec![
                Event::Opened { number },
                Event::Data {
                    number,
                    bytes: hello
                }
            ],
            vec![Event::Sent { number, bytes: 5 }]
        )
    );
    pair.client
        .write(number, Bytes::from_static(b"bye"))
        .unwrap();
    pair.client.close(number);
    pair.run();
    let bye = Bytes::from_static(b"bye");
    assert_eq!(
        pair.events(),
        (
            vec![Event::Sent { number, bytes: 3 }],
            vec![Event::Data { number, bytes: bye }, Event::Closed { number }]
        )
    );
    // The other side counts from 0x8000; a closed number is not used at once again.
    assert_eq!(pair.server.open("msg:x"), Ok(0x8000));
    assert_eq!(pair.client.open("msg:x"), Ok(2));
}

#[test]
fn a_declined_channel_is_forgotten() {
    let mut pair = Pair::new();
    let number = pair.client.open("sync://x").unwrap();
    pair.run();
    pair.server.decline(number);
    pair.server.accept(number);
    pair.run();
    let (client, _) = pair.events();
    assert_eq!(client, [Event::Declined { number }]);
    assert_eq!(
        pair.client.write(number, "x".into()),
        Err(ChannelError::NotOpen)
    );
    assert!(pair.client.channels.is_empty() && pair.server.channels.is_empty());
    assert_eq!(pair.server.requested, 0);
}

#[test]
fn writes_leave_as_one_message_each_up_to_the_longest() {
    let (mut pair, number) = Pair::open();
    pair.client.write(number, Bytes::new()).unwrap();
    pair.client.write(number, vec![1; 65_535].into()).unwrap();
    pair.client.write(number, vec![2; 65_536].into()).unwrap();
    pair.run();
    let lengths: Vec<_> = events(&mut pair.server)
        .iter()
        .map(|event| match event {
            Event::Data { bytes, .. } => bytes.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lengths, [65_535, 65_535, 1]);
}

#[test]
fn the_window_opens_as_bytes_are_pulled() {
    let (mut pair, number) = Pair::open();
    pair.client
        .write(number, vec![0; WRITE_WINDOW].into())
        .unwrap();
    assert_eq!(
        pair.client.write(number, "x".into()),
        Err(ChannelError::WindowFull)
    );
    let first = pair.client.poll_transmit(now()).unwrap();
    let bytes = first.body().len();
    assert_eq!(events(&mut pair.client), [Event::Sent { number, bytes }]);
    pair.client.write(number, vec![0; bytes].into()).unwrap();
    assert_eq!(
        pair.client.write(number, "x".into()),
        Err(ChannelError::WindowFull)
    );
}

#[test]
fn a_small_channel_waits_for_one_message_of_a_bulk_one() {
    let (mut pair, bulk) = Pair::open();
    let small = pair.client.open("msg:x").unwrap();
    pair.run();
    pair.server.accept(small);
    pair.run();
    pair.client
        .write(bulk, vec![0; WRITE_WINDOW].into())
        .unwrap();
    pair.client.poll_transmit(now()).unwrap();
    for _ in 0..3 {
        pair.client.write(small, "tiny".into()).unwrap();
    }
    let lengths: Vec<_> = std::iter::from_fn(|| pair.client.poll_transmit(now()))
        .map(|message| message.body().len())
        .collect();
    // Its turn comes after the bulk one's; the end of the window is a short message.
    let rest = (WRITE_WINDOW - 65_535) / 65_535;
    let mut expected = vec![4; 3];
    expected.extend(vec![65_535; rest]);
    expected.push(WRITE_WINDOW % 65_535);
    assert_eq!(lengths, expected);
}

#[test]
fn control_messages_overtake_bulk() {
    let (mut pair, bulk) = Pair::open();
    pair.client
        .write(bulk, vec![0; WRITE_WINDOW].into())
        .unwrap();
    pair.client
        .receive(pair.now, hex("92cdffffc40481a170c3").into())
        .unwrap();
    let answer = pair.client.poll_transmit(now()).unwrap();
    assert_eq!(answer.header(), hex("92cdffffc404"));
    assert_eq!(answer.body(), &hex("81a170c2"));
}

#[test]
fn impossible_requests_are_declined() {
    let mut pair = Pair::new();
    let own = pair.server.open("x").unwrap();
    let long = "n".repeat(MAX_NAME + 1);
    for (name, number) in [("sip", 0), ("sip", 0xffff), ("sip", own), (&long, 7)] {
        wire(&mut pair.server, pair.now);
        pair.server
            .receive(pair.now, request(name, number).into())
            .unwrap();
        assert!(events(&mut pair.server).is_empty(), "{number}");
        let name = if name.len() > MAX_NAME { "" } else { name };
        let declined = control::channel(name, number, control::State::Decline);
        assert_eq!(wire(&mut pair.server, pair.now), message(0, &declined));
    }
    // Just short enough.
    let longest = "n".repeat(MAX_NAME);
    pair.server
        .receive(pair.now, request(&longest, 7).into())
        .unwrap();
    assert_eq!(events(&mut pair.server).len(), 1);
    assert_eq!(pair.client.open(&long), Err(ChannelError::NameTooLong));
}

#[test]
fn requests_and_channels_are_limited() {
    let mut server = Mux::new(false, now());
    wire(&mut server, now());
    for number in 1..=64 {
        server.receive(now(), request("a", number).into()).unwrap();
    }
    assert_eq!(events(&mut server).len(), MAX_REQUESTED);
    assert!(wire(&mut server, now()).is_empty());
    server.receive(now(), request("a", 65).into()).unwrap();
    assert!(events(&mut server).is_empty());
    assert!(!wire(&mut server, now()).is_empty());
    // One that is given up makes room.
    server.receive(now(), message(64, b"").into()).unwrap();
    server.receive(now(), request("a", 65).into()).unwrap();
    assert_eq!(events(&mut server).len(), 2);

    let mut client = Mux::new(true, now());
    for _ in 0..MAX_CHANNELS {
        client.open("a").unwrap();
    }
    assert_eq!(client.open("a"), Err(ChannelError::TooManyChannels));
    wire(&mut client, now());
    client.receive(now(), request("a", 0x8000).into()).unwrap();
    assert!(events(&mut client).is_empty());
    assert!(!wire(&mut client, now()).is_empty());
}

#[test]
fn a_flood_of_requests_ends_the_link() {
    let mut server = Mux::new(false, now());
    wire(&mut server, now());
    let flood = request("a", 0).repeat(MAX_CONTROL);
    server.receive(now(), flood.into()).unwrap();
    let one_more = server.receive(now(), request("a", 0).into());
    assert_eq!(one_more, Err(MuxError::Flooded));
}

#[test]
fn what_comes_before_the_answer_waits_for_it() {
    let mut client = Mux::new(true, now());
    let number = client.open("git://x/y").unwrap();
    client
        .receive(now(), message(number, b"early").into())
        .unwrap();
    client.receive(now(), message(number, b"").into()).unwrap();
    client
        .receive(now(), message(number, b"late").into())
        .unwrap();
    assert!(events(&mut client).is_empty());
    let accept = control::channel("git://x/y", number, control::State::Accept);
    client.receive(now(), message(0, &accept).into()).unwrap();
    let bytes = Bytes::from_static(b"early");
    assert_eq!(
        events(&mut client),
        [
            Event::Opened { number },
            Event::Data { number, bytes },
            Event::Closed { number }
        ]
    );
    assert!(client.channels.is_empty());

    let number = client.open("git://x/y").unwrap();
    client
        .receive(now(), message(number, &vec![0; 65_535]).repeat(16).into())
        .unwrap();
    assert!(events(&mut client).is_empty());
    client
        .receive(now(), message(number, &[0; 17]).into())
        .unwrap();
    assert_eq!(events(&mut client), [Event::Declined { number }]);
}

#[test]
fn a_channel_closed_before_the_answer_is_undone_by_it() {
    let mut pair = Pair::new();
    let number = pair.client.open("sip").unwrap();
    pair.run();
    pair.client.close(number);
    pair.server.accept(number);
    pair.run();
    assert!(pair.client.channels.is_empty() && pair.server.channels.is_empty());
    let (client, server) = pair.events();
    assert!(client.is_empty());
    assert_eq!(server.last(), Some(&Event::Closed { number }));
}

#[test]
fn data_under_way_after_a_close_is_ignored() {
    let (mut pair, number) = Pair::open();
    pair.server.write(number, "late".into()).unwrap();
    pair.client.close(number);
    pair.run();
    assert_eq!(
        pair.events(),
        (
            vec![],
            vec![Event::Sent { number, bytes: 4 }, Event::Closed { number }]
        )
    );
    assert!(pair.client.channels.is_empty() && pair.server.channels.is_empty());
    // The number may be used again at once.
    pair.server
        .receive(pair.now, request("sip", number).into())
        .unwrap();
    assert_eq!(events(&mut pair.server).len(), 1);
}

#[test]
fn both_sides_may_close_at_once() {
    let (mut pair, number) = Pair::open();
    pair.client.close(number);
    pair.server.close(number);
    pair.run();
    assert_eq!(pair.events(), (vec![], vec![]));
    assert!(pair.client.channels.is_empty() && pair.server.channels.is_empty());
}

#[test]
fn a_channel_that_is_not_read_is_closed_and_the_link_lives() {
    let (mut pair, number) = Pair::open();
    let full = message(number, &vec![7; 65_535]);
    for _ in 0..128 {
        pair.server.receive(pair.now, full.clone().into()).unwrap();
    }
    assert_eq!(events(&mut pair.server).len(), 128);
    pair.server.consumed(number, 65_535);
    pair.server.receive(pair.now, full.clone().into()).unwrap();
    assert!(matches!(events(&mut pair.server)[..], [Event::Data { .. }]));
    pair.server.receive(pair.now, full.into()).unwrap();
    assert_eq!(events(&mut pair.server), [Event::Closed { number }]);
    assert_eq!(wire(&mut pair.server, pair.now), message(number, b""));
    assert_eq!(pair.server.unread, 0);
    // Tiny messages are counted as well.
    let mut server = Mux::new(false, now());
    server.receive(now(), request("a", 1).into()).unwrap();
    server.accept(1);
    server
        .receive(now(), message(1, b"x").repeat(MAX_UNREAD_MESSAGES).into())
        .unwrap();
    assert!(server.channels.contains_key(&1));
    server.receive(now(), message(1, b"x").into()).unwrap();
    assert!(!server.channels.contains_key(&1));
}

#[test]
fn a_link_that_is_not_read_loses_its_fullest_channel() {
    let mut server = Mux::new(false, now());
    for number in 1..=5 {
        server.receive(now(), request("a", number).into()).unwrap();
        server.accept(number);
    }
    let most = 128 * 65_535;
    for number in [1, 2, 3, 4] {
        server
            .receive(now(), message(number, &vec![0; 65_535]).repeat(128).into())
            .unwrap();
    }
    assert_eq!(server.unread, 4 * most);
    assert_eq!(server.channels.len(), 5);
    server
        .receive(now(), message(5, &vec![0; 4096]).into())
        .unwrap();
    assert_eq!(server.channels.len(), 4);
    assert!(server.channels.contains_key(&5));
    assert_eq!(server.unread, 3 * most + 4096);
}

#[test]
fn beacons_find_out_who_is_gone() {
    let mut pair = Pair::new();
    pair.client.probe(pair.now);
    let deadline = pair.now + BEACON_TIMEOUT;
    assert_eq!(pair.client.poll_timeout(), Some(deadline));
    pair.run();
    assert_eq!(pair.client.poll_timeout(), None);

    pair.client.probe(pair.now);
    let just_before = deadline - Duration::from_millis(1);
    assert_eq!(pair.client.handle_timeout(just_before), Ok(false));
    assert_eq!(
        pair.client.handle_timeout(deadline),
        Err(MuxError::BeaconLost)
    );

    // Whoever still sends is not gone.
    pair.client
        .receive(just_before, message(9, b"bulk").into())
        .unwrap();
    assert_eq!(pair.client.handle_timeout(deadline), Ok(false));
    let later = just_before + BEACON_TIMEOUT;
    assert_eq!(pair.client.handle_timeout(later), Err(MuxError::BeaconLost));
}

#[test]
fn a_peer_that_never_says_a_word_is_gone() {
    let begun = now();
    let mut client = Mux::new(true, begun);
    let deadline = begun + FIRST_WORDS_TIMEOUT;
    assert_eq!(client.poll_timeout(), Some(deadline));
    assert_eq!(client.handle_timeout(begun), Ok(false));
    assert_eq!(client.handle_timeout(deadline), Err(MuxError::BeaconLost));

    // Asked whether it lives, it has no longer than others.
    client.probe(begun);
    let deadline = begun + BEACON_TIMEOUT;
    assert_eq!(client.poll_timeout(), Some(deadline));
    client.probe(begun + Duration::from_secs(1));
    assert_eq!(client.handle_timeout(deadline), Err(MuxError::BeaconLost));

    // Any word will do, also from one that does not tell its version.
    client.receive(begun, request("sip", 7).into()).unwrap();
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn beacons_go_only_to_peers_that_told_their_version() {
    let mut client = Mux::new(true, now());
    wire(&mut client, now());
    client.probe(now());
    assert!(wire(&mut client, now()).is_empty());
    client
        .receive(now(), hex("92cdffffc40481a17601").into())
        .unwrap();
    assert_eq!(wire(&mut client, now()), hex("92cdffffc40481a170c3"));
    // One that does not know them gets none, but an answer.
    let mut client = Mux::new(true, now());
    wire(&mut client, now());
    client
        .receive(now(), hex("92cdffffc40481a17600").into())
        .unwrap();
    client.probe(now());
    assert!(wire(&mut client, now()).is_empty());
    client
        .receive(now(), hex("92cdffffc40481a170c3").into())
        .unwrap();
    assert_eq!(wire(&mut client, now()), hex("92cdffffc40481a170c2"));
}

/// Lets the timers of both run until none is left; how many beacons were sent.
fn settle(pair: &mut Pair) -> usize {
    let mut beacons = 0;
    loop {
        let timers = [pair.client.poll_timeout(), pair.server.poll_timeout()];
        let Some(next) = timers.into_iter().flatten().min() else {
            return beacons;
        };
        pair.now = next;
        for mux in [&mut pair.client, &mut pair.server] {
            beacons += usize::from(mux.handle_timeout(next).unwrap());
        }
        pair.run();
    }
}

/// A pair whose client wrote on a channel what the server never gets, and when.
fn unanswered() -> (Pair, u16, Instant) {
    let (mut pair, number) = Pair::open();
    settle(&mut pair);
    let begun = pair.now;
    let text = Bytes::from_static(b"text");
    pair.client.write(number, text).unwrap();
    wire(&mut pair.client, begun);
    (pair, number, begun)
}

#[test]
fn who_was_sent_something_and_keeps_silent_is_asked_once() {
    let (mut pair, number) = Pair::open();
    // The server answered the request, and was not heard by the client since; the client has
    // said nothing to that.
    assert_eq!(pair.client.poll_timeout(), None);
    assert_eq!(pair.server.poll_timeout(), Some(pair.now + SILENCE));
    assert_eq!(settle(&mut pair), 1);

    let written = pair.now;
    pair.client
        .write(number, Bytes::from_static(b"text"))
        .unwrap();
    pair.run();
    assert_eq!(pair.client.poll_timeout(), Some(written + SILENCE));
    // More that is sent meanwhile does not put it off.
    pair.now += SILENCE / 2;
    pair.client
        .write(number, Bytes::from_static(b"more"))
        .unwrap();
    pair.run();
    assert_eq!(pair.client.poll_timeout(), Some(written + SILENCE));
    assert_eq!(settle(&mut pair), 1, "answers are not asked about in turn");
    assert_eq!(pair.now, written + SILENCE);

    // Whoever says something need not be asked.
    pair.client
        .write(number, Bytes::from_static(b"text"))
        .unwrap();
    pair.run();
    pair.server
        .write(number, Bytes::from_static(b"seen"))
        .unwrap();
    pair.run();
    assert_eq!(pair.client.poll_timeout(), None);
}

#[test]
fn who_takes_everything_and_says_nothing_is_gone_after_half_a_minute() {
    let (mut pair, number, begun) = unanswered();
    let asked = begun + SILENCE;
    assert_eq!(pair.client.handle_timeout(asked - TICK), Ok(false));
    assert_eq!(pair.client.handle_timeout(asked), Ok(true));
    assert_eq!(wire(&mut pair.client, asked), hex("92cdffffc40481a170c3"));
    let deadline = asked + ANSWER_TIMEOUT;
    assert_eq!(deadline, begun + Duration::from_secs(30));
    assert_eq!(pair.client.poll_timeout(), Some(deadline));
    assert_eq!(pair.client.handle_timeout(deadline - TICK), Ok(false));

    // What was before the beacon has only left by now.
    pair.client.beacon_delayed(deadline - TICK);
    assert_eq!(pair.client.handle_timeout(deadline), Ok(false));
    let deadline = deadline - TICK + ANSWER_TIMEOUT;
    // What is sent behind it changes nothing.
    pair.client
        .write(number, Bytes::from_static(b"text"))
        .unwrap();
    wire(&mut pair.client, deadline - TICK);
    let lost = Err(MuxError::BeaconLost);
    assert_eq!(pair.client.handle_timeout(deadline), lost);
}

#[test]
fn who_asks_in_a_hurry_does_not_wait_for_the_patient_question() {
    let (mut pair, _, begun) = unanswered();
    let asked = begun + SILENCE;
    assert_eq!(pair.client.handle_timeout(asked), Ok(true));
    pair.client.probe(asked);
    assert_eq!(pair.client.poll_timeout(), Some(asked + BEACON_TIMEOUT));
}

#[test]
fn peers_that_do_not_know_beacons_may_keep_silent() {
    for version in ["", "92cdffffc40481a17600"] {
        let mut client = Mux::new(true, now());
        let bytes = [hex(version), request("sip", 0x8000)].concat();
        client.receive(now(), bytes.into()).unwrap();
        client.accept(0x8000);
        assert!(!wire(&mut client, now()).is_empty());
        assert_eq!(client.poll_timeout(), None);
    }
}

#[test]
fn what_is_no_msgpack_or_too_long_ends_the_link() {
    for bad in [
        "c1",
        "9205c1",
        "92c1",
        // a payload of 65536 bytes
        "9205c600010000",
        // a text of 4 GiB, an array and a map of as many items
        "dbffffffff",
        "ddffffffff",
        "dfffffffff",
    ] {
        let result = Mux::new(true, now()).receive(now(), hex(bad).into());
        assert_eq!(result, Err(MuxError::Malformed), "{bad}");
    }
    // Anything else that is no message may be as long as one.
    let mut text = hex("daffff");
    text.resize(MAX_MESSAGE + 3, b'x');
    Mux::new(true, now()).receive(now(), text.into()).unwrap();
    let endless = vec![0x91; MAX_MESSAGE + 20];
    let result = Mux::new(true, now()).receive(now(), endless.into());
    assert_eq!(result, Err(MuxError::Malformed));
}

#[test]
fn numbers_wrap_around_the_special_and_the_used_ones() {
    let mut server = Mux::new(false, now());
    server.next_number = 0xfffe;
    assert_eq!(server.open("a"), Ok(0xfffe));
    assert_eq!(server.open("a"), Ok(1));
    server.next_number = 0xfffe;
    assert_eq!(server.open("a"), Ok(2));
}

#[test]
fn several_items_share_a_control_message_and_lax_ones_are_understood() {
    let mut server = Mux::new(false, now());
    wire(&mut server, now());
    let mut items = control::channel("a", 5, control::State::Request);
    items.extend(hex("c0")); // no item of ours
    items.extend(hex("93c4016206cc00")); // name as bytes, wide state
    items.extend(hex("81a170c3")); // a beacon
    items.extend(hex("92a16307")); // no state
    items.extend(hex("9391c00700")); // no name
    items.extend(hex("93a16408ff")); // negative state
    server.receive(now(), message(0, &items).into()).unwrap();
    let requested = |name: &str, number| Event::Requested {
        number,
        name: name.to_owned(),
    };
    assert_eq!(
        events(&mut server),
        [requested("a", 5), requested("b", 6), requested("c", 7)]
    );
    assert_eq!(wire(&mut server, now()), hex("92cdffffc40481a170c2"));
    // On the protocol channel there are no requests.
    let request = control::channel("a", 9, control::State::Request);
    server
        .receive(now(), message(0xffff, &request).into())
        .unwrap();
    assert!(events(&mut server).is_empty());
}
