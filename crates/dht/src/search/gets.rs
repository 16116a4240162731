//! Gets: the nearest nodes are asked for values, or first for their ids where those are large.

use super::peers::Peer;
use super::{Action, LARGE, Search};
use crate::node::NodeRef;
use crate::op::OpRef;

/// A get.
#[derive(Debug)]
pub(crate) struct Get {
    pub(crate) op: OpRef,
    /// The nodes asked, and how far each is.
    asked: Vec<(NodeRef, GetState)>,
    /// The values are large: get ids first.
    pub(crate) large: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum GetState {
    /// A request is under way; what is still to be got after it.
    Waiting(Vec<Wanted>),
    /// To be got one by one.
    Wanted(Vec<Wanted>),
    Done,
}

/// A value that a node said it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) id: u64,
    pub(crate) seq: u16,
}

impl Search {
    pub(crate) fn add_get(&mut self, op: OpRef) {
        self.gets.push(Get {
            op,
            asked: Vec::new(),
            large: false,
        });
    }

    /// A node answered a get. `wanted` is to be got from it one by one.
    pub(crate) fn on_got(&mut self, node: NodeRef, op: OpRef, bytes: usize, wanted: Vec<Wanted>) {
        let Some(get) = self.gets.iter_mut().find(|get| get.op == op) else {
            return;
        };
        get.large |= bytes > LARGE;
        let Some((_, state)) = get.asked.iter_mut().find(|(at, _)| *at == node) else {
            return;
        };
        let mut left = match std::mem::replace(state, GetState::Done) {
            GetState::Wanted(left) | GetState::Waiting(left) => left,
            GetState::Done => Vec::new(),
        };
        left.extend(wanted);
        *state = if left.is_empty() {
            GetState::Done
        } else {
            GetState::Wanted(left)
        };
    }
}

impl Get {
    /// What was asked of a node is void.
    pub(super) fn forget(&mut self, node: NodeRef) {
        self.asked.retain(|(at, _)| *at != node);
    }

    pub(super) fn waits_for(&self, node: NodeRef) -> bool {
        self.asked
            .iter()
            .any(|(at, state)| *at == node && matches!(state, GetState::Waiting(_)))
    }
}

pub(super) fn plan_gets(
    gets: &mut [Get],
    near: &[NodeRef],
    peers: &mut [Peer],
    free: &mut usize,
    actions: &mut Vec<Action>,
) {
    for get in gets {
        let op = get.op;
        let mut done = true;
        for node in near {
            let state = get.asked.iter_mut().find(|(at, _)| at == node);
            match state {
                Some((_, GetState::Done)) => {}
                Some((_, GetState::Waiting(_))) => done = false,
                Some((_, state @ GetState::Wanted(_))) => {
                    done = false;
                    if *free == 0 {
                        continue;
                    }
                    let GetState::Wanted(mut left) = std::mem::replace(state, GetState::Done)
                    else {
                        continue;
                    };
                    if let Some(wanted) = left.pop() {
                        *free = free.saturating_sub(1);
                        *state = GetState::Waiting(left);
                        actions.push(Action::Fetch {
                            node: *node,
                            op,
                            wanted,
                        });
                    }
                }
                None => {
                    done = false;
                    if *free == 0 {
                        continue;
                    }
                    let Some(peer) = peers.iter_mut().find(|peer| peer.node == *node) else {
                        continue;
                    };
                    // One that is being asked for nodes can be asked for values too.
                    *free = free.saturating_sub(usize::from(!peer.asked));
                    get.asked.push((*node, GetState::Waiting(Vec::new())));
                    actions.push(Action::Get {
                        node: *node,
                        op,
                        ids_only: get.large,
                    });
                }
            }
        }
        if done {
            actions.push(Action::GetDone(op));
        }
    }
}
