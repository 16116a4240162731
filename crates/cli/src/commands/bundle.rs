//! Conversations in files.

use std::path::Path;

use baraza_api::types::Conversation;
use baraza_api::types::keep::{BundleInfo, ExportConversation, ImportConversation};

use super::Context;
use crate::error::CliError;
use crate::output;

pub(crate) async fn export(
    context: &Context<'_>,
    base: &str,
    conversation: &Conversation,
    file: &Path,
    since: Option<String>,
) -> Result<(), CliError> {
    let body = ExportConversation {
        file: std::path::absolute(file)?,
        since,
    };
    let path = format!("{base}/{}/export", conversation.id);
    let made: BundleInfo = context.client.post(&path, &body).await?;
    if context.json() {
        return output::json(&made);
    }
    let (file, bytes, mark) = (file.display(), made.bytes, made.mark);
    output::line(&format!(
        "Wrote {file}, {bytes} bytes. The new mark: {mark}"
    ))
}

pub(crate) async fn import(context: &Context<'_>, base: &str, file: &Path) -> Result<(), CliError> {
    let body = ImportConversation {
        file: std::path::absolute(file)?,
    };
    let made: BundleInfo = context
        .client
        .post(&format!("{base}/import"), &body)
        .await?;
    if context.json() {
        return output::json(&made);
    }
    let (news, id, mark) = (made.news, made.conversation, made.mark);
    output::line(&format!("{news} new in {id}, up to {mark}"))
}
