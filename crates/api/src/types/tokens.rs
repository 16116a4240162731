//! Tokens of programs.

use baraza_core::event::LocalId;
use baraza_wire::{ConversationId, UnixTime};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

secret_debug!(MadeToken);

/// Makes a token for a program.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"\S",
        example = "Echo bot"
    )]
    pub label: String,
    /// What it may do: `read`, `send`, `admin`; none stands for the others.
    #[schema(min_items = 1, example = json!(["read", "send"]))]
    pub scopes: Vec<TokenScope>,
    /// For which accounts (local names or Jami IDs); none: for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub accounts: Vec<String>,
    /// For which conversations; none: for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub conversations: Vec<String>,
    /// For how many seconds; 90 days if left out.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::body::maybe_whole"
    )]
    #[schema(minimum = 1, example = 2_592_000)]
    pub expires_in: Option<u64>,
    /// Whether it holds until it is revoked.
    #[serde(default)]
    pub never_expires: bool,
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// Read accounts, conversations, contacts, files and events.
    Read,
    /// Act in conversations.
    Send,
    /// Everything else.
    Admin,
}

/// A token of a program; not the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct TokenInfo {
    /// Its id.
    #[schema(example = "0f8fad5b-d9cb-469f-a165-70867728950e")]
    pub id: String,
    /// Its first characters, to tell it by.
    pub prefix: String,
    /// What it is for.
    pub label: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// For which accounts (local names); none: for all.
    #[schema(value_type = Vec<super::ids::LocalName>)]
    pub accounts: Vec<LocalId>,
    /// For which conversations; none: for all.
    #[schema(value_type = Vec<super::ids::ConversationId>)]
    pub conversations: Vec<ConversationId>,
    /// The id of the token it was made with, if it was not the owner's.
    pub parent: Option<String>,
    /// When it was made, in milliseconds since 1970.
    #[schema(value_type = super::ids::Time)]
    pub created: UnixTime,
    /// When it ends.
    #[schema(value_type = Option<super::ids::Time>)]
    pub expires: Option<UnixTime>,
    /// When it was last used.
    #[schema(value_type = Option<super::ids::Time>)]
    pub used: Option<UnixTime>,
}

/// A token that was made.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct MadeToken {
    /// The token: shown this once.
    pub token: String,
    /// What is known of it.
    pub info: TokenInfo,
}
