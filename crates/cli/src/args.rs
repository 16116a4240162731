//! The command line.

mod doctor;
mod names;
mod network;
mod relay;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use self::doctor::CheckName;
pub(crate) use self::names::{NamesAction, NamesAdmin, NamesOptions};
pub(crate) use self::network::NetworkAction;
pub(crate) use self::relay::RelayOptions;
use crate::error::EXIT_CODES;

/// Where nodes begin if nothing else is said: the network of today's Jami.
pub(crate) const PUBLIC_BOOTSTRAP: &str = "bootstrap.jami.net:4222";
/// Where the API listens if nothing else is said and the port is free.
pub(crate) const DEFAULT_API: &str = "127.0.0.1:8222";

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
#[derive(Debug, clap::Args)]
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
}

impl Action {
    /// What is done if nothing is said.
    pub(crate) fn default_run() -> Self {
        Self::Run(RunOptions::default())
    }
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One object a line
    Json,
}

/// What a server logs.
#[derive(Debug, Clone, clap::Args, Default)]
pub(crate) struct LogOptions {
    /// How logs look, on the standard error
    #[arg(long, value_enum, default_value_t)]
    pub(crate) log: LogFormat,
    /// What to log: error, warn, info, debug, or per module
    #[arg(
        long,
        value_name = "FILTER",
        env = "BARAZA_LOG",
        default_value = "info"
    )]
    pub(crate) log_level: String,
}

/// How the node runs.
#[derive(Debug, Clone, clap::Args, Default)]
pub(crate) struct RunOptions {
    /// DHT node to begin with; may be given several times
    #[arg(long, value_name = "HOST:PORT", default_value = PUBLIC_BOOTSTRAP)]
    pub(crate) bootstrap: Vec<String>,
    /// Begin with no DHT node: others find this one, or nobody does
    #[arg(long, conflicts_with = "bootstrap")]
    pub(crate) no_bootstrap: bool,
    /// UDP port of the DHT; any free one if 0
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) listen: u16,
    /// Use the loopback interface only, for tests
    #[arg(long, hide = true)]
    pub(crate) loopback: bool,
    /// Where the API listens [default: 127.0.0.1:8222, or any free port if that is in use]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) api: Option<SocketAddr>,
    /// Name by which the API may be asked beside loopback's; without one it listens on
    /// loopback only
    #[arg(long, value_name = "NAME")]
    pub(crate) api_host: Vec<String>,
    /// Serve the local API of the existing Jami client beside our own, for its bots (with
    /// tokens of `baraza token create`)
    #[arg(long)]
    pub(crate) compat_api: bool,
    #[command(flatten)]
    pub(crate) logs: LogOptions,
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

/// What is done with names.
#[derive(Debug, Subcommand)]
pub(crate) enum NameAction {
    /// Tell whose a name is
    Lookup {
        /// The name; or name@server, for one at another server
        name: String,
        /// Ask the server though the answer is known
        #[arg(long)]
        fresh: bool,
    },
    /// Register a name for the account, for ever
    Register {
        /// The name: 3 to 32 letters, digits, - and _
        name: String,
        #[command(flatten)]
        password: PasswordOptions,
    },
    /// Show which server is asked for names, or choose it
    Server {
        /// Its address, as names.example.com; "default" for the public one of Jami; "none"
        server: Option<String>,
        /// Whether answers without the owner's signature are believed
        #[arg(long, value_enum)]
        unsigned: Option<Switch>,
    },
    /// Show your registered name, or somebody's
    Show {
        /// A contact, or any Jami ID; you if left out
        who: Option<String>,
        /// Ask the server though the answer is known
        #[arg(long)]
        fresh: bool,
    },
}

/// What is done with contacts.
#[derive(Debug, Subcommand)]
pub(crate) enum ContactAction {
    /// Add somebody and ask them
    Add {
        /// Their Jami ID or registered name, name@server, or what a code of theirs says
        id: String,
        /// A note that goes with the request
        #[arg(long, default_value = "")]
        message: String,
    },
    /// List the contacts
    List {
        /// Blocked ones, too
        #[arg(long)]
        all: bool,
    },
    /// Remove a contact and the conversation with it
    Remove {
        /// Its Jami ID, or the beginning of it
        id: String,
    },
    /// Block somebody: nothing of them arrives any more
    Block {
        /// Their Jami ID, or the beginning of a contact's
        id: String,
    },
    /// Show the devices of somebody, and whether their Jami ID was compared
    Devices {
        /// Their Jami ID, or the beginning of a contact's
        id: String,
    },
    /// Note that you compared a Jami ID with what its owner showed you, on another way
    Verify {
        /// Their Jami ID, or the beginning of a contact's
        id: String,
        /// It does not count any more
        #[arg(long)]
        undo: bool,
    },
    /// Unblock somebody: they are a contact again
    Unblock {
        /// Their Jami ID, or the beginning of it
        id: String,
    },
}

/// What is done with devices.
#[derive(Debug, Subcommand)]
pub(crate) enum DeviceAction {
    /// Bring the account to the new device that shows this code (jami-auth://...)
    Add {
        /// The code; read from the first line of the standard input if "-"
        code: String,
        /// Do not ask whether it is your device
        #[arg(long)]
        yes: bool,
    },
    /// List the devices of the account
    List,
    /// Show a PIN, with which another device becomes one of the account, for ten minutes
    Pin {
        #[command(flatten)]
        password: PasswordOptions,
    },
    /// Give this device a name
    Rename {
        /// The name
        name: String,
    },
    /// Revoke another device, which was lost or stolen: it is refused from now on, for ever
    Revoke {
        /// Its ID, or the beginning of it
        device: String,
        #[command(flatten)]
        password: PasswordOptions,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// What is done with requests.
#[derive(Debug, Subcommand)]
pub(crate) enum RequestAction {
    /// List the requests that await an answer
    List,
    /// Accept, and wait until the conversation is there
    Accept {
        /// Who asks, or the conversation: its ID, or the beginning of it
        who: String,
        /// How many seconds to wait; 0: not at all
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        wait: u64,
    },
    /// Decline; the asker is not told
    Decline {
        /// Who asks, or the conversation: its ID, or the beginning of it
        who: String,
    },
    /// Decline and block who asks
    Block {
        /// Who asks, or the conversation: its ID, or the beginning of it
        who: String,
    },
}

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
        assert_eq!(options.bootstrap, [PUBLIC_BOOTSTRAP]);
    }
}
