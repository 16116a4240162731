//! Backups of a running node: at once, and by themselves.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use baraza_identity::Password;
use baraza_store::files;
use baraza_wire::{ConversationId, UnixTime};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::engine::{Commands, Engine};
use super::{Inner, Node, NodeError, lock, now};
use crate::backup::{self, BACKED_UP, BackupError, Report, Source};
use crate::command::{Command, CommandError};
use crate::event::LocalId;

/// Where settings and state of scheduled backups are, in the data directory.
const SCHEDULE: &str = "backup.json";
/// Longest such file.
const MAX_SCHEDULE: u64 = 64 * 1024;
/// Shortest time between two backups.
const MIN_INTERVAL: u64 = 60;
/// How long after one that failed it is tried again, at most.
const AGAIN: Duration = Duration::from_secs(15 * 60);
/// Most backups kept.
pub const MAX_KEPT: u32 = 1000;
/// What the names of scheduled backups begin and end with.
const NAME: [&str; 2] = ["baraza-", ".backup"];
/// Longest file with a password.
const MAX_PASSWORD: u64 = 4096;

/// Backups that the node makes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Where they go: an absolute path.
    pub directory: PathBuf,
    /// Seconds from one to the next.
    pub every: u64,
    /// How many are kept; older ones are removed.
    pub keep: u32,
    /// File with the password in its first line, which only the owner may read.
    pub password_file: PathBuf,
    /// Whether files sent and received go with them.
    #[serde(default)]
    pub files: bool,
}

/// How backups are doing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupState {
    /// Backups that are made without being asked for.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// When the last scheduled one was made.
    #[serde(default)]
    pub last: Option<UnixTime>,
    /// When one was last tried.
    #[serde(default)]
    pub tried: Option<UnixTime>,
    /// Why that failed, if it did.
    #[serde(default)]
    pub error: Option<String>,
}

impl Node {
    /// Makes a backup of everything, encrypted with `password`, while the node goes on. With
    /// `with_files`, files sent and received go with it. `progress` is told files and bytes.
    ///
    /// # Errors
    /// See [`BackupError`]; nothing is left behind then.
    pub async fn backup(
        &self,
        target: PathBuf,
        password: Password,
        with_files: bool,
        progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<Report, BackupError> {
        let node = Arc::clone(&self.inner);
        let runtime = Handle::current();
        let made = tokio::task::spawn_blocking(move || {
            let Ok(_one) = node.backing_up.try_lock() else {
                return Err(BackupError::Busy);
            };
            let data_dir = &node.config.data_dir;
            let snapshot =
                |account: LocalId, id: ConversationId, into: &Path| match node.commands(account) {
                    Some(commands) => runtime.block_on(ask_for_copy(&commands, id, into)),
                    None => backup::snapshot_of(data_dir, account, id, into),
                };
            let source = Source {
                data_dir,
                snapshot: Box::new(snapshot),
            };
            let time = now().unix;
            let progress = Box::new(progress);
            backup::write(source, &target, &password, with_files, time, progress)
        });
        made.await.unwrap_or(Err(BackupError::Busy))
    }

    /// How backups are doing.
    ///
    /// # Errors
    /// If their file cannot be read.
    pub fn backup_state(&self) -> Result<BackupState, NodeError> {
        self.inner.backup_state()
    }

    /// Sets or ends scheduled backups. The first one is made at once.
    ///
    /// # Errors
    /// If the schedule makes no sense, or cannot be written down.
    pub fn set_backup_schedule(&self, schedule: Option<Schedule>) -> Result<(), NodeError> {
        if let Some(schedule) = &schedule {
            let refused = |text: &str| Err(NodeError::Refused(text.to_owned()));
            if !schedule.directory.is_absolute() || !schedule.password_file.is_absolute() {
                return refused("directory and password file are given as absolute paths");
            }
            if schedule.every < MIN_INTERVAL {
                return refused("there is at least a minute from one backup to the next");
            }
            if schedule.keep == 0 || schedule.keep > MAX_KEPT {
                return refused("from 1 to 1000 backups can be kept");
            }
            password_from(&schedule.password_file)
                .map_err(|error| NodeError::Refused(error.to_string()))?;
        }
        self.inner.change_state(|state| {
            *state = BackupState {
                schedule,
                ..BackupState::default()
            };
        })?;
        self.inner.schedule_changed.notify_one();
        Ok(())
    }

    /// Notes that an account's keys are elsewhere, too.
    pub(super) fn note_backed_up(&self, number: i64) -> Result<(), NodeError> {
        let millis = now().unix.millis().to_string();
        lock(&self.inner.store).set_setting(number, BACKED_UP, Some(&millis))?;
        Ok(())
    }
}

async fn ask_for_copy(commands: &Commands, id: ConversationId, into: &Path) -> io::Result<bool> {
    let command = Command::Snapshot {
        conversation: id,
        into: into.to_owned(),
    };
    match commands.ask(command).await {
        Ok(_) => Ok(true),
        Err(CommandError::NoSuchConversation) => Ok(false),
        Err(error) => Err(io::Error::other(error)),
    }
}

impl Inner {
    /// A way to ask an account, if it runs.
    fn commands(&self, account: LocalId) -> Option<Commands> {
        let engines = lock(&self.engines);
        engines.get(&account)?.engine.as_ref().map(Engine::commands)
    }

