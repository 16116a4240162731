//! The options of `baraza relay`.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::PasswordOptions;

/// Whom a relay serves, and how much it takes. All of it can be in relay.json, too.
#[derive(Debug, Clone, clap::Args, Default)]
pub(crate) struct RelayOptions {
    /// Whose invitations it accepts; may be given several times
    #[arg(long, value_name = "JAMI_ID")]
    pub(crate) owner: Vec<String>,
    /// Accept invitations of everybody, as long as there is room
    #[arg(long)]
    pub(crate) open: bool,
    /// The name others see, or of the device if it is a further one [default: Relay]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// At the first start, become a further device of the account in this archive instead of
    /// making an account
    #[arg(long, value_name = "FILE", group = "further")]
    pub(crate) archive: Option<PathBuf>,
    /// At the first start, become a further device of the account of another device, which is
    /// given the code that is shown (baraza device add, or a Jami of today)
    #[arg(long, group = "further")]
    pub(crate) link: bool,
    /// The same with the PIN that the other device shows (baraza device pin, or a Jami of
    /// 2023), which is asked for
    #[arg(long, group = "further")]
    pub(crate) link_pin: bool,
    /// The same with the PIN in the first line of a file ("-": the standard input)
    #[arg(long, value_name = "FILE", group = "further")]
    pub(crate) link_pin_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) password: PasswordOptions,
    /// Settings [default: relay.json in the data directory, if it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where health and metrics are; loopback only [default: 127.0.0.1:8223]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) monitor: Option<SocketAddr>,
    /// Most MiB of one conversation, which gets no longer then [default: 1024]
    #[arg(long, value_name = "MIB")]
    pub(crate) conversation_mib: Option<u64>,
    /// Most MiB of all conversations [default: 20480]
    #[arg(long, value_name = "MIB")]
    pub(crate) total_mib: Option<u64>,
    /// Most conversations [default: 1000]
    #[arg(long, value_name = "COUNT")]
    pub(crate) conversations: Option<usize>,
    /// Write a service for systemd that runs it, and end
    #[arg(long)]
    pub(crate) install_unit: bool,
}
