//! The routing table of one family (docs/protocol/01-dht.md section 3.5): which nodes to
//! keep so that every part of the id space can be reached.

use baraza_wire::{InfoHash, Rng};

use crate::clock::Ms;
use crate::message::NodeInfo;
use crate::node::{NodeRef, Nodes};

/// Nodes of a bucket.
pub(crate) const BUCKET_SIZE: usize = 8;

/// Nodes whose ids share their leading bits.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// First id of its range.
    pub(crate) first: InfoHash,
    /// When a node of it last replied.
    pub(crate) replied: Ms,
    /// When we last looked for nodes of it.
    pub(crate) sought: Ms,
    /// Newest first.
    pub(crate) nodes: Vec<NodeRef>,
    /// Takes the place of a node that goes.
    pub(crate) candidate: Option<NodeInfo>,
}

/// What became of a node offered to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It is in, newly.
    Added,
    /// It was in.
    Known,
    /// There is no room; it may take the place of this one if that does not answer.
    Full(Option<NodeRef>),
}

/// The buckets, which cover all ids in order.
#[derive(Debug)]
pub(crate) struct Table {
    own: InfoHash,
    buckets: Vec<Bucket>,
    /// When a node last entered our own bucket.
    pub(crate) grown: Ms,
}

impl Table {
    pub(crate) fn new(own: InfoHash) -> Self {
        Self {
            own,
            buckets: vec![Bucket {
                first: InfoHash::default(),
                replied: Ms::LONG_AGO,
                sought: Ms::LONG_AGO,
                nodes: Vec::new(),
                candidate: None,
            }],
            grown: Ms::LONG_AGO,
        }
    }

    pub(crate) fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    pub(crate) fn buckets_mut(&mut self) -> impl Iterator<Item = &mut Bucket> {
        self.buckets.iter_mut()
    }

    /// Index of the bucket for an id.
    pub(crate) fn index_of(&self, id: &InfoHash) -> usize {
        self.buckets
            .partition_point(|bucket| bucket.first <= *id)
            .saturating_sub(1)
    }

    /// Index of the bucket of our own id.
    pub(crate) fn own_index(&self) -> usize {
        self.index_of(&self.own)
    }

    /// Number of leading bits that the ids of a bucket share.
    pub(crate) fn depth(&self, index: usize) -> u32 {
        let lowest_set = |id: &InfoHash| {
            let bits = id
                .as_bytes()
                .iter()
                .rev()
                .fold((0u32, false), |(bits, done), byte| {
                    if done {
                        (bits, true)
                    } else if *byte == 0 {
                        (bits.saturating_add(8), false)
                    } else {
                        (bits.saturating_add(byte.trailing_zeros()), true)
                    }
                });
            160u32.saturating_sub(bits.0)
        };
        let here = self.buckets.get(index).map_or(0, |b| lowest_set(&b.first));
        let next = self.buckets.get(index.saturating_add(1));
        here.max(next.map_or(0, |b| lowest_set(&b.first)))
    }

    /// A random id in the range of a bucket.
    pub(crate) fn random_id(&self, index: usize, rng: &mut Rng) -> InfoHash {
        let depth = self.depth(index);
        let mut id: [u8; 20] = rng.bytes();
        let Some(bucket) = self.buckets.get(index) else {
            return InfoHash::new(id);
        };
        let whole = usize::try_from(depth / 8).unwrap_or(usize::MAX);
        for (place, (byte, fixed)) in id.iter_mut().zip(bucket.first.as_bytes()).enumerate() {
            let mask = match place.cmp(&whole) {
                std::cmp::Ordering::Less => 0xff,
                std::cmp::Ordering::Equal => !(0xffu16 >> (depth % 8)).to_be_bytes()[1],
                std::cmp::Ordering::Greater => 0,
            };
            *byte = (*byte & !mask) | (fixed & mask);
        }
        InfoHash::new(id)
    }

    /// Buckets other than our own with too few nodes known to answer, for whose nodes we did
    /// not look since then.
    pub(crate) fn thin(&self, since: Ms, nodes: &Nodes, now: Ms) -> Vec<usize> {
        let own = self.own_index();
        let good = |at: &&NodeRef| nodes.get(**at).is_some_and(|node| node.is_good(now));
        let thin = |bucket: &Bucket| {
            bucket.sought < since && bucket.nodes.iter().filter(good).count() < BUCKET_SIZE
        };
        let buckets = self.buckets.iter().enumerate();
        buckets
            .filter(|(index, bucket)| *index != own && thin(bucket))
            .map(|(index, _)| index)
            .collect()
    }

