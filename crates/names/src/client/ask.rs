//! Requests, and what answers mean (docs/protocol/03-nameserver.md section 3).

use std::time::Duration;

use baraza_wire::{AccountId, UnixTime};
use thiserror::Error;
use url::Url;

use super::address::ServerUrl;
use crate::json::{AnswerError, Found, registered_from_json, reverse_from_json};
use crate::name::{LookupText, Name, NameError};

/// Most characters of a server's own words that are shown.
const MAX_REASON: usize = 200;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Whose is this name?
    Name(LookupText),
    /// What is the name of this account?
    Address(AccountId),
    /// Give this name to that account.
    Register {
        /// The name.
        name: Name,
        /// Who is to have it.
        id: AccountId,
        /// The body: see [`crate::Registration::to_json`].
        body: String,
    },
}

/// A question to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Who is asked.
    pub server: ServerUrl,
    /// What.
    pub question: Question,
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// After how many seconds to ask again, if it says so.
    pub retry_after: Option<u64>,
    /// The server's clock, if it says what it shows.
    pub date: Option<UnixTime>,
    /// The body.
    pub body: Vec<u8>,
}

/// What a reason begins with when TLS could not be had, as by a certificate nobody trusts.
pub(crate) const NO_TLS: &str = "no secure connection";

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct Unreachable {
    /// Why, for people.
    pub reason: String,
    /// Whether the server may have got the question.
    pub sent: bool,
}

impl Unreachable {
    /// Whether there is a server, but no secure connection to it.
    pub fn is_insecure(&self) -> bool {
        self.reason.starts_with(NO_TLS)
    }
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The name belongs to this account.
    Found {
        /// The name, as it was asked.
        name: LookupText,
        /// Whose it is.
        id: AccountId,
        /// Whether the owner's signature is there; it is good then.
        signed: bool,
    },
    /// The server says that this is the account's name: that proves nothing before the name
    /// was asked for.
    Named(LookupText),
    /// The name is registered.
    Registered,
}

/// Why nothing came of a question.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Failure {
    /// Nobody has the name, or the account has none.
    #[error("no such name is registered")]
    NotFound,
    /// Somebody else has the name.
    #[error("the name is taken")]
    Taken,
    /// The account has another name already.
    #[error("this account has the name {0} already; a name server gives only one")]
    HasName(String),
    /// No name.
    #[error("no name: {0}")]
    Invalid(NameError),
    /// The server could not be asked.
    #[error("the name server {server} cannot be asked: {why}")]
    Unreachable {
        /// Which.
        server: String,
        /// Why.
        why: Unreachable,
    },
    /// The answer is not to be believed.
    #[error("the name server {server} gave an answer that is not true: {how}")]
    Lied {
        /// Which.
        server: String,
        /// Why it is not true.
        how: AnswerError,
    },
    /// The answer is none of a name server.
    #[error("{server} does not answer as a name server does: {how}")]
    Garbled {
        /// Which.
        server: String,
        /// What is wrong with it.
        how: AnswerError,
    },
    /// The answer has no signature, and those were refused.
    #[error(
        "the name server {server} gave an answer without the owner's signature, which is \
         refused by your setting"
    )]
    Unsigned {
        /// Which.
        server: String,
    },
    /// Too many questions.
    #[error("the name server {server} wants no more questions now; try again {}", when(*.seconds))]
    RateLimited {
        /// Which.
        server: String,
        /// When it wants to be asked again, if it says so.
        seconds: Option<u64>,
    },
    /// The server does not believe that the name is wanted by the account.
    #[error("the name server {server} does not accept the account's signature")]
    Signature {
        /// Which.
        server: String,
    },
    /// The server refuses.
    #[error("the name server {server} refuses (status {status}){}", told(.reason))]
    Refused {
        /// Which.
        server: String,
        /// The status.
        status: u16,
        /// Its own words.
        reason: String,
    },
    /// The server is broken.
    #[error("the name server {server} has failed (status {status}); try again later")]
    Failed {
        /// Which.
        server: String,
        /// The status.
        status: u16,
    },
}

fn when(seconds: Option<u64>) -> String {
    match seconds {
        None => "later".into(),
        Some(0 | 1) => "in a second".into(),
        Some(few) if few < 120 => format!("in {few} seconds"),
        Some(more) => format!("in {} minutes", more.div_ceil(60)),
    }
}

fn told(reason: &str) -> String {
    match reason {
        "" => String::new(),
        reason => format!(": {reason}"),
    }
}

/// A server's own words, without what hides or turns around what stands beside it.
fn harmless(words: &str) -> String {
    let shown = |c: &char| *c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric();
    words.chars().filter(shown).take(MAX_REASON).collect()
}

impl Failure {
    /// For programs: stays the same over versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "name_not_found",
            Self::Taken => "name_taken",
            Self::HasName(_) => "has_name",
            Self::Invalid(_) => "invalid_name",
            Self::Unreachable { .. } => "name_server_unreachable",
            Self::Lied { .. } | Self::Unsigned { .. } => "name_server_lied",
            Self::RateLimited { .. } => "name_server_busy",
            Self::Signature { .. } | Self::Refused { .. } => "name_server_refused",
            Self::Failed { .. } | Self::Garbled { .. } => "name_server_failed",
        }
    }

    /// Whether the server may have done what it was asked for, though nobody knows.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Unreachable { why, .. } => why.sent,
            Self::Failed { .. } | Self::Garbled { .. } => true,
            _ => false,
        }
    }
}

