//! Where the node begins in the network, as somebody chose it: kept over restarts.

use std::io;
use std::path::Path;
use std::sync::Mutex;

use baraza_store::files;
use serde::{Deserialize, Serialize};

use super::{Node, NodeConfig, NodeError, lock};
use crate::event::LocalId;

/// The file with what was chosen, in the data directory.
pub(crate) const NETWORK: &str = "network.json";
/// Longest such file.
const MAX_FILE: u64 = 64 * 1024;
/// Most hosts to begin with.
pub const MAX_HOSTS: usize = 32;
/// Longest name of a host, with its port.
const MAX_HOST: usize = 261;

/// What was chosen.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chosen {
    /// Hosts to begin with; `None`: the usual ones.
    #[serde(default)]
    bootstrap: Option<Vec<String>>,
    /// Whether to look for nodes and people in the local network.
    #[serde(default)]
    pub(super) local: bool,
    /// The accounts that show themselves there.
    #[serde(default)]
    pub(super) shown: Vec<LocalId>,
}

impl Chosen {
    fn load(data_dir: &Path) -> Result<Self, NodeError> {
        let path = data_dir.join(NETWORK);
        let text = match files::read_limited(&path, MAX_FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            text => text,
        };
        text.and_then(|text| Ok(serde_json::from_slice(&text)?))
            .map_err(|source| NodeError::Io { path, source })
    }

    fn save(&self, data_dir: &Path) -> Result<(), NodeError> {
        let path = data_dir.join(NETWORK);
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        files::write_private(&path, &text).map_err(|source| NodeError::Io { path, source })
    }
}

/// What is chosen, and its file.
#[derive(Debug)]
pub(super) struct Choices {
    now: Mutex<Chosen>,
    /// Held while the file is written.
    writing: Mutex<()>,
}

impl Choices {
    /// What was chosen before.
    pub(super) fn load(data_dir: &Path) -> Result<Self, NodeError> {
        Ok(Self {
            now: Mutex::new(Chosen::load(data_dir)?),
            writing: Mutex::default(),
        })
    }

    pub(super) fn now(&self) -> Chosen {
        lock(&self.now).clone()
    }

    /// The hosts a node begins with when it starts.
    pub(super) fn first_hosts(&self, config: &NodeConfig) -> Vec<String> {
        let chosen = self.now().bootstrap.filter(|_| !config.bootstrap_given);
        chosen.unwrap_or_else(|| config.bootstrap.clone())
    }
}

impl Node {
    /// Changes what was chosen: first on the disk.
    pub(super) fn choose(&self, change: impl FnOnce(&mut Chosen)) -> Result<(), NodeError> {
        let choices = &self.inner.choices;
        let _alone = lock(&choices.writing);
        let mut chosen = choices.now();
        change(&mut chosen);
        chosen.save(&self.config().data_dir)?;
        *lock(&choices.now) = chosen;
        Ok(())
    }

    /// The hosts to begin with, as of now.
    pub fn bootstrap(&self) -> Vec<String> {
        self.inner.dht.hosts()
    }

    /// The hosts that were chosen for this and later runs; `None` if nobody chose any.
    pub fn chosen_bootstrap(&self) -> Option<Vec<String>> {
        self.inner.choices.now().bootstrap
    }

    /// Begins at these hosts from now on, and asks them at once; `None`: at those the node was
    /// started with. It stays so over restarts, unless the node is told otherwise then.
    ///
    /// # Errors
    /// If one of them is none, there are too many, or they cannot be written down.
    pub fn set_bootstrap(&self, hosts: Option<Vec<String>>) -> Result<(), NodeError> {
        if let Some(hosts) = &hosts {
            if hosts.len() > MAX_HOSTS {
                let text = format!("at most {MAX_HOSTS} hosts can be begun with");
                return Err(NodeError::Refused(text));
            }
            if let Some(wrong) = hosts.iter().find(|host| !is_host(host)) {
                let shown: String = wrong.chars().take(64).collect();
                let text = format!("{shown} is no host: expected host, host:port or [v6]:port");
                return Err(NodeError::Refused(text));
            }
        }
        let usual = || self.config().bootstrap.clone();
        let now = hosts.clone().unwrap_or_else(usual);
        self.choose(|chosen| chosen.bootstrap = hosts)?;
        self.inner.dht.set_hosts(now);
        Ok(())
    }
}

/// Whether a text can be a host with or without a port.
fn is_host(text: &str) -> bool {
    if text.is_empty() || text.len() > MAX_HOST {
        return false;
    }
    let port = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
    if let Some(rest) = text.strip_prefix('[') {
        let Some((host, rest)) = rest.split_once(']') else {
            return false;
        };
        let rest = rest.strip_prefix(':').map_or(rest.is_empty(), port);
        return rest && host.parse::<std::net::Ipv6Addr>().is_ok();
    }
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return true;
    }
    let (host, rest) = match text.split_once(':') {
        Some((host, number)) => (host, port(number)),
        None => (text, true),
    };
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    rest && !host.is_empty() && host.chars().all(letter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_are_told_from_other_texts() {
        for good in [
            "bootstrap.jami.net",
            "localhost:4222",
            "203.0.113.9:4222",
            "2001:db8::1",
            "[2001:db8::1]",
            "[2001:db8::1]:4222",
        ] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "",
            ":4222",
            "host:",
            "host:0",
            "host:70000",
            "a b",
            "http://host",
            "[::1",
            "[host]:1",
            "host/path",
            "two:1:2",
            "h\u{202e}ost",
        ] {
            assert!(!is_host(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_one_or_none(text in ".{0,300}") {
            is_host(&text);
        }
    }
}
