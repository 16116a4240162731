use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn vectors() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testing/vectors/dht-crypto.json"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    all["opendht_2412"].clone()
}

fn text(name: &str) -> String {
    vectors()[name].as_str().unwrap().to_owned()
}

fn bytes(name: &str) -> Vec<u8> {
    baraza_wire::hex::decode(&text(name)).unwrap()
}

fn alice() -> PrivateKey {
    PrivateKey::from_pem(&text("alice_key_pem")).unwrap()
}

fn bob() -> PrivateKey {
    PrivateKey::from_pem(&text("bob_key_pem")).unwrap()
}

#[test]
fn ids_are_hashes_of_the_spki() {
    let alice = alice();
    let public = alice.public_key();
    assert_eq!(public.spki_der(), bytes("alice_pub_der"));
    assert_eq!(public.short_id().to_hex(), text("alice_id_sha1"));
    assert_eq!(public.long_id().to_hex(), text("alice_longid_sha256"));
    assert_eq!(bob().public_key().short_id().to_hex(), text("bob_id_sha1"));
    assert_eq!(public.rsa_bits(), Some(2048));
    let again = PublicKey::from_spki_der(public.spki_der()).unwrap();
    assert_eq!(&again, public);
    assert_ne!(&again, bob().public_key());
    assert_eq!(
        format!("{again:?}"),
        format!("PublicKey({})", &text("alice_longid_sha256")[..8])
    );
    assert!(format!("{alice:?}").len() < 40);
}

#[test]
fn signature_equals_the_one_of_the_existing_library() {
    let message = bytes("signed_value_tosign");
    let signature = bytes("signed_value_signature");
    // PKCS#1 v1.5 signatures have no randomness.
    assert_eq!(alice().sign(&message).unwrap(), signature);
    let key = alice().public_key().clone();
    assert_eq!(key.verify(&message, &signature), Ok(()));
    assert_eq!(key.verify(b"other", &signature), Err(BadSignature));
    assert_eq!(key.verify(&message, &signature[1..]), Err(BadSignature));
    assert_eq!(key.verify(&message, &[]), Err(BadSignature));
    let other = bob();
    assert_eq!(
        other.public_key().verify(&message, &signature),
        Err(BadSignature)
    );
}

#[test]
fn decrypts_what_the_existing_library_encrypted() {
    let plain = bob().decrypt(&bytes("encrypted_value_cypher")).unwrap();
    assert_eq!(plain, bytes("encrypted_value_plain_toencrypt"));
    let small = bob()
        .decrypt(&bytes("rsa_small_encrypt_hi_to_bob"))
        .unwrap();
    assert_eq!(small, b"hi");
    assert_eq!(
        alice().decrypt(&bytes("encrypted_value_cypher")),
        Err(DecryptError)
    );
}

#[test]
fn encryption_uses_one_block_up_to_its_limit() {
    let key = bob();
    for (len, expected) in [
        (0, 256),
        (245, 256),
        (246, 256 + 12 + 246 + 16),
        (5000, 5284),
    ] {
        let plain = vec![7; len];
        let sealed = key.public_key().encrypt(&plain).unwrap();
        assert_eq!(sealed.len(), expected);
        assert_eq!(key.decrypt(&sealed).unwrap(), plain);
    }
}

#[test]
fn every_change_and_cut_fails_with_the_same_error() {
    let key = bob();
    let sealed = key.public_key().encrypt(&[1; 300]).unwrap();
    for at in (0..sealed.len()).step_by(13) {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(key.decrypt(&changed), Err(DecryptError));
    }
    for len in [0, 1, 255, 257, 256 + 28, sealed.len() - 1] {
        assert_eq!(key.decrypt(&sealed[..len]), Err(DecryptError), "{len}");
    }
}

