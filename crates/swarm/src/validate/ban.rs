//! Votes, and what they decide (docs/protocol/05-swarm.md sections 5.7 and 5.8).

use std::collections::BTreeSet;

use baraza_wire::{AccountId, DeviceId};

use super::{Caches, Checked, Checker, Step, need, stray};
use crate::commit::{broken, lower_hex};
use crate::refusal::Rule;
use crate::tree::{Change, EMPTY};

/// Where somebody who can be banned is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Target<'p> {
    kind: &'p str,
    uri: &'p str,
}

impl<'p> Target<'p> {
    fn new(kind: &'p str, uri: &'p str) -> Option<Self> {
        let known = match kind {
            "members" | "admins" | "invited" => lower_hex::<AccountId>(uri.as_bytes()).is_some(),
            "devices" => lower_hex::<DeviceId>(uri.as_bytes()).is_some(),
            _ => false,
        };
        known.then_some(Self { kind, uri })
    }

    /// From `members/<uri>.crt` and the like.
    fn of_path(path: &'p str) -> Option<Self> {
        let (kind, name) = path.split_once('/')?;
        let uri = if kind == "invited" {
            name
        } else {
            name.strip_suffix(".crt")?
        };
        Self::new(kind, uri)
    }

    fn path(&self) -> String {
        let end = if self.kind == "invited" { "" } else { ".crt" };
        format!("{}/{}{end}", self.kind, self.uri)
    }
}

/// `votes/<action>/<kind>/<target>/<voter>`
fn vote<'p>(path: &'p str) -> Option<(&'p str, Target<'p>, AccountId)> {
    let mut names = path.strip_prefix("votes/")?.split('/');
    let action = names.next()?;
    let target = Target::new(names.next()?, names.next()?)?;
    let voter = lower_hex(names.next()?.as_bytes())?;
    let known = matches!(action, "ban" | "unban") && names.next().is_none();
    known.then_some((action, target, voter))
}

impl Checker<'_> {
    /// Section 5.7.
    pub(super) fn check_vote(&self, step: &Step<'_>, uri: &str) -> Checked {
        self.need_admin(step, Rule::Vote)?;
        let others = self.others(step, None)?;
        let change = match others.as_slice() {
            [] => return Ok(()),
            [change] => change,
            [_, second, ..] => return stray(Rule::Vote, second),
        };
        let Some((action, target, voter)) = vote(&change.path) else {
            return stray(Rule::Vote, change);
        };
        need(
            voter == step.author,
            Rule::Vote,
            "the vote is in the name of another",
        )?;
        need(
            target.uri == uri,
            Rule::Vote,
            "the vote is on another than it says",
        )?;
        need(
            (change.old, change.new) == (None, Some(EMPTY)),
            Rule::Vote,
            "the vote is not a new empty file",
        )?;
        need(
            uri != step.author.to_hex() && uri != step.device.to_hex(),
            Rule::Vote,
            "the author votes on itself",
        )?;
        let place = if action == "ban" || target.kind == "devices" {
            target.path()
        } else {
            format!("banned/{}", target.path())
        };
        need(
            self.has(step.old, &place)?,
            Rule::Vote,
            "who is voted on is not there",
        )
    }

    /// Section 5.8.
    pub(super) fn check_resolution(&self, step: &Step<'_>, uri: &str, ban: bool) -> Checked {
        let rule = if ban { Rule::Ban } else { Rule::Unban };
        self.need_admin(step, rule)?;
        let mut voters = BTreeSet::new();
        let mut voted = None;
        let mut moves = Vec::new();
        let mut devices = Vec::new();
        for change in self.others(step, Some(uri))? {
            let path = change.path.as_str();
            if let Some((action, target, voter)) = vote(path) {
                let counted = action == if ban { "ban" } else { "unban" } && target.uri == uri;
                let (true, Some(_), None) = (counted, change.old, change.new) else {
                    return stray(rule, change);
                };
                if voted.is_some_and(|kind| kind != target.kind) {
                    return stray(rule, change);
                }
                voted = Some(target.kind);
                voters.insert(voter);
                continue;
            }
            match Target::of_path(path.strip_prefix("banned/").unwrap_or(path)) {
                Some(target) if target.uri == uri => moves.push((target, change)),
                Some(Target {
                    kind: "devices", ..
                }) if !path.starts_with("banned/") => devices.push(change),
                _ => return stray(rule, change),
            }
        }
        let admins = self
            .caches
            .trees
            .files_in(self.objects, step.old, "admins")?;
        let count = admins
            .iter()
            .filter_map(|(name, _)| lower_hex::<AccountId>(name.strip_suffix(".crt")?.as_bytes()))
            .filter(|admin| voters.contains(admin))
            .count();
        need(
            count.saturating_mul(2) > admins.len(),
            rule,
            format!("{count} votes of {} admins", admins.len()),
        )?;
        let Some(kind) = voted else {
            return Ok(broken(rule, "no votes")?);
        };
        let target = Target { kind, uri };
        check_move(rule, ban, target, &moves)?;
        for change in devices {
            self.check_device_of(step, rule, ban, uri, change)?;
        }
        Ok(())
    }

    /// Devices of the banned one go, those of one taken back may return.
    fn check_device_of(
        &self,
        step: &Step<'_>,
        rule: Rule,
        ban: bool,
        uri: &str,
        change: &Change,
    ) -> Checked {
        let file = match (change.old, change.new) {
            (Some(file), None) if ban => file,
            (None, Some(file)) if !ban => file,
            _ => return stray(rule, change),
        };
        let owner = self.owner(file)?;
        let (Some(account), true) = (owner, owner.is_some_and(|owner| owner.to_hex() == uri))
        else {
            return stray(rule, change);
        };
        if ban {
            return Ok(());
        }
        let Caches {
            trees,
            certificates,
            ..
        } = self.caches;
        let certificate = certificates
            .first(self.objects, file)?
            .map_err(|what| (rule, format!("{}: {what}", change.path)))?;
        let name = format!("devices/{}.crt", certificate.public_key().long_id());
        need(
            change.path == name,
            Rule::DeviceName,
            format!("{} is for another key", change.path),
        )?;
        certificates.certified(self.objects, trees, step.new, account, file, certificate)?;
        Ok(())
    }

    fn need_admin(&self, step: &Step<'_>, rule: Rule) -> Checked {
        let admin = self.has(step.old, &format!("admins/{}.crt", step.author))?;
        need(admin, rule, "the author is no admin")
    }
}

/// The one file moved to `banned/`, or back.
fn check_move(
    rule: Rule,
    ban: bool,
    target: Target<'_>,
    moves: &[(Target<'_>, &Change)],
) -> Checked {
    let (mut free, mut banned) = (None, None);
    for (moved, change) in moves {
        if *moved != target {
            return stray(rule, change);
        }
        let pair = (change.old, change.new);
        if change.path.starts_with("banned/") {
            banned = Some(pair);
        } else {
            free = Some(pair);
        }
    }
    let right = match (free, banned) {
        (Some((Some(from), None)), Some((None, Some(to)))) => ban && from == to,
        (Some((None, Some(to))), Some((Some(from), None))) => !ban && from == to,
        _ => false,
    };
    need(right, rule, "no file is moved to or from the banned ones")
}
