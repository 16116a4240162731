//! Other nodes: what is known of each (docs/protocol/01-dht.md sections 3.1 to 3.4).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use baraza_wire::InfoHash;

use crate::clock::Ms;
use crate::message::Token;
use crate::slab::{Ref, Slab};

/// Nodes kept for each family. Beyond, the least useful one is forgotten.
pub(crate) const MAX_NODES: usize = 1024;
/// A node is good if it replied within this time...
pub(crate) const GOOD_REPLY: Duration = Duration::from_secs(120 * 60);
/// ... and was heard within this time; else it is old.
pub(crate) const GOOD_HEARD: Duration = Duration::from_secs(10 * 60);
/// Tokens are used for this long after they were received. The C++ peers honour them for 15
/// minutes at least.
pub(crate) const TOKEN_LIFE: Duration = Duration::from_secs(10 * 60);

/// An address family; each is a network of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub(crate) fn of(address: SocketAddr) -> Self {
        if address.is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }
}

/// Something for each family.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PerFamily<T> {
    v4: T,
    v6: T,
}

impl<T> PerFamily<T> {
    pub(crate) fn new(v4: T, v6: T) -> Self {
        Self { v4, v6 }
    }

    pub(crate) fn of(&self, family: Family) -> &T {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    pub(crate) fn of_mut(&mut self, family: Family) -> &mut T {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

/// Another node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: InfoHash,
    pub(crate) address: SocketAddr,
    /// Last packet of any kind.
    pub(crate) heard: Ms,
    /// Last reply to a request of ours.
    pub(crate) replied: Ms,
    /// A request timed out, and nothing was heard since.
    pub(crate) expired: bool,
    /// It asked not to be routed to.
    pub(crate) client: bool,
    pub(crate) in_bucket: bool,
    /// Requests without an answer yet.
    pub(crate) pending: u16,
    /// Refused tokens in a row.
    pub(crate) auth_errors: u8,
    token: Option<Box<(Token, Ms)>>,
}

pub(crate) type NodeRef = Ref<Node>;

impl Node {
    pub(crate) fn family(&self) -> Family {
        Family::of(self.address)
    }

    pub(crate) fn is_good(&self, now: Ms) -> bool {
        !self.expired && self.replied.within(GOOD_REPLY, now) && self.heard.within(GOOD_HEARD, now)
    }

    pub(crate) fn is_old(&self, now: Ms) -> bool {
        !self.heard.within(GOOD_HEARD, now)
    }

    /// Its write token, while it can be trusted to be valid.
    pub(crate) fn token(&self, now: Ms) -> Option<Token> {
        let (token, since) = **self.token.as_ref()?;
        since.within(TOKEN_LIFE, now).then_some(token)
    }

    pub(crate) fn set_token(&mut self, token: Option<Token>, now: Ms) {
        self.token = token
            .filter(|token| !token.as_bytes().is_empty())
            .map(|token| Box::new((token, now)));
    }
}

/// All nodes heard of, of both families.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    slab: Slab<Node>,
    by_id: PerFamily<BTreeMap<InfoHash, NodeRef>>,
}

impl Nodes {
    pub(crate) fn get(&self, at: NodeRef) -> Option<&Node> {
        self.slab.get(at)
    }

    pub(crate) fn get_mut(&mut self, at: NodeRef) -> Option<&mut Node> {
        self.slab.get_mut(at)
    }

    pub(crate) fn find(&self, family: Family, id: &InfoHash) -> Option<NodeRef> {
        self.by_id.of(family).get(id).copied()
    }

    pub(crate) fn len(&self, family: Family) -> usize {
        self.by_id.of(family).len()
    }

    pub(crate) fn iter(&self, family: Family) -> impl Iterator<Item = (NodeRef, &Node)> {
        self.by_id
            .of(family)
            .values()
            .filter_map(|at| Some((*at, self.slab.get(*at)?)))
    }

    pub(crate) fn refs(&self, family: Family) -> Vec<NodeRef> {
        self.by_id.of(family).values().copied().collect()
    }

    /// A new node, not heard yet. If there are too many, the least useful one goes.
    pub(crate) fn insert(&mut self, id: InfoHash, address: SocketAddr, now: Ms) -> NodeRef {
        let family = Family::of(address);
        if self.len(family) >= MAX_NODES
            && let Some(least) = self.least_useful(family, now)
        {
            self.remove(least);
        }
        let at = self.slab.insert(Node {
            id,
            address,
            heard: Ms::LONG_AGO,
            replied: Ms::LONG_AGO,
            expired: false,
            client: false,
            in_bucket: false,
            pending: 0,
            auth_errors: 0,
            token: None,
        });
        self.by_id.of_mut(family).insert(id, at);
        at
    }

    pub(crate) fn remove(&mut self, at: NodeRef) -> Option<Node> {
        let node = self.slab.remove(at)?;
        let ids = self.by_id.of_mut(node.family());
        if ids.get(&node.id) == Some(&at) {
            ids.remove(&node.id);
        }
        Some(node)
    }

    fn least_useful(&self, family: Family, now: Ms) -> Option<NodeRef> {
        self.iter(family)
            .filter(|(_, node)| !node.in_bucket && node.pending == 0)
            .min_by_key(|(_, node)| (!node.expired, node.is_good(now), node.heard))
            .map(|(at, _)| at)
    }

    /// Forgets nodes that neither a bucket nor anybody needs: old ones without requests.
    pub(crate) fn forget_old(&mut self, now: Ms, mut needed: impl FnMut(NodeRef) -> bool) {
        for family in Family::BOTH {
            let old: Vec<NodeRef> = self
                .iter(family)
                .filter(|(at, node)| {
                    !node.in_bucket && node.pending == 0 && node.is_old(now) && !needed(*at)
                })
                .map(|(at, _)| at)
                .collect();
            for at in old {
                self.remove(at);
            }
        }
    }

