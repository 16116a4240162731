//! `baraza-sim`: runs scenarios of the simulated network.

use std::collections::VecDeque;
use std::io::Write;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use baraza_sim::Time;
use baraza_sim::report::Report;
use baraza_sim::scenario::{self, Scenario, Size};
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

#[derive(Debug, Parser)]
#[command(about = "Scenarios in a simulated network, in virtual time", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Order>,
    /// Runs at the same time; the number of cores if not given
    #[arg(long, global = true)]
    jobs: Option<usize>,
    /// Logs to stderr, with virtual times: a filter such as `info` or `baraza_link=debug`
    #[arg(long, global = true)]
    log: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// All scenarios with all their seeds (the same as without a command)
    All,
    /// A short subset, for `make test`
    Smoke,
    /// One scenario
    Scenario {
        /// Its name, see `list`
        name: String,
        /// The first seed
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many seeds
        #[arg(long, default_value_t = 1)]
        seeds: u64,
        /// The short form, as in `smoke`
        #[arg(long)]
        small: bool,
    },
    /// Names and descriptions of the scenarios
    List,
}

/// Stamps log lines with the time of the world that runs on the thread.
struct VirtualTime;

impl FormatTime for VirtualTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{}", Time::current())
    }
}

struct Job {
    scenario: &'static Scenario,
    seed: u64,
    size: Size,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(filter) = &arguments.log {
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(filter))
            .with_timer(VirtualTime)
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .init();
    }
    let jobs = match arguments.command.unwrap_or(Order::All) {
        Order::All => all(Size::Full),
        Order::Smoke => all(Size::Smoke),
        Order::Scenario {
            name,
            seed,
            seeds,
            small,
        } => {
            let Some(scenario) = scenario::find(&name) else {
                eprintln!("no scenario {name:?}; see: cargo run -p baraza-sim -- list");
                return ExitCode::from(2);
            };
            let size = if small { Size::Smoke } else { Size::Full };
            let job = |seed| Job {
                scenario,
                seed,
                size,
            };
            (seed..seed.saturating_add(seeds)).map(job).collect()
        }
        Order::List => {
            for scenario in scenario::ALL {
                println!("{:12} {}", scenario.name, scenario.about);
            }
            return ExitCode::SUCCESS;
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    match run_all(jobs, arguments.jobs.unwrap_or(cores).max(1)) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn all(size: Size) -> VecDeque<Job> {
    let mut jobs = VecDeque::new();
    for scenario in scenario::ALL {
        let seeds = match size {
            Size::Full => scenario.seeds.0,
            Size::Smoke => scenario.seeds.1,
        };
        jobs.extend((1..=seeds).map(|seed| Job {
            scenario,
            seed,
            size,
        }));
    }
    jobs
}

/// Runs the jobs on some threads, prints each result as it comes, then the sum.
fn run_all(jobs: VecDeque<Job>, threads: usize) -> bool {
    let begun = Instant::now();
    let queue = Mutex::new(jobs);
    let counts = Mutex::new((0, Vec::new()));
    let next = || queue.lock().ok()?.pop_front();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(job) = next() {
                    let line = run_one(&job);
                    if let Ok(mut counts) = counts.lock() {
                        match line {
                            None => counts.0 += 1,
                            Some(replay) => counts.1.push(replay),
                        }
                    }
                }
            });
        }
    });
    let (passed, failed) = counts.into_inner().unwrap_or_default();
    for replay in &failed {
        println!("replay: {replay}");
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{passed} passed, {} failed, {seconds:.1} s", failed.len());
    failed.is_empty()
}

/// Runs one job; gives the command that replays it if it failed.
fn run_one(job: &Job) -> Option<String> {
    let begun = Instant::now();
    let run = || (job.scenario.run)(job.seed, job.size);
    let report = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("?");
        let mut report = Report::default();
        report.check(false, || format!("panicked: {text}"));
        report
    });
    let word = if report.is_ok() { "ok    " } else { "FAILED" };
    let seconds = begun.elapsed().as_secs_f64();
    let (name, seed) = (job.scenario.name, job.seed);
    // One call, so that threads do not mix their lines; and whoever reads may have gone.
    let text = format!("{word} {name} seed {seed}: {seconds:.1} s\n{report}");
    let _ = std::io::stdout().write_all(text.as_bytes());
    let small = if job.size == Size::Smoke {
        " --small"
    } else {
        ""
    };
    (!report.is_ok())
        .then(|| format!("cargo run -p baraza-sim -- scenario {name} --seed {seed}{small}"))
}
