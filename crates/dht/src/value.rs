//! Values: what is stored under a key (docs/protocol/01-dht.md section 6).
//!
//! A [`Value`] keeps one canonical packed form and where its parts are in it, shared by all
//! clones. So storing, sending and signing need no copy, and a stored value costs little
//! more than its bytes.

mod pack;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod tests_support;

use std::fmt;
use std::sync::Arc;

use baraza_identity::PublicKey;
use baraza_identity::key::KeyError;
use baraza_wire::msgpack::{self, Reader, Writer};
use baraza_wire::{InfoHash, Rng};
use thiserror::Error;

use pack::Kind;
pub(crate) use pack::{Inner, Parts, decode_content, signed_body};

/// Largest [`Value::size`] that the store policies accept (section 4.3).
pub const MAX_VALUE_SIZE: usize = 64 * 1024;
/// Largest packed value that travels (section 2.5).
pub const MAX_PACKED_LEN: usize = 65_536 + 32;

/// A value of the DHT: plain, signed or encrypted. Cheap to clone.
#[derive(Clone)]
pub struct Value {
    /// Id, unique under a key. 0 means "not chosen yet" and cannot be put.
    pub id: u64,
    /// For push notifications only: 0 is urgent, 1 is normal. Not signed.
    pub priority: u32,
    inner: Arc<Inner>,
}

