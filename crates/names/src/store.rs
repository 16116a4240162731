//! Where the directory is kept: what a store does, whatever database is behind it.
//!
//! Each operation is one transaction that changes the directory and appends to the audit log
//! ([`crate::audit`]) or does nothing. No operation needs anything of an earlier one, so a
//! store may answer each from another connection, and repeat one that its database refused
//! for a conflict. Several processes may use one database: the log stays one chain.

#[cfg(any(test, feature = "test-util"))]
pub mod cluster;
mod kept;
pub mod postgres;
pub mod sqlite;
#[cfg(any(test, feature = "test-util"))]
pub mod suite;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use baraza_wire::{AccountId, UnixTime};

use crate::audit::{Act, Checkpoint, Head, Logged, SignerKey};
use crate::confusable::Likeness;
use crate::directory::Record;
use crate::name::Name;

/// Most entries, records or checkpoints of one page.
pub const MAX_PAGE: usize = 10_000;
/// Most names with one skeleton that are looked at; if there are more, no other one that
/// shares it is registered. Bounds the work of a registration.
pub const MAX_ALIKE: usize = 256;

/// Why a store failed. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Too much to do, or the database cannot be reached: later may be better.
    #[error("the directory is busy or out of reach: {0}")]
    Busy(String),
    /// The disk is full.
    #[error("there is no room left for the directory")]
    Full,
    /// What is stored cannot be.
    #[error("the directory is damaged: {0}")]
    Corrupt(String),
    /// Anything else that the database says.
    #[error("the directory's database failed: {0}")]
    Database(String),
}

/// What a store answers, when it has.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What there is under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The number of the log's entry that last gave it to somebody.
    pub seq: u64,
    /// The name.
    pub name: Name,
    /// Whether it is found.
    pub state: HeldState,
    /// Whose it is; `None` if it is reserved.
    pub record: Option<Record>,
}

/// Whether a name is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldState {
    /// It is.
    Active,
    /// It belongs to somebody, but is not found for now.
    Suspended,
    /// It belongs to nobody and cannot be registered.
    Reserved,
}

/// What became of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Stored: it is on the disk.
    Registered,
    /// The name has this ID already.
    Same,
    /// Somebody else has the name.
    NameTaken,
    /// The name is kept from everybody.
    Reserved,
    /// The ID has another name.
    IdHasName(Name),
    /// It looks like a name that somebody has.
    Alike(Name),
}

/// What is known when a registration is decided upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// What is held under this very name: its state and ID.
    pub exact: Option<(HeldState, Option<AccountId>)>,
    /// The name of this ID, suspended or not.
    pub of_id: Option<Name>,
    /// Names with the same widest skeleton, at most [`MAX_ALIKE`] and one more.
    pub alike: Vec<Name>,
}

impl Sight {
    /// The rules, in one place for all stores.
    pub fn decide(&self, record: &Record, likeness: Likeness) -> Outcome {
        match self.exact {
            Some((HeldState::Reserved, _)) => return Outcome::Reserved,
            Some((HeldState::Active, Some(id))) if id == record.addr => return Outcome::Same,
            Some(_) => return Outcome::NameTaken,
            None => {}
        }
        if let Some(name) = &self.of_id {
            return Outcome::IdHasName(name.clone());
        }
        if likeness != Likeness::Off {
            let name = record.name.as_str();
            let crowded = self.alike.len() > MAX_ALIKE;
            let found = self
                .alike
                .iter()
                .find(|other| crowded || likeness.alike(name, other.as_str()));
            if let Some(other) = found {
                return Outcome::Alike(other.clone());
            }
        }
        Outcome::Registered
    }
}

/// What whoever runs the server may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admin {
    /// Allow or forbid the others.
    Allow(bool),
    /// Give a name to another ID.
    Move {
        /// The name, with its new ID.
        to: Record,
        /// Why, for all to read.
        reason: String,
    },
    /// Keep a name from everybody.
    Reserve {
        /// Which.
        name: Name,
        /// Why.
        reason: String,
    },
    /// No longer keep it.
    Release {
        /// Which.
        name: Name,
        /// Why.
        reason: String,
    },
    /// Let a name not be found for now.
    Suspend {
        /// Which.
        name: Name,
        /// Why.
        reason: String,
    },
    /// Let it be found again.
    Restore {
        /// Which.
        name: Name,
        /// Why.
        reason: String,
    },
}

/// Why an act of whoever runs the server was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminRefusal {
    /// This directory does not allow it.
    #[error("this directory does not allow its names to be changed (baraza names admin allow)")]
    NotAllowed,
    /// There is nothing under that name.
    #[error("nobody has the name {0}")]
    NoSuchName(Name),
    /// The name is in another state than is needed.
    #[error("the name {0} is {1}")]
    WrongState(Name, &'static str),
    /// The ID has a name.
    #[error("this Jami ID has the name {0}")]
    IdHasName(Name),
}

/// What is known when an act of whoever runs the server is decided upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSight {
    /// Whether acts are allowed.
    pub allowed: bool,
    /// What is held under the name.
    pub exact: Option<(HeldState, Option<AccountId>)>,
    /// For a move: the name of the new ID.
    pub of_id: Option<Name>,
}

