use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use baraza_core::names::{NameProblem, NameServerChoice};
use baraza_core::{Command, CommandError, LocalId, Reply};
use baraza_identity::Password;
use baraza_names::client;
use baraza_wire::AccountId;

use super::{contact_id, unexpected};
use crate::body::{Input, Params};
use crate::error::ApiError;
use crate::server::State;
use crate::types::names::{ChangeNameServer, FindName, NameServer, RegisterName, RegisteredName};

/// Whose a name is: `alice` at the account's name server, `alice@example.com` at another one.
/// What is known already is answered at once, unless `fresh` is said.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/names", tag = "names",
    params(("account" = String, Path, description = "Local name or Jami ID"), FindName),
    responses((status = 200, body = RegisteredName),
        (status = 404, body = crate::error::Problem, description = "Nobody has it"),
        (status = 409, body = crate::error::Problem, description = "No server is chosen"),
        (status = 422, body = crate::error::Problem, description = "No name"),
        (status = 429, body = crate::error::Problem, description = "Too many questions"),
        (status = 502, body = crate::error::Problem,
            description = "The server cannot be asked, or does not tell the truth")))]
pub(crate) async fn find(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    Params(find): Params<FindName>,
) -> Result<Json<RegisteredName>, ApiError> {
    let account = state.account(&account)?;
    let query = read(&find.find)?;
    look_up(&state, account, query, find.fresh).await.map(Json)
}

/// The registered name of an account. It counts only if the server says for the name, too,
/// that it is this account's.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/names/of/{id}", tag = "names",
    params(("account" = String, Path, description = "Local name or Jami ID"),
        ("id" = String, Path, description = "Jami ID"), Fresh),
    responses((status = 200, body = RegisteredName),
        (status = 404, body = crate::error::Problem, description = "It has none"),
        (status = 409, body = crate::error::Problem, description = "No server is chosen"),
        (status = 502, body = crate::error::Problem,
            description = "The server cannot be asked, or does not tell the truth")))]
pub(crate) async fn of(
    Shared(state): Shared<Arc<State>>,
    Path((account, id)): Path<(String, String)>,
    Params(options): Params<Fresh>,
) -> Result<Json<RegisteredName>, ApiError> {
    let account = state.account(&account)?;
    let query = client::Query::Id(contact_id(&id)?);
    look_up(&state, account, query, options.fresh)
        .await
        .map(Json)
}

/// How a name is looked up.
#[derive(Debug, Clone, Default, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fresh {
    /// Ask the server though the answer is known.
    #[serde(default)]
    pub(crate) fresh: bool,
}

/// Registers a name for the account, for ever: on most servers it can be neither changed nor
/// given back.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/names", tag = "names",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    request_body = RegisterName,
    responses((status = 201, body = RegisteredName),
        (status = 409, body = crate::error::Problem,
            description = "The name is taken, the account has one, or no server is chosen"),
        (status = 422, body = crate::error::Problem,
            description = "No name, or a wrong password"),
        (status = 429, body = crate::error::Problem, description = "Too many questions"),
        (status = 502, body = crate::error::Problem, description = "The server failed")))]
pub(crate) async fn register(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    Input(body): Input<RegisterName>,
) -> Result<(StatusCode, Json<RegisteredName>), ApiError> {
    let account = state.account(&account)?;
    let password = Some(Password::new(body.password)).filter(|password| !password.is_empty());
    let found = state
        .node
        .register_name(account, &body.name, password)
        .await?;
    Ok((StatusCode::CREATED, Json(found.into())))
}

/// Which name server the account asks.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/names/server", tag = "names",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    responses((status = 200, body = NameServer)))]
pub(crate) async fn server(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
) -> Result<Json<NameServer>, ApiError> {
    let account = state.account(&account)?;
    settings(&state, account, Command::NameSettings).await
}

/// Chooses the name server of the account.
#[utoipa::path(patch, path = "/api/v1/accounts/{account}/names/server", tag = "names",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    request_body = ChangeNameServer,
    responses((status = 200, body = NameServer), (status = 422, body = crate::error::Problem)))]
pub(crate) async fn change_server(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    Input(change): Input<ChangeNameServer>,
) -> Result<Json<NameServer>, ApiError> {
    let account = state.account(&account)?;
    let server = change.server.map(|server| match server.trim() {
        "none" => NameServerChoice::None,
        "default" => NameServerChoice::Public,
        address => NameServerChoice::At(address.to_owned()),
    });
    let only_signed = change.only_signed;
    let command = Command::ChangeNameSettings {
        server,
        only_signed,
    };
    settings(&state, account, command).await
}

async fn settings(
    state: &State,
    account: LocalId,
    command: Command,
) -> Result<Json<NameServer>, ApiError> {
    match state.ask(account, command).await? {
        Reply::NameSettings(settings) => Ok(Json(settings.into())),
        other => Err(unexpected(other)),
    }
}

fn read(text: &str) -> Result<client::Query, ApiError> {
    client::Query::parse(text).map_err(|error| CommandError::Name(NameProblem::Query(error)).into())
}

async fn look_up(
    state: &State,
    account: LocalId,
    query: client::Query,
    fresh: bool,
) -> Result<RegisteredName, ApiError> {
    match state
        .ask(account, Command::LookUpName { query, fresh })
        .await?
    {
        Reply::Name(found) => Ok(found.into()),
        other => Err(unexpected(other)),
    }
}

/// The Jami ID of who is meant by a text: the server is asked for a name, so that nobody is
/// added by what was true once.
pub(crate) async fn person(
    state: &State,
    account: LocalId,
    text: &str,
) -> Result<AccountId, ApiError> {
    match read(text)? {
        client::Query::Id(id) => Ok(id),
        query => look_up(state, account, query, true)
            .await
            .map(|found| found.id),
    }
}

impl From<NameProblem> for ApiError {
    fn from(problem: NameProblem) -> Self {
        let (code, text) = (problem.code(), problem.to_string());
        let status = match code {
            "name_not_found" => StatusCode::NOT_FOUND,
            "name_taken" | "has_name" | "name_pending" | "no_name_server" | "disabled" => {
                StatusCode::CONFLICT
            }
            "name_server_busy" => StatusCode::TOO_MANY_REQUESTS,
            "busy" => StatusCode::SERVICE_UNAVAILABLE,
            code if code.starts_with("name_server_") => StatusCode::BAD_GATEWAY,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let error = Self::new(status, code, text);
        match &problem {
            NameProblem::NoServer => error.hint(
                "choose one: baraza name server names.example.com; or the public one of Jami: \
                 baraza name server default",
            ),
            NameProblem::Proposed(_) => {
                error.hint("use it: baraza name server default; or another one")
            }
            NameProblem::Asked(failure) if failure.is_open() => {
                error.hint("if a name was being registered, perhaps it is by now: baraza name show")
            }
            _ => error,
        }
    }
}
