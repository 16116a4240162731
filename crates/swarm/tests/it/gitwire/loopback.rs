//! Our client against our server.

use baraza_swarm::fetch::{FetchOutcome, Nothing};
use baraza_swarm::pack::{PackLimits, UnpackedPack};
use baraza_swarm::upload_pack::ServerOutput;
use proptest::prelude::*;

use super::support::{Disk, Store, Talk, archive, commit_id, fetch, server, talk};

fn unpack(talk: Talk) -> UnpackedPack {
    match talk.outcome.unwrap() {
        FetchOutcome::Pack { pack, .. } => {
            UnpackedPack::read(pack, &PackLimits::default()).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn archived_conversations_arrive_whole() {
    for name in [
        "swarm-1to1-alice.tar.gz",
        "swarm-1to1-bob.tar.gz",
        "swarm-group-alice.tar.gz",
        "swarm-group-carol.tar.gz",
        "head-1to1-alice.tar.gz",
        "head-group-alice.tar.gz",
    ] {
        let (_keep, path) = archive(name);
        let disk = Disk::open(&path);
        let (mut client, mut machine) = (fetch(), server());
        let first = talk(&mut client, &Nothing, &mut machine, &disk, |all| all);
        assert_eq!(
            first.server,
            [ServerOutput::Served {
                commit: disk.head.unwrap()
            }]
        );
        let pack = unpack(first);
        let listed = super::support::git(&path, &["rev-list", "--objects", "HEAD"]);
        let mut expected: Vec<_> = listed.lines().map(|line| line[..40].to_owned()).collect();
        let mut got: Vec<_> = pack.objects().map(|(id, _)| id.to_string()).collect();
        expected.sort();
        got.sort();
        assert_eq!(got, expected, "{name}");
        let again = talk(&mut client, &disk, &mut machine, &disk, |all| all);
        assert!(matches!(again.outcome, Ok(FetchOutcome::UpToDate { .. })));
        assert_eq!(
            again.server,
            [ServerOutput::UpToDate {
                commit: disk.head.unwrap()
            }]
        );
        assert_eq!(again.sent[1], b"0000");
    }
}

#[test]
fn every_step_of_a_real_history_sends_exactly_what_is_new() {
    let (_keep, path) = archive("swarm-group-carol.tar.gz");
    let mut disk = Disk::open(&path);
    let log = super::support::git(&path, &["rev-list", "--topo-order", "HEAD"]);
    let ids: Vec<&str> = log.lines().collect();
    for pair in ids.windows(2).step_by(3) {
        let (new, old) = (pair[0], pair[1]);
        disk.head = Some(new.parse().unwrap());
        let mut local = Disk::open(&path);
        local.head = Some(old.parse().unwrap());
        let has = super::support::git(&path, &["rev-list", old]);
        struct Partial(Disk, Vec<baraza_wire::CommitId>);
        impl baraza_swarm::fetch::Local for Partial {
            fn contains(&self, id: &baraza_wire::CommitId) -> bool {
                self.1.contains(id)
            }
            fn haves(
                &self,
                peer: &baraza_wire::DeviceId,
                max: usize,
            ) -> Vec<baraza_wire::CommitId> {
                self.0.haves(peer, max)
            }
        }
        let local = Partial(local, has.lines().map(|id| id.parse().unwrap()).collect());
        let talk = talk(&mut fetch(), &local, &mut server(), &disk, |all| all);
        let wanted =
            super::support::git(&path, &["rev-list", "--objects", new, &format!("^{old}")]);
        if wanted.is_empty() {
            assert!(matches!(talk.outcome, Ok(FetchOutcome::UpToDate { .. })));
            continue;
        }
        let mut got: Vec<_> = unpack(talk)
            .objects()
            .map(|(id, _)| id.to_string())
            .collect();
        got.sort();
        // git may list a few objects more (it does not look at trees of far commits), and we
        // none less than what is needed: compare against the exact difference.
        let list = |id: &str| -> std::collections::BTreeSet<String> {
            super::support::git(&path, &["rev-list", "--objects", id])
                .lines()
                .map(|line| line[..40].to_owned())
                .collect()
        };
        let need: Vec<_> = list(new).difference(&list(old)).cloned().collect();
        for id in &need {
            assert!(got.contains(id), "{id} was not sent from {old} to {new}");
        }
    }
}

#[test]
fn a_long_difference_is_found_by_groups_of_20() {
    let (mut ahead, commits) = Store::line(60);
    // The client wrote 50 commits of its own, so the first groups mean nothing to the server.
    let mut client_store = ahead.clone();
    let tree = Store::line(1)
        .0
        .objects
        .iter()
        .find(|(_, (_, data))| data.starts_with(b"40000"))
        .map(|(id, _)| *id)
        .unwrap();
    let mut parent = commits[59];
    for n in 0..50_u64 {
        parent = client_store.commit(tree, &[parent], 5000 + n, &format!("mine {n}"));
    }
    let head = ahead.commit(tree, &[commits[59]], 2000, "theirs");
    ahead.head = Some(commit_id(&head));
    let talk = talk(&mut fetch(), &client_store, &mut server(), &ahead, |all| {
        all
    });
    let naks = talk
        .received
        .iter()
        .filter(|write| *write == b"0008NAK\n")
        .count();
    assert_eq!(
        naks, 3,
        "two groups unknown, and the NAK after ACK continue"
    );
    assert_eq!(unpack(talk).len(), 1);
}

#[test]
fn thousands_of_commits_go_in_many_writes() {
    let (store, _) = Store::line(3000);
    let talk = talk(&mut fetch(), &Nothing, &mut server(), &store, |all| all);
    assert!(talk.received.len() > 4);
    assert_eq!(unpack(talk).len(), 3003);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_history_arrives_in_any_chunking(
        shape in prop::collection::vec((any::<u8>(), any::<u8>(), 0_u64..50, any::<bool>()), 1..40),
        have in any::<u8>(),
        cuts in prop::collection::vec(1_usize..90, 1..20),
    ) {
        let mut store = Store::default();
        let mut commits = Vec::new();
        for (n, (a, b, time, merge)) in shape.iter().enumerate() {
            let blob = store.put(gix::objs::Kind::Blob, vec![a % 8]);
            let tree = store.tree(&[("100644", "x", blob)]);
            let mut parents = Vec::new();
            if !commits.is_empty() {
                parents.push(commits[usize::from(*a) % commits.len()]);
                if *merge {
                    let other = commits[usize::from(*b) % commits.len()];
                    if !parents.contains(&other) { parents.push(other); }
                }
            }
            commits.push(store.commit(tree, &parents, 100 + time, &n.to_string()));
        }
        // The client has one commit of it and all below.
        let mut local = Store::default();
        let mut stack = vec![commits[usize::from(have) % commits.len()]];
        while let Some(id) = stack.pop() {
            if local.objects.contains_key(&id) { continue; }
            let commit = gix::objs::CommitRef::from_bytes(&store.objects[&id].1, gix::hash::Kind::Sha1).unwrap();
            stack.extend(commit.parents());
            let tree = commit.tree();
            let blob = gix::objs::TreeRef::from_bytes(&store.objects[&tree].1, gix::hash::Kind::Sha1).unwrap().entries[0].oid.to_owned();
            local.objects.insert(tree, store.objects[&tree].clone());
            local.objects.insert(blob, store.objects[&blob].clone());
            local.objects.insert(id, store.objects[&id].clone());
        }
        let mut n = 0;
        let talk = talk(&mut fetch(), &local, &mut server(), &store, |_| { n += 1; cuts[n % cuts.len()] });
        match talk.outcome {
            Ok(FetchOutcome::UpToDate { head }) => prop_assert!(local.objects.contains_key(&super::support::object_id(&head))),
            Ok(FetchOutcome::Pack { pack, .. }) => {
                let pack = UnpackedPack::read(pack, &PackLimits::default()).unwrap();
                // All of the head's history is there afterwards.
                let mut stack = vec![*commits.last().unwrap()];
                let mut seen = std::collections::BTreeSet::new();
                while let Some(id) = stack.pop() {
                    if !seen.insert(id) { continue; }
                    prop_assert!(pack.contains(&id) || local.objects.contains_key(&id));
                    let commit = gix::objs::CommitRef::from_bytes(&store.objects[&id].1, gix::hash::Kind::Sha1).unwrap();
                    prop_assert!(pack.contains(&commit.tree()) || local.objects.contains_key(&commit.tree()));
                    stack.extend(commit.parents());
                }
                baraza_swarm::pack::check_connected(&pack, &store, &local, &PackLimits::default()).unwrap();
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}

#[test]
fn haves_begin_with_what_the_peer_has_and_go_on_by_time() {
    use baraza_swarm::fetch::Local as _;
    let (mut store, commits) = Store::line(30);
    let tree =
        gix::objs::CommitRef::from_bytes(&store.objects[&commits[0]].1, gix::hash::Kind::Sha1)
            .unwrap()
            .tree();
    let theirs = store.commit(tree, &[commits[10]], 1005, "theirs, old");
    let device = baraza_wire::DeviceId::new([1; 32]);
    let view = baraza_swarm::view::View {
        objects: &store,
        head: Some(commit_id(&commits[29])),
        remote_head: &|asked| (*asked == device).then(|| commit_id(&theirs)),
    };
    let haves = view.haves(&device, 256);
    assert_eq!(haves.len(), 31);
    assert_eq!(haves[0], commit_id(&theirs));
    assert_eq!(haves[1], commit_id(&commits[29]));
    assert_eq!(haves[30], commit_id(&commits[0]));
    assert_eq!(view.haves(&device, 20), haves[..20]);
    let stranger = view.haves(&baraza_wire::DeviceId::new([2; 32]), 5);
    assert_eq!(stranger, haves[1..6]);
    let gone = baraza_swarm::view::View {
        remote_head: &|_| Some(baraza_wire::CommitId::new([8; 20])),
        ..view
    };
    assert_eq!(
        gone.haves(&device, 1),
        haves[1..2],
        "a head that was lost is no have"
    );
    // The whole way with a view on both sides.
    let mut behind = store.clone();
    behind.objects.remove(&commits[29]);
    let local = baraza_swarm::view::View {
        objects: &behind,
        head: Some(commit_id(&commits[28])),
        remote_head: &|_| None,
    };
    let talk = talk(&mut fetch(), &local, &mut server(), &view, |all| all);
    assert_eq!(unpack(talk).len(), 1);
}
