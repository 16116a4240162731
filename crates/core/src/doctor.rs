//! What is well and what is not: checks that a person starts, each with a plain verdict, why,
//! and what to try.
//!
//! [`judge`](mod@judge) decides from what was measured, without measuring itself; the node
//! measures (`node/doctor.rs`). What may name somebody or some place is a [`Value::Private`]
//! from the moment it is measured, so that a report that is shown to others
//! ([`Examination::redacted`]) cannot hold it: it has the kind of the thing only.

pub mod judge;
mod words;

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use words::Code;

/// What can be examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Whether the distributed hash table is reached.
    Dht,
    /// How others see this machine's address.
    Nat,
    /// Whether the UDP port is open on this machine.
    Ports,
    /// The relay for connections that cannot be direct.
    Turn,
    /// The server that uses the hash table for this node.
    Proxy,
    /// Name servers that accounts ask.
    NameServer,
    /// Whether the clock is right.
    Clock,
    /// Where everything is kept.
    Disk,
    /// Whether there are copies elsewhere.
    Backups,
    /// Which programs these are.
    Versions,
}

impl Check {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Dht,
        Self::Nat,
        Self::Ports,
        Self::Turn,
        Self::Proxy,
        Self::NameServer,
        Self::Clock,
        Self::Disk,
        Self::Backups,
        Self::Versions,
    ];

    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dht => "dht",
            Self::Nat => "nat",
            Self::Ports => "ports",
            Self::Turn => "turn",
            Self::Proxy => "proxy",
            Self::NameServer => "name_server",
            Self::Clock => "clock",
            Self::Disk => "disk",
            Self::Backups => "backups",
            Self::Versions => "versions",
        }
    }

    /// Its name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Dht => "Network (DHT)",
            Self::Nat => "Address (NAT)",
            Self::Ports => "Ports",
            Self::Turn => "TURN relay",
            Self::Proxy => "DHT proxy",
            Self::NameServer => "Name server",
            Self::Clock => "Clock",
            Self::Disk => "Disk",
            Self::Backups => "Backups",
            Self::Versions => "Versions",
        }
    }
}

/// What is thought of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// There is nothing to test.
    Nothing,
    /// It is as it should be.
    Ok,
    /// It works, but something about it is worth a look.
    Look,
    /// It does not work.
    Broken,
}

impl Verdict {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing to test",
            Self::Ok => "ok",
            Self::Look => "worth a look",
            Self::Broken => "broken",
        }
    }
}

macro_rules! fact_names {
    ($($name:ident $doc:literal $words:literal)*) => {
        /// What a measured thing is called.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum FactName {
            $(#[doc = $doc] $name,)*
        }

        impl FactName {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name for people.
            pub const fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }
        }
    };
}

fact_names! {
    Good "Nodes that answer." "nodes that answer"
    Dubious "Nodes that may answer." "nodes that may"
    Hosts "Hosts to join through." "hosts to begin with"
    Answering "Those of them that answer." "of them answering"
    Unknown "Those of them whose address is not found." "of them without an address"
    Time "How long an answer took." "answer after"
    Seen "The address under which others see this machine." "seen as"
    Own "An address of this machine." "own address"
    Bound "A port, as it is bound." "UDP port"
    Server "A server." "server"
    Reason "Why something failed." "reason"
    Status "The status of an answer." "status"
    Ahead "How far this clock is ahead of another one." "this clock is ahead by"
    Behind "How far clocks of others are ahead of this one." "this clock is behind by"
    Peers "People whose clocks were looked at." "people compared with"
    Free "Room that is left." "free"
    Size "Room in all." "of"
    Written "How long writing takes." "kept after"
    Database "The length of the database." "database"
    Accounts "Accounts." "accounts"
    Without "Accounts without a backup." "without a backup"
    Age "The age of a backup." "oldest copy"
    Baraza "The version of this program." "Baraza"
    Sqlite "The version of the database library." "SQLite"
    System "The operating system." "system"
    Machine "The machine." "machine"
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number of things.
    Count(u64),
    /// Some time, perhaps a negative one.
    Seconds(i64),
    /// A short time.
    Millis(u64),
    /// A length.
    Bytes(u64),
    /// A word that names neither people nor places.
    Word(String),
    /// What others must not read: of which kind it is, and what.
    Private(&'static str, String),
}

/// Something measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is.
    pub name: FactName,
    /// How much, or what.
    pub value: Value,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub code: Code,
    /// What it rests on.
    pub facts: Vec<Fact>,
}

