//! The directory in PostgreSQL, or what speaks its protocol, where one machine is not enough.
//!
//! Each change is one serialisable transaction, tried again when the database refuses it for
//! a conflict: it begins with a lock on the end of the log, so that several servers on one
//! database make one chain. What comes while one is under way is written together in the
//! next. No connection keeps anything from one transaction to the next but its prepared
//! statements, so that each may take another one, of another machine of a cluster.

mod change;
mod rows;
mod writer;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use baraza_wire::{AccountId, UnixTime};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use self::writer::{Change, Writer};
use super::{Admin, AdminRefusal, Held, HeldState, Line, Outcome, Reply, Store, StoreError};
use crate::audit::{Checkpoint, Head, Logged, SignerKey};
use crate::confusable::Likeness;
use crate::directory::Record;
use crate::name::Name;

const SCHEMA: &str = include_str!("postgres/schema.sql");
const VERSION: i64 = 1;
/// Connections of one server.
const CONNECTIONS: usize = 16;
/// Longest wait for a connection, and for an answer on one.
const PATIENCE: Duration = Duration::from_secs(5);
/// Changes that wait for the writer; more are refused.
const QUEUE: usize = 4096;
/// Attempts to make the tables, as another server may make them at the same time.
const MAKE_TRIES: u32 = 10;

/// Reads on a connection of its own; once more if that one was dead. A macro, as the compiler
/// cannot tell of a closure that borrows what it is given that its future may be sent.
macro_rules! read {
    ($store:expr, $on:ident => $work:expr) => {{
        let store = $store;
        Box::pin(async move {
            let mut again = true;
            loop {
                let reading = async {
                    let object = connection(&store.pool).await?;
                    let $on = &object;
                    $work.await
                };
                let done = tokio::time::timeout(PATIENCE, reading).await;
                match done.unwrap_or_else(|_| Err(slow())) {
                    Ok(value) => return Ok(value),
                    Err(Failure { again: may, .. }) if again && may != Again::Never => {
                        again = false;
                    }
                    Err(Failure { error, .. }) => return Err(error),
                }
            }
        })
    }};
}

/// A directory in a database.
pub struct PostgresStore {
    pool: Pool,
    changes: mpsc::Sender<Change>,
    writer: tokio::task::AbortHandle,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("connections", &self.pool.status().size)
            .finish_non_exhaustive()
    }
}

/// Why a transaction failed, and whether another attempt may do.
#[derive(Debug)]
struct Failure {
    error: StoreError,
    again: Again,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// It would fail in the same way.
    Never,
    /// Somebody else was first. Nothing was done.
    Conflict,
    /// There is no connection any more. If it was lost during a commit, nobody knows what
    /// became of that.
    Lost,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let again = Again::Never;
        Self { error, again }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let text = in_words(&error);
        let lost = || Self {
            error: StoreError::Busy(text.clone()),
            again: Again::Lost,
        };
        let Some(code) = error.code() else {
            // Not an answer of the database.
            return lost();
        };
        if *code == SqlState::DISK_FULL {
            return StoreError::Full.into();
        }
        let conflicts = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::UNIQUE_VIOLATION,
        ];
        if conflicts.contains(code) {
            return Self {
                error: StoreError::Busy(text),
                again: Again::Conflict,
            };
        }
        // Connection exceptions, too many connections, operator intervention, system errors.
        match code.code().get(..2) {
            Some("08" | "53" | "57" | "58") => lost(),
            _ => StoreError::Database(text).into(),
        }
    }
}

/// What the database says, without parameters, which may be names.
fn in_words(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(told) => format!("{} ({})", told.message(), told.code().code()),
        // Of no answer: the reason is below ("error performing TLS handshake").
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

impl PostgresStore {
    /// Opens the directory in a database, or makes one there; `url` as PostgreSQL writes
    /// them (`postgres://user:password@host/database`). Must be called within a tokio
    /// runtime.
    ///
    /// Other machines are spoken to by TLS, with a certificate by an authority that this system
    /// trusts, unless the address says `sslmode=disable`.
    ///
    /// # Errors
    /// If the address is none, or the database cannot be used.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let mut config: Config = url
            .parse()
            .map_err(|_| StoreError::Database("this is not the address of a database".into()))?;
        config.connect_timeout(PATIENCE);
        config.application_name("baraza names");
        if config.get_ssl_mode() == SslMode::Prefer && config.get_hosts().iter().any(is_remote) {
            config.ssl_mode(SslMode::Require);
        }
        let how = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = if config.get_ssl_mode() == SslMode::Require {
            Manager::from_config(config, tls()?, how)
        } else {
            Manager::from_config(config, NoTls, how)
        };
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .build()
            .map_err(|error| StoreError::Database(error.to_string()))?;
        make(&pool).await?;
        let (changes, queue) = mpsc::channel(QUEUE);
        let writer = Writer::new(pool.clone(), queue);
        let writer = tokio::spawn(writer.run()).abort_handle();
        Ok(Self {
            pool,
            changes,
            writer,
        })
    }

    async fn change<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Change,
    ) -> Result<T, StoreError> {
        let stopped = || StoreError::Database("the writer has stopped".into());
        let (told, answer) = oneshot::channel();
        self.changes
            .try_send(make(told))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => {
                    StoreError::Busy("too many changes at once".into())
                }
                mpsc::error::TrySendError::Closed(_) => stopped(),
            })?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        // What it has under way was confirmed to nobody.
        self.writer.abort();
    }
}

