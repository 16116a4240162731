//! Events: a WebSocket, each event for the accounts and conversations of the token only.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts as _, Query, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use baraza_core::event::EventBody;
use baraza_core::view::PageAt;
use baraza_core::{Command, Event, Reply};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{interval, timeout};

use super::conversations::{names_of, request};
use super::messages::shape;
use super::{Caller, find, needs};
use crate::access::Grant;
use crate::routes::events::{Open, PING_EVERY, SEND_TIMEOUT, TOKEN_ENDED};
use crate::server::State;

/// `GET /api?accessToken=…`, upgraded. The token may be in `Authorization`, too.
pub(crate) async fn socket(Shared(state): Shared<Arc<State>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let query = Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri);
    let query = query.map(|query| query.0).unwrap_or_default();
    let token = query.get("accessToken").cloned();
    let token = token.or_else(|| super::token(&parts).map(str::to_owned));
    let grant = find(&state, token.as_deref().unwrap_or(""));
    let Ok(grant) = grant.and_then(|grant| needs(&grant, "events:read").map(|()| grant)) else {
        return (StatusCode::UNAUTHORIZED, "Unauthorized").into_response();
    };
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &state).await else {
        return super::nothing().await;
    };
    match Open::new(&state) {
        Ok(open) => upgrade
            .max_message_size(4096)
            .on_upgrade(move |socket| stream(socket, grant, open)),
        Err(error) => error.into_response(),
    }
}

async fn stream(mut socket: WebSocket, grant: Arc<Grant>, open: Open) {
    let state = Arc::clone(open.state());
    let mut events = state.node.subscribe();
    let mut pings = interval(PING_EVERY);
    let ended = grant.until_ended();
    tokio::pin!(ended);
    let (code, reason) = loop {
        tokio::select! {
            () = &mut ended => break (TOKEN_ENDED, "Unauthorized"),
            () = state.stop.cancelled() => break (close_code::AWAY, "shutting down"),
            event = events.recv() => {
                let event = match event {
                    Ok(event) => event,
                    // What a slow client missed cannot be told again in this API.
                    Err(RecvError::Lagged(_)) => break (4008, "too slow"),
                    Err(RecvError::Closed) => break (close_code::AWAY, "shutting down"),
                };
                for told in frames(&state, &grant, &event).await {
                    let text = super::sorted(&told).to_string();
                    let sent = timeout(SEND_TIMEOUT, socket.send(Message::Text(text.into())));
                    if !matches!(sent.await, Ok(Ok(()))) {
                        return;
                    }
                }
            }
            incoming = socket.recv() => match incoming {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            _ = pings.tick() => {
                let sent = timeout(SEND_TIMEOUT, socket.send(Message::Ping(Vec::new().into())));
                if !matches!(sent.await, Ok(Ok(()))) {
                    return;
                }
            }
        }
    };
    let reason = reason.into();
    let _gone = socket
        .send(Message::Close(Some(CloseFrame { code, reason })))
        .await;
}

/// What the existing API says of an event, to who may hear of it.
async fn frames(state: &Arc<State>, grant: &Arc<Grant>, event: &Event) -> Vec<Value> {
    let conversation = event.body.conversation();
    if !grant.covers_account(Some(event.account)) || !grant.covers_conversation(conversation) {
        return Vec::new();
    }
    let account = event.account.to_string();
    let id = conversation.map(|id| id.to_hex()).unwrap_or_default();
    let told = |kind: &str, data: Value| {
        let mut data = data;
        if let Some(data) = data.as_object_mut() {
            data.insert("accountId".into(), json!(account));
        }
        json!({
            "type": kind, "data": data, "seq": event.cursor,
            "ts": event.time.millis(), "accountId": account,
        })
    };
    let about = || json!({ "conversationId": id });
    match &event.body {
        EventBody::RegistrationStateChanged { .. } => {
            vec![told("accountStatusChanged", json!({}))]
        }
        EventBody::RequestReceived {
            from,
            conversation,
            mode,
            name,
            received,
        } => vec![
            told("newConversation", about()),
            told(
                "conversation-request",
                request(*conversation, *from, *mode, name, *received),
            ),
        ],
        EventBody::ConversationReady { .. } => vec![
            told("newConversation", about()),
            told("conversation-ready", about()),
        ],
        EventBody::MemberEvent { .. } => vec![told("conversationUpdated", about())],
        EventBody::ConversationRemoved { .. } | EventBody::RequestRemoved { .. } => {
            vec![told("conversationRemoved", about())]
        }
        EventBody::ContactAdded { contact, .. } => {
            vec![told("contactAdded", json!({ "uri": contact.to_hex() }))]
        }
        EventBody::ContactRemoved { contact, .. } => {
            vec![told("contactRemoved", json!({ "uri": contact.to_hex() }))]
        }
        EventBody::MessageReceived {
            conversation,
            message,
        } => {
            let mut list = vec![told(
                "newInteraction",
                json!({ "conversationId": id, "interactionId": message.id.to_hex() }),
            )];
            let field = |key: &str| message.fields.get(key).cloned().unwrap_or_default();
            if !field("react-to").is_empty() {
                let reaction = json!({
                    "id": message.id.to_hex(), "author": message.author.to_hex(),
                    "body": field("body"), "react-to": field("react-to"),
                });
                let data = json!({
                    "conversationId": id, "messageId": field("react-to"), "reaction": reaction,
                });
                return vec![told("reaction-added", data)];
            }
            let edit = field("edit");
            let target = match edit.is_empty() {
                true => message.id,
                false => edit.parse().unwrap_or(message.id),
            };
            let caller = Caller {
                state: Arc::clone(state),
                grant: Arc::clone(grant),
                account: event.account,
            };
            let view = Command::View {
                conversation: *conversation,
                at: PageAt::Around(target),
                count: 3,
            };
            let entry = match caller.ask(view).await {
                Ok(Reply::View(page)) => page.entries.into_iter().find(|entry| entry.id == target),
                _ => None,
            };
            let names = names_of(&caller).await.unwrap_or_default();
            if let Some(entry) = entry {
                let mut shape = shape(&entry, message.linearized_parent, &names);
                if let Some(map) = shape.as_object_mut() {
                    map.insert(
                        "parents".into(),
                        json!(
                            message
                                .parents
                                .iter()
                                .map(baraza_wire::CommitId::to_hex)
                                .collect::<Vec<_>>()
                                .join(",")
                        ),
                    );
                }
                let data = json!({ "conversationId": id, "message": shape });
                match edit.is_empty() {
                    true => list.push(told("conversation-message", data)),
                    false => return vec![told("message-updated", data)],
                }
            }
            list
        }
        EventBody::ProfileChanged { .. } => vec![told("profileUpdated", json!({}))],
        _ => Vec::new(),
    }
}
