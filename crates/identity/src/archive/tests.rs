use baraza_wire::Rng;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing;

const NOW: UnixTime = UnixTime::from_secs(1_795_500_000);

fn vector(path: &str) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testing/vectors/");
    std::fs::read(format!("{root}{path}")).unwrap()
}

fn rng() -> Rng {
    Rng::from_seed(7)
}

fn plain() -> Archive {
    Archive::read(&vector("account-nopassword/archive.gz"), None).unwrap()
}

/// A key that needs no slow derivation.
fn cheap_key() -> ArchiveKey {
    ArchiveKey::from_bytes(&[9; 32], &[3; 16]).unwrap()
}

fn full() -> Archive {
    let mut archive = testing::archive("alice");
    let id = AccountId::new([1; 20]);
    archive.contacts.insert(
        id,
        Contact {
            added: UnixTime::from_millis(1_700_000_000_123),
            removed: UnixTime::from_secs(1_600_000_000),
            confirmed: true,
            conversation: Some(ConversationId::new([5; 20])),
            unknown: [("later".to_owned(), json!({"b": 1, "a": [2]}))].into(),
            ..Contact::default()
        },
    );
    let banned = Contact {
        removed: UnixTime::from_millis(1),
        banned: true,
        ..Contact::default()
    };
    archive.contacts.insert(AccountId::new([2; 20]), banned);
    archive.conversations.insert(
        ConversationId::new([5; 20]),
        Conversation {
            created: UnixTime::from_secs(1_700_000_000),
            removed: UnixTime::from_millis(1_700_000_001_001),
            members: [id, archive.account_id()].into(),
            last_displayed: "f".repeat(40),
            mode: Some(2),
            unknown: [("invited".to_owned(), json!({"x": 5}))].into(),
            ..Conversation::default()
        },
    );
    archive.requests.insert(
        ConversationId::new([6; 20]),
        Request {
            from: id,
            received: UnixTime::from_secs(1_700_000_000),
            declined: UnixTime::default(),
            metadata: [("title".to_owned(), "Mtaa wa \u{1f3d8}\"".to_owned())].into(),
            unknown: BTreeMap::new(),
        },
    );
    let setting = (
        "Account.displayName".to_owned(),
        "Alice \u{062a}".to_owned(),
    );
    archive.settings = [setting].into();
    archive.unknown = [("future".to_owned(), json!([1, {"z": null}]))].into();
    archive
}

#[test]
fn fresh_archives_are_written_as_the_existing_daemon_does() {
    let json = decompress(&vector("account-nopassword/archive.gz")).unwrap();
    let archive = plain();
    assert_eq!(archive.to_json(false).unwrap(), json);
    assert_eq!(
        archive.account_id().to_hex(),
        "66fd3fd929906a8a61be84ebb24fb5ae74e43745"
    );
    archive.account_chain.verify_account(NOW).unwrap();
    assert!(archive.ca_key.is_some() && archive.settings.is_empty());
    assert!(archive.unknown.is_empty() && !archive.needs_renewal(NOW));
}

#[test]
fn exports_give_contacts_conversations_and_settings() {
    let archive = Archive::read(&vector("account-nopassword/export.gz"), None).unwrap();
    let peer: AccountId = "7d730a03d9f5b3f8e5bcebf1409e89abcc9545a4".parse().unwrap();
    let id: ConversationId = "05c2c745b58bbe80bb2e0118b22d201b9ddf49c2".parse().unwrap();
    let contact = &archive.contacts[&peer];
    assert_eq!(contact.added, UnixTime::from_secs(1_795_393_584));
    assert_eq!(contact.conversation, Some(id));
    assert!(contact.is_active() && !contact.confirmed && !contact.banned);
    let conversation = &archive.conversations[&id];
    assert_eq!(conversation.members, [peer, archive.account_id()].into());
    assert_eq!(archive.settings["Account.displayName"], "Alice");
    assert_eq!(archive.settings["TURN.password"], "ring");
}

