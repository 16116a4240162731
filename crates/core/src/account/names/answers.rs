//! What answers of name servers bring about.

use baraza_names::LookupText;
use baraza_names::client::{Answer, Ask, Failure, Outcome, Question, Unreachable};
use baraza_store::{NameRow, StoreError};
use baraza_wire::AccountId;

use super::{Open, Purpose, SOON, found, is_stale};
use crate::account::timers::Timer;
use crate::account::{Account, CommandFailure, RequestId};
use crate::command::{CommandError, Reply};
use crate::event::EventBody;
use crate::names::NameProblem;

impl Account {
    pub(super) fn name_answered(
        &mut self,
        open: Open,
        answer: Result<Answer, Unreachable>,
    ) -> Result<(), StoreError> {
        let Open { ask, purpose } = open;
        let outcome = ask.understand(answer, self.names.only_signed);
        match (outcome, &ask.question) {
            (Ok(Outcome::Found { name, id, signed }), _) => {
                self.name_found(&ask, &purpose, &name, id, signed)
            }
            (Ok(Outcome::Named(name)), Question::Address(id)) => {
                self.named(&ask, &purpose, *id, name)
            }
            (Ok(Outcome::Registered), Question::Register { name, id, .. }) => {
                let row = self.name_row(&ask, name.as_str(), *id, true);
                self.put_name(&row)?;
                self.reply_name(purpose.request(), Ok(row));
                Ok(())
            }
            // There is no such pair of question and answer.
            (Ok(_), _) => Ok(()),
            (Err(failure), _) => self.name_failed(&ask, &purpose, &failure),
        }
    }

    fn name_row(&self, ask: &Ask, name: &str, id: AccountId, signed: bool) -> NameRow {
        NameRow {
            server: ask.server.to_string(),
            name: name.to_owned(),
            id,
            signed,
            resolved: self.core.now.unix,
            used: self.core.now.unix,
        }
    }

    fn reply_name(&mut self, request: Option<RequestId>, result: Result<NameRow, NameProblem>) {
        let Some(request) = request else {
            if let Err(problem) = result {
                tracing::debug!(%problem, "a name was not confirmed");
            }
            return;
        };
        let reply = match result {
            Ok(row) => Ok(Reply::Name(found(&row, false))),
            Err(problem) => Err(CommandError::Name(problem)),
        };
        self.core.replies.push((request, reply));
    }

    /// A name belongs to somebody, as the server says.
    fn name_found(
        &mut self,
        ask: &Ask,
        purpose: &Purpose,
        name: &LookupText,
        id: AccountId,
        signed: bool,
    ) -> Result<(), StoreError> {
        let mut row = self.name_row(ask, name.as_str(), id, signed);
        if *purpose == Purpose::Again {
            let (store, number) = (&self.core.store, self.core.config.number);
            let known = store.name(number, &row.server, &row.name)?;
            row.used = known.map_or(row.used, |known| known.used);
        }
        self.put_name(&row)?;
        if let Purpose::Verify(wanted, request) = purpose {
            self.names.own_known |= self.is_own(ask, wanted);
            let result = if id == *wanted {
                Ok(row)
            } else {
                Err(contradiction(ask, name))
            };
            self.reply_name(*request, result);
        } else {
            self.reply_name(purpose.request(), Ok(row));
        }
        Ok(())
    }

    /// An account has a name, as the server says: does the name lead back to it?
    fn named(
        &mut self,
        ask: &Ask,
        purpose: &Purpose,
        id: AccountId,
        name: LookupText,
    ) -> Result<(), StoreError> {
        let request = purpose.request();
        let next = Ask {
            server: ask.server.clone(),
            question: Question::Name(name),
        };
        match self.ask_names(next, Purpose::Verify(id, request)) {
            Ok(()) => Ok(()),
            Err(CommandFailure::Refused(error)) => {
                if let Some(request) = request {
                    self.core.replies.push((request, Err(error)));
                }
                Ok(())
            }
            Err(CommandFailure::Store(error)) => Err(error),
        }
    }

    fn name_failed(
        &mut self,
        ask: &Ask,
        purpose: &Purpose,
        failure: &Failure,
    ) -> Result<(), StoreError> {
        let number = self.core.config.number;
        let server = ask.server.as_str();
        let mut problem = NameProblem::Asked(failure.clone());
        match (&ask.question, purpose) {
            (Question::Name(name), _) if *failure == Failure::NotFound => {
                let known = self.core.store.name(number, server, name.as_str())?;
                if let Some(row) = known {
                    self.forget_name(&row)?;
                }
                if matches!(purpose, Purpose::Verify(..)) {
                    problem = contradiction(ask, name);
                }
            }
            (Question::Address(id), _) if *failure == Failure::NotFound => {
                self.names.own_known |=
                    *purpose == Purpose::NameOf(*id, None) && self.is_own(ask, id);
                // A server may take a while to write down what it has promised.
                let known = self.core.store.name_of(number, server, id)?;
                let gone = known.filter(|row| is_stale(row, self.core.now.unix));
                if let Some(row) = gone {
                    self.forget_name(&row)?;
                }
            }
            (Question::Register { .. }, _) if failure.is_open() => {
                // Perhaps it has the name now.
                self.own_name_unknown();
                let soon = self.core.after(SOON);
                self.core.timers.sooner(Timer::Names, soon);
            }
            _ => {}
        }
        self.reply_name(purpose.request(), Err(problem));
        Ok(())
    }

    /// Keeps what a server said, and tells what is new about it.
    fn put_name(&mut self, row: &NameRow) -> Result<(), StoreError> {
        let number = self.core.config.number;
        let store = &mut self.core.store;
        let owner = store.name(number, &row.server, &row.name)?;
        let name = store.name_of(number, &row.server, &row.id)?;
        store.begin()?;
        store.put_name(number, row)?;
        if let Some(before) = owner.filter(|before| before.id != row.id) {
            tracing::info!(name = row.name, "a name belongs to somebody else now");
            self.name_changed(&before.id, &row.server, None);
        }
        if name.is_none_or(|before| before.name != row.name) {
            self.name_changed(&row.id, &row.server, Some(row));
        } else if row.id == self.core.account {
            self.own_name(&row.server, Some(row));
        }
        Ok(())
    }

    /// A server says that there is no such name any more.
    fn forget_name(&mut self, row: &NameRow) -> Result<(), StoreError> {
        let number = self.core.config.number;
        self.core.store.begin()?;
        self.core
            .store
            .remove_name(number, &row.server, &row.name)?;
        self.name_changed(&row.id, &row.server, None);
        Ok(())
    }

    fn name_changed(&mut self, id: &AccountId, server: &str, row: Option<&NameRow>) {
        if *id == self.core.account {
            self.own_name(server, row);
        }
        let name = row.map(|row| row.name.clone()).unwrap_or_default();
        self.tell_name(*id, name, server);
    }

    fn own_name(&mut self, server: &str, row: Option<&NameRow>) {
        if self.names.server().is_ok_and(|own| own.as_str() == server) {
            self.names.own = row.cloned();
        }
    }

    pub(super) fn tell_name(&mut self, id: AccountId, name: String, server: &str) {
        self.core.emit(EventBody::NameChanged {
            id,
            name,
            server: server.to_owned(),
        });
    }
}

fn contradiction(ask: &Ask, name: &LookupText) -> NameProblem {
    NameProblem::Contradiction {
        server: ask.server.to_string(),
        name: name.to_string(),
    }
}
