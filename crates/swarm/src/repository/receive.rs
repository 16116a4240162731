//! Taking in what was fetched.
//!
//! [`Repository::ingest_fetch`] does all of it in one call. For large packs the checks,
//! which only read the repository, can be done on another thread: [`Repository::intake`],
//! [`Intake::run`] there, [`Repository::take`].

use std::path::PathBuf;

use baraza_wire::{CommitId, ConversationId, DeviceId};
use gix::objs::Exists;

use super::open::open_objects;
use super::{OnTheWay, Repository, Result};
use crate::ingest::{Fetched, IngestError, checked_against, remote_name};
use crate::pack::{PackError, PackLimits};
use crate::promote::{Accepted, accept};
use crate::upload_pack::object_id;
use crate::validate::{Caches, Founding, History, Signed, Stop, ValidateError, list, validate};
use crate::verify::Report;

/// A fetch to be checked, on whatever thread.
#[derive(Debug)]
pub struct Intake {
    git: PathBuf,
    conversation: ConversationId,
    founding: Founding,
    own: CommitId,
    fetched: Fetched,
    limits: PackLimits,
}

/// A fetch that was checked, to be taken with [`Repository::take`]. Dropping it leaves the
/// repository as it was.
pub struct Received {
    head: CommitId,
    from: DeviceId,
    commits: Vec<CommitId>,
    accepted: Accepted,
    /// Whether the head descends from the own one.
    descends: bool,
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Received")
            .field("head", &self.head)
            .field("commits", &self.commits.len())
            .finish_non_exhaustive()
    }
}

impl Intake {
    /// Unpacks and checks everything. The objects are on stable storage afterwards, but not
    /// part of the repository.
    ///
    /// # Errors
    /// If anything is refused, or the work was ended with `stop`; nothing is left then.
    pub fn run(self, stop: &Stop) -> Result<Received> {
        let mut objects = open_objects(&self.git)?;
        // The repository keeps what is there while this works, and needs nothing new.
        objects.refresh_never();
        let caches = Caches::default();
        let against = Against {
            git: &self.git,
            objects: &objects,
            caches: &caches,
            conversation: self.conversation,
            founding: self.founding,
            own: Some(self.own),
        };
        against.check(self.fetched, &self.limits, stop)
    }
}

/// A repository that a fetch is checked against.
struct Against<'a> {
    git: &'a std::path::Path,
    objects: &'a gix::odb::Handle,
    caches: &'a Caches,
    conversation: ConversationId,
    founding: Founding,
    own: Option<CommitId>,
}

impl Against<'_> {
    fn check(&self, fetched: Fetched, limits: &PackLimits, stop: &Stop) -> Result<Received> {
        let Fetched { pack, head, from } = fetched;
        let mut received = Received {
            head,
            from,
            commits: Vec::new(),
            accepted: Accepted::Few(Vec::new()),
            descends: false,
        };
        if self.objects.exists(&object_id(&head)) {
            return Ok(received);
        }
        let descends = &mut received.descends;
        let rules = checked_against(self.objects, |objects, known| {
            let history = History {
                objects,
                caches: self.caches,
                conversation: self.conversation,
                founding: Some(self.founding),
                head,
                signed: Signed::Checked,
                own: self.own,
                stop,
            };
            let valid = validate(&history, known)?;
            *descends = valid.descends;
            Ok::<_, ValidateError>(valid.commits)
        });
        let accepted: Result<_, IngestError<ValidateError>> =
            accept(self.git, self.objects, pack, head, limits, rules);
        (received.commits, received.accepted) = accepted?;
        Ok(received)
    }
}

impl Repository {
    /// Prepares checking a fetch on another thread. Until [`Self::end_intake`] the repository
    /// does not move what is in it.
    ///
    /// # Errors
    /// If the fetch is refused at once.
    pub fn intake(&mut self, fetched: Fetched, limits: &PackLimits) -> Result<Intake> {
        self.refuse_other_kinds(&fetched.head)?;
        self.intake = Some(OnTheWay {
            own: self.head,
            linear: true,
            descendant: None,
        });
        Ok(Intake {
            git: self.git.clone(),
            conversation: self.id,
            founding: self.founding,
            own: self.head,
            fetched,
            limits: *limits,
        })
    }

