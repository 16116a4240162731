//! One change after the other; registrations that wait are one.

use std::time::Duration;

use baraza_wire::{Rng, UnixTime};
use deadpool_postgres::{Object, Pool};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_postgres::IsolationLevel;

use super::change::{self, Asked};
use super::{Again, Failure, connection, slow};
use crate::audit::{Checkpoint, SignerKey};
use crate::confusable::Likeness;
use crate::directory::Record;
use crate::store::{Admin, AdminRefusal, Line, MAX_PAGE, Outcome, StoreError};

/// Most registrations of one transaction.
const BATCH: usize = 256;
/// How long a change is tried again.
const LONGEST: Duration = Duration::from_secs(20);
/// Longest a transaction may take: an import has some megabytes.
const ATTEMPT: Duration = Duration::from_secs(30);
/// First pause after a conflict, and the longest.
const PAUSE: Duration = Duration::from_millis(4);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A transaction, until it is done. One that may be done twice is tried again also if the
/// connection was lost: it finds out what became of the first attempt. (A macro, as the
/// compiler cannot tell of a closure that borrows what it is given that its future may be
/// sent.)
macro_rules! transact {
    ($pool:expr, twice: $twice:expr, $on:ident => $work:expr) => {{
        let mut attempts = Attempts::new($twice);
        loop {
            let once = async {
                let mut object = connection($pool).await?;
                let changing = async {
                    let transaction = object
                        .build_transaction()
                        .isolation_level(IsolationLevel::Serializable)
                        .start()
                        .await?;
                    let $on = &transaction;
                    let done = $work.await?;
                    transaction.commit().await?;
                    Ok(done)
                };
                match tokio::time::timeout(ATTEMPT, changing).await {
                    Ok(done) => done,
                    Err(_) => {
                        // Nobody knows what it is doing.
                        drop(Object::take(object));
                        Err(slow())
                    }
                }
            };
            match once.await {
                Ok(done) => break Ok(done),
                Err(failure) => {
                    if let Some(error) = attempts.failed(failure).await {
                        break Err(error);
                    }
                }
            }
        }
    }};
}

/// How often something was tried.
struct Attempts {
    begun: Instant,
    tries: u32,
    twice: bool,
}

impl Attempts {
    fn new(twice: bool) -> Self {
        Self {
            begun: Instant::now(),
            tries: 0,
            twice,
        }
    }

    /// Waits for the next one; or says why there is none.
    async fn failed(&mut self, failure: Failure) -> Option<StoreError> {
        let may = match failure.again {
            Again::Never => false,
            Again::Conflict => true,
            Again::Lost => self.twice,
        };
        if !may || self.begun.elapsed() > LONGEST {
            return Some(failure.error);
        }
        tracing::debug!(tries = self.tries, again = ?failure.again, "a change is tried again");
        self.tries = self.tries.saturating_add(1);
        pause(self.tries).await;
        None
    }
}

type Told<T> = oneshot::Sender<Result<T, StoreError>>;

/// What is to be changed, and who is to be told.
pub(super) enum Change {
    Register {
        record: Box<Record>,
        likeness: Likeness,
        now: UnixTime,
        told: Told<Outcome>,
    },
    Import {
        records: Vec<Record>,
        now: UnixTime,
        told: Told<Vec<Outcome>>,
    },
    Admin {
        act: Box<Admin>,
        now: UnixTime,
        told: Told<Result<bool, AdminRefusal>>,
    },
    Key {
        key: SignerKey,
        now: UnixTime,
        told: Told<()>,
    },
    Checkpoint {
        checkpoint: Box<Checkpoint>,
        told: Told<()>,
    },
    PutBack {
        lines: Vec<Line>,
        told: Told<()>,
    },
}

/// A registration that waits.
struct Waiting {
    record: Box<Record>,
    likeness: Likeness,
    now: UnixTime,
    told: Told<Outcome>,
}

/// The task that changes the directory.
pub(super) struct Writer {
    pool: Pool,
    queue: mpsc::Receiver<Change>,
}

