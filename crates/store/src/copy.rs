//! Copies of the whole database.

use std::path::Path;

use crate::database::{Store, StoreError};

impl Store {
    /// Writes a copy of the database as it is now to a file that is not there yet, while
    /// others go on writing.
    ///
    /// # Errors
    /// If the file is there, or the disk fails.
    pub fn copy_into(&self, path: &Path) -> Result<(), StoreError> {
        let text = path.to_str().ok_or(StoreError::Impossible("path"))?;
        self.execute("VACUUM INTO ?1", [text])?;
        Ok(())
    }

    /// Reads all of the database, and whether it makes sense.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn check(&self) -> Result<(), StoreError> {
        let found: Option<String> =
            self.query_one("PRAGMA quick_check(1)", (), |row| row.get(0))?;
        match found {
            Some(text) if text != "ok" => Err(StoreError::Corrupt {
                path: self.path().to_owned(),
                detail: text,
            }),
            _ => Ok(()),
        }
    }
}
