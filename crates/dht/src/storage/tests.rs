use std::collections::BTreeMap;

use baraza_wire::Rng;
use proptest::prelude::*;

use super::*;

fn start() -> Ms {
    Ms::LONG_AGO.plus(Duration::from_secs(1_000_000))
}

fn from(last: u8) -> Origin {
    Origin::Remote(SocketAddr::from(([192, 0, 2, last], 4222)))
}

fn key(n: u8) -> InfoHash {
    InfoHash::new([n; 20])
}

fn value(id: u64, data: &[u8]) -> Value {
    Value::new(0, data).with_id(id)
}

fn store(storage: &mut Storage, k: u8, value: &Value, origin: Origin) -> Stored {
    storage.store(&key(k), value, origin, Duration::ZERO, start())
}

fn ids(storage: &Storage, k: u8) -> Vec<u64> {
    storage.packed(&key(k)).map(|(id, _)| id).collect()
}

#[test]
fn values_come_refresh_and_expire() {
    let mut storage = Storage::new(Limits::default());
    let v = value(1, b"a");
    assert_eq!(store(&mut storage, 1, &v, from(1)), Stored::New);
    assert_eq!(
        store(&mut storage, 1, &value(2, b"b"), from(1)),
        Stored::New
    );
    assert_eq!(ids(&storage, 1), [1, 2]);
    // The same again lives longer; other content under the id of a plain value is refused.
    let later = start().plus(Duration::from_secs(300));
    let again = storage.store(&key(1), &v, from(2), Duration::ZERO, later);
    assert_eq!(again, Stored::Refreshed);
    let edit = store(&mut storage, 1, &value(1, b"other"), from(1));
    assert_eq!(edit, Stored::Refused(Refused::Edit));
    let mut gone = Vec::new();
    let life = value_type::DEFAULT_LIFETIME;
    assert_eq!(storage.next_due(), Some(start().plus(life)));
    storage.expire(start().plus(life), |g| gone.push(g));
    assert_eq!(gone, [Gone { key: key(1), id: 2 }]);
    assert!(storage.refresh(&key(1), 1, start().plus(life)));
    assert!(!storage.refresh(&key(1), 2, start().plus(life)));
    storage.expire(start().plus(life * 2), |g| gone.push(g));
    assert_eq!(gone.len(), 2);
    assert_eq!(storage.stats(), StorageStats::default());
    assert!(storage.sources.iter().next().is_none() && storage.due.is_empty());
}

#[test]
fn what_is_past_is_not_stored() {
    let mut storage = Storage::new(Limits::default());
    let life = value_type::DEFAULT_LIFETIME;
    let put =
        |storage: &mut Storage, age| storage.store(&key(1), &value(1, b"a"), from(1), age, start());
    assert_eq!(put(&mut storage, life), Stored::Past);
    assert_eq!(
        put(&mut storage, life - Duration::from_secs(1)),
        Stored::New
    );
    assert_eq!(
        storage.next_due(),
        Some(start().plus(Duration::from_secs(1)))
    );
}

#[test]
fn our_own_permanent_values_stay_until_removed() {
    let mut storage = Storage::new(Limits::default());
    let permanent = Origin::Local { permanent: true };
    assert_eq!(
        store(&mut storage, 1, &value(1, b"a"), permanent),
        Stored::New
    );
    assert_eq!(storage.next_due(), None);
    // Another's refresh changes nothing; our own client may put something else.
    assert_eq!(
        store(&mut storage, 1, &value(1, b"a"), from(1)),
        Stored::Refreshed
    );
    assert_eq!(storage.next_due(), None);
    assert_eq!(
        store(&mut storage, 1, &value(1, b"b"), permanent),
        Stored::Edited
    );
    assert_eq!(storage.stats().bytes, 0);
    assert!(storage.stats().local_bytes > 0);
    assert!(!storage.remove_local(&key(1), 2));
    assert!(storage.remove_local(&key(1), 1));
    assert_eq!(storage.stats(), StorageStats::default());
}

#[test]
fn the_greatest_source_pays_for_the_room() {
    let limits = Limits {
        store_bytes: 64 * 1024,
        ..Limits::default()
    };
    let mut storage = Storage::new(limits);
    let mut gone = Vec::new();
    for id in 1..=4 {
        store(&mut storage, 1, &value(id, &[1; 1000]), from(1));
    }
    for id in 1..=200 {
        store(&mut storage, 2, &value(id, &[1; 1000]), from(2));
        storage.enforce_limit(|g| gone.push(g));
        assert!(storage.stats().bytes <= limits.store_bytes);
    }
    assert_eq!(ids(&storage, 1), [1, 2, 3, 4]);
    assert!(!gone.is_empty() && gone.iter().all(|gone| gone.key == key(2)));
    // Soonest first: those put first.
    assert_eq!(gone[0].id, 1);
    assert!(ids(&storage, 2).contains(&200));
}

