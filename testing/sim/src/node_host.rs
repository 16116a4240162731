//! A host that runs a whole node: DHT, links and account, on a real directory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use baraza_core::account::{Account, AccountConfig, IntakeLimits, Output, RequestId};
use baraza_core::keys::Keys;
use baraza_core::{Command, CommandError, Event, LocalId, Reply};
use baraza_dht::{ClientId, Dht};
use baraza_identity::testing;
use baraza_link::Links;
use baraza_store::{AccountRow, Durability, Store};
use baraza_wire::{Now, Rng};

use crate::crowd::Group;
use crate::dht_host::DhtHost;
use crate::hostile::Hostile;
use crate::net::{HostId, Input};
use crate::world::{Action, Crash, Program};

/// What a node tells its user.
#[derive(Debug, Clone)]
pub enum Told {
    /// The answer to a command.
    Reply(RequestId, Result<Reply, CommandError>),
    /// An event.
    Event(Box<Event>),
}

/// Where nodes tell their users.
pub type Ears = Rc<RefCell<Vec<(HostId, Told)>>>;

/// What a node needs to start.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The host it runs on.
    pub host: HostId,
    /// The name it shows.
    pub name: String,
    /// Whose device it is.
    pub keys: Keys,
    /// A group that it is in from the beginning.
    pub group: Option<Arc<Group>>,
    /// DHT nodes to begin with.
    pub bootstrap: Vec<SocketAddr>,
    /// Addresses of the host.
    pub addresses: Vec<IpAddr>,
}

/// A whole node.
#[derive(Debug)]
pub struct NodeHost {
    setup: Setup,
    dht: Dht,
    links: Links,
    account: Account,
    ears: Ears,
    /// Outputs of machines until the next crash.
    fuse: Option<(u32, Crash)>,
    disk: Disk,
}

const LINKS: ClientId = ClientId(1);
const ACCOUNT: ClientId = ClientId(2);

impl NodeHost {
    /// Starts a node on what is in its directory; an empty one gets a new device.
    ///
    /// # Errors
    /// If the directory or the database cannot be used.
    pub fn start(
        setup: Setup,
        disk: Disk,
        ears: Ears,
        now: Now,
        mut rng: Rng,
    ) -> anyhow::Result<Self> {
        let keys = setup.keys.clone();
        let mut store = Store::open(disk.path().join("node.db"), Durability::Process)?;
        let rows = store.accounts()?;
        let row = match rows.into_iter().next() {
            Some(row) => row,
            None => {
                let mut row = AccountRow {
                    number: 0,
                    local_id: LocalId::new(u64::from(setup.host.0)).to_string(),
                    jami_id: keys.identity.account_id(),
                    device_id: keys.identity.device_id(),
                    display_name: setup.name.clone(),
                    created: now.unix,
                };
                row.number = store.add_account(&row)?;
                if let Some(group) = &setup.group {
                    let account = disk.path().join("accounts").join(&row.local_id);
                    group.copy_to(&account.join("conversations"))?;
                    store.add_conversation(row.number, &group.row(now.unix))?;
                }
                row
            }
        };
        let directory = disk.path().join("accounts").join(&row.local_id);
        fs::create_dir_all(&directory)?;
        // Some take in everything as others do only large packs.
        let intake = match rng.one_in(2) {
            true => IntakeLimits::default(),
            false => IntakeLimits {
                at_once: 0,
                step: 2,
            },
        };
        let config = AccountConfig {
            local_id: row.local_id.parse()?,
            number: row.number,
            directory,
            display_name: row.display_name,
            intake,
            enabled: true,
        };
        let mut dht = Dht::new(baraza_dht::Config::default(), now, rng.fork());
        let account = Account::open(config, &keys, store, now, rng.fork())?;
        let treated = account.treated()?;
        let identity = keys.identity;
        let mut links = Links::new(identity, Default::default(), treated, now, rng.fork())?;
        for addr in &setup.bootstrap {
            let command = baraza_dht::Command::Bootstrap { addr: *addr };
            dht.handle_command(now, ACCOUNT, command);
        }
        let addresses = baraza_link::Command::SetAddresses(setup.addresses.clone());
        links.handle_command(now, addresses);
        Ok(Self {
            setup,
            dht,
            links,
            account,
            ears,
            fuse: None,
            disk,
        })
    }

