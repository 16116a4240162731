//! Packs and both ends of the git wire.

mod hostile;
mod interop;
mod loopback;
mod packs;
mod support;
mod wire;
