//! Bringing accounts here from the data directory of an existing peer, which is only read.
//!
//! By default a new device is made from the account's archive: the old installation can go
//! on beside this one. With "move", or if there is no archive, this becomes the old device,
//! which must not be used there any more: two copies of one device confuse everybody.

mod content;

use std::fs;
use std::path::{Path, PathBuf};

use baraza_identity::archive::ArchiveError;
use baraza_identity::{Archive, CertificateChain, DeviceIdentity, Password, PrivateKey};
use baraza_store::{
    AccountRow, ContactRow, ConversationRow, ConversationState, ProfileRow, RequestRow, Store,
    StoreError,
};
use baraza_swarm::{Mode, Repository, Role};
use baraza_wire::{AccountId, ConversationId, Rng, UnixTime};
use serde::{Deserialize, Serialize};

use super::{Node, NodeError, archives, create, lock, now};
use crate::account::NAME_SERVER;
use crate::event::{EventBody, LocalId};
use crate::jami::config::Config;
use crate::jami::paths::{self, System};
use crate::jami::source::{self, Found};
use crate::jami::state;
use crate::keys::Keys;

/// Settings of an account that we have no use for yet, and what they are when nobody
/// changed them.
const UNUSED: [(&str, &str); 5] = [
    ("hostname", "bootstrap.jami.net"),
    ("proxyEnabled", "false"),
    ("turnServer", "turn.jami.net"),
    ("managerUri", ""),
    ("rendezVous", "false"),
];
/// Most problems that are told of one account.
const MAX_PROBLEMS: usize = 1000;

/// What to bring here.
#[derive(Debug, Clone, Default)]
pub struct JamiImport {
    /// The data directory, or an account's in it; found by the rules of the system if `None`.
    pub directory: Option<PathBuf>,
    /// Opens archives that have a password.
    pub password: Option<Password>,
    /// Go on as the same devices instead of making new ones.
    pub take_devices: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JamiReport {
    /// Where it was read from.
    pub directory: PathBuf,
    /// Each account there.
    pub accounts: Vec<JamiAccount>,
}

/// What came of an account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JamiAccount {
    /// Its directory there.
    pub directory: String,
    /// Its Jami ID, if it could be found out.
    pub jami_id: Option<AccountId>,
    /// Its local name here; `None` if it was not imported.
    pub account: Option<LocalId>,
    /// Whether this is the same device as there.
    pub same_device: bool,
    /// Contacts taken over, removed and blocked ones too.
    pub contacts: usize,
    /// Requests taken over.
    pub requests: usize,
    /// Conversations taken over with their history.
    pub conversations: usize,
    /// Messages and other commits in these.
    pub commits: usize,
    /// Files that were sent and received, with their contents.
    pub files: usize,
    /// Profiles: one's own, and those of others.
    pub profiles: usize,
    /// Conversations that will be fetched from others, as they could not be taken over.
    pub fetched_later: usize,
    /// What could not be used, and why.
    pub problems: Vec<String>,
}

impl JamiAccount {
    fn problem(&mut self, text: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(text.into());
        }
    }
}

/// An account that was read, in a directory that is not in its place yet.
struct Prepared {
    keys: Keys,
    display_name: String,
    name_server: Option<String>,
    contacts: Vec<ContactRow>,
    conversations: Vec<ConversationRow>,
    requests: Vec<RequestRow>,
    profiles: Vec<ProfileRow>,
    staging: Staging,
}

/// A directory of an account that the database does not have; removed when dropped.
struct Staging {
    path: PathBuf,
    /// Whether the database has it by now.
    entered: bool,
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.entered {
            // Otherwise the next start removes it.
            let _ = create::shred(&self.path);
        }
    }
}

