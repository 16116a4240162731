//! Notices of new commits.

use baraza_wire::{CommitId, ConversationId, DeviceId};
use serde::Deserialize;

use super::CommitNotice;

#[derive(Deserialize)]
struct Notice {
    commit: CommitId,
    #[serde(rename = "deviceId")]
    device: DeviceId,
    #[serde(rename = "id")]
    conversation: ConversationId,
}

pub(super) fn parse_commit(body: &str) -> Option<CommitNotice> {
    let notice: Notice = serde_json::from_str(body).ok()?;
    Some(CommitNotice {
        conversation: notice.conversation,
        commit: notice.commit,
        device: notice.device,
    })
}

pub(super) fn write_commit(notice: &CommitNotice) -> String {
    let CommitNotice {
        conversation,
        commit,
        device,
    } = notice;
    format!(r#"{{"commit":"{commit}","deviceId":"{device}","id":"{conversation}"}}"#)
}
