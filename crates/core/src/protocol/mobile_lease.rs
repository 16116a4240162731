//! Leases by which a mobile device proves that members of a conversation should wake it
//! (docs/protocol/05-swarm.md section 9.2).

use std::time::Duration;

use baraza_identity::key::KeyError;
use baraza_identity::{CertificateChain, PrivateKey};
use baraza_wire::msgpack::{Error, Reader, Writer};
use baraza_wire::{AccountId, ConversationId, DeviceId, UnixTime};

use super::each_entry;

const FORMAT: u64 = 1;
const LABEL: &str = "DRT-MOBILE";
/// Longest time a lease holds.
pub const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// How far ahead of ours the clock of the issuer may be.
const AHEAD: Duration = Duration::from_secs(300);
const MAX_CONVERSATION: usize = 128;
const MAX_SIGNATURE: usize = 1024;

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MobileLease {
    /// Version of the format.
    pub version: u64,
    /// The conversation it is for.
    pub conversation: String,
    /// The account of the device.
    pub issuer: AccountId,
    /// The device.
    pub device: DeviceId,
    /// From when on it holds, in whole seconds.
    pub issued: UnixTime,
    /// Until when.
    pub expires: UnixTime,
    /// The device's signature.
    pub signature: Vec<u8>,
}

/// Why a lease does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// It is of a version not known here.
    #[error("a lease of an unknown version")]
    Version,
    /// It is for something else.
    #[error("the lease is for another conversation")]
    Conversation,
    /// It does not hold now.
    #[error("the lease does not hold now")]
    Time,
    /// It holds longer than allowed, or than the certificate of its device.
    #[error("the lease holds too long")]
    TooLong,
    /// It is for another device or account than the certificate.
    #[error("the lease and the certificate are of different devices")]
    Certificate,
    /// It was not signed by its device.
    #[error("the signature of the lease is wrong")]
    Signature,
}

impl MobileLease {
    /// A lease signed by a device, from `now` on for as long as allowed.
    ///
    /// # Errors
    /// If signing fails.
    pub fn issue(
        conversation: &ConversationId,
        chain: &CertificateChain,
        issuer: AccountId,
        key: &PrivateKey,
        now: UnixTime,
    ) -> Result<Self, KeyError> {
        let issued = UnixTime::from_secs(now.secs());
        let mut lease = Self {
            version: FORMAT,
            conversation: conversation.to_string(),
            issuer,
            device: chain.device_id(),
            issued,
            expires: issued.saturating_add(LONGEST),
            signature: Vec::new(),
        };
        lease.signature = key.sign(&lease.signed())?;
        Ok(lease)
    }

    /// What the device signs.
    fn signed(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(256);
        writer.array(7).str(LABEL).uint(self.version);
        writer.str(&self.conversation).bin(self.issuer.as_bytes());
        writer.str(&self.device.to_string());
        writer.uint(self.issued.secs()).uint(self.expires.secs());
        writer.into_bytes()
    }

    /// Checks what can be checked without the certificate. Whether the issuer is a member
    /// is up to the caller.
    ///
    /// # Errors
    /// If it does not count.
    pub fn check(&self, conversation: &ConversationId, now: UnixTime) -> Result<(), LeaseError> {
        if self.version != FORMAT {
            return Err(LeaseError::Version);
        }
        if self.conversation.len() > MAX_CONVERSATION
            || self.conversation != conversation.to_string()
        {
            return Err(LeaseError::Conversation);
        }
        if self.signature.is_empty() || self.signature.len() > MAX_SIGNATURE {
            return Err(LeaseError::Signature);
        }
        if self.issued > now.saturating_add(AHEAD) || self.expires <= now {
            return Err(LeaseError::Time);
        }
        if self.expires.saturating_since(self.issued) > LONGEST {
            return Err(LeaseError::TooLong);
        }
        Ok(())
    }

