//! One account's thread: the machine with its links and its part of the DHT.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use baraza_identity::{DeviceIdentity, Password};
use baraza_link::driver::{Addresses, LinkHandle};
use baraza_link::{Config as LinkConfig, Links};
use baraza_names::client::{self, HttpClient, Unreachable};
use baraza_store::{AccountRow, Durability, OwnDeviceRow, Store, StoreError};
use baraza_wire::Rng;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::{DATABASE, Inner, Node, NodeError, loopback, now};
use crate::account::{Account, AccountConfig, Done, IntakeLimits, Output, RequestId};
use crate::command::{Command, CommandError, Reply};
use crate::event::{Event, LocalId};
use crate::keys::Keys;
use crate::link_device::{ArchiveAnswer, LinkStatus};

/// Events of the DHT waiting for the account or its links.
const DHT_QUEUE: usize = 1024;
/// Commands waiting for the account; who gives more waits.
const COMMANDS: usize = 1024;
/// Inputs of one kind that are taken before anything is done about them: what comes
/// together is committed together.
const TOGETHER: usize = 64;

/// The setting that says whether an account uses the network, named as in archives.
pub(super) const ENABLED: &str = "Account.enable";

/// Says that the account's thread has ended, and whether by itself.
pub(super) type Ended = oneshot::Receiver<bool>;

type Answer = oneshot::Sender<Result<Reply, CommandError>>;

/// To the thread.
#[derive(Debug)]
enum Request {
    Command(Command, Answer),
    Archive(ArchiveAnswer),
    Stop,
}

/// A running account.
#[derive(Debug)]
pub(super) struct Engine {
    requests: mpsc::Sender<Request>,
    /// `None` if the account is disabled.
    links: Option<LinkHandle>,
    linking: watch::Receiver<Option<LinkStatus>>,
    thread: JoinHandle<()>,
}

/// A way to ask a running account.
#[derive(Debug, Clone)]
pub(super) struct Commands(mpsc::Sender<Request>);

impl Commands {
    /// Asks and waits for the answer.
    pub(super) async fn ask(&self, command: Command) -> Result<Reply, CommandError> {
        let (answer, answered) = oneshot::channel();
        self.0
            .send(Request::Command(command, answer))
            .await
            .map_err(|_| CommandError::Stopped)?;
        answered.await.map_err(|_| CommandError::Stopped)?
    }
}

impl Engine {
    /// Opens the account and starts its threads.
    pub(super) async fn start(
        node: &Arc<Inner>,
        local_id: LocalId,
        row: &AccountRow,
    ) -> Result<(Self, Ended), NodeError> {
        let directory = node
            .config
            .data_dir
            .join("accounts")
            .join(local_id.to_string());
        let keys = Keys::load(&directory)?;
        let mut store = Store::open(node.config.data_dir.join(DATABASE), Durability::Full)?;
        name_device(&mut store, row)?;
        let config = AccountConfig {
            local_id,
            number: row.number,
            directory,
            display_name: row.display_name.clone(),
            intake: IntakeLimits::default(),
            enabled: is_enabled(&store, row.number)?,
        };
        let enabled = config.enabled;
        let account = Account::open(config, &keys, store, now(), Rng::from_os())
            .map_err(|error| NodeError::Store(error.to_string()))?;
        let network = match enabled {
            true => Some(Network::start(node, keys.identity, account.treated()?).await?),
            false => None,
        };
        let links = network.as_ref().map(|network| network.links.clone());
        let (requests, receiver) = mpsc::channel(COMMANDS);
        let (linking_told, linking) = watch::channel(None);
        let driver = Driver {
            account,
            local_id,
            node: Arc::downgrade(node),
            own_requests: requests.downgrade(),
            linking: linking_told,
            requests: receiver,
            network,
            answers: BTreeMap::new(),
            next_request: 0,
            works: JoinSet::new(),
            asked: JoinSet::new(),
            names: node.names.clone(),
            events: node.events.clone(),
            cursor: node.cursor.clone(),
        };
        let (ending, ended) = oneshot::channel();
        let runtime = Handle::current();
        let thread = thread::Builder::new()
            .name("account".to_owned())
            .spawn(move || {
                let failed = runtime.block_on(driver.run());
                // The node may have ended.
                let _ = ending.send(failed);
            })
            .map_err(|error| NodeError::Network(error.to_string()))?;
        let engine = Self {
            requests,
            links,
            linking,
            thread,
        };
        Ok((engine, ended))
    }

    /// A way to ask it.
    pub(super) fn commands(&self) -> Commands {
        Commands(self.requests.clone())
    }

    /// How far the linking of a device to the account is.
    pub(super) fn linking(&self) -> watch::Receiver<Option<LinkStatus>> {
        self.linking.clone()
    }

