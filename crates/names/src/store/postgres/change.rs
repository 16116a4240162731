//! Changing: one transaction.

use std::collections::HashMap;

use baraza_wire::{AccountId, UnixTime};
use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::types::ToSql;

use super::{Failure, rows};
use crate::audit::{Act, Checkpoint, Head, Logged, SignerKey};
use crate::confusable::Likeness;
use crate::directory::{KeyForm, Record, pack_key};
use crate::name::Name;
use crate::store::kept::{self, number, state_number};
use crate::store::{
    Admin, AdminRefusal, AdminSight, HeldState, Line, MAX_ALIKE, Outcome, Sight, StoreError,
};

/// Something to be registered, or imported.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) record: &'a Record,
    pub(super) likeness: Likeness,
    pub(super) imported: bool,
    pub(super) now: UnixTime,
}

type Exact = (HeldState, Option<AccountId>);

/// What is known of names and IDs that are asked for.
#[derive(Default)]
struct Known {
    exact: HashMap<Name, Exact>,
    of_id: HashMap<AccountId, Name>,
    /// By skeleton.
    alike: HashMap<String, Vec<Name>>,
}

/// An entry, and the record that it makes.
type Entry<'a> = (Logged, Option<&'a Record>);

/// Registers one after the other.
pub(super) async fn register(
    on: &Transaction<'_>,
    asked: &[Asked<'_>],
) -> Result<Vec<Outcome>, Failure> {
    let mut head = rows::lock(on).await?;
    let mut known = look(on, asked).await?;
    let (mut outcomes, mut entries) = (Vec::with_capacity(asked.len()), Vec::new());
    for one in asked {
        let outcome = known.sight(one.record).decide(one.record, one.likeness);
        if outcome == Outcome::Registered {
            let (logged, next) = head.append(act(one), one.now);
            entries.push((logged, Some(one.record)));
            head = next;
            known.add(one.record);
        }
        outcomes.push(outcome);
    }
    store(on, &head, &entries).await?;
    Ok(outcomes)
}

fn act(asked: &Asked<'_>) -> Act {
    let (name, addr) = (asked.record.name.clone(), asked.record.addr);
    let digest = asked.record.digest();
    if asked.imported {
        Act::Imported { name, addr, digest }
    } else {
        Act::Registered { name, addr, digest }
    }
}

fn skeleton(name: &Name) -> String {
    Likeness::Wide.skeleton(name.as_str())
}

impl Known {
    fn sight(&self, record: &Record) -> Sight {
        Sight {
            exact: self.exact.get(&record.name).copied(),
            of_id: self.of_id.get(&record.addr).cloned(),
            alike: self
                .alike
                .get(&skeleton(&record.name))
                .cloned()
                .unwrap_or_default(),
        }
    }

    fn add(&mut self, record: &Record) {
        let name = &record.name;
        let exact = (HeldState::Active, Some(record.addr));
        self.exact.insert(name.clone(), exact);
        self.of_id.insert(record.addr, name.clone());
        let alike = self.alike.entry(skeleton(name)).or_default();
        alike.push(name.clone());
    }
}

/// Three questions, whose answers are waited for together.
async fn look(on: &Transaction<'_>, asked: &[Asked<'_>]) -> Result<Known, Failure> {
    let names: Vec<&str> = asked.iter().map(|one| one.record.name.as_str()).collect();
    let ids = asked
        .iter()
        .map(|one| one.record.addr.as_bytes().as_slice());
    let ids: Vec<&[u8]> = ids.collect();
    let mut skeletons: Vec<String> = asked
        .iter()
        .filter(|one| one.likeness != Likeness::Off)
        .map(|one| skeleton(&one.record.name))
        .collect();
    skeletons.sort_unstable();
    skeletons.dedup();
    let (exact, of_id, alike) = tokio::try_join!(
        on.prepare_cached("SELECT name, state, addr FROM names WHERE name = ANY($1)"),
        on.prepare_cached("SELECT addr, name FROM names WHERE addr = ANY($1)"),
        on.prepare_cached(
            "SELECT asked.skeleton, found.name FROM unnest($1::text[]) AS asked (skeleton),
             LATERAL (SELECT name FROM names WHERE names.skeleton = asked.skeleton LIMIT $2)
             AS found"
        ),
    )?;
    let most = kept::page(MAX_ALIKE.saturating_add(1));
    let (names, ids): ([&(dyn ToSql + Sync); 1], [&(dyn ToSql + Sync); 1]) = ([&names], [&ids]);
    let alike_of: [&(dyn ToSql + Sync); 2] = [&skeletons, &most];
    let (exact, of_id, alike) = tokio::try_join!(
        on.query(&exact, &names),
        on.query(&of_id, &ids),
        on.query(&alike, &alike_of),
    )?;
    let mut known = Known::default();
    for row in &exact {
        let addr: Option<&[u8]> = row.try_get(2)?;
        let found = (
            kept::state(row.try_get(1)?)?,
            addr.map(kept::id).transpose()?,
        );
        known.exact.insert(kept::name(row.try_get(0)?)?, found);
    }
    for row in &of_id {
        let (addr, name) = (kept::id(row.try_get(0)?)?, kept::name(row.try_get(1)?)?);
        known.of_id.insert(addr, name);
    }
    for row in &alike {
        let alike = known.alike.entry(row.try_get(0)?).or_default();
        alike.push(kept::name(row.try_get(1)?)?);
    }
    Ok(known)
}

