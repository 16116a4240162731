//! Chains of other devices: those known, and looking up others on the DHT.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use baraza_dht::{Command, OpId, Query, Value, certificate_value, infohash, value_type};
use baraza_identity::{CertificateChain, PublicKey};
use baraza_wire::{DeviceId, InfoHash, Now};
use tracing::debug;

use super::offers::DhtOp;
use super::{Links, Output, later};
use crate::api::FailReason;

/// Most chains that are remembered.
const MAX_CERTIFICATES: usize = 4096;
/// How long a lookup may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);
/// Most lookups at once.
const MAX_LOOKUPS: usize = 64;
/// Most values that are checked for one lookup: anyone can store rubbish.
const MAX_TRIES: usize = 16;

/// Known chains, the oldest forgotten first.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    chains: BTreeMap<DeviceId, CertificateChain>,
    order: VecDeque<DeviceId>,
}

impl Certificates {
    pub(super) fn get(&self, device: &DeviceId) -> Option<&CertificateChain> {
        self.chains.get(device)
    }

    fn insert(&mut self, device: DeviceId, chain: CertificateChain) {
        if self.chains.insert(device, chain).is_none() {
            self.order.push_back(device);
        }
        if self.order.len() > MAX_CERTIFICATES
            && let Some(oldest) = self.order.pop_front()
        {
            self.chains.remove(&oldest);
        }
    }
}

/// A lookup under way.
#[derive(Debug)]
pub(super) struct Lookup {
    ops: Vec<OpId>,
    pub(super) deadline: Instant,
    tries: usize,
}

impl Links {
    /// Remembers a chain and goes on with those who wait for it.
    pub(super) fn know_certificate(&mut self, now: Now, chain: CertificateChain) {
        if chain.account_id().is_none() {
            return;
        }
        let device = chain.device_id();
        self.certificates.insert(device, chain);
        self.end_lookup(device);
        for id in self.preparing(device) {
            self.prepare(now, id);
        }
    }

    /// Looks a chain up. The newer generation publishes under the long id, which is all we
    /// know of a device we dial; the older one under the short id, which a request shows.
    pub(super) fn look_up(&mut self, now: Now, device: DeviceId, key: Option<&PublicKey>) {
        let known = key.map(certificate_value::keys);
        if let Some(lookup) = self.lookups.get(&device) {
            // We began to dial it without knowing its key, and now it asks for us.
            let searched: Vec<InfoHash> = lookup
                .ops
                .iter()
                .filter_map(|op| match self.ops.get(op) {
                    Some(DhtOp::Certificate { key, .. }) => Some(*key),
                    _ => None,
                })
                .collect();
            let more = known.into_iter().flatten();
            let more: Vec<InfoHash> = more.filter(|key| !searched.contains(key)).collect();
            let ops = self.search(device, more);
            if let Some(lookup) = self.lookups.get_mut(&device) {
                lookup.ops.extend(ops);
            }
            return;
        }
        let deadline = later(now.instant, LOOKUP_TIMEOUT);
        let Some(deadline) = deadline.filter(|_| self.lookups.len() < MAX_LOOKUPS) else {
            return self.lookup_failed(now, device);
        };
        let keys = match known {
            Some(keys) => keys.to_vec(),
            None => vec![infohash(device.as_bytes())],
        };
        let lookup = Lookup {
            ops: self.search(device, keys),
            deadline,
            tries: 0,
        };
        self.lookups.insert(device, lookup);
    }

    /// Searches at keys.
    fn search(&mut self, device: DeviceId, keys: Vec<InfoHash>) -> Vec<OpId> {
        let mut ops = Vec::new();
        for key in keys {
            let op = OpId(self.fresh_id());
            self.ops.insert(op, DhtOp::Certificate { device, key });
            ops.push(op);
            let query = Query::by_type(value_type::CERTIFICATE);
            self.out
                .push_back(Output::Dht(Command::Get { op, key, query }));
        }
        ops
    }

    pub(super) fn found_certificates(
        &mut self,
        now: Now,
        device: DeviceId,
        key: InfoHash,
        values: &[Value],
    ) {
        for value in values {
            let Some(lookup) = self.lookups.get_mut(&device) else {
                return;
            };
            lookup.tries = lookup.tries.saturating_add(1);
            if lookup.tries > MAX_TRIES {
                return;
            }
            let Some(chain) = certificate_value::parse(&key, value) else {
                continue;
            };
            if chain.device_id() != device {
                continue;
            }
            match chain.verify_device_ignoring_dates() {
                Ok(_) => return self.know_certificate(now, chain),
                Err(error) => debug!(%error, "bad certificate on the DHT"),
            }
        }
    }

    /// One of the places was searched in vain.
    pub(super) fn certificate_op_done(&mut self, now: Now, device: DeviceId, op: OpId) {
        let Some(lookup) = self.lookups.get_mut(&device) else {
            return;
        };
        lookup.ops.retain(|other| *other != op);
        if lookup.ops.is_empty() {
            self.lookups.remove(&device);
            self.lookup_failed(now, device);
        }
    }

    pub(super) fn lookup_timeouts(&mut self, now: Now) {
        let late: Vec<_> = self
            .lookups
            .iter()
            .filter(|(_, lookup)| lookup.deadline <= now.instant)
            .map(|(device, _)| *device)
            .collect();
        for device in late {
            self.end_lookup(device);
            self.lookup_failed(now, device);
        }
    }

    fn lookup_failed(&mut self, now: Now, device: DeviceId) {
        for id in self.preparing(device) {
            self.fail(now, id, &FailReason::NoCertificate);
        }
    }

    fn end_lookup(&mut self, device: DeviceId) {
        let ops = self.lookups.remove(&device).map(|lookup| lookup.ops);
        for op in ops.into_iter().flatten() {
            self.ops.remove(&op);
            self.out.push_back(Output::Dht(Command::Cancel { op }));
        }
    }
}
