//! What is done with accounts and their passwords.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

/// Where a password comes from, if not from BARAZA_PASSWORD.
#[derive(Debug, Clone, clap::Args, Default)]
pub(crate) struct PasswordOptions {
    /// Ask for the password
    #[arg(long)]
    pub(crate) password: bool,
    /// Read the password from the first line of a file ("-": the standard input)
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    pub(crate) password_file: Option<PathBuf>,
}

/// What is done with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountAction {
    /// Make an account, without asking anybody; takes some seconds
    Create {
        /// The name others see
        #[arg(long, default_value = "")]
        name: String,
        #[command(flatten)]
        password: PasswordOptions,
        /// Wait until others can find it, at most so many seconds
        #[arg(long, value_name = "SECONDS")]
        wait: Option<u64>,
    },
    /// List the accounts
    List,
    /// Show an account
    Show,
    /// Change the name others see
    Rename {
        /// The name
        name: String,
    },
    /// Show or change what the others are told of what you do
    Settings {
        /// Whether they see that you type; off: nor do you of them
        #[arg(long, value_enum)]
        typing: Option<Switch>,
        /// Whether they see what you have read; off: nor do you of them
        #[arg(long, value_enum)]
        receipts: Option<Switch>,
        /// Up to how many bytes files are fetched by themselves; 0: none is
        #[arg(long, value_name = "BYTES")]
        auto_accept: Option<u64>,
    },
    /// Bring an account here from its archive
    Import {
        /// The archive ("-": the standard input)
        file: PathBuf,
        /// The name others see; the archive's if left out
        #[arg(long, default_value = "")]
        name: String,
        #[command(flatten)]
        password: PasswordOptions,
    },
    /// Make this a device of an account that is on another device: shows a code for that one
    /// (baraza device add, or a Jami of today), or takes a PIN from it
    Link {
        /// Ask for the PIN that the other device shows (baraza device pin, or a Jami of 2023)
        #[arg(long)]
        pin: bool,
        /// Read the PIN from the first line of a file ("-": the standard input)
        #[arg(long, value_name = "FILE", conflicts_with = "pin")]
        pin_file: Option<PathBuf>,
        /// The name others see; the account's if left out
        #[arg(long, default_value = "")]
        name: String,
        #[command(flatten)]
        password: PasswordOptions,
    },
    /// Set, change or remove the password of the account's archive on this device
    Password {
        /// Remove it
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        password: PasswordOptions,
        /// Read the new password from the first line of a file ("-": the standard input)
        #[arg(long, value_name = "FILE", conflicts_with = "remove")]
        new_password_file: Option<PathBuf>,
    },
    /// Bring accounts here from the data directory of Jami, which is only read
    ImportJami {
        /// The directory, or an account's in it; found if left out
        dir: Option<PathBuf>,
        #[command(flatten)]
        password: PasswordOptions,
        /// Go on as the same devices, which must not be used with Jami any more; without it,
        /// new devices are made from the archives
        #[arg(long = "move")]
        take_devices: bool,
    },
    /// Write the account's archive: who has it, and its password, is the account
    Export {
        /// Where to ("-": the standard output); must not be there yet
        file: PathBuf,
        #[command(flatten)]
        password: PasswordOptions,
        /// Ask for the password of the exported archive; else it is the account's
        #[arg(long)]
        new_password: bool,
    },
    /// Let the account use the network again
    Enable,
    /// Take the account off the network until it is enabled again; all can still be read
    Disable,
    /// Remove the account and everything of it from this machine
    #[command(visible_alias = "remove")]
    Delete {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}
