//! Nodes on real sockets.

use std::time::Duration;

use baraza_dht::driver::{ClientHandle, Closed, DhtHandle, DriverConfig, DriverError, Port, start};
use baraza_dht::{Command, Event, OpId, Query, Status, Value, infohash};
use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Peer {
    pub(crate) node: DhtHandle,
    pub(crate) client: ClientHandle,
    pub(crate) events: mpsc::Receiver<Event>,
}

impl Peer {
    pub(crate) async fn start(config: DriverConfig) -> Self {
        let node = start(config).unwrap();
        let (client, events) = node.client(16).await.unwrap();
        Self {
            node,
            client,
            events,
        }
    }

    pub(crate) async fn near(other: &Self) -> Self {
        let mut config = DriverConfig::loopback();
        config.bootstrap = vec![other.address()];
        Self::start(config).await
    }

    pub(crate) fn address(&self) -> String {
        self.node.addresses().ipv4.unwrap().to_string()
    }

    pub(crate) async fn connected(&self) {
        let mut status = self.node.status();
        let connected = status.wait_for(|(ipv4, _)| *ipv4 == Status::Connected);
        timeout(PATIENCE, connected).await.unwrap().unwrap();
    }

    pub(crate) async fn next(&mut self) -> Event {
        timeout(PATIENCE, self.events.recv())
            .await
            .unwrap()
            .unwrap()
    }

    /// The values of an operation until it is done.
    pub(crate) async fn finish(&mut self, of: OpId) -> Vec<Value> {
        let mut found = Vec::new();
        loop {
            match self.next().await {
                Event::Values { op, values, .. } if op == of => found.extend(values),
                Event::Done { op, result } if op == of => {
                    assert_eq!(result, Ok(()));
                    return found;
                }
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn values_travel_over_sockets() {
    let mut first = Peer::start(DriverConfig::loopback()).await;
    let mut second = Peer::near(&first).await;
    second.connected().await;
    let key = infohash("over sockets");
    let value = Value::new(0, vec![5; 20_000]).with_id(9);
    let op = OpId(1);
    let put = Command::Put {
        op,
        key,
        value: value.clone(),
        permanent: false,
    };
    second.client.send(put).await.unwrap();
    second.finish(op).await;
    let query = Query::all();
    first
        .client
        .send(Command::Get { op, key, query })
        .await
        .unwrap();
    assert_eq!(first.finish(op).await, [value]);
    let stats = first.node.stats().await.unwrap();
    assert_eq!(stats.storage.values, 1);
    second.node.shutdown().await;
    assert_eq!(second.node.stats().await, Err(Closed));
    assert_eq!(
        timeout(PATIENCE, async {
            while second.events.recv().await.is_some() {}
        })
        .await,
        Ok(())
    );
}

#[tokio::test]
async fn a_dropped_client_ends_its_operations() {
    let peer = Peer::start(DriverConfig::loopback()).await;
    let listen = Command::Listen {
        op: OpId(1),
        key: infohash("x"),
        query: Query::all(),
    };
    peer.client.send(listen).await.unwrap();
    assert_eq!(peer.node.stats().await.unwrap().operations, 1);
    drop(peer.client);
    timeout(PATIENCE, async {
        while peer.node.stats().await.unwrap().operations > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_a_node_knows_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let first = Peer::start(DriverConfig::loopback()).await;
    let config = DriverConfig {
        state_file: Some(dir.path().join("dhtstate")),
        bootstrap: vec![first.address()],
        ..DriverConfig::loopback()
    };
    let second = Peer::start(config.clone()).await;
    second.connected().await;
    second.node.shutdown().await;
    let again = Peer::start(DriverConfig {
        bootstrap: Vec::new(),
        ..config
    })
    .await;
    assert_eq!(again.node.id(), second.node.id());
    again.connected().await;
}

#[tokio::test]
async fn a_slow_client_loses_nothing() {
    let first = Peer::start(DriverConfig::loopback()).await;
    let mut peer = Peer::near(&first).await;
    peer.connected().await;
    for n in 0..200u64 {
        let put = Command::Put {
            op: OpId(n),
            key: infohash(n.to_be_bytes()),
            value: Value::new(0, b"x"),
            permanent: false,
        };
        peer.client.send(put).await.unwrap();
    }
    let mut done = 0;
    while done < 200 {
        done += usize::from(matches!(peer.next().await, Event::Done { .. }));
    }
}

#[tokio::test]
async fn ports_are_those_asked_for() {
    for _ in 0..5 {
        let config = DriverConfig {
            port: Port::Jami,
            ..DriverConfig::loopback()
        };
        let node = start(config).unwrap();
        let port = node.addresses().ipv4.unwrap().port();
        assert!((4000..=8888).contains(&port), "{port}");
        let taken = DriverConfig {
            port: Port::Fixed(port),
            ..DriverConfig::loopback()
        };
        let error = start(taken).unwrap_err();
        assert!(matches!(error, DriverError::Bind { .. }));
    }
}
