//! Random histories for tests.

use std::sync::Arc;

use baraza_wire::{CommitId, DeviceId};
use proptest::prelude::*;

use super::Facts;

/// The id of the commit of this number.
pub(crate) fn id(number: usize) -> CommitId {
    let number = number as u64;
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..16].copy_from_slice(&number.to_be_bytes());
    CommitId::new(bytes)
}

/// What a random commit says; its number is its place.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// Numbers lower than its own.
    pub(crate) parents: Vec<usize>,
    /// As it comes.
    pub(crate) time: u64,
}

impl Made {
    pub(crate) fn facts(&self) -> Arc<Facts> {
        Arc::new(Facts {
            tree: crate::tree::EMPTY,
            parents: self.parents.iter().map(|n| id(*n)).collect(),
            time: self.time,
            device: DeviceId::new([0; 32]),
        })
    }
}

/// Each commit's parents are among the five before it.
pub(crate) fn histories() -> impl Strategy<Value = Vec<Made>> {
    let commit = (any::<u16>(), any::<u16>(), 0..3_u8, 0..30_u64);
    proptest::collection::vec(commit, 1..60).prop_map(|commits| {
        let made = |(n, (a, b, kind, time)): (usize, &(u16, u16, u8, u64))| {
            let pick = |x: &u16| n - 1 - usize::from(*x) % n.min(5);
            let parents = match (n, kind) {
                (0, _) => vec![],
                (_, 0) if pick(a) != pick(b) => vec![pick(a), pick(b)],
                (_, 1) => vec![n - 1],
                _ => vec![pick(a)],
            };
            Made {
                parents,
                time: *time,
            }
        };
        commits.iter().enumerate().map(made).collect()
    })
}
