//! Registered names.

use baraza_core::names as core;
use baraza_wire::{AccountId, UnixTime};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Somebody's registered name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegisteredName {
    /// Whose it is: a Jami ID.
    #[schema(value_type = super::ids::JamiId)]
    pub id: AccountId,
    /// The name.
    pub name: String,
    /// The name server that says so.
    pub server: String,
    /// Whether the owner's signature proves that it was wanted.
    pub signed: bool,
    /// When the server said so.
    #[schema(value_type = super::ids::Time)]
    pub resolved: UnixTime,
    /// Whether it was known from before, and the server was not asked now.
    pub cached: bool,
}

impl From<core::NameFound> for RegisteredName {
    fn from(found: core::NameFound) -> Self {
        Self {
            id: found.id,
            name: found.name,
            server: found.server,
            signed: found.signed,
            resolved: found.resolved,
            cached: found.cached,
        }
    }
}

/// Who is looked for.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct FindName {
    /// A name, `name@server`, or a Jami ID, for its name.
    pub find: String,
    /// Ask the server though the answer is known.
    #[serde(default)]
    pub fresh: bool,
}

/// Registers a name.
#[derive(Clone, Deserialize, Serialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub struct RegisterName {
    /// The name: 3 to 32 letters, digits, `-` and `_`.
    pub name: String,
    /// The account's password; none if empty.
    #[serde(default)]
    pub password: String,
}

super::secret_debug!(RegisterName);

/// Which name server an account asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NameServer {
    /// Its address; none if nobody chose one: then none is asked.
    pub server: Option<String>,
    /// The public server, if the account came with it and nobody here has chosen it: it is
    /// not asked.
    pub proposed: Option<String>,
    /// Whether answers without the owner's signature are refused.
    pub only_signed: bool,
}

impl From<core::NameSettings> for NameServer {
    fn from(settings: core::NameSettings) -> Self {
        Self {
            server: settings.server,
            proposed: settings.proposed,
            only_signed: settings.only_signed,
        }
    }
}

/// Chooses a name server; what is left out stays.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeNameServer {
    /// `names.example.com` (asked by https) or `http://…`; `default` for the public one of
    /// existing clients; `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Whether answers without the owner's signature are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_signed: Option<bool>,
}
