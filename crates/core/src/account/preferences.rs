//! How a conversation is shown: colour, symbol, whether it may disturb. The same on all
//! devices of the account; its members do not see it.

use std::collections::BTreeMap;

use baraza_store::{PreferencesRow, StoreError};
use baraza_wire::ConversationId;

use crate::account::{Account, CommandFailure};
use crate::command::CommandError;
use crate::event::EventBody;

/// Bytes of all names and values of one conversation.
pub(super) const MAX_SIZE: usize = 16 << 10;
/// Names of one conversation.
const MAX_ENTRIES: usize = 60;

/// Bytes of all names and values.
pub(super) fn size(entries: &BTreeMap<String, String>) -> usize {
    let bytes = |(name, value): (&String, &String)| name.len().saturating_add(value.len());
    entries.iter().map(bytes).sum()
}

impl Account {
    /// The preferences of a conversation.
    pub(super) fn preferences(
        &self,
        id: &ConversationId,
    ) -> Result<BTreeMap<String, String>, CommandFailure> {
        self.conversation(id)?;
        let row = self.sync.preferences.get(id);
        Ok(row.map(|row| row.entries.clone()).unwrap_or_default())
    }

    /// The command to change preferences: an empty value removes one.
    pub(super) fn set_preferences(
        &mut self,
        id: ConversationId,
        changes: BTreeMap<String, String>,
    ) -> Result<(), CommandFailure> {
        let mut entries = self.preferences(&id)?;
        for (name, value) in changes {
            let fine = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if name.is_empty() || !fine || name == super::sync::LAST_MODIFIED {
                let text = "the name of a preference has letters and digits".to_owned();
                return Err(CommandError::Invalid(text).into());
            }
            if value.is_empty() {
                entries.remove(&name);
            } else {
                entries.insert(name, value);
            }
        }
        if entries.len() > MAX_ENTRIES || size(&entries) > MAX_SIZE {
            let text = format!(
                "a conversation has at most {MAX_ENTRIES} preferences of {MAX_SIZE} bytes in all"
            );
            return Err(CommandError::Invalid(text).into());
        }
        // Later than the last change, also if the clock was set back.
        let before = self.sync.preferences.get(&id).map_or(0, |row| row.modified);
        let modified = self.core.now.unix.secs().max(before.saturating_add(1));
        Ok(self.put_preferences(PreferencesRow {
            conversation: id,
            modified,
            entries,
        })?)
    }

    pub(super) fn put_preferences(&mut self, row: PreferencesRow) -> Result<(), StoreError> {
        let id = row.conversation;
        self.core.store.begin()?;
        let number = self.core.config.number;
        self.core.store.put_preferences(number, &row)?;
        self.sync.preferences.insert(id, row);
        self.preferences_changed(id);
        self.core
            .emit(EventBody::PreferencesChanged { conversation: id });
        Ok(())
    }
}
