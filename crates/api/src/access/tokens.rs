//! Tokens of programs: made, listed, revoked. One made with another is never stronger.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use baraza_core::LocalId;
use baraza_store::{StoreError, TokenRow, WebhookRow};
use baraza_wire::{ConversationId, Rng, UnixTime, hex};

use super::{Access, Grant, Holder, Scope, new_secret, now};
use crate::error::ApiError;

/// What tokens begin with, as those of the existing client do.
pub const TOKEN_PREFIX: &str = "jm_sk_";
/// How long a token holds if nothing is said.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);
/// Tokens at once.
pub const MAX_TOKENS: usize = 1000;
/// Longest label, in characters.
const MAX_LABEL: usize = 100;
/// Accounts or conversations that a token may be bound to.
const MAX_BOUND: usize = 100;

/// A token that is wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) label: String,
    pub(crate) scopes: Vec<Scope>,
    /// Scopes of the existing client's API, beside ours.
    pub(crate) fine: Vec<String>,
    pub(crate) accounts: Vec<LocalId>,
    pub(crate) conversations: Vec<ConversationId>,
    /// When it ends; `None`: never.
    pub(crate) expires: Option<UnixTime>,
}

fn stronger(text: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "stronger_token", text)
}

impl Grant {
    /// Bounds a token that is made with this one, or says what is too much.
    fn bound(&self, mut wanted: Wanted) -> Result<Wanted, ApiError> {
        if let Some(more) = wanted.scopes.iter().find(|scope| !self.has(**scope)) {
            return Err(stronger(&format!("your own token lacks the scope {more}")));
        }
        if wanted.fine.iter().any(|fine| !self.has_fine(fine)) {
            return Err(stronger("your own token lacks a scope that is wanted"));
        }
        (wanted.accounts, wanted.conversations) =
            self.within(wanted.accounts, wanted.conversations)?;
        if let (Holder::Token(_), Some(end)) = (&self.holder, self.fixed_end) {
            wanted.expires = Some(wanted.expires.map_or(end, |wanted| wanted.min(end)));
        }
        Ok(wanted)
    }

    /// The accounts and conversations of what is made with this one: its own if none are
    /// named, or an error if there are others among them.
    pub(crate) fn within(
        &self,
        mut accounts: Vec<LocalId>,
        mut conversations: Vec<ConversationId>,
    ) -> Result<(Vec<LocalId>, Vec<ConversationId>), ApiError> {
        let account = |one: &LocalId| self.accounts.contains(one);
        if !self.accounts.is_empty() {
            if accounts.is_empty() {
                accounts.clone_from(&self.accounts);
            } else if !accounts.iter().all(account) {
                return Err(stronger("your own token is not for one of these accounts"));
            }
        }
        if !self.conversations.is_empty() {
            let known = |one: &ConversationId| self.conversations.contains(one);
            if conversations.is_empty() {
                conversations.clone_from(&self.conversations);
            } else if !conversations.iter().all(known) {
                let text = "your own token is not for one of these conversations";
                return Err(stronger(text));
            }
        }
        Ok((accounts, conversations))
    }

    /// Whether it may see and revoke another token.
    fn rules(&self, row: &TokenRow) -> bool {
        *self.holder() == Holder::Token(row.id.clone())
            || self.rules_what(row.parent.as_deref(), &row.accounts)
    }

    /// Whether it may see and remove what was made with the token `parent` for `accounts`.
    pub(crate) fn rules_what(&self, parent: Option<&str>, accounts: &str) -> bool {
        let Holder::Token(id) = &self.holder else {
            return true;
        };
        let bound: Vec<LocalId> = super::words(accounts);
        parent == Some(id)
            || (self.conversations.is_empty()
                && (self.accounts.is_empty()
                    || (!bound.is_empty() && bound.iter().all(|one| self.accounts.contains(one)))))
    }

    /// Reads, for accounts and conversations only; for all where none are named.
    pub(crate) fn bound_to(accounts: Vec<LocalId>, conversations: Vec<ConversationId>) -> Self {
        Self {
            scopes: vec![Scope::Read],
            accounts,
            conversations,
            ..Self::new(Holder::Owner, UnixTime::default())
        }
    }
}

