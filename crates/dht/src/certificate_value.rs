//! Certificates in the DHT (docs/protocol/01-dht.md section 6.8).

use baraza_identity::{Certificate, CertificateChain, PublicKey};
use baraza_wire::InfoHash;
use baraza_wire::msgpack::{Reader, Writer};

use crate::hash::infohash;
use crate::value::Value;
use crate::value_type::CERTIFICATE;

/// Id of the value that holds one's own certificate.
pub const ID: u64 = 1;
/// Most bytes of certificates that are parsed; a chain of three has 6 kB.
pub const MAX_LEN: usize = 64 * 1024;

/// The keys under which a certificate for `key` is published and looked up: the short id
/// (2023 peers) and the hash of the long id (newer ones).
pub fn keys(key: &PublicKey) -> [InfoHash; 2] {
    [key.short_id(), infohash(key.long_id().as_bytes())]
}

/// The value to put permanently under both [`keys`].
pub fn build(chain: &CertificateChain) -> Value {
    let mut writer = Writer::new();
    writer.bin(chain.to_pem().as_bytes());
    Value::new(CERTIFICATE, writer.as_bytes()).with_id(ID)
}

/// The chain in a value found under `key`, if the first certificate belongs there.
///
/// That proves whose key it is, and nothing else about the chain.
pub fn parse(key: &InfoHash, value: &Value) -> Option<CertificateChain> {
    if value.value_type() != CERTIFICATE {
        return None;
    }
    let chain = CertificateChain::from_pem(content(value.data())?).ok()?;
    keys(chain.leaf().public_key())
        .contains(key)
        .then_some(chain)
}

/// The first certificate, without looking at the others.
pub(crate) fn leaf(data: &[u8]) -> Option<Certificate> {
    let bytes = content(data)?;
    let first = match find(bytes, END) {
        Some(end) => bytes.get(..end.saturating_add(END.len()))?,
        None => bytes,
    };
    let chain = CertificateChain::from_pem(first).ok()?;
    Some(chain.leaf().clone())
}

const END: &[u8] = b"-----END CERTIFICATE-----";

/// Without the msgpack header, if there is one. Some writers put PEM, some DER inside.
fn content(data: &[u8]) -> Option<&[u8]> {
    let bytes = Reader::new(data).bin().unwrap_or(data);
    (bytes.len() <= MAX_LEN).then_some(bytes)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes
        .windows(what.len().max(1))
        .position(|window| window == what)
}

#[cfg(test)]
mod tests;
