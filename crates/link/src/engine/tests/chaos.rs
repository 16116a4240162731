//! Anything at any time: whatever happens, each channel has one story that makes sense,
//! and nothing is left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use baraza_identity::testing::identity;
use baraza_wire::{DeviceId, Rng};
use bytes::Bytes;
use proptest::prelude::*;

use super::net::Net;
use crate::api::{ChannelId, Command, Event};
use crate::mux::WRITE_WINDOW;

const NAMES: [&str; 3] = ["alice", "bob", "bob-2"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Asked,
    Requested,
    Open,
}

/// What the owner of a node knows.
#[derive(Default)]
struct Owner {
    channels: BTreeMap<ChannelId, (State, usize)>,
    /// Those that may not be heard of any more.
    over: BTreeSet<ChannelId>,
    linked: BTreeSet<DeviceId>,
}

impl Owner {
    fn hear(&mut self, event: Event) {
        match event {
            Event::Requested { channel, peer, .. } => {
                assert!(channel.is_incoming() && !self.over.contains(&channel));
                assert!(self.linked.contains(&peer.device));
                let old = self.channels.insert(channel, (State::Requested, 0));
                assert_eq!(old, None);
            }
            Event::Opened { channel, peer } => {
                assert!(self.linked.contains(&peer.device));
                let old = self.channels.insert(channel, (State::Open, 0));
                assert_eq!(old, Some((State::Asked, 0)));
            }
            Event::Failed { channel, .. } => {
                let old = self.channels.remove(&channel);
                assert_eq!(old, Some((State::Asked, 0)));
                self.over.insert(channel);
            }
            Event::Data { channel, bytes } => {
                assert!(!bytes.is_empty());
                assert_eq!(self.channels[&channel].0, State::Open);
            }
            Event::Sent { channel, bytes } => {
                let (state, unsent) = self.channels.get_mut(&channel).unwrap();
                assert_eq!(*state, State::Open);
                *unsent = unsent.checked_sub(bytes).unwrap();
            }
            Event::Closed { channel } => {
                let (state, _) = self.channels.remove(&channel).unwrap();
                assert_ne!(state, State::Asked);
                self.over.insert(channel);
            }
            Event::LinkUp { peer } => assert!(self.linked.insert(peer.device)),
            Event::LinkDown { device, .. } => assert!(self.linked.remove(&device)),
            Event::OfferSeen { .. } => {}
        }
    }

    fn pick(&self, rng: &mut Rng, state: State) -> Option<ChannelId> {
        let all: Vec<_> = self
            .channels
            .iter()
            .filter(|(_, (s, _))| *s == state)
            .map(|(channel, _)| *channel)
            .collect();
        rng.index(all.len()).map(|index| all[index])
    }
}

struct Chaos {
    net: Net,
    owners: Vec<Owner>,
    rng: Rng,
}

impl Chaos {
    fn hear(&mut self) {
        for (node, owner) in self.owners.iter_mut().enumerate() {
            for event in self.net.take_events(node) {
                owner.hear(event);
            }
        }
    }

    fn command(&mut self, node: usize, command: Command) {
        self.net.command(node, command);
        self.hear();
    }

    fn run(&mut self, time: Duration) {
        self.net.run(time);
        self.hear();
    }

