//! People without number: identities made of a few fixed primes, and groups of them.
//!
//! Any two of the primes make an RSA key, so that a small file holds hundreds of keys, the
//! same in every run. Whoever has the file has the keys: they are for simulations alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result};
use baraza_core::keys::Keys;
use baraza_identity::certificate::{Validity, issue_account, issue_ca, issue_device};
use baraza_identity::testing::key_of_primes;
use baraza_identity::{Archive, CertificateChain, DeviceIdentity, PrivateKey};
use baraza_store::{ConversationRow, ConversationState};
use baraza_swarm::{Author, Mode, Repository};
use baraza_wire::{ConversationId, Rng, UnixTime, hex};

use crate::hostile::Forger;
use crate::node_host::Disk;
use crate::world::UNIX_START;

const PRIMES: &str = include_str!("../testdata/primes.hex");

/// Most people there may be: everybody takes two keys, and one is the authority's.
pub const MOST: usize = 500;

/// The keys of the person of a number.
///
/// # Errors
/// If it is [`MOST`] or more.
pub fn keys(person: usize) -> Result<Keys> {
    static ISSUED: OnceLock<Mutex<BTreeMap<usize, Keys>>> = OnceLock::new();
    let mut issued = lock(ISSUED.get_or_init(Mutex::default))?;
    if let Some(keys) = issued.get(&person) {
        return Ok(keys.clone());
    }
    let keys = issue(person)?;
    issued.insert(person, keys.clone());
    Ok(keys)
}

fn lock<T>(mutex: &Mutex<T>) -> Result<std::sync::MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| anyhow::anyhow!("poisoned"))
}

/// The second device of the person of a number. Its key is the one that the device of a
/// person at the other end of the numbers would have.
///
/// # Errors
/// If the person is [`MOST`] or more.
pub fn second_device(person: usize) -> Result<Keys> {
    issue_device_of(person, MOST.saturating_sub(person.saturating_add(1)))
}

/// The devices that the person of a number has for forging.
///
/// # Errors
/// If it is [`MOST`] or more.
pub fn forger(person: usize) -> Result<Forger> {
    Ok(Forger {
        member: keys(person)?.identity,
        second: second_device(person)?.identity,
        stranger: keys(MOST / 2)?.identity,
    })
}

/// What the person of a number keeps besides devices, to revoke one.
///
/// # Errors
/// If it is [`MOST`] or more.
pub fn archive(person: usize) -> Result<Archive> {
    anyhow::ensure!(person < MOST, "there is no person {person}");
    let mut rng = Rng::from_seed(person as u64);
    let begin = UnixTime::from_secs(UNIX_START.secs() - 30 * 24 * 3600);
    let validity = Validity::from_now(begin);
    let authority = key(0)?;
    let account = key(2 * person + 2)?;
    let ca = issue_ca(&authority, validity, &mut rng)?;
    let certificate = issue_account(&authority, &ca, account.public_key(), validity, &mut rng)?;
    let chain = CertificateChain::new(vec![certificate, ca])?;
    Ok(Archive::new(account, chain, Some(authority), None)?)
}

fn issue(person: usize) -> Result<Keys> {
    issue_device_of(person, person)
}

/// A device of a person, with the key of that number.
fn issue_device_of(person: usize, number: usize) -> Result<Keys> {
    let archive = archive(person)?;
    let mut rng = Rng::from_seed(number as u64 ^ 0xdeca);
    let begin = UnixTime::from_secs(UNIX_START.secs() - 30 * 24 * 3600);
    let device = key(2 * number + 1)?;
    let leaf = issue_device(
        &archive.account_key,
        archive.account_certificate(),
        device.public_key(),
        Validity::from_now(begin),
        &mut rng,
    )?;
    let identity = DeviceIdentity::new(device, archive.account_chain.clone().with_leaf(leaf)?)?;
    Ok(Keys::issue(&archive, identity)?)
}

/// The key of a number: of the pairs of primes in order.
fn key(number: usize) -> Result<PrivateKey> {
    let primes: Vec<&str> = PRIMES.lines().collect();
    let mut pairs = (1..primes.len()).flat_map(|high| (0..high).map(move |low| (low, high)));
    let (low, high) = pairs.nth(number).context("not enough primes")?;
    let prime = |index: usize| hex::decode(primes[index]).context("not a prime");
    Ok(key_of_primes(&prime(high)?, &prime(low)?)?)
}

/// A group on a disk, in which the first so many people have joined one after the other.
#[derive(Debug)]
pub struct Group {
    /// Its id.
    pub id: ConversationId,
    disk: Disk,
}

impl Group {
    /// The group of the first `size` people; the first is its admin.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn of(size: usize) -> Result<Arc<Self>> {
        static MADE: OnceLock<Mutex<BTreeMap<usize, Arc<Group>>>> = OnceLock::new();
        let mut made = lock(MADE.get_or_init(Mutex::default))?;
        if let Some(group) = made.get(&size) {
            return Ok(Arc::clone(group));
        }
        let group = Arc::new(Self::make(size)?);
        made.insert(size, Arc::clone(&group));
        Ok(group)
    }

    fn make(size: usize) -> Result<Self> {
        let disk = Disk::new()?;
        let identities: Result<Vec<DeviceIdentity>> =
            (0..size).map(|person| Ok(keys(person)?.identity)).collect();
        let identities = identities?;
        let author = |person: usize| Author {
            identity: &identities[person],
            name: "somebody",
        };
        let begin = UnixTime::from_secs(UNIX_START.secs() - 24 * 3600);
        let at =
            |step: usize| -> UnixTime { begin.saturating_add(Duration::from_secs(step as u64)) };
        let mut repository =
            Repository::create_group(disk.path(), author(0), Mode::InvitesOnly, at(0))?;
        for (person, identity) in identities.iter().enumerate().skip(1) {
            repository.add_member(author(0), identity.account_id(), at(2 * person))?;
            repository.join(author(person), at(2 * person + 1))?;
        }
        repository.maintain()?;
        let id = repository.id();
        Ok(Self { id, disk })
    }

    /// What a member's database says of it.
    pub fn row(&self, now: UnixTime) -> ConversationRow {
        ConversationRow {
            number: 0,
            id: self.id,
            state: ConversationState::Ready,
            mode: Mode::InvitesOnly.number(),
            peer: None,
            created: now,
            removed: UnixTime::default(),
            head: None,
            length: 0,
            read: None,
        }
    }

    /// Copies it to where a member keeps conversations.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn copy_to(&self, conversations: &Path) -> Result<()> {
        let name = self.id.to_hex();
        let to = conversations.join(&name);
        std::fs::create_dir_all(&to)?;
        crate::node_host::copy_tree(&self.disk.path().join(&name), &to)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_differ_and_their_group_keeps_the_rules() {
        let ids: Vec<_> = (0..12)
            .map(|person| keys(person).unwrap().identity.account_id())
            .collect();
        let once: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(once.len(), ids.len());
        let second = second_device(3).unwrap().identity;
        assert_eq!(second.account_id(), ids[3]);
        assert_ne!(second.device_id(), keys(3).unwrap().identity.device_id());
        assert!(keys(MOST - 1).is_ok());
        assert!(keys(MOST).is_err());
        let group = Group::of(12).unwrap();
        let disk = Disk::new().unwrap();
        group.copy_to(disk.path()).unwrap();
        let repository = Repository::open(&disk.path().join(group.id.to_hex())).unwrap();
        assert_eq!(repository.members().unwrap().len(), 12);
        let verified = baraza_swarm::verify(repository.directory());
        assert!(verified.is_ok(), "{verified:?}");
    }
}
