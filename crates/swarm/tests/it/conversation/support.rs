//! Identities, and repositories that fetch from each other.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use baraza_identity::{CertificateChain, DeviceIdentity, PrivateKey};
use baraza_swarm::fetch::{FetchOutcome, Local, Nothing};
use baraza_swarm::ingest::Fetched;
use baraza_swarm::pack::PackLimits;
use baraza_swarm::repository::RepositoryError;
use baraza_swarm::upload_pack::Served;
use baraza_swarm::{Author, MergeOutcome, Repository};
use baraza_wire::{CommitId, DeviceId, UnixTime};

pub(crate) use crate::gitwire::support::{Disk, archive, git, object_id};
use crate::gitwire::support::{VECTORS, fetch, server, talk};

/// All archived conversations of both generations.
pub(crate) const REAL: [&str; 7] = [
    "swarm-1to1-alice.tar.gz",
    "swarm-1to1-bob.tar.gz",
    "swarm-group-alice.tar.gz",
    "swarm-group-carol.tar.gz",
    "head-1to1-alice.tar.gz",
    "head-1to1-bob.tar.gz",
    "head-group-alice.tar.gz",
];

/// The device identities of an archive of keys, by device.
pub(crate) fn keys(name: &str) -> BTreeMap<DeviceId, DeviceIdentity> {
    let file = std::fs::File::open(format!("{VECTORS}{name}")).unwrap();
    let mut texts = BTreeMap::new();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        texts.insert(path, text);
    }
    let mut identities = BTreeMap::new();
    for (path, text) in &texts {
        if let Some(start) = path.strip_suffix(".key.pem") {
            let key = PrivateKey::from_pem(text).unwrap();
            let chain = CertificateChain::from_pem(&texts[&format!("{start}-chain.pem")]).unwrap();
            let identity = DeviceIdentity::new(key, chain).unwrap();
            identities.insert(identity.device_id(), identity);
        }
    }
    identities
}

/// One of the fixed identities with its name.
pub(crate) struct Person {
    pub(crate) identity: DeviceIdentity,
    name: &'static str,
}

impl Person {
    pub(crate) fn new(name: &'static str) -> Self {
        let identity = baraza_identity::testing::identity(name);
        Self { identity, name }
    }

    pub(crate) fn author(&self) -> Author<'_> {
        Author {
            identity: &self.identity,
            name: self.name,
        }
    }

    pub(crate) fn account(&self) -> baraza_wire::AccountId {
        self.identity.account_id()
    }

    pub(crate) fn device(&self) -> DeviceId {
        self.identity.device_id()
    }
}

/// `seconds` after the beginning of 2026.
pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime::from_secs(1_767_225_600 + seconds)
}

/// What `local` gets from `served` over the git wire; `None` if it has everything.
pub(crate) fn fetched(local: &dyn Local, served: &dyn Served, from: DeviceId) -> Option<Fetched> {
    match talk(&mut fetch(), local, &mut server(), served, |all| all).outcome {
        Ok(FetchOutcome::Pack { pack, head }) => Some(Fetched { pack, head, from }),
        Ok(_) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Clones `from`, which belongs to `device`, to `parent`.
pub(crate) fn clone(parent: &Path, from: &Repository, device: DeviceId) -> Repository {
    let pack = fetched(&Nothing, from, device).unwrap();
    let limits = PackLimits::default();
    let (copy, commits) = Repository::clone_into(parent, from.id(), pack, &limits).unwrap();
    assert_eq!(commits.first(), Some(&CommitId::from(from.id())));
    assert_eq!(copy.head(), from.head());
    copy
}

/// `to` takes what `from` has, without merging.
pub(crate) fn pull(
    to: &mut Repository,
    from: &Repository,
    device: DeviceId,
) -> Result<Vec<CommitId>, RepositoryError> {
    match fetched(to, from, device) {
        Some(pack) => to.ingest_fetch(pack, &PackLimits::default()),
        None => Ok(Vec::new()),
    }
}

/// `to`, which belongs to `person`, takes and merges what `from` has.
pub(crate) fn sync(
    to: &mut Repository,
    person: &Person,
    from: &Repository,
    device: DeviceId,
    now: UnixTime,
) -> MergeOutcome {
    pull(to, from, device).unwrap();
    to.merge(person.author(), from.head(), now).unwrap()
}
