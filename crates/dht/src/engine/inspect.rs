//! What the console and monitoring show.

use std::net::SocketAddr;
use std::time::Duration;

use baraza_wire::InfoHash;

use super::Dht;
use crate::api::Status;
use crate::counters::Counters;
use crate::node::{Family, Node};
use crate::storage::StorageStats;

/// What is known of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FamilyStats {
    /// How connected we are.
    pub status: Status,
    /// Nodes of the table that answer.
    pub good: usize,
    /// Nodes of the table that may.
    pub dubious: usize,
    /// Nodes that sent us something, but did not answer us yet.
    pub incoming: usize,
    /// Nodes known at all.
    pub known: usize,
    /// Searches under way.
    pub searches: usize,
    /// Leading bits that the ids of our own bucket share.
    pub depth: u32,
}

impl FamilyStats {
    /// How many nodes the network may have.
    pub fn network_size(&self) -> u64 {
        8u64.saturating_mul(1u64.checked_shl(self.depth).unwrap_or(u64::MAX))
    }
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Our node id.
    pub id: InfoHash,
    /// IPv4.
    pub ipv4: FamilyStats,
    /// IPv6.
    pub ipv6: FamilyStats,
    /// What is stored.
    pub storage: StorageStats,
    /// Subscriptions of others.
    pub listeners: usize,
    /// Operations of clients.
    pub operations: usize,
    /// Requests without an answer yet.
    pub requests: usize,
    /// Messages that wait for fragments.
    pub partial: usize,
    /// What was done and dropped.
    pub counters: Counters,
}

/// A node as the console shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeState {
    /// Its id.
    pub id: InfoHash,
    /// Its address.
    pub address: SocketAddr,
    /// It answers.
    pub good: bool,
    /// It did not answer.
    pub expired: bool,
    /// Since its last packet; `None` if there was none.
    pub heard: Option<Duration>,
    /// Since its last answer; `None` if there was none.
    pub replied: Option<Duration>,
}

/// A bucket of the routing table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BucketInfo {
    /// First id of its range.
    pub first: InfoHash,
    /// Since the last answer of a node in it; `None` if there was none.
    pub replied: Option<Duration>,
    /// Whether a node waits to get in.
    pub candidate: bool,
    /// Its nodes.
    pub nodes: Vec<NodeState>,
}

/// A search as the console shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SearchInfo {
    /// For what.
    pub key: InfoHash,
    /// In which family.
    pub family: Family,
    /// Gets that it serves.
    pub gets: usize,
    /// Listens.
    pub listens: usize,
    /// Puts: value id, and at how many nodes it is stored.
    pub puts: Vec<(u64, usize)>,
    /// The nodes it knows, nearest first.
    pub nodes: Vec<NodeState>,
}

/// What is stored under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct KeyInfo {
    /// Values.
    pub values: usize,
    /// Their packed bytes.
    pub bytes: usize,
    /// Subscriptions of other nodes.
    pub listeners: usize,
}

impl Dht {
    /// Figures for monitoring.
    pub fn stats(&self) -> Stats {
        Stats {
            id: self.envelope.id,
            ipv4: self.family_stats(Family::V4),
            ipv6: self.family_stats(Family::V6),
            storage: self.storage.stats(),
            listeners: self.listeners.len(),
            operations: self.ops.len(),
            requests: self.requests.len(),
            partial: self.fragments.len(),
            counters: self.counters,
        }
    }

    fn family_stats(&self, family: Family) -> FamilyStats {
        let table = self.tables.of(family);
        let mut stats = FamilyStats {
            status: *self.status.of(family),
            known: self.nodes.len(family),
            searches: self.by_key.of(family).len(),
            depth: table.depth(table.own_index()),
            ..FamilyStats::default()
        };
        for (_, node) in self.nodes.iter(family).filter(|(_, node)| node.in_bucket) {
            let count = if node.is_good(self.now) {
                &mut stats.good
            } else if node.expired {
                continue;
            } else {
                &mut stats.dubious
            };
            *count = count.saturating_add(1);
            if node.replied < node.heard && node.replied == crate::clock::Ms::LONG_AGO {
                stats.incoming = stats.incoming.saturating_add(1);
            }
        }
        stats
    }

    /// The routing table of a family.
    pub fn routing_table(&self, family: Family) -> Vec<BucketInfo> {
        let buckets = self.tables.of(family).buckets().iter();
        buckets
            .map(|bucket| BucketInfo {
                first: bucket.first,
                replied: self.since(bucket.replied),
                candidate: bucket.candidate.is_some(),
                nodes: bucket
                    .nodes
                    .iter()
                    .filter_map(|at| self.nodes.get(*at))
                    .map(|node| self.node_state(node))
                    .collect(),
            })
            .collect()
    }

    /// The searches under way.
    pub fn search_list(&self) -> Vec<SearchInfo> {
        let searches = Family::BOTH
            .iter()
            .flat_map(|family| self.by_key.of(*family).values());
        searches
            .filter_map(|at| self.searches.get(*at))
            .map(|search| SearchInfo {
                key: search.key,
                family: search.family,
                gets: search.gets.len(),
                listens: search.listens.len(),
                puts: search
                    .puts
                    .iter()
                    .map(|put| (put.id, put.stored()))
                    .collect(),
                nodes: search
                    .nodes()
                    .filter_map(|at| self.nodes.get(at))
                    .map(|node| self.node_state(node))
                    .collect(),
            })
            .collect()
    }

    /// What is stored, by key.
    pub fn key_list(&self) -> Vec<(InfoHash, KeyInfo)> {
        let mut keys: std::collections::BTreeMap<InfoHash, KeyInfo> =
            std::collections::BTreeMap::new();
        for (key, packed, _) in self.storage.iter() {
            let info = keys.entry(key).or_default();
            info.values = info.values.saturating_add(1);
            info.bytes = info.bytes.saturating_add(packed.len());
        }
        for key in self.listeners.keys() {
            keys.entry(*key).or_default().listeners = self.listeners.of(key).len();
        }
        keys.into_iter().collect()
    }

    fn node_state(&self, node: &Node) -> NodeState {
        NodeState {
            id: node.id,
            address: node.address,
            good: node.is_good(self.now),
            expired: node.expired,
            heard: self.since(node.heard),
            replied: self.since(node.replied),
        }
    }

    fn since(&self, at: crate::clock::Ms) -> Option<Duration> {
        (at > crate::clock::Ms::LONG_AGO).then(|| self.now.since(at))
    }
}
