//! Making and opening conversations.

use std::fs;
use std::io;
use std::path::Path;

use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId, UnixTime};
use gix::objs::{FindHeader, Kind};

use super::write::{Change, Content};
use super::{Author, Repository, RepositoryError, Result, damaged, own};
use crate::certificates::IdentityError;
use crate::commit::{Draft, Parsed, lower_hex};
use crate::ingest::{Building, GIT, create_layout, write_reference};
use crate::journal::{Journal, Object};
use crate::maintain::{MaintainLimits, maintain};
use crate::message::{Message, Mode};
use crate::objects::NewObjects;
use crate::pack::{PackError, expect};
use crate::promote::{remove_stale_quarantine, write_loose};
use crate::upload_pack::object_id;
use crate::validate::{Caches, Checker, Founding};

/// The own branch.
pub(super) const MAIN: &str = "refs/heads/main";
/// Where the references of other devices are.
const REMOTES: &str = "refs/remotes";
/// What an interrupted git leaves and then stumbles over (section 2.1).
const LOCKS: [&str; 4] = [
    "HEAD.lock",
    "index.lock",
    "packed-refs.lock",
    "refs/heads/main.lock",
];
/// New packs after which they are collected.
const MAX_PACKS: usize = 24;
/// Packs an open object database has room for beyond those it begins with.
const ROOM: usize = 64;
/// Seconds by which the first commit may be late so that its id is new: two groups made
/// in one second by one account would be the same.
const MAX_BUMP: u64 = 60;

