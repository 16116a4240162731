//! Files that were sent and received, and profiles.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use baraza_store::ProfileRow;
use baraza_swarm::{Message, Repository, Stop};
use baraza_wire::{AccountId, CommitId, ConversationId, Rng, UnixTime};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::JamiAccount;
use crate::account::profiles::stored;
use crate::command::MAX_NAME;
use crate::files::{Area, Staged};
use crate::jami::source::{self, Found};
use crate::protocol::transfer::{file_id, is_sha3, is_tid};
use crate::protocol::vcard::Profile;

/// Commits read at once.
const PAGE: usize = 1000;

/// A file that a message offers, and nobody took back.
struct Offer {
    author: AccountId,
    /// Its name there.
    id: String,
    /// As the author calls it.
    name: String,
    sha3: String,
    size: u64,
}

/// Copies what is there of the files of a conversation that was taken over, if it is what its
/// message says.
pub(super) fn files(found: &Found, staging: &Path, id: ConversationId, report: &mut JamiAccount) {
    let offers = match offers(&staging.join("conversations").join(id.to_hex())) {
        Ok(offers) => offers,
        Err(error) => return report.problem(format!("files of conversation {id}: {error}")),
    };
    let from = found.directory.join("conversation_data").join(id.to_hex());
    let area = Area::new(staging);
    let mut missing = 0_u64;
    for offer in offers.into_values() {
        let to = area.content(&id, &offer.sha3);
        if to.exists() {
            report.files = report.files.saturating_add(1);
            continue;
        }
        let copied = take(&from.join(&offer.id), &area, &to, &offer);
        match copied {
            Ok(()) => report.files = report.files.saturating_add(1),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing = missing.saturating_add(1);
            }
            Err(error) => {
                let name = &offer.name;
                report.problem(format!("the file {name:?} of conversation {id}: {error}"));
            }
        }
    }
    if missing > 0 {
        report.problem(format!(
            "{missing} files of conversation {id} are not there; they can be fetched from the \
             others"
        ));
    }
}

/// The files that a conversation has.
fn offers(repository: &Path) -> Result<BTreeMap<CommitId, Offer>, baraza_swarm::RepositoryError> {
    let repository = Repository::open(repository)?;
    let (mut offers, mut removed) = (BTreeMap::new(), Vec::new());
    let mut from = None;
    loop {
        let page = repository.history(from.as_ref(), PAGE)?;
        let last = page.last().and_then(|entry| entry.linearized_parent);
        for entry in page {
            let commit = entry.commit;
            match commit.message {
                Message::File {
                    name,
                    sha3sum,
                    tid,
                    size,
                    ..
                } if is_sha3(&sha3sum) && is_tid(&tid) => {
                    let offer = Offer {
                        author: commit.author,
                        id: file_id(&commit.id, &tid, &name),
                        name,
                        sha3: sha3sum,
                        size,
                    };
                    offers.insert(commit.id, offer);
                }
                Message::RemoveFile { of } => removed.push((of, commit.author)),
                _ => {}
            }
        }
        match last {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    for (of, author) in removed {
        if offers.get(&of).is_some_and(|offer| offer.author == author) {
            offers.remove(&of);
        }
    }
    Ok(offers)
}

/// Copies a content. A daemon keeps links to files that its user has elsewhere: they are
/// followed here, as only what has the hash that the message says is kept.
fn take(from: &Path, area: &Area, to: &Path, offer: &Offer) -> io::Result<()> {
    // A name that leads out of the directory is none: it comes from a message.
    if offer.id.contains(['/', '\\', '\0']) {
        return Err(io::Error::other("its name cannot be one of a file"));
    }
    let input = source::open_content(from)?;
    let about = input.metadata()?;
    if about.len() != offer.size {
        return Err(io::Error::other(
            "it has another length than its message says",
        ));
    }
    let name = Rng::from_os().u64();
    let staged =
        Staged::copy(input, &area.staging(), name, &Stop::default()).map_err(io::Error::other)?;
    if staged.sha3 != offer.sha3 {
        staged.discard();
        return Err(io::Error::other("it is not what its message says"));
    }
    let placed = to.parent().map(|directory| staged.place(directory));
    placed.transpose().map_err(io::Error::other)?;
    Ok(())
}

/// One's own profile and those of others, as far as they can be read.
pub(super) fn profiles(
    account: &Path,
    own: AccountId,
    report: &mut JamiAccount,
) -> Vec<ProfileRow> {
    let mut rows: Vec<ProfileRow> = Vec::new();
    let others = account.join("profiles");
    let mut all = vec![(
        "profile.vcf".to_owned(),
        account.join("profile.vcf"),
        Some(own),
    )];
    for name in source::names(&others) {
        let path = others.join(&name);
        let owner = owner(&name);
        all.push((format!("profiles/{name}"), path, owner));
    }
    for (name, path, owner) in all {
        let Some(owner) = owner else {
            report.problem(format!("{name:?} is nobody's profile"));
            continue;
        };
        // One's own may be among the others', too.
        if rows.iter().any(|row| row.owner == owner) {
            continue;
        }
        match read(&path, owner) {
            Ok(Some(row)) => rows.push(row),
            Ok(None) => {}
            Err(text) => report.problem(format!("{name}: {text}")),
        }
    }
    rows
}

/// Whose profile a file holds, by its name: the Jami ID as base64.
fn owner(name: &str) -> Option<AccountId> {
    let uri = STANDARD.decode(name.strip_suffix(".vcf")?).ok()?;
    let uri = String::from_utf8(uri).ok()?;
    let id = uri.rsplit_once(':').map_or(uri.as_str(), |(_, id)| id);
    id.parse().ok()
}

fn read(path: &Path, owner: AccountId) -> Result<Option<ProfileRow>, String> {
    let bytes = source::read(path).map_err(|error| error.to_string())?;
    // A daemon's client makes the file before there is something in it.
    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
        return Ok(None);
    };
    let mut profile = Profile::parse(&bytes).map_err(|error| error.to_string())?;
    if profile.name.len() > MAX_NAME {
        profile.name.clear();
    }
    let changed = fs::symlink_metadata(path)
        .and_then(|found| found.modified())
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_secs());
    Ok(Some(ProfileRow {
        owner,
        name: profile.name,
        picture: profile.photo.map(stored),
        changed: UnixTime::from_secs(changed),
    }))
}
