//! The commands, and what becomes of them.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use baraza_dht::driver::{ClientHandle, Closed, DhtHandle};
use baraza_dht::{
    Command, Dht, Event, Family, OpId, Query, Value, certificate_value, infohash, secure,
    value_type,
};
use baraza_identity::{DeviceIdentity, PublicKey};
use baraza_wire::msgpack::Writer;
use baraza_wire::{DeviceId, InfoHash, Rng};
use tokio::sync::mpsc;

use super::show;
use crate::output::printable;

const DEFAULT_PORT: u16 = 4222;
/// Events that wait to be shown.
const QUEUE: usize = 256;
/// Searches that `ls` shows in full.
const MAX_SEARCHES: usize = 8;
/// How long the end waits for what is under way.
const FINISH: Duration = Duration::from_secs(30);

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    Command,
    Exit,
}

pub(super) struct Console {
    node: DhtHandle,
    client: ClientHandle,
    events: mpsc::Receiver<Event>,
    identity: Option<Arc<DeviceIdentity>>,
    rng: Rng,
    running: BTreeMap<OpId, Running>,
    next: u64,
}

struct Running {
    kind: Kind,
    key: InfoHash,
    begun: Instant,
    found: usize,
}

enum Kind {
    /// A get that prints values, or only fields.
    Get {
        rows: bool,
    },
    /// A get of a certificate, to encrypt a value with it.
    Certificate(Box<Sealing>),
    Listen,
    Put {
        id: u64,
        permanent: bool,
        quiet: bool,
    },
}

struct Sealing {
    key: InfoHash,
    value: Value,
    to: InfoHash,
    done: bool,
}

impl Console {
    pub(super) async fn new(
        node: DhtHandle,
        identity: Option<Arc<DeviceIdentity>>,
    ) -> anyhow::Result<Self> {
        let (client, events) = node.client(QUEUE).await?;
        let mut console = Self {
            node,
            client,
            events,
            identity,
            rng: Rng::from_os(),
            running: BTreeMap::new(),
            next: 0,
        };
        if let Some(identity) = console.identity.clone() {
            let value = certificate_value::build(identity.chain());
            for key in certificate_value::keys(identity.public_key()) {
                console.put(key, value.clone(), true, true).await?;
            }
        }
        Ok(console)
    }

    pub(super) fn greet(&self) {
        let bound = self.node.addresses();
        let port = bound
            .ipv4
            .or(bound.ipv6)
            .map_or(0, |address| address.port());
        show::line(&format!(
            "OpenDHT node {} running on port {port}",
            self.node.id()
        ));
        if let Some(identity) = &self.identity {
            show::line(&format!("Public key ID {}", identity.short_id()));
            show::line(&format!("Long key ID {}", identity.device_id()));
        }
        show::line(" (type 'h' or 'help' for a list of possible commands)\n");
    }

    pub(super) async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Does what a line says.
    pub(super) async fn take(&mut self, line: &str) -> Result<Done, Closed> {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match command {
            "" => {}
            "h" | "help" => show::line(show::HELP),
            "x" | "exit" | "quit" => return Ok(Done::Exit),
            "ll" => {
                self.greet_shortly();
                show::stats(&self.node.stats().await?);
            }
            "la" => {
                show::line("Reported public addresses:");
                for address in self.node.inspect(Dht::reported_addresses).await? {
                    show::line(&address.to_string());
                }
            }
            "lr" => {
                for (name, family) in [("IPv4", Family::V4), ("IPv6", Family::V6)] {
                    let table = self
                        .node
                        .inspect(move |dht| dht.routing_table(family))
                        .await?;
                    show::routing_table(name, &table);
                }
            }
            "ls" => self.list_searches(rest).await?,
            "ld" => self.list_storage(rest).await?,
            "cc" => self.client.send(Command::ConnectivityChanged).await?,
            "b" => self.bootstrap(rest).await?,
            _ => {
                if let Err(error) = self.operate(command, rest).await {
                    if error.is::<Closed>() {
                        return Err(Closed);
                    }
                    show::line(&format!("{error:#}"));
                }
            }
        }
        Ok(Done::Command)
    }

