//! The routes under `/api/v1`.

pub(crate) mod accounts;
pub(crate) mod backups;
pub(crate) mod bundles;
pub(crate) mod contacts;
pub(crate) mod conversations;
pub(crate) mod devices;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod groups;
pub(crate) mod jami;
pub(crate) mod linking;
pub(crate) mod names;
pub(crate) mod nearby;
pub(crate) mod network;
pub(crate) mod profiles;
pub(crate) mod restore;
pub(crate) mod safety;
pub(crate) mod session;
pub(crate) mod signs;
pub(crate) mod status;
pub(crate) mod tokens;
pub(crate) mod views;
pub(crate) mod webhooks;

use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use baraza_core::{Command, CommandError, LocalId, NodeError, Reply};
use baraza_wire::{AccountId, CommitId, ConversationId};

use crate::error::ApiError;
use crate::guard::{OPENAPI_PATH, enforce, unlisted};
use crate::idempotency::repeat;
use crate::server::State;

/// All routes; the guard is not in front of them yet.
pub(crate) fn router(state: Arc<State>, compat: bool) -> Router {
    let repeat = middleware::from_fn_with_state(Arc::clone(&state), repeat);
    let account = Router::new()
        .route(
            "/",
            get(accounts::show)
                .patch(accounts::change)
                .delete(accounts::remove),
        )
        .route("/export", post(accounts::export))
        .route("/password", post(linking::change_password))
        .route("/enable", post(linking::enable))
        .route("/disable", post(linking::disable))
        .route("/devices/pin", post(linking::pin))
        .route(
            "/devices/link",
            get(linking::show_device)
                .post(linking::add_device)
                .delete(linking::cancel_device),
        )
        .route("/devices/link/confirm", post(linking::confirm_device))
        .route("/diagnostics", get(status::diagnostics))
        .route(
            "/settings",
            get(signs::settings).patch(signs::change_settings),
        )
        .route("/devices", get(devices::list))
        .route("/devices/{device}", axum::routing::patch(devices::rename))
        .route("/devices/{device}/revoke", post(devices::revoke))
        .route("/contacts", get(contacts::list).post(contacts::add))
        .route(
            "/contacts/{id}",
            get(contacts::show).delete(contacts::remove),
        )
        .route("/profile", get(profiles::own).patch(profiles::change))
        .route("/contacts/{id}/profile", get(profiles::show))
        .route("/contacts/{id}/devices", get(safety::peer_devices))
        .route(
            "/contacts/{id}/verified",
            put(safety::verify).delete(safety::unverify),
        )
        .route("/contacts/{id}/block", post(contacts::block))
        .route("/contacts/{id}/unblock", post(contacts::unblock))
        .route("/names", get(names::find).post(names::register))
        .route("/names/of/{id}", get(names::of))
        .route(
            "/names/server",
            get(names::server).patch(names::change_server),
        )
        .route("/requests", get(contacts::requests))
        .route("/requests/{conversation}/accept", post(contacts::accept))
        .route("/requests/{conversation}/decline", post(contacts::decline))
        .route(
            "/requests/{conversation}/block",
            post(contacts::block_asker),
        )
        .route(
            "/conversations",
            get(conversations::list).merge(post(groups::create).layer(repeat.clone())),
        )
        .route(
            "/conversations/{conversation}",
            get(conversations::show).delete(groups::leave),
        )
        .route("/conversations/import", post(bundles::import))
        .route(
            "/conversations/{conversation}/export",
            post(bundles::export),
        )
        .route(
            "/conversations/{conversation}/profile",
            get(groups::profile).patch(groups::change_profile),
        )
        .route(
            "/conversations/{conversation}/members",
            get(conversations::members).post(groups::invite),
        )
        .route(
            "/conversations/{conversation}/members/{member}",
            delete(groups::ban),
        )
        .route(
            "/conversations/{conversation}/messages",
            get(conversations::history).merge(post(conversations::send).layer(repeat.clone())),
        )
        .route(
            "/conversations/{conversation}/messages/{message}",
            get(conversations::message).patch(groups::edit),
        )
        .route(
            "/conversations/{conversation}/messages/{message}/reactions",
            post(groups::react).layer(repeat.clone()),
        )
        .route(
            "/conversations/{conversation}/messages/{message}/delivery",
            get(conversations::delivery),
        )
        .route("/search", get(views::search))
        .route("/nearby", get(nearby::show).patch(nearby::change))
        .route("/conversations/{conversation}/rejoin", post(signs::rejoin))
        .route("/conversations/{conversation}/entries", get(views::entries))
        .route("/conversations/{conversation}/typing", post(signs::typing))
        .route(
            "/auto-accept",
            get(files::auto_accept).patch(files::set_auto_accept),
        )
        .route(
            "/conversations/{conversation}/files",
            get(files::list).merge(post(files::send).layer(repeat)),
        )
        .route(
            "/conversations/{conversation}/files/{message}",
            get(files::show).delete(files::delete),
        )
        .route(
            "/conversations/{conversation}/files/{message}/content",
            get(files::download),
        )
        .route(
            "/conversations/{conversation}/files/{message}/accept",
            post(files::accept),
        )
        .route(
            "/conversations/{conversation}/files/{message}/cancel",
            post(files::cancel),
        )
        .route(
            "/conversations/{conversation}/preferences",
            get(devices::preferences).patch(devices::change_preferences),
        )
        .route(
            "/conversations/{conversation}/read",
            post(conversations::mark_read),
        );
    // `nest` would answer `…/accounts/X` only without, and `/` only with a final slash.
    let v1 = Router::new()
        .route("/status", get(status::status))
        .route("/network", get(network::show))
        .route(
            "/network/bootstrap",
            put(network::choose).delete(network::forget),
        )
        .route("/network/local", put(nearby::look_around))
        .route("/doctor", get(doctor::last).post(doctor::examine))
        .route("/doctor/report", get(doctor::report))
        .route(
            "/session",
            get(session::show)
                .post(session::sign_in)
                .delete(session::sign_out),
        )
        .route("/session/code", post(session::code))
        .route("/session/password", put(session::set_password))
        .route("/sessions", get(session::list))
        .route("/sessions/{session}", delete(session::revoke))
        .route("/events", get(events::poll))
        .route("/ws", get(events::socket))
        .route("/accounts", get(accounts::list).post(accounts::create))
        .route("/accounts/import", post(accounts::import))
        .route("/accounts/link", post(linking::link))
        .route("/accounts/import-jami", post(jami::import_jami))
        .route("/backups", get(backups::state).post(backups::make))
        .route("/backups/uploaded", put(restore::upload))
        .route("/backups/restore", post(restore::restore))
        .route(
            "/backups/schedule",
            put(backups::set_schedule).delete(backups::end_schedule),
        )
        .route(
            "/link",
            get(linking::show)
                .post(linking::begin)
                .delete(linking::cancel),
        )
        .route("/link/confirm", post(linking::confirm))
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{token}", delete(tokens::revoke))
        .route("/webhooks", get(webhooks::list).post(webhooks::add))
        .route("/webhooks/{webhook}", delete(webhooks::remove))
        .route("/webhooks/{webhook}/enable", post(webhooks::enable))
        .route("/webhooks/{webhook}/test", post(webhooks::test))
        .nest("/accounts/{account}", account);
    let others = match compat {
        true => crate::compat::router(Arc::clone(&state)),
        false => Router::new(),
    };
    Router::new()
        .nest("/api/v1", v1)
        .route_layer(middleware::from_fn_with_state(Arc::clone(&state), enforce))
        .route(OPENAPI_PATH, get(openapi))
        .fallback(crate::web::serve)
        .method_not_allowed_fallback(wrong_method)
        .with_state(state)
        .merge(others)
}

