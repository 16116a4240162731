//! The scenarios of `baraza-sim`.

mod bootstrap;
mod dht;
mod groups;
mod listen;
mod loss;
mod partition;
mod two_users;
mod young;

use std::path::{Path, PathBuf};
use std::time::Duration;

use baraza_wire::Rng;

use crate::net::Access;
use crate::report::Report;

/// How much of a scenario to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// All of it.
    Full,
    /// As little as shows that it works, for `make test`.
    Smoke,
}

/// A scenario.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// How many seeds a full and a smoke run take.
    pub seeds: (u64, u64),
    /// Runs it.
    pub run: fn(u64, Size) -> Report,
}

/// All scenarios, the longest first.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "two-users",
        about: "two users write to each other through random faults: nothing lost, nothing twice",
        seeds: (200, 12),
        run: two_users::run,
    },
    Scenario {
        name: "group-200",
        about: "a group of 200 through random faults: all have the same in the end",
        seeds: (10, 0),
        run: groups::two_hundred,
    },
    Scenario {
        name: "group-growth",
        about: "what a member has to do in groups of 12 to 200: grows as the logarithm",
        seeds: (1, 1),
        run: groups::growth,
    },
    Scenario {
        name: "group-50",
        about: "a group of 50 through random faults: all have the same in the end",
        seeds: (40, 0),
        run: groups::fifty,
    },
    Scenario {
        name: "group-many",
        about: "300 devices in one conversation, 12 of which are ever there",
        seeds: (2, 1),
        run: groups::many,
    },
    Scenario {
        name: "group-hostile",
        about: "two of seven members forge, flood and dawdle: the others notice nothing",
        seeds: (8, 1),
        run: groups::hostile,
    },
    Scenario {
        name: "group-5",
        about: "a group of five through random faults: all have the same in the end",
        seeds: (150, 3),
        run: groups::five,
    },
    Scenario {
        name: "dht",
        about: "1,000 DHT nodes with churn for an hour: gets, puts, listens, budgets",
        seeds: (1, 1),
        run: dht::run,
    },
    Scenario {
        name: "loss",
        about: "gets and puts in a DHT that loses 0 to 30 % of all packets",
        seeds: (2, 1),
        run: loss::run,
    },
    Scenario {
        name: "listen",
        about: "listeners see values come, change and go while nodes come and go",
        seeds: (3, 1),
        run: listen::run,
    },
    Scenario {
        name: "partition",
        about: "a DHT falls in two halves and heals",
        seeds: (3, 1),
        run: partition::run,
    },
    Scenario {
        name: "bootstrap",
        about: "a DHT grows from one node, loses it, and a late node waits for it",
        seeds: (3, 1),
        run: bootstrap::run,
    },
    Scenario {
        name: "young",
        about: "300 nodes join within half a minute and use the DHT at once",
        seeds: (3, 2),
        run: young::run,
    },
];

/// The scenario of a name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

/// A line as people have them: 5 to 60 ms to the middle of the network, some jitter, half a
/// percent of loss.
fn home(rng: &mut Rng) -> Access {
    let ms = |rng: &mut Rng, range| Duration::from_millis(rng.range(range));
    Access {
        latency: ms(rng, 5..60),
        jitter: ms(rng, 0..15),
        loss: 0.0025,
        reorder: 0.002,
        ..Access::default()
    }
}

/// An exponentially distributed time with this mean.
fn exponential(mean: Duration, rng: &mut Rng) -> Duration {
    let unit = (rng.range(0..1 << 53) as f64 + 1.0) / (1_u64 << 53) as f64;
    mean.mul_f64(-unit.ln())
}

/// The directory of this name somewhere below another.
fn find_directory(directory: &Path, name: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(directory).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            let found = match entry.file_name() == name {
                true => Some(path),
                false => find_directory(&path, name),
            };
            if found.is_some() {
                return found;
            }
        }
    }
    None
}
