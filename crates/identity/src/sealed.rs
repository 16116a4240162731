//! Files of any length under a password, written and read as streams in constant memory.
//!
//! ```text
//! header  magic (8) | version (1) | memory in KiB (4) | passes (4) | salt (16)
//!         | checksum of these (4) | proof of the key (16)
//! chunk   length and, in the highest bit, whether it is the last (4) | the same inverted (4)
//!         | cipher text | tag (16)
//! ```
//!
//! Numbers are big-endian. The key comes from the password by Argon2id with the numbers in
//! the header; the file's own key from that and the whole header, so that nothing in it can be
//! changed. Each chunk of at most 64 KiB is sealed with AES-256-GCM under its number, with its
//! length as associated data: none can be left out, repeated, moved or cut off at the end.
//! The checksum tells a damaged header from a wrong password.

use std::fmt;
use std::io::{self, Read, Write};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac};
use baraza_wire::Rng;
use zeroize::Zeroizing;

use crate::password::Password;

const MAGIC: [u8; 8] = *b"\x89BARAZA\n";
const VERSION: u8 = 1;
/// Memory and passes of new files: some tenths of a second.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 4;
/// What a file may ask of the machine that reads it.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
const MAX_PASSES: u32 = 64;
const SALT: usize = 16;
/// Bytes that the checksum is over.
const COVERED: usize = 33;
const CHECKSUM: usize = 4;
const PROOF: usize = 16;
const HEADER: usize = COVERED + CHECKSUM + PROOF;
/// Most plain bytes in a chunk.
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const FRAME: usize = 8;
const LAST: u32 = 1 << 31;

/// Why a sealed file cannot be read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealedError {
    /// It is something else.
    #[error("this is no file sealed by Baraza")]
    Foreign,
    /// Made by a newer version.
    #[error("it is of version {0}, which this program does not know yet")]
    Newer(u8),
    /// Another password was used.
    #[error("wrong password")]
    WrongPassword,
    /// Something in it was changed.
    #[error("it is damaged at byte {0}")]
    Damaged(u64),
    /// It ends too early.
    #[error("it is cut short: {0} bytes are not the whole file")]
    Cut(u64),
    /// The key could not be derived.
    #[error("cannot derive a key from the password: there is not enough memory")]
    Memory,
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl SealedError {
    /// What a [`SealedReader`] said through [`Read`], or the error of the disk.
    pub fn from_io(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(sealed) => sealed,
            Err(error) => Self::Io(error),
        }
    }
}

/// The key of one file, and what proves that it is the right one.
struct Key {
    seal: LessSafeKey,
    proof: [u8; PROOF],
}

impl Key {
    fn new(
        password: &Password,
        memory: u32,
        passes: u32,
        salt: &[u8],
        covered: &[u8],
    ) -> Result<Self, SealedError> {
        let memory_failed = |_| SealedError::Memory;
        let params = Params::new(memory, passes, 1, Some(32)).map_err(memory_failed)?;
        let mut stretched = Zeroizing::new([0_u8; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(password.as_str().as_bytes(), salt, stretched.as_mut_slice())
            .map_err(memory_failed)?;
        let base = hmac::Key::new(hmac::HMAC_SHA256, stretched.as_slice());
        let derive = |what: &[u8]| {
            let mut context = hmac::Context::with_key(&base);
            context.update(what);
            context.update(covered);
            context.sign()
        };
        let tag = derive(b"proof");
        let proof = tag.as_ref().first_chunk().copied();
        let file = derive(b"file key");
        let seal = UnboundKey::new(&AES_256_GCM, file.as_ref()).map(LessSafeKey::new);
        match (seal, proof) {
            (Ok(seal), Some(proof)) => Ok(Self { seal, proof }),
            _ => Err(SealedError::Memory),
        }
    }
}

fn checksum(covered: &[u8]) -> [u8; CHECKSUM] {
    let hash = digest::digest(&digest::SHA256, covered);
    hash.as_ref().first_chunk().copied().unwrap_or_default()
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; 12];
    if let Some(end) = bytes.last_chunk_mut() {
        *end = number.to_be_bytes();
    }
    Nonce::assume_unique_for_key(bytes)
}

/// Seals what is written to it. Nothing is complete before [`Self::finish`].
pub struct SealedWriter<W> {
    out: W,
    key: LessSafeKey,
    buffer: Zeroizing<Vec<u8>>,
    number: u64,
}

impl<W: Write> SealedWriter<W> {
    /// Writes the header. Takes some tenths of a second and 64 MiB.
    ///
    /// # Errors
    /// If there is not enough memory, or `out` fails.
    pub fn new(mut out: W, password: &Password, rng: &mut Rng) -> Result<Self, SealedError> {
        let salt: [u8; SALT] = rng.bytes();
        let mut header = Vec::with_capacity(HEADER);
        header.extend(MAGIC);
        header.push(VERSION);
        header.extend(MEMORY_KIB.to_be_bytes());
        header.extend(PASSES.to_be_bytes());
        header.extend(salt);
        let key = Key::new(password, MEMORY_KIB, PASSES, &salt, &header)?;
        header.extend(checksum(&header));
        header.extend(key.proof);
        out.write_all(&header)?;
        Ok(Self {
            out,
            key: key.seal,
            buffer: Zeroizing::new(Vec::with_capacity(CHUNK + TAG)),
            number: 0,
        })
    }

