//! Bringing an account to a new device, and its password.

use std::path::Path;

use baraza_api::types::{
    Account, ChangePassword, ConfirmLink, LinkByPin, LinkDevice, LinkPin, LinkStatus, NewLink,
    NewLinkPin,
};
use baraza_core::LocalId;
use baraza_core::link_device::{LinkError, LinkState};
use hyper::Method;
use qrcode::QrCode;
use qrcode::render::unicode;
use serde_json::json;

use super::{Context, account};
use crate::args::PasswordOptions;
use crate::error::CliError;
use crate::output::{self, Progress};
use crate::{find, prompt};

/// Shows a PIN for another device.
pub(super) async fn pin(context: &Context<'_>, password: &PasswordOptions) -> Result<(), CliError> {
    let account = find::account(context.client, context.global).await?;
    let password = prompt::account_password(password, &account)?;
    let path = format!("/accounts/{}/devices/pin", account.account);
    let body = NewLinkPin { password };
    let shown: LinkPin = {
        let _progress = Progress::new("Putting the account where the PIN leads", context.json());
        context.client.post(&path, &body).await?
    };
    if context.json() {
        return output::json(&shown);
    }
    output::line(&format!("PIN: {}", shown.pin))?;
    eprintln!(
        "Type it on the new device (baraza account link --pin) within ten minutes: later it leads \
         nowhere.{}",
        if shown.has_password {
            " The new device asks for the account's password, too."
        } else {
            "\nThe account has no password, so that who learns the PIN in these minutes has the \
             account. A password is advisable: baraza account password"
        }
    );
    Ok(())
}

/// Makes this a device of the account under a PIN.
pub(super) async fn link_by_pin(
    context: &Context<'_>,
    pin_file: Option<&Path>,
    name: String,
    password: &PasswordOptions,
) -> Result<Account, CliError> {
    let pin = match pin_file {
        Some(file) => prompt::first_line(file, "PIN")?,
        None => prompt::ask("PIN that the other device shows", "--pin-file")?,
    };
    let mut body = LinkByPin {
        pin,
        password: prompt::password(password, "Password of the account", false)?,
        display_name: name,
    };
    let first = account::make(context, "/accounts/link", &body).await;
    // It lies elsewhere with a password, so that it cannot be told whether it has one.
    match first {
        Err(CliError::Refused(detail, _))
            if detail.code == "nothing_under_pin"
                && body.password.is_empty()
                && prompt::can_ask() =>
        {
            eprintln!("Nothing was found under this PIN. The account may have a password.");
            body.password = prompt::ask_password("Password of the account", false)?;
            account::make(context, "/accounts/link", &body).await
        }
        first => first,
    }
}

/// Makes this a device of an account whose device is given the code shown here.
pub(super) async fn link(
    context: &Context<'_>,
    display_name: String,
    password: &PasswordOptions,
) -> Result<Account, CliError> {
    let given = prompt::password(password, "Password of the account", false)?;
    let body = NewLink { display_name };
    let status: LinkStatus = context.client.post("/link", &body).await?;
    let linked = follow_new(context, status, given).await;
    if linked.is_err() {
        // It may be over already.
        let nothing = None::<&()>;
        let _over: Result<(), _> = context.client.call(Method::DELETE, "/link", nothing).await;
    }
    linked
}

async fn follow_new(
    context: &Context<'_>,
    mut status: LinkStatus,
    given: String,
) -> Result<Account, CliError> {
    let progress = Progress::new("Making temporary keys", context.json());
    loop {
        match status.state {
            LinkState::TokenAvailable => {
                progress.say("Waiting for the other device");
                show_code(context.json(), &status)?;
            }
            LinkState::Connecting => progress.say("Waiting until it is confirmed there"),
            LinkState::Authenticating => {
                drop(progress);
                let password = ask_for(context, &status, &given)?;
                let body = ConfirmLink { password };
                let () = context.client.post("/link/confirm", &body).await?;
                let progress = Progress::new("Fetching the account", context.json());
                let status = next(context, "/link", &status).await?;
                drop(progress);
                return Box::pin(follow_new(context, status, given)).await;
            }
            LinkState::Init | LinkState::InProgress => {}
            LinkState::Done => {
                let account = done(&status)?.ok_or_else(|| {
                    CliError::NoAnswer("it does not say which account it is".into())
                })?;
                return context.client.get(&format!("/accounts/{account}")).await;
            }
        }
        status = next(context, "/link", &status).await?;
    }
}

/// Shows the code, as text and for a camera.
pub(crate) fn show_code(json: bool, status: &LinkStatus) -> Result<(), CliError> {
    let Some(token) = &status.token else {
        return Ok(());
    };
    if json {
        return output::json(status);
    }
    if let Ok(code) = QrCode::new(token) {
        let picture = code.render::<unicode::Dense1x2>().quiet_zone(true).build();
        eprintln!("{picture}");
    }
    output::line(token)?;
    eprintln!("Give this code to the device that has the account: baraza device add CODE");
    Ok(())
}

