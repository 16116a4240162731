//! Measures how an account takes in a conversation of N texts that it clones: the checks of
//! the pack, the index in SQLite (every step forced to the disk), and the longest time for
//! which the account did not get to anything else.
//!
//! ```text
//! cargo run --release -p baraza-core --example intake_bench -- 100000 DIRECTORY
//! ```
//!
//! Writing the texts takes a signature each, which is most of the time; they are kept in
//! DIRECTORY for the next run.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program for the terminal"
)]

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use baraza_core::{
    Account, AccountConfig, Command, Done, EventBody, IntakeLimits, Keys, LocalId, Output,
    RequestId,
};
use baraza_identity::testing;
use baraza_link::{ChannelId, Event as LinkEvent, Peer};
use baraza_store::{AccountRow, ConversationRow, ConversationState, Durability, Store};
use baraza_swarm::pack::PackLimits;
use baraza_swarm::upload_pack::{ServerOutput, UploadPack};
use baraza_swarm::{Author, Message, Repository};
use baraza_wire::{CommitId, Now, Rng, UnixTime};

/// How often somebody asks the account something.
const ASK: Duration = Duration::from_millis(5);
/// How long validating and indexing 100,000 texts may take.
const AIM: Duration = Duration::from_secs(15);
/// How long a question may wait meanwhile.
const AIM_WAIT: Duration = Duration::from_millis(50);
/// Texts written together.
const BATCH: usize = 1000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments
        .next()
        .map_or(100_000, |count| count.parse().expect("a number of texts"));
    let kept = arguments.next().map(PathBuf::from);
    // Beside the texts: where temporary files are, nothing may ever reach a disk.
    let temporary = match &kept {
        Some(there) => {
            std::fs::create_dir_all(there).expect("a directory");
            tempfile::tempdir_in(there)
        }
        None => tempfile::tempdir(),
    };
    let temporary = temporary.expect("a directory");
    let there = kept.unwrap_or_else(|| temporary.path().join("texts"));
    let served = conversation(&there.join(count.to_string()), count);
    let mut bench = Bench::new(temporary.path(), served);
    let begin = Instant::now();
    bench.fetch();
    let fetched = begin.elapsed();
    let begin = Instant::now();
    bench.take_in();
    let all = begin.elapsed();
    let row = |what: &str, time: Duration, aim: Option<Duration>| {
        let aim = aim.map_or(String::from(" | |"), |aim| {
            let verdict = if time <= aim { "ok" } else { "missed" };
            format!("at most {:.2} | {verdict} |", aim.as_secs_f64())
        });
        println!("| {what} | {:.3} | {aim}", time.as_secs_f64());
    };
    println!("| {count} texts | seconds | aim | |\n|---|--:|---|---|");
    row("fetch", fetched, None);
    row("validate", bench.worked, None);
    row("index", all - bench.worked, None);
    row("validate and index", all, Some(AIM));
    row("longest call of the account", bench.longest, None);
    row("longest wait for an answer", bench.waited, Some(AIM_WAIT));
    println!("{} steps, {} questions answered", bench.steps, bench.asked);
}

/// The texts of an earlier run, or new ones.
fn conversation(there: &Path, count: usize) -> Repository {
    std::fs::create_dir_all(there).expect("a directory");
    let written = std::fs::read_dir(there).expect("a directory").flatten();
    let begin = Instant::now();
    let (alice, bob) = (testing::identity("alice"), testing::identity("bob"));
    let author = Author {
        identity: &alice,
        name: "alice",
    };
    let start = testing::NOW.secs();
    let old = written.map(|entry| entry.path()).next();
    let mut repository = match old {
        Some(path) => Repository::open(&path).expect("texts of an earlier run"),
        None => Repository::create_one_to_one(there, author, bob.account_id(), testing::NOW)
            .expect("a conversation"),
    };
    let head = repository.head();
    // The first commit is no text.
    let mut done = repository
        .position(&CommitId::from(repository.id()))
        .expect("a history")
        .unwrap_or(0);
    while done < count {
        let messages: Vec<Message> = (done..count.min(done + BATCH))
            .map(|n| Message::text(format!("message {n} of a long conversation")))
            .collect();
        let now = UnixTime::from_secs(start + u64::try_from(done).expect("small"));
        repository
            .commit_batch(author, &messages, now)
            .expect("a batch");
        done += messages.len();
    }
    if repository.head() != head {
        println!("written in {:.0?}", begin.elapsed());
    }
    repository
}

/// An account that clones, with one channel to who has the conversation.
struct Bench {
    account: Account,
    served: Repository,
    server: UploadPack,
    channel: Option<ChannelId>,
    inputs: Vec<LinkEvent>,
    work: Option<JoinHandle<Done>>,
    began: Instant,
    worked: Duration,
    longest: Duration,
    waited: Duration,
    ready: bool,
    asked: u64,
    answered: u64,
    steps: u64,
}

