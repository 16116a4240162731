//! The task that owns the machine.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Sleep;

use super::handle::{DhtHandle, Left, Message};
use super::socket::{Sockets, receive};
use super::{DriverConfig, now, state_file};
use crate::api::{ClientId, Event, Output, Status};
use crate::engine::Dht;

/// Datagrams and commands taken before others get their turn.
const BATCH: usize = 64;
/// Events kept for a client that does not take them; beyond, it is dropped.
const MAX_BACKLOG: usize = 65_536;
/// How often events are offered again to a client whose queue is full.
const BACKLOG_PERIOD: Duration = Duration::from_millis(5);
/// How often the state file is written besides at the end.
const SAVE_PERIOD: Duration = Duration::from_secs(30 * 60);
/// How long to wait when nothing is due.
const LONG: Duration = Duration::from_secs(3600);

pub(super) struct Task {
    dht: Dht,
    sockets: Sockets,
    commands: mpsc::Receiver<Message>,
    status: watch::Sender<(Status, Status)>,
    left: Arc<Left>,
    clients: BTreeMap<ClientId, Client>,
    /// Some client has a backlog.
    behind: bool,
    /// Addresses under which others see us, as of the last look.
    public: Vec<IpAddr>,
    state_file: Option<PathBuf>,
    keep_values: bool,
    save_at: Instant,
}

struct Client {
    events: mpsc::Sender<Event>,
    backlog: VecDeque<Event>,
}

impl Task {
    pub(super) fn new(
        dht: Dht,
        sockets: Sockets,
        commands: mpsc::Receiver<Message>,
        status: watch::Sender<(Status, Status)>,
        handle: &DhtHandle,
        config: &DriverConfig,
    ) -> Self {
        Self {
            dht,
            sockets,
            commands,
            status,
            left: handle.left(),
            clients: BTreeMap::new(),
            behind: false,
            public: Vec::new(),
            state_file: config.state_file.clone(),
            keep_values: config.keep_values,
            save_at: Instant::now() + SAVE_PERIOD,
        }
    }

    /// Boxed: a future keeps its arguments twice, as they came and as they are used.
    pub(super) async fn run(mut self: Box<Self>) {
        let sleep = tokio::time::sleep(Duration::ZERO);
        let mut sleep = Box::pin(sleep);
        let left = self.left.clone();
        // A new socket counts as not writable until tokio looked at it.
        for socket in [&self.sockets.ipv4, &self.sockets.ipv6]
            .into_iter()
            .flatten()
        {
            let _ = socket.writable().await;
        }
        let ended = loop {
            self.drain();
            self.set_alarm(sleep.as_mut());
            tokio::select! {
                biased;
                () = readable(self.sockets.ipv4.as_ref()) => self.on_readable(true),
                () = readable(self.sockets.ipv6.as_ref()) => self.on_readable(false),
                message = self.commands.recv() => match message {
                    None => break None,
                    Some(Message::Shutdown(done)) => break Some(done),
                    Some(message) => {
                        self.on_message(message);
                        if let Some(done) = self.on_more_messages() {
                            break Some(done);
                        }
                    }
                },
                () = left.notify.notified() => {
                    for client in left.take() {
                        self.remove(client);
                    }
                }
                () = sleep.as_mut() => self.on_alarm(),
            }
        };
        self.save();
        if let Some(done) = ended {
            // Whoever asked may not wait for it.
            let _ = done.send(());
        }
    }

    /// Wakes up when something is due.
    fn set_alarm(&self, sleep: std::pin::Pin<&mut Sleep>) {
        let now = Instant::now();
        let mut at = self.dht.poll_timeout().unwrap_or(now + LONG);
        if self.behind {
            at = at.min(now + BACKLOG_PERIOD);
        }
        if self.state_file.is_some() {
            at = at.min(self.save_at);
        }
        let at = at.into();
        if sleep.deadline() != at {
            sleep.reset(at);
        }
    }

