//! What takes long and is run aside: see [`Output::Work`](super::Output::Work).

use std::panic::{AssertUnwindSafe, catch_unwind};

use baraza_store::StoreError;
use baraza_swarm::{Cloned, Cloning, Listing, Received, RepositoryError, Stop};
use baraza_wire::CommitId;

use crate::account::Account;
use crate::account::files::{FileProduct, FileTask};
use crate::files::FileError;

/// Long work that touches nothing of the account.
#[derive(Debug)]
pub struct Work {
    pub(super) id: WorkId,
    pub(super) task: Task,
    pub(super) stop: Stop,
}

/// Whose work it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkId {
    /// Of the first pack that waits to be taken in.
    Intake,
    /// One with a file.
    File(u64),
}

#[derive(Debug)]
pub(super) enum Task {
    Check(Box<baraza_swarm::Intake>),
    Clone(Box<Cloning>),
    List(Listing),
    File(Box<FileTask>),
}

/// What came of a [`Work`], for [`Account::handle_work`].
#[derive(Debug)]
pub struct Done {
    id: WorkId,
    result: Result<Product, RepositoryError>,
}

#[derive(Debug)]
pub(super) enum Product {
    Checked(Box<Received>),
    Cloned(Box<Cloned>),
    Listed(Vec<CommitId>),
    File(Result<FileProduct, FileError>),
}

impl Work {
    /// Does it. Takes up to seconds; ends early when the account is dropped.
    pub fn run(self) -> Done {
        let Self { id, task, stop } = self;
        // Whatever happens, the account is told that nothing more will come of it.
        let result = catch_unwind(AssertUnwindSafe(|| match task {
            Task::Check(task) => task.run(&stop).map(|it| Product::Checked(Box::new(it))),
            Task::Clone(task) => task.run(&stop).map(|it| Product::Cloned(Box::new(it))),
            Task::List(task) => task.run(&stop).map(Product::Listed),
            Task::File(task) => Ok(Product::File(task.run(&stop))),
        }));
        let result = result.unwrap_or_else(|_| {
            tracing::error!("a work failed");
            Err(RepositoryError::Stopped)
        });
        Done { id, result }
    }
}

impl Account {
    /// A work is done.
    pub(super) fn work_done(&mut self, done: Done) -> Result<(), StoreError> {
        match (done.id, done.result) {
            (WorkId::Intake, result) => self.intake_worked(result),
            (WorkId::File(number), Ok(Product::File(result))) => self.file_worked(number, result),
            (WorkId::File(number), _) => self.file_worked(number, Err(FileError::Stopped)),
        }
    }
}
