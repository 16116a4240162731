//! Fixed throw-away identities for tests, so that nobody generates keys in a test.
//!
//! The keys are public: they are files of this repository.

#![expect(clippy::expect_used, reason = "fixed files, for tests only")]

use baraza_wire::UnixTime;

use crate::archive::Archive;
use crate::certificate::CertificateChain;
use crate::device::DeviceIdentity;
use crate::eth::EthKey;
use crate::key::PrivateKey;

/// A time within the validity of all certificates here: 2026-01-01.
pub const NOW: UnixTime = UnixTime::from_secs(1_767_225_600);

/// The names [`identity`] knows.
pub const DEVICES: [&str; 7] = ["alice", "alice-2", "bob", "bob-2", "carol", "dave", "erin"];

/// The names [`archive`] knows.
pub const ACCOUNTS: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

macro_rules! devices {
    ($($name:literal),*) => {
        fn device(name: &str) -> Option<(&'static str, &'static str)> {
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

macro_rules! accounts {
    ($($name:literal),*) => {
        fn account(name: &str) -> Option<(&'static str, &'static str)> {
            match name {
                $($name => Some((
                    include_str!(concat!("../testdata/", $name, ".account.key")),
                    include_str!(concat!("../testdata/", $name, ".ca.key")),
                )),)*
                _ => None,
            }
        }
    };
}

devices!("alice", "alice-2", "bob", "bob-2", "carol", "dave", "erin");
accounts!("alice", "bob", "carol", "dave", "erin");

/// The device of a person: `alice`, `bob`, `carol`, `dave`, `erin`; `alice-2` and `bob-2`
/// are second devices of the same accounts. RSA-4096, valid 2020 to 2049.
///
/// # Panics
/// For any other name.
pub fn identity(name: &str) -> DeviceIdentity {
    let (key, chain) = device(name).expect("one of testing::DEVICES");
    let key = PrivateKey::from_pem(key).expect("key file");
    let chain = CertificateChain::from_pem(chain).expect("certificate file");
    DeviceIdentity::new(key, chain).expect("matching files")
}

/// The account archive of a person: `alice`, `bob`, `carol`, `dave` or `erin`.
///
/// # Panics
/// For any other name.
pub fn archive(name: &str) -> Archive {
    let (account_key, ca_key) = account(name).expect("one of testing::ACCOUNTS");
    let account_key = PrivateKey::from_pem(account_key).expect("key file");
    let ca_key = PrivateKey::from_pem(ca_key).expect("key file");
    let chain = identity(name).chain().account_chain().expect("three");
    // Any number will do, as long as it is another one for each person.
    let mut secret = [0x42; 32];
    for (byte, letter) in secret.iter_mut().zip(name.bytes()) {
        *byte = letter;
    }
    let eth_key = EthKey::from_bytes(&secret).expect("a valid secret");
    Archive::new(account_key, chain, Some(ca_key), Some(eth_key)).expect("matching files")
}
