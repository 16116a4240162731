//! What TLS and the multiplexer cost, without any network: `cargo run --release --example
//! tunnel`. Both ends run on one thread, so that a link between two machines does about
//! twice what the bulk figure says.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for developers"
)]

use std::time::{Duration, Instant};

use baraza_identity::testing;
use baraza_link::mux::{Event, Mux};
use baraza_link::tls::{Session, Side, TlsConfig};
use baraza_wire::Now;
use bytes::Bytes;

/// How long each figure is measured.
const EACH: Duration = Duration::from_secs(1);

/// As much as a link hands to its connection before it waits for it.
const BUDGET: usize = 128 * 1024;

struct End {
    tls: Session,
    mux: Mux,
}

impl End {
    /// Everything this end has to say reaches the other; how many bytes of TLS.
    fn send_to(&mut self, other: &mut Self, now: Instant) -> usize {
        let mut wire = Vec::with_capacity(BUDGET + 70_000);
        self.tls.write_from(now, &mut self.mux, BUDGET).unwrap();
        self.tls
            .drain_records(|record| wire.extend_from_slice(record));
        other.tls.receive(&wire).unwrap();
        while let Some(bytes) = other.tls.poll_plaintext() {
            other.mux.receive(now, bytes).unwrap();
        }
        wire.len()
    }
}

fn main() {
    let start = Instant::now();
    let now = Now {
        instant: start,
        unix: testing::NOW,
    };
    let (alice, bob) = (testing::identity("alice"), testing::identity("bob"));
    let begin = Instant::now();
    let (alice_tls, bob_tls) = (
        TlsConfig::new(&alice).unwrap(),
        TlsConfig::new(&bob).unwrap(),
    );
    println!("configuration: {:.1?} for two", begin.elapsed());

    let handshake = |prefer_post_quantum| {
        let side = Side::Client {
            prefer_post_quantum,
        };
        let client = Session::new(&alice_tls, side, bob.public_key().clone(), now).unwrap();
        let server = Session::new(&bob_tls, Side::Server, alice.public_key().clone(), now).unwrap();
        let mut ends = (
            End {
                tls: client,
                mux: Mux::new(true, now.instant),
            },
            End {
                tls: server,
                mux: Mux::new(false, now.instant),
            },
        );
        let mut sizes = Vec::new();
        for _ in 0..6 {
            let (client, server) = (&mut ends.0.tls, &mut ends.1.tls);
            let (mut there, mut back) = (Vec::new(), Vec::new());
            client.drain_records(|record| there.extend_from_slice(record));
            server.receive(&there).unwrap();
            server.drain_records(|record| back.extend_from_slice(record));
            client.receive(&back).unwrap();
            sizes.extend([there.len(), back.len()]);
        }
        assert!(ends.0.tls.peer().is_some() && ends.1.tls.peer().is_some());
        (ends, sizes)
    };
    for prefer_post_quantum in [false, true] {
        let (ends, sizes) = handshake(prefer_post_quantum);
        let begin = Instant::now();
        let mut count = 0_u32;
        while begin.elapsed() < EACH {
            handshake(prefer_post_quantum);
            count += 1;
        }
        let sizes: Vec<_> = sizes.into_iter().filter(|size| *size > 0).collect();
        println!(
            "handshake, hybrid first: {prefer_post_quantum}: {:.2?} for both sides, flights of {sizes:?} bytes, {}",
            begin.elapsed() / count,
            ends.0.tls.parameters()
        );
    }

    let ((mut client, mut server), _) = handshake(true);
    let number = client.mux.open("sip").unwrap();
    client.send_to(&mut server, start);
    server.mux.accept(number);
    server.send_to(&mut client, start);
    bulk(&mut client, &mut server, number);
    pipelined(&mut client, &mut server, number);
    round_trips(&mut client, &mut server, number);
}

/// Messages of 64 KiB one way.
fn bulk(client: &mut End, server: &mut End, number: u16) {
    let begin = Instant::now();
    let body = Bytes::from(vec![7; 65_535]);
    let (mut received, mut wire) = (0, 0);
    while begin.elapsed() < EACH {
        while client.mux.write(number, body.clone()).is_ok() {}
        wire += client.send_to(server, begin);
        while let Some(event) = server.mux.poll_event() {
            if let Event::Data { bytes, .. } = event {
                received += bytes.len();
                server.mux.consumed(number, bytes.len());
            }
        }
        while client.mux.poll_event().is_some() {}
    }
    report("bulk, 64 KiB messages", received, begin.elapsed(), wire);
}

/// Messages of 100 bytes one way, as many at once as the window takes.
fn pipelined(client: &mut End, server: &mut End, number: u16) {
    let begin = Instant::now();
    let body = Bytes::from(vec![7; 100]);
    let (mut received, mut wire, mut count) = (0, 0, 0_u32);
    while begin.elapsed() < EACH {
        while client.mux.write(number, body.clone()).is_ok() {}
        wire += client.send_to(server, begin);
        while let Some(event) = server.mux.poll_event() {
            if let Event::Data { bytes, .. } = event {
                received += bytes.len();
                count += 1;
                server.mux.consumed(number, bytes.len());
            }
        }
        while client.mux.poll_event().is_some() {}
    }
    report("small, 100 bytes, one way", received, begin.elapsed(), wire);
    println!(
        "  {:.0} messages/s",
        f64::from(count) / begin.elapsed().as_secs_f64()
    );
}

/// Messages of 100 bytes there and back, one at a time.
fn round_trips(client: &mut End, server: &mut End, number: u16) {
    let begin = Instant::now();
    let body = Bytes::from(vec![7; 100]);
    let mut count = 0_u32;
    while begin.elapsed() < EACH {
        client.mux.write(number, body.clone()).unwrap();
        client.send_to(server, begin);
        while let Some(event) = server.mux.poll_event() {
            if let Event::Data { bytes, .. } = event {
                server.mux.consumed(number, bytes.len());
                server.mux.write(number, bytes).unwrap();
            }
        }
        server.send_to(client, begin);
        while let Some(event) = client.mux.poll_event() {
            if let Event::Data { bytes, .. } = event {
                client.mux.consumed(number, bytes.len());
                count += 1;
            }
        }
    }
    println!(
        "round trips of 100 bytes: {:.0}/s",
        f64::from(count) / begin.elapsed().as_secs_f64()
    );
}

fn report(what: &str, bytes: usize, time: Duration, wire: usize) {
    let megabytes = f64::from(u32::try_from(bytes / 1000).unwrap_or(u32::MAX)) / 1000.0;
    println!(
        "{what}: {:.0} MB/s, {:.1} % overhead",
        megabytes / time.as_secs_f64(),
        100.0 * f64::from(u32::try_from((wire - bytes) / 1000).unwrap_or(u32::MAX))
            / f64::from(u32::try_from(bytes / 1000).unwrap_or(u32::MAX))
    );
}
