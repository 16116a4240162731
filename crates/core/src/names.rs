//! Names of accounts, as clients ask for them and hear of them.

use baraza_names::client::{Failure, QueryError, ServerUrlError};
use baraza_wire::{AccountId, UnixTime};
use serde::{Deserialize, Serialize};

/// Which name server an account uses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NameSettings {
    /// Its address; `None` if nobody chose one, and none is asked then.
    pub server: Option<String>,
    /// The public server that the account was told of when it came here, by an empty setting:
    /// nobody here has said that it may be asked, so it is not.
    pub proposed: Option<String>,
    /// Whether answers without the owner's signature are refused.
    pub only_signed: bool,
}

/// What to choose as the name server of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameServerChoice {
    /// None: nothing is asked of anybody.
    None,
    /// The public one of existing clients.
    Public,
    /// The one at this address.
    At(String),
}

/// Somebody's registered name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameFound {
    /// Whose it is.
    pub id: AccountId,
    /// The name.
    pub name: String,
    /// The name server that says so.
    pub server: String,
    /// Whether the owner's signature proves that it was wanted.
    pub signed: bool,
    /// When the server said so.
    pub resolved: UnixTime,
    /// Whether it was known from before, and the server was not asked now.
    pub cached: bool,
}

/// Why nothing came of a command about names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameProblem {
    /// The text names nobody.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The address of the server is none.
    #[error(transparent)]
    Server(#[from] ServerUrlError),
    /// Nobody has chosen a server.
    #[error("no name server is chosen for this account, so none is asked")]
    NoServer,
    /// Nobody has said that the public server may be asked.
    #[error(
        "the account came with the public name server ({0}), which is not asked before you \
         say so"
    )]
    Proposed(String),
    /// The account uses no network.
    #[error("the account is disabled, so that no name server is asked")]
    Disabled,
    /// A name is being registered.
    #[error("a name is being registered for this account already; wait for that")]
    Pending,
    /// Too many questions are open.
    #[error("too many questions to name servers are open; try again in a moment")]
    Busy,
    /// The server says that the account has a name that belongs to somebody else.
    #[error(
        "the name server {server} gave an answer that is not true: it calls this account \
         {name}, but that name is not its own"
    )]
    Contradiction {
        /// Which.
        server: String,
        /// The name.
        name: String,
    },
    /// The server was asked, or the name is none.
    #[error(transparent)]
    Asked(#[from] Failure),
}

impl NameProblem {
    /// For programs: stays the same over versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Query(QueryError::Name(_)) => "invalid_name",
            Self::Query(_) => "bad_id",
            Self::Server(_) => "bad_name_server",
            Self::NoServer | Self::Proposed(_) => "no_name_server",
            Self::Disabled => "disabled",
            Self::Pending => "name_pending",
            Self::Busy => "busy",
            Self::Contradiction { .. } => "name_server_lied",
            Self::Asked(failure) => failure.code(),
        }
    }
}