/// Why bytes are not a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ValueError {
    /// A required entry of a map is missing.
    #[error("value has no {0}")]
    Missing(&'static str),
    /// Not msgpack, or not of the type that belongs there.
    #[error(transparent)]
    Msgpack(#[from] msgpack::Error),
    /// The owner is not a public key.
    #[error("owner of the value: {0}")]
    Owner(#[from] KeyError),
    /// Longer than [`MAX_PACKED_LEN`].
    #[error("value of {0} bytes is too large")]
    TooLarge(usize),
}

impl Value {
    /// A plain value with id 0.
    pub fn new(value_type: u16, data: impl AsRef<[u8]>) -> Self {
        let parts = Parts {
            value_type,
            data: data.as_ref(),
            ..Parts::default()
        };
        Self::from_inner(0, Inner::clear(&parts))
    }

    pub(crate) fn from_inner(id: u64, inner: Inner) -> Self {
        Self {
            id,
            priority: 0,
            inner: Arc::new(inner),
        }
    }

    /// The same value with another id.
    #[must_use]
    pub fn with_id(mut self, id: u64) -> Self {
        self.id = id;
        self
    }

    /// The same value with a random id.
    #[must_use]
    pub fn with_random_id(self, rng: &mut Rng) -> Self {
        self.with_id(rng.u64().max(1))
    }

    /// The same value with another priority.
    #[must_use]
    pub fn with_priority(mut self, priority: u32) -> Self {
        self.priority = priority;
        self
    }

    /// The same plain value with a user type. A signature is lost.
    #[must_use]
    pub fn with_user_type(self, user_type: &str) -> Self {
        self.rebuild(|parts| parts.user_type = user_type)
    }

    /// The same plain value with the sequence number that [`crate::secure::sign`] will
    /// sign. A signature is lost.
    #[must_use]
    pub fn with_seq(self, seq: u16) -> Self {
        self.rebuild(|parts| parts.seq = seq)
    }

    /// The same value with a push type (`pt`), which newer proxies show to the push
    /// service.
    #[must_use]
    pub fn with_push_type(self, push_type: &str) -> Self {
        let inner = Inner::clone(&self.inner).with_push_type(push_type);
        Self {
            inner: Arc::new(inner),
            ..self
        }
    }

    /// Encrypted values stay as they are.
    fn rebuild<'a>(&'a self, change: impl FnOnce(&mut Parts<'a>)) -> Self {
        let Some(mut parts) = self.inner.parts() else {
            return self.clone();
        };
        parts.owner = None;
        parts.recipient = None;
        parts.signature = &[];
        change(&mut parts);
        let inner = Inner::clear(&parts).with_push_type(self.push_type());
        Self {
            id: self.id,
            priority: self.priority,
            inner: Arc::new(inner),
        }
    }

    /// Reads one packed value, all of which is consumed even if it is not a value, as long
    /// as it is msgpack.
    ///
    /// # Errors
    /// If it is not a value; in a list the others may still be good.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, ValueError> {
        let item = reader.skip()?;
        pack::decode(item)
    }

    /// Reads a packed value, after which nothing may follow.
    ///
    /// # Errors
    /// If it is not a value.
    pub fn from_packed(bytes: &[u8]) -> Result<Self, ValueError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        if reader.is_empty() {
            Ok(value)
        } else {
            Err(msgpack::Error::Type("the end of the value").into())
        }
    }

    /// Appends the packed value.
    pub fn encode(&self, writer: &mut Writer) {
        pack::encode(self, writer);
    }

    /// The packed value.
    pub fn to_packed(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.packed_len());
        self.encode(&mut writer);
        writer.into_bytes()
    }

    /// Length of the packed value.
    pub fn packed_len(&self) -> usize {
        pack::packed_len(self)
    }

    /// Type id (section 6.7); 0 for encrypted values, which hide it.
    pub fn value_type(&self) -> u16 {
        match self.inner.kind {
            Kind::Clear { value_type, .. } => value_type,
            Kind::Encrypted => 0,
        }
    }

    /// User type; empty if there is none or it is hidden.
    pub fn user_type(&self) -> &str {
        self.inner.parts().map_or("", |parts| parts.user_type)
    }

    /// The content; empty for encrypted values.
    pub fn data(&self) -> &[u8] {
        self.inner.parts().map_or(&[], |parts| parts.data)
    }

    /// Cipher text of an encrypted value.
    pub fn cypher(&self) -> Option<&[u8]> {
        self.inner.cypher()
    }

    /// Sequence number; only meaningful in signed values.
    pub fn seq(&self) -> u16 {
        match self.inner.kind {
            Kind::Clear { seq, .. } => seq,
            Kind::Encrypted => 0,
        }
    }

    /// Whose signature the value carries, as a DER SubjectPublicKeyInfo. Proves nothing
    /// before [`crate::secure::verify`].
    pub fn owner_der(&self) -> Option<&[u8]> {
        self.inner.parts().and_then(|parts| parts.owner)
    }

    /// [`Self::owner_der`] parsed.
    pub fn owner(&self) -> Option<PublicKey> {
        PublicKey::from_spki_der(self.owner_der()?).ok()
    }

    /// Short id of the owner's key.
    pub fn owner_id(&self) -> Option<InfoHash> {
        self.owner_der().map(crate::infohash)
    }

    /// For whom a decrypted value was encrypted.
    pub fn recipient(&self) -> Option<InfoHash> {
        self.inner.parts().and_then(|parts| parts.recipient)
    }

    /// The signature; empty if there is none.
    pub fn signature(&self) -> &[u8] {
        self.inner.parts().map_or(&[], |parts| parts.signature)
    }

    /// Whether it has an owner and a signature, which may be wrong.
    pub fn is_signed(&self) -> bool {
        self.owner_der().is_some()
    }

    /// Whether it is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.cypher().is_some()
    }

    /// Push type; empty if there is none.
    pub fn push_type(&self) -> &str {
        self.inner.push_type.as_deref().unwrap_or_default()
    }

    /// The bytes that the signature covers: the body map alone. Empty for encrypted values.
    pub fn signed_bytes(&self) -> &[u8] {
        self.inner.body()
    }

    /// What the `dat` entry holds: the cipher text, or the packed body with its signature,
    /// which is also what encryption encrypts (section 6.3).
    pub(crate) fn packed_content(&self) -> &[u8] {
        self.inner.packed()
    }

    /// Size as the limits of section 4.3 count it.
    pub fn size(&self) -> usize {
        let push = self.push_type().len();
        if let Some(cypher) = self.cypher() {
            return cypher.len().saturating_add(push);
        }
        self.data()
            .len()
            .saturating_add(self.signature().len())
            .saturating_add(self.user_type().len())
            .saturating_add(push)
    }

    /// Bytes of memory the value takes, all clones together.
    pub fn memory(&self) -> usize {
        size_of::<Self>().saturating_add(self.inner.memory())
    }

    /// Whether both say the same, whatever their ids (section 6.6).
    pub fn content_eq(&self, other: &Self) -> bool {
        if Arc::ptr_eq(&self.inner, &other.inner) {
            return true;
        }
        match (self.inner.parts(), other.inner.parts()) {
            (Some(a), Some(b)) => {
                a.owner == b.owner
                    && a.value_type == b.value_type
                    && a.data == b.data
                    && a.user_type == b.user_type
                    && a.signature == b.signature
            }
            (None, None) => self.cypher() == other.cypher(),
            _ => false,
        }
    }
}

/// The same value: equal id and content (section 6.6).
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.content_eq(other)
    }
}

impl Eq for Value {}

/// Says what kind of value it is, but not what is in it.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({:x} type {}", self.id, self.value_type())?;
        if !self.user_type().is_empty() {
            write!(f, " {:?}", self.user_type())?;
        }
        if self.is_encrypted() {
            f.write_str(" encrypted")?;
        }
        if self.is_signed() {
            write!(f, " signed v{}", self.seq())?;
        }
        write!(f, ", {} bytes)", self.size())
    }
}
