//! Making a repository out of a first fetch.

use std::path::{Path, PathBuf};

use baraza_wire::{CommitId, ConversationId};

use super::{Repository, RepositoryError, Result};
use crate::ingest::{Building, Fetched, IngestError, build_clone};
use crate::pack::PackLimits;
use crate::validate::{Caches, History, Signed, Stop, ValidateError, validate};

/// A first fetch to be checked, on whatever thread.
#[derive(Debug)]
pub struct Cloning {
    directory: PathBuf,
    conversation: ConversationId,
    fetched: Fetched,
    limits: PackLimits,
}

/// A repository that is complete but not in its place. Dropping it removes it.
pub struct Cloned {
    directory: PathBuf,
    building: Building,
    commits: Vec<CommitId>,
}

impl std::fmt::Debug for Cloned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cloned")
            .field("directory", &self.directory)
            .field("commits", &self.commits.len())
            .finish_non_exhaustive()
    }
}

impl Cloning {
    /// To become the conversation `parent/<conversation>`.
    pub fn new(
        parent: &Path,
        conversation: ConversationId,
        fetched: Fetched,
        limits: &PackLimits,
    ) -> Self {
        Self {
            directory: parent.join(conversation.to_hex()),
            conversation,
            fetched,
            limits: *limits,
        }
    }

    /// Unpacks and checks the history from the first commit to the last, and puts it on
    /// stable storage.
    ///
    /// # Errors
    /// If it is refused, or the work was ended with `stop`; nothing is left behind then.
    pub fn run(self, stop: &Stop) -> Result<Cloned> {
        let caches = Caches::default();
        let head = self.fetched.head;
        let rules = |objects: &dyn gix::objs::Find, known: &dyn Fn(&CommitId) -> bool| {
            let history = History {
                objects,
                caches: &caches,
                conversation: self.conversation,
                founding: None,
                head,
                signed: Signed::Checked,
                own: None,
                stop,
            };
            Ok::<_, ValidateError>(validate(&history, known)?.commits)
        };
        let built: Result<_, IngestError<ValidateError>> = build_clone(
            &self.directory,
            self.conversation,
            self.fetched,
            &self.limits,
            rules,
        );
        let (building, commits) = built?;
        Ok(Cloned {
            directory: self.directory,
            building,
            commits,
        })
    }
}

impl Cloned {
    /// Puts it into its place. Returns all commits too, oldest first.
    ///
    /// # Errors
    /// If there is something there, or the disk fails.
    pub fn place(self) -> Result<(Repository, Vec<CommitId>)> {
        if self.directory.exists() {
            return Err(RepositoryError::Exists(self.directory));
        }
        self.building.finish(&self.directory)?;
        Ok((Repository::load(&self.directory)?, self.commits))
    }
}

impl Repository {
    /// Makes the conversation `parent/<conversation>` out of a first fetch, if its history
    /// is valid from the first commit to the last. Returns all commits too, oldest first.
    ///
    /// # Errors
    /// If there is one already, or the fetch is refused; nothing is left behind then.
    pub fn clone_into(
        parent: &Path,
        conversation: ConversationId,
        fetched: Fetched,
        limits: &PackLimits,
    ) -> Result<(Self, Vec<CommitId>)> {
        let directory = parent.join(conversation.to_hex());
        if directory.exists() {
            return Err(RepositoryError::Exists(directory));
        }
        Cloning::new(parent, conversation, fetched, limits)
            .run(&Stop::default())?
            .place()
    }
}
