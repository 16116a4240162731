//! The events after a cursor, in order, none left out: first from the log, then live.

use std::collections::VecDeque;
use std::sync::Arc;

use baraza_core::{Event, Node, NodeError};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::access::Grant;

/// Events read from the log at once.
const PAGE: usize = 256;

/// What a client wants to hear of.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// Events after this cursor; from now on if left out.
    #[serde(default, deserialize_with = "crate::body::maybe_whole")]
    pub(crate) since: Option<u64>,
    /// Only these types, separated by commas.
    #[serde(default)]
    pub(crate) types: Option<String>,
    /// Only of this account (local name).
    #[serde(default)]
    pub(crate) account: Option<String>,
    /// Only of this conversation.
    #[serde(default)]
    pub(crate) conversation: Option<String>,
    /// Long poll: seconds to wait for an event if there is none.
    #[serde(default, deserialize_with = "crate::body::maybe_whole")]
    pub(crate) wait: Option<u64>,
    /// Long poll: most events to give.
    #[serde(default)]
    pub(crate) limit: Option<usize>,
}

impl Filter {
    fn wants(&self, event: &Value) -> bool {
        let is = |key: &str, want: &str| event.get(key).and_then(Value::as_str) == Some(want);
        self.types
            .as_deref()
            .is_none_or(|types| types.split(',').any(|kind| is("event", kind.trim())))
    }
}

/// One client's position in the log.
pub(crate) struct Follower {
    node: Node,
    live: broadcast::Receiver<Arc<Event>>,
    filter: Filter,
    /// For whom: only what they may hear of.
    grant: Arc<Grant>,
    /// The cursor of the last event looked at.
    last: u64,
    /// Read from the log, not given yet.
    pending: VecDeque<Value>,
    /// Whether the log may have more after `last` than `live` will give.
    behind: bool,
}

impl Follower {
    pub(crate) fn new(node: Node, filter: Filter, grant: Arc<Grant>) -> Self {
        // Before the position is read, so that nothing falls between the two.
        let live = node.subscribe();
        let newest = node.cursor();
        let last = filter.since.unwrap_or(newest);
        let mut follower = Self {
            node,
            live,
            filter,
            grant,
            last,
            pending: VecDeque::new(),
            behind: last < newest,
        };
        if last > newest {
            // A cursor of another data directory, or of a log that was lost.
            follower.gap(newest);
        }
        follower
    }

    /// The cursor to come back with.
    pub(crate) fn position(&self) -> u64 {
        self.last
    }

    /// Whether the next event is there already, as far as is known.
    pub(crate) fn has_more(&self) -> bool {
        self.behind || !self.pending.is_empty() || !self.live.is_empty()
    }

    /// The next event with its cursor, as soon as there is one.
    pub(crate) async fn next(&mut self) -> Result<Value, NodeError> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                if let Some(cursor) = event.get("cursor").and_then(Value::as_u64) {
                    self.last = cursor;
                }
                return Ok(event);
            }
            if self.behind {
                self.read_log().await?;
                continue;
            }
            match self.live.recv().await {
                Ok(event) if event.cursor > self.last => {
                    self.last = event.cursor;
                    let json = to_json(&event);
                    if self.wants(&event, &json) {
                        return Ok(json);
                    }
                }
                Ok(_seen) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => self.behind = true,
                Err(broadcast::error::RecvError::Closed) => return Err(NodeError::Stopped),
            }
        }
    }

    async fn read_log(&mut self) -> Result<(), NodeError> {
        match self.node.events_since(self.last, PAGE).await {
            Ok(page) => {
                let events = page.events.iter().map(|event| (event, to_json(event)));
                let wanted = events.filter(|(event, json)| self.wants(event, json));
                self.pending = wanted.map(|(_, json)| json).collect();
                self.behind = page.more;
                // With all of a page filtered out, the position still moves on.
                if self.pending.is_empty() {
                    self.last = self.last.max(page.next);
                }
                Ok(())
            }
            Err(NodeError::CursorTooOld { oldest }) if oldest > self.last => {
                self.gap(oldest);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether it is told, by what it is about: the JSON of some events calls somebody
    /// else `account`.
    fn wants(&self, event: &Event, json: &Value) -> bool {
        let (grant, filter) = (&self.grant, &self.filter);
        let is = |wanted: &Option<String>, is: Option<String>| wanted.is_none() || *wanted == is;
        let conversation = event.body.conversation();
        grant.covers_account(Some(event.account))
            && grant.covers_conversation(conversation)
            && filter.wants(json)
            && is(&filter.account, Some(event.account.to_string()))
            && is(&filter.conversation, conversation.map(|id| id.to_string()))
    }

    fn gap(&mut self, cursor: u64) {
        self.pending.push_back(json!({
            "cursor": cursor,
            "event": "gap",
            "since": self.last,
            "detail": "events are missing here: read the state anew",
        }));
        self.last = cursor;
        self.behind = true;
    }
}

/// An event with the account that it is of as `local_account`, too: some events have an
/// `account` of their own, who did something.
fn to_json(event: &Event) -> Value {
    let mut json = serde_json::to_value(event).unwrap_or(Value::Null);
    if let Some(map) = json.as_object_mut() {
        map.insert("local_account".into(), event.account.to_string().into());
    }
    json
}
