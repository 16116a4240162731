//! Who is at the other end.

use baraza_identity::CertificateChain;
use baraza_wire::{AccountId, DeviceId};

/// A device that has proven, in TLS, to hold its key, with the chain that says whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Long id of its key.
    pub device: DeviceId,
    /// Short id of the key that issued its certificate.
    pub account: AccountId,
    /// The chain it presented, verified but for dates.
    pub chain: CertificateChain,
}
