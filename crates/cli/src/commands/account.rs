use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use baraza_api::types::{
    Account, ChangeAccount, ExportAccount, Exported, ImportAccount, NewAccount,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde_json::json;

use super::{Context, jami, linking};
use crate::args::AccountAction;
use crate::error::CliError;
use crate::output::{self, Progress, printable};
use crate::{find, prompt};

/// Larger files are no archives.
const MAX_ARCHIVE: u64 = 6 * 1024 * 1024;

pub(crate) async fn run(context: &Context<'_>, action: AccountAction) -> Result<(), CliError> {
    match action {
        AccountAction::Create {
            name,
            password,
            wait,
        } => {
            let password = prompt::password(&password, "New password", true)?;
            let body = NewAccount {
                display_name: name,
                password,
            };
            let mut account = make(context, "/accounts", &body).await?;
            if let Some(seconds) = wait {
                account = wait_announced(context, account, Duration::from_secs(seconds)).await?;
            }
            made(context, &account)
        }
        AccountAction::Import {
            file,
            name,
            password,
        } => {
            let archive = read_archive(&file)?;
            let body = ImportAccount {
                archive: STANDARD.encode(archive),
                password: prompt::password(&password, "Password of the archive", false)?,
                display_name: name,
            };
            let account = make(context, "/accounts/import", &body).await?;
            made(context, &account)
        }
        AccountAction::Link {
            pin,
            pin_file,
            name,
            password,
        } => {
            let account = if pin || pin_file.is_some() {
                linking::link_by_pin(context, pin_file.as_deref(), name, &password).await?
            } else {
                linking::link(context, name, &password).await?
            };
            made(context, &account)
        }
        AccountAction::Password {
            remove,
            password,
            new_password_file,
        } => linking::password(context, remove, &password, new_password_file.as_deref()).await,
        AccountAction::Enable => linking::set_enabled(context, true).await,
        AccountAction::Disable => linking::set_enabled(context, false).await,
        AccountAction::ImportJami {
            dir,
            password,
            take_devices,
        } => jami::import(context, dir, &password, take_devices).await,
        AccountAction::List => {
            let accounts: Vec<Account> = context.client.get("/accounts").await?;
            if context.json() {
                return output::json(&accounts);
            }
            if accounts.is_empty() {
                eprintln!("There is no account yet; make one with: baraza account create");
            }
            for account in &accounts {
                let name = printable(&account.display_name);
                let state = account.state.as_str();
                output::line(&format!("{}  {state:<12}  {name}", account.jami_id))?;
            }
            Ok(())
        }
        AccountAction::Show => {
            let account = find::account(context.client, context.global).await?;
            show(context, &account)
        }
        AccountAction::Settings {
            typing,
            receipts,
            auto_accept,
        } => super::signs::settings(context, typing, receipts, auto_accept).await,
        AccountAction::Rename { name } => {
            let account = find::account(context.client, context.global).await?;
            let path = format!("/accounts/{}", account.account);
            let body = ChangeAccount { display_name: name };
            let account: Account = context
                .client
                .call(Method::PATCH, &path, Some(&body))
                .await?;
            show(context, &account)
        }
        AccountAction::Export {
            file,
            password,
            new_password,
        } => {
            let account = find::account(context.client, context.global).await?;
            let old = prompt::account_password(&password, &account)?;
            let new = if new_password {
                prompt::ask_password("Password of the archive", true)?
            } else {
                std::env::var("BARAZA_NEW_PASSWORD").unwrap_or_else(|_unset| old.clone())
            };
            let unprotected = new.is_empty();
            let body = ExportAccount {
                password: old,
                new_password: new,
            };
            let path = format!("/accounts/{}/export", account.account);
            let exported: Exported = context.client.post(&path, &body).await?;
            let archive = STANDARD
                .decode(exported.archive)
                .map_err(|error| CliError::NoAnswer(error.to_string()))?;
            write_archive(&file, &archive)?;
            if unprotected {
                eprintln!("It has no password: who can read it is you. Keep it safe.");
            }
            if context.json() && file != Path::new("-") {
                return output::json(&json!({"file": file, "bytes": archive.len()}));
            }
            Ok(())
        }
        AccountAction::Delete { yes } => {
            let account = find::account(context.client, context.global).await?;
            if !yes {
                eprintln!(
                    "This removes {} and all its conversations from this machine. Without an \
                     archive (baraza account export) it is lost for ever.",
                    account.jami_id
                );
                if !prompt::confirm("Remove it?")? {
                    return Err(CliError::Interrupted);
                }
            }
            let path = format!("/accounts/{}", account.account);
            let nothing = None::<&()>;
            let () = context.client.call(Method::DELETE, &path, nothing).await?;
            if context.json() {
                return output::json(&json!({"removed": account.jami_id}));
            }
            output::line(&format!("Removed {}", account.jami_id))
        }
    }
}

pub(super) async fn make(
    context: &Context<'_>,
    path: &str,
    body: &impl serde::Serialize,
) -> Result<Account, CliError> {
    let progress = Progress::new(
        match path {
            "/accounts/link" => "Looking for the account",
            _ => "Asking the node",
        },
        context.json(),
    );
    context
        .client
        .make_account(path, body, |step| {
            progress.say(match step {
                "authority_key" => "Making keys: the authority's (1 of 3)",
                "account_key" => "Making keys: the account's (2 of 3)",
                "device_key" => "Making keys: this device's (3 of 3)",
                _ => "Writing it down",
            });
        })
        .await
}

async fn wait_announced(
    context: &Context<'_>,
    account: Account,
    wait: Duration,
) -> Result<Account, CliError> {
    let _progress = Progress::new("Waiting until others can find it", context.json());
    let path = format!("/accounts/{}", account.account);
    let waiting = async {
        let types = "registration_state_changed,device_announced";
        let mut events = context.client.events(None, Some(types)).await?;
        loop {
            let account: Account = context.client.get(&path).await?;
            if account.announced {
                return Ok(account);
            }
            events.next().await?;
        }
    };
    match tokio::time::timeout(wait, waiting).await {
        Ok(result) => result,
        Err(_elapsed) => Err(CliError::TimedOut(format!(
            "the account is made ({}), but others cannot find it yet",
            account.jami_id
        ))),
    }
}

fn made(context: &Context<'_>, account: &Account) -> Result<(), CliError> {
    if context.json() {
        return output::json(account);
    }
    output::line(&format!("Your Jami ID: {}", account.jami_id))?;
    eprintln!(
        "Give it to people who are to add you, or add them: baraza contact add THEIR_ID\n\
         Keep a copy of it, which is lost with this machine otherwise: baraza backup FILE \
         (everything) or baraza account export FILE (the account alone)"
    );
    Ok(())
}

fn show(context: &Context<'_>, account: &Account) -> Result<(), CliError> {
    if context.json() {
        return output::json(account);
    }
    output::line(&format!(
        "Jami ID  {}\nname     {}\nnamed    {}\ndevice   {}\nlocal    {}\nstate    {}{}",
        account.jami_id,
        printable(&account.display_name),
        match account.registered_name.as_str() {
            "" => "no registered name is known (baraza name register)".to_owned(),
            name => printable(name).to_string(),
        },
        account
            .device_id
            .map_or_else(|| "not started".to_owned(), |id| id.to_string()),
        account.account,
        account.state.as_str(),
        if !account.enabled {
            ", disabled (baraza account enable)"
        } else if account.announced {
            ", can be found"
        } else {
            ", cannot be found yet"
        },
    ))
}

fn read_archive(file: &Path) -> Result<Vec<u8>, CliError> {
    let name = file.display().to_string();
    let mut archive = Vec::new();
    let read = if name == "-" {
        std::io::stdin()
            .lock()
            .take(MAX_ARCHIVE)
            .read_to_end(&mut archive)
    } else {
        fs::File::open(file).and_then(|file| file.take(MAX_ARCHIVE).read_to_end(&mut archive))
    };
    read.map_err(CliError::file(format!("cannot read {name}")))?;
    Ok(archive)
}

/// A new file that only the owner may read.
fn write_archive(file: &Path, archive: &[u8]) -> Result<(), CliError> {
    if file == Path::new("-") {
        return Ok(std::io::stdout().lock().write_all(archive)?);
    }
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut out| {
            out.write_all(archive)?;
            out.sync_all()
        })
        .map_err(CliError::file(format!("cannot write {}", file.display())))
}