/// Does what whoever runs the server wants.
pub(super) async fn admin(
    on: &Transaction<'_>,
    admin: &Admin,
    now: UnixTime,
) -> Result<Result<bool, AdminRefusal>, Failure> {
    let head = rows::lock(on).await?;
    let of_id = match admin {
        Admin::Move { to, .. } => rows::by_id(on, to.addr).await?,
        _ => None,
    };
    let sight = AdminSight {
        allowed: head.admin,
        exact: match admin.name() {
            Some(name) => rows::exact(on, name).await?,
            None => None,
        },
        of_id: of_id.map(|(name, _)| name),
    };
    let act = match admin.decide(&sight) {
        Err(refusal) => return Ok(Err(refusal)),
        Ok(None) => return Ok(Ok(false)),
        Ok(Some(act)) => act,
    };
    let record = match admin {
        Admin::Move { to, .. } => Some(to),
        _ => None,
    };
    let (logged, head) = head.append(act, now);
    store(on, &head, &[(logged, record)]).await?;
    Ok(Ok(true))
}

/// Notes that a key signs checkpoints.
pub(super) async fn add_key(
    on: &Transaction<'_>,
    key: SignerKey,
    now: UnixTime,
) -> Result<(), Failure> {
    let head = rows::lock(on).await?;
    let bytes = key.as_bytes().as_slice();
    let known = on
        .query_opt("SELECT 1 FROM keys WHERE key = $1", &[&bytes])
        .await?;
    if known.is_some() {
        return Ok(());
    }
    let (logged, head) = head.append(Act::Key { key }, now);
    store(on, &head, &[(logged, None)]).await
}

/// Keeps a checkpoint.
pub(super) async fn add_checkpoint(
    on: &Transaction<'_>,
    checkpoint: &Checkpoint,
) -> Result<(), Failure> {
    on.execute(
        "INSERT INTO checkpoints (seq, hash, time, key, signature)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (seq) DO NOTHING",
        &[
            &number(checkpoint.seq),
            &checkpoint.hash.as_slice(),
            &number(checkpoint.time.secs()),
            &checkpoint.key.as_bytes().as_slice(),
            &checkpoint.signature,
        ],
    )
    .await?;
    Ok(())
}

/// Puts back the next page of a log.
pub(super) async fn put_back(on: &Transaction<'_>, lines: &[Line]) -> Result<(), Failure> {
    let mut head = rows::lock(on).await?;
    let mut entries = Vec::with_capacity(lines.len());
    for line in lines {
        let (again, next) = head.append(line.logged.act.clone(), line.logged.time);
        if again != line.logged {
            let text = "these entries do not go on where the log ends";
            return Err(StoreError::Database(text.into()).into());
        }
        entries.push((again, line.record.as_ref()));
        head = next;
    }
    store(on, &head, &entries).await
}

/// Rows of `names` to be added, by columns.
#[derive(Default)]
struct Rows<'a> {
    names: Vec<&'a str>,
    seqs: Vec<i64>,
    skeletons: Vec<String>,
    states: Vec<i64>,
    addrs: Vec<Option<&'a [u8]>>,
    owners: Vec<Option<&'a [u8]>>,
    forms: Vec<i64>,
    keys: Vec<Option<Vec<u8>>>,
    signatures: Vec<Option<&'a [u8]>>,
}

impl<'a> Rows<'a> {
    /// A name of somebody. A log that is put back has no record of what was moved later.
    fn add(&mut self, seq: u64, name: &'a Name, addr: &'a AccountId, record: Option<&'a Record>) {
        let signed = record.and_then(|record| record.signed.as_ref());
        let (form, key) = match signed {
            Some(signed) => {
                let (form, key) = pack_key(&signed.key);
                (form, Some(key))
            }
            None => (KeyForm::Raw, None),
        };
        let owner = record.and_then(|record| record.owner.as_ref());
        self.row(seq, name, HeldState::Active);
        self.addrs.push(Some(addr.as_bytes()));
        self.owners
            .push(owner.map(|owner| owner.as_bytes().as_slice()));
        self.forms.push(form.number());
        self.keys.push(key);
        let signature = signed.map(|signed| signed.signature.as_slice());
        self.signatures.push(signature);
    }

