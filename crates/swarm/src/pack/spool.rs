use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of a pack as they arrive: in memory while there are few, then in a nameless
/// temporary file that disappears with the value.
pub struct Spool {
    memory: Vec<u8>,
    file: Option<File>,
    length: u64,
    directory: Option<Box<Path>>,
}

/// Packs up to this size stay in memory: a fetch of a few messages never touches a file.
const SPOOL_MEMORY: usize = 256 << 10;

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool")
            .field("length", &self.length)
            .field("in_file", &self.file.is_some())
            .finish_non_exhaustive()
    }
}

impl Spool {
    /// An empty spool whose file, should it need one, will be in `directory` (which must
    /// exist then).
    pub fn new(directory: &Path) -> Self {
        Self {
            memory: Vec::new(),
            file: None,
            length: 0,
            directory: Some(directory.into()),
        }
    }

    /// A complete pack in memory.
    pub fn from_memory(bytes: Vec<u8>) -> Self {
        Self {
            length: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            memory: bytes,
            file: None,
            directory: None,
        }
    }

    /// A complete pack in a file.
    ///
    /// # Errors
    /// If its length cannot be found out.
    pub fn from_file(file: File) -> io::Result<Self> {
        Ok(Self {
            length: file.metadata()?.len(),
            memory: Vec::new(),
            file: Some(file),
            directory: None,
        })
    }

    /// Bytes held.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// If the temporary file cannot be made or written.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let total = self.memory.len().saturating_add(bytes.len());
        if self.file.is_none() {
            match &self.directory {
                Some(directory) if total > SPOOL_MEMORY => {
                    let mut file = tempfile::tempfile_in(directory)?;
                    file.write_all(&self.memory)?;
                    self.memory = Vec::new();
                    self.file = Some(file);
                }
                _ => {}
            }
        }
        match &mut self.file {
            Some(file) => file.write_all(bytes)?,
            None => self.memory.extend_from_slice(bytes),
        }
        let added = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.length = self.length.saturating_add(added);
        Ok(())
    }

    /// Reads at most `out.len()` bytes from `offset` on; 0 at the end.
    pub(crate) fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        if let Some(file) = &self.file {
            loop {
                match file.read_at(out, offset) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => return result,
                }
            }
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.memory.get(start..).unwrap_or_default();
        let length = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..length), rest.get(..length)) {
            to.copy_from_slice(from);
        }
        Ok(length)
    }

    /// Writes everything to `out`.
    pub(crate) fn copy_to(&self, out: &mut impl Write) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        let mut offset = 0_u64;
        loop {
            let read = self.read_at(offset, &mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            out.write_all(buffer.get(..read).unwrap_or_default())?;
            offset = offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        }
    }
}
