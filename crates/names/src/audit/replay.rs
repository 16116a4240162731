//! Following a log from its beginning.

use std::collections::{BTreeSet, HashMap};

use baraza_wire::AccountId;
use thiserror::Error;

use super::{Act, BEGINNING, ChainHash, Checkpoint, Head, Logged, SignerKey};
use crate::name::Name;
use crate::store::{Held, HeldState};

/// What is wrong with a log, or with a directory that should be the outcome of one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// An entry is missing, twice, or in another place.
    #[error("entry {found} stands where entry {expected} belongs")]
    Order {
        /// What it says.
        found: u64,
        /// Where it is.
        expected: u64,
    },
    /// An entry was changed, or one before it.
    #[error("the hash of entry {0} is wrong: it or an entry before it was changed")]
    Chain(u64),
    /// A name changed hands, or something else happened that cannot.
    #[error("entry {seq}: {what}")]
    Act {
        /// Which.
        seq: u64,
        /// What it did.
        what: String,
    },
    /// A checkpoint is signed wrongly, or by a key that the log does not name.
    #[error("the checkpoint of entry {seq}: {what}")]
    Checkpoint {
        /// Of which entry.
        seq: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// The directory is not what the log made.
    #[error("the name {name} {what}")]
    Directory {
        /// Which.
        name: Name,
        /// What is wrong.
        what: &'static str,
    },
    /// Names are missing in the directory.
    #[error("{0} names of the log are missing in the directory")]
    Missing(usize),
}

/// What happened how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Names that somebody registered.
    pub registered: u64,
    /// Names taken over from other directories.
    pub imported: u64,
    /// Names given to another ID.
    pub moved: u64,
    /// Reservations and their ends.
    pub reserved: u64,
    /// Suspensions and their ends.
    pub suspended: u64,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// Whose it is; `None` if it is reserved.
    owner: Option<(AccountId, [u8; 32])>,
    suspended: bool,
    /// Number of the entry that made it.
    seq: u64,
}

/// A log followed up to some entry. Needs memory for all names, some hundred bytes each.
#[derive(Debug, Default)]
pub struct Replay {
    seq: u64,
    hash: ChainHash,
    names: HashMap<Name, State>,
    ids: HashMap<AccountId, Name>,
    keys: BTreeSet<SignerKey>,
    admin: bool,
    tally: Tally,
}

impl Replay {
    /// Before the first entry.
    pub fn new() -> Self {
        Self {
            hash: BEGINNING,
            ..Self::default()
        }
    }

    /// The end of what was followed.
    pub fn head(&self) -> Head {
        Head {
            seq: self.seq,
            hash: self.hash,
            names: u64::try_from(self.ids.len()).unwrap_or(u64::MAX),
            admin: self.admin,
        }
    }

    /// What happened how often.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Whether entry `seq`, which was followed just now, is what a name's record is of.
    pub fn made_by(&self, name: &Name, seq: u64) -> bool {
        self.names.get(name).is_some_and(|state| state.seq == seq)
    }

    /// Follows the next entry.
    ///
    /// # Errors
    /// If it cannot be the next.
    pub fn follow(&mut self, logged: &Logged) -> Result<(), ReplayError> {
        let expected = self.seq.saturating_add(1);
        if logged.seq != expected {
            return Err(ReplayError::Order {
                found: logged.seq,
                expected,
            });
        }
        if logged.hash_after(&self.hash) != logged.hash {
            return Err(ReplayError::Chain(logged.seq));
        }
        self.act(&logged.act, logged.seq)
            .map_err(|what| ReplayError::Act {
                seq: logged.seq,
                what,
            })?;
        self.seq = logged.seq;
        self.hash = logged.hash;
        Ok(())
    }