    /// Asks the account.
    pub fn command(&mut self, now: Now, request: RequestId, command: Command) {
        self.account.handle_command(now, request, command);
    }

    /// The host has other addresses now. As in the real driver, the links are told and the
    /// DHT node finds out by itself.
    pub fn moved(&mut self, now: Now, addresses: Vec<IpAddr>) {
        self.setup.addresses.clone_from(&addresses);
        let command = baraza_link::Command::SetAddresses(addresses);
        self.links.handle_command(now, command);
        self.links.handle_command(now, baraza_link::Command::Probe);
    }

    /// Lets the node crash after so many more outputs of its machines.
    pub const fn set_fuse(&mut self, outputs: u32, crash: Crash) {
        self.fuse = Some((outputs, crash));
    }

    /// Its user.
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Why the account stopped, if it did.
    pub fn failure(&self) -> Option<&str> {
        self.account.failure()
    }

    /// The crash that its fuse causes.
    pub fn fused(&self) -> Option<Crash> {
        self.fuse.map(|(_, crash)| crash)
    }

    /// What a crash leaves: a copy of the directory as it is now, before any destructor
    /// can tidy up.
    ///
    /// # Errors
    /// If it cannot be copied.
    pub fn crashed(self) -> io::Result<Disk> {
        let left = self.disk.snapshot()?;
        drop(self);
        Ok(left)
    }

    /// One output of one machine: to another machine, the user or the network.
    fn step(&mut self, now: Now) -> Step {
        if let Some(output) = self.dht.poll_output() {
            match output {
                baraza_dht::Output::Transmit { to, bytes } => {
                    return Step::Act(Action::Transmit { to, bytes });
                }
                baraza_dht::Output::Event { client, event } => match client {
                    LINKS => self.links.handle_dht(now, event),
                    _ => self.account.handle_dht(now, event),
                },
            }
        } else if let Some(output) = self.links.poll_output() {
            match output {
                baraza_link::Output::Dht(command) => {
                    self.dht.handle_command(now, LINKS, command);
                }
                baraza_link::Output::Tcp(command) => return Step::Act(Action::Tcp(command)),
                baraza_link::Output::Event(event) => self.account.handle_link(now, event),
            }
        } else if let Some(output) = self.account.poll_output() {
            let told = match output {
                Output::Link(command) => {
                    self.links.handle_command(now, command);
                    return Step::Go;
                }
                Output::Dht(command) => {
                    self.dht.handle_command(now, ACCOUNT, command);
                    return Step::Go;
                }
                Output::Reply { request, result } => Told::Reply(request, result),
                Output::Event(event) => Told::Event(Box::new(event)),
                // No devices are linked here.
                Output::Linking(_) | Output::OpenArchive(_) | Output::Name(_) => return Step::Go,
                Output::Work(work) => {
                    self.account.handle_work(now, work.run());
                    return Step::Go;
                }
            };
            self.ears.borrow_mut().push((self.setup.host, told));
        } else {
            return Step::Rest;
        }
        Step::Go
    }
}

enum Step {
    Act(Action),
    Go,
    Rest,
}