    fn reserve(&mut self, seq: u64, name: &'a Name) {
        self.row(seq, name, HeldState::Reserved);
        self.addrs.push(None);
        self.owners.push(None);
        self.forms.push(KeyForm::Raw.number());
        self.keys.push(None);
        self.signatures.push(None);
    }

    fn row(&mut self, seq: u64, name: &'a Name, state: HeldState) {
        self.names.push(name.as_str());
        self.seqs.push(number(seq));
        self.skeletons.push(skeleton(name));
        self.states.push(state_number(state));
    }

    async fn insert(&mut self, on: &Transaction<'_>) -> Result<(), Failure> {
        let rows = std::mem::take(self);
        if rows.names.is_empty() {
            return Ok(());
        }
        let statement = on
            .prepare_cached(
                "INSERT INTO names
                 (name, seq, skeleton, state, addr, owner, form, key, signature)
                 SELECT * FROM unnest($1::text[], $2::int8[], $3::text[], $4::int8[],
                 $5::bytea[], $6::bytea[], $7::int8[], $8::bytea[], $9::bytea[])",
            )
            .await?;
        on.execute(
            &statement,
            &[
                &rows.names,
                &rows.seqs,
                &rows.skeletons,
                &rows.states,
                &rows.addrs,
                &rows.owners,
                &rows.forms,
                &rows.keys,
                &rows.signatures,
            ],
        )
        .await?;
        Ok(())
    }
}

/// Entries, what they do to the names, and the end of the log behind them.
async fn store(on: &Transaction<'_>, head: &Head, entries: &[Entry<'_>]) -> Result<(), Failure> {
    if entries.is_empty() {
        return Ok(());
    }
    let logged = || entries.iter().map(|(logged, _)| logged);
    let seqs: Vec<i64> = logged().map(|entry| number(entry.seq)).collect();
    let hashes: Vec<&[u8]> = logged().map(|entry| entry.hash.as_slice()).collect();
    let bodies: Vec<Vec<u8>> = logged().map(Logged::to_bytes).collect();
    let statement = on
        .prepare_cached(
            "INSERT INTO log (seq, hash, body)
             SELECT * FROM unnest($1::int8[], $2::bytea[], $3::bytea[])",
        )
        .await?;
    on.execute(&statement, &[&seqs, &hashes, &bodies]).await?;
    let mut fresh = Rows::default();
    for (logged, record) in entries {
        match &logged.act {
            Act::Key { key } => {
                let bytes = key.as_bytes().as_slice();
                let sql = "INSERT INTO keys (key) VALUES ($1) ON CONFLICT (key) DO NOTHING";
                on.execute(sql, &[&bytes]).await?;
            }
            Act::AdminAllowed { .. } => {}
            Act::Registered { name, addr, .. } | Act::Imported { name, addr, .. } => {
                fresh.add(logged.seq, name, addr, *record);
            }
            Act::Moved { name, to, .. } => {
                fresh.insert(on).await?;
                delete(on, name).await?;
                fresh.add(logged.seq, name, to, *record);
            }
            Act::Reserved { name, .. } => fresh.reserve(logged.seq, name),
            Act::Released { name, .. } => {
                fresh.insert(on).await?;
                delete(on, name).await?;
            }
            Act::Suspended { name, .. } => {
                fresh.insert(on).await?;
                set_state(on, name, HeldState::Suspended).await?;
            }
            Act::Restored { name, .. } => {
                fresh.insert(on).await?;
                set_state(on, name, HeldState::Active).await?;
            }
        }
    }
    fresh.insert(on).await?;
    let statement = on
        .prepare_cached("UPDATE head SET seq = $1, hash = $2, names = $3, admin = $4 WHERE id = 1")
        .await?;
    let (seq, names) = (number(head.seq), number(head.names));
    let hash = head.hash.as_slice();
    on.execute(&statement, &[&seq, &hash, &names, &head.admin])
        .await?;
    Ok(())
}

async fn delete(on: &Transaction<'_>, name: &Name) -> Result<(), Failure> {
    let sql = "DELETE FROM names WHERE name = $1";
    one(on.execute(sql, &[&name.as_str()]).await?)
}

async fn set_state(on: &Transaction<'_>, name: &Name, state: HeldState) -> Result<(), Failure> {
    let sql = "UPDATE names SET state = $2 WHERE name = $1";
    let state = state_number(state);
    one(on.execute(sql, &[&name.as_str(), &state]).await?)
}

fn one(rows: u64) -> Result<(), Failure> {
    match rows {
        1 => Ok(()),
        _ => Err(StoreError::Corrupt("a name of the log is missing".into()).into()),
    }
}
