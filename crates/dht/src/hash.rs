//! DHT keys made from other things (docs/protocol/01-dht.md section 1).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use baraza_wire::InfoHash;

/// The DHT key of any bytes: their SHA-1 (`InfoHash::get` of the C++ library).
pub fn infohash(bytes: impl AsRef<[u8]>) -> InfoHash {
    let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes.as_ref());
    InfoHash::from_slice(sha1.as_ref()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hello_has_the_known_key() {
        assert_eq!(
            infohash("hello").to_hex(),
            "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"
        );
    }
}
