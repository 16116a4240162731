//! Conversations between our own repositories.

use baraza_swarm::{MemberAction, MergeOutcome, Message, Mode, Repository, Role, verify};
use baraza_wire::CommitId;

use super::support::{Person, at, clone, git, pull, sync};

fn text(body: &str) -> Message {
    Message::text(body)
}

#[test]
fn two_write_to_each_other() {
    let there = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (alice, bob) = (Person::new("alice"), Person::new("bob"));
    let mut ours =
        Repository::create_one_to_one(there[0].path(), alice.author(), bob.account(), at(0))
            .unwrap();
    assert_eq!(ours.directory(), there[0].path().join(ours.id().to_hex()));
    assert_eq!(ours.mode(), Mode::OneToOne);
    assert_eq!(ours.role(&bob.account()).unwrap(), Some(Role::Invited));
    let mut theirs = clone(there[1].path(), &ours, alice.device());
    let joined = theirs.join(bob.author(), at(1)).unwrap().unwrap();
    assert_eq!(theirs.join(bob.author(), at(1)).unwrap(), None);
    let hello = theirs.commit(bob.author(), &text("hello"), at(2)).unwrap();
    assert_eq!(
        pull(&mut ours, &theirs, bob.device()).unwrap(),
        [joined, hello]
    );
    assert_ne!(ours.head(), hello, "fetching does not merge");
    assert_eq!(ours.unmerged_heads().unwrap(), [hello]);
    assert_eq!(
        ours.merge(alice.author(), hello, at(3)).unwrap(),
        MergeOutcome::FastForward
    );
    assert_eq!(ours.unmerged_heads().unwrap(), []);
    let answer = Message::Text {
        body: "hi".into(),
        reply_to: Some(hello),
    };
    let answer = ours.commit(alice.author(), &answer, at(4)).unwrap();
    assert_eq!(
        sync(&mut theirs, &bob, &ours, alice.device(), at(5)),
        MergeOutcome::FastForward
    );
    assert_eq!(theirs.head(), answer);
    let info = theirs.commit_info(&answer).unwrap();
    assert_eq!(
        (info.author, info.device),
        (alice.account(), alice.device())
    );
    assert_eq!(info.name, "alice");
    let history = theirs.history(None, 2).unwrap();
    assert_eq!(history[0].linearized_parent, Some(hello));
    assert_eq!(history[1].linearized_parent, Some(joined));
    assert_eq!(
        ours.add_member(alice.author(), Person::new("carol").account(), at(6))
            .unwrap_err()
            .to_string(),
        "not allowed: this conversation is for two accounts"
    );
    // The peer leaves, and is taken back.
    theirs.leave(bob.author(), at(7)).unwrap();
    assert_eq!(theirs.role(&bob.account()).unwrap(), Some(Role::Left));
    assert!(theirs.commit(bob.author(), &text("late"), at(8)).is_err());
    sync(&mut ours, &alice, &theirs, bob.device(), at(8));
    assert_eq!(ours.role(&bob.account()).unwrap(), Some(Role::Left));
    assert!(ours.is_authorised(&bob.account()).unwrap());
    let again = ours
        .add_member(alice.author(), bob.account(), at(9))
        .unwrap();
    assert!(again.is_some());
    assert_eq!(ours.role(&bob.account()).unwrap(), Some(Role::Invited));
    for directory in [ours.directory(), theirs.directory()] {
        git(directory, &["fsck", "--full", "--strict"]);
        verify(directory).unwrap();
    }
}

