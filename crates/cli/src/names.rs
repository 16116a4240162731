//! `baraza names`: a directory of names, served, checked, copied, changed.

mod admin;
mod copy;
mod serve;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use baraza_names::store::postgres::PostgresStore;
use baraza_names::store::sqlite::SqliteStore;
use baraza_names::store::{Store, StoreError};
use baraza_wire::UnixTime;

pub(crate) use self::serve::more_files;
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
    let database = options.database.clone();
    let place = Place { dir, database };
    match action {
        None => serve::serve(global, &options, &place).await,
        Some(NamesAction::Verify {
            file,
            checkpoint,
            quick,
        }) => {
            copy::verify(
                global,
                &place,
                file.as_deref(),
                checkpoint.as_deref(),
                !quick,
            )
            .await
        }
        Some(NamesAction::Export { file }) => copy::export(global, &place, &file).await,
        Some(NamesAction::Import { file, unsigned }) => {
            copy::import(global, &place, &file, unsigned).await
        }
        Some(NamesAction::Admin { act }) => admin::act(global, &place, act).await,
    }
}

/// Where a directory is.
pub(crate) struct Place {
    /// Its files: the database, unless that is elsewhere, and the key for checkpoints.
    dir: PathBuf,
    /// The address of a PostgreSQL database.
    database: Option<String>,
}

impl Place {
    /// The directory, made if there is none. Only its owner may read what is beside it.
    async fn open(&self) -> Result<Arc<dyn Store>, CliError> {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(CliError::file(format!(
                "cannot make {}",
                self.dir.display()
            )))?;
        match &self.database {
            Some(url) => self.connect(url).await,
            None => Ok(Arc::new(
                SqliteStore::open(&self.dir).map_err(self.failed())?,
            )),
        }
    }

    /// The directory, which must be there; in PostgreSQL, an empty one is.
    async fn open_existing(&self) -> Result<Arc<dyn Store>, CliError> {
        match &self.database {
            Some(url) => self.connect(url).await,
            None => {
                let store = SqliteStore::open_existing(&self.dir);
                Ok(Arc::new(store.map_err(self.failed())?))
            }
        }
    }

    async fn connect(&self, url: &str) -> Result<Arc<dyn Store>, CliError> {
        let store = PostgresStore::open(url).await.map_err(self.failed())?;
        Ok(Arc::new(store))
    }

    fn failed(&self) -> impl Fn(StoreError) -> CliError {
        // Not the address of a database, which may have a password.
        let name = match self.database {
            Some(_) => "the database".to_owned(),
            None => self.dir.display().to_string(),
        };
        move |error| CliError::Other(format!("{name}: {error}"))
    }
}

fn now() -> UnixTime {
    UnixTime::from_system(SystemTime::now())
}
