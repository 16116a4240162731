use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use baraza_store::{DirectoryLock, Durability, LockError, Store, StoreError, files, schema_text};

use crate::rows::{account, conversation, message};

#[test]
fn the_documented_schema_is_the_real_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema.sql");
    assert_eq!(fs::read_to_string(path).unwrap(), schema_text());
}

#[test]
fn a_transaction_is_written_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.db");
    let mut store = Store::open(&path, Durability::Full).unwrap();
    let number = store.add_account(&account(1)).unwrap();
    let failed: Result<(), StoreError> = store.atomic(|store| {
        store.add_conversation(number, &conversation(1))?;
        store.atomic(|store| store.add_account(&account(1)).map(drop))
    });
    assert!(failed.is_err());
    assert_eq!(store.conversations(number).unwrap(), []);
    // Left without closing, as by a crash: what was committed is there.
    std::mem::forget(store);
    let store = Store::open(&path, Durability::Full).unwrap();
    assert_eq!(store.accounts().unwrap().len(), 1);
}

#[test]
fn two_connections_see_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.db");
    let mut one = Store::open(&path, Durability::Process).unwrap();
    let mut two = Store::open(&path, Durability::Process).unwrap();
    one.add_account(&account(1)).unwrap();
    two.add_account(&account(2)).unwrap();
    assert_eq!(one.accounts().unwrap(), two.accounts().unwrap());
}

#[test]
fn damage_and_newer_versions_are_named_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.db");
    fs::write(&path, vec![7; 8192]).unwrap();
    let error = Store::open(&path, Durability::Full).unwrap_err();
    assert!(
        matches!(&error, StoreError::Corrupt { path: at, .. } if *at == path),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), vec![7; 8192]);

    let path = directory.path().join("newer.db");
    drop(Store::open(&path, Durability::Full).unwrap());
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    let error = Store::open(&path, Durability::Full).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99 }), "{error}");
}

#[test]
fn a_full_disk_is_named_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.db");
    let mut store = Store::open(&path, Durability::Process).unwrap();
    let number = store.add_account(&account(1)).unwrap();
    let chat = store.add_conversation(number, &conversation(1)).unwrap();
    store.add_message(chat, &message(0, 1)).unwrap();
    // A limit on pages makes SQLite say what it says on a full disk.
    let pages: i64 = store.pragma("page_count");
    store.set_pragma("max_page_count", pages);
    let mut row = message(1, 2);
    row.fields = "x".repeat(1 << 20);
    let error = store.add_message(chat, &row).unwrap_err();
    assert!(matches!(error, StoreError::Full), "{error}");
    assert_eq!(store.messages_down(chat, 9, 9).unwrap(), [message(0, 1)]);
}

trait Pragmas {
    fn pragma(&self, name: &str) -> i64;
    fn set_pragma(&self, name: &str, value: i64);
}

impl Pragmas for Store {
    fn pragma(&self, name: &str) -> i64 {
        self.raw()
            .pragma_query_value(None, name, |row| row.get(0))
            .unwrap()
    }

    fn set_pragma(&self, name: &str, value: i64) {
        self.raw()
            .pragma_update_and_check(None, name, value, |_| Ok(()))
            .unwrap();
    }
}

#[test]
fn a_directory_has_one_user() {
    let directory = tempfile::tempdir().unwrap();
    let lock = DirectoryLock::acquire(directory.path()).unwrap();
    let error = DirectoryLock::acquire(directory.path()).unwrap_err();
    match &error {
        LockError::InUse { process, .. } => assert_eq!(*process, Some(std::process::id())),
        other => panic!("{other}"),
    }
    assert!(error.to_string().contains("another process"), "{error}");
    drop(lock);
    DirectoryLock::acquire(directory.path()).unwrap();
}

#[test]
fn private_files_are_private_and_replaced_whole() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("a/b");
    files::private_directory(&inner).unwrap();
    assert_eq!(
        fs::metadata(&inner).unwrap().permissions().mode() & 0o777,
        0o700
    );
    fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
    files::private_directory(&inner).unwrap();
    assert_eq!(
        fs::metadata(&inner).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let path = inner.join("key");
    // What a crash may leave.
    fs::File::create(inner.join("key.new"))
        .unwrap()
        .write_all(b"half")
        .unwrap();
    files::write_private(&path, b"one").unwrap();
    files::write_private(&path, b"two").unwrap();
    assert_eq!(files::read_limited(&path, 3).unwrap(), b"two");
    assert!(files::read_limited(&path, 2).is_err());
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
}