impl Finding {
    /// Without facts.
    pub fn new(code: Code) -> Self {
        Self {
            code,
            facts: Vec::new(),
        }
    }

    /// With one more.
    #[must_use]
    pub fn with(mut self, name: FactName, value: Value) -> Self {
        self.facts.push(Fact { name, value });
        self
    }

    /// What is thought of it.
    pub fn verdict(&self) -> Verdict {
        self.code.verdict()
    }
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// Of which.
    pub check: Check,
    /// The worst first.
    pub findings: Vec<Finding>,
    /// How long it took.
    pub took: Duration,
}

impl Examination {
    /// The worst verdict of it.
    pub fn verdict(&self) -> Verdict {
        let verdicts = self.findings.iter().map(Finding::verdict);
        verdicts.max().unwrap_or(Verdict::Nothing)
    }

    /// The same without what others must not read: for a report that is shown around.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        for fact in self.findings.iter_mut().flat_map(|one| &mut one.facts) {
            if let Value::Private(kind, _) = fact.value {
                fact.value = Value::Word(kind.to_owned());
            }
        }
        self
    }
}

/// An address, of which others may know the kind.
pub fn address(ip: IpAddr) -> Value {
    let kind = match (ip, reach(ip)) {
        (_, Reach::Host) => "a loopback address",
        (IpAddr::V4(_), Reach::Local) => "a private IPv4 address",
        (IpAddr::V6(_), Reach::Local) => "a local IPv6 address",
        (IpAddr::V4(_), Reach::World) => "a public IPv4 address",
        (IpAddr::V6(_), Reach::World) => "a public IPv6 address",
    };
    Value::Private(kind, ip.to_string())
}

/// From where an address can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// From this machine.
    Host,
    /// From the network it is in.
    Local,
    /// From everywhere, as far as nothing on the way forbids it.
    World,
}

/// From where an address can be reached.
pub fn reach(ip: IpAddr) -> Reach {
    match ip.to_canonical() {
        ip if ip.is_loopback() => Reach::Host,
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            // 100.64/10 is where providers put several customers behind one address.
            let shared = first == 100 && (64..128).contains(&second);
            match ip.is_private() || ip.is_link_local() || shared {
                true => Reach::Local,
                false => Reach::World,
            }
        }
        IpAddr::V6(ip) => match ip.is_unique_local() || ip.is_unicast_link_local() {
            true => Reach::Local,
            false => Reach::World,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_json_are_those_of_the_table() {
        for check in Check::ALL {
            let json = serde_json::to_value(check).unwrap();
            assert_eq!(json, check.name());
        }
        for code in Code::ALL {
            assert!(code.text().ends_with('.'), "{code:?}");
            let wrong = matches!(code.verdict(), Verdict::Look | Verdict::Broken);
            assert!(
                !wrong || !code.advice().is_empty(),
                "{code:?} has no advice"
            );
        }
    }

    #[test]
    fn addresses_are_told_by_their_kind() {
        for (ip, kind) in [
            ("127.0.0.1", "a loopback address"),
            ("::1", "a loopback address"),
            ("192.168.1.7", "a private IPv4 address"),
            ("100.64.0.9", "a private IPv4 address"),
            ("100.128.0.9", "a public IPv4 address"),
            ("203.0.113.9", "a public IPv4 address"),
            ("fd00::1", "a local IPv6 address"),
            ("2001:db8::1", "a public IPv6 address"),
        ] {
            let value = address(ip.parse().unwrap());
            assert_eq!(value, Value::Private(kind, ip.to_owned()));
        }
    }

    #[test]
    fn what_is_private_is_told_by_its_kind_and_the_worst_verdict_counts() {
        let well = Finding::new(Code::NamesAnswer).with(
            FactName::Server,
            Value::Private("a name server", "https://secret.example".into()),
        );
        let examination = Examination {
            check: Check::NameServer,
            findings: vec![well, Finding::new(Code::NamesUnreachable)],
            took: Duration::ZERO,
        };
        assert_eq!(examination.verdict(), Verdict::Broken);
        let shown = format!("{:?}", examination.redacted());
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("a name server"), "{shown}");
    }
}