async fn openapi() -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, crate::openapi::text()).into_response()
}

async fn wrong_method(request: Request) -> ApiError {
    let matched = request.extensions().get::<MatchedPath>();
    match matched.and_then(|path| path.as_str().strip_prefix("/api/v1")) {
        Some(path) => unlisted(path),
        None => ApiError::wrong_method(&["GET"]),
    }
}

impl State {
    /// The account a path names: by its local name or its Jami ID.
    pub(crate) fn account(&self, name: &str) -> Result<LocalId, ApiError> {
        let local = LocalId::from_str(name).ok();
        let jami = AccountId::from_str(name).ok();
        self.node
            .accounts()
            .into_iter()
            .find(|account| Some(account.account) == local || Some(account.jami_id) == jami)
            .map(|account| account.account)
            .ok_or_else(no_such_account)
    }

    /// Asks an account.
    pub(crate) async fn ask(&self, account: LocalId, command: Command) -> Result<Reply, ApiError> {
        self.node
            .command(account, command)
            .await
            .map_err(Into::into)
    }
}

fn no_such_account() -> ApiError {
    ApiError::not_found("no_such_account", "there is no such account here")
}

/// The engine gave an answer of another kind, which it never does.
pub(crate) fn unexpected<T>(_: T) -> ApiError {
    tracing::error!("the engine gave an answer of another kind");
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the node gave an answer of another kind",
    )
}

