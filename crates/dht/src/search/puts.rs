//! Puts: at which of the nearest nodes a value is stored, and until when.

use super::peers::has_token;
use super::{Action, MAX_TRIES, REFRESH_MARGIN, REFUSED_PAUSE, Search};
use crate::clock::Ms;
use crate::node::{NodeRef, Nodes};
use crate::op::OpRef;
use crate::value_type;

/// A put.
#[derive(Debug)]
pub(crate) struct Announce {
    pub(crate) op: OpRef,
    pub(crate) id: u64,
    pub(crate) value_type: u16,
    pub(crate) permanent: bool,
    targets: Vec<(NodeRef, Target)>,
    /// It was reported to be done.
    pub(super) done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Target {
    state: TargetState,
    tries: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TargetState {
    /// To be put.
    Lacking,
    /// A request is under way.
    Waiting,
    /// It has the value, but must be told to keep it.
    Outdated,
    /// It has the value until then.
    Stored(Ms),
    /// It does not want it; try again then.
    Refused(Ms),
}

impl Search {
    pub(crate) fn add_put(&mut self, op: OpRef, id: u64, value_type: u16, permanent: bool) {
        self.puts.push(Announce {
            op,
            id,
            value_type,
            permanent,
            targets: Vec::new(),
            done: false,
        });
    }

    /// A put or refresh was acknowledged.
    pub(crate) fn on_stored(&mut self, node: NodeRef, op: OpRef, now: Ms) {
        self.on_alive(node);
        if let Some(put) = self.puts.iter_mut().find(|put| put.op == op) {
            let lifetime = value_type::lifetime(put.value_type);
            let until = now.plus(lifetime.saturating_sub(REFRESH_MARGIN));
            put.set(node, TargetState::Stored(until));
        }
    }

    /// What a probe found: the node has the value (of this sequence number or later), or not.
    pub(crate) fn on_probed(&mut self, node: NodeRef, op: OpRef, has: bool) {
        if let Some(put) = self.puts.iter_mut().find(|put| put.op == op) {
            put.set(
                node,
                if has {
                    TargetState::Outdated
                } else {
                    TargetState::Lacking
                },
            );
        }
    }

    /// A put or refresh failed. `lacking`: the node has nothing to refresh.
    pub(crate) fn on_put_refused(&mut self, node: NodeRef, op: OpRef, again: bool, now: Ms) {
        let Some(put) = self.puts.iter_mut().find(|put| put.op == op) else {
            return;
        };
        if let Some((_, target)) = put.targets.iter_mut().find(|(at, _)| *at == node) {
            target.tries = target.tries.saturating_add(1);
            target.state = if again && target.tries < MAX_TRIES {
                TargetState::Lacking
            } else {
                TargetState::Refused(now.plus(REFUSED_PAUSE))
            };
        }
    }
}

impl Announce {
    /// What was asked of a node is void.
    pub(super) fn forget(&mut self, node: NodeRef) {
        self.targets.retain(|(at, _)| *at != node);
    }

    /// Whether it was reported to be done.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// How many nodes have it.
    pub(crate) fn stored(&self) -> usize {
        self.targets
            .iter()
            .filter(|(_, target)| matches!(target.state, TargetState::Stored(_)))
            .count()
    }

    fn set(&mut self, node: NodeRef, state: TargetState) {
        if let Some((_, target)) = self.targets.iter_mut().find(|(at, _)| *at == node) {
            target.state = state;
            if matches!(state, TargetState::Stored(_)) {
                target.tries = 0;
            }
        }
    }

    pub(super) fn plan(
        &mut self,
        near: &[NodeRef],
        nodes: &Nodes,
        now: Ms,
        tokens: &mut Vec<NodeRef>,
        actions: &mut Vec<Action>,
    ) -> Ms {
        let op = self.op;
        self.targets.retain(|(node, _)| near.contains(node));
        let mut due = Ms::NEVER;
        let mut settled = true;
        for node in near {
            let place = self.targets.iter().position(|(at, _)| at == node);
            let place = place.unwrap_or_else(|| {
                let target = Target {
                    state: TargetState::Lacking,
                    tries: 0,
                };
                self.targets.push((*node, target));
                self.targets.len().saturating_sub(1)
            });
            let Some((_, target)) = self.targets.get_mut(place) else {
                continue;
            };
            match target.state {
                TargetState::Stored(until) if self.permanent && now >= until => {
                    target.state = TargetState::Waiting;
                    actions.push(Action::Probe { node: *node, op });
                }
                TargetState::Refused(until) if self.permanent && now >= until => {
                    target.state = TargetState::Lacking;
                    target.tries = 0;
                }
                TargetState::Stored(until) | TargetState::Refused(until) => {
                    if self.permanent {
                        due = due.min(until);
                    }
                    continue;
                }
                TargetState::Lacking | TargetState::Waiting | TargetState::Outdated => {}
            }
            let action = match target.state {
                TargetState::Lacking => Action::Put { node: *node, op },
                TargetState::Outdated => Action::Refresh { node: *node, op },
                _ => {
                    settled = false;
                    continue;
                }
            };
            settled = false;
            if has_token(nodes, *node, now) {
                target.state = TargetState::Waiting;
                actions.push(action);
            } else {
                tokens.push(*node);
            }
        }
        let stored = self.stored();
        if settled && !self.done && (stored > 0 || !self.permanent) {
            self.done = true;
            actions.push(Action::PutDone { op, stored });
        }
        due
    }
}
