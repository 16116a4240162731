//! The other side: files.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Longest key that the node takes.
const MAX_KEY: usize = 128;

/// The directory.
#[derive(Debug, Clone)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        for name in ["in", "out", "sent", "refused", "unknown"] {
            fs::create_dir_all(path.join(name))?;
        }
        Ok(Self(path))
    }

    /// How far it was; none at the first time.
    pub(crate) fn cursor(&self) -> Result<Option<u64>, String> {
        match fs::read_to_string(self.0.join("cursor")) {
            Ok(text) => text
                .trim()
                .parse()
                .map(Some)
                .map_err(|_| "the cursor is broken".into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(crate) fn set_cursor(&self, cursor: u64) -> io::Result<()> {
        self.write("cursor", &cursor.to_string())
    }

    /// Writes down what came.
    pub(crate) fn receive(&self, name: &str, text: &str) -> io::Result<()> {
        self.write(&format!("in/{name}"), text)
    }

    /// Whole or not at all, and on the disk before anything is said of it.
    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let (new, path) = (self.0.join("new"), self.0.join(name));
        let mut file = fs::File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    }

    /// What is to be sent: names, which are keys, and texts.
    pub(crate) fn outgoing(&self) -> io::Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.0.join("out"))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let key = name.len() <= MAX_KEY && name.bytes().all(|byte| byte.is_ascii_graphic());
            if key && !name.starts_with('.') {
                found.push((name, fs::read_to_string(entry.path())?));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Puts away what was dealt with.
    pub(crate) fn moved(&self, name: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join("out").join(name), self.0.join(to).join(name))
    }
}
