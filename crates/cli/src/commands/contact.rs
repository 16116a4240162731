use baraza_api::types::network::{NearbyView, ShowNearby};
use baraza_api::types::{Account, AddContact, Asked, Contact, PeerDevices};
use baraza_core::event::Presence;
use baraza_wire::AccountId;
use baraza_wire::id::parse_account_uri;
use hyper::Method;
use serde_json::json;

use super::Context;
use crate::args::{ContactAction, Switch};
use crate::error::CliError;
use crate::{find, output};

pub(crate) async fn run(context: &Context<'_>, action: ContactAction) -> Result<(), CliError> {
    let client = context.client;
    let account = find::account(client, context.global).await?;
    let base = format!("/accounts/{}/contacts", account.account);
    match action {
        ContactAction::Add { id, message } => {
            let body = AddContact {
                id,
                message,
                ask: true,
            };
            let asked: Asked = client.post(&base, &body).await?;
            if context.json() {
                return output::json(&asked);
            }
            output::line("Asked. They see your request when they are there; write already:")?;
            let id = asked
                .id
                .map_or_else(|| body.id.trim().to_owned(), |id| id.to_hex());
            output::line(&format!("  baraza chat {id}"))
        }
        ContactAction::List { all } => {
            let mut contacts: Vec<Contact> = client.get(&base).await?;
            contacts.retain(|contact| all || !contact.blocked);
            if context.json() {
                return output::json(&contacts);
            }
            if contacts.is_empty() {
                eprintln!("There is no contact yet; add one with: baraza contact add JAMI_ID");
            }
            for contact in &contacts {
                let state = match contact {
                    contact if contact.blocked => "blocked",
                    contact if !contact.confirmed => "asked, has not accepted yet",
                    contact => match contact.presence {
                        Presence::Offline => "offline",
                        Presence::Available => "there",
                        Presence::Connected => "connected",
                    },
                };
                let why = contact.unreachable.as_deref().map(output::printable);
                let why = why.map_or_else(String::new, |why| format!(", cannot be reached: {why}"));
                let names = [&contact.registered_name, &contact.name];
                let names = names.map(|name| output::printable(name));
                let names = match names {
                    [registered, shown] if registered.is_empty() => format!("  {shown}"),
                    [registered, shown] if shown.is_empty() => format!("  {registered}"),
                    [registered, shown] => format!("  {registered} ({shown})"),
                };
                let names = names.trim_end();
                output::line(&format!("{}  {state}{why}{names}", contact.id))?;
            }
            Ok(())
        }
        ContactAction::Nearby { show } => nearby(context, &account, show).await,
        ContactAction::Remove { id } => {
            let contact = find::contact(client, &account, &id).await?;
            let path = format!("{base}/{}", contact.id);
            let () = client.call(Method::DELETE, &path, None::<&()>).await?;
            said(context, "removed", &contact.id.to_hex())
        }
        ContactAction::Block { id } => {
            let id = whoever(context, &account, &id).await?;
            let () = client
                .post(&format!("{base}/{id}/block"), &json!({}))
                .await?;
            said(context, "blocked", &id.to_hex())
        }
        ContactAction::Devices { id } => {
            let id = whoever(context, &account, &id).await?;
            let peer: PeerDevices = client.get(&format!("{base}/{id}/devices")).await?;
            show_devices(context, &peer)
        }
        ContactAction::Verify { id, undo } => {
            let id = whoever(context, &account, &id).await?;
            let method = if undo { Method::DELETE } else { Method::PUT };
            let path = format!("{base}/{id}/verified");
            let peer: PeerDevices = client.call(method, &path, None::<&()>).await?;
            show_devices(context, &peer)
        }
        ContactAction::Unblock { id } => {
            let contact = find::contact(client, &account, &id).await?;
            let path = format!("{base}/{}/unblock", contact.id);
            let () = client.post(&path, &json!({})).await?;
            said(context, "unblocked", &contact.id.to_hex())
        }
    }
}

/// A contact, or a stranger by their whole id.
async fn whoever(
    context: &Context<'_>,
    account: &Account,
    id: &str,
) -> Result<AccountId, CliError> {
    match parse_account_uri(id.trim()) {
        Ok(id) => Ok(id),
        Err(_not_whole) => {
            let contact = find::contact(context.client, account, id).await?;
            Ok(contact.id)
        }
    }
}

fn show_devices(context: &Context<'_>, peer: &PeerDevices) -> Result<(), CliError> {
    if context.json() {
        return output::json(peer);
    }
    output::line(&match peer.verified {
        Some(time) => format!("Compared on {}: it is the same.", output::date(time)),
        None => "Not compared yet: baraza contact verify, when you did.".to_owned(),
    })?;
    for device in &peer.devices {
        let state = match device.presence {
            _ if device.revoked => "revoked".to_owned(),
            Presence::Offline => format!("last seen {}", output::date(device.seen)),
            Presence::Available => "there".to_owned(),
            Presence::Connected => "connected".to_owned(),
        };
        output::line(&format!("{}  {state}", device.id))?;
    }
    Ok(())
}

fn said(context: &Context<'_>, what: &str, id: &str) -> Result<(), CliError> {
    if context.json() {
        return output::json(&json!({ what: id }));
    }
    output::line(&format!("{what} {id}"))
}

/// Who is in the local network.
async fn nearby(
    context: &Context<'_>,
    account: &Account,
    show: Option<Switch>,
) -> Result<(), CliError> {
    let client = context.client;
    let path = format!("/accounts/{}/nearby", account.account);
    let nearby: NearbyView = match show {
        None => client.get(&path).await?,
        Some(switch) => {
            let choice = ShowNearby {
                shown: switch == Switch::On,
            };
            client.call(Method::PATCH, &path, Some(&choice)).await?
        }
    };
    if context.json() {
        return output::json(&nearby);
    }
    if let Some(problem) = &nearby.problem {
        eprintln!("{}", output::printable(problem));
    } else if !nearby.on {
        eprintln!("The local network is not looked at; to do so: baraza network local on");
    } else if nearby.people.is_empty() {
        eprintln!("Nobody is there yet who shows themselves.");
    }
    for person in &nearby.people {
        let name = output::printable(&person.name);
        output::line(format!("{}  {name}", person.id).trim_end())?;
    }
    if nearby.shown {
        eprintln!("They see your Jami ID and name; not any more: baraza contact nearby --show off");
    }
    Ok(())
}
