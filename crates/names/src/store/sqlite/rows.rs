//! Reading.

use baraza_wire::{AccountId, UnixTime};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::audit::{ChainHash, Checkpoint, Head, Logged, SignerKey};
use crate::confusable::Likeness;
use crate::directory::{KeyForm, Record, Signed, unpack_key};
use crate::name::Name;
use crate::record::Owner;
use crate::store::{Held, HeldState, MAX_ALIKE, MAX_PAGE, Sight, StoreError};

const COLUMNS: &str = "seq, name, state, addr, owner, form, key, signature";

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(format!("an impossible {what}"))
}

pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn page(limit: usize) -> i64 {
    i64::try_from(limit.min(MAX_PAGE)).unwrap_or(0)
}

fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| corrupt("number"))
}

fn array<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| corrupt(what))
}

fn name(text: &str) -> Result<Name, StoreError> {
    Name::new(text).map_err(|_| corrupt("name"))
}

fn state(number: i64) -> Result<HeldState, StoreError> {
    match number {
        0 => Ok(HeldState::Active),
        1 => Ok(HeldState::Suspended),
        2 => Ok(HeldState::Reserved),
        _ => Err(corrupt("state")),
    }
}

pub(super) fn state_number(state: HeldState) -> i64 {
    match state {
        HeldState::Active => 0,
        HeldState::Suspended => 1,
        HeldState::Reserved => 2,
    }
}

/// A row of [`COLUMNS`].
fn held_row(row: &Row<'_>) -> Result<Held, StoreError> {
    let name = name(row.get_ref(1)?.as_str().map_err(|_| corrupt("name"))?)?;
    let addr: Option<Vec<u8>> = row.get(3)?;
    let record = match addr {
        None => None,
        Some(addr) => {
            let owner: Option<Vec<u8>> = row.get(4)?;
            let owner = owner
                .map(|owner| array(&owner, "owner").map(Owner::new))
                .transpose()?;
            let form = KeyForm::from_number(row.get(5)?).ok_or_else(|| corrupt("key form"))?;
            let key: Option<Vec<u8>> = row.get(6)?;
            let signature: Option<Vec<u8>> = row.get(7)?;
            let signed = match (key, signature) {
                (Some(key), Some(signature)) => Some(Signed {
                    key: unpack_key(form, key),
                    signature,
                }),
                (None, None) => None,
                _ => return Err(corrupt("proof")),
            };
            Some(Record {
                name: name.clone(),
                addr: AccountId::new(array(&addr, "id")?),
                owner,
                signed,
            })
        }
    };
    Ok(Held {
        seq: unsigned(row.get(0)?)?,
        name,
        state: state(row.get(2)?)?,
        record,
    })
}

pub(super) fn by_name(connection: &Connection, name: &Name) -> Result<Option<Held>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM names WHERE skeleton = ?1 AND name = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let skeleton = Likeness::Wide.skeleton(name.as_str());
    let mut rows = statement.query(params![skeleton, name.as_str()])?;
    rows.next()?.map(held_row).transpose()
}

pub(super) fn by_id(
    connection: &Connection,
    addr: AccountId,
) -> Result<Option<(Name, HeldState)>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT name, state FROM names WHERE addr = ?1")?;
    let mut rows = statement.query([addr.as_bytes().as_slice()])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let found = row.get_ref(0)?.as_str().map_err(|_| corrupt("name"))?;
    Ok(Some((name(found)?, state(row.get(1)?)?)))
}

/// What there is under a name, without its proof.
pub(super) fn exact(
    connection: &Connection,
    name: &Name,
) -> Result<Option<(HeldState, Option<AccountId>)>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT state, addr FROM names WHERE skeleton = ?1 AND name = ?2")?;
    let skeleton = Likeness::Wide.skeleton(name.as_str());
    let mut rows = statement.query(params![skeleton, name.as_str()])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let addr: Option<Vec<u8>> = row.get(1)?;
    let addr = addr
        .map(|addr| array(&addr, "id").map(AccountId::new))
        .transpose()?;
    Ok(Some((state(row.get(0)?)?, addr)))
}

