//! Answers of the node.

use baraza_api::types::{
    Account, Asked, Contact, ContactRequest, Conversation, DeliveryReport, EntryPage, FileView,
    GroupProfile, Member, NewConversation, ProfileView, SearchPage, Status, Written,
};
use baraza_core::FileStatus;
use baraza_core::view::Status as Reached;
use baraza_wire::CommitId;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Desk, PATIENCE, Read, Told, Why};
use crate::output::short;
use crate::tui::ask::{Answer, Trouble};
use crate::tui::words;

impl Desk {
    /// What came of an ask. Answers about an account that is not shown any more are dropped.
    pub(crate) fn answer(&mut self, id: u64, answer: Answer) {
        let Some((why, account)) = self.asked.remove(&id) else {
            return;
        };
        if let Err(trouble) = &answer
            && trouble.away
        {
            // What was to be done is told; a text stays, and is sent again.
            if !matches!(why, Why::Read(_) | Why::Send(_) | Why::Quiet) {
                self.tell(Told::Trouble(format!("not done: {}", trouble.text)));
            }
            self.away(&trouble.text);
            return;
        }
        let stale = account != self.current && !matches!(why, Why::Send(_) | Why::Create);
        let about_all = matches!(why, Why::Read(Read::Accounts | Read::Status));
        if stale && !about_all {
            return;
        }
        match (why, answer) {
            (Why::Read(read), Ok(value)) => self.take(read, value),
            (Why::Read(read), Err(trouble)) => self.not_read(read, &trouble),
            (Why::Quiet, _) => {}
            (Why::Send(key), answer) => self.sent(&key, answer),
            (_, Err(trouble)) => self.tell(Told::Trouble(words::foreign(&trouble.text))),
            (Why::Do(said), Ok(_)) => {
                self.read_account();
                if !said.is_empty() {
                    self.tell(Told::Line(said));
                }
            }
            (Why::Open(said), Ok(value)) => self.made(said, value),
            (Why::Create, Ok(value)) => {
                if let Some(account) = parse::<Account>(value) {
                    self.current = Some(account.account);
                    self.accounts.push(account);
                    self.want(Read::Accounts);
                    self.read_account();
                    self.tell(Told::Line(
                        "the account is made; back it up: baraza backup".into(),
                    ));
                }
            }
            (Why::Search(words), Ok(value)) => self.found(&words, value),
            (Why::Report(id), Ok(value)) => self.report(&id, value),
            (Why::Files, Ok(value)) => self.files(value),
        }
    }

    /// What could not be read: mostly because it is gone meanwhile.
    fn not_read(&mut self, read: Read, trouble: &Trouble) {
        match read {
            Read::Conversation(id) => self.conversations.retain(|one| one.id != id),
            Read::Newest if trouble.code.starts_with("no_such") => {
                self.thread = None;
                self.tell(Told::Trouble("this conversation is gone".into()));
            }
            Read::Title(_) | Read::Name(_) | Read::File(_) | Read::Pending(_) | Read::One(_) => {}
            _ => self.tell(Told::Trouble(words::foreign(&trouble.text))),
        }
    }

    fn take(&mut self, read: Read, value: Value) {
        match read {
            Read::Accounts => self.take_accounts(parse(value).unwrap_or_default()),
            Read::Status => self.status = parse::<Status>(value),
            Read::Conversations => {
                self.conversations = parse::<Vec<Conversation>>(value).unwrap_or_default();
                let groups = self.conversations.iter().filter(|one| one.mode != 0);
                let groups: Vec<_> = groups.map(|one| one.id).collect();
                for id in groups {
                    if !self.titles.contains_key(&id) {
                        self.want(Read::Title(id));
                    }
                }
                let gone = self
                    .thread
                    .as_ref()
                    .filter(|thread| thread.read && self.conversation(&thread.id).is_none());
                if gone.is_some() {
                    self.thread = None;
                    self.tell(Told::Line("this conversation is not here any more".into()));
                }
                self.open_what_is_ready();
                self.mark_read();
            }
            Read::Conversation(id) => {
                let Some(fresh) = parse::<Conversation>(value) else {
                    return;
                };
                match self.conversations.iter_mut().find(|one| one.id == id) {
                    Some(known) => *known = fresh,
                    None => self.conversations.push(fresh),
                }
                self.mark_read();
            }
            Read::Contacts => self.contacts = parse::<Vec<Contact>>(value).unwrap_or_default(),
            Read::Requests => {
                self.requests = parse::<Vec<ContactRequest>>(value).unwrap_or_default();
                // Until something better is known, who asked is called what they said.
                for request in self.requests.iter().filter(|one| one.mode == 0) {
                    let name = self.names.entry(request.from).or_default();
                    if name.is_empty() {
                        request.name.clone_into(name);
                    }
                }
            }
            Read::Title(id) => {
                let profile = parse::<GroupProfile>(value);
                let title = profile.and_then(|profile| profile.title);
                self.titles.insert(id, title.unwrap_or_default());
            }
            Read::Name(id) => {
                let profile = parse::<ProfileView>(value);
                let name = profile.map(|profile| profile.name);
                self.names.insert(id, name.unwrap_or_default());
            }
            Read::Members => {
                if let Some(thread) = &mut self.thread {
                    thread.members = parse::<Vec<Member>>(value).unwrap_or_default();
                }
                self.look_around();
            }
            Read::File(id) => {
                let file = parse::<FileView>(value);
                if let (Some(thread), Some(file)) = (&mut self.thread, file) {
                    let before = thread.files.insert(id, file.clone());
                    let was_here = before.is_some_and(|old| old.status == FileStatus::Here);
                    if file.status == FileStatus::Here && !was_here && self.fetching.remove(&id) {
                        let name = words::foreign(&file.name);
                        self.tell(Told::Line(format!("{name} is here; /save writes a copy")));
                    }
                }
            }
            Read::Pending(id) => {
                self.pending = parse::<DeliveryReport>(value).map(|report| (id, report));
            }
            Read::Newest | Read::Older | Read::Newer | Read::Around(_) | Read::One(_) => {
                if let Some(page) = parse::<EntryPage>(value) {
                    self.take_entries(read, page);
                }
            }
        }
    }

