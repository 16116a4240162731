//! `baraza-swarm`: commits, and what becomes of a conversation with hostile members.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use baraza_identity::testing::identity;
use baraza_swarm::Message;
use baraza_swarm::commit::{Draft, Parsed, merge_message};
use baraza_swarm::objects::NewObjects;
use baraza_swarm::tree::{Directory, Trees};
use baraza_swarm::verify::check_rules;
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId};
use gix::ObjectId;
use gix::objs::find::Never;
use gix::objs::{Find, Kind};

/// A commit object: all of its bytes are either signed or the signature.
pub(crate) fn commit(data: &[u8]) -> bool {
    let Ok(parsed) = Parsed::new(data) else {
        return false;
    };
    assert!(parsed.parents.len() <= 2, "at most two parents");
    let Some(base64) = parsed.signature else {
        return true;
    };
    if let Ok((signed, _)) = parsed.signed() {
        let header = b"signature \n".len();
        assert_eq!(
            signed.len() + header + base64.len(),
            data.len(),
            "nothing is left out"
        );
        let unsigned = Parsed::new(&signed);
        assert!(
            unsigned.is_ok_and(|unsigned| unsigned.message == parsed.message),
            "what is signed says the same"
        );
    }
    true
}

/// A tree object: there is one way to write a directory.
pub(crate) fn tree(data: &[u8]) -> bool {
    let Ok(directory) = Directory::parse(data) else {
        return false;
    };
    assert_eq!(directory.encode(), data, "trees are canonical");
    for (name, node) in directory.entries() {
        assert!(!name.contains('/'), "a name is a name");
        assert_eq!(directory.get(name), Some(node), "entries are found");
    }
    true
}

/// The message of a commit: what is understood is understood again when we wrote it.
pub(crate) fn message_json(data: &[u8]) -> bool {
    let Ok((message, fields)) = Message::parse(data) else {
        return false;
    };
    let written = message.to_json();
    let again = Message::parse(written.as_bytes()).map(|(message, _)| message);
    assert_eq!(again, Ok(message), "a message survives writing");
    let plain = baraza_swarm::json::write_object(&fields);
    assert!(plain.is_ascii(), "JSON in commits is ASCII");
    true
}

/// The members that attack; the only admin, alice, never does anything.
const ATTACKERS: [&str; 3] = ["bob", "carol", "dave"];

struct Person {
    account: AccountId,
    device: DeviceId,
    account_pem: String,
    device_pem: String,
}

fn people() -> &'static BTreeMap<&'static str, Person> {
    static PEOPLE: OnceLock<BTreeMap<&'static str, Person>> = OnceLock::new();
    PEOPLE.get_or_init(|| {
        ["alice", "alice-2", "bob", "bob-2", "carol", "dave"]
            .into_iter()
            .map(|name| {
                let identity = identity(name);
                let chain = identity.chain();
                let person = Person {
                    account: identity.account_id(),
                    device: identity.device_id(),
                    account_pem: chain
                        .account_chain()
                        .map(|chain| chain.to_pem())
                        .unwrap_or_default(),
                    device_pem: chain.leaf().to_pem(),
                };
                (name, person)
            })
            .collect()
    })
}

/// A conversation in memory.
struct World<'a> {
    objects: NewObjects<'a>,
    trees: Trees,
    time: u64,
}

impl World<'_> {
    fn parsed_tree(&self, id: &CommitId) -> Option<ObjectId> {
        let mut buffer = Vec::new();
        let id = ObjectId::Sha1(*id.as_bytes());
        let data = self.objects.try_find(&id, &mut buffer).ok()??.data;
        Parsed::new(data).ok().map(|parsed| parsed.tree)
    }

    fn write(
        &mut self,
        device: DeviceId,
        parents: &[CommitId],
        message: &[u8],
        files: &BTreeMap<String, Option<&[u8]>>,
    ) -> Option<CommitId> {
        self.time += 1;
        let old = parents.first().and_then(|first| self.parsed_tree(first));
        let changes = files
            .iter()
            .map(|(path, bytes)| {
                let file = bytes.map(|bytes| self.objects.add(Kind::Blob, bytes.to_vec()));
                (path.clone(), file)
            })
            .collect();
        let tree = self.trees.edit(&self.objects, old, &changes).ok()?;
        let draft = Draft {
            tree,
            parents,
            name: "x",
            device,
            time: self.time,
            message,
        };
        let id = self.objects.add(Kind::Commit, draft.unsigned());
        CommitId::from_slice(id.as_bytes())
    }
}

