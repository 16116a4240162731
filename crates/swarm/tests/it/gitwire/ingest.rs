//! Fetches of real conversations end in repositories with the same history.

use std::convert::Infallible;
use std::path::Path;

use baraza_swarm::fetch::{FetchOutcome, Local, Nothing};
use baraza_swarm::ingest::{Fetched, IngestError, clone_into, ingest};
use baraza_swarm::pack::{PackError, PackLimits, Spool};
use baraza_swarm::upload_pack::Served;
use baraza_wire::{CommitId, ConversationId, DeviceId};
use gix::objs::{CommitRef, Find};

use super::support::{Disk, archive, fetch, git, object_id, server, talk};

const DEVICE: DeviceId = DeviceId::new([0xab; 32]);

fn fetched(local: &dyn Local, served: &dyn Served) -> Fetched {
    match talk(&mut fetch(), local, &mut server(), served, |all| all).outcome {
        Ok(FetchOutcome::Pack { pack, head }) => Fetched {
            pack,
            head,
            from: DEVICE,
        },
        other => panic!("{other:?}"),
    }
}

/// The simplest rules: all new commits, oldest first.
fn walk(objects: &dyn Find, head: CommitId, known: &dyn Fn(&CommitId) -> bool) -> Vec<CommitId> {
    let mut order = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut stack = vec![(head, false)];
    let mut buffer = Vec::new();
    while let Some((id, done)) = stack.pop() {
        if done {
            order.push(id);
        } else if !known(&id) && seen.insert(id) {
            stack.push((id, true));
            let data = objects
                .try_find(&object_id(&id), &mut buffer)
                .unwrap()
                .unwrap()
                .data;
            let commit = CommitRef::from_bytes(data, gix::hash::Kind::Sha1).unwrap();
            stack.extend(
                commit
                    .parents()
                    .map(|id| (super::support::commit_id(&id), false)),
            );
        }
    }
    order
}

fn root(path: &Path) -> ConversationId {
    git(path, &["rev-list", "--max-parents=0", "HEAD"])
        .parse()
        .unwrap()
}

#[test]
fn clones_of_real_conversations_are_equal() {
    for name in [
        "swarm-group-alice.tar.gz",
        "swarm-1to1-bob.tar.gz",
        "head-group-alice.tar.gz",
    ] {
        let (_keep, path) = archive(name);
        let disk = Disk::open(&path);
        let there = tempfile::tempdir().unwrap();
        let copy = there.path().join("copy");
        let got = fetched(&Nothing, &disk);
        let head = got.head;
        let commits = clone_into::<Infallible>(
            &copy,
            root(&path),
            got,
            &PackLimits::default(),
            |objects, known| Ok(walk(objects, head, known)),
        )
        .unwrap();
        assert_eq!(commits[0], CommitId::from(root(&path)));
        git(&copy, &["fsck", "--full"]);
        let log = &["log", "--topo-order", "--format=%H %T %P %s"];
        assert_eq!(git(&copy, log), git(&path, log));
        assert_eq!(
            git(
                &copy,
                &["rev-parse", &format!("refs/remotes/{DEVICE}/main")]
            ),
            head.to_hex()
        );
        assert_eq!(std::fs::read_dir(there.path()).unwrap().count(), 1);
        let again = clone_into::<Infallible>(
            &copy,
            root(&path),
            fetched(&Nothing, &disk),
            &PackLimits::default(),
            |_, _| Ok(vec![]),
        );
        assert!(matches!(again, Err(IngestError::Exists(_))));
    }
}

#[test]
fn a_clone_that_is_refused_leaves_nothing() {
    let (_keep, path) = archive("swarm-group-alice.tar.gz");
    let disk = Disk::open(&path);
    let there = tempfile::tempdir().unwrap();
    let copy = there.path().join("copy");
    let limits = PackLimits::default();
    let refused = clone_into(
        &copy,
        root(&path),
        fetched(&Nothing, &disk),
        &limits,
        |_, _| Err("bad"),
    );
    assert_eq!(refused.unwrap_err().to_string(), "refused: bad");
    let other = ConversationId::new([3; 20]);
    let missing =
        clone_into::<Infallible>(&copy, other, fetched(&Nothing, &disk), &limits, |_, _| {
            Ok(vec![])
        });
    assert!(matches!(
        missing,
        Err(IngestError::Pack(PackError::Missing(_)))
    ));
    let garbage = Fetched {
        pack: Spool::from_memory(b"PACK".to_vec()),
        head: disk.head.unwrap(),
        from: DEVICE,
    };
    let result = clone_into::<Infallible>(&copy, other, garbage, &limits, |_, _| Ok(vec![]));
    assert!(matches!(
        result,
        Err(IngestError::Pack(PackError::Damaged { .. }))
    ));
    assert_eq!(std::fs::read_dir(there.path()).unwrap().count(), 0);
}

#[test]
fn a_history_fetched_step_by_step_is_equal() {
    let (_keep, path) = archive("swarm-group-carol.tar.gz");
    let mut disk = Disk::open(&path);
    let ids: Vec<CommitId> = git(&path, &["rev-list", "--topo-order", "--reverse", "HEAD"])
        .lines()
        .map(|id| id.parse().unwrap())
        .collect();
    let there = tempfile::tempdir().unwrap();
    let copy = there.path().join("copy");
    let limits = PackLimits::default();
    disk.head = Some(ids[0]);
    clone_into::<Infallible>(
        &copy,
        root(&path),
        fetched(&Nothing, &disk),
        &limits,
        |_, _| Ok(vec![ids[0]]),
    )
    .unwrap();
    let mut seen = std::collections::BTreeSet::from([ids[0]]);
    for id in ids[1..].iter().step_by(2).chain(ids.last()) {
        let mut local = Disk::open(&copy);
        local.head = seen.iter().next_back().copied();
        if local.contains(id) {
            continue;
        }
        disk.head = Some(*id);
        let got = fetched(&local, &disk);
        let objects = &local.repository.objects;
        let new = ingest::<Infallible>(
            &copy.join(".git"),
            objects,
            got,
            &limits,
            |objects, known| Ok(walk(objects, *id, known)),
        )
        .unwrap();
        assert!(!new.is_empty() && new.iter().all(|id| seen.insert(*id)));
        assert_eq!(
            git(&copy, &["rev-parse", "main"]),
            ids[0].to_hex(),
            "main does not move"
        );
    }
    let last = ids.last().unwrap().to_hex();
    assert_eq!(
        git(
            &copy,
            &["rev-parse", &format!("refs/remotes/{DEVICE}/main")]
        ),
        last
    );
    git(&copy, &["fsck", "--full"]);
    assert_eq!(seen.len(), ids.len());
    // What is here already only moves the reference.
    let local = Disk::open(&copy);
    let known = Fetched {
        pack: Spool::from_memory(Vec::new()),
        head: ids[0],
        from: DEVICE,
    };
    let new = ingest::<Infallible>(
        &copy.join(".git"),
        &local.repository.objects,
        known,
        &limits,
        |_, _| panic!("not asked"),
    )
    .unwrap();
    assert!(new.is_empty());
}