    fn take_accounts(&mut self, accounts: Vec<Account>) {
        self.accounts = accounts;
        let is_there = self.account().is_some();
        if is_there {
            return;
        }
        let wanted = self.wanted_account.as_deref().map(str::to_lowercase);
        let chosen = match wanted {
            Some(wanted) => {
                let wanted = wanted.trim_start_matches("jami:").to_owned();
                let mut accounts = self.accounts.iter();
                accounts.find(|one| {
                    one.jami_id.to_hex().starts_with(&wanted)
                        || one.account.to_string().starts_with(&wanted)
                })
            }
            None => self.accounts.first(),
        };
        let before = self.current;
        self.current = chosen.map(|account| account.account);
        if self.current.is_some() {
            self.read_account();
        } else if self.accounts.is_empty() {
            self.tell(Told::Line(
                "there is no account yet: /create NAME makes one".into(),
            ));
        } else {
            self.tell(Told::Trouble(
                "there is no such account; /accounts lists them".into(),
            ));
        }
        if before.is_some() {
            self.thread = None;
        }
    }

    fn take_entries(&mut self, read: Read, page: EntryPage) {
        let Some(thread) = &mut self.thread else {
            return;
        };
        match read {
            Read::Older => {
                let count = thread.older(page);
                self.tell(Told::Older(count));
            }
            Read::Newer => thread.newer(page),
            Read::Around(id) => {
                thread.around(page);
                self.tell(Told::Shown(id));
            }
            Read::One(_) => {
                let change = thread.one(page);
                self.tell_changes(change.into_iter().collect());
            }
            _ => {
                let first = !thread.read;
                let changes = thread.newest(page);
                if first {
                    self.tell(Told::Opened);
                }
                // How far one's own text has got before anybody could have it is no news.
                self.tell_changes(changes);
            }
        }
        self.mark_read();
        self.look_around();
    }

    /// A text of the composer is at the node, or not.
    fn sent(&mut self, key: &str, answer: Answer) {
        self.sending.remove(key);
        match answer {
            Ok(value) => {
                self.drafts.take(key);
                if parse::<Written>(value).is_some() && self.is_at_end() {
                    self.want(Read::Newest);
                }
            }
            // Asked again at the next tick.
            Err(trouble) if trouble.code == "request_under_way" => {}
            Err(trouble) => {
                let Some(text) = self.drafts.take(key) else {
                    return;
                };
                self.tell(Told::Trouble(format!(
                    "not sent: {}",
                    words::foreign(&trouble.text)
                )));
                self.tell(Told::Draft(text.body));
            }
        }
    }

    /// A conversation was made, or somebody was asked.
    fn made(&mut self, said: String, value: Value) {
        let made = parse::<NewConversation>(value.clone()).map(|made| made.conversation);
        let id = made.or_else(|| parse::<Asked>(value).and_then(|asked| asked.conversation));
        self.tell(Told::Line(said));
        self.read_account();
        self.open_when_ready = id.map(|id| (id, PATIENCE));
    }

    fn open_what_is_ready(&mut self) {
        let ready = self
            .open_when_ready
            .filter(|(id, _)| self.conversation(id).is_some());
        if let Some((id, _)) = ready {
            self.open_when_ready = None;
            self.open(id);
        }
    }

