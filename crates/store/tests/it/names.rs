use baraza_store::{Durability, MAX_NAMES, NameRow, Store};
use baraza_wire::{AccountId, UnixTime};

use crate::rows::account;

fn row(server: &str, name: &str, id: u8, at: u64) -> NameRow {
    NameRow {
        server: server.into(),
        name: name.into(),
        id: AccountId::new([id; 20]),
        signed: true,
        resolved: UnixTime::from_secs(at),
        used: UnixTime::from_secs(at),
    }
}

#[test]
fn a_server_has_one_owner_of_a_name_and_one_name_of_an_owner() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path().join("node.db"), Durability::Process).unwrap();
    let number = store.add_account(&account(1)).unwrap();
    let alice = row("https://a", "alice", 1, 5);
    store.put_name(number, &alice).unwrap();
    store
        .put_name(number, &row("https://b", "alice", 2, 6))
        .unwrap();
    let known = store.name(number, "https://a", "alice").unwrap();
    assert_eq!(known, Some(alice.clone()));
    assert_eq!(
        store.name_of(number, "https://a", &alice.id).unwrap(),
        Some(alice)
    );
    // The name went to somebody else, who had another one.
    store
        .put_name(number, &row("https://a", "bob", 3, 7))
        .unwrap();
    let moved = row("https://a", "alice", 3, 8);
    store.put_name(number, &moved).unwrap();
    let names = store.names(number).unwrap();
    assert_eq!(names, [moved, row("https://b", "alice", 2, 6)]);
    store.remove_name(number, "https://a", "alice").unwrap();
    assert_eq!(store.names(number).unwrap().len(), 1);
}

#[test]
fn names_that_nobody_wants_to_know_go_when_there_are_too_many() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path().join("node.db"), Durability::Process).unwrap();
    let number = store.add_account(&account(1)).unwrap();
    store.begin().unwrap();
    for count in 0..=MAX_NAMES {
        let mut row = row("https://a", &format!("name-{count}"), 0, 100);
        let count = u64::try_from(count).unwrap();
        let mut id = [0; 20];
        id[..8].copy_from_slice(&count.to_be_bytes());
        row.id = AccountId::new(id);
        row.used = UnixTime::from_secs(if count == 7 { 1 } else { 100 + count });
        store.put_name(number, &row).unwrap();
    }
    store.commit().unwrap();
    assert_eq!(store.names(number).unwrap().len(), MAX_NAMES);
    assert_eq!(store.name(number, "https://a", "name-7").unwrap(), None);
}
