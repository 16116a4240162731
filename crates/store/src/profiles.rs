//! What accounts show of themselves.

use baraza_wire::{AccountId, DeviceId, UnixTime};

use crate::database::{Store, StoreError, column};

/// A profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileRow {
    /// Whose.
    pub owner: AccountId,
    /// The name; of this account, it is in [`crate::AccountRow`].
    pub name: String,
    /// The picture: what kind of file it is, and its bytes.
    pub picture: Option<(String, Vec<u8>)>,
    /// When it was set, or received.
    pub changed: UnixTime,
}

impl Store {
    /// Enters a profile in place of an earlier one.
    ///
    /// # Errors
    /// If the database fails.
    pub fn put_profile(&mut self, account: i64, row: &ProfileRow) -> Result<(), StoreError> {
        let (kind, picture) = row.picture.as_ref().map_or((None, None), |(kind, bytes)| {
            (Some(kind.as_str()), Some(bytes.as_slice()))
        });
        self.execute(
            "INSERT OR REPLACE INTO profiles (account, owner, name, kind, picture, changed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                account,
                row.owner.as_bytes(),
                &row.name,
                kind,
                picture,
                column::stored(row.changed.millis()),
            ),
        )?;
        Ok(())
    }

    /// A profile.
    ///
    /// # Errors
    /// If the database fails.
    pub fn profile(
        &self,
        account: i64,
        owner: &AccountId,
    ) -> Result<Option<ProfileRow>, StoreError> {
        self.query_one(
            "SELECT name, kind, picture, changed FROM profiles
             WHERE account = ?1 AND owner = ?2",
            (account, owner.as_bytes()),
            |row| {
                let (kind, bytes): (Option<String>, Option<Vec<u8>>) = (row.get(1)?, row.get(2)?);
                Ok(ProfileRow {
                    owner: *owner,
                    name: row.get(0)?,
                    picture: kind.zip(bytes),
                    changed: column::time(row, 3)?,
                })
            },
        )
    }

    /// The names in all profiles.
    ///
    /// # Errors
    /// If the database fails.
    pub fn profile_names(&self, account: i64) -> Result<Vec<(AccountId, String)>, StoreError> {
        self.query(
            "SELECT owner, name FROM profiles WHERE account = ?1",
            [account],
            |row| Ok((AccountId::new(column::bytes(row, 0)?), row.get(1)?)),
        )
    }

    /// Removes a profile.
    ///
    /// # Errors
    /// If the database fails.
    pub fn remove_profile(&mut self, account: i64, owner: &AccountId) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM profiles WHERE account = ?1 AND owner = ?2",
            (account, owner.as_bytes()),
        )?;
        Ok(())
    }

    /// Which devices have which of the account's profiles, by its SHA3-512 in hex.
    ///
    /// # Errors
    /// If the database fails.
    pub fn profiles_sent(&self, account: i64) -> Result<Vec<(DeviceId, String)>, StoreError> {
        self.query(
            "SELECT device, sha3 FROM profiles_sent WHERE account = ?1",
            [account],
            |row| Ok((DeviceId::new(column::bytes(row, 0)?), row.get(1)?)),
        )
    }

    /// Notes that a device has a profile of the account.
    ///
    /// # Errors
    /// If the database fails.
    pub fn put_profile_sent(
        &mut self,
        account: i64,
        device: &DeviceId,
        sha3: &str,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT OR REPLACE INTO profiles_sent (account, device, sha3) VALUES (?1, ?2, ?3)",
            (account, device.as_bytes(), sha3),
        )?;
        Ok(())
    }
}
