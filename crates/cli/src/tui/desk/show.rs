//! Pages of what is known: people, requests, accounts, the node.

use super::lists::numbered;
use super::{Desk, Read, Told};
use crate::output::short;
use crate::tui::words;

impl Desk {
    pub(super) fn tell_requests(&mut self) {
        let rows = self.rows();
        let lines: Vec<String> = (1_usize..)
            .zip(rows.iter().filter(|row| row.request))
            .map(|(number, row)| {
                let time = words::time(row.time, &self.zone, "%Y-%m-%d %H:%M");
                format!("{number}. {}, {}, {time}", row.name, row.newest)
            })
            .collect();
        let title = match lines.len() {
            0 => "nobody has asked".to_owned(),
            1 => "1 request; /accept 1, /decline 1 or /block 1".to_owned(),
            count => format!("{count} requests; /accept, /decline or /block one by its number"),
        };
        self.tell(Told::Page { title, lines });
    }

    pub(super) fn tell_contacts(&mut self) {
        let lines: Vec<String> = (1_usize..)
            .zip(&self.contacts)
            .map(|(number, one)| {
                let name = self.name_of(&one.id);
                let state = if one.blocked {
                    "blocked"
                } else if one.confirmed {
                    words::presence(one.presence)
                } else {
                    "asked, has not answered"
                };
                let mut line = format!("{number}. {name}, {}, {state}", one.id);
                if let Some(why) = &one.unreachable {
                    line = format!("{line}, not reached: {}", words::foreign(why));
                }
                line
            })
            .collect();
        let title = match lines.len() {
            0 => "no contacts yet: /add WHO adds somebody".to_owned(),
            1 => "1 contact".to_owned(),
            count => format!("{count} contacts"),
        };
        self.tell(Told::Page { title, lines });
    }

    pub(super) fn tell_members(&mut self) {
        let Some(thread) = &self.thread else { return };
        let lines: Vec<String> = thread
            .members
            .iter()
            .map(|member| {
                let (name, role) = (self.name_of(&member.id), member.role.as_str());
                format!("{name}, {role}, {}", member.id)
            })
            .collect();
        let title = format!("{} in {}", lines.len(), self.thread_title());
        self.tell(Told::Page { title, lines });
    }

    pub(super) fn tell_accounts(&mut self) {
        let lines: Vec<String> = (1_usize..)
            .zip(&self.accounts)
            .map(|(number, one)| {
                let current = if Some(one.account) == self.current {
                    ", this one"
                } else {
                    ""
                };
                let name = words::foreign_name(&one.display_name);
                let detail = self.details.get(&one.account).map_or("", String::as_str);
                let state = words::account_state(one, detail);
                format!("{number}. {name}, {}, {state}{current}", one.jami_id)
            })
            .collect();
        let title = match lines.len() {
            0 => "no account yet: /create NAME makes one".to_owned(),
            1 => "1 account".to_owned(),
            count => format!("{count} accounts; /account NUMBER goes over to one"),
        };
        self.tell(Told::Page { title, lines });
    }

    pub(super) fn tell_status(&mut self) {
        self.want(Read::Status);
        let mut lines = Vec::new();
        if let Some(account) = self.account() {
            let name = words::foreign_name(&account.display_name);
            lines.push(format!("account: {name}, {}", account.jami_id));
            if !account.registered_name.is_empty() {
                let name = words::foreign_name(&account.registered_name);
                lines.push(format!("registered name: {name}"));
            }
            if account.backed_up.is_none() {
                lines.push(
                    "in no backup yet: it is lost for ever with this machine (baraza backup)"
                        .into(),
                );
            }
        }
        if let Some(status) = &self.status {
            lines.push(format!("node: Baraza {}", words::foreign(&status.version)));
            if let Some(dht) = &status.dht {
                lines.push(format!(
                    "network: {} nodes answer by IPv4, {} by IPv6",
                    dht.good_ipv4, dht.good_ipv6
                ));
            }
        }
        let title = self.state();
        self.tell(Told::Page { title, lines });
    }

    /// Goes over to another account.
    pub(super) fn choose_account(&mut self, which: &str) -> Result<(), String> {
        let wanted = which.trim().to_lowercase();
        let by_number = numbered(which).and_then(|at| self.accounts.get(at));
        let chosen = by_number.or_else(|| {
            self.accounts.iter().find(|one| {
                one.display_name.to_lowercase() == wanted
                    || one.registered_name == wanted
                    || (wanted.len() >= 4 && one.jami_id.to_hex().starts_with(&wanted))
            })
        });
        let chosen = chosen.ok_or("there is no such account; /accounts lists them")?;
        let (id, name) = (chosen.account, words::foreign_name(&chosen.display_name));
        let name = match name.as_str() {
            "" => short(&chosen.jami_id.to_hex()).to_owned(),
            _ => name,
        };
        if self.current != Some(id) {
            self.current = Some(id);
            self.thread = None;
            self.conversations.clear();
            self.contacts.clear();
            self.requests.clear();
            self.titles.clear();
            self.reads.clear();
            self.typing.clear();
            self.hits.clear();
            self.read_account();
        }
        self.tell(Told::Line(format!("the account is {name} now")));
        Ok(())
    }

    /// The account after the one that is shown.
    pub(crate) fn next_account(&mut self) {
        let at = self
            .accounts
            .iter()
            .position(|one| Some(one.account) == self.current);
        let next = at.map_or(0, |at| at.saturating_add(1));
        let next = if next < self.accounts.len() { next } else { 0 };
        if let Err(trouble) = self.choose_account(&next.saturating_add(1).to_string()) {
            self.tell(Told::Trouble(trouble));
        }
    }
}