/// A pause after some attempts, longer and longer, and not the same for all.
pub(super) async fn pause(tries: u32) {
    let longest = PAUSE.saturating_mul(1 << tries.min(8)).min(LONGEST_PAUSE);
    let most = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
    let micros = Rng::from_os().range(most / 2..most.max(1));
    tokio::time::sleep(Duration::from_micros(micros)).await;
}

impl Writer {
    pub(super) fn new(pool: Pool, queue: mpsc::Receiver<Change>) -> Self {
        Self { pool, queue }
    }

    pub(super) async fn run(mut self) {
        let mut next = None;
        loop {
            let change = match next.take() {
                Some(change) => change,
                None => match self.queue.recv().await {
                    Some(change) => change,
                    None => return,
                },
            };
            next = self.carry_out(change).await;
        }
    }

    /// Does it; the one that came after some registrations, if one did.
    async fn carry_out(&mut self, change: Change) -> Option<Change> {
        // Whoever asked may have gone.
        match change {
            Change::Register {
                record,
                likeness,
                now,
                told,
            } => {
                let first = Waiting {
                    record,
                    likeness,
                    now,
                    told,
                };
                return self.register(first).await;
            }
            Change::Import { records, now, told } => {
                let asked: Vec<Asked<'_>> = records
                    .iter()
                    .take(MAX_PAGE)
                    .map(|record| Asked {
                        record,
                        likeness: Likeness::Off,
                        imported: true,
                        now,
                    })
                    .collect();
                let done = transact!(&self.pool, twice: true, on => change::register(on, &asked));
                let _gone = told.send(done);
            }
            Change::Admin { act, now, told } => {
                let done = transact!(&self.pool, twice: false, on => change::admin(on, &act, now));
                let _gone = told.send(done);
            }
            Change::Key { key, now, told } => {
                let done = transact!(&self.pool, twice: true, on => change::add_key(on, key, now));
                let _gone = told.send(done);
            }
            Change::Checkpoint { checkpoint, told } => {
                let done = transact!(&self.pool, twice: true, on => change::add_checkpoint(on, &checkpoint));
                let _gone = told.send(done);
            }
            Change::PutBack { lines, told } => {
                let done = transact!(&self.pool, twice: false, on => change::put_back(on, &lines));
                let _gone = told.send(done);
            }
        }
        None
    }

    async fn register(&mut self, first: Waiting) -> Option<Change> {
        let (mut waiting, mut next) = (vec![first], None);
        while waiting.len() < BATCH {
            match self.queue.try_recv() {
                Ok(Change::Register {
                    record,
                    likeness,
                    now,
                    told,
                }) => waiting.push(Waiting {
                    record,
                    likeness,
                    now,
                    told,
                }),
                Ok(other) => {
                    next = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        match self.write(&waiting).await {
            Ok(outcomes) => {
                for (one, outcome) in waiting.into_iter().zip(outcomes) {
                    let _gone = one.told.send(Ok(outcome));
                }
            }
            Err(error @ (StoreError::Busy(_) | StoreError::Full)) => {
                for one in waiting {
                    let _gone = one.told.send(Err(error.clone()));
                }
            }
            // One of them spoils it for the others: each for itself, then.
            Err(_) => {
                for one in waiting {
                    let done = self.write(std::slice::from_ref(&one)).await;
                    let undone = || StoreError::Database("nothing was done".into());
                    let done =
                        done.and_then(|outcomes| outcomes.into_iter().next().ok_or_else(undone));
                    let _gone = one.told.send(done);
                }
            }
        }
        next
    }

    /// Registrations, all in one transaction.
    async fn write(&self, waiting: &[Waiting]) -> Result<Vec<Outcome>, StoreError> {
        let asked: Vec<Asked<'_>> = waiting
            .iter()
            .map(|one| Asked {
                record: &one.record,
                likeness: one.likeness,
                imported: false,
                now: one.now,
            })
            .collect();
        transact!(&self.pool, twice: true, on => change::register(on, &asked))
    }
}
