//! `Idempotency-Key`: a request that is sent again, as its answer got lost, does nothing a
//! second time, and gets the same answer. Also after the node was started again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, Digest, SHA256};
use axum::body::{Body, Bytes};
use axum::extract::{RawPathParams, Request, State as Shared};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use baraza_store::Answer;
use futures_util::StreamExt as _;
use serde_json::Value;

use crate::access::{Grant, Hash, Holder, now};
use crate::error::{ApiError, Code};
use crate::server::State;

/// The header with the key.
pub const KEY_HEADER: &str = "idempotency-key";
/// The header of an answer that was given before.
pub const REPLAYED_HEADER: &str = "idempotency-replayed";
/// Longest key.
pub const MAX_KEY: usize = 128;
/// How long answers are kept.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Answers kept at once.
const MAX_KEPT: u32 = 100_000;
/// Longest answer that is kept.
const MAX_ANSWER: usize = 64 * 1024;
/// How long a client that repeats a request may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// Requests under way, by holder and key.
pub(crate) type UnderWay = Mutex<BTreeSet<(String, String)>>;

/// Whose keys they are: the same key of two programs are two keys.
fn holder(grant: &Grant) -> String {
    match grant.holder() {
        Holder::Owner | Holder::Session(_) => "owner".to_owned(),
        Holder::Token(id) => id.clone(),
    }
}

/// Taken out when the request ends, however it does.
struct Mark<'a>(&'a UnderWay, (String, String));

impl<'a> Mark<'a> {
    fn new(under_way: &'a UnderWay, name: (String, String)) -> Option<Self> {
        let new = under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.clone());
        // Not `then_some`: one that is made is taken out again when it is dropped.
        new.then(|| Self(under_way, name))
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        let mut marked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        marked.remove(&self.1);
    }
}

/// The middleware of routes that write something to others.
pub(crate) async fn repeat(
    Shared(state): Shared<Arc<State>>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let Some(key) = request.headers().get(KEY_HEADER).cloned() else {
        return Ok(next.run(request).await);
    };
    let key = key
        .to_str()
        .ok()
        .filter(|key| !key.is_empty() && key.len() <= MAX_KEY)
        .filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(|| {
            let text = format!("an Idempotency-Key has 1 to {MAX_KEY} visible ASCII characters");
            ApiError::bad_request("bad_idempotency_key", text)
        })?
        .to_owned();
    let grant = request.extensions().get::<Arc<Grant>>().cloned();
    let grant = grant.ok_or_else(|| ApiError::unauthorized("token_missing", "who asks?"))?;
    let asked = asked_for(&request, &params);
    // To its end, whether or not the client waits for it: its answer has to be noted.
    let running = Arc::clone(&state);
    state
        .tasks
        .spawn(async move { once(&running, holder(&grant), key, asked, request, next).await })
        .await
        .map_err(|error| ApiError::internal(&error))?
}

async fn once(
    state: &Arc<State>,
    holder: String,
    key: String,
    asked: Hash,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let name = (holder.clone(), key.clone());
    let Some(_mark) = Mark::new(&state.under_way, name) else {
        let text = "a request with this Idempotency-Key is under way";
        return Err(ApiError::conflict("request_under_way", text));
    };
    let names = (holder, key);
    let (holder, key) = names.clone();
    let begun = now();
    let known = state
        .access
        .store(move |store| {
            let limit = begun.millis().saturating_sub(millis(KEPT));
            store.forget_requests(baraza_wire::UnixTime::from_millis(limit), MAX_KEPT)?;
            store.begin_request(&holder, &key, asked, begun)
        })
        .await?;
    if let Some(known) = known {
        let other = || {
            ApiError::unprocessable(
                "idempotency_key_reused",
                "this Idempotency-Key was used for another request",
            )
        };
        if known.request != asked {
            return Err(other());
        }
        let Some(answer) = known.answer else {
            // The node ended in the middle of it, or could not say what became of it.
            return Err(ApiError::conflict(
                "outcome_unknown",
                "the node ended or failed while it did this: it may be done, or not",
            )
            .hint("look whether it is there, then ask with a new Idempotency-Key"));
        };
        if digest_of(request.into_body()).await? != answer.content {
            return Err(other());
        }
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
        let kind = [(header::CONTENT_TYPE, "application/json")];
        let mut response = (status, kind, answer.body).into_response();
        response
            .headers_mut()
            .insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
        return Ok(response);
    }
    let hashed = Arc::new(Mutex::new(Context::new(&SHA256)));
    let request = request.map(|body| {
        let hashed = Arc::clone(&hashed);
        Body::from_stream(body.into_data_stream().inspect(move |piece| {
            if let Ok(piece) = piece {
                let mut hashed = hashed.lock().unwrap_or_else(PoisonError::into_inner);
                hashed.update(piece);
            }
        }))
    });
    let (parts, body) = next.run(request).await.into_parts();
    let body = axum::body::to_bytes(body, MAX_ANSWER)
        .await
        .map_err(|error| ApiError::internal(&error))?;
    let context = hashed
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let answer = Answer {
        content: hash(&context.finish()),
        status: parts.status.as_u16(),
        body: body.to_vec(),
    };
    let code = parts.extensions.get::<Code>().map(|code| code.0);
    let (holder, key) = names;
    let noted = state
        .access
        .store(move |store| match outcome(parts.status, code) {
            Outcome::Done => store.answer_request(&holder, &key, &answer),
            Outcome::Nothing => store.forget_request(&holder, &key),
            // Stays as what was begun: to do it again might do it twice.
            Outcome::Unknown => Ok(()),
        });
    noted.await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is done.
    Done,
    /// Nothing was done: it may be tried again.
    Nothing,
    /// Nobody knows.
    Unknown,
}

