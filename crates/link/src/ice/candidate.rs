//! Credentials and candidates as text (docs/protocol/04-connection.md section 3), and
//! which candidates are offered and dialled (sections 4 and 17).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use baraza_wire::Rng;
use thiserror::Error;

/// Most remote candidates that are used.
pub const MAX_REMOTE: usize = 31;
/// Most host candidates kept of a longer list.
const MAX_REMOTE_HOST: usize = 8;
/// Most relayed candidates kept of a longer list.
const MAX_REMOTE_RELAY: usize = 4;
/// Most lines of candidates that are looked at.
const MAX_LINES: usize = 256;
/// Most addresses of this host that are offered; each gives two candidates.
pub const MAX_LOCAL_ADDRESSES: usize = 12;
/// The port of candidates that only connect, never listen.
const ACTIVE_PORT: u16 = 9;
/// Length limits of the parser of existing peers.
const MAX_FOUNDATION: usize = 31;
const MAX_ADDRESS: usize = 79;
const MAX_TYPE: usize = 31;
/// Limits of RFC 8445 section 5.3.
const UFRAG_LEN: std::ops::RangeInclusive<usize> = 4..=256;
const PWD_LEN: std::ops::RangeInclusive<usize> = 22..=256;

/// Where a candidate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CandidateKind {
    /// An address of the host.
    Host,
    /// An address others see, or a mapping on a router.
    ServerReflexive,
    /// An address the other side saw during checks.
    PeerReflexive,
    /// A port on a relay.
    Relayed,
}

/// How a TCP candidate takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TcpType {
    /// Connects.
    Active,
    /// Listens.
    Passive,
    /// Both at once.
    SimultaneousOpen,
}

/// One way to reach a peer over TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Opaque to the other side.
    pub foundation: String,
    /// Higher is better.
    pub priority: u32,
    /// Address and port; the port of active ones means nothing.
    pub address: SocketAddr,
    /// Where it comes from.
    pub kind: CandidateKind,
    /// How it takes part.
    pub tcp: TcpType,
}

/// What one side tells the other: credentials and candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// User fragment and password.
    pub credentials: Credentials,
    /// At most [`MAX_REMOTE`], if it was parsed.
    pub candidates: Vec<Candidate>,
}

/// Short-term credentials of one side.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User fragment.
    pub ufrag: String,
    /// Password.
    pub pwd: String,
}

/// Why text is no description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// The first line is no user fragment.
    #[error("the ICE message has no valid user fragment")]
    Ufrag,
    /// The second line is no password.
    #[error("the ICE message has no valid password")]
    Pwd,
    /// No line is a usable candidate.
    #[error("the ICE message has no usable candidate")]
    NoCandidates,
}

impl Credentials {
    /// Fresh ones, as long as those of existing peers.
    pub fn random(rng: &mut Rng) -> Self {
        let mut digits = |count: usize| -> String {
            (0..count)
                .filter_map(|_| char::from_digit(rng.u32() & 15, 16))
                .collect()
        };
        Self {
            ufrag: digits(8),
            pwd: digits(24),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password would let a reader of the log take part.
        f.debug_struct("Credentials")
            .field("ufrag", &self.ufrag)
            .finish_non_exhaustive()
    }
}

impl Description {
    /// Reads what a peer sent. Lines that are no usable candidates are skipped.
    ///
    /// # Errors
    /// If credentials or every candidate are missing.
    pub fn parse(text: &str) -> Result<Self, DescriptionError> {
        let mut lines = text.split('\n');
        let ufrag = lines
            .next()
            .filter(|line| is_ice_text(line, &UFRAG_LEN))
            .ok_or(DescriptionError::Ufrag)?;
        let pwd = lines
            .next()
            .filter(|line| is_ice_text(line, &PWD_LEN))
            .ok_or(DescriptionError::Pwd)?;
        let candidates: Vec<_> = lines.take(MAX_LINES).filter_map(Candidate::parse).collect();
        if candidates.is_empty() {
            return Err(DescriptionError::NoCandidates);
        }
        Ok(Self {
            credentials: Credentials {
                ufrag: ufrag.to_owned(),
                pwd: pwd.to_owned(),
            },
            candidates: trim(candidates),
        })
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.credentials.ufrag)?;
        writeln!(f, "{}", self.credentials.pwd)?;
        for candidate in &self.candidates {
            writeln!(f, "{candidate}")?;
        }
        Ok(())
    }
}

