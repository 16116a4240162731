//! One webhook's task, and one message to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use baraza_core::Node;
use baraza_names::client::HttpClient;
use baraza_store::{WebhookRow, WebhookState};
use baraza_wire::{Rng, UnixTime};
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{GONE, Patience, lock, sign};
use crate::access::{Access, Grant, now, words};
use crate::follow::{Filter, Follower};

/// Longest wait that an address may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// Longest description of a failure that is kept, in characters.
const MAX_ERROR: usize = 300;

/// A message to a webhook.
pub(super) struct Delivery<'a> {
    pub(super) http: &'a HttpClient,
    pub(super) row: &'a WebhookRow,
    /// The same whenever it is sent, so that receivers know it again.
    pub(super) message: String,
    pub(super) body: String,
    pub(super) time: Duration,
}

/// Why a message was not taken.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: Option<u16>,
    pub(super) reason: String,
    retry_after: Option<Duration>,
}

impl Failure {
    fn unanswered(reason: String) -> Self {
        Self {
            status: None,
            reason,
            retry_after: None,
        }
    }
}

impl Delivery<'_> {
    /// Sends it once; the status with which it was taken.
    pub(super) async fn send(&self) -> Result<u16, Failure> {
        let url = Url::parse(&self.row.url)
            .map_err(|error| Failure::unanswered(format!("the address is none: {error}")))?;
        let seconds = now().secs();
        let secret = &self.row.secret.0;
        let headers = [
            ("webhook-id", self.message.clone()),
            ("webhook-timestamp", seconds.to_string()),
            (
                "webhook-signature",
                sign::signature(secret, &self.message, seconds, &self.body),
            ),
        ];
        let body = self.body.clone().into_bytes();
        let answer = self.http.post(&url, &headers, body, self.time).await;
        let answer = answer.map_err(|why| Failure::unanswered(why.reason))?;
        let reason = match answer.status {
            200..300 => return Ok(answer.status),
            300..400 => "it redirects, which is not followed: give the address it leads to",
            GONE => "it says that it is gone for good",
            _ => "it refuses",
        };
        Err(Failure {
            status: Some(answer.status),
            reason: format!("{reason} (status {})", answer.status),
            retry_after: answer.retry_after.map(Duration::from_secs),
        })
    }
}

/// What sends to one webhook.
pub(super) struct Task {
    pub(super) node: Node,
    pub(super) access: Arc<Access>,
    pub(super) http: HttpClient,
    pub(super) patience: Patience,
    pub(super) row: WebhookRow,
    pub(super) state: Arc<Mutex<WebhookState>>,
    pub(super) parent: Option<Arc<Grant>>,
    pub(super) stop: CancellationToken,
}

impl Task {
    /// Until it is stopped, removed or given up.
    pub(super) async fn run(self) {
        let stop = self.stop.clone();
        let parent = self.parent.clone();
        let ended = async {
            match parent {
                Some(parent) => parent.until_ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = ended => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&self) {
        let filter = Filter {
            since: Some(lock(&self.state).cursor),
            types: (!self.row.types.is_empty()).then(|| self.row.types.replace(' ', ",")),
            ..Filter::default()
        };
        let grant = Grant::bound_to(words(&self.row.accounts), words(&self.row.conversations));
        let mut follower = Follower::new(self.node.clone(), filter, Arc::new(grant));
        let mut notes = interval(self.patience.note_every);
        notes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                event = follower.next() => event,
                // Without this, one that nothing is for would begin before the log does.
                _ = notes.tick() => {
                    let position = follower.position();
                    if position > lock(&self.state).cursor {
                        self.note(|state| state.cursor = position).await;
                    }
                    continue;
                }
            };
            match event {
                Ok(event) => {
                    if !self.deliver(&event).await {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, webhook = self.row.id, "the log cannot be read");
                    return;
                }
            }
        }
    }