/// What an answer says of it. A failure may come after something was written, unless it is one
/// that a request meets before it does anything.
fn outcome(status: StatusCode, code: Option<&str>) -> Outcome {
    if status.is_success() {
        Outcome::Done
    } else if status.is_server_error() && !matches!(code, Some("busy" | "not_ready_yet")) {
        Outcome::Unknown
    } else {
        Outcome::Nothing
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn hash(digest: &Digest) -> Hash {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    hash
}

/// What a request asks for, without its body. The path that is seen here lacks what outer routers
/// took from it, the account: the parameters have it.
fn asked_for(request: &Request, params: &RawPathParams) -> Hash {
    let path = request.uri().path_and_query();
    let kind = request.headers().get(header::CONTENT_TYPE);
    let mut context = Context::new(&SHA256);
    for part in [
        request.method().as_str().as_bytes(),
        path.map_or("", |path| path.as_str()).as_bytes(),
        kind.map_or(b"", HeaderValue::as_bytes),
    ] {
        context.update(part);
        context.update(&[0]);
    }
    for (name, value) in params {
        for part in [name, value] {
            context.update(part.as_bytes());
            context.update(&[0]);
        }
    }
    hash(&context.finish())
}

/// Reads a body to its end, holding none of it.
async fn digest_of(body: Body) -> Result<Hash, ApiError> {
    let mut context = Context::new(&SHA256);
    let mut pieces = body.into_data_stream();
    while let Some(piece) = tokio::time::timeout(PATIENCE, pieces.next())
        .await
        .map_err(|_elapsed| ApiError::bad_request("body_broken", "the body did not come"))?
    {
        let piece: Bytes =
            piece.map_err(|_broken| ApiError::bad_request("body_broken", "the body broke off"))?;
        context.update(&piece);
    }
    Ok(hash(&context.finish()))
}

/// For the description: the header as a parameter.
pub(crate) fn parameter() -> Value {
    serde_json::json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "A key of your choice, other for each request that is meant: if the \
                        request is repeated with it within 24 hours, nothing is done again, \
                        and the answer is the same, with the header Idempotency-Replayed",
        "schema": { "type": "string", "minLength": 1, "maxLength": MAX_KEY,
                    "pattern": "^[!-~]+$" },
    })
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use baraza_core::CommandError;

    use super::*;

    #[test]
    fn only_what_surely_did_nothing_may_be_tried_again() {
        let of = |error: ApiError| {
            let response = error.into_response();
            let code = response.extensions().get::<Code>().map(|code| code.0);
            outcome(response.status(), code)
        };
        assert_eq!(outcome(StatusCode::CREATED, None), Outcome::Done);
        for nothing in [
            CommandError::NoSuchMessage,
            CommandError::Blocked,
            CommandError::Busy,
            CommandError::NotYet(5),
        ] {
            let text = nothing.to_string();
            assert_eq!(of(nothing.into()), Outcome::Nothing, "{text}");
        }
        let broken = std::io::Error::other("broken");
        assert_eq!(of(ApiError::internal(&broken)), Outcome::Unknown);
        assert_eq!(of(CommandError::Stopped.into()), Outcome::Unknown);
        assert_eq!(
            outcome(StatusCode::INTERNAL_SERVER_ERROR, None),
            Outcome::Unknown
        );
    }
}
