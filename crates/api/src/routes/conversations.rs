use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::{Extension, Json};
use baraza_core::{Command, CommandError, LocalId, Message, Reply};
use baraza_wire::{CommitId, ConversationId};
use serde::Deserialize;

use super::{conversation_id, message_id, unexpected};
use crate::access::Grant;
use crate::body::{Input, Params};
use crate::error::ApiError;
use crate::paging::{Page, Paged};
use crate::server::State;
use crate::types::{
    Conversation, DeliveryReport, MarkRead, Member, MessagePage, MessageView, NewMessage, Written,
};

/// Messages on a page if the request does not say.
const DEFAULT_PAGE: usize = 200;
/// Most messages on a page.
const MAX_PAGE: usize = 1000;

/// The conversations.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/conversations", tag = "conversations",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    responses((status = 200, body = Vec<Conversation>)))]
pub(crate) async fn list(
    Shared(state): Shared<Arc<State>>,
    Extension(grant): Extension<Arc<Grant>>,
    Path(account): Path<String>,
    page: Page,
) -> Result<Paged<Conversation>, ApiError> {
    let account = state.account(&account)?;
    let mut list = conversations(&state, account).await?;
    list.retain(|conversation| grant.covers_conversation(Some(conversation.id)));
    Ok(page.of(list))
}

/// A conversation.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/conversations/{conversation}",
    tag = "conversations", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id")),
    responses((status = 200, body = Conversation),
        (status = 404, body = crate::error::Problem)))]
pub(crate) async fn show(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
) -> Result<Json<Conversation>, ApiError> {
    let account = state.account(&account)?;
    let id = conversation_id(&conversation)?;
    conversations(&state, account)
        .await?
        .into_iter()
        .find(|conversation| conversation.id == id)
        .map(Json)
        .ok_or_else(|| CommandError::NoSuchConversation.into())
}

/// Who is in a conversation.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/conversations/{conversation}/members",
    tag = "conversations", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id")),
    responses((status = 200, body = Vec<Member>)))]
pub(crate) async fn members(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
    page: Page,
) -> Result<Paged<Member>, ApiError> {
    let account = state.account(&account)?;
    let conversation = conversation_id(&conversation)?;
    match state
        .ask(account, Command::Members { conversation })
        .await?
    {
        Reply::Members(members) => Ok(page.of(members.into_iter().map(Into::into).collect())),
        other => Err(unexpected(other)),
    }
}

/// Which part of the history.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    before: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

/// Messages, newest first: the newest, or those right before or right after another one.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/conversations/{conversation}/messages",
    tag = "messages", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id"),
        ("before" = Option<String>, Query, description = "Older than this message"),
        ("after" = Option<String>, Query, description = "Newer than this message"),
        ("limit" = Option<usize>, Query, description = "How many: 1 to 1000, or 200")),
    responses((status = 200, body = MessagePage), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn history(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
    Params(page): Params<Part>,
) -> Result<Json<MessagePage>, ApiError> {
    let account = state.account(&account)?;
    let conversation = conversation_id(&conversation)?;
    let limit = page.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    let reader = Reader {
        state: &state,
        account,
        conversation,
    };
    let page = match (page.before, page.after) {
        (Some(_), Some(_)) => {
            let message = "give \"before\" or \"after\", not both";
            return Err(ApiError::bad_request("bad_query", message));
        }
        (Some(before), None) => reader.before(Some(message_id(&before)?), limit).await?,
        (None, Some(after)) => reader.after(message_id(&after)?, limit).await?,
        (None, None) => reader.before(None, limit).await?,
    };
    Ok(Json(page))
}

struct Reader<'a> {
    state: &'a State,
    account: LocalId,
    conversation: ConversationId,
}