impl Node {
    /// Brings accounts here from the data directory of an existing peer. One that is here
    /// already, or that cannot be read, does not keep the others out: the report says why.
    ///
    /// # Errors
    /// If there is no such directory, or no account in it.
    pub async fn import_jami(
        &self,
        import: JamiImport,
        progress: impl Fn(&str) + Send + Sync + Clone + 'static,
    ) -> Result<JamiReport, NodeError> {
        let directory = match import.directory {
            Some(directory) => directory,
            None => default_directory()?,
        };
        let accounts = source::accounts(&directory);
        if accounts.is_empty() {
            let text = format!("there is no account of Jami in {}", directory.display());
            return Err(NodeError::Refused(text));
        }
        let mut report = JamiReport {
            directory,
            accounts: Vec::new(),
        };
        for found in accounts {
            let mut account = JamiAccount {
                directory: found.name.to_string(),
                ..JamiAccount::default()
            };
            let (node, password) = (self.clone(), import.password.clone());
            let (take, progress) = (import.take_devices, progress.clone());
            let local_id = self.new_local_id();
            let prepared = tokio::task::spawn_blocking(move || {
                let prepared = prepare(
                    &node,
                    &found,
                    local_id,
                    password.as_ref(),
                    take,
                    &mut account,
                    &progress,
                );
                (prepared, account)
            });
            let (prepared, mut account) = prepared.await.map_err(|_| NodeError::Stopped)?;
            let entered = match prepared {
                Ok(prepared) => self.enter_prepared(local_id, prepared).await,
                Err(text) => {
                    account.problem(text);
                    report.accounts.push(account);
                    continue;
                }
            };
            match entered {
                Ok(()) => account.account = Some(local_id),
                Err(error) => account.problem(error.to_string()),
            }
            report.accounts.push(account);
        }
        Ok(report)
    }

    /// Puts an account into its place and starts it.
    async fn enter_prepared(
        &self,
        account: LocalId,
        mut prepared: Prepared,
    ) -> Result<(), NodeError> {
        let identity = &prepared.keys.identity;
        let mut row = AccountRow {
            number: 0,
            local_id: account.to_string(),
            jami_id: identity.account_id(),
            device_id: identity.device_id(),
            display_name: prepared.display_name.clone(),
            created: now().unix,
        };
        row.number = {
            let mut store = lock(&self.inner.store);
            store.atomic(|store: &mut Store| {
                let number = store.add_account(&row)?;
                store.set_setting(number, NAME_SERVER, prepared.name_server.as_deref())?;
                for contact in &prepared.contacts {
                    store.put_contact(number, contact)?;
                }
                for conversation in &prepared.conversations {
                    store.add_conversation(number, conversation)?;
                }
                for request in &prepared.requests {
                    store.put_request(number, request)?;
                }
                for profile in &prepared.profiles {
                    store.put_profile(number, profile)?;
                }
                Ok::<_, StoreError>(number)
            })?
        };
        // From here on it is an account, whatever happens.
        prepared.staging.entered = true;
        let pending = prepared.staging.path.clone();
        create::settle(&pending, &self.account_directory(account)).map_err(|source| {
            NodeError::Io {
                path: pending,
                source,
            }
        })?;
        let jami_id = row.jami_id;
        self.tell(account, EventBody::AccountAdded { jami_id })?;
        self.start(row).await
    }
}

fn default_directory() -> Result<PathBuf, NodeError> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let known = paths::data_directories(System::here(), variable);
    let found = known.iter().find(|path| !source::accounts(path).is_empty());
    found.cloned().ok_or_else(|| {
        let list: Vec<String> = known.iter().map(|it| it.display().to_string()).collect();
        NodeError::Refused(format!(
            "there is no account of Jami in {}: say where",
            list.join(", ")
        ))
    })
}

