//! `baraza run`: the node.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;

use baraza_api::monitor::MonitorServer;
use baraza_api::{ApiConfig, ApiServeError, ApiServer, Elsewhere, Patience, TlsFiles};
use baraza_core::relay::Relay;
use baraza_core::{Command, Node, NodeConfig, NodeError, Reply};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::args::{
    DEFAULT_API, Global, LogFormat, LogOptions, PUBLIC_BOOTSTRAP, RelayOptions, RunOptions,
};
use crate::error::CliError;
use crate::names::more_files;
use crate::{output, paths, relay};

pub(crate) async fn run(
    global: &Global,
    options: RunOptions,
    relay: Option<RelayOptions>,
) -> Result<(), CliError> {
    log(&options.logs)?;
    let relay = match relay {
        Some(options) => Some((relay::settings(global, &options)?, options)),
        None => None,
    };
    let data_dir = paths::data_dir(global)?;
    // Before anything is started: a signal from now on ends the node cleanly.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;

    let elsewhere = elsewhere(&options)?;
    more_files();
    let mut config = NodeConfig::new(&data_dir);
    config.dht_port = options.listen;
    config.loopback = options.loopback;
    config.bootstrap_given = options.no_bootstrap || !options.bootstrap.is_empty();
    config.bootstrap = match (options.no_bootstrap, options.bootstrap) {
        (true, _) => Vec::new(),
        (false, given) if given.is_empty() => vec![PUBLIC_BOOTSTRAP.to_owned()],
        (false, given) => given,
    };
    let node = Node::open(config).await.map_err(|error| match error {
        NodeError::InUse(_) => CliError::InUse(error.to_string()),
        other => CliError::Other(other.to_string()),
    })?;
    let inside = options.api.filter(|_| elsewhere.is_none());
    let api = |address| ApiConfig {
        address,
        elsewhere: elsewhere.clone(),
        hosts: options.api_host.clone(),
        compat: options.compat_api,
        data_dir: data_dir.clone(),
        patience: Patience::default(),
    };
    let served = match same_api().or(inside) {
        Some(address) => ApiServer::start(node.clone(), api(address)).await,
        None => start_anywhere(&node, api).await,
    };
    let served = match served {
        Ok(served) => served,
        Err(error) => {
            node.shutdown().await;
            return Err(CliError::Other(error.to_string()));
        }
    };
    greet(&node, &served, global).await?;
    let relaying = match relay {
        Some((settings, options)) => {
            // It may wait for another device.
            let started = tokio::select! {
                started = start_relay(&node, global, settings, &options) => started,
                _ = interrupt.recv() => Err(CliError::Interrupted),
                _ = terminate.recv() => Err(CliError::Interrupted),
            };
            match started {
                Ok(monitor) => Some(monitor),
                Err(error) => {
                    served.shutdown().await;
                    node.shutdown().await;
                    return Err(error);
                }
            }
        }
        None => None,
    };

    let mut hang_up = match served.elsewhere() {
        Some(_) => Some(signal(SignalKind::hangup())?),
        None => None,
    };
    let why = loop {
        let renewed = async {
            match &mut hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => break "SIGINT",
            _ = terminate.recv() => break "SIGTERM",
            () = node.restart_wanted() => break AGAIN,
            _ = renewed => match served.reload() {
                Ok(_) => tracing::info!("the certificate was read again"),
                Err(error) => {
                    tracing::error!(%error, "the certificate cannot be used, the old one stays");
                }
            },
        }
    };
    tracing::info!(why, "shutting down");
    let address = served.address();
    if let Some(monitor) = relaying {
        monitor.shutdown().await;
    }
    served.shutdown().await;
    // Whoever asks a second time does not want to wait.
    tokio::select! {
        () = node.shutdown() => {}
        _ = interrupt.recv() => return Err(CliError::Interrupted),
        _ = terminate.recv() => return Err(CliError::Interrupted),
    }
    match why {
        AGAIN => Err(again(address)),
        _ => Ok(()),
    }
}

/// Why a node ends that is started again at once.
const AGAIN: &str = "a restart";
/// In the environment of a program that starts again: where its API was, which may be a port
/// that the system chose.
const SAME_API: &str = "BARAZA_SAME_API";

/// Starts this program again with the same arguments, in its place. Comes back only if that
/// fails. Nothing of the old one is left, no open file and no connection to the database.
fn again(api: SocketAddr) -> CliError {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return error.into(),
    };
    let error = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(SAME_API, api.to_string())
        .exec();
    CliError::Other(format!("start the node again: baraza run ({error})"))
}

/// Where the API was before the program started again.
fn same_api() -> Option<SocketAddr> {
    std::env::var(SAME_API).ok()?.parse().ok()
}

