//! The node: a data directory's accounts, running.

mod archives;
mod bundles;
mod create;
mod devices;
mod doctor;
mod engine;
mod import_jami;
mod keep;
mod linking;
mod names;
mod nearby;
mod network;
mod pin;
mod restore;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use baraza_dht::driver::{DhtHandle, DriverConfig, DriverError, Port};
use baraza_identity::account::Step;
use baraza_identity::{Archive, Password};
use baraza_names::client::HttpClient;
use baraza_store::{AccountRow, DirectoryLock, Durability, LockError, Store, StoreError, files};
use baraza_wire::{AccountId, Now, Rng, UnixTime};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinSet;

use crate::command::{Command, CommandError, Reply};
use crate::event::{Event, EventBody, LocalId, RegistrationState};
use crate::files::Staging;
use crate::keys::{Keys, KeysError};
use crate::names::NameProblem;
pub use bundles::{BundleReport, Since};
pub use doctor::CHECK_LIMIT;
use engine::{ENABLED, Ended, Engine};
pub use import_jami::{JamiAccount, JamiImport, JamiReport};
pub use keep::{BackupState, MAX_KEPT, Schedule};
use linking::NewLink;
pub use nearby::Nearby;
pub use network::MAX_HOSTS;
pub(crate) use network::NETWORK;
pub use pin::{PIN_LIFETIME, PinOffer};

/// How a node runs.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Where everything is kept. Created with mode 0700 if it is not there.
    pub data_dir: PathBuf,
    /// DHT nodes to begin with, as `host:port`. Names are looked up again when needed.
    pub bootstrap: Vec<String>,
    /// Whether these are to be used whatever was chosen ([`Node::set_bootstrap`]).
    pub bootstrap_given: bool,
    /// UDP port of the DHT; 0 lets the system choose.
    pub dht_port: u16,
    /// Stay on the loopback interface: for tests.
    pub loopback: bool,
}

impl NodeConfig {
    /// A node with its files in `data_dir`, without any bootstrap.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            bootstrap: Vec::new(),
            bootstrap_given: false,
            dht_port: 0,
            loopback: false,
        }
    }
}

/// Why the node cannot do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Another process uses the data directory.
    #[error("another Baraza uses {0} already")]
    InUse(PathBuf),
    /// The data directory or something in it cannot be used.
    #[error("cannot use {path}: {source}")]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The node has no such account.
    #[error("no such account")]
    NoSuchAccount,
    /// The account has no such other device, or its certificate is not known yet.
    #[error("no such other device of the account is known")]
    NoSuchDevice,
    /// The account is here already.
    #[error("the account {0} is here already")]
    Exists(AccountId),
    /// The archive cannot be read: see the text (damaged, too large, …).
    #[error("{0}")]
    Archive(String),
    /// The archive has another password; or it is damaged, which looks the same.
    #[error("wrong password")]
    WrongPassword,
    /// The archive has a password, and none was given.
    #[error("the account's archive has a password, which is needed for this")]
    PasswordNeeded,
    /// A device is being linked already.
    #[error("another linking is under way; cancel that, or wait until it is done")]
    LinkRunning,
    /// A name cannot be registered.
    #[error(transparent)]
    Name(#[from] NameProblem),
    /// Nothing is being linked, or nothing is asked of the user now.
    #[error("nothing is being linked that waits for this")]
    NoLink,
    /// No account lies under the PIN (any more), or it has another password.
    #[error("no account was found under this PIN with this password")]
    NothingUnderPin,
    /// The network cannot be used.
    #[error("cannot use the network: {0}")]
    Network(String),
    /// The database failed.
    #[error("the database failed: {0}")]
    Store(String),
    /// A file cannot be taken in.
    #[error("the file cannot be stored: {0}")]
    File(String),
    /// Keys could not be made.
    #[error("cannot make keys: {0}")]
    Keys(String),
    /// What was asked for makes no sense: see the text.
    #[error("{0}")]
    Refused(String),
    /// The cursor is older than the log: read the state anew and go on from `oldest`.
    #[error("events before cursor {oldest} are gone")]
    CursorTooOld {
        /// The oldest cursor that may be asked for.
        oldest: u64,
    },
    /// The node is shutting down.
    #[error("the node is shutting down")]
    Stopped,
}

/// An account of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSummary {
    /// Its local name.
    pub account: LocalId,
    /// Its Jami ID.
    pub jami_id: AccountId,
    /// Whether it uses the network.
    pub enabled: bool,
}

