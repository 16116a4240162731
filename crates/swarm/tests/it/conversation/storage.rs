//! What is on disk, and what an interrupted program leaves there.

use std::fs;
use std::path::Path;

use baraza_swarm::fetch::Local;
use baraza_swarm::repository::RepositoryError;
use baraza_swarm::{Message, Mode, Repository, verify};
use baraza_wire::CommitId;

use super::support::{Person, at, clone, git, pull};

fn group(parent: &Path) -> (Person, Repository) {
    let alice = Person::new("alice");
    let group = Repository::create_group(parent, alice.author(), Mode::InvitesOnly, at(0)).unwrap();
    (alice, group)
}

#[test]
fn a_conversation_is_a_plain_git_repository() {
    let there = tempfile::tempdir().unwrap();
    let (alice, mut group) = group(there.path());
    let text = Message::text("hé");
    let id = group.commit(alice.author(), &text, at(1)).unwrap();
    let path = group.directory().to_owned();
    assert_eq!(git(&path, &["rev-parse", "HEAD"]), id.to_hex());
    assert_eq!(git(&path, &["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!(
        git(
            &path,
            &["log", "-1", "--format=%an %ae %ad %s", "--date=raw"]
        ),
        format!(
            "alice {} {} +0000 {}",
            alice.device(),
            at(1).secs(),
            r#"{"body":"h\u00e9","type":"text/plain"}"#
        )
    );
    let files = git(&path, &["ls-tree", "-r", "--name-only", "main"]);
    assert_eq!(
        files,
        format!(
            "admins/{}.crt\ndevices/{}.crt",
            alice.account(),
            alice.device()
        )
    );
    git(&path, &["fsck", "--full", "--strict"]);
    // Nothing but the conversation is left beside it.
    assert_eq!(fs::read_dir(there.path()).unwrap().count(), 1);
}

/// A repository may move to another thread with its account.
#[test]
fn repositories_can_be_sent() {
    fn is_send<T: Send>() {}
    is_send::<Repository>();
}

#[test]
fn two_groups_made_in_one_second_are_two() {
    let there = tempfile::tempdir().unwrap();
    let (_, first) = group(there.path());
    let (_, second) = group(there.path());
    assert_ne!(first.id(), second.id());
    assert!(second.commit_info(&second.head()).unwrap().time > at(0));
}

#[test]
fn what_is_no_conversation_is_not_opened() {
    let there = tempfile::tempdir().unwrap();
    assert!(matches!(
        Repository::open(there.path()),
        Err(RepositoryError::Unusable { .. })
    ));
    git(there.path(), &["init", "-q", "-b", "main", "."]);
    assert!(matches!(
        Repository::open(there.path()),
        Err(RepositoryError::Unusable { .. })
    ));
    git(there.path(), &["commit", "-q", "--allow-empty", "-m", "x"]);
    assert!(Repository::open(there.path()).is_err());
    assert!(verify(there.path()).is_err());
}

#[test]
fn leftovers_are_cleared_when_opened() {
    let there = tempfile::tempdir().unwrap();
    let (alice, group) = group(there.path());
    let directory = group.directory().to_owned();
    drop(group);
    let git_directory = directory.join(".git");
    let left = [
        "index.lock",
        "refs/heads/main.lock",
        "quarantine-x/objects/a",
    ];
    for path in left {
        let path = git_directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let mut group = Repository::open(&directory).unwrap();
    for path in left {
        assert!(!git_directory.join(path).exists(), "{path}");
    }
    group
        .commit(alice.author(), &Message::text("x"), at(1))
        .unwrap();
}

/// Loses everything that was not forced to the disk: loose objects become empty files, the
/// branch is as it was at first.
fn lose_power(directory: &Path, first: &CommitId) {
    let git_directory = directory.join(".git");
    let kept = git(
        directory,
        &[
            "rev-list",
            "--objects",
            "--no-object-names",
            &first.to_hex(),
        ],
    );
    for fan in fs::read_dir(git_directory.join("objects")).unwrap() {
        let fan = fan.unwrap();
        let name = fan.file_name().into_string().unwrap();
        if name.len() != 2 {
            continue;
        }
        for file in fs::read_dir(fan.path()).unwrap() {
            let file = file.unwrap();
            let id = format!("{name}{}", file.file_name().to_string_lossy());
            if !kept.lines().any(|kept| kept == id) {
                fs::remove_file(file.path()).unwrap();
                fs::write(file.path(), "").unwrap();
            }
        }
    }
    fs::write(git_directory.join("refs/heads/main"), format!("{first}\n")).unwrap();
    let _ = fs::remove_dir_all(git_directory.join("refs/remotes"));
}

#[test]
fn a_power_failure_loses_nothing_that_was_reported() {
    let there = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (alice, mut group) = group(there[0].path());
    let bob = Person::new("bob");
    let first = group.head();
    group
        .add_member(alice.author(), bob.account(), at(1))
        .unwrap();
    let mut other = clone(there[1].path(), &group, alice.device());
    let cloned = other.head();
    other.join(bob.author(), at(2)).unwrap();
    other
        .commit(bob.author(), &Message::text("one"), at(3))
        .unwrap();
    group
        .commit(alice.author(), &Message::text("two"), at(3))
        .unwrap();
    pull(&mut group, &other, bob.device()).unwrap();
    let remote = other.head();
    group.merge(alice.author(), remote, at(4)).unwrap();
    for (repository, first) in [(group, first), (other, cloned)] {
        let (directory, head) = (repository.directory().to_owned(), repository.head());
        drop(repository);
        lose_power(&directory, &first);
        let again = Repository::open(&directory).unwrap();
        assert_eq!(again.head(), head);
        git(&directory, &["fsck", "--full", "--strict"]);
        let report = verify(&directory).unwrap();
        assert_eq!(report.head, head);
    }
    let group = Repository::open(&there[0].path().join(git_root(there[0].path()))).unwrap();
    assert_eq!(group.remote_head(&bob.device()), Some(remote));
    assert!(group.unmerged_heads().unwrap().is_empty());
}

fn git_root(parent: &Path) -> String {
    let only = fs::read_dir(parent).unwrap().next().unwrap().unwrap();
    only.file_name().into_string().unwrap()
}

#[test]
fn a_batch_is_written_together_and_a_bad_one_not_at_all() {
    let there = tempfile::tempdir().unwrap();
    let (alice, mut group) = group(there.path());
    let messages: Vec<Message> = (0..60).map(|n| Message::text(format!("{n}"))).collect();
    let ids = group
        .commit_batch(alice.author(), &messages, at(1))
        .unwrap();
    assert_eq!((ids.len(), group.head()), (60, ids[59]));
    let bad = [
        Message::text("good"),
        Message::Edit {
            of: CommitId::new([1; 20]),
            body: String::new(),
            old_style: false,
        },
    ];
    assert!(group.commit_batch(alice.author(), &bad, at(2)).is_err());
    assert_eq!(group.head(), ids[59]);
    assert_eq!(
        group.commit_batch(alice.author(), &[], at(2)).unwrap(),
        Vec::<CommitId>::new()
    );
    let again = Repository::open(group.directory()).unwrap();
    assert_eq!(again.head(), ids[59]);
    assert_eq!(verify(again.directory()).unwrap().commits, 61);
    git(again.directory(), &["fsck", "--full", "--strict"]);
}

/// The journal becomes packs, the packs become one, and all stays readable on the way.
#[test]
fn many_commits_stay_readable_while_they_are_collected() {
    let there = tempfile::tempdir().unwrap();
    let (alice, mut group) = group(there.path());
    let body = "long ".repeat(9_000);
    let mut ids = vec![group.head()];
    for n in 0..50 {
        let text = Message::text(format!("{n} {body}"));
        ids.push(group.commit(alice.author(), &text, at(n)).unwrap());
        assert!(ids.iter().all(|id| group.contains(id)));
    }
    group.maintain().unwrap();
    let history = group.history(None, usize::MAX).unwrap();
    let read: Vec<CommitId> = history.iter().rev().map(|entry| entry.commit.id).collect();
    assert_eq!(read, ids);
    assert_eq!(verify(group.directory()).unwrap().commits, 51);
    git(group.directory(), &["fsck", "--full", "--strict"]);
}

/// An open object database has room for few packs; more of them come than that.
#[test]
fn packs_without_end_can_be_added() {
    let there = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (alice, mut group) = group(there[0].path());
    let mut copy = clone(there[1].path(), &group, alice.device());
    let mut ids = Vec::new();
    for n in 0..70 {
        let text = Message::text(format!("{n}"));
        // Just enough for a pack of its own.
        let batch = vec![text; 25];
        ids.extend(group.commit_batch(alice.author(), &batch, at(n)).unwrap());
        let new = pull(&mut copy, &group, alice.device()).unwrap();
        assert_eq!(new.len(), 25);
        copy.merge(alice.author(), group.head(), at(n)).unwrap();
    }
    for repository in [&group, &copy] {
        assert!(ids.iter().all(|id| repository.contains(id)));
        assert_eq!(repository.history(None, usize::MAX).unwrap().len(), 1751);
        let packs = repository.directory().join(".git/objects/pack");
        assert!(fs::read_dir(packs).unwrap().count() < 2 * 40);
    }
}

#[test]
fn packed_references_and_other_names_are_understood() {
    let there = tempfile::tempdir().unwrap();
    let (alice, mut group) = group(there.path());
    let id = group
        .commit(alice.author(), &Message::text("x"), at(1))
        .unwrap();
    let conversation = group.id();
    let directory = group.directory().to_owned();
    drop(group);
    git(&directory, &["pack-refs", "--all"]);
    git(&directory, &["gc", "-q"]);
    let other = there.path().join("any name");
    fs::rename(&directory, &other).unwrap();
    let mut group = Repository::open(&other).unwrap();
    assert_eq!((group.head(), group.id()), (id, conversation));
    let next = group
        .commit(alice.author(), &Message::text("y"), at(2))
        .unwrap();
    assert_eq!(git(&other, &["rev-parse", "main"]), next.to_hex());
}

#[test]
fn haves_begin_with_what_the_peer_has() {
    let there = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (alice, mut group) = group(there[0].path());
    for n in 0..30 {
        let text = Message::text(format!("{n}"));
        group.commit(alice.author(), &text, at(n)).unwrap();
    }
    let mut copy = clone(there[1].path(), &group, alice.device());
    let shared = copy.head();
    let bob = Person::new("bob");
    group
        .add_member(alice.author(), bob.account(), at(40))
        .unwrap();
    pull(&mut copy, &group, alice.device()).unwrap();
    assert_eq!(copy.head(), shared);
    let haves = copy.haves(&alice.device(), 20);
    assert_eq!(haves[..2], [group.head(), shared]);
    assert_eq!(haves.len(), 20);
    let stranger = copy.haves(&bob.device(), 3);
    assert_eq!(stranger[0], shared);
    assert_eq!(
        group
            .with_view(|view| view.haves(&bob.device(), 3))
            .unwrap()[0],
        group.head()
    );
}

#[cfg(target_os = "linux")]
#[test]
fn one_that_rests_has_nothing_open_and_goes_on() {
    let there = tempfile::tempdir().unwrap();
    let (alice, mut group) = group(there.path());
    let texts: Vec<Message> = (0..200).map(|n| Message::text(format!("{n}"))).collect();
    group.commit_batch(alice.author(), &texts, at(1)).unwrap();
    group.maintain().unwrap();
    let directory = group.directory().to_owned();
    drop(group);
    let mut group = Repository::open(&directory).unwrap();
    let place = fs::canonicalize(&directory).unwrap();
    let mapped = || {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        maps.contains(place.to_str().unwrap())
    };
    assert_eq!(group.history(None, 10).unwrap().len(), 10);
    assert!(mapped());
    group.rest().unwrap();
    assert!(!mapped());
    group
        .commit(alice.author(), &Message::text("on"), at(2))
        .unwrap();
    assert_eq!(group.history(None, 1000).unwrap().len(), 202);
    verify(&directory).unwrap();
}