#[test]
fn the_leaked_device_key_is_neither_read_nor_written() {
    let packed = vector("account-nopassword/export.gz");
    let original = decompress(&packed).unwrap();
    let original: Value = serde_json::from_slice(&original).unwrap();
    let leaked = original["TLS.privateKeyFile"].as_str().unwrap();
    let mut archive = Archive::read(&packed, None).unwrap();
    let put_back = |archive: &mut Archive| {
        let value = leaked.to_owned();
        archive.settings.insert("TLS.privateKeyFile".into(), value)
    };
    assert_eq!(put_back(&mut archive), None);
    let json = archive.to_json(false).unwrap();
    let json = String::from_utf8(json.to_vec()).unwrap();
    assert!(!json.contains(leaked) && !json.contains("TLS."));
}

#[test]
fn archives_with_password_read() {
    for (file, password, json) in [
        ("account-password/archive-created", "pass-wörd 1", true),
        ("account-password/export-before-change", "pass-wörd 1", true),
        ("account-password/export-after-change", "second pass", true),
        ("account-generated/gen-pw", "gen pass", false),
        ("account-crl/archive", "dave-pw", false),
    ] {
        let packed = vector(&format!("{file}.gz"));
        let archive = Archive::read(&packed, Some(&Password::new(password))).unwrap();
        if json {
            let expected = Archive::from_json(&vector(&format!("{file}.json"))).unwrap();
            assert_eq!(archive, expected);
        }
        archive.account_chain.verify_account(NOW).unwrap();
    }
}

#[test]
fn the_other_vectors_read() {
    Archive::read(&vector("account-generated/gen.gz"), None).unwrap();
    Archive::read(
        &vector("account-generated/00000000deadbeef/archive.gz"),
        None,
    )
    .unwrap();
    Archive::from_json(&vector("account-pin/archive.json")).unwrap();
    let head = Archive::from_json(&vector("head-link-device-accdata.json")).unwrap();
    assert_eq!(head.settings["Account.archiveHasPassword"], "true");
    assert_eq!(
        head.to_json(true).unwrap().as_slice(),
        vector("head-link-device-accdata.json").trim_ascii_end()
    );
    // The setting follows the truth.
    let json = head.to_json(false).unwrap();
    let again = Archive::from_json(&json).unwrap();
    assert_eq!(again.settings["Account.archiveHasPassword"], "false");
}

#[test]
fn the_password_scheme_has_the_documented_steps() {
    let packed = vector("account-password/archive-created.gz");
    assert_eq!(packed.len(), 9888);
    assert_eq!(
        baraza_wire::hex::encode(&packed[..16]),
        "5917073e6870b9afc62c2ce55efaf1b7"
    );
    let key = ArchiveKey::derive(&packed, &Password::new("pass-wörd 1")).unwrap();
    assert_eq!(
        baraza_wire::hex::encode(key.as_bytes()),
        "5dfb726f67bff2eebb9318bca9b19a9b3f893a6ba3ddfde53e95c097e1402b38"
    );
    let archive = Archive::read_with_key(&packed, &key).unwrap();
    // A kept key stays good as long as it is used for writing.
    let again = archive.write_with_key(&key, &mut rng()).unwrap();
    assert_eq!(again[..16], packed[..16]);
    assert_ne!(again[16..28], packed[16..28]);
    let kept = ArchiveKey::from_bytes(key.as_bytes(), &again).unwrap();
    assert_eq!(Archive::read_with_key(&again, &kept).unwrap(), archive);
}

#[test]
fn everything_round_trips_with_and_without_password() {
    let archive = full();
    let packed = archive.write(None, &mut rng()).unwrap();
    assert_eq!(Archive::read(&packed, None).unwrap(), archive);
    let password = Password::new("nywila");
    let sealed = archive.write(Some(&password), &mut rng()).unwrap();
    assert_eq!(Archive::read(&sealed, Some(&password)).unwrap(), archive);
    let empty = Password::new("");
    assert_eq!(archive.write(Some(&empty), &mut rng()).unwrap(), packed);
    assert_eq!(Archive::read(&packed, Some(&empty)).unwrap(), archive);
}

