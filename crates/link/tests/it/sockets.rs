//! Links on threads with real sockets, over loopback.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use baraza_identity::testing;
use baraza_link::{ChannelId, Command, DownReason, Event, WRITE_WINDOW};
use bytes::Bytes;

use crate::local::{End, SmallDht};

/// Much longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

async fn wait_for<T>(end: &mut End, mut choose: impl FnMut(Event) -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = choose(end.events.recv().await.unwrap()) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap()
}

async fn open(from: &mut End, to: &mut End, name: &str) -> (ChannelId, ChannelId) {
    let here = ChannelId(1);
    from.handle.send(Command::Open {
        channel: here,
        device: testing::identity(name).device_id(),
        name: "data-transfer://x".to_owned(),
        reason: String::new(),
    });
    let there = wait_for(to, |event| match event {
        Event::Requested { channel, .. } => Some(channel),
        _ => None,
    })
    .await;
    to.handle.send(Command::Accept { channel: there });
    wait_for(from, |event| match event {
        Event::Opened { channel, .. } => Some(channel),
        Event::Failed { reason, .. } => panic!("{reason}"),
        _ => None,
    })
    .await;
    (here, there)
}

/// Some bytes that depend on where they are.
fn content(from: usize, len: usize) -> Vec<u8> {
    let bytes = (from..from + len).map(|i| (i / 3).to_le_bytes()[0]);
    bytes.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_arrives_whole_at_a_reader_that_takes_its_time() {
    const TOTAL: usize = 24 << 20;
    let dht = Arc::new(Mutex::new(SmallDht::default()));
    let (mut alice, mut bob) = (End::new(&dht, "alice"), End::new(&dht, "bob"));
    let (here, there) = open(&mut alice, &mut bob, "bob").await;
    let reading = tokio::spawn(async move {
        let mut received = 0;
        let mut held = 0;
        while received < TOTAL {
            let bytes = wait_for(&mut bob, |event| match event {
                Event::Data { channel, bytes } if channel == there => Some(bytes),
                Event::Closed { .. } => panic!("closed after {received} bytes"),
                _ => None,
            })
            .await;
            assert!(bytes == content(received, bytes.len()), "at {received}");
            received += bytes.len();
            held += bytes.len();
            // In bursts, so that the link has to stop reading and go on.
            if held > 3 << 20 || received == TOTAL {
                bob.handle.send(Command::Consumed {
                    channel: there,
                    bytes: held,
                });
                held = 0;
            }
        }
        bob
    });
    let (mut sent, mut window) = (0, 0);
    while sent < TOTAL || window > 0 {
        let piece = (TOTAL - sent).min(50_000);
        if piece > 0 && window + piece <= WRITE_WINDOW {
            let bytes = Bytes::from(content(sent, piece));
            alice.handle.send(Command::Write {
                channel: here,
                bytes,
            });
            sent += piece;
            window += piece;
            continue;
        }
        window -= wait_for(&mut alice, |event| match event {
            Event::Sent { bytes, .. } => Some(bytes),
            Event::Closed { .. } => panic!("closed"),
            _ => None,
        })
        .await;
    }
    let mut bob = reading.await.unwrap();
    // Without its owner a node closes its links, and the other is told.
    drop(alice);
    wait_for(&mut bob, |event| match event {
        Event::Closed { channel } => (channel == there).then_some(()),
        _ => None,
    })
    .await;
    wait_for(&mut bob, |event| {
        let closed = DownReason::Peer;
        matches!(event, Event::LinkDown { reason, .. } if reason == closed).then_some(())
    })
    .await;
}