impl Repository {
    /// Opens the conversation in `directory` (whose repository is `.git` below it) and
    /// clears what an interrupted program left there. Does not read the history.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn open(directory: &Path) -> Result<Self> {
        let git = directory.join(GIT);
        if !git.is_dir() {
            return Err(unusable(directory, "there is no repository"));
        }
        for lock in LOCKS {
            match fs::remove_file(git.join(lock)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        remove_stale_quarantine(&git)?;
        let journal = Journal::open(&git)?;
        let mut repository = Self::load(directory)?;
        repository.journal = Some(journal);
        Ok(repository)
    }

    /// Opens without changing anything.
    pub(crate) fn load(directory: &Path) -> Result<Self> {
        let git = directory.join(GIT);
        let Some(head) = read_reference(&git, MAIN)? else {
            return Err(unusable(directory, "there is no branch main"));
        };
        let objects = open_objects(&git)?;
        let caches = Caches::default();
        let tree = caches.facts.get(&objects, &head)?.tree;
        let id = conversation(directory, &objects, &caches, head)?;
        let founding = founding(directory, &objects, &caches, id)?;
        let mut repository = Self {
            directory: directory.to_owned(),
            git,
            id,
            founding,
            head,
            tree,
            remotes: std::collections::BTreeMap::new(),
            objects,
            packs: 0,
            journal: None,
            caches,
            order: std::cell::RefCell::default(),
            intake: None,
            membership: std::cell::RefCell::default(),
        };
        for (device, head) in read_remotes(&repository.git)? {
            if repository.contains(&head) {
                repository.remotes.insert(device, head);
            }
        }
        Ok(repository)
    }

    /// Creates a one-to-one conversation as `parent/<id>`: complete on disk, or not at all.
    ///
    /// # Errors
    /// If the disk or the key fails.
    pub fn create_one_to_one(
        parent: &Path,
        author: Author<'_>,
        peer: AccountId,
        now: UnixTime,
    ) -> Result<Self> {
        let message = Message::Initial {
            mode: Mode::OneToOne,
            invited: Some(peer),
            parent: None,
            mime_type: None,
        };
        Self::create(parent, author, &message, now)
    }

    /// Creates a group ([`Mode::InvitesOnly`] is what clients create) as `parent/<id>`.
    ///
    /// # Errors
    /// If the disk or the key fails.
    pub fn create_group(
        parent: &Path,
        author: Author<'_>,
        mode: Mode,
        now: UnixTime,
    ) -> Result<Self> {
        if mode == Mode::OneToOne {
            return Err(RepositoryError::NotAllowed("a group is not for two"));
        }
        let message = Message::Initial {
            mode,
            invited: None,
            parent: None,
            mime_type: None,
        };
        Self::create(parent, author, &message, now)
    }

    fn create(parent: &Path, author: Author<'_>, message: &Message, now: UnixTime) -> Result<Self> {
        let mut time = now.secs();
        let last = time.saturating_add(MAX_BUMP);
        loop {
            match Self::create_at(parent, author, message, time) {
                Err(RepositoryError::Exists(_)) if time < last => time = time.saturating_add(1),
                result => return result,
            }
        }
    }

    fn create_at(parent: &Path, author: Author<'_>, message: &Message, time: u64) -> Result<Self> {
        let identity = author.identity;
        let account = identity.account_id();
        let never = gix::objs::find::Never;
        let new = NewObjects::new(&never);
        let caches = Caches::default();
        let mut changes = vec![
            Change::set(format!("admins/{account}.crt"), account_pem(author)),
            Change::set(
                format!("devices/{}.crt", identity.device_id()),
                identity.chain().leaf().to_pem().into_bytes(),
            ),
        ];
        if let Message::Initial {
            invited: Some(peer),
            ..
        } = message
        {
            changes.push(Change::set(format!("invited/{peer}"), Vec::new()));
        }
        let tree = Content::apply(&changes, &caches.trees, &new, None)?;
        let text = message.to_json();
        let draft = Draft {
            tree,
            parents: &[],
            name: author.name,
            device: identity.device_id(),
            time,
            message: text.as_bytes(),
        };
        let object = draft.sign(identity.key())?;
        let commit = new.add(Kind::Commit, object.clone());
        let id = CommitId::from_slice(commit.as_bytes()).ok_or(PackError::Collision)?;
        let parsed = Parsed::new(&object).map_err(|broken| damaged(parent, broken))?;
        Checker::new(&new, &caches, ConversationId::from(id), None)
            .check(&id, &parsed)
            .map_err(|error| own(id, error))?;
        let directory = parent.join(id.to_hex());
        if directory.exists() {
            return Err(RepositoryError::Exists(directory));
        }
        let building = Building::new(&directory)?;
        let git = building.git_directory();
        create_layout(&git)?;
        let objects = new.into_vec(|_| false)?;
        let objects = objects
            .iter()
            .map(|(id, kind, data)| (*id, *kind, data.as_slice()));
        write_loose(&git, objects, true)?;
        write_reference(&git, MAIN, &id)?;
        building.finish(&directory)?;
        Self::load(&directory)
    }

    /// The journal, which is only opened for writing.
    pub(super) fn journal(&mut self) -> Result<&mut Journal> {
        if self.journal.is_none() {
            self.journal = Some(Journal::open(&self.git)?);
        }
        self.journal
            .as_mut()
            .ok_or_else(|| unusable(&self.directory, "there is no journal"))
    }

    /// Puts few objects and references on stable storage.
    pub(super) fn store(
        &mut self,
        objects: &[Object],
        references: &[(String, CommitId)],
    ) -> Result<()> {
        // Another thread may be reading what would be moved.
        let may_move = self.intake.is_none();
        let journal = self.journal()?;
        journal.append(objects, references)?;
        if journal.is_long() && may_move {
            let settled = journal.settle();
            if settled.is_ok() {
                self.packed();
            }
            self.put_off("empty the journal", settled.map_err(RepositoryError::from));
        }
        Ok(())
    }

    /// Counts a new pack; now and then many small packs become one.
    pub(super) fn packed(&mut self) {
        self.packs = self.packs.saturating_add(1);
        if self.packs > MAX_PACKS && self.intake.is_none() {
            let done = self.maintain_above(&MaintainLimits {
                packs: MAX_PACKS,
                ..MaintainLimits::default()
            });
            self.put_off("collect packs", done);
        }
    }

    /// What was asked for is done and durable; that the disk could not be tidied up is no
    /// reason to say otherwise.
    fn put_off(&self, what: &str, result: Result<()>) {
        if let Err(error) = result {
            tracing::warn!(conversation = %self.id, %error, "cannot {what} now");
        }
    }

    fn maintain_above(&mut self, limits: &MaintainLimits) -> Result<()> {
        maintain(&self.git, limits)?;
        self.objects = open_objects(&self.git)?;
        // From here on what counts is the room in the database, not what is on disk.
        self.packs = 0;
        Ok(())
    }

    /// Closes the files of the history until it is needed again: they are mapped into memory,
    /// which is much for many long conversations of which nothing is wanted.
    ///
    /// # Errors
    /// If the directory cannot be read; then they stay open.
    pub fn rest(&mut self) -> Result<()> {
        let open = self.objects.store_ref().metrics();
        if self.intake.is_none() && open.open_reachable_indices > 0 {
            self.objects = open_objects(&self.git)?;
            self.packs = 0;
        }
        Ok(())
    }

    /// Collects loose objects and small packs when there are many. Worth a call now and
    /// then; nothing else may have the conversation open.
    ///
    /// # Errors
    /// If an object cannot be read or the disk fails; nothing is lost.
    pub fn maintain(&mut self) -> Result<()> {
        if self.intake.is_some() {
            return Ok(());
        }
        self.journal()?.settle()?;
        self.maintain_above(&MaintainLimits::default())
    }
}

fn unusable(directory: &Path, why: &str) -> RepositoryError {
    RepositoryError::Unusable {
        path: directory.to_owned(),
        why: why.to_owned(),
    }
}

/// The objects. An open database has room for a limited number of packs, counting those
/// that are gone again: [`Repository::packed`] opens it anew in time.
pub(super) fn open_objects(git: &Path) -> Result<gix::odb::Handle> {
    let objects = git.join("objects");
    let packs = match fs::read_dir(objects.join("pack")) {
        Ok(entries) => entries.count(),
        Err(_) => 0,
    };
    let room = u16::try_from(packs.saturating_add(ROOM)).unwrap_or(u16::MAX);
    let options = gix::odb::store::init::Options {
        slots: gix::odb::store::init::Slots::Given(room),
        ..Default::default()
    };
    Ok(gix::odb::at_opts(
        objects,
        gix::hash::Kind::Sha1,
        None,
        options,
    )?)
}

/// Account certificate and issuers, as `admins/` and `members/` hold them.
pub(super) fn account_pem(author: Author<'_>) -> Vec<u8> {
    let chain = author.identity.chain().account_chain();
    chain.map(|chain| chain.to_pem()).unwrap_or_default().into()
}

/// A reference, loose or packed.
fn read_reference(git: &Path, name: &str) -> Result<Option<CommitId>> {
    match fs::read(git.join(name)) {
        Ok(text) => Ok(lower_hex(text.trim_ascii())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let packed = fs::read_to_string(git.join("packed-refs")).unwrap_or_default();
            Ok(packed.lines().find_map(|line| {
                let (id, packed) = line.split_once(' ')?;
                (packed == name).then(|| lower_hex(id.as_bytes()))?
            }))
        }
        Err(error) => Err(error.into()),
    }
}

/// The heads of other devices.
fn read_remotes(git: &Path) -> Result<Vec<(DeviceId, CommitId)>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(git.join(REMOTES)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let Some(device) = lower_hex::<DeviceId>(name.as_encoded_bytes()) else {
            continue;
        };
        if let Some(head) = read_reference(git, &format!("{REMOTES}/{device}/main"))? {
            found.push((device, head));
        }
    }
    Ok(found)
}

