//! What the rest of the program holds of a running node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use baraza_wire::InfoHash;
use thiserror::Error;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::BoundAddresses;
use crate::api::{ClientId, Command, Event, Status};
use crate::engine::{Dht, Stats};

/// The node was shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the DHT node was shut down")]
pub struct Closed;

/// To the task of the node.
pub(super) enum Message {
    /// Boxed, because the queue of every node keeps room for dozens of messages.
    Command(ClientId, Box<Command>),
    /// A new client, and where its events go.
    Join(ClientId, mpsc::Sender<Event>),
    /// Look at the machine.
    Inspect(Box<dyn FnOnce(&Dht) + Send>),
    /// Save and end.
    Shutdown(oneshot::Sender<()>),
}

/// A running node. Clones are the same node; it runs until [`Self::shutdown`], or until
/// neither handles nor clients are left.
#[derive(Clone)]
pub struct DhtHandle {
    commands: mpsc::Sender<Message>,
    status: watch::Receiver<(Status, Status)>,
    bound: BoundAddresses,
    id: InfoHash,
    next_client: Arc<AtomicU32>,
    left: Arc<Left>,
    changed: Arc<Notify>,
    hosts: watch::Sender<Vec<String>>,
}

/// Clients that were dropped and that the task does not know of yet.
#[derive(Default)]
pub(super) struct Left {
    clients: std::sync::Mutex<Vec<ClientId>>,
    pub(super) notify: Notify,
}

impl Left {
    pub(super) fn take(&self) -> Vec<ClientId> {
        self.clients
            .lock()
            .map(|mut clients| std::mem::take(&mut *clients))
            .unwrap_or_default()
    }

    fn add(&self, client: ClientId) {
        if let Ok(mut clients) = self.clients.lock() {
            clients.push(client);
        }
        self.notify.notify_one();
    }
}

impl std::fmt::Debug for DhtHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DhtHandle({}, {:?})", self.id.short(), self.bound)
    }
}

impl DhtHandle {
    pub(super) fn new(
        commands: mpsc::Sender<Message>,
        status: watch::Receiver<(Status, Status)>,
        bound: BoundAddresses,
        id: InfoHash,
        hosts: watch::Sender<Vec<String>>,
    ) -> Self {
        Self {
            commands,
            status,
            bound,
            id,
            hosts,
            next_client: Arc::new(AtomicU32::new(1)),
            left: Arc::default(),
            changed: Arc::default(),
        }
    }

    pub(super) fn commands(&self) -> mpsc::WeakSender<Message> {
        self.commands.downgrade()
    }

    pub(super) fn left(&self) -> Arc<Left> {
        self.left.clone()
    }

    pub(super) fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }

    /// The hosts to join through.
    pub fn hosts(&self) -> Vec<String> {
        self.hosts.borrow().clone()
    }

    /// Joins through other hosts from now on; they are asked at once.
    pub fn set_hosts(&self, hosts: Vec<String>) {
        self.hosts.send_replace(hosts);
    }

    /// The node id.
    pub fn id(&self) -> InfoHash {
        self.id
    }

    /// The UDP addresses.
    pub fn addresses(&self) -> BoundAddresses {
        self.bound
    }

    /// State in IPv4 and IPv6, and news of it.
    pub fn status(&self) -> watch::Receiver<(Status, Status)> {
        self.status.clone()
    }

    /// A new client, whose events come through a queue of `queue_len`. More are kept for a
    /// slow client, but not without end: then its queue is closed.
    ///
    /// # Errors
    /// If the node was shut down.
    pub async fn client(
        &self,
        queue_len: usize,
    ) -> Result<(ClientHandle, mpsc::Receiver<Event>), Closed> {
        let id = ClientId(self.next_client.fetch_add(1, Ordering::Relaxed));
        let (sender, events) = mpsc::channel(queue_len.max(1));
        self.send(Message::Join(id, sender)).await?;
        let handle = ClientHandle {
            commands: self.commands.clone(),
            changed: self.changed.clone(),
            member: Arc::new(Member {
                id,
                left: self.left.clone(),
            }),
        };
        Ok((handle, events))
    }

    /// Figures for monitoring.
    ///
    /// # Errors
    /// If the node was shut down.
    pub async fn stats(&self) -> Result<Stats, Closed> {
        self.inspect(Dht::stats).await
    }

    /// Looks at the machine, which waits meanwhile.
    ///
    /// # Errors
    /// If the node was shut down.
    pub async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Dht) -> T + Send + 'static,
    ) -> Result<T, Closed> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Inspect(Box::new(move |dht| {
            // Whoever asked may have gone.
            let _ = answer.send(look(dht));
        })))
        .await?;
        answered.await.map_err(|_| Closed)
    }

    /// The host's network changed.
    ///
    /// # Errors
    /// If the node was shut down.
    pub async fn connectivity_changed(&self) -> Result<(), Closed> {
        self.changed.notify_one();
        self.send(Message::Command(
            ClientId(0),
            Box::new(Command::ConnectivityChanged),
        ))
        .await
    }

    /// Pings an address that somebody said is a node's.
    ///
    /// # Errors
    /// If the node was shut down.
    pub async fn meet(&self, addr: SocketAddr) -> Result<(), Closed> {
        let command = Box::new(Command::Meet { addr });
        self.send(Message::Command(ClientId(0), command)).await
    }

    /// Saves the state file and ends the node. Clients' queues are closed.
    pub async fn shutdown(&self) {
        let (done, ended) = oneshot::channel();
        if self.send(Message::Shutdown(done)).await.is_ok() {
            // An error says that it ended already.
            let _ = ended.await;
        }
    }

    async fn send(&self, message: Message) -> Result<(), Closed> {
        self.commands.send(message).await.map_err(|_| Closed)
    }
}

/// A client of the node. When its last clone is dropped, all its operations end.
#[derive(Clone)]
pub struct ClientHandle {
    commands: mpsc::Sender<Message>,
    changed: Arc<Notify>,
    member: Arc<Member>,
}

struct Member {
    id: ClientId,
    left: Arc<Left>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.left.add(self.id);
    }
}

impl std::fmt::Debug for ClientHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClientHandle({})", self.member.id.0)
    }
}

impl ClientHandle {
    /// Its name in the machine.
    pub fn id(&self) -> ClientId {
        self.member.id
    }

    /// Gives the node a command, waiting for room in its queue.
    ///
    /// # Errors
    /// If the node was shut down.
    pub async fn send(&self, command: Command) -> Result<(), Closed> {
        if command == Command::ConnectivityChanged {
            self.changed.notify_one();
        }
        self.commands
            .send(Message::Command(self.member.id, Box::new(command)))
            .await
            .map_err(|_| Closed)
    }

    /// The same from a thread outside of tokio.
    ///
    /// # Errors
    /// If the node was shut down.
    pub fn blocking_send(&self, command: Command) -> Result<(), Closed> {
        if command == Command::ConnectivityChanged {
            self.changed.notify_one();
        }
        self.commands
            .blocking_send(Message::Command(self.member.id, Box::new(command)))
            .map_err(|_| Closed)
    }
}
