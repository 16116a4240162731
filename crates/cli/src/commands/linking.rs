//! Bringing an account to a new device, and its password.

use std::path::Path;

use baraza_api::types::{Account, ChangePassword, LinkByPin, LinkPin, NewLinkPin};
use hyper::Method;
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
        "Type it on the new device (baraza account link) within ten minutes: later it leads \
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

/// Makes this a device of an account that another device has.
pub(super) async fn link(
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
