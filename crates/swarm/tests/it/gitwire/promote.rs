//! From a pack to a repository, or not.

use std::path::{Path, PathBuf};

use baraza_swarm::maintain::{MaintainLimits, maintain};
use baraza_swarm::pack::{PackError, PackLimits, Spool, select};
use baraza_swarm::promote::{LOOSE_MAX, promote, remove_stale_quarantine};
use baraza_wire::CommitId;
use gix::ObjectId;
use gix::objs::Kind;

use super::packs::write;
use super::support::{Store, commit_id, git};

fn bare() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    git(
        directory.path(),
        &["init", "-q", "--bare", "-b", "main", "repository"],
    );
    let path = directory.path().join("repository");
    (directory, path)
}

fn pack(store: &Store, wants: &[ObjectId], haves: &[ObjectId]) -> Spool {
    let limits = PackLimits::default();
    let ids = select(store, wants, haves, &limits).unwrap().objects;
    Spool::from_memory(write(ids, store, 70_000))
}

#[derive(Debug)]
enum Failure {
    Pack(PackError),
    Refused,
}

impl From<PackError> for Failure {
    fn from(error: PackError) -> Self {
        Self::Pack(error)
    }
}

fn take(
    path: &Path,
    spool: Spool,
    head: &ObjectId,
    commits: &[ObjectId],
) -> Result<Vec<CommitId>, Failure> {
    let known = gix::odb::at(path.join("objects"), gix::hash::Kind::Sha1).unwrap();
    promote(
        path,
        &known,
        spool,
        commit_id(head),
        &PackLimits::default(),
        |objects| {
            let mut buffer = Vec::new();
            for id in commits {
                assert_eq!(
                    objects.try_find(id, &mut buffer).unwrap().unwrap().kind,
                    Kind::Commit
                );
            }
            Ok(commits.iter().map(|id| commit_id(id)).collect())
        },
    )
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn check(path: &Path, head: &ObjectId, count: usize) {
    git(path, &["fsck", "--full", "--strict"]);
    git(path, &["update-ref", "refs/heads/main", &head.to_string()]);
    assert_eq!(
        git(path, &["rev-list", "--count", "main"]),
        count.to_string()
    );
    assert!(
        !names(path)
            .iter()
            .any(|name| name.starts_with("quarantine"))
    );
}

#[test]
fn few_objects_become_loose_many_a_pack() {
    let (store, commits) = Store::line(100);
    let (_keep, path) = bare();
    let few = LOOSE_MAX - 3;
    let head = &commits[few - 1];
    let new = take(&path, pack(&store, &[*head], &[]), head, &commits[..few]).unwrap();
    assert_eq!(new.len(), few);
    check(&path, head, few);
    assert!(names(&path.join("objects/pack")).is_empty());

    let last = commits.last().unwrap();
    take(
        &path,
        pack(&store, &[*last], &[*head]),
        last,
        &commits[few..],
    )
    .unwrap();
    check(&path, last, 100);
    assert_eq!(names(&path.join("objects/pack")).len(), 2);
    // A peer that sends everything again.
    let mut more = store.clone();
    let tree = gix::objs::CommitRef::from_bytes(&store.objects[last].1, gix::hash::Kind::Sha1)
        .unwrap()
        .tree();
    let one = more.commit(tree, &[*last], 9, "one more");
    take(&path, pack(&more, &[one], &[]), &one, &[one]).unwrap();
    check(&path, &one, 101);
    assert_eq!(
        names(&path.join("objects/pack")).len(),
        2,
        "one new object is loose"
    );
}

#[test]
fn large_packs_go_through_quarantine() {
    let (mut store, commits) = Store::line(5000);
    let mut entries = Vec::new();
    let blobs: Vec<_> = (0..3_u8)
        .map(|n| store.put(Kind::Blob, vec![n; 2 << 20]))
        .collect();
    for (name, id) in ["a", "b", "c"].iter().zip(&blobs) {
        entries.push(("100644", *name, *id));
    }
    let tree = store.tree(&entries);
    let head = store.commit(tree, &commits[4999..], 10_000, "big");
    let mut all = commits;
    all.push(head);
    let (_keep, path) = bare();
    let mut spool = Spool::new(&path);
    let ids = select(&store, &[head], &[], &PackLimits::default())
        .unwrap()
        .objects;
    for chunk in write(ids, &store, 5000).chunks(60_000) {
        spool.append(chunk).unwrap();
    }
    take(&path, spool, &head, &all).unwrap();
    check(&path, &head, 5001);
}

#[test]
fn what_is_refused_leaves_nothing() {
    for count in [3, 60, 5000] {
        let (store, commits) = Store::line(count);
        let (_keep, path) = bare();
        let head = commits.last().unwrap();
        let known = gix::odb::at(path.join("objects"), gix::hash::Kind::Sha1).unwrap();
        let before = (names(&path), names(&path.join("objects")));
        let limits = PackLimits::default();
        let result = promote(
            &path,
            &known,
            pack(&store, &[*head], &[]),
            commit_id(head),
            &limits,
            |_| Err(Failure::Refused),
        );
        assert!(matches!(result, Err(Failure::Refused)));
        // A commit that rides along without having been validated.
        let mut rider = store.clone();
        let tree = rider.tree(&[]);
        let id = rider.commit(tree, &[*head], 1, "rider");
        let result = take(&path, pack(&rider, &[id, *head], &[]), head, &commits);
        assert!(matches!(result, Err(Failure::Pack(PackError::Stray(stray))) if stray == id));
        let result = take(&path, pack(&store, &[commits[0]], &[]), head, &[]);
        assert!(matches!(result, Err(Failure::Pack(PackError::Missing(id))) if id == *head));
        assert_eq!(before, (names(&path), names(&path.join("objects"))));
        assert!(names(&path.join("objects/pack")).is_empty());
    }
}

#[test]
fn stale_quarantines_are_removed() {
    let (_keep, path) = bare();
    std::fs::create_dir_all(path.join("quarantine-x7/objects/pack")).unwrap();
    remove_stale_quarantine(&path).unwrap();
    assert!(!path.join("quarantine-x7").exists());
    assert!(path.join("objects").exists());
}

#[test]
fn loose_objects_and_small_packs_are_collected() {
    let (store, commits) = Store::line(400);
    let (_keep, path) = bare();
    let mut from: Option<usize> = None;
    for to in (39..400).step_by(40).chain((361..400).rev().take(0)) {
        let start = from.map_or(0, |from| from + 1);
        let haves: Vec<_> = from.map(|from| commits[from]).into_iter().collect();
        take(
            &path,
            pack(&store, &[commits[to]], &haves),
            &commits[to],
            &commits[start..=to],
        )
        .unwrap();
        from = Some(to);
    }
    let mut more = store.clone();
    let tree =
        gix::objs::CommitRef::from_bytes(&store.objects[&commits[0]].1, gix::hash::Kind::Sha1)
            .unwrap()
            .tree();
    let mut head = commits[399];
    for n in 0..15_u64 {
        let next = more.commit(tree, &[head], 9000 + n, "loose");
        take(&path, pack(&more, &[next], &[head]), &next, &[next]).unwrap();
        head = next;
    }
    check(&path, &head, 415);
    let packs = path.join("objects/pack");
    assert_eq!(names(&packs).len(), 20);
    let limits = MaintainLimits {
        loose: 15,
        packs: 10,
    };
    assert_eq!(maintain(&path, &limits).unwrap(), 0);
    let open = gix::odb::at(path.join("objects"), gix::hash::Kind::Sha1).unwrap();
    let mut buffer = Vec::new();
    use gix::objs::Find as _;
    assert!(open.try_find(&commits[0], &mut buffer).unwrap().is_some());
    assert_eq!(
        maintain(
            &path,
            &MaintainLimits {
                loose: 14,
                ..limits
            }
        )
        .unwrap(),
        418
    );
    check(&path, &head, 415);
    assert_eq!(names(&packs).len(), 2);
    assert_eq!(
        maintain(&path, &MaintainLimits { loose: 0, packs: 0 }).unwrap(),
        0
    );
    for id in commits.iter().chain([&head]) {
        assert!(
            open.try_find(id, &mut buffer).unwrap().is_some(),
            "open handles go on"
        );
    }
}
