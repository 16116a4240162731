//! Figures of the name server that no general tool gives (`make bench-names`):
//!
//! ```text
//! names_bench fill DIRECTORY COUNT         names COUNT times somebody, in a new directory
//! names_bench register ADDRESS COUNT OPEN  registers COUNT names over OPEN connections
//! ```
//!
//! What `fill` writes is as large as real names are, with keys of RSA-4096, but their bytes are
//! random: ten million signatures would take a night. The server verifies none at a lookup. What
//! `register` sends is real, each with a key of its own; the keys share primes, as new ones would
//! take an hour.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a program for developers"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use baraza_identity::PrivateKey;
use baraza_identity::testing::{key_of_primes, primes};
use baraza_names::directory::{KeyForm, Record, Signed, unpack_key};
use baraza_names::name::Name;
use baraza_names::record::Registration;
use baraza_names::store::sqlite::SqliteStore;
use baraza_names::store::{Outcome, Store as _};
use baraza_wire::{AccountId, Rng, UnixTime};

/// Names of one transaction of `fill`.
const PAGE: usize = 10_000;
/// Two letters of a name for four bits of its number.
const SYLLABLES: [&str; 16] = [
    "ba", "be", "bo", "bu", "ka", "ke", "ko", "ku", "sa", "se", "so", "su", "ta", "te", "to", "tu",
];
/// Numbers are spread over 24 bits by this odd factor, so that names come in no order.
const SPREAD: u64 = 5_882_353;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["fill", directory, count] => fill(directory, count.parse().expect("a number")),
        ["register", address, count, open] => register(
            address,
            count.parse().expect("a number"),
            open.parse().expect("a number"),
        ),
        _ => println!("names_bench fill DIRECTORY COUNT | register ADDRESS COUNT OPEN"),
    }
}

/// The name of a number below 2^24; benches/names.lua makes the same.
fn name(number: u64) -> String {
    let spread = (number * SPREAD) % (1 << 24);
    let digits = (0..6).rev().map(|digit| (spread >> (4 * digit)) & 15);
    digits
        .map(|digit| SYLLABLES[usize::try_from(digit).expect("four bits")])
        .collect()
}

fn fill(directory: &str, count: u64) {
    std::fs::create_dir_all(directory).expect("a directory");
    let store = SqliteStore::open(directory.as_ref()).expect("a store");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let mut rng = Rng::from_seed(4);
    let mut bytes = move |length: usize| {
        let mut out = vec![0; length];
        rng.fill(&mut out);
        out
    };
    // The DER of a real key, whose modulus is written over.
    let key = PrivateKey::generate_rsa(4096).expect("a key");
    let der = key.public_key().spki_der().to_vec();
    let modulus = der.len() - 512 - 5;
    let begun = Instant::now();
    let numbers: Vec<u64> = (0..count).collect();
    for page in numbers.chunks(PAGE) {
        let records = page.iter().map(|number| {
            let mut key = der.clone();
            key[modulus + 1..modulus + 511].copy_from_slice(&bytes(510));
            // As daemons of 2023 write it.
            let key = unpack_key(KeyForm::PemNul, key);
            let mut addr: [u8; 20] = bytes(20).try_into().expect("20 bytes");
            let spread = u32::try_from((number * SPREAD) % (1 << 24)).expect("24 bits");
            // Its number is in the ID, so that IDs can be asked for.
            addr[..3].copy_from_slice(&spread.to_be_bytes()[1..]);
            addr[3..].fill(0x5a);
            Record {
                name: Name::new(&name(*number)).expect("a name"),
                addr: AccountId::new(addr),
                owner: None,
                signed: Some(Signed {
                    key,
                    signature: bytes(512),
                }),
            }
        });
        let import = store.import(records.collect(), UnixTime::from_secs(1_700_000_000));
        let outcomes = runtime.block_on(import).expect("stored");
        assert!(
            outcomes
                .iter()
                .all(|outcome| *outcome == Outcome::Registered)
        );
        let done = page.last().expect("a page") + 1;
        if done % 500_000 == 0 {
            println!("{done} names, {:.0} s", begun.elapsed().as_secs_f64());
        }
    }
}

