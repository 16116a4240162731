//! Types of values: how long they live and what may be stored and changed
//! (docs/protocol/01-dht.md sections 6.6 and 6.7).
//!
//! These rules are cheap. The one they leave out is verifying signatures: see
//! [`crate::secure::verify`].

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use baraza_wire::InfoHash;
use baraza_wire::msgpack::{Reader, Writer};
use thiserror::Error;

use crate::certificate_value;
use crate::value::{MAX_VALUE_SIZE, Value};

/// Anything; the content says what.
pub const USER_DATA: u16 = 0;
/// A message of a service.
pub const DHT_MESSAGE: u16 = 1;
/// An address at which a service is offered.
pub const SERVICE: u16 = 2;
/// An instant message.
pub const IM_MESSAGE: u16 = 3;
/// A contact request.
pub const TRUST_REQUEST: u16 = 4;
/// ICE candidates; not used any more.
pub const ICE_CANDIDATES: u16 = 5;
/// A certificate chain.
pub const CERTIFICATE: u16 = 8;

const MINUTE: Duration = Duration::from_secs(60);
/// Lifetime of user data and of unknown types.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// How long a stored value of the type lives after it was put or refreshed.
pub fn lifetime(value_type: u16) -> Duration {
    match value_type {
        DHT_MESSAGE | IM_MESSAGE => MINUTE.saturating_mul(5),
        SERVICE => MINUTE.saturating_mul(15),
        ICE_CANDIDATES => MINUTE,
        TRUST_REQUEST | CERTIFICATE => MINUTE.saturating_mul(7 * 24 * 60),
        _ => DEFAULT_LIFETIME,
    }
}

/// Why a value is not stored. The one who put it is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refused {
    /// The rules of its type refuse the content.
    #[error("content not allowed under this key")]
    Content,
    /// A value with this id is stored and may not be changed, or not so.
    #[error("stored value may not be changed")]
    Edit,
    /// Larger than [`MAX_VALUE_SIZE`].
    #[error("value is too large")]
    Size,
}

/// The store policy for a new value put by `from`: returns what to store, which differs
/// from `value` only for service announcements.
///
/// # Errors
/// If it must not be stored.
pub fn check_store<'a>(
    key: &InfoHash,
    value: &'a Value,
    from: SocketAddr,
) -> Result<Cow<'a, Value>, Refused> {
    // Signed values of secure types are bounded by the transport alone in existing peers;
    // the same bound for all costs nobody anything (section 14).
    if value.size() > MAX_VALUE_SIZE {
        return Err(Refused::Size);
    }
    let stored = Cow::Borrowed(value);
    if value.is_encrypted() {
        return Ok(stored);
    }
    match value.value_type() {
        DHT_MESSAGE if !value.is_signed() => {
            let mut reader = Reader::new(value.data());
            let named = reader.array_len().is_ok_and(|len| len >= 2)
                && reader.str_bytes().is_ok_and(|service| !service.is_empty());
            named.then_some(stored).ok_or(Refused::Content)
        }
        SERVICE => located_service(value, from)
            .map(Cow::Owned)
            .ok_or(Refused::Content),
        CERTIFICATE => certificate_value::leaf(value.data())
            .filter(|leaf| certificate_value::keys(leaf.public_key()).contains(key))
            .map(|_| stored)
            .ok_or(Refused::Content),
        _ => Ok(stored),
    }
}

/// The edit policy: whether `new` may take the place of `old`, which has the same id and
/// other content. `new` must pass [`check_store`] too.
///
/// # Errors
/// If it must not.
pub fn check_edit(old: &Value, new: &Value) -> Result<(), Refused> {
    let allowed = if old.is_encrypted() {
        false
    } else {
        match old.value_type() {
            CERTIFICATE => {
                let key = |value: &Value| {
                    let leaf = certificate_value::leaf(value.data())?;
                    Some(leaf.public_key().long_id())
                };
                new.value_type() == CERTIFICATE && key(old).is_some() && key(old) == key(new)
            }
            USER_DATA | DHT_MESSAGE | IM_MESSAGE | TRUST_REQUEST | ICE_CANDIDATES => {
                may_supersede(old, new)
            }
            _ => false,
        }
    };
    allowed.then_some(()).ok_or(Refused::Edit)
}

fn may_supersede(old: &Value, new: &Value) -> bool {
    let same_owner = old.is_signed() && old.owner_der() == new.owner_der();
    same_owner
        && (new.seq() > old.seq()
            || (new.seq() == old.seq() && new.signed_bytes() == old.signed_bytes()))
}

/// A service announcement whose address is that of the one who put it: raw `sockaddr` of
/// Linux, of which the port is kept.
fn located_service(value: &Value, from: SocketAddr) -> Option<Value> {
    let mut reader = Reader::new(value.data());
    let raw = reader.bin().ok()?;
    let port = u16::from_be_bytes(*raw.get(2..)?.first_chunk::<2>()?);
    let family = u16::from_le_bytes(*raw.first_chunk::<2>()?);
    if port == 0 || !matches!(family, 2 | 10) {
        return None;
    }
    let mut raw = Vec::with_capacity(28);
    match from {
        SocketAddr::V4(from) => {
            raw.extend(2u16.to_le_bytes());
            raw.extend(port.to_be_bytes());
            raw.extend(from.ip().octets());
            raw.extend([0; 8]);
        }
        SocketAddr::V6(from) => {
            raw.extend(10u16.to_le_bytes());
            raw.extend(port.to_be_bytes());
            raw.extend(0u32.to_be_bytes());
            raw.extend(from.ip().octets());
            raw.extend(0u32.to_le_bytes());
        }
    }
    let mut writer = Writer::new();
    writer.bin(&raw);
    Some(
        Value::new(SERVICE, writer.as_bytes())
            .with_user_type(value.user_type())
            .with_id(value.id)
            .with_priority(value.priority),
    )
}

#[cfg(test)]
mod tests;
