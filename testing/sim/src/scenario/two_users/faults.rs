//! The fault schedule of one run.

use std::time::Duration;

use anyhow::Result;

use super::Stage;
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
                self.fault(&mut ends)?;
                next = next + exponential(Duration::from_secs(3), &mut self.rng);
            }
            self.turn(&mut ends)?;
        }
        for (_, fault) in std::mem::take(&mut ends) {
            self.end(fault)?;
        }
        self.world.net_mut().heal();
        for index in 0..2 {
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
        let (due, later) = std::mem::take(ends)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        *ends = later;
        let due: Vec<(Time, End)> = due;
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

    /// Something happens: a message most of the time, else a fault.
    fn fault(&mut self, ends: &mut Vec<(Time, End)>) -> Result<()> {
        let index = self.rng.index(2).unwrap_or(0);
        let host = self.people[index].host;
        let dice = self.rng.range(0..100);
        match dice {
            0..50 => self.write(index),
            50..56 => {
                let count = self.rng.range(2..12);
                self.note("bursts", index, "");
                for _ in 0..count {
                    self.write(index);
                }
            }
            56..64 if self.runs(index) => {
                let power = self.rng.one_in(2);
                let crash = if power { Crash::Power } else { Crash::Kill };
                self.crash(index, crash)?;
                self.note("crashes", index, &format!("{crash:?}"));
                ends.push((self.after(50..90_000), End::Start(index)));
            }
            64..76 if self.runs(index) => {
                // The next outputs may be anything: mostly a handful, sometimes many.
                let most = self.rng.range(1..80);
                let outputs = u32::try_from(self.rng.range(0..most))?;
                let power = self.rng.one_in(3);
                let crash = if power { Crash::Power } else { Crash::Kill };
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
            76..81 => {
                self.world.net_mut().node_mut(host).set_plugged(false);
                self.note("cable cuts", index, "");
                ends.push((self.after(100..120_000), End::Plug(host)));
            }
            81..86 => {
                let (a, b) = (self.people[0].host, self.people[1].host);
                self.world.net_mut().block(a, b, true);
                self.note("splits", index, "");
                ends.push((self.after(100..120_000), End::Reunite));
            }
            86..91 => {
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
            91..95 => {
                let small = self.rng.range(0..4) > 0;
                let most: u64 = if small { 5_000 } else { 3_600_000 };
                let by = i64::try_from(self.rng.range(0..most * 2))?;
                let by = by - i64::try_from(most)?;
                let clock = &mut self.world.net_mut().node_mut(host).clock;
                // Never further off than an hour in all.
                let by = match (clock.wrong_by() + by).abs() > 3_600_000 {
                    true => -clock.wrong_by(),
                    false => by,
                };
                clock.jump(by);
                self.note("clock jumps", index, &format!("{by} ms"));
            }
            95..98 if self.runs(index) => {
                self.world.set_asleep(host, true);
                self.note("sleeps", index, "");
                ends.push((self.after(500..300_000), End::Wake(index)));
            }
            98..100 => {
                self.world.net_mut().node_mut(host).renumber();
                self.note("moves", index, "");
                ends.push((self.after(10..10_000), End::Notice(index)));
            }
            _ => {}
        }
        Ok(())
    }
}
