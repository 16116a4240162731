//! First reading of a pack: every entry, front to end.

use gix::ObjectId;
use gix::objs::Kind;

use super::inflate::{Cursor, Inflate};
use super::{PackError, PackLimits, Spool};

/// One entry. Offsets fit 32 bits because packs are limited to 256 MiB; a larger limit is
/// clamped by [`scan`].
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Where its header starts.
    pub(super) offset: u32,
    /// Length of the header; zlib data follow.
    pub(super) header: u8,
    /// CRC-32 of header and zlib data, for the index.
    pub(super) crc: u32,
    /// Bytes of the stream when unpacked: the object, or the delta.
    pub(super) size: u32,
    pub(super) base: Base,
    /// Known at once for whole objects, after resolution for deltas.
    pub(super) object: Option<(Kind, ObjectId)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// Not a delta.
    Whole,
    /// A delta to the entry of this number.
    Entry(u32),
    /// A delta to the object of this id.
    Object(ObjectId),
}

pub(super) struct Scan {
    pub(super) entries: Vec<Entry>,
    /// The whole objects, by entry number, while they are few: empty for deltas, `None` if
    /// there was too much.
    pub(super) kept: Option<Vec<Vec<u8>>>,
    pub(super) kept_bytes: u64,
    /// Unpacked bytes so far.
    pub(super) decoded: u64,
    pub(super) checksum: ObjectId,
}

/// Most unpacked bytes kept in memory; packs with more go to disk.
pub(super) const KEEP_BYTES: u64 = 4 << 20;
/// Most objects kept in memory.
const KEEP_OBJECTS: u32 = 4096;
/// Length of the checksum at the end.
const TRAILER: u64 = 20;

/// Reads all entries of `spool` and checks the limits, sizes and the checksum at the end.
pub(super) fn scan(spool: &Spool, limits: &PackLimits) -> Result<Scan, PackError> {
    let limit = limits.bytes.min(u64::from(u32::MAX));
    if spool.len() > limit {
        return Err(PackError::TooManyBytes(limit));
    }
    let end = spool.len().saturating_sub(TRAILER);
    let mut cursor = Cursor::new(spool, 0, end, 64 << 10).hashing();
    if cursor.bytes::<8>()? != *b"PACK\0\0\0\x02" {
        return Err(cursor.damaged("it does not start with PACK, version 2"));
    }
    let count = u32::from_be_bytes(cursor.bytes()?);
    if count > limits.objects {
        return Err(PackError::TooManyObjects {
            count: count.into(),
            limit: limits.objects.into(),
        });
    }
    let mut inflate = Inflate::new();
    let mut scan = Scan {
        // An entry has at least 9 bytes, so the pack's real length bounds the memory.
        entries: Vec::with_capacity(capacity(count, spool.len())),
        kept: (count <= KEEP_OBJECTS).then(Vec::new),
        kept_bytes: 0,
        decoded: 0,
        checksum: ObjectId::null(gix::hash::Kind::Sha1),
    };
    for _ in 0..count {
        scan.entry(&mut cursor, &mut inflate, limits)?;
    }
    if cursor.position() != end {
        return Err(cursor.damaged("there are bytes after the last object"));
    }
    let mut trailer = [0; 20];
    if spool.read_at(end, &mut trailer)? != trailer.len() {
        return Err(cursor.damaged("it ends too early"));
    }
    scan.checksum = ObjectId::Sha1(trailer);
    if cursor.finish_hash()? != Some(scan.checksum) {
        return Err(PackError::Checksum);
    }
    Ok(scan)
}

fn capacity(count: u32, bytes: u64) -> usize {
    usize::try_from(u64::from(count).min(bytes / 9)).unwrap_or(0)
}

