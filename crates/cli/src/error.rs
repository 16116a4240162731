//! What can go wrong, and the exit code that says so.

use std::io;
use std::path::PathBuf;

use baraza_api::error::Problem;

/// Printed at the end of `baraza --help`; `docs/cli.md` says the same.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed for another reason
  2    wrong arguments
  3    no node runs on the data directory, or it does not answer
  4    there is no such account, contact, request, conversation or message
  5    refused: wrong password, blocked, not allowed as things stand
  6    it did not happen in the time given
  7    another node uses the data directory
  8    a conversation or a directory of names breaks a rule (… verify)
  9    the backup is damaged, cut short or none (backup verify, restore)
  10   something is broken (doctor)
  130  interrupted

Environment:
  BARAZA_DATA_DIR      as --data-dir
  BARAZA_ACCOUNT       as --account
  BARAZA_PASSWORD      the account's password, where one is needed
  BARAZA_NEW_PASSWORD  the password of an exported archive
  BARAZA_LOG           what the node logs: error, warn, info, debug, or per module";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error("no node runs on {}", .0.display())]
    NoNode(PathBuf),
    #[error("the node does not answer: {0}")]
    NoAnswer(String),
    #[error("{}", .0.detail)]
    Refused(Box<Problem>, u16),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    TimedOut(String),
    #[error("{0}")]
    InUse(String),
    #[error("{0}")]
    BadConversation(String),
    #[error("{0}")]
    BadNames(String),
    #[error("{0}")]
    NotAllowed(String),
    #[error("{0}")]
    Backup(#[from] baraza_core::backup::BackupError),
    #[error("{}", broken(*.0))]
    Broken(usize),
    #[error("interrupted")]
    Interrupted,
    #[error("{what}: {source}")]
    File { what: String, source: io::Error },
    #[error("{0}")]
    Other(String),
}

fn broken(checks: usize) -> String {
    match checks {
        1 => "one thing is broken".to_owned(),
        some => format!("{some} things are broken"),
    }
}

impl CliError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::File { .. } | Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::NoNode(_) | Self::NoAnswer(_) => 3,
            Self::NotFound(_) => 4,
            Self::Refused(_, status) => match status {
                404 => 4,
                400 => 2,
                408 => 6,
                500.. => 1,
                _ => 5,
            },
            Self::NotAllowed(_) => 5,
            Self::TimedOut(_) => 6,
            Self::InUse(_) => 7,
            Self::BadConversation(_) | Self::BadNames(_) => 8,
            Self::Backup(error) => match error.code() {
                "wrong_password" | "short_password" | "exists" | "busy" => 5,
                "damaged" | "cut" | "no_backup" | "newer" => 9,
                _ => 1,
            },
            Self::Broken(_) => 10,
            Self::Interrupted => 130,
        }
    }

    /// For programs: as the API's codes.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::NoNode(_) => "no_node",
            Self::NoAnswer(_) => "no_answer",
            Self::Refused(detail, _) => &detail.code,
            Self::NotFound(_) => "not_found",
            Self::Usage(_) => "usage",
            Self::TimedOut(_) => "timed_out",
            Self::InUse(_) => "in_use",
            Self::BadConversation(_) => "bad_conversation",
            Self::BadNames(_) => "bad_names",
            Self::NotAllowed(_) => "not_allowed",
            Self::Backup(error) => error.code(),
            Self::Broken(_) => "broken",
            Self::Interrupted => "interrupted",
            Self::File { .. } => "file",
            Self::Other(_) => "failed",
        }
    }

    /// What may help.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Self::NoNode(_) => Some("start one with: baraza run"),
            Self::Refused(detail, _) => detail.hint.as_deref(),
            Self::InUse(_) => Some("use that one, or give another --data-dir"),
            _ => None,
        }
    }

    /// For `map_err`: what was being done with which file.
    pub(crate) fn file(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::File { what, source }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::Other(error.to_string())
    }
}
