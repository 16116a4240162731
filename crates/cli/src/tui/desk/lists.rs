//! What is listed: conversations and requests, with what one wants to know of each.

use baraza_api::types::Conversation;
use baraza_core::event::Presence;
use baraza_core::view::EntryKind;
use baraza_wire::{AccountId, ConversationId};

use super::{Desk, Told};
use crate::output::short;
use crate::tui::words;

/// Shorter beginnings of IDs are too easily somebody else's.
const MIN_PREFIX: usize = 4;

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: ConversationId,
    /// Of a person or a group, fit to be shown.
    pub(crate) name: String,
    /// Whether it is a request, which awaits an answer.
    pub(crate) request: bool,
    pub(crate) group: bool,
    pub(crate) presence: Presence,
    pub(crate) unread: u64,
    /// The newest entry, on one line.
    pub(crate) newest: String,
    /// When that was, in seconds.
    pub(crate) time: u64,
}

impl Desk {
    /// Requests, then conversations, the newest first.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut requests: Vec<Row> = self
            .requests
            .iter()
            .map(|request| {
                let who = short(&request.from.to_hex()).to_owned();
                let name = match request.name.as_str() {
                    "" => who,
                    name => format!("{} ({who})", words::foreign_name(name)),
                };
                let newest = if request.mode == 0 {
                    "wants to become a contact"
                } else {
                    "invites to a group"
                };
                Row {
                    id: request.conversation,
                    name,
                    request: true,
                    group: request.mode != 0,
                    presence: Presence::Offline,
                    unread: 0,
                    newest: newest.into(),
                    time: request.received.secs(),
                }
            })
            .collect();
        let mut rows: Vec<Row> = self.conversations.iter().map(|one| self.row(one)).collect();
        rows.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.id.cmp(&b.id)));
        requests.append(&mut rows);
        requests
    }

    fn row(&self, one: &Conversation) -> Row {
        let newest = one.newest.as_ref();
        let line = newest.map(|entry| {
            let own = self.account().map(|own| own.jami_id);
            if !matches!(entry.kind, EntryKind::Text | EntryKind::File) {
                self.sentence(entry)
            } else if one.mode == 0 && own != Some(entry.author) {
                self.line(entry)
            } else {
                format!("{}: {}", self.name_of(&entry.author), self.line(entry))
            }
        });
        Row {
            id: one.id,
            name: self.title(one),
            request: false,
            group: one.mode != 0,
            presence: self.presence_of(one),
            unread: one.unread,
            newest: line.unwrap_or_default(),
            time: newest.map_or(0, |entry| entry.timestamp),
        }
    }

    fn presence_of(&self, one: &Conversation) -> Presence {
        let contacts = self.contacts.iter();
        let near = contacts.filter(|contact| one.members.contains(&contact.id));
        let nearest = near.map(|contact| contact.presence).max();
        nearest.unwrap_or(Presence::Offline)
    }

    fn title(&self, one: &Conversation) -> String {
        let own = self.account().map(|account| account.jami_id);
        let other = one.members.iter().find(|member| Some(**member) != own);
        match (one.mode, self.titles.get(&one.id).map(String::as_str)) {
            (0, _) => {
                // One with a contact that has not come in yet names it all the same.
                let mut contacts = self.contacts.iter();
                let contact = contacts.find(|contact| contact.conversation == Some(one.id));
                match (contact, other) {
                    (Some(contact), _) => self.name_of(&contact.id),
                    (None, Some(other)) => self.name_of(other),
                    (None, None) => short(&one.id.to_hex()).to_owned(),
                }
            }
            (_, None | Some("")) => format!("group {}", short(&one.id.to_hex())),
            (_, Some(title)) => words::foreign_name(title),
        }
    }

    pub(super) fn conversation(&self, id: &ConversationId) -> Option<&Conversation> {
        self.conversations.iter().find(|one| one.id == *id)
    }

    /// What the open conversation is called.
    pub(crate) fn thread_title(&self) -> String {
        let id = self.thread().map(|thread| thread.id);
        match (id, id.and_then(|id| self.conversation(&id))) {
            (_, Some(one)) => self.title(one),
            (Some(id), None) => short(&id.to_hex()).to_owned(),
            (None, None) => String::new(),
        }
    }

    /// How near the others of the open conversation are, and who types.
    pub(crate) fn thread_state(&self) -> String {
        let Some(one) = self
            .thread()
            .and_then(|thread| self.conversation(&thread.id))
        else {
            return String::new();
        };
        let typists = self.typists(&one.id);
        if !typists.is_empty() {
            return typists;
        }
        let near = words::presence(self.presence_of(one));
        if one.mode == 0 {
            near.to_owned()
        } else {
            format!("{} members, {near}", one.members.len())
        }
    }

    /// How much is unread in all conversations.
    pub(crate) fn unread(&self) -> u64 {
        let counts = self.conversations.iter().map(|one| one.unread);
        counts.fold(0, u64::saturating_add)
    }

    /// The row that somebody means: its number in the list, a name, or the beginning of an ID.
    pub(super) fn find_row(&self, who: &str) -> Result<Row, String> {
        let rows = self.rows();
        if let Some(row) = numbered(who).and_then(|at| rows.get(at)) {
            return Ok(row.clone());
        }
        let wanted = who.trim().to_lowercase();
        let people = |row: &Row| {
            let mut ids = vec![row.id.to_hex()];
            if !row.group {
                let one = self.conversation(&row.id);
                ids.extend(
                    one.into_iter()
                        .flat_map(|one| one.members.iter().map(AccountId::to_hex)),
                );
                let mut requests = self.requests.iter();
                let asked = requests.find(|request| request.conversation == row.id);
                ids.extend(asked.map(|request| request.from.to_hex()));
            }
            let own = self.account().map(|own| own.jami_id.to_hex());
            ids.retain(|id| Some(id) != own.as_ref());
            ids
        };
        pick(rows, who, |row| {
            if row.name.to_lowercase() == wanted {
                3
            } else if row.name.to_lowercase().starts_with(&wanted) {
                2
            } else {
                let begins = wanted.len() >= MIN_PREFIX
                    && people(row).iter().any(|id| id.starts_with(&wanted));
                u8::from(begins)
            }
        })
    }

    /// The Jami ID of a contact or member, by name or the beginning of its ID; what is none is
    /// taken as it stands: the node knows whole IDs and names.
    pub(super) fn find_person(&self, who: &str) -> Result<String, String> {
        let wanted = who.trim().to_lowercase();
        let mut known: Vec<(String, String)> = self
            .contacts
            .iter()
            .map(|contact| (contact.id.to_hex(), self.name_of(&contact.id)))
            .collect();
        for member in self.thread().iter().flat_map(|thread| &thread.members) {
            let id = member.id.to_hex();
            if !known.iter().any(|(has, _)| *has == id) {
                known.push((id, self.name_of(&member.id)));
            }
        }
        let found = pick(known, who, |(id, name)| {
            if *id == wanted || name.to_lowercase() == wanted {
                3
            } else {
                u8::from(wanted.len() >= MIN_PREFIX && id.starts_with(&wanted))
            }
        });
        match found {
            Ok((id, _)) => Ok(id),
            Err(error) if error.starts_with("several") => Err(error),
            Err(_unknown) => Ok(who.trim().to_owned()),
        }
    }

    pub(super) fn tell_list(&mut self, unread_only: bool) {
        let rows = self.rows();
        let lines: Vec<String> = (1_usize..)
            .zip(&rows)
            .filter(|(_, row)| !unread_only || row.unread > 0)
            .map(|(number, row)| {
                let mut parts = vec![format!("{number}. {}", row.name)];
                if row.request {
                    parts.push("request".into());
                } else if row.group {
                    parts.push("group".into());
                } else {
                    parts.push(words::presence(row.presence).into());
                }
                if row.unread > 0 {
                    parts.push(format!("{} unread", row.unread));
                }
                if !row.newest.is_empty() {
                    parts.push(row.newest.clone());
                }
                parts.join(", ")
            })
            .collect();
        let title = match (lines.len(), unread_only) {
            (0, true) => "Nothing is unread.".to_owned(),
            (0, false) => "No conversations yet: /add WHO adds somebody.".to_owned(),
            (1, false) => "1 conversation".to_owned(),
            (count, false) => format!("{count} conversations and requests"),
            (count, true) => format!("{count} with something new"),
        };
        self.tell(Told::Page { title, lines });
    }
}

/// A number of a list, from 1 on, as an index.
pub(super) fn numbered(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let number: usize = digits.then(|| text.parse().ok())??;
    number.checked_sub(1)
}

/// The one that fits best.
pub(super) fn pick<T>(list: Vec<T>, who: &str, fits: impl Fn(&T) -> u8) -> Result<T, String> {
    let mut found: Vec<(u8, T)> = list
        .into_iter()
        .map(|one| (fits(&one), one))
        .filter(|(fit, _)| *fit > 0)
        .collect();
    let best = found.iter().map(|(fit, _)| *fit).max();
    found.retain(|(fit, _)| Some(*fit) == best);
    let who = words::foreign_name(who);
    match found.len() {
        0 => Err(format!("there is nobody and nothing called {who} here")),
        1 => found.pop().map(|(_, one)| one).ok_or(who),
        _ => Err(format!(
            "several are called {who}: give the number or the ID"
        )),
    }
}
