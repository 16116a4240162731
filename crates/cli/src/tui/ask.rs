//! What is asked of the node, and what comes back: the only way out of the desk.

use std::path::PathBuf;

use hyper::Method;
use serde_json::Value;

use crate::error::CliError;

/// Something to be asked of the node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ask {
    /// Comes back with the answer.
    pub(crate) id: u64,
    pub(crate) act: Act,
}

/// How it is asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    /// A request with a small answer.
    Call {
        method: Method,
        path: String,
        body: Value,
        /// Asked again with the same key, it is done once.
        key: Option<String>,
    },
    /// The content of a file goes to the node.
    Upload { path: String, file: PathBuf },
    /// The content of a file comes from the node, to a file that must not be there yet.
    Download { path: String, to: PathBuf },
}

/// What came of it; `null` if the answer says nothing.
pub(crate) type Answer = Result<Value, Trouble>;

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// As the API's codes.
    pub(crate) code: String,
    /// For people.
    pub(crate) text: String,
    /// Whether the node does not answer: the same may work later.
    pub(crate) away: bool,
}

impl From<&CliError> for Trouble {
    fn from(error: &CliError) -> Self {
        let text = match error.hint() {
            Some(hint) => format!("{error} ({hint})"),
            None => error.to_string(),
        };
        let away = match error {
            CliError::NoNode(_) | CliError::NoAnswer(_) => true,
            CliError::Refused(_, status) => matches!(status, 401 | 503),
            _ => false,
        };
        Self {
            code: error.code().to_owned(),
            text,
            away,
        }
    }
}
