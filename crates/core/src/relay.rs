//! A relay: an account that nobody talks with, whose device is always there.
//!
//! It joins the conversations that its owners invite it to, keeps them and serves them: what
//! one member wrote reaches another though the two never meet. It is a member like any
//! other, and can read what it carries.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baraza_wire::{AccountId, ConversationId};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::command::{Command, CommandError, Diagnostics, Identity, Reply, Request};
use crate::event::{Event, EventBody, LocalId};
use crate::node::{Node, NodeError};

/// From news to the next measuring.
const MEASURE: Duration = Duration::from_secs(5);

/// Whom a relay serves, and how much it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelayConfig {
    /// Whose invitations are accepted.
    pub owners: BTreeSet<AccountId>,
    /// Whether those of everybody are.
    pub open: bool,
    /// Most bytes of one conversation; it is kept, but gets no longer.
    pub conversation_bytes: u64,
    /// Most bytes of all conversations.
    pub total_bytes: u64,
    /// Most conversations.
    pub conversations: usize,
    /// Whether it is a further device of somebody's account: its user answers the invitations
    /// that are of no owner, on another device.
    #[serde(skip)]
    pub further_device: bool,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            owners: BTreeSet::new(),
            open: false,
            conversation_bytes: 1 << 30,
            total_bytes: 20 << 30,
            conversations: 1000,
            further_device: false,
        }
    }
}

/// A file in the data directory that says that the relay is a further device. It is there
/// before the account is, so that no start without it takes the account for the relay's own.
const FURTHER_DEVICE: &str = "relay-device";

/// Whether the relay in a data directory is, or is about to become, a further device of
/// somebody's account.
pub fn is_further_device(data_dir: &Path) -> bool {
    data_dir.join(FURTHER_DEVICE).is_file()
}

