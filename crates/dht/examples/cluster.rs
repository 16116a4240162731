//! A cluster of nodes in one process, measured: our side of `benches/dht_cluster`.
//!
//! ```text
//! cluster NODES SECONDS
//! ```
//!
//! Starts NODES nodes on 127.0.0.1 (IPv4, no limits), each from the first; when all are
//! connected, and after a time to settle, keeps 32 puts in flight for SECONDS, then 32 gets of
//! those keys. Each operation is on a random node; keys are fresh, values have 64 bytes.
//! Prints one line of JSON. The C++ side does the same with the same names.

#![expect(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use baraza_dht::driver::{ClientHandle, DriverConfig, start};
use baraza_dht::{Command, Config, Event, Limits, OpId, Query, Status, Value};
use baraza_wire::{InfoHash, Rng};
use tokio::sync::{mpsc, oneshot};

const IN_FLIGHT: usize = 32;
const VALUE_SIZE: usize = 64;

type Waiting = Arc<Mutex<HashMap<u64, (bool, oneshot::Sender<bool>)>>>;

/// A client of one node: starts operations and hears how they end.
#[derive(Clone)]
struct Client {
    handle: ClientHandle,
    waiting: Waiting,
}

impl Client {
    /// `true` if the put was stored, or the get found something.
    async fn operate(&self, name: u64, command: Command) -> bool {
        let (done, ended) = oneshot::channel();
        self.waiting
            .lock()
            .expect("not poisoned")
            .insert(name, (false, done));
        self.handle.send(command).await.expect("the node runs");
        ended.await.unwrap_or(false)
    }
}

async fn hear(mut events: mpsc::Receiver<Event>, waiting: Waiting) {
    while let Some(event) = events.recv().await {
        let mut waiting = waiting.lock().expect("not poisoned");
        match event {
            Event::Values { op, .. } => {
                if let Some((found, _)) = waiting.get_mut(&op.0) {
                    *found = true;
                }
            }
            Event::Done { op, result } => {
                if let Some((found, done)) = waiting.remove(&op.0) {
                    // A put finds nothing.
                    let put = op.0 % 2 == 0;
                    let _ = done.send(result.is_ok() && (put || found));
                }
            }
            _ => {}
        }
    }
}

#[derive(Default)]
struct Load {
    done: usize,
    good: usize,
    elapsed: f64,
    cpu: f64,
    times: Vec<f64>,
}

impl Load {
    fn percentile(&mut self, part: f64) -> f64 {
        self.times.sort_by(f64::total_cmp);
        let at = (part * self.times.len() as f64) as usize;
        1000.0 * self.times.get(at).copied().unwrap_or_default()
    }
}

/// Resident memory of the process's own, without the pages of programs and libraries.
fn resident_kib() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = text
        .split(' ')
        .skip(1)
        .map(|pages| pages.parse().unwrap_or(0.0));
    let (resident, shared) = (pages.next(), pages.next());
    4.0 * (resident.unwrap_or(0.0) - shared.unwrap_or(0.0))
}

fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    let ticks = |n: usize| {
        let field = after.split_whitespace().nth(n);
        field
            .and_then(|f| f.parse::<f64>().ok())
            .unwrap_or_default()
    };
    (ticks(11) + ticks(12)) / 100.0
}

/// Keeps [`IN_FLIGHT`] operations going on random nodes. `make` names the command.
async fn load(
    clients: &[Client],
    duration: f64,
    parity: u64,
    make: impl Fn(&mut Rng, OpId) -> Command + Clone + Send + 'static,
) -> Load {
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let results = Arc::new(Mutex::new(Load::default()));
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..IN_FLIGHT as u64 {
        let (clients, make, results) = (clients.to_vec(), make.clone(), results.clone());
        workers.spawn(async move {
            let mut rng = Rng::from_seed(worker + 1000 * parity + 1);
            let mut count = 0u64;
            while begun.elapsed().as_secs_f64() < duration {
                count += 1;
                let name = ((worker << 40) | count) * 2 + parity;
                let client = &clients[rng.index(clients.len()).expect("some")];
                let command = make(&mut rng, OpId(name));
                let since = Instant::now();
                let good = client.operate(name, command).await;
                let mut results = results.lock().expect("not poisoned");
                if begun.elapsed().as_secs_f64() < duration + 0.1 {
                    results.done += 1;
                    results.good += usize::from(good);
                    results.times.push(since.elapsed().as_secs_f64());
                }
            }
        });
    }
    workers.join_all().await;
    let mut result = std::mem::take(&mut *results.lock().expect("not poisoned"));
    result.elapsed = begun.elapsed().as_secs_f64();
    result.cpu = cpu_seconds() - cpu;
    result
}

