//! Writing commits. Every commit is checked by the rules for those of others before
//! anything is stored: what is refused there must not be written here.

use std::collections::BTreeMap;
use std::sync::Arc;

use baraza_wire::{AccountId, CommitId, UnixTime};
use gix::ObjectId;
use gix::objs::{Exists, Kind};

use super::open::{MAIN, account_pem};
use super::{Author, Divergence, MergeOutcome, Repository, RepositoryError, Result, own};
use crate::certificates::IdentityError;
use crate::commit::{Draft, Parsed, merge_message};
use crate::graph::{Facts, Graph, GraphError, Placed};
use crate::members::Role;
use crate::merge::{Sides, three_way};
use crate::message::{MAX_MESSAGE, MemberAction, Message, Mode};
use crate::objects::NewObjects;
use crate::pack::PackError;
use crate::promote::LOOSE_MAX;
use crate::refusal::{Refused, Rule};
use crate::tree::{TreeError, Trees};
use crate::validate::{Checker, MAX_PROFILE};

/// A file to be changed by a commit.
pub(super) struct Change {
    path: String,
    content: Content,
}

/// What becomes of a file.
pub(super) enum Content {
    Bytes(Vec<u8>),
    /// A file that is elsewhere in the tree.
    Known(ObjectId),
    Gone,
}

impl Change {
    pub(super) fn set(path: String, bytes: Vec<u8>) -> Self {
        let content = Content::Bytes(bytes);
        Self { path, content }
    }

    fn remove(path: String) -> Self {
        let content = Content::Gone;
        Self { path, content }
    }
}

impl Content {
    /// The tree with the changes.
    pub(super) fn apply(
        changes: &[Change],
        trees: &Trees,
        new: &NewObjects<'_>,
        tree: Option<ObjectId>,
    ) -> Result<ObjectId, TreeError> {
        let changes: BTreeMap<String, Option<ObjectId>> = changes
            .iter()
            .map(|change| {
                let file = match &change.content {
                    Self::Bytes(bytes) => Some(new.add(Kind::Blob, bytes.clone())),
                    Self::Known(id) => Some(*id),
                    Self::Gone => None,
                };
                (change.path.clone(), file)
            })
            .collect();
        trees.edit(new, tree, &changes)
    }
}

/// Merges of the own branch looked at before one more is written.
const MAX_LEFT_BEHIND: usize = 32;

/// What a search that gives no answer means for a head that was to be merged.
fn entangled(remote: CommitId, error: GraphError) -> RepositoryError {
    match error {
        GraphError::Pack(error) => error.into(),
        GraphError::TooManySteps => RepositoryError::Refused(Refused {
            commit: remote,
            rule: Rule::Limit,
            text: error.to_string(),
            author: None,
        }),
    }
}

/// A commit to be: what it says, and what it changes.
struct Step {
    message: String,
    changes: Vec<Change>,
    /// Whether to introduce or renew the own device (a leaving one does not).
    introduce: bool,
}

impl Step {
    fn of(message: &Message, changes: Vec<Change>) -> Self {
        Self {
            message: message.to_json(),
            changes,
            introduce: true,
        }
    }
}

impl Repository {
    /// Writes one commit on top of the head.
    ///
    /// # Errors
    /// If the own account may not write it, or the disk or key fails.
    pub fn commit(
        &mut self,
        author: Author<'_>,
        message: &Message,
        now: UnixTime,
    ) -> Result<CommitId> {
        self.write_one(author, Step::of(plain(message)?, Vec::new()), now)
    }

    /// Writes many commits on top of the head, durable together: all of them, or none.
    ///
    /// # Errors
    /// As [`Self::commit`], for the first that cannot be written; none is then.
    pub fn commit_batch(
        &mut self,
        author: Author<'_>,
        messages: &[Message],
        now: UnixTime,
    ) -> Result<Vec<CommitId>> {
        let steps: Result<Vec<Step>> = messages
            .iter()
            .map(|message| Ok(Step::of(plain(message)?, Vec::new())))
            .collect();
        self.write(author, &steps?, now)
    }

