//! The STUN messages of ICE over TCP (docs/protocol/04-connection.md section 5.5).
//!
//! Only what connectivity checks use of RFC 8489 and RFC 8445. Reading never fails for
//! attributes that are unknown or that existing peers write in their own way (the length of
//! their SOFTWARE counts its padding); it fails for what is no STUN message at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aws_lc_rs::hmac;
use bytes::{BufMut, BytesMut};
use thiserror::Error;

/// Length of the header.
const HEADER_LEN: usize = 20;
/// What marks STUN messages.
const MAGIC: u32 = 0x2112_a442;
/// Longest message that is read; real ones have at most 150 bytes.
pub const MAX_MESSAGE: usize = 1500;
/// Most attributes that are looked at.
const MAX_ATTRIBUTES: usize = 64;
/// Most unknown attributes that are reported back.
const MAX_UNKNOWN: usize = 8;
/// Bytes of a HMAC-SHA1.
const INTEGRITY_LEN: usize = 20;
/// What the CRC of FINGERPRINT is xored with.
const FINGERPRINT_XOR: u32 = 0x5354_554e;
/// The Binding method, the only one in use.
const BINDING: u16 = 1;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const SOFTWARE: u16 = 0x8022;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;

/// What pairs a response with its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub [u8; 12]);

/// Kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Asks for a response.
    Request,
    /// Asks for nothing: a keep-alive.
    Indication,
    /// The request was good.
    Success,
    /// The request was not.
    Error,
}

/// The role of the sender of a request, with its tie breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It lets the other side nominate.
    Controlled(u64),
    /// It nominates.
    Controlling(u64),
}

/// Why bytes are no STUN message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StunError {
    /// Header, magic or length do not fit.
    #[error("not a STUN message")]
    NotStun,
    /// Longer than [`MAX_MESSAGE`].
    #[error("STUN message of {0} bytes")]
    TooLong(usize),
    /// An attribute that does not fit, or has not the length it must have.
    #[error("malformed STUN attribute {0:#06x}")]
    Attribute(u16),
    /// More than any message has.
    #[error("too many STUN attributes")]
    TooManyAttributes,
    /// The checksum at the end is wrong.
    #[error("wrong STUN fingerprint")]
    Fingerprint,
}

/// Whether a frame is a STUN message rather than a piece of TLS: the test existing peers
/// use (section 6).
pub fn is_stun(frame: &[u8]) -> bool {
    let Some((header, body)) = frame.split_first_chunk::<HEADER_LEN>() else {
        return false;
    };
    let [kind, _, high, low, m0, m1, m2, m3, ..] = *header;
    let len = usize::from(u16::from_be_bytes([high, low]));
    kind & 0xc0 == 0
        && u32::from_be_bytes([m0, m1, m2, m3]) == MAGIC
        && len.is_multiple_of(4)
        && len == body.len()
}

/// A received message.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    bytes: &'a [u8],
    /// Request, response or indication.
    pub class: Class,
    /// Whether the method is Binding.
    pub is_binding: bool,
    /// What pairs requests and responses.
    pub transaction: TransactionId,
    /// PRIORITY.
    pub priority: Option<u32>,
    /// Whether USE-CANDIDATE is there.
    pub use_candidate: bool,
    /// ICE-CONTROLLED or ICE-CONTROLLING.
    pub role: Option<Role>,
    /// USERNAME.
    pub username: Option<&'a [u8]>,
    /// SOFTWARE, with any padding its writer counted.
    pub software: Option<&'a [u8]>,
    /// XOR-MAPPED-ADDRESS.
    pub mapped: Option<SocketAddr>,
    /// ERROR-CODE.
    pub error: Option<u16>,
    /// Attributes that must be understood and are not.
    pub unknown: Vec<u16>,
    /// Whether there is a FINGERPRINT (which then is right).
    pub has_fingerprint: bool,
    /// Where MESSAGE-INTEGRITY begins, and its value.
    integrity: Option<(usize, &'a [u8])>,
}