    /// Checks its links.
    pub(super) fn probe(&self) {
        if let Some(links) = &self.links {
            links.send(baraza_link::Command::Probe);
        }
    }

    /// Stops it, having written everything.
    pub(super) async fn stop(self) {
        // It may have stopped by itself.
        let _ = self.requests.send(Request::Stop).await;
        // Its last handle is that of the thread.
        drop(self.links);
        let thread = self.thread;
        let ended = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::error!("an account's thread failed");
        }
    }
}

/// Whether an account is to use the network.
pub(super) fn is_enabled(store: &Store, number: i64) -> Result<bool, StoreError> {
    Ok(store.setting(number, ENABLED)?.as_deref() != Some("false"))
}

/// The links of an account, and its part of the DHT.
struct Network {
    links: LinkHandle,
    link_events: mpsc::Receiver<baraza_link::Event>,
    to_dht: mpsc::UnboundedSender<baraza_dht::Command>,
    /// `None` when the DHT has ended.
    dht_events: Option<mpsc::Receiver<baraza_dht::Event>>,
}

impl Network {
    async fn start(
        node: &Arc<Inner>,
        identity: DeviceIdentity,
        treated: Vec<u64>,
    ) -> Result<Self, NodeError> {
        let stopped = |_| NodeError::Stopped;
        let (own_dht, dht_events) = node.dht.client(DHT_QUEUE).await.map_err(stopped)?;
        let (links, link_events) = start_links(node, identity, treated).await?;
        Ok(Self {
            links,
            link_events,
            to_dht: forward(own_dht),
            dht_events: Some(dht_events),
        })
    }
}

/// Starts the links of an identity.
pub(super) async fn start_links(
    node: &Arc<Inner>,
    identity: DeviceIdentity,
    treated: Vec<u64>,
) -> Result<(LinkHandle, mpsc::Receiver<baraza_link::Event>), NodeError> {
    let client = node.dht.client(DHT_QUEUE).await;
    let (link_dht, link_dht_events) = client.map_err(|_| NodeError::Stopped)?;
    let links_to_dht = forward(link_dht);
    let loopback_only = node.config.loopback;
    baraza_link::driver::start(
        move |now| {
            let config = LinkConfig {
                allow_loopback: loopback_only,
            };
            Links::new(identity, config, treated, now, Rng::from_os())
        },
        move |command| {
            // Its end is seen by the queue of events.
            let _ = links_to_dht.send(command);
        },
        link_dht_events,
        if loopback_only {
            Addresses::Fixed(loopback())
        } else {
            Addresses::Interfaces
        },
    )
    .map_err(|error| NodeError::Network(error.to_string()))
}

/// Gives this device a name if it has none: that of the machine.
fn name_device(store: &mut Store, row: &AccountRow) -> Result<(), NodeError> {
    let devices = store.own_devices(row.number)?;
    if devices.iter().any(|device| device.device == row.device_id) {
        return Ok(());
    }
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    let named = OwnDeviceRow {
        device: row.device_id,
        name,
        own_word: true,
        date: 0,
    };
    Ok(store.put_own_device(row.number, &named)?)
}

/// A way to give commands to the DHT without waiting.
fn forward(client: baraza_dht::driver::ClientHandle) -> mpsc::UnboundedSender<baraza_dht::Command> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(command) = receiver.recv().await {
            if client.send(command).await.is_err() {
                break;
            }
        }
    });
    sender
}

struct Driver {
    account: Account,
    local_id: LocalId,
    node: Weak<Inner>,
    /// For what is done aside.
    own_requests: mpsc::WeakSender<Request>,
    linking: watch::Sender<Option<LinkStatus>>,
    requests: mpsc::Receiver<Request>,
    /// `None` if the account is disabled.
    network: Option<Network>,
    answers: BTreeMap<RequestId, Answer>,
    next_request: u64,
    /// What other threads do for the account.
    works: JoinSet<Done>,
    /// Questions to name servers, and what came of them.
    asked: JoinSet<(u64, Result<client::Answer, Unreachable>)>,
    names: HttpClient,
    events: broadcast::Sender<Arc<Event>>,
    cursor: Arc<AtomicU64>,
}

impl Driver {
    /// Runs the account. Whether it ended by itself.
    async fn run(mut self) -> bool {
        let failed = loop {
            self.drain();
            if self.account.failure().is_some() {
                break true;
            }
            let timeout = self.account.poll_timeout();
            tokio::select! {
                heard = hear(&mut self.network) => match heard {
                    Heard::Links(Some(event)) => self.links(event),
                    Heard::Links(None) => break true,
                    Heard::Dht(event) => self.account.handle_dht(now(), event),
                },
                request = self.requests.recv() => {
                    if !self.requests(request) {
                        break false;
                    }
                }
                done = finished(&mut self.works) => self.account.handle_work(now(), done),
                (id, answer) = finished(&mut self.asked) => {
                    self.account.handle_name(now(), id, answer);
                }
                () = until(timeout) => self.account.handle_timeout(now()),
            }
        };
        self.drain();
        if let Err(error) = self.account.close() {
            tracing::error!(%error, "the account ends without writing everything");
        }
        if !failed {
            // Everything is written: peers are told, which has an end. After a failure the
            // node still holds the links, and lets go of them when the account runs again.
            if let Some(mut network) = self.network.take() {
                drop(network.links);
                while network.link_events.recv().await.is_some() {}
            }
        }
        // It was told to stop, and must not write where the next life of the account does.
        while self.works.join_next().await.is_some() {}
        failed
    }