    /// Joins after a clone (section 4.4); `None` if the own account is a member already.
    ///
    /// # Errors
    /// If the own account is not invited, or the disk or key fails.
    pub fn join(&mut self, author: Author<'_>, now: UnixTime) -> Result<Option<CommitId>> {
        let account = author.identity.account_id();
        match self.role(&account)? {
            Some(Role::Admin | Role::Member) => return Ok(None),
            Some(Role::Invited) => {}
            _ => {
                return Err(RepositoryError::NotAllowed(
                    "the own account is not invited",
                ));
            }
        }
        let changes = vec![
            Change::remove(format!("invited/{account}")),
            Change::set(format!("members/{account}.crt"), account_pem(author)),
        ];
        let step = Step::of(&member(MemberAction::Join, account), changes);
        self.write_one(author, step, now).map(Some)
    }

    /// Adds a member (section 4.3); `None` if `uri` is a member or invited already and only
    /// needs another invitation.
    ///
    /// # Errors
    /// If it is banned or, in a one-to-one conversation, somebody else.
    pub fn add_member(
        &mut self,
        author: Author<'_>,
        uri: AccountId,
        now: UnixTime,
    ) -> Result<Option<CommitId>> {
        match self.role(&uri)? {
            Some(Role::Admin | Role::Member | Role::Invited) => return Ok(None),
            Some(Role::Banned) => return Err(RepositoryError::NotAllowed("the account is banned")),
            Some(Role::Left) => {}
            None if self.founding.mode == Mode::OneToOne => {
                return Err(RepositoryError::NotAllowed(
                    "this conversation is for two accounts",
                ));
            }
            None => {}
        }
        let changes = vec![Change::set(format!("invited/{uri}"), Vec::new())];
        let step = Step::of(&member(MemberAction::Add, uri), changes);
        self.write_one(author, step, now).map(Some)
    }

    /// Leaves (section 4.5). The device must have written before, else nobody could tell
    /// whose commit that is.
    ///
    /// # Errors
    /// If the own account is no member, or the disk or key fails.
    pub fn leave(&mut self, author: Author<'_>, now: UnixTime) -> Result<CommitId> {
        let account = author.identity.account_id();
        let mut changes = Vec::new();
        for path in [
            format!("admins/{account}.crt"),
            format!("members/{account}.crt"),
        ] {
            if self.file(&path)?.is_some() {
                changes.push(Change::remove(path));
            }
        }
        if changes.is_empty() {
            return Err(RepositoryError::NotAllowed("the own account is no member"));
        }
        for (device, owner) in self.devices()? {
            if owner == account {
                changes.push(Change::remove(format!("devices/{device}.crt")));
            }
        }
        let step = Step {
            introduce: false,
            ..Step::of(&member(MemberAction::Remove, account), changes)
        };
        self.write_one(author, step, now)
    }

    /// Votes for banning an account, and bans it if that makes a majority (section 4.6).
    ///
    /// # Errors
    /// If the own account is no admin, or there is nobody to ban.
    pub fn ban(
        &mut self,
        author: Author<'_>,
        uri: AccountId,
        now: UnixTime,
    ) -> Result<Vec<CommitId>> {
        self.vote(author, uri, true, now)
    }

    /// Votes for taking an account back, and does if that makes a majority (section 4.6).
    ///
    /// # Errors
    /// If the own account is no admin, or the account is not banned.
    pub fn unban(
        &mut self,
        author: Author<'_>,
        uri: AccountId,
        now: UnixTime,
    ) -> Result<Vec<CommitId>> {
        self.vote(author, uri, false, now)
    }

