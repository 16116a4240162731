//! Checking many signatures (docs/protocol/05-swarm.md section 3.2).

use std::thread;

use baraza_identity::PublicKey;
use baraza_wire::CommitId;

use crate::refusal::{Refused, Rule};

/// Signatures checked together.
const BATCH: usize = 1024;
/// Bytes signed that wait at most.
const BATCH_BYTES: usize = 8 << 20;
/// Fewer than this are not worth a thread.
const MIN_PARALLEL: usize = 32;

/// One signature to check.
#[derive(Debug)]
pub struct Job {
    /// The commit.
    pub commit: CommitId,
    /// The key of the author's device.
    pub key: PublicKey,
    /// The signed bytes.
    pub signed: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

impl Job {
    fn check(&self) -> Result<(), Refused> {
        self.key
            .verify(&self.signed, &self.signature)
            .map_err(|_| Refused {
                commit: self.commit,
                rule: Rule::Signature,
                text: "the signature is not the author's".to_owned(),
                author: Some(self.key.long_id()),
            })
    }
}

/// Signatures that wait for being checked, in order, on two threads.
#[derive(Debug, Default)]
pub struct Signatures {
    jobs: Vec<Job>,
    bytes: usize,
}

impl Signatures {
    /// Adds one; checks all that wait when they are many.
    ///
    /// # Errors
    /// The first bad one.
    pub fn push(&mut self, job: Job) -> Result<(), Refused> {
        self.bytes = self.bytes.saturating_add(job.signed.len());
        self.jobs.push(job);
        if self.jobs.len() >= BATCH || self.bytes >= BATCH_BYTES {
            self.finish()?;
        }
        Ok(())
    }

    /// Checks all that wait.
    ///
    /// # Errors
    /// The first bad one.
    pub fn finish(&mut self) -> Result<(), Refused> {
        let jobs = std::mem::take(&mut self.jobs);
        self.bytes = 0;
        if jobs.len() < MIN_PARALLEL {
            return jobs.iter().try_for_each(Job::check);
        }
        let (first, second) = jobs.split_at(jobs.len() / 2);
        let all = |jobs: &[Job]| jobs.iter().try_for_each(Job::check);
        let (first, second) = thread::scope(|scope| {
            let other = scope.spawn(|| all(second));
            let first = all(first);
            // A thread that panicked checked nothing.
            (first, other.join().unwrap_or_else(|_| all(second)))
        });
        first.and(second)
    }
}
