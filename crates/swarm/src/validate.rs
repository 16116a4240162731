//! What a receiver checks before it takes anything (docs/protocol/05-swarm.md section 5,
//! strict column).
//!
//! Every rule looks at one commit, its tree and its parents, which were checked before it.
//! The order of checks is fixed, so that the same bad history is always refused with the
//! same words.

mod ban;
mod member;
mod merge;
mod ordinary;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId};
use gix::ObjectId;
use gix::objs::{Find, Kind};

use crate::certificates::{Certificates, Identity, IdentityError, MAX_CERTIFICATES};
use crate::commit::{Broken, Parsed, broken};
use crate::graph::{Facts, FactsCache, Graph, GraphError, Placed};
use crate::message::{Fields, MAX_MESSAGE, MemberAction, Message, Mode};
use crate::pack::{PackError, expect};
use crate::refusal::{Refused, Rule};
use crate::signature::{Job, Signatures};
use crate::tree::{Change, EMPTY, TreeError, Trees};
use crate::upload_pack::object_id;

/// Commits of one fetch.
pub(crate) const MAX_COMMITS: usize = 500_000;
/// Longest `profile.vcf`.
pub(crate) const MAX_PROFILE: usize = 1 << 20;
/// Longest attachment of a document (section 4.9).
const MAX_ATTACHMENT: usize = 16 << 20;

/// What the first commit decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Founding {
    pub(crate) mode: Mode,
    pub(crate) creator: AccountId,
    /// The other one, in mode 0.
    pub(crate) invited: Option<AccountId>,
}

/// Everything read from a repository that stays true.
#[derive(Debug, Default)]
pub(crate) struct Caches {
    pub(crate) trees: Trees,
    pub(crate) certificates: Certificates,
    pub(crate) facts: FactsCache,
}

/// Why a history is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ValidateError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error("stopped")]
    Stopped,
}

/// Why one commit is not taken.
#[derive(Debug)]
pub(crate) enum CheckError {
    Broken(Broken),
    Pack(PackError),
}

impl From<Broken> for CheckError {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<PackError> for CheckError {
    fn from(error: PackError) -> Self {
        Self::Pack(error)
    }
}

impl From<TreeError> for CheckError {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Pack(error) => Self::Pack(error),
            TreeError::Illegal(..) => Self::Broken((Rule::Tree, error.to_string())),
        }
    }
}

impl From<IdentityError> for CheckError {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Broken(broken) => Self::Broken(broken),
            IdentityError::Tree(error) => error.into(),
        }
    }
}

impl From<GraphError> for CheckError {
    fn from(error: GraphError) -> Self {
        match error {
            GraphError::Pack(error) => Self::Pack(error),
            GraphError::TooManySteps => Self::Broken((Rule::Limit, error.to_string())),
        }
    }
}

type Checked<T = ()> = Result<T, CheckError>;

/// Fails with `rule` and `text` unless `condition`.
fn need(condition: bool, rule: Rule, text: impl Into<String>) -> Checked {
    if condition {
        Ok(())
    } else {
        Ok(broken(rule, text)?)
    }
}

/// Checks commits one after the other, parents first.
pub(crate) struct Checker<'a> {
    objects: &'a dyn Find,
    caches: &'a Caches,
    conversation: ConversationId,
    founding: Option<Founding>,
    pub(crate) graph: Graph<'a>,
}

/// One commit with a single parent, and what it changed.
struct Step<'s> {
    parsed: &'s Parsed<'s>,
    fields: &'s Fields,
    author: AccountId,
    device: DeviceId,
    /// The tree of the parent.
    old: ObjectId,
    /// The tree of the commit.
    new: ObjectId,
    changes: Vec<Change>,
}

impl<'a> Checker<'a> {
    /// `founding` is `None` for a history that is read from its first commit on.
    pub(crate) fn new(
        objects: &'a dyn Find,
        caches: &'a Caches,
        conversation: ConversationId,
        founding: Option<Founding>,
    ) -> Self {
        Self {
            objects,
            caches,
            conversation,
            founding,
            graph: Graph::new(objects, &caches.facts),
        }
    }

