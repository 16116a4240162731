//! Links on real sockets in one process, with a DHT that is a list in memory.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use baraza_dht::{self as dht, OpId, Query, Value};
use baraza_identity::testing;
use baraza_link::driver::{Addresses, LinkHandle, start};
use baraza_link::{Command, Config, Event, Links};
use baraza_wire::{InfoHash, Rng};
use tokio::sync::mpsc;

/// Values by key, and who wants to know of new ones.
#[derive(Default)]
pub(crate) struct SmallDht {
    values: Vec<(InfoHash, Value)>,
    listens: Vec<(usize, OpId, InfoHash, Query)>,
    clients: Vec<mpsc::Sender<dht::Event>>,
}

impl SmallDht {
    fn handle(&mut self, client: usize, command: dht::Command) {
        let report = |client: usize, op, values: Vec<Value>| {
            if !values.is_empty() {
                let event = dht::Event::Values {
                    op,
                    values,
                    expired: false,
                };
                self.clients[client].try_send(event).unwrap();
            }
        };
        let find = |key: InfoHash, query: &Query| {
            let here = self.values.iter().filter(|(known, _)| *known == key);
            let values = here.map(|(_, value)| value.clone());
            values.filter(|value| query.matches(value)).collect()
        };
        match command {
            dht::Command::Get { op, key, query } => {
                report(client, op, find(key, &query));
                let result = Ok(());
                let done = dht::Event::Done { op, result };
                self.clients[client].try_send(done).unwrap();
            }
            dht::Command::Listen { op, key, query } => {
                report(client, op, find(key, &query));
                self.listens.push((client, op, key, query));
            }
            dht::Command::Put { op, key, value, .. } => {
                for (client, op, known, query) in &self.listens {
                    if *known == key && query.matches(&value) {
                        report(*client, *op, vec![value.clone()]);
                    }
                }
                self.values.push((key, value));
                let result = Ok(());
                let done = dht::Event::Done { op, result };
                self.clients[client].try_send(done).unwrap();
            }
            dht::Command::Cancel { op } => {
                self.listens.retain(|(c, o, _, _)| (*c, *o) != (client, op));
            }
            dht::Command::Bootstrap { .. }
            | dht::Command::Meet { .. }
            | dht::Command::ConnectivityChanged => {}
        }
    }
}

/// A device with its links.
pub(crate) struct End {
    pub(crate) handle: LinkHandle,
    pub(crate) events: mpsc::Receiver<Event>,
}

impl End {
    /// A device of the test identities, which knows the certificates of all.
    pub(crate) fn new(dht: &Arc<Mutex<SmallDht>>, name: &str) -> Self {
        let (sender, from_dht) = mpsc::channel(1024);
        let client = {
            let mut dht = dht.lock().unwrap();
            dht.clients.push(sender);
            dht.clients.len() - 1
        };
        let dht = dht.clone();
        let identity = testing::identity(name);
        let (handle, events) = start(
            move |now| {
                let config = Config {
                    allow_loopback: true,
                };
                Links::new(identity, config, [], now, Rng::from_os())
            },
            move |command| dht.lock().unwrap().handle(client, command),
            from_dht,
            Addresses::Fixed(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]),
        )
        .unwrap();
        for name in testing::DEVICES {
            let chain = testing::identity(name).chain().clone();
            handle.send(Command::KnowCertificate(chain));
        }
        Self { handle, events }
    }
}