    fn on_alarm(&mut self) {
        let now = now();
        self.dht.handle_timeout(now);
        if now.instant >= self.save_at {
            self.save_at = now.instant + SAVE_PERIOD;
            self.save();
        }
        if self.behind {
            self.behind = false;
            let ids: Vec<ClientId> = self.clients.keys().copied().collect();
            for id in ids {
                self.flush(id);
            }
        }
    }

    fn on_readable(&mut self, ipv4: bool) {
        for _ in 0..BATCH {
            let socket = if ipv4 {
                &self.sockets.ipv4
            } else {
                &self.sockets.ipv6
            };
            let Some(socket) = socket else {
                return;
            };
            let dht = &mut self.dht;
            let taken = receive(socket, |from, bytes| {
                dht.handle_datagram(now(), from, bytes);
            });
            match taken {
                Ok(()) => self.drain(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // What an earlier datagram of ours met on its way.
                Err(error) => tracing::debug!(%error, "cannot receive"),
            }
        }
    }

    /// Commands that wait, in a batch; a request to end is returned.
    fn on_more_messages(&mut self) -> Option<oneshot::Sender<()>> {
        for _ in 0..BATCH {
            match self.commands.try_recv() {
                Ok(Message::Shutdown(done)) => return Some(done),
                Ok(message) => self.on_message(message),
                Err(_) => return None,
            }
        }
        None
    }

    fn on_message(&mut self, message: Message) {
        match message {
            Message::Command(client, command) => {
                self.dht.handle_command(now(), client, *command);
                self.drain();
            }
            Message::Join(id, events) => {
                self.clients.insert(
                    id,
                    Client {
                        events,
                        backlog: VecDeque::new(),
                    },
                );
            }
            Message::Inspect(look) => look(&self.dht),
            Message::Shutdown(_) => {}
        }
    }

    /// Does what the machine wants done.
    fn drain(&mut self) {
        while let Some(output) = self.dht.poll_output() {
            match output {
                Output::Transmit { to, bytes } => self.transmit(to, &bytes),
                Output::Event { client, event } => self.deliver(client, event),
            }
        }
        if !self.dht.public_addresses().eq(self.public.iter().copied()) {
            self.public = self.dht.public_addresses().collect();
            for address in &self.public {
                // Only an address of this host can be bound.
                if std::net::UdpSocket::bind((*address, 0)).is_ok() {
                    self.dht.host_has(*address);
                }
            }
        }
        let status = self.dht.status();
        self.status.send_if_modified(|old| {
            let changed = *old != status;
            *old = status;
            changed
        });
    }

    fn transmit(&mut self, to: SocketAddr, bytes: &[u8]) {
        let Some(socket) = self.sockets.to(to) else {
            return;
        };
        if let Err(error) = socket.try_send_to(bytes, to) {
            match error.kind() {
                // Lost, like any datagram may be.
                ErrorKind::WouldBlock => {}
                ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::AddrNotAvailable
                | ErrorKind::PermissionDenied => {
                    self.dht.handle_unreachable(now(), to);
                }
                _ => tracing::debug!(%error, "cannot send"),
            }
        }
    }

    fn deliver(&mut self, id: ClientId, event: Event) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.backlog.push_back(event);
        if client.backlog.len() > MAX_BACKLOG {
            tracing::warn!(client = id.0, "a client does not take its events");
            self.remove(id);
            return;
        }
        self.flush(id);
    }

    fn flush(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        while let Some(event) = client.backlog.pop_front() {
            match client.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    client.backlog.push_front(event);
                    self.behind = true;
                    return;
                }
                Err(TrySendError::Closed(_)) => return self.remove(id),
            }
        }
    }

    fn remove(&mut self, id: ClientId) {
        self.clients.remove(&id);
        self.dht.remove_client(now(), id);
    }

    fn save(&self) {
        if let Some(path) = &self.state_file {
            state_file::write(path, &self.dht.export_state(self.keep_values));
        }
    }
}

async fn readable(socket: Option<&UdpSocket>) {
    match socket {
        Some(socket) => {
            // An error shows when it is read.
            let _ = socket.readable().await;
        }
        None => std::future::pending().await,
    }
}
