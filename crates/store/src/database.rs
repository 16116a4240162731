//! The connection.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::schema;

/// A connection to a data directory's database. Each thread opens its own; SQLite lets one
/// write at a time.
pub struct Store {
    pub(crate) connection: Connection,
    path: PathBuf,
    /// Whether a transaction is open.
    writing: bool,
}

/// What a committed transaction has to survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// A failing power supply: every commit waits for the disk.
    #[default]
    Full,
    /// The end of the process only. For tests and simulations.
    Process,
}

/// Why the database failed. Nothing of the failed transaction was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file is damaged, or no database. It is left as it is.
    #[error("the database {path} is damaged ({detail}); it was left as it is")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// No room.
    #[error("the disk is full; nothing was lost, but nothing more can be stored")]
    Full,
    /// The file or its directory cannot be written.
    #[error("the database {path} cannot be written ({detail})")]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// Another connection wrote for too long.
    #[error("the database is busy")]
    Busy,
    /// Made by a newer version.
    #[error("the database is of version {found}, which this program does not know yet")]
    Newer {
        /// Its version.
        found: i64,
    },
    /// A row that cannot be: written by something else.
    #[error("the database holds an impossible {0}")]
    Impossible(&'static str),
    /// Anything else.
    #[error("the database failed: {0}")]
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt {
                path: PathBuf::new(),
                detail: error.to_string(),
            },
            Some(
                ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::SystemIoFailure,
            ) => Self::NotWritable {
                path: PathBuf::new(),
                detail: error.to_string(),
            },
            _ => Self::Sql(error),
        }
    }
}

impl StoreError {
    fn at(self, file: &Path) -> Self {
        match self {
            Self::Corrupt { detail, .. } => Self::Corrupt {
                path: file.to_owned(),
                detail,
            },
            Self::NotWritable { detail, .. } => Self::NotWritable {
                path: file.to_owned(),
                detail,
            },
            other => other,
        }
    }
}

/// Longest wait for another connection's transaction.
const BUSY: Duration = Duration::from_secs(10);
/// Page cache of one connection, in KiB.
const CACHE_KIB: i64 = 1024;

impl Store {
    /// Opens (or makes) the database at `path`.
    ///
    /// # Errors
    /// If it is damaged, made by a newer version, or cannot be written.
    pub fn open(path: impl Into<PathBuf>, durability: Durability) -> Result<Self, StoreError> {
        let path = path.into();
        Self::open_at(&path, durability).map_err(|error| error.at(&path))
    }

    fn open_at(path: &Path, durability: Durability) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let synchronous = match durability {
            Durability::Full => "FULL",
            Durability::Process => "OFF",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "cache_size", CACHE_KIB.saturating_neg())?;
        connection.set_prepared_statement_cache_capacity(64);
        schema::migrate(&mut connection)?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            writing: false,
        })
    }

    /// The connection itself, for tests of failing disks.
    #[doc(hidden)]
    pub fn raw(&self) -> &Connection {
        &self.connection
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Does several things as one: all of them are written, durably, or none. Within
    /// another `atomic` it is part of that one.
    ///
    /// # Errors
    /// Those of `work`, or that the transaction could not be written.
    pub fn atomic<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.writing {
            return work(self);
        }
        self.begin()?;
        match work(self) {
            Ok(value) => {
                self.commit()?;
                Ok(value)
            }
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    /// Begins a transaction that lasts until [`Self::commit`], unless there is one.
    ///
    /// # Errors
    /// If the database is busy or fails.
    pub fn begin(&mut self) -> Result<(), StoreError> {
        if !self.writing {
            self.execute("BEGIN IMMEDIATE", ())?;
            self.writing = true;
        }
        Ok(())
    }

    /// Whether there is a transaction.
    pub fn is_writing(&self) -> bool {
        self.writing
    }

    /// Ends the transaction, if there is one: what it wrote is durable when this returns.
    ///
    /// # Errors
    /// If the database fails; nothing of the transaction was written.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        if !self.writing {
            return Ok(());
        }
        self.writing = false;
        let result = self.execute("COMMIT", ());
        if result.is_err() {
            self.roll_back();
        }
        result.map(drop)
    }

    /// Gives the transaction up, if there is one.
    pub fn roll_back(&mut self) {
        self.writing = false;
        // Some errors end the transaction by themselves, which makes this one fail.
        let _ = self.connection.execute_batch("ROLLBACK");
    }

    /// Runs a statement, prepared once.
    pub(crate) fn execute(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<usize, StoreError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(parameters))
            .map_err(|error| StoreError::from(error).at(&self.path))
    }

    /// All rows of a query.
    pub(crate) fn query<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let run = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map(parameters, read)?;
            rows.collect::<rusqlite::Result<Vec<T>>>()
        };
        run().map_err(|error| StoreError::from(error).at(&self.path))
    }

    /// The first row of a query, if there is one.
    pub(crate) fn query_one<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.query(sql, parameters, read)?.into_iter().next())
    }

    /// Writes the write-ahead log back into the database, as far as nobody reads it.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        self.connection
            .pragma_query(None, "wal_checkpoint", |_| Ok(()))
            .map_err(|error| StoreError::from(error).at(&self.path))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Reads columns into the types of the wire.
pub(crate) mod column {
    use baraza_wire::UnixTime;
    use rusqlite::Row;
    use rusqlite::types::Type;

    /// A fixed number of bytes.
    pub(crate) fn bytes<const N: usize>(row: &Row<'_>, index: usize) -> rusqlite::Result<[u8; N]> {
        let blob = row.get_ref(index)?.as_blob()?;
        blob.try_into()
            .map_err(|_| rusqlite::Error::InvalidColumnType(index, "id".into(), Type::Blob))
    }

    /// A fixed number of bytes, or null.
    pub(crate) fn maybe_bytes<const N: usize>(
        row: &Row<'_>,
        index: usize,
    ) -> rusqlite::Result<Option<[u8; N]>> {
        match row.get_ref(index)?.as_blob_or_null()? {
            None => Ok(None),
            Some(_) => bytes(row, index).map(Some),
        }
    }

    /// A time.
    pub(crate) fn time(row: &Row<'_>, index: usize) -> rusqlite::Result<UnixTime> {
        Ok(UnixTime::from_millis(number(row, index)?))
    }

    /// A time, or null.
    pub(crate) fn maybe_time(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<UnixTime>> {
        let stored: Option<i64> = row.get(index)?;
        stored.map_or(Ok(None), |_| time(row, index).map(Some))
    }

    /// A number that cannot be negative.
    pub(crate) fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
        let value: i64 = row.get(index)?;
        u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, value))
    }

    /// A number as SQLite keeps it.
    pub(crate) fn stored(value: u64) -> i64 {
        i64::try_from(value).unwrap_or(i64::MAX)
    }
}
