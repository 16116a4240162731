//! One entry of the log, and its bytes.

use aws_lc_rs::digest::{Context, SHA256};
use baraza_wire::{AccountId, UnixTime};
use thiserror::Error;

use super::{ChainHash, SignerKey};
use crate::name::Name;

/// The first byte of an entry: the version of its form.
const VERSION: u8 = 1;
/// Longest reason in bytes.
pub const MAX_REASON: usize = 500;

/// Bytes that are no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not an entry of a log: {0}")]
pub struct EntryError(pub(super) &'static str);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A key will sign checkpoints from now on.
    Key {
        /// Which.
        key: SignerKey,
    },
    /// Somebody registered a name.
    Registered {
        /// The name.
        name: Name,
        /// Whose it is.
        addr: AccountId,
        /// The hash of the record ([`crate::directory::Record::digest`]).
        digest: [u8; 32],
    },
    /// A name was taken over from another directory.
    Imported {
        /// The name.
        name: Name,
        /// Whose it is.
        addr: AccountId,
        /// As above.
        digest: [u8; 32],
    },
    /// Whoever runs the server may change names from now on, or no longer.
    AdminAllowed {
        /// Which of the two.
        allowed: bool,
    },
    /// A name was given to another ID.
    Moved {
        /// The name.
        name: Name,
        /// Whose it was.
        from: AccountId,
        /// Whose it is.
        to: AccountId,
        /// The hash of the new record.
        digest: [u8; 32],
        /// Why.
        reason: String,
    },
    /// A name is kept from everybody.
    Reserved {
        /// The name.
        name: Name,
        /// Why.
        reason: String,
    },
    /// A reserved name is free.
    Released {
        /// The name.
        name: Name,
        /// Why.
        reason: String,
    },
    /// A name is not found for now.
    Suspended {
        /// The name.
        name: Name,
        /// Why.
        reason: String,
    },
    /// A suspended name is found again.
    Restored {
        /// The name.
        name: Name,
        /// Why.
        reason: String,
    },
}

impl Act {
    /// What it is called in exports.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Key { .. } => "key",
            Self::Registered { .. } => "registered",
            Self::Imported { .. } => "imported",
            Self::AdminAllowed { .. } => "admin_allowed",
            Self::Moved { .. } => "moved",
            Self::Reserved { .. } => "reserved",
            Self::Released { .. } => "released",
            Self::Suspended { .. } => "suspended",
            Self::Restored { .. } => "restored",
        }
    }

    /// The name it is about.
    pub fn name(&self) -> Option<&Name> {
        match self {
            Self::Key { .. } | Self::AdminAllowed { .. } => None,
            Self::Registered { name, .. }
            | Self::Imported { name, .. }
            | Self::Moved { name, .. }
            | Self::Reserved { name, .. }
            | Self::Released { name, .. }
            | Self::Suspended { name, .. }
            | Self::Restored { name, .. } => Some(name),
        }
    }
}

/// An entry in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its number, from 1.
    pub seq: u64,
    /// When, in whole seconds.
    pub time: UnixTime,
    /// What happened.
    pub act: Act,
    /// The hash of it and all before it.
    pub hash: ChainHash,
}

impl Logged {
    /// Puts an act behind the entry with the hash `before`.
    pub fn new(seq: u64, time: UnixTime, act: Act, before: &ChainHash) -> Self {
        let mut logged = Self {
            seq,
            time: UnixTime::from_secs(time.secs()),
            act,
            hash: *before,
        };
        logged.hash = logged.hash_after(before);
        logged
    }

    /// The hash it must have behind the entry with the hash `before`.
    pub fn hash_after(&self, before: &ChainHash) -> ChainHash {
        let mut context = Context::new(&SHA256);
        context.update(before);
        context.update(&self.to_bytes());
        let mut out = [0; 32];
        out.copy_from_slice(context.finish().as_ref());
        out
    }

