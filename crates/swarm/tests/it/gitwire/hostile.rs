//! Packs made to hurt.

use std::io::Write;

use baraza_swarm::pack::{PackError, PackLimits, Spool, UnpackedPack, check_connected};
use gix::objs::Kind;
use proptest::prelude::*;

use super::packs::{read, write};
use super::support::Store;

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(data).unwrap();
    out.finish().unwrap()
}

/// Kind and size as a pack writes them.
fn header(kind: u8, mut size: usize) -> Vec<u8> {
    let mut out = vec![kind << 4 | (size & 15) as u8];
    size >>= 4;
    while size > 0 {
        *out.last_mut().unwrap() |= 0x80;
        out.push((size & 127) as u8);
        size >>= 7;
    }
    out
}

fn pack(count: u32, entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"PACK\0\0\0\x02".to_vec();
    bytes.extend(count.to_be_bytes());
    bytes.extend(entries.concat());
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(&bytes);
    bytes.extend(hasher.try_finalize().unwrap().as_slice());
    bytes
}

fn whole(kind: u8, data: &[u8]) -> Vec<u8> {
    [header(kind, data.len()), zlib(data)].concat()
}

fn reference_delta(base: gix::ObjectId, delta: &[u8]) -> Vec<u8> {
    [
        header(7, delta.len()),
        base.as_slice().to_vec(),
        zlib(delta),
    ]
    .concat()
}

fn blob_id(data: &[u8]) -> gix::ObjectId {
    gix::objs::compute_hash(gix::hash::Kind::Sha1, Kind::Blob, data).unwrap()
}

fn number(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = (value & 127) as u8;
        value >>= 7;
        out.push(if value > 0 { byte | 0x80 } else { byte });
        if value == 0 {
            return out;
        }
    }
}

#[test]
fn a_pack_cut_anywhere_is_refused() {
    let (store, _) = Store::line(5);
    let bytes = write(store.objects.keys().copied().collect(), &store, 999);
    assert_eq!(read(&bytes).unwrap().len(), 8);
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "cut at {length}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(read(&longer).is_err());
}

#[test]
fn every_flipped_bit_is_found() {
    let (store, _) = Store::line(2);
    let bytes = write(store.objects.keys().copied().collect(), &store, 999);
    for n in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[n / 8] ^= 1 << (n % 8);
        assert!(read(&bad).is_err(), "bit {n}");
    }
}

#[test]
fn giant_counts_cost_nothing() {
    for count in [2, 1_000_000, 1_000_001, u32::MAX] {
        assert!(read(&pack(count, &[whole(3, b"x")])).is_err());
    }
    assert!(matches!(
        read(&pack(u32::MAX, &[])),
        Err(PackError::TooManyObjects { .. })
    ));
    assert!(read(&pack(0, &[])).unwrap().is_empty());
}

#[test]
fn bombs_are_refused_by_what_they_announce_or_at_the_first_byte_too_many() {
    let limits = PackLimits::default();
    let zeros = zlib(&vec![0; 40 << 20]);
    let honest = pack(1, &[[header(3, 40 << 20), zeros.clone()].concat()]);
    assert!(
        matches!(read(&honest), Err(PackError::ObjectTooLarge { size, .. }) if size == 40 << 20)
    );
    let liar = pack(1, &[[header(3, 10), zeros].concat()]);
    let error = read(&liar).unwrap_err().to_string();
    assert!(error.contains("larger than its header says"), "{error}");
    let many: Vec<_> = (0..4_u8).map(|n| whole(3, &vec![n; 1 << 20])).collect();
    let tight = PackLimits {
        decoded: (4 << 20) - 1,
        ..limits
    };
    let result = UnpackedPack::read(Spool::from_memory(pack(4, &many)), &tight);
    assert!(matches!(result, Err(PackError::TooMuchDecoded(_))));
    let exact = PackLimits {
        decoded: 4 << 20,
        ..limits
    };
    assert!(UnpackedPack::read(Spool::from_memory(pack(4, &many)), &exact).is_ok());
    let tight = PackLimits {
        bytes: 100,
        ..limits
    };
    let result = UnpackedPack::read(Spool::from_memory(vec![0; 101]), &tight);
    assert!(matches!(result, Err(PackError::TooManyBytes(100))));
}

