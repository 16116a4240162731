//! What each route needs: the one table of it. A route that is not in it is refused to
//! everybody, so that none is forgotten.

use std::fmt;

use axum::http::{Method, StatusCode};
use baraza_core::LocalId;
use baraza_wire::ConversationId;

use super::{Grant, Holder};
use crate::error::ApiError;

/// What a program may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Read accounts, conversations, contacts, files and events.
    Read,
    /// Act in conversations: texts, files, reactions, groups, invitations, requests.
    Send,
    /// Everything else: devices, keys, backups, settings, removing things, tokens.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Send, Self::Admin];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Send => "send",
            Self::Admin => "admin",
        }
    }

    /// The one with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who may ask a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Everybody who is known.
    Known,
    /// The owner: with the file `api-token`, or a browser that signed in.
    Owner,
    /// Who has the scope; who is bound to accounts or conversations only in their paths.
    Has(Scope),
    /// Who has the scope; the route itself gives no more than what they are bound to.
    Filtered(Scope),
}

use Need::{Filtered, Has, Known, Owner};
use Scope::{Admin, Read, Send};

/// What a route needs.
#[derive(Debug, Clone, Copy)]
pub struct Rule(pub &'static str, pub &'static str, pub Need);

/// The routes under `/api/v1`, and what they need.
pub const RULES: &[Rule] = &[
    Rule("GET", "/status", Has(Read)),
    Rule("GET", "/network", Has(Read)),
    Rule("PUT", "/network/bootstrap", Has(Admin)),
    Rule("DELETE", "/network/bootstrap", Has(Admin)),
    Rule("PUT", "/network/local", Has(Admin)),
    Rule("GET", "/doctor", Has(Admin)),
    Rule("POST", "/doctor", Has(Admin)),
    Rule("GET", "/doctor/report", Has(Admin)),
    Rule("GET", "/events", Filtered(Read)),
    Rule("GET", "/ws", Filtered(Read)),
    Rule("GET", "/session", Known),
    Rule("POST", "/session", Known),
    Rule("DELETE", "/session", Known),
    Rule("POST", "/session/code", Owner),
    Rule("PUT", "/session/password", Owner),
    Rule("GET", "/sessions", Owner),
    Rule("DELETE", "/sessions/{session}", Owner),
    Rule("GET", "/tokens", Filtered(Admin)),
    Rule("POST", "/tokens", Filtered(Admin)),
    Rule("DELETE", "/tokens/{token}", Filtered(Admin)),
    Rule("GET", "/webhooks", Filtered(Admin)),
    Rule("POST", "/webhooks", Filtered(Admin)),
    Rule("DELETE", "/webhooks/{webhook}", Filtered(Admin)),
    Rule("POST", "/webhooks/{webhook}/enable", Filtered(Admin)),
    Rule("POST", "/webhooks/{webhook}/test", Filtered(Admin)),
    Rule("GET", "/backups", Has(Admin)),
    Rule("POST", "/backups", Has(Admin)),
    Rule("PUT", "/backups/uploaded", Has(Admin)),
    Rule("POST", "/backups/restore", Has(Admin)),
    Rule("PUT", "/backups/schedule", Has(Admin)),
    Rule("DELETE", "/backups/schedule", Has(Admin)),
    Rule("GET", "/link", Has(Admin)),
    Rule("POST", "/link", Has(Admin)),
    Rule("DELETE", "/link", Has(Admin)),
    Rule("POST", "/link/confirm", Has(Admin)),
    Rule("GET", "/accounts", Filtered(Read)),
    Rule("POST", "/accounts", Has(Admin)),
    Rule("POST", "/accounts/import", Has(Admin)),
    Rule("POST", "/accounts/link", Has(Admin)),
    Rule("POST", "/accounts/import-jami", Has(Admin)),
    Rule("GET", "/accounts/{account}", Filtered(Read)),
    Rule("PATCH", "/accounts/{account}", Has(Admin)),
    Rule("DELETE", "/accounts/{account}", Has(Admin)),
    Rule("POST", "/accounts/{account}/export", Has(Admin)),
    Rule("POST", "/accounts/{account}/password", Has(Admin)),
    Rule("POST", "/accounts/{account}/enable", Has(Admin)),
    Rule("POST", "/accounts/{account}/disable", Has(Admin)),
    Rule("GET", "/accounts/{account}/diagnostics", Has(Read)),
    Rule("GET", "/accounts/{account}/settings", Has(Read)),
    Rule("PATCH", "/accounts/{account}/settings", Has(Admin)),
    Rule("GET", "/accounts/{account}/devices", Has(Read)),
    Rule("PATCH", "/accounts/{account}/devices/{device}", Has(Admin)),
    Rule(
        "POST",
        "/accounts/{account}/devices/{device}/revoke",
        Has(Admin),
    ),
    Rule("POST", "/accounts/{account}/devices/pin", Has(Admin)),
    Rule("GET", "/accounts/{account}/devices/link", Has(Admin)),
    Rule("POST", "/accounts/{account}/devices/link", Has(Admin)),
    Rule("DELETE", "/accounts/{account}/devices/link", Has(Admin)),
    Rule(
        "POST",
        "/accounts/{account}/devices/link/confirm",
        Has(Admin),
    ),
    Rule("GET", "/accounts/{account}/contacts", Has(Read)),
    Rule("POST", "/accounts/{account}/contacts", Has(Send)),
    Rule("GET", "/accounts/{account}/contacts/{id}", Has(Read)),
    Rule("DELETE", "/accounts/{account}/contacts/{id}", Has(Admin)),
    Rule(
        "GET",
        "/accounts/{account}/contacts/{id}/profile",
        Has(Read),
    ),
    Rule(
        "POST",
        "/accounts/{account}/contacts/{id}/block",
        Has(Admin),
    ),
    Rule(
        "POST",
        "/accounts/{account}/contacts/{id}/unblock",
        Has(Admin),
    ),
    Rule(
        "GET",
        "/accounts/{account}/contacts/{id}/devices",
        Has(Read),
    ),
    Rule(
        "PUT",
        "/accounts/{account}/contacts/{id}/verified",
        Has(Admin),
    ),
    Rule(
        "DELETE",
        "/accounts/{account}/contacts/{id}/verified",
        Has(Admin),
    ),
    Rule("GET", "/accounts/{account}/profile", Has(Read)),
    Rule("PATCH", "/accounts/{account}/profile", Has(Admin)),
    Rule("GET", "/accounts/{account}/names", Has(Read)),
    Rule("POST", "/accounts/{account}/names", Has(Admin)),
    Rule("GET", "/accounts/{account}/names/of/{id}", Has(Read)),
    Rule("GET", "/accounts/{account}/names/server", Has(Read)),
    Rule("PATCH", "/accounts/{account}/names/server", Has(Admin)),
    Rule("GET", "/accounts/{account}/requests", Has(Read)),
    Rule(
        "POST",
        "/accounts/{account}/requests/{conversation}/accept",
        Has(Send),
    ),
    Rule(
        "POST",
        "/accounts/{account}/requests/{conversation}/decline",
        Has(Send),
    ),
    Rule(
        "POST",
        "/accounts/{account}/requests/{conversation}/block",
        Has(Admin),
    ),
    Rule("GET", "/accounts/{account}/nearby", Has(Read)),
    Rule("PATCH", "/accounts/{account}/nearby", Has(Admin)),
    Rule("GET", "/accounts/{account}/search", Has(Read)),
    Rule("GET", "/accounts/{account}/auto-accept", Has(Read)),
    Rule("PATCH", "/accounts/{account}/auto-accept", Has(Admin)),
    Rule("GET", "/accounts/{account}/conversations", Filtered(Read)),
    Rule("POST", "/accounts/{account}/conversations", Has(Send)),
    Rule(
        "POST",
        "/accounts/{account}/conversations/import",
        Has(Admin),
    ),
    Rule(
        "GET",
        "/accounts/{account}/conversations/{conversation}",
        Has(Read),
    ),
    Rule(
        "DELETE",
        "/accounts/{account}/conversations/{conversation}",
        Has(Admin),
    ),
    Rule(
        "POST",
        "/accounts/{account}/conversations/{conversation}/export",
        Has(Admin),
    ),
    Rule(
        "GET",
        "/accounts/{account}/conversations/{conversation}/profile",
        Has(Read),
    ),
    Rule(
        "PATCH",
        "/accounts/{account}/conversations/{conversation}/profile",
        Has(Admin),
    ),
    Rule(
        "GET",
        "/accounts/{account}/conversations/{conversation}/members",
        Has(Read),
    ),
    Rule(
        "POST",
        "/accounts/{account}/conversations/{conversation}/members",
        Has(Send),
    ),
    Rule(
        "DELETE",
        "/accounts/{account}/conversations/{conversation}/members/{member}",
        Has(Admin),
    ),
    Rule(
        "GET",
        "/accounts/{account}/conversations/{conversation}/messages",
        Has(Read),
    ),
    Rule(
        "POST",
        "/accounts/{account}/conversations/{conversation}/messages",
        Has(Send),
    ),
    Rule(
        "GET",
        "/accounts/{account}/conversations/{conversation}/messages/{message}",
        Has(Read),
    ),
    Rule(
        "PATCH",
        "/accounts/{account}/conversations/{conversation}/messages/{message}",
        Has(Send),
    ),
    Rule(
        "POST",
        "/accounts/{account}/conversations/{conversation}/messages/{message}/reactions",
        Has(Send),
    ),
    Rule(
        "GET",
        "/accounts/{account}/conversations/{conversation}/messages/{message}/delivery",
        Has(Read),
    ),
    Rule(
        "POST",
        "/accounts/{account}/conversations/{conversation}/rejoin",
        Has(Admin),
    ),
    Rule(
        "GET",
        "/accounts/{account}/conversations/{conversation}/entries",
        Has(Read),
    ),
    Rule(
        "POST",
        "/accounts/{account}/conversations/{conversation}/typing",
        Has(Send),
    ),
    Rule(
        "POST",
        "/accounts/{account}/conversations/{conversation}/read",
        Has(Send),
    ),
    Rule(
        "GET",
        "/accounts/{account}/conversations/{conversation}/preferences",
        Has(Read),
    ),
    Rule(
        "PATCH",
        "/accounts/{account}/conversations/{conversation}/preferences",
        Has(Send),
    ),
    Rule(
        "GET",
        "/accounts/{account}/conversations/{conversation}/files",
        Has(Read),
    ),
    Rule(
        "POST",
        "/accounts/{account}/conversations/{conversation}/files",
        Has(Send),
    ),
    Rule(
        "GET",
        "/accounts/{account}/conversations/{conversation}/files/{message}",
        Has(Read),
    ),
    Rule(
        "DELETE",
        "/accounts/{account}/conversations/{conversation}/files/{message}",
        Has(Send),
    ),
    Rule(
        "GET",
        "/accounts/{account}/conversations/{conversation}/files/{message}/content",
        Has(Read),
    ),
    Rule(
        "POST",
        "/accounts/{account}/conversations/{conversation}/files/{message}/accept",
        Has(Send),
    ),
    Rule(
        "POST",
        "/accounts/{account}/conversations/{conversation}/files/{message}/cancel",
        Has(Send),
    ),
];

