//! Peers with laxer rules: what they build on a commit that ours refuse cannot be followed,
//! and everything else goes on. The attacks are those of the branches of
//! `testing/vectors/swarm-bad.tar.gz` that daemons of 2023 accept.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command as Program, Stdio};
use std::time::Duration;

use baraza_core::command::Refusal;
use baraza_core::view::PageAt;
use baraza_core::{Command, EventBody, Reply};
use baraza_wire::{CommitId, ConversationId};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::groups::group_of;
use crate::world::World;

const ALICE: usize = 0;
const BOB: usize = 1;
const CAROL: usize = 2;

fn git(directory: &Path, arguments: &[&str], input: &[u8]) -> String {
    let mut child = Program::new("git")
        .arg("--git-dir")
        .arg(directory.join(".git"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "git {arguments:?}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// What was written by hand counts, not what the journal would bring back.
pub(crate) fn forget_journal(directory: &Path) {
    let journal = directory.join(".git/baraza-journal");
    if journal.exists() {
        std::fs::remove_file(journal).unwrap();
    }
}

/// What is wrong with a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forgery {
    Nothing,
    Unsigned,
    SignedByOther,
    StrayFile,
}

/// Writes a commit into the repository of a host that does not run, as a lax program would
/// take it in, and makes it its head.
pub(crate) fn forge(
    world: &World,
    host: usize,
    chat: ConversationId,
    message: &str,
    signed: bool,
) -> CommitId {
    let forgery = if signed {
        Forgery::Nothing
    } else {
        Forgery::Unsigned
    };
    forge_as(world, host, chat, message, forgery)
}

fn forge_as(
    world: &World,
    host: usize,
    chat: ConversationId,
    message: &str,
    forgery: Forgery,
) -> CommitId {
    let directory = world.hosts[host].conversation(chat);
    forget_journal(&directory);
    let identity = world.identity(host);
    let head = git(&directory, &["rev-parse", "refs/heads/main"], b"");
    let mut tree = git(&directory, &["rev-parse", "refs/heads/main^{tree}"], b"");
    if forgery == Forgery::StrayFile {
        let blob = git(&directory, &["hash-object", "-w", "--stdin"], b"hello");
        let entries = git(&directory, &["ls-tree", &tree], b"");
        let entries = format!("{entries}\n100644 blob {blob}\treadme.txt\n");
        tree = git(&directory, &["mktree"], entries.as_bytes());
    }
    let person = format!(
        "forger <{}> {} +0000",
        identity.device_id(),
        world.now.unix.secs()
    );
    let header = format!("tree {tree}\nparent {head}\nauthor {person}\ncommitter {person}\n");
    let content = format!("{header}\n{message}");
    let signer = match forgery {
        Forgery::SignedByOther => world.identity(CAROL),
        _ => identity,
    };
    let signature = STANDARD.encode(signer.key().sign(content.as_bytes()).unwrap());
    let commit = match forgery {
        Forgery::Unsigned => content,
        _ => format!("{header}signature {signature}\n\n{message}"),
    };
    let arguments = [
        "hash-object",
        "-t",
        "commit",
        "-w",
        "--literally",
        "--stdin",
    ];
    let id = git(&directory, &arguments, commit.as_bytes());
    git(&directory, &["update-ref", "refs/heads/main", &id], b"");
    id.parse().unwrap()
}

fn text(body: &str) -> String {
    serde_json::json!({ "body": body, "type": "text/plain" }).to_string()
}

/// What a host was told of commits that break rules.
fn told(world: &World, host: usize) -> Vec<Refusal> {
    let events = world.hosts[host].events.iter();
    events
        .filter_map(|event| match &event.body {
            EventBody::ConversationDiverged { refusal, .. } => Some(refusal.clone()),
            _ => None,
        })
        .collect()
}

fn refusals(world: &mut World, host: usize, chat: ConversationId) -> Vec<Refusal> {
    match world.ask(host, Command::Conversations) {
        Ok(Reply::Conversations(list)) => {
            let mut list = list.into_iter().filter(|one| one.id == chat);
            list.next().unwrap().refusals
        }
        other => panic!("{other:?}"),
    }
}

fn is_listed(world: &mut World, host: usize, chat: ConversationId) -> bool {
    matches!(world.ask(host, Command::Conversations),
        Ok(Reply::Conversations(list)) if list.iter().any(|one| one.id == chat))
}

fn has_text(world: &mut World, host: usize, chat: ConversationId, body: &str) -> bool {
    world.texts(host, chat).iter().any(|(_, text)| text == body)
}

#[test]
fn the_rest_goes_on_without_who_built_on_a_bad_commit_until_it_clones_anew() {
    for (seed, forgery, rule) in [
        (1, Forgery::Unsigned, "G1 signature"),
        (2, Forgery::SignedByOther, "G1 signature"),
        (3, Forgery::StrayFile, "files"),
    ] {
        let mut world = World::pair(seed);
        world.add("carol");
        let chat = group_of(&mut world, &[BOB, CAROL]);
        world.say(BOB, chat, "before");
        world.settle(&[ALICE, BOB, CAROL], chat, 1);
        world.stop(BOB);
        let bad = forge_as(&world, BOB, chat, &text("bad"), forgery);
        world.start(BOB);
        world.say(BOB, chat, "on top of it");
        for host in [ALICE, CAROL] {
            world.until("it is told", |world| !told(world, host).is_empty());
        }
        // The others go on, and he still hears them.
        world.say(ALICE, chat, "without him");
        world.say(CAROL, chat, "indeed");
        world.until("all three have what the two say", |world| {
            [ALICE, BOB, CAROL].iter().all(|host| {
                has_text(world, *host, chat, "without him")
                    && has_text(world, *host, chat, "indeed")
            })
        });
        world.say(BOB, chat, "and more");
        world.run(Duration::from_secs(900));
        for host in [ALICE, CAROL] {
            assert!(!has_text(&mut world, host, chat, "on top of it"));
            let once = told(&world, host);
            assert_eq!(once.len(), 1, "{once:?}");
            assert_eq!((once[0].message, once[0].rule.as_str()), (bad, rule));
            assert_eq!(once[0].author, Some(world.id(BOB)));
            assert_eq!(once[0].source_account, Some(world.id(BOB)));
        }
        // Nothing is fetched in vain for ever.
        let before = world.bytes;
        world.run(Duration::from_secs(900));
        let quiet = world.bytes - before;
        assert!(
            quiet < 20_000,
            "{quiet} bytes in a quiet quarter of an hour"
        );
        // It says so after a start, too.
        world.kill(ALICE);
        world.start(ALICE);
        let flagged = refusals(&mut world, ALICE, chat);
        assert_eq!(flagged.len(), 1);
        assert_eq!(flagged[0].message, bad);
        // Bob takes the history of the others, and says again what they never got; the bad
        // text is his own, too, and proper this time.
        let rejoin = Command::Rejoin {
            conversation: chat,
            from: None,
        };
        assert_eq!(world.ask(BOB, rejoin), Ok(Reply::Done));
        world.until("it is cloned", |world| is_listed(world, BOB, chat));
        world.until("all have the same", |world| {
            let sets = [ALICE, BOB, CAROL].map(|host| world.texts(host, chat));
            sets[0] == sets[1] && sets[1] == sets[2] && sets[0].len() == 6
        });
        for host in [ALICE, BOB, CAROL] {
            for body in [
                "before",
                "without him",
                "indeed",
                "on top of it",
                "and more",
            ] {
                assert!(has_text(&mut world, host, chat, body), "{host} {body}");
            }
            world.verify(host, chat);
        }
        world.say(ALICE, chat, "welcome back");
        world.until("he hears it", |world| {
            has_text(world, BOB, chat, "welcome back")
        });
        let aside = world.hosts[BOB].directory.join("conversations");
        assert!(aside.join(format!("{chat}.aside")).exists());
        world.kill(BOB);
        world.start(BOB);
        assert!(has_text(&mut world, BOB, chat, "welcome back"));
    }
}

#[test]
fn what_is_not_known_and_what_is_long_is_shown_as_such() {
    let (mut world, chat) = World::talking(5);
    world.say(BOB, chat, "before");
    world.settle(&[ALICE, BOB], chat, 1);
    world.stop(BOB);
    let long = "ل".repeat(500_000);
    let long_id = forge(&world, BOB, chat, &text(&long), true);
    let unknown = serde_json::json!({ "type": "application/geo", "where": "here" });
    let unknown_id = forge(&world, BOB, chat, &unknown.to_string(), true);
    let call = serde_json::json!({ "duration": "65000", "to": world.id(ALICE).to_hex(),
        "type": "application/call-history+json" });
    let call_id = forge(&world, BOB, chat, &call.to_string(), true);
    let missed = serde_json::json!({ "duration": "0", "reason": "declined",
        "to": world.id(ALICE).to_hex(), "type": "application/call-history+json" });
    let missed_id = forge(&world, BOB, chat, &missed.to_string(), true);
    world.start(BOB);
    world.until("Alice has all", |world| {
        world
            .history(ALICE, chat)
            .iter()
            .any(|it| it.id == missed_id)
    });
    for host in [ALICE, BOB] {
        let command = Command::View {
            conversation: chat,
            at: PageAt::Newest,
            count: 100,
        };
        let Ok(Reply::View(page)) = world.ask(host, command) else {
            panic!("no page")
        };
        let by = |id: CommitId| page.entries.iter().find(|entry| entry.id == id).unwrap();
        assert!(by(long_id).cut && by(long_id).body.len() <= 16 * 1024);
        assert!(long.starts_with(&by(long_id).body));
        assert_eq!(
            by(unknown_id).text,
            "a message of the unknown type application/geo"
        );
        assert_eq!(by(call_id).text, "call of 1:05");
        assert_eq!(by(missed_id).text, "call not answered: declined");
        // The whole is in the message itself.
        let history = world.history(host, chat);
        let whole = history.iter().find(|it| it.id == long_id).unwrap();
        assert_eq!(whole.body(), long);
    }
    // Above the limit of what is read it is refused, and said so.
    world.stop(BOB);
    let too_long = text(&"x".repeat(1 << 20));
    let bad = forge(&world, BOB, chat, &too_long, true);
    world.start(BOB);
    world.until("it is told", |world| !told(world, ALICE).is_empty());
    assert_eq!(told(&world, ALICE)[0].message, bad);
}
