//! The captured fetches, byte for byte (docs/protocol/05-swarm.md section 8).

use std::time::{Duration, Instant};

use baraza_swarm::fetch::{
    Fetch, FetchError, FetchLimits, FetchOutcome, FetchOutput, Local, Nothing,
};
use baraza_swarm::pack::{PackLimits, UnpackedPack};
use baraza_swarm::upload_pack::{ServeError, Served, ServerOutput};
use baraza_wire::{CommitId, DeviceId};
use proptest::prelude::*;

use super::support::{Disk, Store, VECTORS, archive, commit_id, server};

/// One write: whether the client made it, and the bytes.
type Step = (bool, Vec<u8>);

/// The writes of one section of the capture; `client` is the mark of the client's lines.
fn capture(section: &str, client: char) -> Vec<Step> {
    let text = std::fs::read_to_string(format!("{VECTORS}swarm-git-wire.txt")).unwrap();
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("===") {
            inside = line.contains(section);
        }
        if !inside || line.starts_with("===") || line.contains("CONTROL") || line.is_empty() {
            continue;
        }
        if let Some(hex) = line.trim().strip_prefix("HEX ") {
            steps.last_mut().unwrap().1 = baraza_wire::hex::decode(hex.trim()).unwrap();
        } else {
            let (head, escaped) = line.split_once("] ").unwrap();
            let mark = head.split(' ').nth(1).unwrap().chars().next().unwrap();
            steps.push((mark == client, unescape(escaped)));
        }
    }
    // Longer packs are cut short in the capture: give a whole one instead.
    if section != FIRST {
        let whole = capture(FIRST, '>').swap_remove(4).1;
        for (_, bytes) in &mut steps {
            if bytes.windows(5).any(|five| five == b"\x01PACK") {
                bytes.clone_from(&whole);
            }
        }
    }
    steps
}

const FIRST: &str = "bob clones";

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, (c == '\\').then(|| chars.next()).flatten()) {
            (_, Some('n')) => bytes.push(b'\n'),
            (_, Some('0')) => bytes.push(0),
            (_, Some('x')) => {
                let digits: String = chars.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap());
            }
            (c, _) => bytes.push(c as u8),
        }
    }
    bytes
}

struct Known(Vec<CommitId>);

impl Local for Known {
    fn contains(&self, id: &CommitId) -> bool {
        self.0.contains(id)
    }
    fn haves(&self, _: &DeviceId, max: usize) -> Vec<CommitId> {
        self.0.iter().copied().take(max).collect()
    }
}

/// Plays the server's side of a capture to our client, which must write what the captured
/// client wrote.
fn replay(steps: &[Step], local: &dyn Local) -> FetchOutcome {
    let text = String::from_utf8_lossy(&steps[0].1).into_owned();
    let conversation = text[21..61].parse().unwrap();
    let responder = text[67..131].parse().unwrap();
    let limits = FetchLimits::default();
    let mut client = Fetch::new(conversation, responder, std::env::temp_dir(), limits);
    let now = Instant::now();
    client.start(now).unwrap();
    let mut outcome = None;
    for (by_client, bytes) in steps {
        if *by_client {
            match client.poll_output() {
                Some(FetchOutput::Write(written)) => assert_eq!(
                    String::from_utf8_lossy(&written),
                    String::from_utf8_lossy(bytes)
                ),
                other => panic!("{other:?} instead of {bytes:?}"),
            }
        } else {
            client.receive(now, bytes, local);
        }
        if *by_client && let Some(FetchOutput::Done(done)) = client.poll_output() {
            outcome = Some(done);
        }
    }
    assert!(client.is_idle());
    outcome.unwrap()
}

fn objects(outcome: FetchOutcome) -> usize {
    let FetchOutcome::Pack { pack, .. } = outcome else {
        panic!("{outcome:?}")
    };
    UnpackedPack::read(pack, &PackLimits::default())
        .unwrap()
        .len()
}

#[test]
fn client_writes_what_the_captured_client_wrote() {
    let all = capture(FIRST, '>');
    assert_eq!(objects(replay(&all[..7], &Nothing)), 8);
    let root = "8b3731747a61279f2d367fea6c9a5474bff82c6c".parse().unwrap();
    let again = replay(&all[7..10], &Known(vec![root]));
    assert!(matches!(again, FetchOutcome::UpToDate { head } if head == root));

    let one = capture("one new commit", '>');
    let ec52 = "ec52a0ebe3c72623846fd7545e60280f30d6eee4".parse().unwrap();
    assert_eq!(objects(replay(&one, &Known(vec![ec52, root]))), 8);
}

