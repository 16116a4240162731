//! The local network: nodes and people there, and who of this node's accounts they see.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use baraza_dht::discovery::Announcement;
use baraza_dht::driver::discovery::{Heard, LocalNetwork};
use baraza_link::driver::addresses::local_addresses;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use super::{Inner, Node, NodeError, lock};
use crate::command::{Command, Reply};
use crate::event::LocalId;
use crate::nearby::{People, Person};
use crate::protocol::nearby::{NearbyAccount, SERVICE};

/// How often names of accounts are looked up for what is announced.
const LOOK_UP: Duration = Duration::from_secs(10);

/// What is known of the local network.
#[derive(Debug, Default)]
pub(super) struct Local {
    people: People,
    running: Option<Running>,
    /// Why it does not run though it should.
    problem: Option<String>,
}

#[derive(Debug)]
struct Running {
    task: JoinHandle<()>,
    /// What is announced may have changed.
    changed: Arc<Notify>,
}

impl Local {
    /// Looks and shows no more.
    pub(super) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.task.abort();
        }
        *self = Self::default();
    }
}

/// The local network, for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearby {
    /// Whether the node looks for nodes and people there.
    pub on: bool,
    /// Why it cannot, if it should.
    pub problem: Option<String>,
    /// Whether the account shows itself there.
    pub shown: bool,
    /// Who is there, without accounts of this node, by name.
    pub people: Vec<Person>,
}

impl Node {
    /// Looks for nodes and people in the local network from now on, or not; the node itself is
    /// seen there by other nodes then. It stays so over restarts.
    ///
    /// # Errors
    /// If there is no local network to look at, or the choice cannot be written down.
    pub fn look_around(&self, on: bool) -> Result<(), NodeError> {
        if on {
            self.start_local()?;
        }
        self.choose(|chosen| chosen.local = on)?;
        if !on {
            lock(&self.inner.local).stop();
        }
        Ok(())
    }

    /// Shows an account to people in the local network from now on, or not: its Jami ID and
    /// name, to everybody there, as long as [`Self::look_around`] is on.
    ///
    /// # Errors
    /// If there is no such account, or the choice cannot be written down.
    pub fn show_nearby(&self, account: LocalId, shown: bool) -> Result<(), NodeError> {
        let accounts = self.accounts();
        let is_one = |id: LocalId| accounts.iter().any(|one| one.account == id);
        if !is_one(account) {
            return Err(NodeError::NoSuchAccount);
        }
        self.choose(|chosen| {
            chosen.shown.retain(|id| *id != account && is_one(*id));
            if shown {
                chosen.shown.push(account);
            }
        })?;
        if let Some(running) = &lock(&self.inner.local).running {
            running.changed.notify_one();
        }
        Ok(())
    }

    /// Who is in the local network.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn nearby(&self, account: LocalId) -> Result<Nearby, NodeError> {
        let accounts = self.accounts();
        if !accounts.iter().any(|one| one.account == account) {
            return Err(NodeError::NoSuchAccount);
        }
        let chosen = self.inner.choices.now();
        let mut local = lock(&self.inner.local);
        let mut people = local.people.list(Instant::now());
        people.retain(|person| !accounts.iter().any(|one| one.jami_id == person.id));
        Ok(Nearby {
            on: chosen.local,
            problem: local.problem.clone(),
            shown: chosen.shown.contains(&account),
            people,
        })
    }

    /// Whether the node looks for others in the local network.
    pub fn looks_around(&self) -> bool {
        self.inner.choices.now().local
    }

    /// What was chosen before, when the node starts.
    pub(super) fn look_around_again(&self) {
        if self.looks_around()
            && let Err(error) = self.start_local()
        {
            tracing::warn!(%error, "the local network is not looked at");
            lock(&self.inner.local).problem = Some(error.to_string());
        }
    }

    fn start_local(&self) -> Result<(), NodeError> {
        if self.config().loopback {
            let text = "the node was started for this machine alone (--loopback)";
            return Err(NodeError::Refused(text.to_owned()));
        }
        let mut local = lock(&self.inner.local);
        if local.running.is_some() {
            return Ok(());
        }
        let dht = self.inner.dht.clone();
        let started = LocalNetwork::start(dht, 0, local_addresses);
        let (network, heard) = started.map_err(|error| {
            NodeError::Network(format!("the local network cannot be looked at: {error}"))
        })?;
        let changed = Arc::new(Notify::new());
        let node = Arc::downgrade(&self.inner);
        let task = tokio::spawn(run(node, network, heard, Arc::clone(&changed)));
        local.problem = None;
        local.running = Some(Running { task, changed });
        Ok(())
    }

    /// What the accounts that want to be seen say.
    async fn announcements(&self) -> Vec<Announcement> {
        let chosen = self.inner.choices.now();
        let mut announcements = Vec::new();
        for account in self.accounts() {
            if !account.enabled || !chosen.shown.contains(&account.account) {
                continue;
            }
            let identity = self.command(account.account, Command::Identity).await;
            let Ok(Reply::Identity(identity)) = identity else {
                continue;
            };
            let account = NearbyAccount {
                id: identity.jami_id,
                name: identity.display_name,
            };
            let services = [(SERVICE.to_owned(), account.encode().into())];
            announcements.push(Announcement(services.into()));
        }
        announcements
    }
}

/// Announces and listens until the node ends.
async fn run(
    node: Weak<Inner>,
    network: LocalNetwork,
    mut heard: mpsc::Receiver<Heard>,
    changed: Arc<Notify>,
) {
    let mut due = tokio::time::Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            () = changed.notified() => {}
            said = heard.recv() => {
                let (Some(said), Some(inner)) = (said, node.upgrade()) else {
                    return;
                };
                take(&mut lock(&inner.local).people, &said);
                continue;
            }
        }
        let Some(inner) = node.upgrade() else {
            return;
        };
        network.announce(Node { inner }.announcements().await);
        due = tokio::time::Instant::now() + LOOK_UP;
    }
}

fn take(people: &mut People, said: &Heard) {
    let Some(payload) = said.announcement.0.get(SERVICE) else {
        return;
    };
    match NearbyAccount::decode(payload) {
        Ok(account) => people.hear(Instant::now(), account),
        Err(error) => {
            tracing::debug!(from = %said.from, %error, "not the announcement of a person");
        }
    }
}
