//! The arguments of `baraza webhook`.

use clap::Subcommand;

/// What is done with webhooks.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhookAction {
    /// Add an address that is told what happens; prints the secret that signs it, which is
    /// shown only this once
    Add {
        /// Where events are sent to: https://..., or http://... on this machine
        url: String,
        /// What it is for
        #[arg(long, default_value = "")]
        label: String,
        /// Only this type of events, such as message_received; may be given several times
        #[arg(long = "event", value_name = "TYPE")]
        types: Vec<String>,
        /// Only of the account (--account), not of all
        #[arg(long)]
        bound: bool,
        /// Only of this contact's or other conversation; may be given several times
        #[arg(long = "in", value_name = "WHO")]
        within: Vec<String>,
        /// Events after this cursor, which the status of the node has; from now on if left out
        #[arg(long, value_name = "CURSOR")]
        since: Option<u64>,
    },
    /// List them: how far each is, and why it takes nothing
    List,
    /// Remove one
    Remove {
        /// Its ID, or the beginning of it
        webhook: String,
    },
    /// Send an event of the type "test" to one, and say what came of it
    Test {
        /// Its ID, or the beginning of it
        webhook: String,
    },
    /// Go on with one that was given up, or that waits after a failure
    Enable {
        /// Its ID, or the beginning of it
        webhook: String,
    },
}