impl<'a> Message<'a> {
    /// Reads a whole frame. Says nothing about who sent it: see [`Self::is_signed_with`].
    ///
    /// # Errors
    /// If it is not a STUN message or a wrong fingerprint ends it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, StunError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(StunError::TooLong(bytes.len()));
        }
        if !is_stun(bytes) {
            return Err(StunError::NotStun);
        }
        let (header, mut rest) = bytes
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(StunError::NotStun)?;
        let [t0, t1, ..] = *header;
        let transaction = header.last_chunk().copied().ok_or(StunError::NotStun)?;
        let kind = u16::from_be_bytes([t0, t1]);
        let mut message = Self {
            bytes,
            class: match kind & 0x0110 {
                0x0000 => Class::Request,
                0x0010 => Class::Indication,
                0x0100 => Class::Success,
                _ => Class::Error,
            },
            is_binding: kind & !0x0110 == BINDING,
            transaction: TransactionId(transaction),
            priority: None,
            use_candidate: false,
            role: None,
            username: None,
            software: None,
            mapped: None,
            error: None,
            unknown: Vec::new(),
            has_fingerprint: false,
            integrity: None,
        };
        let mut count = 0_usize;
        while let Some((head, after)) = rest.split_first_chunk::<4>() {
            count = count.saturating_add(1);
            if count > MAX_ATTRIBUTES {
                return Err(StunError::TooManyAttributes);
            }
            let at = bytes.len().saturating_sub(rest.len());
            let [k0, k1, l0, l1] = *head;
            let kind = u16::from_be_bytes([k0, k1]);
            let len = usize::from(u16::from_be_bytes([l0, l1]));
            let malformed = StunError::Attribute(kind);
            let value = after.get(..len).ok_or(malformed)?;
            rest = after.get(len.next_multiple_of(4)..).ok_or(malformed)?;
            message.take(kind, value, at)?;
        }
        Ok(message)
    }

    fn take(&mut self, kind: u16, value: &'a [u8], at: usize) -> Result<(), StunError> {
        let malformed = StunError::Attribute(kind);
        // Only FINGERPRINT counts after MESSAGE-INTEGRITY, and nothing after FINGERPRINT.
        if self.has_fingerprint || (self.integrity.is_some() && kind != FINGERPRINT) {
            return Ok(());
        }
        match kind {
            USERNAME => self.username = self.username.or(Some(value)),
            SOFTWARE => self.software = self.software.or(Some(value)),
            USE_CANDIDATE => self.use_candidate = true,
            PRIORITY => {
                let value = value.try_into().map_err(|_| malformed)?;
                self.priority = self.priority.or(Some(u32::from_be_bytes(value)));
            }
            ICE_CONTROLLED | ICE_CONTROLLING => {
                let tie_breaker = u64::from_be_bytes(value.try_into().map_err(|_| malformed)?);
                let role = match kind {
                    ICE_CONTROLLED => Role::Controlled(tie_breaker),
                    _ => Role::Controlling(tie_breaker),
                };
                self.role = self.role.or(Some(role));
            }
            XOR_MAPPED_ADDRESS => {
                let mapped = unmask(value, self.transaction).ok_or(malformed)?;
                self.mapped = self.mapped.or(Some(mapped));
            }
            ERROR_CODE => {
                let [_, _, class, number, ..] = *value else {
                    return Err(malformed);
                };
                let code = u16::from(class & 7)
                    .saturating_mul(100)
                    .saturating_add(u16::from(number));
                self.error = self.error.or(Some(code));
            }
            MESSAGE_INTEGRITY => {
                if value.len() != INTEGRITY_LEN {
                    return Err(malformed);
                }
                self.integrity = Some((at, value));
            }
            FINGERPRINT => {
                let value = u32::from_be_bytes(value.try_into().map_err(|_| malformed)?);
                let covered = self.bytes.get(..at).ok_or(malformed)?;
                if crc32(&[&with_len(covered, 8)?, covered.get(4..).ok_or(malformed)?])
                    ^ FINGERPRINT_XOR
                    != value
                {
                    return Err(StunError::Fingerprint);
                }
                self.has_fingerprint = true;
            }
            UNKNOWN_ATTRIBUTES => {}
            _ if kind < 0x8000 && self.unknown.len() < MAX_UNKNOWN => self.unknown.push(kind),
            _ => {}
        }
        Ok(())
    }

    /// Whether MESSAGE-INTEGRITY is there and made with this password.
    pub fn is_signed_with(&self, password: &str) -> bool {
        let Some((at, value)) = self.integrity else {
            return false;
        };
        let Some(covered) = self.bytes.get(..at) else {
            return false;
        };
        let Ok(head) = with_len(covered, INTEGRITY_LEN.saturating_add(4)) else {
            return false;
        };
        let mut signed = BytesMut::with_capacity(covered.len());
        signed.put_slice(&head);
        signed.put_slice(covered.get(4..).unwrap_or_default());
        hmac::verify(&hmac_key(password), &signed, value).is_ok()
    }
}