/// Whether it is the right account, and its password.
fn ask_for(context: &Context<'_>, status: &LinkStatus, given: &str) -> Result<String, CliError> {
    let account = status.peer_id.map(|id| id.to_hex()).unwrap_or_default();
    if !context.json() {
        eprintln!("The other device brings the account {account}.");
    }
    if status.wrong_passwords > 0 {
        eprintln!("That was not its password.");
        if !prompt::can_ask() {
            return Err(CliError::Usage("the password is wrong".into()));
        }
    } else if !given.is_empty() || !prompt::can_ask() {
        return Ok(given.to_owned());
    }
    if status.needs_password == Some(true) {
        return prompt::ask_password("Its password (if it is yours)", false);
    }
    if prompt::confirm("Is it yours?")? {
        Ok(String::new())
    } else {
        Err(CliError::Interrupted)
    }
}

/// Brings the account to the new device that shows a code.
pub(super) async fn add_device(
    context: &Context<'_>,
    code: String,
    yes: bool,
) -> Result<(), CliError> {
    let account = find::account(context.client, context.global).await?;
    let token = match code.as_str() {
        "-" => prompt::first_line(Path::new("-"), "code")?,
        _ => code,
    };
    let path = format!("/accounts/{}/devices/link", account.account);
    let status: LinkStatus = context.client.post(&path, &LinkDevice { token }).await?;
    let added = follow_source(context, &path, status, yes).await;
    if added.is_err() {
        // It may be over already.
        let nothing = None::<&()>;
        let _over: Result<(), _> = context.client.call(Method::DELETE, &path, nothing).await;
    }
    added
}

async fn follow_source(
    context: &Context<'_>,
    path: &str,
    mut status: LinkStatus,
    yes: bool,
) -> Result<(), CliError> {
    let mut progress = Some(Progress::new(
        "Connecting to the new device",
        context.json(),
    ));
    loop {
        match status.state {
            LinkState::Authenticating => {
                progress = None;
                let device = status.peer_device.map(|id| id.to_hex()).unwrap_or_default();
                if !yes {
                    eprintln!("Connected to the new device {device}. It gets the whole account.");
                    if !prompt::confirm("Is it yours, and before you?")? {
                        return Err(CliError::Interrupted);
                    }
                }
                let nothing = serde_json::Map::new();
                let confirm = format!("{path}/confirm");
                let () = context.client.post(&confirm, &nothing).await?;
            }
            LinkState::InProgress => {
                let text = "Waiting for the password on the new device";
                progress.get_or_insert_with(|| Progress::new(text, context.json()));
            }
            LinkState::Done => {
                done(&status)?;
                drop(progress);
                if context.json() {
                    return output::json(&status);
                }
                return output::line("The new device has the account.");
            }
            _ => {}
        }
        status = next(context, path, &status).await?;
    }
}

async fn next(
    context: &Context<'_>,
    path: &str,
    status: &LinkStatus,
) -> Result<LinkStatus, CliError> {
    loop {
        let path = format!("{path}?after={}", status.revision);
        let later: LinkStatus = context.client.get(&path).await?;
        if later.revision != status.revision {
            return Ok(later);
        }
    }
}

/// The account's local name, or why no device was linked.
fn done(status: &LinkStatus) -> Result<Option<LocalId>, CliError> {
    match status.error {
        None => Ok(status.account),
        Some(LinkError::Timeout) => Err(CliError::TimedOut(LinkError::Timeout.to_string())),
        Some(error) => Err(CliError::Other(error.to_string())),
    }
}

/// Sets, changes or removes the account's password.
pub(super) async fn password(
    context: &Context<'_>,
    remove: bool,
    password: &PasswordOptions,
    new_password: Option<&Path>,
) -> Result<(), CliError> {
    let account = find::account(context.client, context.global).await?;
    let old = prompt::account_password(password, &account)?;
    let new = match (remove, new_password, std::env::var("BARAZA_NEW_PASSWORD")) {
        (true, ..) => String::new(),
        (false, Some(file), _) => prompt::first_line(file, "password")?,
        (false, None, Ok(new)) => new,
        (false, None, Err(_)) => prompt::ask_password("New password", true)?,
    };
    let body = ChangePassword {
        password: old,
        new_password: new,
    };
    let path = format!("/accounts/{}/password", account.account);
    let () = context
        .client
        .call(Method::POST, &path, Some(&body))
        .await?;
    let has_password = !body.new_password.is_empty();
    if context.json() {
        return output::json(&json!({"has_password": has_password}));
    }
    output::line(match has_password {
        true => "The archive on this device has the new password; other devices keep theirs.",
        false => "The archive on this device has no password any more.",
    })
}

/// Lets the account use the network, or not.
pub(super) async fn set_enabled(context: &Context<'_>, enabled: bool) -> Result<(), CliError> {
    let account = find::account(context.client, context.global).await?;
    let what = if enabled { "enable" } else { "disable" };
    let path = format!("/accounts/{}/{what}", account.account);
    let nothing = None::<&()>;
    let account: Account = context.client.call(Method::POST, &path, nothing).await?;
    if context.json() {
        return output::json(&account);
    }
    output::line(&format!("{} is {what}d", account.jami_id))
}
