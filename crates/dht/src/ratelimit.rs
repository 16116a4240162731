//! How much is done for strangers in a second (docs/protocol/01-dht.md sections 2.7, 14).

use std::collections::HashMap;
use std::net::IpAddr;

use crate::api::Limits;
use crate::clock::Ms;

/// Bytes a second sent in answers to a source that never proved to receive them. A request
/// with a forged source then costs its victim no more than this from one node.
pub(crate) const UNPROVEN_BYTES: usize = 64 * 1024;
/// Sources counted in a second if the number of requests is not limited.
const MAX_SOURCES: usize = 16_384;

/// What counts as one source: an IPv4 address, or the first 64 bits of an IPv6 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl Source {
    pub(crate) fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

#[derive(Debug, Default)]
struct Used {
    requests: u32,
    bytes: usize,
}

/// Counts in windows of one second.
#[derive(Debug)]
pub(crate) struct RateLimit {
    limits: Limits,
    window: u64,
    requests: u32,
    sources: HashMap<Source, Used>,
}

impl RateLimit {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            window: 0,
            requests: 0,
            sources: HashMap::new(),
        }
    }

    /// Counts a request; `false` if it is to be dropped.
    pub(crate) fn request(&mut self, now: Ms, from: IpAddr) -> bool {
        self.turn(now);
        if self
            .limits
            .requests
            .is_some_and(|most| self.requests >= most)
        {
            return false;
        }
        if let Some(most) = self.limits.requests_per_address {
            let Some(used) = self.source(from) else {
                return false;
            };
            if used.requests >= most {
                return false;
            }
            used.requests = used.requests.saturating_add(1);
        }
        self.requests = self.requests.saturating_add(1);
        true
    }

    /// Counts bytes to be sent to a source that is not proven; `false` if they must not be.
    pub(crate) fn unproven(&mut self, now: Ms, to: IpAddr, bytes: usize) -> bool {
        self.turn(now);
        let Some(used) = self.source(to) else {
            return false;
        };
        let total = used.bytes.saturating_add(bytes);
        if total > UNPROVEN_BYTES {
            return false;
        }
        used.bytes = total;
        true
    }

    fn source(&mut self, ip: IpAddr) -> Option<&mut Used> {
        let source = Source::of(ip);
        if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(&source) {
            return None;
        }
        Some(self.sources.entry(source).or_default())
    }

    fn turn(&mut self, now: Ms) {
        if now.secs() != self.window {
            self.window = now.secs();
            self.requests = 0;
            self.sources.clear();
            self.sources.shrink_to(64);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn requests_are_limited_for_each_source_and_in_all() {
        let mut limit = RateLimit::new(Limits {
            requests_per_address: Some(3),
            requests: Some(5),
            ..Limits::default()
        });
        let now = Ms::from_secs(10);
        let [a, b, c]: [IpAddr; 3] =
            ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|ip| ip.parse().unwrap());
        let taken = [a, b, a, b, c, c, c].map(|ip| limit.request(now, ip));
        assert_eq!(taken, [true, true, true, false, true, true, false]);
        assert!(limit.request(now.plus(Duration::from_secs(1)), b));
    }

    #[test]
    fn strangers_get_few_bytes() {
        let mut limit = RateLimit::new(Limits::none());
        let now = Ms::from_secs(10);
        let ip = "192.0.2.1".parse().unwrap();
        assert!(limit.unproven(now, ip, UNPROVEN_BYTES));
        assert!(!limit.unproven(now, ip, 1));
        assert!(limit.unproven(now, "192.0.2.2".parse().unwrap(), 1));
        assert!(limit.request(now, ip));
    }
}
