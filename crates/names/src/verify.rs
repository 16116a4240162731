//! Checking a directory without its server: the log from its beginning, the checkpoints
//! beside it, and every name against what the log made.

use std::collections::VecDeque;

use thiserror::Error;

use crate::audit::{Checkpoint, Head, Replay, ReplayError, Tally};
use crate::name::Name;
use crate::record::ProofError;
use crate::store::{Store, StoreError};

/// Entries and names that are read at once.
const PAGE: usize = 2000;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The log, or the directory against it.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The log is shorter or longer than the directory says.
    #[error("the log ends at entry {0}; its end is not where the directory says")]
    End(u64),
    /// A signature of an account.
    #[error("the proof of {0} is wrong: {1}")]
    Proof(Name, ProofError),
    /// It cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was found right.
#[derive(Debug)]
pub struct Report {
    /// The end of the log, and how many names belong to somebody.
    pub head: Head,
    /// What happened how often.
    pub tally: Tally,
    /// How many checkpoints there are.
    pub checkpoints: u64,
    /// The latest.
    pub last: Option<Checkpoint>,
    /// How many names have no signature of their account.
    pub unsigned: u64,
}

/// Checks a directory; with `signatures`, also the signature of each account, which takes a
/// moment for each ten thousand.
///
/// Nobody may write meanwhile: what is appended between two pages is taken for a mistake.
///
/// # Errors
/// The first thing that is wrong.
pub async fn store(store: &dyn Store, signatures: bool) -> Result<Report, VerifyError> {
    let mut replay = Replay::new();
    let mut points = Points::new(store).await?;
    loop {
        let entries = store.entries(replay.head().seq, PAGE).await?;
        if entries.is_empty() {
            break;
        }
        for entry in &entries {
            replay.follow(entry)?;
            while let Some(point) = points.next_up_to(store, entry.seq).await? {
                replay.checkpoint(&point)?;
            }
        }
    }
    let end = replay.head();
    if let Some(point) = points.next_up_to(store, u64::MAX).await? {
        replay.checkpoint(&point)?;
    }
    let (mut after, mut unsigned) = (0, 0u64);
    loop {
        let page = store.held(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for held in &page {
            replay.compare(held)?;
            let Some(record) = &held.record else { continue };
            if record.signed.is_none() {
                unsigned = unsigned.saturating_add(1);
            } else if signatures {
                record
                    .verify()
                    .map_err(|error| VerifyError::Proof(held.name.clone(), error))?;
            }
        }
    }
    replay.finish()?;
    if store.head().await? != end {
        return Err(VerifyError::End(end.seq));
    }
    Ok(Report {
        head: end,
        tally: replay.tally(),
        checkpoints: points.count,
        last: points.last,
        unsigned,
    })
}

/// The checkpoints of a directory, one after the other.
struct Points {
    page: VecDeque<Checkpoint>,
    last: Option<Checkpoint>,
    count: u64,
}

impl Points {
    async fn new(store: &dyn Store) -> Result<Self, StoreError> {
        Ok(Self {
            page: store.checkpoints(0, PAGE).await?.into(),
            last: None,
            count: 0,
        })
    }

    /// The next one, if it is of entry `seq` or one before it.
    async fn next_up_to(
        &mut self,
        store: &dyn Store,
        seq: u64,
    ) -> Result<Option<Checkpoint>, StoreError> {
        let next = self.page.pop_front_if(|point| point.seq <= seq);
        if let Some(point) = &next {
            self.last = Some(point.clone());
            self.count = self.count.saturating_add(1);
            if self.page.is_empty() {
                self.page = store.checkpoints(point.seq, PAGE).await?.into();
            }
        }
        Ok(next)
    }
}