#[test]
fn client_sends_more_than_20_haves_as_captured() {
    let steps = capture("more than 20", '<');
    let haves: Vec<CommitId> = String::from_utf8_lossy(&steps[2].1)
        .split("0032have ")
        .skip(1)
        .map(|text| text[..40].parse().unwrap())
        .collect();
    assert_eq!(haves.len(), 20);
    let mut longer = haves.clone();
    longer.extend(
        ["f821711bf46a26ad5f457becae6d5119f65902f2"
            .parse::<CommitId>()
            .unwrap(); 9],
    );
    assert_eq!(objects(replay(&steps, &Known(longer))), 8);
}

/// What our server answers to the captured client.
fn answers(steps: &[Step], served: &dyn Served) -> (Vec<Vec<u8>>, Vec<ServerOutput>) {
    let mut machine = server();
    let (mut writes, mut events) = (Vec::new(), Vec::new());
    for (by_client, bytes) in steps {
        if !by_client {
            continue;
        }
        machine.receive(bytes, served);
        while let Some(output) = machine.poll_output(served) {
            match output {
                ServerOutput::Write(bytes) => writes.push(bytes.to_vec()),
                other => events.push(other),
            }
        }
    }
    (writes, events)
}

#[test]
fn server_answers_the_captured_client_as_the_captured_server() {
    let (_keep, path) = archive("swarm-1to1-alice.tar.gz");
    let mut disk = Disk::open(&path);
    let steps = capture(FIRST, '>');
    let root: CommitId = "8b3731747a61279f2d367fea6c9a5474bff82c6c".parse().unwrap();
    disk.head = Some(root);
    let (writes, events) = answers(&steps[..10], &disk);
    let captured: Vec<_> = steps[..10]
        .iter()
        .filter(|step| !step.0)
        .map(|step| &step.1)
        .collect();
    assert_eq!(&writes[0], captured[0]);
    assert_eq!(&writes[1], captured[1]);
    assert_eq!(&writes[3], captured[3]);
    assert_eq!(&writes[4], captured[4]);
    let mut spool = baraza_swarm::pack::Spool::from_memory(writes[2][5..].to_vec());
    assert_eq!(
        UnpackedPack::read(spool, &PackLimits::default())
            .unwrap()
            .len(),
        8
    );
    assert_eq!(
        events,
        [
            ServerOutput::Served { commit: root },
            ServerOutput::UpToDate { commit: root }
        ]
    );

    let steps = capture("one new commit", '>');
    let head: CommitId = "c02eda375723bee403d0ebc5b2ee0623d8ad24fa".parse().unwrap();
    disk.head = Some(head);
    let (writes, events) = answers(&steps, &disk);
    assert_eq!(writes[1], steps[3].1, "ACK of the first have");
    assert_eq!(writes[3], b"0000");
    spool = baraza_swarm::pack::Spool::from_memory(writes[2][5..].to_vec());
    let pack = UnpackedPack::read(spool, &PackLimits::default()).unwrap();
    assert_eq!(pack.len(), 1, "only the commit: the tree is known");
    assert_eq!(events, [ServerOutput::Served { commit: head }]);
}

#[test]
fn server_acknowledges_haves_in_groups_as_the_captured_server() {
    let (_keep, path) = archive("swarm-group-alice.tar.gz");
    let mut disk = Disk::open(&path);
    let steps = capture("more than 20", '<');
    disk.head = Some("e163694acdd3b9e49ecd4dc132dca9d9e1223dcc".parse().unwrap());
    let (writes, _) = answers(&steps, &disk);
    // The captured server acknowledged the first have, which it did not possess.
    let common = "bc3bae267348209d2d65da58032b4a3fd05ff30b";
    let text: Vec<_> = writes
        .iter()
        .map(|write| String::from_utf8_lossy(write))
        .collect();
    assert_eq!(text[1], format!("003aACK {common} continue\n"));
    assert_eq!(text[2], "0008NAK\n");
    assert_eq!(text[3], format!("0031ACK {common}\n"));
}

fn close_reason(bytes: &[&[u8]], served: &dyn Served) -> Option<ServeError> {
    let mut machine = server();
    for bytes in bytes {
        machine.receive(bytes, served);
        while let Some(output) = machine.poll_output(served) {
            if let ServerOutput::Close(reason) = output {
                assert!(machine.poll_output(served).is_none(), "nothing after close");
                return Some(reason);
            }
        }
    }
    None
}

