//! What is done with contacts, requests and names.

use clap::Subcommand;

use super::{PasswordOptions, Switch};

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
    /// List who is in the local network, or show yourself there; see `network local`
    Nearby {
        /// Whether everybody there sees your Jami ID and name
        #[arg(long, value_enum)]
        show: Option<Switch>,
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
