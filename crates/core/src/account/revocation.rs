//! Devices that were revoked, of the own account and of others: what is known is kept, is
//! never forgotten again, and holds at once (docs/protocol/02-account.md section 11.1).

use std::collections::BTreeMap;

use baraza_dht::{Command, OpId, Value, infohash};
use baraza_identity::crl::Revocations;
use baraza_identity::{Certificate, CertificateChain, RevocationList};
use baraza_store::{RevocationRow, StoreError};
use baraza_wire::{AccountId, ConversationId, DeviceId, Rng};

use crate::account::registration::Op;
use crate::account::timers::Timer;
use crate::account::{Account, CommandFailure};
use crate::command::CommandError;
use crate::event::{EventBody, RegistrationState};
use crate::protocol::crl;

/// Lists kept of one account that do not contain each other: made by several of its
/// devices at once.
const MAX_LISTS: usize = 16;
/// Lists of one account kept while its certificate is not known.
const MAX_WAITING: usize = 4;
/// Accounts of which there may be such.
const MAX_WAITING_ACCOUNTS: usize = 1000;

/// What one account has revoked.
#[derive(Debug)]
struct OfAccount {
    issuer: Certificate,
    all: Revocations,
    /// Lists that say all of it together.
    lists: Vec<RevocationList>,
}

/// What accounts have revoked.
#[derive(Debug, Default)]
pub(super) struct Revoked {
    accounts: BTreeMap<AccountId, OfAccount>,
    /// Not verified yet.
    waiting: BTreeMap<AccountId, Vec<RevocationList>>,
    /// Whether this device is among them.
    pub(super) ourselves: bool,
    /// Our own lists on the DHT.
    puts: Vec<OpId>,
}

impl Revoked {
    /// Whether the account that made a device's certificate has revoked it.
    pub(super) fn revokes(&self, chain: &CertificateChain) -> bool {
        let account = chain
            .account_id()
            .and_then(|account| self.accounts.get(&account));
        account.is_some_and(|account| account.all.revokes(chain.leaf()))
    }
}

/// Whether all that one list revokes is in another.
fn covers(list: &RevocationList, other: &RevocationList) -> bool {
    let has = |serial: &[u8]| list.revoked().any(|(known, _)| known == serial);
    other.revoked().all(|(serial, _)| has(serial))
}

impl Account {
    pub(super) fn load_revocations(&mut self) -> Result<(), StoreError> {
        for row in self.core.store.revocations(self.core.config.number)? {
            let issuer = Certificate::from_der(&row.issuer).ok();
            let list = RevocationList::from_der(&row.list).ok();
            if let (Some(issuer), Some(list)) = (issuer, list) {
                self.add_list(row.owner, &issuer, &list);
            }
        }
        for device in self.devices.values_mut() {
            let chain = CertificateChain::from_pem(&device.row.chain).ok();
            device.revoked = chain.is_some_and(|chain| self.revoked.revokes(&chain));
        }
        Ok(())
    }

    /// Adds a list if it is one of that account. Whether anything changed.
    fn add_list(&mut self, owner: AccountId, issuer: &Certificate, list: &RevocationList) -> bool {
        if AccountId::from(issuer.public_key().short_id()) != owner {
            return false;
        }
        let account = self.revoked.accounts.entry(owner);
        let account = account.or_insert_with(|| OfAccount {
            issuer: issuer.clone(),
            all: Revocations::new(issuer.clone()),
            lists: Vec::new(),
        });
        if account.lists.iter().any(|known| covers(known, list)) {
            return false;
        }
        if account.lists.len() >= MAX_LISTS {
            return false;
        }
        if let Err(error) = account.all.merge(list) {
            tracing::debug!(account = %owner, %error, "list of revoked devices refused");
            return false;
        }
        account.lists.retain(|known| !covers(list, known));
        account.lists.push(list.clone());
        true
    }

    /// A list came, from anybody.
    pub(super) fn revocations_heard(
        &mut self,
        owner: AccountId,
        list: &RevocationList,
    ) -> Result<(), StoreError> {
        let Some(issuer) = self.certificate_of(&owner) else {
            // Looked at when its certificate comes, with the first of its devices.
            let waiting = &mut self.revoked.waiting;
            if waiting.len() < MAX_WAITING_ACCOUNTS || waiting.contains_key(&owner) {
                let lists = waiting.entry(owner).or_default();
                if lists.len() < MAX_WAITING && !lists.contains(list) {
                    lists.push(list.clone());
                }
            }
            return Ok(());
        };
        self.take_revocations(owner, &issuer, list)
    }

    fn certificate_of(&self, owner: &AccountId) -> Option<Certificate> {
        if *owner == self.core.account {
            return self.core.identity.chain().certificates().get(1).cloned();
        }
        if let Some(account) = self.revoked.accounts.get(owner) {
            return Some(account.issuer.clone());
        }
        let devices = self.devices.values();
        let mut devices = devices.filter(|device| device.row.owner == *owner);
        devices.find_map(|device| {
            let chain = CertificateChain::from_pem(&device.row.chain).ok()?;
            chain.certificates().get(1).cloned()
        })
    }