    fn chunk(&mut self, last: bool) -> io::Result<()> {
        let length = u32::try_from(self.buffer.len()).map_err(io::Error::other)?;
        let word = if last { length | LAST } else { length };
        let aad = Aad::from(word.to_be_bytes());
        let sealed = self
            .key
            .seal_in_place_append_tag(nonce(self.number), aad, &mut *self.buffer);
        sealed.map_err(|_| io::Error::other("cannot seal"))?;
        self.number = self
            .number
            .checked_add(1)
            .ok_or_else(|| io::Error::other("too long"))?;
        self.out.write_all(&word.to_be_bytes())?;
        self.out.write_all(&(!word).to_be_bytes())?;
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the end.
    ///
    /// # Errors
    /// If the disk fails; the file is not complete then.
    pub fn finish(mut self) -> io::Result<W> {
        self.chunk(true)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for SealedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() >= CHUNK {
            self.chunk(false)?;
        }
        let room = CHUNK.saturating_sub(self.buffer.len());
        let part = bytes.get(..room).unwrap_or(bytes);
        self.buffer.extend_from_slice(part);
        Ok(part.len())
    }

    /// What is in a chunk that is not full stays here.
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W> fmt::Debug for SealedWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedWriter")
    }
}

/// Reads a sealed file. What it gives out is what was written, up to where it fails.
pub struct SealedReader<R> {
    input: R,
    key: LessSafeKey,
    chunk: Zeroizing<Vec<u8>>,
    /// What of the chunk was read.
    taken: usize,
    number: u64,
    position: u64,
    last: bool,
}

impl<R: Read> SealedReader<R> {
    /// Reads the header and checks the password. Takes some tenths of a second.
    ///
    /// # Errors
    /// If it is no sealed file, damaged or cut, or the password is wrong.
    pub fn new(mut input: R, password: &Password) -> Result<Self, SealedError> {
        let mut header = Vec::with_capacity(HEADER);
        let limit = u64::try_from(HEADER).unwrap_or(u64::MAX);
        Read::by_ref(&mut input)
            .take(limit)
            .read_to_end(&mut header)?;
        let position = u64::try_from(header.len()).unwrap_or(u64::MAX);
        let start = header.get(..MAGIC.len()).unwrap_or(&header);
        if !MAGIC.starts_with(start) || start.is_empty() {
            return Err(SealedError::Foreign);
        }
        let cut = || SealedError::Cut(position);
        let version = *header.get(MAGIC.len()).ok_or_else(cut)?;
        let (covered, rest) = header.split_at_checked(COVERED).ok_or_else(cut)?;
        let (sum, proof) = rest.split_first_chunk::<CHECKSUM>().ok_or_else(cut)?;
        let proof: [u8; PROOF] = proof.try_into().map_err(|_| cut())?;
        let damaged = || SealedError::Damaged(0);
        if *sum != checksum(covered) {
            return Err(damaged());
        }
        if version != VERSION {
            return Err(SealedError::Newer(version));
        }
        let numbers = covered
            .get(MAGIC.len().saturating_add(1)..)
            .ok_or_else(damaged)?;
        let (memory, numbers) = numbers.split_first_chunk().ok_or_else(damaged)?;
        let (passes, salt) = numbers.split_first_chunk().ok_or_else(damaged)?;
        let (memory, passes) = (u32::from_be_bytes(*memory), u32::from_be_bytes(*passes));
        if memory > MAX_MEMORY_KIB || passes > MAX_PASSES {
            return Err(damaged());
        }
        let key = Key::new(password, memory, passes, salt, covered)?;
        if key.proof != proof {
            return Err(SealedError::WrongPassword);
        }
        Ok(Self {
            input,
            key: key.seal,
            chunk: Zeroizing::new(Vec::new()),
            taken: 0,
            number: 0,
            position,
            last: false,
        })
    }

    /// Bytes of the sealed file read so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Reads up to `length` bytes; fewer at the end.
    fn bytes(&mut self, length: usize) -> Result<bool, SealedError> {
        self.chunk.clear();
        let limit = u64::try_from(length).unwrap_or(u64::MAX);
        let read = Read::by_ref(&mut self.input)
            .take(limit)
            .read_to_end(&mut self.chunk)?;
        let read_bytes = u64::try_from(read).unwrap_or(u64::MAX);
        self.position = self.position.saturating_add(read_bytes);
        Ok(read == length)
    }

