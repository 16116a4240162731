//! The node: a data directory's accounts, running.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use baraza_identity::Password;
use baraza_identity::account::Step;
use baraza_wire::AccountId;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::command::{Command, CommandError, Reply};
use crate::event::{Event, LocalId};

/// How a node runs.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Where everything is kept. Created with mode 0700 if it is not there.
    pub data_dir: PathBuf,
    /// DHT nodes to begin with, as `host:port`. Names are looked up again when needed.
    pub bootstrap: Vec<String>,
    /// UDP port of the DHT; 0 lets the system choose.
    pub dht_port: u16,
}

impl NodeConfig {
    /// A node with its files in `data_dir`, without any bootstrap.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            bootstrap: Vec::new(),
            dht_port: 0,
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
    /// The account is here already.
    #[error("the account {0} is here already")]
    Exists(AccountId),
    /// The archive cannot be read: see the text (wrong password, damaged, …).
    #[error("{0}")]
    Archive(String),
    /// The network cannot be used.
    #[error("cannot use the network: {0}")]
    Network(String),
    /// The database failed.
    #[error("the database failed: {0}")]
    Store(String),
    /// Keys could not be made.
    #[error("cannot make keys: {0}")]
    Keys(String),
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
}

impl Node {
    /// Opens the data directory and starts all its accounts. They register by themselves.
    ///
    /// # Errors
    /// If the directory is in use or cannot be used, or there is no network to bind to.
    #[expect(clippy::unused_async, reason = "the signature others build on")]
    pub async fn open(config: NodeConfig) -> Result<Self, NodeError> {
        let (events, _) = broadcast::channel(SUBSCRIBER_QUEUE);
        Ok(Self {
            inner: Arc::new(Inner { config, events }),
        })
    }

    /// The configuration it runs with.
    pub fn config(&self) -> &NodeConfig {
        &self.inner.config
    }

    /// The accounts, in the order they came.
    pub fn accounts(&self) -> Vec<AccountSummary> {
        Vec::new()
    }

    /// Makes a new account and starts it. Takes seconds: `progress` is told each step.
    /// With a `password`, the archive on disk is encrypted.
    ///
    /// # Errors
    /// If the keys or the files cannot be made.
    #[expect(clippy::unused_async, reason = "the signature others build on")]
    pub async fn create_account(
        &self,
        _display_name: String,
        _password: Option<Password>,
        _progress: impl FnMut(Step) + Send + 'static,
    ) -> Result<LocalId, NodeError> {
        Err(NodeError::Stopped)
    }

    /// Makes a new device of the account in an archive and starts it.
    ///
    /// # Errors
    /// If the archive cannot be read, or its account is here already.
    #[expect(clippy::unused_async, reason = "the signature others build on")]
    pub async fn import_archive(
        &self,
        _archive: Vec<u8>,
        _password: Option<Password>,
        _display_name: String,
        _progress: impl FnMut(Step) + Send + 'static,
    ) -> Result<LocalId, NodeError> {
        Err(NodeError::Stopped)
    }

    /// The account archive, with contacts and conversations, encrypted with `new_password`
    /// if there is one. `password` opens the archive on disk.
    ///
    /// # Errors
    /// If there is no such account, or the password is wrong.
    #[expect(clippy::unused_async, reason = "the signature others build on")]
    pub async fn export_archive(
        &self,
        _account: LocalId,
        _password: Option<Password>,
        _new_password: Option<Password>,
    ) -> Result<Vec<u8>, NodeError> {
        Err(NodeError::NoSuchAccount)
    }

    /// Stops an account and removes all its files.
    ///
    /// # Errors
    /// If there is no such account, or the files cannot be removed.
    #[expect(clippy::unused_async, reason = "the signature others build on")]
    pub async fn remove_account(&self, _account: LocalId) -> Result<(), NodeError> {
        Err(NodeError::NoSuchAccount)
    }

    /// Asks an account. Commands to one account are done in the order they were given.
    ///
    /// # Errors
    /// Those of the command; or that the account is not running.
    #[expect(clippy::unused_async, reason = "the signature others build on")]
    pub async fn command(
        &self,
        _account: LocalId,
        _command: Command,
    ) -> Result<Reply, CommandError> {
        Err(CommandError::NoSuchAccount)
    }

    /// Events with a cursor above `cursor`, at most `limit`.
    ///
    /// # Errors
    /// If some of them are not kept any more, or the database fails.
    #[expect(clippy::unused_async, reason = "the signature others build on")]
    pub async fn events_since(&self, cursor: u64, _limit: usize) -> Result<EventPage, NodeError> {
        Ok(EventPage {
            events: Vec::new(),
            next: cursor,
            more: false,
        })
    }

    /// The cursor of the newest event.
    pub fn cursor(&self) -> u64 {
        0
    }

    /// Events from now on, of all accounts.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.inner.events.subscribe()
    }

    /// The network changed (addresses, interfaces): links are checked at once. The node also
    /// notices by itself, later.
    pub fn connectivity_changed(&self) {}

    /// The addresses the DHT listens on.
    pub fn dht_addresses(&self) -> Vec<SocketAddr> {
        Vec::new()
    }

    /// Stops everything, having written everything. Later calls fail with `Stopped`.
    #[expect(clippy::unused_async, reason = "the signature others build on")]
    pub async fn shutdown(&self) {}
}
