//! `jami-peer`: one node driven by JSON lines, so that the scenarios in `testing/peers/` run
//! with any mix of Baraza and real daemons. Described in `docs/jami-peer.md`.

mod arguments;
mod commands;
mod files;
mod names;
mod output;
mod own;
mod profiles;

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use baraza_core::{Node, NodeConfig};
use clap::Parser;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use arguments::Arguments;
use commands::Peer;
use output::Output;

/// Lines read ahead of the command that runs.
const LINES_AHEAD: usize = 1024;
/// How long the node may take to write everything and end.
const END_TIMEOUT: Duration = Duration::from_secs(12);

/// A test peer: JSON lines in, JSON lines out (docs/jami-peer.md).
#[derive(Parser, Debug)]
#[command(version)]
struct Options {
    /// The peer's name: of its folder, and of accounts that are given none.
    #[arg(long)]
    name: String,
    /// The folder in which there is one for each peer.
    #[arg(long)]
    dir: PathBuf,
    /// DHT node to begin with, as HOST:PORT.
    #[arg(long, default_value = "")]
    bootstrap: String,
    /// Name server of accounts that are given none; nobody is asked if it is left out, too.
    #[arg(long, default_value = "")]
    name_server: String,
    /// Use the network as it is, which is always so.
    #[arg(long)]
    no_host: bool,
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("BARAZA_LOG")
                .unwrap_or_else(|_unset| "info".into()),
        )
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(run(options));
    // A read of standard input may never return: it must not keep the process.
    runtime.shutdown_background();
    ended
}

async fn run(options: Options) -> anyhow::Result<()> {
    let directory = options.dir.join(&options.name);
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let mut config = NodeConfig::new(directory.join("data"));
    if !options.bootstrap.is_empty() {
        config.bootstrap = vec![options.bootstrap.clone()];
    }
    let ip = own_ip(&options.bootstrap).map_or_else(String::new, |ip| ip.to_string());
    let output = Arc::new(Output::default());
    // The events of the start belong to this process's life, too.
    let node = Node::open(config).await?;
    let events = output::Events::new(node.clone());
    output.emit(&json!({
        "event": "ready",
        "name": options.name,
        "pid": std::process::id(),
        "ip": ip,
        "directory": directory,
    }));
    let (told, seen) = tokio::sync::watch::channel(0);
    let mut tasks = JoinSet::new();
    tasks.spawn(events.forward(Arc::clone(&output), told));

    let peer = Arc::new(Peer {
        node: node.clone(),
        name: options.name,
        bootstrap: options.bootstrap,
        name_server: options.name_server,
        ip,
        seen,
    });
    let (lines, requests) = mpsc::channel(LINES_AHEAD);
    let reading = tokio::spawn(read_lines(lines));
    let serving = serve(Arc::clone(&peer), Arc::clone(&output), requests);
    tokio::select! {
        () = serving => {}
        // The end of the input ends what is waiting, too.
        read = reading => read?.context("cannot read the standard input")?,
    }
    tokio::time::timeout(END_TIMEOUT, node.shutdown())
        .await
        .context("the node did not end in time")?;
    tasks.abort_all();
    Ok(())
}

async fn read_lines(lines: mpsc::Sender<Vec<u8>>) -> std::io::Result<()> {
    let mut input = BufReader::new(tokio::io::stdin());
    loop {
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        if lines.send(line).await.is_err() {
            return Ok(());
        }
    }
}

/// Does requests one after the other, those with `background` beside the others.
async fn serve(peer: Arc<Peer>, output: Arc<Output>, mut requests: mpsc::Receiver<Vec<u8>>) {
    let mut background = JoinSet::new();
    while let Some(line) = requests.recv().await {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let mut request = match serde_json::from_slice::<Value>(&line) {
            Ok(Value::Object(request)) => request,
            Ok(_) => {
                output.emit(&failed(&Value::Null, "the request is no object"));
                continue;
            }
            Err(error) => {
                output.emit(&failed(&Value::Null, &format!("bad request: {error}")));
                continue;
            }
        };
        let tag = request.remove("id").unwrap_or(Value::Null);
        let beside = request
            .remove("background")
            .is_some_and(|value| value == Value::Bool(true));
        let (peer, output) = (Arc::clone(&peer), Arc::clone(&output));
        let work = async move {
            let result = peer.run(Arguments::new(request)).await;
            // What the command brought about is told before its reply.
            peer.events_told().await;
            output.emit(&match result {
                Ok(result) => json!({"reply": tag, "ok": true, "result": result}),
                Err(error) => failed(&tag, &format!("{error:#}")),
            });
        };
        if beside {
            background.spawn(work);
            while background.try_join_next().is_some() {}
        } else {
            work.await;
        }
    }
}

fn failed(tag: &Value, error: &str) -> Value {
    json!({"reply": tag, "ok": false, "error": error})
}

/// The address this host has towards the bootstrap node. Sends nothing.
fn own_ip(bootstrap: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(bootstrap).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}
