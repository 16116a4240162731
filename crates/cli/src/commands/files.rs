//! Files: sending, listing, fetching and saving them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use baraza_api::types::{Account, Conversation, FileView, Written};
use baraza_core::FileStatus;
use baraza_wire::UnixTime;
use hyper::Method;
use serde_json::json;

use super::Context;
use crate::error::CliError;
use crate::find;
use crate::output::{self, Progress, printable, short};

fn files(account: &Account, conversation: &Conversation) -> String {
    format!(
        "/accounts/{}/conversations/{}/files",
        account.account, conversation.id
    )
}

async fn base(context: &Context<'_>, who: &str) -> Result<String, CliError> {
    let account = find::account(context.client, context.global).await?;
    let conversation = find::conversation(context.client, &account, who).await?;
    Ok(files(&account, &conversation))
}

/// The file whose message begins so.
async fn find_file(context: &Context<'_>, base: &str, wanted: &str) -> Result<FileView, CliError> {
    let list: Vec<FileView> = context.client.get(base).await?;
    let wanted = wanted.to_ascii_lowercase();
    let mut fitting = list
        .into_iter()
        .filter(|file| wanted.len() >= 4 && file.message.to_hex().starts_with(&wanted));
    match (fitting.next(), fitting.next()) {
        (Some(_), Some(_)) => Err(CliError::Usage(format!(
            "several files begin with {wanted}: give more of the ID"
        ))),
        (Some(file), None) => Ok(file),
        (None, _) => Err(CliError::NotFound(format!("there is no file {wanted}"))),
    }
}

pub(crate) async fn send(
    context: &Context<'_>,
    who: &str,
    path: &Path,
    name: Option<String>,
    reply_to: Option<String>,
) -> Result<(), CliError> {
    let base = base(context, who).await?;
    let name = name.or_else(|| Some(path.file_name()?.to_string_lossy().into_owned()));
    let name = name.ok_or_else(|| CliError::Usage("the file has no name".into()))?;
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("name", &name);
    if let Some(message) = reply_to {
        query.append_pair("reply_to", &message);
    }
    let query = query.finish();
    let written: Written = {
        let _progress = Progress::new("Reading the file", context.json());
        let to = format!("{base}?{query}");
        context.client.upload(&to, path).await?
    };
    if context.json() {
        return output::json(&written);
    }
    output::line(&written.id.to_hex())
}

pub(crate) async fn list(context: &Context<'_>, who: &str) -> Result<(), CliError> {
    let base = base(context, who).await?;
    let list: Vec<FileView> = context.client.get(&base).await?;
    if context.json() {
        return output::json(&list);
    }
    for file in list.iter().rev() {
        let (time, id) = (
            output::date(UnixTime::from_secs(file.time)),
            file.message.to_hex(),
        );
        let status = match file.status {
            FileStatus::Offered => "offered".to_owned(),
            FileStatus::Waiting | FileStatus::Ongoing if file.received > 0 => {
                let percent = file.received.saturating_mul(100) / file.size.max(1);
                format!("{percent} %")
            }
            FileStatus::Waiting | FileStatus::Ongoing => "waiting".to_owned(),
            FileStatus::Here => "here".to_owned(),
            FileStatus::Deleted => "deleted".to_owned(),
        };
        let (name, size) = (printable(&file.name), file.size);
        let id = short(&id);
        output::line(&format!("{id}  {time}  {status:>8}  {size:>12}  {name}"))?;
    }
    Ok(())
}

/// Fetches a file if it is not here, waits for it, and writes a copy to `to`.
pub(crate) async fn save(
    context: &Context<'_>,
    who: &str,
    file: &str,
    to: Option<PathBuf>,
    wait: u64,
) -> Result<(), CliError> {
    let base = base(context, who).await?;
    let mut file = find_file(context, &base, file).await?;
    let path = format!("{base}/{}", file.message);
    if file.status != FileStatus::Here {
        let mut events = context.client.events(None, Some("file_changed")).await?;
        let accept = format!("{path}/accept");
        let () = context
            .client
            .call(Method::POST, &accept, None::<&()>)
            .await?;
        let progress = Progress::new("Waiting for somebody who has it", context.json());
        let fetching = async {
            loop {
                file = context.client.get(&path).await?;
                if file.status == FileStatus::Here {
                    return Ok::<_, CliError>(());
                }
                if file.received > 0 {
                    progress.say(format!("{} of {} bytes", file.received, file.size));
                }
                events.next().await?;
            }
        };
        match tokio::time::timeout(Duration::from_secs(wait), fetching).await {
            Ok(result) => result?,
            Err(_elapsed) => {
                let text = "the file is fetched when somebody is there who has it: baraza files";
                return Err(CliError::TimedOut(text.into()));
            }
        }
    }
    if let Some(to) = &to {
        let content = format!("{path}/content");
        context.client.download(&content, to).await?;
    }
    if context.json() {
        return output::json(&json!({ "file": file, "saved": to }));
    }
    let here = to.or(file.path).unwrap_or_default();
    output::line(&here.display().to_string())
}

pub(crate) async fn cancel(context: &Context<'_>, who: &str, file: &str) -> Result<(), CliError> {
    let base = base(context, who).await?;
    let file = find_file(context, &base, file).await?;
    let path = format!("{base}/{}/cancel", file.message);
    context.client.call(Method::POST, &path, None::<&()>).await
}