fn register(address: &str, count: usize, open: usize) {
    let begun = Instant::now();
    let registrations = prepare(count);
    println!("prepared in {:.0} s", begun.elapsed().as_secs_f64());
    let rate = verification(&registrations);
    println!("verify: {rate:.0}/s");
    let bodies: Vec<(String, String)> = registrations
        .iter()
        .map(|(name, registration)| (name.as_str().to_owned(), registration.to_json()))
        .collect();
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let mut times: Vec<f64> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..open)
            .map(|_| scope.spawn(|| client(address, &bodies, &next)))
            .collect();
        let times = clients
            .into_iter()
            .flat_map(|client| client.join().expect("a client"));
        times.collect()
    });
    let rate = bodies.len() as f64 / begun.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times[(times.len() - 1) * part / 100] * 1000.0;
    println!(
        "register: {rate:.0}/s p50 {:.2} ms p99 {:.2} ms",
        at(50),
        at(99)
    );
}

/// Sends until there are no more; how long each took.
fn client(address: &str, bodies: &[(String, String)], next: &AtomicUsize) -> Vec<f64> {
    let stream = TcpStream::connect(address).expect("a server");
    stream.set_nodelay(true).expect("a socket");
    let mut answers = BufReader::new(stream.try_clone().expect("a socket"));
    let mut stream = stream;
    let mut times = Vec::new();
    while let Some((name, body)) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
        let begun = Instant::now();
        let request = format!(
            "POST /name/{name} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut line = String::new();
        answers.read_line(&mut line).expect("an answer");
        assert!(line.starts_with("HTTP/1.1 200"), "{name}: {line}");
        let mut length = 0;
        loop {
            line.clear();
            answers.read_line(&mut line).expect("a header");
            let lower = line.trim().to_ascii_lowercase();
            if lower.is_empty() {
                break;
            }
            if let Some(value) = lower.strip_prefix("content-length: ") {
                length = value.parse().expect("a length");
            }
        }
        let mut answer = vec![0; length];
        answers.read_exact(&mut answer).expect("a body");
        times.push(begun.elapsed().as_secs_f64());
    }
    times
}

/// Signatures and IDs that all cores verify in a second, by the code of the server.
fn verification(registrations: &[(Name, Registration)]) -> f64 {
    let cores = std::thread::available_parallelism().expect("cores").get();
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some((name, registration)) =
                    registrations.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    registration.verify(name).expect("a signature");
                }
            });
        }
    });
    registrations.len() as f64 / begun.elapsed().as_secs_f64()
}

/// Signed by `count` keys.
fn prepare(count: usize) -> Vec<(Name, Registration)> {
    let mut factors: Vec<Vec<u8>> = Vec::new();
    while factors.len() * factors.len().saturating_sub(1) / 2 < count {
        let key = PrivateKey::generate_rsa(4096).expect("a key");
        factors.extend(primes(&key).expect("its primes"));
    }
    let pairs: Vec<(usize, usize)> = (0..factors.len())
        .flat_map(|left| (0..left).map(move |right| (left, right)))
        .take(count)
        .collect();
    let mut salt = [0; 4];
    Rng::from_os().fill(&mut salt);
    let salt = u32::from_be_bytes(salt);
    let sign = |number: usize| {
        let (left, right) = pairs[number];
        let key = key_of_primes(&factors[left], &factors[right]).expect("a key");
        // Nothing that looks like a name before: hexadecimal digits, each a letter.
        let letters: String = format!("{salt:08x}{number:08x}")
            .bytes()
            .map(|digit| match digit {
                b'0'..=b'9' => char::from(digit - b'0' + b'c'),
                _ => char::from(digit - b'a' + b'n'),
            })
            .collect();
        let name = Name::new(&format!("x{letters}")).expect("a name");
        let registration = Registration::sign(&name, &key, None).expect("signed");
        (name, registration)
    };
    let half = pairs.len() / 2;
    let length = pairs.len();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| (0..half).map(sign).collect::<Vec<_>>());
        let mut second: Vec<_> = (half..length).map(sign).collect();
        second.extend(first.join().expect("signed"));
        second
    })
}
