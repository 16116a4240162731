use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use baraza_core::command::Identity;
use baraza_core::event::RegistrationState;
use baraza_core::node::AccountSummary;
use baraza_core::{Command, CommandError, LocalId, NodeError, Reply};
use baraza_identity::Password;
use baraza_identity::account::Step;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::mpsc;

use super::unexpected;
use crate::access::Grant;
use crate::body::{Input, LargeInput};
use crate::error::{ApiError, Problem};
use crate::paging::{Page, Paged};
use crate::server::State;
use crate::types::{
    Account, ChangeAccount, ExportAccount, Exported, ImportAccount, NewAccount, Progress,
};

/// Lines of progress that may wait for the client; there are four steps.
const PROGRESS_QUEUE: usize = 16;

/// The accounts on this machine.
#[utoipa::path(get, path = "/api/v1/accounts", tag = "accounts",
    responses((status = 200, body = Vec<Account>)))]
pub(crate) async fn list(
    Shared(state): Shared<Arc<State>>,
    Extension(grant): Extension<Arc<Grant>>,
    page: Page,
) -> Result<Paged<Account>, ApiError> {
    let mut accounts = Vec::new();
    for summary in state.node.accounts() {
        if !grant.covers_account(Some(summary.account)) {
            continue;
        }
        accounts.push(identity_or_failed(&state, summary).await?);
    }
    Ok(page.of(accounts))
}

/// Makes an account: keys of its own, known nowhere else. Takes some seconds; with
/// `Accept: application/x-ndjson` the answer is lines of progress, the last one the account.
#[utoipa::path(post, path = "/api/v1/accounts", tag = "accounts", request_body = NewAccount,
    responses((status = 201, body = Account), (status = 200, body = Progress,
        content_type = "application/x-ndjson")))]
pub(crate) async fn create(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Input(new): Input<NewAccount>,
) -> Result<Response, ApiError> {
    let node = state.node.clone();
    let password = password(new.password);
    make(state, &headers, move |progress| async move {
        node.create_account(new.display_name, password, progress)
            .await
    })
    .await
}

/// Brings an account here from an archive: this becomes a device of it.
#[utoipa::path(post, path = "/api/v1/accounts/import", tag = "accounts",
    request_body = ImportAccount,
    responses((status = 201, body = Account), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(crate) async fn import(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    LargeInput(import): LargeInput<ImportAccount>,
) -> Result<Response, ApiError> {
    let archive = STANDARD
        .decode(import.archive.trim())
        .map_err(|error| ApiError::unprocessable("bad_base64", format!("archive: {error}")))?;
    let node = state.node.clone();
    let password = password(import.password);
    make(state, &headers, move |progress| async move {
        node.import_archive(archive, password, import.display_name, progress)
            .await
    })
    .await
}

type OnStep = Box<dyn FnMut(Step) + Send>;

/// Runs `making` to its end, whether or not the client waits for it.
pub(super) async fn make<F, Fut>(
    state: Arc<State>,
    headers: &HeaderMap,
    making: F,
) -> Result<Response, ApiError>
where
    F: FnOnce(OnStep) -> Fut,
    Fut: Future<Output = Result<LocalId, NodeError>> + Send + 'static,
{
    let (steps, mut lines) = mpsc::channel::<Progress>(PROGRESS_QUEUE);
    let told = steps.clone();
    let made = making(Box::new(move |step| {
        // A client that does not read loses progress, not the account.
        let _full = told.try_send(Progress::Step(step_name(step).to_owned()));
    }));
    let task = {
        let state = Arc::clone(&state);
        state.clone().tasks.spawn(async move {
            let account = made.await?;
            identity(&state, account).await
        })
    };
    let streamed = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("application/x-ndjson"));
    if !streamed {
        drop(lines);
        let account = task.await.map_err(|error| ApiError::internal(&error))??;
        return Ok((StatusCode::CREATED, Json(account)).into_response());
    }
    state.tasks.spawn(async move {
        let last = match task.await {
            Ok(Ok(account)) => Progress::Account(account),
            Ok(Err(error)) => Progress::Error(Problem::from(error)),
            Err(error) => Progress::Error(Problem::from(ApiError::internal(&error))),
        };
        let _gone = steps.send(last).await;
    });
    let body = futures_util::stream::poll_fn(move |context| lines.poll_recv(context));
    let body = futures_util::StreamExt::map(body, |line| {
        serde_json::to_vec(&line).map(|mut bytes| {
            bytes.push(b'\n');
            bytes
        })
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(body)).into_response())
}

