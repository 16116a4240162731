//! Real commits, written again, are the same byte for byte.

use std::collections::BTreeMap;

use baraza_swarm::commit::{Draft, Parsed, merge_message};
use baraza_swarm::{Author, Message, Mode, Repository};
use baraza_wire::{DeviceId, UnixTime};
use gix::objs::Find;

use super::support::{Disk, REAL, archive, git, keys, object_id};
use crate::gitwire::support::VECTORS;

#[test]
fn every_real_commit_is_reproduced() {
    let mut identities = BTreeMap::new();
    for name in [
        "swarm-keys.tar.gz",
        "head-keys.tar.gz",
        "head-group-keys.tar.gz",
    ] {
        identities.extend(keys(name));
    }
    let mut count = 0;
    for name in REAL {
        let (_keep, path) = archive(name);
        let disk = Disk::open(&path);
        for id in git(&path, &["rev-list", "main"]).lines() {
            let id = object_id(&id.parse().unwrap());
            let mut buffer = Vec::new();
            let raw = disk.repository.objects.try_find(&id, &mut buffer);
            let raw = raw.unwrap().unwrap().data;
            let parsed = Parsed::new(raw).unwrap();
            let message = match parsed.parents.as_slice() {
                [_, second] => merge_message(second),
                _ => Message::parse(parsed.message).unwrap().0.to_json(),
            };
            assert_eq!(message.as_bytes(), parsed.message, "{name} {id}");
            let draft = Draft {
                tree: parsed.tree,
                parents: &parsed.parents,
                name: std::str::from_utf8(parsed.name).unwrap(),
                device: parsed.device,
                time: parsed.time,
                message: message.as_bytes(),
            };
            let identity = &identities[&parsed.device];
            assert!(draft.sign(identity.key()).unwrap() == raw, "{name} {id}");
            count += 1;
        }
    }
    assert!(count > 150, "{count} commits");
}

/// The raw objects in the text file.
#[test]
fn the_published_raw_commits_are_reproduced() {
    let text = std::fs::read_to_string(format!("{VECTORS}swarm-commits.txt")).unwrap();
    let identities = keys("swarm-keys.tar.gz");
    let mut count = 0;
    for part in text.split("################ raw commit object: ").skip(1) {
        let mut hexes = part
            .lines()
            .filter(|line| line.len() > 200 && line.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let raw = baraza_wire::hex::decode(hexes.next().unwrap()).unwrap();
        let signed = baraza_wire::hex::decode(hexes.next().unwrap()).unwrap();
        let parsed = Parsed::new(&raw).unwrap();
        assert_eq!(parsed.signed().unwrap().0, signed);
        let draft = Draft {
            tree: parsed.tree,
            parents: &parsed.parents,
            name: std::str::from_utf8(parsed.name).unwrap(),
            device: parsed.device,
            time: parsed.time,
            message: parsed.message,
        };
        assert_eq!(draft.unsigned(), signed);
        assert_eq!(draft.sign(identities[&parsed.device].key()).unwrap(), raw);
        count += 1;
    }
    assert_eq!(count, 4);
}

/// Created by the same device at the same second, real conversations get their own ids.
#[test]
fn real_conversations_are_created_again() {
    let there = tempfile::tempdir().unwrap();
    let identities = keys("swarm-keys.tar.gz");
    let alice: DeviceId = "d0db60b9c15abec3e349664e269221dd7c0b8ca65a6f3e7be1ee53ed86109d61"
        .parse()
        .unwrap();
    let author = Author {
        identity: &identities[&alice],
        name: "Alice",
    };
    let group = Repository::create_group(
        there.path(),
        author,
        Mode::InvitesOnly,
        UnixTime::from_secs(1_795_393_806),
    )
    .unwrap();
    assert_eq!(
        group.id().to_hex(),
        "f821711bf46a26ad5f457becae6d5119f65902f2"
    );
    let peer = "2d854d73999f113079ae4664ae9764cd81cf9b3a".parse().unwrap();
    let two = Repository::create_one_to_one(
        there.path(),
        author,
        peer,
        UnixTime::from_secs(1_795_393_720),
    )
    .unwrap();
    assert_eq!(
        two.id().to_hex(),
        "8b3731747a61279f2d367fea6c9a5474bff82c6c"
    );
}