    fn vote(
        &mut self,
        author: Author<'_>,
        uri: AccountId,
        ban: bool,
        now: UnixTime,
    ) -> Result<Vec<CommitId>> {
        let account = author.identity.account_id();
        if self.role(&account)? != Some(Role::Admin) {
            return Err(RepositoryError::NotAllowed("the own account is no admin"));
        }
        if uri == account {
            return Err(RepositoryError::NotAllowed("nobody votes on itself"));
        }
        let from = if ban { "" } else { "banned/" };
        let mut found = None;
        for (kind, end) in [("members", ".crt"), ("admins", ".crt"), ("invited", "")] {
            let path = format!("{kind}/{uri}{end}");
            if let Some(file) = self.file(&format!("{from}{path}"))? {
                found = found.or(Some((kind, path, file)));
            }
        }
        let Some((kind, path, file)) = found else {
            return Err(RepositoryError::NotAllowed(if ban {
                "the account is no member"
            } else {
                "the account is not banned"
            }));
        };
        let action = if ban {
            MemberAction::Ban
        } else {
            MemberAction::Unban
        };
        let votes = format!("votes/{action}/{kind}/{uri}");
        let mut voters: Vec<String> = self
            .files_in(&votes)?
            .into_iter()
            .map(|(voter, _)| voter)
            .collect();
        let own_vote = account.to_hex();
        let mut steps = Vec::new();
        if !voters.contains(&own_vote) {
            let vote = Message::Vote { uri: uri.to_hex() };
            let cast = Change::set(format!("{votes}/{own_vote}"), Vec::new());
            steps.push(Step::of(&vote, vec![cast]));
            voters.push(own_vote);
        }
        let admins = self.files_in("admins")?;
        let counted = admins
            .iter()
            .filter_map(|(name, _)| name.strip_suffix(".crt"))
            .filter(|admin| voters.iter().any(|voter| voter == admin))
            .count();
        if counted.saturating_mul(2) > admins.len() {
            let banned = format!("banned/{path}");
            let (old, new) = if ban { (path, banned) } else { (banned, path) };
            let mut changes = vec![
                Change::remove(old),
                Change {
                    path: new,
                    content: Content::Known(file),
                },
            ];
            for voter in &voters {
                changes.push(Change::remove(format!("{votes}/{voter}")));
            }
            steps.push(Step::of(&member(action, uri), changes));
        }
        if steps.is_empty() {
            return Err(RepositoryError::Pointless("the own vote was cast already"));
        }
        self.write(author, &steps, now)
    }

    /// Replaces `profile.vcf` (section 4.7).
    ///
    /// # Errors
    /// If the own account is no admin, or the disk or key fails.
    pub fn update_profile(
        &mut self,
        author: Author<'_>,
        vcard: &[u8],
        now: UnixTime,
    ) -> Result<CommitId> {
        if vcard.len() > MAX_PROFILE {
            return Err(RepositoryError::NotAllowed("the profile is too large"));
        }
        let changes = vec![Change::set("profile.vcf".to_owned(), vcard.to_vec())];
        self.write_one(author, Step::of(&Message::Profile, changes), now)
    }

