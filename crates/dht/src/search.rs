//! Searches: which nodes are nearest to a key, and what to ask of them for the operations on
//! it (docs/protocol/01-dht.md section 5).
//!
//! A search decides; the engine sends. [`Search::plan`] says what is to be sent now, and the
//! `on_*` functions take what became of it.
//!
//! Where the C++ peers ask all of the 14 nearest nodes before they store anything, we ask
//! the [`CLOSE`] nearest: if those name no nearer nodes, we know the [`TARGETS`] nearest.
//! Tokens are not bound to a key, so a node that gave us one lately need not be asked again.

mod gets;
mod listens;
mod peers;
mod plan;
mod puts;

use std::time::Duration;

use baraza_wire::InfoHash;

use crate::clock::Ms;
use crate::node::{Family, NodeRef};
use crate::op::OpRef;
use crate::slab::Ref;

use gets::Get;
pub(crate) use gets::Wanted;
use listens::Subscription;
use peers::Peer;
use puts::Announce;

/// Nodes that a search knows, those that do not answer left out.
pub(crate) const MAX_PEERS: usize = 14;
/// Nodes that do not answer that a search remembers.
pub(crate) const MAX_DEAD: usize = 25;
/// Nodes at which values are stored and from which they are got.
pub(crate) const TARGETS: usize = 8;
/// Nodes that must have answered before the nearest are known.
pub(crate) const CLOSE: usize = 4;
/// Requests to find nodes and values at a time.
pub(crate) const CONCURRENCY: usize = 4;
/// Nodes at which we listen.
pub(crate) const LISTEN_TARGETS: usize = 4;
/// How long what a node said of the nodes near the key holds.
pub(crate) const SYNC_LIFE: Duration = Duration::from_secs(10 * 60);
/// How often a subscription is renewed. Others forget it after ten minutes; this keeps
/// address translators from forgetting us.
pub(crate) const LISTEN_PERIOD: Duration = Duration::from_secs(25);
/// The same where no translator is on the way. A firewall that lets answers pass forgets after
/// two minutes at the earliest (RFC 4787 REQ-5, RFC 6092 section 3.2.3), and a node that starts
/// anew and so forgets us should not go unnoticed for long.
pub(crate) const DIRECT_LISTEN_PERIOD: Duration = Duration::from_secs(60);
/// The same for a node that is said to be public and stable.
pub(crate) const STABLE_LISTEN_PERIOD: Duration = Duration::from_secs(290);
/// A value is put again this long before it would expire.
pub(crate) const REFRESH_MARGIN: Duration = Duration::from_secs(10);
/// How long a node that refused something is left alone.
pub(crate) const REFUSED_PAUSE: Duration = Duration::from_secs(60);
/// How often something is tried again at once at a node that refuses it.
const MAX_TRIES: u8 = 3;
/// Beyond this, values are not got in one round, but by id from one node each.
pub(crate) const LARGE: usize = 512;

pub(crate) type SearchRef = Ref<Search>;

/// A search for a key in one family.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) key: InfoHash,
    pub(crate) family: Family,
    /// Nearest first.
    peers: Vec<Peer>,
    pub(crate) gets: Vec<Get>,
    pub(crate) puts: Vec<Announce>,
    pub(crate) listens: Vec<Subscription>,
    /// Only to learn of the nodes near the key.
    pub(crate) explore: bool,
    /// The timer that is set.
    pub(crate) due: Option<Ms>,
}

/// Something to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// A get of the operation is done.
    GetDone(OpRef),
    /// A put is stored where it should be; `stored` nodes took it.
    PutDone { op: OpRef, stored: usize },
    /// Ask for nodes.
    Find(NodeRef),
    /// Ask for values, or only for ids and sequence numbers.
    Get {
        node: NodeRef,
        op: OpRef,
        ids_only: bool,
    },
    /// Ask for one value.
    Fetch {
        node: NodeRef,
        op: OpRef,
        wanted: Wanted,
    },
    /// Subscribe.
    Listen {
        node: NodeRef,
        op: OpRef,
        socket: u32,
    },
    /// Store.
    Put { node: NodeRef, op: OpRef },
    /// See whether a value is stored.
    Probe { node: NodeRef, op: OpRef },
    /// Keep a value.
    Refresh { node: NodeRef, op: OpRef },
}

/// What a search waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: it may be dropped.
    Idle,
    /// Answers, or this time.
    Wait(Ms),
    /// Nobody is left to ask.
    Stuck,
}

impl Search {
    pub(crate) fn new(key: InfoHash, family: Family) -> Self {
        Self {
            key,
            family,
            peers: Vec::new(),
            gets: Vec::new(),
            puts: Vec::new(),
            listens: Vec::new(),
            explore: false,
            due: None,
        }
    }

    /// Whether any operation needs it.
    pub(crate) fn is_needed(&self) -> bool {
        self.explore || !(self.gets.is_empty() && self.puts.is_empty() && self.listens.is_empty())
    }

    /// Ends an operation.
    pub(crate) fn remove_op(&mut self, op: OpRef) {
        self.gets.retain(|get| get.op != op);
        self.puts.retain(|put| put.op != op);
        self.listens.retain(|listen| listen.op != op);
    }

    /// The network changed: what was answered before may no longer hold.
    pub(crate) fn forget_answers(&mut self) {
        for peer in &mut self.peers {
            peer.forget_answers();
        }
        for listen in &mut self.listens {
            listen.forget_answers();
        }
    }

    /// A node refused a lookup, or its answer made no sense.
    pub(crate) fn on_lookup_refused(&mut self, node: NodeRef, now: Ms) {
        if let Some(peer) = self.peer(node) {
            peer.asked = false;
            peer.refused = now;
        }
        for get in &mut self.gets {
            get.forget(node);
        }
    }

    /// All requests to a node are void: it does not answer, or was forgotten.
    pub(crate) fn on_lost(&mut self, node: NodeRef) {
        if let Some(peer) = self.peer(node) {
            peer.asked = false;
            peer.slow = false;
        }
        for get in &mut self.gets {
            get.forget(node);
        }
        for put in &mut self.puts {
            put.forget(node);
        }
        for listen in &mut self.listens {
            listen.forget(node);
        }
    }
}
