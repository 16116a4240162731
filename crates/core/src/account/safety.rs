//! Whether somebody is who they say: their devices, and that a person compared their Jami ID,
//! which is the fingerprint of their key, with what they showed.

use baraza_store::StoreError;
use baraza_wire::{AccountId, UnixTime};

use crate::account::{Account, CommandFailure};
use crate::command::{CommandError, PeerDevice, PeerDevices};
use crate::event::Presence;

/// Setting of an account: when a person compared this Jami ID.
fn key(of: &AccountId) -> String {
    format!("verified.{}", of.to_hex())
}

impl Account {
    /// The command to look at somebody's devices.
    pub(super) fn peer_devices(&self, of: &AccountId) -> Result<PeerDevices, StoreError> {
        let setting = self.core.store.setting(self.core.config.number, &key(of))?;
        let verified = setting.and_then(|millis| millis.parse().ok());
        let devices = self.devices.values();
        let mut devices: Vec<PeerDevice> = devices
            .filter(|device| device.row.owner == *of)
            .map(|device| PeerDevice {
                id: device.row.device,
                revoked: device.revoked,
                presence: match (device.link, device.present.is_empty()) {
                    (true, _) => Presence::Connected,
                    (false, false) => Presence::Available,
                    (false, true) => Presence::Offline,
                },
                seen: device.row.seen,
            })
            .collect();
        devices.sort_by_key(|device| (device.revoked, std::cmp::Reverse(device.seen)));
        Ok(PeerDevices {
            verified: verified.map(UnixTime::from_millis),
            devices,
        })
    }

    /// The command to note that a person compared somebody's Jami ID, or not any more.
    pub(super) fn set_verified(
        &mut self,
        of: &AccountId,
        verified: bool,
    ) -> Result<PeerDevices, CommandFailure> {
        if *of == self.core.account {
            return Err(CommandError::Oneself.into());
        }
        let now = self.core.now.unix.millis().to_string();
        let value = verified.then_some(now.as_str());
        let number = self.core.config.number;
        self.core.store.begin()?;
        self.core.store.set_setting(number, &key(of), value)?;
        Ok(self.peer_devices(of)?)
    }
}
