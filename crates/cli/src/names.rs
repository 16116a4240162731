//! `baraza names`: a directory of names, served, checked, copied, changed.

mod admin;
mod copy;
mod serve;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use baraza_names::store::StoreError;
use baraza_names::store::sqlite::SqliteStore;
use baraza_wire::UnixTime;

use crate::args::{Global, NamesAction, NamesOptions};
use crate::error::CliError;
use crate::paths;

/// Does one or the other.
pub(crate) async fn run(
    global: &Global,
    options: NamesOptions,
    action: Option<NamesAction>,
) -> Result<(), CliError> {
    let dir = match &options.data {
        Some(dir) => std::path::absolute(dir)?,
        None => paths::data_dir(global)?.join("names"),
    };
    match action {
        None => serve::serve(global, &options, &dir).await,
        Some(NamesAction::Verify {
            file,
            checkpoint,
            quick,
        }) => copy::verify(global, &dir, file.as_deref(), checkpoint.as_deref(), !quick).await,
        Some(NamesAction::Export { file }) => copy::export(global, &dir, &file).await,
        Some(NamesAction::Import { file, unsigned }) => {
            copy::import(global, &dir, &file, unsigned).await
        }
        Some(NamesAction::Admin { act }) => admin::act(global, &dir, act).await,
    }
}

/// The directory, made if there is none. Only its owner may read what is beside it.
fn open(dir: &Path) -> Result<SqliteStore, CliError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(CliError::file(format!("cannot make {}", dir.display())))?;
    SqliteStore::open(dir).map_err(failed(dir))
}

/// The directory, which must be there.
fn open_existing(dir: &Path) -> Result<SqliteStore, CliError> {
    SqliteStore::open_existing(dir).map_err(failed(dir))
}

fn failed(dir: &Path) -> impl Fn(StoreError) -> CliError {
    let dir: PathBuf = dir.to_owned();
    move |error| CliError::Other(format!("{}: {error}", dir.display()))
}

fn now() -> UnixTime {
    UnixTime::from_system(SystemTime::now())
}