#[test]
fn delta_bombs_are_refused() {
    let base = vec![7; 0x1_0000];
    // Each delta makes an object of 16 MiB out of a few bytes.
    let copies = 256;
    let bomb = |n: u8| {
        let mut delta = [number(base.len()), number(copies * 0x1_0000 + 1)].concat();
        delta.resize(delta.len() + copies, 0x80);
        delta.extend([1, n]);
        reference_delta(blob_id(&base), &delta)
    };
    let mut entries = vec![whole(3, &base)];
    entries.extend((0..100).map(bomb));
    assert!(matches!(
        read(&pack(101, &entries)),
        Err(PackError::TooMuchDecoded(_))
    ));
    // One that announces more than one object may have.
    let delta = [number(base.len()), number(1 << 30), vec![0x80]].concat();
    let entries = [whole(3, &base), reference_delta(blob_id(&base), &delta)];
    assert!(matches!(
        read(&pack(2, &entries)),
        Err(PackError::ObjectTooLarge { .. })
    ));
}

/// A chain of `links` deltas, each adding one byte.
fn chain(links: usize, by_offset: bool) -> Vec<u8> {
    let mut data = b"start".to_vec();
    let mut entries = vec![whole(3, &data)];
    for n in 0..links {
        let length = data.len();
        let delta = [
            number(length),
            number(length + 1),
            vec![0xb0, (length & 255) as u8, (length >> 8) as u8, 1, n as u8],
        ]
        .concat();
        let id = blob_id(&data);
        data.push(n as u8);
        entries.push(if by_offset {
            let distance = entries.last().unwrap().len();
            assert!(distance < 128);
            [header(6, delta.len()), vec![distance as u8], zlib(&delta)].concat()
        } else {
            reference_delta(id, &delta)
        });
    }
    pack(entries.len() as u32, &entries)
}

#[test]
fn chains_of_deltas_are_followed_up_to_the_limit() {
    for by_offset in [true, false] {
        assert_eq!(read(&chain(64, by_offset)).unwrap().len(), 65);
        assert!(matches!(
            read(&chain(65, by_offset)),
            Err(PackError::DeltaTooDeep)
        ));
        assert!(matches!(
            read(&chain(3000, by_offset)),
            Err(PackError::DeltaTooDeep)
        ));
    }
}

#[test]
fn deltas_without_base_cycles_and_doubles_are_refused() {
    let a = blob_id(b"a");
    let delta = [1, 1, 1, b'a'];
    let thin = pack(1, &[reference_delta(a, &delta)]);
    assert!(matches!(read(&thin), Err(PackError::Unresolved(1))));
    let own_base = pack(2, &[reference_delta(a, &delta), reference_delta(a, &delta)]);
    assert!(matches!(read(&own_base), Err(PackError::Unresolved(2))));
    let double = pack(2, &[whole(3, b"a"), whole(3, b"a")]);
    assert!(matches!(read(&double), Err(PackError::Duplicate(id)) if id == a));
    // A delta that results in its own base: the same object twice.
    let double = pack(2, &[whole(3, b"a"), reference_delta(a, &delta)]);
    assert!(matches!(read(&double), Err(PackError::Duplicate(id)) if id == a));
    let forward = pack(2, &[reference_delta(a, &[1, 1, 1, b'b']), whole(3, b"a")]);
    assert_eq!(read(&forward).unwrap().len(), 2);
    let before_start = pack(1, &[[header(6, 4), vec![100], zlib(&delta)].concat()]);
    assert!(read(&before_start).is_err());
    let into_the_middle = pack(
        2,
        &[
            whole(3, b"a"),
            [header(6, 4), vec![3], zlib(&delta)].concat(),
        ],
    );
    assert!(read(&into_the_middle).is_err());
    let endless = pack(1, &[vec![0xff; 40]]);
    assert!(read(&endless).is_err());
    assert!(matches!(
        read(&pack(1, &[whole(4, b"tag")])),
        Err(PackError::Tag)
    ));
    assert!(read(&pack(1, &[whole(5, b"?")])).is_err());
    assert!(read(&pack(1, &[whole(0, b"?")])).is_err());
}

fn connected(store: &Store, here: &Store) -> Result<(), PackError> {
    connected_within(store, here, &PackLimits::default())
}