    /// Waits for operations that end by themselves, showing what becomes of them.
    pub(super) async fn finish(&mut self) {
        let all = async {
            while self.running.values().any(|running| {
                !matches!(running.kind, Kind::Listen | Kind::Put { quiet: true, .. })
            }) {
                match self.events.recv().await {
                    Some(event) => self.on_event(event).await,
                    None => break,
                }
            }
        };
        // What takes longer is not waited for.
        let _ = tokio::time::timeout(FINISH, all).await;
    }

    fn greet_shortly(&self) {
        let bound = self.node.addresses();
        let port = bound
            .ipv4
            .or(bound.ipv6)
            .map_or(0, |address| address.port());
        show::line(&format!(
            "OpenDHT node {} running on port {port}",
            self.node.id()
        ));
    }

    async fn list_searches(&self, word: &str) -> Result<(), Closed> {
        let only = (!word.is_empty()).then(|| key(word));
        let searches = self.node.inspect(Dht::search_list).await?;
        let brief = only.is_none() && searches.len() > MAX_SEARCHES;
        for search in searches {
            if brief {
                show::line(&format!("Search {:?} {}", search.family, search.key));
            } else if only.is_none_or(|only| only == search.key) {
                show::search(&search);
            }
        }
        Ok(())
    }

    async fn list_storage(&self, word: &str) -> Result<(), Closed> {
        let only = (!word.is_empty()).then(|| key(word));
        for (key, info) in self.node.inspect(Dht::key_list).await? {
            if only.is_none_or(|only| only == key) {
                show::line(&format!(
                    "Storage {key} {} listeners, {} values ({} bytes)",
                    info.listeners, info.values, info.bytes
                ));
            }
        }
        Ok(())
    }