/// Events after a cursor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPage {
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// The cursor to ask from next.
    pub next: u64,
    /// Whether there are more already.
    pub more: bool,
}

/// Events waiting for a subscriber that does not read; when there are more, it gets
/// `Lagged` and reads them with [`Node::events_since`].
pub const SUBSCRIBER_QUEUE: usize = 4096;

/// A running node. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: NodeConfig,
    events: broadcast::Sender<Arc<Event>>,
    /// The cursor of the newest event.
    cursor: Arc<AtomicU64>,
    store: Mutex<Store>,
    engines: Mutex<BTreeMap<LocalId, Running>>,
    dht: DhtHandle,
    /// Asks name servers.
    names: HttpClient,
    /// The linking of this machine to an account, if it was begun.
    new_link: Mutex<Option<NewLink>>,
    /// Held by whoever stops, starts or removes an account.
    lives: tokio::sync::Mutex<()>,
    /// Held by whoever replaces an archive file by one made from it.
    archives: Mutex<()>,
    /// Held as long as the node runs.
    lock: Mutex<Option<DirectoryLock>>,
    /// Held while a backup is made.
    backing_up: Mutex<()>,
    schedule_changed: Arc<Notify>,
    /// Whether a backup is being restored: nothing else is made then.
    restoring: AtomicBool,
    restart: Notify,
    /// What was chosen of the network.
    choices: network::Choices,
    /// What is known of the local network.
    local: Mutex<nearby::Local>,
}

#[derive(Debug)]
struct Running {
    /// Its place in the order of accounts.
    row: AccountRow,
    /// Whether it uses the network.
    enabled: bool,
    /// `None` if it could not be started.
    engine: Option<Engine>,
    /// Which start of the account this is.
    life: u64,
}

/// Name of the database in the data directory.
pub(crate) const DATABASE: &str = "node.db";
/// Events read from the log at a time.
const MAX_EVENTS_PAGE: usize = 10_000;

/// The time, as the machines want it.
fn now() -> Now {
    Now {
        instant: Instant::now(),
        unix: UnixTime::from_system(SystemTime::now()),
    }
}

/// What is behind a lock stays usable whatever a thread did that held it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<StoreError> for NodeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<KeysError> for NodeError {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Io { path, source } => Self::Io { path, source },
            other => Self::Keys(other.to_string()),
        }
    }
}

