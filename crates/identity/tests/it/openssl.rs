//! What we make, checked by the `openssl` program (Debian's `openssl`, which must be
//! installed for these tests).

use std::path::Path;
use std::process::Command;

use baraza_identity::account::{Step, temporary_identity};
use baraza_identity::crl::Revocations;
use baraza_identity::{NewAccount, Receipt, RevocationList, testing};
use baraza_wire::{Rng, UnixTime};
use tempfile::TempDir;

/// Runs `openssl` in `directory`; its output if it succeeds.
fn openssl(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("these tests need the openssl program");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}{errors}");
    text
}

fn now() -> UnixTime {
    UnixTime::from_system(std::time::SystemTime::now())
}

/// Writes a chain as `device.pem`, `account.pem`, `ca.pem`.
fn write_chain(directory: &Path, chain: &baraza_identity::CertificateChain) {
    for (name, certificate) in ["device", "account", "ca"].iter().zip(chain.certificates()) {
        let path = directory.join(format!("{name}.pem"));
        std::fs::write(path, certificate.to_pem()).unwrap();
    }
}

const VERIFY: [&str; 6] = [
    "verify",
    "-CAfile",
    "ca.pem",
    "-untrusted",
    "account.pem",
    "device.pem",
];

#[test]
fn a_whole_new_account_verifies() {
    let directory = TempDir::new().unwrap();
    let mut steps = Vec::new();
    let made = NewAccount::generate(now(), &mut |step| steps.push(step)).unwrap();
    assert_eq!(
        steps,
        [
            Step::AuthorityKey,
            Step::AccountKey,
            Step::DeviceKey,
            Step::Certificates
        ]
    );
    assert_eq!(
        made.device.chain().verify_device(now()),
        Ok(made.account_id())
    );
    write_chain(directory.path(), made.device.chain());
    assert_eq!(openssl(directory.path(), &VERIFY), "device.pem: OK\n");
    let subject = openssl(
        directory.path(),
        &[
            "x509",
            "-in",
            "account.pem",
            "-noout",
            "-subject",
            "-issuer",
        ],
    );
    let id = made.account_id();
    assert!(
        subject.contains(&format!("subject=CN = Jami, UID = {id}\n")),
        "{subject}"
    );
    let key = made.device.key().to_pkcs8_pem();
    std::fs::write(directory.path().join("key.pem"), key.as_bytes()).unwrap();
    let checked = openssl(
        directory.path(),
        &["pkey", "-in", "key.pem", "-check", "-noout"],
    );
    assert!(checked.contains("Key is valid"), "{checked}");
}

#[test]
fn a_temporary_identity_verifies() {
    let directory = TempDir::new().unwrap();
    let made = temporary_identity(now(), &mut |_| {}).unwrap();
    assert_eq!(made.chain().verify_device(now()), Ok(made.account_id()));
    let leaf = made.chain().leaf();
    assert_eq!(leaf.common_name(), Some("Jami Temporary device"));
    write_chain(directory.path(), made.chain());
    assert_eq!(openssl(directory.path(), &VERIFY), "device.pem: OK\n");
}

#[test]
fn extensions_are_those_of_existing_certificates() {
    let directory = TempDir::new().unwrap();
    write_chain(directory.path(), testing::identity("alice").chain());
    let print = |name| {
        openssl(
            directory.path(),
            &[
                "x509",
                "-in",
                name,
                "-noout",
                "-ext",
                "subjectKeyIdentifier,basicConstraints,keyUsage",
            ],
        )
    };
    for name in ["account.pem", "ca.pem"] {
        let text = print(name);
        assert!(text.contains("X509v3 Basic Constraints: critical\n    CA:TRUE\n"));
        assert!(text.contains("critical\n    Certificate Sign, CRL Sign"));
        assert!(text.contains("X509v3 Subject Key Identifier: \n"));
    }
    let device = openssl(
        directory.path(),
        &["x509", "-in", "device.pem", "-noout", "-text"],
    );
    assert!(!device.contains("X509v3"));
    assert!(device.contains("sha384WithRSAEncryption"));
}

#[test]
fn a_revocation_list_takes_effect() {
    let directory = TempDir::new().unwrap();
    let archive = testing::archive("alice");
    let device = testing::identity("alice-2");
    let account = archive.account_certificate();
    let list = RevocationList::issue(
        &archive.account_key,
        account,
        Some(&Revocations::new(account.clone())),
        &[device.chain().leaf()],
        now(),
        &mut Rng::from_seed(5),
    )
    .unwrap();
    write_chain(directory.path(), device.chain());
    std::fs::write(directory.path().join("list.der"), list.der()).unwrap();
    openssl(
        directory.path(),
        &[
            "crl", "-inform", "DER", "-in", "list.der", "-out", "list.pem",
        ],
    );
    let text = openssl(
        directory.path(),
        &["crl", "-in", "list.pem", "-text", "-noout"],
    );
    assert!(text.contains("Version 2 (0x1)") && text.contains("sha512WithRSAEncryption"));
    let serial = baraza_wire::hex::encode(device.chain().leaf().serial()).to_uppercase();
    assert!(text.contains(&format!("Serial Number: {serial}")), "{text}");
    openssl(directory.path(), &VERIFY);
    let output = Command::new("openssl")
        .args(["verify", "-crl_check", "-CRLfile", "list.pem"])
        .args(&VERIFY[1..])
        .current_dir(directory.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("certificate revoked"), "{errors}");
}

#[test]
fn a_receipt_verifies() {
    let directory = TempDir::new().unwrap();
    let archive = testing::archive("bob");
    let device = testing::identity("bob");
    let address = archive.eth_key.as_ref().unwrap().address().to_owned();
    let receipt =
        Receipt::issue(&archive.account_key, device.short_id(), &address, b"value").unwrap();
    assert_eq!(receipt.verify(&device), Ok(()));
    write_chain(directory.path(), device.chain());
    let write = |name, bytes: &[u8]| std::fs::write(directory.path().join(name), bytes).unwrap();
    write("text", receipt.text().as_bytes());
    write("signature", receipt.signature());
    let key = openssl(
        directory.path(),
        &["x509", "-in", "account.pem", "-pubkey", "-noout"],
    );
    write("key.pem", key.as_bytes());
    let verified = openssl(
        directory.path(),
        &[
            "dgst",
            "-sha512",
            "-verify",
            "key.pem",
            "-signature",
            "signature",
            "text",
        ],
    );
    assert_eq!(verified, "Verified OK\n");
}