    fn take_revocations(
        &mut self,
        owner: AccountId,
        issuer: &Certificate,
        list: &RevocationList,
    ) -> Result<(), StoreError> {
        if !self.add_list(owner, issuer, list) {
            return Ok(());
        }
        let Some(account) = self.revoked.accounts.get(&owner) else {
            return Ok(());
        };
        let rows: Vec<RevocationRow> = account
            .lists
            .iter()
            .map(|list| RevocationRow {
                owner,
                issuer: account.issuer.der().to_vec(),
                list: list.der().to_vec(),
            })
            .collect();
        let number = self.core.config.number;
        self.core.store.begin()?;
        self.core.store.set_revocations(number, &owner, &rows)?;
        self.enforce(&owner)?;
        if owner == self.core.account {
            self.publish_revocations();
            self.check_ourselves();
        }
        Ok(())
    }

    /// The certificate of an account is known now.
    pub(super) fn chain_known(&mut self, chain: &CertificateChain) -> Result<(), StoreError> {
        let Some(owner) = chain.account_id() else {
            return Ok(());
        };
        let lists = self.revoked.waiting.remove(&owner).unwrap_or_default();
        if let Some(issuer) = chain.certificates().get(1) {
            for list in lists {
                self.take_revocations(owner, issuer, &list)?;
            }
        }
        if self.revoked.revokes(chain) {
            self.enforce(&owner)?;
        }
        Ok(())
    }

    /// Has nothing more to do with devices of an account that it revoked.
    fn enforce(&mut self, owner: &AccountId) -> Result<(), StoreError> {
        let before = self.presence(owner);
        for id in self.devices_of(owner) {
            let Some(device) = self.devices.get_mut(&id) else {
                continue;
            };
            let chain = CertificateChain::from_pem(&device.row.chain).ok();
            let revoked = chain.is_some_and(|chain| self.revoked.revokes(&chain));
            if !revoked || std::mem::replace(&mut device.revoked, true) {
                continue;
            }
            tracing::info!(device = %id.short(), "a device was revoked");
            device.present.clear();
            device.waiting.clear();
            self.core.timers.clear(Timer::Dial(id));
            self.forget_peer(id)?;
            self.core.emit(EventBody::DeviceRevoked {
                account: *owner,
                device: id,
            });
        }
        // Links of strangers too.
        let links = self.links.values();
        let links: Vec<DeviceId> = links
            .filter(|peer| peer.account == *owner && self.revoked.revokes(&peer.chain))
            .map(|peer| peer.device)
            .collect();
        for device in links {
            self.core.link(baraza_link::Command::CloseDevice { device });
        }
        self.tell_presence(owner, before);
        Ok(())
    }

    /// A device is owed nothing any more, in no conversation.
    fn forget_peer(&mut self, id: DeviceId) -> Result<(), StoreError> {
        let chats: Vec<ConversationId> = self.conversations.keys().copied().collect();
        for chat in chats {
            self.core.timers.clear(Timer::Notice(chat, id));
            self.core.timers.clear(Timer::Fetch(chat, id));
            let Some(conversation) = self.conversations.get_mut(&chat) else {
                continue;
            };
            conversation.holders.remove(&id);
            if conversation.peers.remove(&id).is_some() {
                let number = conversation.row.number;
                self.core.store.begin()?;
                self.core.store.remove_delivery(number, &id)?;
            }
        }
        Ok(())
    }

    /// The command to take in a list that this node has just made.
    pub(super) fn revoke_command(&mut self, list: &[u8]) -> Result<(), CommandFailure> {
        let list = RevocationList::from_der(list)
            .map_err(|error| CommandError::Invalid(error.to_string()))?;
        let own = self.core.account;
        Ok(self.revocations_heard(own, &list)?)
    }

    /// Puts what the own account has revoked where others look for its devices.
    pub(super) fn publish_revocations(&mut self) {
        for put in std::mem::take(&mut self.revoked.puts) {
            self.core.cancel(put);
        }
        let own = self.core.account;
        let lists = self.revoked.accounts.get(&own);
        let lists = lists.map(|own| own.lists.clone()).unwrap_or_default();
        for list in lists {
            let value = published(&list);
            let put = self.core.operation(Op::Revocations, |op| Command::Put {
                op,
                key: own.into(),
                value,
                permanent: true,
            });
            self.revoked.puts.push(put);
        }
    }

    /// Whether what was revoked is on the DHT, or nothing was.
    pub(super) fn has_published(&self) -> bool {
        let own = self.revoked.accounts.get(&self.core.account);
        !self.revoked.puts.is_empty() || own.is_none_or(|own| own.lists.is_empty())
    }

    /// A list could not be put there.
    pub(super) fn unpublished(&mut self) {
        for put in std::mem::take(&mut self.revoked.puts) {
            self.core.cancel(put);
        }
    }

    /// Says so if this device was revoked, and ends what it does on the network.
    pub(super) fn check_ourselves(&mut self) {
        let chain = self.core.identity.chain();
        if self.revoked.ourselves || !self.revoked.revokes(chain) {
            return;
        }
        self.revoked.ourselves = true;
        let (account, device) = (self.core.account, self.core.device);
        self.core.emit(EventBody::DeviceRevoked { account, device });
        let text = "this device was revoked by another device of the account";
        self.set_state(RegistrationState::ErrorGeneric, text);
        self.core.link(baraza_link::Command::CloseAll);
        self.unpublished();
        self.end_registration();
    }
}

/// The value of a list, the same one whoever puts it, and after each start.
fn published(list: &RevocationList) -> Value {
    let hash = infohash(list.der());
    let mut seed = [0; 8];
    for (to, from) in seed.iter_mut().zip(hash.as_bytes()) {
        *to = *from;
    }
    crl::value(list, &mut Rng::from_seed(u64::from_be_bytes(seed)))
}