    /// Checks everything about one commit but its signature.
    pub(crate) fn check(&mut self, id: &CommitId, parsed: &Parsed<'_>) -> Checked<Arc<Identity>> {
        need(
            parsed.message.len() <= MAX_MESSAGE,
            Rule::Limit,
            "the message is too long",
        )?;
        match parsed.parents.as_slice() {
            [] => self.check_initial(id, parsed),
            [parent] => self.check_single(parsed, parent),
            [ours, theirs, ..] => self.check_merge(parsed, ours, theirs),
        }
    }

    fn check_single(&mut self, parsed: &Parsed<'_>, parent: &CommitId) -> Checked<Arc<Identity>> {
        let (message, fields) =
            Message::parse(parsed.message).map_err(|error| (Rule::Message, error.to_string()))?;
        let old = self.graph.facts(parent)?.tree;
        let new = parsed.tree;
        let changes = self.diff(Some(old), new)?;
        let leaving = matches!(
            message,
            Message::Member {
                action: MemberAction::Remove,
                ..
            }
        );
        let identity = self.identify(if leaving { old } else { new }, parsed)?;
        let step = Step {
            parsed,
            fields: &fields,
            author: identity.account,
            device: parsed.device,
            old,
            new,
            changes,
        };
        match &message {
            Message::Member { action, uri } => self.check_member(&step, *action, uri)?,
            Message::Vote { uri } => self.check_vote(&step, uri)?,
            Message::Profile => self.check_profile(&step, identity.admin)?,
            Message::Checkpoint { .. } => self.check_checkpoint(&step)?,
            message => self.check_ordinary(&step, message)?,
        }
        Ok(identity)
    }

    /// Rules G2 to G6 in the tree `root`.
    fn identify(&self, root: ObjectId, parsed: &Parsed<'_>) -> Checked<Arc<Identity>> {
        let Caches {
            trees,
            certificates,
            ..
        } = self.caches;
        let identity = certificates.identify(self.objects, trees, root, parsed.device)?;
        identity.check_time(parsed.time)?;
        Ok(identity)
    }

    /// The changes from tree to tree, the new files among them of legal size.
    fn diff(&self, old: Option<ObjectId>, new: ObjectId) -> Checked<Vec<Change>> {
        let changes = self.caches.trees.diff(self.objects, old, Some(new))?;
        for change in &changes {
            if let Some(file) = change.new {
                self.check_file(&change.path, file)?;
            }
        }
        Ok(changes)
    }

    fn check_file(&self, path: &str, file: ObjectId) -> Checked {
        let most = if path == merge::PROFILE {
            MAX_PROFILE
        } else if path.starts_with("attachments/") {
            MAX_ATTACHMENT
        } else {
            MAX_CERTIFICATES
        };
        if file == EMPTY {
            return Ok(());
        }
        let mut buffer = Vec::new();
        let data = expect(self.objects, &file, Kind::Blob, &mut buffer)?.data;
        need(
            data.len() <= most,
            Rule::Tree,
            format!("{path} is too large"),
        )
    }

    fn file(&self, root: ObjectId, path: &str) -> Checked<Option<ObjectId>> {
        Ok(self.caches.trees.file(self.objects, root, path)?)
    }

    fn has(&self, root: ObjectId, path: &str) -> Checked<bool> {
        Ok(self.file(root, path)?.is_some())
    }

    /// The account that a device's certificate, the file `file`, names as its issuer.
    fn owner(&self, file: ObjectId) -> Checked<Option<AccountId>> {
        Ok(self.caches.certificates.owner(self.objects, file)?)
    }

