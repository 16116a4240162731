//! Helpers of this crate's unit tests.

/// A file of the vectors.
pub(crate) fn vector(name: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testing/vectors/");
    std::fs::read_to_string(format!("{root}{name}")).unwrap()
}

/// Bytes written in hex.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    baraza_wire::hex::decode(text).unwrap()
}

/// Some instant to begin with.
pub(crate) fn start() -> std::time::Instant {
    std::time::Instant::now()
}
