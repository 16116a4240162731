//! `baraza account import-jami`.

use std::path::PathBuf;

use baraza_api::types::keep::{ImportJami, JamiImported, JamiProgress};

use super::Context;
use crate::args::PasswordOptions;
use crate::error::CliError;
use crate::output::{self, Progress, printable};
use crate::prompt;

pub(crate) async fn import(
    context: &Context<'_>,
    directory: Option<PathBuf>,
    password: &PasswordOptions,
    take_devices: bool,
) -> Result<(), CliError> {
    let body = ImportJami {
        directory: directory.map(std::path::absolute).transpose()?,
        password: prompt::password(password, "Password of the account", false)?,
        take_devices,
    };
    let progress = Progress::new("Reading what is there", context.json());
    let path = "/accounts/import-jami";
    let report: JamiImported = context
        .client
        .lines(path, &body, |line| match line {
            JamiProgress::Step(step) => {
                progress.say(step);
                None
            }
            JamiProgress::Report(report) => Some(Ok(report)),
            JamiProgress::Error(detail) => Some(Err(CliError::Refused(Box::new(detail), 422))),
        })
        .await?;
    drop(progress);
    let some = report.accounts.iter().any(|it| it.account.is_some());
    if context.json() {
        output::json(&report)?;
    } else {
        tell(&report)?;
    }
    match some {
        true => Ok(()),
        false => Err(CliError::Other("no account was imported".into())),
    }
}

fn tell(report: &JamiImported) -> Result<(), CliError> {
    output::line(&format!("From {}:", report.directory.display()))?;
    for account in &report.accounts {
        let id = account.jami_id.as_deref().unwrap_or("unknown");
        let what = match (&account.account, account.same_device) {
            (None, _) => "not imported",
            (Some(_), true) => "imported as the same device: do not use it there any more",
            (Some(_), false) => "imported as a new device",
        };
        output::line(&format!(
            "{id} ({}): {what}\n  {} contacts, {} requests, {} conversations with {} messages and \
             other commits, {} files, {} profiles; {} more conversations are fetched from others",
            account.directory,
            account.contacts,
            account.requests,
            account.conversations,
            account.commits,
            account.files,
            account.profiles,
            account.fetched_later,
        ))?;
        for problem in &account.problems {
            output::line(&format!("  {}", printable(problem)))?;
        }
    }
    Ok(())
}
