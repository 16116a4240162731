//! Backups, and conversations in files.

use std::fmt;
use std::path::PathBuf;

use baraza_core::backup::Report;
use baraza_core::node::{BundleReport, JamiReport};
use baraza_wire::{CommitId, ConversationId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::Problem;

/// Asks for a backup.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBackup {
    /// Where to: an absolute path on the node's machine, where nothing is yet.
    #[schema(value_type = String)]
    pub file: PathBuf,
    /// Encrypts it; at least 8 bytes.
    pub password: String,
    /// Whether files sent and received go with it.
    #[serde(default)]
    pub files: bool,
}

impl fmt::Debug for NewBackup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewBackup")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// Backups that the node makes by itself.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupSchedule {
    /// Where they go: an absolute path on the node's machine.
    #[schema(value_type = String)]
    pub directory: PathBuf,
    /// Seconds from one to the next, at least 60.
    #[serde(deserialize_with = "crate::body::whole")]
    pub every: u64,
    /// How many are kept, at most 1000; older ones are removed.
    pub keep: u32,
    /// File with the password in its first line, which only the owner may read.
    #[schema(value_type = String)]
    pub password_file: PathBuf,
    /// Whether files sent and received go with them.
    #[serde(default)]
    pub files: bool,
}

/// How backups are doing.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct Backups {
    /// Those made without being asked for, if any.
    pub schedule: Option<BackupSchedule>,
    /// When the last of those was made; milliseconds since 1970.
    pub last: Option<u64>,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
    /// Jami IDs of accounts that are in no backup and were never exported.
    pub never: Vec<String>,
}

/// A backup that was made.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct BackupMade {
    /// Accounts in it, by Jami ID.
    pub accounts: Vec<String>,
    /// Conversations in it.
    pub conversations: u64,
    /// Files in it, all kinds together.
    pub entries: u64,
    /// Bytes of these.
    pub content: u64,
    /// Bytes of the backup.
    pub size: u64,
}

impl From<Report> for BackupMade {
    fn from(report: Report) -> Self {
        let accounts = report.manifest.accounts.into_iter();
        Self {
            accounts: accounts.map(|account| account.jami_id.to_hex()).collect(),
            conversations: report.conversations,
            entries: report.entries,
            content: report.content,
            size: report.size,
        }
    }
}

/// A line of the answer while a backup is made.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackupProgress {
    /// So many files and bytes are written.
    Written(u64, u64),
    /// It is complete.
    Made(BackupMade),
    /// There is none.
    Error(Problem),
}

/// Asks for a whole backup to be restored.
#[derive(Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreBackup {
    /// An absolute path on the node's machine; the backup that was handed over if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub file: Option<PathBuf>,
    /// The backup's password.
    pub password: String,
}

impl fmt::Debug for RestoreBackup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestoreBackup")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// A line of the answer while a backup is restored.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestoreProgress {
    /// So many files and bytes are read.
    Read(u64, u64),
    /// It is complete; the node starts again.
    Restored(BackupMade),
    /// Nothing came of it.
    Error(Problem),
}

/// Asks for a conversation in a file.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportConversation {
    /// Where to: an absolute path on the node's machine, where nothing is yet.
    #[schema(value_type = String)]
    pub file: PathBuf,
    /// Only what came after this: the mark of an earlier export, or `last`.
    #[serde(default)]
    pub since: Option<String>,
}

/// Asks to take in a conversation from a file.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportConversation {
    /// An absolute path on the node's machine.
    #[schema(value_type = String)]
    pub file: PathBuf,
}

/// A conversation, or a part of it, in a file.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct BundleInfo {
    /// Which conversation.
    #[schema(value_type = super::ids::ConversationId)]
    pub conversation: ConversationId,
    /// Its newest message: give it as `since` the next time.
    #[schema(value_type = super::ids::MessageId)]
    pub mark: CommitId,
    /// What a receiver must have already.
    #[schema(value_type = Option<super::ids::MessageId>)]
    pub since: Option<CommitId>,
    /// Bytes of content.
    pub bytes: u64,
    /// Messages and other commits that were not here yet; when importing.
    pub news: u64,
    /// When it was made; milliseconds since 1970.
    pub created: u64,
}

impl From<BundleReport> for BundleInfo {
    fn from(report: BundleReport) -> Self {
        Self {
            conversation: report.conversation,
            mark: report.mark,
            since: report.since,
            bytes: report.bytes,
            news: report.news,
            created: report.created.millis(),
        }
    }
}

/// Asks for the accounts of Jami on this machine.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportJami {
    /// Jami's data directory, or an account's in it, as an absolute path on the node's machine;
    /// found by the rules of the system if left out.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    pub directory: Option<PathBuf>,
    /// Opens archives that have a password.
    #[serde(default)]
    pub password: String,
    /// Go on as the devices that are there instead of making new ones. They must not be used
    /// there any more.
    #[serde(default)]
    pub take_devices: bool,
}

impl fmt::Debug for ImportJami {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportJami")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

/// An account of Jami, and what came of it.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct JamiAccount {
    /// Its directory there.
    pub directory: String,
    /// Its Jami ID, if it could be found out.
    pub jami_id: Option<String>,
    /// Its local name here; none if it was not imported.
    pub account: Option<String>,
    /// Whether this is the same device as there.
    pub same_device: bool,
    /// Contacts taken over, removed and blocked ones too.
    pub contacts: u64,
    /// Requests taken over.
    pub requests: u64,
    /// Conversations taken over with their history.
    pub conversations: u64,
    /// Messages and other commits in these.
    pub commits: u64,
    /// Files that were sent and received, with their contents.
    pub files: u64,
    /// Profiles: one's own, and those of others.
    pub profiles: u64,
    /// Conversations that are fetched from others, as they could not be taken over.
    pub fetched_later: u64,
    /// What could not be used, and why.
    pub problems: Vec<String>,
}

/// What came of bringing accounts here.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct JamiImported {
    /// Where they were read from.
    #[schema(value_type = String)]
    pub directory: PathBuf,
    /// Each account there.
    pub accounts: Vec<JamiAccount>,
}

impl From<JamiReport> for JamiImported {
    fn from(report: JamiReport) -> Self {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let accounts = report.accounts.into_iter().map(|account| JamiAccount {
            directory: account.directory,
            jami_id: account.jami_id.map(|id| id.to_hex()),
            account: account.account.map(|id| id.to_string()),
            same_device: account.same_device,
            contacts: count(account.contacts),
            requests: count(account.requests),
            conversations: count(account.conversations),
            commits: count(account.commits),
            files: count(account.files),
            profiles: count(account.profiles),
            fetched_later: count(account.fetched_later),
            problems: account.problems,
        });
        Self {
            accounts: accounts.collect(),
            directory: report.directory,
        }
    }
}

/// A line of the answer while accounts are brought here.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JamiProgress {
    /// What is being done.
    Step(String),
    /// It is done.
    Report(JamiImported),
    /// Nothing was done.
    Error(Problem),
}