    /// Takes note that we look for nodes of a bucket.
    pub(crate) fn seek(&mut self, index: usize, now: Ms) {
        if let Some(bucket) = self.buckets.get_mut(index) {
            bucket.sought = now;
        }
    }

    /// Takes note that a node of the bucket replied.
    pub(crate) fn replied(&mut self, id: &InfoHash, now: Ms) {
        let index = self.index_of(id);
        if let Some(bucket) = self.buckets.get_mut(index) {
            bucket.replied = now;
        }
    }

    /// Offers a node.
    pub(crate) fn offer(&mut self, at: NodeRef, nodes: &mut Nodes, now: Ms) -> Offered {
        let Some(node) = nodes.get(at) else {
            return Offered::Full(None);
        };
        if node.in_bucket {
            return Offered::Known;
        }
        let id = node.id;
        // Splitting makes room at most once for each bit of an id.
        for _ in 0..=160 {
            let index = self.index_of(&id);
            let own = index == self.own_index();
            let only = self.buckets.len() == 1;
            let Some(bucket) = self.buckets.get_mut(index) else {
                break;
            };
            if own {
                self.grown = now;
            }
            if bucket.nodes.len() < BUCKET_SIZE {
                bucket.nodes.insert(0, at);
                mark(nodes, at, true);
                return Offered::Added;
            }
            let expired = bucket
                .nodes
                .iter()
                .position(|old| nodes.get(*old).is_none_or(|node| node.expired));
            if let Some(place) = expired {
                let old = bucket.nodes.remove(place);
                bucket.nodes.insert(0, at);
                mark(nodes, old, false);
                mark(nodes, at, true);
                return Offered::Added;
            }
            let dubious = bucket
                .nodes
                .iter()
                .copied()
                .find(|old| nodes.get(*old).is_some_and(|node| !node.is_good(now)));
            if own && (only || dubious.is_none()) && self.split(index, nodes) {
                continue;
            }
            return Offered::Full(
                dubious.filter(|old| nodes.get(*old).is_some_and(|node| node.pending == 0)),
            );
        }
        Offered::Full(None)
    }

    /// Remembers a node for when one of its bucket goes.
    pub(crate) fn remember(&mut self, info: NodeInfo, heard: bool) {
        let index = self.index_of(&info.id);
        if let Some(bucket) = self.buckets.get_mut(index)
            && (heard || bucket.candidate.is_none())
        {
            bucket.candidate = Some(info);
        }
    }

    fn split(&mut self, index: usize, nodes: &Nodes) -> bool {
        let depth = self.depth(index);
        if depth >= 160 {
            return false;
        }
        let Some(bucket) = self.buckets.get_mut(index) else {
            return false;
        };
        let mut first = *bucket.first.as_bytes();
        let place = usize::try_from(depth / 8).unwrap_or(usize::MAX);
        if let Some(byte) = first.get_mut(place) {
            *byte |= 0x80 >> (depth % 8);
        }
        let first = InfoHash::new(first);
        let (upper, lower): (Vec<NodeRef>, Vec<NodeRef>) = bucket
            .nodes
            .drain(..)
            .partition(|at| nodes.get(*at).is_some_and(|node| node.id >= first));
        bucket.nodes = lower;
        bucket.sought = Ms::LONG_AGO;
        let replied = bucket.replied;
        self.buckets.insert(
            index.saturating_add(1),
            Bucket {
                first,
                replied,
                sought: Ms::LONG_AGO,
                nodes: upper,
                candidate: None,
            },
        );
        true
    }

    /// Drops nodes that expired or were forgotten; returns the candidates to ping in their
    /// places.
    pub(crate) fn drop_expired(&mut self, nodes: &mut Nodes) -> Vec<NodeInfo> {
        let mut candidates = Vec::new();
        for bucket in &mut self.buckets {
            let before = bucket.nodes.len();
            bucket.nodes.retain(|at| {
                let keep = nodes.get(*at).is_some_and(|node| !node.expired);
                if !keep {
                    mark(nodes, *at, false);
                }
                keep
            });
            if bucket.nodes.len() < before {
                candidates.extend(bucket.candidate.take());
            }
        }
        candidates
    }

    /// Whether any node is good.
    pub(crate) fn any_good(&self, nodes: &Nodes, now: Ms) -> bool {
        self.nodes(nodes).any(|node| node.is_good(now))
    }

    /// Whether a node may be good, but is not known to be.
    pub(crate) fn any_dubious(&self, nodes: &Nodes, now: Ms) -> bool {
        self.nodes(nodes)
            .any(|node| !node.expired && !node.is_good(now))
    }

