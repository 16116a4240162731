//! The own profile between devices of the account (docs/protocol/06-messages-files.md section 7).
//!
//! The one that was changed last counts; of two of the same second, that with the larger
//! hash, so that all devices choose the same one. A daemon of 2023 does not say when: what it
//! sends counts if it has had ours, or if we have none.

use baraza_store::{ProfileRow, StoreError};
use baraza_wire::{DeviceId, UnixTime};
use bytes::Bytes;

use crate::account::Account;
use crate::account::profiles::stored;
use crate::command::{MAX_NAME, MAX_PROFILE_PICTURE};
use crate::protocol::transfer::{TransferName, Version};
use crate::protocol::vcard::Profile;

/// How far in the future a change may be said to be, in seconds.
const SKEW: u64 = 300;

/// The own profile as the other devices get it.
#[derive(Debug, Default)]
pub(super) struct OwnCard {
    /// What is in it.
    pub(super) profile: Profile,
    /// As it is sent; of a profile without anything in it, too.
    pub(super) card: Bytes,
    /// The hash of that.
    pub(super) sum: String,
    /// When it was changed, in seconds; 0 if it never was.
    pub(super) changed: u64,
}

impl Account {
    /// Sends the own profile to another device of the account, unless it has it or it was
    /// never set.
    pub(super) fn offer_own_profile(&mut self, device: DeviceId) {
        let own = &self.profiles.shared;
        if own.changed == 0 || self.has_profile(&device, &own.sum) {
            return;
        }
        let (card, sum) = (own.card.clone(), own.sum.clone());
        // A daemon of 2023 takes one with a version for a file.
        let version = match self.is_new(&device) {
            true => Version {
                sha3: Some(sum.clone()),
                modified: own.changed,
            },
            false => Version::default(),
        };
        let name = TransferName::OwnProfile { version };
        self.send_profile(device, &name, card, sum);
    }

    /// Another device of the account sent the own profile.
    pub(super) fn own_profile_came(
        &mut self,
        device: DeviceId,
        modified: u64,
        sum: &str,
        profile: Profile,
    ) -> Result<(), StoreError> {
        let too_long = profile.name.len() > MAX_NAME
            || profile.name.chars().any(char::is_control)
            || profile
                .photo
                .as_ref()
                .is_some_and(|photo| photo.bytes.len() > MAX_PROFILE_PICTURE);
        if too_long {
            tracing::debug!(%device, "a profile that cannot be one of ours");
            return Ok(());
        }
        let now = self.core.now.unix.secs();
        let modified = modified.min(now.saturating_add(SKEW));
        let own = &self.profiles.shared;
        let same = own.profile == profile;
        let newer = match modified {
            0 => own.changed == 0 || self.was_sent(&device, &own.sum),
            later if later > own.changed => true,
            tied => tied == own.changed && *sum > *own.sum,
        };
        if same {
            let sum = own.sum.clone();
            let moved = modified > own.changed;
            if moved {
                self.keep_own_profile(modified, profile)?;
                self.make_card()?;
            }
            return self.note_profile_sent(device, sum);
        }
        if !newer {
            return Ok(());
        }
        tracing::info!(%device, "the own profile came from another device");
        let changed = if modified == 0 { now } else { modified };
        self.keep_own_profile(changed, profile)?;
        self.make_card()?;
        let sum = self.profiles.shared.sum.clone();
        self.note_profile_sent(device, sum)?;
        self.own_profile_changed()
    }

    fn keep_own_profile(&mut self, changed: u64, profile: Profile) -> Result<(), StoreError> {
        self.core.store.begin()?;
        let number = self.core.config.number;
        let row = ProfileRow {
            owner: self.core.account,
            name: String::new(),
            picture: profile.photo.map(stored),
            changed: UnixTime::from_secs(changed),
        };
        self.core.store.put_profile(number, &row)?;
        self.core.store.set_display_name(number, &profile.name)?;
        self.core.config.display_name = profile.name;
        Ok(())
    }
}
