//! Packs and both ends of the git wire.

mod hostile;
mod ingest;
mod interop;
mod loopback;
mod packs;
mod promote;
pub(crate) mod support;
mod wire;
