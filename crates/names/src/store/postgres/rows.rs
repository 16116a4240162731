//! Reading.

use baraza_wire::AccountId;
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use super::Failure;
use crate::audit::{Checkpoint, Head, Logged};
use crate::name::Name;
use crate::store::kept::{self, NameRow, number, page};
use crate::store::{Held, HeldState};

const COLUMNS: &str = "seq, name, state, addr, owner, form, key, signature";

fn held_row(row: &Row) -> Result<Held, Failure> {
    let row = NameRow {
        seq: row.try_get(0)?,
        name: row.try_get(1)?,
        state: row.try_get(2)?,
        addr: row.try_get(3)?,
        owner: row.try_get(4)?,
        form: row.try_get(5)?,
        key: row.try_get(6)?,
        signature: row.try_get(7)?,
    };
    Ok(row.read()?)
}

pub(super) async fn by_name(on: &impl GenericClient, name: &Name) -> Result<Option<Held>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM names WHERE name = $1");
    let statement = on.prepare_cached(&sql).await?;
    let row = on.query_opt(&statement, &[&name.as_str()]).await?;
    row.as_ref().map(held_row).transpose()
}

pub(super) async fn by_id(
    on: &impl GenericClient,
    addr: AccountId,
) -> Result<Option<(Name, HeldState)>, Failure> {
    let statement = on
        .prepare_cached("SELECT name, state FROM names WHERE addr = $1")
        .await?;
    let addr = addr.as_bytes().as_slice();
    let Some(row) = on.query_opt(&statement, &[&addr]).await? else {
        return Ok(None);
    };
    let (name, state) = (kept::name(row.try_get(0)?)?, kept::state(row.try_get(1)?)?);
    Ok(Some((name, state)))
}

/// What there is under a name, without its proof.
pub(super) async fn exact(
    on: &impl GenericClient,
    name: &Name,
) -> Result<Option<(HeldState, Option<AccountId>)>, Failure> {
    let statement = on
        .prepare_cached("SELECT state, addr FROM names WHERE name = $1")
        .await?;
    let Some(row) = on.query_opt(&statement, &[&name.as_str()]).await? else {
        return Ok(None);
    };
    let addr: Option<&[u8]> = row.try_get(1)?;
    let addr = addr.map(kept::id).transpose()?;
    Ok(Some((kept::state(row.try_get(0)?)?, addr)))
}

fn head_row(row: &Row) -> Result<Head, Failure> {
    let (seq, hash) = (row.try_get(0)?, row.try_get(1)?);
    Ok(kept::head(seq, hash, row.try_get(2)?, row.try_get(3)?)?)
}

pub(super) async fn head(on: &impl GenericClient) -> Result<Head, Failure> {
    let statement = on
        .prepare_cached("SELECT seq, hash, names, admin FROM head WHERE id = 1")
        .await?;
    head_row(&on.query_one(&statement, &[]).await?)
}

/// The end of the log, which nobody else changes before this transaction is over. The first
/// thing that one does, so that what it sees is not older.
pub(super) async fn lock(on: &impl GenericClient) -> Result<Head, Failure> {
    let statement = on
        .prepare_cached("SELECT seq, hash, names, admin FROM head WHERE id = 1 FOR UPDATE")
        .await?;
    head_row(&on.query_one(&statement, &[]).await?)
}

pub(super) async fn entries(
    on: &impl GenericClient,
    after: u64,
    limit: usize,
) -> Result<Vec<Logged>, Failure> {
    let statement = on
        .prepare_cached("SELECT seq, hash, body FROM log WHERE seq > $1 ORDER BY seq LIMIT $2")
        .await?;
    let rows = on
        .query(&statement, &[&number(after), &page(limit)])
        .await?;
    let entry = |row: &Row| {
        let (seq, hash) = (row.try_get(0)?, row.try_get(1)?);
        Ok(kept::logged(seq, hash, row.try_get(2)?)?)
    };
    rows.iter().map(entry).collect()
}

pub(super) async fn held(
    on: &impl GenericClient,
    after: u64,
    limit: usize,
) -> Result<Vec<Held>, Failure> {
    let sql = format!("SELECT {COLUMNS} FROM names WHERE seq > $1 ORDER BY seq LIMIT $2");
    let statement = on.prepare_cached(&sql).await?;
    let rows = on
        .query(&statement, &[&number(after), &page(limit)])
        .await?;
    rows.iter().map(held_row).collect()
}

fn checkpoint_row(row: &Row) -> Result<Checkpoint, Failure> {
    let (seq, hash, time) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (key, signature) = (row.try_get(3)?, row.try_get(4)?);
    Ok(kept::checkpoint(seq, hash, time, key, signature)?)
}

pub(super) async fn checkpoints(
    on: &impl GenericClient,
    after: u64,
    limit: usize,
) -> Result<Vec<Checkpoint>, Failure> {
    let statement = on
        .prepare_cached(
            "SELECT seq, hash, time, key, signature FROM checkpoints WHERE seq > $1
             ORDER BY seq LIMIT $2",
        )
        .await?;
    let rows = on
        .query(&statement, &[&number(after), &page(limit)])
        .await?;
    rows.iter().map(checkpoint_row).collect()
}

pub(super) async fn last_checkpoint(
    on: &impl GenericClient,
) -> Result<Option<Checkpoint>, Failure> {
    let statement = on
        .prepare_cached(
            "SELECT seq, hash, time, key, signature FROM checkpoints ORDER BY seq DESC LIMIT 1",
        )
        .await?;
    let row = on.query_opt(&statement, &[]).await?;
    row.as_ref().map(checkpoint_row).transpose()
}
