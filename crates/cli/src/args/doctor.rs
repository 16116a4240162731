use baraza_core::doctor::Check;
use clap::ValueEnum;

/// What can be examined, as it is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum CheckName {
    /// Whether the network (DHT) is reached
    Dht,
    /// Under which address others see this machine
    Nat,
    /// Whether the UDP port is open on this machine
    Ports,
    /// The relay for connections that cannot be direct
    Turn,
    /// The server that uses the DHT for this node
    Proxy,
    /// The name servers that accounts have chosen
    NameServer,
    /// Whether the clock is right
    Clock,
    /// Room, speed, and whether the database is whole
    Disk,
    /// Whether there are copies elsewhere
    Backups,
    /// Which programs these are
    Versions,
}

impl From<CheckName> for Check {
    fn from(name: CheckName) -> Self {
        match name {
            CheckName::Dht => Self::Dht,
            CheckName::Nat => Self::Nat,
            CheckName::Ports => Self::Ports,
            CheckName::Turn => Self::Turn,
            CheckName::Proxy => Self::Proxy,
            CheckName::NameServer => Self::NameServer,
            CheckName::Clock => Self::Clock,
            CheckName::Disk => Self::Disk,
            CheckName::Backups => Self::Backups,
            CheckName::Versions => Self::Versions,
        }
    }
}
