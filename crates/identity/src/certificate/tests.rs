use baraza_wire::Rng;
use proptest::prelude::*;

use super::*;
use crate::{PrivateKey, der, name, testing, time};

/// Within the validity of the vectors' certificates (November 2026).
const NOW: UnixTime = UnixTime::from_secs(1_795_500_000);

fn vector(path: &str) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testing/vectors/");
    std::fs::read(format!("{root}{path}")).unwrap()
}

fn chain() -> CertificateChain {
    CertificateChain::from_pem(vector("account-nopassword/ring_device.crt")).unwrap()
}

fn alice() -> (PrivateKey, PrivateKey, PrivateKey) {
    let archive = testing::archive("alice");
    let device = testing::identity("alice").key().clone();
    (archive.ca_key.unwrap(), archive.account_key, device)
}

#[test]
fn fields_of_a_real_chain() {
    let chain = chain();
    let [device, account, ca] = chain.certificates() else {
        panic!("{chain:?}");
    };
    assert_eq!(device.common_name(), Some("Jami device"));
    assert_eq!(account.common_name(), Some("Jami"));
    assert_eq!(ca.common_name(), Some("Jami CA"));
    let id = "66fd3fd929906a8a61be84ebb24fb5ae74e43745";
    assert_eq!(account.uid(), Some(id));
    assert_eq!(device.issuer_uid(), Some(id));
    assert_eq!(account.public_key().short_id().to_hex(), id);
    assert_eq!(
        device.uid(),
        Some("f008f68193062fc4bdd8813b81c2d1b8fb1e4ed9")
    );
    assert_eq!(device.not_before().secs(), 1_795_393_473);
    assert_eq!(
        device.not_after(),
        device.not_before().saturating_add(DEFAULT_VALIDITY)
    );
    assert!(!device.is_ca() && account.is_ca() && ca.is_ca());
    assert!(ca.is_self_signed() && !account.is_self_signed());
    // A negative serial number, -083FC4B1B8A4D5CF.
    assert_eq!(
        device.serial(),
        [0xf7, 0xc0, 0x3b, 0x4e, 0x47, 0x5b, 0x2a, 0x31]
    );
    assert_eq!(chain.verify_device(NOW).unwrap().to_hex(), id);
    assert_eq!(
        chain
            .account_chain()
            .unwrap()
            .verify_account(NOW)
            .unwrap()
            .to_hex(),
        id
    );
}

#[test]
fn pem_round_trips_byte_for_byte() {
    let text = vector("account-nopassword/ring_device.crt");
    assert_eq!(chain().to_pem().as_bytes(), text);
}

#[test]
fn a_certificate_value_of_the_dht_parses_with_its_header() {
    let value = vector("account-crl/certificate.value.msgpack");
    let chain = CertificateChain::from_pem(value).unwrap();
    assert_eq!(chain.certificates().len(), 3);
    chain.verify_device(NOW).unwrap();
}

#[test]
fn bare_der_in_a_row_parses() {
    let der: Vec<u8> = chain()
        .certificates()
        .iter()
        .flat_map(|certificate| certificate.der().to_vec())
        .collect();
    assert_eq!(CertificateChain::from_pem(&der).unwrap(), chain());
    assert!(CertificateChain::from_pem(&der[..der.len() - 1]).is_err());
    assert_eq!(CertificateChain::from_pem(""), Err(ChainParseError::Empty));
}

#[test]
fn chains_are_bounded() {
    let leaf = chain().leaf().to_pem();
    let most = CertificateChain::from_pem(leaf.repeat(MAX_CHAIN_LEN)).unwrap();
    assert_eq!(most.certificates().len(), MAX_CHAIN_LEN);
    let more = leaf.repeat(MAX_CHAIN_LEN + 1);
    assert_eq!(
        CertificateChain::from_pem(more),
        Err(ChainParseError::TooMany)
    );
    assert_eq!(
        Certificate::from_der(&vec![0x30; MAX_CERTIFICATE_LEN + 1]),
        Err(CertificateError::TooLong(MAX_CERTIFICATE_LEN + 1))
    );
}

