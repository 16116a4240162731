//! Browsers that are signed in.

use baraza_api::types::{NewLoginPassword, Session};
use hyper::Method;
use serde_json::json;

use super::Context;
use crate::args::SessionAction;
use crate::error::CliError;
use crate::{output, prompt};

pub(crate) async fn run(context: &Context<'_>, action: SessionAction) -> Result<(), CliError> {
    let client = context.client;
    match action {
        SessionAction::List => {
            let sessions: Vec<Session> = client.get("/sessions").await?;
            if context.json() {
                return output::json(&sessions);
            }
            for session in sessions {
                output::line(&format!(
                    "{:>4}  {}  {}",
                    session.session,
                    output::date(session.used),
                    output::printable(&session.client)
                ))?;
            }
            Ok(())
        }
        SessionAction::Revoke { session } => {
            let path = format!("/sessions/{session}");
            let () = client.call(Method::DELETE, &path, None::<&()>).await?;
            match context.json() {
                true => output::json(&json!({ "revoked": session })),
                false => Ok(()),
            }
        }
        SessionAction::Password { password, remove } => {
            let given = match remove {
                true => String::new(),
                false => prompt::password(&password, "Password to sign in with", true)?,
            };
            if given.is_empty() && !remove {
                let text = "give --password, --password-file or BARAZA_PASSWORD, or --remove";
                return Err(CliError::Usage(text.into()));
            }
            let body = NewLoginPassword {
                password: Some(given).filter(|_| !remove),
            };
            client
                .call(Method::PUT, "/session/password", Some(&body))
                .await
        }
    }
}
