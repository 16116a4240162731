//! The command line.

mod access;
mod account;
mod backup;
mod conversation;
mod device;
mod doctor;
mod names;
mod network;
mod people;
mod relay;
mod run;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use self::access::{SessionAction, TokenAction, TokenPower};
pub(crate) use self::account::{AccountAction, PasswordOptions, Switch};
pub(crate) use self::backup::{BackupAction, BackupOptions};
pub(crate) use self::conversation::{ConversationAction, MessageAction};
pub(crate) use self::device::DeviceAction;
pub(crate) use self::doctor::CheckName;
pub(crate) use self::names::{NamesAction, NamesAdmin, NamesOptions};
pub(crate) use self::network::NetworkAction;
pub(crate) use self::people::{ContactAction, NameAction, RequestAction};
pub(crate) use self::relay::RelayOptions;
pub(crate) use self::run::{DEFAULT_API, LogFormat, LogOptions, PUBLIC_BOOTSTRAP, RunOptions};
use crate::error::EXIT_CODES;

/// Talk with no server that owns you.
///
/// Without a command, runs the node. Keep it running; in another terminal, make an account
/// (`baraza account create`), add somebody (`baraza contact add`) and talk (`baraza chat`).
#[derive(Debug, Parser)]
#[command(name = "baraza", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
}

