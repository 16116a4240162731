//! What a person does: commands become requests.

use std::path::PathBuf;

use baraza_core::FileStatus;
use baraza_core::event::LocalId;
use baraza_core::view::EntryKind;
use baraza_wire::{CommitId, ConversationId};
use hyper::Method;
use serde_json::{Value, json};

use super::lists::{numbered, pick};
use super::thread::Thread;
use super::{Desk, Millis, PATIENCE, Read, TELL_TYPING, Told, Why, get};
use crate::tui::ask::Act;
use crate::tui::command::{COMMANDS, Command, Which};
use crate::tui::drafts::Outgoing;
use crate::tui::words;

/// Of which messages one is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fits {
    Any,
    Theirs,
    OwnText,
    Own,
    File,
}

impl Desk {
    /// Does what was typed. `selected` is the message that a person points at.
    pub(crate) fn act(&mut self, command: Command, selected: Option<CommitId>) {
        if let Err(trouble) = self.try_act(command, selected) {
            self.tell(Told::Trouble(trouble));
        }
    }

    fn try_act(&mut self, command: Command, selected: Option<CommitId>) -> Result<(), String> {
        match command {
            Command::Help(word) => return self.help(&word),
            Command::Quit => self.tell(Told::Quit),
            Command::Accounts => self.tell_accounts(),
            Command::Account(which) => return self.choose_account(&which),
            Command::Create(name) => {
                self.tell(Told::Line(
                    "making the account, which takes some seconds".into(),
                ));
                let body = json!({ "display_name": name });
                self.do_so(Why::Create, Method::POST, "/accounts".into(), body);
            }
            Command::Status => self.tell_status(),
            other => return self.act_on_account(other, selected),
        }
        Ok(())
    }

    fn act_on_account(
        &mut self,
        command: Command,
        selected: Option<CommitId>,
    ) -> Result<(), String> {
        let account = self
            .current
            .ok_or("there is no account yet: /create NAME makes one")?;
        let base = format!("/accounts/{account}");
        match command {
            Command::List => self.tell_list(false),
            Command::Unread => self.tell_list(true),
            Command::Requests => self.tell_requests(),
            Command::Contacts => self.tell_contacts(),
            Command::Open(who) => {
                let row = self.find_row(&who)?;
                if row.request {
                    return Err(format!("{} awaits an answer: /accept {who}", row.name));
                }
                self.open(row.id);
            }
            Command::Show(number) => return self.show(number),
            Command::Accept(who) => {
                let row = self.find_request(&who)?;
                let path = format!("{base}/requests/{}/accept", row.0);
                let said = format!(
                    "accepted; the conversation opens when a device of {} is met",
                    row.1
                );
                self.open_when_ready = Some((row.0, PATIENCE));
                self.do_so(Why::Do(said), Method::POST, path, json!({}));
            }
            Command::Decline(who) => {
                let row = self.find_request(&who)?;
                let path = format!("{base}/requests/{}/decline", row.0);
                let said = format!("declined {}", row.1);
                self.do_so(Why::Do(said), Method::POST, path, json!({}));
            }
            Command::Block(who) => {
                if let Ok(row) = self.find_request(&who) {
                    let path = format!("{base}/requests/{}/block", row.0);
                    let said = format!("declined and blocked {}", row.1);
                    self.do_so(Why::Do(said), Method::POST, path, json!({}));
                } else {
                    self.on_contact(&base, &who, Method::POST, "/block", "blocked")?;
                }
            }
            Command::Unblock(who) => {
                self.on_contact(&base, &who, Method::POST, "/unblock", "unblocked")?;
            }
            Command::Remove(who) => {
                self.on_contact(&base, &who, Method::DELETE, "", "removed")?;
            }
            Command::Add { id, note } => {
                let said = format!(
                    "{} is asked; it is told when they accept",
                    words::foreign(&id)
                );
                let body = json!({ "id": id, "message": note });
                self.do_so(
                    Why::Open(said),
                    Method::POST,
                    format!("{base}/contacts"),
                    body,
                );
            }
            Command::Group { title, members } => {
                let mut ids = Vec::new();
                for member in &members {
                    ids.push(self.find_person(member)?);
                }
                let said = format!("the group {} is made", words::foreign_name(&title));
                let body = json!({ "profile": { "title": title }, "members": ids });
                let path = format!("{base}/conversations");
                self.do_so(Why::Open(said), Method::POST, path, body);
            }
            Command::Search(text) => {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                query.append_pair("text", &text).append_pair("limit", "50");
                let path = format!("{base}/search?{}", query.finish());
                self.acts.push_back((Why::Search(text), get(path)));
            }
            Command::Name(name) => {
                let said = format!("others see you as {} now", words::foreign_name(&name));
                let body = json!({ "name": name });
                self.do_so(
                    Why::Do(said),
                    Method::PATCH,
                    format!("{base}/profile"),
                    body,
                );
                self.want(Read::Accounts);
            }
            other => return self.act_on_thread(account, other, selected),
        }
        Ok(())
    }

