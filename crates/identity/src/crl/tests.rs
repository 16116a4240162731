use baraza_wire::Rng;
use proptest::prelude::*;

use super::*;
use crate::certificate::CertificateChain;
use crate::testing;

const NOW: UnixTime = UnixTime::from_secs(1_795_500_000);

fn vector(name: &str) -> Vec<u8> {
    let root = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testing/vectors/account-crl/"
    );
    std::fs::read(format!("{root}{name}")).unwrap()
}

fn real() -> RevocationList {
    RevocationList::from_der(&vector("crl.der")).unwrap()
}

fn issue(
    previous: Option<&Revocations>,
    revoke: &[&Certificate],
    now: UnixTime,
) -> Result<RevocationList, CrlError> {
    let account = testing::identity("alice").chain().certificates()[1].clone();
    let key = testing::archive("alice").account_key;
    RevocationList::issue(
        &key,
        &account,
        previous,
        revoke,
        now,
        &mut Rng::from_seed(3),
    )
}

#[test]
fn a_real_list_with_a_negative_number() {
    let list = real();
    let revoked = CertificateChain::from_pem(vector("revoked-device.crt")).unwrap();
    assert_eq!(
        list.number(),
        Some(&[0xe8, 0xf5, 0x23, 0x85, 0x03, 0xee, 0x21, 0x0d][..])
    );
    assert_eq!(
        list.issuer_uid(),
        Some("7d9535306a03654a1d022907a46bb5a09055a967")
    );
    assert_eq!(list.verify(&revoked.certificates()[1]), Ok(()));
    assert_eq!(
        list.verify(&revoked.certificates()[2]),
        Err(CrlError::OtherIssuer)
    );
    assert!(list.revokes(revoked.leaf()));
    assert!(!list.revokes(&revoked.certificates()[1]));
    assert!(!list.revokes(testing::identity("alice").chain().leaf()));
    assert_eq!(list.revoked().len(), 1);
    // The 755 bytes of the DHT value end with the list.
    assert!(vector("crl.value.msgpack").ends_with(list.der()));
}

#[test]
fn the_list_of_the_archive_is_the_published_one() {
    let password = crate::Password::new("dave-pw");
    let archive = crate::Archive::read(&vector("archive.gz"), Some(&password)).unwrap();
    assert_eq!(archive.crl, Some(real()));
    // The same list issued anew differs in number and signature only.
    let revoked = CertificateChain::from_pem(vector("revoked-device.crt")).unwrap();
    let ours = RevocationList::issue(
        &archive.account_key,
        archive.account_certificate(),
        None,
        &[revoked.leaf()],
        real().this_update(),
        &mut Rng::from_seed(1),
    )
    .unwrap();
    let (ours, real) = (ours.der(), real());
    assert_eq!(ours.len(), real.der().len());
    assert_eq!(ours[..173], real.der()[..173]);
}

#[test]
fn negative_serials_are_revoked_by_their_bytes() {
    let chain = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testing/vectors/account-nopassword/"
    );
    let device = std::fs::read(format!("{chain}ring_device.crt")).unwrap();
    let device = CertificateChain::from_pem(device).unwrap().leaf().clone();
    let archive = std::fs::read(format!("{chain}archive.gz")).unwrap();
    let mut archive = crate::Archive::read(&archive, None).unwrap();
    let list = archive
        .revoke(&device, NOW, &mut Rng::from_seed(2))
        .unwrap();
    assert!(device.serial()[0] >= 0x80);
    assert_eq!(list.revoked().next().unwrap().0, device.serial());
    let again = RevocationList::from_der(list.der()).unwrap();
    assert!(again.revokes(&device));
}

#[test]
fn the_set_of_revoked_devices_never_shrinks() {
    let account = testing::identity("alice").chain().certificates()[1].clone();
    let first = testing::identity("alice").chain().leaf().clone();
    let second = testing::identity("alice-2").chain().leaf().clone();
    let one = issue(None, &[&first], NOW).unwrap();
    let other = issue(None, &[&second], UnixTime::from_secs(NOW.secs() + 1)).unwrap();
    let mut set = Revocations::new(account.clone());
    assert_eq!(set.merge(&other), Ok(true));
    assert_eq!(set.merge(&one), Ok(true));
    assert_eq!(set.merge(&one), Ok(false));
    assert!(set.revokes(&first) && set.revokes(&second));
    assert_eq!(set.latest(), Some(&other));
    let empty = issue(None, &[], UnixTime::from_secs(NOW.secs() + 9)).unwrap();
    assert_eq!(set.merge(&empty), Ok(true));
    assert_eq!(set.revoked().len(), 2);
    // A new list takes everything over.
    let next = issue(Some(&set), &[], UnixTime::from_secs(NOW.secs() + 10)).unwrap();
    assert!(next.revokes(&first) && next.revokes(&second));
    assert_eq!(next.number(), Some(&*increment(empty.number().unwrap())));
    assert_eq!(set.merge(&real()), Err(CrlError::OtherIssuer));
    assert_eq!(set.revoked().len(), 2);
}

#[test]
fn foreign_keys_and_certificates_are_refused() {
    let stranger = testing::identity("bob").chain().leaf().clone();
    assert_eq!(
        issue(None, &[&stranger], NOW),
        Err(CrlError::OtherCertificate)
    );
    let account = testing::identity("alice").chain().certificates()[1].clone();
    let key = testing::archive("bob").account_key;
    let rng = &mut Rng::from_seed(3);
    assert_eq!(
        RevocationList::issue(&key, &account, None, &[], NOW, rng),
        Err(CrlError::ForeignKey)
    );
    let mut der = issue(None, &[], NOW).unwrap().der().to_vec();
    *der.last_mut().unwrap() ^= 1;
    let forged = RevocationList::from_der(&der).unwrap();
    assert_eq!(forged.verify(&account), Err(CrlError::Signature));
    assert_eq!(
        RevocationList::from_der(&vec![0x30; MAX_CRL_LEN + 1]),
        Err(CrlError::TooLong(MAX_CRL_LEN + 1))
    );
}

#[test]
fn numbers_count_up_as_positive_numbers() {
    assert_eq!(increment(&[0x7f]), [0, 0x80]);
    assert_eq!(increment(&[0x01, 0xff]), [0x02, 0x00]);
    assert_eq!(increment(&[0xff]), [0x01, 0x00]);
    assert_eq!(increment(&[0x00, 0x80]), [0x00, 0x81]);
    assert_eq!(increment(&[]), [1]);
}

proptest! {
    #[test]
    fn any_bytes_do_not_panic(bytes: Vec<u8>) {
        let _ = RevocationList::from_der(&bytes);
    }

    #[test]
    fn a_changed_list_never_verifies(at in 0usize..714, bit in 0u8..8) {
        let account = CertificateChain::from_pem(vector("revoked-device.crt")).unwrap();
        let mut der = vector("crl.der");
        der[at] ^= 1 << bit;
        if let Ok(changed) = RevocationList::from_der(&der) {
            prop_assert!(changed.verify(&account.certificates()[1]).is_err());
        }
    }
}
