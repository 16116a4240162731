//! Registered names: asking name servers, and what is kept of their answers
//! (docs/protocol/03-nameserver.md).
//!
//! No server is asked that nobody chose. What one says of a name is kept with the time, and
//! serves without a network; after a day it is asked again in the background. "Not found" is
//! never kept. A contact stays who it is, whoever its name goes to. What a server says of an
//! account (`/addr`) counts only when the name leads back to the account.

mod answers;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use baraza_names::client::{Answer, Ask, DEFAULT_SERVER, Query, Question, ServerUrl, Unreachable};
use baraza_names::{LookupText, Name, Registration};
use baraza_store::{NameRow, Store, StoreError};
use baraza_wire::{AccountId, Now, UnixTime};

use crate::account::timers::Timer;
use crate::account::{Account, CommandFailure, Output, RequestId};
use crate::command::{CommandError, Reply};
use crate::names::{NameFound, NameProblem, NameServerChoice, NameSettings};

/// The name server, by the setting's name in archives; empty is the public one.
pub(crate) const SERVER: &str = "RingNS.uri";
/// Whether somebody here said that the public server may be asked.
const CONFIRMED: &str = "names.publicConfirmed";
/// Whether answers without signatures are refused.
const ONLY_SIGNED: &str = "names.onlySigned";
const YES: &str = "true";

/// Most questions under way.
const MAX_OPEN: usize = 32;
/// After what time the server is asked again for what it said.
const FRESH: Duration = Duration::from_secs(24 * 3600);
/// How often it is looked what is to be asked again.
const ROUND: Duration = Duration::from_secs(3600);
/// When after the start, and after a registration of which nobody knows how it ended.
const SOON: Duration = Duration::from_secs(60);
/// Within what time the own name is not asked for again, however often the DHT comes back.
const OWN_PAUSE: Duration = Duration::from_secs(600);
/// Most names asked again in one round.
const MAX_AGAIN: usize = 8;

/// A question to a name server, for the driver; what came of it goes to
/// [`Account::handle_name`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameQuery {
    /// Which.
    pub id: u64,
    /// What, and whom.
    pub ask: Ask,
}

/// What the account knows of names.
#[derive(Debug, Default)]
pub(super) struct Names {
    server: Choice,
    only_signed: bool,
    /// The own name at the server, as last confirmed.
    own: Option<NameRow>,
    /// When the server was last asked for that.
    own_asked: Option<Instant>,
    /// Whether it answered since it was chosen.
    own_known: bool,
    open: BTreeMap<u64, Open>,
    next: u64,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum Choice {
    #[default]
    None,
    /// The public one, of which nobody here has said that it may be asked.
    Proposed,
    Chosen(ServerUrl),
}

/// A question under way.
#[derive(Debug)]
struct Open {
    ask: Ask,
    purpose: Purpose,
}

/// What an answer is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Purpose {
    /// Somebody wants to know whose a name is.
    Find(RequestId),
    /// What is the name of this account? Nobody waits if it is the own one.
    NameOf(AccountId, Option<RequestId>),
    /// Is this name, which the server gave for the account, its own?
    Verify(AccountId, Option<RequestId>),
    /// Is it still so?
    Again,
    /// Is the name free?
    Register(RequestId),
}

impl Purpose {
    fn request(&self) -> Option<RequestId> {
        match self {
            Self::Find(request) | Self::Register(request) => Some(*request),
            Self::NameOf(_, request) | Self::Verify(_, request) => *request,
            Self::Again => None,
        }
    }
}

impl Names {
    fn load(store: &Store, account: i64, own: &AccountId) -> Result<Self, StoreError> {
        let yes = |key| Ok::<_, StoreError>(store.setting(account, key)?.as_deref() == Some(YES));
        let server = match store.setting(account, SERVER)?.as_deref() {
            None => Choice::None,
            Some("") if !yes(CONFIRMED)? => Choice::Proposed,
            Some("") => ServerUrl::public().map_or(Choice::None, Choice::Chosen),
            Some(url) => match ServerUrl::parse(url) {
                Ok(url) => Choice::Chosen(url),
                Err(error) => {
                    tracing::warn!(%error, "the account has no usable name server");
                    Choice::None
                }
            },
        };
        let own = match &server {
            Choice::Chosen(url) => store.name_of(account, url.as_str(), own)?,
            _ => None,
        };
        Ok(Self {
            server,
            only_signed: yes(ONLY_SIGNED)?,
            own,
            ..Self::default()
        })
    }

    /// Commands that wait for an answer, for an error to all of them.
    pub(super) fn take_requests(&mut self) -> Vec<RequestId> {
        let open = std::mem::take(&mut self.open).into_values();
        open.filter_map(|open| open.purpose.request()).collect()
    }

    /// The name registered for the account; empty if there is none.
    pub(super) fn own(&self) -> &str {
        self.own.as_ref().map_or("", |row| row.name.as_str())
    }

