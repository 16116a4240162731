//! Runs a [`Dht`] on UDP sockets, with tokio: the only place of this crate with sockets,
//! files and clocks.
//!
//! One task owns the machine. Clients send it commands through bounded queues and hear
//! events through queues of their own.

mod bootstrap;
pub mod discovery;
mod handle;
mod probe;
mod socket;
mod state_file;
mod task;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use baraza_wire::{Now, Rng, UnixTime};
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use crate::api::Config;
use crate::engine::Dht;

pub use bootstrap::addresses_of;
pub use handle::{ClientHandle, Closed, DhtHandle};
pub use probe::{Pong, probe};

/// Commands that wait for the machine; senders wait when there are more.
const COMMAND_QUEUE: usize = 1024;
/// The ports among which Jami nodes choose.
const JAMI_PORTS: std::ops::Range<u64> = 4000..8889;

/// Which UDP port to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Port {
    /// Any that the system gives.
    #[default]
    Any,
    /// This one.
    Fixed(u16),
    /// A random one of those that Jami uses: 4000 to 8888.
    Jami,
}

/// How to run a node.
#[derive(Debug, Clone)]
pub struct DriverConfig {
    /// The node. Its families follow from the sockets that there are.
    pub dht: Config,
    /// Address to bind for IPv4; `None` for no IPv4.
    pub ipv4: Option<Ipv4Addr>,
    /// Address to bind for IPv6; `None` for no IPv6. Hosts without IPv6 do without.
    pub ipv6: Option<Ipv6Addr>,
    /// UDP port of both families, if possible.
    pub port: Port,
    /// Hosts to join through: `host`, `host:port`, `[v6]:port`. The default port is 4222.
    pub bootstrap: Vec<String>,
    /// Where the known nodes are kept between runs.
    pub state_file: Option<PathBuf>,
    /// Keep stored values in the state file too.
    pub keep_values: bool,
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            dht: Config::default(),
            ipv4: Some(Ipv4Addr::UNSPECIFIED),
            ipv6: Some(Ipv6Addr::UNSPECIFIED),
            port: Port::Any,
            bootstrap: Vec::new(),
            state_file: None,
            keep_values: false,
        }
    }
}

impl DriverConfig {
    /// A node on 127.0.0.1 at a free port, for tests.
    pub fn loopback() -> Self {
        Self {
            ipv4: Some(Ipv4Addr::LOCALHOST),
            ipv6: None,
            ..Self::default()
        }
    }
}

/// Why a node cannot run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DriverError {
    /// No socket can be had.
    #[error("cannot use a UDP socket on {address}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Neither IPv4 nor IPv6 is wanted or possible.
    #[error("a DHT node needs IPv4 or IPv6")]
    NoFamily,
}

/// The node's UDP addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BoundAddresses {
    /// IPv4.
    pub ipv4: Option<SocketAddr>,
    /// IPv6.
    pub ipv6: Option<SocketAddr>,
}

/// Starts a node on the current tokio runtime.
///
/// # Errors
/// If it cannot get a socket.
pub fn start(mut config: DriverConfig) -> Result<DhtHandle, DriverError> {
    let mut rng = Rng::from_os();
    let sockets = socket::Sockets::bind(&config, &mut rng)?;
    let bound = sockets.addresses();
    config.dht.ipv4 = bound.ipv4.is_some();
    config.dht.ipv6 = bound.ipv6.is_some();
    let state = config.state_file.as_deref().and_then(state_file::read);
    if config.dht.node_id.is_none() {
        config.dht.node_id = state.as_deref().and_then(Dht::stored_id);
    }
    let now = now();
    let mut dht = Dht::new(config.dht.clone(), now, rng.fork());
    if let Some(Err(error)) = state.map(|state| dht.import_state(now, &state)) {
        tracing::warn!(%error, "state file of the DHT left out");
    }
    let (commands, command_queue) = mpsc::channel(COMMAND_QUEUE);
    let (status, status_watch) = watch::channel(dht.status());
    let (hosts, hosts_watch) = watch::channel(config.bootstrap.clone());
    let handle = DhtHandle::new(commands, status_watch.clone(), bound, dht.id(), hosts);
    let task = task::Task::new(dht, sockets, command_queue, status, &handle, &config);
    tokio::spawn(Box::new(task).run());
    tokio::spawn(bootstrap::run(
        hosts_watch,
        handle.commands(),
        status_watch,
        handle.changed(),
    ));
    Ok(handle)
}

fn now() -> Now {
    Now {
        instant: Instant::now(),
        unix: UnixTime::from_system(SystemTime::now()),
    }
}
