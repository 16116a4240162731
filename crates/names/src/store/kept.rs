//! Columns of databases, and what they mean.

use baraza_wire::{AccountId, UnixTime};

use super::{Held, HeldState, MAX_PAGE, StoreError};
use crate::audit::{Checkpoint, Head, Logged, SignerKey};
use crate::directory::{KeyForm, Record, Signed, unpack_key};
use crate::name::Name;
use crate::record::Owner;

/// What cannot be in a database of ours.
pub(super) fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(format!("an impossible {what}"))
}

/// For a column.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// For a LIMIT.
pub(super) fn page(limit: usize) -> i64 {
    i64::try_from(limit.min(MAX_PAGE)).unwrap_or(0)
}

/// Of a column.
pub(super) fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| corrupt("number"))
}

/// Of a column.
pub(super) fn array<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| corrupt(what))
}

/// Of a column.
pub(super) fn name(text: &str) -> Result<Name, StoreError> {
    Name::new(text).map_err(|_| corrupt("name"))
}

/// Of a column.
pub(super) fn id(bytes: &[u8]) -> Result<AccountId, StoreError> {
    array(bytes, "id").map(AccountId::new)
}

/// Of a column.
pub(super) fn state(number: i64) -> Result<HeldState, StoreError> {
    match number {
        0 => Ok(HeldState::Active),
        1 => Ok(HeldState::Suspended),
        2 => Ok(HeldState::Reserved),
        _ => Err(corrupt("state")),
    }
}

/// For a column.
pub(super) fn state_number(state: HeldState) -> i64 {
    match state {
        HeldState::Active => 0,
        HeldState::Suspended => 1,
        HeldState::Reserved => 2,
    }
}

/// A row of `names`.
#[derive(Debug)]
pub(super) struct NameRow<'a> {
    pub(super) seq: i64,
    pub(super) name: &'a str,
    pub(super) state: i64,
    pub(super) addr: Option<&'a [u8]>,
    pub(super) owner: Option<&'a [u8]>,
    pub(super) form: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) signature: Option<Vec<u8>>,
}

impl NameRow<'_> {
    /// What it says.
    pub(super) fn read(self) -> Result<Held, StoreError> {
        let name = name(self.name)?;
        let record = match self.addr {
            None => None,
            Some(addr) => {
                let owner = self.owner.map(|owner| array(owner, "owner"));
                let form = KeyForm::from_number(self.form).ok_or_else(|| corrupt("key form"))?;
                let signed = match (self.key, self.signature) {
                    (Some(key), Some(signature)) => Some(Signed {
                        key: unpack_key(form, key),
                        signature,
                    }),
                    (None, None) => None,
                    _ => return Err(corrupt("proof")),
                };
                Some(Record {
                    name: name.clone(),
                    addr: id(addr)?,
                    owner: owner.transpose()?.map(Owner::new),
                    signed,
                })
            }
        };
        Ok(Held {
            seq: unsigned(self.seq)?,
            name,
            state: state(self.state)?,
            record,
        })
    }
}

/// A row of `head`.
pub(super) fn head(seq: i64, hash: &[u8], names: i64, admin: bool) -> Result<Head, StoreError> {
    Ok(Head {
        seq: unsigned(seq)?,
        hash: array(hash, "hash")?,
        names: unsigned(names)?,
        admin,
    })
}

/// A row of `log`.
pub(super) fn logged(seq: i64, hash: &[u8], body: &[u8]) -> Result<Logged, StoreError> {
    let logged = Logged::from_bytes(body, array(hash, "hash")?)
        .map_err(|error| StoreError::Corrupt(error.to_string()))?;
    if number(logged.seq) != seq {
        return Err(corrupt("place of an entry"));
    }
    Ok(logged)
}

/// A row of `checkpoints`.
pub(super) fn checkpoint(
    seq: i64,
    hash: &[u8],
    time: i64,
    key: &[u8],
    signature: Vec<u8>,
) -> Result<Checkpoint, StoreError> {
    Ok(Checkpoint {
        seq: unsigned(seq)?,
        hash: array(hash, "hash")?,
        time: UnixTime::from_secs(unsigned(time)?),
        key: SignerKey::new(array(key, "key")?),
        signature,
    })
}