    fn nodes<'a>(&'a self, nodes: &'a Nodes) -> impl Iterator<Item = &'a crate::node::Node> {
        self.buckets
            .iter()
            .flat_map(|bucket| &bucket.nodes)
            .filter_map(|at| nodes.get(*at))
    }
}

fn mark(nodes: &mut Nodes, at: NodeRef, in_bucket: bool) {
    if let Some(node) = nodes.get_mut(at) {
        node.in_bucket = in_bucket;
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;
    use crate::node::Family;

    fn filled(count: u16) -> (Table, Nodes, Ms, Rng) {
        let mut rng = Rng::from_seed(3);
        let own = InfoHash::new(rng.bytes());
        let now = Ms::LONG_AGO.plus(Duration::from_secs(1_000_000));
        let (mut table, mut nodes) = (Table::new(own), Nodes::default());
        for port in 1..=count {
            let address = SocketAddr::from(([10, 0, 0, 1], port));
            let at = nodes.insert(InfoHash::new(rng.bytes()), address, now);
            let node = nodes.get_mut(at).unwrap();
            (node.heard, node.replied) = (now, now);
            table.offer(at, &mut nodes, now);
        }
        (table, nodes, now, rng)
    }

    #[test]
    fn only_our_own_bucket_is_split() {
        let (table, nodes, now, mut rng) = filled(500);
        assert!(table.buckets().len() > 4, "{}", table.buckets().len());
        assert!(table.any_good(&nodes, now) && !table.any_dubious(&nodes, now));
        for (index, bucket) in table.buckets().iter().enumerate() {
            assert!(bucket.nodes.len() <= BUCKET_SIZE);
            for at in &bucket.nodes {
                let node = nodes.get(*at).unwrap();
                assert!(node.in_bucket);
                assert_eq!(table.index_of(&node.id), index);
            }
            let id = table.random_id(index, &mut rng);
            assert_eq!(table.index_of(&id), index);
        }
        let own = table.own_index();
        let shared = table.depth(own);
        assert!(shared >= 4, "{shared}");
        let id = table.random_id(own, &mut rng);
        assert!(id.common_bits(&table.own) >= shared);
    }

    #[test]
    fn an_expired_node_makes_room() {
        let (mut table, mut nodes, now, mut rng) = filled(500);
        let full = (0..table.buckets().len())
            .find(|index| *index != table.own_index() && table.buckets()[*index].nodes.len() == 8)
            .unwrap();
        let id = table.random_id(full, &mut rng);
        let at = nodes.insert(id, "10.0.0.2:1".parse().unwrap(), now);
        assert_eq!(table.offer(at, &mut nodes, now), Offered::Full(None));
        let old = table.buckets()[full].nodes[3];
        nodes.get_mut(old).unwrap().heard = Ms::LONG_AGO;
        assert_eq!(table.offer(at, &mut nodes, now), Offered::Full(Some(old)));
        nodes.get_mut(old).unwrap().expired = true;
        assert_eq!(table.offer(at, &mut nodes, now), Offered::Added);
        assert_eq!(table.offer(at, &mut nodes, now), Offered::Known);
        assert!(!nodes.get(old).unwrap().in_bucket);
    }

    #[test]
    fn a_bucket_with_few_good_nodes_is_thin_until_it_was_sought() {
        let (mut table, mut nodes, now, _) = filled(500);
        let (own, far) = (
            table.own_index(),
            if table.own_index() == 0 { 1 } else { 0 },
        );
        assert!(!table.thin(now, &nodes, now).contains(&far));
        for index in [own, far] {
            let at = table.buckets()[index].nodes[0];
            nodes.get_mut(at).unwrap().expired = true;
        }
        let thin = table.thin(now, &nodes, now);
        assert!(thin.contains(&far) && !thin.contains(&own), "{thin:?}");
        table.seek(far, now);
        assert!(!table.thin(now, &nodes, now).contains(&far));
        let later = now.plus(Duration::from_secs(1));
        assert!(table.thin(later, &nodes, later).contains(&far));
    }

    #[test]
    fn a_candidate_is_named_when_a_node_goes() {
        let (mut table, mut nodes, _, mut rng) = filled(100);
        let at = table.buckets()[0].nodes[0];
        let info = NodeInfo {
            id: table.random_id(0, &mut rng),
            address: "10.0.0.3:1".parse().unwrap(),
        };
        table.remember(info, false);
        nodes.get_mut(at).unwrap().expired = true;
        assert_eq!(table.drop_expired(&mut nodes), [info]);
        assert!(nodes.find(Family::V4, &info.id).is_none());
        assert!(table.drop_expired(&mut nodes).is_empty());
    }
}
