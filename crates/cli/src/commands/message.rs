use std::io::Read as _;
use std::time::Duration;

use baraza_api::types::{
    Account, Conversation, DeliveryReport, EditText, MessagePage, MessageView, NewMessage,
    NewReaction, Written,
};
use baraza_wire::{CommitId, UnixTime};
use hyper::Method;
use serde_json::json;

use super::Context;
use crate::error::CliError;
use crate::find;
use crate::output::{self, Progress, printable, short};

/// Longer texts are refused by the node, too.
const MAX_TEXT: u64 = 1024 * 1024;
/// The type of a message that offers a file.
pub(crate) const FILE: &str = "application/data-transfer+json";
/// Messages asked for at once.
const PAGE: usize = 500;

pub(crate) async fn send(
    context: &Context<'_>,
    who: &str,
    text: Option<String>,
    reply_to: Option<String>,
    wait: Option<u64>,
) -> Result<(), CliError> {
    let client = context.client;
    let account = find::account(client, context.global).await?;
    let conversation = find::conversation(client, &account, who).await?;
    let body = match text {
        Some(text) if text != "-" => text,
        _ => read_text()?,
    };
    let path = messages(&account, &conversation);
    let events = match wait {
        Some(_) => Some(client.events(None, Some("message_delivered")).await?),
        None => None,
    };
    let written: Written = client.post(&path, &NewMessage { body, reply_to }).await?;
    let mut arrived = None;
    if let (Some(seconds), Some(mut events)) = (wait, events) {
        let _progress = Progress::new("Waiting until it arrives", context.json());
        let waiting = async {
            loop {
                let report = delivery(context, &path, &written.id).await?;
                if report.arrived {
                    return Ok::<_, CliError>(());
                }
                events.next().await?;
            }
        };
        match tokio::time::timeout(Duration::from_secs(seconds), waiting).await {
            Ok(result) => result?,
            Err(_elapsed) => {
                return Err(CliError::TimedOut(format!(
                    "{} is written, and is delivered later: baraza why {}",
                    written.id,
                    short(&written.id.to_hex())
                )));
            }
        }
        arrived = Some(true);
    }
    if context.json() {
        return output::json(&json!({
            "id": written.id,
            "conversation": conversation.id,
            "arrived": arrived,
        }));
    }
    output::line(&written.id.to_hex())
}

pub(crate) async fn react(
    context: &Context<'_>,
    who: &str,
    message: &str,
    emoji: String,
) -> Result<(), CliError> {
    let path = one(context, who, message).await?;
    let path = format!("{path}/reactions");
    let written: Written = context.client.post(&path, &NewReaction { emoji }).await?;
    told(context, &written)
}

pub(crate) async fn edit(
    context: &Context<'_>,
    who: &str,
    message: &str,
    body: String,
) -> Result<(), CliError> {
    let path = one(context, who, message).await?;
    let edit = EditText { body };
    let written: Written = context
        .client
        .call(Method::PATCH, &path, Some(&edit))
        .await?;
    told(context, &written)
}

/// The path of a message.
async fn one(context: &Context<'_>, who: &str, message: &str) -> Result<String, CliError> {
    let account = find::account(context.client, context.global).await?;
    let conversation = find::conversation(context.client, &account, who).await?;
    let id = find_message(context, &account, &conversation, message).await?;
    let id = id.ok_or_else(|| CliError::NotFound(format!("there is no message {message}")))?;
    Ok(format!("{}/{id}", messages(&account, &conversation)))
}

fn told(context: &Context<'_>, written: &Written) -> Result<(), CliError> {
    if context.json() {
        return output::json(written);
    }
    output::line(&written.id.to_hex())
}

fn read_text() -> Result<String, CliError> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(MAX_TEXT)
        .read_to_string(&mut text)
        .map_err(CliError::file("cannot read the text"))?;
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

fn messages(account: &Account, conversation: &Conversation) -> String {
    format!(
        "/accounts/{}/conversations/{}/messages",
        account.account, conversation.id
    )
}

async fn delivery(
    context: &Context<'_>,
    messages: &str,
    id: &CommitId,
) -> Result<DeliveryReport, CliError> {
    let path = format!("{messages}/{id}/delivery");
    context.client.get(&path).await
}

/// Which part of a conversation to show.
pub(crate) struct Part {
    pub(crate) lines: usize,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) all: bool,
}

pub(crate) async fn history(context: &Context<'_>, who: &str, part: Part) -> Result<(), CliError> {
    let client = context.client;
    let account = find::account(client, context.global).await?;
    let conversation = find::conversation(client, &account, who).await?;
    let messages = read(context, &account, &conversation, &part).await?;
    if context.json() {
        return output::json(&messages);
    }
    for message in &messages {
        show(message, &account)?;
    }
    Ok(())
}

/// Messages, oldest first; texts only unless all are wanted.
pub(crate) async fn read(
    context: &Context<'_>,
    account: &Account,
    conversation: &Conversation,
    part: &Part,
) -> Result<Vec<MessageView>, CliError> {
    let path = messages(account, conversation);
    let wanted = |message: &MessageView| {
        part.all
            || matches!(
                message.kind.as_str(),
                "text/plain" | "application/edited-message" | FILE
            )
    };
    let forward = part.after.is_some();
    let mut cursor = part.after.clone().or_else(|| part.before.clone());
    let mut found: Vec<MessageView> = Vec::new();
    loop {
        let way = if forward { "after" } else { "before" };
        let query = match &cursor {
            Some(cursor) => format!("&{way}={cursor}"),
            None => String::new(),
        };
        let limit = part.lines.saturating_add(10).clamp(1, PAGE);
        let page: MessagePage = context
            .client
            .get(&format!("{path}?limit={limit}{query}"))
            .await?;
        let mut texts = page.messages;
        texts.retain(wanted);
        let next = if forward {
            // Pages come newest first, but one after the other in time.
            texts.reverse();
            page.newer
        } else {
            page.older
        };
        found.append(&mut texts);
        match next {
            Some(next) if found.len() < part.lines => cursor = Some(next.to_hex()),
            _ => break,
        }
    }
    found.truncate(part.lines);
    if !forward {
        found.reverse();
    }
    Ok(found)
}

