//! What a person sees of an account, and what is asked of the node for it: a machine without
//! a terminal, sockets or clocks. Both faces, the screen and the lines, stand on it.
//!
//! What changed is read anew: an event marks what it is about as wanted, and each thing is
//! asked for once at a time, so that any number of events costs few requests.

mod acts;
mod answers;
mod events;
mod lists;
mod show;
mod thread;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use baraza_api::types::{
    Account, Contact, ContactRequest, Conversation, DeliveryReport, Entry, Status,
};
use baraza_core::event::LocalId;
use baraza_wire::{AccountId, CommitId, ConversationId};
use hyper::Method;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::ask::{Act, Ask};
use super::drafts::{Drafts, Outgoing};
use super::words;
use crate::output::short;

pub(super) use self::answers::file_state;
pub(super) use self::lists::Row;
pub(super) use self::thread::{Change, Thread};

/// Milliseconds since 1970.
pub(super) type Millis = u64;

/// Requests under way at once, beside those that do something.
const MAX_READS: usize = 4;
/// Things waiting to be told to a face that does not come for them.
const MAX_TOLD: usize = 1000;
/// So often it is looked why something has not arrived.
const LOOK_AGAIN: Millis = 15_000;
/// So many seconds a conversation may take to be there and still be opened by itself.
const PATIENCE: u32 = 30;
/// So long somebody counts as typing; the node says when it ends, but may be gone.
const TYPING: Millis = 15_000;
/// So often the others are told that one types.
const TELL_TYPING: Millis = 8_000;

/// What a face is told.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    /// Something happened or was done.
    Line(String),
    /// Something did not work.
    Trouble(String),
    /// An answer of several lines.
    Page { title: String, lines: Vec<String> },
    /// Something new in the conversation that is open.
    Entry { id: CommitId, change: Change },
    /// A message in another conversation.
    Elsewhere { from: String, text: String },
    /// A conversation was opened, and is read.
    Opened,
    /// An entry that was sought is there, in the middle of others.
    Shown(CommitId),
    /// So many older entries are there now.
    Older(usize),
    /// A text goes back to where it was typed: it was refused.
    Draft(String),
    /// The end.
    Quit,
}

/// Why something is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Accounts,
    Status,
    Conversations,
    Conversation(ConversationId),
    Contacts,
    Requests,
    Title(ConversationId),
    Name(AccountId),
    Newest,
    Older,
    Newer,
    Around(CommitId),
    One(CommitId),
    Members,
    File(CommitId),
    Pending(CommitId),
}

/// Why something is asked.
#[derive(Debug, Clone, PartialEq)]
enum Why {
    /// To know it.
    Read(Read),
    /// A text of the composer.
    Send(String),
    /// Done when answered: what to say then.
    Do(String),
    /// A conversation comes of it, which is opened.
    Open(String),
    /// An account comes of it.
    Create,
    /// Found messages.
    Search(String),
    /// How far a message has got.
    Report(CommitId),
    /// The files of the conversation.
    Files,
    /// Not worth a word.
    Quiet,
}

/// How the node is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    /// Nothing is known yet.
    Unknown,
    /// It answers.
    Here,
    /// It does not, and why.
    Away(String),
}

/// The state of it all.
#[derive(Debug)]
pub(super) struct Desk {
    /// Distinguishes the keys of this run.
    session: String,
    pub(super) zone: TimeZone,
    /// The account asked for on the command line.
    wanted_account: Option<String>,
    node: Node,
    pub(super) accounts: Vec<Account>,
    current: Option<LocalId>,
    /// Why an account's connection is as it is.
    details: BTreeMap<LocalId, String>,
    conversations: Vec<Conversation>,
    contacts: Vec<Contact>,
    requests: Vec<ContactRequest>,
    /// Titles of groups.
    titles: BTreeMap<ConversationId, String>,
    /// Names that people show who are no contacts.
    names: BTreeMap<AccountId, String>,
    status: Option<Status>,
    thread: Option<Thread>,
    typing: BTreeMap<(ConversationId, AccountId), Millis>,
    told_typing: Option<(ConversationId, Millis)>,
    /// Why the newest own message has not arrived.
    pending: Option<(CommitId, DeliveryReport)>,
    looked: Millis,
    pub(super) drafts: Drafts,
    /// Outgoing texts that are at the node just now.
    sending: BTreeSet<String>,
    /// A conversation that was asked for, is opened when it is there, and how many ticks that
    /// may take.
    open_when_ready: Option<(ConversationId, u32)>,
    /// Files that somebody asked for.
    fetching: BTreeSet<CommitId>,
    /// What was found last.
    hits: Vec<(ConversationId, CommitId)>,
    /// Whether somebody looks: what is shown counts as read then.
    looking: bool,
    asked: BTreeMap<u64, (Why, Option<LocalId>)>,
    reads: VecDeque<Read>,
    acts: VecDeque<(Why, Act)>,
    next_id: u64,
    next_key: u64,
    told: VecDeque<Told>,
}

