//! `baraza dht`: a node of the DHT alone, with the options and the commands of `dhtnode`
//! (docs/protocol/01-dht.md section 12).

mod console;
mod show;

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use baraza_dht::driver::discovery::LocalNetwork;
use baraza_dht::driver::{self, DriverConfig, Port};
use baraza_dht::{Config, Limits, infohash};
use baraza_identity::{CertificateChain, DeviceIdentity, PrivateKey, account};
use baraza_link::driver::addresses::local_addresses;
use baraza_wire::UnixTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

use console::{Console, Done};

/// Lines typed ahead.
const LINES_AHEAD: usize = 64;

/// How the node runs.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DhtArgs {
    /// UDP port [default: a random one from 4000 to 8888]
    #[arg(
        short,
        long,
        value_name = "PORT",
        default_value_t = 0,
        hide_default_value = true
    )]
    port: u16,
    /// Number of the network, as 1337, 0x539 or 02471; 0 is the public one
    #[arg(short, long, value_name = "ID", default_value = "0", value_parser = network)]
    net: u32,
    /// Node to begin with; may be given several times
    #[arg(short, long, value_name = "HOST[:PORT]")]
    bootstrap: Vec<String>,
    /// Make an identity and publish its certificate; takes some seconds
    #[arg(short, long, conflicts_with = "certificate")]
    identity: bool,
    /// Certificate of an identity to use, a PEM file
    #[arg(long, value_name = "FILE", requires = "privkey")]
    certificate: Option<PathBuf>,
    /// Its private key, a PEM file
    #[arg(long, value_name = "FILE", requires = "certificate")]
    privkey: Option<PathBuf>,
    /// Save the identity as PATH.pem and PATH.crt
    #[arg(long, value_name = "PATH", requires = "identity")]
    save_identity: Option<PathBuf>,
    /// Keep the known nodes and the stored values in this file between runs
    #[arg(short = 'f', long, value_name = "FILE")]
    persist: Option<PathBuf>,
    /// Do not limit requests, nor what is stored
    #[arg(short = 'U', long)]
    no_rate_limit: bool,
    /// The address of this host is public and does not change
    #[arg(short = 'P', long)]
    public_stable: bool,
    /// Find the nodes of the local network, and be found by them
    #[arg(short = 'D', long)]
    peer_discovery: bool,
    /// Run without a prompt until SIGTERM
    #[arg(short, long)]
    service: bool,
    /// Log to the standard error
    #[arg(short, long)]
    verbose: bool,
}

fn network(text: &str) -> Result<u32, String> {
    let parsed = if let Some(hex) = text.strip_prefix("0x") {
        u32::from_str_radix(hex, 16)
    } else if text.len() > 1 && text.starts_with('0') {
        u32::from_str_radix(text, 8)
    } else {
        text.parse()
    };
    parsed.map_err(|error| error.to_string())
}

/// Runs the node until the end of the input or a signal.
pub(crate) async fn run(args: DhtArgs) -> anyhow::Result<()> {
    if args.verbose {
        let filter = EnvFilter::new("debug");
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .init();
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let identity = identity(&args).await?.map(Arc::new);
    let node_id = identity
        .as_ref()
        .map(|identity| infohash(format!("node:{}", identity.short_id())));
    let config = DriverConfig {
        dht: Config {
            node_id,
            network: args.net,
            public_stable: args.public_stable,
            limits: if args.no_rate_limit {
                Limits::none()
            } else {
                Limits::default()
            },
            ..Config::default()
        },
        port: match args.port {
            0 => Port::Jami,
            port => Port::Fixed(port),
        },
        bootstrap: args.bootstrap.clone(),
        state_file: args.persist.clone(),
        keep_values: true,
        ..DriverConfig::default()
    };
    let node = driver::start(config)?;
    // Ends when it is dropped.
    let _local = match args.peer_discovery {
        true => {
            let local = LocalNetwork::start(node.clone(), args.net, local_addresses);
            Some(local.context("cannot look for nodes in the local network")?)
        }
        false => None,
    };
    let mut console = Console::new(node.clone(), identity).await?;
    console.greet();
    let prompt = !args.service && std::io::stdin().is_terminal();
    let (lines, mut typed) = mpsc::channel(LINES_AHEAD);
    if !args.service {
        // A thread of its own, because a read of a terminal cannot be given up.
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines() {
                let Ok(line) = line else { break };
                if lines.blocking_send(line).is_err() {
                    break;
                }
            }
        });
    }
    // Started with nothing to read, as a service is: then the input's end says nothing.
    let mut read_any = prompt;
    let mut reading = !args.service;
    if prompt {
        show::prompt();
    }
    loop {
        tokio::select! {
            line = typed.recv(), if reading => match line {
                Some(line) => {
                    read_any = true;
                    if console.take(line.trim()).await? == Done::Exit {
                        break;
                    }
                    if prompt {
                        show::prompt();
                    }
                }
                None if read_any => {
                    // Whoever pipes commands in wants to see what became of them.
                    console.finish().await;
                    break;
                }
                None => reading = false,
            },
            event = console.next() => match event {
                Some(event) => console.on_event(event).await,
                None => bail!("the node ended"),
            },
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        }
    }
    show::line("Stopping node...");
    node.shutdown().await;
    Ok(())
}

async fn identity(args: &DhtArgs) -> anyhow::Result<Option<DeviceIdentity>> {
    if let (Some(certificate), Some(key)) = (&args.certificate, &args.privkey) {
        let read = |path: &Path| {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        };
        let chain = CertificateChain::from_pem(read(certificate)?)?;
        let key = PrivateKey::from_pem(&read(key)?)?;
        return Ok(Some(DeviceIdentity::new(key, chain)?));
    }
    if !args.identity {
        return Ok(None);
    }
    let made = tokio::task::spawn_blocking(|| {
        let now = UnixTime::from_system(SystemTime::now());
        account::temporary_identity(now, &mut |_step| {})
    });
    let identity = made.await??;
    if let Some(path) = &args.save_identity {
        save(path, &identity)?;
    }
    Ok(Some(identity))
}

fn save(path: &Path, identity: &DeviceIdentity) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let key = path.with_extension("pem");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&key)
        .with_context(|| format!("cannot write {}", key.display()))?;
    file.write_all(identity.key().to_pkcs8_pem().as_bytes())?;
    let chain = path.with_extension("crt");
    std::fs::write(&chain, identity.chain().to_pem())
        .with_context(|| format!("cannot write {}", chain.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_numbers_have_three_forms() {
        assert_eq!(network("1337"), Ok(1337));
        assert_eq!(network("0x539"), Ok(1337));
        assert_eq!(network("02471"), Ok(1337));
        assert_eq!(network("0"), Ok(0));
        assert!(network("x").is_err());
    }
}