/// Reads an account and copies what can be used. Takes seconds to minutes.
fn prepare(
    node: &Node,
    found: &Found,
    local_id: LocalId,
    password: Option<&Password>,
    take_device: bool,
    report: &mut JamiAccount,
    progress: &dyn Fn(&str),
) -> Result<Prepared, String> {
    let config = source::read(&found.directory.join("config.yml"))
        .map_err(|error| format!("config.yml: {error}"))?;
    let config = Config::parse(&config.unwrap_or_default());
    let own: Option<AccountId> = config.get("username").and_then(|text| text.parse().ok());
    report.jami_id = own;
    let archive = read_archive(found, password);
    let archive = match archive {
        Ok(archive) => archive,
        // With its device key it can be used all the same.
        Err(text) if take_device => {
            report.problem(format!("{text}: without it no further device can be added"));
            None
        }
        Err(text) => return Err(text),
    };
    if archive.is_none() && !take_device {
        let text = "there is no archive: it can only be moved here, as the device it is there";
        return Err(text.to_owned());
    }
    let own = match (&archive, own) {
        (Some((archive, _)), _) => archive.account_id(),
        (None, Some(own)) => own,
        (None, None) => return Err("there is neither an archive nor a Jami ID".to_owned()),
    };
    report.jami_id = Some(own);
    if node.accounts().iter().any(|account| account.jami_id == own) {
        return Err(NodeError::Exists(own).to_string());
    }
    let staging = Staging {
        path: node.pending_directory(local_id),
        entered: false,
    };
    baraza_store::files::private_directory(&staging.path)
        .map_err(|error| format!("cannot write: {error}"))?;

    let read = |name: &str, report: &mut JamiAccount| {
        source::read(&found.directory.join(name)).unwrap_or_else(|error| {
            report.problem(format!("{name}: {error}"));
            None
        })
    };
    let contacts = state::contacts(&read("contacts", report).unwrap_or_default());
    tell_damage("contacts", contacts.damaged, contacts.skipped, report);
    let known = state::conversations(&read("convInfo", report).unwrap_or_default());
    tell_damage("convInfo", known.damaged, known.skipped, report);
    let requests = state::requests(&read("convRequests", report).unwrap_or_default());
    tell_damage("convRequests", requests.damaged, requests.skipped, report);

    let contacts = contact_rows(&contacts, archive.as_ref().map(|(archive, _)| archive));
    let conversations = take_conversations(
        found,
        &staging.path,
        own,
        &known,
        &contacts,
        report,
        progress,
    );
    let here = |id: &ConversationId| conversations.iter().any(|row| row.id == *id);
    let requests: Vec<RequestRow> = requests
        .entries
        .iter()
        .filter(|(id, _)| !here(id))
        .filter_map(|(id, request)| {
            Some(RequestRow {
                conversation: *id,
                sender: request.from?,
                mode: request.mode,
                name: request.title.clone(),
                received: request.received,
                declined: request.declined,
                issued: UnixTime::default(),
            })
        })
        .collect();
    (report.contacts, report.requests) = (contacts.len(), requests.len());
    for (name, usual) in UNUSED {
        if let Some(value) = config.get(name).filter(|value| *value != usual) {
            report.problem(format!("the setting {name} ({value}) is not taken over"));
        }
    }
    let mut display_name = config.get("displayName").unwrap_or_default().to_owned();
    progress("profiles");
    let mut profiles = content::profiles(&found.directory, own, report);
    if let Some(mine) = profiles.iter_mut().find(|row| row.owner == own) {
        // What others see; the name is kept with the account.
        let shown = std::mem::take(&mut mine.name);
        if !shown.is_empty() {
            display_name = shown;
        }
    }
    report.profiles = profiles.len();

    progress("keys");
    let keys = match archive {
        Some((archive, password)) if !take_device => {
            let made = create::device(&staging.path, archive, password.as_ref(), |_| {});
            made.map_err(|error| error.to_string())?.0
        }
        archive => {
            report.same_device = true;
            same_device(found, &config, archive.as_ref(), &staging.path)?
        }
    };
    Ok(Prepared {
        keys,
        display_name,
        name_server: config.get(NAME_SERVER).map(str::to_owned),
        contacts,
        conversations,
        requests,
        profiles,
        staging,
    })
}

