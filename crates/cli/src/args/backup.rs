//! What is done with backups.

use std::path::PathBuf;

use clap::Subcommand;

use super::PasswordOptions;

/// What a backup is to be.
#[derive(Debug, clap::Args)]
pub(crate) struct BackupOptions {
    /// Where to; must not be there yet
    #[arg(required = true)]
    pub(crate) file: Option<PathBuf>,
    /// Files that were sent and received, too
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) password: PasswordOptions,
}

/// What is done with backups.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupAction {
    /// Read a whole backup and check that it is as it was written; no node is needed
    Verify {
        /// The backup
        file: PathBuf,
        #[command(flatten)]
        password: PasswordOptions,
    },
    /// Show which accounts are in no backup, and how scheduled backups are doing
    Status,
    /// Have the node make backups by itself, the first one at once
    Schedule {
        /// Directory they go to
        #[arg(long, value_name = "DIR", required_unless_present = "off")]
        to: Option<PathBuf>,
        /// Hours from one to the next
        #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..))]
        every: u32,
        /// How many are kept
        #[arg(long, value_name = "COUNT", default_value_t = 7)]
        keep: u32,
        /// File with the password in its first line, which only you may read
        #[arg(long, value_name = "FILE", required_unless_present = "off")]
        password_file: Option<PathBuf>,
        /// Files that were sent and received, too
        #[arg(long)]
        all: bool,
        /// Make none any more
        #[arg(long, conflicts_with_all = ["to", "password_file"])]
        off: bool,
    },
}
