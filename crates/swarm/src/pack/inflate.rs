//! Reading zlib streams out of a spooled pack.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{PackError, Spool};

/// Reads a spool from front to end, or a piece of it, keeping the checksums a pack needs.
pub(super) struct Cursor<'a> {
    spool: &'a Spool,
    /// Where the next byte comes from.
    position: u64,
    /// First byte not to be read.
    end: u64,
    window: Vec<u8>,
    start: usize,
    filled: usize,
    hasher: Option<gix::hash::Hasher>,
    crc: Crc,
}

impl<'a> Cursor<'a> {
    /// Reads from `position` to `end`.
    pub(super) fn new(spool: &'a Spool, position: u64, end: u64, window: usize) -> Self {
        Self {
            spool,
            position,
            end,
            window: vec![0; window.max(64)],
            start: 0,
            filled: 0,
            hasher: None,
            crc: Crc::new(),
        }
    }

    /// Also hashes all that is consumed from now on.
    pub(super) fn hashing(mut self) -> Self {
        self.hasher = Some(gix::hash::hasher(gix::hash::Kind::Sha1));
        self
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Starts a new CRC-32, which covers what is consumed from here on.
    pub(super) fn restart_crc(&mut self) {
        self.crc.reset();
    }

    pub(super) fn crc(&self) -> u32 {
        self.crc.sum()
    }

    /// The SHA-1 of what was consumed.
    pub(super) fn finish_hash(&mut self) -> Result<Option<gix::ObjectId>, PackError> {
        self.hasher
            .take()
            .map(|hasher| hasher.try_finalize().map_err(|_| PackError::Collision))
            .transpose()
    }

    pub(super) fn damaged(&self, what: &'static str) -> PackError {
        PackError::Damaged {
            offset: self.position,
            what,
        }
    }

    /// Some of the next bytes; empty at the end.
    fn peek(&mut self) -> Result<&[u8], PackError> {
        if self.start == self.filled {
            let left =
                usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX);
            let length = left.min(self.window.len());
            let window = self.window.get_mut(..length).unwrap_or_default();
            self.start = 0;
            self.filled = self.spool.read_at(self.position, window)?;
        }
        Ok(self.window.get(self.start..self.filled).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        let end = self.start.saturating_add(count).min(self.filled);
        let bytes = self.window.get(self.start..end).unwrap_or_default();
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
            self.crc.update(bytes);
        }
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.position = self.position.saturating_add(count);
        self.start = end;
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> Result<u8, PackError> {
        match self.peek()?.first().copied() {
            Some(byte) => {
                self.consume(1);
                Ok(byte)
            }
            None => Err(self.damaged("it ends too early")),
        }
    }

    /// The next `N` bytes.
    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], PackError> {
        let mut out = [0; N];
        for slot in &mut out {
            *slot = self.byte()?;
        }
        Ok(out)
    }
}

/// A zlib decompressor that is allocated once.
pub(super) struct Inflate {
    decompress: Decompress,
    scratch: Vec<u8>,
}

impl Inflate {
    pub(super) fn new() -> Self {
        Self {
            decompress: Decompress::new(true),
            scratch: vec![0; 32 << 10],
        }
    }

    /// Unpacks one stream, which must have exactly `size` bytes, into `sink`. Stops at the
    /// first byte too many, so that a bomb costs nothing.
    pub(super) fn run(
        &mut self,
        cursor: &mut Cursor<'_>,
        size: u64,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<(), PackError> {
        self.decompress.reset(true);
        let mut total = 0_u64;
        loop {
            let input = cursor.peek()?;
            let cut = input.is_empty();
            let (before_in, before_out) = (self.decompress.total_in(), self.decompress.total_out());
            let status =
                self.decompress
                    .decompress(input, &mut self.scratch, FlushDecompress::None);
            let used = self.decompress.total_in().saturating_sub(before_in);
            let made = self.decompress.total_out().saturating_sub(before_out);
            let Ok(status) = status else {
                return Err(cursor.damaged("bad zlib data"));
            };
            cursor.consume(usize::try_from(used).unwrap_or(usize::MAX));
            total = total.saturating_add(made);
            if total > size {
                return Err(cursor.damaged("an object is larger than its header says"));
            }
            let made_bytes = usize::try_from(made).unwrap_or(usize::MAX);
            sink(self.scratch.get(..made_bytes).unwrap_or_default());
            if status == Status::StreamEnd {
                break;
            }
            if used == 0 && made == 0 {
                return Err(cursor.damaged(if cut {
                    "it ends too early"
                } else {
                    "bad zlib data"
                }));
            }
        }
        if total == size {
            Ok(())
        } else {
            Err(cursor.damaged("an object is smaller than its header says"))
        }
    }
}
