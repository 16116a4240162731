//! Webhooks: addresses that are told what happens, each from its own place in the log.
//!
//! Each has a task that reads the log from its cursor on, holds one event at a time, sends it
//! until it is taken, and notes that before it reads on: at least once, in order, and with no
//! queue in memory, however far an address is behind. What is sent is signed as the Standard
//! Webhooks specification says, so that receivers find libraries for it.

mod deliver;
mod sign;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use baraza_core::{LocalId, Node};
use baraza_names::client::HttpClient;
use baraza_store::{StoreError, WebhookRow, WebhookSecret, WebhookState};
use baraza_wire::{ConversationId, Rng, hex};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use self::deliver::{Delivery, Task};
use crate::access::{Access, Grant, Holder, join, now};
use crate::error::ApiError;

/// Webhooks at once.
pub(crate) const MAX_WEBHOOKS: usize = 50;
/// Longest address.
pub(crate) const MAX_URL: usize = 2000;
/// Longest label, in characters.
pub(crate) const MAX_LABEL: usize = 100;
/// Types, accounts or conversations that one may be for.
pub(crate) const MAX_LISTED: usize = 100;
/// Longest name of a type.
const MAX_TYPE: usize = 64;

/// How patient deliveries are.
#[derive(Debug, Clone)]
pub struct Patience {
    /// How long an address may take to answer.
    pub answer: Duration,
    /// How long it is waited after a first failure; twice as long after each further one.
    pub first_wait: Duration,
    /// The longest of these waits.
    pub longest_wait: Duration,
    /// After how long of failing an address is given up ...
    pub give_up_after: Duration,
    /// ... if it was tried so often at least: the node may have slept.
    pub give_up_tries: u32,
    /// How often it is noted how far an address is that nothing is for.
    pub note_every: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(15),
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(600),
            give_up_after: Duration::from_secs(3 * 24 * 3600),
            give_up_tries: 20,
            note_every: Duration::from_secs(60),
        }
    }
}

/// A webhook that is wanted.
#[derive(Debug, Clone)]
pub(crate) struct WantedWebhook {
    pub(crate) url: String,
    pub(crate) label: String,
    pub(crate) types: Vec<String>,
    pub(crate) accounts: Vec<LocalId>,
    pub(crate) conversations: Vec<ConversationId>,
    pub(crate) since: Option<u64>,
}

/// What came of a test.
#[derive(Debug)]
pub(crate) struct Tested {
    pub(crate) delivered: bool,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    pub(crate) took: Duration,
}

/// All addresses that are told what happens.
#[derive(Debug)]
pub(crate) struct Webhooks {
    node: Node,
    access: Arc<Access>,
    http: HttpClient,
    patience: Patience,
    stop: CancellationToken,
    tasks: TaskTracker,
    known: Mutex<BTreeMap<String, Known>>,
}

/// One that is known.
#[derive(Debug)]
struct Known {
    row: WebhookRow,
    /// Whose token it was made with.
    parent: Option<Arc<Grant>>,
    state: Arc<Mutex<WebhookState>>,
    stop: CancellationToken,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn invalid(text: impl Into<String>) -> ApiError {
    ApiError::unprocessable("invalid", text)
}

impl Webhooks {
    pub(crate) fn new(
        node: Node,
        access: Arc<Access>,
        patience: Patience,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            node,
            access,
            http: HttpClient::new(),
            patience,
            stop,
            tasks,
            known: Mutex::default(),
        }
    }

    /// Goes on with those that there are.
    pub(crate) fn begin(&self) -> Result<(), StoreError> {
        for row in self.access.webhooks()? {
            let parent = row.parent.as_ref().map(|id| self.access.token(id));
            let parent = match parent {
                // The token ended just now; the row goes with it.
                Some(None) => continue,
                Some(Some(grant)) => Some(grant),
                None => None,
            };
            self.start(row, parent);
        }
        Ok(())
    }

    fn start(&self, row: WebhookRow, parent: Option<Arc<Grant>>) {
        let stop = self.stop.child_token();
        let state = Arc::new(Mutex::new(row.state.clone()));
        if row.state.disabled.is_empty() {
            let task = Task {
                node: self.node.clone(),
                access: Arc::clone(&self.access),
                http: self.http.clone(),
                patience: self.patience.clone(),
                row: row.clone(),
                state: Arc::clone(&state),
                parent: parent.clone(),
                stop: stop.clone(),
            };
            self.tasks.spawn(task.run());
        }
        let id = row.id.clone();
        let known = Known {
            row,
            parent,
            state,
            stop,
        };
        lock(&self.known).insert(id, known);
    }

    /// Those that somebody may see, the oldest first.
    pub(crate) fn list(&self, asker: &Grant) -> Vec<WebhookRow> {
        let mut known = lock(&self.known);
        known.retain(|_, one| match &one.parent {
            Some(parent) => !parent.ended().is_cancelled(),
            None => true,
        });
        let seen = known.values().filter(|one| asker.rules_hook(&one.row));
        let mut rows: Vec<_> = seen
            .map(|one| WebhookRow {
                state: lock(&one.state).clone(),
                ..one.row.clone()
            })
            .collect();
        rows.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        rows
    }

    /// One that somebody may see.
    pub(crate) fn find(&self, asker: &Grant, id: &str) -> Result<WebhookRow, ApiError> {
        let mut all = self.list(asker).into_iter();
        all.find(|row| row.id == id)
            .ok_or_else(|| ApiError::not_found("no_such_webhook", "there is no such webhook"))
    }