impl Program for NodeHost {
    fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Datagram { from, bytes } => self.dht.handle_datagram(now, from, &bytes),
            Input::Tcp(event) => self.links.handle_tcp(now, event),
            Input::Timeout => {
                let due = |timeout: Option<Instant>| timeout.is_some_and(|at| at <= now.instant);
                if due(self.dht.poll_timeout()) {
                    self.dht.handle_timeout(now);
                }
                if due(self.links.poll_timeout()) {
                    self.links.handle_timeout(now);
                }
                if due(self.account.poll_timeout()) {
                    self.account.handle_timeout(now);
                }
            }
        }
    }

    fn poll_action(&mut self, now: Now) -> Option<Action> {
        loop {
            let step = self.step(now);
            if let (Some((left, crash)), false) = (&mut self.fuse, matches!(step, Step::Rest)) {
                // The output is lost, too: it never left the machine's queue.
                let Some(fewer) = left.checked_sub(1) else {
                    return Some(Action::Crash(*crash));
                };
                *left = fewer;
            }
            match step {
                Step::Act(action) => return Some(action),
                Step::Go => {}
                Step::Rest => return None,
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        [
            self.dht.poll_timeout(),
            self.links.poll_timeout(),
            self.account.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// Either kind of host.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a handful of each")]
pub enum AnyHost {
    /// Nothing but a DHT node.
    Dht(DhtHost),
    /// A whole node.
    Node(NodeHost),
    /// One that means harm.
    Hostile(Hostile),
}

impl AnyHost {
    /// The whole node, if it is one.
    pub const fn node(&mut self) -> Option<&mut NodeHost> {
        match self {
            Self::Node(node) => Some(node),
            Self::Dht(_) | Self::Hostile(_) => None,
        }
    }
}

impl Program for AnyHost {
    fn handle(&mut self, now: Now, input: Input) {
        match self {
            Self::Dht(host) => host.handle(now, input),
            Self::Node(host) => host.handle(now, input),
            Self::Hostile(host) => host.handle(now, input),
        }
    }

    fn poll_action(&mut self, now: Now) -> Option<Action> {
        match self {
            Self::Dht(host) => host.poll_action(now),
            Self::Node(host) => host.poll_action(now),
            Self::Hostile(host) => host.poll_action(now),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Dht(host) => host.poll_timeout(),
            Self::Node(host) => host.poll_timeout(),
            Self::Hostile(host) => host.poll_timeout(),
        }
    }
}

/// A directory of one node, removed when dropped.
#[derive(Debug)]
pub struct Disk(tempfile::TempDir);

impl Disk {
    /// An empty one, in memory if there is `/dev/shm`.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new() -> io::Result<Self> {
        let memory = Path::new("/dev/shm");
        let mut builder = tempfile::Builder::new();
        builder.prefix("baraza-sim-");
        match memory.is_dir() {
            true => builder.tempdir_in(memory),
            false => builder.tempdir(),
        }
        .map(Self)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A copy of it as it is now.
    ///
    /// # Errors
    /// If something cannot be read or written.
    pub fn snapshot(&self) -> io::Result<Self> {
        let copy = Self::new()?;
        copy_tree(self.path(), copy.path())?;
        Ok(copy)
    }
}

pub(crate) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let mut pending: Vec<(PathBuf, PathBuf)> = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = pending.pop() {
        for entry in fs::read_dir(&from)? {
            let entry = entry?;
            let target = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                fs::create_dir(&target)?;
                pending.push((entry.path(), target));
            } else {
                fs::copy(entry.path(), target)?;
            }
        }
    }
    Ok(())
}

/// The keys of a person of `baraza_identity::testing`, issued once for the whole process:
/// that takes two signatures.
///
/// # Errors
/// If signing fails.
pub fn keys(person: &'static str) -> anyhow::Result<Keys> {
    static ISSUED: OnceLock<Mutex<BTreeMap<&'static str, Keys>>> = OnceLock::new();
    let issued = ISSUED.get_or_init(Mutex::default);
    let mut issued = issued.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
    if let Some(keys) = issued.get(person) {
        return Ok(keys.clone());
    }
    let keys = Keys::issue(&testing::archive(person), testing::identity(person))?;
    issued.insert(person, keys.clone());
    Ok(keys)
}
