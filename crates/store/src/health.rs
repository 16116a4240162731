//! Looks at a database that is in use: whether it is whole, and which library reads it.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::database::StoreError;

/// From one attempt to interrupt a query to the next.
const AGAIN: Duration = Duration::from_millis(1);

/// Reads the database at `path` and whether it makes sense, for `limit` at most, without
/// holding up who writes to it. `false`: there was no time to read all of it.
///
/// # Errors
/// If it is damaged, or cannot be read.
pub fn quick_check(path: &Path, limit: Duration) -> Result<bool, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(StoreError::from)?;
    let interrupt = connection.get_interrupt_handle();
    let (done, ended) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        // Again and again, as it does nothing to a query that has not begun.
        let mut wait = limit;
        while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            interrupt.interrupt();
            wait = AGAIN;
        }
    });
    let found = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get::<_, String>(0));
    drop(done);
    // It only waits and interrupts.
    let _ = watch.join();
    match found {
        Ok(text) if text == "ok" => Ok(true),
        Ok(detail) => Err(StoreError::Corrupt {
            path: path.to_owned(),
            detail,
        }),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// The version of SQLite.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom, Write as _};

    use baraza_wire::UnixTime;

    use super::*;
    use crate::{Durability, Store};

    #[test]
    fn a_database_in_use_is_whole_or_damaged_or_too_large_for_now() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.db");
        let mut store = Store::open(&path, Durability::Process).unwrap();
        let fill = |store: &mut Store| {
            for _ in 0..40_000 {
                let text = "x".repeat(500);
                store.add_event("a", UnixTime::from_secs(1), &text)?;
            }
            Ok::<_, StoreError>(())
        };
        store.atomic(fill).unwrap();
        // While somebody else writes, too.
        store.begin().unwrap();
        assert!(quick_check(&path, Duration::from_secs(60)).unwrap());
        store.commit().unwrap();
        assert!(!quick_check(&path, Duration::ZERO).unwrap());
        store.checkpoint().unwrap();
        drop(store);
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(200 * 4096)).unwrap();
        file.write_all(&[0x5a; 3 * 4096]).unwrap();
        drop(file);
        let damaged = quick_check(&path, Duration::from_secs(60));
        assert!(
            matches!(damaged, Err(StoreError::Corrupt { .. })),
            "{damaged:?}"
        );
        assert!(!sqlite_version().is_empty());
    }
}