#[test]
fn json_is_sorted_without_blanks() {
    let json = full().to_json(false).unwrap();
    let text = std::str::from_utf8(&json).unwrap();
    let value: Value = serde_json::from_str(text).unwrap();
    // preserve_order keeps the order of the text.
    let names: Vec<&String> = value.as_object().unwrap().keys().collect();
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(names.len(), 9);
    assert!(!text.contains("\": ") && !text.contains('\n'));
    let contact = &value["ringAccountContacts"]["01".repeat(20)];
    let expected = r#"{"added":1700000000,"addedMs":1700000000123,"confirmed":true,"conversationId":"0505050505050505050505050505050505050505","later":{"a":[2],"b":1},"removed":1600000000,"removedMs":1600000000000}"#;
    assert_eq!(contact.to_string(), expected);
    let banned = &value["ringAccountContacts"]["02".repeat(20)];
    let expected = r#"{"added":0,"banned":true,"conversationId":"","removed":0,"removedMs":1}"#;
    assert_eq!(banned.to_string(), expected);
}

#[test]
fn an_extra_layer_of_gzip_is_taken_off_and_a_third_refused() {
    let archive = full();
    let once = archive.write(None, &mut rng()).unwrap();
    let twice = container::seal_plain(&once).unwrap();
    assert_eq!(Archive::read(&twice, None).unwrap(), archive);
    let thrice = container::seal_plain(&twice).unwrap();
    assert_eq!(
        Archive::read(&thrice, None),
        Err(ArchiveError::TooManyLayers)
    );
    let key = cheap_key();
    let sealed = archive.write_with_key(&key, &mut rng()).unwrap();
    let wrapped = container::seal_plain(&sealed).unwrap();
    assert_eq!(Archive::read_with_key(&wrapped, &key).unwrap(), archive);
    // gzip instead of zlib inside the encryption.
    let mut inside = key_salt();
    inside.extend(encrypt::seal(&[9; 32], [1; 12], &once).unwrap());
    assert_eq!(Archive::read_with_key(&inside, &key).unwrap(), archive);
}

fn key_salt() -> Vec<u8> {
    vec![3; 16]
}

#[test]
fn errors_say_what_is_wrong() {
    let packed = vector("account-nopassword/archive.gz");
    let password = Password::new("x");
    assert_eq!(
        Archive::read(&packed, Some(&password)),
        Err(ArchiveError::NotEncrypted)
    );
    let sealed = vector("account-password/archive-created.gz");
    assert_eq!(
        Archive::read(&sealed, None),
        Err(ArchiveError::PasswordNeeded)
    );
    assert_eq!(
        Archive::read(&sealed, Some(&password)),
        Err(ArchiveError::WrongPassword)
    );
    assert_eq!(
        Archive::read(&sealed[..44], Some(&password)),
        Err(ArchiveError::Cut)
    );
    assert_eq!(Archive::read(&[], None), Err(ArchiveError::Cut));
    let mut bad_crc = packed.clone();
    let at = bad_crc.len() - 8;
    bad_crc[at] ^= 1;
    assert!(matches!(
        Archive::read(&bad_crc, None),
        Err(ArchiveError::Damaged(_))
    ));
    assert_eq!(
        Archive::from_json(b"{\n 5"),
        Err(ArchiveError::Json { line: 2, column: 2 })
    );
    assert_eq!(Archive::from_json(b"{}"), Err(ArchiveError::NoAccountKey));
    let json = |archive: &Archive| {
        let json = archive.to_json(false).unwrap();
        serde_json::from_slice::<Value>(&json).unwrap()
    };
    let (alice, bob) = (json(&full()), json(&testing::archive("bob")));
    let mixed = |name: &str| {
        let mut mixed = alice.clone();
        mixed[name] = bob[name].clone();
        Archive::from_json(mixed.to_string().as_bytes()).unwrap_err()
    };
    assert_eq!(mixed("ringAccountKey"), ArchiveError::AccountKeyMismatch);
    assert_eq!(mixed("ringAccountCert"), ArchiveError::AccountKeyMismatch);
    assert_eq!(mixed("ringCaKey"), ArchiveError::CaKeyMismatch);
    assert_eq!(
        ArchiveError::WrongPassword.to_string(),
        "wrong password or damaged file"
    );
}