#[test]
fn every_flaw_of_a_chain_has_its_error() {
    let real = chain();
    let [device, account, ca] = real.certificates() else {
        panic!();
    };
    let verify = |certificates: &[&Certificate]| {
        let certificates = certificates.iter().map(|&c| c.clone()).collect();
        CertificateChain::new(certificates)
            .unwrap()
            .verify_device(NOW)
    };
    assert_eq!(verify(&[device]), Err(ChainError::TooShort));
    assert_eq!(verify(&[ca, ca]), Err(ChainError::SelfSignedDevice));
    assert_eq!(
        verify(&[device, account]),
        Err(ChainError::RootNotSelfSigned)
    );
    assert_eq!(
        verify(&[device, ca, account]),
        Err(ChainError::Signature(0, SignedByError::OtherIssuer))
    );
    let early = UnixTime::from_secs(device.not_before().secs() - 1);
    assert_eq!(real.verify_device(early), Err(ChainError::NotYetValid(0)));
    let last = device.not_after();
    assert!(
        real.verify_device(UnixTime::from_secs(ca.not_after().secs()))
            .is_ok()
    );
    assert_eq!(
        real.verify_device(UnixTime::from_secs(last.secs() + 1)),
        Err(ChainError::Expired(0))
    );

    let rng = &mut Rng::from_seed(1);
    let (ca_key, account_key, device_key) = alice();
    let validity = Validity::from_now(NOW);
    let ca = issue_ca(&ca_key, validity, rng).unwrap();
    let account = issue_account(&ca_key, &ca, account_key.public_key(), validity, rng).unwrap();
    let leaf = issue_device(
        &account_key,
        &account,
        device_key.public_key(),
        validity,
        rng,
    )
    .unwrap();
    // A device that plays the account of another.
    assert_eq!(
        issue_device(&device_key, &leaf, ca_key.public_key(), validity, rng),
        Err(IssueError::NotCa)
    );
    assert_eq!(
        issue_device(&ca_key, &account, device_key.public_key(), validity, rng),
        Err(IssueError::ForeignKey)
    );
    assert_eq!(
        verify(&[&account, &leaf, &account, &ca]),
        Err(ChainError::Signature(0, SignedByError::OtherIssuer))
    );
    assert_eq!(
        verify(&[&leaf, &leaf]),
        Err(ChainError::Signature(0, SignedByError::OtherIssuer))
    );
    // One bit of the signature.
    let mut der = leaf.der().to_vec();
    *der.last_mut().unwrap() ^= 1;
    let broken = Certificate::from_der(&der).unwrap();
    assert_eq!(
        verify(&[&broken, &account, &ca]),
        Err(ChainError::Signature(0, SignedByError::Signature))
    );
    assert!(verify(&[&leaf, &account, &ca]).is_ok());
}

#[test]
fn issued_certificates_have_the_bytes_of_existing_ones() {
    let rng = &mut Rng::from_seed(2);
    let (key, _, _) = alice();
    let made = issue_ca(&key, Validity::from_now(NOW), rng).unwrap();
    let real = chain().certificates()[2].clone();
    // Same structure: equal but for serial, names' ids, dates, key, key id and signature.
    assert_eq!(made.der().len(), real.der().len());
    let same = made
        .der()
        .iter()
        .zip(real.der())
        .filter(|(a, b)| a == b)
        .count();
    assert!(same > 200, "{same}");
    assert!(made.is_self_signed() && made.is_ca());
    assert!((1..0x80).contains(&made.serial()[0]));
    assert_eq!(made.serial().len(), 8);
    let text = "-----BEGIN CERTIFICATE-----\n";
    assert!(made.to_pem().starts_with(text));
}

#[test]
fn elliptic_curve_authorities_verify() {
    let path = "dht-crypto.json";
    let all: serde_json::Value = serde_json::from_slice(&vector(path)).unwrap();
    let vectors = &all["opendht_2412"];
    let ca = Certificate::from_pem(vectors["ec_ca_crt_pem"].as_str().unwrap()).unwrap();
    assert!(ca.is_self_signed());
    assert_eq!(
        ca.public_key().short_id().to_hex(),
        vectors["ec_ca_id_sha1"].as_str().unwrap()
    );
    assert!(ca.public_key().verify(b"", b"").is_err());
    assert!(ca.public_key().encrypt(b"").is_err());
    for name in ["alice_crt_chain_pem", "bob_crt_pem", "ca_crt_pem"] {
        let chain = CertificateChain::from_pem(vectors[name].as_str().unwrap()).unwrap();
        for pair in chain.certificates().windows(2) {
            assert_eq!(pair[0].verify_signed_by(&pair[1]), Ok(()));
        }
    }
}

#[test]
fn agrees_with_an_independent_parser() {
    for certificate in chain().certificates() {
        let (rest, other) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
        assert!(rest.is_empty());
        assert_eq!(other.raw_serial(), certificate.serial());
        assert_eq!(other.is_ca(), certificate.is_ca());
        assert_eq!(other.public_key().raw, certificate.public_key().spki_der());
        let seconds = i64::try_from(certificate.not_after().secs()).unwrap();
        assert_eq!(other.validity().not_after.timestamp(), seconds);
    }
}

/// What a crafted certificate says; signed by the CA key, whatever it says.
struct Crafted<'a> {
    issuer: &'a [u8],
    subject: Vec<u8>,
    key: &'a PublicKey,
    extensions: Vec<Vec<u8>>,
}

