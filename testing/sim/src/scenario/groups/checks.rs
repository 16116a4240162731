//! What must hold at the end, and what it took.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use baraza_core::{Command, Message};
use baraza_wire::CommitId;

use super::Stage;
use super::person::{Asked, Place};
use crate::report::Report;
use crate::scenario::find_directory;
use crate::world::Crash;

/// A minute after all have the same.
const SETTLED: &str = "in the end";
/// Kilobytes that an honest member may be made to send.
const TALK: f64 = 8_000.0;
/// Repositories looked into at the end.
const VERIFIED: usize = 5;

impl Stage {
    /// Those in the group.
    fn members(&self) -> Vec<usize> {
        let all = 0..self.people.len();
        all.filter(|index| self.people[*index].place == Place::Member)
            .collect()
    }

    /// Waits until all have the same messages, and all that was confirmed.
    pub(super) fn settle(&mut self, report: &mut Report) -> Result<()> {
        let begun = self.world.now();
        let deadline = begun + self.plan.settle;
        loop {
            self.histories()?;
            let differences = self.differences();
            if differences.is_empty() {
                break;
            }
            if self.world.now() >= deadline {
                let shown: Vec<&String> = differences.iter().take(10).collect();
                report.check(false, || {
                    format!("not settled after {:?}: {shown:#?}", self.plan.settle)
                });
                break;
            }
            for _ in 0..20 {
                self.look()?;
            }
        }
        self.settled = self.world.now() - begun;
        // Nothing may come or go any more, but from those who are not in the group: what
        // they wrote while they were may be found at any time.
        let before = self.settled_ids();
        for _ in 0..240 {
            self.look()?;
        }
        self.histories()?;
        self.figures(report, SETTLED);
        let after = self.settled_ids();
        report.check(before == after, || {
            "messages changed after all was settled".into()
        });
        Ok(())
    }

    /// What members wrote, as the admin has it.
    fn settled_ids(&self) -> BTreeSet<CommitId> {
        let gone = |message: &Message| {
            let mut gone = self.people.iter().filter(|p| p.place == Place::Gone);
            gone.any(|person| match person.owner {
                None => person.account() == message.author,
                Some(_) => person.wrote(message),
            })
        };
        let history = self.people[0].history.iter();
        history
            .filter(|message| message.kind != "merge" && !gone(message))
            .map(|message| message.id)
            .collect()
    }

    /// What keeps the members from agreeing.
    pub(super) fn differences(&self) -> Vec<String> {
        let mut found = Vec::new();
        let waiting = self.people.iter().filter(|p| p.place == Place::Invited);
        found.extend(waiting.map(|person| format!("{} has not joined", person.name)));
        let members = self.members();
        let mut all: BTreeSet<CommitId> = BTreeSet::new();
        for index in &members {
            let person = &self.people[*index];
            all.extend(person.ids());
            all.extend(person.confirmed.iter().map(|(id, _)| *id));
        }
        for index in &members {
            let person = &self.people[*index];
            let lacks = all.difference(&person.ids()).count();
            if lacks > 0 {
                found.push(format!("{} lacks {lacks} of {}", person.name, all.len()));
            }
        }
        found
    }

    /// What the admin's history has, so that one sees how many merges a message brings.
    fn admin_history(&self) -> String {
        let history = &self.people[0].history;
        let merges = history.iter().filter(|message| message.kind == "merge");
        format!(
            "{} commits, {} of them merges",
            history.len(),
            merges.count()
        )
    }

    /// Reads all histories anew.
    pub(super) fn histories(&mut self) -> Result<()> {
        for index in self.members() {
            let command = Command::History {
                conversation: self.group.id,
                from: None,
                count: 0,
            };
            self.ask(index, Asked::History, command);
        }
        self.look()?;
        Ok(())
    }

    /// Links of a member, on average.
    pub(super) fn links(&mut self) -> f64 {
        let members = self.members();
        for index in &members {
            self.ask(*index, Asked::Diagnostics, Command::Diagnostics);
        }
        let links: usize = members.iter().map(|index| self.people[*index].links).sum();
        links as f64 / members.len() as f64
    }