    /// Stores a fetch that was checked, and remembers it as the head of its device. Returns
    /// the new commits, oldest first. The own branch does not move: [`Self::merge`] does
    /// that.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn take(&mut self, received: Received) -> Result<Vec<CommitId>> {
        let Received {
            head,
            from,
            commits,
            accepted,
            descends,
        } = received;
        let few = match accepted {
            Accepted::Few(objects) => objects,
            Accepted::Pack(quarantine) => {
                quarantine.release(&self.git)?;
                self.packed();
                Vec::new()
            }
        };
        if !few.is_empty() || self.remote_head(&from) != Some(head) {
            self.store(&few, &[(remote_name(&from), head)])?;
            self.remotes.insert(from, head);
        }
        if let Some(intake) = &mut self.intake {
            intake.descendant = descends.then_some(head);
        }
        Ok(commits)
    }

    /// A fetch that was prepared with [`Self::intake`] is over, whatever came of it.
    pub fn end_intake(&mut self) {
        self.intake = None;
    }

    /// Takes a fetch in: everything it brought is validated, stored, and remembered as the
    /// head of that device. Returns the new commits, oldest first. The own branch does not
    /// move: [`Self::merge`] does that.
    ///
    /// # Errors
    /// If anything in it is refused; nothing of it is taken then.
    pub fn ingest_fetch(&mut self, fetched: Fetched, limits: &PackLimits) -> Result<Vec<CommitId>> {
        self.refuse_other_kinds(&fetched.head)?;
        let against = Against {
            git: &self.git,
            objects: &self.objects,
            caches: &self.caches,
            conversation: self.id,
            founding: self.founding,
            own: None,
        };
        let received = against.check(fetched, limits, &Stop::default())?;
        self.take(received)
    }

    /// A head must not be something else that is here.
    fn refuse_other_kinds(&self, head: &CommitId) -> Result<()> {
        let id = object_id(head);
        if self.objects.exists(&id) && !self.contains(head) {
            return Err(PackError::WrongKind(id).into());
        }
        Ok(())
    }

    /// Prepares listing all commits that `heads` lead to on another thread.
    pub fn listing(&self, heads: Vec<CommitId>) -> Listing {
        Listing {
            git: self.git.clone(),
            heads,
        }
    }

    /// Checks every commit that the head leads to, as if it were being cloned.
    ///
    /// # Errors
    /// [`super::RepositoryError::Refused`] with the first commit that breaks a rule.
    pub fn verify(&self) -> Result<Report> {
        self.verify_from(self.head)
    }

    /// Checks every commit that `head` leads to.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_from(&self, head: CommitId) -> Result<Report> {
        // Nothing that was cached counts here.
        let caches = Caches::default();
        let history = History {
            objects: &self.objects,
            caches: &caches,
            conversation: self.id,
            founding: None,
            head,
            signed: Signed::Checked,
            own: None,
            stop: &Stop::default(),
        };
        let commits = validate(&history, &|_| false)?.commits;
        let mut merges = 0_usize;
        for id in &commits {
            if caches.facts.get(&self.objects, id)?.parents.len() > 1 {
                merges = merges.saturating_add(1);
            }
        }
        Ok(Report {
            conversation: self.id,
            head,
            commits: commits.len(),
            merges,
        })
    }
}

/// All commits of a repository to be listed, on whatever thread.
#[derive(Debug)]
pub struct Listing {
    git: PathBuf,
    heads: Vec<CommitId>,
}

impl Listing {
    /// Reads them all: oldest first, each after its parents.
    ///
    /// # Errors
    /// If one cannot be read, or the work was ended with `stop`.
    pub fn run(self, stop: &Stop) -> Result<Vec<CommitId>> {
        let objects = open_objects(&self.git)?;
        Ok(list(&objects, &self.heads, stop)?)
    }
}