    fn act_on_thread(
        &mut self,
        account: LocalId,
        command: Command,
        selected: Option<CommitId>,
    ) -> Result<(), String> {
        let id = self.thread.as_ref().map(|thread| thread.id);
        let id = id.ok_or("no conversation is open: /list shows them, /open WHO opens one")?;
        let base = format!("/accounts/{account}/conversations/{id}");
        match command {
            Command::Say(text) => self.send(account, id, text, None),
            Command::Reply(which, text) => {
                let to = self.message(which, selected, Fits::Theirs)?;
                self.send(account, id, text, Some(to.to_hex()));
            }
            Command::Close => {
                self.thread = None;
                self.tell(Told::Line("closed".into()));
            }
            Command::History(_) => {
                let thread = self.thread.as_ref();
                if thread.is_some_and(|thread| thread.older.is_none()) {
                    self.tell(Told::Line("the conversation begins here".into()));
                } else {
                    self.want(Read::Older);
                }
            }
            Command::Read => {
                let newest = self
                    .thread
                    .as_ref()
                    .and_then(|thread| thread.entries.back());
                if let Some(newest) = newest.map(|entry| entry.id) {
                    self.tell_read(&newest);
                }
            }
            Command::React(which, emoji) => {
                let to = self.message(which, selected, Fits::Any)?;
                let path = format!("{base}/messages/{to}/reactions");
                let body = json!({ "emoji": emoji.trim() });
                self.do_so(Why::Do(String::new()), Method::POST, path, body);
            }
            Command::Edit(which, text) => {
                let of = self.message(which, selected, Fits::OwnText)?;
                let path = format!("{base}/messages/{of}");
                let body = json!({ "body": text });
                self.do_so(Why::Do(String::new()), Method::PATCH, path, body);
            }
            Command::Delete(which) => {
                let of = self.message(which, selected, Fits::Own)?;
                let path = format!("{base}/messages/{of}");
                let body = json!({ "body": "" });
                self.do_so(Why::Do("taken back".into()), Method::PATCH, path, body);
            }
            Command::Why(which) => {
                let of = self.message(which, selected, Fits::Own)?;
                let path = format!("{base}/messages/{of}/delivery");
                self.acts.push_back((Why::Report(of), get(path)));
            }
            Command::SendFile(file) => self.send_file(&base, file)?,
            Command::Files => {
                let path = format!("{base}/files");
                self.acts.push_back((Why::Files, get(path)));
            }
            Command::Fetch(which) => {
                let of = self.message(which, selected, Fits::File)?;
                self.fetching.insert(of);
                let path = format!("{base}/files/{of}/accept");
                let said = "it is fetched from whoever has it".to_owned();
                self.do_so(Why::Do(said), Method::POST, path, Value::Null);
            }
            Command::Cancel(which) => {
                let of = self.message(which, selected, Fits::File)?;
                self.fetching.remove(&of);
                let path = format!("{base}/files/{of}/cancel");
                let said = "not fetched any further".to_owned();
                self.do_so(Why::Do(said), Method::POST, path, Value::Null);
            }
            Command::Save(which, to) => self.save(&base, which, selected, to)?,
            Command::Invite(who) => {
                let member = self.find_person(&who)?;
                let said = format!("{} is invited", words::foreign_name(&who));
                let path = format!("{base}/members");
                self.do_so(Why::Do(said), Method::POST, path, json!({ "id": member }));
            }
            Command::Ban(who) => {
                let member = self.find_person(&who)?;
                let said = format!(
                    "{} is banned, or your vote for it counts",
                    words::foreign_name(&who)
                );
                let path = format!("{base}/members/{member}");
                self.do_so(Why::Do(said), Method::DELETE, path, Value::Null);
            }
            Command::Members => self.tell_members(),
            Command::Title(title) => {
                let path = format!("{base}/profile");
                let body = json!({ "title": title });
                self.do_so(
                    Why::Do("the title is changed".into()),
                    Method::PATCH,
                    path,
                    body,
                );
                self.want(Read::Title(id));
            }
            Command::Leave => {
                let said = "left; the conversation is removed here".to_owned();
                self.do_so(Why::Do(said), Method::DELETE, base, Value::Null);
                self.thread = None;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn do_so(&mut self, why: Why, method: Method, path: String, body: Value) {
        let act = Act::Call {
            method,
            path,
            body,
            key: None,
        };
        self.acts.push_back((why, act));
    }

    /// Opens a conversation.
    pub(crate) fn open(&mut self, id: ConversationId) {
        self.thread = Some(Thread::new(id));
        self.pending = None;
        self.want(Read::Newest);
        self.want(Read::Members);
    }

    /// Goes to what a search found.
    fn show(&mut self, number: usize) -> Result<(), String> {
        let hit = number.checked_sub(1).and_then(|at| self.hits.get(at));
        let (conversation, id) = *hit.ok_or("search first: /search WORDS, then /show NUMBER")?;
        if !self.is_open(&conversation) {
            self.thread = Some(Thread::new(conversation));
            self.want(Read::Members);
        }
        self.reads.retain(|read| *read != Read::Newest);
        self.want(Read::Around(id));
        Ok(())
    }

    /// Newer entries, after having gone back.
    pub(crate) fn newer(&mut self) {
        if !self.is_at_end() {
            self.want(Read::Newer);
        }
    }

    pub(crate) fn older(&mut self) {
        if self
            .thread
            .as_ref()
            .is_some_and(|thread| thread.older.is_some())
        {
            self.want(Read::Older);
        }
    }

    fn send(&mut self, account: LocalId, id: ConversationId, body: String, to: Option<String>) {
        self.next_key = self.next_key.saturating_add(1);
        self.drafts.add(Outgoing {
            key: format!("{}-{}", self.session, self.next_key),
            account: account.to_string(),
            conversation: id.to_hex(),
            body,
            reply_to: to,
        });
        self.told_typing = None;
        self.send_outgoing();
    }

    fn send_file(&mut self, base: &str, file: PathBuf) -> Result<(), String> {
        let name = file.file_name().ok_or("this is the name of no file")?;
        let name = name.to_string_lossy().into_owned();
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("name", &name);
        let path = format!("{base}/files?{}", query.finish());
        let name = words::foreign(&name);
        self.tell(Told::Line(format!("{name} goes to the node")));
        let said = format!("{name} is sent");
        self.acts
            .push_back((Why::Do(said), Act::Upload { path, file }));
        Ok(())
    }

    fn save(
        &mut self,
        base: &str,
        which: Which,
        selected: Option<CommitId>,
        to: PathBuf,
    ) -> Result<(), String> {
        let of = self.message(which, selected, Fits::File)?;
        let known = self
            .thread
            .as_ref()
            .and_then(|thread| thread.files.get(&of));
        if known.is_some_and(|file| file.status != FileStatus::Here) {
            return Err("it is not here yet: /fetch it first".into());
        }
        let said = format!("saved as {}", words::foreign(&to.display().to_string()));
        let path = format!("{base}/files/{of}/content");
        self.acts
            .push_back((Why::Do(said), Act::Download { path, to }));
        Ok(())
    }

    pub(super) fn tell_read(&mut self, message: &CommitId) {
        let (Some(account), Some(thread)) = (self.current, &self.thread) else {
            return;
        };
        let path = format!("/accounts/{account}/conversations/{}/read", thread.id);
        let body = json!({ "message": message });
        self.do_so(Why::Quiet, Method::POST, path, body);
    }

    /// One types in the open conversation, or not any more.
    pub(crate) fn types(&mut self, now: Millis, active: bool) {
        let (Some(account), Some(thread)) = (self.current, &self.thread) else {
            return;
        };
        let id = thread.id;
        let told = self.told_typing.filter(|(of, _)| *of == id);
        let recently = told.is_some_and(|(_, at)| now.saturating_sub(at) < TELL_TYPING);
        if (active && recently) || (!active && told.is_none()) {
            return;
        }
        self.told_typing = active.then_some((id, now));
        let path = format!("/accounts/{account}/conversations/{id}/typing");
        self.do_so(Why::Quiet, Method::POST, path, json!({ "active": active }));
    }

    /// What was typed and not sent in the open conversation.
    pub(crate) fn draft(&self) -> String {
        let (Some(account), Some(thread)) = (self.current, &self.thread) else {
            return String::new();
        };
        self.drafts.get(account, &thread.id).to_owned()
    }

    pub(crate) fn keep_draft(&mut self, text: &str) {
        if let (Some(account), Some(thread)) = (self.current, &self.thread) {
            self.drafts.set(account, &thread.id, text);
        }
    }

    fn on_contact(
        &mut self,
        base: &str,
        who: &str,
        method: Method,
        what: &str,
        said: &str,
    ) -> Result<(), String> {
        let contacts = self.contacts.iter();
        let list: Vec<_> = contacts
            .map(|one| (one.id.to_hex(), self.name_of(&one.id)))
            .collect();
        let wanted = who.trim().trim_start_matches("jami:").to_lowercase();
        let whole = wanted.len() == 40 && wanted.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (id, name) = if whole {
            (wanted.clone(), wanted)
        } else if let Some(one) = numbered(who).and_then(|at| list.get(at)) {
            one.clone()
        } else {
            pick(list, who, |(id, name)| {
                u8::from(name.to_lowercase() == wanted)
                    | u8::from(wanted.len() >= 4 && id.starts_with(&wanted))
            })?
        };
        let said = format!("{said} {name}");
        self.do_so(
            Why::Do(said),
            method,
            format!("{base}/contacts/{id}{what}"),
            json!({}),
        );
        Ok(())
    }

    /// A request, by its number among the requests or what it is called.
    fn find_request(&self, who: &str) -> Result<(ConversationId, String), String> {
        let row = self.find_row(who)?;
        if row.request {
            Ok((row.id, row.name))
        } else {
            Err(format!("{} is no request", row.name))
        }
    }

    /// The message that is meant.
    fn message(
        &self,
        which: Which,
        selected: Option<CommitId>,
        fits: Fits,
    ) -> Result<CommitId, String> {
        let thread = self.thread.as_ref().ok_or("no conversation is open")?;
        match (which, selected) {
            (Which::Number(number), _) => thread
                .by_number(number)
                .ok_or_else(|| format!("there is no #{number} here")),
            (Which::Id(id), _) => {
                let mut entries = thread.entries.iter().rev();
                let found = entries.find(|entry| entry.id.to_hex().starts_with(&id));
                match (found, id.parse()) {
                    (Some(entry), _) => Ok(entry.id),
                    (None, Ok(whole)) => Ok(whole),
                    (None, Err(_)) => Err(format!("there is no message {id} here")),
                }
            }
            (Which::Newest, Some(selected)) => Ok(selected),
            (Which::Newest, None) => {
                let own = self.account().map(|account| account.jami_id);
                let mut entries = thread.entries.iter().rev();
                let found = entries.find(|entry| {
                    let is_own = Some(entry.author) == own;
                    let (text, file) =
                        (entry.kind == EntryKind::Text, entry.kind == EntryKind::File);
                    !entry.deleted
                        && match fits {
                            Fits::Any => text || file,
                            Fits::Theirs => (text || file) && !is_own,
                            Fits::OwnText => text && is_own,
                            Fits::Own => (text || file) && is_own,
                            Fits::File => file,
                        }
                });
                let found = found.ok_or("there is no message here to do that with")?;
                Ok(found.id)
            }
        }
    }

    fn help(&mut self, word: &str) -> Result<(), String> {
        let described: Vec<String> = COMMANDS
            .iter()
            .filter(|one| word.is_empty() || one.word == word)
            .map(|one| {
                let head = format!("/{} {}", one.word, one.takes);
                format!("{}: {}", head.trim_end(), one.does)
            })
            .collect();
        if described.is_empty() {
            return Err(format!(
                "there is no command /{}",
                words::foreign_name(word)
            ));
        }
        let title = "Commands; what does not begin with / is sent".to_owned();
        self.tell(Told::Page {
            title,
            lines: described,
        });
        Ok(())
    }
}