/// What a registration depends on.
pub(super) fn sight(connection: &Connection, record: &Record) -> Result<Sight, StoreError> {
    let skeleton = Likeness::Wide.skeleton(record.name.as_str());
    let mut statement =
        connection.prepare_cached("SELECT name FROM names WHERE skeleton = ?1 LIMIT ?2")?;
    let limit = page(MAX_ALIKE.saturating_add(1));
    let mut rows = statement.query(params![skeleton, limit])?;
    let mut alike = Vec::new();
    while let Some(row) = rows.next()? {
        alike.push(name(
            row.get_ref(0)?.as_str().map_err(|_| corrupt("name"))?,
        )?);
    }
    // Usually none is alike, and then there is no such name either.
    let exact = match alike.is_empty() {
        true => None,
        false => exact(connection, &record.name)?,
    };
    Ok(Sight {
        exact,
        of_id: by_id(connection, record.addr)?.map(|(name, _)| name),
        alike,
    })
}

pub(super) fn head(connection: &Connection) -> Result<Head, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT seq, hash, names, admin FROM head WHERE id = 1")?;
    let mut rows = statement.query([])?;
    let row = rows.next()?.ok_or_else(|| corrupt("end of the log"))?;
    let hash: Vec<u8> = row.get(1)?;
    Ok(Head {
        seq: unsigned(row.get(0)?)?,
        hash: array(&hash, "hash")?,
        names: unsigned(row.get(2)?)?,
        admin: row.get(3)?,
    })
}

pub(super) fn entries(
    connection: &Connection,
    after: u64,
    limit: usize,
) -> Result<Vec<Logged>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT seq, hash, body FROM log WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query(params![number(after), page(limit)])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let hash: Vec<u8> = row.get(1)?;
        let hash: ChainHash = array(&hash, "hash")?;
        let body: Vec<u8> = row.get(2)?;
        let logged = Logged::from_bytes(&body, hash)
            .map_err(|error| StoreError::Corrupt(error.to_string()))?;
        if number(logged.seq) != row.get::<_, i64>(0)? {
            return Err(corrupt("place of an entry"));
        }
        out.push(logged);
    }
    Ok(out)
}

pub(super) fn held(
    connection: &Connection,
    after: u64,
    limit: usize,
) -> Result<Vec<Held>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM names WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![number(after), page(limit)])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(held_row(row)?);
    }
    Ok(out)
}

fn checkpoint_row(row: &Row<'_>) -> Result<Checkpoint, StoreError> {
    let hash: Vec<u8> = row.get(1)?;
    let key: Vec<u8> = row.get(3)?;
    Ok(Checkpoint {
        seq: unsigned(row.get(0)?)?,
        hash: array(&hash, "hash")?,
        time: UnixTime::from_secs(unsigned(row.get(2)?)?),
        key: SignerKey::new(array(&key, "key")?),
        signature: row.get(4)?,
    })
}

pub(super) fn checkpoints(
    connection: &Connection,
    after: u64,
    limit: usize,
) -> Result<Vec<Checkpoint>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, hash, time, key, signature FROM checkpoints WHERE seq > ?1
         ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = statement.query(params![number(after), page(limit)])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(checkpoint_row(row)?);
    }
    Ok(out)
}

pub(super) fn last_checkpoint(connection: &Connection) -> Result<Option<Checkpoint>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, hash, time, key, signature FROM checkpoints ORDER BY seq DESC LIMIT 1",
    )?;
    let mut rows = statement.query([])?;
    rows.next()?.map(checkpoint_row).transpose()
}

pub(super) fn has_key(connection: &Connection, key: SignerKey) -> Result<bool, StoreError> {
    let found: Option<i64> = connection
        .prepare_cached("SELECT 1 FROM keys WHERE key = ?1")?
        .query_row([key.as_bytes().as_slice()], |row| row.get(0))
        .optional()?;
    Ok(found.is_some())
}
