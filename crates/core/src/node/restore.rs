//! Restoring a whole backup on a node that runs and has no accounts yet. Everything is made
//! aside, and moves in when the node is started the next time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use baraza_identity::Password;
use baraza_store::{Durability, Store};

use super::{DATABASE, Node, NodeError, lock};
use crate::backup::{self, BackupError, Report};

/// A restored data directory that waits for the next start, in the data directory.
const RESTORED: &str = "restored";
/// A backup that was handed over, in the data directory.
const UPLOADED: &str = "restore.upload";

impl Node {
    /// Where a backup is put that is handed over, until it is restored or the node ends.
    pub fn uploaded_backup(&self) -> PathBuf {
        self.config().data_dir.join(UPLOADED)
    }

    /// Whether a whole backup can be restored here.
    ///
    /// # Errors
    /// If there are accounts.
    pub fn may_restore(&self) -> Result<(), BackupError> {
        match self.accounts().is_empty() {
            true => Ok(()),
            false => Err(BackupError::AccountsHere),
        }
    }

    /// Restores a whole backup, or the one that was handed over. It counts when the node is
    /// started again, which [`Self::restart_wanted`] says; nothing else can be made here
    /// meanwhile. `progress` is told files and bytes.
    ///
    /// # Errors
    /// See [`BackupError`]; nothing is left behind then.
    pub async fn restore(
        &self,
        file: Option<PathBuf>,
        password: Password,
        progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<Report, BackupError> {
        let node = self.clone();
        let inner = Arc::clone(&self.inner);
        let made = tokio::task::spawn_blocking(move || {
            let Ok(_one) = inner.backing_up.try_lock() else {
                return Err(BackupError::Busy);
            };
            if inner.restoring.swap(true, Ordering::AcqRel) {
                return Err(BackupError::Busy);
            }
            let made = node.may_restore().and_then(|()| {
                let file = file.unwrap_or_else(|| node.uploaded_backup());
                node.make_restored(&file, &password, progress)
            });
            match &made {
                Ok(_) => inner.restart.notify_one(),
                Err(_) => inner.restoring.store(false, Ordering::Release),
            }
            made
        });
        made.await.unwrap_or(Err(BackupError::Busy))
    }

    fn make_restored(
        &self,
        file: &Path,
        password: &Password,
        progress: impl FnMut(u64, u64),
    ) -> Result<Report, BackupError> {
        let restored = self.config().data_dir.join(RESTORED);
        // One that was restored before, and never moved in.
        remove(&restored).map_err(BackupError::at(&restored))?;
        let report = backup::restore_telling(file, password, &restored, progress)?;
        // Browsers that are signed in here stay so, and no others.
        let mut store = Store::open(restored.join(DATABASE), Durability::Full)?;
        let here = lock(&self.inner.store).sessions()?;
        store.atomic(|store| {
            for old in store.sessions()? {
                store.remove_session(old.id)?;
            }
            for session in &here {
                store.add_session(session)?;
            }
            Ok::<_, baraza_store::StoreError>(())
        })?;
        store.checkpoint()?;
        drop(store);
        let _not_uploaded = fs::remove_file(self.uploaded_backup());
        Ok(report)
    }

    /// Waits until the node is to be started again, as something waits for that.
    pub async fn restart_wanted(&self) {
        self.inner.restart.notified().await;
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Moves a restored data directory in, if one waits. Whatever happens meanwhile, the next start
/// goes on with it: the database, which says that there are accounts, comes last.
pub(super) fn move_in(data_dir: &Path) -> Result<(), NodeError> {
    let _stale = fs::remove_file(data_dir.join(UPLOADED));
    let restored = data_dir.join(RESTORED);
    let at = |source| NodeError::Io {
        path: restored.clone(),
        source,
    };
    let new = restored.join(DATABASE);
    if new.is_file() {
        let database = data_dir.join(DATABASE);
        let here = Store::open(&database, Durability::Full)?.accounts()?;
        if here.is_empty() {
            for entry in fs::read_dir(&restored).map_err(at)? {
                let name = entry.map_err(at)?.file_name();
                if !name.to_string_lossy().starts_with(DATABASE) {
                    let to = data_dir.join(&name);
                    // Of accounts there are none, but their directory is.
                    let _not_there = fs::remove_dir(&to);
                    fs::rename(restored.join(&name), to).map_err(at)?;
                }
            }
            // What belongs to the database that goes.
            for ending in ["-wal", "-shm"] {
                let _not_there = fs::remove_file(data_dir.join(format!("{DATABASE}{ending}")));
            }
            fs::rename(&new, &database).map_err(at)?;
            fs::File::open(data_dir)
                .and_then(|directory| directory.sync_all())
                .map_err(at)?;
            tracing::info!("a backup was restored");
        } else {
            tracing::error!("a restored backup is given up: there are accounts here");
        }
    }
    remove(&restored).map_err(at)
}
