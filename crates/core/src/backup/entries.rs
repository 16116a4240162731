//! What is in a backup: a description, then files with relative names.
//!
//! ```text
//! length (4) | description as JSON
//! 1 | length of the name (2) | name | size (8) | content      for each file
//! 0 | number of files (8)
//! ```
//!
//! Numbers are big-endian.

use std::io::{self, Read, Write};

use super::Manifest;

/// The version written here.
pub const FORMAT: u32 = 1;
/// Longest description.
const MAX_MANIFEST: u32 = 4 << 20;
/// Longest name of a file.
const MAX_NAME: usize = 1024;
/// Deepest directory.
const MAX_DEPTH: usize = 16;
const FILE: u8 = 1;
const END: u8 = 0;

/// Whether a name leads to a place below the directory it is for, and to no surprise there.
pub fn is_safe(name: &str) -> bool {
    let parts = || name.split('/');
    name.len() <= MAX_NAME
        && parts().count() <= MAX_DEPTH
        && parts().all(|part| {
            !part.is_empty()
                && part.len() <= 255
                && part != "."
                && part != ".."
                && !part.chars().any(|it| it.is_control() || it == '\\')
        })
}

/// What is wrong with the text of a backup.
fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Writes a backup's text.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// Files so far.
    pub count: u64,
    /// Bytes of these.
    pub content: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the description.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn new(mut out: W, manifest: &Manifest) -> io::Result<Self> {
        let text = serde_json::to_vec(manifest)?;
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        out.write_all(&length.to_be_bytes())?;
        out.write_all(&text)?;
        Ok(Self {
            out,
            count: 0,
            content: 0,
        })
    }

    /// Writes a file of `size` bytes.
    ///
    /// # Errors
    /// If its name is not acceptable, it is shorter, or something fails.
    pub fn file(&mut self, name: &str, size: u64, content: impl Read) -> io::Result<()> {
        let length = u16::try_from(name.len()).map_err(io::Error::other)?;
        if !is_safe(name) {
            return Err(malformed("a name that cannot be in a backup"));
        }
        self.out.write_all(&[FILE])?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(name.as_bytes())?;
        self.out.write_all(&size.to_be_bytes())?;
        let copied = io::copy(&mut content.take(size), &mut self.out)?;
        if copied != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.count = self.count.saturating_add(1);
        self.content = self.content.saturating_add(size);
        Ok(())
    }

    /// Writes the end.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[END])?;
        self.out.write_all(&self.count.to_be_bytes())?;
        Ok(self.out)
    }
}

/// Reads a backup's text.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Files so far.
    pub count: u64,
    /// Bytes of these.
    pub content: u64,
    /// Of the file that is being read.
    left: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the description.
    ///
    /// # Errors
    /// `InvalidData` if it makes no sense, `UnexpectedEof` if it is cut, or those of `input`.
    pub fn new(mut input: R) -> io::Result<Self> {
        let length = u32::from_be_bytes(array(&mut input)?);
        if length > MAX_MANIFEST {
            return Err(malformed("its description is too long"));
        }
        let text = bytes(&mut input, u64::from(length))?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|_| malformed("its description cannot be read"))?;
        if manifest.format != FORMAT {
            return Err(malformed("it is of a newer format"));
        }
        Ok(Self {
            input,
            manifest,
            count: 0,
            content: 0,
            left: 0,
        })
    }

    /// The next file's name and size; `None` at the end. Its content is read with
    /// [`Self::copy`], or passed over.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn next_file(&mut self) -> io::Result<Option<(String, u64)>> {
        self.copy(&mut io::sink())?;
        match array(&mut self.input)? {
            [FILE] => {}
            [END] => {
                let count = u64::from_be_bytes(array(&mut self.input)?);
                if count != self.count || self.input.read(&mut [0])? != 0 {
                    return Err(malformed("its end does not fit"));
                }
                return Ok(None);
            }
            [_] => return Err(malformed("it holds something unknown")),
        }
        let length = u16::from_be_bytes(array(&mut self.input)?);
        let name = String::from_utf8(bytes(&mut self.input, u64::from(length))?)
            .ok()
            .filter(|name| is_safe(name))
            .ok_or_else(|| malformed("a file in it has an impossible name"))?;
        let size = u64::from_be_bytes(array(&mut self.input)?);
        self.left = size;
        self.count = self.count.saturating_add(1);
        self.content = self.content.saturating_add(size);
        Ok(Some((name, size)))
    }

    /// Writes the file's content to `out`.
    ///
    /// # Errors
    /// If the backup ends before, or those of `input` and `out`.
    pub fn copy(&mut self, out: &mut impl Write) -> io::Result<()> {
        let copied = io::copy(&mut Read::by_ref(&mut self.input).take(self.left), out)?;
        match copied == std::mem::take(&mut self.left) {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut array = [0; N];
    input.read_exact(&mut array)?;
    Ok(array)
}

fn bytes(input: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = input.take(length).read_to_end(&mut bytes)?;
    match u64::try_from(read) == Ok(length) {
        true => Ok(bytes),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use baraza_wire::UnixTime;

    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            program: "0.1.0".into(),
            created: UnixTime::from_secs(1_800_000_000),
            files: false,
            accounts: Vec::new(),
        }
    }

    fn text() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), &manifest()).unwrap();
        writer.file("node.db", 3, &b"abc"[..]).unwrap();
        writer.file("accounts/1/device.key", 0, &b""[..]).unwrap();
        writer.finish().unwrap()
    }

    fn read(text: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut reader = Reader::new(text)?;
        let mut files = Vec::new();
        while let Some((name, _)) = reader.next_file()? {
            let mut content = Vec::new();
            reader.copy(&mut content)?;
            files.push((name, content));
        }
        Ok(files)
    }

    #[test]
    fn files_are_read_as_they_were_written() {
        let files = read(&text()).unwrap();
        let expected = [("node.db", &b"abc"[..]), ("accounts/1/device.key", b"")];
        assert_eq!(files.len(), expected.len());
        for ((name, content), expected) in files.iter().zip(expected) {
            assert_eq!((name.as_str(), content.as_slice()), expected);
        }
    }

    #[test]
    fn text_that_is_cut_or_goes_on_is_refused() {
        let whole = text();
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "{end}");
        }
        assert!(read(&[whole.as_slice(), b"x"].concat()).is_err());
    }

    #[test]
    fn names_stay_inside() {
        for name in ["a", "accounts/0123/.git/HEAD", "a..b/c"] {
            assert!(is_safe(name), "{name}");
        }
        let deep = "a/".repeat(20) + "a";
        for name in [
            "",
            "/etc/passwd",
            "../a",
            "a/../b",
            "a//b",
            "a/",
            ".",
            "a\nb",
            "a\\b",
            &deep,
        ] {
            assert!(!is_safe(name), "{name:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