    /// Whether the change adds or renews the certificate of the author's device. That the
    /// new one is right was checked with the author's identity.
    fn is_own_device(&self, step: &Step<'_>, change: &Change) -> Checked<bool> {
        if change.path != format!("devices/{}.crt", step.device) {
            return Ok(false);
        }
        need(
            change.new.is_some(),
            Rule::Files,
            "the author's device is removed",
        )?;
        if let Some(old) = change.old {
            let owner = self.owner(old)?;
            need(
                owner.is_none_or(|owner| owner == step.author),
                Rule::Files,
                "the device of another account is taken over",
            )?;
        }
        Ok(true)
    }

    /// The changes besides those of the author's own device file and, if it may be there,
    /// the revocation list of `list`.
    fn others<'s>(&self, step: &'s Step<'_>, list: Option<&str>) -> Checked<Vec<&'s Change>> {
        let mut others = Vec::new();
        for change in &step.changes {
            let is_list = list.is_some_and(|uri| change.path == format!("CRLs/{uri}"));
            if !is_list && !self.is_own_device(step, change)? {
                others.push(change);
            }
        }
        Ok(others)
    }

    fn founded(&self) -> Checked<Founding> {
        self.founding
            .ok_or_else(|| (Rule::Root, "no first commit".to_owned()).into())
    }
}

/// A path that must not change in such a commit.
fn stray<T>(rule: Rule, change: &Change) -> Checked<T> {
    Ok(broken(rule, format!("{} must not change", change.path))?)
}

/// Whether signatures count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signed {
    Checked,
    /// For tests of the other rules.
    Ignored,
}

/// Ends a long piece of work on another thread early.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Makes the work fail soon.
    pub fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was told to.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn check(&self) -> Result<(), ValidateError> {
        if self.is_set() {
            return Err(ValidateError::Stopped);
        }
        Ok(())
    }
}

/// Commits to be checked, and against what.
pub(crate) struct History<'a> {
    /// Where they are, with everything they refer to.
    pub(crate) objects: &'a dyn Find,
    pub(crate) caches: &'a Caches,
    pub(crate) conversation: ConversationId,
    /// `None` for a history that is read from its first commit on.
    pub(crate) founding: Option<Founding>,
    pub(crate) head: CommitId,
    pub(crate) signed: Signed,
    /// A commit of which is asked whether the head descends from it.
    pub(crate) own: Option<CommitId>,
    pub(crate) stop: &'a Stop,
}

/// A history in order.
pub(crate) struct Valid {
    /// The new commits, oldest first.
    pub(crate) commits: Vec<CommitId>,
    /// Whether the head descends from the commit that was asked about.
    pub(crate) descends: bool,
}

/// Checks all commits that the head leads to and that are not `known`.
pub(crate) fn validate(
    history: &History<'_>,
    known: &dyn Fn(&CommitId) -> bool,
) -> Result<Valid, ValidateError> {
    let History {
        objects,
        caches,
        conversation,
        head,
        ..
    } = *history;
    let new = collect(objects, &[head], known, MAX_COMMITS, history.stop)?;
    let mut checker = Checker::new(objects, caches, conversation, history.founding);
    let mut signatures = Signatures::default();
    let order = in_order(&new);
    let mut tips: BTreeMap<CommitId, ()> = BTreeMap::new();
    let mut buffer = Vec::new();
    for (position, id) in order.iter().enumerate() {
        history.stop.check()?;
        let refused = |(rule, text): Broken| Refused {
            commit: *id,
            rule,
            text,
        };
        let data = expect(objects, &object_id(id), Kind::Commit, &mut buffer)?.data;
        let checked = Parsed::new(data)
            .map_err(CheckError::from)
            .and_then(|parsed| {
                let identity = checker.check(id, &parsed)?;
                let signed = match history.signed {
                    Signed::Checked => Some(parsed.signed()?),
                    Signed::Ignored => None,
                };
                Ok((identity, signed))
            });
        let (identity, signed) = match checked {
            Ok(checked) => checked,
            Err(CheckError::Pack(error)) => return Err(error.into()),
            Err(CheckError::Broken(broken)) => {
                // An older commit may be the first bad one.
                signatures.finish()?;
                return Err(refused(broken).into());
            }
        };
        if let Some((signed, signature)) = signed {
            signatures.push(Job {
                commit: *id,
                key: identity.device.public_key().clone(),
                signed,
                signature,
            })?;
        }
        let Some(facts) = new.get(id) else {
            continue;
        };
        for parent in &facts.parents {
            tips.remove(parent);
        }
        let inherited = facts
            .parents
            .iter()
            .filter_map(|parent| checker.graph.placed.get(parent))
            .map(|parent| parent.barrier)
            .max();
        let index = position.saturating_add(1);
        let alone = tips.is_empty() && (inherited.is_some() || position == 0);
        tips.insert(*id, ());
        let placed = Placed {
            facts: Arc::clone(facts),
            index,
            barrier: if alone { index } else { inherited.unwrap_or(0) },
        };
        checker.graph.placed.insert(*id, placed);
    }
    signatures.finish()?;
    if checker.founded().is_err() {
        return Err(PackError::Missing(object_id(&conversation.into())).into());
    }
    let descends = match &history.own {
        // A search that is given up says no, which only costs another one later.
        Some(own) => checker.graph.is_ancestor(own, &head).unwrap_or(false),
        None => false,
    };
    Ok(Valid {
        commits: order,
        descends,
    })
}

