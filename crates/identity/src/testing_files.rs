//! The files behind `testing`, for this crate's own tests, which run without its feature.

use crate::{Archive, CertificateChain, EthKey, PrivateKey};

fn file(name: &str) -> String {
    let path = format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

pub(crate) fn key(name: &str) -> PrivateKey {
    PrivateKey::from_pem(&file(&format!("{name}.key"))).unwrap()
}

pub(crate) fn account_key(name: &str) -> PrivateKey {
    key(&format!("{name}.account"))
}

pub(crate) fn chain(name: &str) -> CertificateChain {
    CertificateChain::from_pem(file(&format!("{name}.crt"))).unwrap()
}

pub(crate) fn archive(name: &str) -> Archive {
    let chain = chain(name).account_chain().unwrap();
    let ca_key = key(&format!("{name}.ca"));
    let eth_key = EthKey::from_bytes(&[7; 32]).unwrap();
    Archive::new(account_key(name), chain, Some(ca_key), Some(eth_key)).unwrap()
}
