//! Device announcements: the account's signed word, under its Jami ID, that a device is
//! its own (docs/protocol/02-account.md section 5.1).

use baraza_dht::secure::{self, SealError};
use baraza_dht::value::ValueError;
use baraza_dht::{Value, value_type};
use baraza_identity::key::KeyError;
use baraza_identity::{PrivateKey, PublicKey, Receipt};
use baraza_wire::msgpack::{self, Reader, Writer};
use baraza_wire::{AccountId, DeviceId, InfoHash, Rng};
use thiserror::Error;

use super::each_entry;

/// Priority of announcements: normal, so that they do not wake phones.
pub const PRIORITY: u32 = 1;

/// A device that an account says is its own. Not proof that it still is: its certificate
/// must be found, verified and not revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The account.
    pub account: AccountId,
    /// Its key.
    pub account_key: PublicKey,
    /// Short id of the device.
    pub device: InfoHash,
    /// Key of the device; old peers leave it out.
    pub device_key: Option<PublicKey>,
}

/// Why a value is not an announcement of the account.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnnouncementError {
    /// The device key is not a key.
    #[error("device key in an announcement: {0}")]
    Key(#[from] KeyError),
    /// Not the expected content.
    #[error("announcement: {0}")]
    Malformed(#[from] msgpack::Error),
    /// The device key is not that of the device named.
    #[error("the announced key belongs to another device")]
    OtherKey,
    /// Not signed, or not by the account.
    #[error("announcement not signed by the account")]
    Signature,
    /// Of another type than announcements are, or encrypted.
    #[error("not an announcement")]
    Type,
    /// Not a value at all.
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl Announcement {
    /// The long id of the device, if its key is there.
    pub fn device_id(&self) -> Option<DeviceId> {
        self.device_key.as_ref().map(PublicKey::long_id)
    }

    /// Reads and verifies a value found under the Jami ID. Does RSA.
    ///
    /// # Errors
    /// If it does not announce a device of the account.
    pub fn parse(account: AccountId, value: &Value) -> Result<Self, AnnouncementError> {
        if value.value_type() != value_type::USER_DATA || value.is_encrypted() {
            return Err(AnnouncementError::Type);
        }
        if value.owner_id() != Some(account.into()) {
            return Err(AnnouncementError::Signature);
        }
        let (mut device, mut device_key) = (None, None);
        each_entry(&mut Reader::new(value.data()), |key, entry| {
            match key {
                b"dev" => device = Some(entry.bin()?),
                b"pk" => device_key = Some(entry.bin()?),
                _ => {}
            }
            Ok(())
        })?;
        let device = device
            .and_then(InfoHash::from_slice)
            .ok_or(msgpack::Error::Type("a device id"))?;
        let device_key = device_key
            .filter(|spki| !spki.is_empty())
            .map(PublicKey::from_spki_der)
            .transpose()?;
        if device_key
            .as_ref()
            .is_some_and(|key| key.short_id() != device)
        {
            return Err(AnnouncementError::OtherKey);
        }
        let account_key = secure::verify(value)
            .ok()
            .flatten()
            .ok_or(AnnouncementError::Signature)?;
        Ok(Self {
            account,
            account_key,
            device,
            device_key,
        })
    }

    /// Reads and verifies the announcement in a receipt.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_receipt(receipt: &Receipt) -> Result<Self, AnnouncementError> {
        let value = Value::from_packed(receipt.announcement())?;
        Self::parse(receipt.account_id(), &value)
    }
}

/// Signs the announcement of a device, for its receipt. Its id is 0: see [`to_put`].
///
/// # Errors
/// If signing fails.
pub fn issue(account_key: &PrivateKey, device: &PublicKey) -> Result<Value, SealError> {
    let mut writer = Writer::new();
    writer.map(2).str("dev").bin(device.short_id().as_bytes());
    writer.str("pk").bin(device.spki_der());
    let plain = Value::new(value_type::USER_DATA, writer.as_bytes());
    secure::sign(&plain, account_key, None)
}

/// The announcement to put permanently under the Jami ID while the program runs: with a
/// random id, which is not signed.
///
/// # Errors
/// If the receipt holds no value.
pub fn to_put(receipt: &Receipt, rng: &mut Rng) -> Result<Value, ValueError> {
    Ok(Value::from_packed(receipt.announcement())?
        .with_random_id(rng)
        .with_priority(PRIORITY))
}

#[cfg(test)]
mod tests;
