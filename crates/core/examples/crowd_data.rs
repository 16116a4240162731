//! Gives an account that exists, and is not running, many long conversations, for measuring
//! how a node copes with them:
//!
//! ```text
//! crowd_data DATA_DIRECTORY CONVERSATIONS MESSAGES
//! ```
//!
//! Each conversation is a repository of its own with a contact of its own, who is nobody. What
//! is not real are the signatures of the texts: a million of them would take an hour, so those
//! of one conversation all carry that of the first. Such a history is as large as a real one,
//! and reads like one, but no peer would take it. The index is left to the node: it finds
//! commits in the repository that its database lacks, as after a crash.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    reason = "a program for developers"
)]

use std::path::Path;

use baraza_core::Keys;
use baraza_identity::DeviceIdentity;
use baraza_store::{ContactRow, ConversationRow, ConversationState, Durability, Store};
use baraza_swarm::commit::Draft;
use baraza_swarm::objects::NewObjects;
use baraza_swarm::{Author, Message, Repository};
use baraza_wire::{AccountId, CommitId, ConversationId, Rng, UnixTime};
use gix::ObjectId;
use gix::objs::{Kind, find};

/// When the conversations began, and how many seconds are between two texts.
const BEGIN: u64 = 1_700_000_000;
const APART: u64 = 60;
/// Objects in one pack: what comes with one fetch.
const PACK: u64 = 2500;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [directory, conversations, messages] = words.as_slice() else {
        println!("crowd_data DATA_DIRECTORY CONVERSATIONS MESSAGES");
        return;
    };
    let directory = Path::new(directory);
    let conversations: u64 = conversations.parse().expect("a number");
    let messages: u64 = messages.parse().expect("a number");
    let mut store =
        Store::open(directory.join("node.db"), Durability::Full).expect("a data directory");
    let accounts = store.accounts().expect("accounts");
    let account = accounts.first().expect("an account");
    let home = directory.join("accounts").join(&account.local_id);
    let identity = Keys::load(&home).expect("keys").identity;
    let repositories = home.join("conversations");
    std::fs::create_dir_all(&repositories).expect("a directory");
    let mut rng = Rng::from_seed(7);
    store.begin().expect("a transaction");
    for number in 0..conversations {
        let mut peer = [0; 20];
        rng.fill(&mut peer);
        let peer = AccountId::new(peer);
        let created = UnixTime::from_secs(BEGIN + number);
        let id = conversation(&repositories, &identity, peer, created, messages);
        let contact = ContactRow {
            contact: peer,
            added: created,
            removed: UnixTime::default(),
            confirmed: true,
            banned: false,
            conversation: Some(id),
        };
        store
            .put_contact(account.number, &contact)
            .expect("a contact");
        let row = ConversationRow {
            number: 0,
            id,
            state: ConversationState::Ready,
            mode: 0,
            peer: Some(peer),
            created,
            removed: UnixTime::default(),
            head: None,
            length: 0,
            read: None,
        };
        store
            .add_conversation(account.number, &row)
            .expect("a conversation");
    }
    store.commit().expect("committed");
    println!("{conversations} conversations of {messages} texts");
}

/// A conversation with somebody.
fn conversation(
    parent: &Path,
    identity: &DeviceIdentity,
    peer: AccountId,
    created: UnixTime,
    messages: u64,
) -> ConversationId {
    let author = Author {
        identity,
        name: "crowd",
    };
    let repository =
        Repository::create_one_to_one(parent, author, peer, created).expect("a conversation");
    let (id, tree) = (repository.id(), repository.tree());
    let git = repository.directory().join(".git");
    drop(repository);
    let tree = ObjectId::try_from(tree.as_slice()).expect("an id");
    let mut head = CommitId::from(id);
    let mut signed: Option<Vec<u8>> = None;
    let mut number = 0;
    while number < messages {
        let new = NewObjects::new(&find::Never);
        let end = messages.min(number + PACK);
        while number < end {
            let text = format!("message {number} of one of many conversations");
            let message = Message::text(text).to_json();
            let parents = [head];
            let draft = Draft {
                tree,
                parents: &parents,
                name: author.name,
                device: identity.device_id(),
                time: created.secs() + (number + 1) * APART,
                message: message.as_bytes(),
            };
            let signature = signed.get_or_insert_with(|| {
                let object = draft.sign(identity.key()).expect("signed");
                header(&object)
            });
            let object = with_header(&draft.unsigned(), signature);
            let commit = new.add(Kind::Commit, object);
            head = CommitId::from_slice(commit.as_bytes()).expect("an id");
            number += 1;
        }
        new.store_pack(&git).expect("a pack");
    }
    std::fs::write(git.join("refs/heads/main"), format!("{head}\n")).expect("a branch");
    id
}

/// The line of a commit that is its signature, with its end.
fn header(object: &[u8]) -> Vec<u8> {
    let lines = object.split_inclusive(|byte| *byte == b'\n');
    let mut found = lines.skip_while(|line| !line.starts_with(b"signature "));
    found.next().expect("a signature").to_vec()
}

/// A commit with a signature, which goes before the empty line.
fn with_header(unsigned: &[u8], header: &[u8]) -> Vec<u8> {
    let end = unsigned
        .windows(2)
        .position(|two| two == b"\n\n")
        .expect("an empty line");
    let (before, after) = unsigned.split_at(end + 1);
    [before, header, after].concat()
}
