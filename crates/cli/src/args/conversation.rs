//! What is done with conversations and messages.

use std::path::PathBuf;

use clap::Subcommand;

/// What is done with messages.
#[derive(Debug, Subcommand)]
pub(crate) enum MessageAction {
    /// Who has it, who has read it, and what the others wait for
    Status {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
        /// The message: its ID, or the beginning of it; the newest if left out
        message: Option<String>,
    },
}

/// What is done with conversations.
#[derive(Debug, Subcommand)]
pub(crate) enum ConversationAction {
    /// List the conversations
    List,
    /// Who is in a conversation
    Members {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
    },
    /// Make a group, and invite people to it
    Create {
        /// What it is called
        #[arg(long, default_value = "")]
        title: String,
        /// 1: by name only admins invite, 2: the usual kind, 3: by name public
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=3))]
        mode: u8,
        /// Jami IDs of those invited
        members: Vec<String>,
    },
    /// Invite somebody to a group, or again; takes a banned member back
    Invite {
        /// The group: its ID, or the beginning of it
        who: String,
        /// Whom: the Jami ID
        member: String,
    },
    /// Throw somebody out of a group; with several admins, vote for it
    Ban {
        /// The group: its ID, or the beginning of it
        who: String,
        /// Whom: the Jami ID
        member: String,
    },
    /// Show or change title, description and picture of a group
    Profile {
        /// The group: its ID, or the beginning of it
        who: String,
        /// A new title; an empty one removes it
        #[arg(long)]
        title: Option<String>,
        /// A new description; an empty one removes it
        #[arg(long)]
        description: Option<String>,
        /// The Jami ID of the account whose device hosts conferences; an empty one removes it
        #[arg(long, value_name = "ID", requires = "host_device")]
        host: Option<String>,
        /// That device
        #[arg(long, value_name = "ID", requires = "host")]
        host_device: Option<String>,
    },
    /// Set the own copy of a conversation aside and clone it anew from a member; own texts that
    /// are not in that are written again
    Rejoin {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
        /// The Jami ID of the member to clone from; an admin if left out
        #[arg(long, value_name = "ID")]
        from: Option<String>,
    },
    /// Show or set how a conversation is shown, on all your devices
    Set {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
        /// As `color=#123456`, `symbol=🌳` or `ignoreNotifications=true`; `color=` removes it
        preferences: Vec<String>,
    },
    /// Leave a conversation, and remove it here
    Leave {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
    },
    /// Write a conversation, or what is new in it, to a file for devices that never meet
    Export {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
        /// Where to; must not be there yet
        file: PathBuf,
        /// Only what came after this mark, which every export prints, or "last"
        #[arg(long, value_name = "MARK")]
        since: Option<String>,
    },
    /// Take in a conversation, or what is new in it, from such a file
    Import {
        /// The file
        file: PathBuf,
    },
    /// Check every commit of a conversation's repository; no node is needed
    Verify {
        /// The repository's directory
        dir: PathBuf,
    },
}
