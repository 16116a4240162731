//! What must hold at the end.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use baraza_core::Message;
use baraza_store::{Durability, Store};
use baraza_wire::CommitId;

use super::{SETTLE, Stage};
use crate::report::Report;
use crate::scenario::find_directory;
use crate::world::Crash;

impl Stage {
    /// Waits until both have the same messages, and all that was confirmed.
    pub(super) fn settle(&mut self, report: &mut Report) -> Result<()> {
        let begun = self.world.now();
        let deadline = begun + SETTLE;
        loop {
            self.histories()?;
            if self.agreed() {
                break;
            }
            if self.world.now() >= deadline {
                let [alice, bob] = &self.people;
                let text = format!(
                    "not settled after {SETTLE:?}: alice {} bob {} messages, ready {} {}, \
                     accepted {}",
                    alice.ids().len(),
                    bob.ids().len(),
                    alice.ready,
                    bob.ready,
                    bob.accepted
                );
                report.check(false, || text);
                break;
            }
            for _ in 0..8 {
                self.look()?;
            }
        }
        self.settled = self.world.now() - begun;
        // Nothing may come or go any more.
        let before = self.people.each_ref().map(super::Person::ids);
        for _ in 0..240 {
            self.look()?;
        }
        self.histories()?;
        let after = self.people.each_ref().map(super::Person::ids);
        report.check(before == after, || {
            "messages changed after all was settled".into()
        });
        Ok(())
    }

    fn agreed(&self) -> bool {
        let [alice, bob] = &self.people;
        let ids = alice.ids();
        let confirmed = alice.confirmed.iter().chain(&bob.confirmed);
        self.both_ready() && ids == bob.ids() && confirmed.clone().all(|(id, _)| ids.contains(id))
    }

    /// Reads both histories anew.
    fn histories(&mut self) -> Result<()> {
        for index in 0..2 {
            self.read(index);
        }
        self.look()?;
        Ok(())
    }

    pub(super) fn check(&mut self, report: &mut Report) -> Result<()> {
        for index in 0..2 {
            self.check_person(index, report);
        }
        let [alice, bob] = &self.people;
        let (a, b) = (alice.ids(), bob.ids());
        let only: Vec<_> = a.symmetric_difference(&b).map(CommitId::short).collect();
        report.check(only.is_empty(), || format!("only one of them has {only:?}"));
        // The order is that of arrival where the conversation leaves it open, so the two may
        // differ in it; but for each of them it is for ever.
        let heads = self
            .people
            .each_ref()
            .map(|p| p.history.first().map(|m| m.id));
        let differ = alice
            .history
            .iter()
            .map(|m| m.id)
            .ne(bob.history.iter().map(|m| m.id));
        report.note(format!(
            "heads differ: {}, orders differ: {differ}",
            heads[0] != heads[1]
        ));
        // Stable: the same after both start again.
        for index in 0..2 {
            self.crash(index, Crash::Kill)?;
            self.check_disk(index, report)?;
            self.start(index)?;
        }
        for _ in 0..40 {
            self.look()?;
        }
        self.histories()?;
        for index in 0..2 {
            for error in &self.people[index].errors {
                report.check(false, || error.clone());
            }
        }
        Ok(())
    }

    fn check_person(&self, index: usize, report: &mut Report) {
        let person = &self.people[index];
        let name = person.name;
        let bodies =
            |message: &&Message| message.author == person.me && message.kind == "text/plain";
        for (whose, reader) in [("own", person), ("other", &self.people[1 - index])] {
            // In both histories: each of this person's messages once, the confirmed ones
            // surely, in the order they were written.
            let mine: Vec<&str> = reader
                .history
                .iter()
                .rev()
                .filter(bodies)
                .map(Message::body)
                .collect();
            let once: BTreeSet<&str> = mine.iter().copied().collect();
            report.check(once.len() == mine.len(), || {
                format!("{name}'s messages are in the {whose} history twice: {mine:?}")
            });
            let ids = reader.ids();
            for (id, body) in &person.confirmed {
                report.check(ids.contains(id), || {
                    format!("lost from the {whose} history: {body:?}, confirmed to {name}")
                });
            }
            let position: BTreeMap<&str, usize> = (0..)
                .zip(&person.bodies)
                .map(|(n, body)| (body.as_str(), n))
                .collect();
            let order: Vec<_> = mine.iter().filter_map(|body| position.get(body)).collect();
            report.check(order.is_sorted(), || {
                format!("{name}'s messages in the {whose} history out of order: {mine:?}")
            });
            report.check(order.len() == mine.len(), || {
                format!("in the {whose} history, never written by {name}: {mine:?}")
            });
        }
        let twice = person.told.iter().filter(|(_, times)| **times > 1).count();
        report.check(twice == 0, || {
            format!("{name} was told of {twice} messages twice")
        });
    }

    /// What lies on the disk of a node that does not run.
    fn check_disk(&self, index: usize, report: &mut Report) -> Result<()> {
        let person = &self.people[index];
        let disk = person.disk.as_ref().context("no disk")?.snapshot()?;
        let store = Store::open(disk.path().join("node.db"), Durability::Process)?;
        let mut events: BTreeMap<String, usize> = BTreeMap::new();
        for row in store.events_after(0, 1_000_000)? {
            let body: serde_json::Value = serde_json::from_str(&row.body)?;
            if body["event"] == "message_received" {
                let id = body["message"]["id"].as_str().unwrap_or_default();
                *events.entry(id.to_owned()).or_default() += 1;
            }
        }
        let name = person.name;
        let conversation = person.conversation.map(|id| id.to_hex());
        let verified = conversation
            .and_then(|id| find_directory(disk.path(), &id))
            .map(|directory| baraza_swarm::verify::verify(&directory));
        report.check(matches!(verified, Some(Ok(_))), || {
            format!("{name}'s repository breaks a rule: {verified:?}")
        });
        // What was there before this account joined came with the clone, which is one event.
        let own = person
            .history
            .iter()
            .rposition(|message| message.author == person.me);
        let own = own.map_or(0, |own| own + 1);
        for message in person.history.iter().take(own) {
            let times = events.get(&message.id.to_hex()).copied().unwrap_or(0);
            let text = format!(
                "{name}'s event log has {} {times} times",
                message.id.short()
            );
            report.check(times == 1, || text);
        }
        Ok(())
    }
}

/// Whether what both lists have is in the same order.
pub(super) fn same_order(a: &[Message], b: &[Message]) -> bool {
    let common = |x: &[Message], y: &[Message]| -> Vec<CommitId> {
        let y: BTreeSet<_> = y.iter().map(|message| message.id).collect();
        let ids = x.iter().map(|message| message.id);
        ids.filter(|id| y.contains(id)).collect()
    };
    common(a, b) == common(b, a)
}