/// What a route needs; none if it is not in the table.
pub fn need(method: &Method, path: &str) -> Option<Need> {
    // What answers GET answers HEAD.
    let method = match method {
        method if *method == Method::HEAD => "GET",
        method => method.as_str(),
    };
    RULES
        .iter()
        .find(|rule| rule.0 == method && rule.1 == path)
        .map(|rule| rule.2)
}

/// What a path is about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct About {
    /// Whether it names an account, and which it is, if there is such a one.
    pub(crate) account: Option<Option<LocalId>>,
    /// The same for a conversation.
    pub(crate) conversation: Option<Option<ConversationId>>,
}

impl Grant {
    /// Whether a route may be asked.
    pub(crate) fn check(&self, need: Need, about: About) -> Result<(), ApiError> {
        let refused = |code, text: String| Err(ApiError::new(StatusCode::FORBIDDEN, code, text));
        let (scope, filtered) = match need {
            Known => return Ok(()),
            Owner if matches!(self.holder, Holder::Token(_)) => {
                let text = "this is for the owner, not for programs with a token of their own";
                return refused("owner_only", text.to_owned());
            }
            Owner => return Ok(()),
            Has(scope) => (scope, false),
            Filtered(scope) => (scope, true),
        };
        if !self.has(scope) {
            return refused(
                "scope_missing",
                format!("the token lacks the scope {scope}"),
            );
        }
        let text = "the token is not for this account or conversation";
        match about.account {
            Some(account) if !self.covers_account(account) => {
                return refused("not_covered", text.to_owned());
            }
            None if !filtered && !self.accounts.is_empty() => {
                return refused("not_covered", text.to_owned());
            }
            _ => {}
        }
        match about.conversation {
            Some(conversation) if !self.covers_conversation(conversation) => {
                refused("not_covered", text.to_owned())
            }
            None if !filtered && !self.conversations.is_empty() => {
                refused("not_covered", text.to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Whether it has a scope.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether it is for an account.
    pub(crate) fn covers_account(&self, account: Option<LocalId>) -> bool {
        self.accounts.is_empty() || account.is_some_and(|account| self.accounts.contains(&account))
    }

    /// Whether it is for a conversation.
    pub(crate) fn covers_conversation(&self, conversation: Option<ConversationId>) -> bool {
        self.conversations.is_empty()
            || conversation.is_some_and(|one| self.conversations.contains(&one))
    }
}
