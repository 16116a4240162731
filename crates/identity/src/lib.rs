//! Keys, certificates, chains, revocation lists and the account archive.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::string_slice, clippy::as_conversions)
)]

pub mod certificate;
pub mod crl;
mod der;
pub mod device;
pub mod encrypt;
pub mod key;
mod name;
pub mod password;
mod pem;
#[cfg(feature = "test-util")]
pub mod testing;
mod time;

pub use certificate::{Certificate, CertificateChain};
pub use device::DeviceIdentity;
pub use key::{PrivateKey, PublicKey};
pub use password::Password;
