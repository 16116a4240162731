//! Groups: making them, who is in them, and their profile; and what changes messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use baraza_core::command::GroupMode;
use baraza_core::{Command, CommandError, ProfileChange, Reply};

use super::{contact_id, conversation_id, message_id, unexpected};
use crate::body::Input;
use crate::error::ApiError;
use crate::server::State;
use crate::types::{
    EditText, GroupProfile, NewConversation, NewGroup, NewMember, NewReaction, Written,
};

fn change(profile: GroupProfile) -> ProfileChange {
    ProfileChange {
        title: profile.title,
        description: profile.description,
        avatar: profile.avatar,
        host_account: profile.host_account,
        host_device: profile.host_device,
    }
}

/// Makes a group, and invites people to it.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/conversations", tag = "conversations",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    request_body = NewGroup,
    responses((status = 201, body = NewConversation), (status = 422, body = crate::error::Problem)))]
pub(crate) async fn create(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    Input(new): Input<NewGroup>,
) -> Result<(StatusCode, Json<NewConversation>), ApiError> {
    let account = state.account(&account)?;
    let members: Result<Vec<_>, ApiError> = new.members.iter().map(|id| contact_id(id)).collect();
    let mode = match new.mode {
        1 => GroupMode::AdminInvitesOnly,
        2 => GroupMode::InvitesOnly,
        3 => GroupMode::Public,
        4 => return Err(CommandError::Document.into()),
        _ => {
            let message = "a group has mode 1, 2 or 3";
            return Err(ApiError::unprocessable("invalid", message));
        }
    };
    let command = Command::CreateGroup {
        mode,
        profile: change(new.profile),
        members: members?,
    };
    match state.ask(account, command).await? {
        Reply::Conversation(conversation) => {
            Ok((StatusCode::CREATED, Json(NewConversation { conversation })))
        }
        other => Err(unexpected(other)),
    }
}

async fn done(state: &State, account: &str, command: Command) -> Result<StatusCode, ApiError> {
    let account = state.account(account)?;
    match state.ask(account, command).await? {
        Reply::Done => Ok(StatusCode::NO_CONTENT),
        other => Err(unexpected(other)),
    }
}

/// Leaves a conversation and removes it here; for a conversation of two, removes the contact.
#[utoipa::path(delete, path = "/api/v1/accounts/{account}/conversations/{conversation}",
    tag = "conversations", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id")),
    responses((status = 204), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn leave(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let conversation = conversation_id(&conversation)?;
    done(&state, &account, Command::Leave { conversation }).await
}

/// The profile of a group: title, description and picture, and the mode.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/conversations/{conversation}/profile",
    tag = "conversations", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id")),
    responses((status = 200, body = GroupProfile), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn profile(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
) -> Result<Json<GroupProfile>, ApiError> {
    let account = state.account(&account)?;
    let conversation = conversation_id(&conversation)?;
    let reply = state
        .ask(account, Command::ConversationInfo { conversation })
        .await?;
    match reply {
        Reply::Info(info) => {
            let mut info: BTreeMap<String, String> = info;
            Ok(Json(GroupProfile {
                title: info.remove("title"),
                description: info.remove("description"),
                avatar: info.remove("avatar"),
                host_account: info.remove("rdvAccount"),
                host_device: info.remove("rdvDevice"),
            }))
        }
        other => Err(unexpected(other)),
    }
}

/// Changes the profile of a group; only admins may.
#[utoipa::path(patch, path = "/api/v1/accounts/{account}/conversations/{conversation}/profile",
    tag = "conversations", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id")),
    request_body = GroupProfile,
    responses((status = 204), (status = 403, body = crate::error::Problem),
        (status = 404, body = crate::error::Problem)))]
pub(crate) async fn change_profile(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
    Input(profile): Input<GroupProfile>,
) -> Result<StatusCode, ApiError> {
    let command = Command::UpdateProfile {
        conversation: conversation_id(&conversation)?,
        profile: change(profile),
    };
    done(&state, &account, command).await
}

/// Invites somebody to a group, or again; an admin takes a banned one back so.
#[utoipa::path(post, path = "/api/v1/accounts/{account}/conversations/{conversation}/members",
    tag = "conversations", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id")),
    request_body = NewMember,
    responses((status = 204), (status = 403, body = crate::error::Problem),
        (status = 404, body = crate::error::Problem)))]
pub(crate) async fn invite(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
    Input(new): Input<NewMember>,
) -> Result<StatusCode, ApiError> {
    let command = Command::AddMember {
        conversation: conversation_id(&conversation)?,
        member: contact_id(&new.id)?,
    };
    done(&state, &account, command).await
}

/// Throws somebody out of a group; with several admins, votes for it.
#[utoipa::path(delete,
    path = "/api/v1/accounts/{account}/conversations/{conversation}/members/{member}",
    tag = "conversations", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id"),
        ("member" = String, Path, description = "The member's Jami ID")),
    responses((status = 204), (status = 403, body = crate::error::Problem),
        (status = 404, body = crate::error::Problem)))]
pub(crate) async fn ban(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation, member)): Path<(String, String, String)>,
) -> Result<StatusCode, ApiError> {
    let command = Command::BanMember {
        conversation: conversation_id(&conversation)?,
        member: contact_id(&member)?,
    };
    done(&state, &account, command).await
}

async fn written(
    state: &State,
    account: &str,
    command: Command,
) -> Result<(StatusCode, Json<Written>), ApiError> {
    let account = state.account(account)?;
    match state.ask(account, command).await? {
        Reply::Message(id) => Ok((StatusCode::CREATED, Json(Written { id }))),
        other => Err(unexpected(other)),
    }
}

/// Puts an emoji to a message. Editing that with an empty text takes it back.
#[utoipa::path(post,
    path = "/api/v1/accounts/{account}/conversations/{conversation}/messages/{message}/reactions",
    tag = "messages", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its conversation"),
        ("message" = String, Path, description = "Its id")),
    request_body = NewReaction,
    responses((status = 201, body = Written), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn react(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation, message)): Path<(String, String, String)>,
    Input(new): Input<NewReaction>,
) -> Result<(StatusCode, Json<Written>), ApiError> {
    let command = Command::React {
        conversation: conversation_id(&conversation)?,
        message: message_id(&message)?,
        emoji: new.emoji,
    };
    written(&state, &account, command).await
}

/// Gives one's own text another wording, or with an empty one deletes it.
#[utoipa::path(patch,
    path = "/api/v1/accounts/{account}/conversations/{conversation}/messages/{message}",
    tag = "messages", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its conversation"),
        ("message" = String, Path, description = "Its id, as it was first written")),
    request_body = EditText,
    responses((status = 201, body = Written), (status = 403, body = crate::error::Problem),
        (status = 404, body = crate::error::Problem)))]
pub(crate) async fn edit(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation, message)): Path<(String, String, String)>,
    Input(edit): Input<EditText>,
) -> Result<(StatusCode, Json<Written>), ApiError> {
    let command = Command::EditMessage {
        conversation: conversation_id(&conversation)?,
        message: message_id(&message)?,
        body: edit.body,
    };
    written(&state, &account, command).await
}