/// What all commands take.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// Where the node keeps everything [default: $XDG_DATA_HOME/baraza]
    #[arg(
        long,
        global = true,
        env = "BARAZA_DATA_DIR",
        value_name = "DIR",
        help_heading = "Everywhere"
    )]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print JSON: one object or array, or one object a line
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
    /// Which account: its Jami ID or local name, or the beginning of one, if there are several
    #[arg(
        long,
        global = true,
        env = "BARAZA_ACCOUNT",
        value_name = "ID",
        help_heading = "Everywhere"
    )]
    pub(crate) account: Option<String>,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Run the node
    Run(RunOptions),
    /// Be a relay: keep and serve the conversations that owners invite this node to
    Relay {
        #[command(flatten)]
        run: RunOptions,
        #[command(flatten)]
        relay: RelayOptions,
    },
    /// Make, show, move and remove accounts
    Account {
        #[command(subcommand)]
        action: AccountAction,
    },
    /// Add, show, remove and block people
    Contact {
        #[command(subcommand)]
        action: ContactAction,
    },
    /// Look up, register and show names; choose who is asked for them
    Name {
        #[command(subcommand)]
        action: NameAction,
    },
    /// Answer people who ask to become a contact
    Request {
        #[command(subcommand)]
        action: RequestAction,
    },
    /// Talk: type a line to send it; what others write is shown as it comes
    Chat {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
        /// How much of what was said before to show
        #[arg(short = 'n', long, default_value_t = 10, value_name = "COUNT")]
        lines: usize,
    },
    /// Conversations, requests and files on a screen in the terminal, or line by line
    Tui {
        /// Line by line, for screen readers and scripts: no colours, nothing moves; /help tells
        /// the commands
        #[arg(long)]
        plain: bool,
    },
    /// Send a text; it is delivered when the other can be reached
    Send {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
        /// The text; read from the standard input if left out or "-"
        text: Option<String>,
        /// The message this answers
        #[arg(long, value_name = "MESSAGE")]
        reply_to: Option<String>,
        /// Wait until it has arrived, at most so many seconds
        #[arg(long, value_name = "SECONDS")]
        wait: Option<u64>,
    },
    /// Show what was said, oldest first
    History {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
        /// How many messages at most
        #[arg(short = 'n', long, default_value_t = 50, value_name = "COUNT")]
        lines: usize,
        /// Those before this message
        #[arg(long, value_name = "MESSAGE", conflicts_with = "after")]
        before: Option<String>,
        /// Those after this message
        #[arg(long, value_name = "MESSAGE")]
        after: Option<String>,
        /// Show commits that are no texts, too
        #[arg(long)]
        all: bool,
    },
    /// Show a conversation with edits and reactions in their place, oldest first
    View {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
        /// How many entries at most
        #[arg(short = 'n', long, default_value_t = 50, value_name = "COUNT")]
        lines: usize,
        /// Those before this message
        #[arg(long, value_name = "MESSAGE", group = "place")]
        before: Option<String>,
        /// Those after this message
        #[arg(long, value_name = "MESSAGE", group = "place")]
        after: Option<String>,
        /// Those around this message
        #[arg(long, value_name = "MESSAGE", group = "place")]
        around: Option<String>,
        /// Those around the first unread message
        #[arg(long, group = "place")]
        unread: bool,
    },
    /// Seek texts and names of files in all conversations, newest first
    Search {
        /// Words, all of which must be there; "in a row", begin*. Without any: everything of
        /// the other conditions
        #[arg(default_value = "")]
        text: String,
        /// Only in this contact's or other conversation
        #[arg(long = "in", value_name = "WHO")]
        within: Option<String>,
        /// Only of this Jami ID
        #[arg(long, value_name = "ID")]
        from: Option<String>,
        /// Only these, separated by commas: text, file, media
        #[arg(long, value_name = "KINDS")]
        kind: Option<String>,
        /// Only from this day on: YYYY-MM-DD, UTC
        #[arg(long, value_name = "DATE")]
        after: Option<String>,
        /// Only before this day: YYYY-MM-DD, UTC
        #[arg(long, value_name = "DATE")]
        before: Option<String>,
        /// How many at most
        #[arg(short = 'n', long, default_value_t = 20, value_name = "COUNT")]
        lines: usize,
        /// Go on after what the last page gave as next
        #[arg(long, value_name = "NUMBER")]
        next: Option<i64>,
    },
    /// Tell that everything up to a message was read
    Read {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
        /// The last message read: its ID, or the beginning of it; the newest if left out
        message: Option<String>,
    },
    /// Show what happens, as it happens, until interrupted
    Watch {
        /// Begin after this cursor, which every event has
        #[arg(long, value_name = "CURSOR")]
        since: Option<u64>,
        /// Only these types, separated by commas
        #[arg(long, value_name = "TYPES")]
        types: Option<String>,
        /// End after so many events
        #[arg(short = 'n', long, value_name = "COUNT")]
        count: Option<usize>,
    },
    /// Open the app in your browser, signed in
    Open {
        /// Only print its address, which signs in once and within five minutes
        #[arg(long)]
        print: bool,
    },
    /// List browsers that are signed in, sign them out, set a password to sign in with
    Session {
        #[command(subcommand)]
        action: SessionAction,
    },
    /// Make tokens for bots and scripts that may do some things only; list and revoke them
    Token {
        #[command(subcommand)]
        action: TokenAction,
    },
    /// Show how the node, its accounts and its connections are
    Status,
    /// Show where the node begins in the network, or choose that
    Network {
        #[command(subcommand)]
        action: NetworkAction,
    },
    /// Test network, clock, disk, backups and the rest: what is broken, why, and what to try
    Doctor {
        /// What to test; everything if left out
        checks: Vec<CheckName>,
        /// Print a report to show to others: without IDs, names and addresses
        #[arg(long)]
        report: bool,
    },
    /// Tell why a message has not arrived everywhere, or that it has
    Why {
        /// The message; the newest of each conversation if left out
        message: Option<String>,
        /// Its contact or conversation, if you know: saves a search
        #[arg(long = "in", value_name = "WHO")]
        within: Option<String>,
    },
    /// Tell how far a message has got, to each member and each device
    Message {
        #[command(subcommand)]
        action: MessageAction,
    },
    /// Put an emoji to a message
    React {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
        /// The message: its ID, or the beginning of it
        message: String,
        /// The emoji
        emoji: String,
    },
    /// Give a text of yours another wording
    Edit {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
        /// The message: its ID, or the beginning of it
        message: String,
        /// The new text
        text: String,
    },
    /// Delete a text, reaction or file of yours; those who have it already may have read it
    Delete {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
        /// The message: its ID, or the beginning of it
        message: String,
    },
    /// Show what others see of you, or change it; or show what you see of somebody
    Profile {
        /// A contact: its ID, or the beginning of it; you if left out
        #[arg(conflicts_with_all = ["name", "picture", "no_picture"])]
        who: Option<String>,
        /// Your new name
        #[arg(long)]
        name: Option<String>,
        /// Your new picture: a JPEG or PNG
        #[arg(long, value_name = "FILE")]
        picture: Option<PathBuf>,
        /// No picture any more
        #[arg(long, conflicts_with = "picture")]
        no_picture: bool,
        /// Write the picture to a file
        #[arg(long, value_name = "FILE")]
        save_picture: Option<PathBuf>,
    },
    /// Send a file; of a recorded clip, too
    SendFile {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
        /// The file
        file: PathBuf,
        /// What others see as its name, if not its own
        #[arg(long)]
        name: Option<String>,
        /// The message this answers
        #[arg(long, value_name = "MESSAGE")]
        reply_to: Option<String>,
    },
    /// List the files of a conversation
    Files {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
    },
    /// Fetch a file from whoever has it, and print where it is
    Fetch {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
        /// The file: the ID of its message, or the beginning of it
        file: String,
        /// How many seconds to wait; it is fetched in any case
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        wait: u64,
    },
    /// Write a copy of a file, fetching it if need be
    Save {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
        /// The file: the ID of its message, or the beginning of it
        file: String,
        /// Where to; must not be there yet
        to: PathBuf,
        /// How many seconds to wait until it is here
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        wait: u64,
    },
    /// Do not fetch a file any further
    Cancel {
        /// A contact or conversation: its ID, or the beginning of it
        who: String,
        /// The file: the ID of its message, or the beginning of it
        file: String,
    },
    /// Look at conversations; make and lead groups
    Conversation {
        #[command(subcommand)]
        action: ConversationAction,
    },
    /// Look at the account's devices; bring it to further ones, name this one, revoke others
    Device {
        #[command(subcommand)]
        action: DeviceAction,
    },
    /// Write everything into one encrypted file, now or again and again
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Backup {
        #[command(flatten)]
        options: BackupOptions,
        #[command(subcommand)]
        action: Option<BackupAction>,
    },
    /// Make the data directory from a backup; there must be nothing in it yet
    Restore {
        /// The backup
        file: PathBuf,
        #[command(flatten)]
        password: PasswordOptions,
    },
    /// Serve a directory of names for Jami IDs; check it, copy it, change it
    #[command(args_conflicts_with_subcommands = true)]
    Names {
        #[command(flatten)]
        options: Box<NamesOptions>,
        #[command(subcommand)]
        action: Option<NamesAction>,
    },
    /// Run a node of the DHT alone, with a console: like dhtnode
    Dht(crate::dht::DhtArgs),
    /// Print what makes your shell complete the arguments of baraza
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the manual: a page for man(1) of each command
    Man {
        /// The directory they go to, which is made if it is not there
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

impl Action {
    /// What is done if nothing is said.
    pub(crate) fn default_run() -> Self {
        Self::Run(RunOptions::default())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn no_command_means_run_with_its_defaults() {
        let bare = Args::parse_from(["baraza"]);
        assert!(bare.action.is_none());
        let run = Args::parse_from(["baraza", "run"]);
        let Some(Action::Run(options)) = run.action else {
            panic!("another command")
        };
        assert!(options.bootstrap.is_empty());
    }
}
