//! What is done with devices.

use clap::Subcommand;

use super::PasswordOptions;

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
