//! A simulated network in virtual time: hosts with clocks, lines with latency, jitter,
//! loss, reordering, MTU and rate, partitions, cut cables, crashes and restarts; UDP and a
//! model of TCP. Real machines ([`Program`]) run on the hosts.
//!
//! Everything follows from a seed: the same seed gives the same [`World::trace`].
//! `docs/simulator.md` describes the model, its limits and the scenarios.

#![expect(
    clippy::indexing_slicing,
    reason = "a test program: hosts and connections are numbered by itself"
)]

pub mod cluster;
pub mod crowd;
pub mod dht_host;
pub mod hostile;
pub mod net;
pub mod node_host;
pub mod power;
pub mod queue;
pub mod report;
pub mod scenario;
pub mod time;
pub mod trace;
pub mod world;

pub use net::{Access, HostId, Input, Net, TcpCommand, TcpEvent};
pub use time::Time;
pub use world::{Action, Crash, Program, World};
