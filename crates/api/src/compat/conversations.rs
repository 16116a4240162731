//! Conversations and requests.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::http::StatusCode;
use baraza_core::command::{Conversation, Request};
use baraza_core::{Command, Reply};
use baraza_wire::{AccountId, ConversationId, UnixTime};
use serde_json::{Value, json};

use super::{Answer, Caller, Object, Refusal, contacts, done, messages, ok, tokens, unexpected};

async fn all(caller: &Caller) -> Result<Vec<Conversation>, Refusal> {
    match caller.ask(Command::Conversations).await? {
        Reply::Conversations(mut list) => {
            list.retain(|one| caller.grant.covers_conversation(Some(one.id)));
            Ok(list)
        }
        other => Err(unexpected(other)),
    }
}

/// The conversation of a path.
pub(super) async fn find(caller: &Caller, text: &str) -> Result<Conversation, Refusal> {
    let id = caller.conversation(text)?;
    all(caller)
        .await?
        .into_iter()
        .find(|one| one.id == id)
        .ok_or_else(|| Refusal::not_found("Conversation not found"))
}

async fn profile(
    caller: &Caller,
    conversation: ConversationId,
) -> Result<BTreeMap<String, String>, Refusal> {
    match caller
        .ask(Command::ConversationInfo { conversation })
        .await?
    {
        Reply::Info(info) => Ok(info),
        other => Err(unexpected(other)),
    }
}

/// The best names that are known, by id.
pub(super) async fn names_of(caller: &Caller) -> Result<BTreeMap<AccountId, String>, Refusal> {
    let mut names: BTreeMap<AccountId, String> = contacts::all(caller)
        .await?
        .into_iter()
        .filter_map(|contact| {
            let name = match contact.name.is_empty() {
                true => contact.registered_name,
                false => contact.name,
            };
            (!name.is_empty()).then_some((contact.id, name))
        })
        .collect();
    if let Reply::Identity(identity) = caller.ask(Command::Identity).await?
        && !identity.display_name.is_empty()
    {
        names.insert(identity.jami_id, identity.display_name);
    }
    Ok(names)
}

pub(super) fn name_of(names: &BTreeMap<AccountId, String>, id: &AccountId) -> String {
    names.get(id).cloned().unwrap_or_else(|| id.to_hex())
}

async fn summary(
    caller: &Caller,
    conversation: &Conversation,
    names: &BTreeMap<AccountId, String>,
) -> Result<Value, Refusal> {
    let info = profile(caller, conversation.id).await?;
    let text = |key: &str| info.get(key).cloned().unwrap_or_default();
    let members = conversation.members.iter();
    let mut summary = json!({
        "id": conversation.id.to_hex(),
        "avatar": text("avatar"),
        "title": text("title"),
        "mode": conversation.mode.to_string(),
        "membersNames": members.map(|id| name_of(names, id)).collect::<Vec<_>>(),
    });
    if let Some(map) = summary.as_object_mut() {
        if conversation.mode == 2 {
            map.insert("description".into(), json!(text("description")));
        }
        if let Some(newest) = &conversation.newest {
            map.insert("lastMessage".into(), messages::shape(newest, None, names));
        }
    }
    Ok(summary)
}

/// `GET /api/conversations`.
pub(crate) async fn list(caller: Caller) -> Answer {
    caller.needs("conversations:read")?;
    let names = names_of(&caller).await?;
    let mut list = Vec::new();
    for conversation in all(&caller).await? {
        list.push(summary(&caller, &conversation, &names).await?);
    }
    ok(&Value::Array(list))
}

/// `POST /api/conversations`: a conversation of two with one member.
pub(crate) async fn create(caller: Caller, body: Object) -> Answer {
    caller.needs("conversations:write")?;
    if !caller.grant.conversations().is_empty() {
        let text = "The token is for some conversations only";
        return Err(Refusal::new(StatusCode::FORBIDDEN, text));
    }
    let one = || Refusal::bad_request("Exactly one member is required");
    let members = body.0.get("members").and_then(Value::as_array);
    let [member] = members.map(Vec::as_slice).unwrap_or_default() else {
        return Err(one());
    };
    let to: AccountId = member
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(one)?;
    let text = String::new();
    let conversation = match caller.ask(Command::SendRequest { to, text }).await? {
        Reply::Conversation(id) => id.to_hex(),
        Reply::Done => String::new(),
        other => return Err(unexpected(other)),
    };
    let mut contact = contacts::one(&caller, to).await?;
    if let Some(map) = contact.as_object_mut() {
        map.insert("conversationId".into(), json!(conversation));
    }
    ok(&contact)
}

/// `GET /api/conversations/{id}`.
pub(crate) async fn show(caller: Caller, Path(id): Path<String>) -> Answer {
    caller.needs("conversations:read")?;
    let conversation = find(&caller, &id).await?;
    let names = names_of(&caller).await?;
    ok(&summary(&caller, &conversation, &names).await?)
}

