//! Tokens of programs.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::{Extension, Json};
use baraza_store::TokenRow;

use super::conversation_id;
use crate::access::{Grant, Scope, TOKEN_LIFETIME, Wanted, now, words};
use crate::body::Input;
use crate::error::ApiError;
use crate::paging::{Page, Paged};
use crate::server::State;
use crate::types::{MadeToken, NewToken, TokenInfo, TokenScope};

impl From<TokenRow> for TokenInfo {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            prefix: row.prefix,
            label: row.label,
            scopes: words(&row.scopes),
            accounts: words(&row.accounts),
            conversations: words(&row.conversations),
            parent: row.parent,
            created: row.created,
            expires: row.expires,
            used: row.used,
        }
    }
}

/// The tokens of programs that the caller may see.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens",
    responses((status = 200, body = Vec<TokenInfo>)))]
pub(crate) async fn list(
    Shared(state): Shared<Arc<State>>,
    Extension(grant): Extension<Arc<Grant>>,
    page: Page,
) -> Result<Paged<TokenInfo>, ApiError> {
    let rows = state.access.tokens(&grant).await?;
    Ok(page.of(rows.into_iter().map(Into::into).collect()))
}

/// Makes a token for a program, which may do no more than who makes it.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = NewToken,
    responses((status = 201, body = MadeToken), (status = 403, body = crate::error::Problem),
        (status = 422, body = crate::error::Problem)))]
pub(crate) async fn create(
    Shared(state): Shared<Arc<State>>,
    Extension(grant): Extension<Arc<Grant>>,
    Input(new): Input<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), ApiError> {
    let accounts: Result<Vec<_>, _> = new.accounts.iter().map(|one| state.account(one)).collect();
    let conversations = new.conversations.iter().map(|one| conversation_id(one));
    let conversations: Result<Vec<_>, _> = conversations.collect();
    let expires = match (new.expires_in, new.never_expires) {
        (Some(0), _) | (Some(_), true) => {
            let text = "a token ends after some seconds, or never";
            return Err(ApiError::unprocessable("invalid", text));
        }
        (None, true) => None,
        (Some(seconds), false) => Some(now().saturating_add(Duration::from_secs(seconds))),
        (None, false) => Some(now().saturating_add(TOKEN_LIFETIME)),
    };
    let scopes = new.scopes.iter().map(|scope| match scope {
        TokenScope::Read => Scope::Read,
        TokenScope::Send => Scope::Send,
        TokenScope::Admin => Scope::Admin,
    });
    let wanted = Wanted {
        label: new.label,
        scopes: scopes.collect(),
        fine: Vec::new(),
        accounts: accounts?,
        conversations: conversations?,
        expires,
    };
    let (token, row) = state.access.make_token(&grant, wanted).await?;
    let info = row.into();
    Ok((StatusCode::CREATED, Json(MadeToken { token, info })))
}

/// Revokes a token, and those that were made with it; what is open in its name is closed.
#[utoipa::path(delete, path = "/api/v1/tokens/{token}", tag = "tokens",
    params(("token" = String, Path, description = "Its id")),
    responses((status = 204), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn revoke(
    Shared(state): Shared<Arc<State>>,
    Extension(grant): Extension<Arc<Grant>>,
    Path(token): Path<String>,
) -> Result<StatusCode, ApiError> {
    match state.access.revoke_token(&grant, &token).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found(
            "no_such_token",
            "there is no such token",
        )),
    }
}
