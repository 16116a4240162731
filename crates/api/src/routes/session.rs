//! Browsers that sign in.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::{Extension, Json};

use crate::access::{CODE_LIFETIME, Grant, Holder, SESSION_IDLE};
use crate::body::Input;
use crate::error::ApiError;
use crate::guard::Secure;
use crate::paging::{Page, Paged};
use crate::server::{Peer, State};
use crate::types::{Caller, Login, LoginCode, NewLoginPassword, Session};

fn cookie(
    state: &State,
    secure: Option<Extension<Secure>>,
    secret: &str,
    seconds: u64,
) -> AppendHeaders<[(header::HeaderName, String); 1]> {
    let secure = secure.map_or("", |_| "; Secure");
    AppendHeaders([(
        header::SET_COOKIE,
        format!(
            "{}={secret}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}",
            state.access.cookie_name()
        ),
    )])
}

/// Signs a browser in, with a code of `baraza open` or with the password. The answer sets
/// the cookie `baraza_session_NODE`, which lasts until it was not used for 30 days.
#[utoipa::path(post, path = "/api/v1/session", tag = "session", security(()),
    request_body = Login,
    responses((status = 204, description = "Signed in; with the cookie"),
        (status = 400, body = crate::error::Problem),
        (status = 401, body = crate::error::Problem),
        (status = 429, body = crate::error::Problem)))]
pub(crate) async fn sign_in(
    Shared(state): Shared<Arc<State>>,
    Extension(Peer(peer)): Extension<Peer>,
    secure: Option<Extension<Secure>>,
    headers: HeaderMap,
    Input(login): Input<Login>,
) -> Result<Response, ApiError> {
    let client = headers.get(header::USER_AGENT);
    let client = client.and_then(|client| client.to_str().ok()).unwrap_or("");
    let access = &state.access;
    let secret = match (login.code, login.password) {
        (Some(code), None) => access.sign_in_with_code(peer.ip(), &code, client).await?,
        (None, Some(password)) => {
            access
                .sign_in_with_password(peer.ip(), password, client)
                .await?
        }
        _ => {
            let text = "give either a code or a password";
            return Err(ApiError::bad_request("bad_fields", text));
        }
    };
    Ok((
        StatusCode::NO_CONTENT,
        cookie(&state, secure, &secret, SESSION_IDLE.as_secs()),
    )
        .into_response())
}

/// Who asks, and what they may do. A browser's cookie lasts for 30 days again.
#[utoipa::path(get, path = "/api/v1/session", tag = "session",
    responses((status = 200, body = Caller)))]
pub(crate) async fn show(
    Shared(state): Shared<Arc<State>>,
    Extension(grant): Extension<Arc<Grant>>,
    secure: Option<Extension<Secure>>,
    headers: HeaderMap,
) -> Response {
    let (kind, session) = match grant.holder() {
        Holder::Owner => ("owner", None),
        Holder::Session(id) => ("session", Some(*id)),
        Holder::Token(_) => ("token", None),
    };
    let mut response = Json(Caller {
        kind: kind.to_owned(),
        scopes: grant.scopes().iter().map(ToString::to_string).collect(),
        accounts: grant.accounts().to_vec(),
        conversations: grant.conversations().to_vec(),
        session,
        expires: grant.expires(),
        password_set: state.access.has_password(),
    })
    .into_response();
    let again = session.and_then(|_| crate::guard::cookie(&headers, state.access.cookie_name()));
    if let Some(secret) = again {
        let AppendHeaders([(name, value)]) = cookie(&state, secure, secret, SESSION_IDLE.as_secs());
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Signs the browser out that asks.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session",
    responses((status = 204), (status = 409, body = crate::error::Problem)))]
pub(crate) async fn sign_out(
    Shared(state): Shared<Arc<State>>,
    Extension(grant): Extension<Arc<Grant>>,
    secure: Option<Extension<Secure>>,
) -> Result<Response, ApiError> {
    let Holder::Session(id) = grant.holder() else {
        let text = "this is no browser that signed in";
        return Err(ApiError::conflict("no_session", text));
    };
    state.access.sign_out(*id).await?;
    Ok((StatusCode::NO_CONTENT, cookie(&state, secure, "", 0)).into_response())
}

/// A new code that signs a browser in, once and within five minutes: at
/// `http://ADDRESS/#login=CODE`.
#[utoipa::path(post, path = "/api/v1/session/code", tag = "session",
    responses((status = 201, body = LoginCode)))]
pub(crate) async fn code(Shared(state): Shared<Arc<State>>) -> (StatusCode, Json<LoginCode>) {
    let code = LoginCode {
        code: state.access.login_code(),
        expires_in: CODE_LIFETIME.as_secs(),
    };
    (StatusCode::CREATED, Json(code))
}

/// Sets the password that browsers may sign in with, or removes it. Who is signed in stays
/// so.
#[utoipa::path(put, path = "/api/v1/session/password", tag = "session",
    request_body = NewLoginPassword,
    responses((status = 204), (status = 409, body = crate::error::Problem),
        (status = 422, body = crate::error::Problem)))]
pub(crate) async fn set_password(
    Shared(state): Shared<Arc<State>>,
    Input(new): Input<NewLoginPassword>,
) -> Result<StatusCode, ApiError> {
    if new.password.is_none() && state.elsewhere {
        let text = "other machines reach this node: without a password, it would not be started";
        return Err(ApiError::conflict("password_needed_elsewhere", text)
            .hint("set another one, or start the node without --tls-cert"));
    }
    state.access.set_password(new.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The browsers that are signed in.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "session",
    responses((status = 200, body = Vec<Session>)))]
pub(crate) async fn list(
    Shared(state): Shared<Arc<State>>,
    Extension(grant): Extension<Arc<Grant>>,
    page: Page,
) -> Result<Paged<Session>, ApiError> {
    let rows = state.access.sessions().await?;
    let sessions = rows.into_iter().map(|row| Session {
        current: *grant.holder() == Holder::Session(row.id),
        session: row.id,
        client: row.client,
        created: row.created,
        used: row.used,
        expires: row.used.saturating_add(SESSION_IDLE),
    });
    Ok(page.of(sessions.collect()))
}

/// Signs a browser out.
#[utoipa::path(delete, path = "/api/v1/sessions/{session}", tag = "session",
    params(("session" = u64, Path, description = "Its number")),
    responses((status = 204), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn revoke(
    Shared(state): Shared<Arc<State>>,
    Path(session): Path<String>,
) -> Result<StatusCode, ApiError> {
    let none = || ApiError::not_found("no_such_session", "there is no such session");
    let id: u64 = session.parse().map_err(|_no_number| none())?;
    match state.access.sign_out(id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(none()),
    }
}
