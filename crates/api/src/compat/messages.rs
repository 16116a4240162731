//! Messages and files.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{
    FromRequest as _, FromRequestParts as _, Path, Query, Request, State as Shared,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use baraza_core::event::EventBody;
use baraza_core::view::{Entry, EntryKind, PageAt};
use baraza_core::{Command, FileSource, FileStatus, Reply, SharedFile};
use baraza_wire::{AccountId, CommitId, ConversationId};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::conversations::{find, name_of, names_of};
use super::{Answer, Caller, Object, Refusal, json_answer, ok, prefers, unexpected};
use crate::server::State;

/// What a sender says who wants the message back.
const REPRESENTATION: &str = "return=representation";
/// What a receiver says who does not want to wait for a file.
const ASYNC: &str = "respond-async";
/// How long it is waited for a file, at most, and if nothing is said.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Most messages in an answer, and how many if nothing is said.
const MAX_PAGE: usize = 1000;
const DEFAULT_PAGE: usize = 200;

/// A message, as A3.1 says; its type is what it is, and only replies have `reply-to`.
pub(super) fn shape(
    entry: &Entry,
    before: Option<CommitId>,
    names: &BTreeMap<AccountId, String>,
) -> Value {
    let detail = |key: &str| entry.details.get(key).cloned().unwrap_or_default();
    let parent = before.map(|id| id.to_hex()).unwrap_or_default();
    let author = match entry.kind {
        // Whom it is about, as existing clients have it.
        EntryKind::Member => detail("uri").parse().unwrap_or(entry.author),
        _ => entry.author,
    };
    let reactions = entry.reactions.iter().map(|reaction| {
        json!({
            "id": reaction.id.to_hex(),
            "author": reaction.author.to_hex(),
            "body": reaction.emoji,
        })
    });
    let mut message = json!({
        "id": entry.id.to_hex(),
        "author": author.to_hex(),
        "timestamp": entry.time,
        "type": entry.commit_type,
        "body": match entry.kind { EntryKind::Text => entry.body.as_str(), _ => "" },
        "linearizedParent": parent,
        "parents": parent,
        "reactions": reactions.collect::<Vec<_>>(),
        "displayName": name_of(names, &author),
        "status": { "self": if entry.status_counts.displayed > 0 { 3 } else { 2 } },
        "edited": entry.edited,
        "deleted": entry.deleted,
    });
    let Some(map) = message.as_object_mut() else {
        return message;
    };
    if let Some(reply_to) = entry.reply_to {
        map.insert("reply-to".into(), json!(reply_to.to_hex()));
    }
    match entry.kind {
        EntryKind::File => {
            map.insert("displayName".into(), json!(detail("displayName")));
            map.insert("fileId".into(), json!(file_id(entry)));
            let size: u64 = detail("totalSize").parse().unwrap_or(0);
            map.insert("totalSize".into(), json!(size));
            map.insert("sha3sum".into(), json!(detail("sha3sum")));
        }
        EntryKind::Member => {
            map.insert("action".into(), json!(detail("action")));
            map.insert("subject".into(), json!(detail("uri")));
        }
        EntryKind::Call => {
            map.insert("duration".into(), json!(detail("duration")));
        }
        _ => {}
    }
    message
}

/// The id of a file among peers: the message, its transfer id, and the ending of its name.
fn file_id(entry: &Entry) -> String {
    let detail = |key: &str| entry.details.get(key).map_or("", String::as_str);
    let ending = detail("displayName").rsplit_once('.').map(|parts| parts.1);
    let ending = ending
        .map(|ending| format!(".{ending}"))
        .unwrap_or_default();
    match detail("tid") {
        "" => String::new(),
        tid => format!("{}_{tid}{ending}", entry.id.to_hex()),
    }
}

/// The entries of a page, oldest first, with what is before the first.
async fn page(
    caller: &Caller,
    conversation: ConversationId,
    at: PageAt,
    count: usize,
) -> Result<Vec<Entry>, Refusal> {
    let command = Command::View {
        conversation,
        at,
        count,
    };
    match caller.ask(command).await? {
        Reply::View(page) => {
            let mut entries = page.entries;
            entries.reverse();
            Ok(entries)
        }
        other => Err(unexpected(other)),
    }
}

fn shapes(entries: &[Entry], names: &BTreeMap<AccountId, String>) -> Vec<Value> {
    let before = std::iter::once(None).chain(entries.iter().map(|entry| Some(entry.id)));
    let pairs = entries.iter().zip(before);
    pairs
        .map(|(entry, before)| shape(entry, before, names))
        .collect()
}