impl Node {
    /// Opens the data directory and starts all its accounts. They register by themselves.
    /// An account that cannot be started says so by an event, and the others run.
    ///
    /// # Errors
    /// If the directory is in use or cannot be used, or there is no network to bind to.
    pub async fn open(config: NodeConfig) -> Result<Self, NodeError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| NodeError::Io { path, source }
        };
        files::private_directory(&config.data_dir).map_err(at(&config.data_dir))?;
        let directory_lock =
            DirectoryLock::acquire(&config.data_dir).map_err(|error| match error {
                LockError::InUse { directory, .. } => NodeError::InUse(directory),
                LockError::Io { directory, source } => NodeError::Io {
                    path: directory,
                    source,
                },
                other => NodeError::Store(other.to_string()),
            })?;
        restore::move_in(&config.data_dir)?;
        let mut store = Store::open(config.data_dir.join(DATABASE), Durability::Full)?;
        bundles::remove_stale(&config.data_dir);
        create::adopt(&config.data_dir.join("accounts"), &mut store, now().unix)?;
        let (_, newest) = store.event_range()?;
        let accounts = store.accounts()?;
        let choices = network::Choices::load(&config.data_dir)?;
        let dht = start_dht(&config, choices.first_hosts(&config))?;
        let (events, _) = broadcast::channel(SUBSCRIBER_QUEUE);
        let node = Self {
            inner: Arc::new(Inner {
                config,
                events,
                cursor: Arc::new(AtomicU64::new(newest)),
                store: Mutex::new(store),
                engines: Mutex::new(BTreeMap::new()),
                dht,
                names: HttpClient::new(),
                new_link: Mutex::new(None),
                lives: tokio::sync::Mutex::default(),
                archives: Mutex::new(()),
                lock: Mutex::new(Some(directory_lock)),
                backing_up: Mutex::new(()),
                schedule_changed: Arc::new(Notify::new()),
                restoring: AtomicBool::new(false),
                restart: Notify::new(),
                choices,
                local: Mutex::default(),
            }),
        };
        tokio::spawn(keep::run_schedule(Arc::downgrade(&node.inner)));
        node.look_around_again();
        for row in accounts {
            let local_id = row.local_id.clone();
            if let Err(error) = node.start(row).await {
                tracing::error!(account = local_id, %error, "account not started");
                if let Ok(account) = local_id.parse() {
                    node.tell(
                        account,
                        EventBody::RegistrationStateChanged {
                            state: RegistrationState::ErrorGeneric,
                            detail: error.to_string(),
                        },
                    )?;
                }
            }
        }
        Ok(node)
    }

    /// The configuration it runs with.
    pub fn config(&self) -> &NodeConfig {
        &self.inner.config
    }

    /// Its database, for what is kept there beside accounts.
    pub fn database(&self) -> PathBuf {
        self.inner.config.data_dir.join(DATABASE)
    }

    /// The accounts, in the order they came.
    pub fn accounts(&self) -> Vec<AccountSummary> {
        let engines = lock(&self.inner.engines);
        let mut accounts: Vec<(i64, AccountSummary)> = engines
            .iter()
            .map(|(account, running)| {
                let summary = AccountSummary {
                    account: *account,
                    jami_id: running.row.jami_id,
                    enabled: running.enabled,
                };
                (running.row.number, summary)
            })
            .collect();
        accounts.sort_by_key(|(number, _)| *number);
        accounts.into_iter().map(|(_, summary)| summary).collect()
    }

    /// Makes a new account and starts it. Takes seconds: `progress` is told each step.
    /// With a `password`, the archive on disk is encrypted.
    ///
    /// # Errors
    /// If the keys or the files cannot be made.
    pub async fn create_account(
        &self,
        display_name: String,
        password: Option<Password>,
        progress: impl FnMut(Step) + Send + 'static,
    ) -> Result<LocalId, NodeError> {
        let account = self.new_local_id();
        self.initializing(account)?;
        let directory = self.pending_directory(account);
        let made = tokio::task::spawn_blocking(move || {
            create::account(&directory, password.as_ref(), progress)
        });
        let (keys, archive) = made.await.map_err(|_| NodeError::Stopped)??;
        self.add(account, &keys, &archive, display_name).await
    }

    /// Makes a new device of the account in an archive and starts it. Its conversations
    /// are fetched from the contacts they are with.
    ///
    /// # Errors
    /// If the archive cannot be read, or its account is here already.
    pub async fn import_archive(
        &self,
        archive: Vec<u8>,
        password: Option<Password>,
        display_name: String,
        progress: impl FnMut(Step) + Send + 'static,
    ) -> Result<LocalId, NodeError> {
        let (archive, password) = tokio::task::spawn_blocking(move || {
            let archive = create::read_archive(&archive, password.as_ref())?;
            Ok::<_, NodeError>((archive, password))
        })
        .await
        .map_err(|_| NodeError::Stopped)??;
        self.add_device(archive, password, display_name, progress)
            .await
    }

    /// Makes a new device of the account of `archive` and starts it. With a `password`, the
    /// archive is encrypted on disk. A failure leaves nothing behind.
    ///
    /// # Errors
    /// If its account is here already, or the keys or files cannot be made.
    pub async fn add_device(
        &self,
        archive: Archive,
        password: Option<Password>,
        display_name: String,
        progress: impl FnMut(Step) + Send + 'static,
    ) -> Result<LocalId, NodeError> {
        let account = self.new_local_id();
        let directory = self.pending_directory(account);
        let node = self.clone();
        let made = tokio::task::spawn_blocking(move || {
            let id = archive.account_id();
            let known = node.accounts();
            if known.iter().any(|account| account.jami_id == id) {
                return Err(NodeError::Exists(id));
            }
            node.initializing(account)?;
            create::device(&directory, archive, password.as_ref(), progress)
        });
        let (keys, archive) = made.await.map_err(|_| NodeError::Stopped)??;
        let account = self.add(account, &keys, &archive, display_name).await?;
        // The archive it came from is elsewhere.
        let number = lock(&self.inner.engines)
            .get(&account)
            .map(|running| running.row.number);
        number.map_or(Ok(()), |number| self.note_backed_up(number))?;
        Ok(account)
    }

    /// Stops an account and removes all its files.
    ///
    /// # Errors
    /// If there is no such account, or the files cannot be removed.
    pub async fn remove_account(&self, account: LocalId) -> Result<(), NodeError> {
        let _alone = self.inner.lives.lock().await;
        let running = lock(&self.inner.engines).remove(&account);
        let mut running = running.ok_or(NodeError::NoSuchAccount)?;
        if let Some(engine) = running.engine.take() {
            engine.stop().await;
        }
        let directory = self.account_directory(account);
        let number = running.row.number;
        let node = self.clone();
        let removed = tokio::task::spawn_blocking(move || {
            // First out of the way: a removal that is interrupted goes on at the next start.
            let doomed = directory.with_extension(create::REMOVED);
            let failed = |source| NodeError::Io {
                path: directory.clone(),
                source,
            };
            match std::fs::rename(&directory, &doomed) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed(error));
                }
                _ => {}
            }
            create::forget(&mut lock(&node.inner.store), number, account)?;
            match create::shred(&doomed) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            }
        });
        removed.await.map_err(|_| NodeError::Stopped)??;
        self.tell(account, EventBody::AccountRemoved)
    }

    /// Lets an account use the network, or not: then its links are closed and nothing tells
    /// others that it is there, but everything can be read, and what is written waits. It
    /// stays so over restarts.
    ///
    /// # Errors
    /// If there is no such account, or it cannot be started.
    pub async fn set_enabled(&self, account: LocalId, enabled: bool) -> Result<(), NodeError> {
        let _alone = self.inner.lives.lock().await;
        let (row, engine) = {
            let mut engines = lock(&self.inner.engines);
            let running = engines.get_mut(&account).ok_or(NodeError::NoSuchAccount)?;
            if running.enabled == enabled {
                return Ok(());
            }
            let value = (!enabled).then_some("false");
            lock(&self.inner.store).set_setting(running.row.number, ENABLED, value)?;
            running.life = running.life.wrapping_add(1);
            (running.row.clone(), running.engine.take())
        };
        if let Some(engine) = engine {
            engine.stop().await;
        }
        if !enabled {
            let state = RegistrationState::Unregistered;
            let detail = String::new();
            self.tell(
                account,
                EventBody::RegistrationStateChanged { state, detail },
            )?;
        }
        self.start(row).await
    }

    /// Asks an account. Commands to one account are done in the order they were given.
    ///
    /// # Errors
    /// Those of the command; or that the account is not running.
    pub async fn command(&self, account: LocalId, command: Command) -> Result<Reply, CommandError> {
        let commands = match lock(&self.inner.engines).get(&account) {
            None => return Err(CommandError::NoSuchAccount),
            Some(running) => running.engine.as_ref().map(Engine::commands),
        };
        commands.ok_or(CommandError::Stopped)?.ask(command).await
    }

    /// Begins to take in the content of a file for an account, of `length` bytes if that is
    /// known; to be sent with [`Command::SendFile`].
    ///
    /// # Errors
    /// If there is no such account, or no room on the disk.
    pub async fn stage_file(&self, account: LocalId, length: u64) -> Result<Staging, NodeError> {
        if !lock(&self.inner.engines).contains_key(&account) {
            return Err(NodeError::NoSuchAccount);
        }
        let directory = self.account_directory(account);
        let made = tokio::task::spawn_blocking(move || Staging::begin(&directory, length));
        made.await
            .map_err(|_| NodeError::Stopped)?
            .map_err(|error| NodeError::File(error.to_string()))
    }

    /// Events with a cursor above `cursor`, at most `limit`.
    ///
    /// # Errors
    /// If some of them are not kept any more, or the database fails.
    pub async fn events_since(&self, cursor: u64, limit: usize) -> Result<EventPage, NodeError> {
        let node = self.clone();
        let limit = limit.min(MAX_EVENTS_PAGE);
        let read = tokio::task::spawn_blocking(move || {
            let store = lock(&node.inner.store);
            let (before, newest) = store.event_range()?;
            if cursor < before {
                return Err(NodeError::CursorTooOld { oldest: before });
            }
            let rows = store.events_after(cursor, limit)?;
            let next = rows.last().map_or(cursor, |row| row.cursor);
            let events = rows.into_iter().filter_map(|row| {
                Some(Event {
                    cursor: row.cursor,
                    account: row.account.parse().ok()?,
                    time: row.time,
                    body: serde_json::from_str(&row.body).ok()?,
                })
            });
            Ok(EventPage {
                events: events.collect(),
                next,
                more: next < newest,
            })
        });
        read.await.map_err(|_| NodeError::Stopped)?
    }

    /// The cursor of the newest event.
    pub fn cursor(&self) -> u64 {
        self.inner.cursor.load(Ordering::Acquire)
    }

    /// Events from now on, of all accounts.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.inner.events.subscribe()
    }

    /// The network changed (addresses, interfaces): links are checked at once. The node also
    /// notices by itself, later.
    pub fn connectivity_changed(&self) {
        for running in lock(&self.inner.engines).values() {
            if let Some(engine) = &running.engine {
                engine.probe();
            }
        }
        let dht = self.inner.dht.clone();
        tokio::spawn(async move {
            // It may have ended.
            let _ = dht.connectivity_changed().await;
        });
    }

    /// The addresses the DHT listens on.
    pub fn dht_addresses(&self) -> Vec<SocketAddr> {
        let bound = self.inner.dht.addresses();
        bound.ipv4.into_iter().chain(bound.ipv6).collect()
    }

    /// What the DHT node knows and does; `None` if it has ended.
    pub async fn dht_stats(&self) -> Option<baraza_dht::Stats> {
        self.inner.dht.stats().await.ok()
    }

    /// Stops everything, having written everything. Later calls fail with `Stopped`.
    pub async fn shutdown(&self) {
        // Nothing is started again from here on.
        let directory_lock = lock(&self.inner.lock).take();
        drop(lock(&self.inner.new_link).take());
        lock(&self.inner.local).stop();
        let engines: Vec<Engine> = lock(&self.inner.engines)
            .values_mut()
            .filter_map(|running| running.engine.take())
            .collect();
        // Together, as each may wait for its peers.
        let mut stopping: JoinSet<()> = engines.into_iter().map(Engine::stop).collect();
        while stopping.join_next().await.is_some() {}
        self.inner.dht.shutdown().await;
        if let Err(error) = lock(&self.inner.store).checkpoint() {
            tracing::warn!(%error, "the database was not tidied up");
        }
        drop(directory_lock);
    }

    fn account_directory(&self, account: LocalId) -> PathBuf {
        let accounts = self.inner.config.data_dir.join("accounts");
        accounts.join(account.to_string())
    }

    /// Where the files of an account are until the database has it.
    fn pending_directory(&self, account: LocalId) -> PathBuf {
        self.account_directory(account)
            .with_extension(create::PENDING)
    }

    /// A local name that no account of this node has.
    fn new_local_id(&self) -> LocalId {
        let mut rng = Rng::from_os();
        loop {
            let id = LocalId::new(rng.u64());
            let taken = lock(&self.inner.engines).contains_key(&id)
                || self.account_directory(id).exists()
                || self.pending_directory(id).exists();
            if !taken {
                return id;
            }
        }
    }

    fn initializing(&self, account: LocalId) -> Result<(), NodeError> {
        self.tell(
            account,
            EventBody::RegistrationStateChanged {
                state: RegistrationState::Initializing,
                detail: String::new(),
            },
        )
    }

    /// Writes an event that is not an account's own, and tells it.
    fn tell(&self, account: LocalId, body: EventBody) -> Result<(), NodeError> {
        let json = serde_json::to_string(&body).unwrap_or_default();
        let time = now().unix;
        let cursor = lock(&self.inner.store).add_event(&account.to_string(), time, &json)?;
        self.inner.cursor.fetch_max(cursor, Ordering::AcqRel);
        // Nobody may be listening.
        let _ = self.inner.events.send(Arc::new(Event {
            cursor,
            account,
            time,
            body,
        }));
        Ok(())
    }

    /// Enters a new account, whose files are written, and starts it.
    async fn add(
        &self,
        account: LocalId,
        keys: &Keys,
        archive: &Archive,
        display_name: String,
    ) -> Result<LocalId, NodeError> {
        let name = match display_name.is_empty() {
            true => archive.settings.get(archives::DISPLAY_NAME).cloned(),
            false => None,
        };
        let mut row = AccountRow {
            number: 0,
            local_id: account.to_string(),
            jami_id: keys.identity.account_id(),
            device_id: keys.identity.device_id(),
            display_name: name.unwrap_or(display_name),
            created: now().unix,
        };
        let pending = self.pending_directory(account);
        if self.inner.restoring.load(Ordering::Acquire) {
            let _ = create::shred(&pending);
            let text = "a backup is being restored here: wait until the node starts again";
            return Err(NodeError::Refused(text.to_owned()));
        }
        let entered = lock(&self.inner.store).atomic(|store| {
            let number = store.add_account(&row)?;
            archives::take(archive, store, number, row.created)?;
            Ok::<_, StoreError>(number)
        });
        row.number = match entered {
            Ok(number) => number,
            Err(error) => {
                // What is left of it is removed at the next start.
                let _ = create::shred(&pending);
                return Err(error.into());
            }
        };
        // From here on it is an account, whatever happens.
        create::settle(&pending, &self.account_directory(account)).map_err(|source| {
            NodeError::Io {
                path: pending,
                source,
            }
        })?;
        let jami_id = row.jami_id;
        self.tell(account, EventBody::AccountAdded { jami_id })?;
        self.start(row).await?;
        Ok(account)
    }

    /// Starts an account.
    async fn start(&self, row: AccountRow) -> Result<(), NodeError> {
        if lock(&self.inner.lock).is_none() {
            return Err(NodeError::Stopped);
        }
        let account: LocalId = row
            .local_id
            .parse()
            .map_err(|_| NodeError::Store("an account without a name".into()))?;
        let started = Engine::start(&self.inner, account, &row).await;
        let (engine, ended, error) = match started {
            Ok((engine, ended)) => (Some(engine), Some(ended), None),
            Err(error) => (None, None, Some(error)),
        };
        let enabled = engine::is_enabled(&lock(&self.inner.store), row.number)?;
        let life = {
            let mut engines = lock(&self.inner.engines);
            let life = engines.get(&account).map_or(0, |running| running.life);
            let running = Running {
                row,
                enabled,
                engine,
                life,
            };
            engines.insert(account, running);
            life
        };
        let node = Arc::downgrade(&self.inner);
        tokio::spawn(supervise(node, account, life, ended));
        error.map_or(Ok(()), Err)
    }
}

