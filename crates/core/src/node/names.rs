//! Registering a name, which needs the account's archive; and the name server in archives.

use baraza_identity::{Archive, Password};
use baraza_names::client::Failure;
use baraza_names::{Name, Owner, Registration};
use baraza_store::{Store, StoreError};

use super::create::read_archive;
use super::{Node, NodeError};
use crate::account::NAME_SERVER;
use crate::command::{Command, CommandError, Reply};
use crate::event::LocalId;
use crate::keys::Keys;
use crate::names::{NameFound, NameProblem, NameSettings};

/// Puts the name server of an account into its archive.
pub(super) fn fill(archive: &mut Archive, store: &Store, number: i64) -> Result<(), StoreError> {
    match store.setting(number, NAME_SERVER)? {
        Some(url) => archive.settings.insert(NAME_SERVER.into(), url),
        None => archive.settings.remove(NAME_SERVER),
    };
    Ok(())
}

/// Takes the name server from an archive; an empty one is not asked before somebody here says
/// so.
pub(super) fn take(archive: &Archive, store: &mut Store, number: i64) -> Result<(), StoreError> {
    match archive.settings.get(NAME_SERVER) {
        Some(url) => store.set_setting(number, NAME_SERVER, Some(url)),
        None => Ok(()),
    }
}

impl Node {
    /// Registers a name for an account, at its name server. `password` opens the archive on
    /// disk, whose key signs the name. A name once registered stays so.
    ///
    /// # Errors
    /// If there is no such account, the name is none, or taken, no server is chosen or it
    /// cannot be asked, the password is wrong, or another registration is under way.
    pub async fn register_name(
        &self,
        account: LocalId,
        name: &str,
        password: Option<Password>,
    ) -> Result<NameFound, NodeError> {
        let name = Name::from_typed(name.trim());
        let name = name.map_err(|error| NameProblem::Asked(Failure::Invalid(error)))?;
        // Before a second is spent on the password.
        match self.command(account, Command::NameSettings).await? {
            Reply::NameSettings(settings) => check(settings)?,
            _ => return Err(NodeError::Stopped),
        }
        let directory = self.account_directory(account);
        let signed = tokio::task::spawn_blocking(move || {
            let file = Keys::read_archive(&directory)?;
            let archive = read_archive(&file, password.as_ref())?;
            let owner = archive.eth_key.as_ref();
            let owner = owner.and_then(|key| Owner::parse(key.address()));
            let registration = Registration::sign(&name, &archive.account_key, owner)
                .map_err(|error| NodeError::Keys(error.to_string()))?;
            Ok::<_, NodeError>((name, Box::new(registration)))
        });
        let (name, registration) = signed.await.map_err(|_| NodeError::Stopped)??;
        let command = Command::RegisterName { name, registration };
        match self.command(account, command).await {
            Ok(Reply::Name(found)) => Ok(found),
            Ok(_) => Err(NodeError::Stopped),
            Err(CommandError::Invalid(text)) => Err(NodeError::Refused(text)),
            Err(error) => Err(error.into()),
        }
    }
}

fn check(settings: NameSettings) -> Result<(), NameProblem> {
    match (settings.server, settings.proposed) {
        (Some(_), _) => Ok(()),
        (None, Some(public)) => Err(NameProblem::Proposed(public)),
        (None, None) => Err(NameProblem::NoServer),
    }
}