    /// The bytes that are hashed and stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        out.push(VERSION);
        out.extend(self.seq.to_be_bytes());
        out.extend(self.time.secs().to_be_bytes());
        let text = |out: &mut Vec<u8>, text: &str| {
            out.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend(text.bytes().take(usize::from(u16::MAX)));
        };
        match &self.act {
            Act::Key { key } => {
                out.push(0);
                out.extend(key.as_bytes());
            }
            Act::Registered { name, addr, digest } | Act::Imported { name, addr, digest } => {
                out.push(if matches!(self.act, Act::Registered { .. }) {
                    1
                } else {
                    2
                });
                text(&mut out, name.as_str());
                out.extend(addr.as_bytes());
                out.extend(digest);
            }
            Act::AdminAllowed { allowed } => {
                out.push(3);
                out.push(u8::from(*allowed));
            }
            Act::Moved {
                name,
                from,
                to,
                digest,
                reason,
            } => {
                out.push(4);
                text(&mut out, name.as_str());
                out.extend(from.as_bytes());
                out.extend(to.as_bytes());
                out.extend(digest);
                text(&mut out, reason);
            }
            Act::Reserved { name, reason }
            | Act::Released { name, reason }
            | Act::Suspended { name, reason }
            | Act::Restored { name, reason } => {
                out.push(match &self.act {
                    Act::Reserved { .. } => 5,
                    Act::Released { .. } => 6,
                    Act::Suspended { .. } => 7,
                    _ => 8,
                });
                text(&mut out, name.as_str());
                text(&mut out, reason);
            }
        }
        out
    }

    /// Reads the bytes of [`Self::to_bytes`], and takes the hash as it is given.
    ///
    /// # Errors
    /// If they are no entry.
    pub fn from_bytes(bytes: &[u8], hash: ChainHash) -> Result<Self, EntryError> {
        let mut reader = Reader(bytes);
        if reader.take::<1>()? != [VERSION] {
            return Err(EntryError("another version"));
        }
        let seq = u64::from_be_bytes(reader.take()?);
        let time = u64::from_be_bytes(reader.take()?);
        let [kind] = reader.take()?;
        let act = match kind {
            0 => Act::Key {
                key: SignerKey::new(reader.take()?),
            },
            1 | 2 => {
                let name = reader.name()?;
                let addr = AccountId::new(reader.take()?);
                let digest = reader.take()?;
                if kind == 1 {
                    Act::Registered { name, addr, digest }
                } else {
                    Act::Imported { name, addr, digest }
                }
            }
            3 => match reader.take()? {
                [flag @ (0 | 1)] => Act::AdminAllowed { allowed: flag == 1 },
                _ => return Err(EntryError("neither yes nor no")),
            },
            4 => Act::Moved {
                name: reader.name()?,
                from: AccountId::new(reader.take()?),
                to: AccountId::new(reader.take()?),
                digest: reader.take()?,
                reason: reader.reason()?,
            },
            5..=8 => {
                let name = reader.name()?;
                let reason = reader.reason()?;
                match kind {
                    5 => Act::Reserved { name, reason },
                    6 => Act::Released { name, reason },
                    7 => Act::Suspended { name, reason },
                    _ => Act::Restored { name, reason },
                }
            }
            _ => return Err(EntryError("an unknown act")),
        };
        if !reader.0.is_empty() {
            return Err(EntryError("too long"));
        }
        if time > u64::MAX / 1000 {
            return Err(EntryError("an impossible time"));
        }
        Ok(Self {
            seq,
            time: UnixTime::from_secs(time),
            act,
            hash,
        })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], EntryError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(EntryError("cut short"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn text(&mut self) -> Result<&'a str, EntryError> {
        let len = usize::from(u16::from_be_bytes(self.take()?));
        let (text, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(EntryError("cut short"))?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| EntryError("no text"))
    }

    fn name(&mut self) -> Result<Name, EntryError> {
        Name::new(self.text()?).map_err(|_| EntryError("no name"))
    }

    fn reason(&mut self) -> Result<String, EntryError> {
        let reason = self.text()?;
        if reason.len() > MAX_REASON {
            return Err(EntryError("a reason that is too long"));
        }
        Ok(reason.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn acts() -> Vec<Act> {
        let name = Name::new("alice").unwrap();
        let (addr, digest) = (AccountId::new([1; 20]), [2; 32]);
        let reason = || "court order".to_owned();
        vec![
            Act::Key {
                key: SignerKey::new([3; 32]),
            },
            Act::Registered {
                name: name.clone(),
                addr,
                digest,
            },
            Act::Imported {
                name: name.clone(),
                addr,
                digest,
            },
            Act::AdminAllowed { allowed: true },
            Act::AdminAllowed { allowed: false },
            Act::Moved {
                name: name.clone(),
                from: addr,
                to: AccountId::new([4; 20]),
                digest,
                reason: reason(),
            },
            Act::Reserved {
                name: name.clone(),
                reason: reason(),
            },
            Act::Released {
                name: name.clone(),
                reason: reason(),
            },
            Act::Suspended {
                name: name.clone(),
                reason: String::new(),
            },
            Act::Restored {
                name,
                reason: reason(),
            },
        ]
    }

    #[test]
    fn every_act_is_read_as_it_was_written_and_hashes_differently() {
        let mut hashes = std::collections::BTreeSet::new();
        for act in acts() {
            let logged = Logged::new(7, UnixTime::from_millis(1_767_225_600_123), act, &[9; 32]);
            let read = Logged::from_bytes(&logged.to_bytes(), logged.hash).unwrap();
            assert_eq!(read, logged);
            assert_eq!(read.hash_after(&[9; 32]), logged.hash);
            assert_ne!(read.hash_after(&[8; 32]), logged.hash);
            assert!(hashes.insert(logged.hash));
            let bytes = logged.to_bytes();
            for len in 0..bytes.len() {
                assert!(Logged::from_bytes(&bytes[..len], logged.hash).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(logged) = Logged::from_bytes(&bytes, [0; 32]) {
                prop_assert_eq!(logged.to_bytes(), bytes);
            }
        }
    }
}
