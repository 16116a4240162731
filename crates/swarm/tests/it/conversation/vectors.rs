//! Real conversations are accepted in full; each bad one is refused by its rule.

use baraza_swarm::fetch::Nothing;
use baraza_swarm::pack::PackLimits;
use baraza_swarm::repository::RepositoryError;
use baraza_swarm::{Message, Refused, Repository, Role, Rule, verify};
use baraza_wire::{CommitId, ConversationId, DeviceId};

use super::support::{Disk, REAL, archive, fetched, git};

const DEVICE: DeviceId = DeviceId::new([0xab; 32]);

fn root(path: &std::path::Path) -> ConversationId {
    git(path, &["rev-list", "--max-parents=0", "main"])
        .parse()
        .unwrap()
}

#[test]
fn real_conversations_are_valid() {
    for name in REAL {
        let (_keep, path) = archive(name);
        let report = verify(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let count = |arguments: &[&str]| git(&path, arguments).parse::<usize>().unwrap();
        assert_eq!(report.conversation, root(&path));
        assert_eq!(report.commits, count(&["rev-list", "--count", "main"]));
        assert_eq!(
            report.merges,
            count(&["rev-list", "--count", "--merges", "main"])
        );
    }
}

#[test]
fn real_conversations_are_cloned_and_read() {
    for name in REAL {
        let (_keep, path) = archive(name);
        let there = tempfile::tempdir().unwrap();
        let pack = fetched(&Nothing, &Disk::open(&path), DEVICE).unwrap();
        let limits = PackLimits::default();
        let (copy, commits) =
            Repository::clone_into(there.path(), root(&path), pack, &limits).unwrap();
        let all = copy.history(None, usize::MAX).unwrap();
        assert_eq!(all.len(), commits.len());
        let log = "log --topo-order --format=%H%x09%ae%x09%at%x09%P%x09%B%x00 main";
        let log = git(&path, &log.split(' ').collect::<Vec<_>>());
        let mut seen = 0;
        for line in log
            .split('\0')
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            let fields: Vec<&str> = line.splitn(5, '\t').collect();
            let info = copy.commit_info(&fields[0].parse().unwrap()).unwrap();
            assert_eq!(info.device.to_hex(), fields[1]);
            assert_eq!(info.time.secs().to_string(), fields[2]);
            let parents: Vec<String> = info.parents.iter().map(CommitId::to_hex).collect();
            assert_eq!(parents.join(" "), fields[3]);
            match info.message {
                Message::Merge => assert!(fields[4].starts_with("Merge commit '")),
                message => assert_eq!(message.to_json(), fields[4]),
            }
            seen += 1;
        }
        assert_eq!(seen, all.len());
        // Children come before parents, and each entry names the next.
        for (place, entry) in all.iter().enumerate() {
            let next = all.get(place + 1).map(|next| next.commit.id);
            assert_eq!(entry.linearized_parent, next);
            for parent in &entry.commit.parents {
                assert!(copy.position(parent).unwrap().unwrap() > place);
            }
        }
    }
}

#[test]
fn the_members_of_real_conversations_are_known() {
    let (_keep, path) = archive("swarm-group-alice.tar.gz");
    let group = Repository::open(&path).unwrap();
    let roles: Vec<(String, Role)> = group
        .members()
        .unwrap()
        .into_iter()
        .map(|member| (member.uri.to_hex(), member.role))
        .collect();
    // Bob left; Carol was banned and taken back.
    assert_eq!(
        roles,
        [
            (
                "568d8137d99c646cd095953fcb9c6bf4d244c064".to_owned(),
                Role::Admin
            ),
            (
                "959378946a5174c68271e3e7fcfdc81a2120e9c1".to_owned(),
                Role::Member
            ),
        ]
    );
    let (_keep, path) = archive("head-1to1-bob.tar.gz");
    let two = Repository::open(&path).unwrap();
    let peer = "20b3b6b4b5be27f37fd78f22b9a1f3daa9435dc8".parse().unwrap();
    assert_eq!(two.role(&peer).unwrap(), Some(Role::Member));
    assert!(two.is_authorised(&two.creator()).unwrap());
    let stranger = "959378946a5174c68271e3e7fcfdc81a2120e9c1".parse().unwrap();
    assert!(!two.is_authorised(&stranger).unwrap());
}

