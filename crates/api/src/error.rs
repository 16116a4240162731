//! What a refused request gets: a problem (RFC 9457) and a status.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of every answer that is no success: `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A name for what went wrong: `urn:baraza:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:baraza:problem:no_such_account")]
    pub kind: String,
    /// The same for people, whatever the case.
    #[schema(example = "No such account")]
    pub title: String,
    /// The status of the answer.
    #[schema(example = 404)]
    pub status: u16,
    /// What went wrong in this case: one sentence.
    #[schema(example = "there is no such account here")]
    pub detail: String,
    /// For programs: stays the same over versions.
    #[schema(example = "no_such_account")]
    pub code: String,
    /// What may help, if anything is known to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// With a code and a sentence.
    pub fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        let mut title = code.replace('_', " ");
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self {
            kind: format!("urn:baraza:problem:{code}"),
            title,
            status,
            detail: detail.into(),
            code: code.to_owned(),
            hint: None,
        }
    }
}

/// The content type of [`Problem`].
pub const PROBLEM: &str = "application/problem+json";

/// The code of a refusal, for what stands between it and the client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Code(pub(crate) &'static str);

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: Option<String>,
    /// Seconds after which it may be tried again.
    retry_after: Option<u64>,
    /// The methods that the path knows, if it is one that it does not know.
    allow: Option<String>,
}

impl ApiError {
    /// With the status, a stable code and a sentence.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            hint: None,
            retry_after: None,
            allow: None,
        }
    }

    /// The path knows other methods only.
    pub fn wrong_method(methods: &[&str]) -> Self {
        let mut allow = methods.to_vec();
        if methods.contains(&"GET") {
            allow.push("HEAD");
        }
        let mut error = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "wrong_method",
            "this path knows other methods only",
        );
        error.allow = Some(allow.join(", "));
        error
    }

    /// Says when it may be tried again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait.as_secs().saturating_add(1));
        self
    }

    /// With what may help.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The request itself is wrong.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// Nobody knows who asks.
    pub fn unauthorized(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    /// There is no such thing.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// It cannot be done as things stand.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// It is well-formed, but its content is not allowed.
    pub fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// Our own fault: the log says more.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the node could not do that",
        )
        .hint("the node's log says more")
    }

    /// The node is about to end.
    pub fn stopping() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping",
            "the node is shutting down",
        )
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let retry_after = self.retry_after;
        let allow = self.allow.as_deref();
        let allow = allow.and_then(|allow| HeaderValue::from_str(allow).ok());
        let (status, code) = (self.status, self.code);
        let problem = Problem::from(self);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let kind = [(header::CONTENT_TYPE, PROBLEM)];
        let mut response = (status, kind, body).into_response();
        response.extensions_mut().insert(Code(code));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"baraza\""),
            );
        }
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if let Some(seconds) = retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        let mut problem = Self::new(error.status.as_u16(), error.code, error.message);
        problem.hint = error.hint;
        problem
    }
}
