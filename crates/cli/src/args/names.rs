//! The options of `baraza names`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Subcommand;

use super::LogOptions;

/// How a directory of names is served.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct NamesOptions {
    /// Where the directory is [default: "names" in the node's data directory]
    #[arg(long, value_name = "DIR", global = true, env = "BARAZA_NAMES_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// A PostgreSQL database that has the directory, for several servers: its address
    /// (postgres://USER:PASSWORD@HOST/DATABASE); --data still has the key for checkpoints
    #[arg(
        long,
        value_name = "URL",
        global = true,
        env = "BARAZA_NAMES_DATABASE",
        hide_env_values = true
    )]
    pub(crate) database: Option<String>,
    /// Where to listen; may be given several times
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Where health and metrics are (never for everybody)
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) monitor: Option<SocketAddr>,
    /// Certificate chain for TLS, PEM; read again when it changes, and at SIGHUP
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) certificate: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) key: Option<PathBuf>,
    /// A proxy in front whose X-Forwarded-For is believed; may be given several times
    #[arg(long, value_name = "ADDR")]
    pub(crate) proxy: Vec<IpAddr>,
    /// Which names are too alike to belong to two people: off, ascii (0 and o, 1 and l, m and
    /// rn) or wide
    #[arg(long, value_name = "RULE", default_value = "ascii")]
    pub(crate) alike: String,
    /// Names that nobody may register, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) reserved: Option<PathBuf>,
    /// Bits of proof of work that a registration needs; daemons of today cannot do it
    #[arg(long, value_name = "BITS", default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=40))]
    pub(crate) work: u32,
    /// Lookups of one source in a second; 0 for no limit
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) lookups: u32,
    /// Lookups of all together in a second; 0 for no limit
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub(crate) all_lookups: u32,
    /// Registrations of one source in an hour; 0 for no limit
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) registrations: u32,
    /// Registrations of all together in a second; 0 for no limit
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub(crate) all_registrations: u32,
    /// Connections at once
    #[arg(long, value_name = "COUNT", default_value_t = 8192)]
    pub(crate) connections: usize,
    /// Connections of one source at once
    #[arg(long, value_name = "COUNT", default_value_t = 256)]
    pub(crate) connections_of_one: usize,
    #[command(flatten)]
    pub(crate) logs: LogOptions,
}

/// What else there is to do with a directory of names.
#[derive(Debug, Subcommand)]
pub(crate) enum NamesAction {
    /// Prove that no name changed hands but by acts in the log: of a directory that is not
    /// served just now, or of an exported file
    Verify {
        /// An exported file instead of the directory
        file: Option<PathBuf>,
        /// A checkpoint kept from earlier (GET /audit/checkpoint) that must be in the log
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
        /// Do not check the signature of each account
        #[arg(long)]
        quick: bool,
    },
    /// Write the whole directory to a file; it may be served meanwhile
    Export {
        /// Where to
        file: PathBuf,
    },
    /// Put an exported file back into an empty directory, or take over the names of a dump of
    /// the existing server
    Import {
        /// Where from
        file: PathBuf,
        /// Take names without their account's signature over, too
        #[arg(long)]
        unsigned: bool,
    },
    /// Change what others have, where the directory allows it; each act is in the log
    Admin {
        #[command(subcommand)]
        act: NamesAdmin,
    },
}

/// Acts of whoever runs the directory.
#[derive(Debug, Subcommand)]
pub(crate) enum NamesAdmin {
    /// Allow the acts below from now on; the log says since when
    Allow,
    /// No longer allow them
    Forbid,
    /// Give a name to another Jami ID
    Move {
        /// The name
        name: String,
        /// The Jami ID
        #[arg(long, value_name = "JAMI_ID", required_unless_present = "registration")]
        to: Option<String>,
        /// What the new owner's client would send to register the name, which proves that
        /// the owner wants it
        #[arg(long, value_name = "FILE", conflicts_with = "to")]
        registration: Option<PathBuf>,
        /// Why, for everybody to read
        #[arg(long)]
        reason: String,
    },
    /// Keep a free name from everybody
    Reserve {
        /// The name
        name: String,
        /// Why, for everybody to read
        #[arg(long)]
        reason: String,
    },
    /// Let a reserved name be registered
    Release {
        /// The name
        name: String,
        /// Why, for everybody to read
        #[arg(long)]
        reason: String,
    },
    /// Let a name not be found for now
    Suspend {
        /// The name
        name: String,
        /// Why, for everybody to read
        #[arg(long)]
        reason: String,
    },
    /// Let a suspended name be found again
    Restore {
        /// The name
        name: String,
        /// Why, for everybody to read
        #[arg(long)]
        reason: String,
    },
}