/// `DELETE /api/conversations/{id}`; of a request: declines it.
pub(crate) async fn remove(caller: Caller, Path(id): Path<String>) -> Answer {
    caller.needs("conversations:write")?;
    let conversation = caller.conversation(&id)?;
    let command = match pending(&caller)
        .await?
        .iter()
        .any(|one| one.conversation == conversation)
    {
        true => Command::DeclineRequest { conversation },
        false => Command::Leave { conversation },
    };
    caller.ask(command).await?;
    done()
}

/// `GET /api/conversations/{id}/infos`.
pub(crate) async fn infos(caller: Caller, Path(id): Path<String>) -> Answer {
    caller.needs("conversations:read")?;
    let conversation = find(&caller, &id).await?;
    let info = profile(&caller, conversation.id).await?;
    let text = |key: &str| info.get(key).cloned().unwrap_or_default();
    ok(&json!({
        "avatar": text("avatar"),
        "description": text("description"),
        "mode": conversation.mode.to_string(),
        "title": text("title"),
    }))
}

/// `GET /api/conversations/{id}/members`.
pub(crate) async fn members(caller: Caller, Path(id): Path<String>) -> Answer {
    caller.needs("conversations:read")?;
    let conversation = find(&caller, &id).await?.id;
    let members = match caller.ask(Command::Members { conversation }).await? {
        Reply::Members(members) => members,
        other => return Err(unexpected(other)),
    };
    let known = contacts::all(&caller).await?;
    let members = members.into_iter().map(|member| {
        let mut contact = json!({ "uri": member.uri.to_hex() });
        let name = known
            .iter()
            .find(|contact| contact.id == member.uri)
            .map(|contact| &contact.registered_name)
            .filter(|name| !name.is_empty());
        if let (Some(name), Some(map)) = (name, contact.as_object_mut()) {
            map.insert("registeredName".into(), json!(name));
        }
        json!({ "role": member.role.as_str(), "contact": contact })
    });
    ok(&Value::Array(members.collect()))
}

async fn pending(caller: &Caller) -> Result<Vec<Request>, Refusal> {
    match caller.ask(Command::Requests).await? {
        Reply::Requests(mut list) => {
            list.retain(|one| caller.grant.covers_conversation(Some(one.conversation)));
            Ok(list)
        }
        other => Err(unexpected(other)),
    }
}

/// A request, as A3.5 says.
pub(super) fn request(
    conversation: ConversationId,
    from: AccountId,
    mode: u8,
    name: &str,
    received: UnixTime,
) -> Value {
    let second = UnixTime::from_secs(received.secs());
    let name = match name.is_empty() {
        true => from.to_hex(),
        false => name.to_owned(),
    };
    json!({
        "conversationId": conversation.to_hex(),
        "infos": { "avatar": "", "description": "", "mode": mode.to_string(), "title": "" },
        "from": { "uri": from.to_hex() },
        "received": tokens::iso(second).replace(".000Z", "Z"),
        "membersNames": [name],
    })
}

/// `GET /api/conversation-requests`.
pub(crate) async fn requests(caller: Caller) -> Answer {
    caller.needs("conversations:read")?;
    let list = pending(&caller).await?;
    let list = list.iter().map(|one| {
        request(
            one.conversation,
            one.from,
            one.mode,
            &one.name,
            one.received,
        )
    });
    ok(&Value::Array(list.collect()))
}

/// `POST /api/conversation-requests/{id}`: accepts.
pub(crate) async fn accept(caller: Caller, Path(id): Path<String>) -> Answer {
    caller.needs("conversations:write")?;
    let conversation = caller.conversation(&id)?;
    caller.ask(Command::AcceptRequest { conversation }).await?;
    match find(&caller, &id).await {
        Ok(conversation) => {
            let names = names_of(&caller).await?;
            ok(&summary(&caller, &conversation, &names).await?)
        }
        Err(_unknown) => done(),
    }
}

/// `DELETE /api/conversation-requests/{id}`: declines.
pub(crate) async fn decline(caller: Caller, Path(id): Path<String>) -> Answer {
    caller.needs("conversations:write")?;
    let conversation = caller.conversation(&id)?;
    caller.ask(Command::DeclineRequest { conversation }).await?;
    done()
}

/// `POST /api/conversation-requests/{id}/block`: bans who asks.
pub(crate) async fn block(caller: Caller, Path(id): Path<String>) -> Answer {
    caller.needs("contacts:write")?;
    let conversation = caller.conversation(&id)?;
    let list = pending(&caller).await?;
    let asker = list.iter().find(|one| one.conversation == conversation);
    let contact = asker
        .ok_or_else(|| Refusal::not_found("Conversation not found"))?
        .from;
    let ban = true;
    caller.ask(Command::RemoveContact { contact, ban }).await?;
    done()
}