/// The beginning: alice's group with bob and carol, who joined.
fn begin(world: &mut World<'_>) -> Option<Vec<CommitId>> {
    let alice = &people()["alice"];
    let own = |person: &'static Person, kind: &str| {
        [
            (
                format!("{kind}/{}.crt", person.account),
                Some(person.account_pem.as_bytes()),
            ),
            (
                format!("devices/{}.crt", person.device),
                Some(person.device_pem.as_bytes()),
            ),
        ]
    };
    let files = own(alice, "admins").into();
    let initial = br#"{"mode":2,"type":"initial"}"#;
    let mut commits = vec![world.write(alice.device, &[], initial, &files)?];
    for name in ["bob", "carol"] {
        let person = &people()[name];
        let uri = person.account;
        let invited = format!("invited/{uri}");
        let add = format!(r#"{{"action":"add","type":"member","uri":"{uri}"}}"#);
        let files = [(invited.clone(), Some(&b""[..]))].into();
        let parent = *commits.last()?;
        let added = world.write(alice.device, &[parent], add.as_bytes(), &files)?;
        let join = format!(r#"{{"action":"join","type":"member","uri":"{uri}"}}"#);
        let mut files: BTreeMap<_, _> = own(person, "members").into();
        files.insert(invited, None);
        let joined = world.write(person.device, &[added], join.as_bytes(), &files)?;
        commits.extend([added, joined]);
    }
    Some(commits)
}

/// All paths that mean anything to anybody.
fn paths() -> &'static [String] {
    static PATHS: OnceLock<Vec<String>> = OnceLock::new();
    PATHS.get_or_init(|| {
        let mut paths = vec!["profile.vcf".to_owned(), "readme.txt".to_owned()];
        for person in people().values() {
            let (account, device) = (person.account, person.device);
            paths.extend([
                format!("admins/{account}.crt"),
                format!("members/{account}.crt"),
                format!("devices/{device}.crt"),
                format!("invited/{account}"),
                format!("banned/members/{account}.crt"),
                format!("banned/admins/{account}.crt"),
                format!("CRLs/{account}"),
                format!("votes/ban/admins/{}/{account}", people()["alice"].account),
                format!("votes/ban/members/{}/{account}", people()["carol"].account),
            ]);
        }
        paths
    })
}