#[test]
fn decompression_is_bounded() {
    let bomb = container::seal_plain(&vec![b' '; MAX_ARCHIVE_LEN + 1]).unwrap();
    assert!(bomb.len() < 100_000);
    assert_eq!(Archive::read(&bomb, None), Err(ArchiveError::TooLarge));
    let most = container::seal_plain(&vec![b' '; MAX_ARCHIVE_LEN]).unwrap();
    assert_ne!(Archive::read(&most, None), Err(ArchiveError::TooLarge));
}

#[test]
fn unreadable_parts_do_not_lose_the_account_and_are_kept() {
    let mut value: Value = serde_json::from_slice(&full().to_json(false).unwrap()).unwrap();
    value["ringCaKey"] = "bm90IGEga2V5".into();
    value["ringAccountCRL"] = "!".into();
    value["ringAccountContacts"]["nonsense"] = json!({});
    value["ringAccountContacts"]["03".repeat(20)] = json!(5);
    value["conversationsRequests"]["07".repeat(20)] = json!({"from": "?"});
    let archive = Archive::from_json(value.to_string().as_bytes()).unwrap();
    assert_eq!((&archive.ca_key, &archive.crl), (&None, &None));
    assert_eq!((archive.contacts.len(), archive.requests.len()), (2, 1));
    let again: Value = serde_json::from_slice(&archive.to_json(false).unwrap()).unwrap();
    assert_eq!(again["ringCaKey"], value["ringCaKey"]);
    assert_eq!(again["ringAccountCRL"], value["ringAccountCRL"]);
    let mut archive = archive;
    assert_eq!(
        archive.renew(NOW, &mut rng()),
        Err(ArchiveIssueError::NoAuthority)
    );
}

/// Reads `changed` and checks that it is refused or has exactly the content `whole`.
fn refused_or_same(changed: &[u8], key: Option<&ArchiveKey>, whole: &Archive) -> bool {
    let read = match key {
        None => Archive::read(changed, None),
        Some(key) => Archive::read_with_key(changed, key),
    };
    read.is_err() || read.as_ref() == Ok(whole)
}

#[test]
fn cut_files_are_refused_at_every_length() {
    let (archive, key) = (full(), cheap_key());
    let packed = archive.write(None, &mut rng()).unwrap();
    let sealed = archive.write_with_key(&key, &mut rng()).unwrap();
    for len in 0..packed.len() {
        assert_eq!(
            Archive::read(&packed[..len], None).unwrap_err(),
            ArchiveError::Cut,
            "{len}"
        );
    }
    for len in 0..sealed.len() {
        assert!(Archive::read_with_key(&sealed[..len], &key).is_err());
    }
}

#[test]
fn flipped_bytes_never_give_other_content() {
    let (archive, key) = (full(), cheap_key());
    let packed = archive.write(None, &mut rng()).unwrap();
    let sealed = archive.write_with_key(&key, &mut rng()).unwrap();
    for at in 0..packed.len() {
        let mut changed = packed.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(refused_or_same(&changed, None, &archive), "{at}");
    }
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(Archive::read_with_key(&changed, &key).is_err(), "{at}");
    }
}

#[test]
fn a_further_device_belongs_to_the_account() {
    let archive = testing::archive("alice");
    let key = testing::identity("bob").key().clone();
    let device = archive.certify_device(key, NOW, &mut rng()).unwrap();
    assert_eq!(device.account_id(), archive.account_id());
    let later = UnixTime::from_secs(NOW.secs() + 86_400);
    assert_eq!(
        device.chain().verify_device(later),
        Ok(archive.account_id())
    );
}