/// `GET /api/conversations/{id}/messages`: from `from` on towards newer ones, or the newest.
pub(crate) async fn list(
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Answer {
    caller.needs("conversations:read")?;
    let conversation = find(&caller, &id).await?.id;
    let limit = query.get("limit").and_then(|text| text.parse().ok());
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(DEFAULT_PAGE);
    let limit: usize = limit.min(MAX_PAGE);
    // One more on each side: what is before the first, and `from` itself.
    let more = limit.saturating_add(1);
    let at = |key: &str| query.get(key).map(|text| text.parse::<CommitId>());
    let entries = match (at("from"), at("before"), at("after")) {
        (Some(Ok(from)), ..) => {
            let around = page(&caller, conversation, PageAt::Around(from), 3).await;
            let mut entries: Vec<_> = around.unwrap_or_default();
            entries.retain(|entry| entry.id == from);
            if !entries.is_empty() {
                entries.extend(page(&caller, conversation, PageAt::After(from), limit).await?);
            }
            entries
        }
        (_, Some(Ok(before)), _) => {
            page(&caller, conversation, PageAt::Before(before), limit).await?
        }
        (_, _, Some(Ok(after))) => page(&caller, conversation, PageAt::After(after), limit).await?,
        (None, None, None) => page(&caller, conversation, PageAt::Newest, more).await?,
        _ => Vec::new(),
    };
    let names = names_of(&caller).await?;
    let mut messages = shapes(&entries, &names);
    let surplus = messages.len().saturating_sub(limit);
    match query.contains_key("from") {
        true => messages.truncate(limit),
        false => drop(messages.drain(..surplus)),
    }
    ok(&Value::Array(messages))
}

fn message_id(text: &str) -> Result<CommitId, Refusal> {
    text.parse()
        .map_err(|_not_an_id| Refusal::not_found("Message not found"))
}

fn maybe_message(text: &str) -> Result<Option<CommitId>, Refusal> {
    match text {
        "" => Ok(None),
        text => message_id(text).map(Some),
    }
}

/// 204 with the id of what was written, which the existing API does not tell.
fn written(conversation: &str, reply: Reply) -> Answer {
    let Reply::Message(id) = reply else {
        return Err(unexpected(reply));
    };
    let id = id.to_hex();
    let place = format!("/api/conversations/{conversation}/messages?from={id}&limit=1");
    let headers = [("jami-message-id", id), ("location", place)];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

/// 201 with the message itself, where `Prefer: return=representation` asks for it.
async fn represented(caller: &Caller, conversation: ConversationId, id: CommitId) -> Answer {
    let names = names_of(caller).await?;
    let around = page(caller, conversation, PageAt::Around(id), 3).await?;
    let place = around.iter().position(|entry| entry.id == id);
    let found = place.and_then(|place| shapes(&around, &names).into_iter().nth(place));
    let found = found.ok_or_else(|| Refusal::not_found("Message not found"))?;
    let mut answer = json_answer(StatusCode::CREATED, &found);
    let applied = HeaderValue::from_static(REPRESENTATION);
    answer.headers_mut().insert("preference-applied", applied);
    Ok(answer)
}

/// `POST /api/conversations/{id}/messages`, in each of the forms of A5.2.
pub(crate) async fn send(
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Object,
) -> Answer {
    caller.needs("conversations:write")?;
    let conversation = find(&caller, &id).await?.id;
    let (text, reply_to) = match body.text("body") {
        "" => {
            let message = body.text("message");
            let inner = serde_json::from_str::<Value>(message).ok();
            let inner = inner.as_ref().and_then(Value::as_object);
            let field = |key: &str| {
                let field = inner
                    .and_then(|inner| inner.get(key))
                    .and_then(Value::as_str);
                field.unwrap_or("").to_owned()
            };
            match inner
                .and_then(|inner| inner.get("message"))
                .and_then(Value::as_str)
            {
                Some(text) => {
                    let reply_to = match field("replyTo") {
                        reply_to if reply_to.is_empty() => field("parentId"),
                        reply_to => reply_to,
                    };
                    (text.to_owned(), reply_to)
                }
                None => (message.to_owned(), String::new()),
            }
        }
        text => {
            let reply_to = match body.text("parentId") {
                "" => body.text("replyTo"),
                parent => parent,
            };
            (text.to_owned(), reply_to.to_owned())
        }
    };
    if text.is_empty() {
        return Err(Refusal::bad_request("Missing message in body"));
    }
    let command = Command::SendMessage {
        conversation,
        body: text,
        reply_to: maybe_message(&reply_to)?,
    };
    let reply = caller.ask(command).await?;
    let whole = prefers(&headers, REPRESENTATION) && caller.grant.has_fine("conversations:read");
    match &reply {
        Reply::Message(written) if whole => represented(&caller, conversation, *written).await,
        _ => written(&id, reply),
    }
}

/// `POST /api/conversations/{id}/editmessage`: with an empty text, deletes.
pub(crate) async fn edit(caller: Caller, Path(id): Path<String>, body: Object) -> Answer {
    caller.needs("conversations:write")?;
    let message = body.text("messageId");
    if message.is_empty() {
        return Err(Refusal::bad_request("'messageId' is required"));
    }
    let command = Command::EditMessage {
        conversation: find(&caller, &id).await?.id,
        message: message_id(message)?,
        body: body.text("message").to_owned(),
    };
    written(&id, caller.ask(command).await?)
}

/// `POST /api/conversations/{id}/reactions`.
pub(crate) async fn react(caller: Caller, Path(id): Path<String>, body: Object) -> Answer {
    caller.needs("conversations:write")?;
    let (emoji, message) = (body.text("emoji"), body.text("messageId"));
    if emoji.is_empty() || message.is_empty() {
        let text = "Both 'emoji' and 'messageId' are required";
        return Err(Refusal::bad_request(text));
    }
    let command = Command::React {
        conversation: find(&caller, &id).await?.id,
        message: message_id(message)?,
        emoji: emoji.to_owned(),
    };
    written(&id, caller.ask(command).await?)
}

/// `POST /api/conversations/{id}/files`: the content is the body, and its name is in
/// `Content-Disposition`. A path of this machine is not taken (B1 #4).
pub(crate) async fn send_file(Shared(state): Shared<Arc<State>>, request: Request) -> Answer {
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &state).await?;
    caller.needs("files:write")?;
    let Path(id) = Path::<String>::from_request_parts(&mut parts, &state)
        .await
        .map_err(|_no_text| Refusal::not_found("Conversation not found"))?;
    let header_text = |name: header::HeaderName| {
        let value = parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.unwrap_or("").to_owned()
    };
    let named = header_text(header::CONTENT_DISPOSITION);
    let name = named.split(';').find_map(|part| {
        let name = part.trim().strip_prefix("filename=")?;
        Some(name.trim_matches('"').to_owned())
    });
    let Some(name) = name else {
        let request = Request::from_parts(parts, body);
        let object = Object::from_request(request, &state).await?;
        return Err(match object.text("path") {
            "" => Refusal::bad_request("Missing 'path'"),
            _ => Refusal::new(
                StatusCode::FORBIDDEN,
                "Paths are not taken: send the content, with Content-Disposition",
            ),
        });
    };
    let conversation = find(&caller, &id).await?.id;
    let length = header_text(header::CONTENT_LENGTH).parse().unwrap_or(0);
    let staging = state
        .node
        .stage_file(caller.account, length)
        .await
        .map_err(crate::error::ApiError::from)?;
    let staged = crate::routes::files::take(staging, body).await?;
    let command = Command::SendFile {
        conversation,
        source: FileSource::Staged(staged),
        name,
        reply_to: None,
    };
    written(&id, caller.ask(command).await?)
}

/// How long a client waits for a file.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wait {
    wait: Option<u64>,
}

