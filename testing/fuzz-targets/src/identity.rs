//! `baraza-identity`.

use baraza_identity::archive::ArchiveKey;
use baraza_identity::{
    Archive, Certificate, CertificateChain, PrivateKey, PublicKey, Receipt, RevocationList,
};
use baraza_wire::UnixTime;

const NOW: UnixTime = UnixTime::from_secs(1_767_225_600);

/// The file: not encrypted, and encrypted with a key the fuzzer does not know.
pub(crate) fn archive(data: &[u8]) -> bool {
    // Stretching a password takes too long to fuzz; a key does the same from there on.
    if let Ok(key) = ArchiveKey::from_bytes(&[7; 32], data) {
        let _refused = Archive::read_with_key(data, &key);
    }
    Archive::read(data, None).is_ok_and(|archive| written_reads_back(&archive))
}

/// The JSON inside, which also comes from a device that is being linked.
pub(crate) fn archive_json(data: &[u8]) -> bool {
    Archive::from_json(data).is_ok_and(|archive| written_reads_back(&archive))
}

fn written_reads_back(archive: &Archive) -> bool {
    let Ok(json) = archive.to_json(false) else {
        return true;
    };
    let again = Archive::from_json(&json).unwrap_or_else(|e| panic!("what was written reads: {e}"));
    let json_again = again
        .to_json(false)
        .unwrap_or_else(|e| panic!("and can be written: {e}"));
    assert_eq!(*json, *json_again, "the same is written again");
    true
}

/// One certificate or several, DER or PEM.
pub(crate) fn certificate(data: &[u8]) -> bool {
    let mut understood = false;
    if let Ok(certificate) = Certificate::from_der(data) {
        understood = true;
        let again = Certificate::from_der(certificate.der());
        assert_eq!(again.as_ref(), Ok(&certificate), "its own DER reads back");
        let pem = certificate.to_pem();
        assert_eq!(
            Certificate::from_pem(&pem),
            Ok(certificate.clone()),
            "and so does its PEM"
        );
        let _signed = certificate.verify_signed_by(&certificate);
    }
    let chains = [
        CertificateChain::from_der(data),
        CertificateChain::from_pem(data),
    ];
    for chain in chains.into_iter().flatten() {
        understood = true;
        let again = CertificateChain::from_pem(chain.to_pem());
        assert_eq!(
            again.as_ref(),
            Ok(&chain),
            "a chain reads back from its PEM"
        );
        // Nothing that anybody makes up verifies as a device of an account unless every
        // signature in it is right; whatever comes out, it must not panic.
        let _device = chain.verify_device(NOW);
        let _account = chain.verify_account(NOW);
    }
    understood
}

/// A revocation list.
pub(crate) fn crl(data: &[u8]) -> bool {
    let Ok(list) = RevocationList::from_der(data) else {
        return false;
    };
    let again = RevocationList::from_der(list.der());
    assert_eq!(again.as_ref(), Ok(&list), "its own DER reads back");
    assert_eq!(list.revoked().len(), list.revoked().count());
    true
}

/// Keys, private and public.
pub(crate) fn key(data: &[u8]) -> bool {
    let mut understood = false;
    if let Ok(key) = PublicKey::from_spki_der(data) {
        let again = PublicKey::from_spki_der(key.spki_der());
        assert_eq!(again.as_ref().ok(), Some(&key), "a public key reads back");
        understood = true;
        assert!(
            key.verify(b"message", data).is_err(),
            "its own bytes are no signature"
        );
    }
    let text = std::str::from_utf8(data).unwrap_or_default();
    let keys = [PrivateKey::from_der(data), PrivateKey::from_pem(text)];
    for key in keys.into_iter().flatten() {
        understood = true;
        let again = PrivateKey::from_pem(&key.to_pkcs8_pem());
        assert_eq!(
            again.ok().as_ref().map(PrivateKey::public_key),
            Some(key.public_key()),
            "a private key reads back from its PEM"
        );
    }
    understood
}

/// An account's receipt for a device: the text that was signed is kept as it came.
pub(crate) fn receipt(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let Ok(receipt) = Receipt::parse(&text, b"signature") else {
        return false;
    };
    assert_eq!(receipt.text(), text, "the signed text is not touched");
    true
}