    async fn bootstrap(&self, host: &str) -> Result<(), Closed> {
        let host = if host.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:{DEFAULT_PORT}")
        };
        let found = tokio::net::lookup_host(&host).await;
        match found {
            Ok(addresses) => {
                for addr in addresses {
                    self.client.send(Command::Bootstrap { addr }).await?;
                }
            }
            Err(error) => show::line(&format!("{}: {error}", printable(&host))),
        }
        Ok(())
    }

    async fn operate(&mut self, command: &str, rest: &str) -> anyhow::Result<()> {
        let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let rest = rest.trim();
        if !matches!(
            command,
            "g" | "q" | "l" | "cl" | "p" | "pp" | "cpp" | "s" | "e" | "a"
        ) {
            anyhow::bail!("unknown command; h prints all");
        }
        anyhow::ensure!(!word.is_empty(), "which key?");
        let key = key(word);
        match command {
            "g" | "q" => {
                let query = Query::from_str(rest)?;
                let rows = command == "q";
                let op = self.start(Kind::Get { rows }, key);
                self.client.send(Command::Get { op, key, query }).await?;
            }
            "l" => {
                let query = Query::from_str(rest)?;
                let op = self.start(Kind::Listen, key);
                self.client.send(Command::Listen { op, key, query }).await?;
                show::line(&format!("Listening, token: {}", op.0));
            }
            "cl" => {
                let op = OpId(rest.parse().context("the token that l printed?")?);
                let listens = self
                    .running
                    .get(&op)
                    .is_some_and(|running| matches!(running.kind, Kind::Listen));
                anyhow::ensure!(listens, "nothing listens by that token");
                self.running.remove(&op);
                self.client.send(Command::Cancel { op }).await?;
            }
            "cpp" => {
                let wanted = u64::from_str_radix(rest, 16).context("the id that pp printed?")?;
                let op = self.running.iter().find(|(_, running)| {
                    let kind = &running.kind;
                    running.key == key
                        && matches!(kind, Kind::Put { id, permanent: true, .. } if *id == wanted)
                });
                let op = *op.context("no such value is kept alive")?.0;
                self.running.remove(&op);
                self.client.send(Command::Cancel { op }).await?;
            }
            "p" | "pp" => {
                let value = text(rest)?;
                self.put(key, value, command == "pp", false).await?;
            }
            "a" => {
                let port: u16 = rest.parse().context("which port?")?;
                let value = Value::new(value_type::SERVICE, service(port));
                self.put(key, value, false, false).await?;
            }
            "s" => {
                let identity = self
                    .identity
                    .clone()
                    .context("that needs an identity: -i")?;
                let value = text(rest)?.with_random_id(&mut self.rng);
                let signed =
                    tokio::task::spawn_blocking(move || secure::sign(&value, identity.key(), None));
                self.put(key, signed.await??, false, false).await?;
            }
            "e" => self.encrypted(key, rest).await?,
            _ => {}
        }
        Ok(())
    }

    async fn encrypted(&mut self, key: InfoHash, rest: &str) -> anyhow::Result<()> {
        self.identity
            .as_ref()
            .context("that needs an identity: -i")?;
        let (to, word) = rest.split_once(' ').context("for whom, and what?")?;
        // Where the certificate of the recipient is: by its short or its long id.
        let to = match to.parse::<DeviceId>() {
            Ok(long) => infohash(long.as_bytes()),
            Err(_) => to.parse::<InfoHash>().context("for which key id?")?,
        };
        let value = text(word.trim())?.with_random_id(&mut self.rng);
        let sealing = Sealing {
            key,
            value,
            to,
            done: false,
        };
        let op = self.start(Kind::Certificate(Box::new(sealing)), to);
        let query = Query::by_type(value_type::CERTIFICATE);
        self.client
            .send(Command::Get { op, key: to, query })
            .await?;
        Ok(())
    }

    async fn put(
        &mut self,
        key: InfoHash,
        value: Value,
        permanent: bool,
        quiet: bool,
    ) -> Result<(), Closed> {
        let value = if value.id == 0 {
            value.with_random_id(&mut self.rng)
        } else {
            value
        };
        let id = value.id;
        let op = self.start(
            Kind::Put {
                id,
                permanent,
                quiet,
            },
            key,
        );
        self.client
            .send(Command::Put {
                op,
                key,
                value,
                permanent,
            })
            .await
    }

    fn start(&mut self, kind: Kind, key: InfoHash) -> OpId {
        self.next = self.next.wrapping_add(1);
        let op = OpId(self.next);
        self.running.insert(
            op,
            Running {
                kind,
                key,
                begun: Instant::now(),
                found: 0,
            },
        );
        op
    }

    /// Shows what happened.
    pub(super) async fn on_event(&mut self, event: Event) {
        match event {
            Event::Values {
                op,
                values,
                expired,
            } => self.on_values(op, values, expired).await,
            Event::Done { op, result } => {
                let Some(running) = self.running.get(&op) else {
                    return;
                };
                let took = show::span(running.begun.elapsed());
                let how = match &result {
                    Ok(()) => "",
                    Err(_) => "failure, ",
                };
                match &running.kind {
                    Kind::Get { .. } => show::line(&format!(
                        "Get: {}took {took} (total {})",
                        if result.is_ok() { "completed, " } else { how },
                        running.found
                    )),
                    Kind::Put { id, quiet, .. } => {
                        if !quiet {
                            show::line(&format!(
                                "Put: {}took {took}. Value ID: {id:x}",
                                if result.is_ok() { "success, " } else { how }
                            ));
                        }
                        if matches!(
                            running.kind,
                            Kind::Put {
                                permanent: true,
                                ..
                            }
                        ) {
                            return;
                        }
                    }
                    Kind::Certificate(sealing) if !sealing.done => {
                        show::line("Put: failure, no certificate of the recipient found");
                    }
                    Kind::Certificate(_) | Kind::Listen => {}
                }
                if let Err(error) = result {
                    show::line(&format!("  {error}"));
                }
                self.running.remove(&op);
            }
            Event::Status { .. } | Event::PublicAddress(_) => {}
        }
    }

    async fn on_values(&mut self, op: OpId, values: Vec<Value>, expired: bool) {
        let Some(running) = self.running.get_mut(&op) else {
            return;
        };
        let after = show::span(running.begun.elapsed());
        match &mut running.kind {
            Kind::Get { rows } => {
                let rows = *rows;
                running.found = running.found.saturating_add(values.len());
                show::line(&format!(
                    "Get: found {} value(s) after {after} (total {})",
                    values.len(),
                    running.found
                ));
                for value in values {
                    if rows {
                        show::line(&format!("\t{}", show::row(&value)));
                    } else {
                        self.show(&value);
                    }
                }
            }
            Kind::Listen => {
                if !expired {
                    running.found = running.found.saturating_add(values.len());
                }
                let total = running.found;
                let what = if expired { "expired" } else { "found" };
                show::line(&format!(
                    "Listen: {what} {} values (total {total})",
                    values.len()
                ));
                for value in values {
                    self.show(&value);
                }
            }
            Kind::Certificate(sealing) => {
                let recipient = values
                    .iter()
                    .find_map(|value| certificate_value::parse(&sealing.to, value))
                    .map(|chain| chain.leaf().public_key().clone());
                if let (Some(recipient), false) = (recipient, sealing.done) {
                    sealing.done = true;
                    let (key, value) = (sealing.key, sealing.value.clone());
                    if let Err(error) = self.put_encrypted(key, value, recipient).await {
                        show::line(&format!("{error:#}"));
                    }
                }
            }
            Kind::Put { .. } => {}
        }
    }

    async fn put_encrypted(
        &mut self,
        key: InfoHash,
        value: Value,
        recipient: PublicKey,
    ) -> anyhow::Result<()> {
        let identity = self
            .identity
            .clone()
            .context("that needs an identity: -i")?;
        let sealed = tokio::task::spawn_blocking(move || {
            secure::encrypt(&value, identity.key(), &recipient)
        });
        self.put(key, sealed.await??, false, false).await?;
        Ok(())
    }

    /// Shows a value if it is what it says it is: as `dhtnode`, nothing else.
    fn show(&self, value: &Value) {
        let opened = match &self.identity {
            Some(identity) => secure::open(value, identity.key()).map(|opened| opened.value),
            None if value.is_encrypted() => Ok(value.clone()),
            None => secure::verify(value).map(|_signer| value.clone()),
        };
        match opened {
            Ok(opened) => {
                let decrypted = value.is_encrypted() && !opened.is_encrypted();
                show::line(&format!("\t{}", show::value(&opened, decrypted)));
            }
            Err(error) => show::line(&format!(
                "\t{} left out: {error}",
                show::value(value, false)
            )),
        }
    }
}

fn key(word: &str) -> InfoHash {
    word.parse().unwrap_or_else(|_word| {
        let key = infohash(word);
        show::line(&format!("Using h({}) = {key}", printable(word)));
        key
    })
}

fn text(word: &str) -> anyhow::Result<Value> {
    anyhow::ensure!(!word.is_empty(), "which value?");
    Ok(Value::new(0, word).with_user_type("text/plain"))
}

/// The address of a service: storing nodes put in where it was announced from.
fn service(port: u16) -> Vec<u8> {
    let mut raw = Vec::with_capacity(16);
    raw.extend(2u16.to_le_bytes());
    raw.extend(port.to_be_bytes());
    raw.extend([0; 12]);
    let mut writer = Writer::new();
    writer.bin(&raw);
    writer.into_bytes()
}
