//! Checking a whole conversation on disk.

use std::path::Path;

use baraza_wire::{CommitId, ConversationId};

use gix::objs::Find;

use crate::repository::{Repository, RepositoryError};
use crate::validate::{Caches, History, Signed, Stop, validate};

/// What was found in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which conversation.
    pub conversation: ConversationId,
    /// Its head.
    pub head: CommitId,
    /// Commits checked: all that the head leads to.
    pub commits: usize,
    /// Of these, merges.
    pub merges: usize,
}

/// Checks every commit that the head of the conversation in `directory` leads to, as if it
/// were being cloned. Changes nothing.
///
/// # Errors
/// [`RepositoryError::Refused`] with the first commit that breaks a rule, or whatever
/// else is wrong with the repository.
pub fn verify(directory: &Path) -> Result<Report, RepositoryError> {
    Repository::load(directory)?.verify()
}

/// Checks everything but the signatures of all commits that `head` leads to, wherever they
/// are. For tests, which want to say what they could never sign.
///
/// # Errors
/// As [`verify`].
pub fn check_rules(
    objects: &dyn Find,
    conversation: ConversationId,
    head: CommitId,
) -> Result<Vec<CommitId>, RepositoryError> {
    let caches = Caches::default();
    let history = History {
        objects,
        caches: &caches,
        conversation,
        founding: None,
        head,
        signed: Signed::Ignored,
        own: None,
        stop: &Stop::default(),
    };
    Ok(validate(&history, &|_| false)?.commits)
}