impl Desk {
    pub(super) fn new(
        session: String,
        zone: TimeZone,
        wanted_account: Option<String>,
        drafts: Drafts,
    ) -> Self {
        Self {
            session,
            zone,
            wanted_account,
            node: Node::Unknown,
            accounts: Vec::new(),
            current: None,
            details: BTreeMap::new(),
            conversations: Vec::new(),
            contacts: Vec::new(),
            requests: Vec::new(),
            titles: BTreeMap::new(),
            names: BTreeMap::new(),
            status: None,
            thread: None,
            typing: BTreeMap::new(),
            told_typing: None,
            pending: None,
            looked: 0,
            drafts,
            sending: BTreeSet::new(),
            open_when_ready: None,
            fetching: BTreeSet::new(),
            hits: Vec::new(),
            looking: true,
            asked: BTreeMap::new(),
            reads: VecDeque::new(),
            acts: VecDeque::new(),
            next_id: 0,
            next_key: 0,
            told: VecDeque::new(),
        }
    }

    /// The node answers, and its events are followed: everything is read anew.
    pub(super) fn connected(&mut self) {
        if matches!(self.node, Node::Away(_)) {
            self.tell(Told::Line("the node is back".into()));
        }
        self.node = Node::Here;
        self.asked.clear();
        self.sending.clear();
        self.reads.clear();
        self.want(Read::Accounts);
        self.want(Read::Status);
        self.read_account();
        self.send_outgoing();
    }

    /// The node does not answer; it is tried again.
    pub(super) fn away(&mut self, why: &str) {
        let news = !matches!(&self.node, Node::Away(known) if known == why);
        self.node = Node::Away(why.to_owned());
        self.asked.clear();
        self.sending.clear();
        if news {
            self.tell(Told::Trouble(format!(
                "{why}; tried again until it answers"
            )));
        }
    }

    /// Time passes: once a second is enough.
    pub(super) fn tick(&mut self, now: Millis) {
        self.typing.retain(|_, until| *until > now);
        self.open_when_ready = self.open_when_ready.and_then(|(id, left)| {
            let left = left.checked_sub(1)?;
            Some((id, left))
        });
        if self.node == Node::Here {
            self.send_outgoing();
        }
        if now.saturating_sub(self.looked) > LOOK_AGAIN {
            self.looked = now;
            self.look_why();
        }
    }

    /// Whether nothing is under way: what comes next comes from outside.
    pub(super) fn is_idle(&self) -> bool {
        self.node == Node::Here
            && self.asked.is_empty()
            && self.acts.is_empty()
            && self.reads.is_empty()
            && self.told.is_empty()
            && self.sending.is_empty()
            && self.open_when_ready.is_none()
    }

    /// Whether the node does not answer.
    pub(super) fn is_away(&self) -> bool {
        matches!(self.node, Node::Away(_))
    }

    /// Whether somebody looks at what is shown, which counts as read then.
    pub(super) fn look(&mut self, looking: bool) {
        self.looking = looking;
        self.mark_read();
    }

    /// The newest entries, if others are shown.
    pub(super) fn go_to_end(&mut self) {
        if self.thread.is_some() && !self.is_at_end() {
            self.want(Read::Newest);
        }
    }

    /// Everything of the account that is shown.
    fn read_account(&mut self) {
        if self.current.is_none() {
            return;
        }
        self.want(Read::Conversations);
        self.want(Read::Contacts);
        self.want(Read::Requests);
        if self.thread.is_some() {
            self.want(Read::Newest);
            self.want(Read::Members);
        }
    }

