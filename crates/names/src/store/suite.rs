//! What every store must do. Each database runs all of it:
//! `suite::run(|| async { a new empty store })`.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests say what is wrong; as a part of the tests of this crate they may anyway"
)]

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use baraza_wire::{AccountId, UnixTime};

use super::{Admin, AdminRefusal, HeldState, Line, Outcome, Store};
use crate::audit::{Act, Head, Signer, Tally};
use crate::confusable::Likeness;
use crate::directory::{Record, Signed};
use crate::name::Name;
use crate::record::Owner;

/// The time of the tests.
pub const NOW: UnixTime = UnixTime::from_secs(1_767_225_600);

/// A store of a kind, and whatever it needs to live.
pub struct Made<K> {
    /// The store.
    pub store: Arc<dyn Store>,
    /// A second one on the same database, as of another process.
    pub other: Arc<dyn Store>,
    /// What goes away last.
    pub keep: K,
}

impl<K> std::fmt::Debug for Made<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").finish_non_exhaustive()
    }
}

/// A name; panics if it is none.
pub fn name(text: &str) -> Name {
    Name::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// An ID of a number.
pub fn id(number: u32) -> AccountId {
    let mut bytes = [0x11; 20];
    for (byte, digit) in bytes.iter_mut().zip(number.to_be_bytes()) {
        *byte = digit;
    }
    AccountId::new(bytes)
}

/// A record that looks like a signed one: stores do not verify.
pub fn record(text: &str, number: u32) -> Record {
    let mut key = vec![7; 300];
    key.extend(number.to_be_bytes());
    Record {
        name: name(text),
        addr: id(number),
        owner: Some(Owner::new([5; 20])),
        signed: Some(Signed {
            key,
            signature: vec![9; 512],
        }),
    }
}

/// Follows the whole log and compares it with the directory, as `baraza names verify` does.
///
/// # Panics
/// If anything is wrong.
pub async fn verify(store: &dyn Store) -> (Head, Tally) {
    let checked = crate::verify::store(store, false).await;
    let report = checked.unwrap_or_else(|error| panic!("{error}"));
    (report.head, report.tally)
}

/// Runs everything.
///
/// # Panics
/// If the store does not do what it must.
pub async fn run<K, F: Future<Output = Made<K>>>(make: impl Fn() -> F) {
    registers(make().await).await;
    looks_closer_at_names_that_are_alike(make().await).await;
    imports(make().await).await;
    admin_acts(make().await).await;
    checkpoints(make().await).await;
    puts_back(make().await, make().await).await;
    races(make().await).await;
}

async fn registers<K>(made: Made<K>) {
    let (store, other) = (&made.store, &made.other);
    assert_eq!(store.head().await.unwrap(), Head::EMPTY);
    let alice = record("alice", 1);
    assert_eq!(store.by_name(&alice.name).await.unwrap(), None);
    assert_eq!(store.by_id(id(1)).await.unwrap(), None);
    let register = |record: Record| store.register(record, Likeness::Ascii, NOW);
    assert_eq!(register(alice.clone()).await.unwrap(), Outcome::Registered);
    assert_eq!(register(alice.clone()).await.unwrap(), Outcome::Same);
    assert_eq!(
        other
            .register(record("alice", 2), Likeness::Ascii, NOW)
            .await
            .unwrap(),
        Outcome::NameTaken
    );
    assert_eq!(
        register(record("bob", 1)).await.unwrap(),
        Outcome::IdHasName(name("alice"))
    );
    // All kinds of record come back as they were.
    let unsigned = Record {
        owner: None,
        signed: None,
        ..record("carol", 3)
    };
    assert_eq!(
        register(unsigned.clone()).await.unwrap(),
        Outcome::Registered
    );
    for expected in [alice, unsigned] {
        let held = other.by_name(&expected.name).await.unwrap().unwrap();
        assert_eq!(held.state, HeldState::Active);
        assert_eq!(held.record.as_ref(), Some(&expected));
        assert_eq!(
            other.by_id(expected.addr).await.unwrap(),
            Some(expected.name)
        );
    }
    let head = other.head().await.unwrap();
    assert_eq!((head.seq, head.names, head.admin), (2, 2, false));
    let entries = store.entries(0, 10).await.unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries.last().unwrap().hash, head.hash);
    assert_eq!(store.entries(1, 10).await.unwrap(), entries[1..]);
    assert_eq!(store.entries(0, 1).await.unwrap(), entries[..1]);
    assert_eq!(store.held(1, 10).await.unwrap().len(), 1);
    let (_, tally) = verify(store.as_ref()).await;
    assert_eq!(tally.registered, 2);
}

