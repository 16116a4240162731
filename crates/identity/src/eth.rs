//! The Ethereum key of an account, which only serves as the `owner` of a registered name
//! and as the `eth` field of the receipt (docs/protocol/02-account.md section 3).

use std::fmt;

use aws_lc_rs::rand;
use aws_lc_rs::signature::{ECDSA_P256K1_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use sha3::{Digest as _, Keccak256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::der;

/// Bytes of the secret.
pub const ETH_SECRET_LEN: usize = 32;

/// A secp256k1 secret and its address.
#[derive(Clone, PartialEq, Eq)]
pub struct EthKey {
    secret: Zeroizing<[u8; ETH_SECRET_LEN]>,
    address: String,
}

/// Bytes that are not an Ethereum key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a valid Ethereum key")]
pub struct EthKeyError;

impl EthKey {
    /// A fresh key from the operating system's randomness.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn generate() -> Result<Self, EthKeyError> {
        // Practically every 32 bytes are a key; a few more tries cost nothing.
        for _ in 0..4 {
            let mut secret = Zeroizing::new([0; ETH_SECRET_LEN]);
            rand::fill(secret.as_mut_slice()).map_err(|_| EthKeyError)?;
            if let Ok(key) = Self::from_bytes(secret.as_slice()) {
                return Ok(key);
            }
        }
        Err(EthKeyError)
    }

    /// From the 32 secret bytes.
    ///
    /// # Errors
    /// If there are more or less, or the number is zero or not below the group order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EthKeyError> {
        let secret: [u8; ETH_SECRET_LEN] = bytes.try_into().map_err(|_| EthKeyError)?;
        let secret = Zeroizing::new(secret);
        // ECPrivateKey of RFC 5915 without the public key, which the library computes.
        let private = Zeroizing::new(der::write(
            der::SEQUENCE,
            &[
                &[der::INTEGER, 1, 1],
                &[der::OCTET_STRING, 32],
                secret.as_slice(),
                // [0] { 1.3.132.0.10 }, secp256k1
                &[0xa0, 7, der::OID, 5, 0x2b, 0x81, 0x04, 0x00, 0x0a],
            ],
        ));
        let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256K1_SHA256_ASN1_SIGNING, &private)
            .map_err(|_| EthKeyError)?;
        let Some((4, point)) = pair
            .public_key()
            .as_ref()
            .split_first()
            .map(|(form, point)| (*form, point))
        else {
            return Err(EthKeyError);
        };
        let hash = Keccak256::digest(point);
        let address = hash.get(12..).ok_or(EthKeyError)?;
        Ok(Self {
            secret,
            address: baraza_wire::hex::encode(address),
        })
    }

    /// The secret bytes.
    pub fn as_bytes(&self) -> &[u8; ETH_SECRET_LEN] {
        &self.secret
    }

    /// The address: 40 lower-case hex digits without `0x`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Debug for EthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EthKey(of {})", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_the_vector_account() {
        let secret = "9527cc73d92ad8af95a83c6f3ed2c2d060418926e77aa6003c9a37caf43b1aa6";
        let secret = baraza_wire::hex::decode(secret).unwrap();
        let key = EthKey::from_bytes(&secret).unwrap();
        assert_eq!(key.address(), "a3564a494b624d51869469c1322621f294bf33b4");
        assert_eq!(key.as_bytes().as_slice(), secret);
    }

    #[test]
    fn numbers_outside_the_group_are_refused() {
        assert!(EthKey::from_bytes(&[0; 32]).is_err());
        assert!(EthKey::from_bytes(&[0xff; 32]).is_err());
        assert!(EthKey::from_bytes(&[1; 31]).is_err());
        assert_ne!(EthKey::generate().unwrap(), EthKey::generate().unwrap());
    }
}
