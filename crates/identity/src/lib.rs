//! Keys, certificates, chains, revocation lists and the account archive.
//!
//! A user is an account: an RSA key whose short id is the Jami ID. Each device has a key of
//! its own, certified by the account, which is certified by an authority made just for it
//! (docs/protocol/02-account.md sections 1 and 2). This crate makes, reads and checks all of
//! these, and the files and texts that hold them. It does no I/O and reads no clock; making
//! keys and encrypting for a key ask the operating system for randomness, everything else
//! takes a [`baraza_wire::Rng`].
//!
//! ```
//! use baraza_identity::CertificateChain;
//! use baraza_wire::UnixTime;
//!
//! # let pem = include_str!("../testdata/alice.crt");
//! let chain = CertificateChain::from_pem(pem)?;
//! let account = chain.verify_device(UnixTime::from_secs(1_767_225_600))?;
//! assert_eq!(account.to_hex(), "3a7c466483eebd323ecddb30bb78a66d66cb697c");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::string_slice, clippy::as_conversions)
)]

pub mod account;
pub mod archive;
pub mod certificate;
pub mod crl;
mod der;
pub mod device;
pub mod encrypt;
pub mod eth;
pub mod key;
mod name;
pub mod password;
mod pem;
pub mod pin;
pub mod receipt;
pub mod sealed;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
mod time;

pub use account::NewAccount;
pub use archive::Archive;
pub use certificate::{Certificate, CertificateChain};
pub use crl::RevocationList;
pub use device::DeviceIdentity;
pub use eth::EthKey;
pub use key::{PrivateKey, PublicKey};
pub use password::Password;
pub use receipt::Receipt;
