//! What is served in place of a pack.

use std::io::Write;
use std::sync::OnceLock;

use baraza_wire::Rng;
use flate2::Compression;
use flate2::write::ZlibEncoder;

/// A kind of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pack {
    /// An object of a gigabyte, packed small.
    Bomb,
    /// Deltas that make much out of little, one upon the other.
    Deltas,
    /// Fewer objects than it says.
    Count,
    /// Cut off in the middle of an object.
    Truncated,
    /// Never ends.
    Endless,
    /// Not even packets.
    Garbage,
}

const KINDS: [Pack; 6] = [
    Pack::Bomb,
    Pack::Deltas,
    Pack::Count,
    Pack::Truncated,
    Pack::Endless,
    Pack::Garbage,
];

impl Pack {
    pub(super) fn any(rng: &mut Rng) -> Self {
        let index = rng.index(KINDS.len()).unwrap_or(0);
        KINDS[index]
    }

    /// What is said to these bytes of a client.
    pub(super) fn answer(self, bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
        let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        if has(b"git-upload-pack") {
            return advertisement(rng);
        }
        if !has(b"done") {
            return line(b"NAK\n");
        }
        let mut answer = line(b"NAK\n");
        match self {
            Self::Bomb => answer.extend(band(&pack(1, &object(3, 1 << 30, bomb())))),
            Self::Deltas => answer.extend(band(&deltas())),
            Self::Count => answer.extend(band(&pack(100_000, &object(3, 2, &deflate(b"hi"))))),
            Self::Truncated => {
                let whole = object(3, 4000, &deflate(&[7; 4000]));
                answer.extend(band(&pack(1, &whole[..whole.len() / 2])));
            }
            Self::Endless => {
                answer.extend(band(b"PACK\0\0\0\x02\x7f\xff\xff\xff"));
                return answer;
            }
            Self::Garbage => answer.extend(rng.bytes::<64>()),
        }
        answer.extend(b"0000");
        answer
    }
}

/// More of a pack that never ends: small blobs.
pub(super) fn junk() -> Vec<u8> {
    static JUNK: OnceLock<Vec<u8>> = OnceLock::new();
    JUNK.get_or_init(|| {
        let one = object(3, 9, &deflate(b"nonsense\n"));
        band(&one.repeat(200))
    })
    .clone()
}

fn line(text: &[u8]) -> Vec<u8> {
    let mut line = format!("{:04x}", text.len() + 4).into_bytes();
    line.extend(text);
    line
}

/// A head that nobody has, so that it is asked for.
fn advertisement(rng: &mut Rng) -> Vec<u8> {
    let head = baraza_wire::hex::encode(&rng.bytes::<20>());
    let capabilities = "side-band side-band-64k shallow no-progress include-tag";
    let mut text = line(format!("{head} HEAD\0{capabilities}\n").as_bytes());
    text.extend(line(format!("{head} refs/heads/main\n").as_bytes()));
    text.extend(b"0000");
    text
}

/// On the first side band.
fn band(bytes: &[u8]) -> Vec<u8> {
    let mut packets = Vec::new();
    for piece in bytes.chunks(60_000) {
        let mut data = vec![1];
        data.extend(piece);
        packets.extend(line(&data));
    }
    packets
}

fn pack(count: u32, objects: &[u8]) -> Vec<u8> {
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    pack.extend(count.to_be_bytes());
    pack.extend(objects);
    pack.extend(sha1(&pack));
    pack
}

fn object(kind: u8, size: u64, packed: &[u8]) -> Vec<u8> {
    let mut object = Vec::new();
    let mut rest = size >> 4;
    let mut byte = kind << 4 | (size & 15) as u8;
    while rest > 0 {
        object.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    object.push(byte);
    object.extend(packed);
    object
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    // A vector takes everything.
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

fn sha1(bytes: &[u8]) -> [u8; 20] {
    *baraza_dht::infohash(bytes).as_bytes()
}

/// The beginning of a gigabyte of zeros.
fn bomb() -> &'static [u8] {
    static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
    BOMB.get_or_init(|| deflate(&vec![0; 48 << 20]))
}

/// A blob of 64 KiB, and deltas each of which repeats the one before a hundred times.
fn deltas() -> Vec<u8> {
    let base = vec![0; 1 << 16];
    let mut id = sha1(&[format!("blob {}\0", base.len()).as_bytes(), &base].concat());
    let mut objects = object(3, base.len() as u64, &deflate(&base));
    let mut size = base.len() as u64;
    for _ in 0..8 {
        let target = size.saturating_mul(100);
        let mut delta = varint(size);
        delta.extend(varint(target));
        for _ in 0..100 {
            // Copy all of the base, as far as one instruction can say.
            delta.push(0x80 | 0x70);
            delta.extend(&(size.min(0xff_ffff) as u32).to_le_bytes()[..3]);
        }
        let mut entry = object(7, delta.len() as u64, &id);
        entry.extend(deflate(&delta));
        objects.extend(entry);
        // The ids of those above are not right: nobody should get so far.
        id = sha1(&id);
        size = target;
    }
    pack(9, &objects)
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
