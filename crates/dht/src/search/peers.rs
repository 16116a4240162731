//! The nodes that a search knows, nearest first.

use super::{CLOSE, MAX_DEAD, MAX_PEERS, SYNC_LIFE, Search};
use crate::clock::Ms;
use crate::node::{Node, NodeRef, Nodes};

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) node: NodeRef,
    distance: [u8; 20],
    /// A lookup is under way.
    pub(super) asked: bool,
    /// It did not answer the first transmission of a request.
    pub(super) slow: bool,
    /// Last answer to a lookup or get.
    pub(super) replied: Ms,
    /// Refused a lookup then.
    pub(super) refused: Ms,
}

impl Search {
    pub(crate) fn has_node(&self, node: NodeRef) -> bool {
        self.peers.iter().any(|peer| peer.node == node)
    }

    /// The nodes it knows, nearest first.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeRef> {
        self.peers.iter().map(|peer| peer.node)
    }

    pub(crate) fn peer_count(&self) -> usize {
        self.peers.len()
    }

    /// Forgets all nodes, to start again.
    pub(crate) fn clear_peers(&mut self) {
        self.peers.clear();
    }

    /// Offers a node; `true` if it is of use.
    pub(crate) fn offer(&mut self, at: NodeRef, nodes: &Nodes) -> bool {
        let Some(node) = nodes.get(at) else {
            return false;
        };
        if node.client || node.expired {
            return false;
        }
        let distance = node.id.distance(&self.key);
        let place = match self
            .peers
            .binary_search_by(|peer| peer.distance.cmp(&distance))
        {
            Ok(same) => match self.peers.get_mut(same) {
                // The same id at a new place in memory: the node was forgotten meanwhile.
                Some(peer) if peer.node != at => {
                    *peer = Peer::new(at, distance);
                    return true;
                }
                _ => return false,
            },
            Err(place) => place,
        };
        let alive_before = |peers: &[Peer]| {
            peers
                .iter()
                .take(place)
                .filter(|peer| !is_bad(peer, nodes))
                .count()
        };
        if place >= MAX_PEERS && alive_before(&self.peers) >= MAX_PEERS {
            return false;
        }
        self.peers.insert(place, Peer::new(at, distance));
        self.trim(nodes);
        true
    }

    /// Keeps the nearest that answer, and some of those that do not.
    fn trim(&mut self, nodes: &Nodes) {
        if self.peers.len() <= MAX_PEERS {
            return;
        }
        let (mut alive, mut dead) = (0usize, 0usize);
        self.peers.retain(|peer| {
            let count = if is_bad(peer, nodes) {
                &mut dead
            } else {
                &mut alive
            };
            *count = count.saturating_add(1);
            alive <= MAX_PEERS && dead <= MAX_DEAD
        });
    }

    pub(super) fn is_synced(&self, near: &[NodeRef], now: Ms) -> bool {
        near.iter().take(CLOSE).all(|node| {
            self.peers
                .iter()
                .any(|peer| peer.node == *node && peer.replied.within(SYNC_LIFE, now))
        })
    }

    pub(super) fn in_flight(&self, nodes: &Nodes) -> usize {
        self.peers
            .iter()
            .filter(|peer| !is_bad(peer, nodes))
            .filter(|peer| peer.asked || self.gets.iter().any(|get| get.waits_for(peer.node)))
            .count()
    }

    /// Whether an answer that would help may still come.
    pub(super) fn anything_under_way(&self, nodes: &Nodes) -> bool {
        self.peers.iter().any(|peer| {
            nodes
                .get(peer.node)
                .is_some_and(|n| !n.expired && n.pending > 0)
        })
    }

    pub(super) fn peer(&mut self, node: NodeRef) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.node == node)
    }

    /// A node answered a lookup or a get.
    pub(crate) fn on_lookup(&mut self, node: NodeRef, now: Ms) {
        if let Some(peer) = self.peer(node) {
            peer.asked = false;
            peer.slow = false;
            peer.replied = now;
        }
    }

    /// A node answered something else.
    pub(crate) fn on_alive(&mut self, node: NodeRef) {
        if let Some(peer) = self.peer(node) {
            peer.slow = false;
        }
    }

    /// A node did not answer the first transmission.
    pub(crate) fn on_slow(&mut self, node: NodeRef) {
        if let Some(peer) = self.peer(node) {
            peer.slow = true;
        }
    }
}

impl Peer {
    fn new(node: NodeRef, distance: [u8; 20]) -> Self {
        Self {
            node,
            distance,
            asked: false,
            slow: false,
            replied: Ms::LONG_AGO,
            refused: Ms::LONG_AGO,
        }
    }

    /// What was answered before may no longer hold.
    pub(super) fn forget_answers(&mut self) {
        self.slow = false;
        self.replied = Ms::LONG_AGO;
        self.refused = Ms::LONG_AGO;
    }
}

pub(super) fn is_bad(peer: &Peer, nodes: &Nodes) -> bool {
    peer.slow || nodes.get(peer.node).is_none_or(|node: &Node| node.expired)
}

pub(super) fn has_token(nodes: &Nodes, node: NodeRef, now: Ms) -> bool {
    nodes
        .get(node)
        .is_some_and(|node| node.token(now).is_some())
}
