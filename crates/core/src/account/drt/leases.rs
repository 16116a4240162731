//! Leases of mobile devices: verified, kept, and passed on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use baraza_identity::CertificateChain;
use baraza_wire::{ConversationId, DeviceId, Now};

use crate::protocol::drt::{MAX_CERTIFICATE, MAX_CERTIFICATES, MAX_NODES, MobileNode};
use crate::protocol::mobile_lease::MobileLease;

/// Leases waiting for a certificate.
const MAX_UNRESOLVED: usize = 64;
/// How long for.
const RESOLVED_IN: Duration = Duration::from_secs(10);

/// What became of a lease.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LeaseOutcome {
    /// It counts from now on, or did.
    Counts,
    /// Whoever told it is to be asked for the certificate.
    Ask,
    /// It does not count.
    Refused,
}

/// Those of one conversation.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    verified: BTreeMap<DeviceId, (MobileLease, CertificateChain)>,
    /// Who told of it, and until when its certificate may come.
    unresolved: BTreeMap<DeviceId, (MobileLease, DeviceId, Instant)>,
}

impl Leases {
    /// A member told of a lease; that its issuer is a member was checked. `chain` is the
    /// certificate of the device, if it is known.
    pub(crate) fn told(
        &mut self,
        conversation: &ConversationId,
        lease: &MobileLease,
        from: DeviceId,
        chain: Option<CertificateChain>,
        now: Now,
    ) -> LeaseOutcome {
        if lease.check(conversation, now.unix).is_err() {
            return LeaseOutcome::Refused;
        }
        let device = lease.device;
        let old = self.verified.get(&device);
        if old.is_some_and(|(old, _)| old.expires >= lease.expires) {
            return LeaseOutcome::Counts;
        }
        let known = old.map(|(_, chain)| chain.clone());
        if let Some(chain) = chain.or(known) {
            return self.accept(lease.clone(), chain, now);
        }
        self.unresolved
            .retain(|_, (.., until)| *until > now.instant);
        let until = now.instant.checked_add(RESOLVED_IN);
        match until {
            Some(until)
                if self.unresolved.len() < MAX_UNRESOLVED
                    && !self.unresolved.contains_key(&device) =>
            {
                let waiting = (lease.clone(), from, until);
                self.unresolved.insert(device, waiting);
                LeaseOutcome::Ask
            }
            _ => LeaseOutcome::Refused,
        }
    }

    fn accept(&mut self, lease: MobileLease, chain: CertificateChain, now: Now) -> LeaseOutcome {
        let device = lease.device;
        let full = self.verified.len() >= MAX_NODES && !self.verified.contains_key(&device);
        if full || lease.verify(&chain, now.unix).is_err() {
            return LeaseOutcome::Refused;
        }
        self.verified.insert(device, (lease, chain));
        LeaseOutcome::Counts
    }

    /// Certificates came from a device. Those that were not asked for are dropped.
    pub(crate) fn certificates(&mut self, from: &DeviceId, chains: &[Vec<u8>], now: Now) {
        for chain in chains {
            if chain.len() > MAX_CERTIFICATE {
                continue;
            }
            let Ok(chain) = CertificateChain::from_der(chain) else {
                continue;
            };
            let device = chain.device_id();
            let asked = self.unresolved.get(&device);
            if asked.is_some_and(|(_, asked, until)| asked == from && *until > now.instant)
                && let Some((lease, ..)) = self.unresolved.remove(&device)
            {
                self.accept(lease, chain, now);
            }
        }
    }

    /// Whether a device has a lease that holds.
    pub(crate) fn holds(&self, device: &DeviceId, now: Now) -> bool {
        let lease = self.verified.get(device);
        lease.is_some_and(|(lease, _)| lease.expires > now.unix)
    }

    /// Forgets leases that are over, and those of devices that do not belong here.
    pub(crate) fn retain(&mut self, now: Now, mut belongs: impl FnMut(&MobileLease) -> bool) {
        self.verified
            .retain(|_, (lease, _)| lease.expires > now.unix && belongs(lease));
        self.unresolved
            .retain(|_, (lease, _, until)| *until > now.instant && belongs(lease));
    }

    /// To be passed on.
    pub(crate) fn all(&self) -> Vec<MobileNode> {
        let leases = self.verified.iter();
        leases
            .map(|(id, (lease, _))| MobileNode {
                id: *id,
                lease: Some(lease.clone()),
            })
            .collect()
    }

    /// The certificates asked for, of devices with a lease only; `own` is this device's.
    pub(crate) fn serve(&self, ids: &[DeviceId], own: &CertificateChain) -> Vec<Vec<u8>> {
        let mut served = Vec::new();
        let mut left = MAX_CERTIFICATES;
        for id in ids {
            let chain = match self.verified.get(id) {
                Some((_, chain)) => chain,
                None if own.device_id() == *id => own,
                None => continue,
            };
            let certificates = chain.certificates().iter();
            let der: Vec<u8> = certificates.flat_map(|one| one.der().to_vec()).collect();
            if der.len() > MAX_CERTIFICATE {
                continue;
            }
            match left.checked_sub(der.len()) {
                Some(less) => left = less,
                None => break,
            }
            served.push(der);
        }
        served
    }
}

#[cfg(test)]
mod tests {
    use baraza_identity::testing;

    use super::*;

    #[test]
    fn a_lease_counts_when_its_certificate_came_from_whoever_told_it() {
        let alice = testing::identity("alice");
        let chat = ConversationId::new([3; 20]);
        let now = Now {
            instant: Instant::now(),
            unix: testing::NOW,
        };
        let lease = MobileLease::issue(
            &chat,
            alice.chain(),
            alice.account_id(),
            alice.key(),
            now.unix,
        )
        .unwrap();
        let (bob, carol) = (DeviceId::new([1; 32]), DeviceId::new([2; 32]));
        let mut leases = Leases::default();
        let told = leases.told(&chat, &lease, bob, None, now);
        assert_eq!(told, LeaseOutcome::Ask);
        let device = alice.device_id();
        let mut source = Leases::default();
        let told = source.told(&chat, &lease, bob, Some(alice.chain().clone()), now);
        assert_eq!(told, LeaseOutcome::Counts);
        let served = source.serve(&[device, carol], testing::identity("bob").chain());
        assert_eq!(served.len(), 1);
        leases.certificates(&carol, &served, now);
        assert!(!leases.holds(&device, now), "not from whoever told it");
        leases.certificates(&bob, &served, now);
        assert!(leases.holds(&device, now));
        assert_eq!(leases.all(), source.all());
        // Somebody else's certificate does not make it count.
        let mut wrong = Leases::default();
        let other = testing::identity("bob").chain().clone();
        let told = wrong.told(&chat, &lease, bob, Some(other), now);
        assert_eq!(told, LeaseOutcome::Refused);
        // It ends.
        let later = Now {
            unix: lease.expires,
            ..now
        };
        assert!(!leases.holds(&device, later));
        leases.retain(later, |_| true);
        assert!(leases.all().is_empty());
    }
}