fn connected_within(store: &Store, here: &Store, limits: &PackLimits) -> Result<(), PackError> {
    let bytes = write(store.objects.keys().copied().collect(), store, 5000);
    let pack = read(&bytes).unwrap();
    let mut both = store.clone();
    both.objects.extend(here.objects.clone());
    check_connected(&pack, &both, here, limits)
}

#[test]
fn holes_and_strays_are_refused() {
    let (store, commits) = Store::line(3);
    let none = Store::default();
    connected(&store, &none).unwrap();
    for id in store.objects.keys().filter(|id| **id != commits[2]) {
        let mut hole = store.clone();
        hole.objects.remove(id);
        assert!(
            matches!(connected(&hole, &none), Err(PackError::Missing(missing)) if missing == *id)
        );
        let mut here = Store::default();
        here.objects.insert(*id, store.objects[id].clone());
        assert!(!matches!(
            connected(&hole, &here),
            Err(PackError::Missing(_))
        ));
    }
    let mut stray = store.clone();
    let id = stray.put(Kind::Blob, "nobody asked");
    assert!(matches!(connected(&stray, &none), Err(PackError::Stray(found)) if found == id));

    let mut confused = store.clone();
    let tree = confused.tree(&[("100644", "x", commits[0])]);
    confused.commit(tree, &[commits[2]], 1, "a blob that is a commit");
    assert!(matches!(
        connected(&confused, &none),
        Err(PackError::WrongKind(_))
    ));
    let mut confused = store.clone();
    let blob = *confused
        .objects
        .iter()
        .find(|(_, (kind, _))| *kind == Kind::Blob)
        .unwrap()
        .0;
    let tree = confused.tree(&[("40000", "x", blob)]);
    confused.commit(tree, &[commits[2]], 1, "a tree that is a blob");
    assert!(matches!(
        connected(&confused, &none),
        Err(PackError::WrongKind(_))
    ));
    let mut module = store.clone();
    let tree = module.tree(&[("160000", "x", commits[0])]);
    module.commit(tree, &[commits[2]], 1, "a submodule");
    assert!(matches!(
        connected(&module, &none),
        Err(PackError::WrongKind(_))
    ));
    let mut broken = store;
    let tree = broken.put(Kind::Tree, "100644 x\0short");
    broken.commit(tree, &[commits[2]], 1, "a cut tree");
    assert!(matches!(
        connected(&broken, &none),
        Err(PackError::Malformed(_))
    ));
}

#[test]
fn deep_and_crowded_trees_are_refused() {
    let nested = |levels: usize| {
        let mut store = Store::default();
        let blob = store.put(Kind::Blob, "x");
        let mut tree = store.tree(&[("100644", "x", blob)]);
        for _ in 1..levels {
            tree = store.tree(&[("40000", "x", tree)]);
        }
        store.commit(tree, &[], 1, "deep");
        store
    };
    connected(&nested(8), &Store::default()).unwrap();
    assert!(matches!(
        connected(&nested(9), &Store::default()),
        Err(PackError::TreeTooLarge(_))
    ));
    let mut store = Store::default();
    let blob = store.put(Kind::Blob, "x");
    let tree = store.tree(&[
        ("100644", "a", blob),
        ("100644", "b", blob),
        ("100644", "c", blob),
    ]);
    store.commit(tree, &[], 1, "crowd");
    for (tree_entries, fits) in [(2, false), (3, true), (4, true)] {
        let limits = PackLimits {
            tree_entries,
            ..PackLimits::default()
        };
        assert_eq!(
            connected_within(&store, &Store::default(), &limits).is_ok(),
            fits
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0_u32..5) {
        let _ = read(&bytes);
        let _ = read(&pack(count, &[bytes]));
    }

    #[test]
    fn damaged_packs_with_a_right_checksum_do_not_panic(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), links in 1_usize..9, by_offset in any::<bool>(),
    ) {
        let mut bytes = chain(links, by_offset);
        let end = bytes.len() - 20;
        bytes[at.index(end)] = byte;
        let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
        hasher.update(&bytes[..end]);
        let sum = hasher.try_finalize().unwrap();
        bytes[end..].copy_from_slice(sum.as_slice());
        if let Ok(pack) = read(&bytes) {
            prop_assert_eq!(pack.len(), links + 1);
        }
    }
}
