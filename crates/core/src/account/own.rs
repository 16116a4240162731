//! The devices of the own account, as the user sees them.

use baraza_store::OwnDeviceRow;
use baraza_wire::DeviceId;

use crate::account::{Account, CommandFailure};
use crate::command::{CommandError, MAX_NAME, OwnDevice};
use crate::event::{EventBody, Presence};

impl Account {
    /// The devices of the own account, this one first.
    pub(super) fn own_device_list(&self) -> Vec<OwnDevice> {
        let name = |id: &DeviceId| {
            let name = self.own_device(id).name;
            // As existing clients show those that have none.
            if name.is_empty() { id.short() } else { name }
        };
        let mut list = vec![OwnDevice {
            id: self.core.device,
            name: name(&self.core.device),
            current: true,
            revoked: self.revoked.ourselves,
            presence: match self.registration.announced {
                true => Presence::Connected,
                false => Presence::Offline,
            },
            seen: self.core.now.unix,
        }];
        let devices = self.devices.values();
        let devices = devices.filter(|device| device.row.owner == self.core.account);
        list.extend(devices.map(|device| OwnDevice {
            id: device.row.device,
            name: name(&device.row.device),
            current: false,
            revoked: device.revoked,
            presence: match (device.link, device.present.is_empty()) {
                (true, _) => Presence::Connected,
                (false, false) => Presence::Available,
                (false, true) => Presence::Offline,
            },
            seen: device.row.seen,
        }));
        list
    }

    /// The command to give this device a name.
    pub(super) fn rename_device(&mut self, name: String) -> Result<(), CommandFailure> {
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            let text = format!("the name of a device is one line of at most {MAX_NAME} bytes");
            return Err(CommandError::Invalid(text).into());
        }
        let row = OwnDeviceRow {
            name,
            own_word: true,
            ..self.own_device(&self.core.device)
        };
        self.save_own_device(row)?;
        self.devices_changed();
        self.core.emit(EventBody::DevicesChanged);
        Ok(())
    }
}
