//! The directory in SQLite: one file, one machine, no service to run.
//!
//! One thread writes. What comes while it commits is written together in the next
//! transaction, so that one wait for the disk serves all of them. Several processes may use
//! the file at once; each transaction takes SQLite's lock first and reads the end of the log
//! under it. Lookups read from connections of their own and wait for nobody.

mod batch;
mod readers;
mod rows;

use std::fmt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use baraza_wire::{AccountId, UnixTime};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use self::batch::Batch;
use self::readers::Readers;
use super::{
    Admin, AdminRefusal, Held, HeldState, Line, MAX_PAGE, Outcome, Reply, Store, StoreError,
};
use crate::audit::{Checkpoint, Head, Logged, SignerKey};
use crate::confusable::Likeness;
use crate::directory::Record;
use crate::name::Name;

/// The file in the data directory.
pub const FILE: &str = "names.db";
const SCHEMA: &str = include_str!("sqlite/schema.sql");
const VERSION: i64 = 1;
/// Longest wait for another process's transaction.
const BUSY: Duration = Duration::from_secs(20);
/// Jobs that wait for the writer; more are refused.
const QUEUE: usize = 4096;
/// Most jobs of one transaction.
const BATCH: usize = 512;
/// Connections that read.
const READERS: usize = 4;
/// The upper levels of ten million names.
const READER_CACHE_KIB: i64 = 12 * 1024;
const WRITER_CACHE_KIB: i64 = 16 * 1024;
/// Pages of 4 KiB in the write-ahead log before they are moved into the database.
const WAL_PAGES: i64 = 4000;

/// A part of a transaction, which may be tried more than once.
trait Job: Send {
    /// Does it.
    fn run(&mut self, batch: &mut Batch<'_>) -> Result<(), StoreError>;
    /// Tells whoever asked for it what became of the transaction it was in.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Work<T, F> {
    work: F,
    value: Option<T>,
    told: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F> Job for Work<T, F>
where
    F: FnMut(&mut Batch<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, batch: &mut Batch<'_>) -> Result<(), StoreError> {
        self.value = Some((self.work)(batch)?);
        Ok(())
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        let undone = || StoreError::Database("nothing was done".into());
        let Self { value, told, .. } = *self;
        // Whoever asked may have gone.
        let _gone = told.send(committed.and_then(|()| value.ok_or_else(undone)));
    }
}

/// A directory in a file.
pub struct SqliteStore {
    path: PathBuf,
    readers: Readers,
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    writer: Option<JoinHandle<()>>,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.path)
            .finish()
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(text),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(text),
            _ => Self::Database(text),
        }
    }
}

impl SqliteStore {
    /// Opens the directory in `dir`, or makes one there.
    ///
    /// # Errors
    /// If it is damaged, of a newer version, or cannot be written.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        let mut connection = connect(&path, WRITER_CACHE_KIB)?;
        make(&mut connection)?;
        let mut readers = Vec::with_capacity(READERS);
        for _ in 0..READERS {
            let reader = connect(&path, READER_CACHE_KIB)?;
            reader.pragma_update(None, "query_only", true)?;
            readers.push(reader);
        }
        let failed = |error: std::io::Error| StoreError::Database(error.to_string());
        let readers = Readers::new(readers).map_err(failed)?;
        let written = readers.written();
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = std::thread::Builder::new()
            .name("names-writer".into())
            .spawn(move || write(connection, queue, written))
            .map_err(failed)?;
        Ok(Self {
            path,
            readers,
            jobs: Some(jobs),
            writer: Some(writer),
        })
    }

    /// The directory in `dir`, which must be there.
    ///
    /// # Errors
    /// As [`Self::open`], or if there is none.
    pub fn open_existing(dir: &Path) -> Result<Self, StoreError> {
        if !dir.join(FILE).is_file() {
            let text = format!("there is no directory of names in {}", dir.display());
            return Err(StoreError::Database(text));
        }
        Self::open(dir)
    }

    fn read<'a, T: Send + 'a>(
        &'a self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'a,
    ) -> Reply<'a, T> {
        // In the cache of pages, or a few pages of the file: too short to be worth another thread.
        Box::pin(std::future::ready(self.readers.read(work)))
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Batch<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Reply<'_, T> {
        let (told, answer) = oneshot::channel();
        let value = None;
        let job: Box<dyn Job> = Box::new(Work { work, value, told });
        let stopped = || StoreError::Database("the writer has stopped".into());
        let sent = match &self.jobs {
            Some(jobs) => jobs.try_send(job).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => {
                    StoreError::Busy("too many changes at once".into())
                }
                mpsc::error::TrySendError::Closed(_) => stopped(),
            }),
            None => Err(stopped()),
        };
        Box::pin(async move {
            sent?;
            answer.await.map_err(|_| stopped())?
        })
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the thread that writes the directory panicked");
        }
    }
}

