//! Acts of whoever runs the directory.

use baraza_names::audit::MAX_REASON;
use baraza_names::directory::Record;
use baraza_names::store::{Admin, AdminRefusal};
use baraza_names::{Name, Registration};
use baraza_wire::id::parse_account_uri;
use serde_json::json;

use super::{Place, now};
use crate::args::{Global, NamesAdmin};
use crate::error::CliError;
use crate::output;

pub(super) async fn act(global: &Global, place: &Place, act: NamesAdmin) -> Result<(), CliError> {
    let act = read(act)?;
    let store = place.open_existing().await?;
    match store.admin(act, now()).await.map_err(place.failed())? {
        Ok(changed) => match global.json {
            true => output::json(&json!({ "changed": changed })),
            false => output::line(if changed {
                "Done; it is in the log."
            } else {
                "It is so already."
            }),
        },
        Err(refusal @ AdminRefusal::NoSuchName(_)) => Err(CliError::NotFound(refusal.to_string())),
        Err(refusal) => Err(CliError::NotAllowed(refusal.to_string())),
    }
}

fn read(act: NamesAdmin) -> Result<Admin, CliError> {
    let name =
        |text: &str| Name::from_typed(text).map_err(|error| CliError::Usage(error.to_string()));
    let because = |reason: String| match reason.len() {
        len if len > MAX_REASON => Err(CliError::Usage(format!(
            "the reason has more than {MAX_REASON} bytes"
        ))),
        _ => Ok(reason),
    };
    Ok(match act {
        NamesAdmin::Allow => Admin::Allow(true),
        NamesAdmin::Forbid => Admin::Allow(false),
        NamesAdmin::Move {
            name: text,
            to,
            registration,
            reason,
        } => {
            let name = name(&text)?;
            let to = match (to, registration) {
                (_, Some(path)) => {
                    let shown = path.display();
                    let body = std::fs::read(&path)
                        .map_err(CliError::file(format!("cannot read {shown}")))?;
                    let wrong = |error: String| CliError::Usage(format!("{shown}: {error}"));
                    let registration =
                        Registration::from_json(&body).map_err(|error| wrong(error.to_string()))?;
                    registration
                        .verify(&name)
                        .map_err(|error| wrong(error.to_string()))?;
                    Record::new(name, &registration)
                }
                (Some(id), None) => Record {
                    name,
                    addr: parse_account_uri(&id)
                        .map_err(|error| CliError::Usage(format!("--to: {error}")))?,
                    owner: None,
                    signed: None,
                },
                (None, None) => return Err(CliError::Usage("whom to?".into())),
            };
            Admin::Move {
                to,
                reason: because(reason)?,
            }
        }
        NamesAdmin::Reserve { name: text, reason } => Admin::Reserve {
            name: name(&text)?,
            reason: because(reason)?,
        },
        NamesAdmin::Release { name: text, reason } => Admin::Release {
            name: name(&text)?,
            reason: because(reason)?,
        },
        NamesAdmin::Suspend { name: text, reason } => Admin::Suspend {
            name: name(&text)?,
            reason: because(reason)?,
        },
        NamesAdmin::Restore { name: text, reason } => Admin::Restore {
            name: name(&text)?,
            reason: because(reason)?,
        },
    })
}
