//! Lines out: events and replies.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use baraza_core::event::{Event, EventBody, Presence};
use baraza_core::{FileStatus, Message, Node};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

/// Events read from the log at once after falling behind.
const PAGE: usize = 256;

/// Standard output: one line at a time, each flushed.
#[derive(Debug, Default)]
pub(crate) struct Output(Mutex<()>);

impl Output {
    pub(crate) fn emit(&self, value: &Value) {
        let _one_line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = value.to_string();
        line.push('\n');
        let mut out = std::io::stdout().lock();
        if let Err(error) = out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            tracing::warn!(%error, "nobody reads the standard output");
        }
    }
}

/// The node's events from the start on, none left out.
pub(crate) struct Events {
    node: Node,
    live: broadcast::Receiver<Arc<Event>>,
    last: u64,
}

impl Events {
    pub(crate) fn new(node: Node) -> Self {
        let live = node.subscribe();
        let last = node.cursor();
        Self { node, live, last }
    }

    /// Writes them as lines; `told` has the cursor of the last one written.
    pub(crate) async fn forward(mut self, output: Arc<Output>, told: watch::Sender<u64>) {
        told.send_replace(self.last);
        loop {
            match self.live.recv().await {
                Ok(event) => self.tell(&event, &output),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::debug!(missed, "reading events from the log");
                    self.catch_up(&output).await;
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
            told.send_replace(self.last);
        }
    }

    fn tell(&mut self, event: &Event, output: &Output) {
        if event.cursor <= self.last {
            return;
        }
        self.last = event.cursor;
        if let Some(line) = line(event) {
            output.emit(&line);
        }
    }

    async fn catch_up(&mut self, output: &Output) {
        loop {
            match self.node.events_since(self.last, PAGE).await {
                Ok(page) => {
                    for event in &page.events {
                        self.tell(event, output);
                    }
                    if !page.more {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "events are lost");
                    return;
                }
            }
        }
    }
}

/// An event as the harness knows it; `None` for those it does not.
fn line(event: &Event) -> Option<Value> {
    let mut line = match &event.body {
        EventBody::RegistrationStateChanged { state, detail } => json!({
            "event": "registrationStateChanged",
            "registration_state": state.as_str(),
            "registration_detail": 0,
            "registration_detail_str": detail,
        }),
        EventBody::RequestReceived {
            from,
            conversation,
            received,
            ..
        } => json!({
            "event": "conversationRequestReceived",
            "conversation": conversation,
            "metadatas": {
                "from": from,
                "id": conversation,
                "received": received.secs().to_string(),
            },
        }),
        EventBody::ContactAdded { contact, confirmed } => json!({
            "event": "contactAdded",
            "uri": contact,
            "confirmed": confirmed,
        }),
        EventBody::ContactRemoved { contact, banned } => json!({
            "event": "contactRemoved",
            "uri": contact,
            "banned": banned,
        }),
        EventBody::ConversationReady { conversation } => json!({
            "event": "conversationReady",
            "conversation": conversation,
        }),
        EventBody::ConversationRemoved { conversation } => json!({
            "event": "conversationRemoved",
            "conversation": conversation,
        }),
        EventBody::MemberEvent {
            conversation,
            member,
            change,
        } => json!({
            "event": "conversationMemberEvent",
            "conversation": conversation,
            "member_uri": member,
            "code": change.code(),
            "change": change.as_str(),
        }),
        EventBody::MessageReceived {
            conversation,
            message,
        } => json!({
            "event": "messageReceived",
            "conversation": conversation,
            "message": flat(message),
        }),
        EventBody::MessageDelivered {
            conversation,
            message,
            account,
            ..
        } => json!({
            "event": "accountMessageStatusChanged",
            "conversation": conversation,
            "peer": account,
            "id": message,
            "status": 2,
        }),
        EventBody::MessageRead {
            conversation,
            message,
            account,
        } => json!({
            "event": "accountMessageStatusChanged",
            "conversation": conversation,
            "peer": account,
            "id": message,
            "status": 3,
        }),
        EventBody::ComposingChanged {
            conversation,
            account,
            active,
        } => json!({
            "event": "composingStatusChanged",
            "conversation": conversation,
            "contact_id": account,
            "status": u8::from(*active),
        }),
        EventBody::PresenceChanged { contact, presence } => json!({
            "event": "newBuddyNotification",
            "buddy_uri": contact,
            "status": match presence {
                Presence::Offline => 0,
                Presence::Available => 1,
                Presence::Connected => 2,
            },
            "line_status": "",
        }),
        EventBody::ProfileChanged {
            account,
            name,
            picture,
        } => json!({
            "event": "profileReceived",
            "from": account,
            "name": name,
            "picture": picture,
        }),
        EventBody::FileChanged {
            conversation,
            message,
            file_id,
            status,
            received,
            size,
            ..
        } => {
            let (code, state) = match status {
                FileStatus::Offered => (7, "closed_by_host"),
                FileStatus::Waiting => (3, "wait_peer"),
                FileStatus::Ongoing => (5, "ongoing"),
                FileStatus::Here => (6, "finished"),
                // Nothing of a transfer: the message says it.
                FileStatus::Deleted => return None,
            };
            json!({
                "event": "dataTransferEvent",
                "conversation": conversation,
                "interaction": message,
                "file_id": file_id,
                "code": code,
                "state": state,
                "received": received,
                "size": size,
            })
        }
        // The daemon says which; here they are asked for.
        EventBody::DevicesChanged => json!({ "event": "knownDevicesChanged" }),
        // The daemon has nothing like it; here it says why something did not arrive.
        EventBody::SyncError {
            conversation,
            device,
            rule,
            detail,
        } => json!({
            "event": "onConversationError",
            "conversation": conversation,
            "device": device,
            "rule": rule,
            "detail": detail,
        }),
        _ => return None,
    };
    line["account"] = json!(event.account);
    line["t"] = json!(monotonic());
    Some(line)
}

/// A message as a flat map of texts, with a body in any case.
pub(crate) fn flat(message: &Message) -> Value {
    let mut map = message.to_map();
    if message.kind == "merge" {
        map.entry("body".into()).or_default();
    }
    json!(map)
}

/// What Python's `time.monotonic()` gives on the same machine.
pub(crate) fn monotonic() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let (seconds, nanos) = (now.tv_sec as f64, now.tv_nsec as f64);
    seconds + nanos / 1e9
}