pub(crate) fn conversation_id(text: &str) -> Result<ConversationId, ApiError> {
    text.parse()
        .map_err(|_not_an_id| CommandError::NoSuchConversation.into())
}

pub(crate) fn message_id(text: &str) -> Result<CommitId, ApiError> {
    text.parse()
        .map_err(|_not_an_id| CommandError::NoSuchMessage.into())
}

/// A Jami ID in a path: what is none cannot be a contact.
pub(crate) fn contact_id(text: &str) -> Result<AccountId, ApiError> {
    text.parse()
        .map_err(|_not_an_id| CommandError::NoSuchContact.into())
}

impl From<CommandError> for ApiError {
    fn from(error: CommandError) -> Self {
        let text = error.to_string();
        match error {
            CommandError::NoSuchAccount => no_such_account(),
            CommandError::NoSuchConversation => Self::not_found("no_such_conversation", text),
            CommandError::NoSuchRequest => Self::not_found("no_such_request", text),
            CommandError::NoSuchMessage => Self::not_found("no_such_message", text),
            CommandError::NoSuchFile => Self::not_found("no_such_file", text),
            CommandError::File(_) => Self::unprocessable("file_refused", text),
            CommandError::NoSuchContact => Self::not_found("no_such_contact", text),
            CommandError::Oneself => Self::unprocessable("oneself", text),
            CommandError::Blocked => Self::conflict("blocked", text),
            CommandError::NotMember => Self::new(StatusCode::FORBIDDEN, "not_member", text),
            CommandError::NotAllowed(_) => Self::new(StatusCode::FORBIDDEN, "not_allowed", text),
            CommandError::Name(problem) => problem.into(),
            CommandError::Invalid(_) => Self::unprocessable("invalid", text),
            CommandError::Document => {
                Self::new(StatusCode::NOT_IMPLEMENTED, "document_not_supported", text)
            }
            CommandError::NotYet(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready_yet", text)
                    .hint("try again in a moment")
            }
            CommandError::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text)
                .hint("try again in a moment"),
            CommandError::LinkRunning => Self::conflict("link_running", text),
            CommandError::NoLink => Self::conflict("no_link", text),
            CommandError::Stopped => Self::stopping(),
            other => Self::internal(&other),
        }
    }
}

impl From<NodeError> for ApiError {
    fn from(error: NodeError) -> Self {
        let text = error.to_string();
        match error {
            NodeError::NoSuchAccount => no_such_account(),
            NodeError::NoSuchDevice => Self::not_found("no_such_device", text),
            NodeError::Exists(_) => Self::conflict("account_exists", text),
            NodeError::Name(problem) => problem.into(),
            NodeError::Archive(_) => Self::unprocessable("archive_refused", text),
            NodeError::WrongPassword => Self::unprocessable("wrong_password", text),
            NodeError::PasswordNeeded => Self::unprocessable("password_needed", text),
            NodeError::NothingUnderPin => Self::not_found("nothing_under_pin", text)
                .hint("a PIN lives ten minutes; check it, and the password"),
            NodeError::Network(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "network", text),
            NodeError::File(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, "cannot_store", text),
            NodeError::Refused(_) => Self::unprocessable("invalid", text),
            NodeError::LinkRunning => Self::conflict("link_running", text),
            NodeError::NoLink => Self::conflict("no_link", text),
            NodeError::Stopped => Self::stopping(),
            other => Self::internal(&other),
        }
    }
}