    /// Takes an event of the links, and those that wait behind it.
    fn links(&mut self, event: baraza_link::Event) {
        self.account.handle_link(now(), event);
        for _ in 0..TOGETHER {
            // What is to be sent is not kept waiting by what comes.
            self.send();
            let next = self.network.as_mut().map(|it| it.link_events.try_recv());
            let Some(Ok(event)) = next else {
                break;
            };
            self.account.handle_link(now(), event);
        }
    }

    /// Takes a request, and those that wait behind it. `false` at the end.
    fn requests(&mut self, request: Option<Request>) -> bool {
        let mut request = request;
        for _ in 0..TOGETHER {
            match request {
                Some(Request::Command(command, answer)) => {
                    self.next_request = self.next_request.wrapping_add(1);
                    let id = RequestId(self.next_request);
                    self.answers.insert(id, answer);
                    self.account.handle_command(now(), id, command);
                }
                Some(Request::Archive(answer)) => self.account.handle_archive(now(), answer),
                Some(Request::Stop) | None => return false,
            }
            request = match self.requests.try_recv() {
                Ok(next) => Some(next),
                Err(_) => return true,
            };
        }
        // Taken from the queue, it must be answered.
        match request {
            Some(request) => self.requests(Some(request)),
            None => true,
        }
    }

    /// Opens the archive aside, for a device being linked.
    fn open_archive(&self, password: Password) {
        let Some(inner) = self.node.upgrade() else {
            return;
        };
        let (node, account) = (Node { inner }, self.local_id);
        let requests = self.own_requests.clone();
        tokio::spawn(async move {
            let answer = node.archive_for_device(account, password).await;
            if let Some(requests) = requests.upgrade() {
                // It may have ended.
                let _ = requests.send(Request::Archive(answer)).await;
            }
        });
    }

    /// Does everything the account wants.
    fn drain(&mut self) {
        while let Some(output) = self.account.poll_output() {
            self.output(output);
        }
    }

    /// Sends what the account wants to send, without waiting for the disk.
    fn send(&mut self) {
        while let Some(output) = self.account.poll_send() {
            self.output(output);
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Link(command) => {
                if let Some(network) = &self.network {
                    // If the links have ended, their queue of events says so.
                    let _ = network.links.send(command);
                }
            }
            Output::Dht(command) => {
                if let Some(network) = &self.network {
                    let _ = network.to_dht.send(command);
                }
            }
            Output::Reply { request, result } => {
                if let Some(answer) = self.answers.remove(&request) {
                    // Whoever asked may have gone.
                    let _ = answer.send(result);
                }
            }
            Output::Event(event) => {
                self.cursor.fetch_max(event.cursor, Ordering::AcqRel);
                // Nobody may be listening.
                let _ = self.events.send(Arc::new(event));
            }
            Output::Linking(status) => {
                self.linking.send_replace(Some(status));
            }
            Output::OpenArchive(password) => self.open_archive(password),
            Output::Name(query) => {
                let names = self.names.clone();
                self.asked
                    .spawn(async move { (query.id, names.ask(&query.ask).await) });
            }
            Output::Work(work) => {
                self.works.spawn_blocking(move || work.run());
            }
        }
    }
}

/// What comes from the network.
enum Heard {
    /// `None` if the links have ended.
    Links(Option<baraza_link::Event>),
    Dht(baraza_dht::Event),
}

async fn hear(network: &mut Option<Network>) -> Heard {
    let Some(network) = network else {
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            event = network.link_events.recv() => return Heard::Links(event),
            event = receive(&mut network.dht_events) => match event {
                Some(event) => return Heard::Dht(event),
                None => network.dht_events = None,
            },
        }
    }
}

async fn receive(
    events: &mut Option<mpsc::Receiver<baraza_dht::Event>>,
) -> Option<baraza_dht::Event> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

async fn finished<T: 'static>(works: &mut JoinSet<T>) -> T {
    loop {
        match works.join_next().await {
            Some(Ok(done)) => return done,
            // Works catch what happens to them: the node is shutting down.
            Some(Err(error)) => tracing::error!(%error, "a work was lost"),
            None => return std::future::pending().await,
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
