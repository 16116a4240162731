//! Commands with profiles.

use anyhow::{Context as _, bail};
use baraza_core::{Command, Reply};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::commands::Peer;

impl Peer {
    /// Sets the own name and picture, both.
    pub(crate) async fn set_profile(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let picture = STANDARD.decode(with.text("picture")?);
        let command = Command::SetProfile {
            name: Some(with.text("name")?),
            picture: Some(picture.context("the picture is not base64")?),
        };
        with.end()?;
        self.node.command(account, command).await?;
        Ok(Value::Null)
    }

    /// What somebody shows.
    pub(crate) async fn profile_of(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let of = Some(with.id("jami_id")?);
        with.end()?;
        match self.node.command(account, Command::Profile { of }).await? {
            Reply::Profile(profile) => {
                let picture = profile.picture.map(|it| STANDARD.encode(it.bytes));
                Ok(json!({ "name": profile.name, "picture": picture.unwrap_or_default() }))
            }
            other => bail!("not a profile: {other:?}"),
        }
    }
}