    fn act(&mut self, act: &Act, seq: u64) -> Result<(), String> {
        let by_admin = !matches!(
            act,
            Act::Key { .. }
                | Act::Registered { .. }
                | Act::Imported { .. }
                | Act::AdminAllowed { .. }
        );
        if by_admin && !self.admin {
            return Err("names may not be changed by whoever runs the server".into());
        }
        match act {
            Act::Key { key } => {
                self.keys.insert(*key);
            }
            Act::AdminAllowed { allowed } => self.admin = *allowed,
            Act::Registered { name, addr, digest } => {
                self.give(name, *addr, *digest, seq)?;
                self.tally.registered = self.tally.registered.saturating_add(1);
            }
            Act::Imported { name, addr, digest } => {
                self.give(name, *addr, *digest, seq)?;
                self.tally.imported = self.tally.imported.saturating_add(1);
            }
            Act::Moved {
                name,
                from,
                to,
                digest,
                ..
            } => {
                match self.names.get(name).and_then(|state| state.owner) {
                    Some((owner, _)) if owner == *from => {}
                    _ => return Err(format!("{name} is moved from an ID that has it not")),
                }
                self.names.remove(name);
                self.ids.remove(from);
                self.give(name, *to, *digest, seq)?;
                self.tally.moved = self.tally.moved.saturating_add(1);
            }
            Act::Reserved { name, .. } => {
                if self.names.contains_key(name) {
                    return Err(format!("{name} is reserved, but was not free"));
                }
                let state = State {
                    owner: None,
                    suspended: false,
                    seq,
                };
                self.names.insert(name.clone(), state);
                self.tally.reserved = self.tally.reserved.saturating_add(1);
            }
            Act::Released { name, .. } => {
                match self.names.remove(name) {
                    Some(State { owner: None, .. }) => {}
                    _ => return Err(format!("{name} is released, but was not reserved")),
                }
                self.tally.reserved = self.tally.reserved.saturating_add(1);
            }
            Act::Suspended { name, .. } | Act::Restored { name, .. } => {
                let suspend = matches!(act, Act::Suspended { .. });
                match self.names.get_mut(name) {
                    Some(state) if state.owner.is_some() && state.suspended != suspend => {
                        state.suspended = suspend;
                    }
                    _ => return Err(format!("{name} cannot be suspended or restored")),
                }
                self.tally.suspended = self.tally.suspended.saturating_add(1);
            }
        }
        Ok(())
    }

    fn give(
        &mut self,
        name: &Name,
        addr: AccountId,
        digest: [u8; 32],
        seq: u64,
    ) -> Result<(), String> {
        if self.names.contains_key(name) {
            return Err(format!("{name} is given away, but somebody has it"));
        }
        if let Some(other) = self.ids.insert(addr, name.clone()) {
            return Err(format!(
                "the ID that {name} is given to has the name {other}"
            ));
        }
        let state = State {
            owner: Some((addr, digest)),
            suspended: false,
            seq,
        };
        self.names.insert(name.clone(), state);
        Ok(())
    }

    /// Checks a checkpoint for the entry that was followed last.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), ReplayError> {
        let wrong = |what| {
            Err(ReplayError::Checkpoint {
                seq: checkpoint.seq,
                what,
            })
        };
        if checkpoint.seq != self.seq {
            return wrong("stands behind another entry");
        }
        if checkpoint.verify().is_err() {
            return wrong("its signature is wrong");
        }
        if !self.keys.contains(&checkpoint.key) {
            return wrong("it is signed by a key that the log does not name");
        }
        if checkpoint.hash != self.hash {
            return wrong("it was signed for another log: entries were changed after it");
        }
        Ok(())
    }

    /// Compares what is held under a name with what the log made, and takes it off the list.
    ///
    /// # Errors
    /// If they differ.
    pub fn compare(&mut self, held: &Held) -> Result<(), ReplayError> {
        let wrong = |what| {
            Err(ReplayError::Directory {
                name: held.name.clone(),
                what,
            })
        };
        let Some(state) = self.names.remove(&held.name) else {
            return wrong("is not in the log, or twice in the directory");
        };
        let expected = match (state.owner, state.suspended) {
            (None, _) => HeldState::Reserved,
            (Some(_), true) => HeldState::Suspended,
            (Some(_), false) => HeldState::Active,
        };
        if held.state != expected {
            return wrong("is suspended, reserved or active against the log");
        }
        match (&held.record, state.owner) {
            (None, None) => Ok(()),
            (Some(record), Some((addr, digest))) => {
                if record.addr != addr {
                    return wrong("belongs to another ID than the log says");
                }
                if record.name != held.name || record.digest() != digest {
                    return wrong("has another key, signature or owner than was logged");
                }
                Ok(())
            }
            _ => wrong("belongs to somebody against the log"),
        }
    }

    /// Ends the comparison.
    ///
    /// # Errors
    /// If something of the log was not in the directory.
    pub fn finish(&self) -> Result<(), ReplayError> {
        match self.names.len() {
            0 => Ok(()),
            missing => Err(ReplayError::Missing(missing)),
        }
    }
}
