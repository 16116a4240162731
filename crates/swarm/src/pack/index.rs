//! Pack indices, version 2.

use std::io::{self, Write};

use gix::ObjectId;

use super::unpack::IndexEntry;

/// Writes the index of a pack. `entries` must be in the order of ids; offsets fit 31 bits
/// because packs are limited to 256 MiB.
pub(crate) fn write_index(
    entries: impl ExactSizeIterator<Item = IndexEntry> + Clone,
    pack_checksum: ObjectId,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut out = Hashing {
        out,
        hasher: gix::hash::hasher(gix::hash::Kind::Sha1),
    };
    out.put(b"\xfftOc\0\0\0\x02")?;
    let mut fan = [0_u32; 256];
    for entry in entries.clone() {
        let first = entry.id.as_bytes().first().copied().unwrap_or(0);
        if let Some(count) = fan.get_mut(usize::from(first)) {
            *count = count.saturating_add(1);
        }
    }
    let mut total = 0_u32;
    for count in fan {
        total = total.saturating_add(count);
        out.put(&total.to_be_bytes())?;
    }
    for entry in entries.clone() {
        out.put(entry.id.as_bytes())?;
    }
    for entry in entries.clone() {
        out.put(&entry.crc.to_be_bytes())?;
    }
    for entry in entries {
        if entry.offset > i32::MAX.unsigned_abs() {
            return Err(io::Error::other("pack too large for its index"));
        }
        out.put(&entry.offset.to_be_bytes())?;
    }
    out.put(pack_checksum.as_bytes())?;
    let Hashing { out, hasher } = out;
    let checksum = hasher.try_finalize().map_err(io::Error::other)?;
    out.write_all(checksum.as_bytes())
}

struct Hashing<'a, W> {
    out: &'a mut W,
    hasher: gix::hash::Hasher,
}

impl<W: Write> Hashing<'_, W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }
}