    fn step(&mut self) {
        let node = self.rng.index(NAMES.len()).unwrap();
        let other = self.rng.index(NAMES.len()).unwrap();
        match self.rng.range(0..22) {
            0..=3 if node != other => {
                let next = self.net.open(node, other, "x");
                self.owners[node].channels.insert(next, (State::Asked, 0));
            }
            4..=7 => {
                if let Some(channel) = self.owners[node].pick(&mut self.rng, State::Requested) {
                    if self.rng.one_in(4) {
                        self.owners[node].channels.remove(&channel);
                        self.owners[node].over.insert(channel);
                        self.command(node, Command::Decline { channel });
                    } else {
                        self.owners[node].channels.insert(channel, (State::Open, 0));
                        self.command(node, Command::Accept { channel });
                    }
                }
            }
            8..=12 => {
                if let Some(channel) = self.owners[node].pick(&mut self.rng, State::Open) {
                    let len = usize::try_from(self.rng.range(1..100_000)).unwrap();
                    let unsent = &mut self.owners[node].channels.get_mut(&channel).unwrap().1;
                    if *unsent + len <= WRITE_WINDOW {
                        *unsent += len;
                        let bytes = Bytes::from(vec![1; len]);
                        self.command(node, Command::Write { channel, bytes });
                    }
                }
            }
            13..=14 => {
                let states = [State::Asked, State::Requested, State::Open];
                let state = states[self.rng.index(3).unwrap()];
                if let Some(channel) = self.owners[node].pick(&mut self.rng, state) {
                    self.owners[node].channels.remove(&channel);
                    self.owners[node].over.insert(channel);
                    self.command(node, Command::Close { channel });
                }
            }
            15 if self.rng.one_in(4) => {
                let device = self.net.device(other);
                self.command(node, Command::CloseDevice { device });
            }
            16 => self.net.nodes[node].online = !self.rng.one_in(5),
            17 => self.net.nodes[node].reachable = !self.rng.one_in(5),
            18 => self.net.nodes[node].on_dht = !self.rng.one_in(5),
            19 => self.command(node, Command::Probe),
            20 if self.rng.one_in(4) => {
                let account = identity(NAMES[other]).account_id();
                let blocked = if self.rng.one_in(2) {
                    BTreeSet::from([account])
                } else {
                    BTreeSet::new()
                };
                self.command(node, Command::SetBlocked(blocked));
            }
            _ => {
                let millis = [10, 100, 1000, 10_000][self.rng.index(4).unwrap()];
                let time = Duration::from_millis(self.rng.range(0..millis));
                self.run(time);
            }
        }
        self.hear();
    }

    /// The network heals, owners make up, and all that was begun ends.
    fn finish(&mut self) {
        for node in 0..NAMES.len() {
            let state = &mut self.net.nodes[node];
            (state.online, state.reachable, state.on_dht) = (true, true, true);
            self.command(node, Command::SetBlocked(BTreeSet::new()));
            self.command(node, Command::Probe);
        }
        self.run(Duration::from_secs(200));
        for node in 0..NAMES.len() {
            let owner = &self.owners[node];
            let asked = owner
                .channels
                .iter()
                .filter(|(_, (s, _))| *s == State::Asked);
            for (channel, _) in asked {
                // The other side may simply not have answered.
                let links = &self.net.nodes[node].links;
                assert!(
                    !links
                        .waiting
                        .iter()
                        .any(|device| { links.devices[device].queue.contains(channel) })
                );
            }
            for other in 0..NAMES.len() {
                let device = self.net.device(other);
                self.command(node, Command::CloseDevice { device });
            }
        }
        self.run(Duration::from_secs(60));
        for (node, owner) in self.net.nodes.iter().zip(&self.owners) {
            assert_eq!(owner.channels, BTreeMap::new());
            assert!(owner.linked.is_empty());
            let links = &node.links;
            assert_eq!(links.attempts.len(), 0);
            assert_eq!(links.channels.len(), 0);
            assert_eq!(links.listeners.len(), 0);
            assert_eq!(links.accepted.len(), 0);
            assert_eq!(links.lookups.len(), 0);
            assert_eq!(links.waiting.len(), 0);
            assert!(links.devices.values().all(|device| device.queue.is_empty()));
            assert!(node.listeners.is_empty());
        }
    }
}

fn chaos(seed: u64, steps: usize) {
    let mut chaos = Chaos {
        net: Net::new(&NAMES),
        owners: (0..NAMES.len()).map(|_| Owner::default()).collect(),
        rng: Rng::from_seed(seed),
    };
    chaos.hear();
    for _ in 0..steps {
        chaos.step();
    }
    chaos.finish();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]
    #[test]
    fn every_channel_has_one_story_and_nothing_is_left(seed: u64) {
        chaos(seed, 400);
    }
}