/// Starts an account again that ended by itself, as by a full disk, for as long as it is one
/// of the node's.
async fn supervise(node: Weak<Inner>, account: LocalId, life: u64, mut ended: Option<Ended>) {
    let mut pause = RESTART_FIRST;
    loop {
        if let Some(ended) = ended.take() {
            let started = Instant::now();
            if ended.await != Ok(true) {
                // It was stopped.
                return;
            }
            if started.elapsed() > RESTART_LONGEST {
                pause = RESTART_FIRST;
            }
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2).min(RESTART_LONGEST);
        let Some(node) = node.upgrade() else {
            return;
        };
        let _alone = node.lives.lock().await;
        let row = {
            let engines = lock(&node.engines);
            // Removed or started anew, or the node is shutting down.
            let running = engines.get(&account).filter(|running| running.life == life);
            let running = running.filter(|_| lock(&node.lock).is_some());
            running.map(|running| running.row.clone())
        };
        let Some(row) = row else {
            return;
        };
        match Engine::start(&node, account, &row).await {
            Ok((engine, new)) => {
                tracing::info!(%account, "the account runs again");
                if let Some(running) = lock(&node.engines).get_mut(&account) {
                    running.engine = Some(engine);
                }
                ended = Some(new);
            }
            Err(error) => tracing::error!(%account, %error, "the account cannot start"),
        }
    }
}

/// First pause before an account that ended is started again.
const RESTART_FIRST: Duration = Duration::from_secs(2);
/// Longest pause before an account that ended is started again.
const RESTART_LONGEST: Duration = Duration::from_secs(60);

fn start_dht(config: &NodeConfig, hosts: Vec<String>) -> Result<DhtHandle, NodeError> {
    let mut driver = DriverConfig {
        port: match config.dht_port {
            0 => Port::Any,
            port => Port::Fixed(port),
        },
        bootstrap: hosts,
        state_file: Some(config.data_dir.join("dht.state")),
        ..DriverConfig::default()
    };
    if config.loopback {
        driver.ipv4 = Some(Ipv4Addr::LOCALHOST);
        driver.ipv6 = None;
    }
    baraza_dht::driver::start(driver)
        .map_err(|error: DriverError| NodeError::Network(error.to_string()))
}

/// The addresses links offer when they stay on the loopback interface.
fn loopback() -> Vec<IpAddr> {
    vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]
}
