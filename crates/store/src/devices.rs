//! Devices, those of the own account too, and numbers of offers and messages handled already.

use baraza_wire::{AccountId, DeviceId, UnixTime};

use crate::database::{Store, StoreError, column};

/// Which channels a device takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceKind {
    /// Not tried yet.
    #[default]
    Unknown,
    /// It declines `msg:` channels: a daemon of 2023.
    Old,
    /// It takes `msg:` channels.
    New,
}

impl DeviceKind {
    const fn number(self) -> i64 {
        match self {
            Self::Unknown => 0,
            Self::Old => 1,
            Self::New => 2,
        }
    }

    const fn from_number(number: i64) -> Self {
        match number {
            1 => Self::Old,
            2 => Self::New,
            _ => Self::Unknown,
        }
    }
}

/// A device, another one than this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// The device.
    pub device: DeviceId,
    /// Its account.
    pub owner: AccountId,
    /// Its public key, as DER.
    pub public_key: Vec<u8>,
    /// Its certificate chain as PEM; empty if it is not known.
    pub chain: String,
    /// Which channels it takes.
    pub kind: DeviceKind,
    /// When it was last seen.
    pub seen: UnixTime,
}

/// Numbers of offers and messages kept for each account: some days' worth.
pub const MAX_TREATED: i64 = 4096;

impl Store {
    /// All devices known to an account.
    ///
    /// # Errors
    /// If the database fails.
    pub fn devices(&self, account: i64) -> Result<Vec<DeviceRow>, StoreError> {
        self.query(
            "SELECT device, owner, public_key, chain, kind, seen
             FROM devices WHERE account = ?1 ORDER BY device",
            [account],
            |row| {
                Ok(DeviceRow {
                    device: DeviceId::new(column::bytes(row, 0)?),
                    owner: AccountId::new(column::bytes(row, 1)?),
                    public_key: row.get(2)?,
                    chain: row.get(3)?,
                    kind: DeviceKind::from_number(row.get(4)?),
                    seen: column::time(row, 5)?,
                })
            },
        )
    }

    /// Adds or replaces a device.
    ///
    /// # Errors
    /// If the database fails.
    pub fn put_device(&mut self, account: i64, row: &DeviceRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO devices (account, device, owner, public_key, chain, kind, seen)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO UPDATE SET owner = excluded.owner,
                 public_key = excluded.public_key, chain = excluded.chain,
                 kind = excluded.kind, seen = excluded.seen",
            (
                account,
                row.device.as_bytes(),
                row.owner.as_bytes(),
                &row.public_key,
                &row.chain,
                row.kind.number(),
                column::stored(row.seen.millis()),
            ),
        )?;
        Ok(())
    }

    /// Forgets a device.
    ///
    /// # Errors
    /// If the database fails.
    pub fn remove_device(&mut self, account: i64, device: &DeviceId) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM devices WHERE account = ?1 AND device = ?2",
            (account, device.as_bytes()),
        )?;
        Ok(())
    }

    /// Numbers of offers and messages handled already, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub fn treated(&self, account: i64) -> Result<Vec<u64>, StoreError> {
        self.query(
            "SELECT number FROM treated WHERE account = ?1 ORDER BY time DESC",
            [account],
            |row| Ok(row.get::<_, i64>(0)?.cast_unsigned()),
        )
    }

    /// Notes numbers as handled; forgets the oldest beyond [`MAX_TREATED`].
    ///
    /// # Errors
    /// If the database fails.
    pub fn add_treated(
        &mut self,
        account: i64,
        numbers: &[u64],
        time: UnixTime,
    ) -> Result<(), StoreError> {
        self.atomic(|store| {
            for number in numbers {
                store.execute(
                    "INSERT OR IGNORE INTO treated (account, number, time) VALUES (?1, ?2, ?3)",
                    (account, number.cast_signed(), column::stored(time.millis())),
                )?;
            }
            store.execute(
                "DELETE FROM treated WHERE account = ?1 AND number IN
                     (SELECT number FROM treated WHERE account = ?1
                      ORDER BY time DESC LIMIT -1 OFFSET ?2)",
                (account, MAX_TREATED),
            )?;
            Ok(())
        })
    }
}
