//! Passwords, AES and PINs against the values of existing peers.

use baraza_identity::encrypt::{
    EncryptError, aes_decrypt, aes_decrypt_with_password, aes_encrypt, aes_encrypt_with_password,
};
use baraza_identity::password::{StretchError, stretch};
use baraza_identity::pin::Pin;
use baraza_identity::{Archive, Password, testing};
use baraza_wire::{Rng, UnixTime, hex};
use proptest::prelude::*;
use serde_json::Value;

use crate::vector;

fn crypto(name: &str) -> Vec<u8> {
    let all: Value = serde_json::from_slice(&vector("dht-crypto.json")).unwrap();
    let value = ["opendht_2412", "opendht_head"]
        .iter()
        .find_map(|library| all[library][name].as_str())
        .unwrap();
    hex::decode(value).unwrap()
}

fn counting(len: u8) -> Vec<u8> {
    (0..len).collect()
}

#[test]
fn passwords_stretch_to_the_known_keys() {
    let password = Password::new("correct horse");
    let salt = counting(16);
    for len in [20, 32, 64] {
        let name = format!("stretch_pw_correct_horse_salt_000102..0f_len{len}");
        let key = stretch(&password, &salt, len).unwrap();
        assert_eq!(*key, crypto(&name));
    }
    let empty = stretch(&Password::new(""), b"opendht-salt", 32).unwrap();
    assert_eq!(
        *empty,
        crypto("stretch_pw_empty_salt_ascii_opendht-salt_len32")
    );
    assert_eq!(
        stretch(&password, &[0; 7], 32).unwrap_err(),
        StretchError::Salt
    );
    assert_eq!(
        stretch(&password, &salt, 65).unwrap_err(),
        StretchError::KeyLength(65)
    );
    assert_eq!(format!("{password:?}"), "Password");
}

#[test]
fn aes_opens_what_existing_peers_sealed() {
    let open = |name, key: &[u8]| aes_decrypt(&crypto(name), key).unwrap();
    assert_eq!(
        open("aes256_key_00..1f_plain_hello", &counting(32)),
        b"hello"
    );
    assert_eq!(
        open("aes128_key_00..0f_plain_hello", &counting(16)),
        b"hello"
    );
    let password = Password::new("correct horse");
    for name in [
        "aes_password_correct_horse_plain_hello",
        "aes_password_correct_horse_salt_00..0f_plain_hello",
    ] {
        let plain = aes_decrypt_with_password(&crypto(name), &password).unwrap();
        assert_eq!(plain, b"hello");
    }
    let sealed = aes_encrypt_with_password(b"habari", &password, &mut Rng::from_seed(1)).unwrap();
    assert_eq!(sealed.len(), 16 + 12 + 6 + 16);
    assert_eq!(
        aes_decrypt_with_password(&sealed[..44], &password),
        Err(EncryptError::Short)
    );
    assert_eq!(
        aes_decrypt_with_password(&sealed, &password).unwrap(),
        b"habari"
    );
}

proptest! {
    #[test]
    fn aes_round_trips_and_notices_every_change(
        plain in prop::collection::vec(any::<u8>(), 1..100),
        size in 0usize..3,
        at: prop::sample::Index,
        seed: u64,
    ) {
        let key = vec![7; [16, 24, 32][size]];
        let sealed = aes_encrypt(&plain, &key, &mut Rng::from_seed(seed)).unwrap();
        prop_assert_eq!(aes_decrypt(&sealed, &key).unwrap(), plain);
        let mut changed = sealed.clone();
        changed[at.index(sealed.len())] ^= 0x10;
        prop_assert_eq!(aes_decrypt(&changed, &key), Err(EncryptError::Tag));
        prop_assert!(aes_decrypt(&sealed[..at.index(sealed.len())], &key).is_err());
    }
}

#[test]
fn aes_refuses_odd_keys() {
    let rng = &mut Rng::from_seed(1);
    assert_eq!(
        aes_encrypt(b"x", &[0; 17], rng),
        Err(EncryptError::KeyLength(17))
    );
}

#[test]
fn a_pin_export_of_a_2023_daemon_opens() {
    let about: Value = serde_json::from_slice(&vector("account-pin/pin.json")).unwrap();
    let pin: Pin = about["pin"].as_str().unwrap().parse().unwrap();
    let password = Password::new(about["password"].as_str().unwrap());
    let time = UnixTime::from_secs(about["time"].as_u64().unwrap());
    let exchange = pin.exchange(&password, time).unwrap();
    assert_eq!(
        exchange.location().to_hex(),
        about["location"].as_str().unwrap()
    );
    let archive = exchange
        .open(&vector("account-pin/value-data.bin"))
        .unwrap();
    let json = vector("account-pin/archive.json");
    assert_eq!(archive, Archive::from_json(&json).unwrap());
    assert_eq!(pin.to_lower_case(), "4vss3kcs");
    let sealed = exchange.seal(&archive, &mut Rng::from_seed(4)).unwrap();
    assert_eq!(exchange.open(&sealed).unwrap(), archive);
    assert!(exchange.open(&sealed[1..]).is_err());
}

#[test]
fn pins_are_eight_letters_and_digits() {
    let pin = Pin::generate(&mut Rng::from_seed(9));
    let text = pin.to_lower_case();
    assert_eq!(text.len(), 8);
    assert_eq!(format!(" {text}\n").parse::<Pin>().unwrap(), pin);
    for bad in ["", "1234567", "123456789", "1234567-", "12\u{e9}4567"] {
        assert!(bad.parse::<Pin>().is_err(), "{bad}");
    }
    assert_eq!(format!("{pin:?}"), "Pin");
}

#[test]
fn test_identities_belong_together() {
    let alice = testing::archive("alice").account_id();
    for (name, account) in [("alice", "alice"), ("alice-2", "alice"), ("bob-2", "bob")] {
        let chain = testing::identity(name).chain().clone();
        assert_eq!(
            chain.verify_device(testing::NOW),
            Ok(testing::archive(account).account_id())
        );
    }
    for name in testing::DEVICES {
        testing::identity(name)
            .chain()
            .verify_device(testing::NOW)
            .unwrap();
    }
    for name in testing::ACCOUNTS {
        assert_eq!(
            testing::archive(name).account_id() == alice,
            name == "alice"
        );
    }
}