    /// Adds one, which hears of no more than who makes it.
    pub(crate) async fn add(
        &self,
        maker: &Arc<Grant>,
        wanted: WantedWebhook,
    ) -> Result<WebhookRow, ApiError> {
        let url = Url::parse(&wanted.url).map_err(|_| invalid("this is no address"))?;
        baraza_names::client::post::allowed(&url)
            .map_err(|why| invalid(format!("nothing can be sent to this address: {why}")))?;
        if url.as_str().len() > MAX_URL {
            return Err(invalid(format!("an address has at most {MAX_URL} bytes")));
        }
        let label = wanted.label.trim().to_owned();
        if label.chars().count() > MAX_LABEL {
            return Err(invalid(format!(
                "a label has at most {MAX_LABEL} characters"
            )));
        }
        let named = |name: &String| {
            let letters = |byte| matches!(byte, b'a'..=b'z' | b'_');
            (1..=MAX_TYPE).contains(&name.len()) && name.bytes().all(letters)
        };
        let types: BTreeSet<String> = wanted.types.into_iter().collect();
        if !types.iter().all(named) {
            return Err(invalid("types of events are letters and underscores"));
        }
        let listed = [
            types.len(),
            wanted.accounts.len(),
            wanted.conversations.len(),
        ];
        if listed.iter().any(|count| *count > MAX_LISTED) {
            return Err(invalid(format!(
                "a webhook is for at most {MAX_LISTED} of them"
            )));
        }
        let (accounts, conversations) = maker.within(wanted.accounts, wanted.conversations)?;
        let newest = self.node.cursor();
        let cursor = wanted.since.unwrap_or(newest).min(newest);
        let parent = match maker.holder() {
            Holder::Token(id) => Some(id.clone()),
            Holder::Owner | Holder::Session(_) => None,
        };
        let mut rng = Rng::from_os();
        let row = WebhookRow {
            id: hex::encode(&rng.bytes::<8>()),
            url: url.into(),
            label,
            secret: WebhookSecret(rng.bytes()),
            types: join(types.iter()),
            accounts: join(accounts.iter()),
            conversations: join(conversations.iter()),
            parent,
            created: now(),
            state: WebhookState {
                cursor,
                ..WebhookState::default()
            },
        };
        let kept = row.clone();
        let added = self.access.store(move |store| {
            if store.webhooks()?.len() >= MAX_WEBHOOKS {
                return Ok(false);
            }
            store.add_webhook(&kept).map(|()| true)
        });
        if !added.await? {
            let text = "there are too many webhooks: remove some";
            return Err(ApiError::conflict("too_many_webhooks", text));
        }
        let parent = row.parent.is_some().then(|| Arc::clone(maker));
        self.start(row.clone(), parent);
        Ok(row)
    }

    /// Removes one; what is under way to it is let go of.
    pub(crate) async fn remove(&self, asker: &Grant, id: &str) -> Result<(), ApiError> {
        let row = self.find(asker, id)?;
        self.access
            .store(move |store| store.remove_webhook(&row.id))
            .await?;
        if let Some(known) = lock(&self.known).remove(id) {
            known.stop.cancel();
        }
        Ok(())
    }

    /// Tries again at once: also one that was given up.
    pub(crate) async fn enable(&self, asker: &Grant, id: &str) -> Result<WebhookRow, ApiError> {
        let mut row = self.find(asker, id)?;
        // Ended first, so that it does not write over what is written here.
        let Some(known) = lock(&self.known).remove(id) else {
            return Err(ApiError::stopping());
        };
        known.stop.cancel();
        row.state = lock(&known.state).clone();
        row.state.disabled.clear();
        row.state.failing = None;
        row.state.failures = 0;
        let kept = row.clone();
        let noted = self
            .access
            .store(move |store| store.set_webhook_state(&kept.id, &kept.state))
            .await;
        self.start(row.clone(), known.parent);
        noted.map(|()| row)
    }

    /// Sends an event of the type `test`, once.
    pub(crate) async fn test(&self, asker: &Grant, id: &str) -> Result<Tested, ApiError> {
        let row = self.find(asker, id)?;
        let random = hex::encode(&Rng::from_os().bytes::<8>());
        let delivery = Delivery {
            http: &self.http,
            row: &row,
            message: format!("{id}-test-{random}"),
            body: json!({ "event": "test", "time": now().millis(), "webhook": id }).to_string(),
            time: self.patience.answer,
        };
        let begun = Instant::now();
        let sent = delivery.send().await;
        let took = begun.elapsed();
        Ok(match sent {
            Ok(status) => Tested {
                delivered: true,
                status: Some(status),
                error: None,
                took,
            },
            Err(failure) => Tested {
                delivered: false,
                status: failure.status,
                error: Some(failure.reason),
                took,
            },
        })
    }
}

/// The secret of a webhook as its receiver gets it.
pub(crate) fn secret_text(secret: &WebhookSecret) -> String {
    sign::secret_text(&secret.0)
}

impl Grant {
    /// Whether it may see and remove a webhook.
    fn rules_hook(&self, row: &WebhookRow) -> bool {
        self.rules_what(row.parent.as_deref(), &row.accounts)
    }
}

/// The status of an answer that ends a webhook at once.
const GONE: u16 = StatusCode::GONE.as_u16();
