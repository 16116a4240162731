//! What a path between two hosts does to packets.

use std::time::Duration;

use baraza_wire::Rng;

use crate::time::Time;

/// How a host hangs on the network. A path from one host to another is the sum of both
/// accesses.
#[derive(Debug, Clone)]
pub struct Access {
    /// One-way delay of this half of the path.
    pub latency: Duration,
    /// Up to this much more delay, changing slowly, so that it does not reorder packets.
    pub jitter: Duration,
    /// Share of packets lost, 0 to 1.
    pub loss: f64,
    /// Share of packets that are held back and so overtaken by later ones.
    pub reorder: f64,
    /// Share of packets that arrive twice.
    pub duplicate: f64,
    /// Largest IP packet.
    pub mtu: usize,
    /// Whether larger datagrams are split into IP fragments (each of which may get lost)
    /// or swallowed.
    pub fragments: bool,
    /// Bytes per second, if limited; each direction by itself.
    pub rate: Option<u64>,
    /// Longest time a datagram waits for its turn before it is dropped.
    pub queue: Duration,
}

impl Default for Access {
    /// A good line: 10 ms to the middle of the network, no loss, no limit.
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss: 0.0,
            reorder: 0.0,
            duplicate: 0.0,
            mtu: 1500,
            fragments: true,
            rate: None,
            queue: Duration::from_millis(300),
        }
    }
}

impl Access {
    /// A good line with this much delay.
    pub fn with_latency(latency: Duration) -> Self {
        Self {
            latency,
            ..Self::default()
        }
    }

    /// The same with this share of packets lost.
    #[must_use]
    pub fn with_loss(mut self, loss: f64) -> Self {
        self.loss = loss;
        self
    }
}

/// One direction between two hosts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path {
    pub(crate) latency: Duration,
    pub(crate) jitter: Duration,
    pub(crate) loss: f64,
    pub(crate) reorder: f64,
    pub(crate) duplicate: f64,
    pub(crate) mtu: usize,
    pub(crate) fragments: bool,
    /// Tells paths apart for the jitter.
    pub(crate) key: u64,
}

/// Bytes of IP and UDP headers, and of IP and TCP headers with time stamps.
pub(crate) const UDP_OVERHEAD: usize = 28;
pub(crate) const TCP_OVERHEAD: usize = 52;
/// How long a held back packet is held back at most.
const HELD_BACK: Duration = Duration::from_millis(60);

impl Path {
    pub(crate) fn between(a: &Access, b: &Access, key: u64) -> Self {
        let either = |x: f64, y: f64| 1.0 - (1.0 - x) * (1.0 - y);
        Self {
            latency: a.latency + b.latency,
            jitter: a.jitter + b.jitter,
            loss: either(a.loss, b.loss),
            reorder: either(a.reorder, b.reorder),
            duplicate: either(a.duplicate, b.duplicate),
            mtu: a.mtu.min(b.mtu),
            fragments: a.fragments && b.fragments,
            key,
        }
    }

    /// The delay of a packet that leaves at `at`.
    pub(crate) fn delay(&self, at: Time) -> Duration {
        if self.jitter.is_zero() {
            return self.latency;
        }
        // A line between two random points per slot: the delay changes by less than the
        // time that passes, so packets keep their order.
        let slot = u64::try_from(self.jitter.as_nanos())
            .unwrap_or(u64::MAX)
            .saturating_mul(2)
            .max(50_000_000);
        let index = at.nanos() / slot;
        let part = (at.nanos() % slot) as f64 / slot as f64;
        let value = noise(self.key, index) * (1.0 - part) + noise(self.key, index + 1) * part;
        self.latency + self.jitter.mul_f64(value)
    }

    /// IP packets for a UDP payload; `None` if it is too large for the path.
    pub(crate) fn datagram_packets(&self, len: usize) -> Option<usize> {
        let whole = len + UDP_OVERHEAD;
        match whole <= self.mtu {
            true => Some(1),
            false if self.fragments => Some(whole.div_ceil(self.mtu.max(28) - 20)),
            false => None,
        }
    }

    /// Whether one of so many packets gets lost.
    pub(crate) fn loses(&self, packets: usize, rng: &mut Rng) -> bool {
        self.loss > 0.0 && (0..packets).any(|_| chance(self.loss, rng))
    }

    /// More delay for a packet that is held back.
    pub(crate) fn held_back(&self, rng: &mut Rng) -> Duration {
        match self.reorder > 0.0 && chance(self.reorder, rng) {
            true => HELD_BACK.mul_f64(unit(rng)),
            false => Duration::ZERO,
        }
    }
}

/// Uniform in [0, 1).
pub(crate) fn unit(rng: &mut Rng) -> f64 {
    f64::from(rng.u32()) / (f64::from(u32::MAX) + 1.0)
}

/// True with this probability.
pub(crate) fn chance(probability: f64, rng: &mut Rng) -> bool {
    probability > 0.0 && unit(rng) < probability
}

/// A random number in [0, 1) for a place, always the same (splitmix64).
fn noise(key: u64, index: u64) -> f64 {
    let mut x = key ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    (x >> 11) as f64 / (1u64 << 53) as f64
}