fn step_name(step: Step) -> &'static str {
    match step {
        Step::AuthorityKey => "authority_key",
        Step::AccountKey => "account_key",
        Step::DeviceKey => "device_key",
        Step::Certificates => "certificates",
    }
}

/// An account.
#[utoipa::path(get, path = "/api/v1/accounts/{account}", tag = "accounts",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    responses((status = 200, body = Account), (status = 404, body = Problem)))]
pub(crate) async fn show(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
) -> Result<Json<Account>, ApiError> {
    let account = state.account(&account)?;
    identity(&state, account).await.map(Json)
}

/// Changes an account.
#[utoipa::path(patch, path = "/api/v1/accounts/{account}", tag = "accounts",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    request_body = ChangeAccount, responses((status = 200, body = Account)))]
pub(crate) async fn change(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    Input(change): Input<ChangeAccount>,
) -> Result<Json<Account>, ApiError> {
    let account = state.account(&account)?;
    let name = change.display_name;
    match state.ask(account, Command::SetDisplayName { name }).await? {
        Reply::Done => identity(&state, account).await.map(Json),
        other => Err(unexpected(other)),
    }
}

/// Removes an account and all its files from this machine. Without an archive elsewhere it
/// is lost for ever.
#[utoipa::path(delete, path = "/api/v1/accounts/{account}", tag = "accounts",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    responses((status = 204)))]
pub(crate) async fn remove(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
) -> Result<StatusCode, ApiError> {
    let account = state.account(&account)?;
    state.node.remove_account(account).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The account's archive: with it the account can be brought to another machine.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/export", tag = "accounts",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    request_body = ExportAccount,
    responses((status = 200, body = Exported), (status = 422, body = Problem)))]
pub(crate) async fn export(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    Input(export): Input<ExportAccount>,
) -> Result<Json<Exported>, ApiError> {
    let account = state.account(&account)?;
    let (old, new) = (password(export.password), password(export.new_password));
    let archive = state.node.export_archive(account, old, new).await?;
    Ok(Json(Exported {
        archive: STANDARD.encode(archive),
    }))
}

/// Who an account is.
pub(crate) async fn identity(state: &State, account: LocalId) -> Result<Account, ApiError> {
    match state.ask(account, Command::Identity).await? {
        Reply::Identity(identity) => Ok(describe(state, identity).await),
        other => Err(unexpected(other)),
    }
}

/// With what the node knows beside the account.
async fn describe(state: &State, identity: Identity) -> Account {
    let mut account = Account::from(identity);
    let has_password = state.node.has_password(account.account).await;
    account.has_password = has_password.unwrap_or(false);
    let mut accounts = state.node.accounts().into_iter();
    let summary = accounts.find(|summary| summary.account == account.account);
    account.enabled = summary.is_none_or(|summary| summary.enabled);
    account
}

/// Who an account is; one that could not be started does not hide the others.
pub(crate) async fn identity_or_failed(
    state: &State,
    summary: AccountSummary,
) -> Result<Account, ApiError> {
    match state.node.command(summary.account, Command::Identity).await {
        Ok(Reply::Identity(identity)) => Ok(describe(state, identity).await),
        Ok(other) => Err(unexpected(other)),
        Err(CommandError::Stopped) => Ok(Account {
            account: summary.account,
            jami_id: summary.jami_id,
            device_id: None,
            display_name: String::new(),
            registered_name: String::new(),
            state: RegistrationState::ErrorGeneric,
            announced: false,
            enabled: summary.enabled,
            has_password: false,
            backed_up: None,
        }),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn password(text: String) -> Option<Password> {
    Some(Password::new(text)).filter(|password| !password.is_empty())
}
