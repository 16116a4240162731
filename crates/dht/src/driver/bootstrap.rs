//! Looks up the hosts to join through, until one of them is found and answers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use super::handle::Message;
use crate::api::{ClientId, Command, Status};

const DEFAULT_PORT: u16 = 4222;
/// Pause before names are looked up again; the machine itself pings known addresses again.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const MAX_PAUSE: Duration = Duration::from_secs(5 * 60);
/// Addresses of one host that are tried.
const MAX_ADDRESSES: usize = 8;

pub(super) async fn run(
    hosts: watch::Receiver<Vec<String>>,
    commands: mpsc::WeakSender<Message>,
    mut status: watch::Receiver<(Status, Status)>,
    changed: Arc<Notify>,
) {
    let mut later = hosts.clone();
    // Whether somebody may still give others.
    let mut open = true;
    let mut pause = FIRST_PAUSE;
    // Others than before, whom nobody has asked yet.
    let mut new = false;
    loop {
        let (ipv4, ipv6) = *status.borrow_and_update();
        let connected = ipv4 == Status::Connected || ipv6 == Status::Connected;
        if new || !connected {
            new = false;
            let hosts = hosts.borrow().clone();
            for host in &hosts {
                for addr in look_up(host).await {
                    let Some(commands) = commands.upgrade() else {
                        return;
                    };
                    let command = Box::new(Command::Bootstrap { addr });
                    let message = Message::Command(ClientId(0), command);
                    if commands.send(message).await.is_err() {
                        return;
                    }
                }
            }
        } else {
            pause = FIRST_PAUSE;
        }
        let nobody = hosts.borrow().is_empty();
        let wait = async {
            if connected || nobody {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(pause).await;
        };
        tokio::select! {
            () = wait => pause = pause.saturating_mul(2).min(MAX_PAUSE),
            () = changed.notified() => pause = FIRST_PAUSE,
            given = later.changed(), if open => match given {
                Ok(()) => (new, pause) = (true, FIRST_PAUSE),
                Err(_) if nobody => return,
                Err(_) => open = false,
            },
            changed = disconnected(&mut status), if connected => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

async fn disconnected(
    status: &mut watch::Receiver<(Status, Status)>,
) -> Result<(), watch::error::RecvError> {
    let lost =
        |(ipv4, ipv6): &(Status, Status)| *ipv4 != Status::Connected && *ipv6 != Status::Connected;
    status.wait_for(lost).await.map(|_| ())
}

async fn look_up(host: &str) -> Vec<SocketAddr> {
    addresses_of(host).await.unwrap_or_else(|error| {
        tracing::debug!(%error, "cannot look up a bootstrap host");
        Vec::new()
    })
}

/// The addresses of a host to join through: `host`, `host:port`, `[v6]:port`.
///
/// # Errors
/// If it cannot be looked up.
pub async fn addresses_of(host: &str) -> io::Result<Vec<SocketAddr>> {
    let found = match host_and_port(host) {
        (host, Some(port)) => tokio::net::lookup_host((host, port)).await,
        (host, None) => tokio::net::lookup_host((host, DEFAULT_PORT)).await,
    };
    found.map(|addresses| addresses.take(MAX_ADDRESSES).collect())
}

/// Splits `host`, `host:port`, `[v6]`, `[v6]:port`, `v6`.
fn host_and_port(text: &str) -> (&str, Option<u16>) {
    if let Some(rest) = text.strip_prefix('[')
        && let Some((host, rest)) = rest.split_once(']')
    {
        return (
            host,
            rest.strip_prefix(':').and_then(|port| port.parse().ok()),
        );
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (text, None),
        },
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_split() {
        for (text, host, port) in [
            ("bootstrap.jami.net", "bootstrap.jami.net", None),
            ("localhost:5000", "localhost", Some(5000)),
            ("[::1]:5000", "::1", Some(5000)),
            ("[::1]", "::1", None),
            ("2001:db8::1", "2001:db8::1", None),
        ] {
            assert_eq!(host_and_port(text), (host, port), "{text}");
        }
    }
}
