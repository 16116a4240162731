use baraza_identity::{Certificate, testing};
use baraza_wire::hex;

use super::*;
use crate::value::tests_support::vectors;

#[test]
fn a_chain_is_written_as_the_reference_does() {
    let crypto = vectors("dht-crypto.json")["opendht_2412"].clone();
    let text = |name: &str| crypto[name].as_str().unwrap().to_owned();
    let chain = CertificateChain::from_pem(text("alice_crt_chain_pem")).unwrap();
    let value = build(&chain);
    assert_eq!((value.id, value.value_type()), (1, 8));
    assert_eq!(
        value.data().len().to_string(),
        text("certificate_value_data_len")
    );
    assert_eq!(
        hex::encode(&value.data()[..64]),
        text("certificate_value_data_first64")
    );
    assert_eq!(
        &value.data()[3..],
        hex::decode(&text("alice_crt_packed_hex")).unwrap()
    );
    let [short, long] = keys(chain.leaf().public_key());
    assert_eq!(short.to_hex(), text("alice_id_sha1"));
    assert_eq!(long.to_hex(), text("alice_infohash_get_longid"));
    for key in [short, long] {
        assert_eq!(parse(&key, &value), Some(chain.clone()));
    }
    assert_eq!(parse(&infohash("other"), &value), None);
}

#[test]
fn the_key_of_a_newer_device() {
    let head = vectors("dht-crypto.json")["opendht_head"].clone();
    let chain = CertificateChain::from_pem(head["device_crt_chain_pem"].as_str().unwrap());
    let [_, long] = keys(chain.unwrap().leaf().public_key());
    assert_eq!(long.to_hex(), head["device_cert_dht_key"].as_str().unwrap());
}

#[test]
fn der_and_bare_text_are_read_too() {
    let alice = testing::identity("alice");
    let [short, _] = keys(alice.public_key());
    let der: Vec<u8> = alice
        .chain()
        .certificates()
        .iter()
        .flat_map(Certificate::der)
        .copied()
        .collect();
    let mut wrapped = Writer::new();
    wrapped.bin(&der);
    for data in [
        der.clone(),
        wrapped.into_bytes(),
        alice.chain().to_pem().into_bytes(),
    ] {
        let value = Value::new(CERTIFICATE, data);
        assert_eq!(parse(&short, &value).as_ref(), Some(alice.chain()));
        assert_eq!(leaf(value.data()).as_ref(), Some(alice.chain().leaf()));
    }
    let value = Value::new(0, der);
    assert_eq!(parse(&short, &value), None, "another type");
}

#[test]
fn a_leaf_is_read_before_anything_else_is_looked_at() {
    let alice = testing::identity("alice");
    let mut pem = alice.chain().leaf().to_pem();
    pem.push_str("-----BEGIN CERTIFICATE-----\n!!");
    assert_eq!(leaf(pem.as_bytes()).as_ref(), Some(alice.chain().leaf()));
    assert_eq!(leaf(&vec![b'x'; MAX_LEN + 1]), None);
}