    /// What to ask the node for now.
    pub(super) fn poll_ask(&mut self) -> Option<Ask> {
        if self.node != Node::Here {
            return None;
        }
        if let Some((why, act)) = self.acts.pop_front() {
            return Some(self.ask(why, act));
        }
        let under_way = |read: &Read| {
            let mut asked = self.asked.values();
            asked.any(|(why, of)| *why == Why::Read(*read) && *of == self.current)
        };
        let reads = self.asked.values();
        let count = reads.filter(|(why, _)| matches!(why, Why::Read(_))).count();
        if count >= MAX_READS {
            return None;
        }
        while let Some(at) = self.reads.iter().position(|read| !under_way(read)) {
            let read = self.reads.remove(at)?;
            if let Some(path) = self.path_of(read) {
                return Some(self.ask(Why::Read(read), get(path)));
            }
        }
        None
    }

    fn ask(&mut self, why: Why, act: Act) -> Ask {
        self.next_id = self.next_id.saturating_add(1);
        self.asked.insert(self.next_id, (why, self.current));
        Ask {
            id: self.next_id,
            act,
        }
    }

    /// What a face is told next.
    pub(super) fn poll_told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    fn tell(&mut self, told: Told) {
        if self.told.len() >= MAX_TOLD {
            self.told.pop_front();
        }
        self.told.push_back(told);
    }

    fn want(&mut self, read: Read) {
        if !self.reads.contains(&read) {
            self.reads.push_back(read);
        }
    }

    /// Where something is read; `None` if it makes no sense any more.
    fn path_of(&self, read: Read) -> Option<String> {
        let account = match read {
            Read::Accounts => return Some("/accounts".into()),
            Read::Status => return Some("/status".into()),
            _ => format!("/accounts/{}", self.current?),
        };
        let thread = || {
            let thread = self.thread.as_ref()?;
            Some((thread, format!("{account}/conversations/{}", thread.id)))
        };
        Some(match read {
            Read::Accounts | Read::Status => return None,
            Read::Conversations => format!("{account}/conversations"),
            Read::Conversation(id) => format!("{account}/conversations/{id}"),
            Read::Contacts => format!("{account}/contacts"),
            Read::Requests => format!("{account}/requests"),
            Read::Title(id) => format!("{account}/conversations/{id}/profile"),
            Read::Name(id) => format!("{account}/contacts/{id}/profile"),
            Read::Newest => format!("{}/entries?limit={}", thread()?.1, thread::PAGE),
            Read::Older => {
                let (thread, base) = thread()?;
                let before = thread.older?;
                format!("{base}/entries?limit={}&before={before}", thread::PAGE)
            }
            Read::Newer => {
                let (thread, base) = thread()?;
                let after = thread.newer?;
                format!("{base}/entries?limit={}&after={after}", thread::PAGE)
            }
            Read::Around(id) => {
                format!("{}/entries?limit={}&around={id}", thread()?.1, thread::PAGE)
            }
            Read::One(id) => format!("{}/entries?limit=1&around={id}", thread()?.1),
            Read::Members => format!("{}/members", thread()?.1),
            Read::File(id) => format!("{}/files/{id}", thread()?.1),
            Read::Pending(id) => format!("{}/messages/{id}/delivery", thread()?.1),
        })
    }

    /// Asks again for texts that are not known to be at the node.
    fn send_outgoing(&mut self) {
        let waiting: Vec<Outgoing> = self.drafts.outgoing.clone();
        for one in waiting {
            if one.account.is_empty() || !self.sending.insert(one.key.clone()) {
                continue;
            }
            let path = format!(
                "/accounts/{}/conversations/{}/messages",
                one.account, one.conversation
            );
            let mut body = serde_json::json!({ "body": one.body });
            if let (Some(map), Some(reply)) = (body.as_object_mut(), &one.reply_to) {
                map.insert("reply_to".into(), Value::from(reply.as_str()));
            }
            let act = Act::Call {
                method: Method::POST,
                path,
                body,
                key: Some(one.key.clone()),
            };
            self.acts.push_back((Why::Send(one.key), act));
        }
    }

    /// The account that is shown.
    pub(super) fn account(&self) -> Option<&Account> {
        let current = self.current?;
        self.accounts.iter().find(|one| one.account == current)
    }