    fn backup_state(&self) -> Result<BackupState, NodeError> {
        let path = self.config.data_dir.join(SCHEDULE);
        let text = match files::read_limited(&path, MAX_SCHEDULE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(BackupState::default());
            }
            text => text,
        };
        text.and_then(|text| Ok(serde_json::from_slice(&text)?))
            .map_err(|source| NodeError::Io { path, source })
    }

    fn change_state(&self, change: impl FnOnce(&mut BackupState)) -> Result<(), NodeError> {
        let path = self.config.data_dir.join(SCHEDULE);
        // What cannot be read any more is replaced.
        let mut state = self.backup_state().unwrap_or_default();
        change(&mut state);
        let text = serde_json::to_vec_pretty(&state).unwrap_or_default();
        files::write_private(&path, &text).map_err(|source| NodeError::Io { path, source })
    }
}

/// Makes backups when they are due, for as long as the node is there.
pub(super) async fn run_schedule(node: Weak<Inner>) {
    loop {
        let Some(inner) = node.upgrade() else {
            return;
        };
        let changed = Arc::clone(&inner.schedule_changed);
        let state = inner.backup_state().unwrap_or_else(|error| {
            tracing::error!(%error, "no scheduled backups");
            BackupState::default()
        });
        let pause = due_in(&state, now().unix);
        if let (Some(Duration::ZERO), Some(schedule)) = (pause, &state.schedule) {
            scheduled(&Node { inner }, schedule).await;
            continue;
        }
        drop(inner);
        match pause {
            Some(pause) => {
                // Again in an hour at most, as clocks are set.
                let pause = pause.min(Duration::from_secs(3600));
                let _changed = tokio::time::timeout(pause, changed.notified()).await;
            }
            None => changed.notified().await,
        }
    }
}

/// How long until the next one; `None` if there are to be none.
fn due_in(state: &BackupState, now: UnixTime) -> Option<Duration> {
    let every = Duration::from_secs(state.schedule.as_ref()?.every);
    let after = |time: Option<UnixTime>, pause: Duration| {
        // A time in the future is of a clock that was wrong.
        let time = time.filter(|time| *time <= now)?;
        let passed = now.millis().saturating_sub(time.millis());
        Some(pause.saturating_sub(Duration::from_millis(passed)))
    };
    let next = after(state.last, every).unwrap_or_default();
    let again = after(state.tried, AGAIN.min(every)).filter(|_| state.error.is_some());
    Some(next.max(again.unwrap_or_default()))
}

/// Makes one and removes the oldest.
async fn scheduled(node: &Node, schedule: &Schedule) {
    let time = now().unix;
    let done = make_scheduled(node, schedule, time).await;
    let error = match &done {
        Ok(path) => {
            tracing::info!(path = %path.display(), "backup made");
            None
        }
        Err(error) => {
            tracing::error!(%error, "no backup could be made");
            Some(error.to_string())
        }
    };
    let noted = node.inner.change_state(|state| {
        state.tried = Some(time);
        if error.is_none() {
            state.last = Some(time);
        }
        state.error = error;
    });
    if let Err(error) = noted {
        tracing::error!(%error, "it cannot be noted that there is a backup");
        // Or there would be one after the other.
        tokio::time::sleep(AGAIN).await;
    }
}