fn slow() -> Failure {
    Failure {
        error: StoreError::Busy("the database takes too long to answer".into()),
        again: Again::Lost,
    }
}

async fn connection(pool: &Pool) -> Result<Object, Failure> {
    pool.get().await.map_err(|error| match error {
        deadpool_postgres::PoolError::Backend(error) => error.into(),
        other => Failure {
            error: StoreError::Busy(other.to_string()),
            again: Again::Lost,
        },
    })
}

/// Whether what is said to it goes over a network.
fn is_remote(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => match name.parse::<IpAddr>() {
            Ok(address) => !address.is_loopback(),
            Err(_) => name != "localhost",
        },
        Host::Unix(_) => false,
    }
}

fn tls() -> Result<MakeRustlsConnect, StoreError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Database(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Makes the tables, if there are none, and looks at their version.
async fn make(pool: &Pool) -> Result<(), StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let made = async {
            let connection = connection(pool).await?;
            connection.batch_execute(SCHEMA).await?;
            let row = connection
                .query_one("SELECT version FROM head WHERE id = 1", &[])
                .await?;
            Ok::<i64, Failure>(row.try_get(0)?)
        };
        let failure = match made.await {
            Ok(VERSION) => return Ok(()),
            Ok(newer) => {
                return Err(StoreError::Database(format!(
                    "the directory is of version {newer}, which this program does not know yet"
                )));
            }
            Err(failure) => failure,
        };
        if failure.again != Again::Conflict || tries >= MAKE_TRIES {
            return Err(failure.error);
        }
        writer::pause(tries).await;
    }
}

impl Store for PostgresStore {
    fn by_name<'a>(&'a self, name: &'a Name) -> Reply<'a, Option<Held>> {
        read!(self, on => rows::by_name(on, name))
    }

    fn by_id(&self, addr: AccountId) -> Reply<'_, Option<Name>> {
        Box::pin(async move {
            let found: Reply<'_, _> = read!(self, on => rows::by_id(on, addr));
            let found: Option<(Name, HeldState)> = found.await?;
            Ok(found.and_then(|(name, state)| (state == HeldState::Active).then_some(name)))
        })
    }

    fn register(&self, record: Record, likeness: Likeness, now: UnixTime) -> Reply<'_, Outcome> {
        Box::pin(self.change(move |told| Change::Register {
            record: Box::new(record),
            likeness,
            now,
            told,
        }))
    }

    fn import(&self, records: Vec<Record>, now: UnixTime) -> Reply<'_, Vec<Outcome>> {
        Box::pin(self.change(move |told| Change::Import { records, now, told }))
    }

    fn admin(&self, act: Admin, now: UnixTime) -> Reply<'_, Result<bool, AdminRefusal>> {
        Box::pin(self.change(move |told| Change::Admin {
            act: Box::new(act),
            now,
            told,
        }))
    }

    fn add_key(&self, key: SignerKey, now: UnixTime) -> Reply<'_, ()> {
        Box::pin(self.change(move |told| Change::Key { key, now, told }))
    }

    fn head(&self) -> Reply<'_, Head> {
        read!(self, on => rows::head(on))
    }

    fn add_checkpoint(&self, checkpoint: Checkpoint) -> Reply<'_, ()> {
        Box::pin(self.change(move |told| Change::Checkpoint {
            checkpoint: Box::new(checkpoint),
            told,
        }))
    }

    fn checkpoints(&self, after: u64, limit: usize) -> Reply<'_, Vec<Checkpoint>> {
        read!(self, on => rows::checkpoints(on, after, limit))
    }

    fn last_checkpoint(&self) -> Reply<'_, Option<Checkpoint>> {
        read!(self, on => rows::last_checkpoint(on))
    }

    fn entries(&self, after: u64, limit: usize) -> Reply<'_, Vec<Logged>> {
        read!(self, on => rows::entries(on, after, limit))
    }

    fn held(&self, after: u64, limit: usize) -> Reply<'_, Vec<Held>> {
        read!(self, on => rows::held(on, after, limit))
    }

    fn put_back(&self, lines: Vec<Line>) -> Reply<'_, ()> {
        Box::pin(self.change(move |told| Change::PutBack { lines, told }))
    }
}

#[cfg(test)]
mod tests;
