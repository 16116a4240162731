//! To which members' devices to connect in a conversation of many
//! (docs/protocol/05-swarm.md section 9): to few enough that links grow with the logarithm
//! of the members, and in such a way that all are connected through each other.
//!
//! A plain structure: it says whom to connect to, and is told what came of it.

mod leases;
mod table;

pub(super) use leases::{LeaseOutcome, Leases};
pub(super) use table::{BUCKET, Table};