    fn server(&self) -> Result<&ServerUrl, NameProblem> {
        match &self.server {
            Choice::Chosen(server) => Ok(server),
            Choice::None => Err(NameProblem::NoServer),
            Choice::Proposed => Err(NameProblem::Proposed(DEFAULT_SERVER.to_owned())),
        }
    }

    fn settings(&self) -> NameSettings {
        let public = || DEFAULT_SERVER.to_owned();
        NameSettings {
            server: self.server().ok().map(ToString::to_string),
            proposed: (self.server == Choice::Proposed).then(public),
            only_signed: self.only_signed,
        }
    }
}

/// Whether a server last said so too long ago.
fn is_stale(row: &NameRow, now: UnixTime) -> bool {
    row.resolved.saturating_add(FRESH) < now
}

fn found(row: &NameRow, cached: bool) -> NameFound {
    NameFound {
        id: row.id,
        name: row.name.clone(),
        server: row.server.clone(),
        signed: row.signed,
        resolved: row.resolved,
        cached,
    }
}

impl From<NameProblem> for CommandFailure {
    fn from(problem: NameProblem) -> Self {
        Self::Refused(CommandError::Name(problem))
    }
}

impl Account {
    pub(super) fn load_names(&mut self) -> Result<(), StoreError> {
        let core = &self.core;
        self.names = Names::load(&core.store, core.config.number, &core.account)?;
        if core.config.enabled {
            let soon = self.core.after(SOON);
            self.core.timers.set(Timer::Names, soon);
        }
        Ok(())
    }

    /// The command to look at the settings.
    pub(super) fn name_settings(&self) -> NameSettings {
        self.names.settings()
    }

    /// The command to change the settings.
    pub(super) fn change_name_settings(
        &mut self,
        server: Option<NameServerChoice>,
        only_signed: Option<bool>,
    ) -> Result<NameSettings, CommandFailure> {
        let number = self.core.config.number;
        let server = server.map(|choice| match choice {
            NameServerChoice::None => Ok((None, None)),
            NameServerChoice::Public => Ok((Some(String::new()), Some(YES))),
            NameServerChoice::At(text) => ServerUrl::parse(&text)
                .map(|url| (Some(url.to_string()), None))
                .map_err(NameProblem::from),
        });
        let server = server.transpose()?;
        self.core.store.begin()?;
        if let Some((url, confirmed)) = server {
            let store = &mut self.core.store;
            store.set_setting(number, SERVER, url.as_deref())?;
            store.set_setting(number, CONFIRMED, confirmed)?;
        }
        if let Some(only) = only_signed {
            let value = only.then_some(YES);
            self.core.store.set_setting(number, ONLY_SIGNED, value)?;
        }
        let before = self.names.own().to_owned();
        let new = Names::load(&self.core.store, number, &self.core.account)?;
        let moved = new.server != self.names.server;
        (self.names.server, self.names.only_signed) = (new.server, new.only_signed);
        if moved {
            self.names.own = new.own;
            self.own_name_unknown();
            if before != self.names.own() {
                let name = self.names.own().to_owned();
                let server = self.names.settings().server.unwrap_or_default();
                self.tell_name(self.core.account, name, &server);
            }
            self.look_up_own_name();
        }
        Ok(self.names.settings())
    }

    /// The command to look somebody up. `fresh`: the server is asked in any case. `None`: the
    /// reply comes later.
    pub(super) fn look_up_name(
        &mut self,
        request: RequestId,
        query: Query,
        fresh: bool,
    ) -> Result<Option<Reply>, CommandFailure> {
        let (server, known, question, purpose) = match query {
            Query::Name { name, server } => {
                let server = match server {
                    Some(server) => server,
                    None => self.names.server()?.clone(),
                };
                let (store, number) = (&self.core.store, self.core.config.number);
                let known = store.name(number, server.as_str(), name.as_str())?;
                (server, known, Question::Name(name), Purpose::Find(request))
            }
            Query::Id(id) => {
                let server = self.names.server()?.clone();
                let (store, number) = (&self.core.store, self.core.config.number);
                let known = store.name_of(number, server.as_str(), &id)?;
                let purpose = Purpose::NameOf(id, Some(request));
                (server, known, Question::Address(id), purpose)
            }
        };
        let usable = |row: &NameRow| row.signed || !self.names.only_signed;
        if let Some(mut row) = known.filter(|row| !fresh && usable(row)) {
            let now = self.core.now.unix;
            if is_stale(&row, now) {
                row.used = now;
                self.core.store.begin()?;
                self.core.store.put_name(self.core.config.number, &row)?;
                self.ask_again(&row);
            }
            return Ok(Some(Reply::Name(found(&row, true))));
        }
        self.ask_names(Ask { server, question }, purpose)?;
        Ok(None)
    }

