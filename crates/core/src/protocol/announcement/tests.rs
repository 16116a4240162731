use baraza_identity::{Archive, testing};

use super::*;
use crate::protocol::tests_support::vector;

fn account_key() -> PrivateKey {
    Archive::read(&vector("account-nopassword/archive.gz"), None)
        .unwrap()
        .account_key
}

fn real() -> Value {
    Value::from_packed(&vector("account-nopassword/announce.msgpack")).unwrap()
}

fn account() -> AccountId {
    account_key().public_key().short_id().into()
}

#[test]
fn a_real_announcement_is_read() {
    let announcement = Announcement::parse(account(), &real()).unwrap();
    let device = "f008f68193062fc4bdd8813b81c2d1b8fb1e4ed9";
    assert_eq!(announcement.device.to_hex(), device);
    let key = announcement.device_key.clone().unwrap();
    assert_eq!(key.short_id(), announcement.device);
    assert_eq!(announcement.device_id(), Some(key.long_id()));
    assert_eq!(announcement.account_key, *account_key().public_key());
    let put = vector("account-crl/announcement.value.msgpack");
    let put = Value::from_packed(&put).unwrap();
    let owner = put.owner_id().unwrap().into();
    assert!(Announcement::parse(owner, &put).is_ok());
}

#[test]
fn issuing_gives_the_bytes_of_a_real_one() {
    let device = Announcement::parse(account(), &real()).unwrap().device_key;
    let issued = issue(&account_key(), &device.unwrap()).unwrap();
    assert_eq!(
        issued.to_packed(),
        vector("account-nopassword/announce.msgpack")
    );
    assert_eq!(issued.signed_bytes().len(), 1162);
}

#[test]
fn a_receipt_is_put_under_a_random_id() {
    let text = String::from_utf8(vector("account-nopassword/receipt.json")).unwrap();
    let signature = vector("account-nopassword/receipt.sig");
    let receipt = Receipt::parse(&text, &signature).unwrap();
    let mut rng = Rng::from_seed(1);
    let put = to_put(&receipt, &mut rng).unwrap();
    assert_ne!(put.id, 0);
    assert_ne!(put.id, to_put(&receipt, &mut rng).unwrap().id);
    assert_eq!(put.priority, 1);
    let read = Announcement::parse(account(), &put).unwrap();
    assert_eq!(Announcement::from_receipt(&receipt), Ok(read));
}

#[test]
fn others_cannot_announce_for_an_account() {
    let other = AccountId::new([7; 20]);
    assert_eq!(
        Announcement::parse(other, &real()),
        Err(AnnouncementError::Signature)
    );
    let unsigned = Value::new(0, real().data());
    assert_eq!(
        Announcement::parse(account(), &unsigned),
        Err(AnnouncementError::Signature)
    );
    // Signed by the account, for the key of another device than it names.
    let (alice, bob) = (testing::identity("alice"), testing::identity("bob"));
    let mut writer = Writer::new();
    writer.map(2).str("dev").bin(bob.short_id().as_bytes());
    writer.str("pk").bin(alice.public_key().spki_der());
    let value = Value::new(0, writer.as_bytes());
    let signed = secure::sign(&value, &account_key(), None).unwrap();
    assert_eq!(
        Announcement::parse(account(), &signed),
        Err(AnnouncementError::OtherKey)
    );
    let mut packed = real().to_packed();
    let last = packed.len() - 1;
    packed[last] ^= 1;
    let changed = Value::from_packed(&packed).unwrap();
    assert_eq!(
        Announcement::parse(account(), &changed),
        Err(AnnouncementError::Signature)
    );
}

#[test]
fn an_old_announcement_has_no_key() {
    let mut writer = Writer::new();
    writer.map(1).str("dev").bin(&[5; 20]);
    let value = Value::new(0, writer.as_bytes());
    let signed = secure::sign(&value, &account_key(), None).unwrap();
    let read = Announcement::parse(account(), &signed).unwrap();
    assert_eq!(
        (read.device, read.device_id()),
        (InfoHash::new([5; 20]), None)
    );
}