#[test]
fn a_key_takes_so_many_values_and_there_are_so_many_keys() {
    let mut storage = Storage::new(Limits {
        store_keys: 2,
        ..Limits::default()
    });
    for id in 1..=u64::try_from(MAX_VALUES_PER_KEY).unwrap() {
        assert_eq!(
            store(&mut storage, 1, &value(id, b""), from(1)),
            Stored::New
        );
    }
    assert_eq!(
        store(&mut storage, 1, &value(9999, b""), from(1)),
        Stored::Full
    );
    assert_eq!(store(&mut storage, 2, &value(1, b""), from(1)), Stored::New);
    assert_eq!(
        store(&mut storage, 3, &value(1, b""), from(1)),
        Stored::Full
    );
    assert_eq!(store(&mut storage, 2, &value(2, b""), from(1)), Stored::New);
}

#[test]
fn a_signed_value_changes_only_by_its_owner() {
    let alice = baraza_identity::testing::identity("alice");
    let bob = baraza_identity::testing::identity("bob");
    let signed = |who: &baraza_identity::DeviceIdentity, seq, data: &[u8]| {
        let value = value(5, data).with_seq(seq);
        secure::sign(&value, who.key(), None).unwrap()
    };
    let mut storage = Storage::new(Limits::default());
    assert_eq!(
        store(&mut storage, 1, &signed(&alice, 1, b"a"), from(1)),
        Stored::New
    );
    let refused = Stored::Refused(Refused::Edit);
    assert_eq!(
        store(&mut storage, 1, &signed(&bob, 2, b"b"), from(1)),
        refused
    );
    assert_eq!(
        store(&mut storage, 1, &signed(&alice, 0, b"b"), from(1)),
        refused
    );
    assert_eq!(store(&mut storage, 1, &value(5, b"b"), from(1)), refused);
    assert_eq!(
        store(&mut storage, 1, &signed(&alice, 2, b"b"), from(1)),
        Stored::Edited
    );
    assert_eq!(storage.value(&key(1), 5).unwrap().data(), b"b");
}

proptest! {
    #[test]
    fn the_store_agrees_with_a_simple_one(
        steps in prop::collection::vec((0u8..6, 0u64..6, 0u8..4, 0u64..900), 1..300),
    ) {
        let mut storage = Storage::new(Limits::default());
        let mut simple: BTreeMap<(InfoHash, u64), Ms> = BTreeMap::new();
        let mut now = start();
        for (k, id, what, wait) in steps {
            let key = key(k);
            match what {
                0 => {
                    now = now.plus(Duration::from_secs(wait));
                    let mut gone = Vec::new();
                    storage.expire(now, |g| gone.push((g.key, g.id)));
                    let past: Vec<_> = simple
                        .iter()
                        .filter(|(_, at)| **at <= now)
                        .map(|(at, _)| *at)
                        .collect();
                    gone.sort();
                    prop_assert_eq!(&gone, &past);
                    simple.retain(|_, at| *at > now);
                }
                1 => {
                    let age = Duration::from_secs(wait);
                    let stored =
                        storage.store(&key, &value(id + 1, b"x"), from(k), age, now);
                    let life = value_type::DEFAULT_LIFETIME;
                    if age < life {
                        let expires = now.plus(life - age);
                        let entry = simple.entry((key, id + 1)).or_insert(expires);
                        *entry = (*entry).max(expires);
                        prop_assert!(matches!(stored, Stored::New | Stored::Refreshed));
                    } else {
                        prop_assert_eq!(stored, Stored::Past);
                    }
                }
                2 => {
                    let there = storage.refresh(&key, id + 1, now);
                    let entry = simple.get_mut(&(key, id + 1));
                    prop_assert_eq!(there, entry.is_some());
                    if let Some(at) = entry {
                        *at = (*at).max(now.plus(value_type::DEFAULT_LIFETIME));
                    }
                }
                _ => {
                    let mut ids = ids(&storage, k);
                    ids.sort_unstable();
                    let expected: Vec<u64> =
                        simple.keys().filter(|(of, _)| *of == key).map(|(_, id)| *id).collect();
                    prop_assert_eq!(ids, expected);
                }
            }
            prop_assert_eq!(storage.stats().values, simple.len());
            prop_assert_eq!(storage.next_due(), simple.values().min().copied());
        }
    }

    #[test]
    fn many_keys_are_found_again(seed: u64, count in 1usize..600) {
        let mut rng = Rng::from_seed(seed);
        let mut storage = Storage::new(Limits::default());
        let keys: Vec<InfoHash> = (0..count).map(|_| InfoHash::new(rng.bytes())).collect();
        for key in &keys {
            let local = Origin::Local { permanent: false };
            storage.store(key, &value(1, b"x"), local, Duration::ZERO, start());
        }
        prop_assert_eq!(storage.stats().keys, count);
        for (n, key) in keys.iter().enumerate() {
            prop_assert!(storage.packed(key).next().is_some());
            if n % 3 != 0 {
                prop_assert!(storage.remove_local(key, 1));
            }
        }
        for (n, key) in keys.iter().enumerate() {
            prop_assert_eq!(storage.packed(key).next().is_some(), n % 3 == 0);
        }
    }
}
