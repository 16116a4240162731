//! Addresses that are told what happens.

use baraza_core::event::LocalId;
use baraza_wire::{ConversationId, UnixTime};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

secret_debug!(MadeWebhook);

/// Adds an address that is told what happens.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// Where events are sent to: `https://…`, or `http://…` on this machine.
    #[schema(
        max_length = 2000,
        format = "uri",
        example = "http://127.0.0.1:9000/baraza"
    )]
    pub url: String,
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 100, example = "Ticket bot")]
    pub label: String,
    /// Only these types of events; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100, value_type = Vec<super::ids::EventType>)]
    pub types: Vec<String>,
    /// Only of these accounts (local names or Jami IDs); none: of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub accounts: Vec<String>,
    /// Only of these conversations; none: of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub conversations: Vec<String>,
    /// Events after this cursor; from now on if left out.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::body::maybe_whole"
    )]
    pub since: Option<u64>,
}

/// An address that is told what happens, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Webhook {
    /// Its id.
    #[schema(example = "a1b2c3d4e5f60718")]
    pub id: String,
    /// Where events are sent to.
    pub url: String,
    /// What it is for.
    pub label: String,
    /// Only these types of events; none: all.
    pub types: Vec<String>,
    /// Only of these accounts (local names); none: of all.
    #[schema(value_type = Vec<super::ids::LocalName>)]
    pub accounts: Vec<LocalId>,
    /// Only of these conversations; none: of all.
    #[schema(value_type = Vec<super::ids::ConversationId>)]
    pub conversations: Vec<ConversationId>,
    /// The id of the token it was made with, if it was not the owner's.
    pub parent: Option<String>,
    /// When it was made.
    #[schema(value_type = super::ids::Time)]
    pub created: UnixTime,
    /// The cursor of the last event that it has, or that was not for it.
    pub cursor: u64,
    /// When it last took an event.
    #[schema(value_type = Option<super::ids::Time>)]
    pub delivered: Option<UnixTime>,
    /// Since when it takes none, if it does not.
    #[schema(value_type = Option<super::ids::Time>)]
    pub failing: Option<UnixTime>,
    /// How often it was tried since then.
    pub failures: u32,
    /// When it last failed.
    #[schema(value_type = Option<super::ids::Time>)]
    pub failed: Option<UnixTime>,
    /// How it last failed; empty if it never did.
    #[schema(example = "nothing listens there")]
    pub error: String,
    /// Why nothing is sent to it any more; empty if it is.
    #[schema(example = "")]
    pub disabled: String,
}

/// An address that was added.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct MadeWebhook {
    /// What its receiver checks signatures with: shown this once.
    pub secret: String,
    /// What is known of it.
    pub info: Webhook,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct WebhookTest {
    /// Whether the address took the event.
    pub delivered: bool,
    /// The status of its answer, if it gave one.
    pub status: Option<u16>,
    /// Why it did not take it.
    pub error: Option<String>,
    /// How long that took, in milliseconds.
    pub took: u64,
}
