//! Fixed throw-away identities for tests, so that nobody generates keys in a test.
//!
//! The keys are public: they are files of this repository.

use crate::certificate::CertificateChain;
use crate::device::DeviceIdentity;
use crate::key::PrivateKey;

/// A time within the validity of all certificates here: 2026-01-01.
pub const NOW: baraza_wire::UnixTime = baraza_wire::UnixTime::from_secs(1_767_225_600);

/// Everyone [`identity`] knows.
pub const NAMES: [&str; 7] = ["alice", "alice-2", "bob", "bob-2", "carol", "dave", "erin"];

macro_rules! files {
    ($($name:literal),*) => {
        fn files(name: &str) -> Option<(&'static str, &'static str)> {
            match name {
                $($name => Some((
                    include_str!(concat!("../testdata/", $name, ".key")),
                    include_str!(concat!("../testdata/", $name, ".crt")),
                )),)*
                _ => None,
            }
        }
    };
}

files!("alice", "alice-2", "bob", "bob-2", "carol", "dave", "erin");

/// The device of a person: `alice`, `bob`, `carol`, `dave`, `erin`; `alice-2` and `bob-2`
/// are second devices of the same accounts. RSA-4096, valid 2020 to 2049.
///
/// # Panics
/// For any other name.
#[expect(clippy::expect_used, reason = "fixed files, for tests only")]
pub fn identity(name: &str) -> DeviceIdentity {
    let (key, chain) = files(name).expect("one of testing::NAMES");
    let key = PrivateKey::from_pem(key).expect("key file");
    let chain = CertificateChain::from_pem(chain).expect("certificate file");
    DeviceIdentity::new(key, chain).expect("matching files")
}