fn message(number: u8, who: &Person, commits: &[CommitId]) -> String {
    let whom = people()
        .values()
        .nth(usize::from(number / 16) % people().len());
    let uri = whom.map_or(who.account, |person| person.account);
    let target = commits.get(usize::from(number / 16)).or(commits.last());
    let target = target.map(CommitId::to_hex).unwrap_or_default();
    match number % 11 {
        0 => r#"{"body":"x","type":"text/plain"}"#.to_owned(),
        1 => format!(r#"{{"action":"add","type":"member","uri":"{uri}"}}"#),
        2 => format!(r#"{{"action":"join","type":"member","uri":"{uri}"}}"#),
        3 => format!(
            r#"{{"action":"remove","type":"member","uri":"{}"}}"#,
            who.account
        ),
        4 => merge_message(commits.last().unwrap_or(&CommitId::new([0; 20]))),
        5 => format!(r#"{{"action":"remove","type":"member","uri":"{uri}"}}"#),
        6 => format!(r#"{{"body":"","edit":"{target}","type":"text/plain"}}"#),
        8 => format!(r#"{{"action":"ban","type":"member","uri":"{uri}"}}"#),
        9 => format!(r#"{{"type":"vote","uri":"{uri}"}}"#),
        10 => r#"{"type":"application/update-profile"}"#.to_owned(),
        _ => String::new(),
    }
}

/// Reads one byte after the other; zeros at the end.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }
}

/// Steps of one run: each is a whole validation.
const MAX_STEPS: usize = 12;

/// Members write whatever they like. Whatever of it is accepted, the admin stays the only
/// admin with her own certificates, nobody gets banned, no files appear that have no
/// meaning, and every accepted commit's author is a member.
pub(crate) fn conversation(data: &[u8]) -> bool {
    let never = Never;
    let mut world = World {
        objects: NewObjects::new(&never),
        trees: Trees::default(),
        time: 1_767_225_600,
    };
    let Some(mut commits) = begin(&mut world) else {
        return false;
    };
    let Some(root) = commits.first().copied() else {
        return false;
    };
    let conversation = ConversationId::from(root);
    let last = commits.last().copied().unwrap_or(root);
    assert_eq!(
        check_rules(&world.objects, conversation, last)
            .map(|all| all.len())
            .ok(),
        Some(commits.len()),
        "the beginning is fine"
    );
    let mut bytes = Bytes(data);
    let mut understood = false;
    for _ in 0..MAX_STEPS {
        if bytes.0.is_empty() {
            break;
        }
        let Some(id) = step(&mut world, &mut bytes, &commits) else {
            break;
        };
        if check_rules(&world.objects, conversation, id).is_ok() {
            understood = true;
            invariants(&world, &id);
            commits.push(id);
        }
    }
    understood
}

fn step(world: &mut World<'_>, bytes: &mut Bytes<'_>, commits: &[CommitId]) -> Option<CommitId> {
    let who = bytes.next();
    let name = ATTACKERS.get(usize::from(who) % ATTACKERS.len())?;
    let who = &people()[name];
    let what = bytes.next();
    let nth_last = |back: u8| {
        let index = commits.len().checked_sub(usize::from(back) + 1);
        commits.get(index.unwrap_or(0)).copied()
    };
    let parents = bytes.next();
    let first = nth_last(parents / 16)?;
    let mut all = vec![first];
    if what % 11 == 4 {
        all.push(nth_last(parents % 16)?);
    }
    let mut files = BTreeMap::new();
    for _ in 0..bytes.next() % 6 {
        let path = paths().get(usize::from(bytes.next()) % paths().len())?;
        let content = bytes.next();
        let person = people()
            .values()
            .nth(usize::from(content / 4) % people().len())?;
        let file = match content % 4 {
            0 => None,
            1 => Some(&b""[..]),
            2 => Some(person.account_pem.as_bytes()),
            _ => Some(person.device_pem.as_bytes()),
        };
        files.insert(path.clone(), file);
    }
    let mut text = message(what, who, commits).into_bytes();
    if text.is_empty() {
        let length = usize::from(bytes.next()).min(bytes.0.len());
        let (own, rest) = bytes.0.split_at_checked(length)?;
        text = own.to_vec();
        bytes.0 = rest;
    }
    world.write(who.device, &all, &text, &files)
}

fn invariants(world: &World<'_>, head: &CommitId) {
    let alice = &people()["alice"];
    let Some(tree) = world.parsed_tree(head) else {
        panic!("an accepted commit has a tree");
    };
    let files = |path: &str| {
        let files = world.trees.files_in(&world.objects, tree, path);
        files.unwrap_or_else(|error| panic!("{error}"))
    };
    let content =
        |bytes: &[u8]| gix::objs::compute_hash(gix::hash::Kind::Sha1, Kind::Blob, bytes).ok();
    let admin = (
        format!("{}.crt", alice.account),
        content(alice.account_pem.as_bytes()),
    );
    let admins: Vec<_> = files("admins")
        .into_iter()
        .map(|(name, id)| (name, Some(id)))
        .collect();
    assert_eq!(admins, [admin], "alice stays the only admin");
    let device = format!("devices/{}.crt", alice.device);
    assert_eq!(
        world
            .trees
            .file(&world.objects, tree, &device)
            .ok()
            .flatten(),
        content(alice.device_pem.as_bytes()),
        "her device stays hers"
    );
    for person in people().values() {
        let path = format!("devices/{}.crt", person.device);
        let file = world.trees.file(&world.objects, tree, &path).ok().flatten();
        assert!(
            file.is_none_or(|file| Some(file) == content(person.device_pem.as_bytes())),
            "devices have their own certificates"
        );
    }
    let Ok(root) = world.trees.directory(&world.objects, tree) else {
        panic!("an accepted tree can be read");
    };
    for (name, _) in root.entries() {
        assert!(
            ["admins", "CRLs", "devices", "invited", "members"].contains(&name),
            "{name} has no place here"
        );
    }
}