/// The first four bytes of a message that ends with an attribute of `extra` bytes after
/// `covered`.
fn with_len(covered: &[u8], extra: usize) -> Result<[u8; 4], StunError> {
    let [t0, t1, ..] = *covered else {
        return Err(StunError::NotStun);
    };
    let len = covered
        .len()
        .saturating_add(extra)
        .saturating_sub(HEADER_LEN);
    let [l0, l1] = u16::try_from(len)
        .map_err(|_| StunError::NotStun)?
        .to_be_bytes();
    Ok([t0, t1, l0, l1])
}

fn hmac_key(password: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes())
}

fn unmask(value: &[u8], transaction: TransactionId) -> Option<SocketAddr> {
    let [_, family, p0, p1, address @ ..] = value else {
        return None;
    };
    let port = u16::from_be_bytes([*p0, *p1]) ^ port_mask();
    let ip = match family {
        1 => {
            let bits = u32::from_be_bytes(address.try_into().ok()?) ^ MAGIC;
            IpAddr::V4(Ipv4Addr::from(bits))
        }
        2 => {
            let bits = u128::from_be_bytes(address.try_into().ok()?) ^ mask(transaction);
            IpAddr::V6(Ipv6Addr::from(bits))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn port_mask() -> u16 {
    let [high, low, ..] = MAGIC.to_be_bytes();
    u16::from_be_bytes([high, low])
}

fn mask(transaction: TransactionId) -> u128 {
    let mut bytes = [0; 16];
    let chained = MAGIC.to_be_bytes().into_iter().chain(transaction.0);
    for (out, byte) in bytes.iter_mut().zip(chained) {
        *out = byte;
    }
    u128::from_be_bytes(bytes)
}

/// Writes messages, attribute by attribute; [`Self::finish`] ends them.
#[derive(Debug)]
pub struct Builder(BytesMut);

impl Builder {
    /// A Binding message.
    pub fn new(class: Class, transaction: TransactionId) -> Self {
        let kind = BINDING
            | match class {
                Class::Request => 0,
                Class::Indication => 0x0010,
                Class::Success => 0x0100,
                Class::Error => 0x0110,
            };
        let mut bytes = BytesMut::with_capacity(160);
        bytes.put_u16(kind);
        bytes.put_u16(0);
        bytes.put_u32(MAGIC);
        bytes.put_slice(&transaction.0);
        Self(bytes)
    }

    /// PRIORITY.
    #[must_use]
    pub fn priority(self, priority: u32) -> Self {
        self.attribute(PRIORITY, &priority.to_be_bytes())
    }

    /// USE-CANDIDATE.
    #[must_use]
    pub fn use_candidate(self) -> Self {
        self.attribute(USE_CANDIDATE, &[])
    }

    /// ICE-CONTROLLED or ICE-CONTROLLING.
    #[must_use]
    pub fn role(self, role: Role) -> Self {
        match role {
            Role::Controlled(tie) => self.attribute(ICE_CONTROLLED, &tie.to_be_bytes()),
            Role::Controlling(tie) => self.attribute(ICE_CONTROLLING, &tie.to_be_bytes()),
        }
    }

    /// SOFTWARE.
    #[must_use]
    pub fn software(self, software: &[u8]) -> Self {
        self.attribute(SOFTWARE, software)
    }

    /// USERNAME: who is asked, then who asks.
    #[must_use]
    pub fn username(self, to: &str, from: &str) -> Self {
        self.attribute(USERNAME, format!("{to}:{from}").as_bytes())
    }

    /// XOR-MAPPED-ADDRESS.
    #[must_use]
    pub fn mapped(self, address: SocketAddr) -> Self {
        let transaction = self.transaction();
        let [p0, p1] = (address.port() ^ port_mask()).to_be_bytes();
        match address.ip() {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = (u32::from(ip) ^ MAGIC).to_be_bytes();
                self.attribute(XOR_MAPPED_ADDRESS, &[0, 1, p0, p1, a, b, c, d])
            }
            IpAddr::V6(ip) => {
                let masked = u128::from(ip) ^ mask(transaction);
                let mut value = vec![0, 2, p0, p1];
                value.extend(masked.to_be_bytes());
                self.attribute(XOR_MAPPED_ADDRESS, &value)
            }
        }
    }

    /// ERROR-CODE.
    #[must_use]
    pub fn error(self, code: u16, reason: &str) -> Self {
        let digit = |n: u16| u8::try_from(n).unwrap_or_default();
        let mut value = vec![0, 0, digit(code / 100), digit(code % 100)];
        value.extend(reason.bytes());
        self.attribute(ERROR_CODE, &value)
    }

    /// UNKNOWN-ATTRIBUTES.
    #[must_use]
    pub fn unknown(self, kinds: &[u16]) -> Self {
        let value: Vec<u8> = kinds.iter().flat_map(|kind| kind.to_be_bytes()).collect();
        self.attribute(UNKNOWN_ATTRIBUTES, &value)
    }

    /// The message, signed if there is a password, and with its fingerprint.
    pub fn finish(mut self, password: Option<&str>) -> BytesMut {
        if let Some(password) = password {
            self.set_len(INTEGRITY_LEN.saturating_add(4));
            let tag = hmac::sign(&hmac_key(password), &self.0);
            self = self.attribute(MESSAGE_INTEGRITY, tag.as_ref());
        }
        self.set_len(8);
        let crc = crc32(&[&self.0]) ^ FINGERPRINT_XOR;
        self.attribute(FINGERPRINT, &crc.to_be_bytes()).0
    }

    fn transaction(&self) -> TransactionId {
        let bytes = self.0.get(8..HEADER_LEN).unwrap_or_default();
        TransactionId(bytes.try_into().unwrap_or_default())
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        // Callers give short values; one that is too long would make a message that the
        // other side ignores.
        let len = u16::try_from(value.len()).unwrap_or_default();
        self.0.put_u16(kind);
        self.0.put_u16(len);
        self.0.put_slice(value);
        let padding = value.len().next_multiple_of(4).saturating_sub(value.len());
        self.0.put_bytes(0, padding);
        self.set_len(0);
        self
    }

    /// Sets the length field as if `extra` more bytes followed.
    fn set_len(&mut self, extra: usize) {
        let len = self.0.len().saturating_add(extra);
        let len = u16::try_from(len.saturating_sub(HEADER_LEN)).unwrap_or_default();
        if let Some(field) = self.0.get_mut(2..4) {
            field.copy_from_slice(&len.to_be_bytes());
        }
    }
}

/// CRC-32 of the concatenation of `parts`.
fn crc32(parts: &[&[u8]]) -> u32 {
    let mut crc = u32::MAX;
    for byte in parts.iter().copied().flatten() {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let low = crc & 1;
            crc >>= 1;
            if low == 1 {
                crc ^= 0xedb8_8320;
            }
        }
    }
    !crc
}

#[cfg(test)]
mod tests;
