//! The face of the existing client's local API (docs/protocol/08-local-api.md): its paths,
//! shapes and texts, so that bots written for it run unchanged. Off unless switched on.
//!
//! What differs on purpose is section B1 there: scopes hold, a token makes none that is
//! stronger, no path of the disk is taken or told, no secret is handed out.

mod account;
mod contacts;
mod conversations;
mod events;
mod messages;
mod names;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use baraza_core::{Command, LocalId, Reply};
use serde_json::{Value, json};

use crate::access::{Grant, Holder};
use crate::error::ApiError;
use crate::server::State;

/// Longest JSON body.
const MAX_BODY: usize = 1024 * 1024;

/// A refusal, as the existing API words it.
#[derive(Debug)]
pub(crate) struct Refusal(StatusCode, String);

impl Refusal {
    pub(crate) fn new(status: StatusCode, text: &str) -> Self {
        Self(status, text.to_owned())
    }

    pub(crate) fn not_found(text: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    pub(crate) fn bad_request(text: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    fn token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Invalid token")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json_answer(self.0, &json!({ "error": self.1 }));
        if self.0 == StatusCode::UNAUTHORIZED {
            let challenge = header::HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self(error.status(), error.to_string())
    }
}

/// JSON with its keys sorted, as the existing API gives it.
pub(crate) fn json_answer(status: StatusCode, value: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, sorted(value).to_string()).into_response()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            let pairs = pairs.into_iter();
            Value::Object(
                pairs
                    .map(|(key, value)| (key.clone(), sorted(value)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// What a handler gives: a status and JSON, or a refusal.
pub(crate) type Answer = Result<Response, Refusal>;

pub(crate) fn ok(value: &Value) -> Answer {
    Ok(json_answer(StatusCode::OK, value))
}

pub(crate) fn done() -> Answer {
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A caller with a token, and the account that it is about.
pub(crate) struct Caller {
    pub(crate) state: Arc<State>,
    pub(crate) grant: Arc<Grant>,
    pub(crate) account: LocalId,
}

impl Caller {
    /// The caller needs a scope.
    pub(crate) fn needs(&self, scope: &str) -> Result<(), Refusal> {
        needs(&self.grant, scope)
    }

    /// Asks the account.
    pub(crate) async fn ask(&self, command: Command) -> Result<Reply, Refusal> {
        Ok(self.state.ask(self.account, command).await?)
    }

    /// A conversation of the path, if the token is for it.
    pub(crate) fn conversation(&self, text: &str) -> Result<baraza_wire::ConversationId, Refusal> {
        text.parse()
            .ok()
            .filter(|id| self.grant.covers_conversation(Some(*id)))
            .ok_or_else(|| Refusal::not_found("Conversation not found"))
    }
}

pub(crate) fn needs(grant: &Grant, scope: &str) -> Result<(), Refusal> {
    match grant.has_fine(scope) {
        true => Ok(()),
        false => Err(Refusal(
            StatusCode::FORBIDDEN,
            format!("The token lacks the scope {scope}"),
        )),
    }
}

/// The token of a request, in the form that the existing API wants.
fn token(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(str::trim)
}

/// Whose a token is; the owner's own is none of this API.
pub(crate) fn find(state: &Arc<State>, token: &str) -> Result<Arc<Grant>, Refusal> {
    let shape = token.len() == 70 && token.starts_with(crate::access::TOKEN_PREFIX);
    Some(token)
        .filter(|_| shape)
        .and_then(|token| state.access.find(token))
        .filter(|grant| matches!(grant.holder(), Holder::Token(_)))
        .ok_or_else(Refusal::token)
}

/// What the address says of something.
pub(crate) fn in_query(parts: &Parts, name: &str) -> Option<String> {
    let query = parts.uri.query().unwrap_or("");
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find_map(|(known, value)| (known == name).then(|| value.into_owned()))
}

/// Whether a request prefers something (RFC 7240).
pub(crate) fn prefers(headers: &HeaderMap, wanted: &str) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|one| one.split(';').next())
        .any(|one| one.trim().eq_ignore_ascii_case(wanted))
}

/// The account that a request is about: the token's, or the one named in the header or the
/// address, or the first.
pub(crate) fn account_of(state: &State, grant: &Grant, parts: &Parts) -> Result<LocalId, Refusal> {
    let named = parts.headers.get("jami-account");
    let named = named.and_then(|name| name.to_str().ok()).map(str::to_owned);
    let named = named.or_else(|| in_query(parts, "account"));
    let known = state.node.accounts();
    let covered = known
        .iter()
        .map(|summary| summary.account)
        .filter(|account| grant.covers_account(Some(*account)));
    match named {
        Some(name) => {
            let wanted = state.account(&name).ok();
            covered.into_iter().find(|account| Some(*account) == wanted)
        }
        None => covered.into_iter().next(),
    }
    .ok_or_else(|| Refusal::not_found("Account not found"))
}

impl FromRequestParts<Arc<State>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Refusal> {
        let grant = find(state, token(parts).unwrap_or(""))?;
        let account = account_of(state, &grant, parts)?;
        Ok(Self {
            state: Arc::clone(state),
            grant,
            account,
        })
    }
}

/// A JSON object in the body; what is none stands for an empty one.
pub(crate) struct Object(pub(crate) serde_json::Map<String, Value>);

impl Object {
    /// A text of it; empty if there is none.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or("")
    }
}

impl axum::extract::FromRequest<Arc<State>> for Object {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &Arc<State>) -> Result<Self, Refusal> {
        let reading = axum::body::to_bytes(request.into_body(), MAX_BODY);
        let bytes = tokio::time::timeout(crate::body::BODY_TIMEOUT, reading)
            .await
            .map_err(|_elapsed| Refusal::new(StatusCode::REQUEST_TIMEOUT, "Body too slow"))?
            .map_err(|_long| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "Body too large"))?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(serde_json::Map::new()));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => Ok(Self(serde_json::Map::new())),
            Err(_) => Err(Refusal::bad_request("Body is not JSON")),
        }
    }
}

