//! Events of the node: what they change at once, and what is read anew because of them.

use baraza_core::event::{EventBody, LocalId, Presence};
use baraza_core::view::EntryKind;
use baraza_wire::ConversationId;
use serde_json::Value;

use super::{Change, Desk, Millis, Read, TYPING, Told};
use crate::tui::words;

impl Desk {
    /// Something happened.
    pub(crate) fn event(&mut self, now: Millis, event: &Value) {
        if event.get("event").and_then(Value::as_str) == Some("gap") {
            self.connected();
            return;
        }
        // `account` is somebody else's in some events: who did something.
        let account = event.get("local_account").or_else(|| event.get("account"));
        let account = account.and_then(|id| serde_json::from_value::<LocalId>(id.clone()).ok());
        // One of a newer node says nothing to us.
        let (Some(account), Ok(body)) = (account, serde_json::from_value(event.clone())) else {
            return;
        };
        let ours = Some(account) == self.current;
        match &body {
            EventBody::AccountAdded { .. } | EventBody::AccountRemoved => self.want(Read::Accounts),
            EventBody::RegistrationStateChanged { state, detail } => {
                self.details.insert(account, detail.clone());
                let mut accounts = self.accounts.iter_mut();
                if let Some(known) = accounts.find(|one| one.account == account) {
                    known.state = *state;
                }
                self.want(Read::Accounts);
                if ours && !detail.is_empty() {
                    let state = self.state();
                    self.tell(Told::Line(format!("the account is {state}")));
                }
            }
            EventBody::DeviceAnnounced => self.want(Read::Accounts),
            _ if !ours => {}
            body => self.own_event(now, body),
        }
    }

    fn own_event(&mut self, now: Millis, body: &EventBody) {
        match body {
            EventBody::RequestReceived {
                from, name, mode, ..
            } => {
                let who = match name.as_str() {
                    "" => self.name_of(from),
                    name => format!("{} ({})", words::foreign_name(name), self.name_of(from)),
                };
                let text = if *mode == 0 {
                    "wants to become a contact"
                } else {
                    "invites to a group"
                };
                self.tell(Told::Line(format!(
                    "request: {who} {text}; /accept, /decline or /block it"
                )));
                self.want(Read::Requests);
            }
            EventBody::RequestRemoved { .. } => self.want(Read::Requests),
            EventBody::ContactAdded { contact, confirmed } => {
                if *confirmed {
                    let name = self.name_of(contact);
                    self.tell(Told::Line(format!("{name} is a contact now")));
                }
                self.want(Read::Contacts);
                self.want(Read::Conversations);
            }
            EventBody::ContactRemoved { .. } => {
                self.want(Read::Contacts);
                self.want(Read::Conversations);
            }
            EventBody::ConversationReady { .. } | EventBody::ConversationRemoved { .. } => {
                self.want(Read::Conversations);
                self.want(Read::Requests);
            }
            EventBody::PresenceChanged { contact, presence } => {
                self.presence_changed(contact, *presence);
            }
            EventBody::ComposingChanged {
                conversation,
                account,
                active,
            } => {
                if *active {
                    let until = now.saturating_add(TYPING);
                    self.typing.insert((*conversation, *account), until);
                } else {
                    self.typing.remove(&(*conversation, *account));
                }
            }
            EventBody::ProfileChanged { account, name, .. } => {
                self.names.insert(*account, name.clone());
                self.want(Read::Contacts);
                self.want(Read::Accounts);
            }
            EventBody::NameChanged { .. } => {
                self.want(Read::Contacts);
                self.want(Read::Accounts);
            }
            EventBody::MemberEvent { conversation, .. } => {
                self.want(Read::Conversation(*conversation));
                if self.is_open(conversation) {
                    self.want(Read::Members);
                }
            }
            EventBody::MessageReceived {
                conversation,
                message,
            } => self.message_received(conversation, message),
            EventBody::MessageDelivered { conversation, .. }
            | EventBody::MessageRead { conversation, .. } => {
                self.want(Read::Conversation(*conversation));
                if self.is_open(conversation) && self.is_at_end() {
                    self.want(Read::Newest);
                }
            }
            EventBody::FileChanged {
                conversation,
                message,
                status,
                received,
                detail,
                ..
            } if self.is_open(conversation) => {
                if let Some(thread) = &mut self.thread
                    && let Some(file) = thread.files.get_mut(message)
                {
                    file.status = *status;
                    file.received = *received;
                }
                if !detail.is_empty() {
                    self.tell(Told::Trouble(words::foreign(detail)));
                }
                // Parts of it come often; only its ends are worth a question.
                if *status != baraza_core::FileStatus::Ongoing {
                    self.want(Read::File(*message));
                }
            }
            EventBody::ConversationDiverged {
                conversation,
                refusal,
            } => {
                let detail = words::foreign(&refusal.detail);
                self.tell(Told::Trouble(format!(
                    "a conversation has diverged, as a message in it breaks a rule: {detail}"
                )));
                self.want(Read::Conversation(*conversation));
            }
            EventBody::DeviceRevoked { account, .. } => {
                let name = self.name_of(account);
                self.tell(Told::Line(format!("a device of {name} was revoked")));
            }
            _ => {}
        }
    }