const REQUEST: &[u8] = b"0018git-upload-pack /x\0\0";

#[test]
fn server_closes_instead_of_leaving_a_peer_waiting() {
    let (store, commits) = Store::line(3);
    let want = |id: &gix::oid| format!("004dwant {id} side-band-64k include-tag \n00000009done\n");
    let unknown = want(&gix::ObjectId::Sha1([1; 20]));
    assert!(matches!(
        close_reason(&[REQUEST, unknown.as_bytes()], &store),
        Some(ServeError::UnknownWant(_))
    ));
    let (tree, _) = store
        .objects
        .iter()
        .find(|(_, (kind, _))| *kind == gix::objs::Kind::Tree)
        .unwrap();
    let reason = close_reason(&[REQUEST, want(tree).as_bytes()], &store).unwrap();
    assert_eq!(
        reason.to_string(),
        format!("the peer asked for commit {tree}, which is not here")
    );
    assert_eq!(
        close_reason(&[REQUEST], &Store::default()),
        Some(ServeError::Empty)
    );
    assert_eq!(
        close_reason(&[b"000cgit-foo "], &store),
        Some(ServeError::Request)
    );
    assert!(matches!(
        close_reason(&[b"GET / HTTP/1.1"], &store),
        Some(ServeError::Framing(_))
    ));
    assert!(matches!(
        close_reason(&[REQUEST, b"0009done\n"], &store),
        Some(ServeError::OutOfPlace(_))
    ));
    assert_eq!(
        close_reason(&[REQUEST, want(&commits[1]).as_bytes()], &store),
        None
    );
}

#[test]
fn a_peer_that_sends_without_reading_is_cut_off() {
    let (store, commits) = Store::line(3);
    let want = format!(
        "004dwant {} side-band-64k include-tag \n00000009done\n",
        commits[2]
    );
    let mut machine = server();
    machine.receive(REQUEST, &store);
    machine.receive(want.as_bytes(), &store);
    for _ in 0..40 {
        machine.receive(&b"0000".repeat(1000), &store);
    }
    let mut last = None;
    while let Some(output) = machine.poll_output(&store) {
        last = Some(output);
    }
    assert_eq!(last, Some(ServerOutput::Close(ServeError::Flood)));
}

#[test]
fn a_second_request_waiting_behind_a_pack_is_answered() {
    let (store, commits) = Store::line(3);
    let want = format!(
        "004dwant {} side-band-64k include-tag \n00000009done\n0000",
        commits[2]
    );
    let steps = [REQUEST, want.as_bytes(), REQUEST, b"0000"].concat();
    let (writes, events) = answers(&[(true, steps)], &store);
    assert_eq!(writes[0], writes[4]);
    let head = commit_id(&commits[2]);
    assert_eq!(
        events,
        [
            ServerOutput::Served { commit: head },
            ServerOutput::UpToDate { commit: head }
        ]
    );
}

fn failure(script: &[&[u8]], local: &dyn Local) -> FetchError {
    let mut client = super::support::fetch();
    let now = Instant::now();
    client.start(now).unwrap();
    for bytes in script {
        client.receive(now, bytes, local);
    }
    while let Some(output) = client.poll_output() {
        if let FetchOutput::Failed(error) = output {
            assert!(client.start(now).is_err(), "of no use any more");
            return error;
        }
    }
    panic!("did not fail")
}

#[test]
fn client_tells_why_a_fetch_failed() {
    let head = b"003d8b3731747a61279f2d367fea6c9a5474bff82c6c refs/heads/main\n0000";
    let text = |script: &[&[u8]]| failure(script, &Nothing).to_string();
    assert_eq!(text(&[b"0000"]), "the peer has nothing to fetch yet");
    assert_eq!(text(&[b"000cERR \x1b[2J"]), "the peer refuses: [2J");
    assert_eq!(
        text(&[b"000cnonsense"]),
        "the peer answered with something that is not a reference"
    );
    assert_eq!(
        text(&[head, b"0008NAK\n0000"]),
        "the peer answered with an empty pack"
    );
    assert_eq!(text(&[head, b"000b\x03broken"]), "the peer refuses: broken");
    assert!(text(&[b"hello"]).starts_with("the peer does not speak the git protocol"));
    let many = Known(vec![CommitId::new([1; 20]); 40]);
    let error = failure(&[head, b"000bgarbage"], &many);
    assert_eq!(
        error.to_string(),
        "the peer answered with neither ACK nor NAK"
    );
    let chatter = [b"fff0\x02".as_slice(), &vec![b'x'; 65_515]].concat();
    let mut script = vec![head.as_slice()];
    script.extend((0..70).map(|_| chatter.as_slice()));
    assert!(matches!(failure(&script, &Nothing), FetchError::Chatter));
}

