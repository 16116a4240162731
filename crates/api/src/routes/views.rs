//! The history as people see it, and search.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use baraza_core::view::{PageAt, Search, SearchKind};
use baraza_core::{Command, Reply};
use serde::Deserialize;

use super::{contact_id, conversation_id, message_id, unexpected};
use crate::body::Params;
use crate::error::ApiError;
use crate::server::State;
use crate::types::{EntryPage, SearchPage};

/// Entries on a page if the request does not say.
const DEFAULT_PAGE: usize = 50;
/// Results on a page if the request does not say.
const DEFAULT_FOUND: usize = 20;

/// Which part of the history.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    before: Option<String>,
    after: Option<String>,
    around: Option<String>,
    unread: Option<bool>,
    limit: Option<usize>,
}

/// The history as people see it, newest first: edits, deletions and reactions are part of
/// what they are of, and it says how far each message has got. At most one of `before`,
/// `after`, `around` and `unread`; the newest entries without any.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/conversations/{conversation}/entries",
    tag = "messages", params(("account" = String, Path, description = "Local name or Jami ID"),
        ("conversation" = String, Path, description = "Its id"),
        ("before" = Option<String>, Query, description = "Older than this message"),
        ("after" = Option<String>, Query, description = "Newer than this message"),
        ("around" = Option<String>, Query, description = "This message in the middle"),
        ("unread" = Option<bool>, Query, description = "The first unread one in the middle"),
        ("limit" = Option<usize>, Query, description = "How many: 1 to 1000, or 50")),
    responses((status = 200, body = EntryPage), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn entries(
    Shared(state): Shared<Arc<State>>,
    Path((account, conversation)): Path<(String, String)>,
    Params(part): Params<Part>,
) -> Result<Json<EntryPage>, ApiError> {
    let account = state.account(&account)?;
    let unread = part.unread.unwrap_or_default();
    let at = match (part.before, part.after, part.around, unread) {
        (None, None, None, false) => PageAt::Newest,
        (Some(id), None, None, false) => PageAt::Before(message_id(&id)?),
        (None, Some(id), None, false) => PageAt::After(message_id(&id)?),
        (None, None, Some(id), false) => PageAt::Around(message_id(&id)?),
        (None, None, None, true) => PageAt::FirstUnread,
        _ => {
            let message = "give one of \"before\", \"after\", \"around\" and \"unread\"";
            return Err(ApiError::bad_request("bad_query", message));
        }
    };
    let command = Command::View {
        conversation: conversation_id(&conversation)?,
        at,
        count: part.limit.unwrap_or(DEFAULT_PAGE),
    };
    match state.ask(account, command).await? {
        Reply::View(page) => Ok(Json(page.into())),
        other => Err(unexpected(other)),
    }
}

/// What is sought.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    #[serde(default)]
    text: String,
    conversation: Option<String>,
    author: Option<String>,
    kind: Option<String>,
    #[serde(default, deserialize_with = "crate::body::maybe_whole")]
    after: Option<u64>,
    #[serde(default, deserialize_with = "crate::body::maybe_whole")]
    before: Option<u64>,
    next: Option<i64>,
    limit: Option<usize>,
}

/// Seeks texts and names of files in all conversations, newest first; edited ones are found
/// by their newest wording, deleted ones not at all. Without `text` everything of the other
/// conditions: `kind=file` lists the files.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/search", tag = "messages",
    params(("account" = String, Path, description = "Local name or Jami ID"),
        ("text" = Option<String>, Query, description = "Words, all of which must be there, \
            without regard to case and accents; `\"in a row\"`, `begin*`"),
        ("conversation" = Option<String>, Query, description = "Only there"),
        ("author" = Option<String>, Query, description = "Only of this Jami ID"),
        ("kind" = Option<String>, Query, example = "file",
            pattern = "^(text|file|media)?(,(text|file|media)?)*$", description = "`text`, `file` or `media`, or several \
            separated by commas"),
        ("after" = Option<u64>, Query, description = "From this second since 1970 on"),
        ("before" = Option<u64>, Query, description = "Before this second since 1970"),
        ("next" = Option<i64>, Query, description = "What the page before gave as `next`"),
        ("limit" = Option<usize>, Query, description = "How many: 1 to 200, or 20")),
    responses((status = 200, body = SearchPage), (status = 404, body = crate::error::Problem)))]
pub(crate) async fn search(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
    Params(wanted): Params<Wanted>,
) -> Result<Json<SearchPage>, ApiError> {
    let account = state.account(&account)?;
    let kinds = wanted.kind.as_deref().unwrap_or_default().split(',');
    let kinds = kinds
        .filter(|kind| !kind.is_empty())
        .map(|kind| match kind {
            "text" => Ok(SearchKind::Text),
            "file" => Ok(SearchKind::File),
            "media" => Ok(SearchKind::Media),
            _ => Err(ApiError::bad_request(
                "bad_query",
                "\"kind\" is text, file or media",
            )),
        });
    let conversation = wanted.conversation.as_deref().map(conversation_id);
    let search = Search {
        text: wanted.text,
        conversation: conversation.transpose()?,
        author: wanted.author.as_deref().map(contact_id).transpose()?,
        kinds: kinds.collect::<Result<_, _>>()?,
        after: wanted.after,
        before: wanted.before,
        below: wanted.next,
        count: wanted.limit.unwrap_or(DEFAULT_FOUND),
    };
    match state.ask(account, Command::Search(search)).await? {
        Reply::Found(page) => Ok(Json(page.into())),
        other => Err(unexpected(other)),
    }
}
