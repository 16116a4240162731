//! The addresses of this host, as Linux lists them. Elsewhere only the default ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Most addresses that are offered to peers.
const MAX_ADDRESSES: usize = 16;

/// The addresses peers may reach this host at: the default one of each family first, then
/// the others, without loopback and link-local ones.
pub fn local_addresses() -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = [
        (
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            // Nobody: a datagram socket that connects sends nothing.
            SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9)),
        ),
        (
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9)),
        ),
    ]
    .into_iter()
    .filter_map(|(any, somewhere)| source_towards(any, somewhere))
    .collect();
    let v4 = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let v6 = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let listed = v4_addresses(&v4)
        .map(IpAddr::V4)
        .chain(v6_addresses(&v6).map(IpAddr::V6));
    for address in listed {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses.retain(|address| is_useful(*address));
    addresses.truncate(MAX_ADDRESSES);
    addresses
}

/// The address the system would send from.
fn source_towards(any: SocketAddr, somewhere: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(somewhere).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn is_useful(address: IpAddr) -> bool {
    !address.is_loopback()
        && !address.is_unspecified()
        && match address {
            IpAddr::V4(v4) => !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_unicast_link_local(),
        }
}

/// The lines before `host LOCAL` in the routing table.
fn v4_addresses(table: &str) -> impl Iterator<Item = Ipv4Addr> {
    let lines = table.lines().map(str::trim);
    lines.clone().zip(lines.skip(1)).filter_map(|(line, next)| {
        let address = line.strip_prefix("|--")?.trim().parse().ok()?;
        (next == "/32 host LOCAL").then_some(address)
    })
}

/// Flags of addresses that are deprecated, tentative, or found to be taken already
/// (docs/protocol/04-connection.md section 4).
const UNUSABLE: u32 = 0x20 | 0x40 | 0x08;

/// The first column of the list of interfaces' addresses, if the fifth, the flags, has
/// nothing against it.
fn v6_addresses(list: &str) -> impl Iterator<Item = Ipv6Addr> {
    list.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let digits = words.next()?;
        let flags = u32::from_str_radix(words.nth(3)?, 16).ok()?;
        let address = u128::from_str_radix(digits, 16).ok().map(Ipv6Addr::from);
        address.filter(|_| flags & UNUSABLE == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_of_linux_are_read() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
            \x20    |-- 127.0.0.0\n              /8 host LOCAL\n           |-- 127.0.0.1\n\
            \x20             /32 host LOCAL\n           |-- 192.0.2.2\n              /32 host LOCAL\n\
            \x20       |-- 192.0.2.255\n           /32 link BROADCAST\n";
        let found: Vec<_> = v4_addresses(table).collect();
        assert_eq!(found, [Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 0, 2, 2)]);
        let list = "00000000000000000000000000000001 01 80 10 80       lo\n\
            fd000000000000000000000000000002 04 40 00 82     eth0\n\
            fd000000000000000000000000000003 04 40 00 a0     eth0\n\
            fd000000000000000000000000000004 04 40 00 c0     eth0\n";
        let found: Vec<_> = v6_addresses(list).collect();
        assert_eq!(
            found,
            [Ipv6Addr::LOCALHOST, "fd00::2".parse::<Ipv6Addr>().unwrap()]
        );
    }

    #[test]
    fn only_addresses_that_others_can_use_are_offered() {
        for address in local_addresses() {
            assert!(is_useful(address), "{address}");
        }
        for useless in [
            "127.0.0.1",
            "169.254.1.1",
            "::1",
            "fe80::1",
            "0.0.0.0",
            "::",
        ] {
            assert!(!is_useful(useless.parse().unwrap()), "{useless}");
        }
        for useful in ["10.0.0.1", "192.0.2.2", "fd00::2", "2001:db8::1"] {
            assert!(is_useful(useful.parse().unwrap()), "{useful}");
        }
    }
}