impl Bench {
    fn new(directory: &Path, served: Repository) -> Self {
        let keys = Keys::issue(&testing::archive("bob"), testing::identity("bob")).expect("keys");
        let mut store =
            Store::open(directory.join("node.db"), Durability::Full).expect("a database");
        let mut row = AccountRow {
            number: 0,
            local_id: LocalId::new(1).to_string(),
            jami_id: keys.identity.account_id(),
            device_id: keys.identity.device_id(),
            display_name: "bob".into(),
            created: testing::NOW,
        };
        row.number = store.add_account(&row).expect("an account");
        let cloning = ConversationRow {
            number: 0,
            id: served.id(),
            state: ConversationState::Cloning,
            mode: 0,
            peer: Some(testing::identity("alice").account_id()),
            created: testing::NOW,
            removed: UnixTime::default(),
            head: None,
            length: 0,
            read: None,
        };
        store
            .add_conversation(row.number, &cloning)
            .expect("a conversation");
        let config = AccountConfig {
            local_id: LocalId::new(1),
            number: row.number,
            directory: directory.to_owned(),
            display_name: "bob".into(),
            intake: IntakeLimits::default(),
            enabled: true,
        };
        let account =
            Account::open(config, &keys, store, now(), Rng::from_seed(1)).expect("an account");
        Self {
            account,
            served,
            server: UploadPack::new(PackLimits::default()),
            channel: None,
            inputs: Vec::new(),
            work: None,
            began: Instant::now(),
            worked: Duration::ZERO,
            longest: Duration::ZERO,
            waited: Duration::ZERO,
            ready: false,
            asked: 0,
            answered: 0,
            steps: 0,
        }
    }

    /// Until the pack is here.
    fn fetch(&mut self) {
        let alice = testing::identity("alice");
        let peer = Peer {
            device: alice.device_id(),
            account: alice.account_id(),
            chain: alice.chain().clone(),
        };
        self.drain();
        let up = LinkEvent::LinkUp { peer: peer.clone() };
        self.account.handle_link(now(), up);
        self.drain();
        while self.work.is_none() {
            if self.inputs.is_empty() {
                // Whatever waits for its time, as connecting politely does.
                let at = self.account.poll_timeout().expect("something to wait for");
                let pause = at.saturating_duration_since(Instant::now());
                std::thread::sleep(pause.min(ASK));
                self.account.handle_timeout(now());
            }
            for event in std::mem::take(&mut self.inputs) {
                self.account.handle_link(now(), event);
            }
            self.drain();
        }
    }

    /// Until it is a conversation that can be used.
    fn take_in(&mut self) {
        let mut ask = Instant::now();
        while !self.ready {
            let begin = Instant::now();
            if self.work.as_ref().is_some_and(JoinHandle::is_finished) {
                let work = self.work.take().expect("a work");
                self.worked += self.began.elapsed();
                self.account
                    .handle_work(now(), work.join().expect("no panic"));
            } else if begin >= ask {
                // Who asks at such a time waits for the call that is under way, too.
                self.asked += 1;
                let request = RequestId(self.asked);
                self.account
                    .handle_command(now(), request, Command::Conversations);
            } else if self.account.poll_timeout().is_some_and(|at| at <= begin) {
                self.steps += 1;
                self.account.handle_timeout(now());
            } else {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            self.drain();
            self.longest = self.longest.max(begin.elapsed());
            if self.answered < self.asked {
                panic!("no answer");
            }
            if begin >= ask {
                self.waited = self.waited.max(ask.elapsed());
                ask = Instant::now() + ASK;
            }
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.account.poll_output() {
            match output {
                Output::Link(command) => self.link(command),
                Output::Work(work) => {
                    self.began = Instant::now();
                    self.work = Some(std::thread::spawn(move || work.run()));
                }
                Output::Event(event) => {
                    if let EventBody::SyncError { detail, .. } = &event.body {
                        panic!("{detail}");
                    }
                    self.ready |= matches!(event.body, EventBody::ConversationReady { .. });
                }
                Output::Reply { result, .. } => {
                    result.expect("an answer");
                    self.answered += 1;
                }
                Output::Dht(_) | Output::Linking(_) | Output::OpenArchive(_) | Output::Name(_) => {}
            }
        }
        assert_eq!(self.account.failure(), None);
    }

    fn link(&mut self, command: baraza_link::Command) {
        match command {
            baraza_link::Command::Open { channel, name, .. } if name.starts_with("git://") => {
                let alice = testing::identity("alice");
                let peer = Peer {
                    device: alice.device_id(),
                    account: alice.account_id(),
                    chain: alice.chain().clone(),
                };
                self.channel = Some(channel);
                self.inputs.push(LinkEvent::Opened { channel, peer });
            }
            baraza_link::Command::Write { channel, bytes } if self.channel == Some(channel) => {
                let sent = bytes.len();
                self.inputs.push(LinkEvent::Sent {
                    channel,
                    bytes: sent,
                });
                self.server.receive(&bytes, &self.served);
                while let Some(output) = self.server.poll_output(&self.served) {
                    if let ServerOutput::Write(bytes) = output {
                        self.inputs.push(LinkEvent::Data { channel, bytes });
                    }
                }
            }
            _ => {}
        }
    }
}

fn now() -> Now {
    Now {
        instant: Instant::now(),
        unix: testing::NOW,
    }
}
