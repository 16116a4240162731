//! The fault schedule of one run.

use std::time::Duration;

use anyhow::Result;
use baraza_core::Command;

use super::Stage;
use super::person::{Asked, Place};
use crate::net::{Access, HostId};
use crate::scenario::exponential;
use crate::time::Time;
use crate::world::Crash;

/// The end of a fault.
#[derive(Debug)]
enum End {
    /// The line is as it was.
    Line(HostId, Access),
    Plug(HostId),
    Reunite,
    Start(usize),
    Wake(usize),
    /// The node notices its new addresses.
    Notice(usize),
}

impl Stage {
    /// Lets things go wrong for a while, then repairs everything.
    pub(super) fn faults(&mut self, length: Duration) -> Result<()> {
        let end = self.world.now() + length;
        let mut ends: Vec<(Time, End)> = Vec::new();
        let mut next = self.world.now();
        while self.world.now() < end {
            if self.world.now() >= next {
                self.happen(&mut ends)?;
                next = next + exponential(self.plan.pause, &mut self.rng);
            }
            self.turn(&mut ends)?;
        }
        for (_, fault) in std::mem::take(&mut ends) {
            self.end(fault)?;
        }
        self.world.net_mut().heal();
        for index in 0..self.people.len() {
            let host = self.people[index].host;
            self.world.net_mut().node_mut(host).set_plugged(true);
            self.world.set_asleep(host, false);
            // A fuse that has not burnt down does not count any more.
            self.world.with(host, |program, _| {
                if let Some(node) = program.node() {
                    node.set_fuse(u32::MAX, Crash::Kill);
                }
            });
            self.reap()?;
            if !self.runs(index) {
                self.start(index)?;
            }
        }
        Ok(())
    }

    /// A look, and the ends of faults that are due.
    fn turn(&mut self, ends: &mut Vec<(Time, End)>) -> Result<()> {
        for index in self.look()? {
            let back = self.after(0..60_000);
            ends.push((back, End::Start(index)));
        }
        let now = self.world.now();
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(ends)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        *ends = later;
        for (_, fault) in due {
            self.end(fault)?;
        }
        Ok(())
    }

    fn end(&mut self, fault: End) -> Result<()> {
        match fault {
            End::Line(host, access) => self.world.net_mut().node_mut(host).access = access,
            End::Plug(host) => self.world.net_mut().node_mut(host).set_plugged(true),
            End::Reunite => self.world.net_mut().heal(),
            End::Start(index) => {
                if !self.runs(index) {
                    self.start(index)?;
                }
            }
            End::Wake(index) => self.world.set_asleep(self.people[index].host, false),
            End::Notice(index) => {
                let host = self.people[index].host;
                let addresses = self.world.net().node(host).addresses();
                self.world.with(host, |program, now| {
                    if let Some(node) = program.node() {
                        node.moved(now, addresses);
                    }
                });
            }
        }
        Ok(())
    }

    /// So many milliseconds from now; short times are likelier than long ones.
    fn after(&mut self, millis: std::ops::Range<u64>) -> Time {
        let rng = &mut self.rng;
        let most = rng.range(millis.clone());
        let millis = rng.range(millis.start..most.max(millis.start) + 1);
        self.world.now() + Duration::from_millis(millis)
    }

    fn power_or_kill(&mut self) -> Crash {
        match self.rng.one_in(2) {
            true => Crash::Power,
            false => Crash::Kill,
        }
    }