async fn make_scheduled(
    node: &Node,
    schedule: &Schedule,
    time: UnixTime,
) -> Result<PathBuf, BackupError> {
    let password = password_from(&schedule.password_file)?;
    let directory = schedule.directory.clone();
    let failed = |source| BackupError::Io {
        path: schedule.directory.clone(),
        source,
    };
    files::private_directory(&directory).map_err(failed)?;
    let [start, end] = NAME;
    // Ordered by name as by time.
    let path = directory.join(format!("{start}{:014}{end}", time.millis()));
    node.backup(path.clone(), password, schedule.files, |_, _| {})
        .await?;
    let keep = usize::try_from(schedule.keep).unwrap_or(usize::MAX);
    rotate(&directory, keep).map_err(failed)?;
    Ok(path)
}

/// Removes the oldest scheduled backups but for `keep`. Other files are none of ours.
fn rotate(directory: &Path, keep: usize) -> io::Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if let Some(name) = name.to_str().filter(|name| is_scheduled(name)) {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    let many = names.len().saturating_sub(keep);
    for name in names.into_iter().take(many) {
        fs::remove_file(directory.join(name))?;
    }
    Ok(())
}

fn is_scheduled(name: &str) -> bool {
    let [start, end] = NAME;
    let digits = name
        .strip_prefix(start)
        .and_then(|rest| rest.strip_suffix(end));
    digits.is_some_and(|text| text.len() == 14 && text.bytes().all(|it| it.is_ascii_digit()))
}

/// The first line of a file that only the owner may read.
fn password_from(path: &Path) -> Result<Password, BackupError> {
    let failed = |source| BackupError::Io {
        path: path.to_owned(),
        source,
    };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        let text = "others can read it: change that with chmod 600";
        return Err(failed(io::Error::new(
            io::ErrorKind::PermissionDenied,
            text,
        )));
    }
    let bytes = zeroize::Zeroizing::new(files::read_limited(path, MAX_PASSWORD).map_err(failed)?);
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    if line.len() < backup::MIN_PASSWORD {
        return Err(BackupError::Password);
    }
    Ok(Password::new(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(every: u64) -> BackupState {
        BackupState {
            schedule: Some(Schedule {
                directory: "/backups".into(),
                every,
                keep: 3,
                password_file: "/secret".into(),
                files: false,
            }),
            ..BackupState::default()
        }
    }

    #[test]
    fn backups_are_due_at_first_and_then_after_each_interval() {
        let now = UnixTime::from_secs(1_800_000_000);
        let ago = |seconds: u64| Some(UnixTime::from_secs(1_800_000_000 - seconds));
        assert_eq!(due_in(&BackupState::default(), now), None);
        let mut state = state(3600);
        assert_eq!(due_in(&state, now), Some(Duration::ZERO));
        state.last = ago(600);
        assert_eq!(due_in(&state, now), Some(Duration::from_secs(3000)));
        state.last = ago(4000);
        assert_eq!(due_in(&state, now), Some(Duration::ZERO));
        // One that fails is tried again, but not without pause.
        (state.tried, state.error) = (ago(60), Some("full".into()));
        assert_eq!(due_in(&state, now), Some(Duration::from_secs(840)));
        // A clock that went wrong does not hold them up.
        state.error = None;
        state.last = Some(UnixTime::from_secs(1_900_000_000));
        assert_eq!(due_in(&state, now), Some(Duration::ZERO));
    }

    #[test]
    fn only_the_oldest_scheduled_backups_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "baraza-00000000000003.backup",
            "baraza-00000000000001.backup",
            "baraza-00000000000002.backup",
            "baraza-0000000000000x.backup",
            "family.jpg",
        ] {
            fs::write(dir.path().join(name), b"").unwrap();
        }
        rotate(dir.path(), 2).unwrap();
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let expected = [
            "baraza-00000000000002.backup",
            "baraza-00000000000003.backup",
            "baraza-0000000000000x.backup",
            "family.jpg",
        ];
        assert_eq!(left, expected);
    }

    #[test]
    fn password_that_others_can_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        fs::write(&file, "correct horse\nbattery").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(password_from(&file).is_err());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(password_from(&file).unwrap().as_str(), "correct horse");
    }
}
