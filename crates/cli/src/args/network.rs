use clap::Subcommand;

use super::Switch;

/// What can be done with where the node begins.
#[derive(Debug, Subcommand)]
pub(crate) enum NetworkAction {
    /// Show the addresses the node listens on, and the hosts it begins with
    Show,
    /// Begin at these hosts from now on; without any: only at nodes known from before
    Bootstrap {
        /// As host or host:port, an IPv6 address with a port in brackets
        hosts: Vec<String>,
        /// Back to the usual ones
        #[arg(long, conflicts_with = "hosts")]
        usual: bool,
    },
    /// Look for nodes and people in the local network from now on, or not
    Local {
        /// Whether to; other nodes there see this one then
        #[arg(value_enum)]
        switch: Switch,
    },
}
