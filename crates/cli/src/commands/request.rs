use std::time::Duration;

use baraza_api::types::{Account, ContactRequest, Conversation};
use baraza_wire::ConversationId;
use serde_json::json;

use super::Context;
use crate::args::RequestAction;
use crate::error::CliError;
use crate::find;
use crate::output::{self, Progress, printable};

pub(crate) async fn run(context: &Context<'_>, action: RequestAction) -> Result<(), CliError> {
    let client = context.client;
    let account = find::account(client, context.global).await?;
    let base = format!("/accounts/{}/requests", account.account);
    match action {
        RequestAction::List => {
            let requests: Vec<ContactRequest> = client.get(&base).await?;
            if context.json() {
                return output::json(&requests);
            }
            if requests.is_empty() {
                eprintln!("Nobody has asked.");
            }
            for request in &requests {
                let name = match request.name.as_str() {
                    "" => "no name".to_owned(),
                    name => format!("says to be \"{}\"", printable(name)),
                };
                let received = output::date(request.received);
                output::line(&format!("{}  {received}  {name}", request.from))?;
            }
            Ok(())
        }
        RequestAction::Accept { who, wait } => {
            let request = find::request(client, &account, &who).await?;
            let events = client.events(None, Some("conversation_ready")).await?;
            let path = format!("{base}/{}/accept", request.conversation);
            let () = client.post(&path, &json!({})).await?;
            if wait > 0 {
                let _progress = Progress::new("Fetching the conversation", context.json());
                let ready = ready(context, events, &account, request.conversation);
                tokio::time::timeout(Duration::from_secs(wait), ready)
                    .await
                    .map_err(|_elapsed| {
                        CliError::TimedOut(
                            "accepted; the conversation comes when a device of the asker can be \
                             reached"
                                .into(),
                        )
                    })??;
            }
            if context.json() {
                return output::json(&json!({
                    "from": request.from,
                    "conversation": request.conversation,
                    "ready": wait > 0,
                }));
            }
            output::line(&format!(
                "Accepted. Talk: baraza chat {}",
                output::short(&request.from.to_hex())
            ))
        }
        RequestAction::Decline { who } => {
            let request = find::request(client, &account, &who).await?;
            let path = format!("{base}/{}/decline", request.conversation);
            let () = client.post(&path, &json!({})).await?;
            said(context, "declined", &request)
        }
        RequestAction::Block { who } => {
            let request = find::request(client, &account, &who).await?;
            let path = format!("{base}/{}/block", request.conversation);
            let () = client.post(&path, &json!({})).await?;
            said(context, "blocked", &request)
        }
    }
}

/// Waits until the conversation can be used.
async fn ready(
    context: &Context<'_>,
    mut events: crate::client::Events,
    account: &Account,
    conversation: ConversationId,
) -> Result<(), CliError> {
    let path = format!("/accounts/{}/conversations", account.account);
    loop {
        let list: Vec<Conversation> = context.client.get(&path).await?;
        if list.iter().any(|one| one.id == conversation) {
            return Ok(());
        }
        events.next().await?;
    }
}

fn said(context: &Context<'_>, what: &str, request: &ContactRequest) -> Result<(), CliError> {
    if context.json() {
        return output::json(&json!({ what: request.from }));
    }
    output::line(&format!("{what} {}", request.from))
}
