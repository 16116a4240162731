//! How often somebody may try to sign in: from each address, and all together.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Attempts at once from one address; then one each [`EACH`].
const BURST: u32 = 10;
const EACH: Duration = Duration::from_secs(6);
/// The same from all addresses together.
const BURST_ALL: u32 = 100;
const EACH_ALL: Duration = Duration::from_millis(600);
/// Addresses that are told apart.
const MAX_SOURCES: usize = 1024;

/// Attempts that are left, and since when.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u32,
    at: Instant,
}

impl Bucket {
    /// Takes an attempt, or says how long to wait for one.
    fn take(&mut self, burst: u32, each: Duration, now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.at);
        let gained = since.as_millis().checked_div(each.as_millis()).unwrap_or(0);
        let gained = u32::try_from(gained).unwrap_or(u32::MAX);
        if gained > 0 {
            self.left = self.left.saturating_add(gained).min(burst);
            self.at = match self.left == burst {
                true => now,
                false => self.at + each.saturating_mul(gained),
            };
        }
        if self.left == 0 {
            return Err(each.saturating_sub(now.saturating_duration_since(self.at)));
        }
        self.left = self.left.saturating_sub(1);
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct Throttle {
    all: Option<Bucket>,
    sources: HashMap<IpAddr, Bucket>,
}

/// Whoever has one IPv6 address has a whole network of them.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Throttle {
    pub(super) fn new() -> Self {
        Self {
            all: None,
            sources: HashMap::new(),
        }
    }

    /// Takes an attempt, or says how long to wait for one.
    pub(super) fn attempt(&mut self, source: IpAddr, now: Instant) -> Result<(), Duration> {
        let source = network(source);
        if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(&source) {
            self.sources.retain(|_, bucket| {
                now.saturating_duration_since(bucket.at) < EACH.saturating_mul(BURST)
            });
            if self.sources.len() >= MAX_SOURCES {
                return Err(EACH);
            }
        }
        let full = |left| Bucket { left, at: now };
        self.sources
            .entry(source)
            .or_insert(full(BURST))
            .take(BURST, EACH, now)?;
        self.all
            .get_or_insert(full(BURST_ALL))
            .take(BURST_ALL, EACH_ALL, now)
    }

    /// The last attempt was none in vain: gives it back.
    pub(super) fn succeeded(&mut self, source: IpAddr) {
        let source = self.sources.get_mut(&network(source));
        for (bucket, burst) in [(source, BURST), (self.all.as_mut(), BURST_ALL)] {
            if let Some(bucket) = bucket {
                bucket.left = bucket.left.saturating_add(1).min(burst);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_may_try_some_times_and_then_slowly() {
        let begin = Instant::now();
        let mut throttle = Throttle::new();
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..BURST {
            assert_eq!(throttle.attempt(one, begin), Ok(()));
        }
        let wait = throttle.attempt(one, begin).unwrap_err();
        assert_eq!(wait, EACH);
        assert_eq!(throttle.attempt(one, begin + wait), Ok(()));
        assert!(throttle.attempt(one, begin + wait).is_err());
        assert_eq!(
            throttle.attempt("192.0.2.2".parse().unwrap(), begin),
            Ok(())
        );
        throttle.succeeded(one);
        assert_eq!(throttle.attempt(one, begin + wait), Ok(()));
    }

    #[test]
    fn many_addresses_share_a_limit() {
        let begin = Instant::now();
        let mut throttle = Throttle::new();
        let tried = (0..2000u32)
            .filter(|n| throttle.attempt(IpAddr::V4((*n).into()), begin).is_ok())
            .count();
        assert_eq!(tried, BURST_ALL as usize);
        let mut one_network = Throttle::new();
        let tried = (0..2000u128)
            .filter(|n| one_network.attempt(IpAddr::V6((*n).into()), begin).is_ok())
            .count();
        assert!(tried <= (BURST * 2) as usize, "{tried}");
    }
}
