//! Which rule a commit breaks, by name.

use std::fmt;

use baraza_wire::{CommitId, DeviceId};

/// The rules of docs/protocol/05-swarm.md section 5, strict column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// The bytes are a commit of the form of section 3.1.
    Format,
    /// G1: exactly one valid signature of the author's device.
    Signature,
    /// G2: the author's device is in the tree.
    Device,
    /// G3: the device's account is a member, its certificate is its own.
    Member,
    /// G4: the device certificate is signed by the account's.
    Issuer,
    /// G5: the device certificate is for the key it is named after.
    DeviceName,
    /// G6: neither certificate had expired.
    Expired,
    /// G7: author and committer are the same device at the same time.
    Author,
    /// G8: the tree holds only plain files, of harmless names, in few levels, of modest size.
    Tree,
    /// G9: there is one root, and it is the conversation's.
    Root,
    /// The message can be read (sections 3.3 and 5.9).
    Message,
    /// Section 5.3.
    Initial,
    /// Section 5.4.
    Add,
    /// Section 5.5.
    Join,
    /// Section 5.6.
    Remove,
    /// Section 5.7.
    Vote,
    /// Section 5.8, ban.
    Ban,
    /// Section 5.8, unban.
    Unban,
    /// Section 5.9: who may change the profile, and nothing else.
    Profile,
    /// Section 5.9: what may be edited by whom.
    Edit,
    /// Section 5.9: changes of documents.
    Document,
    /// Section 5.9: which files may change.
    Files,
    /// Section 5.10.
    Merge,
    /// More than anybody honest sends (section 12.3).
    Limit,
}

impl Rule {
    /// A short name for logs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Signature => "G1 signature",
            Self::Device => "G2 device",
            Self::Member => "G3 member",
            Self::Issuer => "G4 issuer",
            Self::DeviceName => "G5 device name",
            Self::Expired => "G6 expired",
            Self::Author => "G7 author",
            Self::Tree => "G8 tree",
            Self::Root => "G9 root",
            Self::Message => "message",
            Self::Initial => "initial",
            Self::Add => "add",
            Self::Join => "join",
            Self::Remove => "remove",
            Self::Vote => "vote",
            Self::Ban => "ban",
            Self::Unban => "unban",
            Self::Profile => "profile",
            Self::Edit => "edit",
            Self::Document => "document",
            Self::Files => "files",
            Self::Merge => "merge",
            Self::Limit => "limit",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A commit that breaks a rule; nothing that builds on it can be taken either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("commit {commit}: {rule}: {text}")]
pub struct Refused {
    /// Which commit.
    pub commit: CommitId,
    /// Which rule.
    pub rule: Rule,
    /// What exactly is wrong.
    pub text: String,
    /// The device that wrote it, as the commit says, which proves nothing.
    pub author: Option<DeviceId>,
}