    /// Checks it against the certificate of its device; [`Self::check`] comes first.
    ///
    /// # Errors
    /// If it does not count.
    pub fn verify(&self, chain: &CertificateChain, now: UnixTime) -> Result<(), LeaseError> {
        let account = chain.verify_device(now).ok();
        if chain.device_id() != self.device || account != Some(self.issuer) {
            return Err(LeaseError::Certificate);
        }
        let leaf = chain.leaf();
        if self.expires > leaf.not_after() {
            return Err(LeaseError::TooLong);
        }
        let key = leaf.public_key();
        key.verify(&self.signed(), &self.signature)
            .map_err(|_| LeaseError::Signature)
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.map(7).str("format_version").uint(self.version);
        writer.str("conversation_id").str(&self.conversation);
        writer.str("issuer_id").bin(self.issuer.as_bytes());
        writer.str("device_id").bin(self.device.as_bytes());
        writer.str("issued_at").uint(self.issued.secs());
        writer.str("expires_at").uint(self.expires.secs());
        writer.str("signature").bin(&self.signature);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut lease = Self {
            version: 0,
            conversation: String::new(),
            issuer: AccountId::default(),
            device: DeviceId::default(),
            issued: UnixTime::default(),
            expires: UnixTime::default(),
            signature: Vec::new(),
        };
        let id = Error::Type("an id");
        // Whole seconds that still fit when they are counted in milliseconds.
        let seconds = |entry: &mut Reader<'_>| match entry.u64()? {
            seconds if seconds < 1 << 40 => Ok(UnixTime::from_secs(seconds)),
            _ => Err(Error::Range),
        };
        each_entry(reader, |key, entry| {
            match key {
                b"format_version" => lease.version = entry.u64()?,
                b"conversation_id" => lease.conversation = entry.str()?.to_owned(),
                b"issuer_id" => lease.issuer = AccountId::from_slice(entry.bin()?).ok_or(id)?,
                b"device_id" => lease.device = DeviceId::from_slice(entry.bin()?).ok_or(id)?,
                b"issued_at" => lease.issued = seconds(entry)?,
                b"expires_at" => lease.expires = seconds(entry)?,
                b"signature" => lease.signature = entry.bin()?.to_vec(),
                _ => {}
            }
            Ok(())
        })?;
        Ok(lease)
    }
}

#[cfg(test)]
mod tests {
    use baraza_identity::testing;

    use super::*;

    fn lease() -> (MobileLease, CertificateChain, ConversationId) {
        let identity = testing::identity("alice");
        let chat = ConversationId::new([3; 20]);
        let chain = identity.chain().clone();
        let lease = MobileLease::issue(
            &chat,
            &chain,
            identity.account_id(),
            identity.key(),
            testing::NOW,
        );
        (lease.unwrap(), chain, chat)
    }

    #[test]
    fn a_lease_counts_for_its_device_conversation_and_time_only() {
        let (lease, chain, chat) = lease();
        let now = testing::NOW;
        assert_eq!(lease.check(&chat, now), Ok(()));
        assert_eq!(lease.verify(&chain, now), Ok(()));
        let other = ConversationId::new([4; 20]);
        assert_eq!(lease.check(&other, now), Err(LeaseError::Conversation));
        let later = now.saturating_add(LONGEST);
        assert_eq!(lease.check(&chat, later), Err(LeaseError::Time));
        let bob = testing::identity("bob").chain().clone();
        assert_eq!(lease.verify(&bob, now), Err(LeaseError::Certificate));
        let longer = MobileLease {
            expires: later.saturating_add(Duration::from_secs(1)),
            ..lease.clone()
        };
        assert_eq!(longer.check(&chat, now), Err(LeaseError::TooLong));
        assert_eq!(longer.verify(&chain, now), Err(LeaseError::Signature));
        let early = MobileLease {
            issued: now.saturating_add(Duration::from_secs(301)),
            ..lease.clone()
        };
        assert_eq!(early.check(&chat, now), Err(LeaseError::Time));
        let newer = MobileLease {
            version: 2,
            ..lease
        };
        assert_eq!(newer.check(&chat, now), Err(LeaseError::Version));
    }
}