/// A version 4 UUID.
fn uuid() -> String {
    let mut bytes = Rng::from_os().bytes::<16>();
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let digits = hex::encode(&bytes);
    let mut text = String::with_capacity(36);
    for (index, digit) in digits.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

impl Access {
    /// Makes a token with what `maker` may do at most; the token itself, shown never again.
    pub(crate) async fn make_token(
        self: &Arc<Self>,
        maker: &Grant,
        wanted: Wanted,
    ) -> Result<(String, TokenRow), ApiError> {
        let label = wanted.label.trim().to_owned();
        if label.is_empty() || label.chars().count() > MAX_LABEL {
            let text = format!("a token has a label of at most {MAX_LABEL} characters");
            return Err(ApiError::unprocessable("invalid", text));
        }
        let bound = wanted.accounts.len().max(wanted.conversations.len());
        if bound > MAX_BOUND || (wanted.scopes.is_empty() && wanted.fine.is_empty()) {
            let text = format!("a token has a scope, and is bound to at most {MAX_BOUND} things");
            return Err(ApiError::unprocessable("invalid", text));
        }
        let wanted = maker.bound(wanted)?;
        let (secret, hash) = new_secret(TOKEN_PREFIX);
        let ours = wanted.scopes.iter().map(|scope| scope.name().to_owned());
        let scopes: BTreeSet<String> = ours.chain(wanted.fine).collect();
        let row = TokenRow {
            id: uuid(),
            secret: hash,
            prefix: secret.chars().take(14).collect(),
            label,
            scopes: scopes.into_iter().collect::<Vec<_>>().join(" "),
            accounts: join(wanted.accounts.iter()),
            conversations: join(wanted.conversations.iter()),
            parent: match &maker.holder {
                Holder::Token(id) => Some(id.clone()),
                Holder::Owner | Holder::Session(_) => None,
            },
            created: now(),
            expires: wanted.expires,
            used: None,
        };
        let kept = row.clone();
        let added = self
            .store(move |store| {
                if store.tokens()?.len() >= MAX_TOKENS {
                    return Ok(false);
                }
                store.add_token(&kept).map(|()| true)
            })
            .await?;
        if !added {
            let text = "there are too many tokens: revoke some";
            return Err(ApiError::conflict("too_many_tokens", text));
        }
        let grant = Arc::new(Grant::of_token(&row));
        self.write_grants().insert(row.secret, grant);
        Ok((secret, row))
    }

    /// A token that holds, by its id.
    pub(crate) fn token(&self, id: &str) -> Option<Arc<Grant>> {
        let grants = self.read_grants();
        let wanted = |grant: &&Arc<Grant>| matches!(&grant.holder, Holder::Token(one) if one == id);
        grants.values().find(wanted).map(Arc::clone)
    }

    /// The webhooks there are, at the start.
    pub(crate) fn webhooks(&self) -> Result<Vec<WebhookRow>, StoreError> {
        super::lock(&self.store).webhooks()
    }

    /// The tokens that `asker` may see.
    pub(crate) async fn tokens(self: &Arc<Self>, asker: &Grant) -> Result<Vec<TokenRow>, ApiError> {
        let mut rows = self.store(|store| store.tokens()).await?;
        let grants = self.read_grants();
        rows.retain_mut(|row| {
            if let Some(grant) = grants.get(&row.secret) {
                let used = grant.used.load(Ordering::Relaxed);
                row.used = (used > 0).then(|| UnixTime::from_millis(used));
            }
            asker.rules(row)
        });
        Ok(rows)
    }

    /// Revokes a token, and those made with it; whether there was one.
    pub(crate) async fn revoke_token(
        self: &Arc<Self>,
        asker: &Grant,
        id: &str,
    ) -> Result<bool, ApiError> {
        let known = self.tokens(asker).await?;
        if !known.iter().any(|row| row.id == id) {
            return Ok(false);
        }
        let wanted = id.to_owned();
        let left = self
            .store(move |store| {
                store.remove_token(&wanted)?;
                store.tokens()
            })
            .await?;
        let left: BTreeSet<String> = left.into_iter().map(|row| row.id).collect();
        let ended: Vec<_> = {
            let grants = self.read_grants();
            let gone = grants.values().filter(|grant| match &grant.holder {
                Holder::Token(id) => !left.contains(id),
                Holder::Owner | Holder::Session(_) => false,
            });
            gone.map(Arc::clone).collect()
        };
        for grant in ended {
            self.end(&grant);
        }
        Ok(true)
    }
}

/// Words with spaces between.
pub(crate) fn join<T: std::fmt::Display>(items: impl Iterator<Item = T>) -> String {
    items
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_are_random_uuids() {
        let id = super::uuid();
        let parts: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(id.as_bytes()[14], b'4', "{id}");
        assert!(
            matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'),
            "{id}"
        );
        assert_ne!(id, super::uuid());
    }
}