impl Reader<'_> {
    /// `count` messages from `from` on, newest first.
    async fn read(&self, from: Option<CommitId>, count: usize) -> Result<Vec<Message>, ApiError> {
        let command = Command::History {
            conversation: self.conversation,
            from,
            count,
        };
        match self.state.ask(self.account, command).await? {
            Reply::History(messages) => Ok(messages),
            other => Err(unexpected(other)),
        }
    }

    async fn before(
        &self,
        before: Option<CommitId>,
        limit: usize,
    ) -> Result<MessagePage, ApiError> {
        let skipped = usize::from(before.is_some());
        // One more than asked for, to know whether there are older ones.
        let mut messages = self
            .read(before, limit.saturating_add(skipped).saturating_add(1))
            .await?;
        messages.drain(..skipped.min(messages.len()));
        let more = messages.len() > limit;
        messages.truncate(limit);
        Ok(MessagePage {
            older: messages.last().filter(|_| more).map(|message| message.id),
            // The newest of this page; the message named if there is nothing before it.
            newer: before.map(|before| messages.first().map_or(before, |message| message.id)),
            messages: messages.into_iter().map(Into::into).collect(),
        })
    }

    /// The `limit` messages right after one: from the newest back until it is found.
    async fn after(&self, after: CommitId, limit: usize) -> Result<MessagePage, ApiError> {
        let anchor = self.read(Some(after), 1).await?;
        if anchor.is_empty() {
            return Err(CommandError::NoSuchMessage.into());
        }
        let mut kept: Vec<Message> = Vec::new();
        let mut from = None;
        let mut newest_kept = true;
        loop {
            let mut part = self.read(from, MAX_PAGE).await?;
            if from.is_some() && !part.is_empty() {
                part.remove(0);
            }
            let found = part.iter().position(|message| message.id == after);
            let end = part.is_empty();
            part.truncate(found.unwrap_or(part.len()));
            from = part.last().map(|message| message.id);
            kept.append(&mut part);
            if kept.len() > limit {
                newest_kept = false;
                kept.drain(..kept.len().saturating_sub(limit));
            }
            if found.is_some() || end || from.is_none() {
                break;
            }
        }
        Ok(MessagePage {
            older: Some(kept.last().map_or(after, |message| message.id)),
            newer: kept
                .first()
                .filter(|_| !newest_kept)
                .map(|message| message.id),
            messages: kept.into_iter().map(Into::into).collect(),
        })
    }
}

/// Writes a text. The answer comes when it is durable; it is delivered by and by.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/conversations/{conversation}/messages",
    tag = "messages", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id")),
    request_body = NewMessage,
    responses((status = 201, body = Written), (status = 404, body = crate::error::Problem),
        (status = 422, body = crate::error::Problem)))]
pub(crate) async fn send(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
    Input(new): Input<NewMessage>,
) -> Result<(StatusCode, Json<Written>), ApiError> {
    let account = state.account(&account)?;
    let reply_to = new.reply_to.as_deref().filter(|id| !id.is_empty());
    let command = Command::SendMessage {
        conversation: conversation_id(&conversation)?,
        body: new.body,
        reply_to: reply_to.map(message_id).transpose()?,
    };
    match state.ask(account, command).await? {
        Reply::Message(id) => Ok((StatusCode::CREATED, Json(Written { id }))),
        other => Err(unexpected(other)),
    }
}

/// A message.
#[utoipa::path(get,
    path = "/api/v1/accounts/{account}/conversations/{conversation}/messages/{message}",
    tag = "messages", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its conversation"),
        ("message" = String, Path, description = "Its id")),
    responses((status = 200, body = MessageView), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn message(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation, message)): Path<(String, String, String)>,
) -> Result<Json<MessageView>, ApiError> {
    let reader = Reader {
        account: state.account(&account)?,
        conversation: conversation_id(&conversation)?,
        state: &state,
    };
    let id = message_id(&message)?;
    reader
        .read(Some(id), 1)
        .await?
        .into_iter()
        .next()
        .map(|message| Json(message.into()))
        .ok_or_else(|| CommandError::NoSuchMessage.into())
}

/// Who has a message, and why others do not have it yet.
#[utoipa::path(get,
    path = "/api/v1/accounts/{account}/conversations/{conversation}/messages/{message}/delivery",
    tag = "messages", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its conversation"),
        ("message" = String, Path, description = "Its id, or `newest`")),
    responses((status = 200, body = DeliveryReport),
        (status = 404, body = crate::error::Problem)))]
pub(crate) async fn delivery(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation, message)): Path<(String, String, String)>,
) -> Result<Json<DeliveryReport>, ApiError> {
    let account = state.account(&account)?;
    let command = Command::DeliveryStatus {
        conversation: conversation_id(&conversation)?,
        message: match message.as_str() {
            "newest" => None,
            id => Some(message_id(id)?),
        },
    };
    match state.ask(account, command).await? {
        Reply::Delivery(devices) => Ok(Json(devices.into())),
        other => Err(unexpected(other)),
    }
}

/// Notes here that everything up to a message was read.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/conversations/{conversation}/read",
    tag = "messages", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id")),
    request_body = MarkRead, responses((status = 204)))]
pub(crate) async fn mark_read(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
    Input(read): Input<MarkRead>,
) -> Result<StatusCode, ApiError> {
    let account = state.account(&account)?;
    let command = Command::MarkRead {
        conversation: conversation_id(&conversation)?,
        message: message_id(&read.message)?,
    };
    match state.ask(account, command).await? {
        Reply::Done => Ok(StatusCode::NO_CONTENT),
        other => Err(unexpected(other)),
    }
}

/// The conversations of an account.
pub(crate) async fn conversations(
    state: &State,
    account: LocalId,
) -> Result<Vec<Conversation>, ApiError> {
    match state.ask(account, Command::Conversations).await? {
        Reply::Conversations(list) => Ok(list.into_iter().map(Into::into).collect()),
        other => Err(unexpected(other)),
    }
}
