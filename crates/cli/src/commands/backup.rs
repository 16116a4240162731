//! `baraza backup` and `baraza restore`.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use baraza_api::ApiAddress;
use baraza_api::types::keep::{BackupMade, BackupProgress, BackupSchedule, Backups, NewBackup};
use baraza_core::backup::{self, Report};
use baraza_identity::Password;
use baraza_wire::UnixTime;
use hyper::Method;
use serde_json::json;

use super::Context;
use crate::args::{BackupAction, BackupOptions, Global, PasswordOptions};
use crate::error::CliError;
use crate::output::{self, Progress};
use crate::{paths, prompt};

pub(crate) async fn run(
    context: &Context<'_>,
    options: BackupOptions,
    action: Option<BackupAction>,
) -> Result<(), CliError> {
    match action {
        None => make(context, options).await,
        Some(BackupAction::Status) => status(context).await,
        Some(BackupAction::Schedule {
            to,
            every,
            keep,
            password_file,
            all,
            off,
        }) => {
            let path = "/backups/schedule";
            let (Some(to), Some(password_file), false) = (to, password_file, off) else {
                return context.client.call(Method::DELETE, path, None::<&()>).await;
            };
            let schedule = BackupSchedule {
                directory: std::path::absolute(to)?,
                every: u64::from(every).saturating_mul(3600),
                keep,
                password_file: std::path::absolute(password_file)?,
                files: all,
            };
            context
                .client
                .call(Method::PUT, path, Some(&schedule))
                .await
        }
        // Needs no node.
        Some(BackupAction::Verify { .. }) => Ok(()),
    }
}

async fn make(context: &Context<'_>, options: BackupOptions) -> Result<(), CliError> {
    let file = target(&options)?;
    let body = NewBackup {
        file: file.clone(),
        password: new_password(&options.password)?.as_str().to_owned(),
        files: options.all,
    };
    let progress = Progress::new("Asking the node", context.json());
    let made: BackupMade = context
        .client
        .lines("/backups", &body, |line| match line {
            BackupProgress::Written(files, bytes) => {
                progress.say(format!("{files} files, {} MiB", bytes >> 20));
                None
            }
            BackupProgress::Made(made) => Some(Ok(made)),
            BackupProgress::Error(detail) => Some(Err(CliError::Refused(Box::new(detail), 422))),
        })
        .await?;
    drop(progress);
    tell(&file, &made, "Wrote", context.json())
}

async fn status(context: &Context<'_>) -> Result<(), CliError> {
    let backups: Backups = context.client.get("/backups").await?;
    if context.json() {
        return output::json(&backups);
    }
    for account in &backups.never {
        output::line(&format!(
            "{account} is in no backup yet: it is lost for ever with this machine"
        ))?;
    }
    match &backups.schedule {
        None => output::line("No backups are made by themselves (baraza backup schedule)")?,
        Some(schedule) => output::line(&format!(
            "Every {} hours to {}, {} are kept; {}",
            schedule.every / 3600,
            schedule.directory.display(),
            schedule.keep,
            backups.last.map_or_else(
                || "none was made yet".to_owned(),
                |last| format!(
                    "the last one at {}",
                    output::date(UnixTime::from_millis(last))
                ),
            )
        ))?,
    }
    match &backups.error {
        Some(error) => output::line(&format!("The last attempt failed: {error}")),
        None => Ok(()),
    }
}

/// Whether no node runs that could make the backup.
pub(crate) fn is_stopped(global: &Global) -> Result<bool, CliError> {
    let data_dir = paths::data_dir(global)?;
    let address =
        ApiAddress::load(&data_dir).map_err(CliError::file("cannot read the node's address"))?;
    // A node that was killed leaves its address behind.
    Ok(address.is_none_or(|it| std::net::TcpStream::connect(it.address).is_err()))
}

/// Makes a backup while no node runs.
pub(crate) fn make_stopped(options: &BackupOptions, global: &Global) -> Result<(), CliError> {
    let file = target(options)?;
    let password = new_password(&options.password)?;
    let data_dir = paths::data_dir(global)?;
    let progress = Progress::new("Reading the data directory", global.json);
    let told = |files, bytes: u64| {
        progress.say(format!("{files} files, {} MiB", bytes >> 20));
    };
    let now = UnixTime::from_system(SystemTime::now());
    let told = Box::new(told);
    let report = backup::write_stopped(&data_dir, &file, &password, options.all, now, told)?;
    drop(progress);
    tell(&file, &report.into(), "Wrote", global.json)
}

/// Checks a backup.
pub(crate) fn verify(
    file: &Path,
    password: &PasswordOptions,
    global: &Global,
) -> Result<(), CliError> {
    let password = Password::new(prompt::password(password, "Password of the backup", false)?);
    let report = backup::verify(file, &password)?;
    let created = report.manifest.created;
    tell(file, &report.into(), "It is whole:", global.json)?;
    if !global.json {
        output::line(&format!("Made at {}", output::date(created)))?;
    }
    Ok(())
}

/// Makes the data directory from a backup.
pub(crate) fn restore(
    file: &Path,
    password: &PasswordOptions,
    global: &Global,
) -> Result<(), CliError> {
    let password = Password::new(prompt::password(password, "Password of the backup", false)?);
    let data_dir = paths::data_dir(global)?;
    let report: Report = backup::restore(file, &password, &data_dir)?;
    tell(&data_dir, &report.into(), "Made", global.json)?;
    if !global.json {
        eprintln!(
            "Start it with: baraza run. It is the same device as before: never run both at once."
        );
    }
    Ok(())
}

fn target(options: &BackupOptions) -> Result<PathBuf, CliError> {
    let file = options.file.as_ref();
    let file = file.ok_or_else(|| CliError::Usage("say which file to write".into()))?;
    Ok(std::path::absolute(file)?)
}

fn new_password(options: &PasswordOptions) -> Result<Password, CliError> {
    let mut text = prompt::password(options, "Password of the backup", true)?;
    if text.is_empty() {
        text = prompt::ask_password("Password of the backup", true)?;
    }
    Ok(Password::new(text))
}

fn tell(path: &Path, made: &BackupMade, what: &str, as_json: bool) -> Result<(), CliError> {
    if as_json {
        return output::json(&json!({"path": path, "backup": made}));
    }
    output::line(&format!(
        "{what} {}: {} accounts, {} conversations, {} files, {} bytes",
        path.display(),
        made.accounts.len(),
        made.conversations,
        made.entries,
        made.size,
    ))
}