async fn looks_closer_at_names_that_are_alike<K>(made: Made<K>) {
    let store = &made.store;
    let mut number = 0;
    let mut register = |text: &str, likeness| {
        number += 1;
        store.register(record(text, number), likeness, NOW)
    };
    let alike = |text: &str| Outcome::Alike(name(text));
    assert_eq!(
        register("google", Likeness::Ascii).await.unwrap(),
        Outcome::Registered
    );
    assert_eq!(
        register("g00gle", Likeness::Ascii).await.unwrap(),
        alike("google")
    );
    assert_eq!(
        register("anna-b", Likeness::Ascii).await.unwrap(),
        Outcome::Registered
    );
    assert_eq!(
        register("anna_b", Likeness::Wide).await.unwrap(),
        alike("anna-b")
    );
    assert_eq!(
        register("anna_b", Likeness::Ascii).await.unwrap(),
        Outcome::Registered
    );
    assert_eq!(
        register("goog1e", Likeness::Off).await.unwrap(),
        Outcome::Registered
    );
    verify(store.as_ref()).await;
}

async fn imports<K>(made: Made<K>) {
    let store = &made.store;
    store
        .register(record("alice", 1), Likeness::Ascii, NOW)
        .await
        .unwrap();
    let outcomes = store
        .import(
            vec![
                record("alice", 1),
                record("alice", 2),
                record("a1ice", 3),
                record("bob", 1),
                record("bob", 4),
                record("bob", 4),
            ],
            NOW,
        )
        .await
        .unwrap();
    let expected = vec![
        Outcome::Same,
        Outcome::NameTaken,
        Outcome::Registered,
        Outcome::IdHasName(name("alice")),
        Outcome::Registered,
        Outcome::Same,
    ];
    assert_eq!(outcomes, expected);
    let (_, tally) = verify(store.as_ref()).await;
    assert_eq!((tally.registered, tally.imported), (1, 2));
}

async fn admin_acts<K>(made: Made<K>) {
    let store = &made.store;
    let reason = || "because".to_owned();
    let act = |act: Admin| store.admin(act, NOW);
    let suspend = || Admin::Suspend {
        name: name("alice"),
        reason: reason(),
    };
    let restore = || Admin::Restore {
        name: name("alice"),
        reason: reason(),
    };
    store
        .register(record("alice", 1), Likeness::Ascii, NOW)
        .await
        .unwrap();
    store
        .register(record("bob", 2), Likeness::Ascii, NOW)
        .await
        .unwrap();
    assert_eq!(act(suspend()).await.unwrap(), Err(AdminRefusal::NotAllowed));
    assert_eq!(act(Admin::Allow(true)).await.unwrap(), Ok(true));
    assert_eq!(act(Admin::Allow(true)).await.unwrap(), Ok(false));

    assert_eq!(act(suspend()).await.unwrap(), Ok(true));
    assert_eq!(act(suspend()).await.unwrap(), Ok(false));
    let held = store.by_name(&name("alice")).await.unwrap().unwrap();
    assert_eq!(held.state, HeldState::Suspended);
    assert_eq!(store.by_id(id(1)).await.unwrap(), None);
    // Suspended is not free, and its ID gets no second name.
    let again = |record: Record| store.register(record, Likeness::Ascii, NOW);
    assert_eq!(again(record("alice", 1)).await.unwrap(), Outcome::NameTaken);
    assert_eq!(again(record("alice", 3)).await.unwrap(), Outcome::NameTaken);
    assert_eq!(
        again(record("carol", 1)).await.unwrap(),
        Outcome::IdHasName(name("alice"))
    );
    assert_eq!(act(restore()).await.unwrap(), Ok(true));
    assert_eq!(store.by_id(id(1)).await.unwrap(), Some(name("alice")));

    let to = |number| Admin::Move {
        to: record("alice", number),
        reason: reason(),
    };
    assert_eq!(
        act(to(2)).await.unwrap(),
        Err(AdminRefusal::IdHasName(name("bob")))
    );
    assert_eq!(act(to(3)).await.unwrap(), Ok(true));
    assert_eq!(store.by_id(id(1)).await.unwrap(), None);
    assert_eq!(store.by_id(id(3)).await.unwrap(), Some(name("alice")));
    // Who lost it may have another.
    assert_eq!(again(record("anna", 1)).await.unwrap(), Outcome::Registered);

    let reserve = || Admin::Reserve {
        name: name("root"),
        reason: reason(),
    };
    let release = |text: &str| Admin::Release {
        name: name(text),
        reason: reason(),
    };
    assert_eq!(act(reserve()).await.unwrap(), Ok(true));
    assert_eq!(act(reserve()).await.unwrap(), Ok(false));
    assert_eq!(again(record("root", 9)).await.unwrap(), Outcome::Reserved);
    assert!(matches!(
        act(release("bob")).await.unwrap(),
        Err(AdminRefusal::WrongState(..))
    ));
    assert!(matches!(
        act(release("nobody")).await.unwrap(),
        Err(AdminRefusal::NoSuchName(_))
    ));
    let (_, tally) = verify(store.as_ref()).await;
    assert_eq!((tally.moved, tally.reserved, tally.suspended), (1, 1, 2));
    assert_eq!(act(release("root")).await.unwrap(), Ok(true));
    assert_eq!(again(record("root", 9)).await.unwrap(), Outcome::Registered);
    assert_eq!(act(Admin::Allow(false)).await.unwrap(), Ok(true));
    assert_eq!(act(reserve()).await.unwrap(), Err(AdminRefusal::NotAllowed));
    verify(store.as_ref()).await;
}

