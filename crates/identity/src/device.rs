//! The identity of one device: its key and the chain that proves whose it is.

use std::fmt;

use baraza_wire::{AccountId, DeviceId, InfoHash};
use thiserror::Error;

use crate::certificate::CertificateChain;
use crate::key::{PrivateKey, PublicKey};

/// Key and chain of a device, which fit each other. Clones share both.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceIdentity {
    key: PrivateKey,
    chain: CertificateChain,
    account_id: AccountId,
}

/// Why key and chain are no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The first certificate certifies another key.
    #[error("the device certificate is for another key")]
    ForeignKey,
    /// The chain has no issuer, so that it names no account.
    #[error("the device certificate comes without its account's certificate")]
    NoIssuer,
}

impl DeviceIdentity {
    /// Joins key and chain. Does not verify the chain: dates pass, identities stay.
    ///
    /// # Errors
    /// If the leaf is for another key or has no issuer.
    pub fn new(key: PrivateKey, chain: CertificateChain) -> Result<Self, DeviceError> {
        if key.public_key() != chain.leaf().public_key() {
            return Err(DeviceError::ForeignKey);
        }
        let account_id = chain.account_id().ok_or(DeviceError::NoIssuer)?;
        Ok(Self {
            key,
            chain,
            account_id,
        })
    }

    /// The long id of the device key.
    pub fn device_id(&self) -> DeviceId {
        self.public_key().long_id()
    }

    /// The short id of the device key, the "legacy device id" of the protocol.
    pub fn short_id(&self) -> InfoHash {
        self.public_key().short_id()
    }

    /// The account the chain names.
    pub fn account_id(&self) -> AccountId {
        self.account_id
    }

    /// The private key.
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The public key.
    pub fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    /// Device, account and CA certificate.
    pub fn chain(&self) -> &CertificateChain {
        &self.chain
    }
}

impl fmt::Debug for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceIdentity")
            .field("account_id", &self.account_id)
            .field("device_id", &self.device_id())
            .finish_non_exhaustive()
    }
}
