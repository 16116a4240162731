//! Makes the throw-away identities under `testdata/` (see `baraza_identity::testing`).
//! Run once: `cargo run -p baraza-identity --example make_testdata`.

use std::fs;
use std::path::Path;

use baraza_identity::certificate::{Validity, issue_account, issue_ca, issue_device};
use baraza_identity::{CertificateChain, PrivateKey};
use baraza_wire::{Rng, UnixTime};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    fs::create_dir_all(&directory)?;
    let rng = &mut Rng::from_os();
    let validity = Validity {
        not_before: UnixTime::from_secs(1_577_836_800),
        not_after: UnixTime::from_secs(2_524_607_999),
    };
    let people: [&[&str]; 5] = [
        &["alice", "alice-2"],
        &["bob", "bob-2"],
        &["carol"],
        &["dave"],
        &["erin"],
    ];
    for devices in people {
        let ca_key = PrivateKey::generate_rsa(4096)?;
        let ca = issue_ca(&ca_key, validity, rng)?;
        let account_key = PrivateKey::generate_rsa(4096)?;
        let account = issue_account(&ca_key, &ca, account_key.public_key(), validity, rng)?;
        let account_chain = CertificateChain::new(vec![account.clone(), ca])?;
        let name = devices[0];
        let write = |file: String, text: &str| fs::write(directory.join(file), text);
        write(format!("{name}.ca.key"), &ca_key.to_pkcs8_pem())?;
        write(format!("{name}.account.key"), &account_key.to_pkcs8_pem())?;
        for device in devices {
            let key = PrivateKey::generate_rsa(4096)?;
            let leaf = issue_device(&account_key, &account, key.public_key(), validity, rng)?;
            let chain = account_chain.with_leaf(leaf)?;
            write(format!("{device}.key"), &key.to_pkcs8_pem())?;
            write(format!("{device}.crt"), &chain.to_pem())?;
        }
    }
    Ok(())
}