#[test]
fn revoking_grows_the_list_in_the_archive() {
    let mut archive = testing::archive("alice");
    let first = testing::identity("alice").chain().leaf().clone();
    let second = testing::identity("alice-2").chain().leaf().clone();
    archive.revoke(&first, NOW, &mut rng()).unwrap();
    let list = archive.revoke(&second, NOW, &mut rng()).unwrap();
    assert!(list.revokes(&first) && list.revokes(&second));
    let packed = archive.write(None, &mut rng()).unwrap();
    let again = Archive::read(&packed, None).unwrap();
    assert_eq!(again.crl, Some(list));
    assert!(again.revocations().revokes(&first));
    let stranger = testing::identity("bob").chain().leaf().clone();
    assert!(archive.revoke(&stranger, NOW, &mut rng()).is_err());
}

#[test]
fn renewal_changes_no_id() {
    let mut archive = plain();
    let before = archive.account_id();
    let expired = archive.account_certificate().not_after();
    let now = UnixTime::from_secs(expired.secs() + 10);
    assert!(archive.needs_renewal(now));
    archive.renew(now, &mut rng()).unwrap();
    assert!(!archive.needs_renewal(now));
    assert_eq!(archive.account_chain.verify_account(now), Ok(before));
}

fn any_contact() -> impl Strategy<Value = Contact> {
    let time = || prop_oneof![Just(0), 1u64..1 << 45].prop_map(UnixTime::from_millis);
    let conversation = prop::option::of(any::<[u8; 20]>().prop_map(ConversationId::new));
    (time(), time(), any::<(bool, bool)>(), conversation).prop_map(
        |(added, removed, (confirmed, banned), conversation)| Contact {
            added,
            removed,
            confirmed,
            banned,
            conversation,
            unknown: BTreeMap::new(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_contacts_and_settings_round_trip(
        contacts in prop::collection::btree_map(any::<[u8; 20]>(), any_contact(), 0..4),
        settings in prop::collection::btree_map("x\\PC{0,9}", any::<String>(), 0..4),
    ) {
        let mut archive = plain();
        archive.contacts = contacts
            .into_iter()
            .map(|(id, contact)| (AccountId::new(id), contact))
            .collect();
        archive.settings = settings;
        let json = archive.to_json(false).unwrap();
        prop_assert_eq!(Archive::from_json(&json).unwrap(), archive);
    }

    #[test]
    fn any_bytes_do_not_panic(bytes: Vec<u8>, gzip: bool) {
        let file = if gzip { container::seal_plain(&bytes).unwrap() } else { bytes };
        prop_assert!(Archive::read(&file, None).is_err());
        prop_assert!(Archive::read_with_key(&file, &cheap_key()).is_err());
        prop_assert!(Archive::from_json(&file).is_err());
    }

    #[test]
    fn any_json_in_the_places_of_entries_does_not_panic(text in "[\\[\\]{}\",:0-9a-z-]{0,40}") {
        let value: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        let mut object = serde_json::from_slice::<Value>(&full().to_json(false).unwrap()).unwrap();
        let id = "05".repeat(20);
        object["conversations"][&id]["members"] = value.clone();
        object["ringAccountContacts"]["01".repeat(20)]["added"] = value.clone();
        object["conversationsRequests"] = value;
        let archive = Archive::from_json(object.to_string().as_bytes()).unwrap();
        let again = Archive::from_json(&archive.to_json(false).unwrap()).unwrap();
        prop_assert_eq!(again, archive);
    }
}

/// A salt is random, so that it may begin like the text of an archive without password.
#[test]
fn what_begins_with_a_brace_may_be_encrypted() {
    let mut rng = Rng::from_seed(7);
    for beginning in [&b"{"[..], b" {", b"\n{\""] {
        let mut file = beginning.to_vec();
        file.extend(rng.bytes::<400>());
        assert!(Archive::is_encrypted(&file), "{beginning:?}");
        assert!(matches!(
            container::open_plain(&file),
            Err(ArchiveError::PasswordNeeded)
        ));
        assert!(container::check_encrypted(&file).is_ok());
    }
    assert!(!Archive::is_encrypted(
        br#"{"ringCAKey":"x","settings":{"a":"b"}}"#
    ));
}