/// The table of section 5.12.
#[test]
fn bad_histories_are_refused_each_by_its_rule() {
    let expected = [
        ("author-not-member", Rule::Member),
        ("ban-without-vote", Rule::Ban),
        ("binary-file", Rule::Files),
        ("edit-other-author", Rule::Edit),
        ("empty-type", Rule::Message),
        ("forged-device", Rule::Issuer),
        ("merge-adds-file", Rule::Merge),
        ("merge-resurrects-member", Rule::Merge),
        ("not-json", Rule::Message),
        ("profile-by-member", Rule::Profile),
        ("remove-other", Rule::Remove),
        ("second-root", Rule::Root),
        ("self-promotion", Rule::Files),
        ("signed-by-other-device", Rule::Signature),
        ("stray-file", Rule::Files),
        ("unsigned", Rule::Signature),
        ("vote-by-member", Rule::Vote),
        ("wrong-device-name", Rule::DeviceName),
    ];
    let (_keep, path) = archive("swarm-bad.tar.gz");
    let branches = git(
        &path,
        &[
            "for-each-ref",
            "--format=%(refname:short)",
            "refs/heads/bad",
        ],
    );
    assert_eq!(branches.lines().count(), expected.len());
    let mut disk = Disk::open(&path);
    let main = disk.head.unwrap();
    let limits = PackLimits::default();
    for (branch, rule) in expected {
        let head: CommitId = git(&path, &["rev-parse", &format!("bad/{branch}")])
            .parse()
            .unwrap();
        // As a first fetch: nothing is left.
        let there = tempfile::tempdir().unwrap();
        disk.head = Some(head);
        let pack = fetched(&Nothing, &disk, DEVICE).unwrap();
        let refused = Repository::clone_into(there.path(), root(&path), pack, &limits);
        let Err(RepositoryError::Refused(Refused {
            rule: found, text, ..
        })) = refused
        else {
            panic!("{branch} was cloned: {refused:?}");
        };
        assert_eq!(found, rule, "{branch}: {text}");
        assert_eq!(std::fs::read_dir(there.path()).unwrap().count(), 0);
        // As a later fetch: nothing changes.
        disk.head = Some(main);
        let pack = fetched(&Nothing, &disk, DEVICE).unwrap();
        let (mut copy, _) =
            Repository::clone_into(there.path(), root(&path), pack, &limits).unwrap();
        disk.head = Some(head);
        let pack = fetched(&copy, &disk, DeviceId::new([7; 32])).unwrap();
        let Err(RepositoryError::Refused(refused)) = copy.ingest_fetch(pack, &limits) else {
            panic!("{branch} was taken");
        };
        assert_eq!(refused.rule, rule, "{branch}: {refused}");
        assert!(!copy.contains(&head) && copy.head() == main);
        assert_eq!(copy.remote_head(&DeviceId::new([7; 32])), None);
    }
}

#[test]
fn what_today_s_peers_write_is_accepted() {
    let (_keep, path) = archive("swarm-bad.tar.gz");
    let mut disk = Disk::open(&path);
    disk.head = Some(
        git(&path, &["rev-parse", "good/head-style"])
            .parse()
            .unwrap(),
    );
    let there = tempfile::tempdir().unwrap();
    let pack = fetched(&Nothing, &disk, DEVICE).unwrap();
    let limits = PackLimits::default();
    let (copy, commits) = Repository::clone_into(there.path(), root(&path), pack, &limits).unwrap();
    assert_eq!(copy.head(), disk.head.unwrap());
    let kinds: Vec<String> = commits[commits.len() - 4..]
        .iter()
        .map(|id| copy.commit_info(id).unwrap().message.kind().to_owned())
        .collect();
    assert!(kinds.iter().any(|kind| kind == "text/plain"), "{kinds:?}");
}
