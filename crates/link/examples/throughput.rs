//! How fast links are over loopback TCP, sockets and threads included: `cargo run --release
//! --example throughput`. The DHT between the two ends is a list in memory.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a program for developers"
)]

#[path = "../tests/it/local.rs"]
mod local;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use baraza_identity::testing;
use baraza_link::{ChannelId, Command, Event, WRITE_WINDOW};
use baraza_wire::DeviceId;
use bytes::Bytes;
use local::{End, SmallDht};

/// How long each figure is measured.
const EACH: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() {
    let dht = Arc::new(Mutex::new(SmallDht::default()));
    let mut alice = End::new(&dht, "alice");
    let mut bob = End::new(&dht, "bob");
    let device = testing::identity("bob").device_id();
    let begin = Instant::now();
    let (here, there) = open(&mut alice, &mut bob, device, 1).await;
    println!("first channel, link included: {:.1?}", begin.elapsed());
    let begin = Instant::now();
    for number in 2..102 {
        open(&mut alice, &mut bob, device, number).await;
    }
    println!("each further channel: {:.0?}", begin.elapsed() / 100);
    round_trips(&mut alice, &mut bob, here, there).await;
    for size in [100, 4_000, 65_535] {
        one_way(&mut alice, &mut bob, (here, there), size).await;
    }
    second_of_two(&mut alice, &mut bob, (here, there)).await;
}

/// What it is told next, which must not be bad news.
async fn next(end: &mut End) -> Event {
    let event = end.events.recv().await.unwrap();
    if let Event::Closed { .. } | Event::LinkDown { .. } | Event::Failed { .. } = event {
        panic!("{event:?}");
    }
    event
}

/// What both ends together have spent of the processors, in seconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<_> = after_name.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

/// A channel from `from` to `to`, accepted.
async fn open(
    from: &mut End,
    to: &mut End,
    device: DeviceId,
    number: u64,
) -> (ChannelId, ChannelId) {
    let here = ChannelId(number);
    from.handle.send(Command::Open {
        channel: here,
        device,
        name: "sip".to_owned(),
        reason: String::new(),
    });
    let there = loop {
        if let Event::Requested { channel, .. } = next(to).await {
            break channel;
        }
    };
    to.handle.send(Command::Accept { channel: there });
    loop {
        match next(from).await {
            Event::Opened { channel, .. } if channel == here => return (here, there),
            Event::Failed { reason, .. } => panic!("{reason}"),
            _ => {}
        }
    }
}

/// 100 bytes there and back, one at a time.
async fn round_trips(alice: &mut End, bob: &mut End, here: ChannelId, there: ChannelId) {
    let (begin, before) = (Instant::now(), cpu());
    let body = Bytes::from(vec![7; 100]);
    let mut count = 0_u32;
    while begin.elapsed() < EACH {
        let bytes = body.clone();
        alice.handle.send(Command::Write {
            channel: here,
            bytes,
        });
        receive(bob, there).await;
        let bytes = body.clone();
        bob.handle.send(Command::Write {
            channel: there,
            bytes,
        });
        receive(alice, here).await;
        count += 1;
    }
    println!(
        "round trips of 100 bytes: {:.0}/s, {:.1} µs of processor each",
        f64::from(count) / begin.elapsed().as_secs_f64(),
        1e6 * (cpu() - before) / f64::from(count)
    );
}

async fn receive(end: &mut End, wanted: ChannelId) -> usize {
    loop {
        if let Event::Data { channel, bytes } = next(end).await
            && channel == wanted
        {
            let len = bytes.len();
            end.handle.send(Command::Consumed {
                channel,
                bytes: len,
            });
            return len;
        }
    }
}

/// Messages of `size` bytes, as many at once as the window takes.
async fn one_way(
    alice: &mut End,
    bob: &mut End,
    (here, there): (ChannelId, ChannelId),
    size: usize,
) {
    let (begin, before) = (Instant::now(), cpu());
    let body = Bytes::from(vec![7; size]);
    let handle = alice.handle.clone();
    let sending = async {
        let (mut window, mut sent) = (0, 0);
        while begin.elapsed() < EACH {
            while window + size <= WRITE_WINDOW {
                window += size;
                sent += size;
                let bytes = body.clone();
                handle.send(Command::Write {
                    channel: here,
                    bytes,
                });
            }
            if let Event::Sent { bytes, .. } = next(alice).await {
                window -= bytes;
            }
        }
        while window > 0 {
            if let Event::Sent { bytes, .. } = next(alice).await {
                window -= bytes;
            }
        }
        sent
    };
    let received = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let receiving = async {
        loop {
            let len = receive(bob, there).await;
            received.fetch_add(len, std::sync::atomic::Ordering::Relaxed);
        }
    };
    tokio::pin!(receiving);
    let sent = tokio::select! {
        sent = sending => sent,
        () = &mut receiving => 0,
    };
    while received.load(std::sync::atomic::Ordering::Relaxed) < sent {
        tokio::select! {
            () = &mut receiving => {}
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let kilobytes = f64::from(u32::try_from(sent / 1000).unwrap());
    let count = kilobytes * 1000.0 / f64::from(u32::try_from(size).unwrap());
    println!(
        "messages of {size} bytes, one way: {:.0}/s, {:.0} MB/s, {:.2} µs of processor each",
        count / seconds,
        kilobytes / 1000.0 / seconds,
        1e6 * (cpu() - before) / count
    );
}

/// How long a small message takes while another channel is busy.
async fn second_of_two(alice: &mut End, bob: &mut End, (here, there): (ChannelId, ChannelId)) {
    let begin = Instant::now();
    let body = Bytes::from(vec![7; 65_535]);
    let small = ChannelId(2);
    let (mut window, mut waits) = (0, Vec::new());
    let mut asked: Option<Instant> = None;
    while begin.elapsed() < EACH {
        while window + body.len() <= WRITE_WINDOW {
            window += body.len();
            let bytes = body.clone();
            alice.handle.send(Command::Write {
                channel: here,
                bytes,
            });
        }
        if asked.is_none() {
            asked = Some(Instant::now());
            alice.handle.send(Command::Write {
                channel: small,
                bytes: Bytes::from_static(b"ping"),
            });
        }
        tokio::select! {
            event = alice.events.recv() => {
                if let Some(Event::Sent { channel, bytes }) = event && channel == here {
                    window -= bytes;
                }
            }
            event = bob.events.recv() => {
                if let Some(Event::Data { channel, bytes }) = event {
                    let bytes = bytes.len();
                    bob.handle.send(Command::Consumed { channel, bytes });
                    if channel != there {
                        waits.push(asked.take().unwrap().elapsed());
                    }
                }
            }
        }
    }
    waits.sort();
    println!(
        "a small message beside a bulk channel: median {:.0?}, worst {:.0?} of {}",
        waits[waits.len() / 2],
        waits[waits.len() - 1],
        waits.len()
    );
}