    /// The `count` nodes nearest to `target` among those wanted, nearest first.
    pub(crate) fn closest(
        &self,
        family: Family,
        target: &InfoHash,
        count: usize,
        wanted: impl Fn(&Node) -> bool,
    ) -> Vec<NodeRef> {
        let ids = self.by_id.of(family);
        let mut found: Vec<([u8; 20], NodeRef)> = Vec::with_capacity(count);
        let mut level = Vec::new();
        let before = ids.range(..*target).next_back();
        let after = ids.range(*target..).next();
        let shared = [before, after]
            .into_iter()
            .flatten()
            .map(|(id, _)| id.common_bits(target))
            .max();
        let Some(shared) = shared else {
            return Vec::new();
        };
        // All that share more leading bits with the target are nearer than all that share
        // fewer: walk from the most to none.
        let mut bits = Some(shared.min(160));
        while let Some(common) = bits {
            let (first, last) = range_of(target, common);
            level.extend(ids.range(first..=last).filter_map(|(id, at)| {
                let node = self.slab.get(*at)?;
                wanted(node).then(|| (id.distance(target), *at))
            }));
            level.sort_unstable_by_key(|(distance, _)| *distance);
            found.append(&mut level);
            if found.len() >= count {
                break;
            }
            bits = common.checked_sub(1);
        }
        found.truncate(count);
        found.into_iter().map(|(_, at)| at).collect()
    }
}

/// The ids that share exactly `common` leading bits with `target`, from first to last.
fn range_of(target: &InfoHash, common: u32) -> (InfoHash, InfoHash) {
    let (mut first, mut last) = (*target.as_bytes(), *target.as_bytes());
    let at = usize::try_from(common / 8).unwrap_or(usize::MAX);
    let bit = 0x80u8 >> (common % 8);
    let below = bit.wrapping_sub(1);
    for (place, (low, high)) in first.iter_mut().zip(last.iter_mut()).enumerate() {
        match place.cmp(&at) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => {
                *low = (*low ^ bit) & !below;
                *high = (*high ^ bit) | below;
            }
            std::cmp::Ordering::Greater => {
                *low = 0;
                *high = 0xff;
            }
        }
    }
    (InfoHash::new(first), InfoHash::new(last))
}

#[cfg(test)]
mod tests {
    use baraza_wire::Rng;

    use super::*;

    fn address(n: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], n))
    }

    #[test]
    fn the_nearest_are_found_in_order() {
        let mut rng = Rng::from_seed(1);
        let mut nodes = Nodes::default();
        let mut ids = Vec::new();
        for n in 1..=300 {
            let mut id = InfoHash::new(rng.bytes());
            if n % 3 == 0 {
                // Crowd one corner.
                let mut bytes = *id.as_bytes();
                bytes[0] = 0xab;
                bytes[1] = 0xcd;
                id = InfoHash::new(bytes);
            }
            nodes.insert(id, address(n), Ms::LONG_AGO);
            ids.push(id);
        }
        for round in 0..100 {
            let mut target = InfoHash::new(rng.bytes());
            if round % 2 == 0 {
                let mut bytes = *target.as_bytes();
                bytes[0] = 0xab;
                target = InfoHash::new(bytes);
            }
            if round == 99 {
                target = ids[7];
            }
            ids.sort_by_key(|id| id.distance(&target));
            let found = nodes.closest(Family::V4, &target, 14, |_| true);
            let found: Vec<_> = found.iter().map(|at| nodes.get(*at).unwrap().id).collect();
            assert_eq!(found, ids[..14]);
        }
        assert!(nodes.closest(Family::V6, &ids[0], 8, |_| true).is_empty());
        assert!(nodes.closest(Family::V4, &ids[0], 8, |_| false).is_empty());
    }

    #[test]
    fn too_many_nodes_push_out_the_least_useful() {
        let mut rng = Rng::from_seed(2);
        let mut nodes = Nodes::default();
        let now = Ms::LONG_AGO.plus(GOOD_REPLY * 2);
        let mut first = None;
        for n in 0..MAX_NODES {
            let port = u16::try_from(n + 1).unwrap();
            let at = nodes.insert(InfoHash::new(rng.bytes()), address(port), now);
            let node = nodes.get_mut(at).unwrap();
            node.heard = now;
            node.in_bucket = n == 0;
            node.expired = n == 0 || n == 5;
            if n == 5 {
                first = Some(at);
            }
        }
        nodes.insert(InfoHash::new(rng.bytes()), address(9999), now);
        assert_eq!(nodes.len(Family::V4), MAX_NODES);
        assert!(nodes.get(first.unwrap()).is_none());
    }

    #[test]
    fn a_good_node_replied_and_was_heard_lately() {
        let mut nodes = Nodes::default();
        let start = Ms::LONG_AGO.plus(GOOD_REPLY * 2);
        let at = nodes.insert(InfoHash::new([1; 20]), address(1), start);
        let node = nodes.get_mut(at).unwrap();
        assert!(!node.is_good(start));
        (node.heard, node.replied) = (start, start);
        assert!(node.is_good(start.plus(GOOD_HEARD - Duration::from_millis(1))));
        assert!(!node.is_good(start.plus(GOOD_HEARD)));
        node.heard = start.plus(GOOD_REPLY);
        assert!(!node.is_good(start.plus(GOOD_REPLY)));
        node.set_token(Some(Token::new(&[1; 32])), start);
        assert!(
            node.token(start.plus(TOKEN_LIFE - Duration::from_millis(1)))
                .is_some()
        );
        assert!(node.token(start.plus(TOKEN_LIFE)).is_none());
    }
}
