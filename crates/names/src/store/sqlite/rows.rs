//! Reading.

use baraza_wire::AccountId;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::audit::{Checkpoint, Head, Logged, SignerKey};
use crate::confusable::Likeness;
use crate::directory::Record;
use crate::name::Name;
use crate::store::kept::{self, NameRow, corrupt, id, name, number, page, state};
use crate::store::{Held, HeldState, MAX_ALIKE, Sight, StoreError};

const BY_NAME: &str = "SELECT seq, name, state, addr, owner, form, key, signature
    FROM names WHERE skeleton = ?1 AND name = ?2";
const PAGE: &str = "SELECT seq, name, state, addr, owner, form, key, signature
    FROM names WHERE seq > ?1 ORDER BY seq LIMIT ?2";

/// A row of these.
fn held_row(row: &Row<'_>) -> Result<Held, StoreError> {
    let bytes = |column| -> Result<Option<&[u8]>, StoreError> {
        let value = row.get_ref(column)?;
        value.as_blob_or_null().map_err(|_| corrupt("column"))
    };
    let kept = NameRow {
        seq: row.get(0)?,
        name: text(row, 1)?,
        state: row.get(2)?,
        addr: bytes(3)?,
        owner: bytes(4)?,
        form: row.get(5)?,
        key: row.get(6)?,
        signature: row.get(7)?,
    };
    kept.read()
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, StoreError> {
    row.get_ref(column)?.as_str().map_err(|_| corrupt("name"))
}

pub(super) fn by_name(connection: &Connection, name: &Name) -> Result<Option<Held>, StoreError> {
    let mut statement = connection.prepare_cached(BY_NAME)?;
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
    Ok(Some((name(text(row, 0)?)?, state(row.get(1)?)?)))
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
    let addr = addr.as_deref().map(id).transpose()?;
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
        alike.push(name(text(row, 0)?)?);
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
    kept::head(row.get(0)?, &hash, row.get(2)?, row.get(3)?)
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
        let body: Vec<u8> = row.get(2)?;
        out.push(kept::logged(row.get(0)?, &hash, &body)?);
    }
    Ok(out)
}

pub(super) fn held(
    connection: &Connection,
    after: u64,
    limit: usize,
) -> Result<Vec<Held>, StoreError> {
    let mut statement = connection.prepare_cached(PAGE)?;
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
    kept::checkpoint(row.get(0)?, &hash, row.get(2)?, &key, row.get(4)?)
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
