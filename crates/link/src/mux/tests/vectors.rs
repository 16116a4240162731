//! Captures of real peers.

use std::collections::BTreeMap;

use super::*;

/// A line of `connection-2023-A-mux-decoded.txt`: who sent, on which channel, and the rest.
fn decoded_line(line: &str) -> (char, u16, &str) {
    let mut words = line.splitn(6, ' ').skip(2);
    let direction = words.next().unwrap().chars().next().unwrap();
    assert_eq!(words.next(), Some("ch"));
    let channel = words.next().unwrap().parse().unwrap();
    (direction, channel, words.next().unwrap())
}

/// The reads and writes of the TLS layer of a 2023 daemon, by session and direction.
fn plaintext() -> BTreeMap<(String, char), Vec<Vec<u8>>> {
    let mut streams: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in vector("connection-2023-A-tls-plaintext.txt").lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if let [_, direction, session, bytes] = words[..] {
            let session = session[session.len() - 6..].to_owned();
            let direction = direction.chars().next().unwrap();
            streams
                .entry((session, direction))
                .or_default()
                .push(hex(bytes));
        }
    }
    streams
}

/// What one of the captured peers sent to see what happens.
const NO_MESSAGE: &str = "93010203";

#[test]
fn a_real_stream_is_decoded_as_an_independent_decoder_did() {
    let mut expected: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let text = vector("connection-2023-A-mux-decoded.txt");
    for line in text.lines() {
        let session = line.split(' ').nth(1).unwrap().to_owned();
        let (direction, channel, rest) = decoded_line(line);
        expected
            .entry((session, direction))
            .or_default()
            .push((channel, rest));
    }
    let mut count = 0;
    for (key, chunks) in plaintext() {
        let (frames, well) = frames(Bytes::from(chunks.concat()));
        assert!(well);
        // Later sessions are in one of the two files only.
        let Some(expected) = expected.get(&key) else {
            continue;
        };
        // That decoder gave up at the item that is no message, before the last one.
        let more = usize::from(key.0 == "009930");
        assert_eq!(frames.len(), expected.len() + more, "{key:?}");
        for (frame, (channel, rest)) in frames.iter().zip(expected) {
            assert_eq!(frame.channel, *channel);
            if let Some(raw) = rest.split("raw=").nth(1) {
                assert_eq!(message(*channel, &frame.data), hex(raw));
            } else if let Some(len) = rest.split("len ").nth(1) {
                let len: usize = len.split(' ').next().unwrap().parse().unwrap();
                assert_eq!(frame.data.len(), len);
            } else {
                assert!(rest.contains("EOF") && frame.data.is_empty(), "{rest}");
            }
            count += 1;
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn what_real_peers_sent_is_written_byte_for_byte() {
    for ((_, _), chunks) in plaintext() {
        let stream = chunks.concat();
        let (frames, _) = frames(Bytes::from(stream.clone()));
        let mut written = Vec::new();
        for frame in frames {
            for item in control::items(&frame.data).filter(|_| frame.channel == 0) {
                if let Item::Channel {
                    name,
                    number,
                    state,
                } = item
                {
                    let name = std::str::from_utf8(name).unwrap();
                    assert_eq!(control::channel(name, number, state), frame.data);
                }
            }
            let outgoing = Outgoing::new(frame.channel, frame.data);
            written.extend_from_slice(outgoing.header());
            written.extend_from_slice(outgoing.body());
        }
        let messages: Vec<_> = chunks
            .into_iter()
            .filter(|c| *c != hex(NO_MESSAGE))
            .collect();
        assert_eq!(written, messages.concat());
    }
}

/// The same messages that were sent to a real 2023 daemon; where it errs, ours answers as
/// the newer ones do (section 11.2).
#[test]
fn probes_are_answered() {
    let mut server = Mux::new(false, now());
    wire(&mut server, now());
    let mut answers = Vec::new();
    for line in vector("connection-mux-probe-messages.txt").lines() {
        let bytes = hex(line.split(' ').next().unwrap());
        server.receive(now(), bytes.into()).unwrap();
        for event in events(&mut server) {
            if let Event::Requested { number, name } = event {
                if name == "sip" {
                    server.accept(number);
                } else {
                    server.decline(number);
                }
            }
        }
        answers.push(wire(&mut server, now()));
    }
    let expected = [
        "",
        "9200c40993a5626f6775734d02",       // unknown name: declined
        "9200c40793a37369704e01",           // sip: accepted
        "9200c40793a37369704e02",           // the same number: declined
        "",                                 // end
        "",                                 // data for nobody
        "9200c40c93a873796e633a2f2f784f02", // sync: declined
        "9200c40793a37369700002",           // number 0: declined
        "9200c40993a3736970cdffff02",       // number 65535: declined
        "92cdffffc40481a170c2",             // beacon: answered
        "",                                 // unknown map
        "",                                 // ACCEPT for nobody
        "",                                 // no message
        "92cdffffc40481a170c2",             // beacon: still alive
    ];
    let expected: Vec<_> = expected.iter().map(|answer| hex(answer)).collect();
    assert_eq!(answers, expected);
}

/// Control and protocol messages of the newest daemon: known kinds only, and ours are the
/// same bytes.
#[test]
fn control_messages_of_the_newest_daemon_are_understood() {
    let mut count = 0;
    for line in vector("head-messages.txt").lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let Some(kind @ ("control" | "protocol")) = words.get(3).copied() else {
            continue;
        };
        let Some(bytes) = line.split(" hex ").nth(1).map(hex) else {
            continue;
        };
        let written = match control::items(&bytes).next() {
            Some(Item::Channel {
                name,
                number,
                state,
            }) if kind == "control" => {
                control::channel(std::str::from_utf8(name).unwrap(), number, state)
            }
            Some(Item::BeaconRequest) => control::beacon(true),
            Some(Item::BeaconResponse) => control::beacon(false),
            Some(Item::Version(1)) => control::version(),
            other => panic!("{other:?} in {line}"),
        };
        assert_eq!(written, bytes, "{line}");
        count += 1;
    }
    assert!(count > 20, "{count}");
}
