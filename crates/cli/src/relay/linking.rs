//! A relay becomes a further device of an account.

use std::fs;

use baraza_core::link_device::{LinkError, LinkState, LinkStatus};
use baraza_core::{LocalId, Node};
use baraza_identity::Password;
use baraza_identity::pin::Pin;
use serde_json::json;

use crate::args::{Global, RelayOptions};
use crate::commands::linking::show_code;
use crate::error::CliError;
use crate::{output, prompt};

/// Brings the account here, in the way the options say.
pub(super) async fn further_device(
    node: &Node,
    global: &Global,
    options: &RelayOptions,
) -> Result<LocalId, CliError> {
    let password = prompt::password(&options.password, "Password of the account", false)?;
    let password = Password::new(password);
    if options.link {
        return by_code(node, global, password).await;
    }
    let password = Some(password).filter(|password| !password.is_empty());
    // The account's own name.
    let name = String::new();
    let made = match &options.archive {
        Some(file) => {
            let archive = fs::read(file)
                .map_err(CliError::file(format!("cannot read {}", file.display())))?;
            node.import_archive(archive, password, name, |_| {}).await
        }
        None => {
            let pin = match &options.link_pin_file {
                Some(file) => prompt::first_line(file, "PIN")?,
                None => prompt::ask("PIN that the other device shows", "--link-pin-file")?,
            };
            let pin: Pin = pin
                .parse()
                .map_err(|error| CliError::Usage(format!("the PIN: {error}")))?;
            let found = node.find_by_pin(pin, password.clone()).await;
            match found {
                Ok(archive) => node.add_device(archive, password, name, |_| {}).await,
                Err(error) => Err(error),
            }
        }
    };
    made.map_err(|error| CliError::Other(error.to_string()))
}

/// Shows a code and waits for the device that is given it. Who has a password here and gave
/// the code to a device of theirs has said yes.
async fn by_code(node: &Node, global: &Global, password: Password) -> Result<LocalId, CliError> {
    let failed = |error: baraza_core::NodeError| CliError::Other(error.to_string());
    let mut news = node.link_here(String::new()).map_err(failed)?;
    let (mut shown, mut answered) = (false, false);
    loop {
        let status: LinkStatus = news.borrow_and_update().clone();
        match status.state {
            LinkState::TokenAvailable if !shown => {
                shown = true;
                match global.json {
                    true => output::json(&json!({"event": "link", "token": status.token}))?,
                    false => show_code(false, &status.into())?,
                }
            }
            LinkState::Authenticating if answered && status.wrong_passwords > 0 => {
                let _over = node.cancel_new_link().await;
                return Err(CliError::Usage("the password is wrong".into()));
            }
            LinkState::Authenticating if !answered => {
                let asks = status.needs_password == Some(true) && password.is_empty();
                let answer = match asks && prompt::can_ask() {
                    true => Password::new(prompt::ask_password("Its password", false)?),
                    false => password.clone(),
                };
                node.confirm_new_link(answer).await.map_err(failed)?;
                answered = true;
            }
            LinkState::Done => {
                return match (status.error, status.account) {
                    (None, Some(account)) => Ok(account),
                    (Some(LinkError::Timeout), _) => {
                        Err(CliError::TimedOut(LinkError::Timeout.to_string()))
                    }
                    (Some(error), _) => Err(CliError::Other(error.to_string())),
                    (None, None) => Err(CliError::Other(
                        "it does not say which account it is".into(),
                    )),
                };
            }
            _ => {}
        }
        if news.changed().await.is_err() {
            return Err(CliError::Other("the linking ended".into()));
        }
    }
}
