use std::collections::VecDeque;
use std::fmt;

use bytes::{Bytes, BytesMut};
use flate2::{Compress, Compression, FlushCompress, Status};
use gix::ObjectId;
use gix::objs::{Find, Kind};

use super::{PackError, lookup};

/// zlib level of everything written: signatures hardly shrink, and phones send.
pub const ZLIB_LEVEL: u32 = 5;

/// Makes a pack, version 2, without deltas, piece by piece.
///
/// Memory: one object, raw and compressed, beside the list of ids.
pub struct PackWriter {
    ids: VecDeque<ObjectId>,
    hasher: Option<gix::hash::Hasher>,
    deflate: Deflate,
    /// Bytes made and not yet taken.
    ready: BytesMut,
    object: Vec<u8>,
}

impl fmt::Debug for PackWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PackWriter")
            .field("objects_left", &self.ids.len())
            .field("ready", &self.ready.len())
            .finish_non_exhaustive()
    }
}

impl PackWriter {
    /// A pack of `ids`.
    ///
    /// # Errors
    /// If there are more than a pack can count (2^32 - 1).
    pub fn new(ids: Vec<ObjectId>) -> Result<Self, PackError> {
        let count = u32::try_from(ids.len()).map_err(|_| PackError::TooManyObjects {
            count: u64::try_from(ids.len()).unwrap_or(u64::MAX),
            limit: u64::from(u32::MAX),
        })?;
        let mut writer = Self {
            ids: ids.into(),
            hasher: Some(gix::hash::hasher(gix::hash::Kind::Sha1)),
            deflate: Deflate::new(),
            ready: BytesMut::new(),
            object: Vec::new(),
        };
        let mut header = *b"PACK\0\0\0\x02\0\0\0\0";
        if let Some(field) = header.last_chunk_mut::<4>() {
            *field = count.to_be_bytes();
        }
        writer.append(&header);
        Ok(writer)
    }

    /// The next at most `max` bytes (exactly `max` except at the end); `None` after the
    /// end. `objects` must hold all ids.
    ///
    /// # Errors
    /// If an object cannot be read; the pack cannot be continued.
    pub fn next_chunk(
        &mut self,
        objects: &dyn Find,
        max: usize,
    ) -> Result<Option<Bytes>, PackError> {
        while self.ready.len() < max {
            let Some(id) = self.ids.pop_front() else {
                if let Some(hasher) = self.hasher.take() {
                    let checksum = hasher.try_finalize().map_err(|_| PackError::Collision)?;
                    self.ready.extend_from_slice(checksum.as_slice());
                }
                break;
            };
            let mut object = std::mem::take(&mut self.object);
            let data = lookup(objects, &id, &mut object)?.ok_or(PackError::Missing(id))?;
            let (header, length) = entry_header(data.kind, data.data.len());
            self.append(header.get(..length).unwrap_or_default());
            let packed = self.deflate.run(data.data)?;
            if let Some(hasher) = &mut self.hasher {
                hasher.update(packed);
            }
            self.ready.extend_from_slice(packed);
            self.object = object;
        }
        if self.ready.is_empty() {
            return Ok(None);
        }
        let length = self.ready.len().min(max);
        Ok(Some(self.ready.split_to(length).freeze()))
    }

    fn append(&mut self, bytes: &[u8]) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.ready.extend_from_slice(bytes);
    }
}

/// A zlib compressor that is allocated once.
pub(crate) struct Deflate {
    compress: Compress,
    out: Vec<u8>,
}

impl Deflate {
    pub(crate) fn new() -> Self {
        Self {
            compress: Compress::new(Compression::new(ZLIB_LEVEL), true),
            out: Vec::new(),
        }
    }

    /// `data` as one zlib stream.
    pub(crate) fn run(&mut self, data: &[u8]) -> Result<&[u8], PackError> {
        self.compress.reset();
        self.out.clear();
        let mut rest = data;
        loop {
            // `compress_vec` fills spare capacity and never grows the vector.
            self.out
                .reserve(rest.len().saturating_div(2).saturating_add(256));
            let before = self.compress.total_in();
            let status = self
                .compress
                .compress_vec(rest, &mut self.out, FlushCompress::Finish)
                .map_err(std::io::Error::other)?;
            let used = self.compress.total_in().saturating_sub(before);
            rest = rest
                .get(usize::try_from(used).unwrap_or(usize::MAX)..)
                .unwrap_or_default();
            if status == Status::StreamEnd {
                return Ok(&self.out);
            }
        }
    }
}

/// The bytes in front of an undeltified entry: kind, then size in groups of 7 bits.
fn entry_header(kind: Kind, size: usize) -> ([u8; 12], usize) {
    let kind: u8 = match kind {
        Kind::Commit => 1,
        Kind::Tree => 2,
        Kind::Blob => 3,
        Kind::Tag => 4,
    };
    let low = |value: usize, mask: usize| u8::try_from(value & mask).unwrap_or_default();
    let mut header = [0; 12];
    let mut rest = size >> 4;
    let mut byte = kind << 4 | low(size, 15);
    let mut length = 0_usize;
    for slot in &mut header {
        length = length.saturating_add(1);
        if rest == 0 {
            *slot = byte;
            break;
        }
        *slot = byte | 0x80;
        byte = low(rest, 0x7f);
        rest >>= 7;
    }
    (header, length)
}
