use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use baraza_core::{Command, LocalId, Reply};
use baraza_wire::ConversationId;

use super::{contact_id, conversation_id, names, unexpected};
use crate::body::Input;
use crate::error::ApiError;
use crate::paging::{Page, Paged};
use crate::server::State;
use crate::types::{AddContact, Asked, Contact, ContactRequest};

/// The contacts, blocked ones too.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/contacts", tag = "contacts",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    responses((status = 200, body = Vec<Contact>)))]
pub(crate) async fn list(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    page: Page,
) -> Result<Paged<Contact>, ApiError> {
    let account = state.account(&account)?;
    let list = contacts(&state, account).await?;
    Ok(page.of(list))
}

/// Adds a contact and asks it. Asks again if it is a contact already; unblocks a blocked one. A
/// name is looked up at its server first.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/contacts", tag = "contacts",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    request_body = AddContact,
    responses((status = 201, body = Asked), (status = 422, body = crate::error::Problem),
        (status = 404, body = crate::error::Problem, description = "Nobody has the name"),
        (status = 502, body = crate::error::Problem,
            description = "The name server cannot be asked, or does not tell the truth")))]
pub(crate) async fn add(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    Input(add): Input<AddContact>,
) -> Result<(StatusCode, Json<Asked>), ApiError> {
    let account = state.account(&account)?;
    let to = names::person(&state, account, &add.id).await?;
    if contacts(&state, account)
        .await?
        .iter()
        .any(|contact| contact.id == to && contact.blocked)
        || !add.ask
    {
        match state
            .ask(account, Command::AddContact { contact: to })
            .await?
        {
            Reply::Done => {}
            other => return Err(unexpected(other)),
        }
    }
    let conversation = if add.ask {
        let text = add.message;
        match state
            .ask(account, Command::SendRequest { to, text })
            .await?
        {
            Reply::Conversation(conversation) => Some(conversation),
            other => return Err(unexpected(other)),
        }
    } else {
        None
    };
    Ok((
        StatusCode::CREATED,
        Json(Asked {
            id: Some(to),
            conversation,
        }),
    ))
}

/// A contact.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/contacts/{id}", tag = "contacts",
    params(("account" = String, Path, description = "Local name or Jami ID"),
        ("id" = String, Path, description = "Jami ID")),
    responses((status = 200, body = Contact), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn show(
    Shared(state): Shared<Arc<State>>,
    Path((account, id)): Path<(String, String)>,
) -> Result<Json<Contact>, ApiError> {
    let account = state.account(&account)?;
    let id = contact_id(&id)?;
    contacts(&state, account)
        .await?
        .into_iter()
        .find(|contact| contact.id == id)
        .map(Json)
        .ok_or_else(|| baraza_core::CommandError::NoSuchContact.into())
}

/// Removes a contact and the conversation with it.
#[utoipa::path(delete, path = "/api/v1/accounts/{account}/contacts/{id}", tag = "contacts",
    params(("account" = String, Path, description = "Local name or Jami ID"),
        ("id" = String, Path, description = "Jami ID")),
    responses((status = 204)))]
pub(crate) async fn remove(
    Shared(state): Shared<Arc<State>>,
    Path((account, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    remove_or_ban(&state, &account, &id, false).await
}

/// Blocks an account, contact or not: nothing of it arrives any more.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/contacts/{id}/block", tag = "contacts",
    params(("account" = String, Path, description = "Local name or Jami ID"),
        ("id" = String, Path, description = "Jami ID")),
    responses((status = 204)))]
pub(crate) async fn block(
    Shared(state): Shared<Arc<State>>,
    Path((account, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    remove_or_ban(&state, &account, &id, true).await
}

async fn remove_or_ban(
    state: &State,
    account: &str,
    id: &str,
    ban: bool,
) -> Result<StatusCode, ApiError> {
    let account = state.account(account)?;
    let contact = contact_id(id)?;
    done(state, account, Command::RemoveContact { contact, ban }).await
}

/// Unblocks an account: it is a contact again.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/contacts/{id}/unblock", tag = "contacts",
    params(("account" = String, Path, description = "Local name or Jami ID"),
        ("id" = String, Path, description = "Jami ID")),
    responses((status = 204)))]
pub(crate) async fn unblock(
    Shared(state): Shared<Arc<State>>,
    Path((account, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let account = state.account(&account)?;
    let contact = contact_id(&id)?;
    done(&state, account, Command::AddContact { contact }).await
}

/// Requests that await an answer, oldest first.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/requests", tag = "requests",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    responses((status = 200, body = Vec<ContactRequest>)))]
pub(crate) async fn requests(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    page: Page,
) -> Result<Paged<ContactRequest>, ApiError> {
    let account = state.account(&account)?;
    let list = pending(&state, account).await?;
    Ok(page.of(list))
}

/// Accepts a request. The event `conversation_ready` follows when the conversation has been
/// fetched from the asker, which needs one of the asker's devices.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/requests/{conversation}/accept",
    tag = "requests", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "The conversation offered")),
    responses((status = 202), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn accept(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let account = state.account(&account)?;
    let conversation = request_id(&conversation)?;
    done(&state, account, Command::AcceptRequest { conversation }).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Declines a request; the asker is not told.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/requests/{conversation}/decline",
    tag = "requests", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "The conversation offered")),
    responses((status = 204), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn decline(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let account = state.account(&account)?;
    let conversation = request_id(&conversation)?;
    done(&state, account, Command::DeclineRequest { conversation }).await
}

/// Declines a request and blocks who sent it.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/requests/{conversation}/block",
    tag = "requests", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "The conversation offered")),
    responses((status = 204), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn block_asker(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let account = state.account(&account)?;
    let conversation = request_id(&conversation)?;
    let contact = pending(&state, account)
        .await?
        .into_iter()
        .find(|request| request.conversation == conversation)
        .ok_or(baraza_core::CommandError::NoSuchRequest)?
        .from;
    done(
        &state,
        account,
        Command::RemoveContact { contact, ban: true },
    )
    .await
}

fn request_id(text: &str) -> Result<ConversationId, ApiError> {
    conversation_id(text).map_err(|_not_an_id| baraza_core::CommandError::NoSuchRequest.into())
}

async fn done(state: &State, account: LocalId, command: Command) -> Result<StatusCode, ApiError> {
    match state.ask(account, command).await? {
        Reply::Done => Ok(StatusCode::NO_CONTENT),
        other => Err(unexpected(other)),
    }
}

async fn contacts(state: &State, account: LocalId) -> Result<Vec<Contact>, ApiError> {
    match state.ask(account, Command::Contacts).await? {
        Reply::Contacts(contacts) => Ok(contacts.into_iter().map(Into::into).collect()),
        other => Err(unexpected(other)),
    }
}

/// The requests of an account.
pub(crate) async fn pending(
    state: &State,
    account: LocalId,
) -> Result<Vec<ContactRequest>, ApiError> {
    match state.ask(account, Command::Requests).await? {
        Reply::Requests(requests) => Ok(requests.into_iter().map(Into::into).collect()),
        other => Err(unexpected(other)),
    }
}