impl Ask {
    /// `GET` or `POST`.
    pub fn method(&self) -> &'static str {
        match self.question {
            Question::Name(_) | Question::Address(_) => "GET",
            Question::Register { .. } => "POST",
        }
    }

    /// Where it goes to; `None` if there is no such address.
    pub fn url(&self) -> Option<Url> {
        let path = match &self.question {
            Question::Name(name) => format!("/name/{}", name.path_segment()),
            Question::Address(id) => format!("/addr/{}", id.to_hex()),
            Question::Register { name, .. } => format!("/name/{name}"),
        };
        let url = self.server.join(&path).ok()?;
        // Dots mean something else in paths, encoded, too.
        url.path().ends_with(&path).then_some(url)
    }

    /// What goes with it.
    pub fn body(&self) -> &str {
        match &self.question {
            Question::Name(_) | Question::Address(_) => "",
            Question::Register { body, .. } => body,
        }
    }

    /// What an answer means. `only_signed`: whether answers without signatures are refused.
    ///
    /// # Errors
    /// Why nothing came of the question.
    pub fn understand(
        &self,
        answer: Result<Answer, Unreachable>,
        only_signed: bool,
    ) -> Result<Outcome, Failure> {
        let server = || self.server.to_string();
        let answer = answer.map_err(|why| Failure::Unreachable {
            server: server(),
            why,
        })?;
        let lied = |how| match how {
            AnswerError::Json(words) => Failure::Garbled {
                server: server(),
                how: AnswerError::Json(harmless(&words)),
            },
            AnswerError::TooLarge => Failure::Garbled {
                server: server(),
                how,
            },
            how => Failure::Lied {
                server: server(),
                how,
            },
        };
        if !(200..300).contains(&answer.status) {
            return Err(self.refusal(&answer));
        }
        match &self.question {
            Question::Name(name) => {
                let found = Found::from_json(&answer.body).map_err(lied)?;
                let found = found.ok_or(Failure::NotFound)?;
                let signed = found.verify(name).map_err(lied)?;
                if only_signed && !signed {
                    return Err(Failure::Unsigned { server: server() });
                }
                Ok(Outcome::Found {
                    name: name.clone(),
                    id: found.addr,
                    signed,
                })
            }
            Question::Address(_) => {
                let name = reverse_from_json(&answer.body).map_err(lied)?;
                let name = name.ok_or(Failure::NotFound)?;
                let name = LookupText::new(&name)
                    .map_err(|error| lied(AnswerError::Json(error.to_string())))?;
                Ok(Outcome::Named(name))
            }
            Question::Register { .. } => match registered_from_json(&answer.body).map_err(lied)? {
                (true, _) => Ok(Outcome::Registered),
                (false, reason) => Err(self.refused(&answer, reason)),
            },
        }
    }

    /// What a status means that is no success.
    fn refusal(&self, answer: &Answer) -> Failure {
        let server = || self.server.to_string();
        let registers = matches!(self.question, Question::Register { .. });
        match answer.status {
            429 => Failure::RateLimited {
                server: server(),
                seconds: answer.retry_after,
            },
            503 if answer.retry_after.is_some() => Failure::RateLimited {
                server: server(),
                seconds: answer.retry_after,
            },
            404 | 410 if !registers => Failure::NotFound,
            401 if registers => Failure::Signature { server: server() },
            403 | 409 if registers => self.taken(answer),
            400..500 => {
                let reason = match registered_from_json(&answer.body) {
                    Ok((_, reason)) => reason,
                    Err(_) => None,
                };
                // As the existing server says it while it has not written a name yet.
                match &reason {
                    Some(reason) if registers && reason.contains("already registered") => {
                        self.taken(answer)
                    }
                    _ => self.refused(answer, reason),
                }
            }
            status => Failure::Failed {
                server: server(),
                status,
            },
        }
    }

    fn refused(&self, answer: &Answer, reason: Option<String>) -> Failure {
        Failure::Refused {
            server: self.server.to_string(),
            status: answer.status,
            reason: harmless(&reason.unwrap_or_default()),
        }
    }

    /// Somebody else has the name, or the account has another one.
    fn taken(&self, answer: &Answer) -> Failure {
        let (Question::Register { name, id, .. }, Ok(Some(owned))) =
            (&self.question, Found::from_json(&answer.body))
        else {
            return Failure::Taken;
        };
        match owned.name {
            Some(other) if owned.addr == *id && other != name.as_str() => {
                match LookupText::new(&other) {
                    Ok(other) => Failure::HasName(other.to_string()),
                    Err(_) => Failure::Taken,
                }
            }
            _ => Failure::Taken,
        }
    }
}

/// Where a redirection may lead to: the same host, and not from https to http.
///
/// # Errors
/// Why it is not followed, for people.
pub fn redirect(from: &Url, location: &str) -> Result<Url, String> {
    let to = from
        .join(location)
        .map_err(|_| "it redirects to something that is no address".to_owned())?;
    match (from.scheme(), to.scheme()) {
        ("https", "http") => return Err("it redirects from https to http".to_owned()),
        (_, "http" | "https") => {}
        _ => return Err("it redirects to something that is no web server".to_owned()),
    }
    if !to.username().is_empty() || to.password().is_some() {
        return Err("it redirects to an address with a user name".to_owned());
    }
    if to.host() != from.host() {
        let host = to.host_str().unwrap_or_default();
        return Err(format!("it redirects to another host, {host}"));
    }
    Ok(to)
}

/// Seconds in a header that says when to ask again; dates are not read.
pub(crate) fn retry_after(header: Option<&str>) -> Option<u64> {
    // A server that wants to be left alone for days is asked again all the same.
    const LONGEST: Duration = Duration::from_secs(24 * 3600);
    let seconds: u64 = header?.trim().parse().ok()?;
    Some(seconds.min(LONGEST.as_secs()))
}

#[cfg(test)]
mod tests;
