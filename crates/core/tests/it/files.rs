//! Files between hosts of the small world.

use std::path::PathBuf;
use std::time::Duration;

use baraza_core::{
    AUTO_ACCEPT, Command, CommandError, EventBody, FileSource, FileStatus, Reply, SharedFile,
};
use baraza_swarm::Message;
use baraza_wire::{CommitId, ConversationId};

use crate::groups;
use crate::world::World;

const ALICE: usize = 0;
const BOB: usize = 1;
const CAROL: usize = 2;

/// Bytes without a pattern, the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    baraza_wire::Rng::from_seed(seed).fill(&mut bytes);
    bytes
}

fn write(world: &World, host: usize, bytes: &[u8]) -> PathBuf {
    let path = world.hosts[host].directory.join("original");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn send(
    world: &mut World,
    host: usize,
    chat: ConversationId,
    name: &str,
    bytes: &[u8],
) -> Result<CommitId, CommandError> {
    let source = FileSource::Path(write(world, host, bytes));
    let command = Command::SendFile {
        conversation: chat,
        source,
        name: name.into(),
        reply_to: None,
    };
    match world.ask(host, command)? {
        Reply::Message(message) => Ok(message),
        other => panic!("{other:?}"),
    }
}

fn file(
    world: &mut World,
    host: usize,
    chat: ConversationId,
    message: CommitId,
) -> Result<SharedFile, CommandError> {
    let command = Command::File {
        conversation: chat,
        message,
    };
    match world.ask(host, command)? {
        Reply::File(file) => Ok(file),
        other => panic!("{other:?}"),
    }
}

fn status(world: &mut World, host: usize, chat: ConversationId, message: CommitId) -> FileStatus {
    // Before the message has come there is no such file.
    file(world, host, chat, message).map_or(FileStatus::Offered, |file| file.status)
}

fn accept(world: &mut World, host: usize, chat: ConversationId, message: CommitId) {
    let command = Command::AcceptFile {
        conversation: chat,
        message,
    };
    assert_eq!(world.ask(host, command), Ok(Reply::Done));
}

fn set_auto_accept(world: &mut World, host: usize, limit: u64) {
    let command = Command::SetAutoAccept { limit };
    assert_eq!(world.ask(host, command), Ok(Reply::Done));
}

fn known(world: &mut World, host: usize, chat: ConversationId, message: CommitId) {
    world.until("the message arrives", |world| {
        file(world, host, chat, message).is_ok()
    });
}

fn arrives(
    world: &mut World,
    host: usize,
    chat: ConversationId,
    message: CommitId,
    expected: &[u8],
) {
    world.until("the file arrives", |world| {
        status(world, host, chat, message) == FileStatus::Here
    });
    let file = file(world, host, chat, message).unwrap();
    assert_eq!(file.received, file.size);
    let content = std::fs::read(file.path.unwrap()).unwrap();
    assert!(content == expected, "another content");
    assert!(world.has_event(host, |event| matches!(event,
        EventBody::FileChanged { message: of, status: FileStatus::Here, .. } if *of == message)));
}

/// Everything a host has of contents of files.
fn contents(world: &World, host: usize) -> Vec<PathBuf> {
    let Ok(directories) = std::fs::read_dir(world.hosts[host].directory.join("files")) else {
        return Vec::new();
    };
    let files = directories.flat_map(|it| std::fs::read_dir(it.unwrap().path()).unwrap());
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn files_of_all_sizes_arrive() {
    let (mut world, chat) = World::talking(1);
    let cases = [
        (ALICE, BOB, "empty", noise(1, 0)),
        (BOB, ALICE, "one.txt", noise(2, 1)),
        (ALICE, BOB, "../photo 😀.jpg", noise(3, 3_000_000)),
        (BOB, ALICE, "clip.webm", noise(4, 0xffff)),
    ];
    for (from, to, name, bytes) in cases {
        let message = send(&mut world, from, chat, name, &bytes).unwrap();
        // The sender's original is of no importance any more.
        write(&world, from, b"other");
        arrives(&mut world, to, chat, message, &bytes);
        let (sent, got) = (
            file(&mut world, from, chat, message).unwrap(),
            file(&mut world, to, chat, message).unwrap(),
        );
        assert_eq!(sent.status, FileStatus::Here);
        assert_eq!(got.name, name.trim_start_matches("../"));
        assert_eq!((got.size, got.author), (bytes.len() as u64, world.id(from)));
        assert_eq!((&got.file_id, &got.sha3sum), (&sent.file_id, &sent.sha3sum));
        let history = world.history(to, chat);
        let shown = history.iter().find(|shown| shown.id == message).unwrap();
        assert_eq!(shown.kind, "application/data-transfer+json");
        assert_eq!(shown.fields["fileId"], got.file_id);
        assert_eq!(shown.fields["totalSize"], bytes.len().to_string());
    }
    let list = Command::Files { conversation: chat };
    let Ok(Reply::Files(files)) = world.ask(BOB, list) else {
        panic!("no list");
    };
    assert_eq!(files.len(), 4);
    assert!(files.iter().all(|file| file.status == FileStatus::Here));
}

#[test]
fn nothing_is_sent_that_cannot_be_read() {
    let (mut world, chat) = World::talking(2);
    let command = |source: &str, chat| Command::SendFile {
        conversation: chat,
        source: FileSource::Path(source.into()),
        name: "x".into(),
        reply_to: None,
    };
    for source in ["/no/such/file", "/"] {
        let refused = world.ask(ALICE, command(source, chat));
        assert!(matches!(refused, Err(CommandError::File(_))), "{refused:?}");
    }
    let nowhere = world.ask(ALICE, command("/etc/hosts", ConversationId::new([1; 20])));
    assert_eq!(nowhere, Err(CommandError::NoSuchConversation));
    assert_eq!(contents(&world, ALICE), [] as [PathBuf; 0]);
    let history = world.history(ALICE, chat);
    assert!(
        history
            .iter()
            .all(|message| !message.kind.contains("transfer"))
    );
}

#[test]
fn a_cut_costs_only_the_bytes_under_way() {
    let (mut world, chat) = World::talking(3);
    let bytes = noise(5, 6_000_000);
    let message = send(&mut world, ALICE, chat, "big.bin", &bytes).unwrap();
    let half = |world: &mut World| {
        let file = file(world, BOB, chat, message);
        file.is_ok_and(|file| file.received > 3_000_000)
    };
    while !half(&mut world) {
        world.run(Duration::from_millis(5));
    }
    world.cut(BOB, true);
    world.run(Duration::from_secs(60));
    assert_eq!(status(&mut world, BOB, chat, message), FileStatus::Waiting);
    world.cut(BOB, false);
    arrives(&mut world, BOB, chat, message, &bytes);
    assert!(world.file_bytes < 7_000_000, "{}", world.file_bytes);
}

#[test]
fn a_killed_receiver_goes_on_where_it_was() {
    let (mut world, chat) = World::talking(4);
    let bytes = noise(6, 6_000_000);
    let message = send(&mut world, ALICE, chat, "big.bin", &bytes).unwrap();
    while world.file_bytes < 3_000_000 {
        world.run(Duration::from_millis(5));
    }
    world.kill(BOB);
    world.run(Duration::from_secs(5));
    world.start(BOB);
    assert_eq!(status(&mut world, BOB, chat, message), FileStatus::Waiting);
    arrives(&mut world, BOB, chat, message, &bytes);
    assert!(world.file_bytes < 7_000_000, "{}", world.file_bytes);
    assert_eq!(contents(&world, BOB).len(), 1);
}

#[test]
fn a_killed_sender_has_what_it_said_it_has() {
    let (mut world, chat) = World::talking(5);
    world.cut(BOB, true);
    let bytes = noise(7, 100_000);
    let message = send(&mut world, ALICE, chat, "a.bin", &bytes).unwrap();
    world.kill(ALICE);
    // What was being taken in is of no use.
    let stray = world.hosts[ALICE].directory.join("files/staging");
    std::fs::create_dir_all(&stray).unwrap();
    std::fs::write(stray.join("1"), b"half").unwrap();
    world.cut(BOB, false);
    world.start(ALICE);
    arrives(&mut world, BOB, chat, message, &bytes);
    assert_eq!(contents(&world, ALICE).len(), 1);
}

#[test]
fn another_member_gives_what_the_sender_cannot() {
    let (mut world, chat) = groups::group(6);
    set_auto_accept(&mut world, CAROL, 0);
    let bytes = noise(8, 1_000_000);
    let message = send(&mut world, ALICE, chat, "a.bin", &bytes).unwrap();
    arrives(&mut world, BOB, chat, message, &bytes);
    known(&mut world, CAROL, chat, message);
    world.stop(ALICE);
    accept(&mut world, CAROL, chat, message);
    arrives(&mut world, CAROL, chat, message, &bytes);
}

#[test]
fn who_does_not_have_a_file_sends_to_the_next() {
    let (mut world, chat) = groups::group(7);
    for host in [BOB, CAROL] {
        set_auto_accept(&mut world, host, 0);
    }
    let bytes = noise(9, 200_000);
    let message = send(&mut world, ALICE, chat, "a.bin", &bytes).unwrap();
    known(&mut world, CAROL, chat, message);
    known(&mut world, BOB, chat, message);
    world.stop(ALICE);
    // Nobody has it who is there.
    accept(&mut world, CAROL, chat, message);
    world.run(Duration::from_secs(60));
    assert_eq!(
        status(&mut world, CAROL, chat, message),
        FileStatus::Waiting
    );
    world.start(ALICE);
    arrives(&mut world, CAROL, chat, message, &bytes);
}

#[test]
fn wrong_bytes_are_never_shown_and_the_next_one_is_asked() {
    let (mut world, chat) = groups::group(8);
    set_auto_accept(&mut world, CAROL, 0);
    let bytes = noise(10, 500_000);
    let message = send(&mut world, ALICE, chat, "a.bin", &bytes).unwrap();
    arrives(&mut world, BOB, chat, message, &bytes);
    known(&mut world, CAROL, chat, message);
    world.cut(ALICE, true);
    world.hosts[BOB].lies = true;
    accept(&mut world, CAROL, chat, message);
    world.until("the liar is found out", |world| {
        world.has_event(CAROL, |event| {
            matches!(event, EventBody::FileChanged { detail, .. } if detail.contains("content"))
        })
    });
    assert_eq!(contents(&world, CAROL), [] as [PathBuf; 0]);
    let told = world.file_bytes;
    world.run(Duration::from_secs(700));
    assert_eq!(world.file_bytes, told, "the liar was asked again");
    world.cut(ALICE, false);
    arrives(&mut world, CAROL, chat, message, &bytes);
}

#[test]
fn a_file_that_was_changed_on_the_disk_is_not_given() {
    let (mut world, chat) = World::talking(9);
    set_auto_accept(&mut world, BOB, 0);
    let message = send(&mut world, ALICE, chat, "a.bin", b"right").unwrap();
    known(&mut world, BOB, chat, message);
    let path = file(&mut world, ALICE, chat, message)
        .unwrap()
        .path
        .unwrap();
    std::fs::write(&path, b"wrong").unwrap();
    accept(&mut world, BOB, chat, message);
    world.run(Duration::from_secs(60));
    assert_eq!(status(&mut world, BOB, chat, message), FileStatus::Waiting);
    assert_eq!(world.file_bytes, 0);
    assert_eq!(
        status(&mut world, ALICE, chat, message),
        FileStatus::Offered
    );
    // Sent once more it is there for both messages.
    let again = send(&mut world, ALICE, chat, "b.bin", b"right").unwrap();
    arrives(&mut world, BOB, chat, message, b"right");
    assert_eq!(status(&mut world, BOB, chat, again), FileStatus::Here);
}

#[test]
fn a_cancelled_file_leaves_nothing_and_can_be_fetched_later() {
    let (mut world, chat) = World::talking(10);
    let bytes = noise(11, 4_000_000);
    let message = send(&mut world, ALICE, chat, "a.bin", &bytes).unwrap();
    while world.file_bytes < 1_000_000 {
        world.run(Duration::from_millis(5));
    }
    let cancel = Command::CancelFile {
        conversation: chat,
        message,
    };
    assert_eq!(world.ask(BOB, cancel.clone()), Ok(Reply::Done));
    world.run(Duration::from_secs(30));
    assert!(world.file_bytes < 3_000_000);
    assert_eq!(status(&mut world, BOB, chat, message), FileStatus::Offered);
    assert_eq!(contents(&world, BOB), [] as [PathBuf; 0]);
    assert!(world.ask(BOB, cancel).is_err());
    world.kill(BOB);
    world.start(BOB);
    assert_eq!(status(&mut world, BOB, chat, message), FileStatus::Offered);
    accept(&mut world, BOB, chat, message);
    arrives(&mut world, BOB, chat, message, &bytes);
}

#[test]
fn the_limit_decides_what_is_fetched_unasked() {
    let (mut world, chat) = World::talking(11);
    assert_eq!(
        world.ask(BOB, Command::AutoAccept),
        Ok(Reply::Count(AUTO_ACCEPT))
    );
    set_auto_accept(&mut world, BOB, 1000);
    world.kill(BOB);
    world.start(BOB);
    assert_eq!(world.ask(BOB, Command::AutoAccept), Ok(Reply::Count(1000)));
    let small = send(&mut world, ALICE, chat, "small", &noise(1, 1000)).unwrap();
    let large = send(&mut world, ALICE, chat, "large", &noise(2, 1001)).unwrap();
    arrives(&mut world, BOB, chat, small, &noise(1, 1000));
    known(&mut world, BOB, chat, large);
    world.run(Duration::from_secs(30));
    assert_eq!(status(&mut world, BOB, chat, large), FileStatus::Offered);
    set_auto_accept(&mut world, BOB, 0);
    let empty = send(&mut world, ALICE, chat, "empty", b"").unwrap();
    known(&mut world, BOB, chat, empty);
    world.run(Duration::from_secs(30));
    assert_eq!(status(&mut world, BOB, chat, empty), FileStatus::Offered);
    assert_eq!(world.file_bytes, 1000);
}

#[test]
fn files_are_given_to_members_only() {
    let (mut world, chat) = World::talking(12);
    world.add("carol");
    world.connect(ALICE, CAROL);
    let message = send(&mut world, ALICE, chat, "a.txt", b"secret").unwrap();
    arrives(&mut world, BOB, chat, message, b"secret");
    let id = file(&mut world, ALICE, chat, message).unwrap().file_id;
    let other = "ab".repeat(32);
    let name = format!("data-transfer://{chat}/{other}/{id}");
    assert!(world.knock(BOB, ALICE, &name));
    assert!(!world.knock(CAROL, ALICE, &name), "given to a stranger");
    // Another extension, a file that is none, and a name that is none.
    let wrong = [
        name.replace(".txt", ".exe"),
        format!("data-transfer://{chat}/{other}/{chat}_1"),
        format!("data-transfer://{chat}/{other}/x/{id}"),
    ];
    for name in wrong {
        assert!(!world.knock(BOB, ALICE, &name), "{name}");
    }
}

#[test]
fn names_that_peers_give_are_no_paths() {
    let (mut world, chat) = World::talking(13);
    world.stop(ALICE);
    let evil = |name: &str, sha3sum: &str, tid: &str| Message::File {
        name: name.into(),
        sha3sum: sha3sum.into(),
        tid: tid.into(),
        size: 5,
        reply_to: None,
    };
    let sum = "0".repeat(128);
    let messages = [
        evil("../../../../tmp/evil.sh", &sum, "5"),
        evil("a./../../x", &sum, "6"),
        evil("a", "../../evil", "7"),
        evil("a", &sum, "../8"),
    ];
    let forged = messages.map(|message| world.forge(ALICE, chat, message));
    world.start(ALICE);
    let last = world.say(ALICE, chat, "done");
    world.until("all arrives", |world| {
        let history = world.history(BOB, chat);
        history.iter().any(|message| message.id == last)
    });
    world.run(Duration::from_secs(60));
    let two = [FileStatus::Waiting; 2];
    assert_eq!(
        [forged[0], forged[1]].map(|id| status(&mut world, BOB, chat, id)),
        two
    );
    for id in [forged[2], forged[3]] {
        let none = file(&mut world, BOB, chat, id);
        assert_eq!(none, Err(CommandError::NoSuchFile));
    }
    for path in contents(&world, BOB) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.ends_with(".tmp") && name.len() == 44, "{name}");
    }
}

