//! Connections that read.
//!
//! To begin and to end a transaction costs as much as a lookup. So when many lookups come one
//! right after the other, they share transactions, each as long as this process has not written
//! anything since it began, and for [`FRESH`] at most: what other processes wrote is seen that
//! much later.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::store::StoreError;

/// Longest time that lookups share a transaction.
const FRESH: Duration = Duration::from_millis(2);
/// So many lookups of a connection, each as soon as [`CLOSE`] after the one before, come first.
const CROWD: u32 = 256;
const CLOSE: Duration = Duration::from_millis(1);

/// Some connections to the same file.
#[derive(Debug)]
pub(super) struct Readers {
    shared: Arc<Shared>,
    /// The thread that ends transactions which nobody uses any more.
    tidy: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    readers: Vec<Mutex<Reader>>,
    /// What this process has written, in transactions.
    written: AtomicU64,
    /// Whether `tidy` is awake.
    awake: AtomicBool,
    /// Whether it is to end.
    stopped: AtomicBool,
}

#[derive(Debug)]
struct Reader {
    connection: Connection,
    last: Option<Instant>,
    /// How many came one right after the other.
    crowd: u32,
    shared: Option<Snapshot>,
}

/// A transaction that lookups share.
#[derive(Debug, Clone, Copy)]
struct Snapshot {
    began: Instant,
    written: u64,
}

impl Reader {
    /// Ends a shared transaction that is too old.
    fn refresh(&mut self, now: Instant, written: u64) -> Result<(), StoreError> {
        let old = |shared: Snapshot| {
            shared.written != written || now.saturating_duration_since(shared.began) >= FRESH
        };
        if self.shared.is_some_and(old) {
            self.shared = None;
            self.connection.prepare_cached("COMMIT")?.execute([])?;
        }
        Ok(())
    }
}

impl Readers {
    /// Of these connections; there must be one.
    pub(super) fn new(connections: Vec<Connection>) -> std::io::Result<Self> {
        let reader = |connection| {
            Mutex::new(Reader {
                connection,
                last: None,
                crowd: 0,
                shared: None,
            })
        };
        let shared = Arc::new(Shared {
            readers: connections.into_iter().map(reader).collect(),
            written: AtomicU64::new(0),
            awake: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let tidy = std::thread::Builder::new()
            .name("names-readers".into())
            .spawn(move || tidy(&of_thread))?;
        let tidy = Some(tidy);
        Ok(Self { shared, tidy })
    }

    /// To be called after each commit, before anybody is told of it.
    pub(super) fn written(&self) -> impl Fn() + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move || {
            shared.written.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Reads what is there now.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let written = self.shared.written.load(Ordering::Acquire);
        let mut reader = self.reader()?;
        let now = Instant::now();
        reader.refresh(now, written)?;
        let close = |last| now.saturating_duration_since(last) < CLOSE;
        reader.crowd = match reader.last.is_some_and(close) {
            true => reader.crowd.saturating_add(1),
            false => 0,
        };
        if reader.shared.is_none() && reader.crowd >= CROWD {
            reader.connection.prepare_cached("BEGIN")?.execute([])?;
            reader.shared = Some(Snapshot {
                began: now,
                written,
            });
            if !self.shared.awake.swap(true, Ordering::AcqRel) {
                self.wake();
            }
        }
        reader.last = Some(now);
        work(&reader.connection)
    }

    fn wake(&self) {
        if let Some(tidy) = &self.tidy {
            tidy.thread().unpark();
        }
    }

    /// The connection of this thread, or any that nobody uses.
    fn reader(&self) -> Result<MutexGuard<'_, Reader>, StoreError> {
        let readers = &self.shared.readers;
        let (late, early) = readers
            .split_at_checked(turn() % readers.len().max(1))
            .unwrap_or((&[], readers));
        let mut first = None;
        for reader in early.iter().chain(late) {
            match reader.try_lock() {
                Ok(free) => return Ok(free),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => {
                    first.get_or_insert(reader);
                }
            }
        }
        let first = first.ok_or_else(|| StoreError::Database("no connection".into()))?;
        Ok(first.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.wake();
        if let Some(tidy) = self.tidy.take()
            && tidy.join().is_err()
        {
            tracing::error!("the thread that ends lookups panicked");
        }
    }
}

/// A number of this thread, in turn.
fn turn() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static TURN: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    TURN.with(|turn| *turn)
}

/// Ends transactions after the last lookup: they would keep the file from being tidied up.
fn tidy(shared: &Shared) {
    while !shared.stopped.load(Ordering::Acquire) {
        // Before they are looked at: who begins one meanwhile wakes this up again.
        shared.awake.store(false, Ordering::Release);
        let mut any = false;
        for reader in &shared.readers {
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let written = shared.written.load(Ordering::Acquire);
            if let Err(error) = reader.refresh(Instant::now(), written) {
                tracing::warn!(%error, "cannot end a lookup");
            }
            any |= reader.shared.is_some();
        }
        if any {
            shared.awake.store(true, Ordering::Release);
            std::thread::sleep(FRESH);
        } else {
            std::thread::park();
        }
    }
}
