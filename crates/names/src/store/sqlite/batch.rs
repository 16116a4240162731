//! Writing: one transaction of the thread that writes.

use baraza_wire::UnixTime;
use rusqlite::{Transaction, params};

use super::rows;
use crate::audit::{Act, Checkpoint, Head, Logged, SignerKey};
use crate::confusable::Likeness;
use crate::directory::{KeyForm, Record, pack_key};
use crate::name::Name;
use crate::store::kept::{number, state_number};
use crate::store::{Admin, AdminRefusal, AdminSight, HeldState, Line, Outcome, StoreError};

/// A transaction, and the end of the log as it will be.
pub(super) struct Batch<'a> {
    transaction: Transaction<'a>,
    head: Head,
    changed: bool,
}

impl<'a> Batch<'a> {
    pub(super) fn begin(transaction: Transaction<'a>) -> Result<Self, StoreError> {
        let head = rows::head(&transaction)?;
        Ok(Self {
            transaction,
            head,
            changed: false,
        })
    }

    pub(super) fn commit(self) -> Result<(), StoreError> {
        if self.changed {
            let head = &self.head;
            self.transaction
                .prepare_cached(
                    "UPDATE head SET seq = ?1, hash = ?2, names = ?3, admin = ?4 WHERE id = 1",
                )?
                .execute(params![
                    number(head.seq),
                    head.hash.as_slice(),
                    number(head.names),
                    head.admin
                ])?;
        }
        self.transaction.commit()?;
        Ok(())
    }

    pub(super) fn register(
        &mut self,
        record: &Record,
        likeness: Likeness,
        now: UnixTime,
    ) -> Result<Outcome, StoreError> {
        let outcome = rows::sight(&self.transaction, record)?.decide(record, likeness);
        if outcome == Outcome::Registered {
            let act = Act::Registered {
                name: record.name.clone(),
                addr: record.addr,
                digest: record.digest(),
            };
            self.append(act, Some(record), now)?;
        }
        Ok(outcome)
    }

    pub(super) fn import(&mut self, record: &Record, now: UnixTime) -> Result<Outcome, StoreError> {
        let outcome = rows::sight(&self.transaction, record)?.decide(record, Likeness::Off);
        if outcome == Outcome::Registered {
            let act = Act::Imported {
                name: record.name.clone(),
                addr: record.addr,
                digest: record.digest(),
            };
            self.append(act, Some(record), now)?;
        }
        Ok(outcome)
    }

    pub(super) fn admin(
        &mut self,
        admin: &Admin,
        now: UnixTime,
    ) -> Result<Result<bool, AdminRefusal>, StoreError> {
        let of_id = match admin {
            Admin::Move { to, .. } => rows::by_id(&self.transaction, to.addr)?,
            _ => None,
        };
        let sight = AdminSight {
            allowed: self.head.admin,
            exact: match admin.name() {
                Some(name) => rows::exact(&self.transaction, name)?,
                None => None,
            },
            of_id: of_id.map(|(name, _)| name),
        };
        match admin.decide(&sight) {
            Err(refusal) => Ok(Err(refusal)),
            Ok(None) => Ok(Ok(false)),
            Ok(Some(act)) => {
                let record = match admin {
                    Admin::Move { to, .. } => Some(to),
                    _ => None,
                };
                self.append(act, record, now)?;
                Ok(Ok(true))
            }
        }
    }

    pub(super) fn add_key(&mut self, key: SignerKey, now: UnixTime) -> Result<(), StoreError> {
        if !rows::has_key(&self.transaction, key)? {
            self.append(Act::Key { key }, None, now)?;
        }
        Ok(())
    }