    /// Something happens: a message most of the time, else a fault, or the group changes.
    fn happen(&mut self, ends: &mut Vec<(Time, End)>) -> Result<()> {
        let index = self.rng.index(self.people.len()).unwrap_or(0);
        let host = self.people[index].host;
        let dice = self.rng.range(0..100);
        if self.people[index].place == Place::Hostile {
            // It is trouble enough.
            return Ok(());
        }
        match dice {
            0..40 => self.write(index),
            40..43 => self.link()?,
            43..45 => self.revoke()?,
            45..50 => {
                let count = self.rng.range(2..8);
                self.note("bursts", index, "");
                for _ in 0..count {
                    self.write(index);
                }
            }
            50..60 if self.runs(index) => {
                let crash = self.power_or_kill();
                self.crash(index, crash)?;
                self.note("crashes", index, &format!("{crash:?}"));
                ends.push((self.after(50..90_000), End::Start(index)));
            }
            60..72 if self.runs(index) => {
                // The next outputs may be anything: mostly a handful, sometimes many.
                let most = self.rng.range(1..80);
                let outputs = u32::try_from(self.rng.range(0..most))?;
                let crash = self.power_or_kill();
                self.world.with(host, |program, _| {
                    if let Some(node) = program.node() {
                        node.set_fuse(outputs, crash);
                    }
                });
                // Often while it writes.
                if self.rng.one_in(2) {
                    self.write(index);
                }
            }
            72..77 => {
                self.world.net_mut().node_mut(host).set_plugged(false);
                self.note("cable cuts", index, "");
                ends.push((self.after(100..120_000), End::Plug(host)));
            }
            77..81 => self.split(index, ends),
            81..85 => {
                let before = self.world.net().node(host).access.clone();
                let percent = self.rng.range(1..25);
                let access = Access {
                    loss: percent as f64 / 100.0,
                    duplicate: 0.02,
                    reorder: 0.1,
                    ..before.clone()
                };
                self.world.net_mut().node_mut(host).access = access;
                self.note("bad lines", index, &format!("{percent} %"));
                let is_it = |(_, end): &(Time, End)| matches!(end, End::Line(at, _) if *at == host);
                if !ends.iter().any(is_it) {
                    ends.push((self.after(1000..120_000), End::Line(host, before)));
                }
            }
            85..88 if self.runs(index) => {
                self.world.set_asleep(host, true);
                self.note("sleeps", index, "");
                ends.push((self.after(500..200_000), End::Wake(index)));
            }
            88..91 => {
                self.world.net_mut().node_mut(host).renumber();
                self.note("moves", index, "");
                ends.push((self.after(10..10_000), End::Notice(index)));
            }
            91..96 => self.invite(),
            96..98 => self.ban(index),
            98..100 => self.leave(index),
            _ => {}
        }
        Ok(())
    }

    /// The network falls in two.
    fn split(&mut self, index: usize, ends: &mut Vec<(Time, End)>) {
        let parts = self.rng.range(2..5);
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for person in &self.people {
            match self.rng.one_in(parts) {
                true => there.push(person.host),
                false => here.push(person.host),
            }
        }
        for (number, host) in (0..).zip(&self.dht) {
            match number % 2 == 0 {
                true => there.push(*host),
                false => here.push(*host),
            }
        }
        self.world.net_mut().partition(&[&here, &there]);
        let detail = format!("{} and {}", here.len(), there.len());
        self.note("splits", index, &detail);
        ends.push((self.after(5_000..120_000), End::Reunite));
    }

    /// The admin invites somebody from outside.
    fn invite(&mut self) {
        let outside = self.people.iter().position(|p| p.place == Place::Outside);
        if let Some(other) = outside.filter(|_| self.is_up(0)) {
            let command = Command::AddMember {
                conversation: self.group.id,
                member: self.people[other].account(),
            };
            self.ask(0, Asked::Invite(other), command);
            self.note("invitations", other, "");
        }
    }

    /// Whether somebody may go: the admin stays, and so do most of the others.
    fn may_go(&self, index: usize) -> bool {
        let gone = self.people.iter().filter(|p| p.place == Place::Gone);
        self.people[index].account() != self.people[0].account()
            && self.people[index].place == Place::Member
            && gone.count() < self.plan.members.div_ceil(5)
    }

    fn ban(&mut self, index: usize) {
        if self.may_go(index) && self.is_up(0) {
            let command = Command::BanMember {
                conversation: self.group.id,
                member: self.people[index].account(),
            };
            self.ask(0, Asked::Ban(index), command);
            self.note("bans", index, "");
        }
    }

    fn leave(&mut self, index: usize) {
        if self.may_go(index) && self.is_up(index) {
            self.account_gone(self.people[index].account());
            let command = Command::Leave {
                conversation: self.group.id,
            };
            self.ask(index, Asked::Leave, command);
            self.note("members left", index, "");
        }
    }
}
