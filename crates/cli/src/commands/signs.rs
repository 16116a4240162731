//! Small signs: what was read, and what the others are told.

use baraza_api::types::{AutoAccept, ChangeSettings, MarkRead, Settings};
use hyper::Method;
use serde_json::json;

use super::{Context, message};
use crate::args::Switch;
use crate::error::CliError;
use crate::{find, output};

/// Tells that everything up to a message was read.
pub(crate) async fn read(
    context: &Context<'_>,
    who: &str,
    wanted: Option<String>,
) -> Result<(), CliError> {
    let account = find::account(context.client, context.global).await?;
    let conversation = find::conversation(context.client, &account, who).await?;
    let id = match &wanted {
        Some(wanted) => message::find_message(context, &account, &conversation, wanted).await?,
        None => conversation.last,
    };
    let id = id.ok_or_else(|| CliError::NotFound("there is no such message".into()))?;
    let path = format!(
        "/accounts/{}/conversations/{}/read",
        account.account, conversation.id
    );
    let message = id.to_hex();
    context.client.post(&path, &MarkRead { message }).await
}

/// Shows or changes the settings.
pub(crate) async fn settings(
    context: &Context<'_>,
    typing: Option<Switch>,
    receipts: Option<Switch>,
    auto_accept: Option<u64>,
) -> Result<(), CliError> {
    let account = find::account(context.client, context.global).await?;
    let path = format!("/accounts/{}/settings", account.account);
    let on = |switch: Option<Switch>| switch.map(|switch| switch == Switch::On);
    let change = ChangeSettings {
        typing: on(typing),
        receipts: on(receipts),
    };
    let settings: Settings = if typing.is_some() || receipts.is_some() {
        let change = Some(&change);
        context.client.call(Method::PATCH, &path, change).await?
    } else {
        context.client.get(&path).await?
    };
    let path = format!("/accounts/{}/auto-accept", account.account);
    let files: AutoAccept = match auto_accept {
        Some(limit) => {
            let change = Some(AutoAccept { limit });
            context
                .client
                .call(Method::PATCH, &path, change.as_ref())
                .await?
        }
        None => context.client.get(&path).await?,
    };
    if context.json() {
        return output::json(&json!({
            "typing": settings.typing,
            "receipts": settings.receipts,
            "auto_accept": files.limit,
        }));
    }
    let word = |on: bool| if on { "on" } else { "off" };
    output::line(&format!("typing    {}", word(settings.typing)))?;
    output::line(&format!("receipts  {}", word(settings.receipts)))?;
    output::line(&format!(
        "files     up to {} bytes by themselves",
        files.limit
    ))
}
