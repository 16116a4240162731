//! Browsers that sign in, and who asks.

use baraza_core::event::LocalId;
use baraza_wire::{ConversationId, UnixTime};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

secret_debug!(Login, LoginCode, NewLoginPassword);

/// Signs a browser in: with a code or with the password.
#[derive(Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "password": "a long sentence of one's own" }))]
pub struct Login {
    /// A code of `baraza open`: holds once, for five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The password, where one is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// A code to sign in with.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct LoginCode {
    /// The code.
    pub code: String,
    /// Seconds for which it holds.
    pub expires_in: u64,
}

/// The password to sign in with.
#[derive(Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLoginPassword {
    /// The password, ten characters or more; none to have none any more.
    #[serde(default)]
    pub password: Option<String>,
}

/// Who asks, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Caller {
    /// `owner` (the file `api-token`), `session` (a browser) or `token` (a program).
    pub kind: String,
    /// What it may do: `read`, `send`, `admin`.
    pub scopes: Vec<String>,
    /// For which accounts (local names); none: for all.
    #[serde(default)]
    #[schema(value_type = Vec<super::ids::LocalName>)]
    pub accounts: Vec<LocalId>,
    /// For which conversations; none: for all.
    #[serde(default)]
    #[schema(value_type = Vec<super::ids::ConversationId>)]
    pub conversations: Vec<ConversationId>,
    /// The number of the session, if it is one.
    #[serde(default)]
    pub session: Option<u64>,
    /// When it ends, if it is not used before, in milliseconds since 1970.
    #[serde(default)]
    #[schema(value_type = Option<super::ids::Time>)]
    pub expires: Option<UnixTime>,
    /// Whether a password is set to sign in with.
    pub password_set: bool,
}

/// A browser that is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Session {
    /// Its number.
    pub session: u64,
    /// What it calls itself.
    pub client: String,
    /// When it signed in, in milliseconds since 1970.
    #[schema(value_type = super::ids::Time)]
    pub created: UnixTime,
    /// When it last asked for something.
    #[schema(value_type = super::ids::Time)]
    pub used: UnixTime,
    /// When it ends, if it is not used before.
    #[schema(value_type = super::ids::Time)]
    pub expires: UnixTime,
    /// Whether it is the one that asks.
    pub current: bool,
}