/// A group of three with their repositories.
fn group() -> (Vec<tempfile::TempDir>, Vec<Person>, Vec<Repository>) {
    let names = ["alice", "bob", "carol"];
    let people: Vec<Person> = names.into_iter().map(Person::new).collect();
    let there: Vec<_> = names.map(|_| tempfile::tempdir().unwrap()).into();
    let mut admin = Repository::create_group(
        there[0].path(),
        people[0].author(),
        Mode::InvitesOnly,
        at(0),
    )
    .unwrap();
    let mut others = Vec::new();
    for (n, person) in people.iter().enumerate().skip(1) {
        let time = at(10 * n as u64);
        admin
            .add_member(people[0].author(), person.account(), time)
            .unwrap();
        let mut copy = clone(there[n].path(), &admin, people[0].device());
        copy.join(person.author(), time).unwrap();
        sync(&mut admin, &people[0], &copy, person.device(), time);
        others.push(copy);
    }
    let mut all = vec![admin];
    all.append(&mut others);
    for n in 1..all.len() {
        let (first, rest) = all.split_at_mut(1);
        let outcome = sync(
            &mut rest[n - 1],
            &people[n],
            &first[0],
            people[0].device(),
            at(50),
        );
        assert!(
            matches!(outcome, MergeOutcome::FastForward | MergeOutcome::UpToDate),
            "{outcome:?}"
        );
    }
    (there, people, all)
}

/// Everybody fetches from everybody else until nothing is new.
fn settle(people: &[Person], all: &mut [Repository], mut time: u64) {
    for _ in 0..3 {
        for to in 0..all.len() {
            for from in 0..all.len() {
                if to == from {
                    continue;
                }
                let head = all[from].head();
                let mut target = Repository::open(all[to].directory()).unwrap();
                pull(&mut target, &all[from], people[from].device()).unwrap();
                time += 1;
                target.merge(people[to].author(), head, at(time)).unwrap();
                all[to] = target;
            }
        }
    }
}

fn texts(repository: &Repository) -> Vec<String> {
    let mut bodies: Vec<String> = repository
        .history(None, usize::MAX)
        .unwrap()
        .into_iter()
        .filter_map(|entry| match entry.commit.message {
            Message::Text { body, .. } => Some(body),
            _ => None,
        })
        .collect();
    bodies.sort();
    bodies
}

#[test]
fn three_write_at_once_and_all_arrive() {
    let (_there, people, mut all) = group();
    let mut expected = Vec::new();
    for round in 0..3 {
        for (n, person) in people.iter().enumerate() {
            let body = format!("{round} of {n}");
            all[n]
                .commit(person.author(), &text(&body), at(100 + round))
                .unwrap();
            expected.push(body);
        }
        settle(&people, &mut all, 110 + round);
    }
    expected.sort();
    for repository in &all {
        assert_eq!(texts(repository), expected);
        assert!(verify(repository.directory()).unwrap().merges > 0);
        git(repository.directory(), &["fsck", "--full", "--strict"]);
        assert_eq!(repository.unmerged_heads().unwrap(), []);
    }
}

#[test]
fn a_member_is_banned_and_taken_back() {
    let (_there, people, mut all) = group();
    let (alice, carol) = (&people[0], &people[2]);
    let refused = all[1].ban(people[1].author(), carol.account(), at(60));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "not allowed: the own account is no admin"
    );
    let commits = all[0].ban(alice.author(), carol.account(), at(60)).unwrap();
    assert_eq!(commits.len(), 2, "a vote and what it decides");
    assert_eq!(all[0].role(&carol.account()).unwrap(), Some(Role::Banned));
    assert!(!all[0].is_authorised(&carol.account()).unwrap());
    assert!(all[0].ban(alice.author(), carol.account(), at(60)).is_err());
    assert!(
        all[0]
            .add_member(alice.author(), carol.account(), at(61))
            .is_err()
    );
    // Carol did not know and wrote on; her messages and the ban are merged.
    let late = all[2]
        .commit(carol.author(), &text("late"), at(62))
        .unwrap();
    let outcome = {
        let (first, rest) = all.split_at_mut(1);
        sync(&mut first[0], alice, &rest[1], carol.device(), at(63))
    };
    assert!(matches!(outcome, MergeOutcome::Merged(_)), "{outcome:?}");
    assert!(all[0].contains(&late));
    assert_eq!(all[0].role(&carol.account()).unwrap(), Some(Role::Banned));
    // She cannot merge herself back.
    let outcome = {
        let (first, rest) = all.split_at_mut(2);
        let head = first[0].head();
        pull(&mut rest[0], &first[0], alice.device()).unwrap();
        rest[0].merge(carol.author(), head, at(64)).unwrap()
    };
    assert_eq!(outcome, MergeOutcome::FastForward);
    assert!(all[2].commit(carol.author(), &text("no"), at(65)).is_err());
    let commits = all[0]
        .unban(alice.author(), carol.account(), at(66))
        .unwrap();
    assert_eq!(commits.len(), 2);
    assert_eq!(all[0].role(&carol.account()).unwrap(), Some(Role::Member));
    let (first, rest) = all.split_at_mut(2);
    sync(&mut rest[0], carol, &first[0], alice.device(), at(67));
    rest[0]
        .commit(carol.author(), &text("back"), at(68))
        .unwrap();
    verify(rest[0].directory()).unwrap();
}

