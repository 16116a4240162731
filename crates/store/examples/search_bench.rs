//! Search, pages and unread counts in a large database, with times.
//!
//!     search_bench [MESSAGES [CONVERSATIONS]]

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::as_conversions,
    reason = "a program for developers"
)]

use std::time::{Duration, Instant};

use baraza_store::{
    AccountRow, Class, ConversationRow, ConversationState, Durability, MessageRow, SearchQuery,
    Store, ViewRow,
};
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId, Rng, UnixTime};

/// Different words, the first ones frequent: as in languages.
const WORDS: usize = 50_000;
/// Seconds over which the messages are spread.
const SPAN: u64 = 3 * 365 * 86_400;
const BEGIN: u64 = 1_700_000_000;
/// How often each is measured.
const TIMES: usize = 200;
/// How many milliseconds 19 of 20 may take.
const AIM: f64 = 50.0;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().unwrap());
    let messages: u64 = arguments.next().unwrap_or(1_000_000);
    let conversations: u64 = arguments.next().unwrap_or(100);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.db");
    let mut rng = Rng::from_seed(1);
    let own = AccountId::new([1; 20]);
    let account = fill(&path, &mut rng, own, messages, conversations);

    println!("| {messages} messages | p50 ms | p95 ms | max ms | found | p95 ≤ {AIM} ms |");
    println!("|---|--:|--:|--:|--:|---|");
    let store = Store::open(&path, Durability::Full).unwrap();
    let seek = |query: &SearchQuery| {
        let query = SearchQuery {
            count: 20,
            ..query.clone()
        };
        store.search(account, &query).unwrap().len()
    };
    for (name, low, high, count) in [
        ("search: one frequent word", 0, 20, 1),
        ("search: one rare word", 5_000, WORDS as u64, 1),
        ("search: two frequent words", 0, 20, 2),
        ("search: two middling words", 20, 500, 2),
        ("search: three words", 0, 200, 3),
    ] {
        measure(name, || {
            let ranks = (0..count).map(|_| word(rng.range(low..high) as usize));
            let text = ranks.collect::<Vec<_>>().join(" ");
            seek(&SearchQuery {
                text,
                ..SearchQuery::default()
            })
        });
    }
    let frequent = SearchQuery {
        text: word(0),
        ..SearchQuery::default()
    };
    let filtered = [
        (
            "search: frequent word, one conversation",
            SearchQuery {
                conversation: Some(7),
                ..frequent.clone()
            },
        ),
        (
            "search: frequent word, rare author",
            SearchQuery {
                author: Some(AccountId::new([200; 20])),
                ..frequent.clone()
            },
        ),
        (
            "search: frequent word, one old month",
            SearchQuery {
                after: Some(BEGIN),
                before: Some(BEGIN + 30 * 86_400),
                ..frequent.clone()
            },
        ),
        (
            "search: frequent word, last day",
            SearchQuery {
                after: Some(BEGIN + SPAN - 86_400),
                ..frequent.clone()
            },
        ),
        (
            "list of files",
            SearchQuery {
                classes: vec![Class::File, Class::Media],
                ..SearchQuery::default()
            },
        ),
    ];
    for (name, query) in &filtered {
        measure(name, || seek(query));
    }
    for letters in 1..=3 {
        measure(&format!("search: beginning of {letters} letters"), || {
            let word = word(rng.range(0..WORDS as u64) as usize);
            seek(&SearchQuery {
                text: format!("{}*", &word[..letters]),
                ..SearchQuery::default()
            })
        });
    }
    let middle = messages / conversations / 2;
    measure("page of 50 entries, in the middle", || {
        let number = rng.range(1..conversations + 1) as i64;
        let rows = store.entries_below(number, middle, 50).unwrap();
        for row in &rows {
            let message = store.message_at(number, row.position).unwrap().unwrap();
            store.reactions(number, &message.id, 101).unwrap();
        }
        rows.len()
    });
    measure("unread count, first unread", || {
        let number = rng.range(1..conversations + 1) as i64;
        let view = store.view(number).unwrap().unwrap();
        usize::from(store.first_unread(&own, &view).unwrap().is_some())
    });
}

/// Runs something many times and says how long it takes, and if that is short enough.
fn measure(name: &str, mut work: impl FnMut() -> usize) {
    let mut times: Vec<Duration> = Vec::new();
    let mut found = 0;
    for _ in 0..TIMES {
        let begun = Instant::now();
        found += work();
        times.push(begun.elapsed());
    }
    times.sort();
    let at = |share: usize| times[(TIMES * share / 100).min(TIMES - 1)].as_secs_f64() * 1e3;
    println!(
        "| {name} | {:.2} | {:.2} | {:.2} | {} | {} |",
        at(50),
        at(95),
        at(100),
        found / TIMES,
        if at(95) <= AIM { "yes" } else { "**no**" }
    );
}