#[test]
fn a_deleted_file_is_gone_everywhere() {
    let (mut world, chat) = World::talking(14);
    let first = send(&mut world, ALICE, chat, "a.txt", b"one").unwrap();
    let second = send(&mut world, ALICE, chat, "b.txt", b"one").unwrap();
    arrives(&mut world, BOB, chat, first, b"one");
    arrives(&mut world, BOB, chat, second, b"one");
    let delete = |message| Command::DeleteFile {
        conversation: chat,
        message,
    };
    let refused = world.ask(BOB, delete(first));
    assert!(matches!(refused, Err(CommandError::NotAllowed(_))));
    assert!(matches!(
        world.ask(ALICE, delete(first)),
        Ok(Reply::Message(_))
    ));
    world.until("it is deleted", |world| {
        status(world, BOB, chat, first) == FileStatus::Deleted
    });
    // The other one has the same content.
    for host in [ALICE, BOB] {
        assert_eq!(status(&mut world, host, chat, second), FileStatus::Here);
        assert_eq!(contents(&world, host).len(), 1);
    }
    let edit = Command::EditMessage {
        conversation: chat,
        message: second,
        body: String::new(),
    };
    assert!(matches!(world.ask(ALICE, edit), Ok(Reply::Message(_))));
    world.until("both are deleted", |world| {
        status(world, BOB, chat, second) == FileStatus::Deleted
    });
    for host in [ALICE, BOB] {
        assert_eq!(contents(&world, host), [] as [PathBuf; 0]);
    }
    let again = world.ask(ALICE, delete(first));
    assert_eq!(again, Err(CommandError::NoSuchFile));
}

#[test]
fn files_go_with_their_conversation() {
    let (mut world, chat) = World::talking(15);
    let bytes = noise(12, 2_000_000);
    let message = send(&mut world, ALICE, chat, "a.bin", &bytes).unwrap();
    arrives(&mut world, BOB, chat, message, &bytes);
    let contact = world.id(ALICE);
    let remove = Command::RemoveContact {
        contact,
        ban: false,
    };
    assert_eq!(world.ask(BOB, remove), Ok(Reply::Done));
    world.run(Duration::from_secs(10));
    assert_eq!(contents(&world, BOB), [] as [PathBuf; 0]);
}

#[test]
fn many_files_come_at_once() {
    let (mut world, chat) = World::talking(16);
    let mut sent = Vec::new();
    for seed in 0..40 {
        let bytes = noise(seed, 30_000);
        let message = send(&mut world, ALICE, chat, "x", &bytes).unwrap();
        sent.push((message, bytes));
    }
    for (message, bytes) in sent {
        arrives(&mut world, BOB, chat, message, &bytes);
    }
}