fn is_ice_text(text: &str, len: &std::ops::RangeInclusive<usize>) -> bool {
    len.contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

/// Cuts a long list as existing peers do.
fn trim(candidates: Vec<Candidate>) -> Vec<Candidate> {
    if candidates.len() <= MAX_REMOTE {
        return candidates;
    }
    let (mut host, mut relay) = (0_usize, 0_usize);
    candidates
        .into_iter()
        .filter(|candidate| {
            let (count, max) = match candidate.kind {
                CandidateKind::Host => (&mut host, MAX_REMOTE_HOST),
                CandidateKind::Relayed => (&mut relay, MAX_REMOTE_RELAY),
                _ => return true,
            };
            *count = count.saturating_add(1);
            *count <= max
        })
        .take(MAX_REMOTE)
        .collect()
}

impl Candidate {
    /// Reads one line; `None` if it is no TCP candidate of the first component. The order
    /// of words is fixed, and what follows the last one needed is ignored.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let foundation = words.next().filter(|word| word.len() <= MAX_FOUNDATION)?;
        let component: u32 = words.next()?.parse().ok()?;
        let transport = words.next()?;
        let priority: u32 = words.next()?.parse().ok()?;
        let address = words.next().filter(|word| word.len() <= MAX_ADDRESS)?;
        let port: u32 = words.next()?.parse().ok()?;
        if words.next()? != "typ" {
            return None;
        }
        let kind = match words.next().filter(|word| word.len() <= MAX_TYPE)? {
            "host" => CandidateKind::Host,
            "srflx" => CandidateKind::ServerReflexive,
            "prflx" => CandidateKind::PeerReflexive,
            "relay" => CandidateKind::Relayed,
            _ => return None,
        };
        if words.next()? != "tcptype" {
            return None;
        }
        let tcp = match words.next()? {
            "active" => TcpType::Active,
            "passive" => TcpType::Passive,
            "so" => TcpType::SimultaneousOpen,
            _ => return None,
        };
        if component != 1 || transport != "TCP" {
            return None;
        }
        let ip: IpAddr = address.parse().ok()?;
        // Existing peers do not check the range, they cut to 16 bits.
        let [_, _, high, low] = port.to_be_bytes();
        Some(Self {
            foundation: foundation.to_owned(),
            priority,
            address: SocketAddr::new(ip, u16::from_be_bytes([high, low])),
            kind,
            tcp,
        })
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            CandidateKind::Host => "host",
            CandidateKind::ServerReflexive => "srflx",
            CandidateKind::PeerReflexive => "prflx",
            CandidateKind::Relayed => "relay",
        };
        let tcp = match self.tcp {
            TcpType::Active => "active",
            TcpType::Passive => "passive",
            TcpType::SimultaneousOpen => "so",
        };
        write!(
            f,
            "{} 1 TCP {} {} {} typ {kind} tcptype {tcp}",
            self.foundation,
            self.priority,
            self.address.ip(),
            self.address.port()
        )
    }
}

/// What this host can offer.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    /// Its addresses, the default one of each family first.
    pub addresses: Vec<IpAddr>,
    /// Port of the IPv4 listener.
    pub port_v4: Option<u16>,
    /// Port of the IPv6 listener.
    pub port_v6: Option<u16>,
    /// Addresses of a router that lead to a listener of ours.
    pub mapped: Vec<SocketAddr>,
    /// The addresses others see us at, where nothing listens: they let a peer's relay
    /// expect us.
    pub public: Vec<IpAddr>,
    /// Ports on relays.
    pub relayed: Vec<SocketAddr>,
}