    /// How the account is, in words, with the reason.
    pub(super) fn state(&self) -> String {
        match (&self.node, self.account()) {
            (Node::Away(why), _) => words::foreign(why),
            (Node::Unknown, _) => "asking the node".into(),
            (Node::Here, None) if self.accounts.is_empty() => {
                "no account yet: /create NAME makes one".into()
            }
            (Node::Here, None) => "no account chosen".into(),
            (Node::Here, Some(account)) => {
                let detail = self.details.get(&account.account);
                words::account_state(account, detail.map_or("", String::as_str))
            }
        }
    }

    /// The conversation that is open.
    pub(super) fn thread(&self) -> Option<&Thread> {
        self.thread.as_ref()
    }

    /// What somebody is called.
    pub(super) fn name_of(&self, id: &AccountId) -> String {
        if self.account().is_some_and(|account| account.jami_id == *id) {
            return "you".into();
        }
        let contact = self.contacts.iter().find(|one| one.id == *id);
        if let Some(name) = contact.and_then(words::contact_name) {
            return name;
        }
        match self.names.get(id).map(String::as_str) {
            None | Some("") => short(&id.to_hex()).to_owned(),
            Some(name) => words::foreign_name(name),
        }
    }

    /// The text of an entry with names of people in place of their IDs.
    pub(super) fn body(&self, entry: &Entry) -> String {
        let text = words::body(entry);
        let whose = entry.details.get("uri");
        match whose.and_then(|uri| uri.parse::<AccountId>().ok()) {
            Some(id) => text.replace(&id.to_hex(), &self.name_of(&id)),
            None => text,
        }
    }

    /// What happened, if it is no message, as a sentence that says who it was.
    pub(super) fn sentence(&self, entry: &Entry) -> String {
        let (name, text) = (self.name_of(&entry.author), self.line(entry));
        if self.body(entry).starts_with(&name) {
            text
        } else {
            format!("{name} {text}")
        }
    }

    /// An entry on one line, with what stands at it.
    pub(super) fn line(&self, entry: &Entry) -> String {
        let text = self.body(entry).replace('\n', " ⏎ ");
        format!("{}{}", words::isolate(&text), words::marks(entry))
    }

    /// Who types where, in words; empty if nobody does.
    pub(super) fn typists(&self, conversation: &ConversationId) -> String {
        let names: Vec<String> = self
            .typing
            .keys()
            .filter(|(of, _)| of == conversation)
            .map(|(_, who)| self.name_of(who))
            .collect();
        match names.as_slice() {
            [] => String::new(),
            [one] => format!("{one} is typing"),
            several => format!("{} are typing", several.join(", ")),
        }
    }

    /// Why the newest own message has not arrived, if it has not.
    pub(super) fn pending(&self, id: &CommitId) -> Option<String> {
        let (of, report) = self.pending.as_ref()?;
        if of != id || report.arrived {
            return None;
        }
        let reason = report
            .devices
            .iter()
            .find(|device| !device.delivered && !device.reason.is_empty())?;
        let (who, why) = (
            self.name_of(&reason.account),
            words::foreign(&reason.reason),
        );
        Some(format!("{who}: {why}"))
    }

    /// Asks why the newest own message has not arrived, if it has not.
    fn look_why(&mut self) {
        let own = self.account().map(|account| account.jami_id);
        let newest = self.thread.as_ref().and_then(|thread| {
            let mut entries = thread.entries.iter().rev();
            entries.find(|entry| Some(entry.author) == own && entry.status_counts.sending > 0)
        });
        match newest.map(|entry| entry.id) {
            Some(id) => self.want(Read::Pending(id)),
            None => self.pending = None,
        }
    }

    /// The names of those who are in the thread, and states of its files.
    fn look_around(&mut self) {
        let Some(thread) = &self.thread else { return };
        let mut people: BTreeSet<AccountId> = thread.entries.iter().map(|one| one.author).collect();
        people.extend(thread.members.iter().take(64).map(|member| member.id));
        let files = thread.unknown_files();
        for id in people {
            let known = self.names.contains_key(&id)
                || self.contacts.iter().any(|contact| contact.id == id)
                || self.account().is_some_and(|account| account.jami_id == id);
            if !known {
                self.want(Read::Name(id));
            }
        }
        for id in files {
            self.want(Read::File(id));
        }
        self.look_why();
    }
}

/// A question for something.
fn get(path: String) -> Act {
    Act::Call {
        method: Method::GET,
        path,
        body: Value::Null,
        key: None,
    }
}