impl Crafted<'_> {
    fn sign(&self, signer: &PrivateKey) -> Certificate {
        let algorithm = signature_algorithm(SignatureScheme::RsaSha512);
        let sequence = |parts: &[&[u8]]| der::write(der::SEQUENCE, parts);
        let dates = sequence(&[&time::write(NOW), &time::write(NOW)]);
        let extensions = sequence(&[&self.extensions.concat()]);
        let signed = sequence(&[
            &der::write(der::context(0), &[&[der::INTEGER, 1, 2]]),
            &[der::INTEGER, 1, 0xff],
            &algorithm,
            self.issuer,
            &dates,
            &self.subject,
            self.key.spki_der(),
            &der::write(der::context(3), &[&extensions]),
        ]);
        let signature = signer.sign(&signed).unwrap();
        let signature = der::write(der::BIT_STRING, &[&[0], &signature]);
        Certificate::from_der(&sequence(&[&signed, &algorithm, &signature])).unwrap()
    }
}

/// An extension with this id below 2.5.29, critical, and this value.
fn critical(id: u8, value: &[u8]) -> Vec<u8> {
    let id = der::write(der::OID, &[&[0x55, 0x1d, id]]);
    let flag = [der::BOOLEAN, 1, CRITICAL_TRUE];
    let value = der::write(der::OCTET_STRING, &[value]);
    der::write(der::SEQUENCE, &[&id, &flag, &value])
}

#[test]
fn flaws_of_authorities_have_their_errors() {
    let (ca_key, account_key, device_key) = alice();
    let rng = &mut Rng::from_seed(4);
    let ca = issue_ca(&ca_key, Validity::from_now(NOW), rng).unwrap();
    let account = account_key.public_key();
    let id = account.short_id();
    let ca_true = critical(19, &[0x30, 3, 1, 1, 0xff]);
    let verify = |extensions: &[&[u8]], uid, above: &[&Certificate]| {
        let issuer = above.first().map_or(&ca, |issuer| *issuer);
        let signer = if issuer == &ca { &ca_key } else { &account_key };
        let account = Crafted {
            issuer: issuer.subject_der(),
            subject: name::write("Jami", uid),
            key: account,
            extensions: extensions.iter().map(|e| e.to_vec()).collect(),
        }
        .sign(signer);
        let leaf = Crafted {
            issuer: account.subject_der(),
            subject: name::write("Jami device", device_key.public_key().short_id()),
            key: device_key.public_key(),
            extensions: Vec::new(),
        }
        .sign(&account_key);
        let mut chain = vec![leaf, account];
        chain.extend(above.iter().map(|&certificate| certificate.clone()));
        CertificateChain::new(chain).unwrap().verify_device(NOW)
    };
    assert_eq!(verify(&[&ca_true], id, &[&ca]), Ok(id.into()));
    let plain = critical(19, &[0x30, 0]);
    for extensions in [&[][..], &[&plain[..]]] {
        assert_eq!(verify(extensions, id, &[&ca]), Err(ChainError::NotCa(1)));
    }
    let only_crl = critical(15, &[3, 2, 1, 2]);
    assert_eq!(
        verify(&[&ca_true, &only_crl], id, &[&ca]),
        Err(ChainError::NotCa(1))
    );
    let unknown = critical(54, &[5, 0]);
    assert_eq!(
        verify(&[&ca_true, &unknown], id, &[&ca]),
        Err(ChainError::CriticalExtension(1))
    );
    let other = device_key.public_key().short_id();
    assert_eq!(
        verify(&[&ca_true], other, &[&ca]),
        Err(ChainError::KeyId(1))
    );
    // A path length of 0 allows devices below the account but no further authority.
    let no_path = critical(19, &[0x30, 6, 1, 1, 0xff, 2, 1, 0]);
    assert_eq!(verify(&[&no_path], id, &[&ca]), Ok(id.into()));
    let organisation = |extension: &[u8]| {
        Crafted {
            issuer: ca.subject_der(),
            // Names of organisations need not be ids.
            subject: name::write("Organisation", Default::default()),
            key: account,
            extensions: vec![extension.to_vec()],
        }
        .sign(&ca_key)
    };
    assert_eq!(
        verify(&[&ca_true], id, &[&organisation(&no_path), &ca]),
        Err(ChainError::PathLength(2))
    );
    assert_eq!(
        verify(&[&ca_true], id, &[&organisation(&ca_true), &ca]),
        Ok(id.into())
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_do_not_panic(bytes: Vec<u8>) {
        let _ = Certificate::from_der(&bytes);
        let _ = CertificateChain::from_pem(&bytes);
    }

    #[test]
    fn a_changed_certificate_never_verifies(at in 0usize..1309, byte: u8) {
        let chain = chain();
        let mut der = chain.leaf().der().to_vec();
        prop_assume!(der[at] != byte);
        der[at] = byte;
        if let Ok(changed) = Certificate::from_der(&der) {
            let chain = chain.account_chain().unwrap().with_leaf(changed).unwrap();
            prop_assert!(chain.verify_device(NOW).is_err());
        }
    }
}
