//! Commands with what the devices of one account share, and with linking that is given up.

use anyhow::bail;
use baraza_core::{Command, Reply};
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::commands::{Peer, conversation};

impl Peer {
    /// How a conversation is shown.
    pub(crate) async fn preferences(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let conversation = conversation(&mut with)?;
        with.end()?;
        let command = Command::Preferences { conversation };
        match self.node.command(account, command).await? {
            Reply::Preferences(preferences) => Ok(json!(preferences)),
            other => bail!("no preferences: {other:?}"),
        }
    }

    /// Changes it.
    pub(crate) async fn set_preferences(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let command = Command::SetPreferences {
            conversation: conversation(&mut with)?,
            changes: with.texts("preferences")?,
        };
        with.end()?;
        self.node.command(account, command).await?;
        Ok(Value::Null)
    }

    /// Gives this device a name.
    pub(crate) async fn rename_device(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let name = with.required("name")?;
        with.end()?;
        self.node
            .command(account, Command::RenameDevice { name })
            .await?;
        Ok(Value::Null)
    }

    /// Gives up becoming a device, on the new one; or bringing the account to one, where
    /// there is an account.
    pub(crate) async fn cancel_link(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = match self.node.accounts().is_empty() {
            true => None,
            false => Some(self.account(&mut with)?),
        };
        with.end()?;
        match account {
            None => self.node.cancel_new_link().await?,
            Some(account) => {
                self.node.command(account, Command::CancelLink).await?;
            }
        }
        Ok(Value::Null)
    }
}