/// Where other machines reach the API, if they do.
fn elsewhere(options: &RunOptions) -> Result<Option<Elsewhere>, CliError> {
    match (options.api, &options.tls_cert, &options.tls_key) {
        (Some(address), Some(certificate), Some(key)) => Ok(Some(Elsewhere {
            address,
            tls: TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            },
        })),
        // Before the node is opened: what is refused does nothing.
        (Some(address), _, _) if !address.ip().is_loopback() => Err(CliError::Usage(
            ApiServeError::NotLoopback(address).to_string(),
        )),
        _ => Ok(None),
    }
}

/// Makes the node a relay.
async fn start_relay(
    node: &Node,
    global: &Global,
    mut settings: relay::Settings,
    options: &RelayOptions,
) -> Result<MonitorServer, CliError> {
    let account = relay::account(node, global, options, &mut settings).await?;
    let (address, config) = settings.into_parts();
    let relay = Relay::new(node.clone(), account, config);
    let monitor = relay::monitor(&relay, address).await?;
    relay::greet(&relay, monitor.address(), global).await?;
    tokio::spawn(async move {
        if let Err(error) = relay.run().await {
            tracing::error!(%error, "the relay ends");
        }
    });
    Ok(monitor)
}

/// On the usual port, or any other if that is in use.
async fn start_anywhere(
    node: &Node,
    config: impl Fn(SocketAddr) -> ApiConfig,
) -> Result<ApiServer, ApiServeError> {
    let usual: SocketAddr = DEFAULT_API
        .parse()
        .unwrap_or_else(|_unparsed| SocketAddr::from(([127, 0, 0, 1], 0)));
    match ApiServer::start(node.clone(), config(usual)).await {
        Err(ApiServeError::Listen { .. }) => {
            let any = SocketAddr::new(usual.ip(), 0);
            ApiServer::start(node.clone(), config(any)).await
        }
        other => other,
    }
}

/// Begins to log to the standard error.
pub(crate) fn log(options: &LogOptions) -> Result<(), CliError> {
    let level = match options.log_level.as_str() {
        "" => "info",
        level => level,
    };
    let filter = EnvFilter::try_new(level)
        .map_err(|error| CliError::Usage(format!("--log-level {level}: {error}")))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match options.log {
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr())
                && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).init();
        }
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

/// Says that the node runs and what to do next.
async fn greet(node: &Node, served: &ApiServer, global: &Global) -> Result<(), CliError> {
    let api = served.address();
    // What goes to a journal is read by others, and later.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let app = (!journal).then(|| served.login_link());
    let mut accounts = Vec::new();
    for account in node.accounts() {
        if let Ok(Reply::Identity(identity)) =
            node.command(account.account, Command::Identity).await
        {
            accounts.push(identity);
        }
    }
    if global.json {
        return output::json(&json!({
            "event": "ready",
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "api": api,
            "elsewhere": served.elsewhere(),
            "app": app,
            "data_dir": node.config().data_dir,
            "dht": node.dht_addresses(),
            "accounts": accounts,
        }));
    }
    output::line(&format!(
        "Baraza {} runs. Leave it running; Ctrl-C ends it.\n  data  {}\n  API   http://{api} \
         (described at /api/openapi.json)",
        env!("CARGO_PKG_VERSION"),
        node.config().data_dir.display(),
    ))?;
    if let Some(elsewhere) = served.elsewhere() {
        output::line(&format!(
            "        https://{elsewhere} for other machines, with the password"
        ))?;
    }
    if let Some(app) = app {
        output::line(&format!(
            "  app   {app}\n        (opens once, for five minutes; then: baraza open)"
        ))?;
    }
    for identity in &accounts {
        output::line(&format!(
            "  you   {} {}",
            identity.jami_id,
            output::printable(&identity.display_name)
        ))?;
    }
    let program = std::env::args().next().unwrap_or_else(|| "baraza".into());
    let mut next = vec![String::new(), "In another terminal:".into()];
    if program != "baraza" {
        next.push(format!("  alias baraza={program}"));
    }
    if global.data_dir.is_some() {
        let dir = node.config().data_dir.display();
        next.push(format!("  export BARAZA_DATA_DIR={dir}"));
    }
    if accounts.is_empty() {
        next.push("  baraza account create --name \"Your name\"   # prints your Jami ID".into());
    }
    for line in [
        "  baraza contact add JAMI_ID                   # asks somebody who uses Jami or Baraza",
        "  baraza request list                          # has somebody asked you?",
        "  baraza chat JAMI_ID                          # talk",
        "  baraza --help                                # all the rest",
    ] {
        next.push(line.into());
    }
    output::line(&next.join("\n"))
}