impl Scan {
    fn entry(
        &mut self,
        cursor: &mut Cursor<'_>,
        inflate: &mut Inflate,
        limits: &PackLimits,
    ) -> Result<(), PackError> {
        cursor.restart_crc();
        let start = cursor.position();
        let (kind, size) = kind_and_size(cursor)?;
        if size > limits.object_size {
            return Err(PackError::ObjectTooLarge {
                size,
                limit: limits.object_size,
            });
        }
        self.decoded = self.decoded.saturating_add(size);
        if self.decoded > limits.decoded {
            return Err(PackError::TooMuchDecoded(limits.decoded));
        }
        let (base, kind) = match kind {
            1 => (Base::Whole, Some(Kind::Commit)),
            2 => (Base::Whole, Some(Kind::Tree)),
            3 => (Base::Whole, Some(Kind::Blob)),
            4 => return Err(PackError::Tag),
            6 => (self.base_by_distance(cursor, start)?, None),
            7 => (Base::Object(ObjectId::Sha1(cursor.bytes()?)), None),
            _ => return Err(cursor.damaged("an object of unknown kind")),
        };
        let small = |value: u64| u32::try_from(value).map_err(|_| cursor.damaged("too large"));
        let header = u8::try_from(cursor.position().saturating_sub(start))
            .map_err(|_| cursor.damaged("an endless header"))?;
        let (offset, size32) = (small(start)?, small(size)?);
        let object = match kind {
            Some(kind) => Some((kind, self.whole(cursor, inflate, kind, size)?)),
            None => {
                inflate.run(cursor, size, |_| {})?;
                if let Some(kept) = &mut self.kept {
                    kept.push(Vec::new());
                }
                None
            }
        };
        self.entries.push(Entry {
            offset,
            header,
            crc: cursor.crc(),
            size: size32,
            base,
            object,
        });
        Ok(())
    }

    /// Unpacks and hashes a whole object, and keeps it if there is room.
    fn whole(
        &mut self,
        cursor: &mut Cursor<'_>,
        inflate: &mut Inflate,
        kind: Kind,
        size: u64,
    ) -> Result<ObjectId, PackError> {
        let mut hasher = object_hasher(kind, size);
        self.kept_bytes = self.kept_bytes.saturating_add(size);
        if self.kept_bytes > KEEP_BYTES {
            self.kept = None;
        }
        let mut data = Vec::new();
        let keep = self.kept.is_some();
        inflate.run(cursor, size, |bytes| {
            hasher.update(bytes);
            if keep {
                data.extend_from_slice(bytes);
            }
        })?;
        if let Some(kept) = &mut self.kept {
            kept.push(data);
        }
        hasher.try_finalize().map_err(|_| PackError::Collision)
    }

    fn base_by_distance(&self, cursor: &mut Cursor<'_>, start: u64) -> Result<Base, PackError> {
        let mut byte = cursor.byte()?;
        let mut distance = u64::from(byte & 0x7f);
        let mut bytes = 1_u32;
        while byte & 0x80 != 0 {
            if bytes == MAX_VARINT {
                return Err(cursor.damaged("an endless number"));
            }
            bytes = bytes.saturating_add(1);
            byte = cursor.byte()?;
            distance = distance.saturating_add(1) << 7 | u64::from(byte & 0x7f);
        }
        let offset = start
            .checked_sub(distance)
            .and_then(|offset| u32::try_from(offset).ok());
        offset
            .and_then(|offset| {
                self.entries
                    .binary_search_by_key(&offset, |entry| entry.offset)
                    .ok()
            })
            .and_then(|index| u32::try_from(index).ok())
            .map(Base::Entry)
            .ok_or_else(|| cursor.damaged("a delta to something that is not an object"))
    }
}

/// Longest number in a pack we read: 6 groups of 7 bits are far above every limit.
const MAX_VARINT: u32 = 6;

fn kind_and_size(cursor: &mut Cursor<'_>) -> Result<(u8, u64), PackError> {
    let first = cursor.byte()?;
    let mut size = u64::from(first & 15);
    let mut shift = 4_u32;
    let mut byte = first;
    while byte & 0x80 != 0 {
        if shift > MAX_VARINT.saturating_mul(7) {
            return Err(cursor.damaged("an endless number"));
        }
        byte = cursor.byte()?;
        size |= u64::from(byte & 0x7f) << shift;
        shift = shift.saturating_add(7);
    }
    Ok((first >> 4 & 7, size))
}

/// A hasher that has seen the head of an object: `commit 123\0`.
pub(super) fn object_hasher(kind: Kind, size: u64) -> gix::hash::Hasher {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(kind.as_bytes());
    hasher.update(format!(" {size}\0").as_bytes());
    hasher
}
