//! Integration tests: files of real peers, and our own checked by other programs.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

mod data_directories;
mod openssl;
mod secrets;

use baraza_wire::UnixTime;

/// Within the validity of all certificates of the vectors (November 2026).
const NOW: UnixTime = UnixTime::from_secs(1_795_500_000);

fn vector(path: &str) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testing/vectors/");
    std::fs::read(format!("{root}{path}")).unwrap_or_else(|error| panic!("{path}: {error}"))
}