    /// Joins another head that is here into the own branch (section 5.11).
    ///
    /// # Errors
    /// If it is not here, or the disk or key fails.
    pub fn merge(
        &mut self,
        author: Author<'_>,
        remote: CommitId,
        now: UnixTime,
    ) -> Result<MergeOutcome> {
        if remote == self.head {
            return Ok(MergeOutcome::UpToDate);
        }
        if !self.contains(&remote) {
            return Err(RepositoryError::UnknownCommit(remote));
        }
        let bases = self.bases(remote)?;
        if let Some(intake) = &mut self.intake {
            intake.linear = false;
        }
        if bases == [remote] {
            return Ok(MergeOutcome::UpToDate);
        }
        let theirs = self.caches.facts.get(&self.objects, &remote)?;
        if bases == [self.head] {
            self.store(&[], &[(MAIN.to_owned(), remote)])?;
            self.move_head(remote, theirs.tree);
            return Ok(MergeOutcome::FastForward);
        }
        if self.has_only_merges_beside(remote)? {
            // A merge of merges would have to be merged by everybody else, and so on: each
            // message in a group would bring as many merges as there are members.
            self.store(&[], &[(MAIN.to_owned(), remote)])?;
            self.move_head(remote, theirs.tree);
            return Ok(MergeOutcome::Adopted);
        }
        let mut base_trees = Vec::new();
        for base in &bases {
            base_trees.push(self.caches.facts.get(&self.objects, base)?.tree);
        }
        let new = NewObjects::new(&self.objects);
        let sides = Sides {
            bases: &base_trees,
            ours: self.tree,
            theirs: theirs.tree,
            ours_wins: self.head > remote,
        };
        let tree = three_way(&self.caches.trees, &new, &sides)?;
        let device = author.identity.device_id();
        match self
            .caches
            .certificates
            .identify(&new, &self.caches.trees, tree, device)
        {
            Ok(_) => {}
            Err(IdentityError::Broken((Rule::Device, _))) => {
                return Ok(MergeOutcome::Diverged(Divergence::UnknownDevice));
            }
            Err(IdentityError::Broken((Rule::Member, _))) => {
                return Ok(MergeOutcome::Diverged(Divergence::NotMember));
            }
            Err(IdentityError::Broken(broken)) => {
                return Err(own(remote, broken.into()));
            }
            Err(IdentityError::Tree(error)) => return Err(error.into()),
        }
        let text = merge_message(&remote);
        let draft = Draft {
            tree,
            parents: &[self.head, remote],
            name: author.name,
            device,
            time: now.secs(),
            message: text.as_bytes(),
        };
        let object = draft.sign(author.identity.key())?;
        let id = add_commit(&new, object.clone())?;
        let parsed = Parsed::new(&object).map_err(|broken| own(id, broken.into()))?;
        let mut checker = Checker::new(&new, &self.caches, self.id, Some(self.founding));
        checker.graph.know_bases(self.head, remote, bases);
        checker
            .check(&id, &parsed)
            .map_err(|error| own(id, error))?;
        drop(checker);
        let facts = Arc::new(Facts::of(&parsed));
        let objects = new.into_vec(|id| self.objects.exists(id))?;
        self.store(&objects, &[(MAIN.to_owned(), id)])?;
        self.caches.facts.insert(id, &facts);
        self.move_head(id, tree);
        Ok(MergeOutcome::Merged(id))
    }

    /// Whether the other head descends from everything in the own branch but merges.
    fn has_only_merges_beside(&self, remote: CommitId) -> Result<bool> {
        let graph = Graph::new(&self.objects, &self.caches.facts);
        let mut waiting = vec![self.head];
        let mut looked = 0_usize;
        while let Some(id) = waiting.pop() {
            if graph
                .is_ancestor(&id, &remote)
                .map_err(|e| entangled(remote, e))?
            {
                continue;
            }
            let facts = self.caches.facts.get(&self.objects, &id)?;
            looked = looked.saturating_add(1);
            if facts.parents.len() < 2 || looked > MAX_LEFT_BEHIND {
                return Ok(false);
            }
            waiting.extend(&facts.parents);
        }
        Ok(true)
    }

    /// The best common ancestors of the own branch and another head.
    fn bases(&self, remote: CommitId) -> Result<Vec<CommitId>> {
        if let Some(intake) = &self.intake
            && intake.linear
            && intake.descendant == Some(remote)
        {
            return Ok(vec![intake.own]);
        }
        Graph::new(&self.objects, &self.caches.facts)
            .merge_bases(&self.head, &remote)
            .map_err(|error| entangled(remote, error))
    }

    fn write_one(&mut self, author: Author<'_>, step: Step, now: UnixTime) -> Result<CommitId> {
        let written = self.write(author, &[step], now)?;
        let nothing = RepositoryError::Pointless("nothing was written");
        written.first().copied().ok_or(nothing)
    }

