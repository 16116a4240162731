//! Times, for people: `cargo test -p baraza-swarm --test it measure -- --ignored --nocapture`.

use std::path::Path;
use std::time::Instant;

use baraza_swarm::fetch::FetchOutcome;
use baraza_swarm::pack::{PackError, PackLimits};
use baraza_swarm::promote::promote;
use baraza_swarm::upload_pack::Served;
use gix::objs::{CommitRef, Kind};

use super::support::{Disk, Store, commit_id, fetch, git, server, talk};

fn signed_line(count: usize) -> (Store, Vec<gix::ObjectId>) {
    let mut store = Store::default();
    let blob = store.put(Kind::Blob, vec![b'c'; 3000]);
    let directory = store.tree(&[("100644", "a.crt", blob)]);
    let tree = store.tree(&[("40000", "devices", directory)]);
    let mut rng = baraza_wire::Rng::from_seed(1);
    let mut commits: Vec<gix::ObjectId> = Vec::new();
    for n in 0..count {
        // A signature does not compress: 684 characters of base64 take about 512 bytes.
        let noise: [u8; 342] = rng.bytes();
        let text = format!("{{\"body\":\"{}\"}}", baraza_wire::hex::encode(&noise));
        let parents: Vec<_> = commits.last().copied().into_iter().collect();
        commits.push(store.commit(tree, &parents, 1000 + n as u64, &text));
    }
    (store, commits)
}

#[test]
#[ignore = "prints times"]
fn measure() {
    for count in [1000, 100_000] {
        let (store, commits) = signed_line(count);
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["a", "b"] {
            git(
                directory.path(),
                &["init", "-q", "--bare", "-b", "main", name],
            );
        }
        transfer(&store, &path("a"), &commits, "memory to a");
        transfer(&Disk::open(&path("a")), &path("b"), &commits, "a to b");
        let mut ahead = store.clone();
        let last = commits.last().unwrap();
        let tree = CommitRef::from_bytes(&store.objects[last].1, gix::hash::Kind::Sha1)
            .unwrap()
            .tree();
        let one = ahead.commit(tree, &[*last], 1_000_000, "one");
        transfer(&ahead, &path("b"), &[one], "one message");
    }
}

fn transfer(served: &dyn Served, to: &Path, commits: &[gix::ObjectId], what: &str) {
    let local = Disk::open(to);
    let start = Instant::now();
    let done = talk(&mut fetch(), &local, &mut server(), served, |all| all);
    let moved = start.elapsed();
    let Ok(FetchOutcome::Pack { pack, head }) = done.outcome else {
        panic!("{done:?}")
    };
    let bytes = pack.len();
    let new: Vec<_> = commits.iter().map(|id| commit_id(id)).collect();
    let start = Instant::now();
    let objects = &local.repository.objects;
    promote::<PackError>(to, objects, pack, head, &PackLimits::default(), |_| Ok(new)).unwrap();
    let taken = start.elapsed();
    println!(
        "{what}: {} commits, {bytes} bytes, moved {moved:?}, taken {taken:?}",
        commits.len()
    );
    git(to, &["update-ref", "refs/heads/main", &head.to_hex()]);
}
