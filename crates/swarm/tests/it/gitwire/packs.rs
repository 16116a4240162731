//! Packs by `git` read here, packs from here read by `git`.

use baraza_swarm::pack::{PackLimits, PackWriter, Selecting, Spool, UnpackedPack, select};
use gix::ObjectId;

use super::support::{Disk, Store, archive, git};

/// All bytes of a pack.
pub(crate) fn write(ids: Vec<ObjectId>, store: &dyn gix::objs::Find, chunk: usize) -> Vec<u8> {
    let mut writer = PackWriter::new(ids).unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = writer.next_chunk(store, chunk).unwrap() {
        assert!(piece.len() <= chunk);
        bytes.extend_from_slice(&piece);
    }
    bytes
}

pub(crate) fn read(bytes: &[u8]) -> Result<UnpackedPack, baraza_swarm::pack::PackError> {
    UnpackedPack::read(Spool::from_memory(bytes.to_vec()), &PackLimits::default())
}

#[test]
fn git_indexes_our_packs_strictly() {
    let (_keep, path) = archive("swarm-group-carol.tar.gz");
    let disk = Disk::open(&path);
    let head = super::support::object_id(&disk.head.unwrap());
    let selection = select(&disk.repository, &[head], &[], &PackLimits::default()).unwrap();
    let bytes = write(selection.objects.clone(), &disk.repository, 1000);
    assert_eq!(bytes, write(selection.objects, &disk.repository, 70_000));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.pack");
    std::fs::write(&file, bytes).unwrap();
    git(directory.path(), &["index-pack", "--strict", "p.pack"]);
}

#[test]
fn packs_of_git_with_deltas_are_read() {
    for name in ["swarm-group-alice.tar.gz", "head-group-alice.tar.gz"] {
        let (_keep, path) = archive(name);
        for options in [
            &["repack", "-adfq", "--depth=50", "--window=50"][..],
            &[
                "-c",
                "repack.useDeltaBaseOffset=false",
                "repack",
                "-adfq",
                "--depth=50",
                "--window=50",
            ],
        ] {
            git(&path, options);
            let packs = path.join(".git/objects/pack");
            let file = std::fs::read_dir(packs)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .find(|path| path.extension().is_some_and(|end| end == "pack"))
                .unwrap();
            let verify = git(&path, &["verify-pack", "-v", file.to_str().unwrap()]);
            let mut expected: Vec<_> = verify
                .lines()
                .filter(|line| {
                    line.split_whitespace()
                        .nth(1)
                        .is_some_and(|kind| ["commit", "tree", "blob"].contains(&kind))
                })
                .map(|line| line[..40].to_owned())
                .collect();
            assert!(
                verify.contains("chain length"),
                "deltas are what this is about"
            );
            let pack = read(&std::fs::read(&file).unwrap()).unwrap();
            let mut got: Vec<_> = pack.objects().map(|(id, _)| id.to_string()).collect();
            got.sort();
            expected.sort();
            assert_eq!(got, expected);
        }
    }
}

#[test]
fn a_long_history_is_selected_in_steps_with_the_same_result() {
    let (store, commits) = Store::line(3000);
    let limits = PackLimits::default();
    let (head, root) = (&commits[2999..], &commits[..1]);
    let whole = select(&store, head, root, &limits).unwrap();
    assert_eq!(whole.commits, 2999);
    for size in [1, 7, 1000] {
        let mut selecting = Selecting::new(&store, head, root, &limits).unwrap();
        let mut steps = 0;
        let selection = loop {
            steps += 1;
            if let Some(selection) = selecting.step(&store, size).unwrap() {
                break selection;
            }
        };
        assert_eq!(selection, whole);
        assert!(steps > 3000 / size, "{steps} steps");
    }
}

#[test]
fn selection_is_bounded() {
    let (store, commits) = Store::line(10);
    let limits = PackLimits {
        objects: 13,
        ..PackLimits::default()
    };
    let all = select(&store, &commits[9..], &[], &limits).unwrap();
    assert_eq!((all.commits, all.objects.len()), (10, 13));
    assert_eq!(all.objects[0], commits[9]);
    let limits = PackLimits {
        objects: 12,
        ..PackLimits::default()
    };
    assert!(select(&store, &commits[9..], &[], &limits).is_err());
    let none = select(&store, &commits[3..4], &commits[9..], &limits).unwrap();
    assert!(none.objects.is_empty(), "the peer is ahead");
}

#[test]
fn wrong_clocks_never_make_a_selection_too_small() {
    let mut store = Store::default();
    let tree = store.tree(&[]);
    let old = store.commit(tree, &[], 5000, "old, from the future");
    let a = store.commit(tree, &[old], 10, "a");
    let b = store.commit(tree, &[a], 9000, "b");
    let c = store.commit(tree, &[b], 1, "c");
    let limits = PackLimits::default();
    let found = select(&store, &[c], &[a], &limits).unwrap();
    assert_eq!(found.objects[..found.commits], [c, b]);
    let found = select(&store, &[c, b], &[b], &limits).unwrap();
    assert!(found.objects.contains(&c));
}
