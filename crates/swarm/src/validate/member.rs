//! Who comes and goes (docs/protocol/05-swarm.md sections 5.4 to 5.6).

use baraza_wire::{AccountId, DeviceId};

use super::{Checked, Checker, Step, need, stray};
use crate::commit::{broken, lower_hex};
use crate::message::{MemberAction, Mode};
use crate::refusal::Rule;
use crate::tree::EMPTY;

impl Checker<'_> {
    pub(super) fn check_member(&self, step: &Step<'_>, action: MemberAction, uri: &str) -> Checked {
        match action {
            MemberAction::Add => self.check_add(step, uri),
            MemberAction::Join => self.check_join(step, uri),
            MemberAction::Remove => self.check_remove(step, uri),
            MemberAction::Ban => self.check_resolution(step, uri, true),
            MemberAction::Unban => self.check_resolution(step, uri, false),
        }
    }

    /// Section 5.4.
    fn check_add(&self, step: &Step<'_>, uri: &str) -> Checked {
        let Some(account) = lower_hex::<AccountId>(uri.as_bytes()) else {
            return Ok(broken(Rule::Add, "who is added is no account")?);
        };
        need(account != step.author, Rule::Add, "the author adds itself")?;
        let founding = self.founded()?;
        let one_of_two = account == founding.creator || Some(account) == founding.invited;
        need(
            founding.mode != Mode::OneToOne || one_of_two,
            Rule::Add,
            "a third one is added to a conversation of two",
        )?;
        let invitation = format!("invited/{uri}");
        let mut added = false;
        let author = step.author.to_hex();
        for change in self.others(step, Some(&author))? {
            if change.path != invitation {
                return stray(Rule::Add, change);
            }
            added = (change.old, change.new) == (None, Some(EMPTY));
        }
        need(added, Rule::Add, "no empty file for the invitation is new")?;
        for banned in [
            format!("banned/members/{uri}.crt"),
            format!("banned/admins/{uri}.crt"),
            format!("banned/invited/{uri}"),
        ] {
            need(
                !self.has(step.old, &banned)?,
                Rule::Add,
                "who is added is banned",
            )?;
        }
        Ok(())
    }

    /// Section 5.5.
    fn check_join(&self, step: &Step<'_>, uri: &str) -> Checked {
        need(
            uri == step.author.to_hex(),
            Rule::Join,
            "somebody else joins than the author",
        )?;
        let (mut invited, mut joined) = (false, false);
        for change in self.others(step, None)? {
            if change.path == format!("invited/{uri}") {
                invited = change.old.is_some() && change.new.is_none();
            } else if change.path == format!("members/{uri}.crt") {
                joined = change.old.is_none() && change.new.is_some();
            } else {
                return stray(Rule::Join, change);
            }
        }
        need(invited, Rule::Join, "there was no invitation")?;
        need(joined, Rule::Join, "the author does not become a member")
    }

    /// Section 5.6.
    fn check_remove(&self, step: &Step<'_>, uri: &str) -> Checked {
        let account = step.author.to_hex();
        let own_device = match lower_hex::<DeviceId>(uri.as_bytes()) {
            Some(_) => match self.file(step.old, &format!("devices/{uri}.crt"))? {
                Some(file) => self.owner(file)? == Some(step.author),
                None => false,
            },
            None => false,
        };
        need(
            uri == account || own_device,
            Rule::Remove,
            "somebody else is removed than the author",
        )?;
        for change in &step.changes {
            let (Some(file), None) = (change.old, change.new) else {
                return stray(Rule::Remove, change);
            };
            let path = change.path.as_str();
            let allowed = if own_device {
                path == format!("devices/{uri}.crt")
            } else if path.starts_with("devices/") {
                self.owner(file)? == Some(step.author)
            } else {
                [
                    format!("admins/{account}.crt"),
                    format!("members/{account}.crt"),
                    format!("invited/{account}"),
                    format!("CRLs/{account}"),
                ]
                .iter()
                .any(|allowed| allowed == path)
            };
            if !allowed {
                return stray(Rule::Remove, change);
            }
        }
        Ok(())
    }
}
