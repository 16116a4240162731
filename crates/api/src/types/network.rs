//! How the node is in the network.

use baraza_core::nearby::Person;
use baraza_core::node::Nearby;
use baraza_wire::AccountId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ids::JamiId;

/// How the node is in the network, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetworkView {
    /// Hosts to begin with: `host`, `host:port` or `[v6]:port`.
    #[schema(example = json!(["bootstrap.jami.net:4222"]))]
    pub bootstrap: Vec<String>,
    /// Whether somebody chose them, so that they stay over restarts.
    pub chosen: bool,
    /// Whether the node was started with a list of its own, which counts before what was chosen
    /// at each start.
    pub given: bool,
    /// The UDP addresses that the node listens on.
    pub addresses: Vec<String>,
    /// Whether the node looks for nodes and people in the local network.
    pub local: bool,
}

/// Chooses whether to look at the local network.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LookAround {
    /// Whether to.
    pub on: bool,
}

/// Chooses whether an account is seen in the local network.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowNearby {
    /// Whether it is.
    pub shown: bool,
}

/// The local network, for an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NearbyView {
    /// Whether the node looks at it (`PUT /network/local`).
    pub on: bool,
    /// Why it cannot, if it should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "the port 8888 is taken")]
    pub problem: Option<String>,
    /// Whether the account shows itself there.
    pub shown: bool,
    /// Who was heard of there lately, by name; own accounts are left out.
    pub people: Vec<NearbyPerson>,
}

/// Somebody in the local network, as they say: nothing proves it before they answer a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NearbyPerson {
    /// Their Jami ID.
    #[schema(value_type = JamiId)]
    pub id: AccountId,
    /// The name that they show; may be empty.
    pub name: String,
}

impl From<Nearby> for NearbyView {
    fn from(nearby: Nearby) -> Self {
        let person = |person: Person| NearbyPerson {
            id: person.id,
            name: person.name,
        };
        Self {
            on: nearby.on,
            problem: nearby.problem,
            shown: nearby.shown,
            people: nearby.people.into_iter().map(person).collect(),
        }
    }
}

/// Chooses hosts to begin with.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChooseBootstrap {
    /// The hosts; none: only nodes known from before are asked.
    #[schema(max_items = 32, example = json!(["bootstrap.jami.net:4222"]))]
    pub hosts: Vec<String>,
}
