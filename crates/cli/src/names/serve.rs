//! Serving a directory until a signal comes.

use std::sync::Arc;
use std::time::Duration;

use baraza_names::audit::Signer;
use baraza_names::confusable::Likeness;
use baraza_names::server::source::Rate;
use baraza_names::server::{Config, Limits, NamesServer, Reserved, TlsFiles};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::Place;
use crate::args::{Global, NamesOptions};
use crate::error::CliError;
use crate::{output, run};

/// The key that signs checkpoints.
const KEY_FILE: &str = "checkpoint.key";

pub(super) async fn serve(
    global: &Global,
    options: &NamesOptions,
    place: &Place,
) -> Result<(), CliError> {
    run::log(&options.logs)?;
    let config = config(options)?;
    more_files();
    let store = place.open().await?;
    let path = place.dir.join(KEY_FILE);
    let signer = Signer::load_or_create(&path)
        .map_err(CliError::file(format!("cannot use {}", path.display())))?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let server = NamesServer::start(store, Arc::new(signer), config)
        .await
        .map_err(|error| CliError::Other(error.to_string()))?;
    if global.json {
        output::json(&json!({
            "listen": server.addresses(),
            "monitor": server.monitor(),
            "data": place.dir,
        }))?;
    } else {
        for address in server.addresses() {
            output::line(&format!("Names are served on {address}"))?;
        }
    }
    let name = loop {
        tokio::select! {
            _ = interrupt.recv() => break "SIGINT",
            _ = terminate.recv() => break "SIGTERM",
            _ = hang_up.recv() => if let Err(error) = server.reload() {
                tracing::error!(%error, "the certificate cannot be used, the old one stays");
            },
        }
    };
    tracing::info!(signal = name, "shutting down");
    server.shutdown().await;
    Ok(())
}

fn config(options: &NamesOptions) -> Result<Config, CliError> {
    let likeness: Likeness = options
        .alike
        .parse()
        .map_err(|error| CliError::Usage(format!("--alike: {error}")))?;
    let reserved = match &options.reserved {
        None => Reserved::default(),
        Some(path) => {
            let name = path.display();
            let text = std::fs::read_to_string(path)
                .map_err(CliError::file(format!("cannot read {name}")))?;
            Reserved::parse(&text, likeness)
                .map_err(|error| CliError::Usage(format!("{name}: {error}")))?
        }
    };
    let tls = match (&options.certificate, &options.key) {
        (Some(certificate), Some(key)) => Some(TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        }),
        _ => None,
    };
    let rate = |count: u32, seconds, burst: u32| {
        (count > 0).then_some(Rate {
            count,
            per: Duration::from_secs(seconds),
            burst,
        })
    };
    let limits = Limits {
        lookups: rate(options.lookups, 1, options.lookups.saturating_mul(10)),
        all_lookups: rate(options.all_lookups, 1, options.all_lookups),
        registrations: rate(
            options.registrations,
            3600,
            options.registrations.div_ceil(2),
        ),
        all_registrations: rate(
            options.all_registrations,
            1,
            options.all_registrations.saturating_mul(10),
        ),
        connections: options.connections,
        connections_of_one: options.connections_of_one,
        ..Limits::default()
    };
    Ok(Config {
        listen: options.listen.clone(),
        monitor: options.monitor,
        tls,
        proxies: options
            .proxy
            .iter()
            .map(std::net::IpAddr::to_canonical)
            .collect(),
        likeness,
        reserved,
        work_bits: options.work,
        limits,
        ..Config::default()
    })
}

/// Connections are files, and the limit that programs start with is low.
pub(crate) fn more_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