    fn found(&mut self, sought: &str, value: Value) {
        let Some(page) = parse::<SearchPage>(value) else {
            return;
        };
        let rows = self.rows();
        self.hits = page
            .found
            .iter()
            .map(|one| (one.conversation, one.id))
            .collect();
        let lines: Vec<String> = (1_usize..)
            .zip(&page.found)
            .map(|(number, one)| {
                let row = rows.iter().find(|row| row.id == one.conversation);
                let place = row.map_or_else(
                    || short(&one.conversation.to_hex()).to_owned(),
                    |row| row.name.clone(),
                );
                let time = words::time(one.timestamp, &self.zone, "%Y-%m-%d %H:%M");
                let author = self.name_of(&one.author);
                let text = format!("{}{}{}", one.before, one.found, one.after);
                let text = words::foreign(&text);
                format!("{number}. {time}, {place}, {author}: {text}")
            })
            .collect();
        let sought = words::foreign(sought);
        let mut title = match lines.len() {
            0 => format!("nothing found for {sought}"),
            count => format!("{count} found for {sought}; /show NUMBER goes there"),
        };
        if page.next.is_some() {
            title.push_str("; there is more: say more of what is sought");
        }
        if !page.complete {
            title.push_str("; not all messages are prepared for search yet");
        }
        self.tell(Told::Page { title, lines });
    }

    /// How far a message has got, for each member and device.
    fn report(&mut self, id: &CommitId, value: Value) {
        let Some(report) = parse::<DeliveryReport>(value) else {
            return;
        };
        let counts = report.counts;
        let mut lines = Vec::new();
        for member in &report.members {
            let name = self.name_of(&member.id);
            let state = match (member.status, member.pending) {
                (Reached::Displayed, _) => "has read it".to_owned(),
                (Reached::Sent, _) => "has it".to_owned(),
                (Reached::Sending, Some(pending)) => pending.to_string(),
                (Reached::Sending, None) => "on its way".to_owned(),
            };
            lines.push(format!("{name}: {state}"));
            for device in report.devices.iter().filter(|one| one.account == member.id) {
                let which = device.device.map_or_else(
                    || "no device known yet".to_owned(),
                    |device| format!("device {}", short(&device.to_hex())),
                );
                let state = if device.delivered {
                    "has it".to_owned()
                } else {
                    let next = device.next_try.map_or_else(String::new, |at| {
                        let at = words::time(at.secs(), &self.zone, "%H:%M:%S");
                        format!(", tried again at {at}")
                    });
                    format!("{}{next}", words::foreign(&device.reason))
                };
                lines.push(format!("  {which}: {state}"));
            }
        }
        let number = self.thread().and_then(|thread| thread.number(id));
        let which = number.map_or_else(|| short(&id.to_hex()).to_owned(), |n| format!("#{n}"));
        let title = format!(
            "{which}: read by {}, arrived at {}, on its way to {}",
            counts.displayed, counts.sent, counts.sending
        );
        self.tell(Told::Page { title, lines });
    }

    fn files(&mut self, value: Value) {
        let list = parse::<Vec<FileView>>(value).unwrap_or_default();
        let lines = list
            .iter()
            .take(100)
            .map(|file| {
                let number = self
                    .thread()
                    .and_then(|thread| thread.number(&file.message));
                let which = number.map_or_else(
                    || short(&file.message.to_hex()).to_owned(),
                    |number| format!("#{number}"),
                );
                let (name, state) = (words::foreign(&file.name), file_state(file));
                let time = words::time(file.time, &self.zone, "%Y-%m-%d %H:%M");
                let author = self.name_of(&file.author);
                format!(
                    "{which}, {time}, {author}: {name}, {}, {state}",
                    words::size(file.size)
                )
            })
            .collect();
        let title = match list.len() {
            0 => "no files here".to_owned(),
            1 => "1 file".to_owned(),
            count => format!("{count} files"),
        };
        self.tell(Told::Page { title, lines });
    }
}

/// Where a file is, in words.
pub(crate) fn file_state(file: &FileView) -> String {
    match file.status {
        FileStatus::Offered => "not fetched".into(),
        FileStatus::Waiting | FileStatus::Ongoing if file.received > 0 => {
            let percent = file.received.saturating_mul(100) / file.size.max(1);
            format!("{percent} %")
        }
        FileStatus::Waiting => "waits for somebody who has it".into(),
        FileStatus::Ongoing => "begins to come".into(),
        FileStatus::Here => "here".into(),
        FileStatus::Deleted => "taken back".into(),
    }
}

/// The value as what it should be; `None` if a newer node says something else.
pub(super) fn parse<T: DeserializeOwned>(value: Value) -> Option<T> {
    serde_json::from_value(value).ok()
}
