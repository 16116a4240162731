//! Who may ask the node: browsers and programs.

use clap::{Subcommand, ValueEnum};

use super::PasswordOptions;

/// What is done with browsers that are signed in.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionAction {
    /// List them
    List,
    /// Sign one out
    Revoke {
        /// Its number
        session: u64,
    },
    /// Set the password to sign in with, of ten characters or more
    Password {
        #[command(flatten)]
        password: PasswordOptions,
        /// Have none any more
        #[arg(long, conflicts_with_all = ["password", "password_file"])]
        remove: bool,
    },
}

/// What is done with tokens of programs.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenAction {
    /// Make one, and print it: it is shown only this once
    Create {
        /// What it is for
        label: String,
        /// What it may do; may be given several times
        #[arg(long, value_enum, required = true)]
        scope: Vec<TokenPower>,
        /// Only for the account (--account), not for all
        #[arg(long)]
        bound: bool,
        /// Only for this contact's or other conversation; may be given several times
        #[arg(long = "in", value_name = "WHO")]
        within: Vec<String>,
        /// For how many days [default: 90]
        #[arg(long, value_name = "DAYS", conflicts_with = "never_expires")]
        days: Option<u64>,
        /// Until it is revoked
        #[arg(long)]
        never_expires: bool,
    },
    /// List them
    List,
    /// Revoke one, and those that were made with it
    Revoke {
        /// Its ID, or the beginning of it
        token: String,
    },
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenPower {
    /// Read accounts, conversations, contacts, files and events
    Read,
    /// Act in conversations: texts, files, reactions, groups, requests
    Send,
    /// Everything else
    Admin,
}