/// All commits that `heads` lead to, oldest first. They were checked before.
pub(crate) fn list(
    objects: &dyn Find,
    heads: &[CommitId],
    stop: &Stop,
) -> Result<Vec<CommitId>, ValidateError> {
    let all = collect(objects, heads, &|_| false, usize::MAX, stop)?;
    Ok(in_order(&all))
}

/// All commits that `heads` lead to and that are not `known`, unless they are more than
/// `most`.
fn collect(
    objects: &dyn Find,
    heads: &[CommitId],
    known: &dyn Fn(&CommitId) -> bool,
    most: usize,
    stop: &Stop,
) -> Result<HashMap<CommitId, Arc<Facts>>, ValidateError> {
    let mut new: HashMap<CommitId, Arc<Facts>> = HashMap::new();
    let mut waiting = heads.to_vec();
    let mut buffer = Vec::new();
    while let Some(id) = waiting.pop() {
        if new.contains_key(&id) || known(&id) {
            continue;
        }
        stop.check()?;
        let refused = |(rule, text): Broken| Refused {
            commit: id,
            rule,
            text,
        };
        if new.len() >= most {
            let text = format!("more than {most} commits at once");
            return Err(refused((Rule::Limit, text)).into());
        }
        let data = expect(objects, &object_id(&id), Kind::Commit, &mut buffer)?.data;
        let parsed = Parsed::new(data).map_err(refused)?;
        waiting.extend(&parsed.parents);
        new.insert(id, Arc::new(Facts::of(&parsed)));
    }
    Ok(new)
}

/// Parents before children, and otherwise by time and id.
fn in_order(new: &HashMap<CommitId, Arc<Facts>>) -> Vec<CommitId> {
    let mut children: HashMap<CommitId, Vec<CommitId>> = HashMap::new();
    let mut missing: HashMap<CommitId, usize> = HashMap::new();
    let mut ready = BinaryHeap::new();
    for (id, facts) in new {
        let mut count = 0_usize;
        for parent in &facts.parents {
            if new.contains_key(parent) {
                children.entry(*parent).or_default().push(*id);
                count = count.saturating_add(1);
            }
        }
        if count == 0 {
            ready.push(Reverse((facts.time, *id)));
        } else {
            missing.insert(*id, count);
        }
    }
    let mut order = Vec::with_capacity(new.len());
    while let Some(Reverse((_, id))) = ready.pop() {
        order.push(id);
        for child in children.remove(&id).unwrap_or_default() {
            if let Some(count) = missing.get_mut(&child) {
                *count = count.saturating_sub(1);
                if *count == 0
                    && let Some(facts) = new.get(&child)
                {
                    ready.push(Reverse((facts.time, child)));
                }
            }
        }
    }
    order
}
