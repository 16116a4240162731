//! Rules that no archived conversation breaks: forged commits on top of a real group.

use std::collections::BTreeMap;

use baraza_swarm::commit::{Draft, merge_message};
use baraza_swarm::objects::NewObjects;
use baraza_swarm::tree::Trees;
use baraza_swarm::{Message, Mode, Refused, Repository, RepositoryError, Rule};
use baraza_wire::{CommitId, ConversationId};
use gix::ObjectId;
use gix::objs::{Find, Kind};

use super::support::{Disk, Person, at, clone, git, object_id, sync};

/// A group of alice (admin), bob and carol (members), with dave invited, and the means to
/// write anything on top of it.
struct Forge {
    _there: Vec<tempfile::TempDir>,
    repository: Repository,
    alice: Person,
    bob: Person,
    carol: Person,
    dave: Person,
}

/// What a forged commit does to a file.
enum File<'a> {
    Bytes(&'a [u8]),
    Gone,
}
use File::{Bytes, Gone};

const NOTHING: [(&str, File<'static>); 0] = [];

impl Forge {
    fn new() -> Self {
        let there: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        let [alice, bob, carol, dave] = ["alice", "bob", "carol", "dave"].map(Person::new);
        let mut repository =
            Repository::create_group(there[0].path(), alice.author(), Mode::InvitesOnly, at(0))
                .unwrap();
        for (n, person) in [&bob, &carol].into_iter().enumerate() {
            repository
                .add_member(alice.author(), person.account(), at(1))
                .unwrap();
            let mut copy = clone(there[n + 1].path(), &repository, alice.device());
            copy.join(person.author(), at(2)).unwrap();
            sync(&mut repository, &alice, &copy, person.device(), at(3));
        }
        repository
            .add_member(alice.author(), dave.account(), at(4))
            .unwrap();
        Self {
            _there: there,
            repository,
            alice,
            bob,
            carol,
            dave,
        }
    }

    fn head(&self) -> CommitId {
        self.repository.head()
    }

    /// Writes a commit by `person` with any message and files, signed properly, and returns
    /// it.
    fn commit<P: AsRef<str>>(
        &self,
        person: &Person,
        parents: &[CommitId],
        message: &str,
        files: impl IntoIterator<Item = (P, File<'static>)>,
    ) -> CommitId {
        let disk = Disk::open(self.repository.directory());
        let objects = &disk.repository.objects;
        let trees = Trees::default();
        let new = NewObjects::new(objects);
        let old = parents.first().map(|parent| {
            let mut buffer = Vec::new();
            let found = objects.try_find(&object_id(parent), &mut buffer);
            let data = found.unwrap().unwrap().data;
            baraza_swarm::commit::Parsed::new(data).unwrap().tree
        });
        let changes: BTreeMap<String, Option<ObjectId>> = files
            .into_iter()
            .map(|(path, file)| {
                let id = match file {
                    Bytes(bytes) => Some(new.add(Kind::Blob, bytes.to_vec())),
                    Gone => None,
                };
                (path.as_ref().to_owned(), id)
            })
            .collect();
        let tree = trees.edit(&new, old, &changes).unwrap();
        let draft = Draft {
            tree,
            parents,
            name: "forger",
            device: person.device(),
            time: at(100).secs(),
            message: message.as_bytes(),
        };
        let id = new.add(Kind::Commit, draft.sign(person.identity.key()).unwrap());
        new.store_pack(&self.repository.directory().join(".git"))
            .unwrap();
        CommitId::from_slice(id.as_bytes()).unwrap()
    }

    /// The rule that `id` breaks.
    fn rule(&self, id: CommitId) -> Option<Rule> {
        let fresh = Repository::open(self.repository.directory()).unwrap();
        match fresh.verify_from(id) {
            Ok(_) => None,
            Err(RepositoryError::Refused(Refused { commit, rule, .. })) => {
                assert_eq!(commit, id);
                Some(rule)
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The rule that a commit on top of the head breaks.
    fn broken<P: AsRef<str>>(
        &self,
        person: &Person,
        message: &Message,
        files: impl IntoIterator<Item = (P, File<'static>)>,
    ) -> Option<Rule> {
        let id = self.commit(person, &[self.head()], &message.to_json(), files);
        self.rule(id)
    }
}

fn member(action: &str, uri: impl std::fmt::Display + Copy) -> Message {
    let text = format!(r#"{{"type":"member","action":"{action}","uri":"{uri}"}}"#);
    Message::parse(text.as_bytes()).unwrap().0
}

fn leak(text: String) -> &'static [u8] {
    text.into_bytes().leak()
}

fn device_pem(person: &Person) -> &'static [u8] {
    leak(person.identity.chain().leaf().to_pem())
}

fn account_pem(person: &Person) -> &'static [u8] {
    leak(person.identity.chain().account_chain().unwrap().to_pem())
}

#[test]
fn texts_change_nothing_but_the_own_certificates() {
    let forge = Forge::new();
    let (bob, carol) = (&forge.bob, &forge.carol);
    let text = Message::text("x");
    let device = |person: &Person| format!("devices/{}.crt", person.device());
    let of = |person: &Person, kind: &str| format!("{kind}/{}.crt", person.account());
    assert_eq!(forge.broken(bob, &text, NOTHING), None);
    let foreign = [(device(carol), Gone)];
    assert_eq!(forge.broken(bob, &text, foreign), Some(Rule::Files));
    let own = [(device(bob), Gone)];
    assert_eq!(forge.broken(bob, &text, own), Some(Rule::Device));
    let renewed = [(of(bob, "members"), Bytes(account_pem(bob)))];
    assert_eq!(forge.broken(bob, &text, renewed), None, "the same again");
    let stolen = [(of(bob, "members"), Bytes(account_pem(carol)))];
    assert_eq!(forge.broken(bob, &text, stolen), Some(Rule::Member));
    let promoted = [(of(bob, "admins"), Bytes(account_pem(bob)))];
    assert_eq!(forge.broken(bob, &text, promoted), Some(Rule::Files));
    let second = Person::new("bob-2");
    let introduced = [(device(&second), Bytes(device_pem(&second)))];
    assert_eq!(forge.broken(&second, &text, introduced), None);
    let introduced = [(device(&second), Bytes(device_pem(&second)))];
    assert_eq!(forge.broken(bob, &text, introduced), Some(Rule::Files));
    assert_eq!(
        forge.broken(&second, &text, NOTHING),
        Some(Rule::Device),
        "not introduced"
    );
    let junk = [(device(&second), Bytes(b"no certificate"))];
    assert_eq!(forge.broken(&second, &text, junk), Some(Rule::Device));
    let huge: &[u8] = vec![b'x'; 70_000].leak();
    let large = [(device(&second), Bytes(huge))];
    assert_eq!(forge.broken(&second, &text, large), Some(Rule::Tree));
    let deep = [("a/b/c/d/e/f", Bytes(b""))];
    assert_eq!(forge.broken(bob, &text, deep), Some(Rule::Tree));
    let hidden = [("a b", Bytes(b""))];
    assert_eq!(forge.broken(bob, &text, hidden), Some(Rule::Tree));
}

#[test]
fn messages_that_cannot_be_read_are_refused() {
    let forge = Forge::new();
    for text in ["", "[]", "{}", r#"{"type":"text/plain","body":7}"#] {
        let id = forge.commit(&forge.bob, &[forge.head()], text, NOTHING);
        assert_eq!(forge.rule(id), Some(Rule::Message), "{text}");
    }
    let long = format!(
        r#"{{"type":"text/plain","body":"{}"}}"#,
        "x".repeat(1 << 20)
    );
    let id = forge.commit(&forge.bob, &[forge.head()], &long, NOTHING);
    assert_eq!(forge.rule(id), Some(Rule::Limit));
    let unknown = r#"{"type":"x/y","anything":[1,2]}"#;
    let id = forge.commit(&forge.bob, &[forge.head()], unknown, NOTHING);
    assert_eq!(forge.rule(id), None, "unknown types are legal");
    let checkpoint = r#"{"type":"application/checkpoint","body":""}"#;
    let id = forge.commit(&forge.bob, &[forge.head()], checkpoint, NOTHING);
    assert_eq!(forge.rule(id), Some(Rule::Document));
}

#[test]
fn an_addition_invites_and_nothing_else() {
    let forge = Forge::new();
    let bob = &forge.bob;
    let erin = Person::new("erin").account();
    let invited = format!("invited/{erin}");
    let add = member("add", erin);
    let fine = [(invited.clone(), Bytes(b""))];
    assert_eq!(forge.broken(bob, &add, fine), None);
    for files in [
        vec![],
        vec![(invited.clone(), Bytes(b"not empty"))],
        vec![("invited/x".to_owned(), Bytes(b""))],
        vec![
            (invited.clone(), Bytes(b"")),
            (format!("invited/{}", forge.dave.account()), Gone),
        ],
    ] {
        assert_eq!(forge.broken(bob, &add, files), Some(Rule::Add));
    }
    let own = [(format!("invited/{}", bob.account()), Bytes(b""))];
    assert_eq!(
        forge.broken(bob, &member("add", bob.account()), own),
        Some(Rule::Add)
    );
    let upper = erin.to_hex().to_uppercase();
    let other_spelling = [(format!("invited/{upper}"), Bytes(b""))];
    assert_eq!(
        forge.broken(bob, &member("add", upper.as_str()), other_spelling),
        Some(Rule::Add)
    );
}

#[test]
fn only_the_invited_join_and_only_themselves() {
    let forge = Forge::new();
    let dave = &forge.dave;
    let erin = Person::new("erin");
    let files = |person: &Person, invited: bool| {
        let mut files = vec![
            (
                format!("members/{}.crt", person.account()),
                Bytes(account_pem(person)),
            ),
            (
                format!("devices/{}.crt", person.device()),
                Bytes(device_pem(person)),
            ),
        ];
        if invited {
            files.push((format!("invited/{}", person.account()), Gone));
        }
        files
    };
    let join = |person: &Person| member("join", person.account());
    assert_eq!(forge.broken(dave, &join(dave), files(dave, true)), None);
    assert_eq!(
        forge.broken(dave, &join(dave), files(dave, false)),
        Some(Rule::Join),
        "the invitation stays"
    );
    assert_eq!(
        forge.broken(&erin, &join(&erin), files(&erin, false)),
        Some(Rule::Join)
    );
    assert_eq!(
        forge.broken(dave, &join(&erin), files(dave, true)),
        Some(Rule::Join)
    );
    let mut admin = files(dave, true);
    admin[0].0 = format!("admins/{}.crt", dave.account());
    assert_eq!(forge.broken(dave, &join(dave), admin), Some(Rule::Join));
}

#[test]
fn one_leaves_with_what_is_one_s_own() {
    let forge = Forge::new();
    let (bob, carol) = (&forge.bob, &forge.carol);
    let leave = member("remove", bob.account());
    let account = |person: &Person| (format!("members/{}.crt", person.account()), Gone);
    let device = |person: &Person| (format!("devices/{}.crt", person.device()), Gone);
    assert_eq!(forge.broken(bob, &leave, [account(bob)]), None);
    assert_eq!(forge.broken(bob, &leave, [account(bob), device(bob)]), None);
    assert_eq!(
        forge.broken(bob, &leave, [account(bob), device(carol)]),
        Some(Rule::Remove)
    );
    assert_eq!(
        forge.broken(bob, &leave, [account(carol)]),
        Some(Rule::Remove)
    );
    assert_eq!(
        forge.broken(bob, &member("remove", carol.account()), [account(carol)]),
        Some(Rule::Remove)
    );
    let stays = [
        account(bob),
        ("readme.txt".to_owned(), Bytes(b"and this stays")),
    ];
    assert_eq!(forge.broken(bob, &leave, stays), Some(Rule::Remove));
    // A device alone, of one's own account.
    assert_eq!(
        forge.broken(bob, &member("remove", bob.device()), [device(bob)]),
        None
    );
    assert_eq!(
        forge.broken(bob, &member("remove", carol.device()), [device(carol)]),
        Some(Rule::Remove)
    );
}

#[test]
fn votes_and_bans_are_for_admins_and_majorities() {
    let forge = Forge::new();
    let (alice, carol) = (&forge.alice, &forge.carol);
    let uri = carol.account();
    let vote = Message::Vote { uri: uri.to_hex() };
    let ballot = |voter: &Person, kind: &str| {
        (
            format!("votes/ban/{kind}/{uri}/{}", voter.account()),
            Bytes(b""),
        )
    };
    assert_eq!(forge.broken(alice, &vote, [ballot(alice, "members")]), None);
    assert_eq!(forge.broken(alice, &vote, NOTHING), None, "a vote again");
    assert_eq!(
        forge.broken(alice, &vote, [ballot(&forge.bob, "members")]),
        Some(Rule::Vote)
    );
    assert_eq!(
        forge.broken(alice, &vote, [ballot(alice, "invited")]),
        Some(Rule::Vote),
        "not where she is"
    );
    let other = Message::Vote {
        uri: forge.bob.account().to_hex(),
    };
    assert_eq!(
        forge.broken(alice, &other, [ballot(alice, "members")]),
        Some(Rule::Vote)
    );
    let path = ballot(alice, "members").0;
    assert_eq!(
        forge.broken(alice, &vote, [(path.clone(), Bytes(b"x"))]),
        Some(Rule::Vote)
    );
    // What a vote decides.
    let voted = forge.commit(
        alice,
        &[forge.head()],
        &vote.to_json(),
        [ballot(alice, "members")],
    );
    let ban = member("ban", uri);
    let resolve = |files: Vec<(String, File<'static>)>| {
        let id = forge.commit(alice, &[voted], &ban.to_json(), files);
        forge.rule(id)
    };
    let taken = || (path.clone(), Gone);
    let gone = || (format!("members/{uri}.crt"), Gone);
    let banned = || {
        (
            format!("banned/members/{uri}.crt"),
            Bytes(account_pem(carol)),
        )
    };
    assert_eq!(resolve(vec![taken(), gone(), banned()]), None);
    let device = (format!("devices/{}.crt", carol.device()), Gone);
    assert_eq!(resolve(vec![taken(), gone(), banned(), device]), None);
    assert_eq!(
        resolve(vec![gone(), banned()]),
        Some(Rule::Ban),
        "votes must be counted"
    );
    assert_eq!(resolve(vec![taken(), gone()]), Some(Rule::Ban));
    assert_eq!(resolve(vec![taken(), banned()]), Some(Rule::Ban));
    let other = (format!("banned/members/{uri}.crt"), Bytes(b"other"));
    assert_eq!(resolve(vec![taken(), gone(), other]), Some(Rule::Ban));
    let bystander = (format!("members/{}.crt", forge.bob.account()), Gone);
    assert_eq!(
        resolve(vec![taken(), gone(), banned(), bystander]),
        Some(Rule::Ban)
    );
    let bystander = (format!("devices/{}.crt", forge.bob.device()), Gone);
    assert_eq!(
        resolve(vec![taken(), gone(), banned(), bystander]),
        Some(Rule::Ban)
    );
}

#[test]
fn merges_take_from_one_side_what_is_new_there() {
    let forge = Forge::new();
    let (alice, bob, carol) = (&forge.alice, &forge.bob, &forge.carol);
    let base = forge.head();
    let text = Message::text("x").to_json();
    let leave = member("remove", carol.account()).to_json();
    let certificate = format!("members/{}.crt", carol.account());
    let ours = forge.commit(carol, &[base], &leave, [(certificate.clone(), Gone)]);
    let theirs = forge.commit(bob, &[base], &text, NOTHING);
    let message = merge_message(&theirs);
    let merge = |parents: &[CommitId], files: Vec<(String, File<'static>)>| {
        let id = forge.commit(alice, parents, &message, files);
        forge.rule(id)
    };
    assert_eq!(merge(&[ours, theirs], vec![]), None);
    let back = vec![(certificate.clone(), Bytes(account_pem(carol)))];
    assert_eq!(merge(&[ours, theirs], back), Some(Rule::Merge));
    assert_eq!(
        merge(&[theirs, ours], vec![]),
        Some(Rule::Merge),
        "the leave is undone from this side too"
    );
    assert_eq!(merge(&[theirs, ours], vec![(certificate, Gone)]), None);
    assert_eq!(merge(&[theirs, theirs], vec![]), Some(Rule::Merge));
    let more = vec![("readme.txt".to_owned(), Bytes(b"x"))];
    assert_eq!(merge(&[ours, theirs], more), Some(Rule::Merge));
    let three = forge.commit(bob, &[ours, theirs, base], &message, NOTHING);
    assert_eq!(forge.rule(three), Some(Rule::Format));
}

#[test]
fn edits_need_an_own_editable_message_before_them() {
    let forge = Forge::new();
    let bob = &forge.bob;
    let base = forge.head();
    let text = Message::text("x").to_json();
    let own = forge.commit(bob, &[base], &text, NOTHING);
    let aside = forge.commit(
        bob,
        &[base],
        r#"{"type":"text/plain","body":"aside"}"#,
        NOTHING,
    );
    let edit = |of: CommitId, old_style: bool| {
        let message = Message::Edit {
            of,
            body: "y".into(),
            old_style,
        };
        forge.rule(forge.commit(bob, &[own], &message.to_json(), NOTHING))
    };
    assert_eq!(edit(own, false), None);
    assert_eq!(edit(own, true), None);
    assert_eq!(edit(aside, false), Some(Rule::Edit), "not an ancestor");
    assert_eq!(edit(base, false), Some(Rule::Edit), "not a message");
    assert_eq!(edit(forge.repository.id().into(), false), Some(Rule::Edit));
    assert_eq!(edit(CommitId::new([5; 20]), false), Some(Rule::Edit));
    let message = r#"{"type":"application/edited-message","body":"of nothing"}"#;
    let id = forge.commit(bob, &[own], message, NOTHING);
    assert_eq!(forge.rule(id), Some(Rule::Edit));
    let unknown = format!(r#"{{"type":"x/y","edit":"{base}"}}"#);
    let id = forge.commit(bob, &[own], &unknown, NOTHING);
    assert_eq!(forge.rule(id), Some(Rule::Edit), "of whatever type");
}

#[test]
fn expired_certificates_cannot_write() {
    let forge = Forge::new();
    let late = Draft {
        tree: {
            let tree = git(forge.repository.directory(), &["rev-parse", "main^{tree}"]);
            tree.parse().unwrap()
        },
        parents: &[forge.head()],
        name: "bob",
        device: forge.bob.device(),
        time: 2_600_000_000,
        message: br#"{"type":"text/plain","body":"from 2052"}"#,
    };
    let disk = Disk::open(forge.repository.directory());
    let new = NewObjects::new(&disk.repository.objects);
    let object = late.sign(forge.bob.identity.key()).unwrap();
    let id = new.add(Kind::Commit, object);
    new.store_pack(&forge.repository.directory().join(".git"))
        .unwrap();
    let id = CommitId::from_slice(id.as_bytes()).unwrap();
    assert_eq!(forge.rule(id), Some(Rule::Expired));
}

#[test]
fn the_first_commit_holds_its_creator_and_the_invited() {
    let forge = Forge::new();
    let alice = &forge.alice;
    let peer = forge.bob.account();
    let admin = || {
        (
            format!("admins/{}.crt", alice.account()),
            Bytes(account_pem(alice)),
        )
    };
    let device = || {
        (
            format!("devices/{}.crt", alice.device()),
            Bytes(device_pem(alice)),
        )
    };
    let invited = || (format!("invited/{peer}"), Bytes(b""));
    let group = r#"{"mode":2,"type":"initial"}"#;
    let two = format!(r#"{{"invited":"{peer}","mode":0,"type":"initial"}}"#);
    let alone = r#"{"mode":0,"type":"initial"}"#;
    let other = r#"{"type":"text/plain","body":""}"#;
    // Another root in this repository is refused for that alone, so each gets its own.
    let rule = |message: &str, files: Vec<(String, File<'static>)>| {
        let id = forge.commit(alice, &[], message, files);
        let there = tempfile::tempdir().unwrap();
        let mut disk = Disk::open(forge.repository.directory());
        disk.head = Some(id);
        let pack = super::support::fetched(&baraza_swarm::fetch::Nothing, &disk, alice.device());
        let limits = baraza_swarm::pack::PackLimits::default();
        let conversation = ConversationId::from(id);
        match Repository::clone_into(there.path(), conversation, pack.unwrap(), &limits) {
            Ok(_) => None,
            Err(RepositoryError::Refused(refused)) => Some(refused.rule),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(rule(group, vec![admin(), device()]), None);
    assert_eq!(rule(&two, vec![admin(), device(), invited()]), None);
    assert_eq!(rule(group, vec![device()]), Some(Rule::Member));
    assert_eq!(rule(group, vec![admin()]), Some(Rule::Device));
    assert_eq!(
        rule(group, vec![admin(), device(), invited()]),
        Some(Rule::Initial)
    );
    assert_eq!(rule(alone, vec![admin(), device()]), Some(Rule::Initial));
    assert_eq!(rule(other, vec![admin(), device()]), Some(Rule::Initial));
    let member = (
        format!("members/{}.crt", alice.account()),
        Bytes(account_pem(alice)),
    );
    assert_eq!(rule(group, vec![member, device()]), Some(Rule::Initial));
    let full = (format!("invited/{peer}"), Bytes(b"x"));
    assert_eq!(
        rule(&two, vec![admin(), device(), full]),
        Some(Rule::Initial)
    );
    assert_eq!(
        forge.rule(forge.commit(alice, &[], group, [admin(), device()])),
        Some(Rule::Root)
    );
}
