//! How a server is run.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::source::Rate;
use crate::confusable::Likeness;
use crate::name::{Name, NameError};
use crate::tls::TlsFiles;

/// What a server is told when it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens. Port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// Where health and counts are; nowhere else are counts.
    pub monitor: Option<SocketAddr>,
    /// TLS; without, somebody else must do it in front.
    pub tls: Option<TlsFiles>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpAddr>,
    /// Which names are too alike.
    pub likeness: Likeness,
    /// Names that nobody may register.
    pub reserved: Reserved,
    /// Zero bits of proof of work for a registration; 0 for none.
    pub work_bits: u32,
    /// How much is too much.
    pub limits: Limits,
    /// How long entries may go without a checkpoint.
    pub checkpoint_every: Duration,
}

/// How much is too much; `None` for no limit.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Lookups of one source.
    pub lookups: Option<Rate>,
    /// Lookups of all together.
    pub all_lookups: Option<Rate>,
    /// Registrations of one source, those that are refused counted.
    pub registrations: Option<Rate>,
    /// Registrations of all together.
    pub all_registrations: Option<Rate>,
    /// Connections at once.
    pub connections: usize,
    /// Connections of one source at once; proxies are free.
    pub connections_of_one: usize,
    /// How long a client may take to send a request's head, or to begin the next one.
    pub head_time: Duration,
    /// How long a client may take to send a body.
    pub body_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let rate = |count, seconds, burst| {
            Some(Rate {
                count,
                per: Duration::from_secs(seconds),
                burst,
            })
        };
        Self {
            lookups: rate(20, 1, 200),
            all_lookups: None,
            registrations: rate(20, 3600, 10),
            all_registrations: rate(100, 1, 1000),
            connections: 8192,
            connections_of_one: 256,
            head_time: Duration::from_secs(20),
            body_time: Duration::from_secs(10),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            monitor: None,
            tls: None,
            proxies: Vec::new(),
            likeness: Likeness::default(),
            reserved: Reserved::default(),
            work_bits: 0,
            limits: Limits::default(),
            checkpoint_every: Duration::from_secs(60),
        }
    }
}

/// Names that nobody may register, and what looks like them.
#[derive(Debug, Clone, Default)]
pub struct Reserved {
    skeletons: HashSet<String>,
}

/// A line of a list of reserved names that holds no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {error}")]
pub struct ReservedError {
    line: usize,
    error: NameError,
}

impl Reserved {
    /// Reads a list: one name a line, `#` begins a comment.
    ///
    /// # Errors
    /// Which line holds no name.
    pub fn parse(text: &str, likeness: Likeness) -> Result<Self, ReservedError> {
        let mut skeletons = HashSet::new();
        for (index, line) in text.lines().enumerate() {
            let word = line.split('#').next().unwrap_or_default().trim();
            if word.is_empty() {
                continue;
            }
            let name = Name::from_typed(word).map_err(|error| ReservedError {
                line: index.saturating_add(1),
                error,
            })?;
            skeletons.insert(likeness.skeleton(name.as_str()));
        }
        Ok(Self { skeletons })
    }

    /// Whether a name is on the list, or looks like one that is.
    pub fn contains(&self, name: &Name, likeness: Likeness) -> bool {
        !self.skeletons.is_empty() && self.skeletons.contains(&likeness.skeleton(name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_reserved_names() {
        let text = "# ours\nadmin\n\n  Root # and this\n";
        let reserved = Reserved::parse(text, Likeness::Ascii).unwrap();
        let holds = |text| reserved.contains(&Name::new(text).unwrap(), Likeness::Ascii);
        assert!(holds("admin") && holds("root") && holds("r00t"));
        assert!(!holds("administrator"));
        let error = Reserved::parse("admin\na b c\n", Likeness::Ascii).unwrap_err();
        assert!(
            error.to_string().starts_with("line 2: a name has"),
            "{error}"
        );
    }
}