#[test]
fn a_silent_server_is_given_up_after_30_seconds() {
    let mut client = super::support::fetch();
    let now = Instant::now();
    client.start(now).unwrap();
    assert_eq!(client.poll_timeout(), Some(now + Duration::from_secs(30)));
    let head = b"003d8b3731747a61279f2d367fea6c9a5474bff82c6c refs/heads/main\n0000";
    let later = now + Duration::from_secs(29);
    client.receive(later, head, &Nothing);
    client.handle_timeout(now + Duration::from_secs(31));
    let at = client.poll_timeout().unwrap();
    assert_eq!(at, later + Duration::from_secs(30));
    client.handle_timeout(at);
    let last = std::iter::from_fn(|| client.poll_output()).last();
    assert!(matches!(last, Some(FetchOutput::Failed(FetchError::Idle))));
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn a_trickling_server_is_given_up_after_an_hour() {
    let mut client = super::support::fetch();
    let mut now = Instant::now();
    client.start(now).unwrap();
    let mut failed = None;
    for _ in 0..200 {
        now += Duration::from_secs(25);
        client.handle_timeout(now);
        client.receive(now, b"", &Nothing);
        failed = failed.or_else(|| {
            std::iter::from_fn(|| client.poll_output()).find_map(|output| match output {
                FetchOutput::Failed(error) => Some(error),
                _ => None,
            })
        });
    }
    assert!(matches!(failed, Some(FetchError::TooSlow)), "{failed:?}");
}

#[test]
fn answers_that_nobody_takes_stay_few() {
    let (store, _) = Store::line(3);
    let mut machine = server();
    // 60 KiB of requests at once: they wait as bytes until their answers are taken.
    let requests = [REQUEST, b"0000"].concat().repeat(2100);
    machine.receive(&requests, &store);
    let text = format!("{machine:?}");
    let queued: usize = text
        .split("queued: ")
        .nth(1)
        .and_then(|rest| rest.split(',').next())
        .and_then(|digits| digits.parse().ok())
        .unwrap();
    assert!(queued <= 12, "{text}");
    let outputs = std::iter::from_fn(|| machine.poll_output(&store)).count();
    assert_eq!(outputs, 4200);
}

/// Lines that mean something, in any order, beside noise.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let id = "8b3731747a61279f2d367fea6c9a5474bff82c6c";
    let known = [
        "0018git-upload-pack /x\0\0".to_owned(),
        "0000".to_owned(),
        format!("004dwant {id} side-band-64k include-tag \n"),
        format!("0032have {id}\n"),
        "0009done\n".to_owned(),
        "0008NAK\n".to_owned(),
        format!("0031ACK {id}\n"),
        format!("003d{id} refs/heads/main\n"),
        "0009\x01PACK".to_owned(),
        "000a\x02hello".to_owned(),
    ];
    prop_oneof![
        9 => prop::sample::select(known.to_vec()).prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #[test]
    fn any_lines_leave_both_machines_sound(script in prop::collection::vec(lines(), 0..40), known in any::<bool>()) {
        let (mut store, commits) = Store::line(2);
        store.head = Some(commit_id(&commits[1]));
        let mut machine = server();
        let mut client = super::support::fetch();
        let now = Instant::now();
        let local = Known(if known { vec![CommitId::new([4; 20]); 30] } else { Vec::new() });
        for bytes in &script {
            machine.receive(bytes, &store);
            while let Some(output) = machine.poll_output(&store) {
                if let ServerOutput::Write(bytes) = output {
                    prop_assert!(bytes.len() <= 65_535);
                }
            }
            if client.is_idle() {
                client.start(now).unwrap();
            }
            client.receive(now, bytes, &local);
            let mut ends = 0;
            while let Some(output) = client.poll_output() {
                ends += usize::from(!matches!(output, FetchOutput::Write(_)));
            }
            prop_assert!(ends <= 2);
            prop_assert_eq!(client.poll_timeout().is_some(), !client.is_idle() && client.start(now).is_err_and(|error| matches!(error, FetchError::Busy)));
        }
    }
}