/// `GET /api/data/{conversation}/{message}/{fileId}`: only of files that the message offers. One
/// that is not here is fetched, and waited for as long as `wait` says.
pub(crate) async fn data(
    caller: Caller,
    Path((id, message, file)): Path<(String, String, String)>,
    Query(Wait { wait }): Query<Wait>,
    headers: HeaderMap,
) -> Answer {
    caller.needs("files:read")?;
    let missing = || Refusal::not_found("File not available");
    let conversation = caller.conversation(&id).map_err(|_unknown| missing())?;
    let message: CommitId = message.parse().map_err(|_not_an_id| missing())?;
    let command = Command::File {
        conversation,
        message,
    };
    let look = async || match caller.state.ask(caller.account, command.clone()).await {
        Ok(Reply::File(found)) if found.file_id == file => Ok(found),
        _ => Err(missing()),
    };
    // Before the first look, so that nothing falls between.
    let mut live = caller.state.node.subscribe();
    let mut found: SharedFile = look().await?;
    if found.status != FileStatus::Here {
        let accept = Command::AcceptFile {
            conversation,
            message,
        };
        let _fetched_already = caller.state.ask(caller.account, accept).await;
        if prefers(&headers, ASYNC) {
            let headers = [("retry-after", "2"), ("preference-applied", ASYNC)];
            return Ok((StatusCode::ACCEPTED, headers).into_response());
        }
        let wait = wait.map_or(LONGEST_WAIT, Duration::from_secs);
        let deadline = Instant::now() + wait.min(LONGEST_WAIT);
        while found.status != FileStatus::Here {
            if found.status == FileStatus::Deleted {
                return Err(missing());
            }
            let next = tokio::select! {
                next = timeout_at(deadline, live.recv()) => next,
                () = caller.state.stop.cancelled() => return Err(missing()),
                () = caller.grant.until_ended() => return Err(missing()),
            };
            let changed = match next {
                Ok(Ok(event)) => {
                    matches!(&event.body, EventBody::FileChanged { message: one, .. } if *one == message)
                }
                Ok(Err(RecvError::Lagged(_))) => true,
                Ok(Err(RecvError::Closed)) | Err(_) => return Err(missing()),
            };
            if changed {
                found = look().await?;
            }
        }
    }
    let path = found.path.ok_or_else(missing)?;
    let etag = format!("\"{}\"", found.sha3sum);
    let mut answer: Response =
        crate::routes::files::answer(&path, &found.name, &etag, &headers).await?;
    answer.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    Ok(answer)
}