/// The routes under `/api`.
pub(crate) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/api/info", get(account::info))
        .route("/api/account", get(account::show))
        .route(
            "/api/conversations",
            get(conversations::list).post(conversations::create),
        )
        .route(
            "/api/conversations/{id}",
            get(conversations::show).delete(conversations::remove),
        )
        .route("/api/conversations/{id}/infos", get(conversations::infos))
        .route(
            "/api/conversations/{id}/members",
            get(conversations::members),
        )
        .route(
            "/api/conversations/{id}/messages",
            get(messages::list).post(messages::send),
        )
        .route("/api/conversations/{id}/editmessage", post(messages::edit))
        .route("/api/conversations/{id}/reactions", post(messages::react))
        .route("/api/conversations/{id}/files", post(messages::send_file))
        .route("/api/data/{id}/{message}/{file}", get(messages::data))
        .route("/api/conversation-requests", get(conversations::requests))
        .route(
            "/api/conversation-requests/{id}",
            post(conversations::accept).delete(conversations::decline),
        )
        .route(
            "/api/conversation-requests/{id}/block",
            post(conversations::block),
        )
        .route("/api/contacts", get(contacts::list))
        .route(
            "/api/contacts/{id}",
            get(contacts::show)
                .merge(put(contacts::add))
                .merge(delete(contacts::remove)),
        )
        .route("/api/calls", get(account::calls))
        .route("/api/calls/{id}", get(account::call))
        .route("/api/ns/name/{name}", get(names::by_name))
        .route("/api/ns/address/{address}", get(names::by_address))
        .route("/api/ns/jams/{name}", get(names::jams))
        .route("/api/tokens", get(tokens::list).post(tokens::create))
        .route("/api/tokens/{id}", delete(tokens::revoke))
        .route("/api", get(events::socket))
        .method_not_allowed_fallback(nothing)
        .with_state(state)
}

/// What the existing server says to what it does not know.
async fn nothing() -> Response {
    let kind = [(header::CONTENT_TYPE, "application/x-empty")];
    (StatusCode::NOT_FOUND, kind, Body::empty()).into_response()
}

/// Whether this face answers a path.
pub(crate) fn is_path(path: &str) -> bool {
    let rest = path.strip_prefix("/api");
    let ours = ["/v1", "/openapi.json"];
    rest.is_some_and(|rest| {
        (rest.is_empty() || rest.starts_with('/'))
            && !ours.iter().any(|ours| {
                rest.strip_prefix(ours)
                    .is_some_and(|more| more.is_empty() || more.starts_with('/'))
            })
    })
}

/// The engine gave an answer of another kind, which it never does.
pub(crate) fn unexpected<T>(other: T) -> Refusal {
    crate::routes::unexpected(other).into()
}