    /// Writes commits on top of the head and moves the own branch to the last.
    fn write(
        &mut self,
        author: Author<'_>,
        steps: &[Step],
        now: UnixTime,
    ) -> Result<Vec<CommitId>> {
        let identity = author.identity;
        let trees = &self.caches.trees;
        let new = NewObjects::new(&self.objects);
        let mut checker = Checker::new(&new, &self.caches, self.id, Some(self.founding));
        let mut written: Vec<CommitId> = Vec::new();
        let (mut head, mut tree) = (self.head, self.tree);
        for (index, step) in steps.iter().enumerate() {
            if step.introduce && index == 0 {
                let introduction = self.introduction(author, now)?;
                tree = Content::apply(&introduction, trees, &new, Some(tree))?;
            }
            tree = Content::apply(&step.changes, trees, &new, Some(tree))?;
            let parents = [head];
            let draft = Draft {
                tree,
                parents: &parents,
                name: author.name,
                device: identity.device_id(),
                time: now.secs(),
                message: step.message.as_bytes(),
            };
            let object = draft.sign(identity.key())?;
            let id = add_commit(&new, object.clone())?;
            let parsed = Parsed::new(&object).map_err(|broken| own(id, broken.into()))?;
            checker
                .check(&id, &parsed)
                .map_err(|error| own(id, error))?;
            let index = index.saturating_add(1);
            let placed = Placed {
                facts: Arc::new(Facts::of(&parsed)),
                index,
                barrier: index,
            };
            checker.graph.placed.insert(id, placed);
            written.push(id);
            head = id;
        }
        let facts = std::mem::take(&mut checker.graph.placed);
        drop(checker);
        if head == self.head {
            return Ok(written);
        }
        let main = (MAIN.to_owned(), head);
        if steps.len() > LOOSE_MAX {
            new.store_pack(&self.git)?;
            self.store(&[], &[main])?;
            self.packed();
        } else {
            let objects = new.into_vec(|id| self.objects.exists(id))?;
            self.store(&objects, &[main])?;
        }
        for (id, placed) in &facts {
            self.caches.facts.insert(*id, &placed.facts);
        }
        self.move_head(head, tree);
        Ok(written)
    }

    /// The own certificates where the tree lacks them or has expired ones (section 4.2).
    fn introduction(&self, author: Author<'_>, now: UnixTime) -> Result<Vec<Change>> {
        let identity = author.identity;
        let account = identity.account_id();
        let mut changes = Vec::new();
        let path = format!("devices/{}.crt", identity.device_id());
        let leaf = identity.chain().leaf();
        if self.is_stale(&path, now)?.unwrap_or(true) && leaf.not_after() >= now {
            changes.push(Change::set(path, leaf.to_pem().into_bytes()));
        }
        for place in ["admins", "members"] {
            let path = format!("{place}/{account}.crt");
            if self.is_stale(&path, now)?.unwrap_or(false) {
                changes.push(Change::set(path, account_pem(author)));
            }
        }
        Ok(changes)
    }

    /// Whether the certificate at `path` has expired; `None` if there is none.
    fn is_stale(&self, path: &str, now: UnixTime) -> Result<Option<bool>> {
        let Some(file) = self.file(path)? else {
            return Ok(None);
        };
        let certificate = self.caches.certificates.first(&self.objects, file)?;
        Ok(Some(certificate.map_or(true, |certificate| {
            certificate.not_after().secs() < now.secs()
        })))
    }

    pub(super) fn move_head(&mut self, head: CommitId, tree: ObjectId) {
        self.head = head;
        self.tree = tree;
    }
}

fn add_commit(new: &NewObjects<'_>, object: Vec<u8>) -> Result<CommitId> {
    let id = new.add(Kind::Commit, object);
    CommitId::from_slice(id.as_bytes()).ok_or(RepositoryError::Pack(PackError::Collision))
}

fn member(action: MemberAction, uri: AccountId) -> Message {
    Message::Member {
        action,
        uri: uri.to_hex(),
    }
}

/// A message that changes no files.
fn plain(message: &Message) -> Result<&Message> {
    match message {
        Message::Initial { .. }
        | Message::Member { .. }
        | Message::Vote { .. }
        | Message::Profile
        | Message::Merge => Err(RepositoryError::NotAllowed(
            "such a message comes with a change of the members or the profile",
        )),
        Message::Text { body, .. } | Message::Edit { body, .. } if body.len() > MAX_MESSAGE => {
            Err(RepositoryError::NotAllowed("the message is too long"))
        }
        message => Ok(message),
    }
}
