//! Texts that are not sent yet, kept over restarts; and texts on their way to the node, each
//! with a key with which it is written once, however often it is asked for.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use baraza_core::event::LocalId;
use baraza_wire::ConversationId;
use serde::{Deserialize, Serialize};

/// The file in the data directory.
pub(super) const FILE: &str = "drafts.json";
/// Longer files are not ours.
const MAX_FILE: u64 = 16 * 1024 * 1024;
/// Drafts kept; those of the conversations that come last by their IDs go first.
const MAX_DRAFTS: usize = 1000;

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Drafts {
    /// What was typed, by account and conversation.
    #[serde(default)]
    texts: BTreeMap<String, String>,
    /// On their way to the node.
    #[serde(default)]
    pub(super) outgoing: Vec<Outgoing>,
    /// Whether something changed since it was last written.
    #[serde(skip)]
    pub(super) changed: bool,
}

/// A text on its way to the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outgoing {
    pub(super) key: String,
    pub(super) account: String,
    pub(super) conversation: String,
    pub(super) body: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reply_to: Option<String>,
}

impl Drafts {
    /// What was typed there.
    pub(super) fn get(&self, account: LocalId, conversation: &ConversationId) -> &str {
        self.texts
            .get(&place(account, conversation))
            .map_or("", String::as_str)
    }

    pub(super) fn set(&mut self, account: LocalId, conversation: &ConversationId, text: &str) {
        let place = place(account, conversation);
        let known = self.texts.get(&place).map_or("", String::as_str);
        if known == text {
            return;
        }
        self.changed = true;
        if text.is_empty() {
            self.texts.remove(&place);
        } else {
            self.texts.insert(place, text.to_owned());
            while self.texts.len() > MAX_DRAFTS {
                self.texts.pop_last();
            }
        }
    }

    pub(super) fn add(&mut self, outgoing: Outgoing) {
        self.outgoing.push(outgoing);
        self.changed = true;
    }

    /// The node has it, or refused it.
    pub(super) fn take(&mut self, key: &str) -> Option<Outgoing> {
        let at = self.outgoing.iter().position(|one| one.key == key)?;
        self.changed = true;
        Some(self.outgoing.remove(at))
    }

    /// What an earlier run left. A file that cannot be read is told, not written over.
    pub(super) fn load(dir: &Path) -> io::Result<Self> {
        let mut text = String::new();
        match fs::File::open(dir.join(FILE)) {
            Ok(file) => file.take(MAX_FILE).read_to_string(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        serde_json::from_str(&text).map_err(io::Error::other)
    }

    /// Writes them beside the old ones, and then in their place: after a crash, either is
    /// whole.
    pub(super) fn save(&self, dir: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        let aside = dir.join("drafts.json.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&aside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(aside, dir.join(FILE))
    }
}

fn place(account: LocalId, conversation: &ConversationId) -> String {
    format!("{account}/{conversation}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_outlives_the_program_and_is_the_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (account, chat) = (LocalId::new(1), ConversationId::new([2; 20]));
        let mut drafts = Drafts::load(dir.path()).unwrap();
        drafts.set(account, &chat, "half a sen");
        drafts.add(Outgoing {
            key: "k1".into(),
            account: account.to_string(),
            conversation: chat.to_hex(),
            body: "whole".into(),
            reply_to: None,
        });
        assert!(drafts.changed);
        drafts.save(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let mut again = Drafts::load(dir.path()).unwrap();
        assert_eq!(again.get(account, &chat), "half a sen");
        assert_eq!(again.take("k1").unwrap().body, "whole");
        assert!(again.take("k1").is_none());
        fs::write(dir.path().join(FILE), "not ours").unwrap();
        assert!(Drafts::load(dir.path()).is_err());
    }
}
