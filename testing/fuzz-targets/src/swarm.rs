//! `baraza-swarm`: the git wire.

use std::time::Instant;

use baraza_swarm::bundle::Header;
use baraza_swarm::fetch::{Fetch, FetchLimits, FetchOutput, Nothing};
use baraza_swarm::pack::{PackLimits, Spool, UnpackedPack};
use baraza_swarm::pktline::{MAX_DATA_SENT, MAX_WRITE, Packet, PktReader, PktWriter};
use baraza_swarm::upload_pack::{Served, ServerOutput, UploadPack};
use baraza_wire::{CommitId, ConversationId, DeviceId};
use gix::objs::Find;
use gix::objs::find::Never;

const HEAD: CommitId = CommitId::new([0x8b; 20]);
const LIMITS: PackLimits = PackLimits {
    bytes: 1 << 20,
    objects: 2_000,
    object_size: 1 << 20,
    decoded: 8 << 20,
    delta_depth: 64,
    tree_depth: 8,
    tree_entries: 2_000,
};

/// The packets in `data`, pushed in pieces of `piece` bytes; whether they ended well.
fn packets(data: &[u8], piece: usize) -> (Vec<Packet>, bool) {
    let mut reader = PktReader::new();
    let mut found = Vec::new();
    for part in data.chunks(piece.max(1)) {
        reader.push(part);
        loop {
            match reader.next_packet() {
                Ok(Some(packet)) => found.push(packet),
                Ok(None) => break,
                Err(_) => return (found, false),
            }
        }
    }
    (found, true)
}

/// The same packets whatever the chunking, and what is written reads back.
pub(crate) fn pktline(data: &[u8]) -> bool {
    let (whole, good) = packets(data, data.len());
    assert_eq!(
        packets(data, 7),
        (whole.clone(), good),
        "chunking does not matter"
    );
    for packet in &whole {
        let mut writer = PktWriter::new();
        let fits = match packet {
            Packet::Flush => writer.flush(),
            Packet::Data(data) => writer.line(&[data]),
        };
        let short = matches!(packet, Packet::Data(data) if data.len() <= MAX_DATA_SENT);
        assert_eq!(
            fits,
            short || *packet == Packet::Flush,
            "only what is too long does not fit"
        );
        if fits {
            let again = packets(&writer.finish(), usize::MAX);
            assert_eq!(
                again,
                (vec![packet.clone()], true),
                "a written packet reads back"
            );
        }
    }
    good && !whole.is_empty()
}

/// A pack from a peer: what is unpacked is complete and stays within the limits.
pub(crate) fn pack(data: &[u8]) -> bool {
    let Ok(pack) = UnpackedPack::read(Spool::from_memory(data.to_vec()), &LIMITS) else {
        return false;
    };
    assert!(pack.len() <= 2_000, "not more objects than allowed");
    assert_eq!(
        pack.objects().count(),
        pack.len(),
        "every object has a name"
    );
    assert!(
        pack.objects()
            .all(|(id, kind)| pack.kind(&id) == Some(kind)),
        "and is found by it"
    );
    true
}

/// A repository with a head, whose objects cannot be read.
struct Unreadable(Never);

impl Served for Unreadable {
    fn head(&self) -> Option<CommitId> {
        Some(HEAD)
    }

    fn objects(&self) -> &dyn Find {
        &self.0
    }
}

/// What a client may send to our server: it answers in whole packets that fit the
/// multiplexer, and nothing after it closed.
pub(crate) fn git_server(data: &[u8]) -> bool {
    let mut server = UploadPack::new(LIMITS);
    let served = Unreadable(Never);
    let (mut answered, mut closed) = (false, false);
    for part in data.chunks(300) {
        server.receive(part, &served);
        while let Some(output) = server.poll_output(&served) {
            assert!(!closed, "nothing follows the end");
            match output {
                ServerOutput::Write(bytes) => {
                    assert!(bytes.len() <= MAX_WRITE, "a write fits one channel write");
                    assert!(packets(&bytes, usize::MAX).1, "a write is whole packets");
                    answered = true;
                }
                ServerOutput::Close(_) => closed = true,
                _ => {}
            }
        }
    }
    answered
}

/// What a server may send to our client.
pub(crate) fn git_client(data: &[u8]) -> bool {
    let limits = FetchLimits {
        pack_bytes: 200 << 10, // stays in memory
        ..FetchLimits::default()
    };
    let now = Instant::now();
    let mut client = Fetch::new(
        ConversationId::new([0x8b; 20]),
        DeviceId::new([1; 32]),
        std::env::temp_dir(),
        limits,
    );
    assert!(client.start(now).is_ok(), "a new machine can start");
    let (mut answered, mut failed) = (false, false);
    for part in data.chunks(300) {
        client.receive(now, part, &Nothing);
        while let Some(output) = client.poll_output() {
            assert!(!failed, "nothing follows a failure");
            match output {
                FetchOutput::Write(bytes) => {
                    assert!(bytes.len() <= MAX_WRITE, "a write fits one channel write");
                    answered = true;
                }
                FetchOutput::Done(_) => answered = true,
                FetchOutput::Failed(_) => failed = true,
            }
        }
    }
    answered
}

/// The header of a bundle: what is accepted was signed, and is written as it was read.
pub(crate) fn bundle(data: &[u8]) -> bool {
    let now = baraza_wire::UnixTime::from_secs(1_800_000_000);
    let mut input = data;
    let Ok((header, device, account)) = Header::read(&mut input, now) else {
        return false;
    };
    assert!(!device.is_zero() && !account.is_zero(), "nobody signed it");
    let text = serde_json::to_vec(&header).unwrap_or_default();
    let again: Header = serde_json::from_slice(&text).unwrap_or_else(|_| panic!("not read"));
    assert_eq!(again, header);
    true
}
