//! Checking a whole conversation on disk.

use std::path::Path;

use baraza_wire::{CommitId, ConversationId};

use crate::repository::{Repository, RepositoryError};

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
