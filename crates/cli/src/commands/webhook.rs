//! Webhooks: addresses that are told what happens.

use baraza_api::types::{MadeWebhook, NewWebhook, Webhook, WebhookTest};
use hyper::Method;
use serde_json::json;

use super::Context;
use crate::args::WebhookAction;
use crate::error::CliError;
use crate::{find, output};

pub(crate) async fn run(context: &Context<'_>, action: WebhookAction) -> Result<(), CliError> {
    let client = context.client;
    match action {
        WebhookAction::Add {
            url,
            label,
            types,
            bound,
            within,
            since,
        } => {
            let mut new = NewWebhook {
                url,
                label,
                types,
                since,
                ..NewWebhook::default()
            };
            if bound || !within.is_empty() {
                let account = find::account(client, context.global).await?;
                for who in &within {
                    let conversation = find::conversation(client, &account, who).await?;
                    new.conversations.push(conversation.id.to_string());
                }
                new.accounts.push(account.account.to_string());
            }
            let made: MadeWebhook = client.post("/webhooks", &new).await?;
            if context.json() {
                return output::json(&made);
            }
            eprintln!("The secret, which is shown only this once; keep it as a password:");
            output::line(&made.secret)
        }
        WebhookAction::List => {
            let all: Vec<Webhook> = client.get("/webhooks").await?;
            if context.json() {
                return output::json(&all);
            }
            for one in &all {
                output::line(&line(one))?;
            }
            Ok(())
        }
        WebhookAction::Remove { webhook } => {
            let one = find_one(context, &webhook).await?;
            let path = format!("/webhooks/{}", one.id);
            let () = client.call(Method::DELETE, &path, None::<&()>).await?;
            match context.json() {
                true => output::json(&json!({ "removed": one.id })),
                false => output::line(&format!("removed {}", one.id)),
            }
        }
        WebhookAction::Enable { webhook } => {
            let one = find_one(context, &webhook).await?;
            let path = format!("/webhooks/{}/enable", one.id);
            let one: Webhook = client.post(&path, &json!({})).await?;
            match context.json() {
                true => output::json(&one),
                false => output::line(&line(&one)),
            }
        }
        WebhookAction::Test { webhook } => {
            let one = find_one(context, &webhook).await?;
            let path = format!("/webhooks/{}/test", one.id);
            let tested: WebhookTest = client.post(&path, &json!({})).await?;
            if context.json() {
                output::json(&tested)?;
            } else if tested.delivered {
                output::line(&format!("taken, in {} ms", tested.took))?;
            }
            match tested.error {
                None => Ok(()),
                Some(error) => Err(CliError::Other(format!(
                    "not taken: {}",
                    output::printable(&error)
                ))),
            }
        }
    }
}

async fn find_one(context: &Context<'_>, wanted: &str) -> Result<Webhook, CliError> {
    let all: Vec<Webhook> = context.client.get("/webhooks").await?;
    let mut found = all.into_iter().filter(|one| one.id.starts_with(wanted));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(CliError::NotFound(
            "there is no such webhook, or several".into(),
        )),
    }
}

fn line(one: &Webhook) -> String {
    let state = match (one.disabled.as_str(), one.failing, one.delivered) {
        ("", None, None) => "took nothing yet".to_owned(),
        ("", None, Some(time)) => format!("took one at {}", output::date(time)),
        ("", Some(since), _) => format!(
            "takes nothing since {} ({} tries): {}",
            output::date(since),
            one.failures,
            output::printable(&one.error)
        ),
        (why, _, _) => format!("given up: {}", output::printable(why)),
    };
    let types = match one.types.join(",") {
        none if none.is_empty() => "all".to_owned(),
        some => some,
    };
    format!(
        "{}  {}  {types}  {state}  {}",
        one.id,
        output::printable(&one.url),
        output::printable(&one.label)
    )
}
