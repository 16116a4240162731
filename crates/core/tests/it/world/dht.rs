//! The DHT, as one that finds everything at once.

use super::*;

impl World {
    pub(super) fn expire(&mut self, host: usize, after: Duration) {
        let mut gone = Vec::new();
        for (key, values) in &mut self.values {
            // Announcements only: the rest stays for days.
            values.retain(|(owner, _, value)| {
                let expires = *owner == host && value.value_type() == 0;
                if expires {
                    gone.push((*key, value.clone()));
                }
                !expires
            });
        }
        for (key, value) in gone {
            for (listener, op) in self.listeners(&key) {
                let event = DhtEvent::Values {
                    op,
                    values: vec![value.clone()],
                    expired: true,
                };
                self.send(listener, after, Input::Dht(event));
            }
        }
    }

    /// Takes away what a host knows of revoked devices.
    pub(crate) fn forget_revocations(&mut self, host: usize) {
        let it = &self.hosts[host];
        let mut store = Store::open(it.directory.join("node.db"), Durability::Process).unwrap();
        let owner = it.keys.identity.account_id();
        store.set_revocations(it.number, &owner, &[]).unwrap();
    }

    pub(super) fn listeners(&self, key: &InfoHash) -> Vec<(usize, OpId)> {
        let mut found = Vec::new();
        for (host, it) in self.hosts.iter().enumerate() {
            if it.deaf && *key == it.keys.identity.account_id().into() {
                continue;
            }
            for (op, at) in &it.listens {
                if at == key {
                    found.push((host, *op));
                }
            }
        }
        found
    }

    pub(super) fn dht(&mut self, host: usize, command: baraza_dht::Command) {
        use baraza_dht::Command as Dht;
        match command {
            Dht::Put { op, key, value, .. } => {
                let done = DhtEvent::Done { op, result: Ok(()) };
                self.send(host, 2 * LATENCY, Input::Dht(done));
                self.serial += 1;
                let serial = self.serial;
                let values = self.values.entry(key).or_default();
                values.retain(|(_, _, old)| old.id != value.id);
                values.push((host, serial, value.clone()));
                for (listener, op) in self.listeners(&key) {
                    let found = DhtEvent::Values {
                        op,
                        values: vec![value.clone()],
                        expired: false,
                    };
                    self.send(listener, 3 * LATENCY, Input::Dht(found));
                }
            }
            Dht::Listen { op, key, .. } => {
                self.hosts[host].listens.insert(op, key);
                self.found(host, op, &key);
            }
            Dht::Get { op, key, .. } => {
                self.found(host, op, &key);
                let done = DhtEvent::Done { op, result: Ok(()) };
                self.send(host, 3 * LATENCY, Input::Dht(done));
            }
            Dht::Cancel { op } => {
                self.hosts[host].listens.remove(&op);
            }
            _ => {}
        }
    }

    pub(super) fn found(&mut self, host: usize, op: OpId, key: &InfoHash) {
        let it = &self.hosts[host];
        if it.deaf && *key == it.keys.identity.account_id().into() {
            return;
        }
        let values = self.values.get(key).into_iter().flatten();
        let values: Vec<Value> = values.map(|(_, _, value)| value.clone()).collect();
        if !values.is_empty() {
            let found = DhtEvent::Values {
                op,
                values,
                expired: false,
            };
            self.send(host, 2 * LATENCY, Input::Dht(found));
        }
    }
}