    /// Notes links and bytes of the members.
    pub(super) fn figures(&mut self, report: &mut Report, when: &str) {
        let mean = self.links();
        let members = self.members();
        let count = members.len() as f64;
        let people = members.iter().map(|index| &self.people[*index]);
        let most = people.clone().map(|person| person.links).max();
        let traffic = people.map(|person| self.world.net().node(person.host).traffic);
        let udp: u64 = traffic.clone().map(|traffic| traffic.bytes_out).sum();
        let tcp: u64 = traffic.map(|traffic| traffic.tcp_out).sum();
        let history = match when == SETTLED {
            true => format!("; {}", self.admin_history()),
            false => String::new(),
        };
        report.note(format!(
            "{when}, {} members, of each on average: {:.1} links (at most {}), {:.0} kB sent over links, {:.0} kB to the DHT{history}",
            members.len(),
            mean,
            most.unwrap_or(0),
            tcp as f64 / count / 1000.0,
            udp as f64 / count / 1000.0,
        ));
        if self.plan.hostile > 0 {
            // Connected to each other, whatever else goes on, and not made to talk much.
            for index in members.iter().filter(|_| when == SETTLED) {
                let person = &self.people[*index];
                report.check(person.links + 1 >= members.len(), || {
                    format!("{} has {} links", person.name, person.links)
                });
            }
            report.at_most("kB sent over links", tcp as f64 / count / 1000.0, TALK);
        }
        let limit = self.plan.links;
        report.check(mean <= limit || when != SETTLED, || {
            format!("{mean:.1} links on average, more than {limit}")
        });
    }

    pub(super) fn check(&mut self, report: &mut Report) -> Result<()> {
        for index in self.members() {
            self.check_person(index, report);
        }
        let members = self.members();
        let some: Vec<usize> = members
            .iter()
            .copied()
            .step_by(members.len().div_ceil(VERIFIED))
            .collect();
        for index in some {
            self.crash(index, Crash::Kill)?;
            self.check_disk(index, report)?;
            self.start(index)?;
        }
        for _ in 0..40 {
            self.look()?;
        }
        self.histories()?;
        for difference in self.differences() {
            report.check(false, || format!("after new starts: {difference}"));
        }
        for person in &self.people {
            for error in &person.errors {
                report.check(false, || error.clone());
            }
        }
        Ok(())
    }

    fn check_person(&self, index: usize, report: &mut Report) {
        let person = &self.people[index];
        let name = &person.name;
        // In each history everybody's messages once, in the order they were written.
        let texts = person.history.iter().rev();
        let texts = texts.filter(|message| message.kind == "text/plain");
        let mut next = vec![0_usize; self.people.len()];
        for message in texts {
            let author = self.people.iter().position(|author| author.wrote(message));
            let place = author.and_then(|author| {
                let mut bodies = self.people[author].bodies.iter();
                Some((author, bodies.position(|body| body == message.body())?))
            });
            let Some((author, place)) = place else {
                report.check(false, || format!("{name} has a stranger's {message:?}"));
                continue;
            };
            report.check(place >= next[author], || {
                format!(
                    "{name} has {:?} after a later one, or twice",
                    message.body()
                )
            });
            next[author] = place + 1;
        }
        let twice = person.told.values().filter(|times| **times > 1).count();
        report.check(twice == 0, || {
            format!("{name} was told of {twice} messages twice")
        });
        let told = person.ids().into_iter();
        let untold = told.filter(|id| !person.told.contains_key(id)).count();
        // What was there before comes with the clone, or was there from the beginning.
        let before = 2 * self.plan.members;
        report.check(
            untold <= before || person.number >= self.plan.members,
            || format!("{name} was not told of {untold} messages"),
        );
    }

    /// What lies on the disk of a node that does not run.
    fn check_disk(&self, index: usize, report: &mut Report) -> Result<()> {
        let person = &self.people[index];
        let disk = person.disk.as_ref().context("no disk")?.snapshot()?;
        let found = find_directory(disk.path(), &self.group.id.to_hex());
        let verified = found.map(|directory| baraza_swarm::verify(&directory));
        report.check(matches!(verified, Some(Ok(_))), || {
            format!("{}'s repository breaks a rule: {verified:?}", person.name)
        });
        Ok(())
    }
}