    pub(super) fn add_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO checkpoints (seq, hash, time, key, signature)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                number(checkpoint.seq),
                checkpoint.hash.as_slice(),
                number(checkpoint.time.secs()),
                checkpoint.key.as_bytes().as_slice(),
                checkpoint.signature
            ])?;
        Ok(())
    }

    pub(super) fn put_back(&mut self, lines: &[Line]) -> Result<(), StoreError> {
        for line in lines {
            let (again, head) = self.head.append(line.logged.act.clone(), line.logged.time);
            if again != line.logged {
                return Err(StoreError::Database(
                    "these entries do not go on where the log ends".into(),
                ));
            }
            self.write(&again, line.record.as_ref())?;
            self.head = head;
            self.changed = true;
        }
        Ok(())
    }

    fn append(
        &mut self,
        act: Act,
        record: Option<&Record>,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let (logged, head) = self.head.append(act, now);
        self.write(&logged, record)?;
        self.head = head;
        self.changed = true;
        Ok(())
    }

    /// An entry, and what it does to the names.
    fn write(&self, logged: &Logged, record: Option<&Record>) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached("INSERT INTO log (seq, hash, body) VALUES (?1, ?2, ?3)")?
            .execute(params![
                number(logged.seq),
                logged.hash.as_slice(),
                logged.to_bytes()
            ])?;
        match &logged.act {
            Act::Key { key } => {
                self.transaction
                    .prepare_cached("INSERT OR IGNORE INTO keys (key) VALUES (?1)")?
                    .execute([key.as_bytes().as_slice()])?;
            }
            Act::AdminAllowed { .. } => {}
            Act::Registered { name, addr, .. } | Act::Imported { name, addr, .. } => {
                self.insert(logged.seq, name, *addr, record)?;
            }
            Act::Moved { name, to, .. } => {
                self.delete(name)?;
                self.insert(logged.seq, name, *to, record)?;
            }
            Act::Reserved { name, .. } => {
                self.transaction
                    .prepare_cached(
                        "INSERT INTO names (seq, name, skeleton, state, form)
                         VALUES (?1, ?2, ?3, ?4, 0)",
                    )?
                    .execute(params![
                        number(logged.seq),
                        name.as_str(),
                        Likeness::Wide.skeleton(name.as_str()),
                        state_number(HeldState::Reserved)
                    ])?;
            }
            Act::Released { name, .. } => self.delete(name)?,
            Act::Suspended { name, .. } => self.set_state(name, HeldState::Suspended)?,
            Act::Restored { name, .. } => self.set_state(name, HeldState::Active)?,
        }
        Ok(())
    }

    /// A name with its ID. A log that is put back has no record of what was moved later.
    fn insert(
        &self,
        seq: u64,
        name: &Name,
        addr: baraza_wire::AccountId,
        record: Option<&Record>,
    ) -> Result<(), StoreError> {
        let owner = record.and_then(|record| record.owner);
        let signed = record.and_then(|record| record.signed.as_ref());
        let (form, key) = match signed {
            Some(signed) => {
                let (form, key) = pack_key(&signed.key);
                (form, Some(key))
            }
            None => (KeyForm::Raw, None),
        };
        self.transaction
            .prepare_cached(
                "INSERT INTO names (seq, name, skeleton, state, addr, owner, form, key, signature)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                number(seq),
                name.as_str(),
                Likeness::Wide.skeleton(name.as_str()),
                state_number(HeldState::Active),
                addr.as_bytes().as_slice(),
                owner.as_ref().map(|owner| owner.as_bytes().as_slice()),
                form.number(),
                key,
                signed.map(|signed| &signed.signature)
            ])?;
        Ok(())
    }

    fn delete(&self, name: &Name) -> Result<(), StoreError> {
        let deleted = self
            .transaction
            .prepare_cached("DELETE FROM names WHERE skeleton = ?1 AND name = ?2")?
            .execute(params![
                Likeness::Wide.skeleton(name.as_str()),
                name.as_str()
            ])?;
        one(deleted)
    }

    fn set_state(&self, name: &Name, state: HeldState) -> Result<(), StoreError> {
        let changed = self
            .transaction
            .prepare_cached("UPDATE names SET state = ?3 WHERE skeleton = ?1 AND name = ?2")?
            .execute(params![
                Likeness::Wide.skeleton(name.as_str()),
                name.as_str(),
                state_number(state)
            ])?;
        one(changed)
    }
}

fn one(rows: usize) -> Result<(), StoreError> {
    match rows {
        1 => Ok(()),
        _ => Err(StoreError::Corrupt("a name of the log is missing".into())),
    }
}
