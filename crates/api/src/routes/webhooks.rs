//! Webhooks: added, listed, tried, removed.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::{Extension, Json};
use baraza_store::WebhookRow;

use super::conversation_id;
use crate::access::{Grant, words};
use crate::body::Input;
use crate::error::ApiError;
use crate::paging::{Page, Paged};
use crate::server::State;
use crate::types::{MadeWebhook, NewWebhook, Webhook, WebhookTest};
use crate::webhooks::{WantedWebhook, secret_text};

impl From<WebhookRow> for Webhook {
    fn from(row: WebhookRow) -> Self {
        Self {
            id: row.id,
            url: row.url,
            label: row.label,
            types: words(&row.types),
            accounts: words(&row.accounts),
            conversations: words(&row.conversations),
            parent: row.parent,
            created: row.created,
            cursor: row.state.cursor,
            delivered: row.state.delivered,
            failing: row.state.failing,
            failures: row.state.failures,
            failed: row.state.failed,
            error: row.state.error,
            disabled: row.state.disabled,
        }
    }
}

/// The webhooks that the caller may see, and how far each is.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks",
    responses((status = 200, body = Vec<Webhook>)))]
pub(crate) async fn list(
    Shared(state): Shared<Arc<State>>,
    Extension(grant): Extension<Arc<Grant>>,
    page: Page,
) -> Paged<Webhook> {
    let rows = state.webhooks.list(&grant);
    page.of(rows.into_iter().map(Into::into).collect())
}

/// Adds an address that events are sent to as they happen: each in a `POST` of its own, the
/// next one after an answer 2xx. It hears of no more than who adds it, and ends with the token
/// it was added with.
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "webhooks", request_body = NewWebhook,
    responses((status = 201, body = MadeWebhook), (status = 403, body = crate::error::Problem),
        (status = 409, body = crate::error::Problem),
        (status = 422, body = crate::error::Problem)))]
pub(crate) async fn add(
    Shared(state): Shared<Arc<State>>,
    Extension(grant): Extension<Arc<Grant>>,
    Input(new): Input<NewWebhook>,
) -> Result<(StatusCode, Json<MadeWebhook>), ApiError> {
    let accounts: Result<Vec<_>, _> = new.accounts.iter().map(|one| state.account(one)).collect();
    let conversations = new.conversations.iter().map(|one| conversation_id(one));
    let conversations: Result<Vec<_>, _> = conversations.collect();
    let wanted = WantedWebhook {
        url: new.url,
        label: new.label,
        types: new.types,
        accounts: accounts?,
        conversations: conversations?,
        since: new.since,
    };
    let row = state.webhooks.add(&grant, wanted).await?;
    let made = MadeWebhook {
        secret: secret_text(&row.secret),
        info: row.into(),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Removes a webhook.
#[utoipa::path(delete, path = "/api/v1/webhooks/{webhook}", tag = "webhooks",
    params(("webhook" = String, Path, description = "Its id")),
    responses((status = 204), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn remove(
    Shared(state): Shared<Arc<State>>,
    Extension(grant): Extension<Arc<Grant>>,
    Path(webhook): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.webhooks.remove(&grant, &webhook).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Goes on at once with a webhook that was given up, or that waits after a failure.
#[utoipa::path(post, path = "/api/v1/webhooks/{webhook}/enable", tag = "webhooks",
    params(("webhook" = String, Path, description = "Its id")),
    responses((status = 200, body = Webhook), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn enable(
    Shared(state): Shared<Arc<State>>,
    Extension(grant): Extension<Arc<Grant>>,
    Path(webhook): Path<String>,
) -> Result<Json<Webhook>, ApiError> {
    let row = state.webhooks.enable(&grant, &webhook).await?;
    Ok(Json(row.into()))
}

/// Sends an event of the type `test`, once, and says what came of it.
#[utoipa::path(post, path = "/api/v1/webhooks/{webhook}/test", tag = "webhooks",
    params(("webhook" = String, Path, description = "Its id")),
    responses((status = 200, body = WebhookTest), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn test(
    Shared(state): Shared<Arc<State>>,
    Extension(grant): Extension<Arc<Grant>>,
    Path(webhook): Path<String>,
) -> Result<Json<WebhookTest>, ApiError> {
    let tested = state.webhooks.test(&grant, &webhook).await?;
    Ok(Json(WebhookTest {
        delivered: tested.delivered,
        status: tested.status,
        error: tested.error,
        took: u64::try_from(tested.took.as_millis()).unwrap_or(u64::MAX),
    }))
}
