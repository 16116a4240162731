//! The only place of this crate with sockets and clocks.

pub mod addresses;
pub mod tcp;
