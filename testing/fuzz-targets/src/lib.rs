//! What the fuzz targets do: one function per parser of untrusted bytes.
//!
//! Each takes any bytes, gives them to a public parser and asserts what must hold whatever
//! they are: no panic, and where something is understood, that writing it and reading it
//! again gives the same. `fuzz/` wraps them for libFuzzer (`make fuzz`); the tests here run
//! them on every seed in `fuzz/seeds` with the stable compiler. A new parser gets a function
//! in [`TARGETS`], a file in `fuzz/fuzz_targets` and seeds in `fuzz/make_seeds.py`.

#![expect(
    clippy::panic,
    reason = "a panic is how a fuzz target says that it failed"
)]

mod api;
mod conversation;
mod core;
mod dht;
mod identity;
mod link;
mod mux;
mod names;
mod names_client;
mod swarm;
mod wire;

/// A fuzz target: takes any bytes, says whether they were understood, panics when an
/// invariant does not hold.
pub type Target = fn(&[u8]) -> bool;

/// All targets by name; the name is also that of its file and of its folder of seeds.
pub const TARGETS: &[(&str, Target)] = &[
    ("account_value", core::account_value),
    ("api_json", api::api_json),
    ("archive", identity::archive),
    ("archive_json", identity::archive_json),
    ("auth_message", core::auth_message),
    ("backup", core::backup),
    ("bundle", swarm::bundle),
    ("certificate", identity::certificate),
    ("commit", conversation::commit),
    ("conversation", conversation::conversation),
    ("crl", identity::crl),
    ("device_message", core::device_message),
    ("dht_state", dht::dht_state),
    ("discovery", dht::discovery),
    ("frame", link::frame),
    ("git_client", swarm::git_client),
    ("git_server", swarm::git_server),
    ("ice_text", link::ice_text),
    ("jami_config", core::jami_config),
    ("jami_state", core::jami_state),
    ("key", identity::key),
    ("link_token", core::link_token),
    ("message_json", conversation::message_json),
    ("msg_channel", core::msg_channel),
    ("msgpack", wire::msgpack),
    ("mux", mux::mux),
    ("name_answer", names_client::name_answer),
    ("name_query", names_client::name_query),
    ("names_dump", names::names_dump),
    ("names_log", names::names_log),
    ("names_request", names::names_request),
    ("pack", swarm::pack),
    ("packet", dht::packet),
    ("peer_request", link::peer_request),
    ("pktline", swarm::pktline),
    ("query", dht::query),
    ("receipt", identity::receipt),
    ("sip", core::sip),
    ("stun", link::stun),
    ("swarm_channel", core::swarm_channel),
    ("sync", core::sync),
    ("transfer_name", core::transfer_name),
    ("tree", conversation::tree),
    ("value", dht::value),
    ("vcard", core::vcard),
];

/// Runs the target of that name; true if it understood the bytes.
///
/// # Panics
/// If an invariant does not hold, or there is no such target.
pub fn run(name: &str, data: &[u8]) -> bool {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let Some((_, function)) = target else {
        panic!("no fuzz target {name}");
    };
    function(data)
}
