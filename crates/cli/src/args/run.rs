//! How the node runs, and what servers log.

use std::net::SocketAddr;

use clap::ValueEnum;

/// Where nodes begin if nothing else is said: the network of today's Jami.
pub(crate) const PUBLIC_BOOTSTRAP: &str = "bootstrap.jami.net:4222";
/// Where the API listens if nothing else is said and the port is free.
pub(crate) const DEFAULT_API: &str = "127.0.0.1:8222";

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One object a line
    Json,
}

/// What a server logs.
#[derive(Debug, Clone, clap::Args, Default)]
pub(crate) struct LogOptions {
    /// How logs look, on the standard error
    #[arg(long, value_enum, default_value_t)]
    pub(crate) log: LogFormat,
    /// What to log: error, warn, info, debug, or per module
    #[arg(
        long,
        value_name = "FILTER",
        env = "BARAZA_LOG",
        default_value = "info"
    )]
    pub(crate) log_level: String,
}

/// How the node runs.
#[derive(Debug, Clone, clap::Args, Default)]
pub(crate) struct RunOptions {
    /// DHT node to begin with; may be given several times [default: those chosen with "network
    /// bootstrap", else bootstrap.jami.net:4222]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) bootstrap: Vec<String>,
    /// Begin with no DHT node: others find this one, or nobody does
    #[arg(long, conflicts_with = "bootstrap")]
    pub(crate) no_bootstrap: bool,
    /// UDP port of the DHT; any free one if 0
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) listen: u16,
    /// Use the loopback interface only, for tests
    #[arg(long, hide = true)]
    pub(crate) loopback: bool,
    /// Where the API listens [default: 127.0.0.1:8222, or any free port if that is in use]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) api: Option<SocketAddr>,
    /// Name by which the API may be asked beside loopback's; without one it listens on
    /// loopback only
    #[arg(long, value_name = "NAME")]
    pub(crate) api_host: Vec<String>,
    /// Serve the local API of the existing Jami client beside our own, for its bots (with
    /// tokens of `baraza token create`)
    #[arg(long)]
    pub(crate) compat_api: bool,
    #[command(flatten)]
    pub(crate) logs: LogOptions,
}