async fn checkpoints<K>(made: Made<K>) {
    let store = &made.store;
    let signer = Signer::generate().unwrap();
    assert_eq!(store.last_checkpoint().await.unwrap(), None);
    store.add_key(signer.key(), NOW).await.unwrap();
    store.add_key(signer.key(), NOW).await.unwrap();
    assert_eq!(store.head().await.unwrap().seq, 1);
    store
        .register(record("alice", 1), Likeness::Ascii, NOW)
        .await
        .unwrap();
    let first = signer.sign(&store.head().await.unwrap(), NOW);
    store.add_checkpoint(first.clone()).await.unwrap();
    let later = signer.sign(
        &store.head().await.unwrap(),
        UnixTime::from_secs(2_000_000_000),
    );
    store.add_checkpoint(later).await.unwrap();
    assert_eq!(
        made.other.last_checkpoint().await.unwrap(),
        Some(first.clone())
    );
    store
        .register(record("bob", 2), Likeness::Ascii, NOW)
        .await
        .unwrap();
    let second = signer.sign(&store.head().await.unwrap(), NOW);
    store.add_checkpoint(second.clone()).await.unwrap();
    assert_eq!(
        store.checkpoints(0, 10).await.unwrap(),
        [first, second.clone()]
    );
    assert_eq!(store.checkpoints(2, 10).await.unwrap(), [second]);
    verify(store.as_ref()).await;
    // A key that the log does not name signs for nobody.
    let stranger = Signer::generate().unwrap();
    store
        .register(record("carol", 3), Likeness::Ascii, NOW)
        .await
        .unwrap();
    let forged = stranger.sign(&store.head().await.unwrap(), NOW);
    store.add_checkpoint(forged).await.unwrap();
    let error = crate::verify::store(store.as_ref(), false)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("a key that the log does not name"),
        "{error}"
    );
}

async fn puts_back<K>(made: Made<K>, empty: Made<K>) {
    let (store, copy) = (&made.store, &empty.store);
    let reason = || "because".to_owned();
    store
        .add_key(Signer::generate().unwrap().key(), NOW)
        .await
        .unwrap();
    store
        .register(record("alice", 1), Likeness::Ascii, NOW)
        .await
        .unwrap();
    store
        .register(record("bob", 2), Likeness::Ascii, NOW)
        .await
        .unwrap();
    for act in [
        Admin::Allow(true),
        Admin::Move {
            to: record("alice", 3),
            reason: reason(),
        },
        Admin::Suspend {
            name: name("bob"),
            reason: reason(),
        },
        Admin::Reserve {
            name: name("root"),
            reason: reason(),
        },
    ] {
        assert_eq!(store.admin(act, NOW).await.unwrap(), Ok(true));
    }
    let held = store.held(0, 100).await.unwrap();
    let lines: Vec<Line> = store
        .entries(0, 100)
        .await
        .unwrap()
        .into_iter()
        .map(|logged| Line {
            record: held
                .iter()
                .find(|held| held.seq == logged.seq)
                .and_then(|held| held.record.clone()),
            logged,
        })
        .collect();
    let (first, rest) = lines.split_at(4);
    // Not from the middle.
    copy.put_back(rest.to_vec()).await.unwrap_err();
    copy.put_back(first.to_vec()).await.unwrap();
    copy.put_back(first.to_vec()).await.unwrap_err();
    copy.put_back(rest.to_vec()).await.unwrap();
    assert_eq!(copy.head().await.unwrap(), store.head().await.unwrap());
    assert_eq!(copy.held(0, 100).await.unwrap(), held);
    assert_eq!(
        copy.entries(0, 100).await.unwrap(),
        store.entries(0, 100).await.unwrap()
    );
    verify(copy.as_ref()).await;
}

/// Many want the same names at once, over two stores on one database.
async fn races<K>(made: Made<K>) {
    const NAMES: u32 = 8;
    const CLIENTS: u32 = 64;
    let mut tasks = Vec::new();
    for client in 0..CLIENTS {
        let store = if client % 2 == 0 {
            &made.store
        } else {
            &made.other
        };
        let store = Arc::clone(store);
        tasks.push(tokio::spawn(async move {
            let mut won = Vec::new();
            for round in 0..NAMES {
                let wanted = record(&format!("name-{round}"), round * CLIENTS + client);
                match store.register(wanted, Likeness::Ascii, NOW).await.unwrap() {
                    Outcome::Registered => won.push(round),
                    Outcome::NameTaken => {}
                    other => panic!("{other:?}"),
                }
            }
            won
        }));
    }
    let mut won = BTreeSet::new();
    for task in tasks {
        for round in task.await.unwrap() {
            assert!(won.insert(round), "two have name-{round}");
        }
    }
    assert_eq!(won, (0..NAMES).collect());
    let (head, tally) = verify(made.store.as_ref()).await;
    assert_eq!(tally.registered, u64::from(NAMES));
    assert_eq!(head, made.other.head().await.unwrap());
    let entries = made.store.entries(0, 100).await.unwrap();
    assert!(
        entries
            .iter()
            .all(|entry| matches!(entry.act, Act::Registered { .. }))
    );
}
