//! Revoking a device of an account, which needs the account's archive.

use baraza_identity::crl::Revocations;
use baraza_identity::{Archive, CertificateChain, Password, RevocationList};
use baraza_store::{RevocationRow, Store};
use baraza_wire::{AccountId, DeviceId, Rng};

use super::create::read_archive;
use super::{Node, NodeError, lock, now};
use crate::command::{Command, CommandError};
use crate::event::LocalId;
use crate::keys::Keys;

/// All that an account has revoked, by its archive and by what came over the network.
fn known(archive: &Archive, store: &Store, number: i64) -> Result<Revocations, NodeError> {
    let mut all = archive.revocations();
    for row in store.revocations(number)? {
        if row.owner == archive.account_id()
            && let Ok(list) = RevocationList::from_der(&row.list)
        {
            // It was verified when it came.
            let _ = all.merge(&list);
        }
    }
    Ok(all)
}

/// Puts all that an account has revoked into its archive.
pub(super) fn relay(archive: &mut Archive, store: &Store, number: i64) -> Result<(), NodeError> {
    let all = known(archive, store, number)?;
    let whole = all
        .latest()
        .filter(|latest| latest.revoked().len() == all.revoked().len());
    let list = match whole {
        Some(whole) => Some(whole.clone()),
        None if all.revoked().len() == 0 => None,
        // Several devices revoked at once: one list for all of it.
        None => Some(issue(archive, &all, &[])?),
    };
    archive.crl = list.or(archive.crl.take());
    Ok(())
}

fn issue(
    archive: &Archive,
    known: &Revocations,
    revoke: &[&baraza_identity::Certificate],
) -> Result<RevocationList, NodeError> {
    RevocationList::issue(
        &archive.account_key,
        archive.account_certificate(),
        Some(known),
        revoke,
        now().unix,
        &mut Rng::from_os(),
    )
    .map_err(|error| NodeError::Keys(error.to_string()))
}

/// What an archive says was revoked, for the store.
pub(super) fn row(archive: &Archive) -> Option<RevocationRow> {
    let all = archive.revocations();
    all.latest().map(|list| RevocationRow {
        owner: archive.account_id(),
        issuer: archive.account_certificate().der().to_vec(),
        list: list.der().to_vec(),
    })
}

impl Node {
    /// Revokes another device of an account: it is refused from now on, here and by all
    /// who learn of it. `password` opens the archive on disk.
    ///
    /// # Errors
    /// If there is no such account or device, or the password is wrong.
    pub async fn revoke_device(
        &self,
        account: LocalId,
        password: Option<Password>,
        device: DeviceId,
    ) -> Result<(), NodeError> {
        let (number, own) = lock(&self.inner.engines)
            .get(&account)
            .map(|running| (running.row.number, running.row.jami_id))
            .ok_or(NodeError::NoSuchAccount)?;
        let directory = self.account_directory(account);
        let node = self.clone();
        let revoked = tokio::task::spawn_blocking(move || {
            let _alone = lock(&node.inner.archives);
            let file = Keys::read_archive(&directory)?;
            let mut archive = read_archive(&file, password.as_ref())?;
            let (chain, all) = {
                let store = lock(&node.inner.store);
                (
                    chain(&store, number, own, &device)?,
                    known(&archive, &store, number)?,
                )
            };
            let list = issue(&archive, &all, &[chain.leaf()])?;
            archive.crl = Some(list.clone());
            let file = archive
                .write(password.as_ref(), &mut Rng::from_os())
                .map_err(|error| NodeError::Archive(error.to_string()))?;
            Keys::write_archive(&directory, &file)?;
            Ok::<_, NodeError>(list.der().to_vec())
        });
        let list = revoked.await.map_err(|_| NodeError::Stopped)??;
        let told = self
            .command(account, Command::TakeRevocations { list })
            .await;
        match told {
            Ok(_) => Ok(()),
            Err(CommandError::NoSuchAccount) => Err(NodeError::NoSuchAccount),
            Err(CommandError::Stopped) => Err(NodeError::Stopped),
            Err(error) => Err(NodeError::Store(error.to_string())),
        }
    }
}

/// The certificates of another device of the account.
fn chain(
    store: &Store,
    number: i64,
    own: AccountId,
    device: &DeviceId,
) -> Result<CertificateChain, NodeError> {
    let mut rows = store.devices(number)?.into_iter();
    let row = rows.find(|row| row.device == *device && row.owner == own);
    let chain = row.and_then(|row| CertificateChain::from_pem(&row.chain).ok());
    chain.ok_or(NodeError::NoSuchDevice)
}
