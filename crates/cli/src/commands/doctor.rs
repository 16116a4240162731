//! `baraza doctor`: what is well, what is not, and what to try.

use baraza_api::types::Status;
use baraza_api::types::doctor::{Checked, DoctorReport, Examine};
use baraza_core::doctor::{Check, Verdict};

use super::Context;
use crate::args::CheckName;
use crate::error::CliError;
use crate::output::{self, printable};

pub(crate) async fn run(
    context: &Context<'_>,
    checks: Vec<CheckName>,
    report: bool,
) -> Result<(), CliError> {
    let wanted = Examine {
        checks: checks.into_iter().map(Check::from).collect(),
    };
    let results: Vec<Checked> = context.client.post("/doctor", &wanted).await?;
    if report {
        // The node writes it, so that nothing private comes this far.
        let report: DoctorReport = context.client.get("/doctor/report").await?;
        match context.json() {
            true => output::json(&report)?,
            false => output::line(report.text().trim_end())?,
        }
    } else if context.json() {
        output::json(&results)?;
    } else {
        show(&results)?;
        let status: Status = context.client.get("/status").await?;
        if status.version != env!("CARGO_PKG_VERSION") {
            output::line(&format!(
                "This command is of version {}, the node of {}: start the node again.",
                env!("CARGO_PKG_VERSION"),
                printable(&status.version)
            ))?;
        }
    }
    let broken = results.iter().filter(|one| one.verdict == Verdict::Broken);
    match broken.count() {
        0 => Ok(()),
        broken => Err(CliError::Broken(broken)),
    }
}

fn show(results: &[Checked]) -> Result<(), CliError> {
    for result in results {
        for line in result.lines() {
            output::line(&printable(&line))?;
        }
    }
    Ok(())
}
