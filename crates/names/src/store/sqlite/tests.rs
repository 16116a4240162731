use std::sync::Arc;

use super::super::suite::{self, Made, NOW, name, record};
use super::*;

async fn made() -> Made<tempfile::TempDir> {
    let keep = tempfile::tempdir().unwrap();
    Made {
        store: Arc::new(SqliteStore::open(keep.path()).unwrap()),
        other: Arc::new(SqliteStore::open(keep.path()).unwrap()),
        keep,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn suite() {
    suite::run(made).await;
}

/// Lookups share transactions then; nobody may notice.
#[tokio::test]
async fn a_crowd_of_lookups_sees_what_is_written_and_leaves_nothing_open() {
    let made = made().await;
    let look = async |store: &dyn Store, number: u32| {
        let wanted = name(&format!("name{number}"));
        for _ in 0..500 {
            store.by_name(&name("nobody")).await.unwrap();
        }
        store.by_name(&wanted).await.unwrap().is_some()
    };
    let (store, other) = (made.store.as_ref(), made.other.as_ref());
    for number in 0..20 {
        assert!(!look(store, number).await && !look(other, number).await);
        let record = record(&format!("name{number}"), number);
        let done = store.register(record, Likeness::Off, NOW).await;
        assert_eq!(done.unwrap(), Outcome::Registered);
        let wanted = name(&format!("name{number}"));
        assert!(store.by_name(&wanted).await.unwrap().is_some(), "{number}");
        // Another process sees it soon, however many lookups it has.
        let begun = std::time::Instant::now();
        while !look(other, number).await {
            assert!(begun.elapsed() < Duration::from_secs(5));
        }
    }
    // Nothing keeps the write-ahead log from being emptied when the crowd has gone.
    let connection = Connection::open(made.keep.path().join(FILE)).unwrap();
    connection.busy_timeout(Duration::from_secs(5)).unwrap();
    let blocked: i64 = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(blocked, 0);
}

#[tokio::test]
async fn a_tampered_row_or_entry_is_found() {
    let changes = [
        (
            "UPDATE names SET addr = x'0000000000000000000000000000000000000001' WHERE name = 'alice'",
            "another ID",
        ),
        (
            "UPDATE names SET signature = x'00' WHERE name = 'alice'",
            "another key, signature or owner",
        ),
        (
            "UPDATE names SET state = 1 WHERE name = 'alice'",
            "against the log",
        ),
        (
            "DELETE FROM names WHERE name = 'alice'",
            "1 names of the log are missing",
        ),
        (
            "UPDATE names SET name = 'mallory' WHERE name = 'alice'",
            "not in the log",
        ),
        (
            "DELETE FROM log WHERE seq = 1",
            "entry 2 stands where entry 1 belongs",
        ),
        (
            "UPDATE log SET hash = zeroblob(32) WHERE seq = 1",
            "the hash of entry 1 is wrong",
        ),
        (
            "UPDATE log SET body = replace(body, 'bob', 'eve') WHERE seq = 2",
            "the hash of entry 2 is wrong",
        ),
        (
            "DELETE FROM log WHERE seq = 2; DELETE FROM names WHERE name = 'bob'",
            "its end is not where the directory says",
        ),
    ];
    for (change, expected) in changes {
        let made = made().await;
        for (text, number) in [("alice", 1), ("bob", 2)] {
            let done = made
                .store
                .register(record(text, number), Likeness::Ascii, NOW)
                .await;
            assert_eq!(done.unwrap(), Outcome::Registered);
        }
        suite::verify(made.store.as_ref()).await;
        Connection::open(made.keep.path().join(FILE))
            .unwrap()
            .execute_batch(&change.replace(
                "replace(body, 'bob', 'eve')",
                "CAST(replace(CAST(body AS TEXT), 'bob', 'eve') AS BLOB)",
            ))
            .unwrap();
        let error = crate::verify::store(made.store.as_ref(), false)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{change}: {error}");
    }
}

#[tokio::test]
async fn a_job_that_fails_spoils_no_other() {
    let made = made().await;
    let alice = made
        .store
        .register(record("alice", 1), Likeness::Ascii, NOW);
    let (logged, _) = Head::EMPTY.append(crate::audit::Act::AdminAllowed { allowed: true }, NOW);
    let mut wrong = logged;
    wrong.hash = [1; 32];
    let spoilt = made.store.put_back(vec![Line {
        logged: wrong,
        record: None,
    }]);
    let bob = made.store.register(record("bob", 2), Likeness::Ascii, NOW);
    assert_eq!(alice.await.unwrap(), Outcome::Registered);
    spoilt.await.unwrap_err();
    assert_eq!(bob.await.unwrap(), Outcome::Registered);
    assert!(made.other.by_name(&name("bob")).await.unwrap().is_some());
}

#[test]
fn damaged_and_newer_files_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE), [b'x'; 5000]).unwrap();
    assert!(matches!(
        SqliteStore::open(dir.path()),
        Err(StoreError::Corrupt(_))
    ));
    let dir = tempfile::tempdir().unwrap();
    assert!(SqliteStore::open_existing(dir.path()).is_err());
    drop(SqliteStore::open(dir.path()).unwrap());
    let connection = Connection::open(dir.path().join(FILE)).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    let error = SqliteStore::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("version 2"), "{error}");
}