fn tell_damage(name: &str, damaged: bool, skipped: usize, report: &mut JamiAccount) {
    if damaged {
        report.problem(format!("{name} is damaged: only its beginning was read"));
    }
    if skipped > 0 {
        report.problem(format!("{name}: {skipped} entries make no sense"));
    }
}

/// The archive and the password it has; `None` if there is none.
fn read_archive(
    found: &Found,
    password: Option<&Password>,
) -> Result<Option<(Archive, Option<Password>)>, String> {
    let bytes = source::read(&found.directory.join("archive.gz"))
        .map_err(|error| format!("archive.gz: {error}"))?;
    let Some(bytes) = bytes else {
        return Ok(None);
    };
    let read = match Archive::read(&bytes, None) {
        Ok(archive) => Ok((archive, None)),
        Err(ArchiveError::PasswordNeeded) => match password {
            Some(password) => Archive::read(&bytes, Some(password))
                .map(|archive| (archive, Some(password.clone()))),
            None => Err(ArchiveError::PasswordNeeded),
        },
        Err(error) => Err(error),
    };
    read.map(Some).map_err(|error| error.to_string())
}

/// Goes on as the device that was there.
fn same_device(
    found: &Found,
    config: &Config,
    archive: Option<&(Archive, Option<Password>)>,
    staging: &Path,
) -> Result<Keys, String> {
    let read = |name: &str| {
        let bytes = source::read(&found.directory.join(name));
        let bytes = bytes.map_err(|error| format!("{name}: {error}"))?;
        bytes.ok_or_else(|| format!("{name} is not there"))
    };
    let key = zeroize::Zeroizing::new(read("ring_device.key")?);
    let key = std::str::from_utf8(&key).map_err(|error| error.to_string())?;
    let key = PrivateKey::from_pem(key).map_err(|error| format!("ring_device.key: {error}"))?;
    let chain = CertificateChain::from_pem(read("ring_device.crt")?)
        .map_err(|error| format!("ring_device.crt: {error}"))?;
    chain
        .verify_device(now().unix)
        .map_err(|error| format!("ring_device.crt: {error}"))?;
    let identity = DeviceIdentity::new(key, chain).map_err(|error| error.to_string())?;
    let receipt = config
        .receipt()
        .filter(|receipt| receipt.verify(&identity).is_ok());
    let keys = match (receipt, archive) {
        (Some(receipt), _) => Keys { identity, receipt },
        (None, Some((archive, _))) if archive.account_id() == identity.account_id() => {
            Keys::issue(archive, identity).map_err(|error| error.to_string())?
        }
        (None, _) => return Err("the account's word for this device cannot be read".to_owned()),
    };
    let file = match archive {
        Some((archive, password)) => archive
            .write(password.as_ref(), &mut Rng::from_os())
            .map_err(|error| error.to_string())?,
        None => Vec::new(),
    };
    keys.save(staging, &file)
        .map_err(|error| error.to_string())?;
    // As at every start, whether all fits together.
    Keys::load(staging).map_err(|error| error.to_string())
}

/// Contacts of the file, and those of the archive that are not in it.
fn contact_rows(
    contacts: &state::Entries<AccountId, state::Contact>,
    archive: Option<&Archive>,
) -> Vec<ContactRow> {
    let row = |id: &AccountId, contact: &state::Contact| ContactRow {
        contact: *id,
        added: contact.added,
        removed: contact.removed,
        confirmed: contact.confirmed,
        banned: contact.banned,
        conversation: contact.conversation,
    };
    let mut rows: Vec<ContactRow> = contacts
        .entries
        .iter()
        .map(|(id, it)| row(id, it))
        .collect();
    for (id, contact) in archive.into_iter().flat_map(|archive| &archive.contacts) {
        if !contacts.entries.contains_key(id) {
            rows.push(archives::contact_row(*id, contact));
        }
    }
    rows
}

