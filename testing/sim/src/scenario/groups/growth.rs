//! What a member of a group has to do, by the size of the group: it must grow about as the
//! logarithm does.

use std::time::Duration;

use anyhow::Result;

use super::{FIFTY, Plan, Size, Stage};
use crate::report::Report;

/// Messages written.
const MESSAGES: u32 = 20;
/// Time from one to the next.
const PAUSE: Duration = Duration::from_secs(3);
/// How much more the larger of two groups may cost a member, over how many more digits its
/// size has.
const SLACK: f64 = 1.3;

/// What one member does, on average.
struct Load {
    members: usize,
    links: f64,
    /// Bytes sent over links for each message in the group.
    bytes: f64,
}

pub(in crate::scenario) fn run(seed: u64, size: Size) -> Report {
    let sizes: &[usize] = match size {
        Size::Full => &[12, 25, 50, 100, 200],
        Size::Smoke => &[12, 36],
    };
    let mut report = Report::default();
    let loads: Result<Vec<Load>> = sizes.iter().map(|members| load(*members, seed)).collect();
    match loads {
        Ok(loads) => compare(&loads, &mut report),
        Err(error) => report.check(false, || format!("stopped: {error:#}")),
    }
    report
}

/// Nothing goes wrong in a group of this size, and people write now and then.
fn load(members: usize, seed: u64) -> Result<Load> {
    let plan = Plan {
        members,
        reserve: 0,
        seconds: 0,
        ..FIFTY
    };
    let mut stage = Stage::new(plan, seed)?;
    stage.pass(Duration::from_secs(90))?;
    let before = stage.sent();
    for _ in 0..MESSAGES {
        let index = stage.rng.index(members).unwrap_or(0);
        stage.write(index);
        stage.pass(PAUSE)?;
    }
    stage.pass(Duration::from_secs(20))?;
    let bytes = stage.sent().saturating_sub(before) as f64;
    stage.histories()?;
    let written: usize = stage
        .people
        .iter()
        .map(|person| person.confirmed.len())
        .sum();
    let differences = stage.differences();
    anyhow::ensure!(differences.is_empty(), "{members} members: {differences:?}");
    Ok(Load {
        members,
        links: stage.links(),
        bytes: bytes / members as f64 / written as f64,
    })
}

fn compare(loads: &[Load], report: &mut Report) {
    for load in loads {
        report.note(format!(
            "{:4} members: {:5.1} links, {:5.1} kB sent over links for a message, of each on average",
            load.members,
            load.links,
            load.bytes / 1000.0,
        ));
    }
    let Some((first, rest)) = loads.split_first() else {
        return;
    };
    for load in rest {
        let most = (load.members as f64).ln() / (first.members as f64).ln() * SLACK;
        for (what, ratio) in [
            ("links", load.links / first.links),
            ("bytes", load.bytes / first.bytes),
        ] {
            report.check(ratio <= most, || {
                format!(
                    "{what} grow by {ratio:.2} from {} to {} members, more than {most:.2}",
                    first.members, load.members
                )
            });
        }
    }
}

impl Stage {
    pub(super) fn pass(&mut self, time: Duration) -> Result<()> {
        let until = self.world.now() + time;
        while self.world.now() < until {
            self.look()?;
        }
        Ok(())
    }

    /// Bytes that all have sent over links.
    fn sent(&self) -> u64 {
        let hosts = self.people.iter().map(|person| person.host);
        hosts
            .map(|host| self.world.net().node(host).traffic.tcp_out)
            .sum()
    }
}