#[test]
fn pem_and_der_round_trip() {
    let pem = text("alice_key_pem");
    let key = PrivateKey::from_pem(&pem).unwrap();
    assert_eq!(*key.to_pkcs8_pem(), pem);
    assert_eq!(PrivateKey::from_der(&key.to_pkcs8_der()).unwrap(), key);
}

#[test]
fn public_keys_have_the_pem_of_proxies() {
    let json = text("signed_value_json");
    let key = PublicKey::from_pem(&json).unwrap();
    assert_eq!(&key, alice().public_key());
    assert!(json.contains(&key.to_pem()));
    assert!(PublicKey::from_pem("").is_err());
}

#[test]
fn pkcs1_is_read_too() {
    let pkcs8 = alice().to_pkcs8_der();
    // PrivateKeyInfo: version, algorithm, then the PKCS#1 key in an OCTET STRING.
    let mut info = crate::der::Reader::new(&pkcs8).any().unwrap().open();
    info.any().unwrap();
    info.any().unwrap();
    let pkcs1 = info.any().unwrap().content;
    assert_eq!(PrivateKey::from_der(pkcs1).unwrap(), alice());
    let pem = crate::pem::encode("RSA PRIVATE KEY", pkcs1);
    assert_eq!(PrivateKey::from_pem(&pem).unwrap(), alice());
}

#[test]
fn unusable_keys_are_told_apart() {
    let encrypted = text("alice_key_pkcs8_encrypted_password_pw123");
    assert_eq!(
        PrivateKey::from_pem(&encrypted).unwrap_err(),
        KeyError::Encrypted
    );
    assert!(PrivateKey::from_pem("").is_err());
    assert!(PrivateKey::from_pem(&text("ec_ca_key_pem")).is_err());
    assert_eq!(
        PrivateKey::generate_rsa(1024).unwrap_err(),
        KeyError::Size { bits: 1024 }
    );
    // An RSA-1024 key: 128 bytes of modulus.
    let number = |digits: &[u8]| crate::der::write(crate::der::INTEGER, &[digits]);
    let spki = |modulus: &[u8], exponent: &[u8]| {
        let numbers =
            crate::der::write(crate::der::SEQUENCE, &[&number(modulus), &number(exponent)]);
        let algorithm = &alice().public_key().spki_der()[4..19].to_vec();
        let bits = crate::der::write(crate::der::BIT_STRING, &[&[0], &numbers]);
        crate::der::write(crate::der::SEQUENCE, &[algorithm, &bits])
    };
    assert_eq!(
        PublicKey::from_spki_der(&spki(&[0x7f; 128], &[1, 0, 1])),
        Err(KeyError::Size { bits: 1023 })
    );
    assert!(PublicKey::from_spki_der(&spki(&[0x7f; 256], &[1, 0, 1])).is_err());
    assert!(PublicKey::from_spki_der(&spki(&[0x7f; 257], &[1, 0, 1])).is_ok());
    for exponent in [&[1][..], &[2], &[0, 3], &[0x80], &[1; 9]] {
        assert!(PublicKey::from_spki_der(&spki(&[0x7f; 300], exponent)).is_err());
    }
    assert!(PublicKey::from_spki_der(&spki(&[0x7f; 1025], &[1, 0, 1])).is_err());
}

proptest! {
    #[test]
    fn any_bytes_do_not_panic(bytes: Vec<u8>) {
        let _ = PublicKey::from_spki_der(&bytes);
        let _ = PrivateKey::from_der(&bytes);
        let _ = bob().decrypt(&bytes);
    }

    #[test]
    fn changed_keys_have_other_ids_or_are_refused(at in 0usize..294, bit in 0u8..8) {
        let key = alice();
        let mut spki = key.public_key().spki_der().to_vec();
        spki[at] ^= 1 << bit;
        if let Ok(changed) = PublicKey::from_spki_der(&spki) {
            prop_assert_ne!(changed.short_id(), key.public_key().short_id());
            prop_assert!(changed.verify(b"x", &key.sign(b"x").unwrap()).is_err());
        }
    }
}