/// Copies conversations whose repositories keep all rules; others are to be fetched from
/// those they are with.
fn take_conversations(
    found: &Found,
    staging: &Path,
    own: AccountId,
    known: &state::Entries<ConversationId, state::Conversation>,
    contacts: &[ContactRow],
    report: &mut JamiAccount,
    progress: &dyn Fn(&str),
) -> Vec<ConversationRow> {
    let repositories = found.directory.join("conversations");
    let on_disk = source::names(&repositories).into_iter();
    let mut all: Vec<ConversationId> = on_disk.filter_map(|name| name.parse().ok()).collect();
    all.extend(known.entries.keys());
    all.extend(
        contacts
            .iter()
            .filter(|it| it.is_active())
            .filter_map(|it| it.conversation),
    );
    all.sort_unstable();
    all.dedup();
    let mut rows = Vec::new();
    for id in all {
        let entry = known.entries.get(&id);
        if entry.is_some_and(state::Conversation::is_removed) {
            continue;
        }
        let contact = contacts.iter().find(|it| it.conversation == Some(id));
        if contact.is_some_and(|contact| !contact.is_active()) {
            continue;
        }
        let others = entry.into_iter().flat_map(|entry| entry.members.iter());
        let other = contact
            .map(|contact| contact.contact)
            .or_else(|| others.copied().find(|member| *member != own));
        let created = entry.map_or(UnixTime::default(), |entry| entry.created);
        progress(&id.to_hex());
        let mut row = archives::cloning(id, other, created);
        match take_repository(&repositories.join(id.to_hex()), staging, id, own) {
            Ok(Some((mode, peer, commits))) => {
                row.state = ConversationState::Ready;
                row.mode = mode.number();
                row.peer = peer.or(row.peer);
                report.conversations = report.conversations.saturating_add(1);
                report.commits = report.commits.saturating_add(commits);
                content::files(found, staging, id, report);
            }
            Ok(None) if row.peer.is_some() => {
                report.fetched_later = report.fetched_later.saturating_add(1);
            }
            Ok(None) => continue,
            Err(text) => {
                let place = staging.join("conversations").join(id.to_hex());
                // What is left of it goes with the whole, or does no harm.
                let _ = fs::remove_dir_all(place);
                if row.peer.is_none() {
                    report.problem(format!("conversation {id}: {text}"));
                    continue;
                }
                report.problem(format!(
                    "conversation {id}: {text}; it is fetched from the others"
                ));
                report.fetched_later = report.fetched_later.saturating_add(1);
            }
        }
        rows.push(row);
    }
    rows
}

/// Copies a repository and checks every commit of it. `None` if there is none.
fn take_repository(
    from: &Path,
    staging: &Path,
    id: ConversationId,
    own: AccountId,
) -> Result<Option<(Mode, Option<AccountId>, usize)>, String> {
    let git = from.join(".git");
    if !source::is_directory(from) || !source::is_directory(&git) {
        return Ok(None);
    }
    let to = staging.join("conversations").join(id.to_hex());
    source::copy_repository(&git, &to.join(".git")).map_err(|error| match error.kind() {
        std::io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        _ => error.to_string(),
    })?;
    let checked = baraza_swarm::verify(&to).map_err(|error| error.to_string())?;
    if checked.conversation != id {
        return Err(format!("it is the conversation {}", checked.conversation));
    }
    let repository = Repository::open(&to).map_err(|error| error.to_string())?;
    let members = repository.members().map_err(|error| error.to_string())?;
    let role = members.iter().find(|member| member.uri == own);
    let mine = role.map(|member| member.role);
    if !matches!(mine, Some(Role::Admin | Role::Member | Role::Invited)) {
        return Err("the account is no member of it any more".to_owned());
    }
    let other = members.iter().find(|member| member.uri != own);
    let other = other.filter(|_| repository.mode() == Mode::OneToOne);
    let peer = other.map(|member| member.uri);
    Ok(Some((repository.mode(), peer, checked.commits)))
}