    /// Sends an event until it is taken; false if that is given up.
    async fn deliver(&self, event: &Value) -> bool {
        let cursor = event.get("cursor").and_then(Value::as_u64).unwrap_or(0);
        let delivery = Delivery {
            http: &self.http,
            row: &self.row,
            message: format!("{}-{cursor}", self.row.id),
            body: event.to_string(),
            time: self.patience.answer,
        };
        loop {
            let Err(failure) = delivery.send().await else {
                let time = now();
                self.note(|state| {
                    state.cursor = state.cursor.max(cursor);
                    state.delivered = Some(time);
                    state.failing = None;
                    state.failures = 0;
                })
                .await;
                return true;
            };
            let state = self
                .note(|state| failed(state, &failure, &self.patience, now()))
                .await;
            if !state.disabled.is_empty() {
                tracing::warn!(
                    webhook = self.row.id,
                    why = state.disabled,
                    "webhook given up"
                );
                return false;
            }
            let wait = wait(&self.patience, state.failures, &mut Rng::from_os());
            let asked = failure.retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
            sleep(wait.max(asked)).await;
        }
    }

    /// Changes what is known, in memory and on the disk.
    async fn note(&self, change: impl FnOnce(&mut WebhookState)) -> WebhookState {
        let state = {
            let mut state = lock(&self.state);
            change(&mut state);
            state.clone()
        };
        let (id, kept) = (self.row.id.clone(), state.clone());
        let noted = self
            .access
            .store(move |store| store.set_webhook_state(&id, &kept));
        if let Err(error) = noted.await {
            // What was sent is sent again after a start, which receivers have to expect.
            tracing::warn!(%error, webhook = self.row.id, "cannot note how far a webhook is");
        }
        state
    }
}

/// What a failure changes.
fn failed(state: &mut WebhookState, failure: &Failure, patience: &Patience, now: UnixTime) {
    let since = *state.failing.get_or_insert(now);
    state.failures = state.failures.saturating_add(1);
    state.failed = Some(now);
    state.error = failure.reason.chars().take(MAX_ERROR).collect();
    let long = now.saturating_since(since) >= patience.give_up_after;
    if failure.status == Some(GONE) {
        state.disabled.clone_from(&state.error);
    } else if long && state.failures >= patience.give_up_tries {
        let days = now.saturating_since(since).as_secs() / 86400;
        state.disabled = format!("it took nothing for {days} days: {}", state.error);
    }
}

/// How long it is waited after so many failures: between half and all of a time that doubles,
/// so that many receivers of one server do not come back in the same moment.
fn wait(patience: &Patience, failures: u32, rng: &mut Rng) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    let most = patience
        .first_wait
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(patience.longest_wait);
    let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    let half = millis / 2;
    Duration::from_millis(rng.range(half..millis.max(half.saturating_add(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: Option<u16>) -> Failure {
        Failure {
            status,
            reason: "it refuses".into(),
            retry_after: None,
        }
    }

    #[test]
    fn waits_double_up_to_a_bound_and_vary() {
        let patience = Patience::default();
        let mut rng = Rng::from_seed(1);
        for (failures, most) in [
            (1, 1),
            (2, 2),
            (5, 16),
            (10, 512),
            (11, 600),
            (u32::MAX, 600),
        ] {
            let most = Duration::from_secs(most);
            let waits: Vec<_> = (0..50)
                .map(|_| wait(&patience, failures, &mut rng))
                .collect();
            assert!(
                waits.iter().all(|one| (most / 2..=most).contains(one)),
                "{failures}"
            );
            assert!(waits.iter().any(|one| one != &waits[0]), "{failures}");
        }
    }

    #[test]
    fn long_failure_and_a_plain_word_end_it_and_nothing_else() {
        let patience = Patience::default();
        let day = |days: u64| UnixTime::from_secs(days * 86400);
        let mut state = WebhookState::default();
        for _ in 0..30 {
            failed(&mut state, &failure(Some(500)), &patience, day(10));
        }
        assert_eq!((state.failures, &*state.disabled), (30, ""));
        failed(&mut state, &failure(None), &patience, day(13));
        assert_eq!(state.disabled, "it took nothing for 3 days: it refuses");

        // The machine slept for a week after the first failure.
        let mut state = WebhookState::default();
        failed(&mut state, &failure(None), &patience, day(1));
        failed(&mut state, &failure(None), &patience, day(8));
        assert_eq!(state.disabled, "");

        let mut state = WebhookState::default();
        failed(&mut state, &failure(Some(GONE)), &patience, day(1));
        assert_eq!(state.disabled, "it refuses");
    }
}