/// The first commit: what the directory is named after, or else at the end of the history.
fn conversation(
    directory: &Path,
    objects: &gix::odb::Handle,
    caches: &Caches,
    head: CommitId,
) -> Result<ConversationId> {
    let named = directory
        .file_name()
        .and_then(|name| lower_hex::<ConversationId>(name.as_encoded_bytes()));
    if let Some(id) = named
        && is_commit(objects, &id.into())
    {
        return Ok(id);
    }
    let mut id = head;
    loop {
        match caches.facts.get(objects, &id)?.parents.first() {
            Some(parent) => id = *parent,
            None => return Ok(id.into()),
        }
    }
}

fn founding(
    directory: &Path,
    objects: &gix::odb::Handle,
    caches: &Caches,
    id: ConversationId,
) -> Result<Founding> {
    let id = CommitId::from(id);
    let mut buffer = Vec::new();
    let data = expect(objects, &object_id(&id), Kind::Commit, &mut buffer)?.data;
    let parsed = Parsed::new(data).map_err(|broken| damaged(directory, broken))?;
    let Ok((Message::Initial { mode, invited, .. }, _)) = Message::parse(parsed.message) else {
        return Err(unusable(directory, "the first commit founds nothing"));
    };
    let creator = caches
        .certificates
        .identify(objects, &caches.trees, parsed.tree, parsed.device)
        .map_err(|error| match error {
            IdentityError::Broken(broken) => damaged(directory, broken),
            IdentityError::Tree(error) => error.into(),
        })?
        .account;
    Ok(Founding {
        mode,
        creator,
        invited: invited.filter(|_| mode == Mode::OneToOne),
    })
}

pub(super) fn is_commit(objects: &gix::odb::Handle, id: &CommitId) -> bool {
    matches!(
        objects.try_header(&object_id(id)),
        Ok(Some(header)) if header.kind == Kind::Commit
    )
}
