//! Measures a conversation of N texts: writing, packing, cloning with full validation,
//! history, one more commit.
//!
//! ```text
//! cargo run --release -p baraza-swarm --example validate_bench -- 20000
//! ```

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for the terminal"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use baraza_identity::testing::identity;
use baraza_swarm::fetch::{Fetch, FetchLimits, FetchOutcome, FetchOutput, Local, Nothing};
use baraza_swarm::ingest::Fetched;
use baraza_swarm::pack::PackLimits;
use baraza_swarm::upload_pack::{ServerOutput, UploadPack};
use baraza_swarm::{Author, Message, Repository, verify};
use baraza_wire::UnixTime;

const START: u64 = 1_767_225_600;

fn main() {
    let count: usize = std::env::args()
        .nth(1)
        .map_or(2000, |count| count.parse().expect("a number of commits"));
    let there = tempfile::tempdir().expect("a directory");
    let (alice, bob) = (identity("alice"), identity("bob"));
    let author = Author {
        identity: &alice,
        name: "alice",
    };
    let mut repository = Repository::create_one_to_one(
        &there.path().join("a"),
        author,
        bob.account_id(),
        UnixTime::from_secs(START),
    )
    .expect("a conversation");

    let begin = Instant::now();
    let mut written = 0_usize;
    while written < count {
        let batch = (count - written).min(1000);
        let messages: Vec<Message> = (written..written + batch)
            .map(|n| Message::text(format!("message {n} of a long conversation")))
            .collect();
        let now = UnixTime::from_secs(START + u64::try_from(written).expect("small"));
        repository
            .commit_batch(author, &messages, now)
            .expect("a batch");
        written += batch;
    }
    report("write, in batches of 1000", begin, count);

    let begin = Instant::now();
    let fetched = fetch(&repository, &Nothing, there.path());
    println!("pack of {} bytes", fetched.pack.len());
    report("serve", begin, count);

    let begin = Instant::now();
    let limits = PackLimits::default();
    let (mut copy, commits) =
        Repository::clone_into(&there.path().join("b"), repository.id(), fetched, &limits)
            .expect("a valid history");
    report("clone with validation", begin, commits.len());

    let begin = Instant::now();
    let checked = verify(copy.directory()).expect("a valid repository");
    report("verify on disk", begin, checked.commits);

    let begin = Instant::now();
    copy = Repository::open(copy.directory()).expect("a repository");
    report("open", begin, 1);

    let begin = Instant::now();
    let page = copy.history(None, 50).expect("a page");
    report("first page of 50", begin, page.len());
    let begin = Instant::now();
    let mut from = page.last().and_then(|entry| entry.linearized_parent);
    let mut read = page.len();
    while let Some(id) = from {
        let page = copy.history(Some(&id), 50).expect("a page");
        from = page.last().and_then(|entry| entry.linearized_parent);
        read += page.len();
    }
    report("all pages of 50", begin, read);

    let begin = Instant::now();
    let last = copy.head();
    for _ in 0..1000 {
        assert!(copy.contains(&last));
    }
    report("contains", begin, 1000);

    let invited = Author {
        identity: &bob,
        name: "bob",
    };
    let now = UnixTime::from_secs(START + u64::try_from(count).expect("small"));
    copy.join(invited, now).expect("joined");
    let sign = Instant::now();
    for _ in 0..20 {
        bob.key().sign(b"just the signature").expect("signed");
    }
    report("sign alone", sign, 20);
    let begin = Instant::now();
    for n in 0..20 {
        let text = Message::text(format!("on top {n}"));
        copy.commit(invited, &text, now).expect("a commit");
    }
    report("one commit at a time on top", begin, 20);

    let begin = Instant::now();
    let fetched = fetch(&copy, &repository, there.path());
    report("serve what is new", begin, 1);
    let begin = Instant::now();
    let new = repository.ingest_fetch(fetched, &limits).expect("valid");
    repository.merge(author, copy.head(), now).expect("merged");
    report("ingest and fast-forward", begin, new.len());
}

fn report(what: &str, since: Instant, count: usize) {
    let took = since.elapsed();
    let each = took
        .checked_div(u32::try_from(count).unwrap_or(u32::MAX))
        .unwrap_or(Duration::ZERO);
    println!("{what}: {took:.2?} for {count}, {each:.2?} each");
}

/// What `local` gets from `served`.
fn fetch(served: &Repository, local: &dyn Local, directory: &Path) -> Fetched {
    let now = Instant::now();
    let from = identity("alice").device_id();
    let limits = FetchLimits::default();
    let mut client = Fetch::new(served.id(), from, directory.to_owned(), limits);
    let mut server = UploadPack::new(PackLimits::default());
    client.start(now).expect("a new machine");
    let mut longest = Duration::ZERO;
    loop {
        while let Some(output) = client.poll_output() {
            match output {
                FetchOutput::Write(bytes) => {
                    let begin = Instant::now();
                    server.receive(&bytes, served);
                    longest = longest.max(begin.elapsed());
                }
                FetchOutput::Done(FetchOutcome::Pack { pack, head }) => {
                    println!("longest call of the server: {longest:.2?}");
                    return Fetched { pack, head, from };
                }
                other => panic_at(&format!("{other:?}")),
            }
        }
        let begin = Instant::now();
        let output = server.poll_output(served);
        longest = longest.max(begin.elapsed());
        match output {
            Some(ServerOutput::Write(bytes)) => client.receive(now, &bytes, local),
            Some(ServerOutput::Served { .. } | ServerOutput::Pause) => {}
            other => panic_at(&format!("{other:?}")),
        }
    }
}

fn panic_at(what: &str) {
    assert!(what.is_empty(), "unexpected: {what}");
}
