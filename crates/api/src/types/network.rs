//! How the node is in the network.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
}

/// Chooses hosts to begin with.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChooseBootstrap {
    /// The hosts; none: only nodes known from before are asked.
    #[schema(max_items = 32, example = json!(["bootstrap.jami.net:4222"]))]
    pub hosts: Vec<String>,
}