/// Makes the database; the number of its account.
fn fill(
    path: &std::path::Path,
    rng: &mut Rng,
    own: AccountId,
    messages: u64,
    conversations: u64,
) -> i64 {
    let mut store = Store::open(path, Durability::Full).unwrap();
    let account = store.add_account(&account(own)).unwrap();
    let mut views: Vec<ViewRow> = (0..conversations)
        .map(|number| ViewRow {
            conversation: store
                .add_conversation(account, &conversation(number))
                .unwrap(),
            ..ViewRow::default()
        })
        .collect();
    let mut indexing = Duration::ZERO;
    let begun = Instant::now();
    store.begin().unwrap();
    for serial in 0..messages {
        let view = &mut views[(serial % conversations) as usize];
        let row = message(serial, messages, view.length, rng);
        store.add_message(view.conversation, &row).unwrap();
        let before = Instant::now();
        store.add_to_view(&own, view, &row).unwrap();
        store.put_view(view).unwrap();
        indexing += before.elapsed();
        if serial % 1000 == 999 {
            store.commit().unwrap();
            store.begin().unwrap();
        }
    }
    store.commit().unwrap();
    store.checkpoint().unwrap();
    println!(
        "{messages} messages written in {:.1} s; of each {:.1} µs for view and search",
        begun.elapsed().as_secs_f64(),
        indexing.as_secs_f64() / messages as f64 * 1e6
    );
    let bytes = std::fs::metadata(path).unwrap().len();
    let sql = "SELECT sum(length(block)) FROM search_data";
    let size: i64 = store.raw().query_row(sql, (), |row| row.get(0)).unwrap();
    println!(
        "database {} MB, of it search {} MB",
        bytes >> 20,
        size >> 20
    );
    account
}

fn account(own: AccountId) -> AccountRow {
    AccountRow {
        number: 0,
        local_id: "0000000000000001".into(),
        jami_id: own,
        device_id: DeviceId::new([1; 32]),
        display_name: String::new(),
        created: UnixTime::from_secs(BEGIN),
    }
}

fn conversation(number: u64) -> ConversationRow {
    let mut id = [7; 20];
    id[..8].copy_from_slice(&number.to_be_bytes());
    ConversationRow {
        number: 0,
        id: ConversationId::new(id),
        state: ConversationState::Ready,
        mode: 2,
        peer: None,
        created: UnixTime::from_secs(BEGIN),
        removed: UnixTime::default(),
        head: None,
        length: 0,
        read: None,
    }
}

/// The word of a rank: of letters, its own.
fn word(rank: usize) -> String {
    let mut rest = rank * 7919 + 17;
    let mut text = String::new();
    while rest > 0 || text.len() < 3 {
        text.push(char::from(b'a' + (rest % 26) as u8));
        rest /= 26;
    }
    text
}

/// A rank, low ones more often (Zipf).
fn rank(rng: &mut Rng) -> usize {
    let share = rng.range(0..1_000_000) as f64 / 1e6;
    ((WORDS as f64).powf(share) - 1.0) as usize
}

fn message(serial: u64, all: u64, position: u64, rng: &mut Rng) -> MessageRow {
    let mut id = [3; 20];
    id[..8].copy_from_slice(&rng.range(0..u64::MAX).to_be_bytes());
    id[8..16].copy_from_slice(&serial.to_be_bytes());
    let words: Vec<String> = (0..rng.range(1..20)).map(|_| word(rank(rng))).collect();
    let author = match rng.range(0..1000) {
        0 => 200,
        number => 1 + (number % 9) as u8,
    };
    let (kind, fields) = match rng.range(0..100) {
        0 => {
            let name = format!("{}.jpg", words[0]);
            let fields = serde_json::json!({ "displayName": name, "tid": "1" });
            ("application/data-transfer+json", fields)
        }
        _ => ("text/plain", serde_json::json!({ "body": words.join(" ") })),
    };
    MessageRow {
        position,
        id: CommitId::new(id),
        author: AccountId::new([author; 20]),
        kind: kind.into(),
        time: BEGIN + SPAN * serial / all,
        parents: vec![CommitId::new([4; 20])],
        fields: fields.to_string(),
    }
}