    fn presence_changed(&mut self, contact: &baraza_wire::AccountId, presence: Presence) {
        let mut contacts = self.contacts.iter_mut();
        let Some(known) = contacts.find(|one| one.id == *contact) else {
            return;
        };
        let before = std::mem::replace(&mut known.presence, presence);
        // Only whether somebody is there or not; between the two are seconds.
        if (before == Presence::Offline) != (presence == Presence::Offline) {
            let (name, is) = (self.name_of(contact), words::presence(presence));
            self.tell(Told::Line(format!("{name} is {is}")));
        }
    }

    fn message_received(&mut self, id: &ConversationId, message: &baraza_core::event::Message) {
        self.typing.remove(&(*id, message.author));
        self.want(Read::Conversation(*id));
        if message.kind == "application/update-profile" {
            self.want(Read::Title(*id));
        }
        let field = |name: &str| message.fields.get(name).and_then(|id| id.parse().ok());
        let of = field("edit").or_else(|| field("react-to"));
        if self.is_open(id) {
            let thread = self.thread.as_ref();
            match of.filter(|of| thread.is_some_and(|thread| thread.entry(of).is_some())) {
                Some(of) => self.want(Read::One(of)),
                None if self.is_at_end() => self.want(Read::Newest),
                None => {}
            }
            return;
        }
        let own = self
            .account()
            .is_some_and(|own| own.jami_id == message.author);
        let is_text = message.kind == "text/plain" && of.is_none();
        let is_file = message.kind == "application/data-transfer+json" && of.is_none();
        if own || !(is_text || is_file) {
            return;
        }
        let author = self.name_of(&message.author);
        let one = self.conversation(id).filter(|one| one.mode != 0);
        let group = one.and_then(|_| self.rows().into_iter().find(|row| row.id == *id));
        let from = match group {
            Some(group) => format!("{author} in {}", group.name),
            None => author,
        };
        let text = if is_text {
            words::foreign(message.body())
        } else {
            let name = message.fields.get("displayName").map_or("", String::as_str);
            format!("file {}", words::foreign(name))
        };
        self.tell(Told::Elsewhere { from, text });
    }

    pub(super) fn is_open(&self, id: &ConversationId) -> bool {
        self.thread.as_ref().is_some_and(|thread| thread.id == *id)
    }

    /// Whether the newest entries are shown.
    pub(super) fn is_at_end(&self) -> bool {
        let thread = self.thread.as_ref();
        thread.is_some_and(|thread| thread.newer.is_none())
    }

    /// Tells the node that everything shown was read, if somebody looks at the end of it.
    pub(super) fn mark_read(&mut self) {
        let Some(thread) = &mut self.thread else {
            return;
        };
        if !self.looking || thread.newer.is_some() {
            return;
        }
        let own = self
            .accounts
            .iter()
            .find(|one| Some(one.account) == self.current);
        let own = own.map(|account| account.jami_id);
        let theirs = thread.entries.iter().rev().find(|entry| {
            Some(entry.author) != own && matches!(entry.kind, EntryKind::Text | EntryKind::File)
        });
        let unread = self
            .conversations
            .iter()
            .any(|one| one.id == thread.id && one.unread > 0);
        let Some(newest) = theirs.map(|entry| entry.id) else {
            return;
        };
        if !unread || thread.marked == Some(newest) {
            return;
        }
        thread.marked = Some(newest);
        self.tell_read(&newest);
    }

    /// What is told to a face of changes in the open conversation.
    pub(super) fn tell_changes(&mut self, changes: Vec<(baraza_wire::CommitId, Change)>) {
        for (id, change) in changes {
            self.tell(Told::Entry { id, change });
        }
    }
}
