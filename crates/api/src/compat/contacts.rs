//! Contacts.

use axum::extract::Path;
use axum::http::StatusCode;
use baraza_core::{Command, Reply};
use baraza_wire::AccountId;
use serde_json::{Value, json};

use super::{Answer, Caller, Refusal, done, names, ok, unexpected};

/// A contact, as A3.4 says: some booleans are texts.
fn shape(contact: &baraza_core::command::Contact) -> Value {
    let text = |yes: bool| if yes { "true" } else { "false" };
    let id = contact.id.to_hex();
    let name = match contact.registered_name.is_empty() {
        true => id.clone(),
        false => contact.registered_name.clone(),
    };
    json!({
        "id": id,
        "conversationId": "",
        "added": text(contact.confirmed),
        "confirmed": text(contact.confirmed),
        "banned": text(contact.banned),
        "displayName": match contact.name.is_empty() { true => name.clone(), false => contact.name.clone() },
        "username": name,
    })
}

/// Somebody who is no contact.
pub(super) fn stranger(id: &str, name: &str) -> Value {
    json!({
        "id": id,
        "conversationId": "",
        "added": "false",
        "confirmed": "false",
        "banned": "false",
        "displayName": name,
        "username": name,
    })
}

pub(super) async fn all(caller: &Caller) -> Result<Vec<baraza_core::command::Contact>, Refusal> {
    match caller.ask(Command::Contacts).await? {
        Reply::Contacts(contacts) => Ok(contacts),
        other => Err(unexpected(other)),
    }
}

/// Who is bound to conversations has no business with the account's contacts.
fn whole_account(caller: &Caller) -> Result<(), Refusal> {
    match caller.grant.conversations().is_empty() {
        true => Ok(()),
        false => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "The token is for some conversations only",
        )),
    }
}

/// `GET /api/contacts`.
pub(crate) async fn list(caller: Caller) -> Answer {
    caller.needs("contacts:read")?;
    whole_account(&caller)?;
    let contacts: Vec<_> = all(&caller).await?.iter().map(shape).collect();
    ok(&Value::Array(contacts))
}

/// The contact with an id, in its shape.
pub(super) async fn one(caller: &Caller, id: AccountId) -> Result<Value, Refusal> {
    let known = all(caller).await?;
    let known = known.iter().find(|contact| contact.id == id);
    Ok(known.map_or_else(|| stranger(&id.to_hex(), &id.to_hex()), shape))
}

/// `GET /api/contacts/{id or name}`.
pub(crate) async fn show(caller: Caller, Path(text): Path<String>) -> Answer {
    caller.needs("contacts:read")?;
    whole_account(&caller)?;
    if let Ok(id) = text.parse::<AccountId>() {
        return ok(&one(&caller, id).await?);
    }
    let found = names::look_up(
        &caller,
        names::read(&text, "Invalid registered name")?,
        [
            "Invalid registered name",
            "Registered name not found",
            "Registered name lookup timed out",
            "Registered name lookup failed",
        ],
    )
    .await?;
    let mut shape = one(&caller, found.0).await?;
    if let Some(username) = shape.get_mut("username") {
        *username = json!(found.1);
    }
    ok(&shape)
}

fn contact_id(text: &str) -> Result<AccountId, Refusal> {
    text.parse()
        .map_err(|_not_an_id| Refusal::not_found("Contact not found"))
}

/// `PUT /api/contacts/{id}`.
pub(crate) async fn add(caller: Caller, Path(text): Path<String>) -> Answer {
    caller.needs("contacts:write")?;
    whole_account(&caller)?;
    let id = contact_id(&text)?;
    let banned = all(&caller)
        .await?
        .iter()
        .any(|contact| contact.id == id && contact.banned);
    if banned {
        caller.ask(Command::AddContact { contact: id }).await?;
    }
    let text = String::new();
    caller.ask(Command::SendRequest { to: id, text }).await?;
    ok(&one(&caller, id).await?)
}

/// `DELETE /api/contacts/{id}`.
pub(crate) async fn remove(caller: Caller, Path(text): Path<String>) -> Answer {
    caller.needs("contacts:write")?;
    whole_account(&caller)?;
    let contact = contact_id(&text)?;
    let ban = false;
    caller.ask(Command::RemoveContact { contact, ban }).await?;
    done()
}
