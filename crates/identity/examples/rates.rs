//! Prints how many operations per second one core does: `cargo run -p baraza-identity
//! --features test-util --example rates`.

use std::hint::black_box;
use std::time::Instant;

use baraza_identity::{CertificateChain, PublicKey, testing};

fn rate(name: &str, count: u32, mut operation: impl FnMut()) {
    let start = Instant::now();
    for _ in 0..count {
        operation();
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    println!("{name:<28} {rate:>10.0} /s");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = testing::identity("alice");
    let message = [7; 1200];
    let signature = device.key().sign(&message)?;
    let sealed = device.public_key().encrypt(&message)?;
    let pem = device.chain().to_pem();
    let spki = device.public_key().spki_der().to_vec();
    rate("sign", 200, || {
        let _ = black_box(device.key().sign(&message));
    });
    rate("verify", 10_000, || {
        let _ = black_box(device.public_key().verify(&message, &signature));
    });
    rate("parse key and verify", 5_000, || {
        let key = PublicKey::from_spki_der(&spki);
        let _ = black_box(key.map(|key| key.verify(&message, &signature)));
    });
    rate("encrypt", 5_000, || {
        let _ = black_box(device.public_key().encrypt(&message));
    });
    rate("decrypt", 200, || {
        let _ = black_box(device.key().decrypt(&sealed));
    });
    rate("parse public key", 100_000, || {
        let _ = black_box(PublicKey::from_spki_der(&spki));
    });
    rate("parse chain", 5_000, || {
        let _ = black_box(CertificateChain::from_pem(&pem));
    });
    rate("verify chain", 2_000, || {
        let _ = black_box(device.chain().verify_device(testing::NOW));
    });
    Ok(())
}
