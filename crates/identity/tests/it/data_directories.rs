//! Home directories of real daemons: every key, chain and archive in them loads.

use std::collections::BTreeMap;
use std::io::Read;

use baraza_identity::{Archive, CertificateChain, DeviceIdentity, Password, PrivateKey, Receipt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;

use crate::{NOW, vector};

/// The files of a tar, by path.
fn unpack(name: &str) -> BTreeMap<String, Vec<u8>> {
    let packed = vector(name);
    let mut tar = tar::Archive::new(GzDecoder::new(&packed[..]));
    let mut files = BTreeMap::new();
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        files.insert(path, content);
    }
    files
}

/// The one file with this path.
fn only<'a>(files: &'a BTreeMap<String, Vec<u8>>, end: &str) -> &'a [u8] {
    let found = files.iter().find(|(path, _)| path.ends_with(end));
    found.unwrap_or_else(|| panic!("no {end}")).1
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The text in double quotes behind `key` in `config.yml`.
fn setting(config: &str, key: &str) -> String {
    let line = config.lines().find_map(|line| line.strip_prefix(key));
    serde_json::from_str(line.unwrap()).unwrap()
}

/// Checks all accounts of a home directory; they have one of `passwords`, or none.
fn check_home(name: &str, passwords: &[Option<&str>]) {
    let files = unpack(name);
    let configs = files.keys().filter_map(|p| p.strip_suffix("/config.yml"));
    let mut count = 0;
    for directory in configs {
        check_account(&files, directory, passwords);
        count += 1;
    }
    assert_eq!(count, passwords.len());

    // The certificate store: file names are the long ids of the devices.
    let stored = files
        .iter()
        .filter(|(path, content)| path.contains("/certificates/") && !content.is_empty());
    let mut count = 0;
    for (path, content) in stored {
        let chain = CertificateChain::from_pem(content).unwrap();
        assert!(path.ends_with(&chain.device_id().to_hex()), "{path}");
        chain.verify_device(NOW).unwrap();
        count += 1;
    }
    assert!(count > 0);
}

fn check_account(files: &BTreeMap<String, Vec<u8>>, directory: &str, passwords: &[Option<&str>]) {
    let file = |name: &str| only(files, &format!("{directory}/{name}"));
    let key = PrivateKey::from_pem(text(file("ring_device.key"))).unwrap();
    let chain = CertificateChain::from_pem(file("ring_device.crt")).unwrap();
    let account = chain.verify_device(NOW).unwrap();
    let device = DeviceIdentity::new(key, chain).unwrap();
    assert_eq!(device.account_id(), account);

    let archive = passwords.iter().find_map(|password| {
        let password = password.map(Password::new);
        Archive::read(file("archive.gz"), password.as_ref()).ok()
    });
    let archive = archive.unwrap();
    assert_eq!(archive.account_id(), account);
    assert_eq!(
        Some(&archive.account_chain),
        device.chain().account_chain().as_ref()
    );

    let config = text(file("config.yml"));
    let receipt = setting(config, "ringAccountReceipt: ");
    let signature = setting(config, "ringAccountReceiptSignature: !!binary ");
    let signature = STANDARD.decode(signature).unwrap();
    let receipt = Receipt::parse(&receipt, &signature).unwrap();
    assert_eq!(receipt.verify(&device), Ok(()));
    let eth_key = archive.eth_key.unwrap();
    assert_eq!(receipt.eth_address(), eth_key.address());
}

#[test]
fn daemon_of_2023_with_password() {
    check_home("account-datadir-2023/home-A.tar.gz", &[Some("dave-pw")]);
}

#[test]
fn daemon_of_2023_with_two_accounts_and_a_revoked_device() {
    check_home(
        "account-datadir-2023/home-B.tar.gz",
        &[None, Some("dave-pw")],
    );
}

#[test]
fn newest_daemon_with_password() {
    check_home("head-datadir-alice.tar.gz", &[Some("pw-alice")]);
}

#[test]
fn keys_of_other_vectors_load_and_belong_together() {
    for (name, people) in [
        ("head-keys.tar.gz", ["alice", "alice2", "bob"]),
        ("swarm-keys.tar.gz", ["alice", "carol", "bob"]),
    ] {
        let files = unpack(name);
        for person in people {
            let key = only(&files, &format!("/{person}-device.key.pem"));
            let chain = only(&files, &format!("/{person}-device-chain.pem"));
            let key = PrivateKey::from_pem(text(key)).unwrap();
            let chain = CertificateChain::from_pem(chain).unwrap();
            chain.verify_device(NOW).unwrap();
            DeviceIdentity::new(key, chain).unwrap();
        }
    }
}
