//! Where a request comes from, and how much is too much from there.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;

/// Most sources that are told apart; of more at once, the newest share one limit.
const MAX_SOURCES: usize = 65_536;
/// Longest chain of proxies that is looked at.
const MAX_HOPS: usize = 16;

/// A source: one address of IPv4, or a /64 of IPv6, which one customer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(bool, u64);

impl Source {
    /// What all share who come too late to be told apart.
    const REST: Self = Self(true, u64::MAX);

    /// Of an address.
    pub fn new(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(false, u64::from(u32::from(address))),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                let half = [a, b, c, d]
                    .into_iter()
                    .fold(0u64, |half, part| half << 16 | u64::from(part));
                Self(true, half)
            }
        }
    }
}

/// The address of the client: the peer, or what trusted proxies say in `X-Forwarded-For`.
///
/// Each proxy appends whom it heard from, so the list is read from its end; the first that
/// is no trusted proxy is the client, and what stands before it is the client's own tale.
pub fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[IpAddr]) -> IpAddr {
    let peer = peer.to_canonical();
    if !proxies.contains(&peer) {
        return peer;
    }
    let lines = headers.get_all("x-forwarded-for").iter();
    let hops: Vec<&str> = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .collect();
    let mut client = peer;
    for hop in hops.iter().rev().take(MAX_HOPS) {
        let Ok(address) = hop.trim().parse::<IpAddr>() else {
            break;
        };
        client = address.to_canonical();
        if !proxies.contains(&client) {
            break;
        }
    }
    client
}

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So often ...
    pub count: u32,
    /// ... in this time, evenly.
    pub per: Duration,
    /// So often at once after a rest.
    pub burst: u32,
}

impl Rate {
    fn step(&self) -> Duration {
        self.per.checked_div(self.count).unwrap_or(Duration::MAX)
    }
}

/// How long to wait before trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMuch(pub Duration);

/// One limit: the time at which everything that was done would have been allowed evenly
/// must not be further ahead than a burst.
fn take(due: &mut Option<Instant>, rate: &Rate, now: Instant) -> Result<(), TooMuch> {
    let step = rate.step();
    let ahead = step.saturating_mul(rate.burst.saturating_sub(1));
    let from = due.filter(|due| *due > now).unwrap_or(now);
    let early = from.duration_since(now);
    if early > ahead {
        return Err(TooMuch(early.saturating_sub(ahead)));
    }
    *due = from.checked_add(step);
    Ok(())
}

/// A limit for everybody together.
#[derive(Debug)]
pub struct Shared {
    rate: Option<Rate>,
    due: Mutex<Option<Instant>>,
}

impl Shared {
    /// No limit if there is no rate.
    pub fn new(rate: Option<Rate>) -> Self {
        Self {
            rate,
            due: Mutex::new(None),
        }
    }

    /// Counts one.
    ///
    /// # Errors
    /// If it is too much.
    pub fn check(&self, now: Instant) -> Result<(), TooMuch> {
        match &self.rate {
            None => Ok(()),
            Some(rate) => take(
                &mut self.due.lock().unwrap_or_else(PoisonError::into_inner),
                rate,
                now,
            ),
        }
    }
}

#[derive(Debug, Default)]
struct Table {
    due: HashMap<Source, Option<Instant>>,
    swept: Option<Instant>,
}

/// A limit for each source.
#[derive(Debug)]
pub struct PerSource {
    rate: Option<Rate>,
    table: Mutex<Table>,
}

impl PerSource {
    /// No limit if there is no rate.
    pub fn new(rate: Option<Rate>) -> Self {
        Self {
            rate,
            table: Mutex::default(),
        }
    }

    /// Counts one of a source.
    ///
    /// # Errors
    /// If it is too much.
    pub fn check(&self, source: Source, now: Instant) -> Result<(), TooMuch> {
        let Some(rate) = &self.rate else {
            return Ok(());
        };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut source = source;
        if table.due.len() >= MAX_SOURCES && !table.due.contains_key(&source) {
            let second = Duration::from_secs(1);
            if table
                .swept
                .is_none_or(|swept| now.duration_since(swept) >= second)
            {
                table.due.retain(|_, due| due.is_some_and(|due| due > now));
                table.swept = Some(now);
            }
            if table.due.len() >= MAX_SOURCES {
                source = Source::REST;
            }
        }
        take(table.due.entry(source).or_default(), rate, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn sources_are_what_one_customer_has() {
        let source = |text| Source::new(ip(text));
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
    }

    #[test]
    fn only_named_proxies_are_believed_and_only_what_they_saw() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-forwarded-for",
            "203.0.113.9, 198.51.100.7".parse().unwrap(),
        );
        headers.append("x-forwarded-for", "10.0.0.2".parse().unwrap());
        let proxies = [ip("10.0.0.1"), ip("10.0.0.2")];
        // A client's own tale (203.0.113.9) is left of what the first proxy saw.
        assert_eq!(
            client(ip("10.0.0.1"), &headers, &proxies),
            ip("198.51.100.7")
        );
        assert_eq!(
            client(ip("::ffff:10.0.0.1"), &headers, &proxies),
            ip("198.51.100.7")
        );
        assert_eq!(client(ip("192.0.2.1"), &headers, &proxies), ip("192.0.2.1"));
        headers.insert("x-forwarded-for", "garbage".parse().unwrap());
        assert_eq!(client(ip("10.0.0.1"), &headers, &proxies), ip("10.0.0.1"));
    }

    #[test]
    fn a_burst_and_then_evenly() {
        let rate = Rate {
            count: 6,
            per: Duration::from_secs(60),
            burst: 3,
        };
        let limit = PerSource::new(Some(rate));
        let (source, other) = (Source::new(ip("192.0.2.1")), Source::new(ip("192.0.2.2")));
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(limit.check(source, start), Ok(()));
        }
        assert_eq!(
            limit.check(source, start),
            Err(TooMuch(Duration::from_secs(10)))
        );
        assert_eq!(limit.check(other, start), Ok(()));
        let later = start + Duration::from_secs(10);
        assert_eq!(limit.check(source, later), Ok(()));
        assert!(limit.check(source, later).is_err());
    }

    #[test]
    fn a_flood_of_sources_takes_no_more_memory() {
        let rate = Rate {
            count: 1,
            per: Duration::from_secs(60),
            burst: 1,
        };
        let limit = PerSource::new(Some(rate));
        let start = Instant::now();
        let of = |number: u32| Source::new(IpAddr::from(number.to_be_bytes()));
        for number in 0..70_000 {
            let _counted = limit.check(of(number), start);
        }
        assert!(limit.table.lock().unwrap().due.len() <= MAX_SOURCES + 1);
        assert!(limit.check(of(80_000), start).is_err());
        // When they have rested, there is room again.
        assert_eq!(
            limit.check(of(80_000), start + Duration::from_secs(61)),
            Ok(())
        );
        assert!(limit.table.lock().unwrap().due.len() < 10);
    }
}
