//! Reading: heads, messages, members.

use std::sync::Arc;

use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId, UnixTime};
use gix::ObjectId;
use gix::objs::{Find, Kind};

use super::open::is_commit;
use super::{CommitInfo, Entry, Repository, RepositoryError, Result, damaged};
use crate::commit::{Parsed, lower_hex};
use crate::fetch::Local;
use crate::graph::Facts;
use crate::history::Order;
use crate::members::{Member, Membership, Role};
use crate::message::{Fields, Message, Mode};
use crate::pack::{PackError, expect};
use crate::upload_pack::{Served, object_id};
use crate::view::View;

/// Commits of the own branch looked at to see what was merged.
const MERGED_RECENTLY: usize = 500;

impl Repository {
    /// Where it is.
    pub fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// Which conversation this is: the id of its first commit.
    pub fn id(&self) -> ConversationId {
        self.id
    }

    /// What the conversation is for.
    pub fn mode(&self) -> Mode {
        self.founding.mode
    }

    /// Who created it.
    pub fn creator(&self) -> AccountId {
        self.founding.creator
    }

    /// The newest commit of the own branch.
    pub fn head(&self) -> CommitId {
        self.head
    }

    /// The last head fetched from a device.
    pub fn remote_head(&self, device: &DeviceId) -> Option<CommitId> {
        self.remotes.get(device).copied()
    }

