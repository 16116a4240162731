//! What accounts say to each other, apart from conversations: values on the DHT and
//! messages over channels, as bytes.
//!
//! Codecs only: nothing here keeps state of an account, reads a clock or does I/O. What
//! comes from the network is bounded and checked for form; whether the sender may say it
//! is up to the engine.

pub mod account_value;
pub mod announcement;
pub mod crl;
pub mod drt;
pub mod im_message;
pub mod inbox;
pub mod message;
pub mod mobile_lease;
pub mod msg_channel;
pub mod msgpack_stream;
pub mod nearby;
pub mod sip;
pub mod sync;
#[cfg(test)]
mod tests_support;
pub mod transfer;
pub mod trust_request;
pub mod vcard;

use baraza_wire::msgpack::{Error, Kind, Reader};

/// Calls `found` with each text key of a map and the value behind it; of equal keys only
/// the first counts. Other keys are skipped, as existing peers do.
pub(crate) fn each_entry<'a>(
    reader: &mut Reader<'a>,
    mut found: impl FnMut(&'a [u8], &mut Reader<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut seen = Vec::new();
    for _ in 0..reader.map_len()? {
        if reader.peek()? != Kind::Str {
            reader.skip()?;
            reader.skip()?;
            continue;
        }
        let key = reader.str_bytes()?;
        let mut value = Reader::new(reader.skip()?);
        if seen.len() < MAX_KEYS && !seen.contains(&key) {
            seen.push(key);
            found(key, &mut value)?;
        }
    }
    Ok(())
}

/// Most different keys of one map that are looked at.
const MAX_KEYS: usize = 32;