async fn run(count: usize, duration: f64) {
    let before = resident_kib();
    let begun = Instant::now();
    let mut nodes = Vec::new();
    for n in 0..count {
        let mut config = DriverConfig::loopback();
        config.dht = Config {
            limits: Limits::none(),
            ..Config::default()
        };
        if n > 0 {
            let first: &baraza_dht::driver::DhtHandle = &nodes[0];
            let first = first.addresses().ipv4.expect("bound");
            config.bootstrap = vec![first.to_string()];
        }
        nodes.push(start(config).expect("a socket"));
    }
    for node in &nodes {
        if count > 1 {
            let mut status = node.status();
            let connected = status.wait_for(|(ipv4, _)| *ipv4 == Status::Connected);
            let connected = tokio::time::timeout(Duration::from_secs(60), connected).await;
            assert!(connected.is_ok(), "not all nodes connected");
        }
    }
    let connected = begun.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(if count <= 20 { 6 } else { 15 })).await;
    let idle = resident_kib();
    let idle_from = cpu_seconds();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let idle_cpu = (cpu_seconds() - idle_from) / 3.0 * 100.0;

    let mut clients = Vec::new();
    for node in &nodes {
        let (handle, events) = node.client(64).await.expect("the node runs");
        let waiting = Waiting::default();
        tokio::spawn(hear(events, waiting.clone()));
        clients.push(Client { handle, waiting });
    }
    let keys: Arc<Mutex<Vec<InfoHash>>> = Arc::default();
    let put_keys = keys.clone();
    let mut puts = load(&clients, duration, 0, move |rng, op| {
        let key = InfoHash::new(rng.bytes());
        put_keys.lock().expect("not poisoned").push(key);
        Command::Put {
            op,
            key,
            value: Value::new(0, rng.bytes::<VALUE_SIZE>()),
            permanent: false,
        }
    })
    .await;
    let loaded = resident_kib();
    let mut gets = load(&clients, duration, 1, move |rng, op| {
        let keys = keys.lock().expect("not poisoned");
        Command::Get {
            op,
            key: keys[rng.index(keys.len()).expect("some")],
            query: Query::all(),
        }
    })
    .await;
    let each = |n: f64, load: &Load| n / load.done.max(1) as f64;
    let line = serde_json::json!({
        "program": format!("baraza {}", env!("CARGO_PKG_VERSION")),
        "nodes": count,
        "connected_s": connected,
        "idle_kib_per_node": (idle - before) / count as f64,
        "idle_cpu_percent": idle_cpu,
        "puts_per_s": puts.done as f64 / puts.elapsed,
        "put_p50_ms": puts.percentile(0.5),
        "put_p95_ms": puts.percentile(0.95),
        "put_failed": puts.done - puts.good,
        "cpu_ms_per_put": 1000.0 * each(puts.cpu, &puts),
        "kib_per_put": each(loaded - idle, &puts),
        "gets_per_s": gets.done as f64 / gets.elapsed,
        "get_p50_ms": gets.percentile(0.5),
        "get_p95_ms": gets.percentile(0.95),
        "get_empty": gets.done - gets.good,
        "cpu_ms_per_get": 1000.0 * each(gets.cpu, &gets),
    });
    println!("{line}");
}

fn main() {
    let mut words = std::env::args().skip(1);
    let count = words.next().and_then(|word| word.parse().ok());
    let duration = words.next().and_then(|word| word.parse().ok());
    let (Some(count), Some(duration)) = (count, duration) else {
        eprintln!("usage: cluster NODES SECONDS");
        std::process::exit(2);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run(count, duration));
}