    /// The last heads fetched, by device.
    pub fn remote_heads(&self) -> impl Iterator<Item = (DeviceId, CommitId)> + '_ {
        self.remotes.iter().map(|(device, head)| (*device, *head))
    }

    /// Calls `with` with heads and objects for the git wire; never `None`. The repository
    /// itself is [`Served`] and [`Local`] too.
    pub fn with_view<T>(&self, with: impl FnOnce(&View<'_>) -> T) -> Option<T> {
        Some(with(&View {
            objects: &self.objects,
            head: Some(self.head),
            remote_head: &|device| self.remote_head(device),
        }))
    }

    /// Whether this commit is here, and so valid.
    pub fn contains(&self, id: &CommitId) -> bool {
        is_commit(&self.objects, id)
    }

    /// Heads of other devices that are not part of the own branch, by reading the newest
    /// commits: what an interrupted program fetched but did not merge.
    ///
    /// # Errors
    /// If a commit cannot be read.
    pub fn unmerged_heads(&self) -> Result<Vec<CommitId>> {
        let mut heads: Vec<CommitId> = self.remotes.values().copied().collect();
        heads.sort();
        heads.dedup();
        let mut oldest = u64::MAX;
        for (id, facts) in self.newest(&[self.head], MERGED_RECENTLY)? {
            if heads.is_empty() {
                break;
            }
            heads.retain(|head| *head != id);
            oldest = oldest.min(facts.time);
        }
        let mut unmerged = Vec::new();
        for head in heads {
            // Older ones were merged long ago.
            if self.facts(&head)?.time >= oldest {
                unmerged.push(head);
            }
        }
        Ok(unmerged)
    }

    /// At most `count` entries of the history, newest first, beginning with `from`, or with
    /// the head (docs/protocol/06-messages-files.md section 10.2). Pages that follow each
    /// other cost the same each. Merges are among the entries.
    ///
    /// # Errors
    /// If `from` is not here, or a commit cannot be read.
    pub fn history(&self, from: Option<&CommitId>, count: usize) -> Result<Vec<Entry>> {
        let facts = |id: &CommitId| self.facts(id);
        let with_next = count.saturating_add(1);
        let mut order = self.order.borrow_mut();
        order.move_to(self.head, &facts)?;
        let place = match from {
            None => Some(0),
            Some(id) if self.contains(id) => order.place(id, &facts)?,
            Some(id) => return Err(RepositoryError::UnknownCommit(*id)),
        };
        let ids = match (place, from) {
            (Some(place), _) => order.page(place, with_next, &facts)?,
            // Not an ancestor of the head: the line that begins with it.
            (None, Some(id)) => {
                let mut other = Order::default();
                other.move_to(*id, &facts)?;
                other.page(0, with_next, &facts)?
            }
            (None, None) => Vec::new(),
        };
        drop(order);
        let mut entries = Vec::with_capacity(ids.len().min(count));
        for (index, id) in ids.iter().enumerate().take(count) {
            entries.push(Entry {
                commit: self.commit_info(id)?,
                linearized_parent: ids.get(index.saturating_add(1)).copied(),
            });
        }
        Ok(entries)
    }

    /// The place of a commit in the history, 0 for the head; `None` if it is not part of
    /// it.
    ///
    /// # Errors
    /// If a commit cannot be read.
    pub fn position(&self, id: &CommitId) -> Result<Option<usize>> {
        let facts = |id: &CommitId| self.facts(id);
        let mut order = self.order.borrow_mut();
        order.move_to(self.head, &facts)?;
        Ok(order.place(id, &facts)?)
    }

    /// One commit.
    ///
    /// # Errors
    /// If it is not here or cannot be read.
    pub fn commit_info(&self, id: &CommitId) -> Result<CommitInfo> {
        let mut buffer = Vec::new();
        let data = match expect(&self.objects, &object_id(id), Kind::Commit, &mut buffer) {
            Ok(data) => data.data,
            Err(PackError::Missing(_)) => return Err(RepositoryError::UnknownCommit(*id)),
            Err(error) => return Err(error.into()),
        };
        let parsed = Parsed::new(data).map_err(|broken| damaged(&self.directory, broken))?;
        let author = self.author(&parsed)?;
        let (message, fields) = if parsed.parents.len() > 1 {
            (Message::Merge, Fields::new())
        } else {
            let read = Message::parse(parsed.message);
            read.map_err(|error| RepositoryError::Unusable {
                path: self.directory.clone(),
                why: error.to_string(),
            })?
        };
        Ok(CommitInfo {
            id: *id,
            author,
            device: parsed.device,
            name: String::from_utf8_lossy(parsed.name).into_owned(),
            time: UnixTime::from_secs(parsed.time),
            parents: parsed.parents,
            message,
            fields,
        })
    }

    /// The account of the device that wrote a commit: the device is in its tree, or, if it
    /// left with that commit, in the tree before.
    fn author(&self, parsed: &Parsed<'_>) -> Result<AccountId> {
        let path = format!("devices/{}.crt", parsed.device);
        let mut file = self.file_in(parsed.tree, &path)?;
        if let (None, Some(parent)) = (file, parsed.parents.first()) {
            file = self.file_in(self.facts(parent)?.tree, &path)?;
        }
        let owner = match file {
            Some(file) => self.caches.certificates.owner(&self.objects, file)?,
            None => None,
        };
        owner.ok_or_else(|| RepositoryError::Unusable {
            path: self.directory.clone(),
            why: format!("nobody owns device {}", parsed.device),
        })
    }

    /// What tells one state of members, devices and profile from another: it stays the same
    /// as long as only messages are written.
    pub fn tree(&self) -> [u8; 20] {
        let mut id = [0; 20];
        for (byte, other) in id.iter_mut().zip(self.tree.as_bytes()) {
            *byte = *other;
        }
        id
    }

    /// All accounts that are or were part of it, by role.
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn members(&self) -> Result<Vec<Member>> {
        let membership = self.membership()?;
        let mut members: Vec<Member> = membership
            .roles
            .iter()
            .map(|(uri, role)| Member {
                uri: *uri,
                role: *role,
            })
            .collect();
        members.sort_by_key(|member| (member.role, member.uri));
        Ok(members)
    }

    /// What an account is in this conversation; `None` for strangers.
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn role(&self, account: &AccountId) -> Result<Option<Role>> {
        Ok(self.membership()?.roles.get(account).copied())
    }

    /// Whether an account may fetch from here: admins, members, invited, and the two of a
    /// one-to-one conversation unless banned (section 6).
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn is_authorised(&self, account: &AccountId) -> Result<bool> {
        Ok(matches!(
            self.role(account)?,
            Some(Role::Admin | Role::Member | Role::Invited | Role::Left)
        ))
    }

    /// Whether a device is banned by itself (section 6).
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn is_banned_device(&self, device: &DeviceId) -> Result<bool> {
        Ok(self.membership()?.banned_devices.contains(device))
    }

    /// The devices that wrote here, with the accounts that certified them.
    ///
    /// # Errors
    /// If the tree cannot be read.
    pub fn devices(&self) -> Result<Vec<(DeviceId, AccountId)>> {
        let mut devices = Vec::new();
        for (name, file) in self.files_in("devices")? {
            let device = name.strip_suffix(".crt");
            let device = device.and_then(|device| lower_hex(device.as_bytes()));
            let owner = self.caches.certificates.owner(&self.objects, file)?;
            devices.extend(device.zip(owner));
        }
        Ok(devices)
    }

    /// The file `profile.vcf`, if there is one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn profile(&self) -> Result<Option<Vec<u8>>> {
        self.read_file("profile.vcf")
    }

    /// The content of a file of the head's tree, if it is there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_file(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.file(path)? else {
            return Ok(None);
        };
        let mut buffer = Vec::new();
        let data = expect(&self.objects, &file, Kind::Blob, &mut buffer)?.data;
        Ok(Some(data.to_vec()))
    }

    fn membership(&self) -> Result<Arc<Membership>> {
        if let Some((tree, membership)) = &*self.membership.borrow()
            && *tree == self.tree
        {
            return Ok(Arc::clone(membership));
        }
        let trees = &self.caches.trees;
        let membership = Membership::read(trees, &self.objects, self.tree, &self.founding)?;
        let membership = Arc::new(membership);
        self.membership
            .replace(Some((self.tree, Arc::clone(&membership))));
        Ok(membership)
    }

    pub(super) fn file(&self, path: &str) -> Result<Option<ObjectId>> {
        self.file_in(self.tree, path)
    }

    fn file_in(&self, root: ObjectId, path: &str) -> Result<Option<ObjectId>> {
        Ok(self.caches.trees.file(&self.objects, root, path)?)
    }

    pub(super) fn files_in(&self, path: &str) -> Result<Vec<(String, ObjectId)>> {
        let trees = &self.caches.trees;
        Ok(trees.files_in(&self.objects, self.tree, path)?)
    }

    pub(super) fn facts(&self, id: &CommitId) -> Result<Arc<Facts>, PackError> {
        self.caches.facts.get(&self.objects, id)
    }

    /// At most `max` commits that `heads` lead to, newest first by their own account.
    fn newest(
        &self,
        heads: &[CommitId],
        max: usize,
    ) -> Result<Vec<(CommitId, Arc<Facts>)>, PackError> {
        let mut queue = std::collections::BTreeMap::new();
        let mut seen = std::collections::HashSet::new();
        let mut found = Vec::new();
        let mut waiting = heads.to_vec();
        while found.len() < max {
            for id in waiting.drain(..) {
                if seen.insert(id) {
                    let facts = self.facts(&id)?;
                    queue.insert((facts.time, id), facts);
                }
            }
            let Some(((_, id), facts)) = queue.pop_last() else {
                break;
            };
            waiting.clone_from(&facts.parents);
            found.push((id, facts));
        }
        Ok(found)
    }
}

impl Served for Repository {
    fn head(&self) -> Option<CommitId> {
        Some(self.head)
    }

    fn objects(&self) -> &dyn Find {
        &self.objects
    }
}

impl Local for Repository {
    fn contains(&self, id: &CommitId) -> bool {
        Self::contains(self, id)
    }

    fn haves(&self, peer: &DeviceId, max: usize) -> Vec<CommitId> {
        // Existing servers take the first have for the common one, so begin with what the
        // peer certainly has.
        let remote = self.remote_head(peer);
        let mut haves: Vec<CommitId> = remote.into_iter().collect();
        let heads: Vec<CommitId> = [Some(self.head), remote].into_iter().flatten().collect();
        // Haves are only hints: what cannot be read is left out.
        let newest = self.newest(&heads, max).unwrap_or_default();
        haves.extend(
            newest
                .into_iter()
                .map(|(id, _)| id)
                .filter(|id| Some(*id) != remote),
        );
        haves.truncate(max);
        haves
    }
}