    /// Reads the next chunk; `false` at the end.
    fn next(&mut self) -> Result<bool, SealedError> {
        self.taken = 0;
        let at = self.position;
        if self.last {
            self.bytes(1)?;
            let more = !self.chunk.is_empty();
            self.chunk.clear();
            return match more {
                true => Err(SealedError::Damaged(at)),
                false => Ok(false),
            };
        }
        if !self.bytes(FRAME)? {
            return Err(SealedError::Cut(self.position));
        }
        let damaged = || SealedError::Damaged(at);
        let (word, inverted) = self.chunk.split_first_chunk().ok_or_else(damaged)?;
        let inverted: [u8; 4] = inverted.try_into().map_err(|_| damaged())?;
        let word = u32::from_be_bytes(*word);
        let length = usize::try_from(word & !LAST).map_err(|_| damaged())?;
        if word != !u32::from_be_bytes(inverted) || length > CHUNK {
            return Err(damaged());
        }
        if !self.bytes(length.saturating_add(TAG))? {
            return Err(SealedError::Cut(self.position));
        }
        let aad = Aad::from(word.to_be_bytes());
        let opened = self
            .key
            .open_in_place(nonce(self.number), aad, self.chunk.as_mut_slice());
        let plain = opened.map_err(|_| damaged())?.len();
        self.chunk.truncate(plain);
        self.number = self.number.saturating_add(1);
        self.last = word & LAST != 0;
        Ok(true)
    }
}

impl<R: Read> Read for SealedReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.taken >= self.chunk.len() {
            let more = self.next().map_err(|error| match error {
                SealedError::Io(error) => error,
                error => io::Error::other(error),
            })?;
            if !more {
                return Ok(0);
            }
        }
        let rest = self.chunk.get(self.taken..).unwrap_or_default();
        let length = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..length), rest.get(..length)) {
            to.copy_from_slice(from);
        }
        self.taken = self.taken.saturating_add(length);
        Ok(length)
    }
}

impl<R> fmt::Debug for SealedReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedReader")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text)
    }

    fn seal(plain: &[u8]) -> Vec<u8> {
        let mut rng = Rng::from_seed(1);
        let mut writer = SealedWriter::new(Vec::new(), &password("right"), &mut rng).unwrap();
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    fn open(file: &[u8]) -> Result<Vec<u8>, SealedError> {
        let mut reader = SealedReader::new(file, &password("right"))?;
        let mut plain = Vec::new();
        match reader.read_to_end(&mut plain) {
            Ok(_) => Ok(plain),
            Err(error) => Err(SealedError::from_io(error)),
        }
    }

    #[test]
    fn what_was_written_is_read_at_every_length_around_a_chunk() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let plain: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            assert_eq!(open(&seal(&plain)).unwrap(), plain);
        }
    }

    #[test]
    fn wrong_password_damage_cut_and_foreign_files_are_told_apart() {
        let file = seal(&vec![7; CHUNK + 100]);
        let wrong = SealedReader::new(file.as_slice(), &password("wrong"));
        assert!(matches!(wrong, Err(SealedError::WrongPassword)));
        assert!(matches!(open(b"PK\x03\x04"), Err(SealedError::Foreign)));
        assert!(matches!(open(b""), Err(SealedError::Foreign)));
        let chunk = HEADER + FRAME + CHUNK + TAG;
        for end in [
            4,
            HEADER - 1,
            HEADER,
            HEADER + 5,
            HEADER + 60,
            chunk,
            chunk + 9,
        ] {
            let cut = open(&file[..end]);
            assert!(matches!(cut, Err(SealedError::Cut(_))), "{end}: {cut:?}");
        }
        let mut newer = file.clone();
        newer[8] = 2;
        let sum = checksum(&newer[..COVERED]);
        newer[COVERED..COVERED + CHECKSUM].copy_from_slice(&sum);
        assert!(matches!(open(&newer), Err(SealedError::Newer(2))));
        let mut longer = file;
        longer.push(0);
        assert!(matches!(open(&longer), Err(SealedError::Damaged(_))));
    }

    #[test]
    fn any_flipped_byte_is_damage() {
        let file = seal(b"some text");
        // The key is derived for each that gets past the header, which takes time.
        let end = file.len();
        let behind = [0, 3, 4, 7, 8].map(|at| HEADER + at);
        for at in (8..HEADER - PROOF)
            .chain(behind)
            .chain([end - TAG, end - 1])
        {
            let mut broken = file.clone();
            broken[at] ^= 0x21;
            let read = open(&broken);
            assert!(
                matches!(read, Err(SealedError::Damaged(_))),
                "{at}: {read:?}"
            );
        }
    }

    #[test]
    fn chunks_cannot_be_left_out_or_exchanged() {
        let file = seal(&vec![7; 3 * CHUNK]);
        let size = FRAME + CHUNK + TAG;
        let [first, second] = [HEADER, HEADER + size];
        let mut without = file.clone();
        without.drain(first..second);
        assert!(matches!(open(&without), Err(SealedError::Damaged(_))));
        let mut exchanged = file[..HEADER].to_vec();
        exchanged.extend(&file[second..second + size]);
        exchanged.extend(&file[first..second]);
        exchanged.extend(&file[second + size..]);
        assert!(matches!(open(&exchanged), Err(SealedError::Damaged(_))));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = open(&bytes);
        }
    }
}