impl Gathered {
    /// The candidates to offer, with the priorities of section 4.
    pub fn candidates(&self) -> Vec<Candidate> {
        let mut out = Vec::new();
        for (port, v6) in [(self.port_v4, false), (self.port_v6, true)] {
            let Some(port) = port else { continue };
            let addresses = self.addresses.iter().filter(|ip| ip.is_ipv6() == v6);
            let mut local_preference = u16::MAX;
            for ip in addresses.take(MAX_LOCAL_ADDRESSES / 2) {
                for (tcp, port) in [(TcpType::Passive, port), (TcpType::Active, ACTIVE_PORT)] {
                    out.push(Candidate {
                        foundation: foundation('H', *ip),
                        priority: priority(126, local_preference),
                        address: SocketAddr::new(*ip, port),
                        kind: CandidateKind::Host,
                        tcp,
                    });
                    local_preference = local_preference.saturating_sub(1);
                }
            }
        }
        // Transports are numbered: 0 and 1 are the listeners.
        let mut transport: u16 = 2;
        let mut reflexive = |address: SocketAddr, tcp, out: &mut Vec<Candidate>| {
            let base = self
                .addresses
                .iter()
                .find(|ip| ip.is_ipv6() == address.is_ipv6())
                .copied()
                .unwrap_or(address.ip());
            out.push(Candidate {
                foundation: foundation('S', base),
                priority: priority(100, u16::MAX.saturating_sub(transport)),
                address,
                kind: CandidateKind::ServerReflexive,
                tcp,
            });
            transport = transport.saturating_add(1);
        };
        for address in &self.mapped {
            reflexive(*address, TcpType::Passive, &mut out);
        }
        for ip in &self.public {
            let known = self.addresses.contains(ip) || self.mapped.iter().any(|a| a.ip() == *ip);
            if !known && is_public(*ip) {
                let address = SocketAddr::new(*ip, ACTIVE_PORT);
                reflexive(address, TcpType::Active, &mut out);
            }
        }
        for (index, address) in self.relayed.iter().enumerate() {
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            out.push(Candidate {
                foundation: foundation('R', address.ip()),
                priority: priority(0, u16::MAX.saturating_sub(index)),
                address: *address,
                kind: CandidateKind::Relayed,
                tcp: TcpType::Passive,
            });
        }
        out.truncate(32);
        out
    }
}

/// `type · 2^24 + local · 2^8 + 255`: the formula of RFC 8445 for the first component.
pub(crate) fn priority(type_preference: u8, local_preference: u16) -> u32 {
    let [high, low] = local_preference.to_be_bytes();
    u32::from_be_bytes([type_preference, high, low, 255])
}

fn foundation(letter: char, base: IpAddr) -> String {
    let number = match base {
        IpAddr::V4(ip) => u32::from(ip),
        IpAddr::V6(ip) => ip.octets().iter().fold(0_u32, |hash, byte| {
            hash.wrapping_mul(33).wrapping_add(u32::from(*byte))
        }),
    };
    format!("{letter}{number:x}")
}

/// Whether an address makes sense as a candidate of ours.
pub fn is_offerable(ip: IpAddr, allow_loopback: bool) -> bool {
    if ip.is_loopback() {
        return allow_loopback;
    }
    match ip {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => {
            !ip.is_unspecified() && !ip.is_multicast() && ip.to_ipv4_mapped().is_none()
        }
    }
}

/// Whether others may see us at an address.
fn is_public(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => is_link_local(ip),
    };
    is_offerable(ip, false) && !link_local
}

/// Lowest port that is dialled on an address of this very host: services of the system
/// live below, while listeners of other accounts on this host never do.
const FIRST_UNPRIVILEGED: u16 = 1024;

/// Whether to connect to what a stranger may have offered (section 17). A peer on this very
/// host offers an address of ours, so these are not refused, but ports of system services
/// are.
pub fn is_dialable(address: SocketAddr, own: &[IpAddr], allow_loopback: bool) -> bool {
    let ip = address.ip().to_canonical();
    if address.port() == 0 {
        return false;
    }
    if ip.is_loopback() {
        return allow_loopback && address.port() >= FIRST_UNPRIVILEGED;
    }
    if own.contains(&ip) && address.port() < FIRST_UNPRIVILEGED {
        return false;
    }
    match ip {
        IpAddr::V4(ip) => {
            let [first, ..] = ip.octets();
            // 0/8 is "this host", 240/4 is reserved and holds the broadcast address.
            first != 0 && first < 240 && !ip.is_multicast()
        }
        IpAddr::V6(ip) => {
            // Without a zone link-local addresses lead nowhere in particular.
            !ip.is_unspecified() && !ip.is_multicast() && !is_link_local(ip)
        }
    }
}

fn is_link_local(ip: Ipv6Addr) -> bool {
    let [first, ..] = ip.segments();
    first & 0xffc0 == 0xfe80
}

#[cfg(test)]
mod tests;
