use std::path::Path;

use baraza_swarm::repository::RepositoryError;
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::output;

/// Checks a conversation's repository; the first commit that breaks a rule is named.
pub(crate) fn verify(dir: &Path, global: &Global) -> Result<(), CliError> {
    match baraza_swarm::verify::verify(dir) {
        Ok(report) => {
            if global.json {
                return output::json(&json!({
                    "valid": true,
                    "conversation": report.conversation,
                    "head": report.head,
                    "commits": report.commits,
                    "merges": report.merges,
                }));
            }
            output::line(&format!(
                "{}: {} commits ({} merges) up to {}: all rules are kept",
                report.conversation, report.commits, report.merges, report.head
            ))
        }
        Err(RepositoryError::Refused(refused)) => {
            if global.json {
                output::json(&json!({
                    "valid": false,
                    "commit": refused.commit,
                    "rule": refused.rule.name(),
                    "text": refused.text,
                }))?;
            }
            Err(CliError::BadConversation(refused.to_string()))
        }
        Err(other) => Err(CliError::Other(other.to_string())),
    }
}