fn connect(path: &Path, cache_kib: i64) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", cache_kib.saturating_neg())?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    // One plan for a statement, whatever is asked for: else it is made again and again.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

fn make(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 => {
            transaction.execute_batch(SCHEMA)?;
            transaction.execute(
                "INSERT INTO head (id, seq, hash, names, admin) VALUES (1, 0, ?1, 0, 0)",
                [Head::EMPTY.hash.as_slice()],
            )?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
            Ok(())
        }
        VERSION => Ok(()),
        newer => Err(StoreError::Database(format!(
            "the directory is of version {newer}, which this program does not know yet"
        ))),
    }
}

/// The thread that writes.
fn write(mut connection: Connection, mut queue: mpsc::Receiver<Box<dyn Job>>, written: impl Fn()) {
    while let Some(first) = queue.blocking_recv() {
        let mut jobs = vec![first];
        while jobs.len() < BATCH
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
        let together = transact(&mut connection, &mut jobs);
        written();
        if together.is_ok() || jobs.len() == 1 {
            for job in jobs {
                job.finish(together.clone());
            }
            continue;
        }
        // One of them spoils it for the others: each for itself, then.
        for job in jobs {
            let mut alone = [job];
            let done = transact(&mut connection, &mut alone);
            written();
            let [job] = alone;
            job.finish(done);
        }
    }
}

/// One transaction with all jobs, or nothing.
fn transact(connection: &mut Connection, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut batch = Batch::begin(transaction)?;
    for job in jobs {
        job.run(&mut batch)?;
    }
    batch.commit()
}

impl Store for SqliteStore {
    fn by_name<'a>(&'a self, name: &'a Name) -> Reply<'a, Option<Held>> {
        self.read(move |reader| rows::by_name(reader, name))
    }

    fn by_id(&self, addr: AccountId) -> Reply<'_, Option<Name>> {
        self.read(move |reader| match rows::by_id(reader, addr)? {
            Some((name, HeldState::Active)) => Ok(Some(name)),
            _ => Ok(None),
        })
    }

    fn register(&self, record: Record, likeness: Likeness, now: UnixTime) -> Reply<'_, Outcome> {
        self.write(move |batch| batch.register(&record, likeness, now))
    }

    fn import(&self, records: Vec<Record>, now: UnixTime) -> Reply<'_, Vec<Outcome>> {
        self.write(move |batch| {
            let records = records.iter().take(MAX_PAGE);
            records.map(|record| batch.import(record, now)).collect()
        })
    }

    fn admin(&self, act: Admin, now: UnixTime) -> Reply<'_, Result<bool, AdminRefusal>> {
        self.write(move |batch| batch.admin(&act, now))
    }

    fn add_key(&self, key: SignerKey, now: UnixTime) -> Reply<'_, ()> {
        self.write(move |batch| batch.add_key(key, now))
    }

    fn head(&self) -> Reply<'_, Head> {
        self.read(rows::head)
    }

    fn add_checkpoint(&self, checkpoint: Checkpoint) -> Reply<'_, ()> {
        self.write(move |batch| batch.add_checkpoint(&checkpoint))
    }

    fn checkpoints(&self, after: u64, limit: usize) -> Reply<'_, Vec<Checkpoint>> {
        self.read(move |reader| rows::checkpoints(reader, after, limit))
    }

    fn last_checkpoint(&self) -> Reply<'_, Option<Checkpoint>> {
        self.read(rows::last_checkpoint)
    }

    fn entries(&self, after: u64, limit: usize) -> Reply<'_, Vec<Logged>> {
        self.read(move |reader| rows::entries(reader, after, limit))
    }

    fn held(&self, after: u64, limit: usize) -> Reply<'_, Vec<Held>> {
        self.read(move |reader| rows::held(reader, after, limit))
    }

    fn put_back(&self, lines: Vec<Line>) -> Reply<'_, ()> {
        self.write(move |batch| batch.put_back(&lines))
    }
}

#[cfg(test)]
mod tests;