    /// The command to register a name, which the account has signed.
    pub(super) fn register_name(
        &mut self,
        request: RequestId,
        name: Name,
        registration: &Registration,
    ) -> Result<(), CommandFailure> {
        let server = self.names.server()?.clone();
        let mut open = self.names.open.values();
        if open.any(|open| matches!(open.purpose, Purpose::Register(_))) {
            return Err(NameProblem::Pending.into());
        }
        if registration.addr != self.core.account || registration.verify(&name).is_err() {
            let text = "the registration is not one of this account".to_owned();
            return Err(CommandError::Invalid(text).into());
        }
        let question = Question::Register {
            name,
            id: self.core.account,
            body: registration.to_json(),
        };
        self.ask_names(Ask { server, question }, Purpose::Register(request))
    }

    /// Takes what came of a [`NameQuery`].
    pub fn handle_name(&mut self, now: Now, id: u64, answer: Result<Answer, Unreachable>) {
        self.begin(now);
        if self.core.failure.is_none()
            && let Some(open) = self.names.open.remove(&id)
        {
            let result = self.name_answered(open, answer);
            self.check(result);
        }
    }

    fn ask_names(&mut self, ask: Ask, purpose: Purpose) -> Result<(), CommandFailure> {
        if !self.core.config.enabled {
            return Err(NameProblem::Disabled.into());
        }
        if self.names.open.len() >= MAX_OPEN {
            return Err(NameProblem::Busy.into());
        }
        self.names.next = self.names.next.wrapping_add(1);
        let id = self.names.next;
        let query = NameQuery {
            id,
            ask: ask.clone(),
        };
        self.names.open.insert(id, Open { ask, purpose });
        self.core.out.push_back(Output::Name(query));
        Ok(())
    }

    /// Asks for the own name, as it may have been registered by another device. Whatever
    /// hinders that, it is tried again in the next round.
    pub(super) fn look_up_own_name(&mut self) {
        let own = self.core.account;
        let Ok(server) = self.names.server().cloned() else {
            return;
        };
        // Of this server: another one, which was chosen before, may not have answered yet.
        let asking = |open: &Open| {
            open.ask.server == server
                && matches!(&open.purpose, Purpose::NameOf(id, None) | Purpose::Verify(id, None) if *id == own)
        };
        let now = self.core.now.instant;
        let asked = self.names.own_asked;
        let lately = asked.is_some_and(|asked| now.saturating_duration_since(asked) < OWN_PAUSE);
        if !lately && !self.names.open.values().any(asking) {
            self.names.own_asked = Some(now);
            let question = Question::Address(own);
            // As when it is disabled.
            let _ = self.ask_names(Ask { server, question }, Purpose::NameOf(own, None));
        }
    }

    /// Whether what a server says is about the own name where it counts.
    fn is_own(&self, ask: &Ask, id: &AccountId) -> bool {
        *id == self.core.account && self.names.server().is_ok_and(|own| *own == ask.server)
    }

    /// The own name has to be asked for, as soon as that is due.
    fn own_name_unknown(&mut self) {
        (self.names.own_asked, self.names.own_known) = (None, false);
    }

    /// Asks whether something is still as it was.
    fn ask_again(&mut self, row: &NameRow) {
        let (Ok(server), Ok(name)) = (ServerUrl::parse(&row.server), LookupText::new(&row.name))
        else {
            return;
        };
        let ask = Ask {
            server,
            question: Question::Name(name),
        };
        if !self.names.open.values().any(|open| open.ask == ask) {
            // Another time, if there is too much to do.
            let _ = self.ask_names(ask, Purpose::Again);
        }
    }

    /// Asks again for the names of contacts, and for the own one, after a day.
    pub(super) fn names_round(&mut self) -> Result<(), StoreError> {
        let later = self.core.after(ROUND);
        self.core.timers.set(Timer::Names, later);
        if self.names.server().is_err() {
            return Ok(());
        }
        let now = self.core.now.unix;
        let known = self.names.own_known;
        if !known
            || self
                .names
                .own
                .as_ref()
                .is_some_and(|row| is_stale(row, now))
        {
            self.look_up_own_name();
        }
        let rows = self.core.store.names(self.core.config.number)?;
        let stale = rows
            .into_iter()
            .rev()
            .filter(|row| is_stale(row, now) && self.is_contact(&row.id));
        let stale: Vec<NameRow> = stale.take(MAX_AGAIN).collect();
        for row in &stale {
            self.ask_again(row);
        }
        Ok(())
    }

    /// Names of accounts as they are shown: `alice`, or `alice@example.com` where it is not
    /// the own server that says so.
    pub(super) fn shown_names(&self) -> Result<BTreeMap<AccountId, String>, StoreError> {
        let own = self.names.server().ok().map(ServerUrl::as_str);
        let mut shown = BTreeMap::new();
        for row in self.core.store.names(self.core.config.number)? {
            if Some(row.server.as_str()) == own {
                shown.insert(row.id, row.name);
            } else {
                let server = ServerUrl::parse(&row.server);
                let server = server.as_ref().map_or("", ServerUrl::short);
                let name = format!("{}@{server}", row.name);
                shown.entry(row.id).or_insert(name);
            }
        }
        Ok(shown)
    }
}