#[test]
fn a_device_that_never_wrote_cannot_merge() {
    let (_there, people, mut all) = group();
    let second = Person::new("alice-2");
    let there = tempfile::tempdir().unwrap();
    let mut copy = clone(there.path(), &all[0], people[0].device());
    assert_eq!(copy.join(second.author(), at(60)).unwrap(), None);
    for n in [1, 2] {
        all[n]
            .commit(people[n].author(), &text("x"), at(61))
            .unwrap();
    }
    let first = sync(&mut copy, &second, &all[1], people[1].device(), at(62));
    assert_eq!(first, MergeOutcome::FastForward);
    let outcome = sync(&mut copy, &second, &all[2], people[2].device(), at(63));
    assert!(matches!(outcome, MergeOutcome::Diverged(_)), "{outcome:?}");
    assert_eq!(copy.unmerged_heads().unwrap(), [all[2].head()]);
    // After it wrote something, it can.
    copy.commit(second.author(), &text("me too"), at(64))
        .unwrap();
    let outcome = copy.merge(second.author(), all[2].head(), at(65)).unwrap();
    assert!(matches!(outcome, MergeOutcome::Merged(_)));
    verify(copy.directory()).unwrap();
    let devices = copy.devices().unwrap();
    assert!(devices.contains(&(second.device(), people[0].account())));
}

/// Three write at once, each merges for itself: who has all the others' messages goes on from
/// there, instead of merging merges for ever.
#[test]
fn own_merges_stay_behind_a_head_that_has_everything_else() {
    let (_there, people, mut all) = group();
    for (n, person) in people.iter().enumerate() {
        all[n].commit(person.author(), &text("x"), at(60)).unwrap();
    }
    let heads: Vec<CommitId> = all.iter().map(Repository::head).collect();
    for to in 0..3 {
        for from in (0..3).filter(|from| *from != to) {
            let commits = all[from].directory().to_owned();
            let from_there = Repository::open(&commits).unwrap();
            pull(&mut all[to], &from_there, people[from].device()).unwrap();
            let now = at(61 + from as u64);
            let outcome = all[to].merge(people[to].author(), heads[from], now);
            assert!(
                matches!(outcome, Ok(MergeOutcome::Merged(_))),
                "{outcome:?}"
            );
        }
    }
    let own_merge = all[1].head();
    let news = all[0]
        .commit(people[0].author(), &text("y"), at(70))
        .unwrap();
    let (first, rest) = all.split_at_mut(1);
    let outcome = sync(
        &mut rest[0],
        &people[1],
        &first[0],
        people[0].device(),
        at(71),
    );
    assert_eq!(outcome, MergeOutcome::Adopted);
    assert_eq!(rest[0].head(), news);
    assert!(rest[0].contains(&own_merge), "others may have built on it");
    for head in &heads {
        let entry = rest[0].history(None, 100).unwrap();
        assert!(entry.iter().any(|entry| entry.commit.id == *head));
    }
    // What somebody wrote on such a merge is merged as anything else.
    let late = rest[1]
        .commit(people[2].author(), &text("z"), at(72))
        .unwrap();
    let (second, third) = rest.split_at_mut(1);
    let outcome = sync(
        &mut second[0],
        &people[1],
        &third[0],
        people[2].device(),
        at(73),
    );
    assert!(matches!(outcome, MergeOutcome::Merged(_)), "{outcome:?}");
    assert!(second[0].contains(&late));
    let reopened = Repository::open(second[0].directory()).unwrap();
    assert_eq!(reopened.head(), second[0].head());
    verify(second[0].directory()).unwrap();
}

