//! What a run of a scenario found.

use std::fmt;

/// Figures and failed checks of one run.
#[derive(Debug, Default, Clone)]
pub struct Report {
    lines: Vec<String>,
    failures: Vec<String>,
}

impl Report {
    /// Adds a figure for people.
    pub fn note(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// Adds a failure unless `ok`.
    pub fn check(&mut self, ok: bool, what: impl FnOnce() -> String) {
        if !ok {
            self.failures.push(what());
        }
    }

    /// Notes a share, and fails if it is below the limit (both in percent).
    pub fn at_least(&mut self, what: &str, good: usize, all: usize, percent: f64) {
        let share = share(good, all);
        self.note(format!("{what}: {good} of {all} ({share:.2} %)"));
        self.check(share >= percent, || {
            format!("{what}: {good} of {all} are {share:.2} %, less than {percent} %")
        });
    }

    /// Notes a figure, and fails if it is above the limit.
    pub fn at_most(&mut self, what: &str, value: f64, limit: f64) {
        self.note(format!("{what}: {value:.1} (budget {limit})"));
        self.check(value <= limit, || {
            format!("{what}: {value:.1} is above the budget of {limit}")
        });
    }

    /// Whether nothing failed.
    pub const fn is_ok(&self) -> bool {
        self.failures.is_empty()
    }

    /// What failed.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "    {line}")?;
        }
        for failure in &self.failures {
            writeln!(f, "  ! {failure}")?;
        }
        Ok(())
    }
}

/// Percent, 100 of nothing.
pub fn share(good: usize, all: usize) -> f64 {
    match all {
        0 => 100.0,
        _ => good as f64 * 100.0 / all as f64,
    }
}

/// The value below which so many percent of the values lie; sorts them.
pub fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let index = values.len().saturating_sub(1) * percent / 100;
    values.get(index).copied().unwrap_or_default()
}
