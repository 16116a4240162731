//! Profiles: one's own, and those of others.

use std::path::{Path, PathBuf};

use baraza_api::types::{NewProfile, ProfileView};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;

use super::Context;
use crate::error::CliError;
use crate::find;
use crate::output::{self, printable};

/// What changes.
pub(crate) struct Change {
    pub(crate) name: Option<String>,
    pub(crate) picture: Option<PathBuf>,
    pub(crate) no_picture: bool,
}

/// A picture as the API takes it: an empty one for none any more, `None` to leave it.
pub(super) fn picture(file: Option<&Path>, none: bool) -> Result<Option<String>, CliError> {
    Ok(match (file, none) {
        (Some(file), _) => {
            let failed = CliError::file("cannot read the picture");
            Some(STANDARD.encode(std::fs::read(file).map_err(failed)?))
        }
        (None, true) => Some(String::new()),
        (None, false) => None,
    })
}

pub(crate) async fn run(
    context: &Context<'_>,
    who: Option<String>,
    change: Change,
    save_picture: Option<&Path>,
) -> Result<(), CliError> {
    let client = context.client;
    let account = find::account(client, context.global).await?;
    let own = format!("/accounts/{}/profile", account.account);
    let path = match who {
        None => own.clone(),
        Some(who) => {
            let contact = find::contact(client, &account, &who).await?;
            format!(
                "/accounts/{}/contacts/{}/profile",
                account.account, contact.id
            )
        }
    };
    let picture = picture(change.picture.as_deref(), change.no_picture)?;
    if change.name.is_some() || picture.is_some() {
        let new = NewProfile {
            name: change.name,
            picture,
        };
        let () = client.call(Method::PATCH, &own, Some(&new)).await?;
    }
    let profile: ProfileView = client.get(&path).await?;
    if let (Some(file), Some(picture)) = (save_picture, &profile.picture) {
        let bytes = STANDARD
            .decode(picture)
            .map_err(|error| CliError::NoAnswer(error.to_string()))?;
        std::fs::write(file, bytes).map_err(CliError::file("cannot write the picture"))?;
    }
    if context.json() {
        return output::json(&profile);
    }
    let picture = profile.picture_type.unwrap_or_else(|| "no picture".into());
    output::line(&format!(
        "{}  {}  ({picture})",
        profile.id,
        printable(&profile.name)
    ))
}