impl Admin {
    /// The name it is about.
    pub fn name(&self) -> Option<&Name> {
        match self {
            Self::Allow(_) => None,
            Self::Move { to, .. } => Some(&to.name),
            Self::Reserve { name, .. }
            | Self::Release { name, .. }
            | Self::Suspend { name, .. }
            | Self::Restore { name, .. } => Some(name),
        }
    }

    /// The entry for the log; `None` if there is nothing to do.
    ///
    /// # Errors
    /// Why it is not done.
    pub fn decide(&self, sight: &AdminSight) -> Result<Option<Act>, AdminRefusal> {
        if let Self::Allow(allowed) = self {
            let act = Act::AdminAllowed { allowed: *allowed };
            return Ok((*allowed != sight.allowed).then_some(act));
        }
        if !sight.allowed {
            return Err(AdminRefusal::NotAllowed);
        }
        let missing = |name: &Name| AdminRefusal::NoSuchName(name.clone());
        let wrong = |name: &Name, state| Err(AdminRefusal::WrongState(name.clone(), state));
        Ok(Some(match self {
            Self::Allow(_) => return Ok(None),
            Self::Move { to, reason } => {
                let Some((state, Some(from))) = sight.exact else {
                    return match sight.exact {
                        Some(_) => wrong(&to.name, "reserved, not somebody's"),
                        None => Err(missing(&to.name)),
                    };
                };
                if state == HeldState::Suspended {
                    return wrong(&to.name, "suspended");
                }
                if let Some(other) = &sight.of_id {
                    return Err(AdminRefusal::IdHasName(other.clone()));
                }
                Act::Moved {
                    name: to.name.clone(),
                    from,
                    to: to.addr,
                    digest: to.digest(),
                    reason: reason.clone(),
                }
            }
            Self::Reserve { name, reason } => match sight.exact {
                None => Act::Reserved {
                    name: name.clone(),
                    reason: reason.clone(),
                },
                Some((HeldState::Reserved, _)) => return Ok(None),
                Some(_) => return wrong(name, "somebody's"),
            },
            Self::Release { name, reason } => match sight.exact {
                Some((HeldState::Reserved, _)) => Act::Released {
                    name: name.clone(),
                    reason: reason.clone(),
                },
                Some(_) => return wrong(name, "somebody's, not reserved"),
                None => return Err(missing(name)),
            },
            Self::Suspend { name, reason } => match sight.exact {
                Some((HeldState::Active, _)) => Act::Suspended {
                    name: name.clone(),
                    reason: reason.clone(),
                },
                Some((HeldState::Suspended, _)) => return Ok(None),
                Some((HeldState::Reserved, _)) => return wrong(name, "reserved"),
                None => return Err(missing(name)),
            },
            Self::Restore { name, reason } => match sight.exact {
                Some((HeldState::Suspended, _)) => Act::Restored {
                    name: name.clone(),
                    reason: reason.clone(),
                },
                Some((HeldState::Active, _)) => return Ok(None),
                Some((HeldState::Reserved, _)) => return wrong(name, "reserved"),
                None => return Err(missing(name)),
            },
        }))
    }
}

/// One entry of a log that is put back, with the record it made if that still holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The entry.
    pub logged: Logged,
    /// The record.
    pub record: Option<Record>,
}

/// A directory with its log.
///
/// What is confirmed is on stable storage. Pages are in the order of the log.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// What is held under a name.
    fn by_name<'a>(&'a self, name: &'a Name) -> Reply<'a, Option<Held>>;

    /// The name of an ID, unless it is suspended.
    fn by_id(&self, addr: AccountId) -> Reply<'_, Option<Name>>;

    /// Registers a name by [`Sight::decide`]. The record was verified before.
    fn register(&self, record: Record, likeness: Likeness, now: UnixTime) -> Reply<'_, Outcome>;

    /// Takes records of another directory, each by [`Sight::decide`] without a look at
    /// likeness, all or none in case of a failure. At most [`MAX_PAGE`].
    fn import(&self, records: Vec<Record>, now: UnixTime) -> Reply<'_, Vec<Outcome>>;

    /// Does what whoever runs the server wants, by [`Admin::decide`]; whether it changed
    /// anything.
    fn admin(&self, act: Admin, now: UnixTime) -> Reply<'_, Result<bool, AdminRefusal>>;

    /// Notes in the log that a key signs checkpoints, unless it says so.
    fn add_key(&self, key: SignerKey, now: UnixTime) -> Reply<'_, ()>;

    /// The end of the log.
    fn head(&self) -> Reply<'_, Head>;

    /// Keeps a checkpoint; another one for the same entry stays.
    fn add_checkpoint(&self, checkpoint: Checkpoint) -> Reply<'_, ()>;

    /// Checkpoints of entries after `after`, at most `limit`.
    fn checkpoints(&self, after: u64, limit: usize) -> Reply<'_, Vec<Checkpoint>>;

    /// The latest checkpoint.
    fn last_checkpoint(&self) -> Reply<'_, Option<Checkpoint>>;

    /// Entries after number `after`, at most `limit`.
    fn entries(&self, after: u64, limit: usize) -> Reply<'_, Vec<Logged>>;

    /// What is held, by the number of the entry that made it, after number `after`, at most
    /// `limit`.
    fn held(&self, after: u64, limit: usize) -> Reply<'_, Vec<Held>>;

    /// Puts back the next page of a log that was verified. The first must be entry 1, each
    /// the next after the end of the log.
    fn put_back(&self, lines: Vec<Line>) -> Reply<'_, ()>;
}