/// A message on a line (or more, if it has more).
pub(crate) fn show(message: &MessageView, account: &Account) -> Result<(), CliError> {
    let time = output::date(UnixTime::from_secs(message.timestamp));
    let author = message.author.to_hex();
    let author = if message.author == account.jami_id {
        "you"
    } else {
        short(&author)
    };
    let id = message.id.to_hex();
    let field = |name: &str| message.fields.get(name).map_or("", String::as_str);
    let text = match message.kind.as_str() {
        _ if !field("edit").is_empty() => {
            let original = printable(short(field("edit")));
            if message.body.is_empty() {
                format!("* deletes {original}")
            } else {
                let body = printable(&message.body).replace('\n', "\n    ");
                format!("* changes {original} to: {body}")
            }
        }
        "text/plain" if !field("react-to").is_empty() => {
            let (emoji, to) = (
                printable(&message.body),
                printable(short(field("react-to"))),
            );
            format!("* {emoji} to {to}")
        }
        "text/plain" => printable(&message.body).replace('\n', "\n    "),
        FILE => {
            let (name, size) = (field("displayName"), field("totalSize"));
            format!("* file {} ({} bytes)", printable(name), printable(size))
        }
        "member" => {
            let what = match field("action") {
                "add" => "was invited",
                "join" => "joined",
                "remove" => "left",
                "ban" => "was banned",
                "unban" => "was unbanned",
                other => other,
            };
            format!("* {} {what}", printable(short(field("uri"))))
        }
        "vote" => format!("* votes on {}", printable(short(field("uri")))),
        "application/update-profile" => "* the profile was changed".into(),
        "initial" => "* the conversation begins".into(),
        "merge" => "* histories were joined".into(),
        other => format!("* {}", printable(other)),
    };
    output::line(&format!("{time}  {}  {author:>8}  {text}", short(&id)))
}

pub(crate) async fn why(
    context: &Context<'_>,
    message: Option<String>,
    within: Option<String>,
) -> Result<(), CliError> {
    let client = context.client;
    let account = find::account(client, context.global).await?;
    let conversations: Vec<Conversation> = match within {
        Some(who) => vec![find::conversation(client, &account, &who).await?],
        None => {
            let path = format!("/accounts/{}/conversations", account.account);
            client.get(&path).await?
        }
    };
    let mut reports = Vec::new();
    for conversation in &conversations {
        let id = match &message {
            None => conversation.last,
            Some(wanted) => find_message(context, &account, conversation, wanted).await?,
        };
        if let Some(id) = id {
            let path = messages(&account, conversation);
            reports.push((conversation, id, delivery(context, &path, &id).await?));
        }
    }
    if reports.is_empty() {
        let what = message.map_or_else(|| "message".into(), |id| format!("message {id}"));
        return Err(CliError::NotFound(format!("there is no {what}")));
    }
    if context.json() {
        let reports: Vec<_> = reports
            .iter()
            .map(|(conversation, id, report)| {
                json!({
                    "conversation": conversation.id,
                    "message": id,
                    "arrived": report.arrived,
                    "devices": report.devices,
                })
            })
            .collect();
        return output::json(&reports);
    }
    for (conversation, id, report) in &reports {
        let arrived = if report.arrived {
            "has arrived"
        } else {
            "has not arrived everywhere"
        };
        let conversation = conversation.id.to_hex();
        output::line(&format!("{id} in {}: {arrived}", short(&conversation)))?;
        for device in &report.devices {
            let whose = device.account.to_hex();
            let which = device.device.map_or_else(
                || "no device known yet".to_owned(),
                |device| format!("device {}", short(&device.to_hex())),
            );
            let state = if device.delivered {
                "has it".to_owned()
            } else {
                let next = device.next_try.map_or_else(String::new, |at| {
                    format!("; tried again at {}", output::clock(at))
                });
                let tries = device.tries;
                format!("{} (tried {tries} times{next})", printable(&device.reason))
            };
            output::line(&format!("  {}, {which}: {state}", short(&whose)))?;
        }
    }
    Ok(())
}

/// A message by its id, or by the beginning of the id of one of the newest.
pub(super) async fn find_message(
    context: &Context<'_>,
    account: &Account,
    conversation: &Conversation,
    wanted: &str,
) -> Result<Option<CommitId>, CliError> {
    let path = messages(account, conversation);
    if let Ok(id) = wanted.parse::<CommitId>() {
        return match context
            .client
            .get::<MessageView>(&format!("{path}/{id}"))
            .await
        {
            Ok(message) => Ok(Some(message.id)),
            Err(CliError::Refused(_, 404)) => Ok(None),
            Err(error) => Err(error),
        };
    }
    let page: MessagePage = context.client.get(&format!("{path}?limit={PAGE}")).await?;
    let wanted = wanted.to_ascii_lowercase();
    let mut fitting = page
        .messages
        .iter()
        .map(|message| message.id)
        .filter(|id| wanted.len() >= 4 && id.to_hex().starts_with(&wanted));
    match (fitting.next(), fitting.next()) {
        (Some(_), Some(_)) => Err(CliError::Usage(format!(
            "several messages begin with {wanted}: give more of the ID"
        ))),
        (found, _) => Ok(found),
    }
}
