//! `baraza-api`.

use baraza_api::body::parse;
use baraza_api::types::{
    AddContact, ChangeAccount, ExportAccount, ImportAccount, MarkRead, NewAccount, NewMessage,
    NewToken, NewWebhook,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The body of a request, as each of those there are.
pub(crate) fn api_json(data: &[u8]) -> bool {
    [
        body::<AddContact>,
        body::<ChangeAccount>,
        body::<ExportAccount>,
        body::<ImportAccount>,
        body::<MarkRead>,
        body::<NewAccount>,
        body::<NewMessage>,
        body::<NewToken>,
        body::<NewWebhook>,
    ]
    .into_iter()
    .filter(|try_as| try_as(data))
    .count()
        > 0
}

fn body<T: DeserializeOwned + Serialize>(data: &[u8]) -> bool {
    let Ok(value) = parse::<T>(data) else {
        return false;
    };
    let written = serde_json::to_vec(&value).unwrap_or_else(|e| panic!("can be written: {e}"));
    let again: T = parse(&written).unwrap_or_else(|e| panic!("what was written reads: {e}"));
    let again = serde_json::to_vec(&again).unwrap_or_else(|e| panic!("can be written: {e}"));
    assert_eq!(written, again, "the same is written again");
    true
}