#[test]
fn profiles_are_the_admin_s_and_the_greater_commit_wins() {
    let (_there, people, mut all) = group();
    assert!(
        all[1]
            .update_profile(people[1].author(), b"x", at(60))
            .is_err()
    );
    let second = Person::new("alice-2");
    let there = tempfile::tempdir().unwrap();
    let mut other = clone(there.path(), &all[0], people[0].device());
    other
        .update_profile(second.author(), b"of the second", at(61))
        .unwrap();
    all[0]
        .update_profile(people[0].author(), b"of the first", at(62))
        .unwrap();
    let winner: &[u8] = if all[0].head() > other.head() {
        b"of the first"
    } else {
        b"of the second"
    };
    let outcome = sync(&mut all[0], &people[0], &other, second.device(), at(63));
    assert!(matches!(outcome, MergeOutcome::Merged(_)));
    assert_eq!(all[0].profile().unwrap().as_deref(), Some(winner));
    verify(all[0].directory()).unwrap();
}

#[test]
fn messages_of_all_kinds_are_written_and_read() {
    let (_there, people, mut all) = group();
    let alice = people[0].author();
    let original = all[0].commit(alice, &text("tpyo"), at(60)).unwrap();
    let messages = [
        Message::Edit {
            of: original,
            body: "typo".into(),
            old_style: false,
        },
        Message::Edit {
            of: original,
            body: "typo!".into(),
            old_style: true,
        },
        Message::Reaction {
            to: original,
            body: "👍".into(),
        },
        Message::File {
            name: "a.txt".into(),
            sha3sum: "00".into(),
            tid: "17".into(),
            size: 5,
            reply_to: Some(original),
        },
        Message::Call(baraza_swarm::message::Call {
            conference: Some("1".into()),
            device: Some(people[0].device().to_hex()),
            uri: Some(people[0].account().to_hex()),
            ..Default::default()
        }),
    ];
    let commits = all[0].commit_batch(alice, &messages, at(61)).unwrap();
    let gone = Message::RemoveFile { of: commits[3] };
    all[0].commit(alice, &gone, at(62)).unwrap();
    for (id, message) in commits.iter().zip(&messages) {
        assert_eq!(&all[0].commit_info(id).unwrap().message, message);
    }
    let (first, rest) = all.split_at_mut(1);
    sync(
        &mut rest[0],
        &people[1],
        &first[0],
        people[0].device(),
        at(63),
    );
    // Others may not edit them, and nobody what is not there.
    let edit = |of| Message::Edit {
        of,
        body: "mine".into(),
        old_style: false,
    };
    for of in [original, CommitId::new([9; 20])] {
        let refused = rest[0].commit(people[1].author(), &edit(of), at(64));
        assert!(refused.unwrap_err().to_string().contains("edit"));
    }
    let forbidden = Message::Member {
        action: MemberAction::Add,
        uri: people[0].account().to_hex(),
    };
    assert!(
        rest[0]
            .commit(people[1].author(), &forbidden, at(65))
            .is_err()
    );
}
