//! Invitations to a conversation (docs/protocol/05-swarm.md section 7.1).

use std::collections::BTreeMap;

use baraza_wire::{ConversationId, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// From this length on a value of the metadata is left out.
pub const MAX_METADATA_VALUE: usize = 64_000;
/// Most entries of the metadata; there are about six.
pub const MAX_METADATA: usize = 32;

/// An invitation. Who it is from is not in it: that is whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// The conversation.
    pub conversation: ConversationId,
    /// Its profile (`title`, `description`, `avatar`) and its `mode`.
    pub metadata: BTreeMap<String, String>,
    /// When it was issued; old peers do not say. May lie in the future.
    pub received: Option<UnixTime>,
}

const MODE: &str = "mode";
/// No time that means anything is later.
const FAR_FUTURE_SECS: u64 = 1 << 40;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    conversation_id: ConversationId,
    #[serde(default)]
    metadatas: BTreeMap<String, Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    received: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    received_ms: Option<i64>,
}

impl Invite {
    /// The mode of the conversation as a number; one-to-one (0) if it is not said.
    pub fn mode(&self) -> u32 {
        self.metadata
            .get(MODE)
            .and_then(|mode| mode.parse().ok())
            .unwrap_or_default()
    }

    pub(super) fn parse(body: &str) -> Option<Self> {
        let wire: Wire = serde_json::from_str(body).ok()?;
        let metadata = wire
            .metadatas
            .into_iter()
            .filter_map(|(key, value)| Some((key, text(value)?)))
            .filter(|(key, value)| {
                key.len() < MAX_METADATA_VALUE && value.len() < MAX_METADATA_VALUE
            })
            .take(MAX_METADATA)
            .collect();
        let positive = |time: Option<i64>| {
            time.and_then(|time| u64::try_from(time).ok())
                .filter(|time| *time > 0)
        };
        let received = positive(wire.received_ms)
            .map(UnixTime::from_millis)
            .or_else(|| {
                positive(wire.received)
                    .filter(|secs| *secs < FAR_FUTURE_SECS)
                    .map(UnixTime::from_secs)
            });
        Some(Self {
            conversation: wire.conversation_id,
            metadata,
            received,
        })
    }

    pub(super) fn write(&self) -> String {
        let metadatas = self
            .metadata
            .iter()
            .filter(|(_, value)| value.len() < MAX_METADATA_VALUE)
            .map(|(key, value)| (key.clone(), Json::String(value.clone())))
            .collect();
        let number = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
        let wire = Wire {
            conversation_id: self.conversation,
            metadatas,
            received: self.received.map(|time| number(time.secs())),
            received_ms: self.received.map(|time| number(time.millis())),
        };
        // Texts and numbers only: writing them does not fail.
        serde_json::to_string(&wire).unwrap_or_default()
    }
}

/// Existing readers turn any scalar into text.
fn text(value: Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(bool) => Some(bool.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}
