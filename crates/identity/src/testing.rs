//! Fixed throw-away identities for tests, so that nobody generates keys in a test.
//!
//! The keys are public: they are files of this repository.

#![expect(clippy::expect_used, reason = "fixed files, for tests only")]

use baraza_wire::UnixTime;
use num_bigint::BigUint;

use crate::archive::Archive;
use crate::certificate::CertificateChain;
use crate::der;
use crate::device::DeviceIdentity;
use crate::eth::EthKey;
use crate::key::{KeyError, PrivateKey};

/// A time within the validity of all certificates here: 2026-01-01.
pub const NOW: UnixTime = UnixTime::from_secs(1_767_225_600);

/// The names [`identity`] knows.
pub const DEVICES: [&str; 7] = ["alice", "alice-2", "bob", "bob-2", "carol", "dave", "erin"];

/// The names [`archive`] knows.
pub const ACCOUNTS: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];

macro_rules! devices {
    ($($name:literal),*) => {
        fn device(name: &str) -> Option<(&'static str, &'static str)> {
            match name {
                $($name => Some((
                    include_str!(concat!("../testdata/", $name, ".key")),
                    include_str!(concat!("../testdata/", $name, ".crt")),
                )),)*
                _ => None,
            }
        }
    };
}

macro_rules! accounts {
    ($($name:literal),*) => {
        fn account(name: &str) -> Option<(&'static str, &'static str)> {
            match name {
                $($name => Some((
                    include_str!(concat!("../testdata/", $name, ".account.key")),
                    include_str!(concat!("../testdata/", $name, ".ca.key")),
                )),)*
                _ => None,
            }
        }
    };
}

devices!("alice", "alice-2", "bob", "bob-2", "carol", "dave", "erin");
accounts!("alice", "bob", "carol", "dave", "erin");

/// The device of a person: `alice`, `bob`, `carol`, `dave`, `erin`; `alice-2` and `bob-2`
/// are second devices of the same accounts. RSA-4096, valid 2020 to 2049.
///
/// # Panics
/// For any other name.
pub fn identity(name: &str) -> DeviceIdentity {
    let (key, chain) = device(name).expect("one of testing::DEVICES");
    let key = PrivateKey::from_pem(key).expect("key file");
    let chain = CertificateChain::from_pem(chain).expect("certificate file");
    DeviceIdentity::new(key, chain).expect("matching files")
}

/// The account archive of a person: `alice`, `bob`, `carol`, `dave` or `erin`.
///
/// # Panics
/// For any other name.
pub fn archive(name: &str) -> Archive {
    let (account_key, ca_key) = account(name).expect("one of testing::ACCOUNTS");
    let account_key = PrivateKey::from_pem(account_key).expect("key file");
    let ca_key = PrivateKey::from_pem(ca_key).expect("key file");
    let chain = identity(name).chain().account_chain().expect("three");
    // Any number will do, as long as it is another one for each person.
    let mut secret = [0x42; 32];
    for (byte, letter) in secret.iter_mut().zip(name.bytes()) {
        *byte = letter;
    }
    let eth_key = EthKey::from_bytes(&secret).expect("a valid secret");
    Archive::new(account_key, chain, Some(ca_key), Some(eth_key)).expect("matching files")
}

/// The RSA key of two primes, most significant byte first: any two of a few make a key of
/// their own, thousands of times faster than new ones. Whoever has another key with one of
/// the primes has this one, too.
///
/// # Errors
/// If they make no key of a size in use.
pub fn key_of_primes(p: &[u8], q: &[u8]) -> Result<PrivateKey, KeyError> {
    let (p, q) = (BigUint::from_bytes_be(p), BigUint::from_bytes_be(q));
    let one = BigUint::from(1_u8);
    let e = BigUint::from(65_537_u32);
    let (p1, q1) = (&p - &one, &q - &one);
    let no_inverse = KeyError::Malformed("these numbers make no key");
    let d = e.modinv(&(&p1 * &q1)).ok_or(no_inverse)?;
    let coefficient = q.modinv(&p).ok_or(no_inverse)?;
    let numbers = [
        BigUint::from(0_u8),
        &p * &q,
        e,
        d.clone(),
        p,
        q,
        &d % &p1,
        &d % &q1,
        coefficient,
    ];
    // RSAPrivateKey (RFC 8017 appendix A.1.2). A zero keeps what has its top bit set positive.
    let integer = |number: &BigUint| {
        let bytes = number.to_bytes_be();
        let sign: &[u8] = if bytes.first().is_none_or(|first| first & 0x80 != 0) {
            &[0]
        } else {
            &[]
        };
        der::write(der::INTEGER, &[sign, &bytes])
    };
    let integers: Vec<u8> = numbers.iter().flat_map(integer).collect();
    PrivateKey::from_der(&der::write(der::SEQUENCE, &[&integers]))
}

/// The two primes of a key, for [`key_of_primes`].
pub fn primes(key: &PrivateKey) -> Option<[Vec<u8>; 2]> {
    // PrivateKeyInfo (RFC 5208): version, algorithm, and the key in an OCTET STRING.
    let info = key.to_pkcs8_der();
    let mut info = der::Reader::new(&info).any().ok()?.open();
    let (_version, _algorithm) = (info.any().ok()?, info.any().ok()?);
    let mut key = info.any().ok()?.open().any().ok()?.open();
    for _before_the_primes in ["version", "n", "e", "d"] {
        key.any().ok()?;
    }
    let mut prime = || Some(key.any().ok()?.content.to_vec());
    Some([prime()?, prime()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_of_two_keys_make_two_more() {
        let [alice, bob] = ["alice", "bob"].map(|name| identity(name).key().clone());
        let ([p, q], [r, s]) = (primes(&alice).unwrap(), primes(&bob).unwrap());
        assert_eq!(key_of_primes(&p, &q).unwrap(), alice);
        let mixed = key_of_primes(&p, &s).unwrap();
        assert!(mixed != alice && mixed != bob && mixed != key_of_primes(&q, &r).unwrap());
        let signature = mixed.sign(b"hello").unwrap();
        mixed.public_key().verify(b"hello", &signature).unwrap();
        assert!(key_of_primes(&p, &p[..9]).is_err());
    }
}