/// Notes that it is about to become one, or that it is none.
///
/// # Errors
/// If that cannot be written.
pub fn note_further_device(data_dir: &Path, is_one: bool) -> io::Result<()> {
    let path = data_dir.join(FURTHER_DEVICE);
    if is_one {
        return baraza_store::files::write_private(&path, b"");
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Counts since the start, and what there is now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RelayStats {
    /// Invitations accepted.
    pub accepted: u64,
    /// Invitations declined.
    pub declined: u64,
    /// Messages that came.
    pub received: u64,
    /// Messages that are known to have reached a device.
    pub delivered: u64,
    /// Bytes of each conversation.
    pub sizes: BTreeMap<ConversationId, u64>,
    /// Conversations that get no longer, as there is no room for more.
    pub full: BTreeSet<ConversationId>,
}

impl RelayStats {
    /// Bytes of all conversations.
    pub fn bytes(&self) -> u64 {
        self.sizes.values().copied().fold(0, u64::saturating_add)
    }
}

/// A relay that runs. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Relay {
    node: Node,
    account: LocalId,
    config: Arc<RelayConfig>,
    stats: Arc<Mutex<RelayStats>>,
}

/// What a relay does with an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accept,
    Decline(&'static str),
    /// Its owner asks, but there is no room: it stays until there is.
    Wait,
    /// The user of the account answers it on another device.
    Leave,
}

impl RelayConfig {
    fn answer(&self, from: &AccountId, stats: &RelayStats) -> Answer {
        let owner = self.owners.contains(from);
        let room = stats.sizes.len() < self.conversations && stats.bytes() < self.total_bytes;
        match (owner || self.open, room) {
            (false, _) if self.further_device => Answer::Leave,
            (false, _) => Answer::Decline("not an owner"),
            (true, true) => Answer::Accept,
            (true, false) if owner => Answer::Wait,
            (true, false) if self.further_device => Answer::Leave,
            (true, false) => Answer::Decline("no room"),
        }
    }
}

impl Relay {
    /// Of an account of a node.
    pub fn new(node: Node, account: LocalId, config: RelayConfig) -> Self {
        Self {
            node,
            account,
            config: Arc::new(config),
            stats: Arc::default(),
        }
    }

    /// What it did and has.
    pub fn stats(&self) -> RelayStats {
        self.lock().clone()
    }

    /// What it may take.
    pub fn config(&self) -> &RelayConfig {
        &self.config
    }

    /// Who it is, and what it is doing.
    ///
    /// # Errors
    /// If the account does not run.
    pub async fn state(&self) -> Result<(Identity, Diagnostics), CommandError> {
        let identity = self.ask(Command::Identity).await?;
        let doing = self.ask(Command::Diagnostics).await?;
        match (identity, doing) {
            (Reply::Identity(identity), Reply::Diagnostics(doing)) => Ok((identity, doing)),
            _ => Err(CommandError::Stopped),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RelayStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, command: Command) -> Result<Reply, CommandError> {
        self.node.command(self.account, command).await
    }

    /// Answers invitations and watches over the quotas, as long as the node runs.
    ///
    /// # Errors
    /// If the account is removed.
    pub async fn run(self) -> Result<(), NodeError> {
        let mut events = self.node.subscribe();
        // At first, what came while nobody was there to answer.
        let mut due = Some(Instant::now());
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = until(due) => {
                    due = None;
                    self.measure().await;
                    self.answer_all().await;
                    continue;
                }
            };
            let at_once = match event {
                Ok(event) => self.heard(&event)?,
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => return Ok(()),
            };
            // Other news are measured together, a while after the first.
            let now = Instant::now();
            let next = if at_once { now } else { now + MEASURE };
            due = Some(due.map_or(next, |due| due.min(next)));
        }
    }

    /// Whether to answer and measure at once.
    fn heard(&self, event: &Event) -> Result<bool, NodeError> {
        if event.account != self.account {
            return Ok(false);
        }
        let mut stats = self.lock();
        match &event.body {
            EventBody::RequestReceived { .. } | EventBody::ConversationReady { .. } => {
                return Ok(true);
            }
            EventBody::MessageReceived { .. } => {
                stats.received = stats.received.saturating_add(1);
            }
            EventBody::MessageDelivered { .. } => {
                stats.delivered = stats.delivered.saturating_add(1);
            }
            EventBody::AccountRemoved => return Err(NodeError::NoSuchAccount),
            _ => {}
        }
        Ok(false)
    }

    async fn answer_all(&self) {
        // While the account starts again, they wait.
        let Ok(Reply::Requests(requests)) = self.ask(Command::Requests).await else {
            return;
        };
        for request in requests {
            if let Err(error) = self.answer(&request).await {
                tracing::warn!(from = %request.from, %error, "an invitation is not answered");
            }
        }
    }

    async fn answer(&self, request: &Request) -> Result<(), CommandError> {
        let conversation = request.conversation;
        let answer = self.config.answer(&request.from, &self.lock());
        match answer {
            Answer::Accept => {
                self.ask(Command::AcceptRequest { conversation }).await?;
                tracing::info!(from = %request.from, %conversation, "invitation accepted");
                let mut stats = self.lock();
                stats.accepted = stats.accepted.saturating_add(1);
                stats.sizes.entry(conversation).or_default();
            }
            Answer::Decline(reason) => {
                self.ask(Command::DeclineRequest { conversation }).await?;
                tracing::info!(from = %request.from, reason, "invitation declined");
                let mut stats = self.lock();
                stats.declined = stats.declined.saturating_add(1);
            }
            Answer::Leave => {}
            Answer::Wait => {
                tracing::warn!(from = %request.from, "an owner's invitation waits for room");
            }
        }
        Ok(())
    }

    /// Measures all conversations, and lets those grow that may.
    async fn measure(&self) {
        let Ok(Reply::Conversations(all)) = self.ask(Command::Conversations).await else {
            return;
        };
        let account = self.account.to_string();
        let data_dir = &self.node.config().data_dir;
        let directory = data_dir
            .join("accounts")
            .join(account)
            .join("conversations");
        let ids: Vec<ConversationId> = all.into_iter().map(|it| it.id).collect();
        let measured = tokio::task::spawn_blocking(move || {
            let size = |id: ConversationId| (id, size_of(&directory.join(id.to_hex())));
            ids.into_iter().map(size).collect::<BTreeMap<_, _>>()
        });
        let Ok(sizes) = measured.await else {
            return;
        };
        let total = sizes.values().copied().fold(0, u64::saturating_add);
        let limit = self.config.conversation_bytes;
        let is_full = |size: &u64| *size >= limit || total >= self.config.total_bytes;
        let full: BTreeSet<ConversationId> = sizes
            .iter()
            .filter(|(_, size)| is_full(size))
            .map(|(id, _)| *id)
            .collect();
        let before = std::mem::replace(&mut self.lock().full, full.clone());
        for conversation in before.symmetric_difference(&full) {
            let paused = full.contains(conversation);
            tracing::warn!(%conversation, paused, "the room for a conversation changed");
            let command = Command::PauseFetching {
                conversation: *conversation,
                paused,
            };
            if let Err(error) = self.ask(command).await {
                tracing::warn!(%conversation, %error, "it is not paused");
                self.lock().full.remove(conversation);
            }
        }
        let mut stats = self.lock();
        // Those accepted that are not here yet take their places, too.
        let awaited = stats.sizes.iter().filter(|(_, size)| **size == 0);
        let awaited: Vec<ConversationId> = awaited.map(|(id, _)| *id).collect();
        stats.sizes = sizes;
        for id in awaited {
            stats.sizes.entry(id).or_default();
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Bytes of all files below a directory; what goes meanwhile does not count.
fn size_of(directory: &Path) -> u64 {
    let below = |directory: &Path| -> io::Result<u64> {
        let mut bytes = 0_u64;
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let size = match entry.file_type()?.is_dir() {
                true => size_of(&entry.path()),
                false => entry.metadata().map_or(0, |found| found.len()),
            };
            bytes = bytes.saturating_add(size);
        }
        Ok(bytes)
    };
    below(directory).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_served_and_others_only_if_it_is_open_and_has_room() {
        let [owner, other] = [AccountId::new([1; 20]), AccountId::new([2; 20])];
        let mut config = RelayConfig {
            owners: BTreeSet::from([owner]),
            conversations: 2,
            ..RelayConfig::default()
        };
        let mut stats = RelayStats::default();
        assert_eq!(config.answer(&owner, &stats), Answer::Accept);
        assert!(matches!(config.answer(&other, &stats), Answer::Decline(_)));
        config.open = true;
        assert_eq!(config.answer(&other, &stats), Answer::Accept);
        for id in [3, 4] {
            stats.sizes.insert(ConversationId::new([id; 20]), 1000);
        }
        assert!(matches!(config.answer(&other, &stats), Answer::Decline(_)));
        assert_eq!(config.answer(&owner, &stats), Answer::Wait);
        config.conversations = 10;
        config.total_bytes = 2000;
        assert_eq!(config.answer(&owner, &stats), Answer::Wait);
        config.total_bytes = 2001;
        assert_eq!(config.answer(&owner, &stats), Answer::Accept);
        // A device of somebody's account declines nobody for its user.
        config.further_device = true;
        config.total_bytes = 2000;
        assert_eq!(config.answer(&other, &stats), Answer::Leave);
        config.open = false;
        assert_eq!(config.answer(&other, &stats), Answer::Leave);
    }
}
